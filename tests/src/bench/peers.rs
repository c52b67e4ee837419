//! The peers of the benchmark: `GET /v1/cards` and `POST /v1/rebinds` in Node and in Python, on the same table in the same
//! item format. Their sources are in `tests/bench/peers`; this module installs their dependencies, at the pinned versions, and
//! makes of each function an executable and the zip that would be deployed.

use api::problems;
use domain::error_code::ErrorCode;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

/// The functions that each peer has.
pub const FUNCTIONS: [&str; 2] = ["cards", "rebind-request"];

/// The language of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    /// Node 20: AWS SDK v3 and Powertools, bundled.
    Node,
    /// Python 3.11: boto3 and Powertools. The zip has no boto3, because the managed runtime has it.
    Python,
}

impl Language {
    /// Both languages.
    pub const ALL: [Self; 2] = [Self::Node, Self::Python];
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Python => "python",
        })
    }
}

/// One function of a peer.
#[derive(Clone, Debug)]
pub struct Peer {
    /// The language.
    pub language: Language,
    /// The name of the function that it replaces.
    pub function: &'static str,
    /// The executable.
    pub bootstrap: PathBuf,
    /// The package that would be deployed.
    pub zip: PathBuf,
}

/// The executables of a language by function, as [`crate::processes::Options`] takes them.
#[must_use]
pub fn executables(peers: &[Peer], language: Language) -> BTreeMap<String, PathBuf> {
    let of_language = peers.iter().filter(|peer| peer.language == language);
    of_language
        .map(|peer| (peer.function.to_owned(), peer.bootstrap.clone()))
        .collect()
}

/// Builds all peers, each only if its sources have changed.
///
/// # Errors
/// When a tool is missing or fails, with its output.
pub fn build() -> Result<Vec<Peer>, String> {
    let root = local::default_state_dir().with_file_name("bench");
    let root = std::path::absolute(root.join("peers")).map_err(text)?;
    let data = root.join("data");
    write_data(&data)?;
    let mut peers = Vec::new();
    for language in Language::ALL {
        let builder = Builder {
            language,
            sources: sources().join(language.to_string()),
            data: data.clone(),
            out: root.join(language.to_string()),
        };
        peers.extend(builder.run()?);
    }
    Ok(peers)
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/peers")
}

/// The texts of the problem documents and the table of card prefixes, from the places where the product has them.
fn write_data(folder: &Path) -> Result<(), String> {
    let problems: Map<String, Value> = ErrorCode::ALL
        .iter()
        .map(|&code| {
            let problems::Entry {
                status,
                title,
                detail_zh,
                detail_en,
                retryable,
            } = problems::entry(code);
            let row = json!({
                "type": problems::type_uri(code),
                "title": title,
                "status": status,
                "detail_zh": detail_zh,
                "detail_en": detail_en,
                "retryable": retryable,
            });
            (code.as_str().to_owned(), row)
        })
        .collect();
    fs::create_dir_all(folder).map_err(text)?;
    write(&folder.join("problems.json"), &json!(problems).to_string())?;
    let (bins, banks) = cards()?;
    write(&folder.join("bins.json"), &bins.to_string())?;
    write(&folder.join("banks.json"), &banks.to_string())
}

/// Type and bank of each prefix with its length of number, beside the lengths of the prefixes, longest first; and the banks'
/// names.
fn cards() -> Result<(Value, Value), String> {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let official = table.join("official-card-bins.csv");
    let table = if official.exists() {
        official
    } else {
        table.join("china-card-bins.csv")
    };
    let (mut bins, mut banks, mut lengths) = (Map::new(), Map::new(), BTreeSet::new());
    for line in fs::read_to_string(table).map_err(text)?.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let [prefix, length, kind, bank, name] = fields[..] else {
            return Err(format!("not a row of card prefixes: {line}"));
        };
        let kind = if kind == "disputed" { "unknown" } else { kind };
        bins.insert(format!("{prefix}/{length}"), json!([kind, bank]));
        banks.insert(bank.to_owned(), json!(name));
        lengths.insert(prefix.len());
    }
    let lengths: Vec<usize> = lengths.into_iter().rev().collect();
    Ok((json!({"bins": bins, "lengths": lengths}), json!(banks)))
}

