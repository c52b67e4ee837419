//! The digest of everything in the repository that can change a function's binary. Used by the build script too.

use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

/// The files and folders that go into the digest.
pub const PARTS: [&str; 5] = [
    ".cargo/config.toml",
    "Cargo.lock",
    "Cargo.toml",
    "functions",
    "shared",
];

/// SHA-256 over names and contents of all files in [`PARTS`] below `root`, in hex. Hidden files and the copies that editors leave
/// do not count.
///
/// # Errors
/// When a file cannot be read.
pub fn of(root: &Path) -> io::Result<String> {
    let mut files = BTreeMap::new();
    for part in PARTS {
        collect(&root.join(part), part.to_owned(), &mut files)?;
    }
    let mut digest = Sha256::new();
    for (name, path) in files {
        let content = std::fs::read(path)?;
        for bytes in [name.as_bytes(), &content] {
            digest.update((bytes.len() as u64).to_be_bytes());
            digest.update(bytes);
        }
    }
    Ok(hex::encode(digest.finalize()))
}

fn collect(path: &Path, name: String, files: &mut BTreeMap<String, PathBuf>) -> io::Result<()> {
    if !path.is_dir() {
        files.insert(name, path.to_owned());
        return Ok(());
    }
    for entry in std::fs::read_dir(path)? {
        let entry = entry?;
        let own = entry.file_name().to_string_lossy().into_owned();
        if !own.starts_with('.') && !own.ends_with('~') {
            collect(&entry.path(), format!("{name}/{own}"), files)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn copied(from: &Path, to: &Path) {
        if from.is_dir() {
            std::fs::create_dir_all(to).unwrap();
            for entry in std::fs::read_dir(from).unwrap() {
                let entry = entry.unwrap();
                copied(&entry.path(), &to.join(entry.file_name()));
            }
        } else {
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(from, to).unwrap();
        }
    }

    #[test]
    fn one_line_anywhere_changes_the_digest() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        let copy = std::env::temp_dir().join(format!("digest-{}", std::process::id()));
        for part in PARTS {
            copied(&root.join(part), &copy.join(part));
        }
        let mut digests = vec![of(&copy).unwrap()];
        assert_eq!(digests[0], of(&root).unwrap(), "the place does not matter");
        for file in [
            "shared/domain/src/policy.rs",
            "shared/data/sms.json",
            "functions/login/src/main.rs",
            "Cargo.lock",
        ] {
            let path = copy.join(file);
            let mut content = std::fs::read(&path).unwrap();
            content.extend_from_slice(b"\n// one line\n");
            std::fs::write(&path, content).unwrap();
            digests.push(of(&copy).unwrap());
        }
        std::fs::write(copy.join("shared/data/.sms.json.swp"), "editor").unwrap();
        assert_eq!(digests.last(), Some(&of(&copy).unwrap()));
        digests.sort();
        digests.dedup();
        assert_eq!(digests.len(), 5);
        std::fs::remove_dir_all(copy).unwrap();
    }
}
