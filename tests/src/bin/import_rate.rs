//! Imports generated merchants into a DynamoDB API on this machine without a stream, through the use case in process, and
//! prints rate and memory. The arguments are numbers of lines; the default is 10,000 and 100,000. Each number gets a process
//! of its own, because the peak of the memory is one of the process.
//!
//! `cargo run --profile fast -p tests --bin import_rate`

#![allow(clippy::print_stdout, clippy::print_stderr)] // a command-line tool

use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use domain::policy::Policy;
use rebindctl::import::direct::Direct;
use rebindctl::import::lines::Lines;
use rebindctl::import::report::{Progress, per_second};
use rebindctl::import::resume::ResumeFile;
use rebindctl::import::{Format, Plan, Report, run};
use std::fs::File;
use std::io::{BufReader, BufWriter};
use std::process::{Command, ExitCode};
use store::{Store, Tables};
use tests::dynamodb_table::Table;
use tests::in_process::{RECORD_TABLE, TABLE, create_table, table_of};
use tests::new_merchants::{DerivedKeys, write_lines};

const DEFAULT: [&str; 2] = ["10000", "100000"];
const IN_FLIGHT: u16 = 32;

type Failure = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.as_slice() {
        [one, number] if one == "--one" => measure(number).await,
        [] => each(&DEFAULT.map(str::to_owned)),
        numbers => each(numbers),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn each(numbers: &[String]) -> Result<(), Failure> {
    println!("| lines | seconds | lines a second | memory before, MiB | peak, MiB |");
    println!("|---|---|---|---|---|");
    for number in numbers {
        let own = std::env::current_exe()?;
        let status = Command::new(own).args(["--one", number]).status()?;
        if !status.success() {
            return Err(format!("{number} lines failed").into());
        }
    }
    Ok(())
}

async fn measure(number: &str) -> Result<(), Failure> {
    let number: u32 = number.parse()?;
    let folder = std::env::temp_dir().join(format!("import_rate_{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure_in(number, &folder).await;
    std::fs::remove_dir_all(&folder)?;
    measured
}

async fn measure_in(number: u32, folder: &std::path::Path) -> Result<(), Failure> {
    let path = folder.join("merchants.jsonl");
    write_lines(number, BufWriter::new(File::create(&path)?))?;
    let database = folder.join("tables.sqlite");
    let table = Table::stored_in(&database.display().to_string(), table_of);
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::for_tests());
    let client = aws_sdk_dynamodb::Client::from_conf(table.configure(config).build());
    create_table(&client).await;
    let policy = &Policy::CURRENT;
    let store = Store::new(client, Tables::new(TABLE, RECORD_TABLE), policy);
    let clock = application::clock::wall_clock;
    let target = Direct::new(
        TABLE,
        store,
        application::crypto::Keys::new(DerivedKeys),
        clock,
    );
    let resume = ResumeFile::new(folder.join("resume"), "the tables");
    let file = File::open(&path)?;
    let plan = Plan {
        file: "merchants.jsonl",
        total_bytes: file.metadata()?.len(),
        in_flight: IN_FLIGHT,
        rate: None,
        dry_run: false,
        card_key: None,
        policy,
        clock,
    };
    let progress = Progress::new(std::io::stderr(), false);
    let mut report =
        Report::new(std::io::stderr(), Format::Json, "merchants.jsonl").with_progress(progress);
    let before = memory_mib("VmRSS")?;
    let lines = Lines::new(BufReader::new(file));
    let never = std::future::pending();
    let summary = run(plan, lines, &target, Some(&resume), &mut report, never).await?;
    if !summary.is_complete() || summary.created != u64::from(number) {
        return Err(format!("{summary:?}").into());
    }
    println!(
        "| {number} | {:.1} | {} | {before} | {} |",
        summary.took.as_secs_f64(),
        per_second(summary.lines, summary.took),
        memory_mib("VmHWM")?,
    );
    Ok(())
}

/// A value of `/proc/self/status`.
fn memory_mib(name: &str) -> Result<u64, Failure> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let mut lines = status.lines();
    let line = lines.find(|line| line.starts_with(name));
    let kib = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(kib.ok_or("no such value")?.parse::<u64>()? / 1024)
}
