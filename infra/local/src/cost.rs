//! `cargo local cost`: what a month costs, from what an operation uses (`infra/month.json`), how often merchants do it, and list
//! prices (`infra/prices.json`).
//!
//! A test of the budgets counts what the operations use, and fails if the file says otherwise. How often merchants do them is an
//! assumption, and so is everything under `assumed`: give a file with your own numbers.

use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Error;
use crate::prices::{Prices, Usage};

/// The merchants whose month is priced unless other numbers are given.
const MERCHANTS: [u64; 3] = [10_000, 1_000_000, 50_000_000];

const KB_PER_GB: f64 = 1e6;
const MILLION: f64 = 1e6;

/// What is done in a month, and what it uses.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Month {
    /// What each operation uses.
    pub operations: BTreeMap<String, Operation>,
    /// How often a merchant does each.
    pub merchant: BTreeMap<String, f64>,
    /// What does not depend on the number of merchants.
    pub system: System,
    /// What no test counts.
    pub assumed: Assumed,
}

/// What an operation uses, with the notifications, events and clean-ups that follow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Operation {
    /// Requests to the HTTP API. Each is an invocation too.
    pub requests: f64,
    /// Further invocations.
    pub invocations: f64,
    /// Calls to the table, one after the other.
    pub calls: f64,
    /// Read request units.
    pub rru: f64,
    /// Write request units.
    pub wru: f64,
    /// Calls to symmetric keys of KMS.
    pub key_calls: f64,
    /// Signatures by a key of KMS.
    pub signatures: f64,
    /// SMS.
    pub messages: f64,
    /// Published events.
    pub publishes: f64,
}

/// A month of the system itself.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct System {
    /// Runs of the clean-up.
    pub cleanup_runs: f64,
    /// Calls to the table of a run without due entries, each half a read request unit.
    pub cleanup_calls: f64,
    /// Runs of the anchor.
    pub anchor_runs: f64,
    /// Keys.
    pub keys: f64,
    /// Secrets.
    pub secrets: f64,
    /// Custom metrics.
    pub custom_metrics: f64,
    /// Metrics that alarms watch.
    pub alarm_metrics: f64,
    /// Dashboards.
    pub dashboards: f64,
}

/// Assumptions.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    /// Running time of a function, for each of its calls to the table.
    pub ms_per_store_call: f64,
    /// Further running time of a login: its password.
    pub ms_per_login: f64,
    /// Memory of most functions.
    pub function_gb: f64,
    /// Memory of `login`.
    pub login_gb: f64,
    /// Memory of `cooldown-cleanup`.
    pub cleanup_gb: f64,
    /// What an invocation writes to the logs, with the platform's lines and the gateway's.
    pub log_bytes_per_invocation: f64,
    /// How long logs are kept.
    pub log_months: f64,
    /// What the table stores of a merchant, without payouts.
    pub merchant_kb: f64,
    /// What it stores of a payout.
    pub payout_kb: f64,
    /// The payouts of how many months are stored.
    pub payout_months: f64,
}

/// The cost of a month, in dollars, by what causes it.
#[derive(Clone, Debug)]
pub struct Bill {
    /// How many merchants.
    pub merchants: u64,
    /// The parts, in the order of the table.
    pub parts: Vec<(&'static str, f64)>,
}

impl Bill {
    /// The sum.
    #[must_use]
    pub fn sum(&self) -> f64 {
        self.parts.iter().map(|(_, dollars)| dollars).sum()
    }
}

impl Month {
    /// The file in the repository.
    ///
    /// # Errors
    /// When the file is malformed.
    pub fn load() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../../month.json"))
    }

