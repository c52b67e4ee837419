//! A merchant as one read returns it: the state, the profile from the acquirer's record, and one rebind.

pub use super::bound_card::{BoundCard, Replaced, ReplacedCard, StandbyCard};
use super::card::{Card, CardStatus};
use super::device::{DeviceTag, SessionDevice};
use super::device_counts::DeviceCounts;
pub use super::freeze_code::{ChangeAhead, FreezeCode, Frozen};
use super::history::GENESIS;
use super::ids::CardId;
use super::payout::{Payout, PayoutState};
use super::policy::Policy;
pub use super::profile::{EntityType, PreviousPhone, Profile};
use super::rebind::{Activation, Rebind, SessionTag, StateName};
pub use super::settlement::{PendingSettlement, Settlement};
use super::time::Timestamp;
use super::window::Window;

/// One login session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token.
    pub token_hash: [u8; 32],
    /// The time of the login.
    pub login_at: Timestamp,
    /// The time of the last change made in this session.
    pub last_change_at: Timestamp,
    /// The device that logged in.
    pub device: SessionDevice,
}

impl Session {
    /// Distinguishes a merchant's sessions without giving access to them.
    #[must_use]
    pub fn tag(&self) -> SessionTag {
        SessionTag(hex::encode(&self.token_hash[..8]))
    }

    /// True if the session is valid at `now`.
    #[must_use]
    pub fn is_valid_at(&self, policy: &Policy, now: Timestamp) -> bool {
        self.login_at.age_s_at(now) < policy.session_max_s
            && self.last_change_at.age_s_at(now) < policy.session_idle_s
    }
}

/// The index of a session in the merchant state.
pub type Slot = u8;

/// The last activation of a merchant, kept while it still has consequences.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastActivation {
    /// The number of its rebind.
    pub number: u32,
    /// The id of its rebind.
    pub rebind_id: super::ids::RebindId,
    /// Its schedule.
    pub times: Activation,
    /// The card that it replaced; one of [`MerchantState::replaced`].
    pub old_card: Option<CardId>,
}

/// A push device, reduced to what the merchant state needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushTarget {
    /// The app's id for the device.
    pub id: String,
    /// The first characters of its token's keyed hash.
    pub token_tag: String,
    /// The device that registered it. Only this device may refresh the token without a fresh login.
    pub device: DeviceTag,
    /// When it was registered. A refresh of the token keeps this time.
    pub registered_at: Timestamp,
}

impl PushTarget {
    /// True if this is the same token of the same device.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        (&self.id, &self.token_tag) == (&other.id, &other.token_tag)
    }
}

/// The number of session slots in the merchant state.
pub const SESSION_SLOTS: usize = 5;

const _: () = assert!(
    Policy::CURRENT.sessions_max as usize <= SESSION_SLOTS,
    "a session in a further slot would never be read"
);

