//! Which person a card number is verified for, and as which cards.

use super::{Attributes, check_version, stamp, version};
use crate::item::{Item, Update, s};
use application::ports::PortError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::ids::{CardId, MerchantId};
use domain::rebind::Mac;

/// The condition under which a number may be claimed by `:person`.
pub(crate) const FREE: &str = "(attribute_not_exists(holders) OR person = :person)";

/// The name of a card among the holders of its number.
fn holder(merchant: &MerchantId, card_id: &CardId) -> AttributeValue {
    AttributeValue::Ss(vec![format!("{merchant}#{card_id}")])
}

/// Makes a card a holder of its number, unless it is another person's.
pub(crate) fn claim(merchant: &MerchantId, card_id: &CardId, person: &Mac) -> (Update, String) {
    let mut update = Update::default();
    stamp(&mut update);
    update.put("person", Some(s(&person.0)));
    update.when(FREE);
    update.value("holder", holder(merchant, card_id));
    let expression = format!("{} ADD holders :holder", update.expression());
    (update, expression)
}

/// Takes a card from the holders of its number.
pub(crate) fn release(merchant: &MerchantId, card_id: &CardId) -> (Update, String) {
    let mut update = Update::default();
    update.value("holder", holder(merchant, card_id));
    (update, "DELETE holders :holder".to_owned())
}

/// The attributes of a number with one holder.
pub fn attributes(merchant: &MerchantId, card_id: &CardId, person: &Mac) -> Attributes {
    vec![
        version(),
        ("person", Some(s(&person.0))),
        ("holders", Some(holder(merchant, card_id))),
    ]
}

/// Refuses the item of a later release, whose claim was not free.
///
/// # Errors
/// `TooNew`, for an item of a later release.
pub(crate) fn read(item: &Item) -> Result<(), PortError> {
    check_version(item, "a card's claim")
}
