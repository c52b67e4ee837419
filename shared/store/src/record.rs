//! How the domain's values lie in the table: keys, and one function each way for each kind of item.

use super::due;
use super::item::{
    self, Item, b, broken, get_json, get_n, get_s, json, n, opt_b, opt_n, opt_s, opt_time, s, time,
};
use application::ports::PortError;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::event_kind::EventKind;
use domain::history::{ChainedEvent, Recorded};
use domain::ids::{CardId, MerchantId};
use domain::merchant::{MerchantState, Profile, Session};
use domain::notification::{Notification, Recipient};
use domain::policy::Policy;
use domain::rebind::{Rebind, Sealed};
use domain::time::Timestamp;

/// The key of an item.
pub(super) fn key(pk: impl Into<String>, sk: impl Into<String>) -> Item {
    Item::from([("pk".to_owned(), s(pk)), ("sk".to_owned(), s(sk))])
}

/// The partition of a merchant.
pub(super) fn merchant_pk(merchant: &MerchantId) -> String {
    format!("M#{merchant}")
}

/// The merchant of a partition.
pub(super) fn merchant_of(pk: &str) -> Option<MerchantId> {
    MerchantId::parse(pk.strip_prefix("M#")?)
}

/// The sort key of the head.
pub(super) const HEAD: &str = "Y";
/// The sort key of the profile.
pub(super) const PROFILE: &str = "Z";

/// The sort key of a rebind.
pub(super) fn rebind_sk(number: u32) -> String {
    format!("R#{number:06x}")
}

/// The sort key of an event.
pub(super) fn event_sk(seq: u64) -> String {
    format!("E#{seq:010}")
}

/// The sort key of a card that came with the merchant.
pub(super) fn card_sk(card_id: &CardId) -> String {
    format!("C#{card_id}")
}

/// The attribute of a session's slot.
pub(super) fn slot_name(slot: u8) -> String {
    format!("s{slot}")
}

/// What a session's attribute begins with as long as it is the session of this token: a version byte and the hash.
pub(super) fn session_prefix(token_hash: &[u8; 32]) -> AttributeValue {
    b(&[&[SESSION_VERSION][..], token_hash].concat())
}

const SESSION_VERSION: u8 = 1;

/// A time in five bytes, as a signed number of epoch seconds: every time that can be written down with a four-digit year.
fn five_bytes(at: Timestamp) -> [u8; 5] {
    const MAX: i64 = (1 << 39) - 1;
    let [_, _, _, five @ ..] = at.epoch_s().clamp(-MAX, MAX).to_be_bytes();
    five
}

fn of_five_bytes([a, b, c, d, e]: [u8; 5]) -> Timestamp {
    let sign = if a & 0x80 == 0 { 0 } else { 0xff };
    Timestamp::from_epoch_s(i64::from_be_bytes([sign, sign, sign, a, b, c, d, e]))
}

/// Behind the prefix: login and last change.
pub(super) fn session_value(session: &Session) -> AttributeValue {
    let (login_at, change_at) = (
        five_bytes(session.login_at),
        five_bytes(session.last_change_at),
    );
    let parts = [
        &[SESSION_VERSION][..],
        &session.token_hash,
        &login_at,
        &change_at,
    ];
    b(&parts.concat())
}

/// The session in a slot of a head.
pub(super) fn session_of(item: &Item, slot: u8) -> Option<Session> {
    let bytes = opt_b(item, &slot_name(slot))?;
    let (version, rest) = bytes.split_first()?;
    let (token_hash, rest) = rest.split_first_chunk::<32>()?;
    let (login_at, rest) = rest.split_first_chunk::<5>()?;
    let (change_at, _) = rest.split_first_chunk::<5>()?;
    (*version == SESSION_VERSION).then(|| Session {
        token_hash: *token_hash,
        login_at: of_five_bytes(*login_at),
        last_change_at: of_five_bytes(*change_at),
    })
}

pub(super) fn head_from(item: &Item) -> Result<MerchantState, PortError> {
    let mut head: MerchantState = get_json(item, "state")?;
    head.version = get_n(item, "version")?;
    head.cooldown_until = opt_time(item, "cooldown_until");
    for (slot, session) in (0_u8..).zip(head.sessions.iter_mut()) {
        *session = session_of(item, slot);
    }
    Ok(head)
}

