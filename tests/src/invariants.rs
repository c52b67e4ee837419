//! Invariants of a table after any run, checked on the items alone.
//!
//! The checks decode items with the store's own records. Golden files, which no code regenerates, protect these records
//! against a change of format.

use crate::dynamodb_table::{Items, item_of};
use application::ports::PortError;
use domain::card::Card;
use domain::event_kind::EventKind;
use domain::history::{self, ChainedEvent, GENESIS};
use domain::ids::CardId;
use domain::merchant::{BoundCard, MerchantState, Profile};
use domain::operator::{Actor, AuditEntry, Grounds, ReasonCode};
use domain::payout::{Payout, PayoutState};
use domain::rebind::{End, Rebind, RebindState};
use domain::time::Timestamp;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use store::due::buckets;
use store::records::{audit, event, merchant_state, payout, profile, proposal, rebind};
use store::shards::DueShards;

/// All items of one merchant.
struct Whole {
    id: String,
    state: MerchantState,
    profile: Profile,
    rebinds: BTreeMap<u32, Rebind>,
    events: Vec<ChainedEvent>,
    /// The cards seeded with the merchant.
    cards: BTreeSet<String>,
    /// Current and former devices, by id and tag.
    devices: BTreeMap<(String, String), bool>,
    /// The payouts that are not reported as sent or returned.
    pending: Vec<Payout>,
}

/// The violations in a table at `now`, one sentence each.
#[must_use]
pub fn violations(items: &Items, now: Timestamp) -> Vec<String> {
    let mut wrong = Wrong::default();
    let names: BTreeSet<&str> = items
        .keys()
        .filter_map(|(pk, _)| pk.strip_prefix("M#"))
        .collect();
    let merchants: BTreeMap<&str, Whole> = names
        .iter()
        .filter_map(|id| Some((*id, whole(items, id, &mut wrong)?)))
        .collect();
    for merchant in merchants.values() {
        wrong.of.clone_from(&merchant.id);
        history_is_whole(merchant, &mut wrong);
        rebinds_agree(merchant, now, &mut wrong);
        cards_agree(merchant, &mut wrong);
        events_agree(merchant, &mut wrong);
        payouts_agree(merchant, items, &mut wrong);
        devices_agree(merchant, &mut wrong);
    }
    wrong.of = "the table".to_owned();
    due_can_be_found(items, &mut wrong);
    fingerprints_agree(items, &merchants, &mut wrong);
    audits_are_whole(items, &mut wrong);
    nothing_is_left_over(items, &merchants, &mut wrong);
    wrong.violations
}

#[derive(Default)]
struct Wrong {
    of: String,
    violations: Vec<String>,
}

impl Wrong {
    fn unless(&mut self, holds: bool, what: impl FnOnce() -> String) {
        if !holds {
            self.violations.push(format!("{}: {}", self.of, what()));
        }
    }

    /// The decoded value of an item.
    fn unless_read<T>(&mut self, pk: &str, sk: &str, read: Result<T, PortError>) -> Option<T> {
        read.map_err(|error| self.violations.push(format!("{pk} {sk}: {error}")))
            .ok()
    }
}

fn text<'i>(item: &'i Value, name: &str) -> Option<&'i str> {
    item[name]["S"].as_str()
}

fn number<T: std::str::FromStr>(item: &Value, name: &str) -> Option<T> {
    item[name]["N"].as_str()?.parse().ok()
}

