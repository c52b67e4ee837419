//! Installs the local cloud once for each checkout, with pinned packages.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use crate::error::Error;
use crate::paths;
use crate::progress::Progress;

const REQUIREMENTS: &str = include_str!("../requirements.txt");
const OLDEST_PYTHON: (u32, u32) = (3, 10);

/// Returns the path of the local cloud's program. Installs it first if it is missing or the pins have changed.
pub(crate) fn install(progress: Progress) -> Result<PathBuf, Error> {
    let venv = paths::venv();
    let program = venv.join("bin/ministack");
    let installed = venv.join("requirements.installed");
    if is_current(&installed) && program.exists() {
        return Ok(program);
    }
    let parent = paths::default_state_dir();
    std::fs::create_dir_all(&parent)
        .map_err(Error::io(format!("creating {}", parent.display())))?;
    // Tests and a user may install at the same time: the second one waits and finds the installation.
    let lock = File::create(parent.join("venv.lock")).map_err(Error::io("opening venv.lock"))?;
    lock.lock().map_err(Error::io("locking venv.lock"))?;
    if is_current(&installed) && program.exists() {
        return Ok(program);
    }

    check_python()?;
    progress.say("installing the local cloud (pip, pinned; first time only)");
    // --clear removes an interrupted or older installation.
    let made = run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv))?;
    if !made.status.success() {
        return Err(Error::NoVenv(tail(&made)));
    }
    let requirements = venv.join("requirements.txt");
    write(&requirements, REQUIREMENTS)?;
    let pip = run(Command::new(venv.join("bin/python"))
        .args([
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-input",
            "-r",
        ])
        .arg(&requirements))?;
    if !pip.status.success() {
        return Err(Error::Pip(tail(&pip)));
    }
    write(&installed, REQUIREMENTS)?; // last: it marks a complete installation
    Ok(program)
}

fn is_current(installed: &Path) -> bool {
    std::fs::read_to_string(installed).is_ok_and(|text| text == REQUIREMENTS)
}

fn check_python() -> Result<(), Error> {
    let script = "import sys; print(sys.version_info[0], sys.version_info[1])";
    let output = Command::new("python3")
        .args(["-c", script])
        .output()
        .map_err(|_| Error::NoPython)?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut parts = text
        .split_whitespace()
        .filter_map(|part| part.parse::<u32>().ok());
    match (parts.next(), parts.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST_PYTHON => Ok(()),
        (Some(major), Some(minor)) => Err(Error::OldPython(format!("{major}.{minor}"))),
        _ => Err(Error::NoPython),
    }
}

fn run(command: &mut Command) -> Result<Output, Error> {
    command
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io(format!("running {command:?}")))
}

fn tail(output: &Output) -> String {
    let text = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    last_lines(&String::from_utf8_lossy(&text), 15)
}

/// The last `count` lines of `text`.
pub(crate) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

fn write(path: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(path, text).map_err(Error::io(format!("writing {}", path.display())))
}