/// Everything about a merchant that changes, in one item. Concurrent writers conflict on this item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MerchantState {
    /// Counts changes. Every deciding write is conditioned on it.
    pub version: u64,
    /// The sequence number of the last history event.
    pub last_seq: u64,
    /// The hash of that event, in hex.
    pub last_hash: String,
    /// The number of the latest rebind; 0 before the first one.
    pub rebinds: u32,
    /// The version of that rebind. A torn read has a different version here and is repeated.
    pub rebind_version: u32,
    /// The number of the open rebind, which may be overdue: only the rebind has its expiry.
    pub open: Option<u32>,
    /// The active card. Payouts go to it, or will once its hold is over.
    pub active: Option<BoundCard>,
    /// The standby cards.
    pub standby: Vec<StandbyCard>,
    /// The formerly active cards.
    pub replaced: Vec<ReplacedCard>,
    /// The number of payouts that are held without a card.
    pub held_payouts: u32,
    /// The valid freeze codes.
    pub freeze_codes: Vec<FreezeCode>,
    /// The devices registered for push.
    pub push_targets: Vec<PushTarget>,
    /// When a device was last removed or replaced. It receives notifications for some more days.
    pub push_removed_at: Option<Timestamp>,
    /// The times of changes of settlement settings and push devices.
    pub setting_changes: Window,
    /// The times of silent refreshes of push tokens.
    pub push_refreshes: Window,
    /// The last activation that was neither frozen nor reverted.
    pub last_activation: Option<LastActivation>,
    /// No rebind can be requested before this time.
    pub cooldown_until: Option<Timestamp>,
    /// True if the end of the cooldown is not yet announced.
    pub cooldown_end_unannounced: bool,
    /// When phone, password or name was last changed, or an operator ended a freeze.
    pub security_changed_at: Option<Timestamp>,
    /// The current freeze of the account.
    pub frozen: Option<Frozen>,
    /// When the acquirer closed the account.
    pub closed_at: Option<Timestamp>,
    /// When two operators erased the merchant. No use case reads such a merchant.
    pub erased_at: Option<Timestamp>,
    /// When the owner was last notified of wrong freeze codes.
    pub freeze_guesses_notified_at: Option<Timestamp>,
    /// The times of SMS about devices, push devices and settings.
    pub notice_sms: Window,
    /// When the short cooldown was last used.
    pub lost_at: Option<Timestamp>,
    /// The wrong codes and the created rebinds of the last day.
    pub device_counts: DeviceCounts,
    /// The times of document mismatches.
    pub id_mismatches: Window,
    /// The counted bank calls.
    pub bank_calls: Vec<BankCall>,
    /// The settlement settings, as recorded. [`Merchant::settlement`] returns those in force.
    pub settlement: Settlement,
    /// Settlement settings that take effect later.
    pub pending_settlement: Option<PendingSettlement>,
    /// The version of the acquirer's record. A torn read has a different version there and is repeated.
    pub record_version: u32,
    /// The sessions.
    pub sessions: [Option<Session>; SESSION_SLOTS],
}

impl MerchantState {
    /// The state of a merchant that was just onboarded with these settings: no card, no session, an empty history.
    #[must_use]
    pub fn onboarded(settlement: Settlement) -> Self {
        Self {
            version: 1,
            last_seq: 0,
            last_hash: GENESIS.to_owned(),
            rebinds: 0,
            rebind_version: 0,
            open: None,
            active: None,
            standby: Vec::new(),
            replaced: Vec::new(),
            held_payouts: 0,
            freeze_codes: Vec::new(),
            push_targets: Vec::new(),
            push_removed_at: None,
            setting_changes: Window::default(),
            push_refreshes: Window::default(),
            last_activation: None,
            cooldown_until: None,
            cooldown_end_unannounced: false,
            security_changed_at: None,
            frozen: None,
            closed_at: None,
            erased_at: None,
            freeze_guesses_notified_at: None,
            notice_sms: Window::default(),
            lost_at: None,
            device_counts: DeviceCounts::default(),
            id_mismatches: Window::default(),
            bank_calls: Vec::new(),
            settlement,
            pending_settlement: None,
            record_version: 1,
            sessions: Default::default(),
        }
    }

    /// A copy with the next version, for a change of it. A decision on the copied state can then no longer be written.
    #[must_use]
    pub fn next_version(&self) -> Self {
        Self {
            version: self.version + 1,
            ..self.clone()
        }
    }

    /// The verified card with this id: active, standby or replaced.
    #[must_use]
    pub fn bound(&self, card_id: &CardId) -> Option<&BoundCard> {
        self.all_bound()
            .find(|bound| bound.card.card_id == *card_id)
    }

    /// The verified cards: active, standby and replaced ones.
    pub fn all_bound(&self) -> impl Iterator<Item = &BoundCard> {
        let standby = self.standby.iter().map(|standby| &standby.bound);
        let replaced = self.replaced.iter().map(|replaced| &replaced.bound);
        self.active.iter().chain(standby).chain(replaced)
    }

    /// The verified card with this id, mutable to count a payout or to move its hash.
    pub fn bound_mut(&mut self, card_id: &CardId) -> Option<&mut BoundCard> {
        let standby = self.standby.iter_mut().map(|standby| &mut standby.bound);
        let replaced = self.replaced.iter_mut().map(|replaced| &mut replaced.bound);
        let mut all = self.active.iter_mut().chain(standby).chain(replaced);
        all.find(|bound| bound.card.card_id == *card_id)
    }

    /// The standby card with this id.
    #[must_use]
    pub fn standby(&self, card_id: &CardId) -> Option<&StandbyCard> {
        let mut all = self.standby.iter();
        all.find(|standby| standby.bound.card.card_id == *card_id)
    }

    /// The formerly active card with this id.
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

