//! The command line of `rebindctl`. The comments of commands and options are the help texts.

use crate::calls::{Caller, OfMerchant, Payouts, Proposals};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;

/// Operates the settlement-card rebind
#[derive(Debug, Parser)]
#[command(
    name = "rebindctl",
    max_term_width = 100,
    arg_required_else_help = true,
    after_help = "\
Exit codes:
  0    success
  1    the command cannot run; the message says what to do
  2    the input has errors, or the system refused the call; each reason is printed
  130  stopped by Ctrl-C"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
    #[command(flatten)]
    pub(crate) caller: Caller,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Merchants
    #[command(subcommand)]
    Merchants(Merchants),
    /// Payouts
    #[command(subcommand)]
    Payouts(Payouts),
    /// What takes two persons
    #[command(subcommand)]
    Proposals(Proposals),
    /// Export a merchant's history with the proofs of the log. Without --with-personal it has no personal data
    ///
    /// Waits until the log has anchored the last event: it is written every five minutes. `rebindctl verify` verifies the file.
    Export(Export),
    /// Print the log's public key, in PEM
    PublicKey,
    /// Print the log's newest checkpoint. Keep it outside the account: later histories must continue it
    Checkpoint,
    /// Verify an exported history. Needs neither network nor account
    ///
    /// Prints "whole to sequence n, anchored at T, m newer not anchored", or the first sequence number that the file does not prove,
    /// and why. Keep the file's checkpoint: with --checkpoint, a later file must continue it, so that a fork of the log or an
    /// older history is found.
    #[command(after_long_help = "\
Exit codes:
  0  the history is whole
  1  a file cannot be read
  2  the history is not proven; the reason is printed")]
    Verify(Verify),
    /// Say what is not right with a deployment, and what to do
    ///
    /// Reads the state of the stack's tables, keys, secrets, queues, functions and schedules, the operators' roles, the core system's
    /// keys, the limits of SNS and this machine's clock. It changes nothing and reads no secret and no merchant.
    /// infra/operator/policies/doctor.json permits what it reads; credentials are the usual ones of AWS. Needs no --reason.
    #[command(after_long_help = "\
Exit codes:
  0  nothing is wrong; there may be warnings
  1  the stack cannot be read
  2  there are problems, or something could not be found out")]
    Doctor {
        /// The name of the CloudFormation stack. With --local it is known
        #[arg(long, value_name = "NAME")]
        stack: Option<String>,
        /// Also check that the functions run the packages that this file of `cargo local package` lists
        #[arg(long, value_name = "PACKAGES.JSON")]
        packages: Option<PathBuf>,
    },
    /// Print what the logs have of an id, oldest line first
    ///
    /// Finds each line with the id, and the other lines of the same requests: those of the gateway and of the platform. Lines have no
    /// personal data. infra/operator/policies/trace.json permits what it reads; credentials are the usual ones of AWS. Needs no
    /// --reason.
    #[command(after_long_help = "\
Examples:
  rebindctl trace JKJaXmPLvHcESHA= --stack rebind             a request, by the support_ref of its reply
  rebindctl trace rbd_000001mAz4w2v7yn8b6cx --stack rebind    a change of card: its requests, notifications and clean-ups
  rebindctl trace pay_20261122_7 --stack rebind               the core system's calls about a payout

Exit codes:
  0  lines were found
  1  the logs cannot be read
  2  no line has the id")]
    Trace(Trace),
    /// Stop all changes of merchants, or all SMS. Functions follow within ten seconds
    ///
    /// Needs --comment, which is kept with the time. Stopped changes are refused with CHANGES_STOPPED; reads, cancellations, freezes,
    /// payouts and what takes effect by itself go on. While SMS are stopped, codes are refused with OTP_CHANNEL_DOWN and notifications
    /// wait, for a day at most. infra/operator/policies/stop.json permits it; credentials are the usual ones of AWS.
    #[command(after_long_help = "\
Examples:
  rebindctl stop changes --stack rebind --comment \"INC-7: thieves change cards\"
  rebindctl resume changes --stack rebind

Exit codes:
  0  done; what is stopped now is printed
  1  nothing was switched; the message says what to do")]
    Stop(Switched),
    /// Resume changes or SMS
    Resume(Switched),
    /// Print the completions of a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Merchants {
    #[command(flatten)]
    Call(OfMerchant),
    /// Create the merchants of a file
    ///
    /// FILE has one JSON object a line (JSON Lines, UTF-8); infra/operator/merchant.schema.json describes it, and
    /// infra/operator/merchants.example.jsonl is an example. Each merchant is created as a whole or not at all. Nothing is
    /// overwritten: a merchant that was created before from the same content counts as done, one with another content is an
    /// error of its line. Errors name line and field, never a value. With --dry-run every line is checked and nothing is created;
    /// whether ids, accounts and cards are free is not checked. With --json errors and summary are JSON, one object a line.
    #[command(after_long_help = "\
Leaves behind:
  FILE.resume  how far the import is: numbers and a hash, no personal data. The same command continues there, also after
               a kill at any point. Delete the file to start from the first line.

Target:
  With --local or --url, merchants are created through the operator's API in the registry's role; --reason and --comment are required.
  Otherwise they are written to the tables that the environment names.

Environment, for the tables:
  AWS_REGION, AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN   the role
  STAGE                                                                     the stage, with which the tables are marked
  TABLE, RECORD_TABLE, DUE_SHARDS                                           the tables
  LOOK_UP_KEY, CARD_AND_ID_KEY, CARD_KEY_ID, IDENTITY_KEY_ID, HISTORY_KEY_ID  the keys

