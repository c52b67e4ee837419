//! What must never be seen, and the search for it.

use std::collections::BTreeSet;
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
    Code,
    /// What proves that an agreement was read.
    ReadingToken,
    /// What freezes an account.
    FreezeCode,
    /// What ends a micro-deposit's descriptor.
    DepositCode,
    /// What reaches a device by push.
    PushToken,
}

/// Every secret that a test run has used.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<BTreeSet<(Kind, String)>>);

impl Secrets {
    /// One more.
    pub fn add(&self, kind: Kind, value: &str) {
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
}

/// A long secret is shown wherever it stands. Six digits and six or eight letters can stand inside a longer number or a hash by
/// chance: those are shown only where nothing else touches them.
fn shows(text: &str, kind: Kind, value: &str) -> bool {
    let is_short = matches!(kind, Kind::Code | Kind::FreezeCode | Kind::DepositCode);
    text.match_indices(value).any(|(at, _)| {
        let touches = |c: Option<char>| c.is_some_and(|c| c.is_ascii_alphanumeric());
        let before = text[..at].chars().next_back();
        let after = text[at + value.len()..].chars().next();
        // A record's own numbers (seconds between two events) have six digits now and then; a code is always text.
        let is_number =
            matches!(before, Some(',' | '[' | ':' | '-')) && matches!(after, Some(',' | ']' | '}'));
        !is_short || !(touches(before) || touches(after) || is_number)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leak_is_found_and_named_without_showing_it() {
        let secrets = Secrets::default();
        secrets.add(Kind::CardNumber, "6222020000009001009");
        secrets.add(Kind::Code, "123456");
        assert_eq!(
            secrets.found_in("card 6222020000009001009.", &[]),
            [Kind::CardNumber]
        );
        assert_eq!(
            secrets.found_in("x6222020000009001009x", &[]),
            [Kind::CardNumber]
        );
        assert_eq!(secrets.found_in("{\"code\":\"123456\"}", &[]), [Kind::Code]);
        assert_eq!(secrets.found_in("code=123456", &[]), [Kind::Code]);
        assert!(
            secrets
                .found_in("{\"code\":\"123456\"}", &[Kind::Code])
                .is_empty()
        );
        for innocent in [
            "",
            "1009",
            "at 1234567",
            "9123456",
            "a123456f",
            "[1763800000,123456]",
            "{\"s\":[1,-123456,7]}",
            "622202000000900100",
        ] {
            assert!(secrets.found_in(innocent, &[]).is_empty(), "{innocent}");
        }
    }
}
