//! The secrets that no output may contain, and the search for them.

use aho_corasick::{AhoCorasick, MatchKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::Mutex;

/// The kind of a secret. Reports name the kind, because the secret itself is never printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A whole card number.
    CardNumber,
    /// An ID number.
    IdNumber,
    /// A password.
    Password,
    /// A session token.
    Token,
    /// A device secret: an app authenticates with it.
    DeviceId,
    /// A six-digit OTP.
    Otp,
    /// A reading token: the proof that an agreement was read.
    ReadingToken,
    /// A freeze code.
    FreezeCode,
    /// The code at the end of a micro-deposit's descriptor.
    DepositCode,
    /// A push token of a device.
    PushToken,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 10] = [
        Self::CardNumber,
        Self::IdNumber,
        Self::Password,
        Self::Token,
        Self::DeviceId,
        Self::Otp,
        Self::ReadingToken,
        Self::FreezeCode,
        Self::DepositCode,
        Self::PushToken,
    ];

    /// A short secret (six digits, or six to eight letters) can occur by chance inside a longer number or a hash.
    const fn is_short(self) -> bool {
        matches!(self, Self::Otp | Self::FreezeCode | Self::DepositCode)
    }
}

/// All secrets used in a test run.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<BTreeSet<(Kind, String)>>);

impl Secrets {
    /// Adds a secret.
    pub fn add(&self, kind: Kind, value: &str) {
        // Such an OTP cannot be distinguished from the number of a rebind, which appears in cursors.
        if kind == Kind::Otp && value.starts_with("0000") {
            return;
        }
        self.0.lock().unwrap().insert((kind, value.to_owned()));
    }

    /// The number of secrets of each kind.
    #[must_use]
    pub fn count(&self, kind: Kind) -> usize {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter(|(of, _)| *of == kind)
            .count()
    }

    /// The kinds of secrets in `text`, except those in `allowed`.
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

    /// Prepares a search of large texts for all current secrets in every encoding.
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

/// The encodings of bytes in a log: base64 at each of three offsets, hex, a list of numbers.
fn disguises(value: &str) -> Vec<String> {
    let bytes = value.as_bytes();
    let mut forms = Vec::with_capacity(5);
    for skipped in 0..3 {
        let shifted = [&[0; 2][..skipped], bytes].concat();
        let whole = shifted.len() / 3 * 3;
        let text = STANDARD.encode(&shifted[..whole]);
        // Drop the characters that also depend on the preceding bytes.
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

/// All secrets, compiled into one search.
pub struct Searcher {
    forms: Vec<(Kind, String)>,
    automaton: AhoCorasick,
}

impl Searcher {
    /// The kinds of secrets in `text` in any encoding, except those in `allowed`.
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

    /// The same for bytes, both raw and inflated.
    #[must_use]
    pub fn found_in_bytes(&self, bytes: &[u8], allowed: &[Kind]) -> BTreeSet<Kind> {
        let mut found = self.found_in(&String::from_utf8_lossy(bytes), allowed);
        let mut inflated = Vec::new();
        // Input that is not compressed ends early.
        let _ = flate2::read::DeflateDecoder::new(bytes).read_to_end(&mut inflated);
        found.extend(self.found_in(&String::from_utf8_lossy(&inflated), allowed));
        found
    }
}

/// A long secret counts anywhere, a short one only as a separate word.
fn shows(text: &str, kind: Kind, value: &str) -> bool {
    text.match_indices(value)
        .any(|(at, _)| stands_alone(text, kind, at, at + value.len()))
}

fn stands_alone(text: &str, kind: Kind, start: usize, end: usize) -> bool {
    let touches = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
    let before = text[..start].chars().next_back();
    let after = text[end..].chars().next();
    // A number in a record (seconds between two events) can have six digits. An OTP is always a string.
    let is_number =
        matches!(before, Some(',' | '[' | ':' | '-')) && matches!(after, Some(',' | ']' | '}'));
    // Skip the table keys: the month in `202611#0`, the number in `R#000001`.
    let is_of_a_key = before == Some('#') || after == Some('#');
    !kind.is_short() || !(touches(before) || touches(after) || is_number || is_of_a_key)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One secret of each kind.
    const SAMPLES: [(Kind, &str); 10] = [
        (Kind::CardNumber, "6222020000009001009"),
        (Kind::IdNumber, "11010519491231002X"),
        (Kind::Password, "correct horse battery"),
        (Kind::Token, "mer_plain_1.0.V8lDnPzUQ3w4mC1e"),
        (Kind::DeviceId, "9c1f4d7e02a8b653"),
        (Kind::Otp, "123456"),
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
