//! The records of the main table's stream, as Lambda delivers them.

use crate::item::{Item, broken};
use crate::records::event;
use application::ports::PortError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::history::ChainedEvent;
use serde_json::Value;

/// The event of an item's image in DynamoDB's JSON.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that is not a readable event.
pub fn event_of_image(image: &Value) -> Result<ChainedEvent, PortError> {
    let image = image.as_object().ok_or_else(|| broken("an image"))?;
    let attributes = image.iter();
    let item: Item = attributes
        .filter_map(|(name, value)| Some((name.clone(), attribute(value)?)))
        .collect();
    event::read(&item)
}

/// `None` for a type that no attribute of an event has.
fn attribute(value: &Value) -> Option<AttributeValue> {
    let (kind, value) = value.as_object()?.iter().next()?;
    let text = value.as_str()?;
    match kind.as_str() {
        "S" => Some(AttributeValue::S(text.to_owned())),
        "N" => Some(AttributeValue::N(text.to_owned())),
        "B" => Some(AttributeValue::B(Blob::new(STANDARD.decode(text).ok()?))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::history::{Event, event::OfRebind};
    use domain::ids::RebindId;
    use serde_json::json;

    fn image() -> Value {
        json!({
            "pk": {"S": "M#mer_plain_1"},
            "sk": {"S": "E#00000007"},
            "v": {"N": "1"},
            "at": {"N": "1795312800"},
            "kind": {"S": "completed"},
            "policy": {"N": "3"},
            "data": {"S": "{\"rebind_id\":\"rbd_000001bcdfghjklmnpqrst\"}"},
            "prev_hash": {"S": "00"},
            "hash": {"S": "01"},
            "personal": {"B": "AQID"},
            "later": {"BOOL": true},
        })
    }

    #[test]
    fn image_is_read_like_its_item() {
        let event = event_of_image(&image()).unwrap();
        assert_eq!((event.merchant_id.as_str(), event.seq), ("mer_plain_1", 7));
        let rebind_id = RebindId::parse("rbd_000001bcdfghjklmnpqrst").unwrap();
        assert_eq!(*event.event(), Event::Completed(OfRebind { rebind_id }));
        assert_eq!(event.personal.unwrap().0, [1, 2, 3]);
    }

    #[test]
    fn other_images_are_refused() {
        let mut later = image();
        later["v"]["N"] = json!("2");
        let read = event_of_image(&later);
        assert!(matches!(read, Err(PortError::TooNew(_))), "{read:?}");
        let mut foreign = vec![json!(null), json!([]), json!({}), json!({"pk": 1})];
        for (name, value) in [
            ("kind", json!({"S": "unheard_of"})),
            ("sk", json!({"S": "R#000001"})),
            ("pk", json!({"S": "A#x"})),
            ("hash", json!({"N": "1"})),
            ("data", json!({"S": "{}"})),
        ] {
            let mut image = image();
            image[name] = value;
            foreign.push(image);
        }
        for image in foreign {
            let read = event_of_image(&image);
            assert!(matches!(read, Err(PortError::Permanent(..))), "{read:?}");
        }
    }
}
