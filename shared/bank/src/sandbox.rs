//! The items in the sandbox bank's table that seeding and tests write: known people and test cards.
//!
//! | pk | sk | item |
//! |---|---|---|
//! | `PERSON#<sha256 of name and document>` | `-` | a person with this name and this identity document |
//! | `HOLDER#<sha256 of name>` | `-` | a person with this name (a transfer contains no ID number) |
//! | `CARD#<keyed hash>` | `-` | a test card: `outcome` (a word of sandbox.json), `owner` (a `HOLDER#` key) |
//!
//! The people are fictional, so a plain hash suffices for them. Card numbers are stored as keyed hashes only.

use super::BankKey;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::pii::DocumentType;
use domain::pii::person_name::comparable;
use partner::key::sha256_hex;
use std::collections::HashMap;

/// The text of `sandbox.json`: merchants and cards.
pub const SANDBOX_JSON: &str = include_str!("../../data/sandbox.json");

/// The sort key of an item that is the only one of its kind in its partition.
pub const SINGLE_ITEM_SK: &str = "-";

/// A DynamoDB item.
pub type Item = HashMap<String, AttributeValue>;

/// The partition key of a person, by name and identity document.
#[must_use]
pub fn person_key(holder_name: &str, kind: DocumentType, id_number: &str) -> String {
    let person = [
        comparable(holder_name).expose(),
        "\n",
        kind.as_str(),
        "\n",
        &id_number.to_ascii_uppercase(),
    ]
    .concat();
    format!("PERSON#{}", sha256_hex(person.as_bytes()))
}

/// The partition key of a card holder, by name.
#[must_use]
pub fn holder_key(holder_name: &str) -> String {
    format!(
        "HOLDER#{}",
        sha256_hex(comparable(holder_name).expose().as_bytes())
    )
}

/// The partition key of a card. `key` is the bank's secret.
#[must_use]
pub fn card_key(key: &BankKey, card_number: &str) -> String {
    format!("CARD#{}", keyed_hash(key, "card", card_number.as_bytes()))
}

/// A keyed hash for the sandbox bank's own use. No signed message starts with this prefix, so the hash can never
/// serve as a signature.
#[must_use]
pub fn keyed_hash(key: &BankKey, purpose: &str, value: &[u8]) -> String {
    let mut message = format!("SANDBOX-BANK\n{purpose}\n").into_bytes();
    message.extend_from_slice(value);
    key.mac_hex(&message)
}

/// The items of a person. Seeding writes them for each merchant, under the `settlement_name` if there is one.
#[must_use]
pub fn person_items(holder_name: &str, kind: DocumentType, id_number: &str) -> [Item; 2] {
    [
        single_item(person_key(holder_name, kind, id_number)),
        single_item(holder_key(holder_name)),
    ]
}

/// A test card: its behaviour, as a word of `sandbox.json`, and its owner.
///
/// A check under another name answers `mismatch`, and a transfer with the payee-name check is returned. Tests use this
/// for the card of a money mule.
#[must_use]
pub fn card_item(key: &BankKey, card_number: &str, outcome: &str, owner_name: &str) -> Item {
    let mut item = single_item(card_key(key, card_number));
    item.insert("outcome".to_owned(), AttributeValue::S(outcome.to_owned()));
    item.insert(
        "owner".to_owned(),
        AttributeValue::S(holder_key(owner_name)),
    );
    item
}

fn single_item(pk: String) -> Item {
    HashMap::from([
        ("pk".to_owned(), AttributeValue::S(pk)),
        (
            "sk".to_owned(),
            AttributeValue::S(SINGLE_ITEM_SK.to_owned()),
        ),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_distinguish_people_and_cards() {
        let key = |fill: &str| BankKey::from_secret_text(&fill.repeat(64)).unwrap();
        let resident =
            |name: &str, number: &str| person_key(name, DocumentType::ResidentId, number);
        assert_eq!(
            resident("甲", "11010519491231002x"),
            resident("甲", "11010519491231002X")
        );
        assert_ne!(
            resident("甲", "12345678"),
            person_key("甲", DocumentType::TaiwanTravelPermit, "12345678")
        );
        assert_eq!(holder_key("阿依古丽•测试"), holder_key("阿依古丽·测试"));
        assert_ne!(resident("甲", "1"), resident("乙", "1"));
        assert_ne!(resident("甲1", "1"), resident("甲", "11"));
        assert_ne!(card_key(&key("k"), "6222"), card_key(&key("x"), "6222"));
        assert_ne!(
            keyed_hash(&key("k"), "card", b"1"),
            keyed_hash(&key("k"), "body", b"1")
        );
        assert!(!card_key(&key("k"), "6222").contains("6222"));
        let [person, holder] = person_items("甲", DocumentType::ResidentId, "1");
        assert_eq!(person["pk"], AttributeValue::S(resident("甲", "1")));
        assert_eq!(holder["pk"], AttributeValue::S(holder_key("甲")));
    }
}
