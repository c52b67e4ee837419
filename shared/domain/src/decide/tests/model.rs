//! A reference model of a merchant's cards and payouts. It derives them from events only (activations, freezes, reverts and
//! payouts), as a reader of the contract would. Every write is compared with it.

use super::fixture::POLICY;
use crate::decide::{Command, deposit_of};
use crate::event_kind::EventKind;
use crate::ids::{CardId, PayoutId};
use crate::merchant::Merchant;
use crate::payout::{Payout, PayoutState};
use crate::policy::DAY_S;
use crate::rebind::{Reason, RebindState};
use crate::time::Timestamp;
use crate::transition::{PayoutChange, Transition};
use std::collections::{BTreeMap, BTreeSet};

/// One activation.
#[derive(Clone, Debug)]
struct Activated {
    number: u32,
    card: CardId,
    old: Option<CardId>,
    old_is_lost: bool,
    is_short: bool,
    at: Timestamp,
    effective_at: Timestamp,
    /// True until the notification was handed over.
    waits: bool,
    /// `None` after the cooldown was cancelled.
    cooldown_until: Option<Timestamp>,
    /// True if it was frozen in its hold or reverted.
    undone: bool,
    /// True if that happened before it took effect.
    in_time: bool,
    /// True if an operator confirmed it, so that nothing can undo it any more.
    is_final: bool,
}

impl Activated {
    fn in_hold(&self, now: Timestamp) -> bool {
        self.waits || now < self.effective_at
    }
}

/// The model.
#[derive(Debug, Default)]
pub(super) struct Model {
    pointer: Option<CardId>,
    activations: Vec<Activated>,
    /// `Some` while frozen; true if payouts are held.
    frozen: Option<bool>,
    /// The standby cards and from when they are usable.
    standby: BTreeMap<CardId, Timestamp>,
    /// The standby cards that nobody was notified of, by rebind number.
    unseen: BTreeSet<u32>,
    /// Cards that payouts must not be assigned to: lost, frozen, reverted or unbound.
    bad: BTreeSet<CardId>,
    /// Cards that an operator decided against. Their unsent payouts wait for another card.
    barred: BTreeSet<CardId>,
    /// Removed cards.
    removed: BTreeSet<CardId>,
    /// The valid freeze codes: rebind number and end of validity, `None` while its card is a standby card.
    codes: BTreeMap<u32, Option<Timestamp>>,
    payouts: BTreeMap<PayoutId, Payout>,
    /// The sum of all created payouts, in fen.
    total_fen: u64,
    /// True if the clock ever went back. Past periods can then apply again, so "valid at" is not certain.
    went_back: bool,
}

/// The code of an activation that was undone while it waited works for some more days.
fn end_waiting_code(
    codes: &mut BTreeMap<u32, Option<Timestamp>>,
    undone: &mut Activated,
    now: Timestamp,
) {
    if std::mem::take(&mut undone.waits)
        && let Some(code) = codes.get_mut(&undone.number)
    {
        *code = Some(now.plus_s(7 * DAY_S));
    }
}

impl Model {
    pub(super) fn new(merchant: &Merchant) -> Self {
        let active = merchant.state.active.as_ref();
        Self {
            pointer: active.map(|active| active.card.card_id.clone()),
            ..Self::default()
        }
    }

    pub(super) fn payouts(&self) -> impl Iterator<Item = &Payout> {
        self.payouts.values()
    }

    /// True if the freeze code of this rebind is valid.
    pub(super) fn code_works(&self, number: u32, now: Timestamp) -> bool {
        let until = self.codes.get(&number);
        until.is_some_and(|until| until.is_none_or(|until| now < until))
    }

    fn last(&self) -> Option<&Activated> {
        self.activations
            .iter()
            .rev()
            .find(|one| !one.undone && !one.is_final)
    }

    /// The card of a payout that is created at `now`.
    fn valid_card(&self, now: Timestamp) -> Option<&CardId> {
        if self.frozen == Some(true) {
            return None;
        }
        match self.last().filter(|last| last.in_hold(now)) {
            Some(last) if last.old_is_lost => None,
            Some(last) => last.old.as_ref(),
            None => self.pointer.as_ref(),
        }
    }

