//! Mistakes in the source, one at a time: `cargo mutants` changes a line, and some test has to notice.
//!
//! In rounds: the first has the tests that are quick and notice most, and what they have not noticed is tried again with the
//! slower ones, so that a thousand builds do not each wait for a thousand random histories.
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

/// For cargo: dependencies run faster, as a thousand runs of the tests are longer than one build.
const OPTIMISED: &str = r#"--cargo-arg=--config=profile.dev.package."*".opt-level=1"#;

/// Where mistakes are made, and who has to notice.
#[derive(Debug)]
pub(super) struct Place {
    /// The ordeal's name.
    pub(super) name: &'static str,
    /// For `cargo mutants`: the files that are changed, and the packages that are tested.
    chosen: &'static [&'static str],
    /// What is changed, for the table.
    what: &'static str,
    /// Seconds that a build may take, the first one of each copy too.
    build_s: &'static str,
    rounds: &'static [Round],
}

/// Some tests, and the seconds that they may take. What one round has not noticed is tried again in the next.
#[derive(Debug)]
struct Round {
    tests_s: &'static str,
    /// For cargo: what is built and run.
    targets: &'static [&'static str],
    /// For the tests: which of them.
    tests: &'static [&'static str],
}

/// The rules themselves, by the tests beside them.
pub(super) const CORE: Place = Place {
    name: "mutants",
    chosen: &[
        "--package",
        "shared",
        "--no-default-features",
        "--file",
        "shared/src/domain/**",
        "--jobs",
        "2",
    ],
    what: "shared/src/domain",
    // A loop of a const function that never ends runs in the compiler.
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

/// The whole functions over a real table: nearly every mistake is noticed by these.
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
/// The others in one process, but for the faults at every call.
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
/// What only a fault shows.
const FAULTS: Round = Round {
    tests_s: "1200",
    targets: &["--test=crash"],
    tests: &[],
};

/// The table's writes, conditions and reads.
pub(super) const STORE: Place = Place {
    name: "mutants-of-store",
    chosen: &[
        "--workspace",
        "--file",
        "shared/src/store/**",
        "--test-package",
        "tests",
        OPTIMISED,
    ],
    what: "shared/src/store",
    build_s: "1200",
    rounds: &[QUICK, BROAD, FAULTS],
};

/// The functions but for the sandbox's bank; `main` only puts together what the processes' own tests run.
pub(super) const FUNCTIONS: Place = Place {
    name: "mutants-of-functions",
    chosen: &[
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
    what: "the functions",
    build_s: "1200",
    rounds: &[QUICK, BROAD, FAULTS],
};

/// Whether no mistake went unnoticed, and the figure.
pub(super) fn run(place: &Place) -> Result<(bool, Vec<Figure>), Error> {
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
    let output = paths::default_state_dir().with_file_name(place.name);
    let goes_on = std::env::var_os(GO_ON).is_some();
    if !goes_on {
        let _ = std::fs::remove_dir_all(&output); // a round of an older source would be gone on with
    }
    let mut totals = Totals::default();
    for (number, round) in place.rounds.iter().enumerate() {
        if number > 0 && totals.unnoticed == 0 {
            break;
        }
        round.run(place, &program, &output, number > 0 || goes_on)?;
        totals = Totals::of(&output)?;
    }
    let Totals { tried, unnoticed } = totals;
    let figure = Figure::new(
        &format!(
            "mistakes put into {}, those that do not compile included; unnoticed",
            place.what
        ),
        tried,
        unnoticed,
        &format!("cargo local torture {}", place.name),
    );
    Ok((unnoticed == 0, vec![figure]))
}

impl Round {
    /// `again`: what was noticed before is left out.
    fn run(&self, place: &Place, program: &Path, output: &Path, again: bool) -> Result<(), Error> {
        let mut command = Command::new(program);
        command
            .current_dir(paths::workspace())
            .arg("mutants")
            .args(place.chosen)
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
            .args(again.then_some("--iterate"))
            .args(["--", "--"])
            .args(self.tests)
            .env("CARGO_PROFILE_DEV_DEBUG", "0");
        // Its own exit code says that some were missed; the totals say how many.
        printed(&mut command, "cargo mutants").map(|_| ())
    }
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
