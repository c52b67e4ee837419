//! The expected facts about a merchant, computed from the history alone according to the contract.

use crate::rows::Rows;
use domain::event_kind::EventKind;
use domain::history::{ChainedEvent, GENESIS};
use domain::time::Timestamp;

/// One change of the active card.
#[derive(Clone, Debug)]
pub struct Moved {
    pub rebind: String,
    pub card: String,
    pub old: Option<String>,
    pub lost: bool,
    pub effective_at: Timestamp,
    pub cooldown_until: Option<Timestamp>,
    pub undone: bool,
}

/// A merchant's history, read from its beginning.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The active card before the first event of the model.
    pub first_card: Option<String>,
    pub moves: Vec<Moved>,
    /// Frozen, and true if payouts are held.
    pub frozen: Option<bool>,
    pub events: u64,
    /// Each event is numbered, and carries its own hash and that of the previous event.
    pub is_whole: bool,
    pub last_hash: String,
}

fn text(event: &ChainedEvent, name: &str) -> Option<String> {
    Some(event.data().get(name)?.as_str()?.to_owned())
}

impl Facts {
    pub fn of(rows: &Rows, pk: &str, first_card: Option<&str>) -> Self {
        let mut facts = Self {
            first_card: first_card.map(str::to_owned),
            is_whole: true,
            last_hash: GENESIS.to_owned(),
            ..Self::default()
        };
        for row in rows.of_kind(pk, "E#") {
            let event = row.event();
            facts.events += 1;
            facts.is_whole &=
                event.seq == facts.events && event.prev_hash == facts.last_hash && row.hash_fits();
            facts.last_hash.clone_from(&event.hash);
            facts.note(event);
        }
        facts
    }

    fn note(&mut self, event: &ChainedEvent) {
        let time = |name| text(event, name).and_then(|at| Timestamp::parse_rfc3339(&at));
        match event.kind() {
            EventKind::Activated => self.moves.push(Moved {
                rebind: text(event, "rebind_id").unwrap(),
                card: text(event, "card_id").unwrap(),
                old: text(event, "old_card_id"),
                lost: text(event, "reason").as_deref() == Some("lost"),
                effective_at: time("effective_at").unwrap(),
                cooldown_until: time("cooldown_until"),
                undone: false,
            }),
            EventKind::Frozen => {
                let of = text(event, "rebind_id");
                if let Some(last) = self.moves.iter_mut().rev().find(|one| !one.undone) {
                    if event.at < last.effective_at {
                        last.undone = true;
                        last.cooldown_until = None;
                    } else if Some(&last.rebind) == of.as_ref() {
                        last.cooldown_until = None;
                    }
                }
                let holds = event.data()["holds_payouts"] == true;
                self.frozen = Some(holds || self.frozen == Some(true));
            }
            _ => {}
        }
    }

    fn last(&self) -> Option<&Moved> {
        self.moves.iter().rev().find(|one| !one.undone)
    }

    /// The expected active card.
    pub fn pointer(&self) -> Option<&str> {
        match self.last() {
            Some(last) => Some(&last.card),
            None => self.first_card.as_deref(),
        }
    }

    /// The card of a payout that is created at `now`.
    pub fn paid(&self, now: Timestamp) -> Option<&str> {
        if self.frozen == Some(true) {
            return None;
        }
        match self.last().filter(|last| now < last.effective_at) {
            Some(last) if last.lost => None,
            Some(last) => last.old.as_deref(),
            None => self.pointer(),
        }
    }

    /// Returns true if an activation that was neither frozen nor reverted is within its cooldown.
    pub fn cools(&self, now: Timestamp) -> bool {
        let mut cooldowns = self.moves.iter().filter_map(|one| one.cooldown_until);
        cooldowns.any(|until| now < until)
    }
}
