//! The ids in the API. Callers treat them as opaque; the API layer parses them once.

use crate::time::Timestamp;
use std::fmt;

/// The 32 characters of a random id part, 5 bits each: digits, consonants and one vowel, which alone spells no word.
const ALPHABET: &[u8; 32] = b"0123456789bcdfghjklmnpqrstvwxyzA";

fn random_part(random: &[u8; 16]) -> String {
    random
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte & 31)]))
        .collect()
}

fn is_id_text(text: &str, max_chars: usize) -> bool {
    (1..=max_chars).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// A merchant's id, assigned by the acquirer: `mer_` and up to 40 letters, digits or `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MerchantId(String);

impl MerchantId {
    /// `None` when the text does not have this form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("mer_")?;
        is_id_text(rest, 40).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The part of a rebind or card id after its prefix: the number within the merchant and 16 random characters.
fn numbered(number: u32, random: &[u8; 16]) -> String {
    let number = number.min(RebindId::NUMBER_MAX);
    format!("{number:06x}{}", random_part(random))
}

/// True if the text has the form of [`numbered`].
fn is_numbered(rest: &str) -> bool {
    rest.len() == 22
        && is_id_text(rest, 22)
        && rest
            .bytes()
            .take(6)
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// The number in the first six characters; 0 without one.
fn number_in(rest: Option<&str>) -> u32 {
    rest.and_then(|rest| u32::from_str_radix(rest.get(..6)?, 16).ok())
        .unwrap_or(0)
}

/// A card's id: `card_`, the number of its rebind in six hex digits (0 for a card from onboarding), and 16 random
/// characters (80 bits).
///
/// The number locates the card's rebind, which holds the encrypted card number, so that one read gets both the merchant
/// and the rebind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CardId(String);

impl CardId {
    /// The id of the card of the merchant's `number`-th rebind. `random` must come from the OS random source.
    #[must_use]
    pub fn new(number: u32, random: &[u8; 16]) -> Self {
        Self(format!("card_{}", numbered(number, random)))
    }

    /// `None` when the text does not have this form, so no card can have this id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_numbered(text.strip_prefix("card_")?).then(|| Self(text.to_owned()))
    }

    /// The number of the card's rebind; 0 if the card has none.
    #[must_use]
    pub fn number(&self) -> u32 {
        number_in(self.0.strip_prefix("card_"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A rebind's id: `rbd_`, its number within the merchant in six hex digits, and 16 random characters.
///
/// The number is part of the storage key; the random part makes the id unguessable.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RebindId(String);

impl RebindId {
    /// The largest number that fits into an id.
    pub const NUMBER_MAX: u32 = 0x00ff_ffff;

    /// The id of a merchant's `number`-th rebind.
    #[must_use]
    pub fn new(number: u32, random: &[u8; 16]) -> Self {
        Self(format!("rbd_{}", numbered(number, random)))
    }

    /// `None` when the text does not have this form, so no rebind can have this id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_numbered(text.strip_prefix("rbd_")?).then(|| Self(text.to_owned()))
    }

    /// The number within the merchant, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        number_in(self.0.strip_prefix("rbd_"))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A payout's id, assigned by the acquirer's core: `pay_` and up to 40 letters, digits or `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PayoutId(String);

impl PayoutId {
    /// `None` when the text does not have this form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        is_id_text(text.strip_prefix("pay_")?, 40).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// An operator's proposal: `prp_`, its time in ten hex digits, and 16 random characters. The ids sort by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalId(String);

impl ProposalId {
    /// The id of a proposal made at `at`. `random` must come from the OS random source.
    #[must_use]
    pub fn new(at: Timestamp, random: &[u8; 16]) -> Self {
        let at_s = at.epoch_s().max(0);
        Self(format!("prp_{at_s:010x}{}", random_part(random)))
    }

    /// `None` when the text does not have this form.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("prp_")?;
        (rest.len() == 26 && is_id_text(rest, 26)).then(|| Self(text.to_owned()))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! display {
    ($($id:ty),+) => {$(
        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )+};
}
display!(MerchantId, CardId, RebindId, PayoutId, ProposalId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rebind_id_contains_its_number() {
        let id = RebindId::new(7, &[255; 16]);
        assert_eq!(id.number(), 7);
        assert_eq!(RebindId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn card_id_contains_its_rebind_number() {
        let id = CardId::new(0x1f, &[7; 16]);
        assert_eq!(id.number(), 31);
        assert_eq!(CardId::parse(id.as_str()), Some(id));
        assert_eq!(CardId::parse("card_xyz"), None);
        assert_eq!(CardId::new(0, &[7; 16]).number(), 0);
    }

    #[test]
    fn proposal_ids_sort_by_time() {
        let at = |second| ProposalId::new(Timestamp::from_epoch_s(second), &[7; 16]);
        assert!(at(1_795_312_799).as_str() < at(1_795_312_800).as_str());
        assert_eq!(ProposalId::parse(at(5).as_str()), Some(at(5)));
        assert_eq!(ProposalId::parse("prp_1"), None);
    }

    #[test]
    fn malformed_ids_are_rejected() {
        for text in [
            "",
            "rbd_",
            "rbd_00000g0123456789012345",
            "card_1",
            "rbd_000001bcdfghjklmnpqr/t",
            "rbd_000001é123456789012345",
        ] {
            assert_eq!(RebindId::parse(text), None, "{text}");
        }
        for text in ["mer_", "mer_a#b", "x", "mer_é"] {
            assert_eq!(MerchantId::parse(text), None, "{text}");
        }
    }
}
