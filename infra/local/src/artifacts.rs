//! Builds functions and packs each into a zip for Lambda.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, copy};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::error::Error;
use crate::paths;
use crate::progress::Progress;

/// The template's reference to a function's code before it is packaged.
pub(crate) const CODE_URI: &str = "CodeUri: ../functions/";

/// A function's folder name with its zip.
pub(crate) type Packages = BTreeMap<String, PathBuf>;

/// How a zip is compressed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Compression {
    /// Not at all. For packages that travel over loopback only.
    Stored,
    /// Deflate, level 9.
    Best,
}

/// The template's text.
pub(crate) fn template() -> Result<String, Error> {
    let path = paths::template();
    std::fs::read_to_string(&path).map_err(Error::io(format!("reading {}", path.display())))
}

/// The folder names of the functions that `template` deploys.
pub(crate) fn functions(template: &str) -> Vec<&str> {
    template
        .lines()
        .filter_map(|line| line.trim().strip_prefix(CODE_URI))
        .collect()
}

/// Builds every function of `template` in the dev profile and packs it for the local cloud.
pub(crate) fn build(template: &str, progress: Progress) -> Result<Packages, Error> {
    let names = functions(template);
    progress.say(&format!(
        "building {} functions (cargo, dev profile)",
        names.len()
    ));
    let binaries = cargo_build(&names)?;
    let folder = paths::packages();
    let mut packages = Packages::new();
    for name in names {
        let binary = binaries
            .get(name)
            .ok_or_else(|| Error::NoBinary(name.to_owned()))?;
        let package = folder.join(format!("{name}.zip"));
        if !is_newer(&package, binary) {
            pack(binary, &package, Compression::Stored)?;
        }
        packages.insert(name.to_owned(), package);
    }
    Ok(packages)
}

/// Builds binaries in the dev profile and returns their paths by name.
///
/// Without `-p`, cargo resolves features for the whole workspace, as `cargo test --workspace` and the alias do, so that each
/// dependency is compiled once.
///
/// # Errors
/// When cargo cannot be started or the build fails. The compiler has printed why.
pub fn cargo_build(names: &[&str]) -> Result<BTreeMap<String, PathBuf>, Error> {
    let mut command = Command::new(paths::cargo());
    command.arg("build");
    for name in names {
        command.args(["--bin", name]);
    }
    executables(&mut command)
}

/// Runs a cargo command that builds, and returns the paths of the executables by name.
pub(crate) fn executables(command: &mut Command) -> Result<BTreeMap<String, PathBuf>, Error> {
    // Standard error is inherited: cargo shows its progress there.
    let mut child = command
        .current_dir(paths::workspace())
        .args(["--message-format", "json-render-diagnostics"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io("starting cargo build"))?;
    let mut binaries = BTreeMap::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(Error::io("reading the output of cargo build"))?;
            let message: Value = serde_json::from_str(&line).unwrap_or_default();
            if let (Some(name), Some(path)) = (
                message["target"]["name"].as_str(),
                message["executable"].as_str(),
            ) {
                binaries.insert(name.to_owned(), PathBuf::from(path));
            }
        }
    }
    let status = child.wait().map_err(Error::io("waiting for cargo build"))?;
    if status.success() {
        Ok(binaries)
    } else {
        Err(Error::Build)
    }
}

fn is_newer(package: &Path, binary: &Path) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|metadata| metadata.modified());
    matches!((changed(package), changed(binary)), (Ok(package), Ok(binary)) if package > binary)
}

/// Writes a zip with `binary` as its only entry, `bootstrap`. The same binary always gives the same zip.
pub(crate) fn pack(binary: &Path, package: &Path, compression: Compression) -> Result<(), Error> {
    let partial = package.with_extension(format!("{}.partial", std::process::id()));
    let write = || -> std::io::Result<()> {
        if let Some(folder) = package.parent() {
            std::fs::create_dir_all(folder)?;
        }
        let mut zip = ZipWriter::new(BufWriter::new(File::create(&partial)?));
        zip.start_file("bootstrap", options(compression))?;
        copy(&mut File::open(binary)?, &mut zip)?;
        zip.finish()?.into_inner()?;
        std::fs::rename(&partial, package) // never leave a half-written zip under the final name
    };
    write().map_err(Error::io(format!("writing {}", package.display())))
}

