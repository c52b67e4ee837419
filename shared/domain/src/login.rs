//! Throttling of logins. It slows down guessing without letting an attacker lock out the owner: each device that has
//! logged in before has its own counter, and all other devices share one. A source address is limited for unknown
//! devices only, because carriers share addresses.

use super::error_code::ErrorCode;
use super::format::document_expiry::DocumentExpiry;
use super::ids::MerchantId;
use super::merchant::{EntityType, Session, Slot};
use super::policy::{DAY_S, HOUR_S, Policy};
use super::rejection::Rejection;
use super::time::Timestamp;
use super::window::Window;

/// A counter of failed logins.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// The times of the failures. An attempt is counted before its password is compared, and refunded on success.
    pub window: Window,
    /// Failures since the last success.
    pub in_a_row: u32,
    /// Optimistic lock: incremented with every change. 0 means that no record exists yet.
    pub revision: u64,
}

impl Failures {
    /// Seconds until the next attempt; `None` if it is allowed now.
    #[must_use]
    pub fn wait_s(&self, policy: &Policy, now: Timestamp) -> Option<i64> {
        let daily = self
            .window
            .wait_s(policy.login_failures_per_day, DAY_S, now);
        let row = self
            .in_a_row
            .checked_sub(policy.login_wait_from_failure)
            .and_then(|doublings| {
                let wait_s = policy
                    .login_wait_first_s
                    .checked_shl(doublings.min(32))
                    .unwrap_or(policy.login_wait_max_s)
                    .min(policy.login_wait_max_s);
                let age_s = self.window.times().last()?.age_s_at(now);
                (age_s < wait_s).then_some(wait_s - age_s)
            });
        daily.max(row)
    }

    fn with_failure(&self, span_s: i64, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.window.add(span_s, now);
        next.in_a_row = next.in_a_row.saturating_add(1);
        next.revision += 1;
        next
    }

    fn without_failure(&self, at: Timestamp) -> Self {
        let mut next = self.clone();
        next.window.refund(at);
        next.in_a_row = 0;
        next.revision += 1;
        next
    }
}

/// An account, as far as a login needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// argon2id hash as a PHC string.
    pub password_hash: String,
    /// Optimistic lock: incremented with every login and every password change.
    pub version: u64,
    /// The slot of the next session.
    pub next_slot: u8,
    /// Part of the reply.
    pub legal_name_masked: String,
    /// Part of the reply.
    pub entity_type: EntityType,
    /// Expiry of the registered ID document. The acquirer also writes it here, because a login does not read the profile.
    pub id_expires_on: DocumentExpiry,
    /// Hashes of the devices that have logged in, least recently used first.
    pub known_devices: Vec<String>,
}

impl Account {
    /// The slot of the next session. It replaces the oldest one.
    #[must_use]
    pub const fn slot(&self, policy: &Policy) -> Slot {
        self.next_slot % policy.sessions_max
    }
}

/// All stored data that a login depends on.
#[derive(Clone, Debug)]
pub struct LoginRead {
    /// `None` for an unknown account name. Failures are counted anyway.
    pub account: Option<Account>,
    /// True if this device has logged in to this account before.
    pub device_known: bool,
    /// Failures of this device, if it is known.
    pub device: Failures,
    /// Failures of all unknown devices.
    pub others: Failures,
    /// Failures of unknown devices from this address.
    pub source: Failures,
}

impl LoginRead {
    /// Counts this attempt as a failure, before the password is compared.
    ///
    /// # Errors
    /// `AUTH_THROTTLED` with the seconds until the next attempt.
    pub fn count(&self, policy: &Policy, now: Timestamp) -> Result<Self, Rejection> {
        let wait_s = if self.device_known {
            self.device.wait_s(policy, now)
        } else {
            let by_source =
                self.source
                    .window
                    .wait_s(policy.login_failures_per_source_hour, HOUR_S, now);
            self.others.wait_s(policy, now).max(by_source)
        };
        if let Some(wait_s) = wait_s {
            return Err(Rejection::new(ErrorCode::AuthThrottled)
                .not_counted()
                .retry_after(wait_s.max(1)));
        }
        let mut counted = self.clone();
        if self.device_known {
            counted.device = self.device.with_failure(DAY_S, now);
        } else {
            counted.others = self.others.with_failure(DAY_S, now);
            counted.source = self.source.with_failure(HOUR_S, now);
        }
        Ok(counted)
    }

