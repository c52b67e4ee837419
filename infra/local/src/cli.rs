//! The command line of `cargo local`. The comments of commands and options are the help texts.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use local::demo::Story;
use local::stress::Suite;
use local::{Architecture, UpOptions};

/// Runs, tests and packages the whole system on this machine
///
/// The functions run as real Lambda processes against a local cloud that serves the real template. Only Rust, Python 3.10 or
/// newer with `venv`, and the package registries are needed; everything else is installed under target/. Servers listen on
/// 127.0.0.1 only.
#[derive(Debug, Parser)]
#[command(
    name = "cargo local",
    bin_name = "cargo local",
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Exit codes:
  0  success
  1  the command failed; the message says what to do
  2  the command line is not valid

`cargo local help COMMAND` shows what a command does, what it leaves behind, and examples."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// One variant for each command. Its arguments are fields; its work is one function of the library.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Walk merchants' stories over HTTP on a separate system
    ///
    /// Builds the functions in the dev profile, starts a local cloud, deploys infra/template.yaml, loads the sandbox's
    /// merchants and walks each story as the app would. Every reply is checked against the contract. The first run installs
    /// the local cloud and takes minutes, later runs seconds.
    #[command(after_long_help = "\
Leaves behind:
  target/local/venv      the local cloud's Python packages, for later runs
  target/local/packages  the functions' packages
  target/local/demo      the log of the local cloud
  No process keeps running, even if the demo is interrupted.

Examples:
  cargo local demo
  cargo local demo --story freeze --story standby

Exit codes:
  0  every step matched the contract
  1  a step did not match, or the system did not start; the message names the step
  2  the command line is not valid")]
    Demo {
        /// A story to walk; repeat the option to walk several on one system
        #[arg(long = "story", value_name = "STORY", value_enum, default_values_t = [Story::Rebind])]
        stories: Vec<Story>,
    },

    /// Start a system and keep it running
    ///
    /// Builds, deploys and loads a system as `demo` does, then waits for Ctrl-C. Addresses and credentials of all services
    /// are in target/local/endpoints.json while the system runs.
    #[command(after_long_help = "\
Leaves behind:
  target/local/endpoints.json  while the system runs
  target/local/ministack.log   the log of the local cloud and of the functions
  With --detach, the system runs until `cargo local down`. Without it, Ctrl-C stops the system.

Examples:
  cargo local up
  cargo local up --detach --port 4566

Exit codes:
  0  the system was stopped, or runs detached
  1  the system did not start: for example, another one is running, or the port is in use
  2  the command line is not valid")]
    Up {
        /// Return when the system is up; it runs until `cargo local down`
        #[arg(long)]
        detach: bool,
        /// The port of the local cloud on 127.0.0.1 [default: a free port]
        #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
        port: Option<u16>,
    },

    /// Stop the system that `up` started
    ///
    /// Ends the local cloud and its functions, and no other process. All data of the system is lost.
    #[command(after_long_help = "\
Leaves behind:
  Installed packages and logs in target/local, for later runs.

Example:
  cargo local down

Exit codes:
  0  the system was stopped, or none was running
  1  the system is still starting, or its state cannot be read
  2  the command line is not valid")]
    Down,

    /// Run the suites that try to break the system, at length
    ///
    /// Runs all suites or the given ones, one after the other; all of them take most of a day. `cargo test --workspace` runs
    /// a shorter form of most suites. A failed suite does not stop the next one.
    #[command(after_long_help = "\
Leaves behind:
  target/stress/SUITE.json  date, commit, commands and metrics of the latest run of each suite
  target/tools              cargo-mutants, after a suite of mutants

Environment:
  MUTANTS_RESUME=1  continue an interrupted suite of mutants

Examples:
  cargo local stress
  cargo local stress model races
  cargo local stress --report > stress.md

