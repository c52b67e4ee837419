//! Checks the numbers against their version and against the documents that state them.

use super::*;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;

const CONTRACT: &str = include_str!("../../CONTRACT.md");

/// Each version with the digest of its numbers. A new version adds a line; existing lines never change.
const VERSIONS: [(u32, &str); 4] = [
    (
        1,
        "4b04a2749b2f11333e43942caa528fb277130848bc31d3951d130ee5c3fb2da4",
    ),
    (
        2,
        "f01284d6906551fe3f4515540d056a059823f20c7a99981588c460e4d402ec6c",
    ),
    (
        3,
        "5eee32983be23dbf53151094dc490ea427d557fe6fec71c2b590453dd09f7804",
    ),
    (
        4,
        "90c21631e2feb08c5312f47ce72a9aa9221acf61c8b984e7df82b9d12e7b5a80",
    ),
];

/// Every number except the version, in the order of the struct.
fn numbers(policy: &Policy) -> Vec<(String, i64)> {
    let text = format!("{policy:?}");
    let fields = text
        .strip_prefix("Policy { ")
        .and_then(|text| text.strip_suffix(" }"));
    let fields = fields.unwrap().split(", ").skip(1);
    fields
        .map(|field| {
            let (name, value) = field.split_once(": ").unwrap();
            (name.to_owned(), value.parse().unwrap())
        })
        .collect()
}

fn digest(policy: &Policy) -> String {
    let values = numbers(policy).into_iter();
    let values: Vec<String> = values.map(|(_, value)| value.to_string()).collect();
    hex::encode(Sha256::digest(values.join(" ")))
}

#[test]
fn changed_number_has_a_new_version() {
    let (last, _) = VERSIONS.last().unwrap();
    assert_eq!(*last, Policy::CURRENT.version);
    assert!(VERSIONS.iter().map(|(version, _)| *version).eq(1..=*last));
    assert_eq!(
        digest(&Policy::CURRENT),
        VERSIONS.last().unwrap().1,
        "a number was changed or added: raise Policy::version, then add version and digest to VERSIONS"
    );
}

#[test]
fn digest_follows_the_numbers() {
    let changes: [fn(&mut Policy); 3] = [
        |policy| policy.session_idle_s += 1,
        |policy| policy.code_attempts += 1,
        |policy| policy.notification_retries_max += 1,
    ];
    for change in changes {
        let mut changed = Policy::CURRENT;
        change(&mut changed);
        assert_ne!(digest(&changed), digest(&Policy::CURRENT));
    }
}

/// A number in seconds if it has a unit, otherwise unchanged.
fn read(value: &str) -> i64 {
    let (number, unit) = value.split_once(' ').unwrap_or((value, ""));
    let unit_s = match unit {
        "" | "s" => 1,
        "min" => MINUTE_S,
        "h" => HOUR_S,
        "days" => DAY_S,
        other => panic!("{other:?} is not a known unit"),
    };
    number.parse::<i64>().unwrap() * unit_s
}

/// The constants of the contract's section 4: each row is `| rule | `constant` | value |`.
fn contract() -> BTreeMap<String, String> {
    let (_, section) = CONTRACT.split_once("\n## 4. Policy").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let mut constants = BTreeMap::new();
    for line in section.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|row| row.strip_suffix('|')) else {
            continue;
        };
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let [_, constant, value] = cells[..] else {
            panic!("not a row of three cells: {line}")
        };
        let Some(constant) = constant
            .strip_prefix('`')
            .and_then(|name| name.strip_suffix('`'))
        else {
            continue;
        };
        let twice = constants.insert(constant.to_owned(), value.to_owned());
        assert_eq!(twice, None, "{constant} has two rows");
    }
    constants
}

#[test]
fn contract_states_every_number() {
    let policy = Policy::CURRENT;
    let mut expected: BTreeMap<String, i64> = numbers(&policy).into_iter().collect();
    expected.insert("version".to_owned(), policy.version.into());
    let stated = contract().into_iter();
    let stated: BTreeMap<String, i64> = stated.map(|(name, value)| (name, read(&value))).collect();
    assert_eq!(stated, expected);
}

#[test]
fn contract_gives_times_a_unit() {
    for (name, value) in contract() {
        assert_eq!(name.ends_with("_s"), value.contains(' '), "{name}: {value}");
    }
}
