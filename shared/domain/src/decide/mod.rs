//! The core: `decide(merchant, command, policy, now)`. It is total and pure: no clock, no randomness, no store. Values that
//! need those (ids, codes, keyed hashes, the bank's answer) are part of the command.
//!
//! Every command checks in the contract's order: frozen, fresh login, expired, step order, fields, its own rules.

mod activation;
mod agreement;
mod bank_answer;
mod cancel;
mod card_check;
mod cards;
mod challenge;
mod clean_up;
mod codes;
mod contact;
mod create;
mod day_limits;
mod execute;
mod freeze;
mod identity;
mod next_actions;
mod notified;
mod notify;
mod operator;
mod payouts;
mod proposals;
mod registry;
mod sessions;
mod settings;
mod standby;
mod test_transfer;
#[cfg(test)]
mod tests;

use super::contact::{ContactChange, DocumentRenewal, TierChange};
use super::device::Logins;
use super::error_code::ErrorCode;
use super::history::event::{self, Event};
use super::ids::{CardId, PayoutId};
use super::login::OpenedSession;
use super::merchant::{Merchant, MerchantState, Slot};
use super::next_action::NextAction;
use super::operator::{Actor, Proposal};
use super::payout::Payout;
use super::policy::Policy;
use super::rebind::{End, Mac, Otp, OtpPurpose, Rebind, RebindState, SessionTag};
use super::rejection::Rejection;
use super::settlement::SettlementChange;
use super::time::Timestamp;
use super::transfer::TransferAnswer;
use super::transition::{FingerprintRule, NewPushTarget, Transition};

pub use agreement::SignedAgreement;
pub use bank_answer::{BankAnswer, BankReply};
pub use challenge::{attempts_left, attempts_max, deposit_of, otp_of, pending_otp};
pub use create::{CardFacts, Create, blocked_by};
pub use identity::Document;
pub use next_actions::next_actions;
pub use notified::NotifiedBy;
pub use proposals::{Approval, subject};

/// A command with the session that issues it.
#[derive(Clone, Debug)]
pub struct CommandContext {
    /// The session's slot; `None` for commands of the system (clean-up, acquirer's core).
    pub by: Option<Slot>,
    /// The command.
    pub act: Command,
}

