//! Trying codes.

use super::card_check::Heard;
use super::{Bank, Verification, scope};
use api::event::Request;
use api::reply::Reply;
use application::crypto::{same_code, typed_code};
use application::ports::{KeyService, PortError, SendSms};
use application::serve::HandlerError;
use application::step::{Keep, Loaded, Outcomes, Rounds, Step, Which};
use domain::decide::{Command, attempts_max, deposit_of, otp_of};
use domain::error_code::ErrorCode;
use domain::policy::Policy;
use domain::rebind::{BankReference, Mac, OtpPurpose, RebindState};
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transition::Decision;
use store::Store;

/// A try that was taken.
struct Taken {
    loaded: Loaded,
    compared: Mac,
    right: bool,
}

impl<K: KeyService, M: SendSms, B: Bank> Verification<K, M, B> {
    /// Takes a try by a write, compares, writes what was found: three calls.
    pub(crate) async fn confirm(
        &self,
        request: &Request,
        purpose: OtpPurpose,
        code: Option<Secret<String>>,
        canonical_body: &str,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let (step, id) =
            Step::on_rebind(&self.store, &self.keys, request, now, canonical_body).await?;
        let typed = code.unwrap_or_else(|| Secret::new(String::new()));
        self.try_code(&step, Which::Step(&id), purpose, &typed)
            .await
    }

    pub(crate) async fn try_code(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        purpose: OtpPurpose,
        typed: &Secret<String>,
    ) -> Result<Reply, HandlerError> {
        match self.reserve_attempt(step, which, purpose, typed).await? {
            Ok(taken) => self.settle_attempt(step, which, purpose, taken).await,
            Err(reply) => Ok(reply),
        }
    }

