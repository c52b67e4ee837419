//! The two proofs. `…/identity` and what follows it: who asks is the merchant. `…/card-check` and what follows it: the
//! card is the merchant's.

mod card_check;
mod codes;

use serde::Deserialize;
use shared::crypto::{CodeScope, HashPurpose, Keys};
use shared::domain::code::Code;
use shared::domain::decide::{Act, Document};
use shared::domain::format::document_expiry::DocumentExpiry;
use shared::domain::format::resident_id::ResidentId;
use shared::domain::rebind::{CodePurpose, FreshCode};
use shared::domain::secret::Secret;
use shared::domain::time::Timestamp;
use shared::domain::usage::Usage;
use shared::edge::body::{self, Nothing};
use shared::edge::event::Request;
use shared::edge::reply::Reply;
use shared::edge::serve::{Handler, Stop, not_found};
use shared::edge::step::{KeyRule, Loaded, Step};
use shared::ports::{CheckCard, KeyService, SendSms};
use shared::store::Store;

/// Proves who asks, and whose the card is.
pub struct Verification<K, M, B> {
    store: Store,
    keys: Keys<K>,
    sms: M,
    bank: B,
}

impl<K: KeyService, M: SendSms, B: CheckCard> Handler for Verification<K, M, B> {
    fn route(&self, request: &Request) -> &'static str {
        match (request.method.as_str(), request.segments().as_slice()) {
            ("POST", ["v1", "rebinds", _, "identity"]) => "POST /v1/rebinds/{id}/identity",
            ("POST", ["v1", "rebinds", _, "identity", "code"]) => {
                "POST /v1/rebinds/{id}/identity/code"
            }
            ("POST", ["v1", "rebinds", _, "identity", "confirm"]) => {
                "POST /v1/rebinds/{id}/identity/confirm"
            }
            ("POST", ["v1", "rebinds", _, "card-check"]) => "POST /v1/rebinds/{id}/card-check",
            ("POST", ["v1", "rebinds", _, "card-check", "code"]) => {
                "POST /v1/rebinds/{id}/card-check/code"
            }
            ("POST", ["v1", "rebinds", _, "card-check", "confirm"]) => {
                "POST /v1/rebinds/{id}/card-check/confirm"
            }
            _ => "none",
        }
    }

    async fn handle(&self, request: &Request, now: Timestamp) -> Result<Reply, Stop> {
        match self.route(request) {
            "POST /v1/rebinds/{id}/identity" => self.identity(request, now).await,
            "POST /v1/rebinds/{id}/identity/code" => {
                self.resend(request, CodePurpose::Identity, now).await
            }
            "POST /v1/rebinds/{id}/identity/confirm" => {
                self.confirm(request, CodePurpose::Identity, now).await
            }
            "POST /v1/rebinds/{id}/card-check" => self.card_check(request, now).await,
            "POST /v1/rebinds/{id}/card-check/code" => {
                self.resend(request, CodePurpose::Card, now).await
            }
            "POST /v1/rebinds/{id}/card-check/confirm" => {
                self.confirm(request, CodePurpose::Card, now).await
            }
            _ => not_found(),
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdentityDocument {
    document_number: Option<Secret<String>>,
    document_expires_on: Option<String>,
}

impl<K: KeyService, M: SendSms, B: CheckCard> Verification<K, M, B> {
    /// With this function's store, keys, SMS and bank.
    pub const fn new(store: Store, keys: Keys<K>, sms: M, bank: B) -> Self {
        Self {
            store,
            keys,
            sms,
            bank,
        }
    }

    async fn identity(&self, request: &Request, now: Timestamp) -> Result<Reply, Stop> {
        let body = body::read::<IdentityDocument>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let typed = body
            .fields
            .document_number
            .as_ref()
            .map_or("", |number| number.expose());
        let document = Document {
            number: match ResidentId::parse(typed) {
                Ok(number) => Ok(self
                    .keys
                    .mac(HashPurpose::IdNumber, &[number.expose()])
                    .await?),
                Err(code) => Err(code),
            },
            expires_on: DocumentExpiry::parse(
                body.fields
                    .document_expires_on
                    .as_deref()
                    .unwrap_or_default(),
            ),
        };
        self.sending_step(&step, &id, CodePurpose::Identity, |code| {
            Act::CheckDocument(document.clone(), code)
        })
        .await
    }

    async fn resend(
        &self,
        request: &Request,
        purpose: CodePurpose,
        now: Timestamp,
    ) -> Result<Reply, Stop> {
        let body = body::read::<Nothing>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        self.sending_step(&step, &id, purpose, |code| match purpose {
            CodePurpose::Identity => Act::ResendIdentityCode(code),
            CodePurpose::Card => Act::ResendCardCode(code),
        })
        .await
    }

    async fn fresh_code(&self, loaded: &Loaded, purpose: CodePurpose) -> Result<FreshCode, Stop> {
        Ok(self.keys.fresh_code(&scope(loaded, purpose)?).await?)
    }
}

/// What a code of this request is bound to.
fn scope(loaded: &Loaded, purpose: CodePurpose) -> Result<CodeScope<'_>, Stop> {
    let rebind = loaded.rebind()?;
    Ok(CodeScope {
        merchant: loaded.merchant.profile.merchant_id.as_str(),
        rebind: rebind.rebind_id.as_str(),
        purpose,
        phone: match purpose {
            CodePurpose::Identity => &loaded.merchant.profile.phone_on_file,
            CodePurpose::Card => &rebind.reserved_phone,
        },
        session: &loaded.session.0,
    })
}

/// `OTP_CHANNEL_DOWN`: nothing was counted, the same request may be sent again.
fn channel_down() -> Stop {
    shared::domain::rejection::Rejection::new(Code::OtpChannelDown)
        .not_counted()
        .retry_after(5)
        .into()
}
