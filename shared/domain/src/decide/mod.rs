//! The core: `decide(state, command, policy, now)`. Total and pure: no clock, no randomness, no store. What needs those
//! (ids, codes, keyed hashes, the bank's answer) comes in with the command.
//!
//! Every act walks the contract's order of checks: frozen, fresh login, expired, step order, fields, then its own rules.

mod activation;
mod agreement;
mod cancel;
mod card_check;
mod cards;
mod clean_up;
mod codes;
mod create;
mod freeze;
mod identity;
mod payouts;
mod settings;
mod standby;
mod test_transfer;
#[cfg(test)]
mod tests;

use super::card::Card;
use super::error_code::ErrorCode;
use super::history::event::{self, Event};
use super::ids::{CardId, PayoutId};
use super::merchant::{Merchant, MerchantState, Slot};
use super::next_action::NextAction;
use super::notification::{Notification, Recipient, notification};
use super::payout::Payout;
use super::pii::Phone;
use super::policy::Policy;
use super::rebind::{
    CardCheck, End, Mac, Otp, OtpPurpose, Rebind, RebindState, SessionTag, TestTransfer,
};
use super::rejection::Rejection;
use super::settlement::SettlementChange;
use super::time::Timestamp;
use super::transfer::TransferAnswer;
use super::transition::{FingerprintRule, NewEvent, NewPushTarget, Transition};

pub use agreement::SignedAgreement;
pub use card_check::{BankAnswer, BankReply};
pub use codes::{attempts_max, deposit_of, otp_of, pending_otp};
pub use create::{CardFacts, Create};
pub use identity::Document;

/// Who asks, and for what.
#[derive(Clone, Debug)]
pub struct CommandContext {
    /// The session's slot; `None` for the system itself (clean-up).
    pub by: Option<Slot>,
    /// For what.
    pub act: Command,
}

/// Everything that can be asked of a merchant's rebinds.
#[derive(Clone, Debug)]
pub enum Command {
    /// Begin a rebind.
    Create(Box<Create>),
    /// Give it up.
    Cancel,
    /// Compare the ID document and send a code to the phone on file.
    CheckDocument(Document, Otp),
    /// Another code to the phone on file.
    ResendIdentityOtp(Otp),
    /// Take a try, before the code is compared. `well_formed`: six digits at all.
    ReserveAttempt {
        /// Which code.
        purpose: OtpPurpose,
        /// Whether the code had six digits; one that has not is refused without taking a try.
        well_formed: bool,
    },
    /// The code that a try was taken for is right, or not.
    SettleAttempt {
        /// Which code.
        purpose: OtpPurpose,
        /// The stored hash that the code was compared with.
        compared: Mac,
        /// The comparison's result.
        right: bool,
        /// Learned when the write found the card verified for another person.
        bound_elsewhere: bool,
    },
    /// Show the agreement: allowed or not; changes nothing.
    ReadAgreement,
    /// Sign it.
    SignAgreement(SignedAgreement),
    /// Ask the bank, or repeat what is known.
    StartCardCheck {
        /// Learned when the write found the card verified for another person.
        bound_elsewhere: bool,
        /// For the case that only the code is missing.
        code: Otp,
    },
    /// The bank's answer, or the lack of one; without a code when the reserved phone may get none now.
    SettleCardCheck(BankReply, Option<Otp>),
    /// Another code to the reserved phone, or the first one when it could not be sent.
    ResendCardOtp(Otp),
    /// The SMS could not be handed over: forget the code.
    OtpNotSent(OtpPurpose, Mac),
    /// What the bank says of a deposit that went out; `None`: nothing new.
    SettleDeposit(Option<TransferAnswer>),
    /// Send the test transfer, or ask for its answer again.
    StartTestTransfer,
    /// What the bank says of the test transfer; `None`: nothing.
    SettleTestTransfer(Option<TransferAnswer>),
    /// Ask for the code that authorises the switch to a standby card.
    StartActivation(CardId, Otp),
    /// Take a card off the account.
    Unbind(CardId),
    /// Change how payouts are made.
    ChangeSettlement(SettlementChange),
    /// Register a device for push.
    PutPushTarget(Box<NewPushTarget>),
    /// No longer tell a device.
    RemovePushTarget(String),
    /// The freeze code of the rebind of this number was given.
    Freeze(u32),
    /// The operator ends a freeze, for a reason that the history keeps.
    Unfreeze(String),
    /// The acquirer's core: a new payout, which gets its card now.
    CreatePayout(PayoutId, u64),
    /// The acquirer's core: it was handed to the bank.
    PayoutSent(Payout),
    /// The acquirer's core: the bank has returned it.
    PayoutReturned(Payout),
    /// The clean-up: a held payout gets its card.
    AssignPayout(Payout),
    /// The clean-up: a card's time on record is over.
    RemoveCard(CardId),
    /// The clean-up: end an overdue rebind.
    Expire,
    /// The clean-up: the hold is over.
    Complete,
    /// The clean-up: tell that the cooldown is over.
    EndCooldown,
}

