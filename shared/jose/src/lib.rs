//! Signed and encrypted messages in the compact form of JOSE, with the few algorithms that this system uses.
//!
//! - [`jwk`]: public keys to encrypt to (RFC 7517), and their thumbprints (RFC 7638)
//! - [`jwe`]: encryption (RFC 7516): `RSA-OAEP-256` or `ECDH-ES`, always with `A256GCM`
//! - [`jws`]: signatures (RFC 7515): `ES256`, computed by a key service
//! - `receiver`: decryption, for an import of encrypted card numbers, for tests and the local system
//!
//! The primitives are those of the TLS stack, so a function links no second implementation of them.

pub mod jwe;
pub mod jwk;
pub mod jws;
#[cfg(any(test, feature = "receiver"))]
pub mod receiver;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// An operation failed although its input was checked: there is no randomness, or a signature is malformed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a cryptographic operation failed")]
pub struct Failed;

impl From<aws_lc_rs::error::Unspecified> for Failed {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
