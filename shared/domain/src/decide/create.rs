//! `POST /v1/rebinds`: creates a rebind, if this merchant may change to this card now.

use super::identity::check_document_valid;
use super::{Context, seconds_until};
use crate::card::{Card, CardType};
use crate::error_code::ErrorCode;
use crate::format::bins;
use crate::history::event::{Event, RebindRequested};
use crate::ids::{CardId, RebindId};
use crate::merchant::{BoundCard, EntityType, Merchant, Slot};
use crate::next_action::NextAction;
use crate::pii::{CardNumber, PersonName, Phone};
use crate::policy::Policy;
use crate::rebind::{Attempts, Mac, Purpose, Reason, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::Transition;

/// The merchant's input, with each field parsed separately, and the random values and keyed hashes that a rebind needs.
#[derive(Clone, Debug)]
pub struct Create {
    /// The card, or the error of its number.
    pub card: Result<CardFacts, ErrorCode>,
    /// As typed.
    pub holder_name: PersonName,
    /// The phone, or what is wrong with it.
    pub reserved_phone: Result<Phone, ErrorCode>,
    /// `None` when the text is not a valid reason.
    pub reason: Option<Reason>,
    /// True if the merchant confirmed a card number whose check digit is wrong.
    pub number_confirmed: bool,
    /// The purpose of the new card.
    pub purpose: Purpose,
    /// The random part of the rebind's id.
    pub rebind_random: [u8; 16],
    /// The random part of the card's id.
    pub card_random: [u8; 16],
}

/// The facts of a card number, without the number itself.
#[derive(Clone, Debug)]
pub struct CardFacts {
    /// The bank's code in the prefix table.
    pub bank_code: Option<String>,
    /// The type in the prefix table.
    pub card_type: CardType,
    /// The last four digits.
    pub last4: String,
    /// False if the number is probably mistyped.
    pub has_check_digit: bool,
    /// Keyed hash of the number.
    pub fingerprint: Mac,
    /// The hash of the number under the previous key, during a rotation.
    pub previous_fingerprint: Option<Mac>,
}

impl CardFacts {
    /// The facts of a card number, with its keyed hash, and during a rotation the one under the previous key.
    #[must_use]
    pub fn new(number: &CardNumber, fingerprint: Mac, previous_fingerprint: Option<Mac>) -> Self {
        let bin = bins::lookup(number);
        Self {
            bank_code: bin.map(|bin| bin.bank_code.to_owned()),
            card_type: Self::card_type(number),
            last4: number.last4().to_owned(),
            has_check_digit: number.has_check_digit(),
            fingerprint,
            previous_fingerprint,
        }
    }

    /// The type of a card in the prefix table.
    #[must_use]
    pub fn card_type(number: &CardNumber) -> CardType {
        bins::lookup(number).map_or(CardType::Unknown, |bin| bin.card_type)
    }

    /// The card with these facts.
    #[must_use]
    pub fn card(&self, card_id: CardId, bound_at: Timestamp) -> Card {
        Card {
            card_id,
            bank_code: self.bank_code.clone(),
            card_type: self.card_type,
            last4: self.last4.clone(),
            bound_at,
        }
    }
}

impl Context<'_> {
    pub(super) fn create(&self, create: &Create) -> Result<Transition, Rejection> {
        let Merchant { state, profile, .. } = self.merchant;
        self.not_frozen()?;
        self.fresh_login()?;
        let (facts, reserved_phone, reason) = self.fields(create)?;
        check_rebind_allowed(self.merchant, self.policy, self.now)?;
        check_card(self.merchant, facts)?;
        self.check_standby_limit(create.purpose)?;
        self.check_daily_limit()?;

        let number = state.rebinds.saturating_add(1);
        if number > RebindId::NUMBER_MAX {
            return Err(
                Rejection::new(ErrorCode::DailyRequestLimit).next(&[NextAction::ContactSupport])
            );
        }
        let new_card = facts.card(CardId::new(number, &create.card_random), self.now);
        let rebind = Rebind {
            rebind_id: RebindId::new(number, &create.rebind_random),
            revision: 0,
            version: 0,
            purpose: create.purpose,
            reason,
            new_card,
            old_card: state.active.as_ref().map(|active| active.card.clone()),
            fingerprint: facts.fingerprint.clone(),
            reserved_phone: reserved_phone.clone(),
            created_at: self.now,
            youngest_device: self.session().map(|session| session.device.first_seen),
            expires_at: self.now.plus_s(self.policy.rebind_life_s),
            stage: RebindState::IdentityPending {
                mismatches: 0,
                matched: false,
                code: None,
                attempts: Attempts::default(),
            },
            sealed_number: None,
        };
        let event = Event::RebindRequested(RebindRequested {
            rebind_id: rebind.rebind_id.clone(),
            card: (&rebind.new_card).into(),
            purpose: create.purpose,
            reason,
            holder: profile.holder_name().masked(),
        });
        let stage = rebind.stage.clone();
        let mut after = self.changed_state();
        after.rebinds = number;
        after.open = Some(number);
        self.count_rebind(&mut after);
        Ok(self.advance(after, &rebind, stage, event))
    }

    /// Limits the number of standby cards, because each one is a payout destination that an attacker could switch to.
    fn check_standby_limit(&self, purpose: Purpose) -> Result<(), Rejection> {
        if purpose == Purpose::Standby
            && self.merchant.state.standby.len() >= self.policy.standby_max
        {
            return Err(Rejection::new(ErrorCode::StepOutOfOrder)
                .next(&[NextAction::ActivateStandby, NextAction::UnbindCard]));
        }
        Ok(())
    }

    /// Checks all fields and reports every invalid one, including the holder's name.
    fn fields<'c>(
        &self,
        create: &'c Create,
    ) -> Result<(&'c CardFacts, &'c Phone, Reason), Rejection> {
        let is_holder = create.holder_name == *self.merchant.profile.holder_name();
        let card = match &create.card {
            Ok(card) if !card.has_check_digit && !create.number_confirmed => {
                Err(ErrorCode::CardLuhn)
            }
            Ok(card) => Ok(card),
            Err(code) => Err(*code),
        };
        match (card, &create.reserved_phone, create.reason) {
            (Ok(card), Ok(phone), Some(reason)) if is_holder => Ok((card, phone, reason)),
            (card, phone, reason) => Err(answerable(Rejection::invalid([
                ("card_number", card.err()),
                (
                    "holder_name",
                    (!is_holder).then_some(ErrorCode::HolderNotMerchant),
                ),
                ("reserved_phone", phone.as_ref().err().copied()),
                (
                    "reason",
                    reason.is_none().then_some(ErrorCode::RequestMalformed),
                ),
            ]))),
        }
    }
}

