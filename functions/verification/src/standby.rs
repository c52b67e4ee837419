//! `POST /v1/cards/{card_id}/activate`: without a code one is sent, with one the pointer moves.

use super::{Bank, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::ActivateCard;
use api::view;
use application::ports::{KeyService, SendSms};
use application::serve::HandlerError;
use application::step::{Step, Which};
use domain::decide::Command;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use serde_json::json;

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
                let step = step.showing(the_challenge);
                self.sending_step(&step, which, OtpPurpose::Activate, |code| {
                    Command::StartActivation(id.clone(), code)
                })
                .await
            }
        }
    }
}

/// 200 and what has to be answered now.
fn the_challenge(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    let rebind = after.rebind.as_ref();
    let challenge = rebind.map(|rebind| view::challenge(after, rebind, policy, now));
    Reply::json(200, json!({"challenge": challenge}))
}
