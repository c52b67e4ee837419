//! What must never be seen, and the search for it.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Mutex;

/// What a secret is, for the report: the secret itself is never printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A whole card number.
    CardNumber,
    /// An ID number.
    IdNumber,
    /// A password.
    Password,
    /// A session's token.
    Token,
    /// What an app is recognised by.
    DeviceId,
    /// Six digits.
    ErrorCode,
    /// What proves that an agreement was read.
    ReadingToken,
    /// What freezes an account.
    FreezeCode,
    /// What ends a micro-deposit's descriptor.
    DepositCode,
    /// What reaches a device by push.
    PushToken,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::CardNumber,
        Self::IdNumber,
        Self::Password,
        Self::Token,
        Self::DeviceId,
        Self::ErrorCode,
        Self::ReadingToken,
        Self::FreezeCode,
        Self::DepositCode,
        Self::PushToken,
    ];

    /// Six digits and six or eight letters can stand inside a longer number or a hash by chance.
    const fn is_short(self) -> bool {
        matches!(self, Self::ErrorCode | Self::FreezeCode | Self::DepositCode)
    }
}

/// Every secret that a test run has used.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<BTreeSet<(Kind, String)>>);

impl Secrets {
    /// One more.
    pub fn add(&self, kind: Kind, value: &str) {
        // Such a code cannot be told from the number of a rebind, which a cursor is.
        if kind == Kind::ErrorCode && value.starts_with("0000") {
            return;
        }
        self.0.lock().unwrap().insert((kind, value.to_owned()));
    }

    /// How many of each kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|(of, _)| *of == kind)
            .count()
    }

    /// The kinds of secrets that `text` shows. Secrets of a kind in `allowed` may be there.
    #[must_use]
    pub fn found_in(&self, text: &str, allowed: &[Kind]) -> Vec<Kind> {
        let secrets = self.0.lock().unwrap();
        let mut found: Vec<Kind> = secrets
            .iter()
            .filter(|(kind, value)| !allowed.contains(kind) && shows(text, *kind, value))
            .map(|(kind, _)| *kind)
            .collect();
        found.dedup();
        found
    }

    /// Ready to search much, for all secrets so far at once and in every form.
    #[must_use]
    pub fn searcher(&self) -> Searcher {
        let secrets = self.0.lock().unwrap();
        let mut forms: Vec<(Kind, String)> = Vec::new();
        for (kind, value) in secrets.iter() {
            forms.push((*kind, value.clone()));
            if !kind.is_short() {
                forms.extend(disguises(value).into_iter().map(|form| (*kind, form)));
            }
        }
        let automaton = AhoCorasick::builder()
            .match_kind(MatchKind::Standard)
            .build(forms.iter().map(|(_, form)| form))
            .unwrap();
        Searcher { forms, automaton }
    }
}

/// The other forms in which bytes get into a log: base64 at each of three offsets, hex, a list of numbers.
fn disguises(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let mut forms = Vec::with_capacity(5);
    for skipped in 0..3 {
        let shifted = [&[0; 2][..skipped], bytes].concat();
        let whole = shifted.len() / 3 * 3;
        let text = STANDARD.encode(&shifted[..whole]);
        // What the bytes before it have a part in is not the secret's alone.
        forms.push(text[if skipped == 0 { 0 } else { 4 }..].to_owned());
    }
    let mut hex = String::new();
    let mut list = String::new();
    for byte in bytes {
        write!(hex, "{byte:02x}").unwrap();
        write!(list, "{byte}, ").unwrap();
    }
    forms.push(hex);
    forms.push(list.trim_end_matches(", ").to_owned());
    forms
}

/// All secrets, as one search.
pub struct Searcher {
    forms: Vec<(Kind, String)>,
    automaton: AhoCorasick,
}

impl Searcher {
    /// The kinds of secrets that `text` shows, in any form. Secrets of a kind in `allowed` may be there.
    #[must_use]
    pub fn found_in(&self, text: &str, allowed: &[Kind]) -> BTreeSet<Kind> {
        let mut found = BTreeSet::new();
        for hit in self.automaton.find_overlapping_iter(text) {
            let (kind, _) = &self.forms[hit.pattern().as_usize()];
            if !allowed.contains(kind) && stands_alone(text, *kind, hit.start(), hit.end()) {
                found.insert(*kind);
            }
        }
        found
    }

