//! The benchmark. `cargo local bench` runs it, with its plan as JSON.

#![allow(clippy::print_stderr)] // a command-line tool

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let plan = std::env::args().nth(1).unwrap_or_default();
    let plan = match serde_json::from_str(&plan) {
        Ok(plan) => plan,
        Err(error) => {
            eprintln!("error: the plan is not valid: {error}. Run `cargo local bench`.");
            return ExitCode::FAILURE;
        }
    };
    match tests::bench::run(&plan).await {
        Ok(0) => ExitCode::SUCCESS,
        Ok(broken) => {
            eprintln!("error: {broken} budgets are broken");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
