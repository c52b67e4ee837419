//! The other side: a private key and its messages. For an import of encrypted card numbers, for tests and the local system; a
//! core system uses its own library.

use crate::jwe::derived;
use crate::{Failed, base64url};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{ECDH_P256, PrivateKey, UnparsedPublicKey, agree};
use aws_lc_rs::encoding::{AsBigEndian as _, EcPrivateKeyBin};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

/// A key pair of P-256.
#[derive(Debug)]
pub struct Receiver {
    private: PrivateKey,
    public: Value,
}

impl Receiver {
    /// A new key pair.
    ///
    /// # Errors
    /// When there is no randomness.
    pub fn generate(kid: &str) -> Result<Self, Failed> {
        let private = PrivateKey::generate(&ECDH_P256)?;
        let point = private.compute_public_key()?;
        let (x, y) = crate::jwe::coordinates(point.as_ref()).ok_or(Failed)?;
        let public = json!({
            "kty": "EC",
            "crv": "P-256",
            "x": base64url(x),
            "y": base64url(y),
            "kid": kid,
        });
        Ok(Self { private, public })
    }

    /// The public key as a JWK Set in base64url.
    #[must_use]
    pub fn public_set(&self) -> String {
        base64url(json!({"keys": [self.public]}).to_string().as_bytes())
    }

    /// The private key as a JWK.
    ///
    /// # Errors
    /// When the key cannot be exported.
    pub fn private_jwk(&self) -> Result<Value, Failed> {
        let d: EcPrivateKeyBin<'_> = self.private.as_be_bytes()?;
        let mut jwk = self.public.clone();
        jwk["d"] = json!(base64url(d.as_ref()));
        Ok(jwk)
    }

    /// Reads a private key: a JWK of P-256.
    ///
    /// # Errors
    /// When it is malformed.
    pub fn read(jwk: &Value) -> Result<Self, Failed> {
        if jwk["kty"] != "EC" || jwk["crv"] != "P-256" {
            return Err(Failed);
        }
        let d = member(jwk, "d")?;
        let private = PrivateKey::from_private_key(&ECDH_P256, &d).map_err(|_| Failed)?;
        let mut public = jwk.clone();
        public.as_object_mut().ok_or(Failed)?.remove("d");
        Ok(Self { private, public })
    }

    /// The header and the content of a message to this key.
    ///
    /// # Errors
    /// When the message is for another key, was changed or is malformed.
    pub fn decrypt(&self, message: &str) -> Result<(Value, Vec<u8>), Failed> {
        let parts: Vec<&str> = message.split('.').collect();
        let [protected, "", nonce, text, tag] = parts[..] else {
            return Err(Failed);
        };
        let header: Value = serde_json::from_slice(&decode(protected)?).map_err(|_| Failed)?;
        let is_known = header["alg"] == "ECDH-ES" && header["enc"] == "A256GCM";
        if !is_known || !header["zip"].is_null() || !header["crit"].is_null() {
            return Err(Failed);
        }
        let party = |name: &str| header[name].as_str().map_or(Ok(Vec::new()), decode);
        let (sender, receiver) = (party("apu")?, party("apv")?);
        let (x, y) = (member(&header["epk"], "x")?, member(&header["epk"], "y")?);
        let sent = UnparsedPublicKey::new(&ECDH_P256, [vec![4], x, y].concat());
        let content_key: [u8; 32] = agree(&self.private, sent, Failed, |shared| {
            Ok(derived(shared, "A256GCM", &sender, &receiver))
        })?;
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &content_key)?);
        let nonce = Nonce::try_assume_unique_for_key(&decode(nonce)?)?;
        let mut both = [decode(text)?, decode(tag)?].concat();
        let plain = cipher.open_in_place(nonce, Aad::from(protected.as_bytes()), &mut both)?;
        Ok((header, plain.to_vec()))
    }
}

/// The claims of a signed message, without a check of its signature.
///
/// # Errors
/// When the message is malformed.
pub fn claims(signed: &[u8]) -> Result<Value, Failed> {
    let text = std::str::from_utf8(signed).map_err(|_| Failed)?;
    let claims = text.split('.').nth(1).ok_or(Failed)?;
    serde_json::from_slice(&decode(claims)?).map_err(|_| Failed)
}

fn decode(part: &str) -> Result<Vec<u8>, Failed> {
    URL_SAFE_NO_PAD.decode(part).map_err(|_| Failed)
}

fn member(object: &Value, name: &str) -> Result<Vec<u8>, Failed> {
    decode(object[name].as_str().ok_or(Failed)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jwe::encrypt;
    use crate::jwk::EncryptionKey;

    #[test]
    fn only_the_receiver_reads_the_message() {
        let receiver = Receiver::generate("core-1").unwrap();
        let key = EncryptionKey::read_set(&receiver.public_set()).unwrap();
        let message = encrypt(&key[0], "JWT", b"a.b.c").unwrap();
        let again = Receiver::read(&receiver.private_jwk().unwrap()).unwrap();
        let (header, plain) = again.decrypt(&message).unwrap();
        assert_eq!(plain, b"a.b.c");
        assert_eq!(
            (&header["kid"], &header["cty"]),
            (&json!("core-1"), &json!("JWT"))
        );
        assert_ne!(encrypt(&key[0], "JWT", b"a.b.c").unwrap(), message);
        let other = Receiver::generate("core-1").unwrap();
        assert!(other.decrypt(&message).is_err());
        for place in 0..5 {
            let mut parts: Vec<_> = message.split('.').map(str::to_owned).collect();
            parts[place].push('A');
            assert!(receiver.decrypt(&parts.join(".")).is_err(), "part {place}");
        }
    }
}
