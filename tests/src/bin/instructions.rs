//! Counts the instructions of each step and compares them with the stored counts. `--write` stores them.

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool

use std::process::ExitCode;
use tests::bench::instructions::Counts;

#[tokio::main]
async fn main() -> ExitCode {
    let write = std::env::args().any(|word| word == "--write");
    match run(write).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(write: bool) -> Result<(), String> {
    let counts = Counts::count().await?;
    if write {
        counts.store()?;
    }
    let stored = Counts::stored()?;
    let (table, wrong) = counts.compare(&stored);
    print!("{table}");
    if counts.rustc != stored.rustc {
        println!(
            "counted with {}, stored with {}: nothing to compare",
            counts.rustc, stored.rustc
        );
        return Ok(());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{}\nIf the change is intended: cargo run -p tests --bin instructions -- --write",
        wrong.join("\n")
    ))
}
