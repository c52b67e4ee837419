//! The person that a card number is verified for, and the cards with that number.

use super::{Attributes, check_version, stamp, version};
use crate::item::{Item, Update, opt_s, s};
use application::ports::PortError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ids::{CardId, MerchantId};
use domain::rebind::Mac;
use std::collections::HashMap;

/// A person who may verify a number, with the hash under the other version of its key during a rotation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Person<'a> {
    pub(crate) hash: &'a Mac,
    pub(crate) other: Option<&'a Mac>,
}

impl Person<'_> {
    /// The condition under which this person may verify a number.
    pub(crate) const fn may_verify(self) -> &'static str {
        match self.other {
            None => "(attribute_not_exists(holders) OR person = :person)",
            Some(_) => "(attribute_not_exists(holders) OR person IN (:person, :other))",
        }
    }

    /// The same for an item that was read.
    ///
    /// # Errors
    /// `TooNew`, for an item of a later release.
    pub(crate) fn may_verify_item(self, number: Option<&Item>) -> Result<bool, PortError> {
        let Some(number) = number else {
            return Ok(true);
        };
        reject_later_version(number)?;
        let is_person = |hash: &Mac| opt_s(number, "person") == Some(&hash.0);
        Ok(!number.contains_key("holders")
            || is_person(self.hash)
            || self.other.is_some_and(is_person))
    }

    /// The values of the condition.
    pub(crate) fn values(self) -> HashMap<String, AttributeValue> {
        let person = [(":person", Some(self.hash)), (":other", self.other)];
        let given = person
            .into_iter()
            .filter_map(|(name, hash)| Some((name, hash?)));
        given
            .map(|(name, hash)| (name.to_owned(), s(&hash.0)))
            .collect()
    }
}

/// The name of a card among the holders of its number.
fn holder(merchant: &MerchantId, card_id: &CardId) -> AttributeValue {
    AttributeValue::Ss(vec![format!("{merchant}#{card_id}")])
}

/// Makes a card a holder of its number, unless the number belongs to another person.
pub(crate) fn add(merchant: &MerchantId, card_id: &CardId, person: Person<'_>) -> (Update, String) {
    let mut update = Update::default();
    stamp(&mut update);
    update.put("person", Some(s(&person.hash.0)));
    update.when(person.may_verify());
    update.values.extend(person.values());
    update.value("holder", holder(merchant, card_id));
    let expression = format!("{} ADD holders :holder", update.expression());
    (update, expression)
}

/// Removes a card from the holders of its number.
pub(crate) fn remove(merchant: &MerchantId, card_id: &CardId) -> (Update, String) {
    let mut update = Update::default();
    update.value("holder", holder(merchant, card_id));
    (update, "DELETE holders :holder".to_owned())
}

/// The condition that no card holds the number any more.
pub(crate) const IS_UNUSED: &str = "attribute_not_exists(holders)";

/// The attributes of a number with one holder.
pub fn attributes(merchant: &MerchantId, card_id: &CardId, person: &Mac) -> Attributes {
    vec![
        version(),
        ("person", Some(s(&person.0))),
        ("holders", Some(holder(merchant, card_id))),
    ]
}

/// Rejects the item of a later release, after its condition failed.
///
/// # Errors
/// `TooNew`, for an item of a later release.
pub(crate) fn reject_later_version(item: &Item) -> Result<(), PortError> {
    check_version(item, "the holders of a card number")
}
