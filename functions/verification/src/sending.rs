//! Sending codes: written first, handed over after.

use super::{Bank, Verification, channel_down, scope};
use api::reply::Reply;
use application::crypto::{HashPurpose, six_digits};
use application::ports::{CommitTransition, KeyService, PortError, SendSms};
use application::serve::HandlerError;
use application::step::{Keep, Loaded, Outcomes, Rounds, Step, Which, code_limit};
use domain::decide::{Command, otp_of};
use domain::lang::Lang;
use domain::merchant::Merchant;
use domain::rebind::{Otp, OtpPurpose, Purpose};
use domain::secret::Secret;
use domain::sms::{CardLabel, Sms, render};
use domain::transition::{OtpDelivery, Transition};
use store::Store;

/// The code that a request may send, and its rounds. The digits are the same in all of them: whichever of its writes was
/// done, the record holds this code and no other.
pub(crate) struct Sending {
    digits: Secret<String>,
    rounds: Rounds,
    /// What a write that was not answered was to send: it may have been done, or be done yet.
    unsure: Option<OtpDelivery>,
    /// What the request's key was found to keep after such a write.
    kept: Option<Reply>,
}

impl Sending {
    pub(crate) fn new() -> Result<Self, HandlerError> {
        Ok(Self {
            digits: six_digits()?,
            rounds: Rounds::new(),
            unsure: None,
            kept: None,
        })
    }

    /// Waits for the next round after a write that was to send this and has failed. One that had nothing to send is not
    /// repeated when it is not known whether it was done: it may have counted something.
    pub(crate) async fn again(
        &mut self,
        stop: HandlerError,
        send: Option<OtpDelivery>,
    ) -> Result<(), HandlerError> {
        match stop {
            HandlerError::Failed(error @ PortError::Conflict) => self.rounds.again(error).await,
            HandlerError::Failed(error @ PortError::Transient(..))
                if self.unsure.is_some() || send.is_some() =>
            {
                self.rounds.again(error).await?;
                self.unsure = send.or(self.unsure.take());
                Ok(())
            }
            stop => Err(stop),
        }
    }

    /// The key keeps a reply: the answer, unless it is that of a write of this very request, whose code is still to be sent.
    pub(crate) async fn replayed(&mut self, reply: Reply) -> Result<Option<Reply>, HandlerError> {
        if self.unsure.is_none() {
            return Ok(Some(reply));
        }
        self.kept = Some(reply);
        self.rounds.again(PortError::Conflict).await?;
        Ok(None)
    }
}