fn whole(items: &Items, id: &str, wrong: &mut Wrong) -> Option<Whole> {
    let pk = format!("M#{id}");
    let get = |sk: &str| items.get(&(pk.clone(), sk.to_owned()));
    let (Some(state), Some(profile)) = (get("Y"), get("Z")) else {
        wrong.unless(false, || {
            format!("{id} has no merchant state or no profile")
        });
        return None;
    };
    let state = wrong.unless_read(&pk, "Y", merchant_state::read(&item_of(state)));
    let profile = wrong.unless_read(&pk, "Z", profile::read(&item_of(profile)));
    let (state, profile) = (state?, profile?);
    let mut merchant = Whole {
        id: id.to_owned(),
        state,
        profile,
        rebinds: BTreeMap::new(),
        events: Vec::new(),
        cards: BTreeSet::new(),
        devices: BTreeMap::new(),
        pending: Vec::new(),
    };
    for ((of, sk), item) in items {
        if *of != pk {
            continue;
        }
        match sk.split_once('#') {
            Some(("R", number)) => {
                let number = u32::from_str_radix(number, 16).ok()?;
                let rebind = wrong.unless_read(&pk, sk, rebind::read(&item_of(item)));
                merchant
                    .rebinds
                    .extend(rebind.map(|rebind| (number, rebind)));
            }
            Some(("E", _)) => {
                let event = wrong.unless_read(&pk, sk, event::read(&item_of(item)));
                merchant.events.extend(event);
            }
            Some(("C", card)) => {
                merchant.cards.insert(card.to_owned());
            }
            Some(("N", device)) => {
                let (device, tag) = device.rsplit_once('#')?;
                let key = (device.to_owned(), tag.to_owned());
                let is_registered = item["removed_at"].is_null();
                merchant.devices.insert(key, is_registered);
            }
            Some(("P", _)) => {
                let payout = wrong.unless_read(&pk, sk, payout::read_entry(&item_of(item)));
                merchant.pending.extend(payout);
            }
            _ => wrong.unless(sk == "Y" || sk == "Z", || {
                format!("{sk} is not an item of a merchant")
            }),
        }
    }
    Some(merchant)
}

/// The chain has no gap and no fork, and ends at the merchant state's last event.
fn history_is_whole(merchant: &Whole, wrong: &mut Wrong) {
    let mut prev = GENESIS;
    for (seq, event) in (1..).zip(&merchant.events) {
        wrong.unless(event.seq == seq, || format!("event {seq} is missing"));
        let links = event.prev_hash == prev && history::hash(event) == event.hash;
        wrong.unless(links, || format!("the chain is broken at {}", event.seq));
        prev = &event.hash;
    }
    let last = merchant.events.last().map_or(0, |event| event.seq);
    let state = &merchant.state;
    let ends = state.last_seq == last && state.last_hash == prev;
    wrong.unless(ends, || {
        format!(
            "the merchant state ends at {}, the chain at {last}",
            state.last_seq
        )
    });
}

/// At most one rebind is open, and the merchant state points to it.
fn rebinds_agree(merchant: &Whole, now: Timestamp, wrong: &mut Wrong) {
    let state = &merchant.state;
    let numbers: Vec<u32> = merchant.rebinds.keys().copied().collect();
    wrong.unless(numbers.iter().copied().eq(1..=state.rebinds), || {
        format!(
            "rebinds {numbers:?}, but {} in the merchant state",
            state.rebinds
        )
    });
    if let Some(latest) = merchant.rebinds.get(&state.rebinds) {
        wrong.unless(latest.version == state.rebind_version, || {
            let version = latest.version;
            format!(
                "version {version} of the latest rebind, but {} in the merchant state",
                state.rebind_version
            )
        });
    }
    for (number, rebind) in &merchant.rebinds {
        let is_current = state.open == Some(*number);
        let is_open = rebind.stage.is_open();
        // The clean-up has not yet ended a rebind that was overdue when a later one began.
        wrong.unless(!is_open || is_current || rebind.is_overdue(now), || {
            format!("rebind {number} is open beside {:?}", state.open)
        });
        wrong.unless(is_open || !is_current, || {
            format!("the merchant state's open rebind {number} is closed")
        });
        let keeps = rebind.sealed_number.is_some();
        let is_bound = state.bound(&rebind.new_card.card_id).is_some();
        // A frozen card stays without its number until its removal.
        let ended = matches!(rebind.stage, RebindState::Ended { .. });
        let fits = if keeps {
            is_open || is_bound
        } else {
            !is_open && (!is_bound || ended)
        };
        wrong.unless(fits, || {
            format!("rebind {number}: stored card number {keeps}")
        });
    }
    wrong.unless(
        state
            .open
            .is_none_or(|open| merchant.rebinds.contains_key(&open)),
        || "the merchant state's open rebind does not exist".to_owned(),
    );
}

fn bound_cards(state: &MerchantState) -> impl Iterator<Item = &BoundCard> {
    let standby = state.standby.iter().map(|standby| &standby.bound);
    let replaced = state.replaced.iter().map(|replaced| &replaced.bound);
    state.active.iter().chain(standby).chain(replaced)
}

