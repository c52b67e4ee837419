//! The invariants of every world.

use crate::calls::View;
use crate::facts::Facts;
use crate::rows::Rows;
use crate::state::State;
use crate::world::{Known, World};
use application::ports::{ListRebinds, LoadMerchant, Selector};
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::notification::Recipient;
use domain::policy::Policy;
use domain::rebind::Rebind;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::Store;
use store::meter::Meter;

pub const POINTER: &str = "exactly one active card, the one in the history";
pub const PROOFS: &str =
    "an activation needs a fresh identity, agreement and card proof of the same rebind";
pub const OPEN: &str = "at most one open rebind";
pub const COOLDOWN: &str =
    "a cooldown runs exactly after an activation that was neither frozen nor reverted";
pub const CHAIN: &str = "one event per transition, in an unbroken chain";
pub const NOTIFIED: &str = "every activation is announced, exactly once unless a process crashes";
pub const REPLAY: &str = "a repeated request has no further effect";
pub const FREEZE: &str = "a freeze before effective_at ends with the old card";
pub const ATTEMPTS: &str = "at most five OTPs are compared, even by concurrent requests";
pub const PAYOUT: &str = "a payout goes to the card that is effective when its card is chosen, and leaves a card only by an operator's decision";
pub const UNSEEN: &str = "nothing takes effect before its notification was handed over";
pub const CONTACT: &str = "a change of contact ends sessions and the open rebind";

pub const ALL: [&str; 12] = [
    POINTER, PROOFS, OPEN, COOLDOWN, CHAIN, NOTIFIED, REPLAY, FREEZE, ATTEMPTS, PAYOUT, UNSEEN,
    CONTACT,
];

/// The table's view of one merchant.
#[derive(Debug)]
pub struct Look {
    /// The state with the latest rebind; `None` if unreadable.
    pub merchant: Option<Merchant>,
    pub rebinds: Vec<Rebind>,
    pub facts: Facts,
}

impl World {
    /// The table's view of each merchant. Computed once per table, because most steps do not change it.
    pub fn look(&self, rows: &Rows) -> Arc<Vec<Look>> {
        let key = rows.fingerprint();
        if let Some(known) = self.looks.lock().unwrap().get(&key) {
            return Arc::clone(known);
        }
        let look = |known: &Known| Look {
            merchant: read_now(rows, &known.id),
            rebinds: rebinds(rows, &known.id),
            facts: Facts::of(rows, &known.pk, known.card.as_deref()),
        };
        let look = Arc::new(self.merchants.iter().map(look).collect::<Vec<_>>());
        self.looks.lock().unwrap().insert(key, Arc::clone(&look));
        look
    }

    /// Adds the violated invariants.
    pub fn judge(&self, state: &mut State) {
        let mut broken = BTreeSet::new();
        let rows = &state.rows.0;
        let looks = self.look(rows);
        for (known, look) in self.merchants.iter().zip(looks.iter()) {
            let facts = &look.facts;
            let Some(read) = &look.merchant else {
                // Merchant state and rebind are permanently from different writes.
                broken.insert(CHAIN);
                continue;
            };
            let kept = &read.state;
            let active = kept.active.as_ref().map(|one| one.card.card_id.as_str());
            let standby = kept.standby.iter().map(|one| &one.bound);
            let replaced = kept.replaced.iter().map(|one| &one.bound);
            let all: Vec<_> = kept.active.iter().chain(standby).chain(replaced).collect();
            let ids: BTreeSet<_> = all.iter().map(|one| &one.card.card_id).collect();
            if active != facts.pointer.as_deref() || ids.len() != all.len() {
                broken.insert(POINTER);
            }
            if read.cooldown(state.now).is_some() != facts.cools(state.now) {
                broken.insert(COOLDOWN);
            }
            let counted = kept.last_seq == facts.events && kept.last_hash == facts.last_hash;
            if !facts.is_whole || !counted {
                broken.insert(CHAIN);
            }
            let open = look
                .rebinds
                .iter()
                .filter(|rebind| rebind.is_open(state.now));
            if open.count() > 1 {
                broken.insert(OPEN);
            }
            for row in rows.of_kind(&known.pk, "E#") {
                let notification = row.item.get("notice").and_then(|value| value.as_s().ok());
                // The clean-up finds unsent notifications even if the stream loses them.
                if notification.is_some_and(|notification| notification != "sent")
                    && !row.item.contains_key("due_at")
                {
                    broken.insert(NOTIFIED);
                }
            }
        }
        for (who, look) in (0..).zip(looks.iter()) {
            let kept = look.merchant.as_ref().map(|read| &read.state);
            let last = kept.and_then(|kept| kept.last_activation.as_ref());
            let last = last.filter(|last| !last.times.waits);
            let announced = last.and_then(|last| look.facts.announced.get(&last.number));
            let to = |seq: &u64| (who, *seq, Recipient::OnFile);
            if announced.is_some_and(|seq| state.notified.get(&to(seq)) == Some(&0)) {
                broken.insert(UNSEEN);
            }
        }
        for ((who, seq, _), times) in &state.notified {
            let row = self.event_row(state, *who, *seq);
            let sent = row.item.get("notice").and_then(|value| value.as_s().ok());
            let is_sent = sent.is_some_and(|sent| sent == "sent");
            if (is_sent && *times == 0) || (*times > 1 && !state.crashed) {
                broken.insert(NOTIFIED);
            }
        }
        if state.effects.iter().any(|effects| *effects > 1) {
            broken.insert(REPLAY);
        }
        let looked_at = |(before, of): &(u8, BTreeSet<usize>)| usize::from(*before) + of.len();
        if state.compared.values().any(|codes| looked_at(codes) > 5) {
            broken.insert(ATTEMPTS);
        }
        state.broken.append(&mut broken);
    }
}

/// A merchant as a read returns it now; `None` if merchant state and rebind are permanently from different writes.
fn read_now(rows: &Rows, merchant: &MerchantId) -> Option<Merchant> {
    let store = looking(rows);
    let read = store.load(merchant, Selector::Latest);
    futures::executor::block_on(read).ok().flatten()
}

/// Every rebind of a merchant.
fn rebinds(rows: &Rows, merchant: &MerchantId) -> Vec<Rebind> {
    let store = looking(rows);
    futures::executor::block_on(store.list(merchant, None, u8::MAX)).unwrap()
}

/// A store over the rows of one moment.
pub fn looking(rows: &Rows) -> Store<View<'_>> {
    let meter = Meter::default();
    Store::over(View { rows, meter }, &Policy::CURRENT)
}