Exit codes:
  0  no suite has a failure
  1  a suite has a failure; the message names it
  2  the command line is not valid")]
    Stress {
        /// The suites to run [default: all]
        #[arg(value_name = "SUITE", value_enum, hide_default_value = true)]
        suites: Vec<Suite>,
        /// Run nothing; print the latest results as Markdown tables
        #[arg(long, conflicts_with = "suites")]
        report: bool,
    },

    /// Measure speed and cost of the release functions, beside floors and peers
    ///
    /// Builds all functions for release and runs them as Lambda would, with all services behind TLS on this machine: cold
    /// starts, warm calls, memory, calls and capacity units. Beside them run functions that do nothing but the unavoidable, and
    /// the same endpoints in Node and Python. Prints one table and fails when a budget is broken. Takes half an hour; keep the
    /// machine idle. Times are compared within one run only.
    #[command(after_long_help = "\
Leaves behind:
  target/bench               the floors, the peers and their packages, for later runs
  tests/bench/results.md     with --write, the tables
  tests/bench/results.svg    with --write, the plot of cold and warm times beside the peers

Examples:
  cargo local bench
  cargo local bench cards rebind-request --before ../other/target/release

Exit codes:
  0  every budget is met, or missed for a reason that the table gives
  1  a budget is broken, or a function does not build
  2  the command line is not valid")]
    Bench {
        /// Measure only these functions, by folder name [default: all]
        #[arg(value_name = "FUNCTION")]
        functions: Vec<String>,
        /// Cold starts of each candidate
        #[arg(long, value_name = "N", default_value_t = 15)]
        cold_runs: usize,
        /// Warm calls of each candidate
        #[arg(long, value_name = "N", default_value_t = 200)]
        warm_runs: usize,
        /// Compare with the release binaries in this folder
        #[arg(long, value_name = "DIR")]
        before: Option<PathBuf>,
        /// Store table and plot in the repository
        #[arg(long)]
        write: bool,
    },

    /// Write the API description from the types and routes
    ///
    /// Generates the description from `shared/api`: routes, requests, replies, their doc comments and examples. The copy in
    /// OpenAPI 3.0.3 is for tools that do not read 3.1.
    #[command(
        name = "openapi",
        after_long_help = "\
Leaves behind:
  infra/openapi.json                   OpenAPI 3.1
  infra/openapi-3.0.json               OpenAPI 3.0.3
  infra/operator/openapi.json          OpenAPI 3.1 of the operator's API
  infra/operator/merchant.schema.json  JSON Schema of a line of `rebindctl merchants import`

Examples:
  cargo local openapi
  cargo local openapi --check

Exit codes:
  0  the files are up to date
  1  with --check, a file is not up to date; otherwise, a file cannot be written
  2  the command line is not valid"
    )]
    OpenApi {
        /// Write nothing; fail if a file is not up to date
        #[arg(long)]
        check: bool,
    },

    /// Write the catalogue of events for other systems
    ///
    /// Generates the catalogue from `shared/api` and `shared/domain`: the type of the events, its doc comments, the published
    /// kinds, and examples of each.
    #[command(
        name = "asyncapi",
        after_long_help = "\
Leaves behind:
  infra/asyncapi.json  AsyncAPI 3.0

Examples:
  cargo local asyncapi
  cargo local asyncapi --check

Exit codes:
  0  the file is up to date
  1  with --check, the file is not up to date; otherwise, it cannot be written
  2  the command line is not valid"
    )]
    AsyncApi {
        /// Write nothing; fail if the file is not up to date
        #[arg(long)]
        check: bool,
    },

    /// Print what a month costs, by service
    ///
    /// infra/month.json says what each operation uses, which a test counts, and how often a merchant does it, which you should
    /// replace by your own numbers. infra/prices.json has AWS's list prices.
    #[command(after_long_help = "\
Leaves behind:
  Nothing.

Examples:
  cargo local cost
  cargo local cost --merchants 250000 --sms 0.012
  cargo local cost --month ours.json

