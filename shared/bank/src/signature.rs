//! How a request and its reply are signed.
//!
//! ```text
//! request:  HMAC-SHA256(key, "POST" LF path LF time LF sha256-hex(body))
//! reply:    HMAC-SHA256(key, "REPLY" LF status LF signature of the request LF sha256-hex(body))
//! ```
//! Both in lower-case hex. `path` is the path of the protocol (`/check`), so that whatever stands before it in
//! the URL does not matter. A reply is signed over its request's signature: an answer cannot be forged by
//! whoever sits between us, nor one bank answer be shown for another.

use super::key::{BankKey, sha256_hex};
use subtle::ConstantTimeEq;
use thiserror::Error;

/// Header with the time of signing: seconds since 1970-01-01T00:00:00Z, in decimal.
pub const TIME_HEADER: &str = "x-bank-time";
/// Header with the signature, in requests and in replies.
pub const SIGNATURE_HEADER: &str = "x-bank-signature";
/// How far the time of signing may be from the verifier's clock, either way. Inside it a request may be
/// replayed: its serial makes that harmless.
pub const MAX_SKEW_S: u64 = 5 * 60;

/// Why a request is not taken. For the log: whoever sent it learns only that it was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Refused {
    /// No time, or not a decimal number of seconds.
    #[error("no readable time")]
    NoTime,
    /// Signed too long ago, or in the future.
    #[error("the time of signing is more than {MAX_SKEW_S} s away")]
    Stale,
    /// No signature, or not that of this request under this key.
    #[error("wrong signature")]
    Forged,
}

/// Signs a request: `path` as in the protocol, `time` exactly as in its header.
#[must_use]
pub fn sign_request(key: &BankKey, path: &str, time: &str, body: &[u8]) -> String {
    key.mac_hex(format!("POST\n{path}\n{time}\n{}", sha256_hex(body)).as_bytes())
}

/// Checks what a request claims, at `now_epoch_s` on the verifier's clock.
///
/// # Errors
/// See [`Refused`].
pub fn verify_request(
    key: &BankKey,
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
    if same(&sign_request(key, path, time, body), signature) {
        Ok(())
    } else {
        Err(Refused::Forged)
    }
}

/// Signs the reply to the request that carried `request_signature`.
#[must_use]
pub fn sign_reply(key: &BankKey, request_signature: &str, status: u16, body: &[u8]) -> String {
    let body = sha256_hex(body);
    key.mac_hex(format!("REPLY\n{status}\n{request_signature}\n{body}").as_bytes())
}

/// Whether this is the bank's reply to the request that carried `request_signature`.
#[must_use]
pub fn is_reply(
    key: &BankKey,
    request_signature: &str,
    status: u16,
    signature: Option<&str>,
    body: &[u8],
) -> bool {
    signature
        .is_some_and(|signature| same(&sign_reply(key, request_signature, status, body), signature))
}

/// In a time that depends on the lengths only.
fn same(expected: &str, claimed: &str) -> bool {
    expected.as_bytes().ct_eq(claimed.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_795_000_000;
    const TIME: &str = "1795000000";
    const BODY: &[u8] = br#"{"serial":"rbd_1-1"}"#;

    fn key(fill: char) -> BankKey {
        BankKey::from_secret_text(&fill.to_string().repeat(64)).unwrap()
    }

    fn verify(path: &str, time: &str, signature: &str, body: &[u8]) -> Result<(), Refused> {
        verify_request(&key('k'), path, Some(time), Some(signature), body, NOW)
    }

    /// The vector of the protocol page; an implementer can check theirs against it.
    #[test]
    fn the_vector_of_the_protocol_page() {
        let signature = sign_request(&key('k'), "/check/query", TIME, BODY);
        assert_eq!(
            signature,
            "8e3f55a5c6eaa359de9dc35a4e636f3a2eb19113a9bdfe767ec36728edebda35"
        );
        let reply = br#"{"serial":"rbd_1-1","outcome":"match"}"#;
        let reply_signature = sign_reply(&key('k'), &signature, 200, reply);
        assert_eq!(
            reply_signature,
            "e8a90f45a62dc45e6a090d4c20397ccbefb6af7d10c6f0fd0727d54df8db9dc9"
        );
        let page = include_str!("../../../infra/bank-protocol.md");
        for value in [&signature, &reply_signature, &"k".repeat(64)] {
            assert!(page.contains(value.as_str()));
        }
    }

    #[test]
    fn a_signature_holds_for_its_path_time_body_and_key_only() {
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
    fn a_signature_lives_five_minutes_either_way() {
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
    fn a_reply_belongs_to_one_request() {
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
        // Nor can the request's own signature be shown back as the reply's.
        assert!(!check(&request, 200, Some(&request), BODY));
    }
}
