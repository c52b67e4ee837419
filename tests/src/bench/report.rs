//! The tables of the benchmark, and the budgets over their figures.

use super::budgets::Budget;
use super::build::{Built, before_name, peer_name};
use super::clean_up::Run;
use super::peers::Language;
use super::scene::{Moment, PEER_STEPS};
use super::throttled::Throttled;
use super::{Floor, Row, load, scene};
use crate::walk::Step;
use std::fmt::Write as _;

/// Everything that was measured.
pub struct Results<'r> {
    /// What was built.
    pub built: &'r Built,
    /// The steps.
    pub moments: &'r [Moment],
    /// The PutItem floor.
    pub floor: &'r Floor,
    /// All candidates.
    pub rows: &'r [Row],
    /// First calls under a CPU quota.
    pub throttled: &'r [Throttled],
    /// The runs of the clean-up; none if only some functions were measured.
    pub clean_up: &'r [Run],
    /// The load; none if only some functions were measured.
    pub load: Option<&'r load::Run>,
}

/// The memory of argon2id, in MiB: what a login needs beyond the others.
const ARGON2_MIB: f64 = 19.0;
const MIB_MAX: f64 = 14.0;
const ZIP_MB_MAX: f64 = 3.5;
/// A cold start in relation to the floor, and what each further TLS endpoint adds.
const COLD_MAX: (f64, f64) = (1.25, 0.25);
/// Why a cold start misses its limit: the floor makes one small request, and a step makes its own. The known limit allows for
/// the difference, as measured by the floor that sends the step's requests, and for [`BEYOND_FLOOR`].
const OWN_REQUESTS: &str =
    "the step's own requests, its hash keys and connections take longer than one PutItem";
/// What a function does beyond the floor and beyond its step, in relation to the floor: it fetches up to three hash keys and opens
/// up to three connections. Two runs differ by a tenth.
const BEYOND_FLOOR: f64 = 0.4;
const WARM_MAX: f64 = 1.25;
/// A freeze is answered after 800 ms, whatever it did, unless its work takes longer.
const FREEZE_MS_MAX: f64 = 860.0;

