//! The state of a merchant, without values that differ between runs: random parts, their keyed hashes, times. Two runs that
//! end in the same state have equal pictures.

use crate::story::NAME;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use domain::time::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use tests::dynamodb_table::Items;
use tests::in_process::PeerState;

/// Every value by its path, both as text.
pub type Picture = BTreeMap<String, String>;

/// A value that differs between two pictures.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The path.
    pub place: String,
    /// The value of a run without a fault; `-` if absent.
    pub wanted: String,
    /// The value of this run.
    pub found: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {} -> {}", self.place, self.wanted, self.found)
    }
}

/// The differences.
#[must_use]
pub fn differences(wanted: &Picture, found: &Picture) -> Vec<Difference> {
    let places: BTreeSet<&String> = wanted.keys().chain(found.keys()).collect();
    let at = |picture: &Picture, place: &String| {
        picture
            .get(place)
            .map_or_else(|| "-".to_owned(), Clone::clone)
    };
    places
        .into_iter()
        .filter(|place| wanted.get(*place) != found.get(*place))
        .map(|place| Difference {
            place: place.clone(),
            wanted: at(wanted, place),
            found: at(found, place),
        })
        .collect()
}

/// The table and all output of the system.
#[must_use]
pub fn picture(items: &Items, kept: &PeerState) -> Picture {
    let mut picture = Picture::new();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    for ((pk, sk), item) in items {
        // Each attempt of an operator's call is in the audit chain, which the invariants check.
        if pk.starts_with("U#") {
            continue;
        }
        let mut name = name_of(pk, sk);
        if let Some(kind) = item["kind"]["S"].as_str() {
            // Events and proposals are keyed by content, not by number or id, so that an extra one is one difference.
            let what = match name.as_str() {
                "proposal" => format!("proposal {kind}"),
                _ => format!("event {kind}{}", about(item)),
            };
            let times = kinds.entry(what.clone()).or_default();
            *times += 1;
            name = format!("{what}/{times}");
        }
        let mut attempts = 0;
        for (attribute, value) in item.as_object().unwrap() {
            if attribute == "pk" || attribute == "sk" {
                continue;
            }
            // The hourly counter of attempts has the hour in its key.
            if let Some(hour) = attribute.strip_prefix('h')
                && hour.parse::<i64>().is_ok()
            {
                attempts += value["N"].as_str().unwrap().parse::<i64>().unwrap();
                continue;
            }
            let place = format!("{name}.{attribute}");
            attribute_of(&mut picture, &place, attribute, value);
        }
        if sk == "Q" {
            picture.insert(format!("{name}.attempts"), attempts.to_string());
        }
    }
    for (phone, message) in &kept.sms {
        count(
            &mut picture,
            format!("sms {phone}: {}", without_values(message)),
        );
    }
    for (platform, token, message) in &kept.push {
        let to = platform.as_str();
        count(
            &mut picture,
            format!("push {to} {token}: {}", without_values(message)),
        );
    }
    // A redelivered event is published again, under the same id.
    for event in &kept.published {
        let named = format!("published {} {}", event["type"], event["id"]);
        picture.insert(named, "yes".to_owned());
    }
    // The number of requests with one bank reference does not matter, because the bank is idempotent per reference.
    for serial in &kept.serials {
        picture.insert(format!("bank asked {}", folded(serial)), "yes".to_owned());
    }
    for sent in &kept.transfers {
        let named = format!("bank transfer {}", folded(&sent.serial));
        picture.insert(named, format!("name checked: {}", sent.check_name));
    }
    picture
}

/// The content of a reply, without values that differ between runs.
#[must_use]
pub fn answer(status: u16, body: &Value) -> Picture {
    let mut picture = Picture::from([("answer status".to_owned(), status.to_string())]);
    let mut body = body.clone();
    if let Some(members) = body.as_object_mut() {
        // These values depend on the clock, which has moved, or on the request.
        for name in ["retry_after_s", "reading_token", "token", "instruction"] {
            members.remove(name);
        }
        if let Some(challenge) = members.get_mut("challenge").and_then(Value::as_object_mut) {
            challenge.remove("resend_after_s");
        }
    }
    value_of(&mut picture, "answer", "", &body);
    picture
}

fn count(picture: &mut Picture, what: String) {
    let times = picture.get(&what).map_or(0, |times| times.parse().unwrap());
    picture.insert(what, (times + 1).to_string());
}

fn name_of(pk: &str, sk: &str) -> String {
    let (kind, id) = pk.split_once('#').unwrap();
    let other = if kind == "M" && !id.ends_with(NAME) {
        "another's "
    } else {
        ""
    };
    let id: String = id.chars().take(6).collect();
    let name = match (kind, sk.split_once('#')) {
        ("M", None) if sk == "Y" => "merchant state".to_owned(),
        ("M", None) => "profile".to_owned(),
        ("M", Some(("R", number))) => format!("rebind {}", number.trim_start_matches('0')),
        ("M", Some(("P", place))) => format!("unsent {}", place.rsplit('#').next().unwrap()),
        ("M", Some(("N", device))) => format!("device {device}"),
        ("M", Some((_, card))) => format!("card {}", folded(card)),
        ("O", _) => format!("payout {}", pk.trim_start_matches("O#")),
        ("A", None) if sk == "A" => format!("account {id}"),
        ("I", _) => format!("reply {id}"),
        ("F", _) => format!("number {id}"),
        ("A", _) if sk == "L" => format!("logins {id}"),
        ("A", _) => format!("freezes of an account {id}"),
        ("S", _) if sk == "S" => "failures from an address".to_owned(),
        ("S", _) => "freezes from an address".to_owned(),
        ("P", _) => format!("phone {id}"),
        ("V", _) => "proposal".to_owned(),
        _ => format!("{kind} {id} {sk}"),
    };
    format!("{other}{name}")
}