/// Each card exists once, with the rebind that added it. The active card is the one of the last activation.
fn cards_agree(merchant: &Whole, wrong: &mut Wrong) {
    let state = &merchant.state;
    let mut seen = BTreeSet::new();
    for bound in bound_cards(state) {
        let id = &bound.card.card_id;
        wrong.unless(seen.insert(id.as_str()), || {
            format!("{id:?} is attached twice")
        });
        if id.number() == 0 {
            wrong.unless(merchant.cards.contains(id.as_str()), || {
                "the first card's number is missing".to_owned()
            });
            continue;
        }
        let rebind = merchant.rebinds.get(&id.number());
        let fits = rebind.is_some_and(|rebind| {
            rebind.new_card.card_id == *id && rebind.fingerprint == bound.fingerprint
        });
        wrong.unless(fits, || format!("{id:?} has no rebind"));
    }
    for card in &merchant.cards {
        let is_bound = seen.contains(card.as_str());
        wrong.unless(is_bound, || {
            "a removed card's number is still stored".to_owned()
        });
    }
    let stage = |card: &CardId| {
        let rebind = merchant.rebinds.get(&card.number());
        rebind.map(|rebind| &rebind.stage)
    };
    if let Some(active) = &state.active {
        let stage = stage(&active.card.card_id);
        let activated_card = stage.is_none_or(|stage| {
            matches!(stage, RebindState::Activated(_) | RebindState::Completed(_))
        });
        wrong.unless(activated_card, || {
            "the active card has no activation".to_owned()
        });
    }
    for standby in &state.standby {
        let waits = matches!(
            stage(&standby.bound.card.card_id),
            Some(RebindState::Standby(_))
        );
        wrong.unless(waits, || {
            "a standby card is not in the standby state".to_owned()
        });
    }
    if let Some(last) = &state.last_activation {
        let pointed = state
            .active
            .as_ref()
            .map(|active| active.card.card_id.number());
        wrong.unless(pointed == Some(last.number), || {
            format!(
                "activated {}, but the active card is {pointed:?}",
                last.number
            )
        });
    }
    if let Some(until) = state.cooldown_until {
        let of_last = state
            .last_activation
            .as_ref()
            .is_some_and(|last| last.times.cooldown_until == until);
        wrong.unless(of_last, || "a cooldown without its activation".to_owned());
    }
    wrong.unless(
        !state.cooldown_end_unannounced || state.cooldown_until.is_some(),
        || "a due cooldown-end notification without a cooldown".to_owned(),
    );
}

/// Rebinds and payouts agree with their history.
fn events_agree(merchant: &Whole, wrong: &mut Wrong) {
    let of = |id: &str, kind: EventKind, fact: &str| {
        let mut count = 0;
        for event in &merchant.events {
            let same = event.data().get(fact).and_then(Value::as_str) == Some(id);
            count += usize::from(same && event.kind() == kind);
        }
        count
    };
    for (number, rebind) in &merchant.rebinds {
        let id = rebind.rebind_id.as_str();
        let count = |kind| of(id, kind, "rebind_id");
        wrong.unless(count(EventKind::RebindRequested) == 1, || {
            format!("rebind {number} was not requested exactly once")
        });
        let activated = count(EventKind::Activated);
        let activated_card = rebind.activated_card().is_some();
        wrong.unless(
            activated <= 1 && (activated == 1 || !activated_card),
            || format!("rebind {number} was activated {activated} times"),
        );
        let ended = [
            (End::Cancelled, count(EventKind::Cancelled)),
            (End::Expired, count(EventKind::Expired)),
            (End::Reverted, count(EventKind::Reverted)),
            (
                End::Rejected,
                count(EventKind::Rejected) + count(EventKind::MicroDepositReturned),
            ),
        ];
        for (how, times) in ended {
            let is_how =
                matches!(rebind.stage, RebindState::Ended { how: found, .. } if found == how);
            // A freeze ends an overdue rebind without a separate event.
            let most = usize::from(is_how);
            wrong.unless(times <= most, || {
                format!("rebind {number} ended {times} times as {how:?}")
            });
        }
    }
    for kind in [
        EventKind::PayoutCreated,
        EventKind::PayoutAssigned,
        EventKind::PayoutSending,
        EventKind::PayoutReleased,
        EventKind::PayoutSent,
        EventKind::PayoutReturned,
    ] {
        let mut seen = BTreeSet::new();
        for event in merchant.events.iter().filter(|event| event.kind() == kind) {
            let payout = event.data().get("payout_id").and_then(Value::as_str);
            wrong.unless(seen.insert(payout), || format!("{payout:?}: {kind} twice"));
        }
    }
}