/// Offers what the merchant can answer. A wrong check digit is a question, because real cards fail the check; and only
/// support can correct the name in the record.
fn answerable(refusal: Rejection) -> Rejection {
    let actions = [
        (ErrorCode::CardLuhn, NextAction::ConfirmCardNumber),
        (ErrorCode::HolderNotMerchant, NextAction::ContactSupport),
    ];
    let has = |code| refusal.errors.iter().any(|error| error.code == code);
    let offered = actions.iter().filter(|(code, _)| has(*code));
    let offered: Vec<NextAction> = offered.map(|(_, action)| *action).collect();
    refusal.next(&offered)
}

/// The first reason, in the contract's order, why this session cannot create a rebind now; `None` if it can.
#[must_use]
pub fn blocked_by(
    merchant: &Merchant,
    by: Option<Slot>,
    policy: &Policy,
    now: Timestamp,
) -> Option<ErrorCode> {
    let ctx = Context {
        merchant,
        by,
        policy,
        now,
    };
    let checks = ctx
        .not_frozen()
        .and_then(|()| ctx.fresh_login())
        .and_then(|()| check_rebind_allowed(merchant, policy, now))
        .and_then(|()| ctx.check_daily_limit());
    checks.err().map(|refusal| refusal.code)
}

/// Checks what blocks every new rebind, in this order: company, expired document, quiet period, open rebind, cooldown.
pub(super) fn check_rebind_allowed(
    merchant: &Merchant,
    policy: &Policy,
    now: Timestamp,
) -> Result<(), Rejection> {
    if merchant.profile.entity_type == EntityType::Company {
        return Err(
            Rejection::new(ErrorCode::EntityNeedsSupport).next(&[NextAction::ContactSupport])
        );
    }
    check_document_valid(merchant, now)?;
    check_quiet_period(merchant, policy, now)?;
    check_no_open_rebind(merchant, policy, now)?;
    check_cooldown(merchant, now)?;
    check_no_hold(merchant, now)
}

