//! Card numbers that a file holds encrypted, so that it can be handed over.

use domain::onboarding::{Fault, FieldFault};
use jose::receiver::Receiver;
use serde::Deserialize;
use std::path::Path;
use zeroize::Zeroizing;

/// The dots of a compact JWE.
const DOTS: usize = 4;

/// The private key to which the card numbers of a file are encrypted: a JWK of P-256.
#[derive(Debug)]
pub struct CardKey(Receiver);

/// The members of a line that may be encrypted. Whatever is malformed here is reported by the reader of lines.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    card: Option<Card<'a>>,
    #[serde(borrow)]
    migration: Option<Migration<'a>>,
}

#[derive(Deserialize)]
struct Card<'a> {
    number: &'a str,
}

#[derive(Deserialize)]
struct Migration<'a> {
    #[serde(borrow)]
    replaced_card: Option<Card<'a>>,
}

impl CardKey {
    /// Reads a key from a file with a JWK.
    ///
    /// # Errors
    /// What to tell the user.
    pub fn read(path: &Path) -> Result<Self, String> {
        let file = path.display();
        let text = std::fs::read(path).map(Zeroizing::new);
        let text = text.map_err(|error| format!("reading {file}: {error}"))?;
        let jwk = serde_json::from_slice(&text).ok();
        let key = jwk.and_then(|jwk| Receiver::read(&jwk).ok());
        key.map(Self)
            .ok_or_else(|| format!("{file} is not a private JWK of P-256"))
    }

    /// The digits in a message to this key.
    fn number(&self, message: &str) -> Result<Zeroizing<String>, Fault> {
        let opened = self.0.decrypt(message);
        let (_, plain) = opened.map_err(|_| Fault::CardEncrypted)?;
        let plain = Zeroizing::new(plain);
        let digits = std::str::from_utf8(&plain).ok();
        let digits = digits.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let digits = digits.ok_or(Fault::CardFormat)?;
        Ok(Zeroizing::new(digits.to_owned()))
    }
}

impl From<Receiver> for CardKey {
    fn from(receiver: Receiver) -> Self {
        Self(receiver)
    }
}