    /// When the announced change of this rebind takes effect; `None` if it has, or was stopped.
    #[must_use]
    pub fn change_ahead(&self, number: u32, now: Timestamp) -> Option<ChangeAhead> {
        if self.frozen.is_some() {
            return None;
        }
        if let Some(last) = self.hold(now).filter(|last| last.number == number) {
            return Some(ChangeAhead {
                takes_effect_at: last.times.effective_at,
                waits: last.times.waits,
                is_activation: true,
            });
        }
        let mut standby = self.standby.iter();
        let standby = standby.find(|standby| standby.bound.card.card_id.number() == number)?;
        (standby.waits || now < standby.usable_at).then_some(ChangeAhead {
            takes_effect_at: standby.usable_at,
            waits: standby.waits,
            is_activation: false,
        })
    }

    /// True while the new card waits for its notification, so that payouts still go to this one.
    #[must_use]
    pub fn is_needed(&self, replaced: &ReplacedCard) -> bool {
        let last = self
            .last_activation
            .as_ref()
            .filter(|last| last.times.waits);
        last.and_then(|last| last.old_card.as_ref()) == Some(&replaced.bound.card.card_id)
    }

    /// True if a freeze holds every payout until the operator decides, or the account is closed.
    #[must_use]
    pub fn holds_payouts(&self) -> bool {
        self.closed_at.is_some() || self.frozen.is_some_and(|frozen| frozen.holds_payouts)
    }

    /// The destination of a payout that is created at `now`: the old card during a hold, otherwise the active card.
    /// `None` if the payout is held.
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

    /// True if an unsent payout waits for a card: it has none, or an operator decided against its card.
    #[must_use]
    pub fn awaits_card(&self, payout: &Payout) -> bool {
        let is_barred = |card: &Card| {
            let replaced = self.replaced(&card.card_id);
            replaced.is_some_and(|replaced| replaced.state == Replaced::Barred)
        };
        payout.state == PayoutState::Unsent && payout.card.as_ref().is_none_or(is_barred)
    }

    /// The number of payouts that wait for a card.
    #[must_use]
    pub fn waiting_payouts(&self) -> u32 {
        let barred = self.replaced.iter();
        let barred = barred.filter(|replaced| replaced.state == Replaced::Barred);
        let of_barred: u32 = barred.map(|replaced| replaced.bound.unsent).sum();
        self.held_payouts.saturating_add(of_barred)
    }

    /// True if this is the rebind of the last activation, which can still be undone.
    #[must_use]
    pub fn is_last_activation(&self, rebind: &Rebind) -> bool {
        let last = self.last_activation.as_ref();
        last.is_some_and(|last| last.number == rebind.rebind_id.number())
    }

    /// True if the card can be removed once its retention is over: its last payout was sent, and the account is not
    /// frozen. The operator of a frozen account decides which card is right, and could restore this one.
    #[must_use]
    pub fn may_remove(&self, replaced: &ReplacedCard) -> bool {
        let undecided = self.frozen.is_some() && !replaced.state.is_out();
        !replaced.bound.has_pending_payout() && !undecided && !self.is_needed(replaced)
    }

    /// True if a device that can be trusted to be the owner's receives push notifications at `now`.
    #[must_use]
    pub fn has_trusted_device(&self, policy: &Policy, now: Timestamp) -> bool {
        let is_old = |at: Timestamp| at.age_s_at(now) > policy.push_trusted_age_s;
        let mut targets = self.push_targets.iter();
        targets.any(|target| is_old(target.registered_at))
            || (self.push_removed_at.is_some() && self.receives_pushes(policy, now))
    }

    /// True if a device receives push notifications at `now`.
    #[must_use]
    pub fn receives_pushes(&self, policy: &Policy, now: Timestamp) -> bool {
        let lately = |at: Timestamp| at.age_s_at(now) < policy.push_after_removal_s;
        !self.push_targets.is_empty() || self.push_removed_at.is_some_and(lately)
    }