/// Pending payouts are counted on their destination card.
fn payouts_agree(merchant: &Whole, items: &Items, wrong: &mut Wrong) {
    let state = &merchant.state;
    for payout in &merchant.pending {
        let id = payout.payout_id.as_str();
        let record = items.get(&(format!("O#{id}"), "O".to_owned()));
        let record = record.and_then(|record| payout::read(&item_of(record)).ok());
        let same = record.is_some_and(|record| record.payout == *payout);
        wrong.unless(same && payout.is_pending(), || {
            format!("the list entry of {id} differs from its record")
        });
    }
    let found = |is: PayoutState, card: Option<&CardId>| {
        let mut count = 0_u32;
        for payout in merchant.pending.iter().filter(|payout| payout.state == is) {
            let goes_to = payout.card.as_ref().map(|card: &Card| &card.card_id);
            count += u32::from(goes_to == card);
        }
        count
    };
    let mut counters = vec![("held", PayoutState::Unsent, None, state.held_payouts)];
    for bound in bound_cards(state) {
        let (card, last4) = (Some(&bound.card.card_id), bound.card.last4.as_str());
        counters.push((last4, PayoutState::Unsent, card, bound.unsent));
        counters.push((last4, PayoutState::Sending, card, bound.sending));
    }
    for (name, is, card, count) in &counters {
        let found = found(*is, *card);
        wrong.unless(found == *count, || {
            format!("{found} payouts are {is} ({name}), but {count} are counted")
        });
    }
    let counted: u32 = counters.iter().map(|(.., count)| count).sum();
    wrong.unless(
        usize::try_from(counted).ok() == Some(merchant.pending.len()),
        || {
            format!(
                "{counted} of {} payouts are counted",
                merchant.pending.len()
            )
        },
    );
}

/// The registered devices are exactly those of the merchant state.
fn devices_agree(merchant: &Whole, wrong: &mut Wrong) {
    let expected: BTreeSet<(String, String)> = merchant
        .state
        .push_targets
        .iter()
        .map(|target| (target.id.clone(), target.token_tag.clone()))
        .collect();
    let registered = merchant
        .devices
        .iter()
        .filter(|(_, registered)| **registered);
    let registered: BTreeSet<(String, String)> = registered.map(|(key, _)| key.clone()).collect();
    wrong.unless(expected == registered, || {
        format!("devices {registered:?}, but {expected:?} in the merchant state")
    });
}

/// Each due entry lies in the bucket of its month, where the clean-up looks for it.
fn due_can_be_found(items: &Items, wrong: &mut Wrong) {
    for ((pk, sk), item) in items {
        let at = number(item, "due_at").map(Timestamp::from_epoch_s);
        let bucket = text(item, "due_bucket");
        let fits = match (at, bucket) {
            (None, None) => true,
            (Some(at), Some(bucket)) => {
                let month = bucket.split('#').next();
                month == Some(at.yyyymm_utc().as_str())
                    && buckets(DueShards::DEFAULT, at)
                        .iter()
                        .any(|one| one == bucket)
            }
            _ => false,
        };
        wrong.unless(fits, || format!("{pk} {sk} is due in a wrong bucket"));
    }
}

/// The holders of a card number are exactly the attached cards with it, all of one person.
fn fingerprints_agree(items: &Items, merchants: &BTreeMap<&str, Whole>, wrong: &mut Wrong) {
    let mut holders = BTreeSet::new();
    for ((pk, _), item) in items {
        let Some(fingerprint) = pk.strip_prefix("F#") else {
            continue;
        };
        for holder in item["holders"]["SS"].as_array().into_iter().flatten() {
            let holder = holder.as_str().unwrap_or_default();
            let (id, card) = holder.split_once('#').unwrap_or_default();
            let merchant = merchants.get(id);
            let bound = merchant.and_then(|merchant| {
                let mut all = bound_cards(&merchant.state);
                all.find(|bound| bound.card.card_id.as_str() == card)
            });
            let fits = bound.is_some_and(|bound| bound.fingerprint.0 == fingerprint);
            wrong.unless(fits, || format!("{holder} holds a number without a card"));
            let person = merchant.map(|merchant| merchant.profile.id_number_mac.0.as_str());
            wrong.unless(person == text(item, "person"), || {
                format!("{holder} holds another person's number")
            });
            holders.insert(holder.to_owned());
        }
    }
    for merchant in merchants.values() {
        let state = &merchant.state;
        for bound in bound_cards(state) {
            let id = &bound.card.card_id;
            // A reverted card is no longer verified, although its removal is still pending.
            let is_out = state
                .replaced(id)
                .is_some_and(|replaced| replaced.state.is_out());
            let holder = format!("{}#{}", merchant.id, id.as_str());
            wrong.unless(is_out || holders.contains(&holder), || {
                format!("{holder} is attached but does not hold its number")
            });
        }
    }
}

