//! `cargo local package`: release builds of functions, each zipped for upload to Lambda.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::architecture::Architecture;
use crate::artifacts::{self, Compression};
use crate::error::Error;
use crate::linkage::Linkage;
use crate::paths;

/// One function's release package.
#[derive(Clone, Debug)]
pub struct Package {
    /// The function's folder.
    pub function: String,
    /// The executable.
    pub binary: PathBuf,
    /// Its zip.
    pub zip: PathBuf,
    /// The size of the executable, in bytes.
    pub binary_bytes: u64,
    /// The size of the zip, in bytes.
    pub zip_bytes: u64,
    /// SHA-256 of the zip in base64, as Lambda's `CodeSha256`.
    pub code_sha256: String,
}

/// Builds and zips functions for each architecture and prints their sizes. With all functions, it also writes a template that deploys
/// these zips, and the list of their digests.
///
/// # Errors
/// When a function is unknown, a build fails, a tool is missing, or Lambda could not run an executable.
pub fn run(architectures: &[Architecture], functions: &[String]) -> Result<(), Error> {
    let commit = commit();
    for &architecture in architectures {
        let packages = packages(architecture, functions)?;
        print!("\n{}", table(&packages));
        let folder = folder(architecture);
        println!("zips: {}", folder.display());
        if architecture == Architecture::Host {
            continue;
        }
        for package in &packages {
            let linkage = Linkage::read(&package.binary)?;
            linkage.suits(architecture)?;
        }
        if functions.is_empty() {
            let list = listed(&packages, architecture, &commit);
            write(&folder.join("packages.json"), &list)?;
            let defaults = [("BuiltFor", architecture.name()), ("Commit", &commit)];
            let zip = |function: &str| format!("{function}.zip");
            let template = artifacts::packaged(&artifacts::template()?, zip, &defaults);
            write(&folder.join("template.yaml"), &template)?;
            println!("template: {}", folder.join("template.yaml").display());
        }
    }
    Ok(())
}

/// The list of the packages, which `rebindctl doctor --packages` compares with what is deployed.
fn listed(packages: &[Package], architecture: Architecture, commit: &str) -> String {
    let functions = packages.iter().map(|one| {
        (
            one.function.clone(),
            json!({"code_sha256": one.code_sha256}),
        )
    });
    let list = json!({
        "architecture": architecture.name(),
        "commit": commit,
        "sources": release::SOURCES,
        "functions": functions.collect::<serde_json::Map<_, _>>(),
    });
    format!("{list:#}\n")
}

/// The commit of the checkout, with `-changed` if files differ from it; empty without git.
fn commit() -> String {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .current_dir(paths::workspace())
            .args(arguments)
            .stdin(Stdio::null())
            .output();
        let output = output.ok().filter(|output| output.status.success())?;
        Some(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    };
    let Some(commit) = git(&["rev-parse", "HEAD"]) else {
        return String::new();
    };
    match git(&["status", "--porcelain"]) {
        Some(changes) if changes.is_empty() => commit,
        _ => commit + "-changed",
    }
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::io(format!("writing {}", path.display())))
}

fn folder(architecture: Architecture) -> PathBuf {
    folder_of(match architecture {
        Architecture::Host => "host",
        named => named.name(),
    })
}

/// Where the packages for an architecture of this name are.
pub(crate) fn folder_of(architecture: &str) -> PathBuf {
    paths::target().join("package").join(architecture)
}

/// Builds and zips `functions`, or all functions of the template if there are none.
///
/// # Errors
/// As [`run`].
pub fn packages(architecture: Architecture, functions: &[String]) -> Result<Vec<Package>, Error> {
    let template = artifacts::template()?;
    let functions = select(&artifacts::functions(&template), functions)?;
    if architecture != Architecture::Host {
        require_cargo_lambda(architecture)?;
    }
    let mut packages = Vec::new();
    for function in functions {
        println!("building {function} for {}", architecture.name());
        let binary = build(architecture, &function)?;
        let zip = folder(architecture).join(format!("{function}.zip"));
        artifacts::pack(&binary, &zip, Compression::Best)?;
        packages.push(Package {
            function,
            binary_bytes: size(&binary)?,
            zip_bytes: size(&zip)?,
            code_sha256: code_sha256(&zip)?,
            binary,
            zip,
        });
    }
    Ok(packages)
}

fn code_sha256(zip: &Path) -> Result<String, Error> {
    let content = std::fs::read(zip);
    let content = content.map_err(Error::io(format!("reading {}", zip.display())))?;
    Ok(STANDARD.encode(Sha256::digest(content)))
}