    /// A month of one merchant, all operations together. An operation that the file does not describe uses nothing.
    fn of_merchant(&self) -> Operation {
        let mut sum = Operation::default();
        for (name, &times) in &self.merchant {
            let one = self.operations.get(name).copied().unwrap_or_default();
            sum.requests += times * one.requests;
            sum.invocations += times * one.invocations;
            sum.calls += times * one.calls;
            sum.rru += times * one.rru;
            sum.wru += times * one.wru;
            sum.key_calls += times * one.key_calls;
            sum.signatures += times * one.signatures;
            sum.messages += times * one.messages;
            sum.publishes += times * one.publishes;
        }
        sum
    }

    fn times(&self, operation: &str) -> f64 {
        self.merchant.get(operation).copied().unwrap_or_default()
    }

    /// The cost with so many merchants, at list prices without tiers and free quotas.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a number of merchants is small")]
    pub fn bill(&self, merchants: u64, prices: &Prices) -> Bill {
        let n = merchants as f64;
        let (one, system, assumed) = (self.of_merchant(), self.system, self.assumed);
        let per_million = &prices.per_million;
        let runs = system.cleanup_runs + system.anchor_runs;
        let invocations = n * (one.requests + one.invocations) + runs;
        let of_calls = prices.of(Usage {
            http_requests: n * one.requests / MILLION,
            invocations: invocations / MILLION,
            rru: (n * one.rru + system.cleanup_runs * system.cleanup_calls / 2.0) / MILLION,
            wru: n * one.wru / MILLION,
            kms_requests: n * one.key_calls / MILLION,
        });
        let [dynamodb, kms, http_api, lambda] = of_calls.map(|(_, dollars)| dollars);

        let gb_s = |ms: f64, gb: f64| ms / 1_000.0 * gb;
        let logins = n * self.times("login");
        let run_s = gb_s(
            n * one.calls * assumed.ms_per_store_call,
            assumed.function_gb,
        ) + gb_s(logins * assumed.ms_per_login, assumed.login_gb)
            + gb_s(
                system.cleanup_runs * system.cleanup_calls * assumed.ms_per_store_call,
                assumed.cleanup_gb,
            );
        let duration = run_s / MILLION * per_million.lambda_gb_second_arm64;

        let payouts_kb = self.times("payout") * assumed.payout_months * assumed.payout_kb;
        let stored_gb = n * (assumed.merchant_kb + payouts_kb) / KB_PER_GB;
        let storage = stored_gb * (prices.dynamodb_gb_month + prices.dynamodb_backup_gb_month);

        let logs_gb = invocations * assumed.log_bytes_per_invocation / 1e9;
        let logs = logs_gb * (prices.log_gb + prices.log_gb_month * assumed.log_months);

        let watching = system.custom_metrics * prices.custom_metric_month
            + system.alarm_metrics * prices.alarm_metric_month
            + system.dashboards * prices.dashboard_month;
        let keys = system.keys * prices.key_month
            + system.secrets * prices.secret_month
            + (n * one.signatures + system.anchor_runs) / MILLION * per_million.kms_signature;
        let events = n * one.publishes / MILLION
            * (per_million.sns_publish + per_million.sqs_request)
            + system.anchor_runs / MILLION * (per_million.sqs_request + 3.0 * per_million.s3_put);
        Bill {
            merchants,
            parts: vec![
                ("DynamoDB, requests", dynamodb),
                ("DynamoDB, storage and backup", storage),
                ("Lambda, duration", duration),
                ("Lambda, requests", lambda),
                ("HTTP API", http_api),
                ("KMS, requests", kms),
                ("keys, secrets, signatures", keys),
                ("logs", logs),
                ("metrics, alarms, dashboard", watching),
                ("events and the log's anchor", events),
                ("SMS", n * one.messages * prices.sms),
            ],
        }
    }
}

