//! Throttling of logins. It slows down guessing without letting an attacker lock out the owner: each device that has
//! logged in before has its own counter, and all other devices share one. A source address is limited for unknown
//! devices only, because carriers share addresses.

use super::device::{Logins, SessionDevice};
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

    fn count(&mut self, span_s: i64, now: Timestamp) {
        self.window.add(span_s, now);
        self.in_a_row = self.in_a_row.saturating_add(1);
    }

    fn refund(&mut self, at: Timestamp) {
        self.window.refund(at);
        self.in_a_row = 0;
    }
}

/// An account, as far as a login needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// The merchant.
    pub merchant_id: MerchantId,
    /// argon2id hash as a PHC string.
    pub password_hash: String,
    /// Incremented with every change of the password.
    pub version: u64,
    /// Part of the reply.
    pub legal_name_masked: String,
    /// Part of the reply.
    pub entity_type: EntityType,
    /// Expiry of the registered ID document. The acquirer also writes it here, because a login does not read the profile.
    pub id_expires_on: DocumentExpiry,
}

/// All stored data that a login depends on.
#[derive(Clone, Debug)]
pub struct LoginRead {
    /// `None` for an unknown account name. Failures are counted anyway.
    pub account: Option<Account>,
    /// What earlier logins have changed.
    pub logins: Logins,
    /// Keyed hash of the device, if it has logged in to this account before. Its failures are counted on its own.
    pub known_device: Option<String>,
    /// Failures of unknown devices from this address.
    pub source: Failures,
    /// Optimistic lock of the address's record. 0 means that no record exists yet.
    pub source_revision: u64,
}

impl LoginRead {
    fn failures_mut(&mut self) -> Option<&mut Failures> {
        match &self.known_device {
            Some(hash) => self
                .logins
                .device_mut(hash)
                .map(|device| &mut device.failures),
            None => Some(&mut self.logins.strangers),
        }
    }

    /// Counts this attempt as a failure, before the password is compared.
    ///
    /// # Errors
    /// `AUTH_THROTTLED` with the seconds until the next attempt.
    pub fn count(&self, policy: &Policy, now: Timestamp) -> Result<Self, Rejection> {
        let known = self.known_device.as_ref();
        let wait_s = match known.and_then(|hash| self.logins.device(hash)) {
            Some(device) => device.failures.wait_s(policy, now),
            None => {
                let limit = policy.login_failures_per_source_hour;
                let by_source = self.source.window.wait_s(limit, HOUR_S, now);
                self.logins.strangers.wait_s(policy, now).max(by_source)
            }
        };
        if let Some(wait_s) = wait_s {
            return Err(Rejection::new(ErrorCode::AuthThrottled)
                .not_counted()
                .retry_after(wait_s.max(1)));
        }
        let mut counted = self.next();
        if let Some(failures) = counted.failures_mut() {
            failures.count(DAY_S, now);
        }
        if self.known_device.is_none() {
            counted.source.count(HOUR_S, now);
        }
        Ok(counted)
    }

    /// Refunds the failure that [`LoginRead::count`] counted at `now`, because the password was correct.
    #[must_use]
    pub fn clear(&self, now: Timestamp) -> Self {
        let mut cleared = self.next();
        if let Some(failures) = cleared.failures_mut() {
            failures.refund(now);
        }
        if self.known_device.is_none() {
            // Consecutive failures of an address do not matter: it may serve thousands of users.
            cleared.source.window.refund(now);
        }
        cleared
    }

    /// The next revision of the records that a login of this device changes.
    fn next(&self) -> Self {
        let mut next = self.clone();
        next.logins.revision += 1;
        next.source_revision += u64::from(self.known_device.is_none());
        next
    }
}

/// A session to write.
#[derive(Clone, Debug)]
pub struct OpenedSession {
    /// The session.
    pub session: Session,
    /// Its slot.
    pub slot: Slot,
}

impl OpenedSession {
    /// The session of a login at `now`.
    #[must_use]
    pub const fn new(
        slot: Slot,
        device: SessionDevice,
        token_hash: [u8; 32],
        now: Timestamp,
    ) -> Self {
        Self {
            session: Session {
                token_hash,
                login_at: now,
                last_change_at: now,
                device,
            },
            slot,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::device::KnownDevice;

    const POLICY: Policy = Policy::CURRENT;

    fn t(s: i64) -> Timestamp {
        Timestamp::from_epoch_s(1_000_000 + s)
    }

    const DEVICE: &str = "device";

    fn unknown_account(known: bool) -> LoginRead {
        let mut logins = Logins::default();
        logins.devices.push(KnownDevice {
            hash: DEVICE.to_owned(),
            first_seen: t(0),
            last_used: t(0),
            failures: Failures::default(),
        });
        LoginRead {
            account: None,
            logins,
            known_device: known.then(|| DEVICE.to_owned()),
            source: Failures::default(),
            source_revision: 0,
        }
    }

    fn of_device(read: &LoginRead) -> &Failures {
        &read.logins.devices[0].failures
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
        read.known_device = Some(DEVICE.to_owned());
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
        read.known_device = Some(DEVICE.to_owned());
        assert!(read.count(&POLICY, t(60)).is_ok());
    }

    #[test]
    fn correct_password_refunds_its_failure() {
        let counted = unknown_account(false).count(&POLICY, t(0)).unwrap();
        let cleared = counted.clear(t(0));
        assert_eq!(cleared.logins.strangers, Failures::default());
        assert_eq!(cleared.source.window.times().count(), 0);
    }

    #[test]
    fn each_change_increments_the_revision() {
        for known in [true, false] {
            let read = unknown_account(known);
            let counted = read.count(&POLICY, t(0)).unwrap();
            let cleared = counted.clear(t(0));
            let of = |read: &LoginRead| [read.logins.revision, read.source_revision];
            let moved = if known { [1, 0] } else { [1, 1] };
            assert_eq!((of(&read), of(&counted)), ([0; 2], moved));
            assert_eq!(of(&cleared), moved.map(|revision| 2 * revision));
        }
    }

    #[test]
    fn known_device_has_its_own_counter() {
        let counted = unknown_account(false).count(&POLICY, t(0)).unwrap();
        let rows = |read: &LoginRead| (read.logins.strangers.in_a_row, of_device(read).in_a_row);
        assert_eq!(rows(&counted), (1, 0));
        assert_eq!(counted.source.window.count(HOUR_S, t(0)), 1);
        let counted = unknown_account(true).count(&POLICY, t(0)).unwrap();
        assert_eq!(rows(&counted), (0, 1));
        assert_eq!(counted.source.window.times().count(), 0);
    }

    #[test]
    fn success_resets_the_row_but_not_the_day() {
        let mut read = unknown_account(true);
        for s in 0..3 {
            read = read.count(&POLICY, t(s)).unwrap();
        }
        let cleared = read.count(&POLICY, t(3)).unwrap().clear(t(3));
        assert_eq!(of_device(&cleared).in_a_row, 0);
        assert_eq!(of_device(&cleared).window.count(DAY_S, t(3)), 3);
        assert_eq!(of_device(&cleared).wait_s(&POLICY, t(3)), None);
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
}
