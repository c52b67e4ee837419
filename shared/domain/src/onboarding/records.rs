//! What is stored of a new merchant.

use super::{CreatedBy, Onboarding};
use crate::bound_card::{BoundCard, Replaced, ReplacedCard};
use crate::decide::CardFacts;
use crate::history::event::{Event, MerchantCreated, Nullable};
use crate::history::{ChainedEvent, chain};
use crate::ids::{CardId, RebindId};
use crate::login::Account;
use crate::merchant::{LastActivation, MerchantState, Profile};
use crate::payout::{Payout, PayoutState, Releases};
use crate::policy::Policy;
use crate::rebind::{Activation, Mac, Sealed};
use crate::time::Timestamp;
use crate::transition::NewEvent;

/// A card with its id and its hash.
#[derive(Clone, Debug)]
pub struct CardParts {
    /// The id.
    pub card_id: CardId,
    /// What the number shows, with its hash.
    pub facts: CardFacts,
}

/// What keys and random bytes make of the secrets of a new merchant.
#[derive(Clone, Debug)]
pub struct KeyedParts {
    /// Keyed hash of the account.
    pub account: Mac,
    /// Keyed hash of the ID document.
    pub id_number_mac: Mac,
    /// The encrypted ID number.
    pub sealed_id_number: Sealed,
    /// A new history key.
    pub history_key: Sealed,
    /// The active card.
    pub card: Option<CardParts>,
    /// The card that receives payouts during a hold.
    pub replaced_card: Option<CardParts>,
}

/// The records of a new merchant.
#[derive(Clone, Debug)]
pub struct NewRecords {
    /// The record.
    pub profile: Profile,
    /// The account.
    pub account: Account,
    /// The state, before the first event.
    pub state: MerchantState,
    /// The unsent payouts.
    pub payouts: Vec<Payout>,
}

impl Onboarding {
    /// The records, from the parts that the keys made.
    #[must_use]
    pub fn records(&self, parts: &KeyedParts, policy: &Policy, now: Timestamp) -> NewRecords {
        let profile = self.profile(parts);
        let mut state = MerchantState::onboarded(self.settlement.clone());
        let bound = |card: &CardParts| BoundCard {
            card: card.facts.card(card.card_id.clone(), self.opened_at),
            fingerprint: card.facts.fingerprint.clone(),
            unsent: 0,
            sending: 0,
        };
        state.active = parts.card.as_ref().map(bound);
        state.cooldown_until = self
            .migration
            .cooldown_until
            .filter(|cooldown| now < *cooldown);
        state.cooldown_end_unannounced = state.cooldown_until.is_some();
        if let Some(hold) = self.hold(now) {
            let old = parts.replaced_card.as_ref();
            state.replaced.extend(old.map(|old| ReplacedCard {
                bound: bound(old),
                removable_at: hold.until.plus_s(policy.retire_after_effective_s),
                state: Replaced::Usable,
            }));
            state.last_activation = Some(LastActivation {
                // As of a card from onboarding, which has no rebind.
                number: 0,
                rebind_id: RebindId::new(0, &[0; 16]),
                times: Activation {
                    activated_at: now,
                    effective_at: hold.until,
                    cooldown_until: state.cooldown_until.unwrap_or(hold.until),
                    waits: false,
                },
                old_card: old.map(|old| old.card_id.clone()),
            });
        }
        let payouts = self.routed(&mut state);
        NewRecords {
            account: Account {
                merchant_id: self.merchant_id.clone(),
                password_hash: self.password_hash.expose().to_owned(),
                version: 1,
                legal_name_masked: profile.legal_name.masked(),
                entity_type: profile.entity_type,
                id_expires_on: profile.id_expires_on,
            },
            profile,
            state,
            payouts,
        }
    }

    fn profile(&self, parts: &KeyedParts) -> Profile {
        Profile {
            merchant_id: self.merchant_id.clone(),
            version: 1,
            account: parts.account.clone(),
            entity_type: self.entity_type,
            legal_name: self.legal_name.clone(),
            settlement_name: self.settlement_name.clone(),
            id_number_mac: parts.id_number_mac.clone(),
            document_type: self.document.kind(),
            id_expires_on: self.id_expires_on,
            phone_on_file: self.phone_on_file.clone(),
            previous_phone: None,
            opened_at: self.opened_at,
            daily_limit_max_fen: self.daily_limit_max_fen,
            fee_rate_bp: self.fee_rate_bp,
            sealed_id_number: Some(parts.sealed_id_number.clone()),
            history_key: Some(parts.history_key.clone()),
        }
    }

    /// The payouts with their cards, counted in the state. As for any payout that is created before the hold is over, that is
    /// the replaced card.
    fn routed(&self, state: &mut MerchantState) -> Vec<Payout> {
        let unsent = self.migration.unsent_payouts.iter();
        unsent
            .map(|unsent| {
                let card = state.paying_card(unsent.created_at).cloned();
                let bound = match &card {
                    Some(card) => state.bound_mut(&card.card_id),
                    None => None,
                };
                match bound {
                    Some(bound) => bound.unsent = bound.unsent.saturating_add(1),
                    None => state.held_payouts = state.held_payouts.saturating_add(1),
                }
                Payout {
                    payout_id: unsent.payout_id.clone(),
                    amount_fen: unsent.amount_fen,
                    created_at: unsent.created_at,
                    card,
                    state: PayoutState::Unsent,
                    releases: Releases::default(),
                }
            })
            .collect()
    }
}

impl NewRecords {
    /// The first event of the merchant's history. The state gets the new end of the chain.
    pub fn first_event(&mut self, by: CreatedBy, policy: &Policy, now: Timestamp) -> ChainedEvent {
        let state = &self.state;
        let hold = state.hold(now);
        let active = state.active.as_ref().map(|active| &active.card);
        let event = Event::MerchantCreated(MerchantCreated {
            by,
            entity_type: self.profile.entity_type,
            card_id: Nullable(active.map(|card| card.card_id.clone())),
            last4: Nullable(active.map(|card| card.last4.clone())),
            old_card_id: Nullable(hold.and_then(|hold| hold.old_card.clone())),
            effective_at: hold.map(|hold| hold.times.effective_at),
            cooldown_until: state.cooldown_until,
            settings: state.settlement.clone(),
            unsent_payouts: self.payouts.len() as u64,
        });
        let event = NewEvent {
            event,
            at: now,
            notifications: Vec::new(),
        };
        let merchant_id = &self.profile.merchant_id;
        chain(merchant_id, &mut self.state, event, None, policy)
    }
}
