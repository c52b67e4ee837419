//! `POST /v1/rebinds/{id}/identity/confirm` and `…/card-check/confirm`: checks the typed code.
//!
//! Three calls to the table: read, reserve an attempt, settle it. An attempt is counted by a write before the code is
//! compared, so parallel guesses cannot exceed the limit.

use super::otp::otp_scope;
use super::{Bank, Context, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::{ConfirmCard, ConfirmCode};
use application::crypto::{DEPOSIT_CODE_CHARS, typed_code};
use application::error::HandlerError;
use application::ports::{KeyService, QueryOutcome, Selector, SendSms};
use application::transact::{Committed, Learned, Loaded, Plan, Start, nothing_to_prepare};
use domain::decide::{Command, attempts_left, deposit_of, otp_of};
use domain::error_code::ErrorCode;
use domain::pii::typed::{Field, fold};
use domain::rebind::{BankReference, Mac, OtpPurpose};
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transition::{Outcome, Transition};
use store::client::Table;

impl<T: Table, K: KeyService, M: SendSms, B: Bank> Verification<T, K, M, B> {
    /// The OTP sent to the phone on file.
    pub(crate) async fn confirm_identity(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<ConfirmCode>(request)?;
        let ctx = self.context(request, now, &body.canonical);
        let ctx = ctx.await?.claiming();
        let id = ctx.rebind_id(request).await?;
        let typed = body.fields.code.unwrap_or_else(no_code);
        self.confirm(&ctx, Selector::Step(&id), OtpPurpose::Identity, &typed)
            .await
    }

    /// The OTP sent to the card's reserved phone, or the code in the descriptor of a micro-deposit.
    pub(crate) async fn confirm_card(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<ConfirmCard>(request)?;
        let ctx = self.context(request, now, &body.canonical);
        let ctx = ctx.await?.claiming();
        let id = ctx.rebind_id(request).await?;
        let typed = body.fields.code.unwrap_or_else(no_code);
        self.confirm(&ctx, Selector::Step(&id), OtpPurpose::Card, &typed)
            .await
    }

    /// Reserves an attempt, compares the code, settles the attempt. If the code is right, the last write activates the
    /// card.
    pub(crate) async fn confirm(
        &self,
        ctx: &Context<'_, T>,
        selector: Selector<'_>,
        purpose: OtpPurpose,
        typed: &Secret<String>,
    ) -> Result<Reply, HandlerError> {
        let typed = fold(Field::Code, typed.expose());
        let attempt = self.reserve_attempt(ctx, selector, purpose, &typed).await?;
        let right = self.is_right(&attempt, purpose, &typed).await?;
        let settle = async |_: &Loaded, learned: &Learned| {
            Ok(Plan::from(Command::SettleAttempt {
                purpose,
                compared: attempt.expected.otp_mac().cloned(),
                right,
                bound_elsewhere: learned.bound_elsewhere,
            }))
        };
        let claim = async |loaded: &Loaded, transition: &mut Transition| {
            self.complete_claim(loaded, transition).await
        };
        let start = (selector, attempt.loaded.clone());
        let settled = ctx.transact(start, settle, claim).await?;
        Ok(settled.reply)
    }

    /// Reserves the attempt. A returned deposit ends the rebind and must not cost an attempt, so the bank is queried
    /// first, but only if an attempt could be reserved.
    async fn reserve_attempt(
        &self,
        ctx: &Context<'_, T>,
        selector: Selector<'_>,
        purpose: OtpPurpose,
        typed: &Secret<String>,
    ) -> Result<Attempt, HandlerError> {
        let mut start = selector.into();
        let mut deposit_polled = false;
        loop {
            let reserved = self
                .reserve(ctx, start, purpose, typed, deposit_polled)
                .await?
                .proceeding()?;
            if reserved.outcome != Outcome::PollDeposit {
                return Attempt::of(reserved.after, purpose);
            }
            deposit_polled = true;
            let loaded = self.poll_deposit(ctx, selector, reserved.after).await?;
            start = (selector, loaded).into();
        }
    }

    async fn reserve(
        &self,
        ctx: &Context<'_, T>,
        start: Start<'_>,
        purpose: OtpPurpose,
        typed: &Secret<String>,
        deposit_polled: bool,
    ) -> Result<Committed, HandlerError> {
        let plan = async |loaded: &Loaded, learned: &Learned| {
            let expected = Expected::of(loaded, purpose);
            let context = expected.as_ref().map(Expected::context);
            let context = context.unwrap_or_default();
            match (&learned.claimed, &expected) {
                // This request reserved its attempt earlier and crashed. It continues with that attempt, for the same
                // code only.
                (Some(claimed), Some(_)) if *claimed == context => return Ok(Plan::Resume),
                (Some(_), Some(_)) => {
                    return Err(Rejection::new(ErrorCode::OtpExpired).not_counted().into());
                }
                // Without a code to compare, the core rejects the request; a repeated request gets its stored reply.
                (_, None) | (None, Some(_)) => {}
            }
            let command = Command::ReserveAttempt {
                purpose,
                well_formed: is_well_formed(typed.expose(), expected.as_ref()),
                deposit_polled,
            };
            let plan = Plan::from(command).claiming(context);
            let stage = loaded.merchant.rebind.as_ref().map(|rebind| &rebind.stage);
            let left = stage.and_then(|stage| attempts_left(stage, purpose, ctx.policy));
            Ok(match left {
                // This request itself may have reserved the last attempt.
                Some(0) => plan.resuming_if_begun(),
                _ => plan,
            })
        };
        ctx.transact(start, plan, nothing_to_prepare).await
    }

    /// Queries the bank about a deposit, and writes a new outcome. `Answered`: the deposit was returned, which ends the
    /// rebind.
    async fn poll_deposit(
        &self,
        ctx: &Context<'_, T>,
        selector: Selector<'_>,
        loaded: Loaded,
    ) -> Result<Loaded, HandlerError> {
        let rebind = loaded.rebind()?;
        let Some((number, _)) = deposit_of(&rebind.stage) else {
            return Ok(loaded);
        };
        let reference = rebind.serial(BankReference::Deposit(number));
        let QueryOutcome::Answer(answer) = self.bank.transfer_outcome(&reference).await else {
            return Ok(loaded);
        };
        let settle = async |_: &Loaded, _: &Learned| {
            Ok(Plan::from(Command::SettleDeposit(Some(answer))).leaving_key())
        };
        let settled = ctx
            .transact((selector, loaded), settle, nothing_to_prepare)
            .await?;
        match settled.outcome {
            Outcome::Refused(_) => Err(HandlerError::Answered(Box::new(settled.reply))),
            _ => Ok(settled.after),
        }
    }

    async fn is_right(
        &self,
        attempt: &Attempt,
        purpose: OtpPurpose,
        typed: &Secret<String>,
    ) -> Result<bool, HandlerError> {
        match &attempt.expected {
            Expected::Otp(mac) => {
                let scope = otp_scope(&attempt.loaded, purpose);
                Ok(self.keys.otp_is_right(&scope, typed.expose(), mac).await?)
            }
            Expected::Deposit(number) => {
                let merchant = attempt.loaded.merchant.profile.merchant_id.as_str();
                let reference = attempt
                    .loaded
                    .rebind()?
                    .serial(BankReference::Deposit(*number));
                let Some(typed) = typed_code(typed.expose(), DEPOSIT_CODE_CHARS) else {
                    return Ok(false);
                };
                let is_right = self.keys.is_deposit_code(&typed, merchant, &reference);
                Ok(is_right.await?)
            }
        }
    }
}

/// A reserved attempt.
struct Attempt {
    loaded: Loaded,
    expected: Expected,
}

impl Attempt {
    fn of(loaded: Loaded, purpose: OtpPurpose) -> Result<Self, HandlerError> {
        let expected = Expected::of(&loaded, purpose);
        let expected = expected.ok_or_else(|| Rejection::new(ErrorCode::StepOutOfOrder))?;
        Ok(Self { loaded, expected })
    }
}

/// The expected value of a typed code.
enum Expected {
    /// The hash of the OTP that was sent.
    Otp(Mac),
    /// The code of the deposit with this number.
    Deposit(u16),
}

impl Expected {
    fn of(loaded: &Loaded, purpose: OtpPurpose) -> Option<Self> {
        let stage = &loaded.merchant.rebind.as_ref()?.stage;
        match (deposit_of(stage), purpose) {
            (Some((number, _)), OtpPurpose::Card) => Some(Self::Deposit(number)),
            _ => otp_of(stage, purpose).map(|(otp, _)| Self::Otp(otp.mac.clone())),
        }
    }

    /// The context that the attempt's claim is bound to. A repeated request may only continue against the same code.
    fn context(&self) -> String {
        /// Enough of a keyed hash to distinguish the OTPs of one rebind.
        const OTP_CHARS: usize = 6;
        match self {
            Self::Otp(mac) => mac.clone().shortened(OTP_CHARS).0,
            // A rebind has at most one deposit.
            Self::Deposit(_) => "deposit".to_owned(),
        }
    }

    fn otp_mac(&self) -> Option<&Mac> {
        match self {
            Self::Otp(mac) => Some(mac),
            Self::Deposit(_) => None,
        }
    }
}

fn is_well_formed(typed: &str, expected: Option<&Expected>) -> bool {
    match expected {
        Some(Expected::Deposit(_)) => typed_code(typed, DEPOSIT_CODE_CHARS).is_some(),
        Some(Expected::Otp(_)) | None => {
            typed.len() == 6 && typed.bytes().all(|byte| byte.is_ascii_digit())
        }
    }
}

fn no_code() -> Secret<String> {
    Secret::new(String::new())
}
