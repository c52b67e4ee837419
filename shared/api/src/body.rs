//! Request bodies: size, JSON, shape. The domain validates the fields' contents.

use super::event::Request;
use domain::error_code::ErrorCode;
use domain::history::canonical;
use domain::rejection::Rejection;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Maximum size of a body.
pub const BODY_MAX_BYTES: usize = 16 * 1024;

/// A parsed body, with the canonical form that an idempotency key is bound to. It may hold a card number or a password,
/// so it has no `Debug`.
#[derive(Clone)]
pub struct Body<T> {
    /// The fields.
    pub fields: T,
    /// The canonical form: sorted keys, no white space.
    pub canonical: String,
}

/// Checks the size of the body.
///
/// # Errors
/// `BODY_TOO_LARGE`.
pub fn check_size(request: &Request) -> Result<(), Rejection> {
    let size = request.body.as_ref().map_or(0, Vec::len);
    if size > BODY_MAX_BYTES {
        return Err(Rejection::new(ErrorCode::BodyTooLarge));
    }
    Ok(())
}

/// Parses the body; an empty one is `{}`.
///
/// # Errors
/// `BODY_TOO_LARGE`; `REQUEST_MALFORMED` for anything except a JSON object of known fields with the right types.
pub fn read<T: DeserializeOwned>(request: &Request) -> Result<Body<T>, Rejection> {
    let malformed = || Rejection::new(ErrorCode::RequestMalformed);
    check_size(request)?;
    let bytes = request.body.as_deref().ok_or_else(malformed)?;
    let bytes = if bytes.iter().all(u8::is_ascii_whitespace) {
        b"{}"
    } else {
        bytes
    };
    // Parse into the fields first: that parser rejects duplicate names, which a map would drop silently.
    let fields: T = serde_json::from_slice(bytes).map_err(|_| malformed())?;
    let value: Value = serde_json::from_slice(bytes).map_err(|_| malformed())?;
    if !value.is_object() {
        return Err(malformed());
    }
    Ok(Body {
        fields,
        canonical: canonical(&value),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::requests::{ConfirmCode, Empty};

    fn with(body: &[u8]) -> Request {
        Request {
            body: Some(body.to_vec()),
            ..Request::default()
        }
    }

    #[test]
    fn empty_body_reads_as_empty_object() {
        assert!(
            read::<ConfirmCode>(&with(b""))
                .unwrap()
                .fields
                .code
                .is_none()
        );
        assert!(read::<Empty>(&with(b" \n")).is_ok());
    }

    #[test]
    fn rejects_malformed_body() {
        let deep = [vec![b'['; 8_000], vec![b']'; 8_000]].concat();
        let bodies: [&[u8]; 9] = [
            b"{",
            b"[]",
            b"null",
            b"\"x\"",
            b"{\"code\":1}",
            b"{\"other\":1}",
            b"{\"code\":\"1\",\"code\":\"2\"}",
            b"\xff",
            &deep,
        ];
        for body in bodies {
            assert_eq!(
                read::<ConfirmCode>(&with(body)).err().unwrap().code,
                ErrorCode::RequestMalformed
            );
        }
    }

    #[test]
    fn rejects_oversized_body() {
        let body = format!("{{\"code\":\"{}\"}}", "1".repeat(BODY_MAX_BYTES));
        assert_eq!(
            read::<ConfirmCode>(&with(body.as_bytes()))
                .err()
                .unwrap()
                .code,
            ErrorCode::BodyTooLarge
        );
    }

    #[test]
    fn body_fingerprint_ignores_whitespace() {
        let one = read::<ConfirmCode>(&with(b"{\"code\": \"1\"}"))
            .unwrap()
            .canonical;
        assert_eq!(
            one,
            read::<ConfirmCode>(&with(b"{ \"code\":\"1\"}"))
                .unwrap()
                .canonical
        );
    }
}
