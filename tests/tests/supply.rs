//! Dependencies and settings of the deployed functions: one TLS stack, no credentials beyond a function's own, a limit on every
//! wait, panics that unwind. Read from cargo's metadata and from `infra/template.yaml`.

#![allow(clippy::unwrap_used, missing_docs)]

use aho_corasick::AhoCorasick;
use aws::s3;
use aws::settings::{
    ATTEMPT_TIMEOUT_MS, ATTEMPTS_MAX, CONNECT_TIMEOUT_MS, OPERATION_TIMEOUT_MS, PUBLISH_TIMEOUT_MS,
};
use bank::client;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use store::outbox::LEASE_S;
use tests::iam_policy::{logical_name, template};
use tests::metrics::metric;

const FUNCTIONS: [&str; 15] = [
    "login",
    "cards",
    "rebind-request",
    "verification",
    "agreement",
    "settlement",
    "freezes",
    "payouts",
    "operator",
    "confirmation-notice",
    "events",
    "cooldown-cleanup",
    "anchor",
    "sandbox-bank",
    "sandbox-gateway",
];
/// The processors that Lambda offers.
const TARGETS: [&str; 2] = ["aarch64-unknown-linux-gnu", "x86_64-unknown-linux-gnu"];
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Crates that a function must not depend on, with the reason.
const UNWANTED: [(&str, &str); 20] = [
    ("ring", "a second cryptography library beside aws-lc"),
    ("openssl", "a second TLS stack"),
    ("openssl-sys", "a second TLS stack"),
    ("native-tls", "a second TLS stack"),
    ("s2n-tls", "a second TLS stack"),
    ("boring", "a second TLS stack"),
    (
        "webpki-roots",
        "root certificates as old as the last deployment",
    ),
    ("aws-sdk-sso", "a function has the credentials of its role"),
    (
        "aws-sdk-ssooidc",
        "a function has the credentials of its role",
    ),
    (
        "aws-sdk-signin",
        "a function has the credentials of its role",
    ),
    ("lambda_http", "a request can crash it"),
    ("reqwest", "a second HTTP client"),
    ("sqlx", "another store"),
    ("dynoxide-rs", "a test dependency"),
    ("jsonschema", "a test dependency"),
    ("schemars", "for the API description only"),
    ("proptest", "a test dependency"),
    ("stateright", "a test dependency"),
    ("insta", "a test dependency"),
    ("serde-saphyr", "a test dependency"),
];
/// Crates that must resolve to one version.
const ONCE: [&str; 7] = [
    "rustls",
    "aws-lc-rs",
    "hyper-rustls",
    "hyper",
    "h2",
    "tokio",
    "http",
];

/// The dependencies of the functions: name, version, features.
type Graph = BTreeSet<(String, String, BTreeSet<String>)>;

/// The crates that are linked into the functions' binaries on a target, without build tools and test dependencies.
fn graph(target: &str) -> Graph {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut tree = Command::new(cargo);
    tree.current_dir(ROOT)
        .args(["tree", "--offline", "--locked", "--edges", "normal"])
        .args([
            "--prefix", "none", "--format", "{p}|{f}", "--target", target,
        ]);
    for function in FUNCTIONS {
        tree.args(["--package", function]);
    }
    let built = tree.output().unwrap();
    assert!(
        built.status.success(),
        "{}",
        String::from_utf8_lossy(&built.stderr)
    );
    parsed(&String::from_utf8(built.stdout).unwrap())
}

/// `hyper v1.12.0|client,http1`, with ` (*)` appended on repetition.
fn parsed(tree: &str) -> Graph {
    let lines = tree.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| {
            let (package, features) = line.split_once('|').unwrap();
            let mut words = package.split(' ');
            let name = words.next().unwrap().to_owned();
            let version = words.next().unwrap().trim_start_matches('v').to_owned();
            let features = features.trim_end_matches(" (*)").split(',');
            let features = features.filter(|name| !name.is_empty());
            (name, version, features.map(str::to_owned).collect())
        })
        .collect()
}

