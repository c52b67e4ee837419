//! Mutation tests: `cargo mutants` changes one line at a time, and a test must fail.
//!
//! The tests run in rounds: first the fast tests, which catch most mutants. Later rounds try only the remaining mutants with
//! slower tests.
//!
//! With [`RESUME`] set, an interrupted run continues: mutants that were caught before are not tried again.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::command::{CommandResult, run_and_show};
use super::metric::{Metric, Unit};
use crate::error::Error;
use crate::paths;

const VERSION: &str = "27.1.0";
/// The environment variable that continues an interrupted run.
const RESUME: &str = "MUTANTS_RESUME";

/// Optimise dependencies: a thousand test runs take longer than one build.
const OPTIMISED: &str = r#"--cargo-arg=--config=profile.dev.package."*".opt-level=1"#;

/// A part of the source, and the tests that must catch its mutants.
#[derive(Debug)]
pub(super) struct Place {
    /// The suite's name.
    name: &'static str,
    /// Arguments of `cargo mutants`: the files to change and the packages to test.
    selection: &'static [&'static str],
    /// The place's name in the report.
    label: &'static str,
    /// Time limit of a build in seconds; it includes the first build of each copy.
    build_s: &'static str,
    rounds: &'static [Round],
}

/// Some tests with their time limit. A round tries the mutants that all earlier rounds missed.
#[derive(Debug)]
struct Round {
    tests_s: &'static str,
    /// Arguments of cargo: the targets to build and run.
    targets: &'static [&'static str],
    /// Arguments of the test program: the tests to run.
    tests: &'static [&'static str],
}

/// The core, with its unit tests.
pub(super) const CORE: Place = Place {
    name: "core-mutants",
    selection: &[
        "--package",
        "domain",
        "--file",
        "shared/domain/src/**",
        "--jobs",
        "2",
    ],
    label: "shared/domain/src",
    // An endless loop in a const function hangs the compiler.
    build_s: "100",
    rounds: &[
        Round {
            tests_s: "60",
            targets: &["--lib"],
            tests: &["domain::", "--skip", "properties", "--skip", "with_a_scan"],
        },
        Round {
            tests_s: "200",
            targets: &["--lib"],
            tests: &[],
        },
    ],
};

/// Whole functions over a real table: these tests catch nearly every mutant.
const QUICK: Round = Round {
    tests_s: "100",
    targets: &[
        "--test=deposits",
        "--test=handlers",
        "--test=payloads",
        "--test=payouts",
        "--test=push",
        "--test=standby",
        "--test=store",
        "--test=streams",
    ],
    tests: &[],
};
/// The other suites in one process, except for faults.
const BROAD: Round = Round {
    tests_s: "400",
    targets: &[
        "--test=attacks",
        "--test=budgets",
        "--test=freeze",
        "--test=races",
    ],
    tests: &[],
};
/// Mutants that show only under a fault.
const FAULTS: Round = Round {
    tests_s: "1200",
    targets: &["--test=crash"],
    tests: &[],
};

/// Writes, conditions and reads of the table.
pub(super) const STORE: Place = Place {
    name: "store-mutants",
    selection: &[
        "--workspace",
        "--file",
        "shared/store/src/**",
        "--test-package",
        "tests",
        OPTIMISED,
    ],
    label: "shared/store/src",
    build_s: "1200",
    rounds: &[QUICK, BROAD, FAULTS],
};

/// The functions except `sandbox-bank`. `main.rs` files are left out: only tests with real processes run them.
pub(super) const FUNCTIONS: Place = Place {
    name: "function-mutants",
    selection: &[
        "--workspace",
        "--file",
        "functions/*/src/**",
        "--exclude",
        "functions/sandbox-bank/**",
        "--exclude",
        "**/main.rs",
        "--test-package",
        "tests",
        OPTIMISED,
    ],
    label: "the functions",
    build_s: "1200",
    rounds: &[QUICK, BROAD, FAULTS],
};

/// Runs all rounds.
pub(super) fn run(place: &Place) -> Result<CommandResult, Error> {
    let program = install()?;
    let output = paths::target().join(place.name);
    let resumed = std::env::var_os(RESUME).is_some();
    if !resumed {
        let _ = std::fs::remove_dir_all(&output); // results of an older source
    }
    let mut totals = Totals::default();
    for (number, round) in place.rounds.iter().enumerate() {
        if number > 0 && totals.missed == 0 {
            break;
        }
        round.run(place, &program, &output, number > 0 || resumed)?;
        totals = Totals::read(&output)?;
    }
    let metric = Metric {
        name: format!(
            "mutants of {}, including those that do not compile",
            place.label
        ),
        attempts: totals.tried,
        unit: Unit::Attempts,
        failures: totals.missed,
    };
    // Without a single mutant, the selection matches no file.
    let command = format!("cargo local stress {}", place.name);
    Ok(CommandResult::new(command, totals.tried > 0, vec![metric]))
}

/// The path of `cargo-mutants`, installed if it was not.
fn install() -> Result<PathBuf, Error> {
    let tools = paths::target().join("tools");
    let program = tools.join("bin/cargo-mutants");
    if program.exists() {
        return Ok(program);
    }
    let mut install = Command::new(paths::cargo());
    install
        .args(["install", "--locked", "cargo-mutants"])
        .args(["--version", VERSION, "--root"])
        .arg(&tools);
    match run_and_show(&mut install, "cargo install cargo-mutants")? {
        (true, _) => Ok(program),
        (false, _) => Err(Error::Build),
    }
}

impl Round {
    /// `iterate`: skip the mutants that were caught before.
    fn run(
        &self,
        place: &Place,
        program: &Path,
        output: &Path,
        iterate: bool,
    ) -> Result<(), Error> {
        let mut command = Command::new(program);
        command
            .current_dir(paths::workspace())
            .arg("mutants")
            .args(place.selection)
            .args(
                self.targets
                    .iter()
                    .map(|target| format!("--cargo-arg={target}")),
            )
            .args(["--baseline", "skip", "--timeout", self.tests_s])
            .args(["--build-timeout", place.build_s])
            .args(["--colors", "never"])
            .arg("--output")
            .arg(output)
            .args(iterate.then_some("--iterate"))
            .args(["--", "--"])
            .args(self.tests)
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        // The exit code shows only whether mutants were missed; the totals show how many.
        run_and_show(&mut command, "cargo mutants").map(|_| ())
    }
}

/// The counts of `cargo mutants` over all rounds.
#[derive(Clone, Copy, Default)]
struct Totals {
    /// Including mutants that do not compile.
    tried: u64,
    /// Caught by no test. A mutant that never ends counts as caught.
    missed: u64,
}

impl Totals {
    fn read(output: &Path) -> Result<Self, Error> {
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
            missed: count("missed")?,
        })
    }
}
