//! `rebindctl`: wiring. The work is in the library.

#![allow(clippy::print_stderr)] // a command-line tool

mod calls;
mod cli;
mod operate;
mod verify;

use application::clock::wall_clock;
use application::ports::{HashKey, PortError};
use aws::settings::{Aws, env};
use calls::{Caller, Payouts};
use clap::error::ErrorKind;
use clap::{CommandFactory as _, Parser as _};
use cli::{Cli, Command, Import, Merchants};
use domain::policy::Policy;
use rebindctl::import::direct::Direct;
use rebindctl::import::lines::Lines;
use rebindctl::import::report::Progress;
use rebindctl::import::resume::ResumeFile;
use rebindctl::import::target::DryRun;
use rebindctl::import::{CardKey, Ending, Error, Format, Plan, Report, Summary, Target, run};
use std::fs::File;
use std::io::{BufReader, IsTerminal as _};
use std::process::ExitCode;
use store::{Store, Tables};

/// Calls in flight. On AWS a call takes some 15 ms, so this is about 2,000 lines a second.
const IN_FLIGHT: u16 = 32;

/// The exit code of a command that cannot run.
const CANNOT_RUN: u8 = 1;
/// The exit code of input with errors.
const HAS_ERRORS: u8 = 2;
/// The exit code after Ctrl-C.
const STOPPED: u8 = 130;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are errors of the parser, too.
            let _ = error.print();
            return match error.kind() {
                ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => ExitCode::SUCCESS,
                _ => ExitCode::from(CANNOT_RUN),
            };
        }
    };
    let caller = &cli.caller;
    if let Err(error) = caller.check() {
        eprintln!("error: {error}");
        return ExitCode::from(CANNOT_RUN);
    }
    let done = match &cli.command {
        Command::Merchants(Merchants::Import(arguments)) => {
            let imported = import(arguments, caller).await;
            imported
                .map(|summary| exit_code(&summary))
                .map_err(|error| error.to_string())
        }
        Command::Merchants(Merchants::Call(call)) => operate::call(caller, call.request()).await,
        Command::Payouts(Payouts::Show { id }) => operate::call(caller, calls::payout(id)).await,
        Command::Payouts(Payouts::Reconcile { file }) => operate::reconcile(caller, file).await,
        Command::Proposals(proposals) => operate::propose(caller, proposals).await,
        Command::Export(arguments) => operate::export(caller, arguments).await,
        Command::PublicKey => operate::log(caller, "public_key").await,
        Command::Checkpoint => operate::log(caller, "checkpoint").await,
        Command::Doctor { stack, packages } => {
            operate::doctor(caller, stack.as_deref(), packages.as_deref()).await
        }
        Command::Stop(switched) => operate::stop(caller, switched).await,
        Command::Resume(switched) => operate::switch(caller, switched, None).await,
        Command::Trace(asked) => operate::trace(caller, asked).await,
        Command::Verify(arguments) => verify::verify(arguments),
        Command::Completions { shell } => {
            clap_complete::generate(
                *shell,
                &mut Cli::command(),
                "rebindctl",
                &mut std::io::stdout(),
            );
            Ok(0)
        }
    };
    match done {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(CANNOT_RUN)
        }
    }
}

const fn exit_code(summary: &Summary) -> u8 {
    match summary.ending {
        Ending::Stopped => STOPPED,
        Ending::Failed(_) => CANNOT_RUN,
        Ending::Finished if summary.refused + summary.refused_before > 0 => HAS_ERRORS,
        Ending::Finished => 0,
    }
}

async fn import(arguments: &Import, caller: &Caller) -> Result<Summary, Error> {
    if caller.dry_run {
        return import_to(arguments, caller, &DryRun, None).await;
    }
    if caller.local || caller.url.is_some() {
        let registry = operate::registry(caller).await.map_err(Error::Target)?;
        return import_into(arguments, caller, &registry).await;
    }
    let tables = direct()
        .await
        .map_err(|error| Error::Target(error.to_string()))?;
    import_into(arguments, caller, &tables).await
}

async fn import_into(
    arguments: &Import,
    caller: &Caller,
    target: &impl Target,
) -> Result<Summary, Error> {
    let resume = ResumeFile::new(arguments.resume_path(), target.name());
    import_to(arguments, caller, target, Some(&resume)).await
}

/// The tables and keys of the environment. The tables become those of the stage in `STAGE`.
async fn direct() -> Result<impl Target, PortError> {
    let aws = Aws::from_environment()?;
    let tables = Tables::read(env)?;
    let name = tables.main.clone();
    let store = Store::new(aws.dynamodb(), tables, &Policy::CURRENT);
    store.mark_stage(&env("STAGE")?).await?;
    let keys = aws.keys(&[HashKey::LookUp, HashKey::CardAndId])?;
    Ok(Direct::new(name, store, keys, wall_clock))
}

async fn import_to(
    arguments: &Import,
    caller: &Caller,
    target: &impl Target,
    resume: Option<&ResumeFile>,
) -> Result<Summary, Error> {
    let card_key = arguments.card_key.as_deref().map(CardKey::read);
    let card_key = card_key.transpose().map_err(Error::Target)?;
    let name = arguments.file.display().to_string();
    let opening = || Error::io(format!("opening {name}"));
    let file = File::open(&arguments.file).map_err(opening())?;
    let total_bytes = file.metadata().map_err(opening())?.len();
    let output = std::io::stdout();
    let format = if caller.json {
        Format::Json
    } else {
        Format::Text {
            colours: output.is_terminal(),
        }
    };
    let errors = std::io::stderr();
    let is_terminal = errors.is_terminal();
    let progress = Progress::new(errors, is_terminal);
    let mut report = Report::new(output, format, name.as_str()).with_progress(progress);
    let plan = Plan {
        file: &name,
        total_bytes,
        in_flight: IN_FLIGHT,
        rate: arguments.rate,
        dry_run: caller.dry_run,
        card_key: card_key.as_ref(),
        policy: &Policy::CURRENT,
        clock: wall_clock,
    };
    let stop = async {
        // Without a handler for the signal, it ends the process; the resume file is still right.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let lines = Lines::new(BufReader::with_capacity(64 * 1024, file));
    run(plan, lines, target, resume, &mut report, stop).await
}
