//! What must hold in every world.

use crate::calls::View;
use crate::facts::Facts;
use crate::rows::Rows;
use crate::state::State;
use crate::world::{Known, World};
use application::ports::{ListRebinds, LoadMerchant, Selector};
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::rebind::Rebind;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::Store;
use store::meter::Meter;

pub const POINTER: &str = "one active card: where the history says, and nowhere else";
pub const PROOFS: &str =
    "no activation without a fresh identity, agreement and card proof of this very rebind";
pub const OPEN: &str = "at most one open rebind";
pub const COOLDOWN: &str =
    "a cooldown exactly while an activation that was neither frozen nor reverted is younger";
pub const CHAIN: &str = "one event for each transition, the chain unbroken";
pub const TOLD: &str = "every activation is announced, once if nothing crashes";
pub const REPLAY: &str = "a request that is repeated changes nothing more";
pub const FREEZE: &str = "a freeze before effective_at ends with the old card";
pub const TRIES: &str = "five codes are looked at, however many ask at once";
pub const PAYOUT: &str = "a payout goes to the card of its time";

pub const ALL: [&str; 10] = [
    POINTER, PROOFS, OPEN, COOLDOWN, CHAIN, TOLD, REPLAY, FREEZE, TRIES, PAYOUT,
];

/// What a table says of one merchant.
#[derive(Debug)]
pub struct Look {
    /// With the latest rebind; `None` when it cannot be read.
    pub merchant: Option<Merchant>,
    pub rebinds: Vec<Rebind>,
    pub facts: Facts,
}

impl World {
    /// What a table says of each merchant. Most steps change nothing in it, so it is looked at once.
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

    /// Adds what does not hold.
    pub fn judge(&self, state: &mut State) {
        let mut broken = BTreeSet::new();
        let rows = &state.rows.0;
        let looks = self.look(rows);
        for (known, look) in self.merchants.iter().zip(looks.iter()) {
            let facts = &look.facts;
            let Some(read) = &look.merchant else {
                // Head and rebind are of different writes for ever.
                broken.insert(CHAIN);
                continue;
            };
            let head = &read.head;
            let active = head.active.as_ref().map(|one| one.card.card_id.as_str());
            let standby = head.standby.iter().map(|one| &one.bound);
            let replaced = head.replaced.iter().map(|one| &one.bound);
            let all: Vec<_> = head.active.iter().chain(standby).chain(replaced).collect();
            let ids: BTreeSet<_> = all.iter().map(|one| &one.card.card_id).collect();
            if active != facts.pointer() || ids.len() != all.len() {
                broken.insert(POINTER);
            }
            if read.cooldown(state.now).is_some() != facts.cools(state.now) {
                broken.insert(COOLDOWN);
            }
            let counted = head.last_seq == facts.events && head.last_hash == facts.last_hash;
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
                let notice = row.item.get("notice").and_then(|value| value.as_s().ok());
                // Whatever becomes of the stream, the clean-up finds what is unsent.
                if notice.is_some_and(|notice| notice != "sent") && !row.item.contains_key("due_at")
                {
                    broken.insert(TOLD);
                }
            }
        }
        for ((who, seq, _), times) in &state.told {
            let row = self.event_row(state, *who, *seq);
            let sent = row.item.get("notice").and_then(|value| value.as_s().ok());
            let is_sent = sent.is_some_and(|sent| sent == "sent");
            if (is_sent && *times == 0) || (*times > 1 && !state.crashed) {
                broken.insert(TOLD);
            }
        }
        if state.effects.iter().any(|effects| *effects > 1) {
            broken.insert(REPLAY);
        }
        let looked_at = |(before, of): &(u8, BTreeSet<usize>)| usize::from(*before) + of.len();
        if state.compared.values().any(|codes| looked_at(codes) > 5) {
            broken.insert(TRIES);
        }
        state.broken.append(&mut broken);
    }
}

/// A merchant as a read finds it now; `None` if head and rebind are of different writes for ever.
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