/// The line with the numbers in place of their encrypted forms.
///
/// # Errors
/// [`Fault::CardEncrypted`] for each number that `key` does not open, [`Fault::CardFormat`] for one that is not digits.
pub fn opened(
    line: Zeroizing<Vec<u8>>,
    key: Option<&CardKey>,
) -> Result<Zeroizing<Vec<u8>>, Vec<FieldFault>> {
    let is_dot = |byte: &&u8| **byte == b'.';
    if line.iter().filter(is_dot).count() < DOTS {
        return Ok(line);
    }
    let Ok(Line { card, migration }) = serde_json::from_slice(&line) else {
        return Ok(line);
    };
    let replaced = migration.and_then(|migration| migration.replaced_card);
    let cards = [
        ("card.number", card),
        ("migration.replaced_card.number", replaced),
    ];
    let (mut numbers, mut faults) = (Vec::new(), Vec::new());
    for (field, card) in cards {
        let message = card.map_or("", |card| card.number);
        if message.matches('.').count() != DOTS {
            continue;
        }
        match key.map_or(Err(Fault::CardEncrypted), |key| key.number(message)) {
            Ok(number) => numbers.push((message, number)),
            Err(fault) => faults.push(FieldFault::new(field, fault)),
        }
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    Ok(spliced(&line, numbers))
}

/// The line with these numbers in place of these parts of it. The buffer never grows, so it leaves no copy behind.
fn spliced(line: &[u8], mut numbers: Vec<(&str, Zeroizing<String>)>) -> Zeroizing<Vec<u8>> {
    let start = |part: &str| part.as_ptr().addr() - line.as_ptr().addr();
    numbers.sort_unstable_by_key(|(message, _)| start(message));
    let mut spliced = Zeroizing::new(Vec::with_capacity(line.len()));
    let mut copied = 0;
    for (message, number) in numbers {
        spliced.extend_from_slice(&line[copied..start(message)]);
        spliced.extend_from_slice(number.as_bytes());
        copied = start(message) + message.len();
    }
    spliced.extend_from_slice(&line[copied..]);
    spliced
}

#[cfg(test)]
mod tests {
    use super::*;
    use jose::jwe::encrypt;
    use jose::jwk::EncryptionKey;
    use serde_json::{Value, json};

    fn key() -> (CardKey, EncryptionKey) {
        let receiver = Receiver::generate("import-1").unwrap();
        let mut keys = EncryptionKey::read_set(&receiver.public_set()).unwrap();
        (CardKey(receiver), keys.remove(0))
    }

    fn sealed(key: &EncryptionKey, number: &str) -> String {
        encrypt(key, "text/plain", number.as_bytes()).unwrap()
    }

    fn open(line: &Value, key: Option<&CardKey>) -> Result<Value, Vec<FieldFault>> {
        let line = Zeroizing::new(line.to_string().into_bytes());
        opened(line, key).map(|line| serde_json::from_slice(&line).unwrap())
    }

    #[test]
    fn encrypted_numbers_are_opened_in_place() {
        let (key, public) = key();
        let [new, old] = ["6222020000000000001", "6222020000000000019"];
        let line = |new: &str, old: &str| {
            json!({"merchant_id": "mer_1", "card": {"number": new}, "legal_name": "a.b.c.d.e 测试",
                "migration": {"hold_until": "2026-12-01T00:00:00+08:00", "replaced_card": {"number": old}}})
        };
        let both = line(&sealed(&public, new), &sealed(&public, old));
        assert_eq!(open(&both, Some(&key)), Ok(line(new, old)));
        let one = line(new, &sealed(&public, old));
        assert_eq!(open(&one, Some(&key)), Ok(line(new, old)));
        let plain = line(new, old);
        assert_eq!(open(&plain, None), Ok(plain.clone()));
    }

    #[test]
    fn each_number_that_stays_closed_is_a_fault() {
        let (one, public) = key();
        let (other, _) = key();
        let number = sealed(&public, "6222020000000000001");
        let line =
            json!({"card": {"number": number}, "migration": {"replaced_card": {"number": number}}});
        let faults = ["card.number", "migration.replaced_card.number"];
        let faults = faults.map(|field| FieldFault::new(field, Fault::CardEncrypted));
        for key in [None, Some(&other)] {
            assert_eq!(open(&line, key), Err(faults.to_vec()));
        }
        let changed = json!({"card": {"number": format!("{number}A")}});
        assert_eq!(open(&changed, Some(&one)), Err(faults[..1].to_vec()));
        for text in ["\"6222020000000000001\"", "6222\"},\"tier\":{\"x", ""] {
            let other = json!({"card": {"number": sealed(&public, text)}});
            let fault = FieldFault::new("card.number", Fault::CardFormat);
            let wanted = if text.is_empty() {
                Ok(json!({"card": {"number": ""}}))
            } else {
                Err(vec![fault])
            };
            assert_eq!(open(&other, Some(&one)), wanted);
        }
    }

    #[test]
    fn malformed_members_are_left_to_the_reader() {
        let (key, _) = key();
        for text in [
            "{\"card\": \"a.b.c.d.e\"}",
            "[\"a.b.c.d.e\"]",
            "{\"a.b.c.d.e",
            "\"a.b.c.d.e\"",
        ] {
            let line = Zeroizing::new(text.as_bytes().to_vec());
            assert_eq!(opened(line.clone(), Some(&key)), Ok(line));
        }
    }

    #[test]
    fn file_must_hold_a_private_key() {
        let folder = std::env::temp_dir().join(format!("card-key-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("key.json");
        let missing = CardKey::read(&path).unwrap_err();
        assert!(missing.contains("reading"), "{missing}");
        let receiver = Receiver::generate("import-1").unwrap();
        let mut jwk = receiver.private_jwk().unwrap();
        std::fs::write(&path, jwk.to_string()).unwrap();
        assert!(CardKey::read(&path).is_ok());
        jwk.as_object_mut().unwrap().remove("d");
        std::fs::write(&path, jwk.to_string()).unwrap();
        let public = CardKey::read(&path).unwrap_err();
        assert!(public.contains("not a private JWK"), "{public}");
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
