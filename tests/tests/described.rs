//! Checks the running API against `infra/openapi.json` with schemathesis: valid and invalid requests generated from the
//! description, and sequences of steps that follow its links.
//!
//! `SCHEMATHESIS_EXAMPLES=<number>` sets the number of requests for each operation and phase, `SCHEMATHESIS_SEED=<number>` the
//! seed, and `SCHEMATHESIS_COVERAGE=1` adds the phase that tries each boundary. `tests/schemathesis/schemathesis.toml` lists the checks and the exclusions.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;
use tests::local_cloud::LocalCloud;
use tests::metrics::metric;
use tests::openapi::Contract;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
const REQUIREMENTS: &str = include_str!("../schemathesis/requirements.txt");
/// The defaults.
const SEED: &str = "20261122";
const EXAMPLES: &str = "4";
/// Merchants who change their cards. A run does not use them all up.
const MERCHANTS: usize = 40;

/// Path of schemathesis. Installs it if it is missing or its pinned versions have changed.
fn schemathesis() -> PathBuf {
    let folder = Path::new(ROOT).join("target/schemathesis");
    let (venv, installed) = (folder.join("venv"), folder.join("installed"));
    std::fs::create_dir_all(&folder).unwrap();
    // Two runs may meet here: the second waits, and finds it installed.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    if std::fs::read_to_string(&installed).is_ok_and(|text| text == REQUIREMENTS) {
        return venv.join("bin/st");
    }
    run(Command::new("python3")
        .args(["-m", "venv", "--clear"])
        .arg(&venv));
    let requirements = Path::new(ROOT).join("tests/schemathesis/requirements.txt");
    let pip = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--no-input",
        "--no-deps",
        "-r",
    ];
    run(Command::new(venv.join("bin/python"))
        .args(pip)
        .arg(requirements));
    std::fs::write(installed, REQUIREMENTS).unwrap();
    venv.join("bin/st")
}

fn run(command: &mut Command) {
    let done = command.stdin(Stdio::null()).output().unwrap();
    let output = [done.stdout, done.stderr].concat();
    assert!(
        done.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output)
    );
}

/// The input of the hooks: merchants, and the URLs for login and SMS.
async fn world(live: &LocalCloud) -> Value {
    let mut merchants = Vec::new();
    for _ in 0..MERCHANTS {
        let merchant = live.merchant().await;
        merchants.push(json!({
            "account": merchant.account,
            "password": merchant.password,
            "holder_name": merchant.holder_name,
            "phone": merchant.phone,
            "reserved_phone": merchant.reserved_phone,
            "document_number": merchant.document_number,
            "expires_on": merchant.expires_on,
        }));
    }
    let endpoints = live.system.endpoints();
    json!({
        "api_url": endpoints.api_url,
        "sms_url": endpoints.sms_url,
        "merchants": merchants,
        // Above the numbers of all seeded cards.
        "first_card": 50_000,
    })
}

fn variable(name: &str, usual: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| usual.to_owned())
}

/// The result of a run, from its report.
#[derive(Default)]
struct Done {
    requests: usize,
    checks: usize,
    /// Steps that followed a link.
    linked: usize,
    failures: usize,
    /// The operations that succeeded, as `GET /v1/cards`.
    succeeded: BTreeSet<String>,
    /// The output.
    output: String,
}

