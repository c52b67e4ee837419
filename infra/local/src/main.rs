//! `cargo local`: the whole system on this machine.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool's product is what it prints

use std::process::ExitCode;

use local::{Error, System, UpOptions, default_state_dir, demo, down};

const USAGE: &str = "\
cargo local demo                         walk one whole rebind on a system of its own
cargo local up [--detach] [--port PORT]  start a system; its addresses are in target/local/endpoints.json
cargo local down                         end it";

enum Command {
    Demo,
    Up(UpOptions),
    Down,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Some(command) = parse(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match run(command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Demo => demo::run().await,
        Command::Up(options) => up(options).await,
        Command::Down => {
            let was_up = down(&default_state_dir())?;
            println!(
                "{}",
                if was_up {
                    "ended"
                } else {
                    "there was no local system to end"
                }
            );
            Ok(())
        }
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
        println!("end it with `cargo local down`");
        return Ok(());
    }
    println!("Ctrl-C ends it");
    tokio::signal::ctrl_c().await.map_err(|cause| Error::Io {
        what: "waiting for Ctrl-C".into(),
        cause,
    })?;
    drop(system);
    println!("\nended");
    Ok(())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Option<Command> {
    let command = arguments.next()?;
    let mut options = UpOptions::default();
    while let Some(argument) = arguments.next() {
        match (command.as_str(), argument.as_str()) {
            ("up", "--detach") => options.detached = true,
            ("up", "--port") => options.port = Some(arguments.next()?.parse().ok()?),
            _ => return None,
        }
    }
    match command.as_str() {
        "demo" => Some(Command::Demo),
        "up" => Some(Command::Up(options)),
        "down" => Some(Command::Down),
        _ => None,
    }
}