/// Decides one command.
///
/// # Errors
/// A [`Rejection`] when the command is refused and nothing changes. A refusal that changes something is a transition
/// whose outcome is `Refused`.
pub fn decide(
    state: &Merchant,
    command: &CommandContext,
    policy: &Policy,
    now: Timestamp,
) -> Result<Transition, Rejection> {
    let ctx = Context {
        state,
        by: command.by,
        policy,
        now,
    };
    match &command.act {
        Command::Create(create) => ctx.create(create),
        Command::Cancel => ctx.cancel(),
        Command::CheckDocument(document, code) => ctx.check_document(document, code),
        Command::ResendIdentityOtp(code) => ctx.resend_identity_otp(code),
        Command::ReserveAttempt {
            purpose,
            well_formed,
        } => ctx.reserve_attempt(*purpose, *well_formed),
        Command::SettleAttempt {
            purpose,
            compared,
            right,
            bound_elsewhere,
        } => ctx.settle_attempt(*purpose, compared, *right, *bound_elsewhere),
        Command::ReadAgreement => ctx.read_agreement(),
        Command::SignAgreement(signed) => ctx.sign_agreement(signed),
        Command::StartCardCheck {
            bound_elsewhere,
            code,
        } => ctx.start_card_check(*bound_elsewhere, code),
        Command::SettleCardCheck(reply, code) => ctx.settle_card_check(reply, code.as_ref()),
        Command::ResendCardOtp(code) => ctx.resend_card_otp(code),
        Command::OtpNotSent(purpose, mac) => ctx.otp_not_sent(*purpose, mac),
        Command::SettleDeposit(answer) => ctx.settle_deposit(*answer),
        Command::StartTestTransfer => ctx.start_test_transfer(),
        Command::SettleTestTransfer(answer) => ctx.settle_test_transfer(*answer),
        Command::StartActivation(card_id, code) => ctx.start_activation(card_id, code),
        Command::Unbind(card_id) => ctx.unbind(card_id),
        Command::ChangeSettlement(change) => ctx.change_settlement(change),
        Command::PutPushTarget(target) => ctx.put_push_target(target),
        Command::RemovePushTarget(id) => ctx.remove_push_target(id),
        Command::Freeze(number) => ctx.freeze(*number),
        Command::Unfreeze(reason) => ctx.unfreeze(reason),
        Command::CreatePayout(payout_id, amount_fen) => {
            Ok(ctx.create_payout(payout_id, *amount_fen))
        }
        Command::PayoutSent(payout) => ctx.payout_sent(payout),
        Command::PayoutReturned(payout) => ctx.payout_returned(payout),
        Command::AssignPayout(payout) => ctx.assign_payout(payout),
        Command::RemoveCard(card_id) => ctx.remove_card(card_id),
        Command::Expire => ctx.expire(),
        Command::Complete => ctx.complete(),
        Command::EndCooldown => ctx.end_cooldown(),
    }
}

/// What every act looks at.
struct Context<'a> {
    state: &'a Merchant,
    by: Option<Slot>,
    policy: &'a Policy,
    now: Timestamp,
}