    /// Refunds the failure that [`LoginRead::count`] counted at `now`, because the password was correct.
    #[must_use]
    pub fn clear(&self, now: Timestamp) -> Self {
        let mut cleared = self.clone();
        if self.device_known {
            cleared.device = self.device.without_failure(now);
        } else {
            cleared.others = self.others.without_failure(now);
            // Consecutive failures of an address do not matter: it may serve thousands of users.
            cleared.source.window.refund(now);
            cleared.source.revision += 1;
        }
        cleared
    }
}

/// A session to write.
#[derive(Clone, Debug)]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    /// Its slot.
    pub slot: u8,
    /// The account's known devices, with this device last.
    pub known_devices: Vec<String>,
}

impl OpenedSession {
    /// Plans the slot of a session and the known devices after it.
    #[must_use]
    pub fn plan(
        account: &Account,
        device: &str,
        token_hash: [u8; 32],
        policy: &Policy,
        now: Timestamp,
    ) -> Self {
        let mut known_devices: Vec<String> = account
            .known_devices
            .iter()
            .filter(|known| *known != device)
            .cloned()
            .collect();
        known_devices.push(device.to_owned());
        let surplus = known_devices.len().saturating_sub(policy.known_devices_max);
        known_devices.drain(..surplus);
        Self {
            session: Session {
                token_hash,
                login_at: now,
                last_change_at: now,
            },
            slot: account.slot(policy),
            known_devices,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy = Policy::CURRENT;

    fn t(s: i64) -> Timestamp {
        Timestamp::from_epoch_s(1_000_000 + s)
    }

    fn unknown_account(device_known: bool) -> LoginRead {
        LoginRead {
            account: None,
            device_known,
            device: Failures::default(),
            others: Failures::default(),
            source: Failures::default(),
        }
    }

    #[test]
    fn waits_double_from_fourth_failure_to_15_minutes() {
        let mut read = unknown_account(true);
        let mut now = 0;
        let mut waits = Vec::new();
        for _ in 0..16 {
            if let Err(refusal) = read.count(&POLICY, t(now)) {
                now += refusal.retry_after_s.unwrap();
                waits.push(refusal.retry_after_s.unwrap());
            }
            read = read.count(&POLICY, t(now)).unwrap();
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]);
    }

    #[test]
    fn daily_failures_throttle_for_a_day() {
        let mut read = unknown_account(true);
        for i in (0..).take(POLICY.login_failures_per_day) {
            read = read.count(&POLICY, t(i * 1_000)).unwrap();
        }
        let refusal = read.count(&POLICY, t(20_000)).unwrap_err();
        assert_eq!(refusal.retry_after_s, Some(DAY_S - 20_000));
        assert!(read.count(&POLICY, t(DAY_S)).is_ok());
    }

    #[test]
    fn unknown_devices_do_not_throttle_a_known_device() {
        let mut read = unknown_account(false);
        for _ in 0..4 {
            read = read.count(&POLICY, t(0)).unwrap();
        }
        assert!(read.count(&POLICY, t(0)).is_err());
        read.device_known = true;
        assert!(read.count(&POLICY, t(0)).is_ok());
    }

    #[test]
    fn source_limit_applies_to_unknown_devices_only() {
        let mut read = unknown_account(false);
        for _ in 0..100 {
            read.source.window.add(HOUR_S, t(0));
        }
        assert_eq!(
            read.count(&POLICY, t(60)).unwrap_err().retry_after_s,
            Some(HOUR_S - 60)
        );
        read.device_known = true;
        assert!(read.count(&POLICY, t(60)).is_ok());
    }

    #[test]
    fn correct_password_refunds_its_failure() {
        let counted = unknown_account(false).count(&POLICY, t(0)).unwrap();
        let cleared = counted.clear(t(0));
        let revision = cleared.others.revision;
        assert_eq!(
            cleared.others,
            Failures {
                revision,
                ..Failures::default()
            }
        );
        assert_eq!(cleared.source.window.times().count(), 0);
    }

    #[test]
    fn each_change_increments_the_revision() {
        for known in [true, false] {
            let read = unknown_account(known);
            let counted = read.count(&POLICY, t(0)).unwrap();
            let cleared = counted.clear(t(0));
            let of = |read: &LoginRead| {
                let records = [&read.device, &read.others, &read.source];
                records.map(|record| record.revision)
            };
            let moved = if known { [1, 0, 0] } else { [0, 1, 1] };
            assert_eq!((of(&read), of(&counted)), ([0; 3], moved));
            assert_eq!(of(&cleared), moved.map(|revision| 2 * revision));
        }
    }

    #[test]
    fn known_device_has_its_own_counter() {
        let counted = unknown_account(false).count(&POLICY, t(0)).unwrap();
        assert_eq!((counted.others.in_a_row, counted.device.in_a_row), (1, 0));
        assert_eq!(counted.source.window.count(HOUR_S, t(0)), 1);
        let counted = unknown_account(true).count(&POLICY, t(0)).unwrap();
        assert_eq!((counted.others.in_a_row, counted.device.in_a_row), (0, 1));
        assert_eq!(counted.source.window.times().count(), 0);
    }

    #[test]
    fn success_resets_the_row_but_not_the_day() {
        let mut read = unknown_account(true);
        for s in 0..3 {
            read = read.count(&POLICY, t(s)).unwrap();
        }
        let cleared = read.count(&POLICY, t(3)).unwrap().clear(t(3));
        assert_eq!(cleared.device.in_a_row, 0);
        assert_eq!(cleared.device.window.count(DAY_S, t(3)), 3);
        assert_eq!(cleared.device.wait_s(&POLICY, t(3)), None);
    }

    #[test]
    fn refusal_counts_nothing_and_waits_a_second() {
        let mut read = unknown_account(true);
        for _ in 0..4 {
            read = read.count(&POLICY, t(0)).unwrap();
        }
        let refusal = read.count(&POLICY, t(1)).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::AuthThrottled);
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(refusal.retry_after_s, Some(1));
        assert!(read.count(&POLICY, t(2)).is_ok());
        // A clock that goes back does not prolong the wait.
        let refusal = read.count(&POLICY, t(-1_000)).unwrap_err();
        assert_eq!(refusal.retry_after_s, Some(2));
    }

