//! A merchant as one read returns it: the head (what changes), the profile (what the acquirer says), one rebind.

use super::card::{Card, CardStatus};
use super::format::document_expiry::DocumentExpiry;
use super::ids::{CardId, MerchantId};
use super::payout::{Payout, PayoutState};
use super::pii::{PersonName, Phone};
use super::policy::Policy;
use super::rebind::{Activation, Mac, Rebind, Sealed, SessionTag, StateName};
pub use super::settlement::Settlement;
use super::time::Timestamp;
use super::vocabulary::vocabulary;
use super::window::Window;

vocabulary! {
    /// The kind of a merchant.
    pub enum EntityType {
        /// 小微商户.
        NaturalPerson = "natural_person",
        /// 个体工商户.
        SoleTrader = "sole_trader",
        /// 企业. Changes its card with support only.
        Company = "company",
    }
}

/// One login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// When it began.
    pub login_at: Timestamp,
    /// When something was last changed in it.
    pub last_change_at: Timestamp,
}

impl Session {
    /// Tells a merchant's sessions apart without being able to act as one.
    #[must_use]
    pub fn tag(&self) -> SessionTag {
        SessionTag(hex::encode(&self.token_hash[..8]))
    }

    /// Whether it is still good at `now`.
    #[must_use]
    pub fn lives(&self, policy: &Policy, now: Timestamp) -> bool {
        self.login_at.age_s_at(now) < policy.session_max_s
            && self.last_change_at.age_s_at(now) < policy.session_idle_s
    }
}

/// Where a session is kept in the head.
pub type Slot = u8;

/// The last activation of a merchant, for as long as anything follows from it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastActivation {
    /// The number of its rebind.
    pub number: u32,
    /// Its id.
    pub rebind_id: super::ids::RebindId,
    /// Its times.
    pub times: Activation,
    /// The card it replaced; among [`MerchantState::replaced`].
    pub old_card: Option<CardId>,
}

/// A card that the pointer has left. It stays on record until it can be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplacedCard {
    /// The card, with the payouts that are on their way to it.
    pub bound: BoundCard,
    /// From when it can be taken off the record, once its last payout is out.
    pub removable_at: Timestamp,
    /// Whether it may be paid to.
    pub state: Replaced,
}

/// What became of a card that the pointer has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// It may be paid to.
    Usable,
    /// The merchant has said that it was lost: nothing new is paid to it.
    Lost,
    /// Frozen out, sent back by its bank, or taken off by the merchant: it only waits to be removed.
    Out,
}

impl ReplacedCard {
    /// Whether it is off the account at `now`: nothing can still be paid to it.
    #[must_use]
    pub fn is_gone(&self, now: Timestamp) -> bool {
        let may_go = self.state == Replaced::Out || now >= self.removable_at;
        may_go && self.bound.unsent == 0
    }
}

/// A verified card that waits to be switched to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StandbyCard {
    /// The card.
    pub bound: BoundCard,
    /// From when it can be activated.
    pub usable_at: Timestamp,
}

/// A freeze code that was announced: of which rebind, and until when it works. It works once: then it is not here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FreezeCode {
    /// The number of the rebind.
    pub number: u32,
    /// It works before this.
    pub good_until: Timestamp,
    /// Of an activation, unless that was undone before it took effect; else of a standby card.
    pub activation: bool,
}

/// The account is frozen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frozen {
    /// Since when.
    pub at: Timestamp,
    /// Every payout is held: the change had taken effect, so nobody knows which card is right.
    pub holds_payouts: bool,
}

/// A device that is told by push, as far as the head has to know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTarget {
    /// The app's name for it.
    pub id: String,
    /// The first characters of its token's keyed hash.
    pub token_tag: String,
}

/// Sessions that the state has room for.
pub const SESSION_SLOTS: usize = 5;

const _: () = assert!(
    Policy::CURRENT.sessions_max as usize <= SESSION_SLOTS,
    "a session in a further slot would never be read"
);

