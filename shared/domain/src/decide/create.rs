//! `POST /v1/rebinds`: may this merchant change to this card now?

use super::{Context, seconds_until};
use crate::card::{Card, CardType};
use crate::error_code::ErrorCode;
use crate::history::event::{Event, RebindRequested};
use crate::ids::{CardId, RebindId};
use crate::merchant::{BoundCard, EntityType, Merchant};
use crate::next_action::NextAction;
use crate::pii::{PersonName, Phone};
use crate::policy::Policy;
use crate::rebind::{Attempts, Mac, Purpose, Reason, Rebind, RebindState};
use crate::rejection::{FieldError, Rejection};
use crate::time::Timestamp;
use crate::transition::Transition;

/// What the merchant typed, each field parsed on its own, and what chance and the keys gave.
#[derive(Clone, Debug)]
pub struct Create {
    /// The card, or what is wrong with its number.
    pub card: Result<CardFacts, ErrorCode>,
    /// As typed.
    pub holder_name: PersonName,
    /// The phone, or what is wrong with it.
    pub reserved_phone: Result<Phone, ErrorCode>,
    /// `None` when it is neither of the two words.
    pub reason: Option<Reason>,
    /// What the card is for.
    pub purpose: Purpose,
    /// For the rebind's id.
    pub rebind_random: [u8; 16],
    /// For the card's id.
    pub card_random: [u8; 16],
}

/// What is known of a well-formed card number without the number.
#[derive(Clone, Debug)]
pub struct CardFacts {
    /// From the prefix table.
    pub bank_code: Option<String>,
    /// From the prefix table.
    pub card_type: CardType,
    /// The last four digits.
    pub last4: String,
    /// Keyed hash of the number.
    pub fingerprint: Mac,
}

impl Context<'_> {
    pub(super) fn create(&self, create: &Create) -> Result<Transition, Rejection> {
        let Merchant { head, profile, .. } = self.state;
        self.not_frozen()?;
        self.fresh_login()?;
        let (facts, reserved_phone, reason) = self.fields(create)?;
        may_rebind(self.state, self.policy, self.now)?;
        card_rules(self.state, facts)?;
        self.room_for(create.purpose)?;
        limits(self.state, self.policy, self.now)?;

        let number = head.rebinds.saturating_add(1);
        if number > RebindId::NUMBER_MAX {
            return Err(
                Rejection::new(ErrorCode::DailyRequestLimit).next(&[NextAction::ContactSupport])
            );
        }
        let new_card = Card {
            card_id: CardId::new(number, &create.card_random),
            bank_code: facts.bank_code.clone(),
            card_type: facts.card_type,
            last4: facts.last4.clone(),
            bound_at: self.now,
        };
        let rebind = Rebind {
            rebind_id: RebindId::new(number, &create.rebind_random),
            revision: 0,
            version: 0,
            purpose: create.purpose,
            reason,
            new_card,
            old_card: head.active.as_ref().map(|active| active.card.clone()),
            fingerprint: facts.fingerprint.clone(),
            reserved_phone: reserved_phone.clone(),
            created_at: self.now,
            expires_at: self.now.plus_s(self.policy.rebind_life_s),
            stage: RebindState::IdentityPending {
                mismatches: 0,
                matched: false,
                code: None,
                tries: Attempts::default(),
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
        let mut transition = self.advance(&rebind, stage, event);
        if let (Some(after), Some(created)) = (&mut transition.head, &transition.rebind) {
            after.rebinds = number;
            after.rebind_version = created.version;
            after.open = Some(number);
            after.requests.add(crate::policy::DAY_S, self.now);
        }
        Ok(transition)
    }

    /// Standby cards are few: each is a way to be paid that has to be looked after.
    fn room_for(&self, purpose: Purpose) -> Result<(), Rejection> {
        if purpose == Purpose::Standby && self.state.head.standby.len() >= self.policy.standby_max {
            return Err(Rejection::new(ErrorCode::StepOutOfOrder)
                .next(&[NextAction::ActivateStandby, NextAction::UnbindCard]));
        }
        Ok(())
    }

    /// Every bad field at once, the holder's name included.
    fn fields<'c>(
        &self,
        create: &'c Create,
    ) -> Result<(&'c CardFacts, &'c Phone, Reason), Rejection> {
        let mut errors = Vec::new();
        if let Err(code) = create.card {
            errors.push(FieldError {
                field: "card_number",
                code,
            });
        }
        if create.holder_name != *self.state.profile.holder_name() {
            errors.push(FieldError {
                field: "holder_name",
                code: ErrorCode::HolderNotMerchant,
            });
        }
        if let Err(code) = create.reserved_phone {
            errors.push(FieldError {
                field: "reserved_phone",
                code,
            });
        }
        if create.reason.is_none() {
            errors.push(FieldError {
                field: "reason",
                code: ErrorCode::RequestMalformed,
            });
        }
        match (&create.card, &create.reserved_phone, create.reason) {
            (Ok(card), Ok(phone), Some(reason)) if errors.is_empty() => Ok((card, phone, reason)),
            _ => Err(Rejection::of_fields(errors)
                .err()
                .unwrap_or_else(|| Rejection::new(ErrorCode::RequestMalformed))),
        }
    }
}

