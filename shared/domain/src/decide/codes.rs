//! Codes: a try is taken by a write BEFORE the code is compared, so parallel guesses cannot exceed the limit. What was
//! found is written after; the rebind ends when five were found wrong, so a right code wins whatever its number.

use super::{Context, card_facts, create, object, with};
use crate::code::Code;
use crate::event_kind::EventKind;
use crate::next_action::NextAction;
use crate::policy::{MINUTE_S, Policy};
use crate::rebind::{
    CardCheck, CodePurpose, End, IdentityProof, Mac, Rebind, SentCode, Stage, Standby, Tries,
};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::{Outcome, Transition};
use serde_json::Value;

impl Context<'_> {
    pub(super) fn take_try(
        &self,
        purpose: CodePurpose,
        well_formed: bool,
    ) -> Result<Transition, Rejection> {
        self.deposit_lives(purpose)?;
        if purpose == CodePurpose::Activate {
            let Some(rebind) = &self.state.rebind else {
                // A card that came with the merchant, and so with no rebind, is no standby card.
                self.not_frozen()?;
                self.fresh_login()?;
                return Err(Rejection::new(Code::StepOutOfOrder).next(&[NextAction::NewRebind]));
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
        let left = tries.left(tries_max(&rebind.stage, purpose, self.policy));
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
                return Err(Rejection::new(Code::UpstreamBusy)
                    .not_counted()
                    .retry_after(MINUTE_S)
                    .next(&[NextAction::CardCheckConfirm, NextAction::Cancel]));
            }
        }
        let mut taken = tries.clone();
        taken.taken += 1;
        taken.last_at = Some(self.now);
        Ok(Transition {
            outcome: Outcome::Proceed,
            ..self.with_tries(rebind, purpose, taken)
        })
    }

    /// The code of an overdue rebind's deposit has run out with it; that says more than that the rebind has.
    fn deposit_lives(&self, purpose: CodePurpose) -> Result<(), Rejection> {
        let Some(rebind) = &self.state.rebind else {
            return Ok(());
        };
        let ran_out = matches!(
            rebind.stage,
            Stage::Ended {
                how: End::Expired,
                reason: Some(Code::MicroDepositExpired),
                ..
            }
        ) || (rebind.has_deposit() && rebind.is_overdue(self.now));
        if ran_out && purpose == CodePurpose::Card {
            self.not_frozen()?;
            return Err(Rejection::new(Code::MicroDepositExpired)
                .not_counted()
                .next(&[NextAction::NewRebind]));
        }
        Ok(())
    }

    /// A code that was sent: to this session, and not too long ago.
    fn is_alive_here(
        &self,
        code: &SentCode,
        purpose: CodePurpose,
        left: u8,
    ) -> Result<(), Rejection> {
        let again = resend_action(purpose);
        if self
            .session()
            .is_none_or(|session| session.tag() != code.session)
        {
            return Err(Rejection::new(Code::StepUpRequired)
                .not_counted()
                .next(&[again]));
        }
        if code.lives(self.policy, self.now) {
            return Ok(());
        }
        let refusal = Rejection::new(Code::OtpExpired)
            .not_counted()
            .next(&[again]);
        Err(Rejection {
            attempts_left: Some(left),
            ..refusal
        })
    }

    pub(super) fn settle_try(
        &self,
        purpose: CodePurpose,
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
            _ => return Err(Rejection::new(Code::OtpExpired).next(&[resend_action(purpose)])),
        }
        // A right code was no wrong try: it takes none from the codes that refresh the proof later.
        let given_back = Tries {
            taken: tries.taken.saturating_sub(1),
            ..tries.clone()
        };
        match (&rebind.stage, purpose) {
            (Stage::IdentityPending { .. }, CodePurpose::Identity) => {
                let stage = Stage::AgreementPending {
                    identity: self.identity_proof(),
                    tries: given_back,
                };
                Ok(self.advance(rebind, stage, EventKind::IdentityConfirmed, object([])))
            }
            (
                Stage::CardPending {
                    signature,
                    check,
                    card_tries,
                    ..
                },
                CodePurpose::Identity,
            ) => {
                let stage = Stage::CardPending {
                    identity: self.identity_proof(),
                    refresh: None,
                    identity_tries: given_back,
                    signature: signature.clone(),
                    check: check.clone(),
                    card_tries: card_tries.clone(),
                };
                Ok(self.advance(rebind, stage, EventKind::IdentityConfirmed, object([])))
            }
            (Stage::CardPending { .. }, CodePurpose::Card) if bound_elsewhere => {
                let refusal = Rejection::new(Code::CardBoundElsewhere);
                Ok(self.reject(
                    rebind,
                    Rejection {
                        counts_toward_limit: Some(true),
                        ..refusal
                    },
                ))
            }
            (Stage::CardPending { .. }, CodePurpose::Card) => {
                self.proofs_are_fresh(&rebind.stage, purpose)?;
                // A rebind begins outside a cooldown; by a clock that went back it would end in one.
                create::cooldown(self.state, self.now)?;
                Ok(self.bind(rebind))
            }
            (Stage::Standby(_), CodePurpose::Activate) => {
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

    fn wrong_code(&self, rebind: &Rebind, purpose: CodePurpose, tries: &Tries) -> Transition {
        let max = tries_max(&rebind.stage, purpose, self.policy);
        let mut tries = tries.clone();
        tries.wrong = tries.wrong.saturating_add(1);
        if tries.wrong >= max {
            return self.too_many(rebind, purpose, tries);
        }
        let (code, next) = if rebind.has_deposit() && purpose == CodePurpose::Card {
            (
                Code::MicroDepositWrong,
                vec![NextAction::CardCheckConfirm, NextAction::Cancel],
            )
        } else {
            let mut next = vec![confirm_action(purpose), resend_action(purpose)];
            next.dedup();
            if purpose != CodePurpose::Activate {
                next.push(NextAction::Cancel);
            }
            (Code::OtpWrong, next)
        };
        let refusal = Rejection::new(code).counted(tries.left(max)).next(&next);
        Transition {
            outcome: Outcome::Refused(Box::new(refusal)),
            ..self.with_tries(rebind, purpose, tries)
        }
    }

    /// All tries are taken. For a moment others may still be deciding, and one of them may be right; after that, this is
    /// the last wrong one.
    pub(super) fn all_tries_taken(
        &self,
        rebind: &Rebind,
        purpose: CodePurpose,
        tries: &Tries,
    ) -> Result<Transition, Rejection> {
        let age_s = tries.last_at.map_or(i64::MAX, |at| at.age_s_at(self.now));
        if age_s < self.policy.code_deciding_s {
            return Err(Rejection::new(Code::VersionConflict)
                .retry_after(self.policy.code_deciding_s - age_s));
        }
        Ok(self.too_many(rebind, purpose, tries.clone()))
    }

    /// The rebind ends; a standby card stays, but cannot be switched to for a day.
    fn too_many(&self, rebind: &Rebind, purpose: CodePurpose, tries: Tries) -> Transition {
        let mut transition = match &rebind.stage {
            Stage::Standby(standby) => {
                let stage = Stage::Standby(Standby {
                    code: None,
                    tries,
                    ..standby.clone()
                });
                let facts = with(
                    card_facts(&rebind.new_card),
                    [("purpose", Value::from(purpose.as_str()))],
                );
                let refusal = Rejection::new(Code::OtpTooMany)
                    .counted(0)
                    .retry_after(self.policy.standby_lock_s)
                    .next(&[NextAction::Wait]);
                Transition {
                    outcome: Outcome::Refused(Box::new(refusal)),
                    ..self.advance(rebind, stage, EventKind::CodeWrong, facts)
                }
            }
            _ if rebind.has_deposit() && purpose == CodePurpose::Card => {
                self.reject(rebind, Rejection::new(Code::MicroDepositWrong).counted(0))
            }
            _ => self.reject(rebind, Rejection::new(Code::OtpTooMany).counted(0)),
        };
        if let Some(event) = &mut transition.event {
            self.tell(event, None);
        }
        transition
    }

    /// Identity at most 15 min old, the bank's answer at most 30, both for the card's code only.
    fn proofs_are_fresh(&self, stage: &Stage, purpose: CodePurpose) -> Result<(), Rejection> {
        match stale_proof(stage, purpose, self.policy, self.now) {
            None => Ok(()),
            Some(actions) => Err(Rejection::new(Code::StepUpRequired)
                .not_counted()
                .next(actions)),
        }
    }

    /// The rebind with other tries: the head stays, the rebind's revision moves.
    fn with_tries(&self, rebind: &Rebind, purpose: CodePurpose, changed: Tries) -> Transition {
        let mut next = rebind.clone();
        match (&mut next.stage, purpose) {
            (
                Stage::IdentityPending { tries, .. }
                | Stage::CardPending {
                    identity_tries: tries,
                    ..
                },
                CodePurpose::Identity,
            )
            | (
                Stage::CardPending {
                    card_tries: tries, ..
                },
                CodePurpose::Card,
            )
            | (Stage::Standby(Standby { tries, .. }), CodePurpose::Activate) => *tries = changed,
            _ => {}
        }
        Transition {
            rebind: Some(next),
            ..Transition::none()
        }
    }

    pub(super) fn code_not_sent(
        &self,
        purpose: CodePurpose,
        mac: &Mac,
    ) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        let mut next = rebind.clone();
        let kept = match (&mut next.stage, purpose) {
            (
                Stage::IdentityPending { code, .. } | Stage::CardPending { refresh: code, .. },
                CodePurpose::Identity,
            )
            | (
                Stage::CardPending {
                    check: CardCheck::Matched { code, .. },
                    ..
                },
                CodePurpose::Card,
            )
            | (Stage::Standby(Standby { code, .. }), CodePurpose::Activate) => code,
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
    stage: &Stage,
    purpose: CodePurpose,
    policy: &Policy,
    now: Timestamp,
) -> Option<&'static [NextAction]> {
    let (
        CodePurpose::Card,
        Stage::CardPending {
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
pub fn waiting_code<'s>(
    stage: &'s Stage,
    policy: &Policy,
    now: Timestamp,
) -> Option<(CodePurpose, &'s SentCode, &'s Tries)> {
    let of = |purpose| code_of(stage, purpose).map(|(code, tries)| (purpose, code, tries));
    let usable = |purpose| stale_proof(stage, purpose, policy, now).is_none();
    let rank = |(purpose, code, _): &(CodePurpose, &SentCode, &Tries)| {
        (code.lives(policy, now), usable(*purpose), code.sent_at)
    };
    let purposes = [
        CodePurpose::Identity,
        CodePurpose::Card,
        CodePurpose::Activate,
    ];
    purposes.into_iter().filter_map(of).max_by_key(rank)
}

/// The code of one purpose that was sent, with its tries.
#[must_use]
pub fn code_of(stage: &Stage, purpose: CodePurpose) -> Option<(&SentCode, &Tries)> {
    let code = match (stage, purpose) {
        (Stage::IdentityPending { code, .. }, CodePurpose::Identity) => code.as_ref(),
        (Stage::CardPending { refresh, .. }, CodePurpose::Identity) => refresh.as_ref(),
        (
            Stage::CardPending {
                check: CardCheck::Matched { code, .. },
                ..
            },
            CodePurpose::Card,
        )
        | (Stage::Standby(Standby { code, .. }), CodePurpose::Activate) => code.as_ref(),
        _ => None,
    };
    Some((code?, tries_of(stage, purpose)?))
}

/// The deposit that waits for its code: the number of its serial, and whether it has arrived.
#[must_use]
pub const fn deposit_of(stage: &Stage) -> Option<(u16, bool)> {
    match stage {
        Stage::CardPending {
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
    Sms(&'s SentCode),
    /// One that stands in a statement.
    Deposit { arrived: bool },
}

fn challenge_of(stage: &Stage, purpose: CodePurpose) -> Option<(Challenge<'_>, &Tries)> {
    match (deposit_of(stage), purpose) {
        (Some((_, arrived)), CodePurpose::Card) => {
            Some((Challenge::Deposit { arrived }, tries_of(stage, purpose)?))
        }
        _ => code_of(stage, purpose).map(|(code, tries)| (Challenge::Sms(code), tries)),
    }
}

const fn wrong(challenge: Challenge<'_>) -> Code {
    match challenge {
        Challenge::Sms(_) => Code::OtpWrong,
        Challenge::Deposit { .. } => Code::MicroDepositWrong,
    }
}

/// How many tries there are.
#[must_use]
pub const fn tries_max(stage: &Stage, purpose: CodePurpose, policy: &Policy) -> u8 {
    match (deposit_of(stage), purpose) {
        (Some(_), CodePurpose::Card) => policy.deposit_tries,
        _ => policy.code_tries,
    }
}

const fn tries_of(stage: &Stage, purpose: CodePurpose) -> Option<&Tries> {
    match (stage, purpose) {
        (
            Stage::IdentityPending { tries, .. }
            | Stage::CardPending {
                identity_tries: tries,
                ..
            },
            CodePurpose::Identity,
        )
        | (
            Stage::CardPending {
                card_tries: tries, ..
            },
            CodePurpose::Card,
        )
        | (Stage::Standby(Standby { tries, .. }), CodePurpose::Activate) => Some(tries),
        _ => None,
    }
}

pub(super) const fn confirm_action(purpose: CodePurpose) -> NextAction {
    match purpose {
        CodePurpose::Identity => NextAction::IdentityConfirm,
        CodePurpose::Card => NextAction::CardCheckConfirm,
        CodePurpose::Activate => NextAction::ActivateStandby,
    }
}

pub(super) const fn resend_action(purpose: CodePurpose) -> NextAction {
    match purpose {
        CodePurpose::Identity => NextAction::IdentityCode,
        CodePurpose::Card => NextAction::CardCheckCode,
        CodePurpose::Activate => NextAction::ActivateStandby,
    }
}
