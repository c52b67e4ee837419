//! The payout instruction: the card number for the core system, signed and encrypted.

use crate::refusal::Refusal;
use application::crypto::Keys;
use application::ports::{DataKey, KeyService, PortError, SignInstruction};
use domain::error_code::ErrorCode;
use domain::merchant::Merchant;
use domain::payout::Payout;
use domain::rebind::Sealed;
use domain::time::Timestamp;
use jose::jwe;
use jose::jwk::{BadKey, EncryptionKey};
use jose::jws::Unsigned;
use serde_json::json;

/// The encryption keys of the core system, as configured.
#[derive(Debug)]
pub struct CoreKeys(Result<Vec<EncryptionKey>, BadKey>);

impl CoreKeys {
    /// From base64url of a JWK Set. A bad set is an error of each payment, not of the start: other operations go on.
    #[must_use]
    pub fn read(text: &str) -> Self {
        Self(EncryptionKey::read_set(text))
    }

    /// The first usable key. `registered`: the thumbprints of usable keys; `None` if all are usable.
    pub(crate) fn usable(&self, registered: Option<&[String]>) -> Result<&EncryptionKey, Refusal> {
        let invalid = |why: String| {
            tracing::error!(core_key.cause = why, "payout.core_key_invalid");
            Refusal::new(
                ErrorCode::CoreKeyInvalid,
                format!("CoreEncryptionKeys: {why}"),
            )
        };
        let keys = self.0.as_ref().map_err(|bad| invalid(bad.to_string()))?;
        let is_usable = |key: &&EncryptionKey| {
            registered.is_none_or(|all| all.iter().any(|one| one == key.thumbprint()))
        };
        keys.iter().find(is_usable).ok_or_else(|| {
            let thumbprints: Vec<_> = keys.iter().map(EncryptionKey::thumbprint).collect();
            invalid(format!(
                "two operators must register one of the thumbprints {}",
                thumbprints.join(", ")
            ))
        })
    }
}

/// The instruction to pay this payout, for the holder of `key`. `sealed`: the encrypted number of its card.
pub(crate) async fn instruction<K: KeyService, S: SignInstruction>(
    (keys, signer): (&Keys<K>, &S),
    (merchant, payout): (&Merchant, &Payout),
    sealed: &Sealed,
    key: &EncryptionKey,
    now: Timestamp,
) -> Result<String, PortError> {
    let failed = |what: &str| PortError::Permanent("the payout instruction", what.to_owned());
    let card = payout.card.as_ref().ok_or_else(|| failed("no card"))?;
    let merchant_id = merchant.profile.merchant_id.as_str();
    let context = [
        ("merchant_id", merchant_id),
        ("card_id", card.card_id.as_str()),
    ];
    let number = keys.open(DataKey::Card, &context, sealed).await?;
    let claims = json!({
        "payout_id": payout.payout_id.as_str(),
        "merchant_id": merchant_id,
        "card_id": card.card_id.as_str(),
        "amount_fen": payout.amount_fen,
        "card_number": number.expose(),
        "holder_name": merchant.profile.holder_name().expose(),
        "bank_code": card.bank_code,
        "release": payout.releases.number,
        "iat": now.epoch_s(),
    });
    let message = Unsigned::es256(signer.key_id(), &claims);
    let signature = signer.sign(message.as_bytes()).await?;
    let signed = message
        .signed(&signature)
        .map_err(|_| failed("the signature is malformed"))?;
    jwe::encrypt(key, "JWT", signed.as_bytes()).map_err(|error| failed(&error.to_string()))
}