/// The audit chain of each operator has no gap and no fork, and ends at its end item.
fn audits_are_whole(items: &Items, wrong: &mut Wrong) {
    let chains: BTreeSet<&String> = items.keys().map(|(pk, _)| pk).collect();
    for pk in chains.into_iter().filter(|pk| pk.starts_with("U#")) {
        let (mut seq, mut prev) = (0, GENESIS);
        let of = |(key, _): &(&(String, String), &Value)| key.0 == *pk && key.1 != "Y";
        for ((_, sk), item) in items.iter().filter(of) {
            seq += 1;
            let is_next = *sk == format!("E#{seq:010}") && text(item, "prev_hash") == Some(prev);
            let hash = audited(pk, item).map(|entry| entry.hash(seq, prev));
            let stored = text(item, "hash").unwrap_or_default();
            wrong.unless(is_next && hash.as_deref() == Some(stored), || {
                format!("the audit chain {pk} is broken at {sk}")
            });
            prev = stored;
        }
        let end = items.get(&(pk.clone(), "Y".to_owned()));
        let end = end.map(|end| audit::read_end(&item_of(end)));
        let is_end =
            end.is_some_and(|end| end.is_ok_and(|end| (end.seq, &*end.hash) == (seq, prev)));
        wrong.unless(is_end, || {
            format!("the audit chain {pk} does not end at {seq}")
        });
    }
}

/// An entry of an audit chain.
fn audited(pk: &str, item: &Value) -> Option<AuditEntry> {
    let (account, person) = pk.strip_prefix("U#")?.split_once('#')?;
    let of = |name: &str| text(item, name).map(str::to_owned);
    Some(AuditEntry {
        actor: Actor::new(account, person),
        at: Timestamp::from_epoch_s(number(item, "at")?),
        call: of("call")?,
        subject: of("subject")?,
        grounds: Grounds {
            reason: ReasonCode::parse(text(item, "reason")?)?,
            comment: of("comment")?,
            ticket: of("ticket"),
        },
    })
}

/// Every item has a known kind and an owner.
fn nothing_is_left_over(items: &Items, merchants: &BTreeMap<&str, Whole>, wrong: &mut Wrong) {
    for ((pk, sk), item) in items {
        let is_known = match (pk.split_once('#'), sk.as_str()) {
            (Some(("M", id)), _) => merchants.contains_key(id),
            (Some(("O", id)), "O") => payout::read(&item_of(item)).is_ok_and(|record| {
                let owner = merchants.get(record.merchant_id.as_str());
                let mut pending = owner.into_iter().flat_map(|owner| &owner.pending);
                let is_listed = pending.any(|listed| listed.payout_id.as_str() == id);
                owner.is_some() && is_listed == record.payout.is_pending()
            }),
            (Some(("A", _)), "A") => {
                text(item, "merchant_id").is_some_and(|id| merchants.contains_key(id))
            }
            (Some(("A", _)), sk) => sk == "Q" || sk == "L",
            (Some(("X", id)), "X") => merchants.contains_key(id),
            (Some(("U", _)), sk) => sk == "Y" || sk.starts_with("E#"),
            (Some(("V", "proposals")), _) => proposal::read(&item_of(item)).is_ok_and(|proposal| {
                let merchant = proposal.merchant_id.as_ref();
                merchant.is_none_or(|id| merchants.contains_key(id.as_str()))
            }),
            (Some(("K", "core")), sk) => sk == "K",
            (Some(("S", _)), sk) => sk == "S" || sk == "Q",
            (Some(("P", _)), "P") | (Some(("F", _)), "F") | (Some(("I", _)), "I") => true,
            _ => false,
        };
        wrong.unless(is_known, || {
            format!("{pk} {sk} has an unknown kind or no owner")
        });
    }
}