    /// When the clean-up must next process this merchant. `now` is the time of the write.
    #[must_use]
    pub fn due_at(&self, now: Timestamp) -> Option<Timestamp> {
        if self.erased_at.is_some() {
            return None;
        }
        let cooldown = self
            .cooldown_until
            .filter(|_| self.cooldown_end_unannounced);
        // The hand-over of the notification seldom changes the time of a removal, so the entry can be there before.
        let waits =
            |replaced: &ReplacedCard| self.is_needed(replaced) && replaced.removable_at > now;
        let removals = self
            .replaced
            .iter()
            .filter(|replaced| self.may_remove(replaced) || waits(replaced));
        let removal = removals.map(|replaced| replaced.removable_at).min();
        let assignable =
            self.waiting_payouts() > 0 && !self.holds_payouts() && self.active.is_some();
        let assignment = match (self.paying_card(now), self.hold(now)) {
            // The hand-over of the notification makes it due.
            (None, Some(last)) => (!last.times.waits).then_some(last.times.effective_at),
            _ => Some(now),
        };
        let assignment = assignment.filter(|_| assignable);
        let pending = self.pending_settlement.as_ref();
        let settlement = pending.map(|pending| pending.effective_at);
        let all = [cooldown, removal, assignment, settlement];
        all.into_iter().flatten().min()
    }
}

/// One counted bank call: its time and the first characters of the card's keyed hash, which distinguish the merchant's
/// cards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankCall {
    /// The time of the call.
    pub at: Timestamp,
    /// The first characters of the card's keyed hash.
    pub card_tag: String,
}

/// A merchant as loaded, the state that a decision starts from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Merchant {
    /// The changing state.
    pub state: MerchantState,
    /// The acquirer's record.
    pub profile: Profile,
    /// The rebind that the request is about, or the latest one.
    pub rebind: Option<Rebind>,
    /// The latest rebind, if it is another one that may be open or in its hold.
    pub latest: Option<Rebind>,
}

impl Merchant {
    /// The status of a card at `now`.
    #[must_use]
    pub fn card_status(&self, card_id: &CardId, now: Timestamp) -> CardStatus {
        let state = &self.state;
        let is_active = state
            .active
            .as_ref()
            .is_some_and(|active| active.card.card_id == *card_id);
        if is_active {
            return CardStatus::Active;
        }
        if state.standby(card_id).is_some() {
            return CardStatus::Standby;
        }
        if let Some(replaced) = state.replaced(card_id) {
            return if replaced.is_gone(now) && !state.is_needed(replaced) {
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

    /// True if a rebind of this merchant is open and not expired. A rebind that was overdue when a later one began
    /// stays expired, even if the clock is behind.
    #[must_use]
    pub fn is_open(&self, rebind: &Rebind, now: Timestamp) -> bool {
        rebind.is_open(now) && self.state.open == Some(rebind.rebind_id.number())
    }

    /// The wire name of the rebind's state at `now`.
    #[must_use]
    pub fn state_of(&self, rebind: &Rebind, now: Timestamp) -> StateName {
        if rebind.stage.is_open() && !self.is_open(rebind, now) {
            return StateName::Expired;
        }
        rebind.state_at(now)
    }

    /// True if an unsent payout is held, for a card or for the operator's decision.
    #[must_use]
    pub fn holds(&self, payout: &Payout) -> bool {
        let is_frozen = payout.state == PayoutState::Unsent && self.state.holds_payouts();
        is_frozen || self.state.awaits_card(payout)
    }

    /// The open rebind, if it is loaded and not expired.
    #[must_use]
    pub fn open_rebind(&self, now: Timestamp) -> Option<&Rebind> {
        let mut loaded = self.loaded();
        loaded.find(|rebind| self.is_open(rebind, now))
    }

    /// The rebind with this number, if it is loaded.
    #[must_use]
    pub fn numbered(&self, number: u32) -> Option<&Rebind> {
        let mut loaded = self.loaded();
        loaded.find(|rebind| rebind.rebind_id.number() == number)
    }

    fn loaded(&self) -> impl Iterator<Item = &Rebind> {
        self.rebind.iter().chain(&self.latest)
    }

    /// The end of the cooldown, while it runs.
    #[must_use]
    pub fn cooldown(&self, now: Timestamp) -> Option<Timestamp> {
        self.state.cooldown_until.filter(|until| now < *until)
    }

    /// The end of the quiet period, while it runs.
    #[must_use]
    pub fn quiet_until(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let changed_at = self.state.security_changed_at?;
        (changed_at.age_s_at(now) < policy.quiet_period_s)
            .then(|| changed_at.plus_s(policy.quiet_period_s))
    }
}
