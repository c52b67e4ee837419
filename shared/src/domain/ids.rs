//! The ids of the wire: opaque to callers, parsed once at the edge.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Characters of a random id part: no vowels, so that no word appears; 32 of them, 5 bits each.
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

/// A merchant, as the acquirer names it: `mer_` and up to 40 letters, digits or `_`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct MerchantId(String);

impl MerchantId {
    /// `None` when the text is not of this form.
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

/// A card of one merchant: `card_` and 16 random characters (80 bits).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct CardId(String);

impl CardId {
    /// From 16 bytes of the OS random source.
    #[must_use]
    pub fn new(random: &[u8; 16]) -> Self {
        Self(format!("card_{}", random_part(random)))
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A rebind: `rbd_`, its number within the merchant in six hex digits, 16 random characters.
///
/// The number makes the store's key, the random part makes the id unguessable.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RebindId(String);

impl RebindId {
    /// The largest number that an id can carry.
    pub const NUMBER_MAX: u32 = 0x00ff_ffff;

    /// The id of a merchant's `number`-th rebind.
    #[must_use]
    pub fn new(number: u32, random: &[u8; 16]) -> Self {
        Self(format!(
            "rbd_{:06x}{}",
            number.min(Self::NUMBER_MAX),
            random_part(random)
        ))
    }

    /// `None` when the text is not of this form, and so the id of no rebind.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let rest = text.strip_prefix("rbd_")?;
        let fits = rest.len() == 22
            && is_id_text(rest, 22)
            && rest
                .bytes()
                .take(6)
                .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        fits.then(|| Self(text.to_owned()))
    }

    /// The number within the merchant, from 1.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.0
            .get(4..10)
            .and_then(|hex| u32::from_str_radix(hex, 16).ok())
            .unwrap_or(0)
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
display!(MerchantId, CardId, RebindId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rebind_id_carries_its_number() {
        let id = RebindId::new(7, &[255; 16]);
        assert_eq!(id.number(), 7);
        assert_eq!(RebindId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn foreign_shapes_are_no_ids() {
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
