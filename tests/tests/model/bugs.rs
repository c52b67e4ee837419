//! Seeded mistakes, at least one per invariant. The use cases run unchanged: a mistake alters their writes to the table, or
//! their reads from it. The checker must find every one.

use crate::calls::text;
use crate::requests::{Input, Work};
use crate::rows::{Row, Rows, key_in};
use aws_sdk_dynamodb::types::{AttributeValue, ConditionCheck, TransactWriteItem};
use domain::event_kind::EventKind;
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::Arc;
use store::client::SingleUpdate;
use store::records::event;

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    /// An activation is written with the old pointer.
    PointerStays,
    /// A read shows every identity proof and bank answer as just confirmed.
    OldProofsAreGood,
    /// No read shows the open rebind.
    OpensTwice,
    /// An activation is written without its cooldown.
    NoCooldown,
    /// A signature is written without its event.
    SignatureWithoutEvent,
    /// A state is written without the hash of the last event.
    BrokenChain,
    /// An activation is written without its notifications.
    NoNotification,
    /// The mark of a sent notification is not written.
    NoSentMark,
    /// No idempotency row is written.
    NoStoredReply,
    /// A freeze keeps the thief's card active.
    FreezesHalf,
    /// The reservation of an attempt has no condition.
    UnconditionalAttempt,
    /// A payout is written with the active card, regardless of the hold.
    PayoutToActiveCard,
    /// No write is conditioned on the state that was read.
    UnconditionalWrite,
    /// The end of a freeze keeps the active card, whichever was chosen.
    UnfreezesHalf,
    /// An activation is written as if its notification was handed over.
    DoesNotWait,
    /// A change of contact keeps the rebind open.
    RebindSurvives,
}

impl Bug {
    /// A row as a mistaken read returns it.
    pub fn misread(self, row: Arc<Row>, now: Timestamp) -> Arc<Row> {
        let sk = text(&row.item, "sk");
        let now = json!(now.epoch_s());
        match self {
            Self::OldProofsAreGood if sk.starts_with("R#") => altered(&row, |state| {
                for at in ["/st/card_pending/id/at", "/st/card_pending/chk/matched/at"] {
                    if let Some(at) = state.pointer_mut(at) {
                        at.clone_from(&now);
                    }
                }
            }),
            Self::OpensTwice if sk == "Y" => altered(&row, |state| {
                state.as_object_mut().unwrap().remove("open");
            }),
            _ => row,
        }
    }

    /// A transaction as a mistaken table executes it; `rows` is the table before.
    pub fn spoil(self, rows: &Rows, items: &mut [TransactWriteItem]) {
        let puts = items.iter().filter_map(TransactWriteItem::put);
        let event = puts
            .map(|put| put.item())
            .find(|item| text(item, "sk").starts_with("E#"));
        let kind = event.map(|item| event::read(item).unwrap().kind());
        let merchant = event.map_or("", |item| text(item, "pk")).to_owned();
        let is_reservation = items.len() == 1;
        for item in items {
            self.drop_conditions(item, is_reservation);
            let (_, sk) = key_in(item);
            let active = || {
                let row = rows.get(&merchant, "Y").unwrap();
                let state: Value = serde_json::from_str(text(&row.item, "state")).unwrap();
                state.get("act").cloned()
            };
            match (self, kind) {
                (Self::PointerStays, Some(EventKind::Activated))
                | (Self::FreezesHalf, Some(EventKind::Frozen))
                | (Self::UnfreezesHalf, Some(EventKind::Unfrozen))
                    if sk == "Y" =>
                {
                    let active = active();
                    alter(attributes(item), |state| {
                        let state = state.as_object_mut().unwrap();
                        match &active {
                            Some(active) => state.insert("act".to_owned(), active.clone()),
                            None => state.remove("act"),
                        };
                    });
                }
                (Self::NoCooldown, Some(EventKind::Activated)) if sk == "Y" => {
                    let values = attributes(item);
                    let never = AttributeValue::N("0".to_owned());
                    values.insert(":cooldown_until".to_owned(), never);
                }
                (Self::DoesNotWait, Some(EventKind::Activated)) if sk == "Y" => {
                    alter(attributes(item), |state| {
                        state["last"].as_object_mut().unwrap().remove("w");
                    });
                }
                (Self::RebindSurvives, Some(EventKind::SecurityChanged)) if sk == "Y" => {
                    alter(attributes(item), |state| state["open"] = json!(1));
                }
                (Self::BrokenChain, _) if sk == "Y" => {
                    alter(attributes(item), |state| {
                        state["hash"] = json!("A".repeat(43))
                    });
                }
                (Self::SignatureWithoutEvent, Some(EventKind::AgreementSigned))
                    if sk.starts_with("E#") =>
                {
                    *item = nothing(item);
                }
                (Self::NoStoredReply, _) if sk == "I" => *item = nothing(item),
                (Self::NoNotification, Some(EventKind::Activated)) if sk.starts_with("E#") => {
                    let put = item.put.as_mut().unwrap();
                    put.item.retain(|name, _| !name.starts_with("to_"));
                    for name in ["notice", "due_bucket", "due_at"] {
                        put.item.remove(name);
                    }
                }
                (Self::PayoutToActiveCard, Some(EventKind::PayoutCreated)) if sk == "O" => {
                    let active = active();
                    alter(attributes(item), |payout| {
                        payout["card"] = active.unwrap()["c"].clone();
                    });
                }
                _ => {}
            }
        }
    }