impl Context<'_> {
    /// Frozen → expired → step order, for every act that changes a rebind. `fits` says in which stages it is allowed.
    fn open_rebind(&self, fits: impl Fn(&RebindState) -> bool) -> Result<&Rebind, Rejection> {
        self.not_frozen()?;
        self.rebind_in(fits)
    }

    /// Expired → step order.
    fn rebind_in(&self, fits: impl Fn(&RebindState) -> bool) -> Result<&Rebind, Rejection> {
        let rebind = self.rebind()?;
        // Replaced by a later one once it was overdue: it stays expired, even by a clock that is behind.
        let replaced =
            rebind.stage.is_open() && self.state.head.open != Some(rebind.rebind_id.number());
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
        self.state
            .rebind
            .as_ref()
            .ok_or_else(|| Rejection::new(ErrorCode::NotFound))
    }

    fn out_of_order(&self, rebind: &Rebind) -> Rejection {
        let mut next = next_actions(self.state, rebind, self.policy, self.now);
        if next.is_empty() {
            next.push(NextAction::NewRebind);
        }
        Rejection::new(ErrorCode::StepOutOfOrder).next(&next)
    }

    fn not_frozen(&self) -> Result<(), Rejection> {
        match self.state.head.frozen {
            Some(_) => {
                Err(Rejection::new(ErrorCode::AccountFrozen).next(&[NextAction::ContactSupport]))
            }
            None => Ok(()),
        }
    }

    fn fresh_login(&self) -> Result<(), Rejection> {
        let fresh = self
            .session()
            .is_some_and(|session| session.login_at.age_s_at(self.now) < self.policy.fresh_login_s);
        if fresh {
            Ok(())
        } else {
            Err(Rejection::new(ErrorCode::StepUpRequired).next(&[NextAction::Login]))
        }
    }

    fn session(&self) -> Option<&super::merchant::Session> {
        let slot = usize::from(self.by?);
        self.state.head.sessions.get(slot)?.as_ref()
    }

    fn session_tag(&self) -> SessionTag {
        self.session()
            .map_or_else(|| SessionTag(String::new()), super::merchant::Session::tag)
    }

    /// The head after this change: one version on, the session's last change moved (never back).
    fn changed_head(&self) -> MerchantState {
        let mut head = self.state.head.clone();
        head.version += 1;
        if let Some(Some(session)) = self
            .by
            .and_then(|slot| head.sessions.get_mut(usize::from(slot)))
        {
            session.last_change_at = session.last_change_at.max(self.now);
        }
        head
    }

    /// A transition that moves `rebind` to `stage`: head, rebind and event together, which is the only way a stage changes.
    fn advance(&self, rebind: &Rebind, stage: RebindState, event: Event) -> Transition {
        let mut head = self.changed_head();
        let mut next = moved(&mut head, rebind, stage);
        if !next.stage.is_open() && head.open == Some(next.rebind_id.number()) {
            head.open = None;
        }
        if matches!(next.stage, RebindState::Ended { .. }) {
            // A number that will never be paid to is not kept.
            next.sealed_number = None;
        }
        let event = self.event(event, Some(&next.reserved_phone));
        Transition {
            head: Some(head),
            rebind: Some(next),
            event: Some(event),
            ..Transition::none()
        }
    }

    /// Ends the rebind with a refusal that the caller is told. `serial`: the bank reference whose answer is the reason.
    fn reject(&self, rebind: &Rebind, refusal: Rejection, serial: Option<String>) -> Transition {
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
        let mut transition = self.advance(rebind, stage, event);
        let refusal = refusal.next(&[NextAction::NewRebind]);
        transition.outcome = super::transition::Decision::Refused(Box::new(refusal));
        transition
    }

    /// A write that says nothing new to anybody (a bank call and what it left): version and stage move, without an event.
    fn bookkeeping(&self, rebind: &Rebind, stage: RebindState) -> Transition {
        let mut head = self.changed_head();
        let next = moved(&mut head, rebind, stage);
        Transition {
            head: Some(head),
            rebind: Some(next),
            ..Transition::none()
        }
    }

    /// An event with a notification for each recipient that it has a message for: the phone on file, the new card's phone
    /// where one is given and is another one, and push where a device is registered.
    fn event(&self, event: Event, reserved: Option<&Phone>) -> NewEvent {
        let on_file = &self.state.profile.phone_on_file;
        let reserved = reserved.filter(|reserved| *reserved != on_file);
        let is_pushed = self.state.head.pushes(self.policy, self.now);
        let all = [
            Some(Notification::OnFile(on_file.clone())),
            reserved.map(|reserved| Notification::Reserved(reserved.clone())),
            is_pushed.then(|| Notification::Push {
                delivered: Vec::new(),
            }),
        ];
        let is_sent = |to: Recipient| notification(&event, self.now, to).is_some();
        let notices = all.into_iter().flatten();
        NewEvent {
            notices: notices.filter(|notice| is_sent(notice.to())).collect(),
            at: self.now,
            event,
        }
    }
}

