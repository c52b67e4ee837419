//! The signatures of the bank protocol: those of [`partner`], under headers of its own.

use partner::Headers;

pub use partner::signature::{
    MAX_SKEW_S, Refused, is_reply, sign_reply, sign_request, verify_request,
};

/// Header with the signing time: seconds since 1970-01-01T00:00:00Z, in decimal.
pub const TIME_HEADER: &str = "x-bank-time";
/// Header with the signature of a request or a reply.
pub const SIGNATURE_HEADER: &str = "x-bank-signature";
/// Both.
pub const HEADERS: Headers = Headers {
    time: TIME_HEADER,
    signature: SIGNATURE_HEADER,
};

#[cfg(test)]
mod tests {
    use super::*;
    use partner::PartnerKey;

    const TIME: &str = "1795000000";
    const BODY: &[u8] = br#"{"serial":"rbd_1-1"}"#;

    fn key(fill: char) -> PartnerKey {
        PartnerKey::from_secret_text(&fill.to_string().repeat(64)).unwrap()
    }

    /// An implementer can check their code against this vector, which `bank-protocol.md` contains.
    #[test]
    fn vector_matches_protocol_page() {
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
}