impl Results<'_> {
    fn step(&self, row: &Row) -> Step {
        self.moments[row.place].step
    }

    fn is_own(&self, row: &Row) -> bool {
        row.name == self.moments[row.place].function
    }

    fn own(&self) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(|row| self.is_own(row))
    }

    /// The product's rows, with the names of their steps.
    pub fn named(&self) -> impl Iterator<Item = (&Row, String)> {
        self.own().map(|row| (row, format!("{:?}", self.step(row))))
    }

    /// Cold starts and warm calls of all candidates.
    #[must_use]
    pub fn times(&self) -> String {
        let Floor { cold: one, warm } = self.floor;
        let floor = one.total.median();
        let mut text = format!(
            "{:<22} {:<16} {:>7} {:>7} {:>7} {:>6} {:>5}  {:>7} {:>7} {:>7} {:>6} {:>6}\n",
            "function",
            "step",
            "init",
            "first",
            "cold",
            "floor",
            "+-",
            "p50",
            "p99",
            "replay",
            "cpu",
            "MiB"
        );
        let _ = writeln!(
            text,
            "{:<22} {:<16} {:>7.1} {:>7.1} {:>7.1} {:>6} {:>4.0}%  {:>7.2} {:>7.2} {:>7} {:>6.2} {:>6.1}",
            "floor: one PutItem",
            "",
            one.init.median(),
            one.first.median(),
            floor,
            "1.00 x",
            one.total.spread_percent(),
            warm.call.median(),
            warm.call.percentile(99),
            "",
            warm.cpu_ms,
            warm.peak_mib
        );
        for row in self.rows {
            let (cold, warm) = (&row.cold, &row.warm);
            let step = format!("{:?}", self.step(row));
            let _ = writeln!(
                text,
                "{:<22} {step:<16} {:>7.1} {:>7.1} {:>7.1} {:>4.2} x {:>4.0}%  {:>7.2} {:>7.2} {:>5.2} x {:>6.2} {:>6.1}",
                row.name,
                cold.init.median(),
                cold.first.median(),
                cold.total.median(),
                cold.total.median() / floor,
                cold.total.spread_percent(),
                warm.call.median(),
                warm.call.percentile(99),
                warm.call.median() / row.replay_ms,
                warm.cpu_ms,
                warm.peak_mib
            );
        }
        text
    }

    /// Calls, units and bytes of a warm call, and handshakes of a cold start.
    #[must_use]
    pub fn usage(&self) -> String {
        let mut text = format!(
            "{:<22} {:<16} {:>5} {:>5} {:>5} {:>4} {:>6} {:>6} {:>8} {:>10}\n",
            "function",
            "step",
            "table",
            "RRU",
            "WRU",
            "KMS",
            "others",
            "sent",
            "received",
            "handshakes"
        );
        for row in self.own() {
            let traffic = &row.warm.traffic;
            let step = format!("{:?}", self.step(row));
            let _ = writeln!(
                text,
                "{:<22} {step:<16} {:>5} {:>5.1} {:>5.1} {:>4} {:>6} {:>6} {:>8} {:>10}",
                row.name,
                traffic.table_calls,
                traffic.rru,
                traffic.wru,
                traffic.kms_calls,
                traffic.other_calls,
                traffic.bytes_sent,
                traffic.bytes_received,
                row.cold.traffic.handshakes
            );
        }
        text
    }

    /// First calls with a seventh of a processor, in milliseconds.
    #[must_use]
    pub fn throttled(&self) -> String {
        let mut text = "first call with 1/7 of a processor\n".to_owned();
        for one in self.throttled {
            let note = if one.is_complete {
                ""
            } else {
                "  a limit was exceeded"
            };
            let (name, step, ms) = (&one.name, format!("{:?}", one.step), one.call.as_millis());
            let _ = writeln!(text, "{name:<22} {step:<16} {ms:>7}{note}");
        }
        text
    }

    /// The sizes of the packages, in megabytes.
    #[must_use]
    pub fn sizes(&self) -> String {
        let mut text = format!("{:<22} {:>9}\n", "package", "zip MB");
        for package in &self.built.packages {
            let _ = writeln!(
                text,
                "{:<22} {:>9.2}",
                package.function,
                megabytes(package.zip_bytes)
            );
        }
        for peer in &self.built.peers {
            let bytes = std::fs::metadata(&peer.zip).unwrap().len();
            let _ = writeln!(text, "{:<22} {:>9.2}", peer_name(peer), megabytes(bytes));
        }
        text
    }

    /// The runs of the clean-up.
    #[must_use]
    pub fn clean_up(&self) -> String {
        let mut text = format!(
            "{:<22} {:>9} {:>9} {:>7} {:>7} {:>7}\n",
            "clean-up, 1,000 due of", "entries/s", "of replay", "calls", "RRU", "WRU"
        );
        for run in self.clean_up {
            let traffic = &run.traffic;
            let _ = writeln!(
                text,
                "{:<22} {:>9.0} {:>7.2} x {:>7} {:>7.1} {:>7.1}",
                run.stored,
                run.rate(),
                run.of_replay(),
                traffic.table_calls,
                traffic.rru,
                traffic.wru
            );
        }
        text
    }

    /// All budgets.
    #[must_use]
    pub fn budgets(&self) -> Vec<Budget> {
        let mut budgets = self.of_steps();
        budgets.extend(self.of_peers());
        let incomplete = self.throttled.iter().filter(|one| !one.is_complete);
        let what = "first calls beyond a limit at 1/7 of a processor";
        budgets.push(Budget::at_most(what, incomplete.count() as f64, 0.0));
        if let Some(freeze) = self.throttled.iter().find(|one| one.step == Step::Freeze) {
            let ms = freeze.call.as_secs_f64() * 1_000.0;
            let what = "freeze at 1/7 of a processor, ms";
            budgets.push(Budget::at_most(what, ms, FREEZE_MS_MAX));
        }
        for package in &self.built.packages {
            let what = format!("zip of {}, MB", package.function);
            let zip = Budget::at_most(what, megabytes(package.zip_bytes), ZIP_MB_MAX);
            budgets.push(match package.function.as_str() {
                "verification" => zip.known(
                    3.8,
                    "it links the clients of SNS, Secrets Manager and the bank",
                ),
                "confirmation-notice" => zip.known(3.7, "it links the client of SNS"),
                _ => zip,
            });
        }
        if let Some(load) = self.load {
            let failures = load.failures.len() as f64;
            budgets.push(Budget::at_most("load: 5xx, wrong or lost", failures, 0.0));
            let tail = load.p99_ms / load.p50_ms;
            let all = Budget::at_most("load: p99, of p50", tail, 5.0);
            budgets.push(all.known(
                8.0,
                "p99 is a login, whose password hash takes twenty steps' processor time",
            ));
            let what = "load: p99, of p50, worst route";
            let worst = Budget::at_most(what, load.longest_tail(), 5.0);
            budgets.push(worst.known(
                9.0,
                "logins queue for two processors, each behind other password hashes",
            ));
        }
        if let [first, others @ ..] = self.clean_up {
            let (rate, replay) = (first.rate(), first.of_replay());
            budgets.push(Budget::at_least("clean-up, entries a second", rate, 250.0));
            budgets.push(Budget::at_least(
                "clean-up, of its requests alone",
                replay,
                0.6,
            ));
            for run in others {
                let growth = |count: fn(&Run) -> f64| count(run) / count(first);
                let calls = growth(|run| f64::from(run.traffic.table_calls));
                let rru = growth(|run| run.traffic.rru);
                let of = format!(
                    "clean-up among {}, in relation to {}",
                    run.stored, first.stored
                );
                budgets.push(Budget::at_most(format!("{of}: calls"), calls, 1.05));
                budgets.push(Budget::at_most(format!("{of}: RRU"), rru, 1.05));
            }
        }
        budgets
    }

    fn of_steps(&self) -> Vec<Budget> {
        let floor = self.floor.cold.total.median();
        let one_put = self.floor.warm.call.median();
        let mut budgets = Vec::new();
        let mut seen = Vec::new();
        for row in self.own() {
            let (step, moment) = (self.step(row), &self.moments[row.place]);
            if seen.contains(&step) {
                continue;
            }
            seen.push(step);
            let name = format!("{} {step:?}", row.name);
            let mib = if step == Step::LogIn {
                MIB_MAX + ARGON2_MIB
            } else {
                MIB_MAX
            };
            let peaks = self.own().filter(|other| self.step(other) == step);
            let peak = peaks.map(|other| other.warm.peak_mib).fold(0.0, f64::max);
            budgets.push(Budget::at_most(format!("{name}: peak MiB"), peak, mib));
            // A login hashes a password, and a freeze takes a constant time.
            if scene::is_request(step) && !matches!(step, Step::LogIn | Step::Freeze) {
                let (limit, more) = COLD_MAX;
                let limit = limit + more * f64::from(moment.further_endpoints);
                let cold = row.cold.total.median();
                let own_requests = (row.replay_ms - one_put) / floor;
                let of_floor =
                    Budget::at_most(format!("{name}: cold, of the floor"), cold / floor, limit);
                budgets.push(of_floor.known(limit + own_requests + BEYOND_FLOOR, OWN_REQUESTS));
                let warm = row.warm.call.median() / row.replay_ms;
                budgets.push(Budget::at_most(
                    format!("{name}: p50, of its requests"),
                    warm,
                    WARM_MAX,
                ));
            }
        }
        budgets
    }

    fn of_peers(&self) -> Vec<Budget> {
        let mut budgets = Vec::new();
        for peer in &self.built.peers {
            let (cold_min, cpu_min) = match peer.language {
                Language::Node => (12.0, 4.0),
                Language::Python => (20.0, 3.0),
            };
            let named = |name: &str| {
                let rows = self
                    .rows
                    .iter()
                    .filter(|row| PEER_STEPS.contains(&self.step(row)));
                rows.into_iter().find(|row| row.name == name)
            };
            let both = named(peer.function).zip(named(&peer_name(peer)));
            let Some((own, theirs)) = both else { continue };
            let name = peer_name(peer);
            let cold = theirs.cold.total.median() / own.cold.total.median();
            let cpu = theirs.warm.cpu_ms / own.warm.cpu_ms;
            budgets.push(Budget::at_least(
                format!("{name}: cold, of ours"),
                cold,
                cold_min,
            ));
            budgets.push(Budget::at_least(
                format!("{name}: CPU a request, of ours"),
                cpu,
                cpu_min,
            ));
        }
        budgets
    }

    /// The change against the other checkout.
    #[must_use]
    pub fn changes(&self) -> String {
        let mut text = String::new();
        for row in self.own() {
            let before = before_name(&row.name);
            let old = self
                .rows
                .iter()
                .find(|old| old.name == before && old.place == row.place);
            let Some(old) = old else { continue };
            let percent = |new: f64, old: f64| 100.0 * (new - old) / old;
            let _ = writeln!(
                text,
                "{:<22} {:?}: cold {:+.0} %, p50 {:+.0} %, CPU {:+.0} %, MiB {:+.1}",
                row.name,
                self.step(row),
                percent(row.cold.total.median(), old.cold.total.median()),
                percent(row.warm.call.median(), old.warm.call.median()),
                percent(row.warm.cpu_ms, old.warm.cpu_ms),
                row.warm.peak_mib - old.warm.peak_mib
            );
        }
        text
    }
}

fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / 1_000_000.0
}
