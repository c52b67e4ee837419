//! A history event, with its notification until the notification is sent.

use super::{Attributes, DUE, check_version, due, version};
use crate::item::{
    Item, b, broken, get_json, get_s, json, n, opt_b, opt_n, opt_s, opt_time, s, time,
};
use crate::keys::merchant_of;
use crate::shards::DueShards;
use application::ports::PortError;
use domain::event_kind::EventKind;
use domain::history::{ChainedEvent, Recorded};
use domain::notification::{Notification, Recipient};
use domain::pii::Phone;
use domain::policy::Policy;
use domain::rebind::Sealed;

/// The value of `notice` while a recipient is not yet notified.
pub(crate) const NOTIFICATION_DUE: &str = "due";

/// The value of a recipient whose phone is read from the record when the message is sent.
pub(crate) const OF_RECORD: &str = "record";

/// The attribute of a notification without which its change does not take effect, until the phone on file has it.
pub(crate) const AWAITED: &str = "awaited";

/// The attribute of a recipient's part of a notification.
pub(crate) const fn recipient_name(to: Recipient) -> &'static str {
    match to {
        Recipient::OnFile => "to_on_file",
        Recipient::Previous => "to_previous",
        Recipient::Reserved => "to_reserved",
        Recipient::Push => "to_push",
    }
}

/// Joins tags into the attribute of a push.
pub(crate) fn tags_text(tags: &[String]) -> String {
    tags.join(" ")
}

/// The event's attributes.
pub fn attributes(
    event: &ChainedEvent,
    policy: &Policy,
    shards: DueShards,
) -> Result<Attributes, PortError> {
    let mut attributes = vec![
        version(),
        ("at", Some(time(event.at))),
        ("kind", Some(s(event.kind().as_str()))),
        ("policy", Some(n(event.policy))),
        ("data", Some(json(event.data())?)),
        ("prev_hash", Some(s(&event.prev_hash))),
        ("hash", Some(s(&event.hash))),
        (
            "personal",
            event.personal.as_ref().map(|personal| b(&personal.0)),
        ),
    ];
    if !event.notifications.is_empty() {
        attributes.push(("notice", Some(s(NOTIFICATION_DUE))));
        let is_awaited = event.event().announces().is_some();
        attributes.push((AWAITED, is_awaited.then(|| n(1))));
        let retry_at = event.at.plus_s(policy.notification_retry_s);
        attributes.extend(due(shards, &event.merchant_id, Some(retry_at)));
        for notification in &event.notifications {
            let value = match notification {
                Notification::OnFile | Notification::Previous => OF_RECORD.to_owned(),
                Notification::Reserved(phone) => phone.e164().to_owned(),
                Notification::Push { delivered } => tags_text(delivered),
            };
            attributes.push((recipient_name(notification.to()), Some(s(value))));
        }
    }
    Ok(attributes)
}

/// True for an event with a recipient that was not notified, or with a reminder ahead.
pub(crate) fn is_waiting(item: &Item) -> bool {
    let mut names = Recipient::ALL.into_iter().map(recipient_name).chain(DUE);
    names.any(|name| item.contains_key(name))
}

/// The event of an item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<ChainedEvent, PortError> {
    check_version(item, "an event")?;
    let kind = EventKind::parse(get_s(item, "kind")?).ok_or_else(|| broken("kind"))?;
    let seq = get_s(item, "sk")?
        .strip_prefix("E#")
        .and_then(|seq| seq.parse().ok());
    let recorded = Recorded::read(kind, get_json(item, "data")?);
    Ok(ChainedEvent {
        merchant_id: merchant_of(get_s(item, "pk")?).ok_or_else(|| broken("pk"))?,
        seq: seq.ok_or_else(|| broken("sk"))?,
        at: opt_time(item, "at").ok_or_else(|| broken("at"))?,
        policy: opt_n(item, "policy").ok_or_else(|| broken("policy"))?,
        recorded: recorded.map_err(|error| broken(&error.to_string()))?,
        personal: opt_b(item, "personal").map(Sealed),
        prev_hash: get_s(item, "prev_hash")?.to_owned(),
        hash: get_s(item, "hash")?.to_owned(),
        notifications: notifications_of(item)?,
    })
}

/// The unsent notifications of an event item.
fn notifications_of(item: &Item) -> Result<Vec<Notification>, PortError> {
    let value = |to| opt_s(item, recipient_name(to));
    let reserved = value(Recipient::Reserved).map(Phone::parse).transpose();
    let reserved = reserved.map_err(|_| broken(recipient_name(Recipient::Reserved)))?;
    let tags = value(Recipient::Push).map(|tags| Notification::Push {
        delivered: tags.split_whitespace().map(str::to_owned).collect(),
    });
    let on_file = value(Recipient::OnFile).map(|_| Notification::OnFile);
    let previous = value(Recipient::Previous).map(|_| Notification::Previous);
    let reserved = reserved.map(Notification::Reserved);
    let all = [on_file, previous, reserved, tags];
    Ok(all.into_iter().flatten().collect())
}
