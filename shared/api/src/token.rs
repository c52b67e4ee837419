//! Session tokens: `<merchant id>.<slot>.<256 random bits>`. Merchant id and slot form the store's key, so that
//! checking a token costs no extra call. The random bits make it unguessable. Only the hash of the whole token is
//! stored.

use super::event::Request;
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::merchant::{Merchant, Session, Slot};
use domain::next_action::NextAction;
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// A presented token, not yet verified.
#[derive(Clone, Debug)]
pub struct Presented {
    /// The merchant id in the token.
    pub merchant_id: MerchantId,
    /// The session slot in the token.
    pub slot: Slot,
    /// The SHA-256 of the token.
    pub token_hash: [u8; 32],
}

/// The text of a token.
#[must_use]
pub fn token_text(merchant: &MerchantId, slot: Slot, secret: &str) -> String {
    format!("{merchant}.{slot}.{secret}")
}

/// SHA-256 of a token. No key is needed, because a token has 256 random bits.
#[must_use]
pub fn token_hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

/// The token of a request.
///
/// # Errors
/// `SESSION_EXPIRED` for a missing or malformed token.
pub fn presented(request: &Request) -> Result<Presented, Rejection> {
    let header = request.header("authorization").unwrap_or_default();
    let (scheme, token) = header.split_once(' ').unwrap_or_default();
    let mut parts = token.trim().split('.');
    match (parts.next(), parts.next(), parts.next(), parts.next()) {
        (Some(merchant), Some(slot), Some(_), None) if scheme.eq_ignore_ascii_case("bearer") => {
            let merchant_id = MerchantId::parse(merchant).ok_or_else(dead)?;
            let slot = slot.parse().map_err(|_| dead())?;
            Ok(Presented {
                merchant_id,
                slot,
                token_hash: token_hash(token.trim()),
            })
        }
        _ => Err(dead()),
    }
}

impl Presented {
    /// The session of this token, if it is live.
    ///
    /// # Errors
    /// `SESSION_EXPIRED`, for every reason.
    pub fn session<'m>(
        &self,
        merchant: &'m Merchant,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<&'m Session, Rejection> {
        let session = merchant
            .state
            .sessions
            .get(usize::from(self.slot))
            .and_then(Option::as_ref);
        session
            .filter(|session| {
                bool::from(session.token_hash.ct_eq(&self.token_hash))
                    && session.is_valid_at(policy, now)
            })
            .ok_or_else(dead)
    }
}

/// The one answer to every invalid token.
#[must_use]
pub fn dead() -> Rejection {
    Rejection::new(ErrorCode::SessionExpired).next(&[NextAction::Login])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(header: &str) -> Request {
        let headers = [("authorization".to_owned(), header.to_owned())].into();
        Request {
            headers,
            ..Request::default()
        }
    }

    #[test]
    fn token_locates_session_slot() {
        let merchant = MerchantId::parse("mer_a_1").unwrap();
        let token = token_text(&merchant, 3, "secret");
        let presented = presented(&with(&format!("Bearer {token}"))).unwrap();
        assert_eq!((presented.merchant_id, presented.slot), (merchant, 3));
        assert_eq!(presented.token_hash, token_hash(&token));
    }

    #[test]
    fn malformed_token_is_session_expired() {
        for header in [
            "",
            "Bearer",
            "Bearer x",
            "Basic mer_a.1.x",
            "Bearer mer_a.300.x",
            "Bearer mer_a#b.1.x",
            "Bearer mer_a.1.x.y",
        ] {
            assert_eq!(
                presented(&with(header)).unwrap_err().code,
                ErrorCode::SessionExpired,
                "{header}"
            );
        }
    }
}