/// Every command that can change a merchant.
#[derive(Clone, Debug)]
pub enum Command {
    /// Create a rebind.
    Create(Box<Create>),
    /// Cancel the rebind.
    Cancel,
    /// Compare the ID document and send a code to the phone on file.
    CheckDocument(Document, Otp),
    /// Send another code to the phone on file.
    ResendIdentityOtp(Otp),
    /// Reserve an attempt before the code is compared.
    ReserveAttempt {
        /// The code's purpose.
        purpose: OtpPurpose,
        /// True if the code has a valid form. A malformed code is refused without reserving an attempt.
        well_formed: bool,
        /// True if the bank was queried for the deposit already.
        deposit_polled: bool,
    },
    /// Record the result of a reserved attempt.
    SettleAttempt {
        /// The code's purpose.
        purpose: OtpPurpose,
        /// The stored hash that the OTP was compared with; `None` for a deposit, whose code is not stored.
        compared: Option<Mac>,
        /// True if the code was correct.
        right: bool,
        /// True if an earlier write found the card verified for another person.
        bound_elsewhere: bool,
    },
    /// Check that the agreement may be shown. Changes nothing.
    ReadAgreement,
    /// Sign the agreement.
    SignAgreement(Box<SignedAgreement>),
    /// Start the bank's check, or return the known result.
    StartCardCheck {
        /// True if an earlier write found the card verified for another person.
        bound_elsewhere: bool,
        /// The code to send if the bank's match is still valid.
        code: Otp,
    },
    /// Record the bank's answer, or that it is unknown. The code is `None` when the reserved phone may not receive one now.
    SettleCardCheck(BankReply, Option<Otp>),
    /// Send a code to the reserved phone again, or the first one after a failed SMS.
    ResendCardOtp(Otp),
    /// Drop the code, because its SMS could not be sent.
    OtpNotSent(OtpPurpose, Mac),
    /// Record the bank's answer about a deposit; `None` when the bank has not answered.
    SettleDeposit(Option<TransferAnswer>),
    /// Send the test transfer, or query its status.
    StartTestTransfer,
    /// Record the bank's answer about the test transfer; `None` when the bank has not answered.
    SettleTestTransfer(Option<TransferAnswer>),
    /// Send the code that authorises the switch to a standby card.
    StartActivation(CardId, Otp),
    /// Remove a card from the account.
    Unbind(CardId),
    /// Change the settlement settings.
    ChangeSettlement(SettlementChange),
    /// Register a device for push.
    PutPushTarget(Box<NewPushTarget>),
    /// Remove a device from push notifications.
    RemovePushTarget(String),
    /// Freeze the account with the freeze code that the event with this sequence number announced.
    Freeze(u64),
    /// Notify the owner of wrong freeze codes.
    NotifyFreezeGuesses,
    /// Operator: freeze the account without a code. The history records the reason.
    FreezeByOperator {
        /// The operator's reason.
        reason: String,
    },
    /// Operator: end a freeze. The history records the reason.
    Unfreeze {
        /// The operator's reason.
        reason: String,
        /// The active card from now on: the present one, or one that it replaced. `None` leaves no active card.
        card_id: Option<CardId>,
    },
    /// Operator: end all sessions. The history records the reason.
    EndSessions {
        /// The operator's reason.
        reason: String,
    },
    /// The acquirer's registry, or two operators: close the account for good. The history records who and why.
    Close {
        /// `registry` or `operator`.
        by: String,
        /// Why.
        reason: String,
    },
    /// Operators: let one of them read the merchant's personal data once. The history records the reason.
    Unmask {
        /// The operator's reason.
        reason: String,
    },
    /// Operators: erase the merchant's personal data. The history records the reason.
    Erase {
        /// The operator's reason.
        reason: String,
        /// How long the records of a closed account must be kept.
        retention_s: i64,
    },
    /// Operator: forget the failed logins of the account. The history records the reason.
    ClearLogins {
        /// The operator's reason.
        reason: String,
        /// The account's logins as read.
        logins: Box<Logins>,
    },
    /// Operator: propose a command that takes two persons. Refused if the command would be.
    Propose(Box<Proposal>, Box<Command>),
    /// Operator: approve a proposal, and execute its command.
    Approve(Box<Approval>, Box<Command>),
    /// Operator: withdraw a proposal.
    Withdraw(Box<Proposal>, Actor),
    /// Operator: change phone, password, name or document in the acquirer's record.
    ChangeContact(Box<ContactChange>),
    /// Operator: record a later date of the same document.
    RenewDocument(Box<DocumentRenewal>),
    /// The acquirer's registry, or an operator who may only lower it: change the tier.
    ChangeTier(Box<TierChange>),
    /// Acquirer's core: create a payout and choose its card.
    CreatePayout(PayoutId, u64),
    /// Acquirer's core: the payout is about to be submitted to the bank, and its card number is released to the key with this
    /// thumbprint. Refused while the payout is held.
    PayoutSending(Payout, String),
    /// Acquirer's core: the payout was submitted to the bank.
    PayoutSent(Payout),
    /// Acquirer's core: the bank returned the payout.
    PayoutReturned(Payout),
    /// Login: open the first session of a device that becomes known.
    AddDevice(Box<OpenedSession>),
    /// Freeze the account in a session of a device that was known before the rebind.
    FreezeFromDevice,
    /// End all sessions except this one.
    EndOtherSessions,
    /// Clean-up: assign a card to a held payout.
    AssignPayout(Payout),
    /// Clean-up: remove a replaced card whose retention is over.
    RemoveCard(CardId),
    /// The owner was notified of the rebind's change: it may take effect. An operator gives a reason.
    ConfirmNotified(NotifiedBy, Option<String>),
    /// Clean-up: end an overdue rebind.
    Expire,
    /// Clean-up: complete an activated rebind whose hold is over.
    Complete,
    /// Clean-up: announce the end of the cooldown.
    EndCooldown,
    /// Clean-up: put pending settlement settings in force, or drop them if the merchant may no longer have them.
    ApplySettlement,
}

