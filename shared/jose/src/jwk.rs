//! Public keys to encrypt to, from a JWK Set.

use crate::base64url;
use aws_lc_rs::agreement::{ECDH_P256, ParsedPublicKey, UnparsedPublicKey};
use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::{Map, Value};

/// The shortest RSA key, in bits: 128 bits of security until 2030 and beyond (NIST SP 800-57).
pub const RSA_BITS_MIN: usize = 3072;
/// The keys of a set: the current one and, during a rotation, the one before or after it.
pub const KEYS_MAX: usize = 2;
/// The length of a coordinate of P-256.
const COORDINATE_BYTES: usize = 32;
/// The members of a JWK that only a private or symmetric key has.
const SECRET_MEMBERS: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

/// Why a set of keys is refused. No message contains a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not base64url of a JSON object with `keys`.
    #[error("the value must be base64url, without padding, of a JWK Set")]
    NotASet,
    /// No key, or more than [`KEYS_MAX`].
    #[error("the set must have 1 or {KEYS_MAX} keys")]
    Number,
    /// The set contains a private or symmetric key, which then must be replaced: it was in the configuration.
    #[error("a key has private members: replace it, and configure only its public part")]
    Private,
    /// A key without an id, or with that of another.
    #[error("each key needs a `kid` of its own")]
    NoId,
    /// The key is for another use or algorithm.
    #[error(
        "`use` must be `enc`; `alg` must be RSA-OAEP-256 for RSA and ECDH-ES for EC, or absent"
    )]
    OtherUse,
    /// Another type or curve.
    #[error("`kty` must be RSA, or EC with the curve P-256")]
    OtherType,
    /// A modulus that is too short.
    #[error("an RSA key needs at least {RSA_BITS_MIN} bits")]
    TooShort,
    /// A member is missing or malformed, or the point is not on the curve.
    #[error("a key is malformed")]
    Malformed,
}

/// A public key to encrypt to.
#[derive(Debug)]
pub struct EncryptionKey {
    kid: String,
    thumbprint: String,
    pub(crate) public: Public,
}

/// The public part of a key.
#[derive(Debug)]
pub(crate) enum Public {
    /// An uncompressed point of P-256.
    P256(Vec<u8>),
    /// Modulus and exponent.
    Rsa(OaepPublicEncryptingKey),
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Map<String, Value>>,
}

impl EncryptionKey {
    /// Reads a JWK Set in base64url.
    ///
    /// # Errors
    /// When one of its keys is not acceptable: a set is used as a whole or not at all.
    pub fn read_set(text: &str) -> Result<Vec<Self>, BadKey> {
        let json = URL_SAFE_NO_PAD.decode(text);
        let set = json.map_err(|_| BadKey::NotASet)?;
        let set: Set = serde_json::from_slice(&set).map_err(|_| BadKey::NotASet)?;
        if !(1..=KEYS_MAX).contains(&set.keys.len()) {
            return Err(BadKey::Number);
        }
        let keys = set.keys.iter().map(Self::read);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let is_repeated = |key: &Self| keys.iter().filter(|one| one.kid == key.kid).count() > 1;
        if keys.iter().any(is_repeated) {
            return Err(BadKey::NoId);
        }
        Ok(keys)
    }

    fn read(jwk: &Map<String, Value>) -> Result<Self, BadKey> {
        if SECRET_MEMBERS.iter().any(|name| jwk.contains_key(*name)) {
            return Err(BadKey::Private);
        }
        let text = |name: &str| jwk.get(name).and_then(Value::as_str);
        let kid = text("kid").filter(|kid| !kid.is_empty());
        let kid = kid.ok_or(BadKey::NoId)?.to_owned();
        let (public, thumbprint, algorithm) = match (text("kty"), text("crv")) {
            (Some("EC"), Some("P-256")) => {
                let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
                let thumbprint =
                    thumbprint(&[("crv", "P-256"), ("kty", "EC")], &[("x", &x), ("y", &y)]);
                (p256(&x, &y)?, thumbprint, "ECDH-ES")
            }
            (Some("RSA"), _) => {
                let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
                let thumbprint = thumbprint(&[("kty", "RSA")], &[("e", &e), ("n", &n)]);
                (rsa(n, e)?, thumbprint, "RSA-OAEP-256")
            }
            _ => return Err(BadKey::OtherType),
        };
        let is = |name: &str, wanted: &str| match jwk.get(name) {
            None => true,
            Some(value) => value.as_str() == Some(wanted),
        };
        if !is("use", "enc") || !is("alg", algorithm) {
            return Err(BadKey::OtherUse);
        }
        Ok(Self {
            kid,
            thumbprint,
            public,
        })
    }

    /// The id that the owner of the key gave it.
    #[must_use]
    pub fn kid(&self) -> &str {
        &self.kid
    }

    /// The thumbprint of RFC 7638 with SHA-256, in base64url.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }
}

fn bytes(jwk: &Map<String, Value>, name: &str) -> Result<Vec<u8>, BadKey> {
    let text = jwk.get(name).and_then(Value::as_str);
    let bytes = text.and_then(|text| URL_SAFE_NO_PAD.decode(text).ok());
    bytes
        .filter(|bytes| !bytes.is_empty())
        .ok_or(BadKey::Malformed)
}

fn p256(x: &[u8], y: &[u8]) -> Result<Public, BadKey> {
    if x.len() != COORDINATE_BYTES || y.len() != COORDINATE_BYTES {
        return Err(BadKey::Malformed);
    }
    let point = [&[4], x, y].concat();
    let unparsed = UnparsedPublicKey::new(&ECDH_P256, &point);
    ParsedPublicKey::try_from(&unparsed).map_err(|_| BadKey::Malformed)?;
    Ok(Public::P256(point))
}

