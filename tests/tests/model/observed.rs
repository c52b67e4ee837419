//! Derives facts from a write: compares the rows before and after it, and the actions of people.

use crate::calls::{Answer, Call, text};
use crate::invariants::{
    CHAIN, CONTACT, COOLDOWN, FREEZE, Look, NOTIFIED, PAYOUT, PROOFS, looking,
};
use crate::requests::{Process, Who, Work};
use crate::rows::{Rows, key_in};
use crate::state::{State, code_for};
use crate::use_cases::Next;
use crate::world::World;
use application::ports::ReadPayouts;
use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::decide::BankAnswer;
use domain::event_kind::EventKind;
use domain::history::ChainedEvent;
use domain::ids::{PayoutId, RebindId};
use domain::merchant::MerchantState;
use domain::pii::Phone;
use domain::rebind::{OtpPurpose, RebindState};
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use std::mem::discriminant;
use store::item::Item;
use store::records::event;

/// Returns true if a transaction stores the request's reply: it is the request's last one.
fn keeps_reply(items: &[TransactWriteItem]) -> bool {
    let mut puts = items.iter().filter_map(TransactWriteItem::put);
    puts.any(|put| text(put.item(), "pk").starts_with("I#") && put.item().contains_key("status"))
}

/// Returns true for a rebind with a claim of the request whose reply this transaction stores.
fn is_claimed(rebind: &Item, items: &[TransactWriteItem]) -> bool {
    let rows = items.iter().filter_map(TransactWriteItem::put);
    let mut scopes = rows.filter_map(|row| text(row.item(), "pk").strip_prefix("I#"));
    let claims = rebind.keys().filter_map(|name| name.strip_prefix("c_"));
    let claims: Vec<&str> = claims.collect();
    scopes.any(|scope| {
        let (_, hash) = scope.split_once('.').unwrap_or_default();
        claims.iter().any(|claim| hash.starts_with(claim))
    })
}

fn releases_key(items: &[TransactWriteItem]) -> bool {
    let mut deletes = items.iter().filter_map(TransactWriteItem::delete);
    deletes.any(|delete| text(delete.key(), "pk").starts_with("I#"))
}

impl World {
    /// Counts a compared wrong OTP: its request is about to settle an attempt that it reserved, in this delivery or an
    /// earlier one.
    pub fn compared(&self, state: &mut State, process: &Process) {
        let (Work::Request(index), Some(request), Next::Call(Call::Transact(items))) = (
            &process.input.work,
            &process.input.request,
            &process.point.next,
        ) else {
            return;
        };
        let (Some(None), Some((id, purpose))) = (request.asks.typed(), request.asks.otp()) else {
            return;
        };
        if keeps_reply(items) && (has_written(process) || has_claim(process, items)) {
            let of = (request.who, id.number(), code_for(purpose));
            state.compared.entry(of).or_default().1.insert(*index);
        }
    }

    /// Records an executed transaction, both as intended by the use case and as executed.
    pub fn observe(
        &self,
        state: &mut State,
        process: &Process,
        before: &Rows,
        meant: &[TransactWriteItem],
        done: &[TransactWriteItem],
    ) {
        let rows = state.rows.0.clone();
        let looks = (self.look(before), self.look(&rows));
        match process.input.work {
            Work::CleanUp(_) => self.meets("the clean-up did something"),
            Work::Request(index) if keeps_reply(meant) => {
                state.effects[index] += 1;
                if has_claim(process, meant) && !has_written(process) {
                    self.meets("a claim was taken over");
                }
            }
            // The key was released: the request has had no effect.
            Work::Request(index) if releases_key(meant) => {
                state.effects[index] = state.effects[index].saturating_sub(1);
                self.meets("an idempotency key was freed");
            }
            Work::Request(_) | Work::Notification(..) => {}
        }
        let pks: Vec<String> = done.iter().map(|item| key_in(item).0).collect();
        let mut whose = (0..)
            .zip(&self.merchants)
            .filter(|(_, known)| pks.contains(&known.pk));
        let Some((who, _)) = whose.next() else {
            return;
        };
        let at = usize::from(who);
        let (before, after) = (&looks.0[at], &looks.1[at]);
        self.bank_answered(state, process, who);
        let events = done.iter().filter_map(TransactWriteItem::put);
        let mut events = events.filter(|put| text(put.item(), "sk").starts_with("E#"));
        match events.next() {
            Some(put) => {
                let event = event::read(put.item()).unwrap();
                self.happened(state, process, who, before, after, &event);
            }
            None if !is_silent(before, after) => {
                state.broken.insert(CHAIN);
            }
            None => {}
        }
    }

