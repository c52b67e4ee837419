//! Runs the committed fuzz corpora, and inputs derived from them, through the fuzz targets on any toolchain.
//!
//! `FUZZ_SEED=<number>` changes the derived inputs, `FUZZ_TIMES=<number>` multiplies them.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, missing_docs)]

use api::event::{HttpEvent, Request};
use api::reply::Reply;
use api::routes::Route;
use application::error::HandlerError;
use application::ports::PortError;
use application::serve::{Deployment, Handler, respond};
use application::switches::Stopped;
use application::usage::Usage;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::str::FromStr;
use tests::fuzz::{TARGETS, Target, corpus, crash, target};
use tests::metrics::metric;
use tests::payloads;

/// The default seed of the derived inputs.
const SEED: u64 = 20_261_122;
/// Derived inputs per target: for a parser, and for a target with the functions and a table.
const MADE: [usize; 2] = [4_000, 200];
/// Seeds per target in git.
const SEEDS: RangeInclusive<usize> = 5..=25;
/// Total size of all seeds.
const SEEDS_MAX_BYTES: u64 = 100_000;

fn number<T: FromStr>(variable: &str, usual: T) -> T {
    let given = std::env::var(variable).ok();
    given.and_then(|given| given.parse().ok()).unwrap_or(usual)
}

/// A deterministic sequence of numbers (splitmix64).
struct Row(u64);

impl Row {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, or 0 if `bound` is 0.
    fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).unwrap();
        usize::try_from(self.next() % bound).unwrap()
    }
}

/// A random mutation of one of the inputs.
fn like(inputs: &[Vec<u8>], row: &mut Row) -> Vec<u8> {
    const BYTES: &[u8] = b"\0\x01\x7f\x80\xff\n\r \"\\{}[],:.$%&=/-+0129AXaz";
    let mut input = inputs[row.below(inputs.len())].clone();
    for _ in 0..=row.below(4) {
        let (from, to) = (row.below(input.len() + 1), row.below(input.len() + 1));
        let (from, to) = (from.min(to), from.max(to));
        match row.below(6) {
            0 if from < input.len() => input[from] ^= 1 << row.below(8),
            1 if from < input.len() => input[from] = BYTES[row.below(BYTES.len())],
            2 => input.insert(from, BYTES[row.below(BYTES.len())]),
            3 => drop(input.drain(from..to.min(from + 16))),
            4 => {
                let part = input[from..to].to_vec();
                input.splice(from..from, part);
            }
            _ => {
                let other = &inputs[row.below(inputs.len())];
                let tail = other[row.below(other.len() + 1)..].to_vec();
                input.splice(from.., tail);
            }
        }
        input.truncate(64 * 1024);
    }
    input
}

fn kept(target: Target) -> Vec<Vec<u8>> {
    let folder = std::fs::read_dir(corpus(target.name)).unwrap();
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
        .iter()
        .map(|file| std::fs::read(file).unwrap())
        .collect()
}

/// Runs all seeds and `made` derived inputs; returns the crashes.
fn replay(target: Target, kept: &[Vec<u8>], made: usize) -> Vec<String> {
    let mut row = Row(number("FUZZ_SEED", SEED));
    let made = (0..made).map(|_| like(kept, &mut row));
    let inputs = kept.iter().cloned().chain(made);
    let crashes = inputs.filter_map(|input| {
        let panic = crash(target, &input)?;
        Some(format!(
            "{}: {:?}\n{panic}",
            target.name,
            String::from_utf8_lossy(&input)
        ))
    });
    crashes.collect()
}

/// Targets with the functions and a table: an input takes a thousand times as long as a parser's.
fn is_slow(target: &Target) -> bool {
    [
        "request",
        "http_event",
        "stream_event",
        "schedule_event",
        "core_operation",
        "bank_reply",
        "sandbox_bank",
    ]
    .contains(&target.name)
}

fn replay_all(slow: bool) {
    println!("FUZZ_SEED={}", number("FUZZ_SEED", SEED));
    let mut crashes = Vec::new();
    for target in TARGETS.iter().filter(|target| is_slow(target) == slow) {
        let kept = kept(*target);
        let made = MADE[usize::from(slow)] * number("FUZZ_TIMES", 1);
        let found = replay(*target, &kept, made);
        metric(
            &format!("fuzz: inputs replayed, {}", target.name),
            kept.len() + made,
            found.len(),
        );
        crashes.extend(found);
    }
    assert!(crashes.is_empty(), "{}", crashes.join("\n\n"));
}

#[test]
fn parsers_hold_on_any_input() {
    replay_all(false);
}

#[test]
fn functions_pass_corpus_and_mutations() {
    replay_all(true);
}

