//! The suites.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::command::SuiteCommand;
use super::mutants::{self, Place};

/// A suite, in the order in which `cargo local stress` runs them. The comments are the help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Suite {
    /// Every order of requests, crashes, deliveries and clocks in small worlds
    Model,
    /// A fault at every call of every step, in process
    Crash,
    /// A process killed before and after every call of every step
    Killed,
    /// Hundreds of concurrent requests, in process
    Races,
    /// The table's stream with repeated, reordered, late and malformed records
    Streams,
    /// The attacks of the threat model
    Attacks,
    /// The same attacks with one defence removed from the source at a time: each must succeed
    Defences,
    /// Malformed input to the parsers and to whole functions
    Fuzz,
    /// The running API against its OpenAPI description
    Described,
    /// The running system: contract, roles, races, leaks of secrets
    EndToEnd,
    /// Settings, roles and dependencies as declared
    Settings,
    /// 64 clients for two minutes over real processes
    Load,
    /// Mutations of the core, each to be caught by its tests; an hour
    CoreMutants,
    /// Mutations of the code that reads and writes the table; some hours
    StoreMutants,
    /// Mutations of the functions; some hours
    FunctionMutants,
}

/// The command of a suite.
pub(super) enum Work {
    /// Commands, one after the other.
    Commands(Vec<SuiteCommand>),
    /// Mutations of one place of the source.
    Mutants(&'static Place),
}

impl Suite {
    /// The name on the command line.
    #[must_use]
    pub fn name(self) -> String {
        let value = self.to_possible_value();
        value.map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// The suite's description in the help.
    pub(super) fn summary(self) -> String {
        let value = self.to_possible_value();
        let help = value.and_then(|value| value.get_help().cloned());
        help.map_or_else(String::new, |help| help.to_string())
    }

    pub(super) fn work(self) -> Work {
        let test = SuiteCommand::test;
        Work::Commands(match self {
            Self::Model => vec![test("model")],
            Self::Crash => vec![test("crash").with("STRESS", "all")],
            Self::Killed => vec![test("killed").with("STRESS", "all")],
            Self::Races => vec![test("races")],
            Self::Streams => vec![test("streams")],
            Self::Attacks => vec![test("attacks")],
            Self::Defences => vec![SuiteCommand::cargo(&[
                "run", "--locked", "-p", "tests", "--bin", "defences",
            ])],
            Self::Fuzz => vec![test("corpus").with("FUZZ_TIMES", "20")],
            Self::Described => vec![
                test("described")
                    .with("SCHEMATHESIS_COVERAGE", "1")
                    .with("SCHEMATHESIS_EXAMPLES", "20"),
            ],
            Self::EndToEnd => vec![test("e2e")],
            Self::Settings => vec![test("template"), test("supply")],
            Self::Load => vec![test("load").with("LOAD_S", "120")],
            Self::CoreMutants => return Work::Mutants(&mutants::CORE),
            Self::StoreMutants => return Work::Mutants(&mutants::STORE),
            Self::FunctionMutants => return Work::Mutants(&mutants::FUNCTIONS),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suite_has_one_name_everywhere() {
        for suite in Suite::value_variants() {
            let json = serde_json::to_value(suite).unwrap();
            assert_eq!(json, suite.name());
            assert!(!suite.summary().is_empty());
            if let Work::Commands(commands) = suite.work() {
                assert!(!commands.is_empty());
            }
        }
    }
}
