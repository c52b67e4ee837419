//! The instructions that each step executes, counted by callgrind over the real `bootstrap`. Unlike times, they are the same on
//! every run and every machine of an architecture, so that a change of a few per cent is seen at once.
//!
//! The functions are built in the profile `measure`: optimised, without link-time optimisation, which would take minutes more.
//! The services answer over plain HTTP. `tests/bench/instructions.json` holds the counts and the compiler that they belong to.

use super::scene::{self, Moment};
use crate::processes::{Options, Processes, Variant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A count may differ from the stored one by this much.
const TOLERANCE_PERCENT: f64 = 3.0;
/// The calls of the shorter and of the longer run. Their difference is warm calls only.
const CALLS: [u32; 2] = [2, 6];

/// The counts of a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Initialisation and the first two calls.
    pub cold: u64,
    /// One warm call.
    pub warm: u64,
}

/// The stored counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// The compiler and the target.
    pub rustc: String,
    /// The counts by step.
    pub steps: BTreeMap<String, Count>,
}

impl Counts {
    /// The counts in the repository.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn stored() -> Result<Self, String> {
        let text = std::fs::read_to_string(file()).map_err(|error| error.to_string())?;
        serde_json::from_str(&text).map_err(|error| error.to_string())
    }

    /// Stores the counts in the repository.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn store(&self) -> Result<(), String> {
        let text = serde_json::to_string_pretty(self).map_err(|error| error.to_string())?;
        std::fs::write(file(), text + "\n").map_err(|error| error.to_string())
    }

    /// Counts all steps.
    ///
    /// # Errors
    /// When a build fails or callgrind is missing.
    pub async fn count() -> Result<Self, String> {
        let folder = super::build::folder().join("instructions");
        std::fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        let binaries = local::package::measured().map_err(|error| error.to_string())?;
        let variants = binaries.iter().map(|(function, binary)| Variant {
            name: counted(function),
            function: function.clone(),
            binary: wrapper(&folder, function, binary),
        });
        let system = Processes::with(Options {
            variants: variants.collect(),
            ..Options::default()
        })
        .await;
        let mut steps = BTreeMap::new();
        for moment in scene::walk(&system).await.moments {
            let name = format!("{:?}", moment.step);
            if steps.contains_key(&name) {
                continue;
            }
            let [short, long] = CALLS;
            let cold = run(&system, &folder, &moment, short).await?;
            let both = run(&system, &folder, &moment, long).await?;
            let warm = (both.saturating_sub(cold)) / u64::from(long - short);
            steps.insert(name, Count { cold, warm });
        }
        Ok(Self {
            rustc: rustc()?,
            steps,
        })
    }

    /// The counts beside the stored ones, and those that differ too much.
    #[must_use]
    pub fn compare(&self, stored: &Self) -> (String, Vec<String>) {
        let mut table = format!(
            "{:<18} {:>12} {:>7} {:>12} {:>7}\n",
            "instructions", "warm call", "", "cold start", ""
        );
        let mut wrong = Vec::new();
        for (step, count) in &self.steps {
            let Some(old) = stored.steps.get(step) else {
                wrong.push(format!("{step} is not stored"));
                continue;
            };
            let [warm, cold] = [(count.warm, old.warm), (count.cold, old.cold)]
                .map(|(new, old)| 100.0 * (new as f64 - old as f64) / old as f64);
            table += &format!(
                "{step:<18} {:>12} {warm:>+6.1}% {:>12} {cold:>+6.1}%\n",
                count.warm, count.cold
            );
            for (what, change) in [("a warm call", warm), ("a cold start", cold)] {
                if change.abs() > TOLERANCE_PERCENT {
                    wrong.push(format!("{step}: {what} changed by {change:+.1} %"));
                }
            }
        }
        (table, wrong)
    }
}

fn file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/instructions.json")
}

/// The compiler with its target: other ones generate other code.
fn rustc() -> Result<String, String> {
    let output = Command::new("rustc").arg("-vV").output();
    let output = output.map_err(|error| format!("starting rustc: {error}"))?;
    let text = String::from_utf8_lossy(&output.stdout);
    let of = |name: &str| text.lines().find_map(|line| line.strip_prefix(name));
    let (release, host) = (of("release: "), of("host: "));
    Ok(format!(
        "{} {}",
        release.unwrap_or("?"),
        host.unwrap_or("?")
    ))
}

fn counted(function: &str) -> String {
    format!("{function}@callgrind")
}

fn output(folder: &Path, function: &str) -> PathBuf {
    folder.join(format!("{function}.out"))
}

/// An executable that runs the function under callgrind.
fn wrapper(folder: &Path, function: &str, binary: &Path) -> PathBuf {
    let path = folder.join(function);
    let script = format!(
        "#!/bin/sh\nexec /usr/bin/valgrind --quiet --tool=callgrind --callgrind-out-file={} {}\n",
        output(folder, function).display(),
        binary.display()
    );
    std::fs::write(&path, script).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
    path
}

/// The instructions of one process, from its start to its end after this many calls.
async fn run(
    system: &Processes,
    folder: &Path,
    moment: &Moment,
    calls: u32,
) -> Result<u64, String> {
    let name = counted(&moment.function);
    for _ in 0..calls {
        moment.restore(system);
        let (reply, _) = system.timed(&name, &moment.event).await;
        let status = reply["statusCode"].as_u64();
        if status.is_some_and(|status| status >= 300) {
            return Err(format!("{name}: {reply}"));
        }
    }
    // callgrind writes its file when the process ends by itself.
    system.orphan(&name).await;
    let path = output(folder, &moment.function);
    let text = std::fs::read_to_string(&path);
    let text = text.map_err(|error| format!("{}: {error}", path.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    let total = total.and_then(|total| total.trim().parse().ok());
    total.ok_or_else(|| format!("{} has no total", path.display()))
}
