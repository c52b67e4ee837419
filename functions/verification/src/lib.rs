//! The proofs of a rebind, one use case per file:
//!
//! - [`identity`]: `…/identity`: the document check.
//! - [`confirm`]: `…/identity/confirm`, `…/card-check/confirm`: the check of a typed code.
//! - [`card_check`]: `…/card-check`: the bank's card check, or a micro-deposit.
//! - [`activate`]: `POST /v1/cards/{card_id}/activate`: the switch to a standby card.
//! - [`test_transaction`]: `…/test-transaction`: one fen to the new card.
//! - [`otp`]: `…/identity/code`, `…/card-check/code`: another OTP. Also sends the OTPs of the other use cases.

mod activate;
mod card_check;
mod confirm;
mod identity;
mod otp;
mod test_transaction;

use api::event::Request;
use api::reply::Reply;
use api::routes::VerificationRoute;
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{CheckCard, KeyService, PortError, QueryTransfer, SendSms, SendTransfer};
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
use application::transact::Transactor;
use application::usage::Usage;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use store::Store;
use store::client::Table;

/// The bank capabilities of this function.
pub trait Bank: CheckCard + SendTransfer + QueryTransfer {}

impl<B: CheckCard + SendTransfer + QueryTransfer> Bank for B {}

/// Proves the merchant's identity and ownership of the card.
pub struct Verification<T, K, M, B> {
    store: Store<T>,
    keys: Keys<K>,
    sms: M,
    bank: B,
}

/// The request context of this function.
pub(crate) type Context<'a, T> = Transactor<'a, Store<T>>;

impl<T, K, M, B> Verification<T, K, M, B> {
    /// Creates the function from its store, keys, SMS and bank ports.
    pub const fn new(store: Store<T>, keys: Keys<K>, sms: M, bank: B) -> Self {
        Self {
            store,
            keys,
            sms,
            bank,
        }
    }
}

impl<T: Table, K: KeyService, M: SendSms, B: Bank> Handler for Verification<T, K, M, B> {
    type Route = VerificationRoute;

    async fn handle(
        &self,
        route: VerificationRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            VerificationRoute::CheckIdentity => self.check_identity(request, now).await,
            VerificationRoute::ResendIdentityCode => {
                self.resend(request, OtpPurpose::Identity, now).await
            }
            VerificationRoute::ConfirmIdentity => self.confirm_identity(request, now).await,
            VerificationRoute::CheckCard => self.check_card(request, now).await,
            VerificationRoute::ResendCardCode => self.resend(request, OtpPurpose::Card, now).await,
            VerificationRoute::ConfirmCard => self.confirm_card(request, now).await,
            VerificationRoute::TestTransaction => self.test_transaction(request, now).await,
            VerificationRoute::ActivateCard => self.activate(request, now).await,
        }
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T: Table, K: KeyService, M, B> Verification<T, K, M, B> {
    pub(crate) async fn context(
        &self,
        request: &Request,
        now: Timestamp,
        canonical_body: &str,
    ) -> Result<Context<'_, T>, HandlerError> {
        Transactor::begin(&self.store, &self.keys, request, now, canonical_body).await
    }
}
