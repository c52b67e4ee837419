//! `cargo local`: the whole system on this machine.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool's product is what it prints

use std::process::ExitCode;

use local::demo::{self, Story};
use local::openapi;
use local::torture::{self, Ordeal};
use local::{Error, System, UpOptions, default_state_dir, down};

const USAGE: &str = "\
cargo local demo [--story STORY]...      walk one whole rebind, or other stories, on a system of its own;
                                         STORY is rebind, micro-deposit, freeze or standby
cargo local up [--detach] [--port PORT]  start a system; its addresses are in target/local/endpoints.json
cargo local down                         end it
cargo local openapi [--check]            write the API description, or fail when it is not up to date
cargo local torture [ORDEAL]...          try to break it, for hours or only in these ways; the table is in tests/README.md";

enum Command {
    Demo(Vec<Story>),
    Up(UpOptions),
    Down,
    OpenApi { check: bool },
    Torture(Vec<Ordeal>),
}

#[tokio::main]
async fn main() -> ExitCode {
    let command = match parse(std::env::args().skip(1)) {
        Ok(command) => command,
        Err(wrong) => {
            eprintln!("error: {wrong}\n\n{USAGE}");
            return ExitCode::from(2);
        }
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
        Command::Demo(stories) => demo::run(&stories).await,
        Command::Up(options) => up(options).await,
        Command::OpenApi { check: true } => openapi::check(),
        Command::OpenApi { check: false } => openapi::write(),
        Command::Torture(ordeals) => torture::run(&ordeals),
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

/// What the command line asks for, or what is wrong with it.
fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let command = arguments.next().ok_or("a command is missing")?;
    let mut stories = Vec::new();
    let mut ordeals = Vec::new();
    let mut options = UpOptions::default();
    let mut check = false;
    while let Some(argument) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or(format!("{argument} lacks its value"))
        };
        match (command.as_str(), argument.as_str()) {
            ("demo", "--story") => stories.push(value()?.parse()?),
            ("openapi", "--check") => check = true,
            ("up", "--detach") => options.detached = true,
            ("up", "--port") => {
                let port = value()?;
                let port = port.parse().map_err(|_| format!("`{port}` is no port"))?;
                options.port = Some(port);
            }
            ("torture", ordeal) => ordeals.push(ordeal.parse()?),
            _ => return Err(format!("`{command}` does not take `{argument}`")),
        }
    }
    match command.as_str() {
        "demo" if stories.is_empty() => Ok(Command::Demo(vec![Story::Rebind])),
        "demo" => Ok(Command::Demo(stories)),
        "up" => Ok(Command::Up(options)),
        "down" => Ok(Command::Down),
        "openapi" => Ok(Command::OpenApi { check }),
        "torture" if ordeals.is_empty() => Ok(Command::Torture(Ordeal::ALL.to_vec())),
        "torture" => Ok(Command::Torture(ordeals)),
        _ => Err(format!("there is no command `{command}`")),
    }
}

#[cfg(test)]
mod tests {
    use super::{Command, Story, parse};

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn the_main_story_is_told_unless_others_are_asked_for() {
        let stories = |line| match parsed(line) {
            Ok(Command::Demo(stories)) => stories,
            _ => panic!("{line}"),
        };
        assert_eq!(stories("demo"), [Story::Rebind]);
        assert_eq!(
            stories("demo --story freeze --story standby"),
            [Story::Freeze, Story::Standby]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (line, said) in [
            ("", "a command is missing"),
            ("dome", "`dome`"),
            ("demo --story", "--story lacks"),
            ("demo --story thaw", "no story `thaw`"),
            ("down --story freeze", "`down` does not take `--story`"),
            ("up --port http", "`http` is no port"),
            ("torture rack", "no ordeal `rack`"),
        ] {
            let wrong = parsed(line).err().unwrap();
            assert!(wrong.contains(said), "{line}: {wrong}");
        }
    }
}