/// The violations of these rules.
fn wrong(graph: &Graph) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut versions: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (name, version, features) in graph {
        versions.entry(name).or_default().insert(version);
        if let Some((_, why)) = UNWANTED.iter().find(|(unwanted, _)| unwanted == name) {
            wrong.push(format!("{name}: {why}"));
        }
        let expected: Option<&[&str]> = match name.as_str() {
            "aws-config" => Some(&["default-https-client", "rt-tokio"]),
            name if name.starts_with("aws-sdk-") && name != "aws-sdk-sts" => {
                Some(&["default-https-client", "rt-tokio"])
            }
            _ => None,
        };
        let features: BTreeSet<&str> = features.iter().map(String::as_str).collect();
        if expected.is_some_and(|expected| features != expected.iter().copied().collect()) {
            wrong.push(format!("{name} with {features:?}"));
        }
        if name == "rustls" && (features.contains("ring") || !features.contains("aws_lc_rs")) {
            wrong.push(format!("rustls not on aws-lc alone: {features:?}"));
        }
    }
    for name in ONCE {
        match versions.get(name).map_or(0, BTreeSet::len) {
            1 => {}
            count => wrong.push(format!("{count} versions of {name}")),
        }
    }
    wrong
}

#[test]
fn functions_link_one_tls_stack() {
    let folders = std::fs::read_dir(format!("{ROOT}/functions")).unwrap();
    let folders = folders.map(|folder| folder.unwrap().file_name().into_string().unwrap());
    assert_eq!(
        folders.collect::<BTreeSet<_>>(),
        FUNCTIONS.map(str::to_owned).into()
    );
    let mut crates = BTreeSet::new();
    for target in TARGETS {
        let graph = graph(target);
        for function in FUNCTIONS {
            assert!(
                graph.iter().any(|(name, ..)| name == function),
                "{function}"
            );
        }
        assert_eq!(wrong(&graph), Vec::<String>::new(), "{target}");
        crates.extend(graph.into_iter().map(|(name, version, _)| (name, version)));
    }
    metric(
        "supply chain: crates in the functions, on both processors, with a second TLS stack or other people's credentials",
        crates.len(),
        0,
    );
}

#[test]
fn detects_unwanted_crates() {
    let fine = "rustls v0.23.46|aws_lc_rs,std\naws-lc-rs v1.19.0|\nhyper-rustls v0.27.10|http1\nhyper v1.12.0|client\n\
                h2 v0.4.20|\ntokio v1.54.1|rt (*)\nhttp v1.5.0|\naws-config v1.13.0|default-https-client,rt-tokio\n";
    assert_eq!(wrong(&parsed(fine)), Vec::<String>::new());
    for (more, found) in [
        ("ring v0.17.0|", "ring"),
        ("openssl-sys v0.9.0|", "openssl-sys"),
        ("rustls v0.21.0|aws_lc_rs", "2 versions of rustls"),
        (
            "rustls v0.23.46|aws_lc_rs,ring",
            "rustls not on aws-lc alone",
        ),
        ("hyper v0.14.0|client", "2 versions of hyper"),
        (
            "aws-config v1.13.0|default-https-client,rt-tokio,sso",
            "aws-config with",
        ),
        (
            "aws-sdk-sso v1.0.0|default-https-client,rt-tokio",
            "aws-sdk-sso",
        ),
        (
            "aws-sdk-kms v1.0.0|default-https-client,rt-tokio,test-util",
            "aws-sdk-kms with",
        ),
        ("dynoxide-rs v3.2.0|", "dynoxide-rs"),
    ] {
        let wrong = wrong(&parsed(&format!("{fine}{more}\n")));
        assert!(
            wrong.iter().any(|wrong| wrong.starts_with(found)),
            "{more}: {wrong:?}"
        );
    }
    assert_eq!(wrong(&parsed("")).len(), ONCE.len());
}

/// Only the template sets a function's variables, and each has one file of root certificates.
#[test]
fn root_certificates_are_built_in() {
    let globals = &template()["Globals"]["Function"]["Environment"]["Variables"];
    assert_eq!(globals["SSL_CERT_FILE"], "RootCertificates");
    let file = template()["Parameters"]["RootCertificates"]["Default"]
        .as_str()
        .unwrap();
    assert!(file.starts_with('/') && !file.ends_with('/'), "{file}");
    for function in FUNCTIONS {
        let variables = &properties(function)["Environment"]["Variables"];
        for name in ["SSL_CERT_FILE", "SSL_CERT_DIR"] {
            assert!(variables[name].is_null(), "{function} sets {name}");
        }
    }
    assert!(globals["SSL_CERT_DIR"].is_null());
}

fn properties(function: &str) -> &'static Value {
    &template()["Resources"][logical_name(function) + "Function"]["Properties"]
}

