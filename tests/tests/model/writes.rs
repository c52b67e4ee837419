//! Writes: the store's own, with their conditions; what each says about the world.

use crate::bugs::Bug;
use crate::invariants::{CHAIN, COOLDOWN, FREEZE, PAYOUT, PROOFS, TOLD};
use crate::requests::{Asks, Loaded, Process, Who};
use crate::state::State;
use crate::steps::{Kept, Next, again};
use crate::world::World;
use api::reply::Reply;
use application::ports::{
    Commit, CommitOutcome, IdempotencyKey, IdempotencyLookup, PortError, Remember, StoredReply,
};
use domain::decide::{Command, CommandContext, decide};
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::history::ChainedEvent;
use domain::merchant::Merchant;
use domain::pii::Phone;
use domain::rebind::{Rebind, RebindState};
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::transition::{Decision, Transition};
use std::mem::discriminant;
use store::records::idempotency;

/// What a write came to.
pub enum Wrote {
    Done(Box<Merchant>, Decision, u16),
    Replayed(u16),
    Claimed(String),
    CodeLimit,
    BoundElsewhere,
    Conflict,
}

/// How a write remembers its request.
#[derive(Clone, Copy)]
pub enum Keep<'a> {
    Reply,
    Claim(&'a str),
    Nothing,
    Forget,
}

impl World {
    pub fn decided(
        &self,
        merchant: &Merchant,
        by: Option<u8>,
        act: Command,
        state: &State,
    ) -> Result<Transition, Rejection> {
        let (merchant, policy) = self.bug.misread(merchant, self.policy);
        decide(&merchant, &CommandContext { by, act }, &policy, state.now)
    }

    /// A refusal that changed nothing: unless this request was answered before.
    pub fn refused(
        &self,
        state: &mut State,
        process: &mut Process,
        index: usize,
        refusal: &Rejection,
    ) -> Next {
        if matches!(state.requests[index].0.asks, Asks::Freeze(_)) {
            return match refusal.code {
                ErrorCode::NotFound => Next::Answered(202),
                _ => again(process),
            };
        }
        let status = match self.found(state, index) {
            IdempotencyLookup::Reply(kept) => {
                self.meets("a reply was repeated");
                kept.status
            }
            _ => Reply::problem(refusal, "model").status,
        };
        Next::Answered(status)
    }

    pub fn was_begun(&self, state: &State, index: usize, kept: &Kept) -> bool {
        matches!(self.found(state, index), IdempotencyLookup::Claimed(context) if context == kept.context())
    }

    pub fn found(&self, state: &State, index: usize) -> IdempotencyLookup {
        let key = key(index);
        let row = state.rows.0.get(&format!("I#{}", key.scope), "I");
        row.map_or(IdempotencyLookup::Nothing, |row| {
            idempotency::read(&row.item, &key, state.now).unwrap()
        })
    }