/// Runs schemathesis with a description.
fn hold(program: &Path, folder: &Path, description: &Path, url: &str, options: &[&str]) -> Done {
    let report = folder.join("report.ndjson");
    let ended = Command::new(program)
        .current_dir(ROOT)
        .args([
            "--config-file",
            "tests/schemathesis/schemathesis.toml",
            "run",
        ])
        .arg(description)
        .args([
            "--no-color",
            "--url",
            url,
            "--report",
            "ndjson",
            "--report-ndjson-path",
        ])
        .arg(&report)
        .args(options)
        .env("SCHEMATHESIS_WORLD", folder.join("world.json"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("HYPOTHESIS_STORAGE_DIRECTORY", folder.join("hypothesis"))
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let output = [ended.stdout, ended.stderr].concat();
    let mut done = Done {
        output: String::from_utf8_lossy(&output).into_owned(),
        ..Done::default()
    };
    for line in std::fs::read_to_string(report).unwrap_or_default().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        done.note(&event["ScenarioFinished"]["recorder"]);
    }
    // Exit codes 0 and 1 report on the API; any other is a failure of schemathesis itself.
    let code = ended.status.code();
    assert!(
        matches!(code, Some(0 | 1)) && done.requests > 0,
        "{}",
        done.output
    );
    assert_eq!(code == Some(1), done.failures > 0, "{}", done.output);
    done
}

impl Done {
    fn note(&mut self, recorder: &Value) {
        let members = |name: &str| recorder[name].as_object().into_iter().flatten();
        for (case, interaction) in members("interactions") {
            self.requests += 1;
            let sent = &recorder["cases"][case];
            self.linked += usize::from(sent["is_transition_applied"] == true);
            let status = interaction["response"]["status_code"].as_u64();
            if status.is_some_and(|status| (200..300).contains(&status)) {
                let text = |name: &str| sent["value"][name].as_str().unwrap_or_default();
                self.succeeded
                    .insert(format!("{} {}", text("method"), text("path")));
            }
        }
        for (_, checks) in members("checks") {
            let checks = checks.as_array().unwrap();
            self.checks += checks.len();
            self.failures += checks
                .iter()
                .filter(|check| check["status"] == "failure")
                .count();
        }
    }
}

/// Every operation of the description.
fn operations() -> BTreeSet<String> {
    let contract = Contract::load().unwrap();
    let paths = contract.document()["paths"].as_object().unwrap();
    let operations = paths.iter().flat_map(|(path, item)| {
        let methods = item
            .as_object()
            .unwrap()
            .keys()
            .filter(|name| *name != "parameters");
        methods.map(move |method| format!("{} {path}", method.to_uppercase()))
    });
    operations.collect()
}

/// A system of its own, and the folder with schemathesis's input.
struct Held {
    live: LocalCloud,
    folder: PathBuf,
}

impl Held {
    fn up(runtime: &tokio::runtime::Runtime) -> Self {
        let live = runtime
            .block_on(LocalCloud::up())
            .unwrap_or_else(|error| panic!("{error}"));
        let folder = live.state_dir.join("described");
        std::fs::create_dir_all(&folder).unwrap();
        let world = runtime.block_on(world(&live));
        std::fs::write(folder.join("world.json"), world.to_string()).unwrap();
        Self { live, folder }
    }

    fn hold(&self, program: &Path, description: &Path, options: &[&str]) -> Done {
        let url = &self.live.system.endpoints().api_url;
        hold(program, &self.folder, description, url, options)
    }
}

#[test]
fn running_api_matches_openapi() {
    let program = schemathesis();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    let description = Path::new(ROOT).join("infra/openapi.json");
    let (seed, examples) = (
        variable("SCHEMATHESIS_SEED", SEED),
        variable("SCHEMATHESIS_EXAMPLES", EXAMPLES),
    );
    println!("SCHEMATHESIS_SEED={seed} SCHEMATHESIS_EXAMPLES={examples}");
    let started = Instant::now();
    // The stateful phase has a system of its own, because it needs merchants who have not reached their limits. Coverage is
    // half of the time, so only `cargo local stress` adds it.
    let others = if variable("SCHEMATHESIS_COVERAGE", "0") == "1" {
        "examples,coverage,fuzzing"
    } else {
        "examples,fuzzing"
    };
    let systems = ["stateful", others].map(|phases| (phases, Held::up(&runtime)));
    let run = |(phases, held): (&str, Held)| {
        let options = ["--seed", &seed, "--max-examples", &examples, "--phases"];
        let done = held.hold(&program, &description, &[&options[..], &[phases]].concat());
        println!("{}\n{:.0} s", done.output, started.elapsed().as_secs_f32());
        done
    };
    let all = std::thread::scope(|scope| {
        let running = systems.map(|system| scope.spawn(|| run(system)));
        running.map(|run| run.join().unwrap())
    });
    let total = |of: fn(&Done) -> usize| all.iter().map(of).sum::<usize>();
    let failures = total(|done| done.failures);
    let linked = total(|done| done.linked);
    metric(
        "schemathesis: requests",
        total(|done| done.requests),
        failures,
    );
    metric(
        "schemathesis: reply checks",
        total(|done| done.checks),
        failures,
    );
    metric("schemathesis: steps reached by a link", linked, failures);
    assert_eq!(failures, 0);
    // An operation that was only ever refused was not tested.
    let succeeded: BTreeSet<String> = all.into_iter().flat_map(|done| done.succeeded).collect();
    assert_eq!(succeeded, operations(), "each operation has succeeded");
    assert!(linked > 0, "no link was followed");

    // A wrong description is detected.
    let held = Held::up(&runtime);
    let text = std::fs::read_to_string(&description).unwrap();
    let wrong = held.folder.join("wrong.yaml");
    std::fs::write(&wrong, text.replace("can_rebind", "may_rebind")).unwrap();
    let options = ["--phases", "examples", "--include-path", "/v1/cards"];
    let found = held.hold(&program, &wrong, &options);
    assert!(found.failures > 0, "{}", found.output);
}