/// Decides one command.
///
/// # Errors
/// A [`Rejection`] when the command is refused without any change. A refusal that changes something is a transition with
/// the outcome `Refused`.
pub fn decide(
    merchant: &Merchant,
    command: &CommandContext,
    policy: &Policy,
    now: Timestamp,
) -> Result<Transition, Rejection> {
    let ctx = Context {
        merchant,
        by: command.by,
        policy,
        now,
    };
    ctx.execute(&command.act)
}

/// The inputs of a decision.
struct Context<'a> {
    merchant: &'a Merchant,
    by: Option<Slot>,
    policy: &'a Policy,
    now: Timestamp,
}

impl Context<'_> {
    /// Checks frozen, device, expired, step order, for every command that changes a rebind. `fits` selects the allowed states.
    fn open_rebind(&self, fits: impl Fn(&RebindState) -> bool) -> Result<&Rebind, Rejection> {
        self.not_frozen()?;
        self.known_device()?;
        self.rebind_in(fits)
    }

    /// Checks expired, step order.
    fn rebind_in(&self, fits: impl Fn(&RebindState) -> bool) -> Result<&Rebind, Rejection> {
        let rebind = self.rebind()?;
        // An overdue rebind that a later one has replaced stays expired, even if this clock is behind.
        let replaced =
            rebind.stage.is_open() && self.merchant.state.open != Some(rebind.rebind_id.number());
        if replaced
            || rebind.is_overdue(self.now)
            || matches!(
                rebind.stage,
                RebindState::Ended {
                    how: End::Expired,
                    ..
                }
            )
        {
            return Err(Rejection::new(ErrorCode::RequestExpired).next(&[NextAction::NewRebind]));
        }
        if !fits(&rebind.stage) {
            return Err(self.out_of_order(rebind));
        }
        Ok(rebind)
    }

    fn rebind(&self) -> Result<&Rebind, Rejection> {
        self.merchant
            .rebind
            .as_ref()
            .ok_or_else(|| Rejection::new(ErrorCode::NotFound))
    }

    fn out_of_order(&self, rebind: &Rebind) -> Rejection {
        let mut next = next_actions(self.merchant, rebind, self.policy, self.now);
        if next.is_empty() {
            next.push(NextAction::NewRebind);
        }
        Rejection::new(ErrorCode::StepOutOfOrder).next(&next)
    }

    fn not_frozen(&self) -> Result<(), Rejection> {
        let state = &self.merchant.state;
        if state.frozen.is_some() || state.closed_at.is_some() {
            return Err(
                Rejection::new(ErrorCode::AccountFrozen).next(&[NextAction::ContactSupport])
            );
        }
        Ok(())
    }

    fn fresh_login(&self) -> Result<(), Rejection> {
        let fresh = self
            .session()
            .is_some_and(|session| session.login_at.age_s_at(self.now) < self.policy.fresh_login_s);
        if fresh {
            self.known_device()
        } else {
            Err(Rejection::new(ErrorCode::StepUpRequired).next(&[NextAction::Login]))
        }
    }

    /// Refuses a session of a device that did not become known. Commands of the system have no device.
    fn known_device(&self) -> Result<(), Rejection> {
        if self.by.is_none() || self.session().is_some_and(|session| session.device.known) {
            Ok(())
        } else {
            Err(Rejection::new(ErrorCode::DeviceTooNew)
                .next(&[NextAction::Login, NextAction::ContactSupport]))
        }
    }

    fn session(&self) -> Option<&super::merchant::Session> {
        let slot = usize::from(self.by?);
        self.merchant.state.sessions.get(slot)?.as_ref()
    }

    fn session_tag(&self) -> SessionTag {
        self.session()
            .map_or_else(|| SessionTag(String::new()), super::merchant::Session::tag)
    }

    /// The merchant state for this change: the next version, with the session's last change set to `now` (never
    /// backwards).
    fn changed_state(&self) -> MerchantState {
        let mut state = self.merchant.state.next_version();
        if let Some(Some(session)) = self
            .by
            .and_then(|slot| state.sessions.get_mut(usize::from(slot)))
        {
            session.last_change_at = session.last_change_at.max(self.now);
        }
        state
    }

    /// Moves `rebind` to `stage` in one transition with merchant state, rebind and event. No state changes in another way.
    /// `state`: `changed_state` with the command's own changes.
    fn advance(
        &self,
        mut state: MerchantState,
        rebind: &Rebind,
        stage: RebindState,
        event: Event,
    ) -> Transition {
        let mut next = with_stage(&mut state, rebind, stage);
        if !next.stage.is_open() && state.open == Some(next.rebind_id.number()) {
            state.open = None;
        }
        if matches!(next.stage, RebindState::Ended { .. }) {
            // Nothing is ever paid to this card, so its number is deleted.
            next.sealed_number = None;
        }
        let event = self.event(event, Some(&next.reserved_phone));
        Transition {
            state: Some(state),
            rebind: Some(next),
            event: Some(event),
            ..Transition::none()
        }
    }

    /// Ends the rebind and refuses the request. `serial`: the bank reference whose answer is the reason.
    fn reject(
        &self,
        state: MerchantState,
        rebind: &Rebind,
        refusal: Rejection,
        serial: Option<String>,
    ) -> Transition {
        let reason = refusal.code;
        let stage = RebindState::Ended {
            how: End::Rejected,
            at: self.now,
            reason: Some(reason),
        };
        let rebind_id = rebind.rebind_id.clone();
        let card = (&rebind.new_card).into();
        let event = match (reason, serial) {
            (ErrorCode::MicroDepositReturned, Some(serial)) => {
                Event::MicroDepositReturned(event::MicroDepositReturned {
                    rebind_id,
                    card,
                    reason,
                    serial,
                })
            }
            (_, serial) => Event::Rejected(event::Rejected {
                rebind_id,
                card,
                reason,
                serial,
            }),
        };
        let mut transition = self.advance(state, rebind, stage, event);
        let refusal = refusal.next(&next_actions::FINAL_REFUSAL);
        transition.outcome = super::transition::Outcome::Refused(Box::new(refusal));
        transition
    }

    /// A write without a history event, for bookkeeping of bank calls: only version and state change.
    fn bookkeeping(
        &self,
        mut state: MerchantState,
        rebind: &Rebind,
        stage: RebindState,
    ) -> Transition {
        let next = with_stage(&mut state, rebind, stage);
        Transition {
            state: Some(state),
            rebind: Some(next),
            ..Transition::none()
        }
    }
}

/// The facts of an event about a rebind that needs no other.
fn of_rebind(rebind: &Rebind) -> event::OfRebind {
    event::OfRebind {
        rebind_id: rebind.rebind_id.clone(),
    }
}

/// The next version of the rebind, in another state. The merchant state keeps the version of the latest rebind, so that a
/// read can detect a half-visible write.
fn with_stage(state: &mut MerchantState, rebind: &Rebind, stage: RebindState) -> Rebind {
    let next = Rebind {
        version: rebind.version + 1,
        stage,
        ..rebind.clone()
    };
    if state.rebinds == next.rebind_id.number() {
        state.rebind_version = next.version;
    }
    next
}

/// The card of an undone rebind no longer holds its number.
fn remove_holder(rebind: &Rebind) -> FingerprintRule {
    FingerprintRule::RemoveHolder {
        fingerprint: rebind.fingerprint.clone(),
        card_id: rebind.new_card.card_id.clone(),
    }
}

/// The refusal of a clean-up command that is already done or not due yet.
const fn nothing_due() -> Rejection {
    Rejection::new(ErrorCode::StepOutOfOrder)
}

fn seconds_until(until: Timestamp, now: Timestamp) -> i64 {
    (until.epoch_s() - now.epoch_s()).max(1)
}
