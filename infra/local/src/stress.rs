//! `cargo local torture`: everything that is tried to break the system, at length, and the table of what came of it.
//!
//! Each run is a command that anyone can run alone. What it prints as `figure | what | tried | lost` becomes a row of the
//! table in `tests/README.md`, and each ordeal one of the table in `README.md`; rows of runs that were not asked for stay as
//! they are.

mod mutants;
mod table;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::time::Instant;

use crate::error::Error;
use crate::paths;
use table::{Figure, Table};

/// What is tried, in the order in which it is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Ordeal {
    /// Every order of everything that may happen in small worlds.
    Model,
    /// A fault at every call of every step, in process.
    Crash,
    /// A process killed at every call of every step.
    Killed,
    /// Hundreds of requests at once, in process.
    Races,
    /// The stream at its worst.
    Streams,
    /// What thieves try.
    Attacks,
    /// The same with each defence taken out.
    Defences,
    /// Bytes that nobody would send.
    Fuzz,
    /// The running API against its description.
    Described,
    /// The running system: the contract, roles, races, secrets.
    EndToEnd,
    /// Settings, roles and dependencies as they are written down.
    Settings,
    /// Many clients for two minutes.
    Load,
    /// Mistakes in the core.
    Mutants,
    /// Mistakes in what reads and writes the table.
    StoreMutants,
    /// Mistakes in the functions.
    FunctionMutants,
}

impl Ordeal {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Model,
        Self::Crash,
        Self::Killed,
        Self::Races,
        Self::Streams,
        Self::Attacks,
        Self::Defences,
        Self::Fuzz,
        Self::Described,
        Self::EndToEnd,
        Self::Settings,
        Self::Load,
        Self::Mutants,
        Self::StoreMutants,
        Self::FunctionMutants,
    ];

    /// Its name on the command line.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Model => "model",
            Self::Crash => "crash",
            Self::Killed => "killed",
            Self::Races => "races",
            Self::Streams => "streams",
            Self::Attacks => "attacks",
            Self::Defences => "defences",
            Self::Fuzz => "fuzz",
            Self::Described => "described",
            Self::EndToEnd => "end-to-end",
            Self::Settings => "settings",
            Self::Load => "load",
            Self::Mutants => mutants::CORE.name,
            Self::StoreMutants => mutants::STORE.name,
            Self::FunctionMutants => mutants::FUNCTIONS.name,
        }
    }

    /// What is tried, in a row of the table in `README.md`.
    pub(self) const fn what(self) -> &'static str {
        match self {
            Self::Model => {
                "every order of requests of two devices, repetitions, crashes, torn reads, deliveries, clean-ups and clocks in small worlds"
            }
            Self::Crash => {
                "every call of every step lost, answered by nobody, late, throttled, in conflict, or the last of its process"
            }
            Self::Killed => {
                "real processes killed before and after every call of every step; events of strange shapes to each function"
            }
            Self::Races => "hundreds of requests at once for the same step, and against each other",
            Self::Streams => {
                "the stream with poisoned records, repeated, out of order, SNS down, throttling or silent, crashes"
            }
            Self::Attacks => "what thieves try",
            Self::Defences => "each defence against them taken out of the source, and not missed",
            Self::Fuzz => "bytes to the parsers and to whole functions",
            Self::Described => "requests made from the API's description, and checks of each reply",
            Self::EndToEnd => {
                "the running system: permissions taken away, calls that a role must not make, races"
            }
            Self::Settings => "grants that nothing uses, crates that must not be linked",
            Self::Load => {
                "requests of 64 clients at once over two minutes, the transitions that they were told of, the memory of each process"
            }
            Self::Mutants => "mistakes put into the core, and not noticed by its tests",
            Self::StoreMutants => {
                "mistakes put into what reads and writes the table, and not noticed"
            }
            Self::FunctionMutants => "mistakes put into the functions, and not noticed",
        }
    }

    /// What is run, with what it is told by its environment.
    fn commands(self) -> Vec<Run> {
        let test = |name| {
            Run::cargo(&[
                "test",
                "--locked",
                "-p",
                "tests",
                "--test",
                name,
                "--",
                "--nocapture",
            ])
        };
        match self {
            Self::Model => vec![test("model")],
            Self::Crash => vec![test("crash")],
            Self::Killed => vec![test("killed")],
            Self::Races => vec![test("races")],
            Self::Streams => vec![test("streams")],
            Self::Attacks => vec![test("attacks")],
            Self::Defences => vec![Run::cargo(&[
                "run", "--locked", "-p", "tests", "--bin", "defences",
            ])],
            Self::Fuzz => vec![test("corpus").with("FUZZ_TIMES", "20")],
            Self::Described => vec![test("described").with("SCHEMATHESIS_EXAMPLES", "20")],
            Self::EndToEnd => vec![test("e2e")],
            Self::Settings => vec![test("template"), test("supply")],
            Self::Load => vec![test("load").with("LOAD_S", "120")],
            Self::Mutants | Self::StoreMutants | Self::FunctionMutants => Vec::new(),
        }
    }

    /// Where mistakes are put into the source, for those that do.
    const fn mistakes(self) -> Option<&'static mutants::Place> {
        match self {
            Self::Mutants => Some(&mutants::CORE),
            Self::StoreMutants => Some(&mutants::STORE),
            Self::FunctionMutants => Some(&mutants::FUNCTIONS),
            _ => None,
        }
    }
}

