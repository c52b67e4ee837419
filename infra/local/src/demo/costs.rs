//! What a story cost: the duration and the table's units of each invocation, from the functions' log lines, and the price of
//! the whole.

use serde_json::Value;

use crate::prices::{Prices, Usage};

/// One invocation, from its log line.
struct Invocation {
    name: String,
    ms: u64,
    calls: u64,
    rru: f64,
    wru: f64,
    key_calls: u64,
    is_http: bool,
}

impl Invocation {
    /// `None` for a line that does not end an invocation.
    fn of(line: &Value) -> Option<Self> {
        let text = |name: &str| line[name].as_str();
        let (name, is_http) = match text("message")? {
            "request.answered" => (text("http.route")?.to_owned(), true),
            "payout.handled" => (format!("payouts: {}", text("payout.operation")?), false),
            "notifications.handled" => ("confirmation-notice".to_owned(), false),
            "events.handled" => ("events".to_owned(), false),
            "cleanup.finished" => ("cooldown-cleanup".to_owned(), false),
            _ => return None,
        };
        let number = |name: &str| line[name].as_u64().unwrap_or_default();
        let units = |name: &str| line[name].as_f64().unwrap_or_default();
        Some(Self {
            name,
            ms: number("duration_ms"),
            calls: number("store.calls"),
            rru: units("store.rru"),
            wru: units("store.wru"),
            key_calls: number("keys.calls"),
            is_http,
        })
    }
}

/// The number of HTTP requests in the log lines.
pub(super) fn requests(lines: &[Value]) -> usize {
    let all = lines.iter().filter_map(Invocation::of);
    all.filter(|invocation| invocation.is_http).count()
}

/// Prints the invocations and the price of all.
pub(super) fn print(lines: &[Value], prices: &Prices) {
    println!(
        "\n{:<52} {:>5} {:>6} {:>6} {:>6} {:>4}",
        "invocation", "ms", "calls", "RRU", "WRU", "KMS"
    );
    let mut sum = Usage::default();
    let mut calls = 0;
    for one in lines.iter().filter_map(Invocation::of) {
        println!(
            "{:<52} {:>5} {:>6} {:>6.1} {:>6.1} {:>4}",
            one.name, one.ms, one.calls, one.rru, one.wru, one.key_calls
        );
        calls += one.calls;
        sum.invocations += 1.0;
        sum.http_requests += f64::from(u8::from(one.is_http));
        sum.rru += one.rru;
        sum.wru += one.wru;
        sum.kms_requests += one.key_calls as f64;
    }
    println!(
        "{:<52} {:>5} {:>6} {:>6.1} {:>6.1} {:>4}",
        format!("{} invocations", sum.invocations),
        "",
        calls,
        sum.rru,
        sum.wru,
        sum.kms_requests
    );
    let parts = prices.of(sum);
    let dollars: f64 = parts.iter().map(|(_, dollars)| dollars).sum();
    let parts: Vec<String> = parts
        .iter()
        .map(|(service, dollars)| format!("{service} {dollars:.2}"))
        .collect();
    println!(
        "${dollars:.2} for a million of these ({}), without SMS, the functions' duration and logs; {} prices of {}\n",
        parts.join(", "),
        prices.region,
        prices.as_of
    );
}
