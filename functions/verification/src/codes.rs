//! Sending codes, and trying them.

use super::{Verification, channel_down, scope};
use serde::Deserialize;
use shared::crypto::HashPurpose;
use shared::domain::code::Code;
use shared::domain::decide::{Act, code_of};
use shared::domain::ids::RebindId;
use shared::domain::lang::Lang;
use shared::domain::merchant::Merchant;
use shared::domain::rebind::{CodePurpose, FreshCode, Mac};
use shared::domain::rejection::Rejection;
use shared::domain::secret::Secret;
use shared::domain::sms::{CardLabel, Sms, render};
use shared::domain::time::Timestamp;
use shared::domain::transition::{CodeSend, Outcome, Transition};
use shared::edge::body;
use shared::edge::event::Request;
use shared::edge::reply::Reply;
use shared::edge::serve::Stop;
use shared::edge::step::{Keep, KeyRule, Loaded, Outcomes, Rounds, Step, code_limit};
use shared::ports::{CheckCard, CommitTransition, KeyService, PortError, SendSms};
use shared::store::Store;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TypedCode {
    code: Option<Secret<String>>,
}

/// A try that was taken.
struct Taken {
    loaded: Loaded,
    compared: Mac,
    right: bool,
}

impl<K: KeyService, M: SendSms, B: CheckCard> Verification<K, M, B> {
    /// A step whose one write may send a code: written first, sent after. An SMS that could not be handed over is undone.
    pub(crate) async fn sending_step(
        &self,
        step: &Step<'_, Store, K>,
        id: &RebindId,
        purpose: CodePurpose,
        act: impl Fn(FreshCode) -> Act,
    ) -> Result<Reply, Stop> {
        let mut rounds = Rounds::new();
        let mut unsure: Option<(FreshCode, CodeSend)> = None;
        loop {
            let loaded = step.load(Some(id)).await?;
            if let Some((code, send)) = &unsure
                && holds(&loaded, purpose, code)
            {
                // The write whose answer was lost was done: its code is still to be sent.
                self.deliver(step, &loaded.merchant, send, code).await?;
                return Ok(step.reply(&loaded.merchant, &Transition::none(), 200));
            }
            let code = self.fresh_code(&loaded, purpose).await?;
            let transition = match step.decide(&loaded.merchant, act(code.clone())) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await,
            };
            let send = transition.code_send.clone();
            match step
                .write(&loaded.merchant, transition, None, 200, Keep::Reply)
                .await
            {
                Ok(Outcomes::Written(after, reply)) => {
                    if let Some(send) = send {
                        self.deliver(step, &after, &send, &code).await?;
                    }
                    return Ok(reply);
                }
                Ok(Outcomes::Replayed(reply)) => return Ok(reply),
                Ok(Outcomes::CodeLimit(wait_s)) => return Err(code_limit(wait_s).into()),
                Ok(Outcomes::BoundElsewhere | Outcomes::Claimed(_)) => {
                    rounds.again(PortError::Conflict).await?
                }
                Err(Stop::Failed(error @ PortError::Conflict)) => rounds.again(error).await?,
                Err(Stop::Failed(error @ PortError::Transient(..))) => {
                    rounds.again(error).await?;
                    unsure = send.map(|send| (code, send));
                }
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Hands a code over. If that fails, nobody has it: it is taken off the rebind and off the phone's count, and the key
    /// is free again.
    pub(crate) async fn deliver(
        &self,
        step: &Step<'_, Store, K>,
        after: &Merchant,
        send: &CodeSend,
        code: &FreshCode,
    ) -> Result<(), Stop> {
        let card = CardLabel::from(&send.card);
        let digits = &code.digits;
        let text = match send.purpose {
            CodePurpose::Identity => Sms::OtpIdentity { card, code: digits },
            CodePurpose::Card => Sms::OtpCard { card, code: digits },
        };
        let text = render(&text, Lang::default());
        let Err(error) = self.sms.send(&send.phone, &text).await else {
            return Ok(());
        };
        let cause = error.to_string();
        tracing::warn!(sms.cause = cause, "a code could not be handed over");
        let phone = self.keys.mac(HashPurpose::Phone, &[&send.phone]).await?;
        self.store
            .uncount_code(&phone.0, send.purpose, step.now)
            .await?;
        let rebind_id = after.rebind.as_ref().map(|rebind| rebind.rebind_id.clone());
        let mut state = after.clone();
        let mut rounds = Rounds::new();
        loop {
            let undo = Act::CodeNotSent(send.purpose, code.mac.clone());
            let undo = step.decide(&state, undo)?;
            match step.write(&state, undo, None, 200, Keep::Forget).await {
                Ok(_) => return Err(channel_down()),
                Err(Stop::Failed(error)) => rounds.again(error).await?,
                Err(stop) => return Err(stop),
            }
            state = step.load(rebind_id.as_ref()).await?.merchant;
        }
    }

    /// Takes a try by a write, compares, writes what was found: three calls.
    pub(crate) async fn confirm(
        &self,
        request: &Request,
        purpose: CodePurpose,
        now: Timestamp,
    ) -> Result<Reply, Stop> {
        let body = body::read::<TypedCode>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let typed = body
            .fields
            .code
            .unwrap_or_else(|| Secret::new(String::new()));
        match self.take_try(&step, &id, purpose, &typed).await? {
            Ok(taken) => self.settle_try(&step, &id, purpose, taken).await,
            Err(reply) => Ok(reply),
        }
    }

    /// The first write. `Err`: the request is answered already.
    async fn take_try(
        &self,
        step: &Step<'_, Store, K>,
        id: &RebindId,
        purpose: CodePurpose,
        typed: &Secret<String>,
    ) -> Result<Result<Taken, Reply>, Stop> {
        let well_formed =
            typed.expose().len() == 6 && typed.expose().bytes().all(|byte| byte.is_ascii_digit());
        let mut rounds = Rounds::new();
        loop {
            let mut loaded = step.load(Some(id)).await?;
            let sent = code_of(&loaded.rebind()?.stage, purpose);
            if let Some((code, tries)) = sent
                && tries.taken >= step.policy.code_tries
                && step.was_begun(&code.mac.0).await?
            {
                // The last try was this request's own.
                let compared = code.mac.clone();
                return self.compare(loaded, purpose, typed, compared).await.map(Ok);
            }
            let compared = sent.map(|(code, _)| code.mac.clone());
            let act = Act::TakeTry {
                purpose,
                well_formed,
            };
            let transition = match step.decide(&loaded.merchant, act) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await.map(Err),
            };
            let compared = compared.ok_or_else(|| Rejection::new(Code::StepOutOfOrder))?;
            let ends_here = transition.outcome != Outcome::Proceed;
            let keep = if ends_here {
                Keep::Reply
            } else {
                Keep::Claim(&compared.0)
            };
            match step
                .write(&loaded.merchant, transition, None, 200, keep)
                .await
            {
                Ok(Outcomes::Written(_, reply)) if ends_here => return Ok(Err(reply)),
                Ok(Outcomes::Written(after, _)) => loaded.merchant = *after,
                Ok(Outcomes::Replayed(reply)) => return Ok(Err(reply)),
                // This very request took its try before and died: it goes on without another, for the same code only.
                Ok(Outcomes::Claimed(context)) if context == compared.0 => {}
                Ok(Outcomes::Claimed(_)) => {
                    return Err(Rejection::new(Code::OtpExpired).not_counted().into());
                }
                Ok(Outcomes::CodeLimit(_) | Outcomes::BoundElsewhere) => {
                    rounds.again(PortError::Conflict).await?;
                    continue;
                }
                Err(Stop::Failed(error @ PortError::Conflict)) => {
                    rounds.again(error).await?;
                    continue;
                }
                Err(stop) => return Err(stop),
            }
            return self.compare(loaded, purpose, typed, compared).await.map(Ok);
        }
    }

    async fn compare(
        &self,
        loaded: Loaded,
        purpose: CodePurpose,
        typed: &Secret<String>,
        compared: Mac,
    ) -> Result<Taken, Stop> {
        let scope = scope(&loaded, purpose)?;
        let right = self.keys.code_is_right(&scope, typed.expose(), &compared);
        let right = right.await?;
        Ok(Taken {
            loaded,
            compared,
            right,
        })
    }

    /// The second write.
    async fn settle_try(
        &self,
        step: &Step<'_, Store, K>,
        id: &RebindId,
        purpose: CodePurpose,
        taken: Taken,
    ) -> Result<Reply, Stop> {
        let Taken {
            mut loaded,
            compared,
            right,
        } = taken;
        let mut bound_elsewhere = false;
        let mut rounds = Rounds::new();
        loop {
            let act = Act::SettleTry {
                purpose,
                compared: compared.clone(),
                right,
                bound_elsewhere,
            };
            let transition = match step.decide(&loaded.merchant, act) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await,
            };
            match step
                .write(&loaded.merchant, transition, None, 200, Keep::Reply)
                .await
            {
                Ok(Outcomes::Written(_, reply) | Outcomes::Replayed(reply)) => return Ok(reply),
                Ok(Outcomes::BoundElsewhere) => bound_elsewhere = true,
                Ok(Outcomes::CodeLimit(_) | Outcomes::Claimed(_)) => {
                    rounds.again(PortError::Conflict).await?
                }
                Err(Stop::Failed(error @ PortError::Conflict)) => rounds.again(error).await?,
                Err(stop) => return Err(stop),
            }
            loaded = step.load(Some(id)).await?;
        }
    }
}

/// Whether the rebind holds exactly this code.
fn holds(loaded: &Loaded, purpose: CodePurpose, code: &FreshCode) -> bool {
    let rebind = loaded.merchant.rebind.as_ref();
    let kept = rebind.and_then(|rebind| code_of(&rebind.stage, purpose));
    kept.is_some_and(|(kept, _)| kept.mac == code.mac)
}
