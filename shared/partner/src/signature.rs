//! Signatures of requests and replies.
//!
//! ```text
//! request:  HMAC-SHA256(key, "POST" LF path LF time LF sha256-hex(body))
//! reply:    HMAC-SHA256(key, "REPLY" LF status LF signature of the request LF sha256-hex(body))
//! ```
//! Both are in lower-case hex. `path` is the protocol's path (`/check`), independent of any prefix in the URL. The
//! reply's signature covers the request's signature, so a man in the middle can neither forge an answer nor replay
//! the answer to another request.

use crate::key::{PartnerKey, sha256_hex};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Maximum difference between the signing time and the verifier's clock. A request can be replayed within it, which
/// its serial makes harmless.
pub const MAX_SKEW_S: u64 = 5 * 60;

/// Why a request is refused. For the log only: the sender learns just that it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// The time is missing or not a decimal number of seconds.
    #[error("missing or invalid time")]
    NoTime,
    /// The signing time is too far from the current time.
    #[error("the signing time is off by more than {MAX_SKEW_S} s")]
    Stale,
    /// The signature is missing or does not match this request and key.
    #[error("missing or wrong signature")]
    Forged,
}

/// Signs a request. `path` is the protocol's path, `time` the exact text of its header.
#[must_use]
pub fn sign_request(key: &PartnerKey, path: &str, time: &str, body: &[u8]) -> String {
    key.mac_hex(format!("POST\n{path}\n{time}\n{}", sha256_hex(body)).as_bytes())
}

/// Verifies the time and the signature of a request. `now_epoch_s` is the verifier's current time.
///
/// # Errors
/// See [`Refused`].
pub fn verify_request(
    key: &PartnerKey,
    path: &str,
    time: Option<&str>,
    signature: Option<&str>,
    body: &[u8],
    now_epoch_s: i64,
) -> Result<(), Refused> {
    let time = time.ok_or(Refused::NoTime)?;
    let signed_at_epoch_s: i64 = time.parse().map_err(|_| Refused::NoTime)?;
    if signed_at_epoch_s.abs_diff(now_epoch_s) > MAX_SKEW_S {
        return Err(Refused::Stale);
    }
    let signature = signature.ok_or(Refused::Forged)?;
    if is_equal(&sign_request(key, path, time, body), signature) {
        Ok(())
    } else {
        Err(Refused::Forged)
    }
}

/// Signs the reply to the request that carried `request_signature`.
#[must_use]
pub fn sign_reply(key: &PartnerKey, request_signature: &str, status: u16, body: &[u8]) -> String {
    let body = sha256_hex(body);
    key.mac_hex(format!("REPLY\n{status}\n{request_signature}\n{body}").as_bytes())
}

/// Whether the signature belongs to the reply to the request that carried `request_signature`.
#[must_use]
pub fn is_reply(
    key: &PartnerKey,
    request_signature: &str,
    status: u16,
    signature: Option<&str>,
    body: &[u8],
) -> bool {
    signature.is_some_and(|signature| {
        is_equal(&sign_reply(key, request_signature, status, body), signature)
    })
}

/// Compares in a time that depends on the lengths only.
fn is_equal(expected: &str, claimed: &str) -> bool {
    expected.as_bytes().ct_eq(claimed.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;
    const TIME: &str = "1795000000";
    const BODY: &[u8] = br#"{"serial":"rbd_1-1"}"#;

    fn key(fill: char) -> PartnerKey {
        PartnerKey::from_secret_text(&fill.to_string().repeat(64)).unwrap()
    }

    fn verify(path: &str, time: &str, signature: &str, body: &[u8]) -> Result<(), Refused> {
        verify_request(&key('k'), path, Some(time), Some(signature), body, NOW)
    }

    #[test]
    fn signature_binds_path_time_body_and_key() {
        let good = sign_request(&key('k'), "/check", TIME, BODY);
        assert_eq!(verify("/check", TIME, &good, BODY), Ok(()));
        assert_eq!(verify("/transfer", TIME, &good, BODY), Err(Refused::Forged));
        assert_eq!(
            verify("/check/query", TIME, &good, BODY),
            Err(Refused::Forged)
        );
        assert_eq!(
            verify("/check", "1795000001", &good, BODY),
            Err(Refused::Forged)
        );
        assert_eq!(verify("/check", TIME, &good, b"{}"), Err(Refused::Forged));
        let other = sign_request(&key('x'), "/check", TIME, BODY);
        assert_eq!(verify("/check", TIME, &other, BODY), Err(Refused::Forged));
        for bad in [
            "",
            "0",
            &good[..63],
            &good.to_uppercase(),
            &format!("{good}0"),
        ] {
            assert_eq!(verify("/check", TIME, bad, BODY), Err(Refused::Forged));
        }
    }

    #[test]
    fn signature_is_valid_for_five_minutes() {
        for (skew_s, expected) in [
            (0, Ok(())),
            (300, Ok(())),
            (-300, Ok(())),
            (301, Err(Refused::Stale)),
            (-301, Err(Refused::Stale)),
        ] {
            let time = (NOW + skew_s).to_string();
            let signature = sign_request(&key('k'), "/check", &time, BODY);
            assert_eq!(verify("/check", &time, &signature, BODY), expected);
        }
        for time in [
            "",
            "now",
            "1795000000.5",
            "99999999999999999999",
            "-9223372036854775808",
        ] {
            let signature = sign_request(&key('k'), "/check", time, BODY);
            assert!(verify("/check", time, &signature, BODY).is_err());
        }
        let missing =
            |time, signature| verify_request(&key('k'), "/check", time, signature, BODY, NOW);
        assert_eq!(missing(None, Some("ab")), Err(Refused::NoTime));
        assert_eq!(missing(Some(TIME), None), Err(Refused::Forged));
    }

    #[test]
    fn reply_signature_binds_its_request() {
        let request = sign_request(&key('k'), "/check", TIME, BODY);
        let signature = sign_reply(&key('k'), &request, 200, b"{}");
        let check = |request: &str, status, signature, body: &[u8]| {
            is_reply(&key('k'), request, status, signature, body)
        };
        assert!(check(&request, 200, Some(&signature), b"{}"));
        assert!(!check(&request, 200, Some(&signature), b"[]"));
        assert!(!check(&request, 201, Some(&signature), b"{}"));
        assert!(!check(&signature, 200, Some(&signature), b"{}"));
        assert!(!check(&request, 200, None, b"{}"));
        // The request's own signature is not valid for the reply.
        assert!(!check(&request, 200, Some(&request), BODY));
    }
}
