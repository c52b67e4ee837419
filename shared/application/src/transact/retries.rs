//! The retries of one transaction: what a failed read or write means for the next one.

use super::plan::{Learned, Write};
use super::{Committed, Loaded, Transactor};
use crate::backoff::{Backoff, Limits};
use crate::error::HandlerError;
use crate::ports::{
    CommitOutcome, CommitTransition, IdempotencyLookup, LoadMerchant, PortError, StoredReply,
};
use api::reply::Reply;
use domain::decide::otp_of;
use domain::error_code::ErrorCode;
use domain::merchant::Merchant;
use domain::rebind::Mac;
use domain::rejection::Rejection;
use domain::transition::{OtpDelivery, Outcome};

/// The retries of one transaction, with the facts they learned.
pub(super) struct Retries {
    limits: Limits,
    backoff: Backoff,
    pub(super) learned: Learned,
    unconfirmed: Option<Unconfirmed>,
}

/// A write with an OTP whose answer was lost. It may have taken effect.
struct Unconfirmed {
    delivery: OtpDelivery,
    otp: Option<Mac>,
    /// The reply found under the request's key afterwards.
    replay: Option<StoredReply>,
}

impl Retries {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            backoff: Backoff::new(limits),
            learned: Learned::default(),
            unconfirmed: None,
        }
    }

    pub(super) async fn after_failed_read(
        &mut self,
        error: HandlerError,
    ) -> Result<(), HandlerError> {
        match error {
            HandlerError::Failed(error @ (PortError::Conflict | PortError::Transient(..)))
                if self.unconfirmed.is_some() || self.limits.after_transient =>
            {
                Ok(self.backoff.pause(error).await?)
            }
            error => Err(error),
        }
    }

    /// After an unconfirmed write, the state shows whether it took effect. If so, its OTP is handed over now.
    pub(super) fn recover<S: LoadMerchant + CommitTransition>(
        &mut self,
        transactor: &Transactor<'_, S>,
        loaded: &Loaded,
    ) -> Result<Option<Committed>, HandlerError> {
        let Some(unconfirmed) = &mut self.unconfirmed else {
            return Ok(None);
        };
        let purpose = unconfirmed.delivery.purpose;
        let rebind = loaded.merchant.rebind.as_ref();
        let stored = rebind.and_then(|rebind| otp_of(&rebind.stage, purpose));
        if stored.is_some_and(|(stored, _)| Some(&stored.mac) == unconfirmed.otp.as_ref()) {
            let delivery = unconfirmed.delivery.clone();
            return Ok(Some(Committed {
                otp_delivery: Some(delivery),
                is_written: true,
                ..transactor.unchanged(loaded.clone(), Outcome::Done)
            }));
        }
        match unconfirmed.replay.take() {
            Some(kept) => Err(replayed(&kept)),
            None => Ok(None),
        }
    }

    pub(super) async fn after_refused_write(
        &mut self,
        outcome: CommitOutcome,
        write: &Write,
        before: &Merchant,
    ) -> Result<(), HandlerError> {
        match outcome {
            CommitOutcome::Before(IdempotencyLookup::Reply(kept)) => {
                let Some(unconfirmed) = &mut self.unconfirmed else {
                    return Err(replayed(&kept));
                };
                unconfirmed.replay = Some(kept);
                self.backoff.pause(PortError::Conflict).await?;
            }
            CommitOutcome::Before(IdempotencyLookup::OtherBody) => {
                return Err(Rejection::new(ErrorCode::IdempotencyMismatch).into());
            }
            CommitOutcome::Before(IdempotencyLookup::Claimed(context))
                if self.learned.claimed.is_none() =>
            {
                self.learned.claimed = Some(context);
            }
            CommitOutcome::OtpLimit { wait_s } if write.learns_otp_limit => {
                self.learned.otp_wait_s = Some(wait_s);
            }
            CommitOutcome::OtpLimit { wait_s } => return Err(otp_limit(wait_s).into()),
            CommitOutcome::BoundElsewhere if !self.learned.bound_elsewhere => {
                self.learned.bound_elsewhere = true;
            }
            CommitOutcome::PayoutExists(known) => {
                let merchant = Box::new(before.clone());
                return Err(HandlerError::PayoutExists { known, merchant });
            }
            CommitOutcome::Written
            | CommitOutcome::BoundElsewhere
            // The row was removed between the write and its failure.
            | CommitOutcome::Before(IdempotencyLookup::Nothing | IdempotencyLookup::Claimed(_)) => {
                self.backoff.pause(PortError::Conflict).await?;
            }
        }
        Ok(())
    }

    /// An unanswered write without an OTP is not repeated, because it may have counted something.
    pub(super) async fn after_failed_write(
        &mut self,
        error: PortError,
        delivery: Option<OtpDelivery>,
        after: &Merchant,
    ) -> Result<(), HandlerError> {
        let is_transient = matches!(error, PortError::Transient(..));
        let repeats = matches!(error, PortError::Conflict)
            || is_transient
                && (delivery.is_some()
                    || self.unconfirmed.is_some()
                    || self.limits.after_transient);
        if !repeats {
            return Err(error.into());
        }
        self.backoff.pause(error).await?;
        if let (true, Some(delivery)) = (is_transient, delivery) {
            let rebind = after.rebind.as_ref();
            let otp = rebind.and_then(|rebind| otp_of(&rebind.stage, delivery.purpose));
            self.unconfirmed = Some(Unconfirmed {
                otp: otp.map(|(otp, _)| otp.mac.clone()),
                delivery,
                replay: None,
            });
        }
        Ok(())
    }
}

pub(super) fn replayed(kept: &StoredReply) -> HandlerError {
    HandlerError::Answered(Box::new(Reply::replay(kept.status, &kept.body)))
}

/// `OTP_SEND_LIMIT` with the time until the phone may receive another OTP.
#[must_use]
pub fn otp_limit(wait_s: i64) -> Rejection {
    Rejection::new(ErrorCode::OtpSendLimit)
        .not_counted()
        .retry_after(wait_s)
}
