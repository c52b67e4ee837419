//! `cargo local`: the whole system on this machine.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool prints its results

mod cli;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use local::stress::{self, Suite};
use local::{
    Architecture, Error, System, UpOptions, bench, bins, cost, default_state_dir, demo, deploy,
    down, first_hour, openapi, package,
};

use cli::{Cli, Command};
use local::openapi::Description;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse().command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::from(if error.is_usage() { 2 } else { 1 })
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Demo { stories } => demo::run(&stories).await,
        Command::Up { detach, port } => up(cli::up_options(detach, port)).await,
        Command::Down => stop(),
        Command::Stress { report: true, .. } => {
            print!("{}", stress::report()?);
            Ok(())
        }
        Command::Stress { suites, .. } if suites.is_empty() => stress::run(Suite::value_variants()),
        Command::Stress { suites, .. } => stress::run(&suites),
        Command::Bench {
            functions,
            cold_runs,
            warm_runs,
            before,
            write,
        } => bench::run(&bench::Plan {
            functions,
            cold_runs,
            warm_runs,
            before,
            write,
        }),
        Command::Cost {
            merchants,
            month,
            sms,
        } => cost::run(&merchants, month.as_deref(), sms),
        Command::Bins { check: true } => bins::check(),
        Command::Bins { check: false } => bins::write(),
        Command::OpenApi { check } => describe(Description::OpenApi, check),
        Command::AsyncApi { check } => describe(Description::AsyncApi, check),
        Command::Deploy {
            environment,
            parameters,
        } => deploy::run(&environment, &parameters, &[]),
        Command::FirstHour {
            stack,
            region,
            arch,
            cases,
            keep,
            local: _, // without a stack
        } => {
            let plan = first_hour::Plan {
                stack,
                region,
                architecture: arch,
                cases,
                keep,
            };
            first_hour::run(&plan).await
        }
        Command::Package {
            arch,
            all,
            functions,
        } => match all {
            true => package::run(&[Architecture::Arm64, Architecture::X86_64], &functions),
            false => package::run(&[arch], &functions),
        },
    }
}

fn describe(description: Description, check: bool) -> Result<(), Error> {
    if check {
        openapi::check(description)
    } else {
        openapi::write(description)
    }
}

async fn up(options: UpOptions) -> Result<(), Error> {
    let detached = options.detached;
    let system = System::up(options).await?;
    println!(
        "addresses: {}",
        default_state_dir().join("endpoints.json").display()
    );
    if detached {
        println!("`cargo local down` stops the system");
        return Ok(());
    }
    println!("Ctrl-C stops the system");
    tokio::signal::ctrl_c().await.map_err(|cause| Error::Io {
        what: "waiting for Ctrl-C".into(),
        cause,
    })?;
    drop(system);
    println!("\nstopped");
    Ok(())
}

fn stop() -> Result<(), Error> {
    let was_up = down(&default_state_dir())?;
    println!(
        "{}",
        if was_up {
            "stopped"
        } else {
            "no local system was running"
        }
    );
    Ok(())
}