impl FromStr for Ordeal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|ordeal| ordeal.name() == text);
        found.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no ordeal `{text}`; there are {names}")
        })
    }
}

/// One command.
#[derive(Clone, Debug)]
struct Run {
    arguments: Vec<&'static str>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Run {
    fn cargo(arguments: &[&'static str]) -> Self {
        Self {
            arguments: arguments.to_vec(),
            environment: Vec::new(),
        }
    }

    fn with(mut self, name: &'static str, value: &'static str) -> Self {
        self.environment.push((name, value));
        self
    }

    /// As anyone would type it.
    fn text(&self) -> String {
        let environment = self
            .environment
            .iter()
            .map(|(name, value)| format!("{name}={value} "));
        let environment: String = environment.collect();
        // What pins the build says nothing to a reader.
        let words = self.arguments.iter().filter(|word| **word != "--locked");
        let words: Vec<&str> = words.copied().collect();
        format!("{environment}cargo {}", words.join(" "))
    }

    /// Runs it, shows what it prints, and returns the figures among it.
    fn run(&self) -> Result<(bool, Vec<Figure>), Error> {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command
            .current_dir(paths::workspace())
            .args(&self.arguments)
            .envs(self.environment.iter().copied());
        printed(&mut command, &self.text())
    }
}

/// Runs a command, shows its lines as they come, and returns whether it succeeded, with the figures among them.
fn printed(command: &mut Command, text: &str) -> Result<(bool, Vec<Figure>), Error> {
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(Error::io(format!("starting {text}")))?;
    let mut figures = Vec::new();
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).lines() {
            let line = line.map_err(Error::io(format!("reading from {text}")))?;
            println!("{line}");
            figures.extend(Figure::of(&line, text));
        }
    }
    let status = child
        .wait()
        .map_err(Error::io(format!("waiting for {text}")))?;
    Ok((status.success(), figures))
}

/// Runs them, and writes the table.
///
/// # Errors
/// When something failed or was lost; when a command cannot be started, or the table cannot be written.
pub fn run(ordeals: &[Ordeal]) -> Result<(), Error> {
    let mut failed = Vec::new();
    for ordeal in ordeals {
        println!("\n== {}", ordeal.name());
        let started = Instant::now();
        let mut figures = Vec::new();
        if let Some(place) = ordeal.mistakes() {
            let (whole, found) = mutants::run(place)?;
            figures.extend(found);
            if !whole {
                failed.push(ordeal.name());
            }
        }
        for run in ordeal.commands() {
            let (done, found) = run.run()?;
            figures.extend(found);
            if !done {
                failed.push(ordeal.name());
            }
        }
        if figures.iter().any(|figure| figure.lost != "0") {
            failed.push(ordeal.name());
        }
        // Read now: another run may have written its rows in the meantime.
        let mut table = Table::read(&paths::workspace())?;
        table.replace(*ordeal, figures);
        table.write()?;
        println!(
            "== {} took {:.0} s",
            ordeal.name(),
            started.elapsed().as_secs_f32()
        );
    }
    println!("\n{}", Table::read(&paths::workspace())?.text());
    failed.dedup();
    if failed.is_empty() {
        return Ok(());
    }
    Err(Error::Tortured(failed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_name_and_something_to_run() {
        for ordeal in Ordeal::ALL {
            assert_eq!(ordeal.name().parse(), Ok(ordeal));
            assert_eq!(ordeal.mistakes().is_some(), ordeal.commands().is_empty());
        }
        assert!(
            "rack"
                .parse::<Ordeal>()
                .unwrap_err()
                .contains("model, crash")
        );
    }

    #[test]
    fn a_command_is_told_as_it_is_typed() {
        let run = Ordeal::Load.commands().remove(0);
        assert_eq!(
            run.text(),
            "LOAD_S=120 cargo test -p tests --test load -- --nocapture"
        );
    }
}
