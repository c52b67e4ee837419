//! `cargo run -p tests --bin defences`: shows for each attack that it succeeds once its defence is taken out.
//!
//! A copy of the checkout under `target/defences` gets all edits of `tests/defences/defences.yaml`, is built once, and passes
//! the whole suite: no edit does anything by itself. Then each attack is tried in a process that has to do without one defence.
//! Shown is what fails by an assertion of its own: not one that does not compile, hangs, or breaks on its way there.

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

/// An attack takes some seconds; what takes so long hangs.
const HANGS_AFTER: Duration = Duration::from_secs(300);
/// Where the suite's own assertions are.
const OWN: &str = "panicked at tests/tests/attacks/";

fn main() -> ExitCode {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let place = root.join("target/defences");
    let copy = place.join("checkout");
    let defences = all();
    copy_to(root, &copy, &defences);
    let Some(suite) = build(&copy, &place.join("build")) else {
        println!("the copy does not compile");
        return ExitCode::FAILURE;
    };
    let whole = run(&suite, &copy, &["--skip", "list::"], None);
    if !matches!(whole, Outcome::Failed) {
        println!("every attack fails with every defence in place");
    } else {
        println!("the suite fails with every defence in place: the edits are not switches");
        return ExitCode::FAILURE;
    }
    let (mut tried, mut survivors) = (BTreeSet::new(), 0);
    for defence in &defences {
        for attack in &defence.attacks {
            let outcome = run(&suite, &copy, &["--exact", attack], Some(&defence.name));
            let shown = matches!(outcome, Outcome::Succeeded(_));
            println!("{attack} | {} | {}", defence.name, outcome.told());
            survivors += usize::from(!shown);
            tried.insert(attack);
        }
    }
    metric(
        "attacks tried without their defence",
        tried.len(),
        survivors,
    );
    match survivors {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    }
}

/// Copies what git knows, with the edits. What is the same already is left as it is, so that it is not built again.
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

/// Builds the suite; the path of its executable.
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

/// What became of a run.
enum Outcome {
    /// Every test passed: the defence is not missed.
    Passed,
    /// An assertion of the attack's own says what got through.
    Succeeded(String),
    /// It broke on its way, or there is no such test.
    Failed,
    /// It did not end.
    Hung,
}

impl Outcome {
    fn told(&self) -> String {
        match self {
            Self::Passed => "SURVIVES: the attack fails all the same".to_owned(),
            Self::Succeeded(said) => format!("succeeds: {said}"),
            Self::Failed => "SURVIVES: broken, but not by the attack's own assertion".to_owned(),
            Self::Hung => "SURVIVES: no end".to_owned(),
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
        // The whole suite is many attacks.
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
        // What one test says before its own assertion is no failure of another's.
        Some((before, after)) if !before.contains("panicked at") => {
            let mut lines = after.lines();
            let (place, said) = (lines.next(), lines.find(|line| !line.trim().is_empty()));
            let place = place.unwrap_or_default().trim_end_matches(':');
            let said: String = said.unwrap_or_default().chars().take(100).collect();
            Outcome::Succeeded(format!("{place} {said}"))
        }
        _ => Outcome::Failed,
    }
}
