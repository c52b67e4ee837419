//! The steps that a rebind allows next.

use super::{challenge, pending_otp};
use crate::merchant::Merchant;
use crate::next_action::NextAction;
use crate::policy::Policy;
use crate::rebind::{CardCheck, End, OtpPurpose, Rebind, RebindState, TestTransfer};
use crate::time::Timestamp;

/// The steps that the merchant can take next.
#[must_use]
pub fn next_actions(
    merchant: &Merchant,
    rebind: &Rebind,
    policy: &Policy,
    now: Timestamp,
) -> Vec<NextAction> {
    use NextAction as Next;
    if rebind.stage.is_open() && !merchant.is_open(rebind, now) {
        return vec![Next::NewRebind];
    }
    let is_standby = merchant.state.standby(&rebind.new_card.card_id).is_some();
    if let Some((purpose, code, _)) = pending_otp(&rebind.stage, policy, now)
        && code.is_valid_at(policy, now)
        && (rebind.stage.is_open() || is_standby)
    {
        if purpose == OtpPurpose::Activate {
            return vec![Next::ActivateStandby];
        }
        let (confirm, resend) = (
            challenge::confirm_action(purpose),
            challenge::resend_action(purpose),
        );
        let stale = challenge::stale_proof(&rebind.stage, purpose, policy, now);
        return match stale.and_then(|actions| actions.first()) {
            Some(refresh) => vec![*refresh, Next::Cancel],
            None => vec![confirm, resend, Next::Cancel],
        };
    }
    match &rebind.stage {
        RebindState::IdentityPending { matched: true, .. } => {
            vec![Next::IdentityCode, Next::Cancel]
        }
        RebindState::IdentityPending { .. } => vec![Next::Identity, Next::Cancel],
        RebindState::AgreementPending { .. } => {
            vec![Next::ReadAgreement, Next::SignAgreement, Next::Cancel]
        }
        RebindState::CardPending { check, .. } => {
            let stale = challenge::stale_proof(&rebind.stage, OtpPurpose::Card, policy, now);
            let first = match (stale, check) {
                (Some([first, ..]), _) => *first,
                (_, CardCheck::Matched { .. }) => Next::CardCheckCode,
                (_, CardCheck::Deposit { .. }) => Next::CardCheckConfirm,
                (_, _) => Next::CardCheck,
            };
            vec![first, Next::Cancel]
        }
        RebindState::Standby(standby) if is_standby => {
            let first = match standby.locked_for_s(policy, now) {
                Some(_) => Next::Wait,
                None => Next::ActivateStandby,
            };
            vec![first, Next::UnbindCard]
        }
        RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
            let is_last = merchant.state.is_last_activation(rebind);
            match activated_card.test {
                TestTransfer::NotSent | TestTransfer::Sent { .. }
                    if is_last && activated_card.can_be_reverted(policy, now) =>
                {
                    vec![Next::TestTransaction]
                }
                _ => Vec::new(),
            }
        }
        RebindState::Standby(_) => Vec::new(),
        RebindState::Ended { how, .. } => after_end(*how),
    }
}

/// A rebind that was refused for good, frozen or reverted may need help that no further rebind gives.
fn after_end(how: End) -> Vec<NextAction> {
    match how {
        End::Expired | End::Cancelled => vec![NextAction::NewRebind],
        End::Rejected | End::Frozen | End::Reverted => FINAL_REFUSAL.to_vec(),
    }
}

/// What a merchant can do after a final refusal.
pub(super) const FINAL_REFUSAL: [NextAction; 2] =
    [NextAction::NewRebind, NextAction::ContactSupport];