Examples:
  rebindctl merchants import merchants.jsonl --dry-run
  rebindctl merchants import merchants.jsonl --rate 200
  rebindctl merchants import merchants.jsonl --card-key key.json --url https://… --reason review --comment migration
  rebindctl merchants import merchants.jsonl --json > result.jsonl

Exit codes:
  0    every merchant of the file exists; with --dry-run, every line is valid
  1    the import cannot run or go on; the message says what to do, and the same command continues
  2    lines have errors; all other merchants exist
  130  stopped by Ctrl-C after the lines in flight; the same command continues")]
    Import(Import),
}

#[derive(Debug, Args)]
pub(crate) struct Import {
    /// The file with one merchant a line
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// Lines a second at most. Without it, the import slows down only when it is throttled
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) rate: Option<u32>,
    /// The private key (a JWK of P-256) to which the file's card numbers are encrypted: each number may be a compact JWE of its
    /// digits, with ECDH-ES and A256GCM
    #[arg(long, value_name = "FILE")]
    pub(crate) card_key: Option<PathBuf>,
    /// Where to store how far the import is [default: FILE.resume]
    #[arg(long, value_name = "FILE", conflicts_with = "dry_run")]
    pub(crate) resume: Option<PathBuf>,
}

/// What to stop or resume.
#[derive(Debug, Args)]
pub(crate) struct Switched {
    /// What to stop or resume
    pub(crate) what: What,
    /// The name of the CloudFormation stack. With --local it is known
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
}

/// What can be stopped.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum What {
    /// The changes of merchants
    Changes,
    /// All SMS
    Sms,
}

/// What is searched for.
#[derive(Debug, Args)]
pub(crate) struct Trace {
    /// A support_ref, an id of an invocation, a merchant, a rebind or a payout, or a bank reference
    #[arg(value_name = "ID")]
    pub(crate) id: String,
    /// The name of the CloudFormation stack. With --local it is known
    #[arg(long, value_name = "NAME")]
    pub(crate) stack: Option<String>,
    /// How many days to search
    #[arg(long, value_name = "N", default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    pub(crate) days: u32,
}

/// What is exported.
#[derive(Debug, Args)]
pub(crate) struct Export {
    /// The merchant's id
    #[arg(value_name = "MERCHANT")]
    pub(crate) merchant: String,
    /// Where to write the file [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// A checkpoint that you kept. The file then proves that the log continues it
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
    /// Your approved proposal to unmask this merchant. The file then holds the personal parts of the events too; reading them uses
    /// the proposal up
    #[arg(long, value_name = "PROPOSAL")]
    pub(crate) with_personal: Option<String>,
    /// How long to wait for the last event. Then the file has events that are not anchored
    #[arg(long, value_name = "SECONDS", default_value_t = 360)]
    pub(crate) wait: u64,
}

/// What is verified, and with what.
#[derive(Debug, Args)]
pub(crate) struct Verify {
    /// The exported history
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The log's public key, in PEM: that of the stack's output AnchorSigningKeyArn
    #[arg(long, value_name = "FILE")]
    pub(crate) public_key: PathBuf,
    /// The name of the log: the stack's output LogName
    #[arg(long, value_name = "NAME")]
    pub(crate) log: String,
    /// A checkpoint that you kept from an earlier file
    #[arg(long, value_name = "FILE")]
    pub(crate) checkpoint: Option<PathBuf>,
}

impl Import {
    /// The path of the resume file.
    pub(crate) fn resume_path(&self) -> PathBuf {
        self.resume.clone().unwrap_or_else(|| {
            let mut path = self.file.clone().into_os_string();
            path.push(".resume");
            path.into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn import(line: &str) -> Result<Import, clap::Error> {
        let words = line.split_whitespace();
        let start = ["rebindctl", "merchants", "import"];
        let cli = Cli::try_parse_from(start.into_iter().chain(words))?;
        match cli.command {
            Command::Merchants(Merchants::Import(import)) => Ok(import),
            other => panic!("another command: {other:?}"),
        }
    }

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn resume_file_stands_beside_the_file() {
        let path = |line| import(line).unwrap().resume_path();
        assert_eq!(path("a/m.jsonl"), PathBuf::from("a/m.jsonl.resume"));
        assert_eq!(path("m.jsonl --resume r"), PathBuf::from("r"));
    }

    #[test]
    fn options_may_stand_before_and_behind_the_command() {
        let check = |line: &str| {
            let words = line.split_whitespace();
            let cli = Cli::try_parse_from(["rebindctl"].into_iter().chain(words)).unwrap();
            cli.caller.check()
        };
        for line in [
            "--local merchants overdue --as support",
            "--as support merchants overdue --local",
            "--url https://a merchants overdue --region b",
        ] {
            assert_eq!(check(line), Ok(()), "{line}");
        }
        for line in [
            "merchants overdue --as support",
            "--endpoints f merchants overdue",
            "--local merchants overdue --url https://a",
            "--region a merchants overdue --local",
        ] {
            assert!(check(line).is_err(), "{line}");
        }
    }

    #[test]
    fn wrong_command_line_is_refused() {
        for line in [
            "",
            "m --rate 0",
            "m --rate x",
            "m --dry-run --resume r",
            "m n",
        ] {
            assert!(import(line).is_err(), "{line}");
        }
    }
}
