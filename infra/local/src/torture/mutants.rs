//! Mistakes in the core, one at a time: `cargo mutants` changes a line of `shared/src/domain`, and some test has to notice.
//!
//! Two rounds. In the first the slow tests are left out; what no other test has noticed is tried again with all of them,
//! so that a thousand builds do not each wait for a thousand random histories.
//!
//! With [`GO_ON`] set, a run that was stopped is gone on with: what was noticed before is not tried again.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{Figure, printed};
use crate::error::Error;
use crate::paths;

const VERSION: &str = "27.1.0";
/// The variable that says so.
const GO_ON: &str = "MUTANTS_GO_ON";
/// What this run is typed as.
const COMMAND: &str = "cargo local torture mutants";
/// Seconds that a build may take, the first one of each copy too. A loop of a const function that never ends runs in the
/// compiler.
const BUILD_S: &str = "100";

/// Some tests, and the seconds that they may take.
struct Round {
    tests_s: &'static str,
    tests: &'static [&'static str],
}

/// What one has not noticed is tried again in the next.
const ROUNDS: &[Round] = &[
    Round {
        tests_s: "60",
        tests: &[
            "--",
            "domain::",
            "--skip",
            "properties",
            "--skip",
            "with_a_scan",
        ],
    },
    Round {
        tests_s: "200",
        tests: &["--"],
    },
];

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
    let goes_on = std::env::var_os(GO_ON).is_some();
    if !goes_on {
        let _ = std::fs::remove_dir_all(&output); // a round of an older source would be gone on with
    }
    let mut totals = Totals::default();
    for (number, of) in ROUNDS.iter().enumerate() {
        if number > 0 && totals.unnoticed == 0 {
            break;
        }
        let again = if number > 0 || goes_on {
            &["--iterate"][..]
        } else {
            &[]
        };
        round(&program, &output, again, of)?;
        totals = Totals::of(&output)?;
    }
    let Totals { tried, unnoticed } = totals;
    let figure = Figure::new(
        "mistakes put into shared/src/domain, those that do not compile included; unnoticed",
        tried,
        unnoticed,
        COMMAND,
    );
    Ok((unnoticed == 0, vec![figure]))
}

fn round(program: &Path, output: &Path, again: &[&str], of: &Round) -> Result<(), Error> {
    let mut command = Command::new(program);
    command
        .current_dir(paths::workspace())
        .arg("mutants")
        .args(["--package", "shared", "--no-default-features"])
        .args(["--cargo-arg=--lib", "--file", "shared/src/domain/**"])
        .args([
            "--baseline",
            "skip",
            "--timeout",
            of.tests_s,
            "--build-timeout",
            BUILD_S,
            "--jobs",
            "2",
            "--colors",
            "never",
        ])
        .arg("--output")
        .arg(output)
        .args(again)
        .arg("--")
        .args(of.tests)
        .env("CARGO_PROFILE_DEV_DEBUG", "0");
    // Its own exit code says that some were missed; the totals say how many.
    printed(&mut command, "cargo mutants").map(|_| ())
}

/// What `cargo mutants` has noted.
#[derive(Clone, Copy, Default)]
struct Totals {
    /// In all rounds, those that do not compile included.
    tried: u64,
    /// Missed; one that runs for ever was noticed.
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
        let before = std::fs::read_to_string(output.join("mutants.out/previously_caught.txt"));
        let before = before.unwrap_or_default().lines().count() as u64;
        Ok(Self {
            tried: before + count("total_mutants")?,
            unnoticed: count("missed")?,
        })
    }
}
