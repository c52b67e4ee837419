//! `cargo run -p tests --bin defences`: verifies that each attack succeeds once its defence is removed.
//!
//! Copies the checkout to `target/defences`, applies all edits of `tests/defences/defences.yaml` and builds once. The whole
//! suite must pass there, because an edit alone changes nothing. Then each attack runs in a process with one defence
//! disabled. Only a failed assertion of the attack's own test counts; a compile error, a hang or an earlier failure does not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tests::defences::{Defence, VARIABLE, all};
use tests::metrics::metric;

/// An attack takes seconds, so a run of this length hangs.
const HANGS_AFTER: Duration = Duration::from_secs(300);
/// The location of the suite's own assertions.
const OWN: &str = "panicked at tests/tests/attacks/";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let place = root.join("target/defences");
    let copy = place.join("checkout");
    let defences = all();
    copy_to(root, &copy, &defences);
    let Some(suite) = build(&copy, &place.join("build")) else {
        println!("the edited copy does not compile");
        return ExitCode::FAILURE;
    };
    let whole = run(&suite, &copy, &["--skip", "list::"], None);
    if matches!(whole, Outcome::Passed) {
        println!("the suite passes with every defence in place");
    } else {
        println!(
            "the suite fails with every defence in place: an edit changes behaviour by itself"
        );
        return ExitCode::FAILURE;
    }
    let (mut tried, mut survivors) = (BTreeSet::new(), 0);
    for defence in &defences {
        for attack in &defence.attacks {
            let outcome = run(&suite, &copy, &["--exact", attack], Some(&defence.name));
            let shown = matches!(outcome, Outcome::Succeeded(_));
            println!("{attack} | {} | {}", defence.name, outcome.text());
            survivors += usize::from(!shown);
            tried.insert(attack);
        }
    }
    metric(
        "attacks without their defence; not successful",
        tried.len(),
        survivors,
    );
    match survivors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Copies the files known to git, with the edits. Skips unchanged files to avoid a rebuild.
fn copy_to(root: &Path, copy: &Path, defences: &[Defence]) {
    let git = Command::new("git")
        .current_dir(root)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--others",
            "--exclude-standard",
        ])
        .output()
        .expect("git");
    let names = String::from_utf8(git.stdout).unwrap();
    for name in names.split('\0').filter(|name| !name.is_empty()) {
        let Ok(mut content) = fs::read(root.join(name)) else {
            continue;
        };
        for defence in defences {
            for edit in defence.edits.iter().filter(|edit| edit.file == name) {
                assert_eq!(edit.found(root), 1, "{}: {}", defence.name, edit.find);
                let text = String::from_utf8(content).unwrap();
                content = edit.applied(&defence.name, &text).into_bytes();
            }
        }
        let to = copy.join(name);
        if fs::read(&to).ok().as_ref() != Some(&content) {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::write(&to, content).unwrap();
        }
    }
}

/// Builds the suite. Returns the path of its executable.
fn build(copy: &Path, target: &Path) -> Option<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let built = Command::new(cargo)
        .current_dir(copy)
        .env("CARGO_TARGET_DIR", target)
        .args([
            "test", "-p", "tests", "--test", "attacks", "--no-run", "--locked",
        ])
        .arg("--message-format=json-render-diagnostics")
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo");
    let lines = String::from_utf8(built.stdout).unwrap();
    let messages = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let mut suites = messages.filter(|message| message["target"]["name"] == "attacks");
    let suite = suites.find_map(|message| Some(PathBuf::from(message["executable"].as_str()?)));
    suite.filter(|_| built.status.success())
}

/// The result of a run.
enum Outcome {
    /// Every test passed: removing the defence had no effect.
    Passed,
    /// An assertion of the attack reports the breach.
    Succeeded(String),
    /// The test failed before its own assertion, or does not exist.
    Failed,
    /// The run did not end.
    Hung,
}

impl Outcome {
    fn text(&self) -> String {
        match self {
            Self::Passed => "SURVIVES: the attack still fails".to_owned(),
            Self::Succeeded(breach) => format!("succeeds: {breach}"),
            Self::Failed => "SURVIVES: failed outside the attack's own assertion".to_owned(),
            Self::Hung => "SURVIVES: timed out".to_owned(),
        }
    }
}

fn run(suite: &Path, copy: &Path, arguments: &[&str], without: Option<&str>) -> Outcome {
    let mut command = Command::new(suite);
    command
        .current_dir(copy.join("tests"))
        .args(arguments)
        .env("RUST_BACKTRACE", "0")
        .env_remove(VARIABLE)
        .envs(without.map(|defence| (VARIABLE, defence)))
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("the suite");
    let mut output = child.stdout.take().unwrap();
    let reader = thread::spawn(move || {
        let mut text = String::new();
        output.read_to_string(&mut text).map(|_| text)
    });
    let started = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        // The whole suite contains many attacks, so it gets more time.
        if without.is_some() && started.elapsed() > HANGS_AFTER {
            child.kill().unwrap();
            child.wait().unwrap();
            return Outcome::Hung;
        }
        thread::sleep(Duration::from_millis(20));
    };
    let text = reader.join().unwrap().unwrap_or_default();
    if status.success() {
        return match text.contains("test result: ok. 0 passed") {
            true => Outcome::Failed,
            false => Outcome::Passed,
        };
    }
    match text.split_once(OWN) {
        // Output before the test's own assertion may belong to another test.
        Some((before, after)) if !before.contains("panicked at") => {
            let mut lines = after.lines();
            let (place, breach) = (lines.next(), lines.find(|line| !line.trim().is_empty()));
            let place = place.unwrap_or_default().trim_end_matches(':');
            let breach: String = breach.unwrap_or_default().chars().take(100).collect();
            Outcome::Succeeded(format!("{place} {breach}"))
        }
        _ => Outcome::Failed,
    }
}