fn options(compression: Compression) -> SimpleFileOptions {
    let options = SimpleFileOptions::default()
        .last_modified_time(DateTime::DEFAULT) // 1980-01-01: the time of the build would change the zip
        .unix_permissions(0o755);
    match compression {
        Compression::Stored => options.compression_method(CompressionMethod::Stored),
        Compression::Best => options
            .compression_method(CompressionMethod::Deflated)
            .compression_level(Some(9)),
    }
}

/// The template with packages in the place of the sources, and with these values for parameters whose default is empty. `zip`: where the
/// package of a function is.
pub(crate) fn packaged(
    template: &str,
    zip: impl Fn(&str) -> String,
    defaults: &[(&str, &str)],
) -> String {
    let mut parameter = "";
    let mut text = String::with_capacity(template.len());
    for line in template.lines() {
        let outermost = line
            .strip_prefix("  ")
            .filter(|name| !name.starts_with(' '));
        parameter = outermost.unwrap_or(parameter);
        let default = defaults
            .iter()
            .find(|(name, _)| parameter.strip_suffix(':') == Some(name));
        match (line.split_once(CODE_URI), default) {
            (Some((indent, function)), _) => {
                text.push_str(&format!("{indent}CodeUri: {}", zip(function)));
            }
            (None, Some((_, value))) if line.trim() == "Default: \"\"" => {
                text.push_str(&format!("    Default: \"{value}\""));
            }
            _ => text.push_str(line),
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn template_deploys_the_packages() {
        let zip = |function: &str| format!("s3://artifacts/{function}.zip");
        let template = "  BuiltFor:\n    Default: \"\"\n  BankUrl:\n    Default: \"\"\n      CodeUri: ../functions/rebind-request\n# CodeUris\n";
        assert_eq!(
            packaged(template, zip, &[("BuiltFor", "arm64")]),
            "  BuiltFor:\n    Default: \"arm64\"\n  BankUrl:\n    Default: \"\"\n      CodeUri: s3://artifacts/rebind-request.zip\n# CodeUris\n"
        );
        let whole = packaged(&super::template().unwrap(), zip, &[("Commit", "abc")]);
        assert!(!whole.contains("../functions/"));
        assert_eq!(whole.matches("CodeUri: ").count(), 15);
        assert_eq!(whole.matches("Default: \"abc\"").count(), 1);
    }

    #[test]
    fn functions_are_read_from_the_template() {
        let template = "a:\n      CodeUri: ../functions/rebind-request\n# CodeUris\n      CodeUri: ../functions/login\n";
        assert_eq!(functions(template), ["rebind-request", "login"]);
    }

    #[test]
    fn the_same_binary_gives_the_same_zip() {
        let folder = std::env::temp_dir().join(format!("package-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let binary = folder.join("binary");
        let content = b"bytes ".repeat(1_000);
        let mut zips = Vec::new();
        for (name, mode) in [("one", 0o600), ("two", 0o777)] {
            // Neither the mode nor the time of the file reaches the zip.
            std::fs::write(&binary, &content).unwrap();
            std::fs::set_permissions(&binary, std::fs::Permissions::from_mode(mode)).unwrap();
            let package = folder.join(name).join("function.zip");
            pack(&binary, &package, Compression::Best).unwrap();
            zips.push(std::fs::read(&package).unwrap());
        }
        assert_eq!(zips[0], zips[1]);
        assert!(zips[0].len() < content.len() / 10);

        let mut zip = zip::ZipArchive::new(std::io::Cursor::new(&zips[0])).unwrap();
        assert_eq!(zip.len(), 1);
        let mut entry = zip.by_name("bootstrap").unwrap();
        assert_eq!(entry.unix_mode().map(|mode| mode & 0o777), Some(0o755));
        let mut unpacked = Vec::new();
        copy(&mut entry, &mut unpacked).unwrap();
        assert_eq!(unpacked, content);
        drop(entry);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
