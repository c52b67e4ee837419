//! Mistakes in the core, one at a time: `cargo mutants` changes a line of `shared/src/domain`, and some test has to notice.
//!
//! Two rounds. In the first the slow tests are left out; what no other test has noticed is tried again with all of them,
//! so that a thousand builds do not each wait for a thousand random histories.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Figure, printed};
use crate::error::Error;
use crate::paths;

const VERSION: &str = "27.1.0";
/// What this run is typed as.
const COMMAND: &str = "cargo local torture mutants";
/// Tests that take seconds each.
const SLOW: [&str; 4] = ["--skip", "properties", "--skip", "format::bins"];

/// Whether no mistake went unnoticed, and the figure.
pub(super) fn run() -> Result<(bool, Vec<Figure>), Error> {
    let tools = paths::default_state_dir().with_file_name("tools");
    let program = tools.join("bin/cargo-mutants");
    if !program.exists() {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut install = Command::new(cargo);
        install
            .args([
                "install",
                "--locked",
                "cargo-mutants",
                "--version",
                VERSION,
                "--root",
            ])
            .arg(&tools);
        let (done, _) = printed(&mut install, "cargo install cargo-mutants")?;
        if !done {
            return Err(Error::Build);
        }
    }
    let output = paths::default_state_dir().with_file_name("mutants");
    let _ = std::fs::remove_dir_all(&output); // a round of an older source would be gone on with
    let first = [&["--"][..], &["domain::"], &SLOW].concat();
    round(&program, &output, &[], &first)?;
    let mut totals = Totals::of(&output)?;
    if totals.unnoticed > 0 {
        round(&program, &output, &["--iterate"], &["--"])?;
        let again = Totals::of(&output)?;
        totals.unnoticed = again.unnoticed;
    }
    let Totals { tried, unnoticed } = totals;
    let figure = Figure::new(
        "mistakes put into shared/src/domain; unnoticed",
        tried,
        unnoticed,
        COMMAND,
    );
    Ok((unnoticed == 0, vec![figure]))
}

fn round(program: &Path, output: &Path, more: &[&str], tests: &[&str]) -> Result<(), Error> {
    let mut command = Command::new(program);
    command
        .current_dir(paths::workspace())
        .args(["mutants", "-p", "shared", "--no-default-features"])
        .args(["-f", "shared/src/domain/**", "--cargo-arg=--lib"])
        .args([
            "--baseline",
            "skip",
            "--timeout",
            "300",
            // A loop of a const function that never ends runs in the compiler.
            "--build-timeout",
            "300",
            "--jobs",
            "2",
            "--colors",
            "never",
        ])
        .arg("--output")
        .arg(output)
        .args(more)
        .arg("--")
        .args(tests)
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    // Its own exit code says that some were missed; the totals say how many.
    printed(&mut command, "cargo mutants").map(|_| ())
}

/// What `cargo mutants` has noted.
struct Totals {
    tried: u64,
    /// Missed, or running for ever.
    unnoticed: u64,
}

impl Totals {
    fn of(output: &Path) -> Result<Self, Error> {
        let path = output.join("mutants.out/outcomes.json");
        let text = std::fs::read_to_string(&path)
            .map_err(Error::io(format!("reading {}", path.display())))?;
        let outcomes: Value = serde_json::from_str(&text).unwrap_or_default();
        let count = |name: &str| {
            outcomes[name].as_u64().ok_or_else(|| Error::Reply {
                what: name.to_owned(),
                reply: path.display().to_string(),
            })
        };
        // One that does not compile was no mistake anyone could make. One that runs for ever was noticed.
        Ok(Self {
            tried: count("total_mutants")? - count("unviable")?,
            unnoticed: count("missed")?,
        })
    }
}
