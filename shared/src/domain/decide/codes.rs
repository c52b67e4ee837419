//! Codes: a try is taken by a write BEFORE the code is compared, so parallel guesses cannot exceed the limit. What was
//! found is written after; the rebind ends when five were found wrong, so a right code wins whatever its number.

use super::{Context, object};
use crate::domain::code::Code;
use crate::domain::event_kind::EventKind;
use crate::domain::next_action::NextAction;
use crate::domain::policy::Policy;
use crate::domain::rebind::{
    CardCheck, CodePurpose, IdentityProof, Mac, Rebind, SentCode, Stage, Tries,
};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::transition::{Notice, Outcome, Recipient, Transition};

impl Context<'_> {
    pub(super) fn take_try(
        &self,
        purpose: CodePurpose,
        well_formed: bool,
    ) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| code_of(stage, purpose).is_some())?;
        let Some((code, tries)) = code_of(&rebind.stage, purpose) else {
            return Err(self.out_of_order(rebind));
        };
        if !well_formed {
            let refusal = Rejection::new(Code::OtpWrong).field("code").not_counted();
            return Err(Rejection {
                attempts_left: Some(tries.left(self.policy)),
                ..refusal
            });
        }
        if tries.taken >= self.policy.code_tries {
            return self.all_tries_taken(rebind, tries);
        }
        self.proofs_are_fresh(&rebind.stage, purpose)?;
        let again = resend_action(purpose);
        if self
            .session()
            .is_none_or(|session| session.tag() != code.session)
        {
            return Err(Rejection::new(Code::StepUpRequired)
                .not_counted()
                .next(&[again]));
        }
        if !code.lives(self.policy, self.now) {
            let refusal = Rejection::new(Code::OtpExpired)
                .not_counted()
                .next(&[again]);
            return Err(Rejection {
                attempts_left: Some(tries.left(self.policy)),
                ..refusal
            });
        }
        let mut taken = tries.clone();
        taken.taken += 1;
        taken.last_at = Some(self.now);
        Ok(Transition {
            outcome: Outcome::Proceed,
            ..self.with_tries(rebind, purpose, taken)
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
        if code_of(&rebind.stage, purpose).is_none_or(|(code, _)| code.mac != *compared) {
            // A newer code was sent while this one was being compared.
            return Err(Rejection::new(Code::OtpExpired).next(&[resend_action(purpose)]));
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
                Ok(self.activate(rebind))
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
        let mut tries = tries.clone();
        tries.wrong = tries.wrong.saturating_add(1);
        if tries.wrong >= self.policy.code_tries {
            return self.too_many(rebind);
        }
        let refusal = Rejection::new(Code::OtpWrong)
            .counted(tries.left(self.policy))
            .next(&[
                confirm_action(purpose),
                resend_action(purpose),
                NextAction::Cancel,
            ]);
        Transition {
            outcome: Outcome::Refused(Box::new(refusal)),
            ..self.with_tries(rebind, purpose, tries)
        }
    }

    /// All tries are taken. For a moment others may still be deciding, and one of them may be right; after that, this is
    /// the fifth wrong one.
    pub(super) fn all_tries_taken(
        &self,
        rebind: &Rebind,
        tries: &Tries,
    ) -> Result<Transition, Rejection> {
        let age_s = tries.last_at.map_or(i64::MAX, |at| at.age_s_at(self.now));
        if age_s < self.policy.code_deciding_s {
            return Err(Rejection::new(Code::VersionConflict)
                .retry_after(self.policy.code_deciding_s - age_s));
        }
        Ok(self.too_many(rebind))
    }

    fn too_many(&self, rebind: &Rebind) -> Transition {
        let mut transition = self.reject(rebind, Rejection::new(Code::OtpTooMany).counted(0));
        if let Some(event) = &mut transition.event {
            event.notices.push(Notice {
                to: Recipient::OnFile,
                phone: self.state.profile.phone_on_file.clone(),
            });
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
            ) => *tries = changed,
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
            ) => code,
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

/// The code that the merchant is waited for: of two, the one that lives, and of two that live, the one sent later.
#[must_use]
pub fn waiting_code<'s>(
    stage: &'s Stage,
    policy: &Policy,
    now: Timestamp,
) -> Option<(CodePurpose, &'s SentCode, &'s Tries)> {
    let of = |purpose| code_of(stage, purpose).map(|(code, tries)| (purpose, code, tries));
    let rank = |waiting: &(CodePurpose, &SentCode, &Tries)| {
        (waiting.1.lives(policy, now), waiting.1.sent_at)
    };
    [of(CodePurpose::Identity), of(CodePurpose::Card)]
        .into_iter()
        .flatten()
        .max_by_key(rank)
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
        ) => code.as_ref(),
        _ => None,
    };
    Some((code?, tries_of(stage, purpose)?))
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
        ) => Some(tries),
        _ => None,
    }
}

pub(super) const fn confirm_action(purpose: CodePurpose) -> NextAction {
    match purpose {
        CodePurpose::Identity => NextAction::IdentityConfirm,
        CodePurpose::Card => NextAction::CardCheckConfirm,
    }
}

pub(super) const fn resend_action(purpose: CodePurpose) -> NextAction {
    match purpose {
        CodePurpose::Identity => NextAction::IdentityCode,
        CodePurpose::Card => NextAction::CardCheckCode,
    }
}