/// The build of one language.
struct Builder {
    language: Language,
    sources: PathBuf,
    data: PathBuf,
    out: PathBuf,
}

impl Builder {
    fn run(&self) -> Result<Vec<Peer>, String> {
        fs::create_dir_all(&self.out).map_err(text)?;
        let tool = match self.language {
            Language::Node => find("node")?,
            Language::Python => find("python3")?,
        };
        let version = run(Command::new(&tool).arg("--version"))?;
        let locks = match self.language {
            Language::Node => vec![self.sources.join("package-lock.json")],
            Language::Python => vec![
                self.sources.join("requirements.txt"),
                self.sources.join("requirements-runtime.txt"),
            ],
        };
        let installed = digest(&locks, &version)?;
        let mut all = files(&self.sources)?;
        all.extend(files(&self.data)?);
        let built = digest(&all, &installed)?;
        if self.is_outdated("built", &built) {
            if self.is_outdated("installed", &installed) {
                match self.language {
                    Language::Node => self.install_node()?,
                    Language::Python => self.install_python(&tool)?,
                }
                write(&self.out.join("installed"), &installed)?;
            }
            match self.language {
                Language::Node => self.build_node(&tool)?,
                Language::Python => self.build_python()?,
            }
            write(&self.out.join("built"), &built)?;
        }
        Ok(FUNCTIONS.map(|function| self.peer(function)).to_vec())
    }

    fn peer(&self, function: &'static str) -> Peer {
        Peer {
            language: self.language,
            function,
            bootstrap: self.out.join(format!("{function}.sh")),
            zip: self.out.join(format!("{function}.zip")),
        }
    }

    fn is_outdated(&self, stamp: &str, wanted: &str) -> bool {
        fs::read_to_string(self.out.join(stamp)).ok().as_deref() != Some(wanted)
    }

    fn install_node(&self) -> Result<(), String> {
        for name in ["package.json", "package-lock.json"] {
            fs::copy(self.sources.join(name), self.out.join(name)).map_err(text)?;
        }
        let mut npm = Command::new(find("npm")?);
        npm.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        run(npm.current_dir(&self.out)).map(|_| ())
    }

    fn build_node(&self, node: &Path) -> Result<(), String> {
        copy(&self.sources.join("src"), &self.out.join("src"))?;
        for name in ["build.mjs", "runtime.mjs"] {
            fs::copy(self.sources.join(name), self.out.join(name)).map_err(text)?;
        }
        let dist = self.out.join("dist");
        let mut bundle = Command::new(node);
        bundle.arg("build.mjs").arg(&self.data).arg(&dist);
        run(bundle.current_dir(&self.out))?;
        for function in FUNCTIONS {
            let task = dist.join(function);
            let script = format!(
                "#!/bin/sh\nexport NODE_EXTRA_CA_CERTS=\"$SSL_CERT_FILE\"\nexec '{}' '{}' '{}'\n",
                node.display(),
                self.out.join("runtime.mjs").display(),
                task.join("index.mjs").display(),
            );
            let peer = self.peer(function);
            write_script(&peer.bootstrap, &script)?;
            pack(&task, &peer.zip)?;
        }
        Ok(())
    }

    /// `venv` has the packages of the managed runtime: boto3 and the runtime client.
    fn install_python(&self, python: &Path) -> Result<(), String> {
        let (venv, packages) = (self.out.join("venv"), self.out.join("packages"));
        for folder in [&venv, &packages] {
            remove(folder)?;
        }
        run(Command::new(python).args(["-m", "venv"]).arg(&venv))?;
        let pip = || {
            let mut pip = Command::new(venv.join("bin/python"));
            pip.args(["-m", "pip", "install", "--quiet", "--require-hashes"]);
            pip.args(["--only-binary", ":all:", "--disable-pip-version-check"]);
            pip
        };
        let lock = |name: &str| self.sources.join(name);
        run(pip().arg("-r").arg(lock("requirements-runtime.txt")))?;
        let mut deployed = pip();
        deployed.arg("-r").arg(lock("requirements.txt"));
        run(deployed.args(["--no-compile", "--target"]).arg(&packages)).map(|_| ())
    }