impl<K: KeyService, M: SendSms, B: Bank> Verification<K, M, B> {
    /// A step whose one write may send a code. An SMS that could not be handed over is undone.
    pub(crate) async fn sending_step(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        purpose: OtpPurpose,
        act: impl Fn(Otp) -> Command,
    ) -> Result<Reply, HandlerError> {
        let mut sending = Sending::new()?;
        loop {
            let (loaded, code) = match self.round(step, which, purpose, &mut sending).await? {
                Ok(round) => round,
                Err(reply) => return Ok(reply),
            };
            let transition = match step.decide(&loaded.merchant, act(code.clone())) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await,
            };
            let send = transition.otp_delivery.clone();
            match step
                .write(&loaded.merchant, transition, None, Keep::Reply)
                .await
            {
                Ok(Outcomes::Written(after, reply)) => {
                    if let Some(send) = send {
                        self.deliver(step, which, &after, &send, &code).await?;
                    }
                    return Ok(reply);
                }
                Ok(Outcomes::Replayed(reply)) => {
                    if let Some(reply) = sending.replayed(reply).await? {
                        return Ok(reply);
                    }
                }
                Ok(Outcomes::CodeLimit(wait_s)) => return Err(code_limit(wait_s).into()),
                Ok(Outcomes::BoundElsewhere | Outcomes::Claimed(_)) => {
                    sending.again(PortError::Conflict.into(), None).await?;
                }
                Err(stop) => sending.again(stop, send).await?,
            }
        }
    }

    /// What a round begins with: the state, and the code for it. `Err`: the request is answered. A write of an earlier round
    /// was done although nobody said so, and its code is sent now.
    pub(crate) async fn round(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        purpose: OtpPurpose,
        sending: &mut Sending,
    ) -> Result<Result<(Loaded, Otp), Reply>, HandlerError> {
        let loaded = loop {
            match step.load(which).await {
                Err(HandlerError::Failed(
                    error @ (PortError::Conflict | PortError::Transient(..)),
                )) if sending.unsure.is_some() => {
                    sending.rounds.again(error).await?;
                }
                loaded => break loaded?,
            }
        };
        let code = self.code_for(&loaded, purpose, sending).await?;
        let Some(send) = &sending.unsure else {
            return Ok(Ok((loaded, code)));
        };
        let rebind = loaded.merchant.rebind.as_ref();
        let kept = rebind.and_then(|rebind| otp_of(&rebind.stage, send.purpose));
        if kept.is_some_and(|(kept, _)| kept.mac == code.mac) {
            self.deliver(step, which, &loaded.merchant, send, &code)
                .await?;
            return Ok(Err(step.reply(&loaded.merchant, &Transition::none())));
        }
        match sending.kept.take() {
            Some(reply) => Ok(Err(reply)),
            None => Ok(Ok((loaded, code))),
        }
    }

    /// The request's code, bound to this state.
    pub(crate) async fn code_for(
        &self,
        loaded: &Loaded,
        purpose: OtpPurpose,
        sending: &Sending,
    ) -> Result<Otp, HandlerError> {
        let scope = scope(loaded, purpose);
        Ok(self.keys.otp_of(&scope, &sending.digits).await?)
    }

    /// Hands a code over. If that fails, nobody has it: it is taken off the rebind and off the phone's count, and the key
    /// is free again.
    pub(crate) async fn deliver(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        after: &Merchant,
        send: &OtpDelivery,
        code: &Otp,
    ) -> Result<(), HandlerError> {
        let card = CardLabel::from(&send.card);
        let digits = &code.digits;
        let text = match (send.purpose, send.of) {
            (OtpPurpose::Identity, Purpose::Activate) => Sms::OtpIdentity { card, code: digits },
            (OtpPurpose::Identity, Purpose::Standby) => {
                Sms::OtpIdentityStandby { card, code: digits }
            }
            (OtpPurpose::Activate, _) => Sms::OtpActivateStandby { card, code: digits },
            (OtpPurpose::Card, _) => Sms::OtpCard { card, code: digits },
        };
        let text = render(&text, Lang::default());
        let Err(error) = self.sms.send(send.phone.e164(), &text).await else {
            return Ok(());
        };
        let cause = error.to_string();
        tracing::warn!(sms.cause = cause, "a code could not be handed over");
        let mut state = after.clone();
        let mut rounds = Rounds::new();
        loop {
            let undo = Command::OtpNotSent(send.purpose, code.mac.clone());
            let undo = step.decide(&state, undo)?;
            match step.write(&state, undo, None, Keep::Forget).await {
                Ok(_) => break,
                Err(HandlerError::Failed(error)) => rounds.again(error).await?,
                Err(stop) => return Err(stop),
            }
            state = step.load(which).await?.merchant;
        }
        if let Err(error) = self.uncount(step, send).await {
            let cause = error.to_string();
            tracing::warn!(
                store.cause = cause,
                "a code that was not sent stays counted"
            );
        }
        Err(channel_down())
    }

    async fn uncount(
        &self,
        step: &Step<'_, Store, K>,
        send: &OtpDelivery,
    ) -> Result<(), PortError> {
        let phone = self
            .keys
            .mac(HashPurpose::Phone, &[send.phone.e164()])
            .await?;
        self.store
            .refund_otp(&phone.0, send.purpose, step.now)
            .await
    }
}