    /// Applies a transition to the model and compares the results.
    pub(super) fn after(
        &mut self,
        before: &Merchant,
        act: &Command,
        transition: &Transition,
        after: &Merchant,
        now: Timestamp,
        went_back: bool,
    ) {
        self.went_back = went_back;
        if let Some(change) = &transition.payout {
            self.note_payout(change, now);
        }
        let kind = transition.event.as_ref().map(|event| event.kind());
        let was_frozen = self.frozen.is_some();
        match kind {
            Some(EventKind::Activated) => self.note_activation(before, now),
            Some(EventKind::StandbyReady) => self.note_standby(before, now),
            Some(EventKind::Reverted) => self.note_revert(before, now),
            Some(EventKind::Frozen) => {
                let holds = after
                    .state
                    .frozen
                    .is_some_and(|frozen| frozen.holds_payouts);
                self.note_freeze(before, act, holds, now);
            }
            Some(EventKind::Unfrozen) => self.note_unfreeze(act, now),
            Some(EventKind::ChangeNotified) => self.note_notified(before, now),
            Some(EventKind::CardUnbound | EventKind::CardRemoved) => {
                if let Command::Unbind(card) | Command::RemoveCard(card) = act {
                    assert_ne!(self.pointer.as_ref(), Some(card));
                    if self.standby.remove(card).is_some() {
                        self.end_standby_code(card, now);
                    }
                    self.bad.insert(card.clone());
                }
                if let Command::RemoveCard(card) = act {
                    self.removed.insert(card.clone());
                }
            }
            _ => {}
        }
        if was_frozen {
            // Only the operator ends a freeze. During a freeze only time-driven transitions and payouts are allowed.
            use EventKind as Kind;
            let goes_on = matches!(
                kind,
                None | Some(
                    Kind::Frozen
                        | Kind::FreezeCodeGuessed
                        | Kind::Unfrozen
                        // The operator can change back what someone talked the acquirer into.
                        | Kind::SecurityChanged
                        | Kind::DocumentRenewed
                        | Kind::TierChanged
                        | Kind::PayoutCreated
                        | Kind::PayoutSending
                        | Kind::PayoutReleased
                        | Kind::PayoutSent
                        | Kind::PayoutReturned
                        | Kind::Completed
                        | Kind::Expired
                        | Kind::CooldownEnded
                        | Kind::ChangeNotified
                        // Only a retired card, never one that the operator could restore.
                        | Kind::CardRemoved
                )
            ) || (kind == Some(Kind::PayoutAssigned)
                && !after
                    .state
                    .frozen
                    .is_some_and(|frozen| frozen.holds_payouts));
            assert!(goes_on, "{kind:?} during a freeze");
            let ended = after.state.frozen.is_none();
            assert_eq!(ended, kind == Some(EventKind::Unfrozen));
        }
        self.compare(after, now);
    }

    fn note_payout(&mut self, change: &PayoutChange, now: Timestamp) {
        let payout = change.payout();
        let id = &payout.payout_id;
        let card = payout.card.as_ref().map(|card| &card.card_id);
        if let PayoutChange::Created(payout) = change {
            assert!(!self.payouts.contains_key(id), "created twice");
            assert_eq!(
                (payout.created_at, payout.state),
                (now, PayoutState::Unsent)
            );
            self.is_paid_rightly(card, now);
            self.total_fen += payout.amount_fen;
        } else {
            let old = &self.payouts[id];
            assert_eq!(old.amount_fen, payout.amount_fen);
            assert_eq!(old.created_at, payout.created_at);
            match (&old.card, card) {
                // An operator's decision against the card is the only reason for another one.
                (Some(old), card) if card != Some(&old.card_id) => {
                    assert!(self.barred.contains(&old.card_id), "another card");
                    let states = (self.payouts[id].state, payout.state);
                    assert_eq!(states, (PayoutState::Unsent, PayoutState::Unsent));
                    self.is_paid_rightly(card, now);
                }
                (Some(_), _) => {}
                (None, None) => assert_eq!(payout.state, PayoutState::Returned),
                (None, card) => {
                    assert_ne!(self.frozen, Some(true), "assigned while payouts are held");
                    assert_eq!(payout.state, PayoutState::Unsent);
                    self.is_paid_rightly(card, now);
                }
            }
            if payout.state == PayoutState::Sending && old.state == PayoutState::Unsent {
                assert!(
                    card.is_some_and(|card| !self.barred.contains(card))
                        && self.frozen != Some(true),
                    "paid while held"
                );
            }
            // `Unsent` to `Unsent`: the payout gets its card. `Sending` to `Sending`: its card number is released again.
            let follows = matches!(
                (old.state, payout.state),
                (
                    PayoutState::Unsent,
                    PayoutState::Unsent | PayoutState::Sending
                ) | (
                    PayoutState::Sending,
                    PayoutState::Sending | PayoutState::Sent
                ) | (
                    PayoutState::Unsent | PayoutState::Sending | PayoutState::Sent,
                    PayoutState::Returned
                )
            );
            assert!(follows, "{:?} -> {:?}", old.state, payout.state);
        }
        self.payouts.insert(id.clone(), payout.clone());
    }

