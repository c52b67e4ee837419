//! What the sandbox bank keeps in its table, as far as others write it: who exists, and whose a card is.
//!
//! | pk | sk | what |
//! |---|---|---|
//! | `PERSON#<sha256 of name and ID number>` | `-` | this name and this ID number are one person's |
//! | `HOLDER#<sha256 of name>` | `-` | somebody of this name exists (a transfer names no ID) |
//! | `CARD#<keyed hash>` | `-` | a card that a test made: `outcome` (a word of sandbox.json), `owner` (a `HOLDER#` key) |
//!
//! The people are fictional, so a plain hash will do for them; a card number is kept as a keyed hash only, here
//! as anywhere.

use super::key::{BankKey, sha256_hex};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::pii::person_name::fold;
use std::collections::HashMap;

/// The sandbox's merchants and cards, as text.
pub const SANDBOX_JSON: &str = include_str!("../../data/sandbox.json");

/// The sort key of an item that is alone in its partition.
pub const ALONE: &str = "-";

/// A DynamoDB item.
pub type Item = HashMap<String, AttributeValue>;

/// The partition key by which a name and an ID number are known to belong together.
#[must_use]
pub fn person_key(holder_name: &str, id_number: &str) -> String {
    let person = format!("{}\n{}", fold(holder_name), id_number.to_ascii_uppercase());
    format!("PERSON#{}", sha256_hex(person.as_bytes()))
}

/// The partition key by which a name alone is known.
#[must_use]
pub fn holder_key(holder_name: &str) -> String {
    format!("HOLDER#{}", sha256_hex(fold(holder_name).as_bytes()))
}

/// The partition of a card. `key` is the bank's secret.
#[must_use]
pub fn card_key(key: &BankKey, card_number: &str) -> String {
    format!("CARD#{}", keyed_hash(key, "card", card_number.as_bytes()))
}

/// A keyed hash of the sandbox bank's own. No signature begins with its first line, so none can be made of it.
#[must_use]
pub fn keyed_hash(key: &BankKey, purpose: &str, value: &[u8]) -> String {
    let mut message = format!("SANDBOX-BANK\n{purpose}\n").into_bytes();
    message.extend_from_slice(value);
    key.mac_hex(&message)
}

/// The items that make a person known to the sandbox bank: what seeding puts for each merchant, with the
/// `settlement_name` where there is one.
#[must_use]
pub fn person_items(holder_name: &str, id_number: &str) -> [Item; 2] {
    [
        alone(person_key(holder_name, id_number)),
        alone(holder_key(holder_name)),
    ]
}

/// A card of a test's own: what the bank shall say about it, in the words of `sandbox.json`, and who owns it.
///
/// With an owner, a check under another name answers `mismatch`, and a transfer with the payee-name check on is
/// returned: a mule's card.
#[must_use]
pub fn card_item(key: &BankKey, card_number: &str, outcome: &str, owner_name: &str) -> Item {
    let mut item = alone(card_key(key, card_number));
    item.insert("outcome".to_owned(), AttributeValue::S(outcome.to_owned()));
    item.insert(
        "owner".to_owned(),
        AttributeValue::S(holder_key(owner_name)),
    );
    item
}

fn alone(pk: String) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(pk)),
        ("sk".to_owned(), AttributeValue::S(ALONE.to_owned())),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_tell_people_and_cards_apart() {
        let key = |fill: &str| BankKey::from_secret_text(&fill.repeat(64)).unwrap();
        assert_eq!(
            person_key("甲", "11010519491231002x"),
            person_key("甲", "11010519491231002X")
        );
        assert_eq!(holder_key("阿依古丽•测试"), holder_key("阿依古丽·测试"));
        assert_ne!(person_key("甲", "1"), person_key("乙", "1"));
        assert_ne!(person_key("甲1", "1"), person_key("甲", "11"));
        assert_ne!(card_key(&key("k"), "6222"), card_key(&key("x"), "6222"));
        assert_ne!(
            keyed_hash(&key("k"), "card", b"1"),
            keyed_hash(&key("k"), "body", b"1")
        );
        assert!(!card_key(&key("k"), "6222").contains("6222"));
        let [person, holder] = person_items("甲", "1");
        assert_eq!(person["pk"], AttributeValue::S(person_key("甲", "1")));
        assert_eq!(holder["pk"], AttributeValue::S(holder_key("甲")));
    }
}