    /// The bank's answer becomes a proof when it is written.
    fn bank_answered(&self, state: &mut State, process: &Process, who: Who) {
        let number = match (&process.input.work, &process.input.request) {
            (Work::CleanUp(due), _) => due.rebind(),
            (_, Some(request)) => request.asks.otp().map(|(id, _)| id.number()),
            _ => None,
        };
        let Some(number) = number else {
            return;
        };
        for answer in &process.point.answers {
            match **answer {
                Answer::Checked(BankAnswer::Match(_))
                | Answer::CheckKnown(Some(BankAnswer::Match(_))) => {
                    let proofs = state.proofs.entry((who, number)).or_default();
                    proofs.bank_at = Some(process.input.at);
                }
                Answer::Transferred(TransferAnswer::Succeeded)
                | Answer::TransferKnown(Some(TransferAnswer::Succeeded)) => {
                    state.proofs.entry((who, number)).or_default().deposit = true;
                }
                _ => {}
            }
        }
    }

    fn happened(
        &self,
        state: &mut State,
        process: &Process,
        who: Who,
        before: &Look,
        after: &Look,
        event: &ChainedEvent,
    ) {
        let at = process.input.at;
        for notification in &event.notifications {
            state
                .notified
                .insert((who, event.seq, notification.to()), 0);
        }
        let request = process.input.request.as_ref();
        // A proof is an action of a person: an OTP that was sent and typed, or a signature.
        let typed = request.and_then(|request| {
            let code = request.asks.typed()?.as_ref()?;
            let (id, purpose) = request.asks.otp()?;
            let shown = state.codes.get(&(who, id.number(), code_for(purpose)))?;
            shown.contains(code).then(|| (id.number(), purpose))
        });
        match (event.kind(), typed) {
            (EventKind::IdentityConfirmed, Some((number, OtpPurpose::Identity))) => {
                state.proofs.entry((who, number)).or_default().identity_at = Some(at);
            }
            (EventKind::Activated | EventKind::StandbyReady, Some((number, OtpPurpose::Card))) => {
                state.proofs.entry((who, number)).or_default().card_otp = true;
            }
            (EventKind::Activated, Some((number, OtpPurpose::Activate))) => {
                state.proofs.entry((who, number)).or_default().switch_code = true;
            }
            _ => {}
        }
        match event.kind() {
            EventKind::AgreementSigned => {
                if let Some(crate::requests::Asks::Sign(id, _)) = request.map(|one| &one.asks) {
                    state.proofs.entry((who, id.number())).or_default().signed = true;
                }
            }
            EventKind::Activated => self.activated(state, who, (before, after), event, at),
            EventKind::Frozen => {
                self.meets("an account was frozen");
                let hold = before.facts.last().filter(|one| !one.is_effective(at));
                let after = after.merchant.as_ref();
                let active = after.and_then(|after| after.state.active.as_ref());
                let active = active.map(|bound| bound.card.card_id.as_str());
                if hold.is_some_and(|hold| active != hold.old.as_deref()) {
                    state.broken.insert(FREEZE);
                }
            }
            EventKind::SecurityChanged => {
                self.meets("a contact was changed");
                let kept = after.merchant.as_ref().map(|after| &after.state);
                let ends = |kept: &MerchantState| {
                    kept.open.is_none() && kept.sessions.iter().all(Option::is_none)
                };
                if !kept.is_some_and(ends) {
                    state.broken.insert(CONTACT);
                }
            }
            EventKind::Unfrozen => self.meets("a freeze was ended"),
            EventKind::ChangeNotified => self.meets("an announcement was handed over"),
            EventKind::PayoutCreated | EventKind::PayoutAssigned => {
                if event.kind() == EventKind::PayoutAssigned {
                    self.meets("a waiting payout got its card");
                }
                let paid = self.payout_card(&state.rows.0, event);
                if paid.as_deref() != before.facts.paid(at) {
                    state.broken.insert(PAYOUT);
                }
            }
            EventKind::StandbyReady => self.meets("a standby card is ready"),
            _ => {}
        }
    }