/// Builds all functions for instruction counts: in the profile `measure`, for this machine.
///
/// # Errors
/// When the build fails.
pub fn measured() -> Result<BTreeMap<String, PathBuf>, Error> {
    let template = artifacts::template()?;
    let mut command = Command::new(paths::cargo());
    command.args(["build", "--profile", "measure", "--locked"]);
    for function in artifacts::functions(&template) {
        command.args(["--package", function, "--bin", function]);
    }
    artifacts::executables(&mut command)
}

/// The chosen functions, in the template's order.
fn select(known: &[&str], chosen: &[String]) -> Result<Vec<String>, Error> {
    if let Some(unknown) = chosen.iter().find(|name| !known.contains(&name.as_str())) {
        return Err(Error::UnknownFunction {
            name: unknown.clone(),
            known: known.join(", "),
        });
    }
    let is_chosen = |name: &&&str| chosen.is_empty() || chosen.iter().any(|one| one == **name);
    let selected = known.iter().filter(is_chosen);
    Ok(selected.map(|name| (*name).to_owned()).collect())
}

/// Builds one function alone, so that it has no feature that only another function needs.
fn build(architecture: Architecture, function: &str) -> Result<PathBuf, Error> {
    let mut command = Command::new(paths::cargo());
    if architecture == Architecture::Host {
        command.args(["build", "--release", "--locked"]);
        command.args(["--package", function, "--bin", function]);
        let binary = artifacts::executables(&mut command)?.remove(function);
        return binary.ok_or_else(|| Error::NoBinary(function.to_owned()));
    }
    // The same tool with the same options as `sam build`.
    let folder = paths::target().join("lambda");
    command
        .current_dir(paths::workspace())
        .args(["lambda", "build", "--release", "--locked"])
        .args(["--target", architecture.target()])
        .args(["--package", function, "--bin", function])
        .arg("--lambda-dir")
        .arg(&folder)
        .stdin(Stdio::null());
    let status = command
        .status()
        .map_err(Error::io("starting cargo lambda"))?;
    if status.success() {
        Ok(folder.join(function).join("bootstrap"))
    } else {
        Err(Error::Build)
    }
}

fn require_cargo_lambda(architecture: Architecture) -> Result<(), Error> {
    let version = Command::new(paths::cargo())
        .args(["lambda", "--version"])
        .stdin(Stdio::null())
        .output();
    match version {
        Ok(output) if output.status.success() => Ok(()),
        _ => Err(Error::NoCargoLambda {
            architecture: architecture.name(),
            target: architecture.target(),
        }),
    }
}

fn size(path: &Path) -> Result<u64, Error> {
    let metadata = std::fs::metadata(path);
    let metadata = metadata.map_err(Error::io(format!("reading {}", path.display())))?;
    Ok(metadata.len())
}

/// One line for each function, in megabytes.
fn table(packages: &[Package]) -> String {
    let width = packages.iter().map(|one| one.function.len()).max();
    let width = width.unwrap_or_default().max("function".len());
    let mut text = format!("{:width$}  binary MB  zip MB\n", "function");
    for package in packages {
        let function = &package.function;
        let (binary, zip) = (
            megabytes(package.binary_bytes),
            megabytes(package.zip_bytes),
        );
        text.push_str(&format!("{function:width$}  {binary:>9}  {zip:>6}\n"));
    }
    text
}

/// Two decimals, rounded.
fn megabytes(bytes: u64) -> String {
    let hundredths = (bytes + 5_000) / 10_000;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 3] = ["login", "cards", "payouts"];

    #[test]
    fn without_a_choice_all_are_packaged() {
        assert_eq!(select(&KNOWN, &[]).unwrap(), KNOWN);
    }

    #[test]
    fn a_chosen_function_is_packaged_once() {
        let chosen = ["payouts", "login", "payouts"].map(str::to_owned);
        assert_eq!(select(&KNOWN, &chosen).unwrap(), ["login", "payouts"]);
    }

    #[test]
    fn an_unknown_function_is_refused() {
        let error = select(&KNOWN, &["logon".into()]).unwrap_err();
        assert!(error.is_usage());
        let text = error.to_string();
        assert!(text.contains("`logon`") && text.contains("login, cards, payouts"));
    }

    #[test]
    fn sizes_are_printed_in_megabytes() {
        let packages = [Package {
            function: "rebind-request".into(),
            binary: PathBuf::new(),
            zip: PathBuf::new(),
            binary_bytes: 11_996_000,
            zip_bytes: 4_664_999,
            code_sha256: String::new(),
        }];
        assert_eq!(
            table(&packages),
            "function        binary MB  zip MB\nrebind-request      12.00    4.66\n"
        );
    }
}
