//! Builds the functions that the template deploys and packs each into the zip that Lambda wants.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, copy};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::error::Error;
use crate::paths;
use crate::progress::Progress;

/// How the template refers to a function's code before it is packaged.
pub(crate) const CODE_URI: &str = "CodeUri: ../functions/";

/// A function's folder name with its zip.
pub(crate) type Packages = BTreeMap<String, PathBuf>;

/// Builds and packs every function of `template`.
pub(crate) fn build(template: &str, progress: Progress) -> Result<Packages, Error> {
    let names: Vec<&str> = template
        .lines()
        .filter_map(|line| line.trim().strip_prefix(CODE_URI))
        .collect();
    progress.say(&format!(
        "building {} functions (cargo, dev profile)",
        names.len()
    ));
    let binaries = cargo_build(&names)?;
    let folder = paths::packages();
    std::fs::create_dir_all(&folder).map_err(Error::io(format!("making {}", folder.display())))?;
    let mut packages = Packages::new();
    for name in names {
        let binary = binaries
            .get(name)
            .ok_or_else(|| Error::NoBinary(name.to_owned()))?;
        let package = folder.join(format!("{name}.zip"));
        if !is_newer(&package, binary) {
            pack(binary, &package).map_err(Error::io(format!("packing {}", package.display())))?;
        }
        packages.insert(name.to_owned(), package);
    }
    Ok(packages)
}

/// Paths of the built binaries by name.
///
/// No `-p`: cargo then resolves features for the whole workspace, as `cargo test --workspace` and the alias do, and
/// the dependencies are compiled once instead of once for each selection.
///
/// # Errors
/// When cargo cannot be started or does not build them; it has said why by then.
pub fn cargo_build(names: &[&str]) -> Result<BTreeMap<String, PathBuf>, Error> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(paths::workspace()).args([
        "build",
        "--message-format",
        "json-render-diagnostics",
    ]);
    for name in names {
        command.args(["--bin", name]);
    }
    // Standard error stays ours: cargo shows there what it compiles.
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io("starting cargo build"))?;
    let mut binaries = BTreeMap::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(Error::io("reading from cargo build"))?;
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

/// Stored, not compressed: the package travels over loopback only.
fn pack(binary: &Path, package: &Path) -> std::io::Result<()> {
    let partial = package.with_extension(format!("{}.partial", std::process::id()));
    let mut zip = ZipWriter::new(BufWriter::new(File::create(&partial)?));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .unix_permissions(0o755);
    zip.start_file("bootstrap", options)?;
    copy(&mut File::open(binary)?, &mut zip)?;
    zip.finish()?.into_inner()?;
    std::fs::rename(&partial, package) // a half-written zip is never taken for a whole one
}