    fn activated(
        &self,
        state: &mut State,
        who: Who,
        (before, after): (&Look, &Look),
        event: &ChainedEvent,
        at: Timestamp,
    ) {
        self.meets("a card was activated");
        let id = event.data()["rebind_id"].as_str().and_then(RebindId::parse);
        let id = id.unwrap();
        let of = |look: &'_ Look| {
            let mut rebinds = look.rebinds.iter();
            rebinds
                .find(|rebind| rebind.rebind_id == id)
                .cloned()
                .unwrap()
        };
        let was_standby = matches!(of(before).stage, RebindState::Standby(_));
        if !is_proven(state, who, id.number(), was_standby, at) {
            state.broken.insert(PROOFS);
        }
        if before.facts.cools(at) {
            state.broken.insert(COOLDOWN);
        }
        let merchant = before.merchant.as_ref().unwrap();
        let must = [
            merchant.profile.phone_on_file.clone(),
            of(after).reserved_phone,
        ];
        let notifications = event.notifications.iter();
        let phones = notifications.filter_map(|one| one.phone(&merchant.profile));
        let is_notified = |phone: &Phone| phones.clone().any(|one| one == phone);
        if !must.iter().all(is_notified) {
            state.broken.insert(NOTIFIED);
        }
    }

    /// The card of an event's payout.
    fn payout_card(&self, rows: &Rows, event: &ChainedEvent) -> Option<String> {
        let id = PayoutId::parse(event.data()["payout_id"].as_str().unwrap()).unwrap();
        let store = looking(rows);
        let read = futures::executor::block_on(store.payout(&id, None)).unwrap();
        let card = read.0.unwrap().payout.card?;
        Some(card.card_id.as_str().to_owned())
    }
}

/// Returns true if the use case has written before.
fn has_written(process: &Process) -> bool {
    let mut answers = process.point.answers.iter();
    answers.any(|answer| matches!(**answer, Answer::Written))
}

/// Returns true if the use case has found the claim of an earlier delivery, whose reply this transaction stores.
fn has_claim(process: &Process, items: &[TransactWriteItem]) -> bool {
    process.point.answers.iter().any(|answer| match &**answer {
        Answer::Cancelled(reasons) => {
            let mut rows = reasons.iter().filter_map(|(_, row)| row.as_ref());
            rows.any(|row| is_claimed(&row.item, items))
        }
        Answer::Rows(rows) => rows.iter().any(|row| is_claimed(&row.item, items)),
        _ => false,
    })
}

/// Returns true if the actions of people prove a rebind recently enough.
fn is_proven(state: &State, who: Who, number: u32, was_standby: bool, at: Timestamp) -> bool {
    let Some(proofs) = state.proofs.get(&(who, number)) else {
        return false;
    };
    if was_standby {
        return proofs.switch_code && proofs.signed && proofs.card_otp;
    }
    let fresh =
        |since: Option<Timestamp>, most_s| since.is_some_and(|one| one.age_s_at(at) <= most_s);
    let card = proofs.deposit || fresh(proofs.bank_at, 30 * 60);
    fresh(proofs.identity_at, 15 * 60) && proofs.signed && card && proofs.card_otp
}

/// Returns true if a write without an event kept the state of each rebind and the active card. Only attempts, OTPs and bank
/// calls may change without an event.
fn is_silent(before: &Look, after: &Look) -> bool {
    let states = |look: &Look| -> Vec<_> {
        let rebinds = look.rebinds.iter();
        rebinds
            .map(|one| (one.rebind_id.clone(), discriminant(&one.stage)))
            .collect()
    };
    let active = |look: &Look| look.merchant.as_ref().map(|one| one.state.active.clone());
    states(before) == states(after) && active(before) == active(after)
}