fn rsa(n: Vec<u8>, e: Vec<u8>) -> Result<Public, BadKey> {
    let components = PublicKeyComponents { n, e };
    let key: Result<PublicEncryptingKey, _> = components.try_into();
    let key = key.map_err(|_| BadKey::Malformed)?;
    if key.key_size_bits() < RSA_BITS_MIN {
        return Err(BadKey::TooShort);
    }
    let key = OaepPublicEncryptingKey::new(key).map_err(|_| BadKey::Malformed)?;
    Ok(Public::Rsa(key))
}

/// The thumbprint of the required members, which must be in alphabetical order: first the `texts`, then the `numbers`.
fn thumbprint(texts: &[(&str, &str)], numbers: &[(&str, &[u8])]) -> String {
    let mut members: Vec<(&str, String)> = Vec::new();
    members.extend(
        texts
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned())),
    );
    members.extend(
        numbers
            .iter()
            .map(|(name, value)| (*name, base64url(value))),
    );
    members.sort_by_key(|(name, _)| *name);
    let members = members
        .iter()
        .map(|(name, value)| format!(r#""{name}":"{value}""#));
    let canonical = format!("{{{}}}", members.collect::<Vec<_>>().join(","));
    base64url(digest(&SHA256, canonical.as_bytes()).as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// The example of RFC 7638, section 3.1.
    #[test]
    fn thumbprint_matches_the_rfc() {
        let n = "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3o\
                 knjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHz\
                 u6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8\
                 awapJzKnqDKgw";
        let n = URL_SAFE_NO_PAD.decode(n).unwrap();
        let e = URL_SAFE_NO_PAD.decode("AQAB").unwrap();
        let found = thumbprint(&[("kty", "RSA")], &[("e", &e), ("n", &n)]);
        assert_eq!(found, "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    }

    fn read(keys: &Value) -> Result<Vec<EncryptionKey>, BadKey> {
        EncryptionKey::read_set(&base64url(json!({"keys": keys}).to_string().as_bytes()))
    }

    /// The key of RFC 7517, appendix A.1, without its use.
    fn p256() -> Value {
        json!({
            "kty": "EC",
            "crv": "P-256",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
            "kid": "1",
        })
    }

    fn rsa(bytes: usize) -> Value {
        let mut n = vec![0xc5; bytes];
        n[bytes - 1] |= 1;
        json!({"kty": "RSA", "n": base64url(&n), "e": "AQAB", "kid": "2"})
    }

    fn with(mut jwk: Value, name: &str, value: Value) -> Value {
        jwk[name] = value;
        jwk
    }

    #[test]
    fn a_set_has_one_or_two_public_keys() {
        let keys = read(&json!([p256(), rsa(384)])).unwrap();
        let kids: Vec<_> = keys.iter().map(EncryptionKey::kid).collect();
        assert_eq!(kids, ["1", "2"]);
        assert_ne!(keys[0].thumbprint(), keys[1].thumbprint());
        assert_eq!(read(&json!([])).unwrap_err(), BadKey::Number);
        let three = json!([p256(), rsa(384), with(p256(), "kid", json!("3"))]);
        assert_eq!(read(&three).unwrap_err(), BadKey::Number);
        let twice = json!([p256(), with(rsa(384), "kid", json!("1"))]);
        assert_eq!(read(&twice).unwrap_err(), BadKey::NoId);
        assert_eq!(EncryptionKey::read_set("{}").unwrap_err(), BadKey::NotASet);
    }

    #[test]
    fn members_that_do_not_change_the_use_are_ignored() {
        let known = with(with(p256(), "use", json!("enc")), "alg", json!("ECDH-ES"));
        let known = with(known, "x5t", json!("a"));
        let (plain, known) = (
            read(&json!([p256()])).unwrap(),
            read(&json!([known])).unwrap(),
        );
        assert_eq!(plain[0].thumbprint(), known[0].thumbprint());
    }

    #[test]
    fn every_other_key_is_refused() {
        let octet = json!({"kty": "oct", "k": "AAAA", "kid": "1"});
        let edwards = json!({"kty": "OKP", "crv": "X25519", "x": "AAAA", "kid": "1"});
        let x = base64url(&[7; 32]);
        for (jwk, reason) in [
            (octet, BadKey::Private),
            (with(p256(), "d", json!(x)), BadKey::Private),
            (with(rsa(384), "p", json!(null)), BadKey::Private),
            (edwards, BadKey::OtherType),
            (with(p256(), "crv", json!("P-384")), BadKey::OtherType),
            (with(p256(), "kty", json!("ec")), BadKey::OtherType),
            (with(p256(), "kid", json!("")), BadKey::NoId),
            (with(p256(), "kid", json!(1)), BadKey::NoId),
            (with(p256(), "use", json!("sig")), BadKey::OtherUse),
            (with(p256(), "alg", json!("RSA-OAEP-256")), BadKey::OtherUse),
            (with(rsa(384), "alg", json!("RSA-OAEP")), BadKey::OtherUse),
            (with(p256(), "x", json!(x)), BadKey::Malformed),
            (with(p256(), "y", json!("AAAA")), BadKey::Malformed),
            (with(p256(), "x", json!("+")), BadKey::Malformed),
            (with(rsa(384), "e", json!("")), BadKey::Malformed),
            (rsa(256), BadKey::TooShort),
        ] {
            assert_eq!(read(&json!([jwk])).unwrap_err(), reason, "{jwk}");
        }
    }
}