/// Holds do not overlap. One that began late, after its notification, can outlast the cooldown.
fn check_no_hold(merchant: &Merchant, now: Timestamp) -> Result<(), Rejection> {
    if merchant.state.hold(now).is_some() {
        return Err(Rejection::new(ErrorCode::RequestInProgress)
            .next(&[NextAction::Wait, NextAction::ContactSupport]));
    }
    Ok(())
}

/// Allows one open rebind at a time. A rebind that is not loaded may still be open, so it blocks too.
fn check_no_open_rebind(
    merchant: &Merchant,
    policy: &Policy,
    now: Timestamp,
) -> Result<(), Rejection> {
    if merchant
        .state
        .open
        .is_some_and(|number| merchant.numbered(number).is_none())
    {
        return Err(Rejection::new(ErrorCode::RequestInProgress));
    }
    if let Some(open) = merchant.open_rebind(now) {
        return Err(Rejection::new(ErrorCode::RequestInProgress)
            .next(&super::next_actions(merchant, open, policy, now)));
    }
    Ok(())
}

/// Checks that the cooldown after the last activation is over.
pub(super) fn check_cooldown(merchant: &Merchant, now: Timestamp) -> Result<(), Rejection> {
    if let Some(until) = merchant.cooldown(now) {
        return Err(Rejection {
            cooldown_until: Some(until),
            ..Rejection::new(ErrorCode::RebindCooldown)
                .retry_after(seconds_until(until, now))
                .next(&[NextAction::Wait])
        });
    }
    Ok(())
}

/// Checks that phone, password and name have not changed recently.
pub(super) fn check_quiet_period(
    merchant: &Merchant,
    policy: &Policy,
    now: Timestamp,
) -> Result<(), Rejection> {
    match merchant.quiet_until(policy, now) {
        None => Ok(()),
        Some(until) => Err(Rejection::new(ErrorCode::QuietPeriod)
            .retry_after(seconds_until(until, now))
            .next(&[NextAction::Wait])),
    }
}

/// Checks the card's type, and that the merchant does not use the card already.
fn check_card(merchant: &Merchant, card: &CardFacts) -> Result<(), Rejection> {
    let refused = |code| Err(Rejection::new(code).field("card_number"));
    let refused_type = |code| {
        refused(code).map_err(|refusal: Rejection| refusal.next(&[NextAction::ContactSupport]))
    };
    match card.card_type {
        CardType::Credit | CardType::QuasiCredit => return refused_type(ErrorCode::CardTypeCredit),
        CardType::Prepaid => return refused_type(ErrorCode::CardTypePrepaid),
        CardType::Debit | CardType::Unknown => {}
    }
    let state = &merchant.state;
    let is_same = |bound: &BoundCard| {
        let mut hashes = std::iter::once(&card.fingerprint).chain(&card.previous_fingerprint);
        hashes.any(|hash| *hash == bound.fingerprint)
    };
    if state.active.as_ref().is_some_and(is_same) {
        return refused(ErrorCode::CardSameAsCurrent);
    }
    if state.standby.iter().any(|standby| is_same(&standby.bound)) {
        // The card is already verified. If its proof is too old, the merchant unbinds it first.
        return Err(Rejection::new(ErrorCode::CardSameAsCurrent)
            .field("card_number")
            .next(&[NextAction::ActivateStandby, NextAction::UnbindCard]));
    }
    Ok(())
}
