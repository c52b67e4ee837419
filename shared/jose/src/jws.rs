//! Signatures in the compact form of JWS. The signature itself comes from a key service.

use crate::{Failed, base64url};
use der::asn1::UintRef;
use der::{Decode as _, Sequence};
use serde_json::{Value, json};

/// The length of each number of an `ES256` signature.
const NUMBER_BYTES: usize = 32;

/// A message to sign: header and claims.
#[derive(Clone, Debug)]
pub struct Unsigned(String);

/// A signature as key services return it.
#[derive(Sequence)]
struct Signature<'a> {
    r: UintRef<'a>,
    s: UintRef<'a>,
}

impl Unsigned {
    /// `claims` signed with `ES256` by the key `kid`.
    #[must_use]
    pub fn es256(kid: &str, claims: &Value) -> Self {
        let header = json!({"alg": "ES256", "kid": kid, "typ": "JWT"});
        let parts = [header.to_string(), claims.to_string()];
        Self(parts.map(|part| base64url(part.as_bytes())).join("."))
    }

    /// The bytes to sign.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The message with its signature over P-256 in DER.
    ///
    /// # Errors
    /// When the signature is malformed.
    pub fn signed(self, der: &[u8]) -> Result<String, Failed> {
        let signature = Signature::from_der(der).map_err(|_| Failed)?;
        let mut both = [0; 2 * NUMBER_BYTES];
        let (r, s) = both.split_at_mut(NUMBER_BYTES);
        for (place, number) in [(r, signature.r), (s, signature.s)] {
            let number = number.as_bytes();
            let start = NUMBER_BYTES.checked_sub(number.len()).ok_or(Failed)?;
            place[start..].copy_from_slice(number);
        }
        Ok(format!("{}.{}", self.0, base64url(&both)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{
        ECDSA_P256_SHA256_ASN1_SIGNING, ECDSA_P256_SHA256_FIXED, EcdsaKeyPair, KeyPair as _,
        UnparsedPublicKey,
    };
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    /// Many signatures, because a short or long number has another form in DER.
    #[test]
    fn signature_of_a_key_service_verifies() {
        let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap();
        for number in 0..600 {
            let message = Unsigned::es256("signer", &json!({"release": number}));
            let signature = pair.sign(&SystemRandom::new(), message.as_bytes()).unwrap();
            let signed = message.signed(signature.as_ref()).unwrap();
            let (content, signature) = signed.rsplit_once('.').unwrap();
            let public = pair.public_key();
            let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
            let signature = URL_SAFE_NO_PAD.decode(signature).unwrap();
            public.verify(content.as_bytes(), &signature).unwrap();
        }
    }

    #[test]
    fn malformed_signature_is_an_error() {
        let number = |byte, length| [vec![2, length], vec![byte; usize::from(length)]].concat();
        let pair = |r: &[u8], s: &[u8]| {
            let both = [r, s].concat();
            [vec![0x30, both.len() as u8], both].concat()
        };
        let long = pair(&number(1, 33), &number(1, 32));
        for der in [&b""[..], b"\x30\x00", &long] {
            let message = Unsigned::es256("signer", &json!({}));
            assert_eq!(message.signed(der), Err(Failed));
        }
        let short = pair(&number(1, 1), &number(1, 32));
        assert!(Unsigned::es256("signer", &json!({})).signed(&short).is_ok());
    }
}
