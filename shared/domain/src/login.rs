//! Throttling of logins. It slows guessing down without letting anybody lock somebody else out: a device that has logged
//! in before is counted on its own, all others together; a source address is held back only for devices that never did,
//! because carriers share addresses.

use super::error_code::ErrorCode;
use super::format::document_expiry::DocumentExpiry;
use super::ids::MerchantId;
use super::merchant::Session;
use super::policy::{DAY_S, HOUR_S, Policy};
use super::rejection::Rejection;
use super::time::Timestamp;
use super::window::Window;

/// Failed logins of one kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Failures {
    /// When they were; each is counted before the password is compared and taken back when it was right.
    pub window: Window,
    /// How many since the last success.
    pub in_a_row: u32,
    /// Moves with every change, and so says which record this replaces: the one of the revision before. 0: there is no
    /// record yet.
    pub revision: u64,
}

impl Failures {
    /// Seconds until the next try; `None` when it may be now.
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

    fn counted(&self, span_s: i64, now: Timestamp) -> Self {
        let mut next = self.clone();
        next.window.add(span_s, now);
        next.in_a_row = next.in_a_row.saturating_add(1);
        next.revision += 1;
        next
    }

    fn cleared(&self, at: Timestamp) -> Self {
        let mut next = self.clone();
        next.window.take_back(at);
        next.in_a_row = 0;
        next.revision += 1;
        next
    }
}

/// What the login knows of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// argon2id, PHC string.
    pub password_hash: String,
    /// Moves with every login and every change of the password; the write's condition.
    pub version: u64,
    /// Where the next session goes.
    pub next_slot: u8,
    /// For the reply.
    pub legal_name_masked: String,
    /// For the reply.
    pub entity_type: String,
    /// When the registered ID document ends, as in the profile: the acquirer writes both, a login reads no profile.
    pub id_expires_on: DocumentExpiry,
    /// Hashes of the devices that have logged in, the one used longest ago first.
    pub known_devices: Vec<String>,
}

/// Everything that a login depends on.
#[derive(Clone, Debug)]
pub struct LoginRead {
    /// `None` for a name that nobody has; the failures are counted all the same.
    pub account: Option<Account>,
    /// Whether this device has logged in to this account before.
    pub device_known: bool,
    /// Failures of this device, where it is known.
    pub device: Failures,
    /// Failures of all devices that never logged in.
    pub others: Failures,
    /// Failures from this address, of such devices.
    pub source: Failures,
}

impl LoginRead {
    /// Counts this try, or says how long to wait.
    ///
    /// # Errors
    /// `AUTH_THROTTLED` with the seconds to wait.
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
            counted.device = self.device.counted(DAY_S, now);
        } else {
            counted.others = self.others.counted(DAY_S, now);
            counted.source = self.source.counted(HOUR_S, now);
        }
        Ok(counted)
    }

    /// The password was right: what [`LoginRead::count`] counted at `now` was no failure.
    #[must_use]
    pub fn clear(&self, now: Timestamp) -> Self {
        let mut cleared = self.clone();
        if self.device_known {
            cleared.device = self.device.cleared(now);
        } else {
            cleared.others = self.others.cleared(now);
            // An address has no row: it may serve thousands.
            cleared.source.window.take_back(now);
            cleared.source.revision += 1;
        }
        cleared
    }
}

/// A session about to be written.
#[derive(Clone, Debug)]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    /// Its slot.
    pub slot: u8,
    /// The account's known devices with this one at the end.
    pub known_devices: Vec<String>,
}

impl OpenedSession {
    /// Where a session goes and which devices are known after it.
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
            slot: account.next_slot % policy.sessions_max,
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

    fn nobody(device_known: bool) -> LoginRead {
        LoginRead {
            account: None,
            device_known,
            device: Failures::default(),
            others: Failures::default(),
            source: Failures::default(),
        }
    }

