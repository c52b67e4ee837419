//! Encryption in the compact form of JWE.

use crate::jwk::{EncryptionKey, Public};
use crate::{Failed, base64url};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, EphemeralPrivateKey, UnparsedPublicKey, agree_ephemeral};
use aws_lc_rs::digest::{Context, SHA256};
use aws_lc_rs::rand::{self, SystemRandom};
use aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256;
use serde_json::json;

const KEY_BYTES: usize = 32;
const CONTENT_ALGORITHM: &str = "A256GCM";

/// Encrypts `plain` to `key`. `content_type` is the header's `cty`: `JWT` for a signed message.
///
/// # Errors
/// When there is no randomness.
pub fn encrypt(key: &EncryptionKey, content_type: &str, plain: &[u8]) -> Result<String, Failed> {
    let mut header = json!({
        "enc": CONTENT_ALGORITHM,
        "cty": content_type,
        "kid": key.kid(),
    });
    let (content_key, encrypted_key) = match &key.public {
        Public::P256(point) => {
            let ephemeral = EphemeralPrivateKey::generate(&ECDH_P256, &SystemRandom::new())?;
            let sent = ephemeral.compute_public_key()?;
            let (x, y) = coordinates(sent.as_ref()).ok_or(Failed)?;
            header["alg"] = json!("ECDH-ES");
            header["epk"] = json!({
                "kty": "EC",
                "crv": "P-256",
                "x": base64url(x),
                "y": base64url(y),
            });
            let point = UnparsedPublicKey::new(&ECDH_P256, point);
            let agreed = agree_ephemeral(ephemeral, point, Failed, |shared| {
                Ok(derived(shared, CONTENT_ALGORITHM, b"", b""))
            });
            (agreed?, Vec::new())
        }
        Public::Rsa(public) => {
            header["alg"] = json!("RSA-OAEP-256");
            let mut content_key = [0; KEY_BYTES];
            rand::fill(&mut content_key)?;
            let mut encrypted = vec![0; public.ciphertext_size()];
            public.encrypt(&OAEP_SHA256_MGF1SHA256, &content_key, &mut encrypted, None)?;
            (content_key, encrypted)
        }
    };
    let header = base64url(header.to_string().as_bytes());
    let mut nonce = [0; NONCE_LEN];
    rand::fill(&mut nonce)?;
    let mut text = plain.to_vec();
    let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &content_key)?);
    let tag = cipher.seal_in_place_separate_tag(
        Nonce::assume_unique_for_key(nonce),
        Aad::from(header.as_bytes()),
        &mut text,
    )?;
    let parts = [&encrypted_key, nonce.as_slice(), &text, tag.as_ref()];
    let parts = parts.map(base64url).join(".");
    Ok(format!("{header}.{parts}"))
}

/// The coordinates of an uncompressed point of P-256.
pub(crate) fn coordinates(point: &[u8]) -> Option<(&[u8], &[u8])> {
    let rest = point.strip_prefix(&[4])?;
    rest.split_at_checked(KEY_BYTES)
}

/// The key that both sides derive (RFC 7518, section 4.6.2): one round of the Concat KDF with SHA-256. `N` bytes, at most 32.
pub(crate) fn derived<const N: usize>(
    shared: &[u8],
    algorithm: &str,
    sender: &[u8],
    receiver: &[u8],
) -> [u8; N] {
    let mut hash = Context::new(&SHA256);
    hash.update(&1_u32.to_be_bytes());
    hash.update(shared);
    for part in [algorithm.as_bytes(), sender, receiver] {
        hash.update(&(part.len() as u32).to_be_bytes());
        hash.update(part);
    }
    hash.update(&(8 * N as u32).to_be_bytes());
    let mut key = [0; N];
    key.copy_from_slice(&hash.finish().as_ref()[..N]);
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    /// RFC 7518, appendix C.
    #[test]
    fn derived_key_matches_the_rfc() {
        let shared = [
            158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49,
            110, 163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
        ];
        let key: [u8; 16] = derived(&shared, "A128GCM", b"Alice", b"Bob");
        assert_eq!(base64url(&key), "VqqN6vgjbSBcIijNcacQGg");
    }

    fn key(jwk: serde_json::Value) -> EncryptionKey {
        let set = base64url(json!({"keys": [jwk]}).to_string().as_bytes());
        EncryptionKey::read_set(&set).unwrap().remove(0)
    }

    fn decode(part: &str) -> Vec<u8> {
        URL_SAFE_NO_PAD.decode(part).unwrap()
    }

    /// Opens a message with a content key, as its receiver would.
    fn opened(message: &str, content_key: &[u8]) -> Vec<u8> {
        let parts: Vec<&str> = message.split('.').collect();
        let [header, _, nonce, text, tag] = parts[..] else {
            panic!("{message}");
        };
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, content_key).unwrap());
        let nonce = Nonce::try_assume_unique_for_key(&decode(nonce)).unwrap();
        let mut both = [decode(text), decode(tag)].concat();
        let plain = cipher.open_in_place(nonce, Aad::from(header.as_bytes()), &mut both);
        plain.unwrap().to_vec()
    }

    fn header(message: &str) -> serde_json::Value {
        serde_json::from_slice(&decode(message.split('.').next().unwrap())).unwrap()
    }

    #[test]
    fn holder_of_an_rsa_key_reads_the_message() {
        use aws_lc_rs::encoding::AsDer as _;
        use aws_lc_rs::rsa::{
            KeyPair, KeySize, OaepPrivateDecryptingKey, PrivateDecryptingKey, PublicKeyComponents,
        };
        use aws_lc_rs::signature::KeyPair as _;
        let pair = KeyPair::generate(KeySize::Rsa3072).unwrap();
        let PublicKeyComponents { n, e } = PublicKeyComponents::from(pair.public_key());
        let [n, e] = [n, e].map(|number| base64url(&number));
        let key = key(json!({"kty": "RSA", "n": n, "e": e, "kid": "core-2"}));
        let message = encrypt(&key, "JWT", b"a.b.c").unwrap();
        assert_eq!(header(&message)["alg"], "RSA-OAEP-256");
        let private = pair.as_der().unwrap();
        let private = PrivateDecryptingKey::from_pkcs8(private.as_ref()).unwrap();
        let private = OaepPrivateDecryptingKey::new(private).unwrap();
        let encrypted = decode(message.split('.').nth(1).unwrap());
        let mut content_key = vec![0; private.min_output_size()];
        let content_key = private
            .decrypt(&OAEP_SHA256_MGF1SHA256, &encrypted, &mut content_key, None)
            .unwrap();
        assert_eq!(opened(&message, content_key), b"a.b.c");
    }
}
