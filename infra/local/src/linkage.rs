//! What an executable needs of the system that runs it.

use std::collections::BTreeSet;
use std::path::Path;

use object::Endianness;
use object::elf::{DT_NEEDED, EM_AARCH64, EM_X86_64, FileHeader64, Machine};
use object::read::elf::{Dyn as _, FileHeader as _};

use crate::architecture::Architecture;
use crate::error::Error;

/// The C library of Lambda's runtime `provided.al2023`.
const GLIBC_MAX: (u32, u32) = (2, 34);
/// The libraries that belong to that C library or to the compiler, and are part of the runtime.
const PROVIDED: [&str; 8] = [
    "libc.so.6",
    "libm.so.6",
    "libgcc_s.so.1",
    "libpthread.so.0",
    "libdl.so.2",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

/// What an executable links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Linkage {
    machine: Machine,
    libraries: BTreeSet<String>,
    /// The highest version of the C library that it wants.
    glibc: (u32, u32),
}

impl Linkage {
    /// Reads an executable.
    ///
    /// # Errors
    /// When the file is no 64-bit ELF file.
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let data = std::fs::read(path);
        let data = data.map_err(Error::io(format!("reading {}", path.display())))?;
        Self::of(&data).map_err(|error| Error::Linkage(format!("{}: {error}", path.display())))
    }

    fn of(data: &[u8]) -> Result<Self, object::read::Error> {
        let header = FileHeader64::<Endianness>::parse(data)?;
        let endian = header.endian()?;
        let sections = header.sections(endian, data)?;
        let mut libraries = BTreeSet::new();
        if let Some((entries, strings)) = sections.dynamic(endian, data)? {
            let strings = sections.strings(endian, data, strings)?;
            let needed = entries.iter();
            let needed = needed.filter(|entry| entry.d_tag(endian) == DT_NEEDED);
            for entry in needed {
                let name = strings.get(entry.val32(endian).unwrap_or_default());
                let name = String::from_utf8_lossy(name.unwrap_or_default());
                libraries.insert(name.into_owned());
            }
        }
        let mut glibc = (0, 0);
        if let Some((mut files, strings)) = sections.gnu_verneed(endian, data)? {
            let strings = sections.strings(endian, data, strings)?;
            while let Some((_, mut versions)) = files.next()? {
                while let Some(version) = versions.next()? {
                    let name = version.name(endian, strings)?;
                    glibc = glibc.max(glibc_version(&String::from_utf8_lossy(name)));
                }
            }
        }
        Ok(Self {
            machine: header.e_machine(endian),
            libraries,
            glibc,
        })
    }

    /// Whether Lambda's runtime can run it.
    ///
    /// # Errors
    /// Another processor, a library that the runtime does not have, or a newer C library.
    pub(crate) fn suits(&self, architecture: Architecture) -> Result<(), Error> {
        let machine = match architecture.resolved() {
            Architecture::Arm64 => EM_AARCH64,
            _ => EM_X86_64,
        };
        let wrong = |why: String| Err(Error::Linkage(why));
        if self.machine != machine {
            return wrong(format!("it is not built for {}", architecture.name()));
        }
        let provided = |library: &&String| !PROVIDED.contains(&library.as_str());
        if let Some(library) = self.libraries.iter().find(provided) {
            return wrong(format!(
                "it needs {library}, which the runtime does not have"
            ));
        }
        if self.glibc > GLIBC_MAX {
            let ((major, minor), (_, max)) = (self.glibc, GLIBC_MAX);
            return wrong(format!(
                "it needs glibc {major}.{minor}, and the runtime has {major}.{max}"
            ));
        }
        Ok(())
    }
}

/// The version in `GLIBC_2.34`; (0, 0) for a version of another library.
fn glibc_version(name: &str) -> (u32, u32) {
    let parse = || {
        let mut parts = name.strip_prefix("GLIBC_")?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    parse().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_executable_is_read() {
        let own = Linkage::read(&std::env::current_exe().unwrap()).unwrap();
        assert!(own.libraries.contains("libc.so.6"), "{own:?}");
        assert!(own.glibc >= (2, 2), "{own:?}");
        assert!(Linkage::of(b"no executable").is_err());
    }

    #[test]
    fn what_the_runtime_lacks_is_named() {
        let good = Linkage {
            machine: EM_AARCH64,
            libraries: ["libc.so.6".to_owned()].into(),
            glibc: (2, 34),
        };
        assert!(good.suits(Architecture::Arm64).is_ok());
        let refused =
            |linkage: &Linkage, architecture| linkage.suits(architecture).unwrap_err().to_string();
        assert!(refused(&good, Architecture::X86_64).contains("x86_64"));
        let mut newer = good.clone();
        newer.glibc = (2, 36);
        assert!(refused(&newer, Architecture::Arm64).contains("2.36"));
        let mut more = good;
        more.libraries.insert("libssl.so.3".to_owned());
        assert!(refused(&more, Architecture::Arm64).contains("libssl.so.3"));
    }

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(glibc_version("GLIBC_2.4") < glibc_version("GLIBC_2.34"));
        assert_eq!(glibc_version("GCC_3.0"), (0, 0));
    }
}