/// Why no rebind can be asked for now, by this session: the first reason in the contract's order; `None` if one can.
#[must_use]
pub fn blocked_by(
    state: &Merchant,
    by: Slot,
    policy: &Policy,
    now: Timestamp,
) -> Option<ErrorCode> {
    let ctx = Context {
        state,
        by: Some(by),
        policy,
        now,
    };
    let checks = ctx
        .not_frozen()
        .and_then(|()| ctx.fresh_login())
        .and_then(|()| create::may_rebind(state, policy, now))
        .and_then(|()| create::limits(state, policy, now));
    checks.err().map(|refusal| refusal.code)
}

/// The facts of an event about a rebind that needs no other.
fn of_rebind(rebind: &Rebind) -> event::OfRebind {
    event::OfRebind {
        rebind_id: rebind.rebind_id.clone(),
    }
}

/// The facts of an event about a card.
fn of_card(card: &Card) -> event::OfCard {
    event::OfCard { card: card.into() }
}

/// The rebind in another stage, one version on; the head keeps the version of the latest one, so that a read of half of a
/// write is seen.
fn moved(head: &mut MerchantState, rebind: &Rebind, stage: RebindState) -> Rebind {
    let next = Rebind {
        version: rebind.version + 1,
        stage,
        ..rebind.clone()
    };
    if head.rebinds == next.rebind_id.number() {
        head.rebind_version = next.version;
    }
    next
}

/// The card of a rebind that was undone is no verified card of this merchant any more.
fn released(rebind: &Rebind) -> FingerprintRule {
    FingerprintRule::Release {
        fingerprint: rebind.fingerprint.clone(),
        card_id: rebind.new_card.card_id.clone(),
    }
}

/// Done already, or too early: to the clean-up both mean "leave it".
const fn nothing_due() -> Rejection {
    Rejection::new(ErrorCode::StepOutOfOrder)
}

fn seconds_until(until: Timestamp, now: Timestamp) -> i64 {
    (until.epoch_s() - now.epoch_s()).max(1)
}

/// What the merchant can do next with a rebind.
#[must_use]
pub fn next_actions(
    state: &Merchant,
    rebind: &Rebind,
    policy: &Policy,
    now: Timestamp,
) -> Vec<NextAction> {
    use NextAction as Next;
    if rebind.stage.is_open() && !state.is_open(rebind, now) {
        return vec![Next::NewRebind];
    }
    let is_standby = state.head.standby(&rebind.new_card.card_id).is_some();
    if let Some((purpose, code, _)) = pending_otp(&rebind.stage, policy, now)
        && code.lives(policy, now)
        && (rebind.stage.is_open() || is_standby)
    {
        if purpose == OtpPurpose::Activate {
            return vec![Next::ActivateStandby];
        }
        let (confirm, resend) = (
            codes::confirm_action(purpose),
            codes::resend_action(purpose),
        );
        let stale = codes::stale_proof(&rebind.stage, purpose, policy, now);
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
        stage @ RebindState::CardPending { check, .. } => {
            match (
                codes::stale_proof(stage, OtpPurpose::Card, policy, now),
                check,
            ) {
                (Some([first, ..]), _) => vec![*first, Next::Cancel],
                (_, CardCheck::Matched { .. }) => vec![Next::CardCheckCode, Next::Cancel],
                (_, CardCheck::Deposit { .. }) => vec![Next::CardCheckConfirm, Next::Cancel],
                (_, _) => vec![Next::CardCheck, Next::Cancel],
            }
        }
        RebindState::Standby(standby) if is_standby => {
            let first = match standby.locked_for_s(policy, now) {
                Some(_) => Next::Wait,
                None => Next::ActivateStandby,
            };
            vec![first, Next::UnbindCard]
        }
        RebindState::Activated(activated_card) | RebindState::Completed(activated_card) => {
            let is_active = state.head.active.as_ref();
            let is_active =
                is_active.is_some_and(|active| active.card.card_id == rebind.new_card.card_id);
            match activated_card.test {
                TestTransfer::NotSent | TestTransfer::Sent { .. }
                    if is_active && activated_card.can_be_reverted(policy, now) =>
                {
                    vec![Next::TestTransaction]
                }
                _ => Vec::new(),
            }
        }
        RebindState::Standby(_) => Vec::new(),
        RebindState::Ended { .. } => vec![Next::NewRebind],
    }
}
