//! The pending challenges of a rebind: codes by SMS and deposits, with their attempts and the proofs that they need.

use crate::error_code::ErrorCode;
use crate::next_action::NextAction;
use crate::policy::Policy;
use crate::rebind::{Attempts, CardCheck, OtpPurpose, RebindState, SentOtp, Standby};
use crate::time::Timestamp;

/// The steps that refresh an outdated proof before the card's code can be tried; `None` when all proofs are recent.
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
            // The bank's answer is outdated, so the check comes before a refresh of the identity.
            Some(&[NextAction::CardCheck, NextAction::IdentityCode])
        }
        _ => None,
    }
}

/// The code to prompt for. Prefers an unexpired code, then one that is usable with the current proofs, then the most
/// recent one.
#[must_use]
pub fn pending_otp<'s>(
    stage: &'s RebindState,
    policy: &Policy,
    now: Timestamp,
) -> Option<(OtpPurpose, &'s SentOtp, &'s Attempts)> {
    let of = |purpose| otp_of(stage, purpose).map(|(code, attempts)| (purpose, code, attempts));
    let usable = |purpose| stale_proof(stage, purpose, policy, now).is_none();
    let rank = |(purpose, code, _): &(OtpPurpose, &SentOtp, &Attempts)| {
        (
            code.is_valid_at(policy, now),
            usable(*purpose),
            code.sent_at,
        )
    };
    let purposes = [OtpPurpose::Identity, OtpPurpose::Card, OtpPurpose::Activate];
    purposes.into_iter().filter_map(of).max_by_key(rank)
}

/// The sent code of one purpose, with its attempts.
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
    Some((code?, attempts_of(stage, purpose)?))
}

/// The deposit that awaits its code: the number of its bank reference, and true if it has arrived.
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

/// The challenge that a code answers.
#[derive(Clone, Copy)]
pub(super) enum Challenge<'s> {
    /// A code that was sent by SMS.
    Sms(&'s SentOtp),
    /// A code in the descriptor of a deposit.
    Deposit { arrived: bool },
}

pub(super) fn challenge_of(
    stage: &RebindState,
    purpose: OtpPurpose,
) -> Option<(Challenge<'_>, &Attempts)> {
    match (deposit_of(stage), purpose) {
        (Some((_, arrived)), OtpPurpose::Card) => {
            Some((Challenge::Deposit { arrived }, attempts_of(stage, purpose)?))
        }
        _ => otp_of(stage, purpose).map(|(code, attempts)| (Challenge::Sms(code), attempts)),
    }
}

pub(super) const fn wrong_code_error(challenge: Challenge<'_>) -> ErrorCode {
    match challenge {
        Challenge::Sms(_) => ErrorCode::OtpWrong,
        Challenge::Deposit { .. } => ErrorCode::MicroDepositWrong,
    }
}

/// The maximum of attempts.
#[must_use]
pub const fn attempts_max(stage: &RebindState, purpose: OtpPurpose, policy: &Policy) -> u8 {
    match (deposit_of(stage), purpose) {
        (Some(_), OtpPurpose::Card) => policy.deposit_attempts,
        _ => policy.code_attempts,
    }
}

/// The attempts left at the pending code. `None` if no code is pending.
#[must_use]
pub fn attempts_left(stage: &RebindState, purpose: OtpPurpose, policy: &Policy) -> Option<u8> {
    let (_, attempts) = challenge_of(stage, purpose)?;
    Some(attempts.left(attempts_max(stage, purpose, policy)))
}

pub(super) const fn attempts_of(stage: &RebindState, purpose: OtpPurpose) -> Option<&Attempts> {
    match (stage, purpose) {
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
        | (RebindState::Standby(Standby { attempts, .. }), OtpPurpose::Activate) => Some(attempts),
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