Exit codes:
  0  the table was printed
  1  the file cannot be read
  2  the command line is not valid")]
    Cost {
        /// How many merchants; repeat the option for more columns [default: 10000, 1000000 and 50000000]
        #[arg(long = "merchants", value_name = "N")]
        merchants: Vec<u64>,
        /// A file like infra/month.json
        #[arg(long, value_name = "FILE")]
        month: Option<PathBuf>,
        /// The price of an SMS, in dollars [default: that of infra/prices.json]
        #[arg(long, value_name = "DOLLARS")]
        sms: Option<f64>,
    },

    /// Rebuild the public table of card prefixes
    ///
    /// Downloads the pinned packages with `npm` and `pip`, verifies their hashes, merges their lists with the cited rows of
    /// `shared/data/card-bin-citations.csv`, and prints the rows about whose type the lists disagree.
    #[command(after_long_help = "\
Leaves behind:
  shared/data/china-card-bins.csv  the table
  target/bins                      the packages, for later runs

Examples:
  cargo local bins
  cargo local bins --check

Exit codes:
  0  the table is up to date
  1  with --check, the table is not up to date; otherwise, a package or the table cannot be read or written
  2  the command line is not valid")]
    Bins {
        /// Write nothing; fail if the committed table differs
        #[arg(long)]
        check: bool,
    },

    /// Build functions for release and zip them for Lambda
    ///
    /// Builds each function alone in the release profile, so that it contains no feature that only another function needs,
    /// zips it and prints the sizes. The same sources, in the same folder, always give the same zip. cargo-lambda builds for an
    /// old C library, and each executable is checked against that of Lambda's runtime; without cargo-lambda, the command explains
    /// how to install it. All functions together come with a template that deploys them: `sam deploy --template-file`.
    #[command(after_long_help = "\
Leaves behind:
  target/package/ARCH/FUNCTION.zip   one entry, `bootstrap`
  target/package/ARCH/template.yaml  unless functions are named: the template that deploys these zips
  target/package/ARCH/packages.json  the digests of these zips, for `rebindctl doctor --packages`

Examples:
  cargo local package --arch arm64
  cargo local package --arch x86_64 login cards
  cargo local package --all

Exit codes:
  0  all zips are written
  1  a build failed, a tool is missing, or Lambda could not run an executable
  2  the command line is not valid, or a function is unknown")]
    Package {
        /// The processor architecture
        #[arg(long, value_enum, default_value_t = Architecture::Host)]
        arch: Architecture,
        /// Package all functions for arm64 and for x86_64
        #[arg(long, conflicts_with_all = ["arch", "functions"])]
        all: bool,
        /// The functions to package, by folder name [default: all]
        #[arg(value_name = "FUNCTION")]
        functions: Vec<String>,
    },

    /// Deploy the packages into an environment of infra/samconfig.toml
    ///
    /// Runs `sam deploy` with the template and the zips of `cargo local package`, and with the environment's parameters. It also sets
    /// Revision, a digest of both, so that every change publishes a version of each function and moves the alias `live` to it. Needs
    /// the AWS SAM CLI and the credentials of the environment's account.
    #[command(after_long_help = "\
Leaves behind:
  The stack in the account. On this machine nothing.

Examples:
  cargo local deploy staging
  cargo local deploy production Canary=true LogLevel=warn

