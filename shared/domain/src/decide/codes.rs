//! One-time codes. A write reserves an attempt *before* the code is compared, so that parallel guesses cannot exceed the
//! limit. A second write records the result. Only wrong results end the rebind, so a correct code wins on any attempt.

use super::challenge::{
    Challenge, attempts_max, attempts_of, challenge_of, confirm_action, resend_action, stale_proof,
    wrong_code_error,
};
use super::{Context, create, of_rebind};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::merchant::MerchantState;
use crate::next_action::NextAction;
use crate::policy::MINUTE_S;
use crate::rebind::{
    Attempts, CardCheck, End, IdentityProof, Mac, OtpPurpose, Rebind, RebindState, SentOtp, Standby,
};
use crate::rejection::Rejection;
use crate::transition::{Outcome, Transition};

impl Context<'_> {
    pub(super) fn reserve_attempt(
        &self,
        purpose: OtpPurpose,
        well_formed: bool,
        deposit_polled: bool,
    ) -> Result<Transition, Rejection> {
        self.check_deposit_expiry(purpose)?;
        if purpose == OtpPurpose::Activate {
            let Some(rebind) = &self.merchant.rebind else {
                // A card from onboarding has no rebind and cannot be a standby card.
                self.not_frozen()?;
                self.fresh_login()?;
                return Err(
                    Rejection::new(ErrorCode::StepOutOfOrder).next(&[NextAction::NewRebind])
                );
            };
            let (_, standby) = self.check_switch(&rebind.new_card.card_id)?;
            if standby.code.is_none() {
                self.current_attempts(standby)?;
            }
        }
        let rebind = self.open_rebind(|stage| challenge_of(stage, purpose).is_some())?;
        let Some((challenge, attempts)) = challenge_of(&rebind.stage, purpose) else {
            return Err(self.out_of_order(rebind));
        };
        let left = attempts.left(attempts_max(&rebind.stage, purpose, self.policy));
        if !well_formed {
            let refusal = Rejection::new(wrong_code_error(challenge))
                .field("code")
                .not_counted();
            return Err(Rejection {
                attempts_left: Some(left),
                ..refusal
            });
        }
        if left == 0 {
            return self.no_attempts_left(rebind, purpose, attempts);
        }
        self.check_proofs(&rebind.stage, purpose)?;
        if let Challenge::Sms(code) = challenge {
            self.check_sms_code(code, purpose, left)?;
        }
        // A right code is refused too, otherwise the reply would show which one is right.
        self.check_wrong_codes()?;
        match challenge {
            Challenge::Sms(_) => {}
            // Before an attempt is reserved, and only if it would be: the deposit may have come back.
            Challenge::Deposit { .. } if !deposit_polled => {
                return Ok(Transition {
                    outcome: Outcome::PollDeposit,
                    ..Transition::none()
                });
            }
            // Deposit codes are not bound to a session: the statement may be read on another device.
            Challenge::Deposit { arrived: true } => {}
            Challenge::Deposit { arrived: false } => {
                return Err(Rejection::new(ErrorCode::UpstreamBusy)
                    .not_counted()
                    .retry_after(MINUTE_S)
                    .next(&[NextAction::CardCheckConfirm, NextAction::Cancel]));
            }
        }
        let mut attempts = attempts.clone();
        attempts.reserved += 1;
        attempts.last_at = Some(self.now);
        Ok(Transition {
            outcome: Outcome::Proceed,
            ..self.with_attempts(rebind, purpose, attempts)
        })
    }

    /// Refuses an expired deposit with its own error, which is more specific than that of the expired rebind.
    fn check_deposit_expiry(&self, purpose: OtpPurpose) -> Result<(), Rejection> {
        let Some(rebind) = &self.merchant.rebind else {
            return Ok(());
        };
        let is_expired = matches!(
            rebind.stage,
            RebindState::Ended {
                how: End::Expired,
                reason: Some(ErrorCode::MicroDepositExpired),
                ..
            }
        ) || (rebind.has_deposit() && rebind.is_overdue(self.now));
        if is_expired && purpose == OtpPurpose::Card {
            self.not_frozen()?;
            return Err(Rejection::new(ErrorCode::MicroDepositExpired)
                .not_counted()
                .next(&[NextAction::NewRebind]));
        }
        Ok(())
    }

    /// Checks that the code was sent to this session and has not expired.
    fn check_sms_code(
        &self,
        code: &SentOtp,
        purpose: OtpPurpose,
        left: u8,
    ) -> Result<(), Rejection> {
        let again = resend_action(purpose);
        if self
            .session()
            .is_none_or(|session| session.tag() != code.session)
        {
            return Err(Rejection::new(ErrorCode::StepUpRequired)
                .not_counted()
                .next(&[again]));
        }
        if code.is_valid_at(self.policy, self.now) {
            return Ok(());
        }
        let refusal = Rejection::new(ErrorCode::OtpExpired)
            .not_counted()
            .next(&[again]);
        Err(Rejection {
            attempts_left: Some(left),
            ..refusal
        })
    }

    pub(super) fn settle_attempt(
        &self,
        purpose: OtpPurpose,
        compared: Option<&Mac>,
        right: bool,
        bound_elsewhere: bool,
    ) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| attempts_of(stage, purpose).is_some())?;
        let Some(attempts) = attempts_of(&rebind.stage, purpose) else {
            return Err(self.out_of_order(rebind));
        };
        if !right {
            return Ok(self.wrong_code(rebind, purpose, attempts));
        }
        match challenge_of(&rebind.stage, purpose) {
            Some((Challenge::Sms(code), _)) if compared == Some(&code.mac) => {}
            Some((Challenge::Deposit { .. }, _)) => {}
            // A newer code was sent during the comparison.
            _ => return Err(Rejection::new(ErrorCode::OtpExpired).next(&[resend_action(purpose)])),
        }
        // Refund the attempt, so that refreshing the proof later does not run out of attempts.
        let refunded = Attempts {
            reserved: attempts.reserved.saturating_sub(1),
            ..attempts.clone()
        };
        match (&rebind.stage, purpose) {
            (RebindState::IdentityPending { .. }, OtpPurpose::Identity) => {
                let stage = RebindState::AgreementPending {
                    identity: self.identity_proof(),
                    attempts: refunded,
                };
                let event = Event::IdentityConfirmed(of_rebind(rebind));
                let rebind = self.seen_by_device(rebind);
                Ok(self.advance(self.changed_state(), &rebind, stage, event))
            }
            (RebindState::CardPending { .. }, OtpPurpose::Identity) => {
                let stage = self.with_fresh_identity(&rebind.stage, refunded);
                let event = Event::IdentityConfirmed(of_rebind(rebind));
                let rebind = self.seen_by_device(rebind);
                Ok(self.advance(self.changed_state(), &rebind, stage, event))
            }
            (RebindState::CardPending { .. }, OtpPurpose::Card) if bound_elsewhere => {
                let refusal = Rejection::new(ErrorCode::CardBoundElsewhere);
                Ok(self.reject(
                    self.changed_state(),
                    rebind,
                    Rejection {
                        counts_toward_limit: Some(true),
                        ..refusal
                    },
                    None,
                ))
            }
            (RebindState::CardPending { .. }, OtpPurpose::Card) => {
                self.check_proofs(&rebind.stage, purpose)?;
                // A rebind starts outside a cooldown, but a clock that goes back could put its end inside one.
                create::check_cooldown(self.merchant, self.now)?;
                Ok(self.attach_card(rebind))
            }
            (RebindState::Standby(_), OtpPurpose::Activate) => {
                self.check_switch(&rebind.new_card.card_id)?;
                Ok(self.switch(rebind))
            }
            _ => Err(self.out_of_order(rebind)),
        }
    }

    /// The same state with a new identity proof. The refresh challenge is over.
    fn with_fresh_identity(&self, stage: &RebindState, attempts: Attempts) -> RebindState {
        let mut next = stage.clone();
        if let RebindState::CardPending {
            identity,
            refresh,
            identity_attempts,
            ..
        } = &mut next
        {
            *identity = self.identity_proof();
            *refresh = None;
            *identity_attempts = attempts;
        }
        next
    }

    const fn identity_proof(&self) -> IdentityProof {
        IdentityProof {
            confirmed_at: self.now,
        }
    }

    fn wrong_code(&self, rebind: &Rebind, purpose: OtpPurpose, attempts: &Attempts) -> Transition {
        let max = attempts_max(&rebind.stage, purpose, self.policy);
        let mut attempts = attempts.clone();
        attempts.wrong = attempts.wrong.saturating_add(1);
        // A wrong code does not prolong the session.
        let mut state = self.merchant.state.next_version();
        let guessed = self.count_wrong_code(&mut state);
        if attempts.wrong >= max {
            // The owner is notified of the end of the rebind.
            return self.attempts_exhausted(state, rebind, purpose, attempts);
        }
        let (code, next) = if rebind.has_deposit() && purpose == OtpPurpose::Card {
            (
                ErrorCode::MicroDepositWrong,
                vec![NextAction::CardCheckConfirm, NextAction::Cancel],
            )
        } else {
            let mut next = vec![confirm_action(purpose), resend_action(purpose)];
            next.dedup();
            if purpose != OtpPurpose::Activate {
                next.push(NextAction::Cancel);
            }
            (ErrorCode::OtpWrong, next)
        };
        let refusal = Rejection::new(code).counted(attempts.left(max)).next(&next);
        Transition {
            state: Some(state),
            event: guessed.map(|event| self.event(event, None)),
            outcome: Outcome::Refused(Box::new(refusal)),
            ..self.with_attempts(rebind, purpose, attempts)
        }
    }

    /// All attempts are reserved. For a short time concurrent requests may still succeed, so the caller retries. After
    /// that, the attempts count as wrong.
    pub(super) fn no_attempts_left(
        &self,
        rebind: &Rebind,
        purpose: OtpPurpose,
        attempts: &Attempts,
    ) -> Result<Transition, Rejection> {
        let age_s = attempts
            .last_at
            .map_or(i64::MAX, |at| at.age_s_at(self.now));
        if age_s < self.policy.code_deciding_s {
            return Err(Rejection::new(ErrorCode::VersionConflict)
                .retry_after(self.policy.code_deciding_s - age_s));
        }
        // It is unknown whether the unsettled attempts were wrong, so they are not counted for the day.
        let state = self.changed_state();
        Ok(self.attempts_exhausted(state, rebind, purpose, attempts.clone()))
    }

    /// Ends the rebind. A standby card stays, but its switch is locked for a while.
    fn attempts_exhausted(
        &self,
        state: MerchantState,
        rebind: &Rebind,
        purpose: OtpPurpose,
        attempts: Attempts,
    ) -> Transition {
        match &rebind.stage {
            RebindState::Standby(standby) => {
                let stage = RebindState::Standby(Standby {
                    code: None,
                    attempts,
                    ..standby.clone()
                });
                let event = Event::CodeWrong(event::CodeWrong {
                    rebind_id: rebind.rebind_id.clone(),
                    card: (&rebind.new_card).into(),
                    purpose,
                });
                let refusal = Rejection::new(ErrorCode::OtpTooMany)
                    .counted(0)
                    .retry_after(self.policy.standby_lock_s)
                    .next(&[NextAction::Wait]);
                Transition {
                    outcome: Outcome::Refused(Box::new(refusal)),
                    ..self.advance(state, rebind, stage, event)
                }
            }
            _ if rebind.has_deposit() && purpose == OtpPurpose::Card => self.reject(
                state,
                rebind,
                Rejection::new(ErrorCode::MicroDepositWrong).counted(0),
                None,
            ),
            _ => self.reject(
                state,
                rebind,
                Rejection::new(ErrorCode::OtpTooMany).counted(0),
                None,
            ),
        }
    }

    /// Checks that the identity proof and the bank's answer are recent. Applies to the card's code only.
    fn check_proofs(&self, stage: &RebindState, purpose: OtpPurpose) -> Result<(), Rejection> {
        match stale_proof(stage, purpose, self.policy, self.now) {
            None => Ok(()),
            Some(actions) => Err(Rejection::new(ErrorCode::StepUpRequired)
                .not_counted()
                .next(actions)),
        }
    }

    /// Writes new attempt counters: only the rebind and its revision change, not its version.
    fn with_attempts(&self, rebind: &Rebind, purpose: OtpPurpose, changed: Attempts) -> Transition {
        let mut next = rebind.clone();
        match (&mut next.stage, purpose) {
            (
                RebindState::IdentityPending { attempts, .. }
                | RebindState::CardPending {
                    identity_attempts: attempts,
                    ..
                },
                OtpPurpose::Identity,
            )
            | (
                RebindState::CardPending {
                    card_attempts: attempts,
                    ..
                },
                OtpPurpose::Card,
            )
            | (RebindState::Standby(Standby { attempts, .. }), OtpPurpose::Activate) => {
                *attempts = changed
            }
            _ => {}
        }
        Transition {
            rebind: Some(next),
            ..Transition::none()
        }
    }

    pub(super) fn otp_not_sent(
        &self,
        purpose: OtpPurpose,
        mac: &Mac,
    ) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        let mut next = rebind.clone();
        let stored = match (&mut next.stage, purpose) {
            (
                RebindState::IdentityPending { code, .. }
                | RebindState::CardPending { refresh: code, .. },
                OtpPurpose::Identity,
            )
            | (
                RebindState::CardPending {
                    check: CardCheck::Matched { code, .. },
                    ..
                },
                OtpPurpose::Card,
            )
            | (RebindState::Standby(Standby { code, .. }), OtpPurpose::Activate) => code,
            // The rebind has moved on and no longer contains this code.
            _ => return Ok(Transition::none()),
        };
        if stored.as_ref().is_none_or(|code| code.mac != *mac) {
            return Ok(Transition::none());
        }
        *stored = None;
        Ok(Transition {
            rebind: Some(next),
            ..Transition::none()
        })
    }
}
