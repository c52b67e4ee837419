//! `POST /v1/cards/{card_id}/activate`: without a code one is sent, with one the pointer moves.

use super::{Bank, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::ActivateCard;
use application::ports::{KeyService, SendSms};
use application::serve::HandlerError;
use application::step::{Step, Which};
use domain::decide::Command;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;

impl<K: KeyService, M: SendSms, B: Bank> Verification<K, M, B> {
    pub(crate) async fn activate(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<ActivateCard>(request)?;
        let (step, id) =
            Step::on_card(&self.store, &self.keys, request, now, &body.canonical).await?;
        let which = Which::Card(&id);
        match body.fields.code {
            Some(code) => {
                self.try_code(&step, which, OtpPurpose::Activate, &code)
                    .await
            }
            None => {
                self.sending_step(&step, which, OtpPurpose::Activate, |code| {
                    Command::StartActivation(id.clone(), code)
                })
                .await
            }
        }
    }
}