/// Everything of a head but its sessions and its key.
pub(super) fn head_attributes(
    merchant: &MerchantId,
    head: &MerchantState,
    now: Timestamp,
) -> Result<[(&'static str, Option<AttributeValue>); 5], PortError> {
    let due_at = head.due_at(now);
    Ok([
        ("version", Some(n(head.version))),
        ("state", Some(json(head)?)),
        ("cooldown_until", head.cooldown_until.map(time)),
        ("due_bucket", due_at.map(|at| s(due::bucket(merchant, at)))),
        ("due_at", due_at.map(time)),
    ])
}

pub(super) fn profile_from(item: &Item) -> Result<Profile, PortError> {
    let mut profile: Profile = get_json(item, "state")?;
    profile.sealed_id_number = opt_b(item, "id_sealed").map(Sealed);
    profile.history_key = opt_b(item, "history_key").map(Sealed);
    if item.contains_key("settlement") {
        profile.settlement = get_json(item, "settlement")?;
    }
    Ok(profile)
}

pub(super) fn profile_item(profile: &Profile) -> Result<Item, PortError> {
    let mut item = key(merchant_pk(&profile.merchant_id), PROFILE);
    item.insert("state".to_owned(), json(profile)?);
    if let Some(sealed) = &profile.sealed_id_number {
        item.insert("id_sealed".to_owned(), b(&sealed.0));
    }
    if let Some(wrapped) = &profile.history_key {
        item.insert("history_key".to_owned(), b(&wrapped.0));
    }
    Ok(item)
}

pub(super) fn rebind_from(item: &Item) -> Result<Rebind, PortError> {
    let mut rebind: Rebind = get_json(item, "state")?;
    rebind.revision = get_n(item, "rev")?;
    rebind.sealed_number = opt_b(item, "number").map(Sealed);
    Ok(rebind)
}

pub(super) fn rebind_item(
    merchant: &MerchantId,
    rebind: &Rebind,
    policy: &Policy,
) -> Result<Item, PortError> {
    let mut item = key(merchant_pk(merchant), rebind_sk(rebind.rebind_id.number()));
    item.insert("rev".to_owned(), n(rebind.revision));
    item.insert("state".to_owned(), json(rebind)?);
    if let Some(sealed) = &rebind.sealed_number {
        item.insert("number".to_owned(), b(&sealed.0));
    }
    if let Some(at) = rebind.due_at(policy) {
        item.insert("due_bucket".to_owned(), s(due::bucket(merchant, at)));
        item.insert("due_at".to_owned(), time(at));
    }
    Ok(item)
}

/// The value of `notice` while somebody is still to be told.
pub(super) const NOTICE_DUE: &str = "due";

pub(super) const fn recipient_name(to: Recipient) -> &'static str {
    match to {
        Recipient::OnFile => "to_on_file",
        Recipient::Reserved => "to_reserved",
        Recipient::Push => "to_push",
    }
}

/// The version of an event's record.
const EVENT_V: u32 = 1;

/// Tags as the attribute of a push holds them.
pub(super) fn tags_text(tags: &[String]) -> String {
    tags.join(" ")
}

pub(super) fn event_item(event: &ChainedEvent, policy: &Policy) -> Result<Item, PortError> {
    let mut item = key(merchant_pk(&event.merchant_id), event_sk(event.seq));
    item.insert("v".to_owned(), n(EVENT_V));
    item.insert("at".to_owned(), time(event.at));
    item.insert("kind".to_owned(), s(event.kind().as_str()));
    item.insert("policy".to_owned(), n(event.policy));
    item.insert("data".to_owned(), json(event.data())?);
    item.insert("prev_hash".to_owned(), s(&event.prev_hash));
    item.insert("hash".to_owned(), s(&event.hash));
    if let Some(personal) = &event.personal {
        item.insert("personal".to_owned(), b(&personal.0));
    }
    if !event.notices.is_empty() {
        let retry_at = event.at.plus_s(policy.notice_retry_s);
        item.insert("notice".to_owned(), s(NOTICE_DUE));
        item.insert(
            "due_bucket".to_owned(),
            s(due::bucket(&event.merchant_id, retry_at)),
        );
        item.insert("due_at".to_owned(), time(retry_at));
        for notice in &event.notices {
            let value = match notice {
                Notification::OnFile(phone) | Notification::Reserved(phone) => s(phone),
                Notification::Push { delivered } => s(tags_text(delivered)),
            };
            item.insert(recipient_name(notice.to()).to_owned(), value);
        }
    }
    Ok(item)
}

/// The event of an item.
///
/// # Errors
/// `Permanent`, for an item that this code did not write, and for one of a later version than this code knows.
pub fn event_from(item: &Item) -> Result<ChainedEvent, PortError> {
    if get_n::<u32>(item, "v")? != EVENT_V {
        return Err(broken("v"));
    }
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
        notices: notices_of(item),
    })
}

/// The notifications that an event item still has to send.
fn notices_of(item: &Item) -> Vec<Notification> {
    let value = |to| opt_s(item, recipient_name(to)).map(str::to_owned);
    let tags = value(Recipient::Push).map(|tags| Notification::Push {
        delivered: tags.split_whitespace().map(str::to_owned).collect(),
    });
    let on_file = value(Recipient::OnFile).map(Notification::OnFile);
    let reserved = value(Recipient::Reserved).map(Notification::Reserved);
    [on_file, reserved, tags].into_iter().flatten().collect()
}

/// Bytes of an item as DynamoDB counts them, nearly: names and values.
#[must_use]
pub fn size_bytes(item: &item::Item) -> usize {
    let value_bytes = |value: &AttributeValue| match value {
        AttributeValue::S(text) | AttributeValue::N(text) => text.len(),
        AttributeValue::B(blob) => blob.as_ref().len(),
        AttributeValue::Ss(texts) => 3 + texts.iter().map(|text| text.len() + 1).sum::<usize>(),
        _ => 1,
    };
    item.iter()
        .map(|(name, value)| name.len() + value_bytes(value))
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_five_bytes() {
        for epoch_s in [0, 1, -1, 1_790_000_000, -62_135_596_800, 253_402_300_799] {
            let at = Timestamp::from_epoch_s(epoch_s);
            assert_eq!(of_five_bytes(five_bytes(at)), at, "{epoch_s}");
        }
    }
}
