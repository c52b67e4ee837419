//! Codes: a try is taken by a write BEFORE the code is compared, so parallel guesses cannot exceed the limit. What was
//! found is written after; the rebind ends when five were found wrong, so a right code wins whatever its number.

use super::{Context, create, of_rebind};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::next_action::NextAction;
use crate::policy::{MINUTE_S, Policy};
use crate::rebind::{
    Attempts, CardCheck, End, IdentityProof, Mac, OtpPurpose, Rebind, RebindState, SentOtp, Standby,
};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::{Decision, Transition};

impl Context<'_> {
    pub(super) fn reserve_attempt(
        &self,
        purpose: OtpPurpose,
        well_formed: bool,
    ) -> Result<Transition, Rejection> {
        self.deposit_lives(purpose)?;
        if purpose == OtpPurpose::Activate {
            let Some(rebind) = &self.state.rebind else {
                // A card that came with the merchant, and so with no rebind, is no standby card.
                self.not_frozen()?;
                self.fresh_login()?;
                return Err(
                    Rejection::new(ErrorCode::StepOutOfOrder).next(&[NextAction::NewRebind])
                );
            };
            let (_, standby) = self.may_switch(&rebind.new_card.card_id)?;
            if standby.code.is_none() {
                self.tries_of_today(standby)?;
            }
        }
        let rebind = self.open_rebind(|stage| challenge_of(stage, purpose).is_some())?;
        let Some((challenge, tries)) = challenge_of(&rebind.stage, purpose) else {
            return Err(self.out_of_order(rebind));
        };
        let left = tries.left(attempts_max(&rebind.stage, purpose, self.policy));
        if !well_formed {
            let refusal = Rejection::new(wrong(challenge)).field("code").not_counted();
            return Err(Rejection {
                attempts_left: Some(left),
                ..refusal
            });
        }
        if left == 0 {
            return self.all_tries_taken(rebind, purpose, tries);
        }
        self.proofs_are_fresh(&rebind.stage, purpose)?;
        match challenge {
            Challenge::Sms(code) => self.is_alive_here(code, purpose, left)?,
            // Whoever can read the card's statement may be on any device.
            Challenge::Deposit { arrived: true } => {}
            Challenge::Deposit { arrived: false } => {
                return Err(Rejection::new(ErrorCode::UpstreamBusy)
                    .not_counted()
                    .retry_after(MINUTE_S)
                    .next(&[NextAction::CardCheckConfirm, NextAction::Cancel]));
            }
        }
        let mut taken = tries.clone();
        taken.taken += 1;
        taken.last_at = Some(self.now);
        Ok(Transition {
            outcome: Decision::Proceed,
            ..self.with_tries(rebind, purpose, taken)
        })
    }

    /// The code of an overdue rebind's deposit has run out with it; that says more than that the rebind has.
    fn deposit_lives(&self, purpose: OtpPurpose) -> Result<(), Rejection> {
        let Some(rebind) = &self.state.rebind else {
            return Ok(());
        };
        let ran_out = matches!(
            rebind.stage,
            RebindState::Ended {
                how: End::Expired,
                reason: Some(ErrorCode::MicroDepositExpired),
                ..
            }
        ) || (rebind.has_deposit() && rebind.is_overdue(self.now));
        if ran_out && purpose == OtpPurpose::Card {
            self.not_frozen()?;
            return Err(Rejection::new(ErrorCode::MicroDepositExpired)
                .not_counted()
                .next(&[NextAction::NewRebind]));
        }
        Ok(())
    }

    /// A code that was sent: to this session, and not too long ago.
    fn is_alive_here(
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
        if code.lives(self.policy, self.now) {
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
        compared: &Mac,
        right: bool,
        bound_elsewhere: bool,
    ) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| tries_of(stage, purpose).is_some())?;
        let Some(tries) = tries_of(&rebind.stage, purpose) else {
            return Err(self.out_of_order(rebind));
        };
        if !right {
            return Ok(self.wrong_code(rebind, purpose, tries));
        }
        match challenge_of(&rebind.stage, purpose) {
            Some((Challenge::Sms(code), _)) if code.mac == *compared => {}
            Some((Challenge::Deposit { .. }, _)) => {}
            // A newer code was sent while this one was being compared.
            _ => return Err(Rejection::new(ErrorCode::OtpExpired).next(&[resend_action(purpose)])),
        }
        // A right code was no wrong try: it takes none from the codes that refresh the proof later.
        let given_back = Attempts {
            taken: tries.taken.saturating_sub(1),
            ..tries.clone()
        };
        match (&rebind.stage, purpose) {
            (RebindState::IdentityPending { .. }, OtpPurpose::Identity) => {
                let stage = RebindState::AgreementPending {
                    identity: self.identity_proof(),
                    tries: given_back,
                };
                Ok(self.advance(rebind, stage, Event::IdentityConfirmed(of_rebind(rebind))))
            }
            (
                RebindState::CardPending {
                    signature,
                    check,
                    card_attempts,
                    ..
                },
                OtpPurpose::Identity,
            ) => {
                let stage = RebindState::CardPending {
                    identity: self.identity_proof(),
                    refresh: None,
                    identity_attempts: given_back,
                    signature: signature.clone(),
                    check: check.clone(),
                    card_attempts: card_attempts.clone(),
                };
                Ok(self.advance(rebind, stage, Event::IdentityConfirmed(of_rebind(rebind))))
            }
            (RebindState::CardPending { .. }, OtpPurpose::Card) if bound_elsewhere => {
                let refusal = Rejection::new(ErrorCode::CardBoundElsewhere);
                Ok(self.reject(
                    rebind,
                    Rejection {
                        counts_toward_limit: Some(true),
                        ..refusal
                    },
                    None,
                ))
            }
            (RebindState::CardPending { .. }, OtpPurpose::Card) => {
                self.proofs_are_fresh(&rebind.stage, purpose)?;
                // A rebind begins outside a cooldown; by a clock that went back it would end in one.
                create::cooldown(self.state, self.now)?;
                Ok(self.bind(rebind))
            }
            (RebindState::Standby(_), OtpPurpose::Activate) => {
                self.may_switch(&rebind.new_card.card_id)?;
                Ok(self.switch(rebind))
            }
            _ => Err(self.out_of_order(rebind)),
        }
    }

    const fn identity_proof(&self) -> IdentityProof {
        IdentityProof {
            confirmed_at: self.now,
        }
    }

    fn wrong_code(&self, rebind: &Rebind, purpose: OtpPurpose, tries: &Attempts) -> Transition {
        let max = attempts_max(&rebind.stage, purpose, self.policy);
        let mut tries = tries.clone();
        tries.wrong = tries.wrong.saturating_add(1);
        if tries.wrong >= max {
            return self.too_many(rebind, purpose, tries);
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
        let refusal = Rejection::new(code).counted(tries.left(max)).next(&next);
        Transition {
            outcome: Decision::Refused(Box::new(refusal)),
            ..self.with_tries(rebind, purpose, tries)
        }
    }

    /// All tries are taken. For a moment others may still be deciding, and one of them may be right; after that, this is
    /// the last wrong one.
    pub(super) fn all_tries_taken(
        &self,
        rebind: &Rebind,
        purpose: OtpPurpose,
        tries: &Attempts,
    ) -> Result<Transition, Rejection> {
        let age_s = tries.last_at.map_or(i64::MAX, |at| at.age_s_at(self.now));
        if age_s < self.policy.code_deciding_s {
            return Err(Rejection::new(ErrorCode::VersionConflict)
                .retry_after(self.policy.code_deciding_s - age_s));
        }
        Ok(self.too_many(rebind, purpose, tries.clone()))
    }

    /// The rebind ends; a standby card stays, but cannot be switched to for a day.
    fn too_many(&self, rebind: &Rebind, purpose: OtpPurpose, tries: Attempts) -> Transition {
        match &rebind.stage {
            RebindState::Standby(standby) => {
                let stage = RebindState::Standby(Standby {
                    code: None,
                    tries,
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
                    outcome: Decision::Refused(Box::new(refusal)),
                    ..self.advance(rebind, stage, event)
                }
            }
            _ if rebind.has_deposit() && purpose == OtpPurpose::Card => self.reject(
                rebind,
                Rejection::new(ErrorCode::MicroDepositWrong).counted(0),
                None,
            ),
            _ => self.reject(
                rebind,
                Rejection::new(ErrorCode::OtpTooMany).counted(0),
                None,
            ),
        }
    }

    /// Identity at most 15 min old, the bank's answer at most 30, both for the card's code only.
    fn proofs_are_fresh(&self, stage: &RebindState, purpose: OtpPurpose) -> Result<(), Rejection> {
        match stale_proof(stage, purpose, self.policy, self.now) {
            None => Ok(()),
            Some(actions) => Err(Rejection::new(ErrorCode::StepUpRequired)
                .not_counted()
                .next(actions)),
        }
    }

    /// The rebind with other tries: the head stays, the rebind's revision moves.
    fn with_tries(&self, rebind: &Rebind, purpose: OtpPurpose, changed: Attempts) -> Transition {
        let mut next = rebind.clone();
        match (&mut next.stage, purpose) {
            (
                RebindState::IdentityPending { tries, .. }
                | RebindState::CardPending {
                    identity_attempts: tries,
                    ..
                },
                OtpPurpose::Identity,
            )
            | (
                RebindState::CardPending {
                    card_attempts: tries,
                    ..
                },
                OtpPurpose::Card,
            )
            | (RebindState::Standby(Standby { tries, .. }), OtpPurpose::Activate) => {
                *tries = changed
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
        let kept = match (&mut next.stage, purpose) {
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
            // The rebind has gone on; the code that nobody got has no place in it any more.
            _ => return Ok(Transition::none()),
        };
        if kept.as_ref().is_none_or(|code| code.mac != *mac) {
            return Ok(Transition::none());
        }
        *kept = None;
        Ok(Transition {
            rebind: Some(next),
            ..Transition::none()
        })
    }
}

/// What a proof that is too old asks for, before the card's code can be tried; `None` when all are fresh.
pub(super) fn stale_proof(
    stage: &RebindState,
    purpose: OtpPurpose,
    policy: &Policy,
    now: Timestamp,
) -> Option<&'static [NextAction]> {
    let (
        OtpPurpose::Card,
        RebindState::CardPending {
            identity, check, ..
        },
    ) = (purpose, stage)
    else {
        return None;
    };
    if identity.confirmed_at.age_s_at(now) > policy.identity_proof_s {
        return Some(&[NextAction::IdentityCode]);
    }
    match check {
        CardCheck::Matched { matched_at, .. } if matched_at.age_s_at(now) > policy.bank_proof_s => {
            // A fresh identity does not help an old answer: the bank is asked again first.
            Some(&[NextAction::CardCheck, NextAction::IdentityCode])
        }
        _ => None,
    }
}

/// The code that the merchant is waited for: of two, the one that lives; of two that live, the one that can be used with
/// the proofs as they are; else the one sent later.
#[must_use]
pub fn pending_otp<'s>(
    stage: &'s RebindState,
    policy: &Policy,
    now: Timestamp,
) -> Option<(OtpPurpose, &'s SentOtp, &'s Attempts)> {
    let of = |purpose| otp_of(stage, purpose).map(|(code, tries)| (purpose, code, tries));
    let usable = |purpose| stale_proof(stage, purpose, policy, now).is_none();
    let rank = |(purpose, code, _): &(OtpPurpose, &SentOtp, &Attempts)| {
        (code.lives(policy, now), usable(*purpose), code.sent_at)
    };
    let purposes = [OtpPurpose::Identity, OtpPurpose::Card, OtpPurpose::Activate];
    purposes.into_iter().filter_map(of).max_by_key(rank)
}

/// The code of one purpose that was sent, with its tries.
#[must_use]
pub fn otp_of(stage: &RebindState, purpose: OtpPurpose) -> Option<(&SentOtp, &Attempts)> {
    let code = match (stage, purpose) {
        (RebindState::IdentityPending { code, .. }, OtpPurpose::Identity) => code.as_ref(),
        (RebindState::CardPending { refresh, .. }, OtpPurpose::Identity) => refresh.as_ref(),
        (
            RebindState::CardPending {
                check: CardCheck::Matched { code, .. },
                ..
            },
            OtpPurpose::Card,
        )
        | (RebindState::Standby(Standby { code, .. }), OtpPurpose::Activate) => code.as_ref(),
        _ => None,
    };
    Some((code?, tries_of(stage, purpose)?))
}

/// The deposit that waits for its code: the number of its serial, and whether it has arrived.
#[must_use]
pub const fn deposit_of(stage: &RebindState) -> Option<(u16, bool)> {
    match stage {
        RebindState::CardPending {
            check: CardCheck::Deposit {
                number, arrived, ..
            },
            ..
        } => Some((*number, *arrived)),
        _ => None,
    }
}

/// What a code is compared with.
#[derive(Clone, Copy)]
enum Challenge<'s> {
    /// One that was sent by SMS.
    Sms(&'s SentOtp),
    /// One that stands in a statement.
    Deposit { arrived: bool },
}

fn challenge_of(stage: &RebindState, purpose: OtpPurpose) -> Option<(Challenge<'_>, &Attempts)> {
    match (deposit_of(stage), purpose) {
        (Some((_, arrived)), OtpPurpose::Card) => {
            Some((Challenge::Deposit { arrived }, tries_of(stage, purpose)?))
        }
        _ => otp_of(stage, purpose).map(|(code, tries)| (Challenge::Sms(code), tries)),
    }
}

const fn wrong(challenge: Challenge<'_>) -> ErrorCode {
    match challenge {
        Challenge::Sms(_) => ErrorCode::OtpWrong,
        Challenge::Deposit { .. } => ErrorCode::MicroDepositWrong,
    }
}

/// How many tries there are.
#[must_use]
pub const fn attempts_max(stage: &RebindState, purpose: OtpPurpose, policy: &Policy) -> u8 {
    match (deposit_of(stage), purpose) {
        (Some(_), OtpPurpose::Card) => policy.deposit_tries,
        _ => policy.code_tries,
    }
}

const fn tries_of(stage: &RebindState, purpose: OtpPurpose) -> Option<&Attempts> {
    match (stage, purpose) {
        (
            RebindState::IdentityPending { tries, .. }
            | RebindState::CardPending {
                identity_attempts: tries,
                ..
            },
            OtpPurpose::Identity,
        )
        | (
            RebindState::CardPending {
                card_attempts: tries,
                ..
            },
            OtpPurpose::Card,
        )
        | (RebindState::Standby(Standby { tries, .. }), OtpPurpose::Activate) => Some(tries),
        _ => None,
    }
}

pub(super) const fn confirm_action(purpose: OtpPurpose) -> NextAction {
    match purpose {
        OtpPurpose::Identity => NextAction::IdentityConfirm,
        OtpPurpose::Card => NextAction::CardCheckConfirm,
        OtpPurpose::Activate => NextAction::ActivateStandby,
    }
}

pub(super) const fn resend_action(purpose: OtpPurpose) -> NextAction {
    match purpose {
        OtpPurpose::Identity => NextAction::IdentityCode,
        OtpPurpose::Card => NextAction::CardCheckCode,
        OtpPurpose::Activate => NextAction::ActivateStandby,
    }
}