    /// The same of bytes, as they are and inflated.
    #[must_use]
    pub fn found_in_bytes(&self, bytes: &[u8], allowed: &[Kind]) -> BTreeSet<Kind> {
        let mut found = self.found_in(&String::from_utf8_lossy(bytes), allowed);
        let mut inflated = Vec::new();
        // What is not compressed ends early.
        let _ = flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut inflated);
        found.extend(self.found_in(&String::from_utf8_lossy(&inflated), allowed));
        found
    }
}

/// A long secret is shown wherever it stands, a short one only where nothing else touches it.
fn shows(text: &str, kind: Kind, value: &str) -> bool {
    text.match_indices(value)
        .any(|(at, _)| stands_alone(text, kind, at, at + value.len()))
}

fn stands_alone(text: &str, kind: Kind, start: usize, end: usize) -> bool {
    let touches = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    // A record's own numbers (seconds between two events) have six digits now and then; a code is always text.
    let is_number =
        matches!(before, Some(',' | '[' | ':' | '-')) && matches!(after, Some(',' | ']' | '}'));
    // What an item is found by: the month in `202611#0`, the number in `R#000001`.
    let is_of_a_key = before == Some('#') || after == Some('#');
    !kind.is_short() || !(touches(before) || touches(after) || is_number || is_of_a_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each kind.
    const SAMPLES: [(Kind, &str); 10] = [
        (Kind::CardNumber, "6222020000009001009"),
        (Kind::IdNumber, "11010519491231002X"),
        (Kind::Password, "correct horse battery"),
        (Kind::Token, "mer_plain_1.0.V8lDnPzUQ3w4mC1e"),
        (Kind::DeviceId, "9c1f4d7e02a8b653"),
        (Kind::ErrorCode, "123456"),
        (Kind::ReadingToken, "1763800000.kA9x-wQ"),
        (Kind::FreezeCode, "ABCD2345"),
        (Kind::DepositCode, "KLM678"),
        (Kind::PushToken, "f00dfeed-push-token"),
    ];

    fn samples() -> Secrets {
        let secrets = Secrets::default();
        for (kind, value) in SAMPLES {
            secrets.add(kind, value);
        }
        secrets
    }

    #[test]
    fn secrets_are_found_in_each_form() {
        let secrets = samples();
        let searcher = secrets.searcher();
        assert_eq!(SAMPLES.map(|(kind, _)| kind), Kind::ALL);
        for (kind, value) in SAMPLES {
            for text in [
                value.to_owned(),
                format!("seen: \"{value}\"."),
                format!("code={value}&x"),
            ] {
                assert_eq!(searcher.found_in(&text, &[]), [kind].into(), "{kind:?}");
                assert_eq!(secrets.found_in(&text, &[]), [kind], "{kind:?}");
                assert!(searcher.found_in(&text, &[kind]).is_empty());
                assert!(secrets.found_in(&text, &[kind]).is_empty());
            }
            let mut encoder =
                flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
            std::io::Write::write_all(&mut encoder, format!("a reply {value} kept").as_bytes())
                .unwrap();
            let deflated = encoder.finish().unwrap();
            assert_eq!(
                searcher.found_in_bytes(&deflated, &[]),
                [kind].into(),
                "{kind:?}"
            );
            if kind.is_short() {
                continue;
            }
            for before in ["", "1", "12", "123"] {
                let text = STANDARD.encode(format!("{before}{value} and more"));
                assert_eq!(
                    searcher.found_in(&text, &[]),
                    [kind].into(),
                    "{kind:?} {before}"
                );
            }
            let printed = format!("{:?}", value.as_bytes());
            assert_eq!(searcher.found_in(&printed, &[]), [kind].into(), "{kind:?}");
            let hex: String = value.bytes().map(|byte| format!("{byte:02x}")).collect();
            assert_eq!(
                searcher.found_in(&format!("x{hex}x"), &[]),
                [kind].into(),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn search_ignores_similar_text() {
        let secrets = samples();
        let searcher = secrets.searcher();
        for innocent in [
            "",
            "1009",
            "at 1234567",
            "9123456",
            "a123456f",
            "123456#0",
            "R#123456",
            "[1763800000,123456]",
            "{\"s\":[1,-123456,7]}",
            "622202000000900100",
            "ABCD23456",
        ] {
            assert!(secrets.found_in(innocent, &[]).is_empty(), "{innocent}");
            assert!(searcher.found_in(innocent, &[]).is_empty(), "{innocent}");
        }
    }
}