    #[test]
    fn any_row_waits_at_most_15_minutes() {
        let mut failures = Failures::default();
        failures.window.add(DAY_S, t(0));
        for in_a_row in [13, 36, 100, u32::MAX] {
            failures.in_a_row = in_a_row;
            assert_eq!(failures.wait_s(&POLICY, t(0)), Some(15 * 60));
            assert_eq!(failures.wait_s(&POLICY, t(15 * 60)), None);
        }
    }

    #[test]
    fn refusal_reports_the_longer_wait() {
        let mut read = unknown_account(false);
        for _ in 0..4 {
            read = read.count(&POLICY, t(0)).unwrap();
        }
        for _ in 0..96 {
            read.source.window.add(HOUR_S, t(0));
        }
        let refusal = read.count(&POLICY, t(0)).unwrap_err();
        assert_eq!(refusal.retry_after_s, Some(HOUR_S));
        // The hour is over, the daily limit is not reached, and the wait after consecutive failures is over.
        assert!(read.count(&POLICY, t(HOUR_S)).is_ok());
    }

    #[test]
    fn new_device_replaces_least_recently_used() {
        let mut account = Account {
            merchant_id: MerchantId::parse("mer_a").unwrap(),
            password_hash: String::new(),
            version: 1,
            next_slot: 7,
            legal_name_masked: String::new(),
            entity_type: EntityType::SoleTrader,
            id_expires_on: DocumentExpiry::LongTerm,
            known_devices: (0..POLICY.known_devices_max)
                .map(|i| i.to_string())
                .collect(),
        };
        let opened = OpenedSession::plan(&account, "new", [0; 32], &POLICY, t(0));
        assert_eq!(opened.known_devices.len(), POLICY.known_devices_max);
        assert_eq!(
            (opened.known_devices.first().unwrap().as_str(), opened.slot),
            ("1", 2)
        );
        account.known_devices = opened.known_devices;
        let again = OpenedSession::plan(&account, "1", [0; 32], &POLICY, t(0));
        assert_eq!(again.known_devices.last().unwrap(), "1");
        assert_eq!(again.known_devices.len(), POLICY.known_devices_max);
    }
}