    #[test]
    fn waits_begin_with_the_fourth_failure_and_double_up_to_a_quarter_of_an_hour() {
        let mut read = nobody(true);
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
    fn twenty_a_day_and_never_a_lasting_lock() {
        let mut read = nobody(true);
        for i in 0..20 {
            read = read.count(&POLICY, t(i * 1_000)).unwrap();
        }
        let refusal = read.count(&POLICY, t(20_000)).unwrap_err();
        assert_eq!(refusal.retry_after_s, Some(DAY_S - 20_000));
        assert!(read.count(&POLICY, t(DAY_S)).is_ok());
    }

    #[test]
    fn strangers_do_not_hold_a_known_device_back() {
        let mut read = nobody(false);
        for _ in 0..4 {
            read = read.count(&POLICY, t(0)).unwrap();
        }
        assert!(read.count(&POLICY, t(0)).is_err());
        read.device_known = true;
        assert!(read.count(&POLICY, t(0)).is_ok());
    }

    #[test]
    fn an_address_is_held_back_for_strangers_only() {
        let mut read = nobody(false);
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
    fn a_right_password_was_no_failure() {
        let counted = nobody(false).count(&POLICY, t(0)).unwrap();
        let cleared = counted.clear(t(0));
        let revision = cleared.others.revision;
        assert_eq!(
            cleared.others,
            Failures {
                revision,
                ..Failures::default()
            }
        );
        assert!(cleared.source.window.is_empty());
    }

    #[test]
    fn every_change_of_a_record_moves_its_revision_by_one() {
        for known in [true, false] {
            let read = nobody(known);
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
    fn strangers_are_counted_together_and_each_known_device_on_its_own() {
        let counted = nobody(false).count(&POLICY, t(0)).unwrap();
        assert_eq!((counted.others.in_a_row, counted.device.in_a_row), (1, 0));
        assert_eq!(counted.source.window.count(HOUR_S, t(0)), 1);
        let counted = nobody(true).count(&POLICY, t(0)).unwrap();
        assert_eq!((counted.others.in_a_row, counted.device.in_a_row), (0, 1));
        assert!(counted.source.window.is_empty());
    }

    #[test]
    fn a_success_ends_the_row_and_leaves_the_days_failures() {
        let mut read = nobody(true);
        for s in 0..3 {
            read = read.count(&POLICY, t(s)).unwrap();
        }
        let cleared = read.count(&POLICY, t(3)).unwrap().clear(t(3));
        assert_eq!(cleared.device.in_a_row, 0);
        assert_eq!(cleared.device.window.count(DAY_S, t(3)), 3);
        assert_eq!(cleared.device.wait_s(&POLICY, t(3)), None);
    }

    #[test]
    fn a_refusal_counts_nothing_and_tells_at_least_one_second() {
        let mut read = nobody(true);
        for _ in 0..4 {
            read = read.count(&POLICY, t(0)).unwrap();
        }
        let refusal = read.count(&POLICY, t(1)).unwrap_err();
        assert_eq!(refusal.code, ErrorCode::AuthThrottled);
        assert_eq!(refusal.counts_toward_limit, Some(false));
        assert_eq!(refusal.retry_after_s, Some(1));
        assert!(read.count(&POLICY, t(2)).is_ok());
        // A clock that went back makes the wait no longer than it was.
        let refusal = read.count(&POLICY, t(-1_000)).unwrap_err();
        assert_eq!(refusal.retry_after_s, Some(2));
    }

    #[test]
    fn a_row_of_any_length_waits_a_quarter_of_an_hour_at_most() {
        let mut failures = Failures::default();
        failures.window.add(DAY_S, t(0));
        for in_a_row in [13, 36, 100, u32::MAX] {
            failures.in_a_row = in_a_row;
            assert_eq!(failures.wait_s(&POLICY, t(0)), Some(15 * 60));
            assert_eq!(failures.wait_s(&POLICY, t(15 * 60)), None);
        }
    }

    #[test]
    fn the_longer_of_two_waits_is_told() {
        let mut read = nobody(false);
        for _ in 0..4 {
            read = read.count(&POLICY, t(0)).unwrap();
        }
        for _ in 0..96 {
            read.source.window.add(HOUR_S, t(0));
        }
        let refusal = read.count(&POLICY, t(0)).unwrap_err();
        assert_eq!(refusal.retry_after_s, Some(HOUR_S));
        // The hour is over, the day's limit is not reached, the row's wait is long past.
        assert!(read.count(&POLICY, t(HOUR_S)).is_ok());
    }

    #[test]
    fn the_eleventh_device_replaces_the_one_used_longest_ago() {
        let mut account = Account {
            merchant_id: MerchantId::parse("mer_a").unwrap(),
            password_hash: String::new(),
            version: 1,
            next_slot: 7,
            legal_name_masked: String::new(),
            entity_type: String::new(),
            id_expires_on: DocumentExpiry::LongTerm,
            known_devices: (0..10).map(|i| i.to_string()).collect(),
        };
        let opened = OpenedSession::plan(&account, "new", [0; 32], &POLICY, t(0));
        assert_eq!(opened.known_devices.len(), 10);
        assert_eq!(
            (opened.known_devices.first().unwrap().as_str(), opened.slot),
            ("1", 2)
        );
        account.known_devices = opened.known_devices;
        let again = OpenedSession::plan(&account, "1", [0; 32], &POLICY, t(0));
        assert_eq!(again.known_devices.last().unwrap(), "1");
        assert_eq!(again.known_devices.len(), 10);
    }
}
