//! `POST /v1/cards/{card_id}/activate`: without an OTP in the body, sends one; with it, makes the standby card the
//! active card.

use super::{Bank, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::ActivateCard;
use application::error::HandlerError;
use application::ports::{KeyService, Selector, SendSms};
use application::transact::Loaded;
use domain::decide::Command;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use store::client::Table;

impl<T: Table, K: KeyService, M: SendSms, B: Bank> Verification<T, K, M, B> {
    pub(crate) async fn activate(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<ActivateCard>(request)?;
        let ctx = self.context(request, now, &body.canonical);
        let ctx = ctx.await?.claiming();
        let id = ctx.card_id(request).await?;
        let (selector, purpose) = (Selector::Card(&id), OtpPurpose::Activate);
        match body.fields.code {
            Some(code) => self.confirm(&ctx, selector, purpose, &code).await,
            None => {
                let start = async |_: &Loaded, otp| Ok(Command::StartActivation(id.clone(), otp));
                self.send_otp(&ctx, selector, purpose, start).await
            }
        }
    }
}
