//! The proofs. `…/identity` and what follows it: who asks is the merchant. `…/card-check` and what follows it: the card is
//! the merchant's. `…/activate`: the switch to a card that was proven before. `…/test-transaction`: it can be paid to.

mod card_check;
mod codes;
mod sending;
mod standby;
mod test_transfer;

use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::{CheckIdentity, ConfirmCard, ConfirmCode, Empty};
use api::routes::VerificationRoute;
use application::crypto::{CodeScope, HashPurpose, Keys};
use application::ports::{CheckCard, KeyService, QueryTransfer, SendSms, SendTransfer};
use application::serve::{Handler, HandlerError};
use application::step::{Loaded, Step, Which};
use domain::decide::{Command, Document};
use domain::error_code::ErrorCode;
use domain::format::document_expiry::DocumentExpiry;
use domain::format::resident_id::ResidentId;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use domain::usage::Usage;
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
    type Route = VerificationRoute;

    async fn handle(
        &self,
        route: VerificationRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            VerificationRoute::CheckIdentity => self.identity(request, now).await,
            VerificationRoute::ResendIdentityCode => {
                self.resend(request, OtpPurpose::Identity, now).await
            }
            VerificationRoute::ConfirmIdentity => {
                let body = body::read::<ConfirmCode>(request)?;
                self.confirm(
                    request,
                    OtpPurpose::Identity,
                    body.fields.code,
                    &body.canonical,
                    now,
                )
                .await
            }
            VerificationRoute::CheckCard => self.card_check(request, now).await,
            VerificationRoute::ResendCardCode => self.resend(request, OtpPurpose::Card, now).await,
            VerificationRoute::ConfirmCard => {
                let body = body::read::<ConfirmCard>(request)?;
                self.confirm(
                    request,
                    OtpPurpose::Card,
                    body.fields.code,
                    &body.canonical,
                    now,
                )
                .await
            }
            VerificationRoute::TestTransaction => self.test_transfer(request, now).await,
            VerificationRoute::ActivateCard => self.activate(request, now).await,
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
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
        let body = body::read::<CheckIdentity>(request)?;
        let (step, id) =
            Step::on_rebind(&self.store, &self.keys, request, now, &body.canonical).await?;
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
        let body = body::read::<Empty>(request)?;
        let (step, id) =
            Step::on_rebind(&self.store, &self.keys, request, now, &body.canonical).await?;
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
            OtpPurpose::Identity | OtpPurpose::Activate => &loaded.merchant.profile.phone_on_file,
            OtpPurpose::Card => rebind.map_or("", |rebind| &rebind.reserved_phone),
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