    fn drop_conditions(self, item: &mut TransactWriteItem, is_reservation: bool) {
        let (pk, sk) = key_in(item);
        let drops = match self {
            Self::UnconditionalAttempt => is_reservation && sk.starts_with("R#"),
            Self::UnconditionalWrite => pk.starts_with("M#"),
            _ => false,
        };
        if let Some(put) = item.put.as_mut().filter(|_| drops) {
            put.condition_expression = None;
        }
        if let Some(update) = item.update.as_mut().filter(|_| drops) {
            update.condition_expression = None;
        }
    }

    /// Returns true if an update is reported as successful without being executed.
    pub fn forgets(self, input: &Input, update: &SingleUpdate) -> bool {
        let is_notification = matches!(input.work, Work::Notification(..));
        let marks = update.expression.contains("REMOVE #to_");
        self == Self::NoSentMark && is_notification && marks
    }
}

/// The row with another state.
fn altered(row: &Row, change: impl FnOnce(&mut Value)) -> Arc<Row> {
    let mut item = row.item.clone();
    alter(&mut item, change);
    Arc::new(Row::new(item))
}

/// Changes the attribute `state` of an item, or of an update's values.
fn alter(item: &mut HashMap<String, AttributeValue>, change: impl FnOnce(&mut Value)) {
    let name = [":state", "state"]
        .into_iter()
        .find(|name| item.contains_key(*name));
    let state = item.get_mut(name.unwrap()).unwrap();
    let mut json: Value = serde_json::from_str(state.as_s().unwrap()).unwrap();
    change(&mut json);
    *state = AttributeValue::S(json.to_string());
}

/// The item of a put, or the values of an update.
fn attributes(item: &mut TransactWriteItem) -> &mut HashMap<String, AttributeValue> {
    match (&mut item.put, &mut item.update) {
        (Some(put), _) => &mut put.item,
        (_, Some(update)) => update.expression_attribute_values.as_mut().unwrap(),
        _ => unreachable!("only writes have attributes"),
    }
}

/// A no-op item in the place of another.
fn nothing(item: &TransactWriteItem) -> TransactWriteItem {
    let (pk, sk) = key_in(item);
    let check = ConditionCheck::builder()
        .table_name("")
        .key("pk", AttributeValue::S(pk))
        .key("sk", AttributeValue::S(sk))
        .condition_expression("attribute_not_exists(nothing)");
    let check = check.build().unwrap();
    TransactWriteItem::builder().condition_check(check).build()
}