    fn is_paid_rightly(&self, card: Option<&CardId>, now: Timestamp) {
        if let Some(card) = card {
            assert!(!self.bad.contains(card), "paid to {card}");
            assert!(!self.standby.contains_key(card), "paid to a standby card");
            let mut all = self.activations.iter();
            let unseen = all.any(|one| one.waits && !one.undone && one.card == *card);
            assert!(!unseen, "paid to {card} before its notification");
        }
        if !self.went_back {
            assert_eq!(card, self.valid_card(now));
        }
    }

    fn note_activation(&mut self, before: &Merchant, now: Timestamp) {
        let rebind = before.rebind.as_ref().unwrap();
        let card = rebind.new_card.card_id.clone();
        assert!(
            self.went_back || !self.cools(now),
            "activated in a cooldown"
        );
        assert_eq!(self.frozen, None);
        let changed_at = before.state.security_changed_at;
        assert!(
            self.went_back || changed_at.is_none_or(|at| at.age_s_at(now) >= DAY_S),
            "activated in a quiet period"
        );
        let hold_s = match &rebind.stage {
            RebindState::Standby(_) => {
                let usable_at = self.standby.remove(&card).expect("a standby card");
                assert!(now >= usable_at);
                0
            }
            stage if deposit_of(stage).is_some() => 3 * DAY_S,
            _ if rebind.reason == Reason::Lost && self.pointer.is_some() => 3 * DAY_S,
            _ => DAY_S,
        };
        // The reason refers to the active card at the request; a switch happens later and ignores it.
        let is_switch = matches!(rebind.stage, RebindState::Standby(_));
        let lost = rebind.reason == Reason::Lost && self.pointer.is_some() && !is_switch;
        let year = 365 * DAY_S;
        // A short cooldown in the last year that was not undone.
        let used = self
            .activations
            .iter()
            .any(|one| one.is_short && !one.undone && one.at.age_s_at(now) < year);
        let is_short = lost && !used;
        let days = if is_short { 7 } else { 30 };
        let old = self.pointer.replace(card.clone());
        if lost {
            self.bad.extend(old.clone());
        }
        let number = rebind.rebind_id.number();
        let effective_at = now.plus_s(hold_s);
        let waits = !is_switch || self.unseen.remove(&number);
        let until = (!waits).then(|| effective_at.plus_s(7 * DAY_S));
        self.codes.insert(number, until);
        self.activations.push(Activated {
            number,
            card,
            old,
            old_is_lost: lost,
            is_short,
            at: now,
            effective_at,
            waits,
            cooldown_until: Some(now.plus_s(days * DAY_S)),
            undone: false,
            in_time: false,
            is_final: false,
        });
    }

    fn note_standby(&mut self, before: &Merchant, now: Timestamp) {
        let rebind = before.rebind.as_ref().unwrap();
        let deposit = deposit_of(&rebind.stage).is_some();
        let usable_at = now.plus_s(if deposit { 3 * DAY_S } else { DAY_S });
        let card = rebind.new_card.card_id.clone();
        self.standby.insert(card, usable_at);
        let number = rebind.rebind_id.number();
        self.codes.insert(number, None);
        self.unseen.insert(number);
    }