/// Everything of a merchant that changes, in one item: the one place where two writers meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantState {
    /// Counts changes; every write that decides something is conditioned on it.
    pub version: u64,
    /// The sequence number of the last history event.
    pub last_seq: u64,
    /// The hash of that event, hex.
    pub last_hash: String,
    /// The number of the latest rebind; 0 when there was none.
    pub rebinds: u32,
    /// That rebind's version: a read that sees only half of a commit shows a difference here, and is done again.
    pub rebind_version: u32,
    /// The number of the open rebind. It may be overdue; the rebind itself tells.
    pub open: Option<u32>,
    /// The pointer: where payouts go, or will go once the hold is over.
    pub active: Option<BoundCard>,
    /// Verified cards that wait.
    pub standby: Vec<StandbyCard>,
    /// Cards that the pointer has left.
    pub replaced: Vec<ReplacedCard>,
    /// Payouts that wait for a card.
    pub held_payouts: u32,
    /// Freeze codes that work.
    pub freeze_codes: Vec<FreezeCode>,
    /// Devices that are told by push.
    pub push_targets: Vec<PushTarget>,
    /// When one was last removed or replaced: it is told for some days more.
    pub push_removed_at: Option<Timestamp>,
    /// Changes of settlement settings and push targets.
    pub setting_changes: Window,
    /// The last activation that was neither frozen nor reverted.
    pub last_activation: Option<LastActivation>,
    /// No rebind before this.
    pub cooldown_until: Option<Timestamp>,
    /// The end of the cooldown is still to be told.
    pub cooldown_end_untold: bool,
    /// When phone, password or name was last changed.
    pub security_changed_at: Option<Timestamp>,
    /// While the account is frozen.
    pub frozen: Option<Frozen>,
    /// When the short cooldown was last used.
    pub lost_at: Option<Timestamp>,
    /// Rebinds asked for.
    pub requests: Window,
    /// Documents that did not match.
    pub id_mismatches: Window,
    /// Bank calls that count.
    pub bank_calls: Vec<BankCall>,
    /// The logins.
    pub sessions: [Option<Session>; SESSION_SLOTS],
}

/// A verified card of the merchant, with what finds its duplicate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BoundCard {
    /// The card.
    pub card: Card,
    /// Keyed hash of its number.
    pub fingerprint: Mac,
    /// Payouts on their way to it.
    pub unsent: u32,
}

impl MerchantState {
    /// The verified card of this id, wherever it stands.
    #[must_use]
    pub fn bound(&self, card_id: &CardId) -> Option<&BoundCard> {
        self.all_bound()
            .find(|bound| bound.card.card_id == *card_id)
    }

    fn all_bound(&self) -> impl Iterator<Item = &BoundCard> {
        let standby = self.standby.iter().map(|standby| &standby.bound);
        let replaced = self.replaced.iter().map(|replaced| &replaced.bound);
        self.active.iter().chain(standby).chain(replaced)
    }

    /// The same, to count a payout.
    pub(super) fn bound_mut(&mut self, card_id: &CardId) -> Option<&mut BoundCard> {
        let standby = self.standby.iter_mut().map(|standby| &mut standby.bound);
        let replaced = self.replaced.iter_mut().map(|replaced| &mut replaced.bound);
        let mut all = self.active.iter_mut().chain(standby).chain(replaced);
        all.find(|bound| bound.card.card_id == *card_id)
    }

    /// The standby card of this id.
    #[must_use]
    pub fn standby(&self, card_id: &CardId) -> Option<&StandbyCard> {
        let mut all = self.standby.iter();
        all.find(|standby| standby.bound.card.card_id == *card_id)
    }

    /// The card that the pointer has left, of this id.
    #[must_use]
    pub fn replaced(&self, card_id: &CardId) -> Option<&ReplacedCard> {
        let mut all = self.replaced.iter();
        all.find(|replaced| replaced.bound.card.card_id == *card_id)
    }

    /// The activation whose hold is running at `now`.
    #[must_use]
    pub fn hold(&self, now: Timestamp) -> Option<&LastActivation> {
        let last = self.last_activation.as_ref()?;
        (!last.times.is_effective(now)).then_some(last)
    }

    /// Whether a freeze holds every payout until the operator decides.
    #[must_use]
    pub fn holds_payouts(&self) -> bool {
        self.frozen.is_some_and(|frozen| frozen.holds_payouts)
    }

    /// Where a payout that is created at `now` goes: the old card during a hold, else the one that the pointer is on.
    /// `None`: it is held.
    #[must_use]
    pub fn paying_card(&self, now: Timestamp) -> Option<&Card> {
        if self.holds_payouts() {
            return None;
        }
        match self.hold(now) {
            Some(last) => {
                let old = self.replaced(last.old_card.as_ref()?)?;
                (old.state == Replaced::Usable).then_some(&old.bound.card)
            }
            None => self.active.as_ref().map(|active| &active.card),
        }
    }

    /// Whether a card can be taken off the record once its time has come: its last payout is out, and in a frozen account
    /// the operator, who decides which card is right, could not want it back.
    #[must_use]
    pub fn may_remove(&self, replaced: &ReplacedCard) -> bool {
        replaced.bound.unsent == 0 && (self.frozen.is_none() || replaced.state == Replaced::Out)
    }

    /// Whether some device is told by push at `now`.
    #[must_use]
    pub fn pushes(&self, policy: &Policy, now: Timestamp) -> bool {
        let lately = |at: Timestamp| at.age_s_at(now) < policy.push_after_removal_s;
        !self.push_targets.is_empty() || self.push_removed_at.is_some_and(lately)
    }

    /// When the clean-up has to look at it next; `now` is when it is written.
    #[must_use]
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        let cooldown = self.cooldown_until.filter(|_| self.cooldown_end_untold);
        let removals = self
            .replaced
            .iter()
            .filter(|replaced| self.may_remove(replaced));
        let removal = removals.map(|replaced| replaced.removable_at).min();
        let assignable = self.held_payouts > 0 && !self.holds_payouts() && self.active.is_some();
        let assignment = assignable.then(|| match (self.paying_card(now), self.hold(now)) {
            (None, Some(last)) => last.times.effective_at,
            _ => now,
        });
        [cooldown, removal, assignment].into_iter().flatten().min()
    }
}

