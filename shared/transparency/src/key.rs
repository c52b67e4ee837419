//! The public key of the log, on P-256.

use crate::hash::Hash;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, ParsedPublicKey, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The DER of a `SubjectPublicKeyInfo` for P-256, up to the uncompressed point. No other encoding of such a key is in use, so
/// comparing these bytes replaces an ASN.1 parser.
const DER_PREFIX: [u8; 26] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// An uncompressed point: 4, then two coordinates.
const POINT_BYTES: usize = 65;
const POINT_UNCOMPRESSED: u8 = 4;

const PEM_BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const PEM_END: &str = "-----END PUBLIC KEY-----";
/// The length of a line (RFC 7468, section 2).
const PEM_LINE_CHARS: usize = 64;

/// Why a key is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not one PEM block with the label `PUBLIC KEY`.
    #[error("the key must be one PEM block with the label PUBLIC KEY")]
    NotPem,
    /// Another encoding, algorithm or curve.
    #[error("the key must be a SubjectPublicKeyInfo in DER, on P-256, with an uncompressed point")]
    NotP256,
    /// The point is not on the curve.
    #[error("the key's point is not on the curve")]
    NotOnCurve,
}

/// A public key that verifies ECDSA signatures on P-256 with SHA-256.
#[derive(Clone, PartialEq, Eq)]
pub struct LogKey {
    der: Vec<u8>,
}

impl LogKey {
    /// Reads a `SubjectPublicKeyInfo` in DER, which is the form of `GetPublicKey` of KMS.
    ///
    /// # Errors
    /// When it is not a key on P-256 with an uncompressed point.
    pub fn from_der(der: &[u8]) -> Result<Self, BadKey> {
        let point = der.strip_prefix(&DER_PREFIX).ok_or(BadKey::NotP256)?;
        if point.len() != POINT_BYTES || point.first() != Some(&POINT_UNCOMPRESSED) {
            return Err(BadKey::NotP256);
        }
        let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
        key.map_err(|_| BadKey::NotOnCurve)?;
        Ok(Self { der: der.to_vec() })
    }

    /// Reads the same in PEM, as `openssl` writes it. Accepts lines of any length.
    ///
    /// # Errors
    /// When it is not one such key.
    pub fn from_pem(pem: &str) -> Result<Self, BadKey> {
        let body = pem.trim().strip_prefix(PEM_BEGIN);
        let body = body.and_then(|rest| rest.strip_suffix(PEM_END));
        let lines = body.ok_or(BadKey::NotPem)?.lines().map(str::trim_end);
        let der = STANDARD.decode(lines.collect::<String>());
        Self::from_der(&der.map_err(|_| BadKey::NotPem)?)
    }

    /// The `SubjectPublicKeyInfo` in DER.
    #[must_use]
    pub fn der(&self) -> &[u8] {
        &self.der
    }

    /// The key in PEM, with a final newline.
    #[must_use]
    pub fn to_pem(&self) -> String {
        let mut pem = format!("{PEM_BEGIN}\n");
        for (index, char) in STANDARD.encode(&self.der).chars().enumerate() {
            if index > 0 && index.is_multiple_of(PEM_LINE_CHARS) {
                pem.push('\n');
            }
            pem.push(char);
        }
        pem + "\n" + PEM_END + "\n"
    }

    /// The id of the key in a signature line: the first four bytes of the SHA-256 of the DER.
    ///
    /// The specification says so for ECDSA, whose signature type is 0x02 (<https://c2sp.org/signed-note>, "Signature types").
    /// The name of the key and the signature type are not part of it, unlike for other types. Rekor does the same.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = Hash::of(&[&self.der]).0;
        [a, b, c, d]
    }

    /// Whether `signature`, in DER, is valid for `message`.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let Some(point) = self.der.strip_prefix(&DER_PREFIX) else {
            return false;
        };
        let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, point);
        key.verify(message, signature).is_ok()
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LogKey({})", hex::encode(self.id()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The point is the generator of the curve, so the private key is 1.
    const PEM: &str = "-----BEGIN PUBLIC KEY-----\n\
        MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEaxfR8uEsQkf4vOblY6RA8ncDfYEt\n\
        6zOg9KE5RdiYwpZP40Li/hp/m47n60p8D54WK84zV2sxXs7LtkBoN79R9Q==\n\
        -----END PUBLIC KEY-----\n";

    #[test]
    fn pem_is_read_and_written() {
        let key = LogKey::from_pem(PEM).unwrap();
        assert_eq!(key.to_pem(), PEM);
        assert_eq!(LogKey::from_der(key.der()), Ok(key.clone()));
        assert_eq!(LogKey::from_pem(&PEM.replace('\n', "\r\n")), Ok(key));
    }

    #[test]
    fn malformed_pem_is_refused() {
        let private = PEM.replace("PUBLIC", "PRIVATE");
        let twice = PEM.repeat(2);
        let cut = &PEM[..PEM.len() - 4];
        let comment = format!("# a key\n{PEM}");
        let padded = PEM.replace("9Q==", "9Q=");
        for pem in ["", PEM_BEGIN, &private, &twice, cut, &comment, &padded] {
            assert_eq!(LogKey::from_pem(pem), Err(BadKey::NotPem), "{pem}");
        }
    }

    #[test]
    fn other_keys_are_refused() {
        let der = LogKey::from_pem(PEM).unwrap().der;
        let changed = |at: usize, value: u8| {
            let mut der = der.clone();
            der[at] = value;
            der
        };
        let compressed = [&DER_PREFIX, &[2][..], &der[27..59]].concat();
        let longer = [&der[..], &[0]].concat();
        for other in [
            Vec::new(),
            DER_PREFIX.to_vec(),
            compressed,
            longer,
            der[26..].to_vec(),
            changed(22, 6),
            changed(26, 6),
        ] {
            let refused = LogKey::from_der(&other);
            assert_eq!(refused, Err(BadKey::NotP256), "{other:x?}");
        }
        let moved = changed(90, der[90] ^ 1);
        assert_eq!(LogKey::from_der(&moved), Err(BadKey::NotOnCurve));
        let zero = [&DER_PREFIX, &[4][..], &[0; 64]].concat();
        assert_eq!(LogKey::from_der(&zero), Err(BadKey::NotOnCurve));
    }
}
