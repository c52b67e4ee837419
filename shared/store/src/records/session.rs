//! A session in a merchant's state. Each slot is an attribute of its own, so that a login and a step do not conflict.
//! The first byte of a slot is the version of the format.

use crate::item::{Item, b, opt_b};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::device::{DeviceTag, SessionDevice};
use domain::merchant::Session;
use domain::time::Timestamp;

const VERSION: u8 = 1;

/// The attribute of a slot.
pub(crate) fn slot_name(slot: u8) -> String {
    format!("s{slot}")
}

/// The prefix of a slot that holds the session of this token: the version and the token's hash.
pub(crate) fn prefix(token_hash: &[u8; 32]) -> AttributeValue {
    b(&[&[VERSION][..], token_hash].concat())
}

/// The prefix, the times of the login and of the last change, then the device: its first login, whether it is known, its
/// tag.
pub(crate) fn value(session: &Session) -> AttributeValue {
    let Session {
        token_hash,
        login_at,
        last_change_at,
        device,
    } = session;
    let SessionDevice {
        tag,
        first_seen,
        known,
    } = device;
    let times = [*login_at, *last_change_at, *first_seen].map(five_bytes);
    let parts = [
        &[VERSION][..],
        token_hash,
        &times.concat(),
        &[u8::from(*known)],
        tag.0.as_bytes(),
    ];
    b(&parts.concat())
}

/// The session in a slot of a merchant's state.
pub(crate) fn read(item: &Item, slot: u8) -> Option<Session> {
    let bytes = opt_b(item, &slot_name(slot))?;
    let (version, rest) = bytes.split_first()?;
    let (token_hash, rest) = rest.split_first_chunk::<32>()?;
    let (login_at, rest) = rest.split_first_chunk::<5>()?;
    let (change_at, rest) = rest.split_first_chunk::<5>()?;
    let login_at = of_five_bytes(*login_at);
    (*version == VERSION).then(|| Session {
        token_hash: *token_hash,
        login_at,
        last_change_at: of_five_bytes(*change_at),
        device: device(rest).unwrap_or_else(|| SessionDevice {
            tag: DeviceTag::default(),
            first_seen: login_at,
            known: false,
        }),
    })
}

/// The device of a session; `None` for a session of a release that did not record it.
fn device(bytes: &[u8]) -> Option<SessionDevice> {
    let (first_seen, rest) = bytes.split_first_chunk::<5>()?;
    let (known, tag) = rest.split_first()?;
    Some(SessionDevice {
        tag: DeviceTag(String::from_utf8(tag.to_vec()).ok()?),
        first_seen: of_five_bytes(*first_seen),
        known: *known == 1,
    })
}

/// A time as a signed number of epoch seconds: five bytes hold every time with a four-digit year.
fn five_bytes(at: Timestamp) -> [u8; 5] {
    const MAX: i64 = (1 << 39) - 1;
    let [_, _, _, five @ ..] = at.epoch_s().clamp(-MAX, MAX).to_be_bytes();
    five
}

fn of_five_bytes([a, b, c, d, e]: [u8; 5]) -> Timestamp {
    let sign = if a & 0x80 == 0 { 0 } else { 0xff };
    Timestamp::from_epoch_s(i64::from_be_bytes([sign, sign, sign, a, b, c, d, e]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_survives_five_bytes() {
        for epoch_s in [0, 1, -1, 1_790_000_000, -62_135_596_800, 253_402_300_799] {
            let at = Timestamp::from_epoch_s(epoch_s);
            assert_eq!(of_five_bytes(five_bytes(at)), at, "{epoch_s}");
        }
    }
}