    /// The first write. `Err`: the request is answered already.
    async fn reserve_attempt(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        purpose: OtpPurpose,
        typed: &Secret<String>,
    ) -> Result<Result<Taken, Reply>, HandlerError> {
        let mut rounds = Rounds::new();
        let mut heard = false;
        loop {
            let mut loaded = step.load(which).await?;
            let sent = loaded.merchant.rebind.as_ref();
            let sent = sent.and_then(|rebind| kept_of(&rebind.stage, purpose));
            let well_formed = match &sent {
                Some((kept, ..)) => kept.is_its_form(typed.expose()),
                None => is_sms_code(typed.expose()),
            };
            if let Some((kept, taken, max)) = &sent
                && taken >= max
                && step.was_begun(kept.context()).await?
            {
                // The last try was this request's own.
                let kept = kept.clone();
                return self.compare(loaded, purpose, typed, kept).await.map(Ok);
            }
            let compared = sent.map(|(kept, ..)| kept);
            let act = Command::ReserveAttempt {
                purpose,
                well_formed,
            };
            let decided = step.decide(&loaded.merchant, act);
            if let Some(Kept::Deposit(number)) = compared
                && !heard
                && decided
                    .as_ref()
                    .err()
                    .is_none_or(|refusal| refusal.code == ErrorCode::UpstreamBusy)
            {
                // Before the try is taken, and only when it would be: is the deposit still there?
                heard = true;
                match self.hear_of_deposit(step, &loaded, number).await {
                    Ok(Heard::Nothing) => {}
                    Ok(Heard::Arrived) => continue,
                    Ok(Heard::Returned(reply)) => return Ok(Err(reply)),
                    Err(HandlerError::Failed(error @ PortError::Conflict)) => {
                        rounds.again(error).await?;
                        continue;
                    }
                    Err(stop) => return Err(stop),
                }
            }
            let transition = match decided {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await.map(Err),
            };
            let compared = compared.ok_or_else(|| Rejection::new(ErrorCode::StepOutOfOrder))?;
            let ends_here = transition.outcome != Decision::Proceed;
            let keep = if ends_here {
                Keep::Reply
            } else {
                Keep::Claim(compared.context())
            };
            match step.write(&loaded.merchant, transition, None, keep).await {
                Ok(Outcomes::Written(_, reply)) if ends_here => return Ok(Err(reply)),
                Ok(Outcomes::Written(after, _)) => loaded.merchant = *after,
                Ok(Outcomes::Replayed(reply)) => return Ok(Err(reply)),
                // This very request took its try before and died: it goes on without another, for the same code only.
                Ok(Outcomes::Claimed(context)) if context == compared.context() => {}
                Ok(Outcomes::Claimed(_)) => {
                    return Err(Rejection::new(ErrorCode::OtpExpired).not_counted().into());
                }
                Ok(Outcomes::CodeLimit(_) | Outcomes::BoundElsewhere) => {
                    rounds.again(PortError::Conflict).await?;
                    continue;
                }
                Err(HandlerError::Failed(error @ PortError::Conflict)) => {
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
        purpose: OtpPurpose,
        typed: &Secret<String>,
        kept: Kept,
    ) -> Result<Taken, HandlerError> {
        let (right, compared) = match kept {
            Kept::Sms(mac) => {
                let scope = scope(&loaded, purpose);
                let right = self.keys.code_is_right(&scope, typed.expose(), &mac);
                (right.await?, mac)
            }
            Kept::Deposit(number) => {
                let merchant = loaded.merchant.profile.merchant_id.as_str();
                let serial = loaded.rebind()?.serial(BankReference::Deposit(number));
                let code = self.keys.deposit_code(merchant, &serial).await?;
                let typed = typed_code(typed.expose(), DEPOSIT_CODE_CHARS);
                let right = typed.is_some_and(|typed| same_code(&typed, &code));
                (right, Mac(String::new()))
            }
        };
        Ok(Taken {
            loaded,
            compared,
            right,
        })
    }

    /// The second write.
    async fn settle_attempt(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        purpose: OtpPurpose,
        taken: Taken,
    ) -> Result<Reply, HandlerError> {
        let Taken {
            mut loaded,
            compared,
            right,
        } = taken;
        let mut bound_elsewhere = false;
        let mut rounds = Rounds::new();
        loop {
            let act = Command::SettleAttempt {
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
                .write(&loaded.merchant, transition, None, Keep::Reply)
                .await
            {
                Ok(Outcomes::Written(_, reply) | Outcomes::Replayed(reply)) => return Ok(reply),
                Ok(Outcomes::BoundElsewhere) => bound_elsewhere = true,
                Ok(Outcomes::CodeLimit(_) | Outcomes::Claimed(_)) => {
                    rounds.again(PortError::Conflict).await?
                }
                Err(HandlerError::Failed(error @ PortError::Conflict)) => {
                    rounds.again(error).await?
                }
                Err(stop) => return Err(stop),
            }
            loaded = step.load(which).await?;
        }
    }
}

/// Characters of a micro-deposit's code.
const DEPOSIT_CODE_CHARS: usize = 6;

/// What a typed code is compared with.
#[derive(Clone)]
enum Kept {
    /// The hash of the code that was sent.
    Sms(Mac),
    /// The code of the deposit with this number.
    Deposit(u16),
}

impl Kept {
    /// Whether a text can be such a code at all.
    fn is_its_form(&self, typed: &str) -> bool {
        match self {
            Self::Sms(_) => is_sms_code(typed),
            Self::Deposit(_) => typed_code(typed, DEPOSIT_CODE_CHARS).is_some(),
        }
    }

    /// What a try that was begun is bound to.
    fn context(&self) -> &str {
        match self {
            Self::Sms(mac) => &mac.0,
            // A rebind has one deposit.
            Self::Deposit(_) => "deposit",
        }
    }
}

/// Six digits.
fn is_sms_code(typed: &str) -> bool {
    typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit())
}

/// What is compared, the tries taken, and how many there are.
fn kept_of(stage: &RebindState, purpose: OtpPurpose) -> Option<(Kept, u8, u8)> {
    let max = attempts_max(stage, purpose, &Policy::CURRENT);
    match (stage, deposit_of(stage)) {
        (RebindState::CardPending { card_attempts, .. }, Some((number, _)))
            if purpose == OtpPurpose::Card =>
        {
            Some((Kept::Deposit(number), card_attempts.taken, max))
        }
        _ => otp_of(stage, purpose)
            .map(|(code, tries)| (Kept::Sms(code.mac.clone()), tries.taken, max)),
    }
}
