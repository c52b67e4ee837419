//! The formats that a merchant sees.

use domain::card::UNKNOWN_BANK;
use domain::format::bins;
use domain::lang::Lang;
use domain::pii::CardNumber;
use domain::sms::{CardLabel, Sms, render};
use serde_json::Value;
pub use tests::merchant::rebind_path;

/// The last four digits.
pub fn last4(card: &str) -> &str {
    &card[card.len() - 4..]
}

/// `139****0001`
pub fn masked(phone: &str) -> String {
    let national = phone.trim_start_matches("+86");
    format!("{}****{}", &national[..3], &national[7..])
}

/// The Chinese text of a message.
pub fn zh(sms: &Sms<'_>) -> String {
    render(sms, Lang::ZhCn)
}

/// A card in a message, with its bank in the prefix table.
pub fn label(card: &str) -> CardLabel<'_> {
    let number = CardNumber::parse(card).unwrap();
    let bank_code = bins::lookup(&number).map_or(UNKNOWN_BANK.0, |bin| bin.bank_code);
    CardLabel {
        bank_code,
        bank_name: bins::bank_name(bank_code).unwrap_or(UNKNOWN_BANK.1),
        last4: last4(card),
    }
}

/// An object without some of its members.
pub fn without(value: &Value, names: &[&str]) -> Value {
    let mut value = value.clone();
    for name in names {
        value.as_object_mut().unwrap().remove(*name).unwrap();
    }
    value
}