/// Prints the bills of so many merchants. `month`: a file to read instead of the repository's; `sms`: the price of an SMS.
///
/// # Errors
/// When the file cannot be read.
pub fn run(merchants: &[u64], month: Option<&Path>, sms: Option<f64>) -> Result<(), Error> {
    let malformed = |error: serde_json::Error| Error::Reply {
        what: "numbers of a month, as in infra/month.json".to_owned(),
        reply: error.to_string(),
    };
    let month = match month {
        None => Month::load(),
        Some(path) => {
            let text = std::fs::read_to_string(path)
                .map_err(Error::io(format!("reading {}", path.display())))?;
            serde_json::from_str(&text)
        }
    };
    let month = month.map_err(malformed)?;
    let mut prices = Prices::load().map_err(malformed)?;
    prices.sms = sms.unwrap_or(prices.sms);
    let merchants = match merchants {
        [] => &MERCHANTS[..],
        given => given,
    };
    let bills: Vec<Bill> = merchants.iter().map(|&n| month.bill(n, &prices)).collect();
    print!("{}", table(&bills, &prices));
    Ok(())
}

fn table(bills: &[Bill], prices: &Prices) -> String {
    let row = |name: &str, cells: Vec<String>| {
        let cells: Vec<String> = cells.iter().map(|cell| format!("{cell:>14}")).collect();
        format!("{name:<30}{}\n", cells.concat())
    };
    let of = |cell: &dyn Fn(&Bill) -> String| bills.iter().map(cell).collect();
    let mut text = row(
        "dollars a month, merchants:",
        of(&|bill| grouped(bill.merchants)),
    );
    let names = bills
        .first()
        .map(|bill| bill.parts.iter())
        .into_iter()
        .flatten();
    for (part, (name, _)) in names.enumerate() {
        text += &row(name, of(&|bill| money(bill.parts[part].1)));
    }
    text += &row("sum", of(&|bill| money(bill.sum())));
    #[expect(clippy::cast_precision_loss, reason = "a number of merchants is small")]
    let each = |bill: &Bill| format!("{:.4}", bill.sum() / bill.merchants.max(1) as f64);
    text += &row("a merchant", of(&each));
    text + &format!(
        "{} list prices of {}, no free quotas or tiers; an SMS at ${}; assumptions in infra/month.json\n",
        prices.region, prices.as_of, prices.sms
    )
}

/// With thousands separated.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a bill is positive and far below the limit"
)]
fn money(dollars: f64) -> String {
    match dollars < 100.0 {
        true => format!("{dollars:.2}"),
        false => grouped(dollars.round() as u64),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_with_merchants_or_are_fixed() {
        let (month, prices) = (Month::load().unwrap(), Prices::load().unwrap());
        let [none, one, ten] = [0, 1_000, 10_000].map(|n| month.bill(n, &prices));
        let part = |bill: &Bill, name: &str| {
            let found = bill.parts.iter().find(|(part, _)| *part == name);
            found.unwrap().1
        };
        for (name, fixed) in &none.parts {
            let grown = (part(&ten, name) - fixed) / (part(&one, name) - fixed);
            let is_fixed = *name == "metrics, alarms, dashboard";
            assert!(is_fixed || (grown - 10.0).abs() < 1e-6, "{name}: {grown}");
        }
        assert_eq!(
            part(&ten, "HTTP API"),
            10_000.0 * month.of_merchant().requests / 1e6
        );
    }

    #[test]
    fn every_operation_of_a_merchant_is_described() {
        let month = Month::load().unwrap();
        let described: Vec<&String> = month.operations.keys().collect();
        assert_eq!(month.merchant.keys().collect::<Vec<_>>(), described);
    }

    #[test]
    fn numbers_are_readable() {
        assert_eq!(grouped(50_000_000), "50,000,000");
        assert_eq!(grouped(999), "999");
        assert_eq!(
            (money(99.999), money(1234.5)),
            ("100.00".to_owned(), "1,235".to_owned())
        );
        let bill = Month::load().unwrap().bill(10, &Prices::load().unwrap());
        let text = table(&[bill], &Prices::load().unwrap());
        assert!(
            text.starts_with("dollars a month, merchants:               10\n"),
            "{text}"
        );
        assert!(text.contains("\nSMS "), "{text}");
    }
}