/// Company → quiet period → open rebind → cooldown: what stands in the way of any new rebind, first reason first.
pub(super) fn may_rebind(
    state: &Merchant,
    policy: &Policy,
    now: Timestamp,
) -> Result<(), Rejection> {
    if state.profile.entity_type == EntityType::Company {
        return Err(
            Rejection::new(ErrorCode::EntityNeedsSupport).next(&[NextAction::ContactSupport])
        );
    }
    quiet(state, policy, now)?;
    open_rebind(state, policy, now)?;
    cooldown(state, now)
}

/// One rebind at a time. One that is not loaded may be in time: then it is in the way.
fn open_rebind(state: &Merchant, policy: &Policy, now: Timestamp) -> Result<(), Rejection> {
    if state
        .head
        .open
        .is_some_and(|number| state.numbered(number).is_none())
    {
        return Err(Rejection::new(ErrorCode::RequestInProgress));
    }
    if let Some(open) = state.open_rebind(now) {
        return Err(Rejection::new(ErrorCode::RequestInProgress)
            .next(&super::next_actions(state, open, policy, now)));
    }
    Ok(())
}

/// The last activation is too recent.
pub(super) fn cooldown(state: &Merchant, now: Timestamp) -> Result<(), Rejection> {
    if let Some(until) = state.cooldown(now) {
        return Err(Rejection {
            cooldown_until: Some(until),
            ..Rejection::new(ErrorCode::RebindCooldown)
                .retry_after(seconds_until(until, now))
                .next(&[NextAction::Wait])
        });
    }
    Ok(())
}

/// Phone, password or name was changed a short while ago.
pub(super) fn quiet(state: &Merchant, policy: &Policy, now: Timestamp) -> Result<(), Rejection> {
    match state.quiet_until(policy, now) {
        None => Ok(()),
        Some(until) => Err(Rejection::new(ErrorCode::QuietPeriod)
            .retry_after(seconds_until(until, now))
            .next(&[NextAction::Wait])),
    }
}

fn card_rules(state: &Merchant, card: &CardFacts) -> Result<(), Rejection> {
    let refused = |code| Err(Rejection::new(code).field("card_number"));
    match card.card_type {
        CardType::Credit | CardType::QuasiCredit => return refused(ErrorCode::CardTypeCredit),
        CardType::Prepaid => return refused(ErrorCode::CardTypePrepaid),
        CardType::Debit | CardType::Unknown => {}
    }
    let head = &state.head;
    let is_same = |bound: &BoundCard| bound.fingerprint == card.fingerprint;
    if head.active.as_ref().is_some_and(is_same) {
        return refused(ErrorCode::CardSameAsCurrent);
    }
    if head.standby.iter().any(|standby| is_same(&standby.bound)) {
        // It is the merchant's already, and need not be proven again, unless that was too long ago.
        return Err(Rejection::new(ErrorCode::CardSameAsCurrent)
            .field("card_number")
            .next(&[NextAction::ActivateStandby, NextAction::UnbindCard]));
    }
    Ok(())
}

/// How many rebinds a day.
pub(super) fn limits(state: &Merchant, policy: &Policy, now: Timestamp) -> Result<(), Rejection> {
    match state
        .head
        .requests
        .wait_s(policy.rebinds_per_day, crate::policy::DAY_S, now)
    {
        None => Ok(()),
        Some(wait_s) => Err(Rejection::new(ErrorCode::DailyRequestLimit)
            .not_counted()
            .retry_after(wait_s)
            .next(&[NextAction::Wait])),
    }
}