    /// Both functions are deployed with the same package. It is compiled ahead, because a function cannot write beside its code.
    fn build_python(&self) -> Result<(), String> {
        let (task, python) = (self.out.join("task"), self.out.join("venv/bin/python"));
        remove(&task)?;
        copy(&self.out.join("packages"), &task)?;
        remove(&task.join("bin"))?;
        copy(&self.sources.join("src"), &task)?;
        copy(&self.data, &task.join("peer"))?;
        let mut compile = Command::new(&python);
        compile.args(["-m", "compileall", "-q"]);
        compile.args(["--invalidation-mode", "unchecked-hash", "-s"]);
        run(compile.arg(&task).arg(&task))?;
        for function in FUNCTIONS {
            let script = format!(
                "#!/bin/sh\nexport AWS_CA_BUNDLE=\"$SSL_CERT_FILE\"\ncd '{}' || exit 1\n\
                 exec '{}' -m awslambdaric peer.{}.handler\n",
                task.display(),
                python.display(),
                function.replace('-', "_"),
            );
            let peer = self.peer(function);
            write_script(&peer.bootstrap, &script)?;
            pack(&task, &peer.zip)?;
        }
        Ok(())
    }
}

fn text(error: impl fmt::Display) -> String {
    error.to_string()
}

fn write(path: &Path, content: &str) -> Result<(), String> {
    fs::write(path, content).map_err(|error| format!("{}: {error}", path.display()))
}

fn write_script(path: &Path, content: &str) -> Result<(), String> {
    write(path, content)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).map_err(text)
}

fn remove(folder: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(text)?;
    }
    Ok(())
}

/// The absolute path of a program, because a function's environment has no PATH.
fn find(program: &str) -> Result<PathBuf, String> {
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", &format!("command -v {program}")]);
    let path = run(&mut shell).map_err(|_| format!("{program} is not installed"))?;
    fs::canonicalize(path.trim()).map_err(text)
}

/// Runs a tool to its end, and returns its output.
fn run(command: &mut Command) -> Result<String, String> {
    let what = format!("{command:?}");
    let output = command
        .output()
        .map_err(|error| format!("{what}: {error}"))?;
    let [stdout, stderr] = [&output.stdout, &output.stderr].map(|of| String::from_utf8_lossy(of));
    if output.status.success() {
        Ok(stdout.into_owned())
    } else {
        Err(format!("{what} failed:\n{stdout}{stderr}"))
    }
}

/// All files below a folder, in order.
fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let failed = |error| format!("{}: {error}", folder.display());
        for entry in fs::read_dir(&folder).map_err(failed)? {
            let path = entry.map_err(text)?.path();
            match path.is_dir() {
                true => folders.push(path),
                false => found.push(path),
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The SHA-256 of files with their names, and of what else they depend on.
fn digest(files: &[PathBuf], other: &str) -> Result<String, String> {
    let mut digest = Sha256::new();
    digest.update(other);
    for path in files {
        digest.update(path.as_os_str().as_encoded_bytes());
        digest.update(fs::read(path).map_err(|error| format!("{}: {error}", path.display()))?);
    }
    Ok(hex::encode(digest.finalize()))
}

/// Copies the files below a folder into another one.
fn copy(from: &Path, to: &Path) -> Result<(), String> {
    for path in files(from)? {
        let target = to.join(path.strip_prefix(from).map_err(text)?);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder).map_err(text)?;
        }
        fs::copy(&path, &target).map_err(text)?;
    }
    Ok(())
}

/// Zips the files below a folder.
fn pack(folder: &Path, zip: &Path) -> Result<(), String> {
    let options = SimpleFileOptions::default()
        .last_modified_time(DateTime::DEFAULT)
        .unix_permissions(0o755)
        .compression_method(CompressionMethod::Deflated)
        .compression_level(Some(9));
    let mut writer = ZipWriter::new(fs::File::create(zip).map_err(text)?);
    for path in files(folder)? {
        let name = path.strip_prefix(folder).map_err(text)?;
        writer
            .start_file(name.to_string_lossy(), options)
            .map_err(text)?;
        writer
            .write_all(&fs::read(&path).map_err(text)?)
            .map_err(text)?;
    }
    writer.finish().map(|_| ()).map_err(text)
}