/// One counted bank call: when, and the first characters of the card's keyed hash, which tell a merchant's own cards
/// apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankCall {
    /// When.
    pub at: Timestamp,
    /// Which card.
    pub card_tag: String,
}

/// What the acquirer's record says. Never typed in by the merchant, only compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// Kind of merchant.
    pub entity_type: EntityType,
    /// The registered name.
    pub legal_name: PersonName,
    /// The name on settlement cards, where it differs.
    pub settlement_name: Option<PersonName>,
    /// Keyed hash of the ID number.
    pub id_number_mac: Mac,
    /// When the ID document ends.
    pub id_expires_on: DocumentExpiry,
    /// The phone on file.
    pub phone_on_file: Phone,
    /// When the merchant was opened.
    pub opened_at: Timestamp,
    /// The highest daily limit that can be set, fen.
    pub daily_limit_max_fen: u64,
    /// The fee in basis points.
    pub fee_rate_bp: u32,
    /// How payouts are made.
    pub settlement: Settlement,
    /// The encrypted ID number.
    pub sealed_id_number: Option<Sealed>,
    /// The merchant's history key, wrapped.
    pub history_key: Option<Sealed>,
}

impl Profile {
    /// The name that a settlement card must carry.
    #[must_use]
    pub fn holder_name(&self) -> &PersonName {
        self.settlement_name.as_ref().unwrap_or(&self.legal_name)
    }
}

/// A merchant as loaded: the state that a decision starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// What changes.
    pub head: MerchantState,
    /// What the acquirer says.
    pub profile: Profile,
    /// The rebind that the request is about, or the latest one.
    pub rebind: Option<Rebind>,
    /// The latest rebind, where it is another one and matters too: it may be open, or its hold may be running.
    pub latest: Option<Rebind>,
}

impl Merchant {
    /// What a card is at `now`.
    #[must_use]
    pub fn card_status(&self, card_id: &CardId, now: Timestamp) -> CardStatus {
        let head = &self.head;
        let is_active = head
            .active
            .as_ref()
            .is_some_and(|active| active.card.card_id == *card_id);
        if is_active {
            return CardStatus::Active;
        }
        if head.standby(card_id).is_some() {
            return CardStatus::Standby;
        }
        if let Some(replaced) = head.replaced(card_id) {
            return if replaced.is_gone(now) {
                CardStatus::Removed
            } else {
                CardStatus::Retiring
            };
        }
        match &self.rebind {
            Some(rebind) if self.is_open(rebind, now) && rebind.new_card.card_id == *card_id => {
                CardStatus::Pending
            }
            _ => CardStatus::Removed,
        }
    }

    /// Whether a rebind of this merchant is open and in time. One that was overdue when a later one began is not, even by
    /// a clock that is behind.
    #[must_use]
    pub fn is_open(&self, rebind: &Rebind, now: Timestamp) -> bool {
        rebind.is_open(now) && self.head.open == Some(rebind.rebind_id.number())
    }

    /// The state's name on the wire, at `now`.
    #[must_use]
    pub fn state_of(&self, rebind: &Rebind, now: Timestamp) -> StateName {
        if rebind.stage.is_open() && !self.is_open(rebind, now) {
            return StateName::Expired;
        }
        rebind.state_at(now)
    }

    /// Whether an unsent payout waits: for a card, or for an operator's word.
    #[must_use]
    pub fn holds(&self, payout: &Payout) -> bool {
        let waits = payout.card.is_none() || self.head.holds_payouts();
        payout.state == PayoutState::Unsent && waits
    }

    /// The open rebind, when it is loaded and in time.
    #[must_use]
    pub fn open_rebind(&self, now: Timestamp) -> Option<&Rebind> {
        let mut loaded = self.loaded();
        loaded.find(|rebind| self.is_open(rebind, now))
    }

    /// The rebind of this number, if it was loaded.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<&Rebind> {
        let mut loaded = self.loaded();
        loaded.find(|rebind| rebind.rebind_id.number() == number)
    }

    fn loaded(&self) -> impl Iterator<Item = &Rebind> {
        self.rebind.iter().chain(&self.latest)
    }

    /// The cooldown's end, while it runs.
    #[must_use]
    pub fn cooldown(&self, now: Timestamp) -> Option<Timestamp> {
        self.head.cooldown_until.filter(|until| now < *until)
    }

    /// The quiet period's end, while it runs.
    #[must_use]
    pub fn quiet_until(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let changed_at = self.head.security_changed_at?;
        (changed_at.age_s_at(now) < policy.quiet_period_s)
            .then(|| changed_at.plus_s(policy.quiet_period_s))
    }
}
