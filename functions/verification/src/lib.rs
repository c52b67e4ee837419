//! The proofs. `…/identity` and what follows it: who asks is the merchant. `…/card-check` and what follows it: the card is
//! the merchant's. `…/activate`: the switch to a card that was proven before. `…/test-transaction`: it can be paid to.

mod card_check;
mod codes;
mod sending;
mod standby;
mod test_transfer;

use api::body::{self, Nothing};
use api::event::Request;
use api::reply::Reply;
use application::crypto::{CodeScope, HashPurpose, Keys};
use application::ports::{CheckCard, KeyService, QueryTransfer, SendSms, SendTransfer};
use application::serve::{Handler, HandlerError, not_found};
use application::step::{KeyRule, Loaded, Step, Which};
use domain::decide::{Command, Document};
use domain::error_code::ErrorCode;
use domain::format::document_expiry::DocumentExpiry;
use domain::pii::IdNumber;
use domain::rebind::OtpPurpose;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::usage::Usage;
use serde::Deserialize;
use store::Store;

/// What this function asks of a bank.
pub trait Bank: CheckCard + SendTransfer + QueryTransfer {}

impl<B: CheckCard + SendTransfer + QueryTransfer> Bank for B {}

/// Proves who asks, and whose the card is.
pub struct Verification<K, M, B> {
    store: Store,
    keys: Keys<K>,
    sms: M,
    bank: B,
}

impl<K: KeyService, M: SendSms, B: Bank> Handler for Verification<K, M, B> {
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
            ("POST", ["v1", "rebinds", _, "test-transaction"]) => {
                "POST /v1/rebinds/{id}/test-transaction"
            }
            ("POST", ["v1", "cards", _, "activate"]) => "POST /v1/cards/{card_id}/activate",
            _ => "none",
        }
    }

    async fn handle(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        match self.route(request) {
            "POST /v1/rebinds/{id}/identity" => self.identity(request, now).await,
            "POST /v1/rebinds/{id}/identity/code" => {
                self.resend(request, OtpPurpose::Identity, now).await
            }
            "POST /v1/rebinds/{id}/identity/confirm" => {
                self.confirm(request, OtpPurpose::Identity, now).await
            }
            "POST /v1/rebinds/{id}/card-check" => self.card_check(request, now).await,
            "POST /v1/rebinds/{id}/card-check/code" => {
                self.resend(request, OtpPurpose::Card, now).await
            }
            "POST /v1/rebinds/{id}/card-check/confirm" => {
                self.confirm(request, OtpPurpose::Card, now).await
            }
            "POST /v1/rebinds/{id}/test-transaction" => self.test_transfer(request, now).await,
            "POST /v1/cards/{card_id}/activate" => self.activate(request, now).await,
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

impl<K: KeyService, M: SendSms, B: Bank> Verification<K, M, B> {
    /// With this function's store, keys, SMS and bank.
    pub const fn new(store: Store, keys: Keys<K>, sms: M, bank: B) -> Self {
        Self {
            store,
            keys,
            sms,
            bank,
        }
    }

    async fn identity(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<IdentityDocument>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let typed = body
            .fields
            .document_number
            .as_ref()
            .map_or("", |number| number.expose());
        let document = Document {
            number: match IdNumber::parse(typed) {
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
        self.sending_step(&step, Which::Step(&id), OtpPurpose::Identity, |code| {
            Command::CheckDocument(document.clone(), code)
        })
        .await
    }

    async fn resend(
        &self,
        request: &Request,
        purpose: OtpPurpose,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Nothing>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        self.sending_step(&step, Which::Step(&id), purpose, |code| match purpose {
            OtpPurpose::Card => Command::ResendCardOtp(code),
            OtpPurpose::Identity | OtpPurpose::Activate => Command::ResendIdentityOtp(code),
        })
        .await
    }
}

/// What a code of this request is bound to. A card without a rebind of its own gets no code: `decide` says so.
fn scope(loaded: &Loaded, purpose: OtpPurpose) -> CodeScope<'_> {
    let rebind = loaded.merchant.rebind.as_ref();
    CodeScope {
        merchant: loaded.merchant.profile.merchant_id.as_str(),
        rebind: rebind.map_or("", |rebind| rebind.rebind_id.as_str()),
        purpose,
        phone: match purpose {
            OtpPurpose::Identity | OtpPurpose::Activate => {
                loaded.merchant.profile.phone_on_file.e164()
            }
            OtpPurpose::Card => rebind.map_or("", |rebind| rebind.reserved_phone.e164()),
        },
        session: &loaded.session.0,
    }
}

/// `OTP_CHANNEL_DOWN`: nothing was counted, the same request may be sent again.
fn channel_down() -> HandlerError {
    domain::rejection::Rejection::new(ErrorCode::OtpChannelDown)
        .not_counted()
        .retry_after(5)
        .into()
}