    fn note_notified(&mut self, before: &Merchant, now: Timestamp) {
        let number = before.rebind.as_ref().unwrap().rebind_id.number();
        if self.unseen.remove(&number) {
            return;
        }
        let last = self.activations.iter_mut().rev().find(|one| !one.undone);
        let last = last.unwrap();
        assert!(last.number == number && last.waits, "notified twice");
        last.waits = false;
        last.effective_at = last.effective_at.max(now.plus_s(DAY_S / 2));
        let until = last.effective_at.plus_s(7 * DAY_S);
        if let Some(code) = self.codes.get_mut(&number) {
            *code = Some(until);
        }
    }

    fn note_revert(&mut self, before: &Merchant, now: Timestamp) {
        let number = before.rebind.as_ref().unwrap().rebind_id.number();
        let last = self.activations.iter_mut().rev().find(|one| !one.undone);
        let last = last.unwrap();
        assert_eq!(last.number, number, "a later activation was undone");
        assert!(last.waits || now < last.effective_at.plus_s(7 * DAY_S));
        last.undone = true;
        last.in_time = last.in_hold(now);
        end_waiting_code(&mut self.codes, last, now);
        self.bad.insert(last.card.clone());
        let may_be_paid = |old: &CardId| !last.old_is_lost && !self.bad.contains(old);
        self.pointer = last.old.clone().filter(may_be_paid);
        assert!(self.went_back || self.pointer.is_some() || last.old.is_none() || last.old_is_lost);
    }

    fn note_freeze(&mut self, before: &Merchant, act: &Command, state_holds: bool, now: Timestamp) {
        let codes = before.state.freeze_codes.iter();
        let (number, by_operator) = match act {
            Command::Freeze(seq) => (codes.clone().find(|code| code.seq == *seq), false),
            Command::FreezeByOperator { .. } => {
                let live = codes.filter(|code| code.activation && code.works_at(now));
                (live.max_by_key(|code| code.seq), true)
            }
            _ => panic!("{act:?} freezes"),
        };
        let holds_all = by_operator && number.is_none();
        // 0 is no rebind: the operator freezes without a code.
        let number = &number.map_or(0, |code| code.rebind.unwrap());
        assert!(
            by_operator || self.code_works(*number, now),
            "the code does not work"
        );
        // An activation before an undone one cannot be undone, even if the clock has gone back.
        let last = self.activations.last_mut();
        let last = last.filter(|one| !one.undone && !one.is_final);
        if let Some(last) = last {
            if last.in_hold(now) {
                end_waiting_code(&mut self.codes, last, now);
                // A freeze in the hold restores the old card, even if it was reported lost, with any code.
                last.undone = true;
                last.in_time = true;
                self.bad.insert(last.card.clone());
                self.pointer.clone_from(&last.old);
                let off_record = |old: &CardId| self.removed.contains(old);
                if self.went_back && self.pointer.as_ref().is_some_and(off_record) {
                    // The clock has gone back to before the removal.
                    self.pointer = None;
                }
                if let Some(old) = &self.pointer {
                    self.bad.remove(old);
                }
            } else if last.number == *number {
                last.cooldown_until = None;
            }
        }
        // An activation in effect that can still be frozen. A later revert counts too, because payouts may have gone to
        // the card.
        let can_be_frozen = |one: &Activated| !one.in_time && self.code_works(one.number, now);
        let mut holds = self.activations.iter().any(can_be_frozen);
        if self.went_back {
            // A dropped code stays invalid even if the clock has gone back.
            holds = state_holds;
        }
        self.frozen = Some(holds || holds_all || self.frozen == Some(true));
        self.codes.remove(number);
        for card in std::mem::take(&mut self.standby).into_keys() {
            self.end_standby_code(&card, now);
            self.bad.insert(card);
        }
    }

