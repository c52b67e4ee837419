//! The expected facts about a merchant, computed from the history alone according to the contract.

use crate::rows::Rows;
use domain::event_kind::EventKind;
use domain::history::{ChainedEvent, GENESIS};
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// One change of the active card.
#[derive(Clone, Debug)]
pub struct Moved {
    pub rebind: String,
    pub old: Option<String>,
    pub lost: bool,
    pub effective_at: Timestamp,
    pub cooldown_until: Option<Timestamp>,
    /// It does not take effect before its notification is handed over.
    pub waits: bool,
    /// A freeze has undone it, or an operator has made it final.
    pub over: bool,
}

impl Moved {
    pub fn is_effective(&self, now: Timestamp) -> bool {
        !self.waits && now >= self.effective_at
    }
}

/// A merchant's history, read from its beginning.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The expected active card.
    pub pointer: Option<String>,
    pub moves: Vec<Moved>,
    /// The first announcement of each rebind's change, by the rebind's number.
    pub announced: BTreeMap<u32, u64>,
    /// The rebinds whose announcement was handed over.
    handed_over: BTreeSet<String>,
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
            pointer: first_card.map(str::to_owned),
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
        if let Some(number) = event.event().announces() {
            self.announced.entry(number).or_insert(event.seq);
        }
        let time = |name| text(event, name).and_then(|at| Timestamp::parse_rfc3339(&at));
        match event.kind() {
            EventKind::Activated => {
                let rebind = text(event, "rebind_id").unwrap();
                self.pointer = text(event, "card_id");
                self.moves.push(Moved {
                    old: text(event, "old_card_id"),
                    lost: text(event, "reason").as_deref() == Some("lost"),
                    effective_at: time("effective_at").unwrap(),
                    cooldown_until: time("cooldown_until"),
                    waits: !self.handed_over.contains(&rebind),
                    over: false,
                    rebind,
                });
            }
            EventKind::ChangeNotified => {
                let rebind = text(event, "rebind_id").unwrap();
                if let Some(last) = self.last_mut().filter(|last| last.rebind == rebind) {
                    last.waits = false;
                    last.effective_at = time("effective_at").unwrap();
                }
                self.handed_over.insert(rebind);
            }
            EventKind::Frozen => {
                let of = text(event, "rebind_id");
                if let Some(last) = self.last_mut() {
                    if !last.is_effective(event.at) {
                        last.over = true;
                        last.cooldown_until = None;
                        self.pointer = last.old.clone();
                    } else if Some(&last.rebind) == of.as_ref() {
                        last.cooldown_until = None;
                    }
                }
                let holds = event.data()["holds_payouts"] == true;
                self.frozen = Some(holds || self.frozen == Some(true));
            }
            EventKind::Unfrozen => {
                let chosen = text(event, "card_id");
                let is_kept = chosen.is_some() && chosen == self.pointer;
                if let Some(last) = self.last_mut() {
                    last.over = true;
                    last.cooldown_until = last.cooldown_until.filter(|_| is_kept);
                }
                self.pointer = chosen;
                self.frozen = None;
            }
            _ => {}
        }
    }

    /// The last activation that is neither undone nor final.
    pub fn last(&self) -> Option<&Moved> {
        self.moves.iter().rev().find(|one| !one.over)
    }

    fn last_mut(&mut self) -> Option<&mut Moved> {
        self.moves.iter_mut().rev().find(|one| !one.over)
    }

    /// The card of a payout that is created at `now`.
    pub fn paid(&self, now: Timestamp) -> Option<&str> {
        if self.frozen == Some(true) {
            return None;
        }
        match self.last().filter(|last| !last.is_effective(now)) {
            Some(last) if last.lost => None,
            Some(last) => last.old.as_deref(),
            None => self.pointer.as_deref(),
        }
    }

    /// Returns true if an activation that was neither frozen nor reverted is within its cooldown.
    pub fn cools(&self, now: Timestamp) -> bool {
        let mut cooldowns = self.moves.iter().filter_map(|one| one.cooldown_until);
        cooldowns.any(|until| now < until)
    }
}