/// The rebind, payout or card of an event.
fn about(event: &Value) -> String {
    let data = event["data"]["S"].as_str().unwrap();
    let data: Value = serde_json::from_str(data).unwrap();
    let names = ["rebind_id", "payout_id", "card_id"];
    let mut ids = names.iter().filter_map(|name| data[*name].as_str());
    let id = ids.next();
    id.map_or_else(String::new, |id| format!(" of {}", folded(id)))
}

fn attribute_of(picture: &mut Picture, place: &str, name: &str, value: &Value) {
    let mut put = |text: String| {
        picture.insert(place.to_owned(), text);
    };
    match (name, &value["S"], &value["N"], &value["B"]) {
        ("hash" | "prev_hash", ..) => put("a hash".to_owned()),
        // The hash of the OTP for which the attempt was reserved.
        ("context", ..) => put("a context".to_owned()),
        // The time and the context of a claim.
        (claim, ..) if claim.starts_with("c_") => put("a claim".to_owned()),
        // The stream record that delivered the event.
        ("claimed_by", ..) => put("an owner".to_owned()),
        ("due_bucket", Value::String(text), ..) => put(text.rsplit('#').next().unwrap().to_owned()),
        ("state" | "data" | "devices" | "others" | "added" | "slots", Value::String(text), ..) => {
            match serde_json::from_str(text) {
                Ok(value) => value_of(picture, place, "", &value),
                // The state of a proposal is a word.
                Err(_) => put(text.clone()),
            }
        }
        (_, Value::String(text), ..) => put(folded(text)),
        (_, _, Value::String(number), _) => put(number_of(number)),
        ("body", _, _, Value::String(text)) => {
            let body = inflated(&BASE64.decode(text).unwrap());
            let body = serde_json::from_str(&body).unwrap_or(Value::Null);
            for (name, value) in answer(0, &body) {
                picture.insert(format!("{place}.{name}"), value);
            }
        }
        // Failures, four bytes each.
        ("at", _, _, Value::String(text)) => {
            put(format!("{} times", BASE64.decode(text).unwrap().len() / 4));
        }
        (_, _, _, Value::String(_)) => put("bytes".to_owned()),
        _ => put(folded(&value["SS"].to_string())),
    }
}

fn inflated(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut decoder = flate2::read::DeflateDecoder::new(bytes);
    decoder.read_to_string(&mut text).unwrap();
    text
}

fn value_of(picture: &mut Picture, place: &str, name: &str, value: &Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                value_of(picture, &format!("{place}.{name}"), name, member);
            }
        }
        // Windows: the first time, then the seconds to each next one.
        Value::Array(times) if times.first().is_some_and(is_time) => {
            picture.insert(place.to_owned(), format!("{} times", times.len()));
        }
        Value::Array(elements) => {
            for (index, element) in elements.iter().enumerate() {
                value_of(picture, &format!("{place}.{index}"), "", element);
            }
        }
        Value::String(text) => {
            let text = match name {
                "m" => "a mac".to_owned(),
                "by" => "a session".to_owned(),
                "hash" | "prev_hash" | "last_hash" => "a hash".to_owned(),
                _ => folded(text),
            };
            picture.insert(place.to_owned(), text);
        }
        Value::Number(number) => {
            picture.insert(place.to_owned(), number_of(&number.to_string()));
        }
        other => {
            picture.insert(place.to_owned(), other.to_string());
        }
    }
}

fn is_time(value: &Value) -> bool {
    value.as_i64().is_some_and(|number| number > 1_000_000_000)
}

/// Replaces a time by a constant.
fn number_of(text: &str) -> String {
    let number = text.parse::<i64>().map_or(Value::Null, Value::from);
    if is_time(&number) { "a time" } else { text }.to_owned()
}

/// A text without the random parts of ids. A time is replaced by a constant.
fn folded(text: &str) -> String {
    if Timestamp::parse_rfc3339(text).is_some() {
        return "a time".to_owned();
    }
    let mut folded = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        // The prefix, the characters that name the object, and the others.
        let ids = [("rbd_", 6, 16), ("card_", 6, 16), ("prp_", 0, 26)];
        let id = ids.into_iter().find(|(prefix, named, random)| {
            let id = rest.strip_prefix(prefix);
            let id = id.and_then(|id| id.get(..named + random));
            id.is_some_and(|id| id.bytes().all(|b| b.is_ascii_alphanumeric()))
        });
        let (kept, dropped) = id.map_or((c.len_utf8(), 0), |(prefix, named, random)| {
            (prefix.len() + named, random)
        });
        folded.push_str(&rest[..kept]);
        rest = &rest[kept + dropped..];
    }
    folded
}

/// A message without its OTP, times and dates: runs of six, two or one digits.
fn without_values(text: &str) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (run, behind) = rest.split_at(digits.max(c.len_utf8()));
        kept.push_str(if matches!(digits, 1 | 2 | 6) {
            "#"
        } else {
            run
        });
        rest = behind;
    }
    kept
}