/// The Lambda timeout of each function in the template.
fn limit_ms(function: &str) -> u64 {
    let own = properties(function)["Timeout"].as_u64();
    let common = template()["Globals"]["Function"]["Timeout"].as_u64();
    own.or(common).unwrap() * 1_000
}

/// No call outlasts the function that waits for it, nor do the listed calls together. Further calls of a step (KMS, a third
/// table call, a bank query, a deposit, an SMS) can exceed the limit if several time out; a repeat with the same key then
/// continues.
#[test]
fn calls_time_out_before_function() {
    // The SDK pauses at most one second before the first retry and two before the second.
    const PAUSE_MS: u64 = 1_000;
    const {
        assert!(CONNECT_TIMEOUT_MS < ATTEMPT_TIMEOUT_MS && ATTEMPTS_MAX >= 2);
        assert!(2 * ATTEMPT_TIMEOUT_MS + PAUSE_MS <= OPERATION_TIMEOUT_MS);
        assert!(client::CONNECT_TIMEOUT_MS < client::QUERY_TIMEOUT_MS);
    }
    let (read, write) = (OPERATION_TIMEOUT_MS, OPERATION_TIMEOUT_MS);
    let publish_until_ms = u64::try_from(events::PUBLISH_UNTIL_S).unwrap() * 1_000;
    for (function, longest_ms) in [
        ("login", read + write),
        ("cards", read + write),
        ("rebind-request", read + write),
        ("agreement", read + write),
        ("settlement", read + write),
        ("freezes", read + write),
        ("payouts", read + write),
        // Reservation, bank call, answer.
        (
            "verification",
            read + write + client::ASK_TIMEOUT_MS + write,
        ),
        // Leased, sent, marked.
        ("confirmation-notice", write + PUBLISH_TIMEOUT_MS + write),
        // The last publish of a batch.
        ("events", publish_until_ms + OPERATION_TIMEOUT_MS),
        // One entry, the time reserved for it.
        ("cooldown-cleanup", read + client::QUERY_TIMEOUT_MS + write),
        // Leaf, signature, checkpoint and deletion after the last message: every call with its retries.
        ("anchor", 3 * s3::CALL_TIMEOUT_MS + 2 * write),
        ("sandbox-bank", read + write),
    ] {
        assert!(
            longest_ms < limit_ms(function),
            "{function}: {longest_ms} ms"
        );
    }
    let entry_ms = read + client::QUERY_TIMEOUT_MS + write;
    assert!(u128::from(entry_ms) <= cooldown_cleanup::RESERVE.as_millis());
    let rest_ms = 3 * s3::CALL_TIMEOUT_MS + 2 * write;
    assert!(u128::from(rest_ms) <= anchor::RESERVE.as_millis());
    // A message is visible again after the run that received it, and before the next one.
    let queue = &template()["Resources"]["AnchorQueue"]["Properties"];
    let hidden_ms = queue["VisibilityTimeout"].as_u64().unwrap() * 1_000;
    assert!(limit_ms("anchor") < hidden_ms && hidden_ms < 300_000);
    // The gateway gives up after 30 s; a lease outlives the invocation that took it.
    assert!(limit_ms("verification") < 30_000);
    assert!(limit_ms("confirmation-notice") < u64::try_from(LEASE_S).unwrap() * 1_000);
}

/// A panic must end a request, not its environment.
#[test]
fn release_profile_unwinds() {
    let read = |path: &str| std::fs::read_to_string(format!("{ROOT}/{path}")).unwrap_or_default();
    let manifest = read("Cargo.toml");
    let (_, release) = manifest.split_once("[profile.release]\n").unwrap();
    let release = release.split("\n[").next().unwrap();
    assert!(
        release
            .lines()
            .any(|line| line.starts_with("panic = \"unwind\"")),
        "{release}"
    );
    for path in ["Cargo.toml", ".cargo/config.toml"] {
        assert!(!read(path).contains("abort"), "{path}");
    }
}

/// Each function carries the digest of the sources as they are now, so none is left over from earlier sources.
#[test]
fn functions_carry_the_digest_of_their_sources() {
    let digest = release::digest::of(Path::new(ROOT)).unwrap();
    let binaries = local::binaries(&FUNCTIONS).unwrap();
    assert_eq!(binaries.len(), FUNCTIONS.len());
    for (name, binary) in binaries {
        let content = std::fs::read(&binary).unwrap();
        let found = AhoCorasick::new([&digest]).unwrap().find(&content);
        assert!(found.is_some(), "{name} was built from other sources");
    }
}
