//! The formats that a merchant sees.

use domain::time::Timestamp;
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

/// `11月24日08:10`
pub fn minute_zh(at: Timestamp) -> String {
    let text = at.to_rfc3339_shanghai();
    let (month, day, clock) = (&text[5..7], &text[8..10], &text[11..16]);
    format!("{month}月{day}日{clock}")
}

/// An object without some of its members.
pub fn without(value: &Value, names: &[&str]) -> Value {
    let mut value = value.clone();
    for name in names {
        value.as_object_mut().unwrap().remove(*name).unwrap();
    }
    value
}