/// Requests that crash a process whose runtime parses them as HTTP again (`lambda_http`): for every route, as the gateway sends
/// them.
#[test]
fn requests_that_crash_lambda_http_are_answered() {
    let target = target("http_event");
    let (mut tried, mut crashes) = (0, Vec::new());
    for file in std::fs::read_dir(payloads::FOLDER).unwrap() {
        let file = file.unwrap().file_name();
        let event = payloads::read(file.to_str().unwrap());
        if event["rawPath"].is_null() {
            continue;
        }
        for (pointer, value) in [
            ("/rawQueryString", "a={|\"<"),
            ("/rawQueryString", "a=%ff%00%zz&&=&=&a[]=1"),
            ("/headers/host", "a:99999"),
            ("/headers/host", ""),
            ("/headers/host", "[::1"),
            ("/headers/cookie", ";;=;\u{1}"),
            ("/headers/content-type", "application/json; charset=\u{ff}"),
            ("/headers/x-forwarded-port", "-1"),
            ("/requestContext/http/method", "G E\u{7f}T"),
            ("/requestContext/http/sourceIp", "::ffff:999.1.1.1"),
            ("/requestContext/domainName", "a b:99999"),
            ("/rawPath", "/v1/%zz/{|\"<\\"),
        ] {
            let mut event = event.clone();
            event["headers"]
                .as_object_mut()
                .unwrap()
                .remove("x-sandbox-now");
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            event.pointer_mut(parent).unwrap()[name] = value.into();
            tried += 1;
            let panic = crash(target, event.to_string().as_bytes());
            crashes.extend(panic.map(|panic| format!("{file:?} {pointer} {value:?}\n{panic}")));
        }
    }
    metric(
        "fuzz: requests that crash a lambda_http process",
        tried,
        crashes.len(),
    );
    assert!(tried > 200, "{tried}");
    assert!(crashes.is_empty(), "{}", crashes.join("\n\n"));
}

/// Panics on certain ids. The panic handler of all functions catches it.
struct Planted;

impl Handler for Planted {
    type Route = Route;

    async fn handle(
        &self,
        _: Route,
        request: &Request,
        _: Timestamp,
    ) -> Result<Reply, HandlerError> {
        assert!(!request.path_id.ends_with("-cards"), "planted");
        Ok(Reply::no_content())
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        Ok(Stopped::default())
    }

    fn usage(&self) -> Usage {
        Usage::default()
    }
}

fn planted(input: &[u8]) {
    let event = serde_json::json!({
        "pathParameters": {"id": String::from_utf8_lossy(input)},
        "requestContext": {"routeKey": Route::GetRebind.label()},
    });
    let event: HttpEvent = serde_json::from_value(event).unwrap();
    let stage = Deployment::new("sandbox");
    let answer = respond(&Planted, &stage, event);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let status = runtime.block_on(answer).status_code;
    assert!([204, 404, 500].contains(&status), "{status}");
}

#[test]
fn caught_panic_counts_as_a_crash() {
    let target = Target {
        name: "planted",
        run: planted,
    };
    assert_eq!(crash(target, b"rbd-payouts"), None);
    let panic = crash(target, b"rbd-cards").unwrap();
    assert!(panic.contains("planted"), "{panic}");
    // Mutations of two harmless ids reach the panic.
    let crashes = replay(
        target,
        &[b"rbd-cards-".to_vec(), b"-cards".repeat(3)[..17].to_vec()],
        1_000,
    );
    metric(
        "fuzz: planted crashes found",
        1,
        usize::from(crashes.is_empty()),
    );
    assert!(!crashes.is_empty());
}

#[test]
fn failed_assertion_counts_as_crash() {
    fn wrong(input: &[u8]) {
        assert!(input.len() < 4, "a parser that is not as it must be");
    }
    let target = Target {
        name: "wrong",
        run: wrong,
    };
    assert_eq!(crash(target, b"123"), None);
    assert!(
        crash(target, b"1234")
            .unwrap()
            .contains("not as it must be")
    );
}

#[test]
fn each_target_has_a_program_and_seeds() {
    let manifest = corpus("").join("../Cargo.toml");
    let manifest = std::fs::read_to_string(manifest).unwrap();
    let programs: BTreeSet<&str> = manifest
        .split("[[bin]]\nname = \"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    let names: BTreeSet<&str> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(programs, names);
    let mut bytes = 0;
    for target in TARGETS {
        let inputs = kept(*target);
        let seeds = inputs.len();
        assert!(SEEDS.contains(&seeds), "{}: {seeds} seeds", target.name);
        bytes += inputs.iter().map(|input| input.len() as u64).sum::<u64>();
    }
    assert!(bytes <= SEEDS_MAX_BYTES, "{bytes} bytes of seeds");
}
