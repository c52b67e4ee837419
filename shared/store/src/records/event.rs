//! An event of the history, with its notice until it was sent.

use super::{Attributes, check_version, due, version};
use crate::item::{
    Item, b, broken, get_json, get_s, json, n, opt_b, opt_n, opt_s, opt_time, s, time,
};
use crate::keys::merchant_of;
use application::ports::PortError;
use domain::event_kind::EventKind;
use domain::history::Event;
use domain::policy::Policy;
use domain::rebind::Sealed;
use domain::transition::{Notification, Recipient};

/// The value of `notice` while somebody is still to be told.
pub(crate) const NOTICE_DUE: &str = "due";

/// The attribute that holds a recipient's part of a notice.
pub(crate) const fn recipient_name(to: Recipient) -> &'static str {
    match to {
        Recipient::OnFile => "to_on_file",
        Recipient::Reserved => "to_reserved",
        Recipient::Push => "to_push",
    }
}

/// The event's attributes.
pub fn attributes(event: &Event, policy: &Policy) -> Result<Attributes, PortError> {
    let mut attributes = vec![
        version(),
        ("at", Some(time(event.at))),
        ("kind", Some(s(event.kind.as_str()))),
        ("policy", Some(n(event.policy))),
        ("data", Some(json(&event.data)?)),
        ("prev_hash", Some(s(&event.prev_hash))),
        ("hash", Some(s(&event.hash))),
        (
            "personal",
            event.personal.as_ref().map(|personal| b(&personal.0)),
        ),
    ];
    if !event.notices.is_empty() {
        attributes.push(("notice", Some(s(NOTICE_DUE))));
        let retry_at = event.at.plus_s(policy.notice_retry_s);
        attributes.extend(due(&event.merchant_id, Some(retry_at)));
        let notices = event.notices.iter();
        attributes
            .extend(notices.map(|notice| (recipient_name(notice.to), Some(s(&notice.phone)))));
    }
    Ok(attributes)
}

/// The event of an item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Event, PortError> {
    check_version(item, "an event")?;
    let kind = get_s(item, "kind")?;
    let seq = get_s(item, "sk")?
        .strip_prefix("E#")
        .and_then(|seq| seq.parse().ok());
    let notices = [Recipient::OnFile, Recipient::Reserved, Recipient::Push]
        .into_iter()
        .filter_map(|to| {
            Some(Notification {
                to,
                phone: opt_s(item, recipient_name(to))?.to_owned(),
            })
        })
        .collect();
    Ok(Event {
        merchant_id: merchant_of(get_s(item, "pk")?).ok_or_else(|| broken("pk"))?,
        seq: seq.ok_or_else(|| broken("sk"))?,
        at: opt_time(item, "at").ok_or_else(|| broken("at"))?,
        kind: EventKind::parse(kind).ok_or_else(|| broken("kind"))?,
        policy: opt_n(item, "policy").ok_or_else(|| broken("policy"))?,
        data: get_json(item, "data")?,
        personal: opt_b(item, "personal").map(Sealed),
        prev_hash: get_s(item, "prev_hash")?.to_owned(),
        hash: get_s(item, "hash")?.to_owned(),
        notices,
    })
}