Exit codes:
  0  the stack is deployed
  1  the environment has no account, packages are missing, or sam failed
  2  the command line is not valid")]
    Deploy {
        /// The environment
        #[arg(value_name = "ENVIRONMENT")]
        environment: String,
        /// Further parameters of the template, which prevail over those of the file
        #[arg(value_name = "NAME=VALUE")]
        parameters: Vec<String>,
    },

    /// Deploy a sandbox into an AWS account, ask what only an account can answer, and delete it
    ///
    /// Builds release packages, deploys them with infra/samconfig.toml's sandbox, and runs the end-to-end suite on the stack. Then it
    /// walks the permissions of each role, publishes events, sets all alarms off, measures starts and rates, deploys a canary, replaces
    /// the bank's key, restores the tables and switches over and back. Needs the AWS SAM CLI, cargo-lambda, and administrator's
    /// credentials (a user or a role; the root user cannot assume roles). Keep the account empty of real merchants. With --local, the
    /// same on this machine, as far as the local cloud goes.
    #[command(
        name = "first-hour",
        after_long_help = "\
Leaves behind:
  target/first-hour/STACK/report.md  what was expected, and what the account answered
  target/first-hour/STACK/suite.log  the output of the suite
  In the account, the bucket of the SAM CLI with the packages. With --keep, also the stack and its roles.

Examples:
  cargo local first-hour --stack first-hour --region ap-east-1
  cargo local first-hour --local

Exit codes:
  0  every answer is as expected, or open for the reason that the report gives
  1  an answer is otherwise, or the stack cannot be deployed or deleted
  2  the command line is not valid"
    )]
    FirstHour {
        /// The name of the new stack
        #[arg(long, value_name = "NAME", required_unless_present = "local")]
        stack: Option<String>,
        /// Try it on this machine
        #[arg(long, conflicts_with_all = ["stack", "region", "keep"])]
        local: bool,
        /// The region [default: that of the usual settings of AWS]
        #[arg(long, value_name = "REGION")]
        region: Option<String>,
        /// The processor architecture
        #[arg(long, value_enum, default_value_t = Architecture::Arm64)]
        arch: Architecture,
        /// Run these cases of the suite only: texts of their names, separated by commas
        #[arg(long, value_name = "TEXTS", default_value = "")]
        cases: String,
        /// Keep the stack
        #[arg(long)]
        keep: bool,
    },
}

/// The options of `up`.
pub(crate) fn up_options(detach: bool, port: Option<u16>) -> UpOptions {
    UpOptions {
        port,
        detached: detach,
        ..UpOptions::default()
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        let words = line.split_whitespace();
        Cli::try_parse_from(std::iter::once("cargo local").chain(words)).map(|cli| cli.command)
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn the_demo_walks_a_rebind_by_default() {
        let stories = |line| match parse(line) {
            Ok(Command::Demo { stories }) => stories,
            other => panic!("{line}: {other:?}"),
        };
        assert_eq!(stories("demo"), [Story::Rebind]);
        assert_eq!(
            stories("demo --story freeze --story standby"),
            [Story::Freeze, Story::Standby]
        );
    }

    #[test]
    fn a_report_runs_no_suite() {
        assert!(parse("stress --report").is_ok());
        let error = parse("stress --report model").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ArgumentConflict);
    }

    #[test]
    fn a_wrong_command_line_exits_2() {
        for (line, expected) in [
            ("", "Usage: cargo local <COMMAND>"),
            ("demos", "'demo'"),
            (
                "demo --story",
                "rebind, micro-deposit, freeze, standby, support",
            ),
            ("demo --story thaw", "micro-deposit"),
            ("down --story freeze", "'--story'"),
            ("up --port http", "'http'"),
            ("up --port 0", "1..=65535"),
            ("stress rack", "races"),
            ("package --arch mips", "host, x86_64, arm64"),
            ("first-hour", "--stack <NAME>"),
            ("first-hour --local --stack trial", "'--stack"),
        ] {
            let error = parse(line).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
            assert!(error.to_string().contains(expected), "{line}: {error}");
        }
    }

    #[test]
    fn every_command_explains_itself() {
        for command in Cli::command().get_subcommands_mut() {
            let help = command.render_long_help().to_string();
            for part in ["Leaves behind:", "Example", "Exit codes:"] {
                assert!(help.contains(part), "{}: {part}", command.get_name());
            }
        }
    }
}
