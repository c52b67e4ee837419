//! New merchants as lines of an import file, and keys that keep nothing in memory.

use crate::merchant::{GOOD_CARD, Profile, resident_id};
use application::crypto::password;
use application::ports::{DataKey, HashKey, HashKeyVersions, KeyService, PortError};
use domain::secret::Secret;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use std::io::{self, Write};

/// The number of different persons.
const PERSONS: u32 = 13_440;

/// The number of a debit card with a check digit; another one for each `number`.
#[must_use]
pub fn card_number(number: u32) -> String {
    let body = format!("622202{number:012}");
    let doubled = |digit: u32| digit * 2 - if digit > 4 { 9 } else { 0 };
    let digits = body.bytes().rev().map(|byte| u32::from(byte - b'0'));
    let sum: u32 = digits
        .enumerate()
        .map(|(at, digit)| if at % 2 == 0 { doubled(digit) } else { digit })
        .sum();
    format!("{body}{}", (10 - sum % 10) % 10)
}

/// The profile of a new merchant that a test can log in, with the JSON of its line.
#[must_use]
pub fn new_merchant(suite: &str, number: u32) -> (Profile, Value) {
    let described = Profile::description(suite, number, &card_number(number), &json!({}));
    let profile = Profile::of(&described, format!("+86137{number:08}"));
    let secret = Secret::new(profile.password.clone());
    let hash = password::hash(&secret).unwrap();
    (profile, line_of(&described, hash.expose()))
}

/// The line of a description of a merchant.
fn line_of(described: &Value, password_hash: &str) -> Value {
    let mut line = described.clone();
    let members = line.as_object_mut().unwrap();
    let card = members.remove("active_card").unwrap();
    for other in ["password", "opened_days_ago", "known_devices"] {
        members.remove(other);
    }
    line["password_hash"] = json!(password_hash);
    line["opened_on"] = json!("2024-02-29");
    line["card"] = json!({"number": card["card_number"]});
    line
}

/// Writes this many lines; each merchant has a card of its own. All have one password hash, because hashing takes most of
/// the time.
///
/// # Errors
/// When they cannot be written.
pub fn write_lines(lines: u32, mut to: impl Write) -> io::Result<()> {
    let secret = Secret::new("the same for all".to_owned());
    let hash = password::hash(&secret).unwrap();
    for number in 0..lines {
        let mut described = Profile::description("rate", number, GOOD_CARD, &json!({}));
        described["active_card"]["card_number"] = json!(card_number(number));
        described["id_document"]["number"] = json!(resident_id(number % PERSONS));
        writeln!(to, "{}", line_of(&described, hash.expose()))?;
    }
    to.flush()
}

/// Keys that are derived from their wrapped form, as a key service does, so that no number of them takes memory.
#[derive(Clone, Copy, Debug)]
pub struct DerivedKeys;

impl DerivedKeys {
    fn derive(label: &str, parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(label.as_bytes()).unwrap();
        for part in parts {
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }

    fn data_key_of(key: DataKey, context: &[(&str, &str)], wrapped: &[u8]) -> Secret<Vec<u8>> {
        let context = format!("{key:?} {context:?}");
        Secret::new(Self::derive("data key", &[context.as_bytes(), wrapped]))
    }
}

impl KeyService for DerivedKeys {
    fn hash_key_versions(&self, _: HashKey) -> Option<HashKeyVersions> {
        Some(HashKeyVersions {
            current: 1,
            has_previous: false,
        })
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        let name = format!("{key:?} {version}");
        Ok(Secret::new(Self::derive("hash key", &[name.as_bytes()])))
    }

    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        // The length of a KMS ciphertext.
        let mut wrapped = vec![0; 184];
        self.fill_random(&mut wrapped)?;
        Ok((Self::data_key_of(key, context, &wrapped), wrapped))
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        Ok(Self::data_key_of(key, context, wrapped))
    }
}