    pub fn write(
        &self,
        state: &mut State,
        index: Option<usize>,
        slot: Option<u8>,
        loaded: &Loaded,
        mut transition: Transition,
        keep: Keep<'_>,
    ) -> Wrote {
        let before = &*loaded.merchant;
        self.bug.spoil(before, &mut transition);
        let event = transition.chained(before, None, self.policy);
        let after = transition.applied_to(before);
        let (status, kept) = match &transition.outcome {
            Decision::Refused(refusal) => {
                let reply = Reply::problem(refusal, "model");
                (reply.status, reply.is_kept())
            }
            Decision::Done | Decision::Proceed => (200, true),
        };
        let phone_key = transition
            .otp_delivery
            .as_ref()
            .map(|send| format!("of {}", send.phone.e164()));
        // What a reply says is not the model's matter.
        let stored = StoredReply {
            status,
            body: "{}".to_owned(),
        };
        let key = index.map(key);
        let keyed = slot.is_some() && self.bug != Bug::ForgetsReplies;
        let remember = match (&key, keep) {
            (Some(key), Keep::Claim(context)) if keyed => Remember::Claim(key, context),
            (Some(key), Keep::Reply) if keyed && kept => Remember::Reply(key, &stored),
            (Some(key), Keep::Forget) if keyed => Remember::Forget(key),
            _ => Remember::Nothing,
        };
        let commit = Commit {
            before,
            transition: &transition,
            event: event.as_ref(),
            phone_key: phone_key.as_deref(),
            session: slot,
            remember,
            now: state.now,
        };
        let mut writes = self.store.writes(&commit).unwrap();
        self.bug.spoil_writes(&mut writes.items);
        let mut rows = state.rows.0.clone();
        match rows.transact(&writes.items) {
            Ok(()) => {
                self.record(&state.rows.0, &writes.items, true);
                let who = self.who_is(before);
                state.before.0 = std::mem::replace(&mut state.rows.0, rows);
                if let (Some(index), true, Keep::Reply) = (index, kept, keep) {
                    state.effects[index] += 1;
                }
                match &event {
                    Some(event) => self.noted(state, who, before, &after, &transition, event),
                    None if !is_silent(before, &after) => {
                        state.broken.insert(CHAIN);
                    }
                    None => {}
                }
                Wrote::Done(Box::new(after), transition.outcome.clone(), status)
            }
            Err(reasons) => {
                self.record(&state.rows.0, &writes.items, false);
                self.meets("a write came too late");
                match writes.cancelled(&commit, &reasons) {
                    Ok(CommitOutcome::Before(IdempotencyLookup::Reply(kept))) => {
                        Wrote::Replayed(kept.status)
                    }
                    Ok(CommitOutcome::Before(IdempotencyLookup::Claimed(context))) => {
                        Wrote::Claimed(context)
                    }
                    Ok(CommitOutcome::CodeLimit { .. }) => Wrote::CodeLimit,
                    Ok(CommitOutcome::BoundElsewhere) => Wrote::BoundElsewhere,
                    // The core is told that the payout is there.
                    Ok(CommitOutcome::PayoutExists(_)) => Wrote::Replayed(200),
                    Ok(CommitOutcome::Before(IdempotencyLookup::Nothing))
                    | Err(PortError::Conflict) => Wrote::Conflict,
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// What a transition that is written now says about the world.
    #[allow(clippy::too_many_arguments)]
    pub fn noted(
        &self,
        state: &mut State,
        who: Who,
        before: &Merchant,
        after: &Merchant,
        transition: &Transition,
        event: &ChainedEvent,
    ) {
        // From here on the stream has it, if somebody is to be told.
        let row = self.event_row(state, who, event.seq);
        if row.item.contains_key("notice") {
            state.stream.push((who, event.seq, 0));
        }
        for notice in &event.notices {
            state.told.insert((who, event.seq, notice.to()), 0);
        }
        match event.kind() {
            EventKind::AgreementSigned => {
                let number = after.rebind.as_ref().unwrap().rebind_id.number();
                state.proofs.entry((who, number)).or_default().signed = true;
            }
            EventKind::Activated => {
                let rebind = after.rebind.as_ref().unwrap();
                self.meets("a card was activated");
                if !self.is_proven(state, who, rebind, before) {
                    state.broken.insert(PROOFS);
                }
                if self.look(&state.before.0)[usize::from(who)]
                    .facts
                    .cools(state.now)
                {
                    state.broken.insert(COOLDOWN);
                }
                let on_file = &before.profile.phone_on_file;
                let must = [
                    Some(on_file),
                    Some(&rebind.reserved_phone).filter(|phone| *phone != on_file),
                ];
                let told = |phone: &&Phone| {
                    event
                        .notices
                        .iter()
                        .any(|notice| notice.phone() == Some(*phone))
                };
                if !must.iter().flatten().all(told) {
                    state.broken.insert(TOLD);
                }
            }
            EventKind::Frozen => {
                self.meets("an account was frozen");
                let look = self.look(&state.before.0);
                let hold = look[usize::from(who)]
                    .facts
                    .moves
                    .iter()
                    .rev()
                    .find(|one| !one.undone);
                let hold = hold.filter(|one| state.now < one.effective_at);
                let active = after.head.active.as_ref();
                let active = active.map(|bound| bound.card.card_id.as_str());
                if let Some(hold) = hold
                    && active != hold.old.as_deref()
                {
                    state.broken.insert(FREEZE);
                }
            }
            EventKind::PayoutCreated => {
                let look = self.look(&state.before.0);
                let facts = &look[usize::from(who)].facts;
                let payout = transition.payout.as_ref().unwrap().payout();
                let card = payout.card.as_ref().map(|card| card.card_id.as_str());
                if card != facts.paid(state.now) {
                    state.broken.insert(PAYOUT);
                }
            }
            EventKind::StandbyReady => {
                self.meets("a standby card is ready");
            }
            _ => {}
        }
    }

    /// Whether this very rebind was proven, and lately: by what people did.
    pub fn is_proven(&self, state: &State, who: Who, rebind: &Rebind, before: &Merchant) -> bool {
        let Some(proofs) = state.proofs.get(&(who, rebind.rebind_id.number())) else {
            return false;
        };
        let was_standby = before
            .rebind
            .as_ref()
            .is_some_and(|rebind| matches!(rebind.stage, RebindState::Standby(_)));
        if was_standby {
            return proofs.switch_code && proofs.signed && proofs.card_otp;
        }
        let fresh =
            |at: Option<Timestamp>, most_s| at.is_some_and(|at| at.age_s_at(state.now) <= most_s);
        let card = proofs.deposit || fresh(proofs.bank_at, 30 * 60);
        fresh(proofs.identity_at, 15 * 60) && proofs.signed && card && proofs.card_otp
    }
}

/// Whether a write without an event left every rebind in the stage where it was: only tries, codes and bank calls may move
/// without a word in the history.
fn is_silent(before: &Merchant, after: &Merchant) -> bool {
    let stage = |merchant: &Merchant| merchant.rebind.as_ref().map(|one| discriminant(&one.stage));
    stage(before) == stage(after) && before.head.active == after.head.active
}

pub fn key(index: usize) -> IdempotencyKey {
    IdempotencyKey {
        scope: format!("request {index}"),
        fingerprint: "its body".to_owned(),
    }
}
