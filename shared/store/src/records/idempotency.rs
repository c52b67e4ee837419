//! An idempotency row: the reply. Earlier releases also stored claims; see [`claim`](super::claim) for those of today. The
//! row is put as a whole, because nothing in it outlives the request.

use super::{Attributes, GARBAGE_AFTER_S, check_version, version};
use crate::item::{Item, b, broken, n, opt_b, opt_n, opt_s, opt_time, s, time};
use application::ports::{IdempotencyKey, IdempotencyLookup, PortError, StoredReply};
use domain::time::Timestamp;
use std::io::{Read, Write};

/// The attribute of the body's fingerprint.
pub(crate) const FINGERPRINT: &str = "fp";
/// The attribute of the time until which the row is valid.
pub(crate) const UNTIL: &str = "until";
/// The attribute of the reply's status; a claim of an earlier release has none.
pub(crate) const STATUS: &str = "status";

/// The attributes of an answered request.
pub(crate) fn reply(
    key: &IdempotencyKey,
    reply: &StoredReply,
    until: Timestamp,
) -> Result<Attributes, PortError> {
    let StoredReply { status, body } = reply;
    Ok(vec![
        version(),
        (FINGERPRINT, Some(s(&key.fingerprint))),
        (UNTIL, Some(time(until))),
        ("ttl", Some(time(until.plus_s(GARBAGE_AFTER_S)))),
        (STATUS, Some(n(status))),
        ("body", Some(b(&compress(body)?))),
    ])
}

/// The result of looking up a row for a request with this key.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(
    item: &Item,
    key: &IdempotencyKey,
    now: Timestamp,
) -> Result<IdempotencyLookup, PortError> {
    check_version(item, "an idempotency row")?;
    if opt_time(item, UNTIL).is_none_or(|until| until <= now) {
        return Ok(IdempotencyLookup::Nothing);
    }
    if opt_s(item, FINGERPRINT) != Some(&key.fingerprint) {
        return Ok(IdempotencyLookup::OtherBody);
    }
    match (opt_n(item, STATUS), opt_b(item, "body")) {
        (Some(status), Some(body)) => Ok(IdempotencyLookup::Reply(StoredReply {
            status,
            body: decompress(&body)?,
        })),
        _ => Ok(IdempotencyLookup::Claimed(
            opt_s(item, "context").unwrap_or_default().to_owned(),
        )),
    }
}

/// Compresses a reply. A typical 1,000 bytes with repeated words shrink to half, so the row stays below one write unit.
fn compress(body: &str) -> Result<Vec<u8>, PortError> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder
        .write_all(body.as_bytes())
        .and_then(|()| encoder.finish())
        .map_err(|error| broken(&error.to_string()))
}

fn decompress(bytes: &[u8]) -> Result<String, PortError> {
    /// More than any reply. A damaged row must not exhaust the memory.
    const BODY_MAX_BYTES: u64 = 64 * 1024;
    let mut body = String::new();
    flate2::read::DeflateDecoder::new(bytes)
        .take(BODY_MAX_BYTES)
        .read_to_string(&mut body)
        .map_err(|error| broken(&error.to_string()))?;
    Ok(body)
}