    /// The operator has chosen a card, and the last activation is over.
    fn note_unfreeze(&mut self, act: &Command, now: Timestamp) {
        let Command::Unfreeze { card_id, .. } = act else {
            panic!("{act:?} ends a freeze")
        };
        assert!(
            !card_id
                .as_ref()
                .is_some_and(|card| self.barred.contains(card))
        );
        self.frozen = None;
        let active = self.pointer.take();
        let is_kept = active.is_some() && active == *card_id;
        let last = self.activations.last_mut();
        let last = last.filter(|one| !one.undone && !one.is_final);
        let mut lost: Vec<CardId> = active.into_iter().collect();
        if let Some(last) = last {
            self.codes.remove(&last.number);
            last.is_final = is_kept;
            last.undone = !is_kept;
            last.in_time = now < last.effective_at;
            lost.extend(last.old.clone());
        }
        for card in lost
            .into_iter()
            .filter(|card| Some(card) != card_id.as_ref())
        {
            self.bad.insert(card.clone());
            self.barred.insert(card);
        }
        if let Some(card) = card_id {
            self.bad.remove(card);
        }
        self.pointer.clone_from(card_id);
    }

    /// The code of a card that is no longer a standby card works for seven more days.
    fn end_standby_code(&mut self, card: &CardId, now: Timestamp) {
        if let Some(until) = self.codes.get_mut(&card.number()) {
            until.get_or_insert(now.plus_s(7 * DAY_S));
        }
    }

    /// True if an activation that was neither frozen nor reverted is younger than its cooldown.
    fn cools(&self, now: Timestamp) -> bool {
        self.activations.iter().any(|one| {
            let until = one.cooldown_until.filter(|_| !one.undone);
            until.is_some_and(|until| now < until)
        })
    }

    fn compare(&self, merchant: &Merchant, now: Timestamp) {
        let state = &merchant.state;
        let active = state.active.as_ref().map(|active| &active.card.card_id);
        assert_eq!(active, self.pointer.as_ref());
        let holds = state.frozen.map(|frozen| frozen.holds_payouts);
        assert_eq!(holds, self.frozen);
        let standby: BTreeMap<_, _> = state
            .standby
            .iter()
            .map(|standby| (standby.bound.card.card_id.clone(), standby.usable_at))
            .collect();
        assert_eq!(standby, self.standby);
        assert!(state.standby.len() <= POLICY.standby_max);

        // Every card appears once, and every unsent payout is counted with its card.
        let mut cards = BTreeSet::new();
        let replaced = state.replaced.iter().map(|replaced| &replaced.bound);
        let waiting = state.standby.iter().map(|standby| &standby.bound);
        for bound in state.active.iter().chain(waiting).chain(replaced) {
            assert!(cards.insert(bound.card.card_id.clone()), "duplicate card");
        }
        let count = |is: PayoutState, card: Option<&CardId>| {
            let all = self.payouts.values().filter(|payout| payout.state == is);
            all.filter(|payout| payout.card.as_ref().map(|card| &card.card_id) == card)
                .count()
        };
        for card in &cards {
            let bound = state.bound(card).unwrap();
            let counted = (bound.unsent as usize, bound.sending as usize);
            let expected =
                [PayoutState::Unsent, PayoutState::Sending].map(|is| count(is, Some(card)));
            assert_eq!(counted, expected.into());
        }
        assert_eq!(
            state.held_payouts as usize,
            count(PayoutState::Unsent, None)
        );
        for payout in self.payouts.values().filter(|payout| payout.is_pending()) {
            if let Some(card) = &payout.card {
                assert!(
                    cards.contains(&card.card_id),
                    "the card of a pending payout was removed"
                );
            }
        }
        let sum: u64 = self.payouts.values().map(|payout| payout.amount_fen).sum();
        assert_eq!(sum, self.total_fen);

        if self.went_back {
            return;
        }
        let paying = state.paying_card(now).map(|card| &card.card_id);
        assert_eq!(paying, self.valid_card(now));
        assert_eq!(merchant.cooldown(now).is_some(), self.cools(now));
        let works = |number: &u32| self.code_works(*number, now);
        let codes = state.freeze_codes.iter();
        let codes: BTreeSet<_> = codes
            .filter(|code| code.works_at(now))
            .filter_map(|code| code.rebind)
            .collect();
        assert_eq!(codes, self.codes.keys().copied().filter(works).collect());
    }
}
