//! From a command to the function that decides it.

use super::{Command, Context};
use crate::rejection::Rejection;
use crate::transition::Transition;

impl Context<'_> {
    /// Calls the function that decides the command.
    pub(super) fn execute(&self, act: &Command) -> Result<Transition, Rejection> {
        match act {
            Command::Create(create) => self.create(create),
            Command::Cancel => self.cancel(),
            Command::CheckDocument(document, code) => self.check_document(document, code),
            Command::ResendIdentityOtp(code) => self.resend_identity_otp(code),
            Command::ReserveAttempt {
                purpose,
                well_formed,
                deposit_polled,
            } => self.reserve_attempt(*purpose, *well_formed, *deposit_polled),
            Command::SettleAttempt {
                purpose,
                compared,
                right,
                bound_elsewhere,
            } => self.settle_attempt(*purpose, compared.as_ref(), *right, *bound_elsewhere),
            Command::ReadAgreement => self.read_agreement(),
            Command::SignAgreement(signed) => self.sign_agreement(signed),
            Command::StartCardCheck {
                bound_elsewhere,
                code,
            } => self.start_card_check(*bound_elsewhere, code),
            Command::SettleCardCheck(reply, code) => self.settle_card_check(reply, code.as_ref()),
            Command::ResendCardOtp(code) => self.resend_card_otp(code),
            Command::OtpNotSent(purpose, mac) => self.otp_not_sent(*purpose, mac),
            Command::SettleDeposit(answer) => self.settle_deposit(*answer),
            Command::StartTestTransfer => self.start_test_transfer(),
            Command::SettleTestTransfer(answer) => self.settle_test_transfer(*answer),
            Command::StartActivation(card_id, code) => self.start_activation(card_id, code),
            Command::Unbind(card_id) => self.unbind(card_id),
            Command::ChangeSettlement(change) => self.change_settlement(change),
            Command::PutPushTarget(target) => self.put_push_target(target),
            Command::RemovePushTarget(id) => self.remove_push_target(id),
            Command::Freeze(seq) => self.freeze(*seq),
            Command::NotifyFreezeGuesses => self.notify_freeze_guesses(),
            Command::FreezeByOperator { reason } => self.freeze_by_operator(reason),
            Command::Unfreeze { reason, card_id } => self.unfreeze(reason, card_id.as_ref()),
            Command::EndSessions { reason } => Ok(self.end_sessions(reason)),
            Command::Close { by, reason } => self.close(by, reason),
            Command::Unmask { reason } => Ok(self.unmask(reason)),
            Command::Erase {
                reason,
                retention_s,
            } => self.erase(reason, *retention_s),
            Command::ClearLogins { reason, logins } => Ok(self.clear_logins(reason, logins)),
            Command::Propose(proposal, act) => self.propose(proposal, act),
            Command::Approve(approval, act) => self.approve(approval, act),
            Command::Withdraw(proposal, by) => self.withdraw(proposal, by),
            Command::ChangeContact(change) => self.change_contact(change),
            Command::RenewDocument(renewal) => self.renew_document(renewal),
            Command::ChangeTier(change) => self.change_tier(change),
            Command::CreatePayout(payout_id, amount_fen) => {
                Ok(self.create_payout(payout_id, *amount_fen))
            }
            Command::PayoutSending(payout, key) => self.payout_sending(payout, key),
            Command::PayoutSent(payout) => self.payout_sent(payout),
            Command::PayoutReturned(payout) => self.payout_returned(payout),
            Command::AddDevice(opened) => Ok(self.add_device(opened)),
            Command::FreezeFromDevice => self.freeze_from_device(),
            Command::EndOtherSessions => self.end_other_sessions(),
            Command::AssignPayout(payout) => self.assign_payout(payout),
            Command::RemoveCard(card_id) => self.remove_card(card_id),
            Command::ConfirmNotified(by, reason) => self.confirm_notified(*by, reason.as_deref()),
            Command::Expire => self.expire(),
            Command::Complete => self.complete(),
            Command::EndCooldown => self.end_cooldown(),
            Command::ApplySettlement => self.apply_settlement(),
        }
    }
}
