//! The daily limits of wrong codes and of new rebinds, counted by device. All young devices count together, and each older
//! one on its own, so that a stranger with the password cannot use up the limits of the owner's device.

use super::device::{DeviceTag, SessionDevice};
use super::policy::{DAY_S, Policy};
use super::time::Timestamp;
use super::window::Window;

/// The day's counted operations of one device, or of all young devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DayCounts {
    /// The times of wrong codes.
    pub wrong_codes: Window,
    /// The creation times of rebinds, except the refunded ones.
    pub rebinds: Window,
    /// The creation times of rebinds that were cancelled early. They count toward the limit of creations only.
    pub refunded: Window,
}

impl DayCounts {
    /// Seconds until another code may be tried; `None` if one may be tried now.
    #[must_use]
    pub fn code_wait_s(&self, policy: &Policy, now: Timestamp) -> Option<i64> {
        let limit = policy.wrong_codes_per_day;
        self.wrong_codes.wait_s(limit, DAY_S, now)
    }

    /// Seconds until another rebind may be created; `None` if one may be created now.
    #[must_use]
    pub fn rebind_wait_s(&self, policy: &Policy, now: Timestamp) -> Option<i64> {
        let creations: Window = self.rebinds.times().chain(self.refunded.times()).collect();
        let counted = self.rebinds.wait_s(policy.rebinds_per_day, DAY_S, now);
        let created = creations.wait_s(policy.creations_per_day, DAY_S, now);
        counted.max(created)
    }

    /// Adds the counts of a device that no longer has its own.
    fn extend(&mut self, other: Self) {
        let Self {
            wrong_codes,
            rebinds,
            refunded,
        } = other;
        let windows = self.windows_mut().into_iter();
        for (window, more) in windows.zip([wrong_codes, rebinds, refunded]) {
            let mut times: Vec<Timestamp> = window.times().chain(more.times()).collect();
            times.sort_unstable();
            *window = times.into_iter().collect();
        }
    }

    /// The windows, for code that treats them alike.
    fn windows_mut(&mut self) -> [&mut Window; 3] {
        [&mut self.wrong_codes, &mut self.rebinds, &mut self.refunded]
    }

    fn prune(&mut self, now: Timestamp) {
        for window in self.windows_mut() {
            window.prune(DAY_S, now);
        }
    }

    /// True if nothing of the last day is counted.
    #[must_use]
    pub fn is_empty_at(&self, now: Timestamp) -> bool {
        let Self {
            wrong_codes,
            rebinds,
            refunded,
        } = self;
        let windows = [wrong_codes, rebinds, refunded];
        windows.iter().all(|window| window.count(DAY_S, now) == 0)
    }
}

/// The counts of a merchant's devices.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceCounts {
    /// All young devices, and the younger ones of the others beyond [`DeviceCounts::OLDER_MAX`].
    pub young: DayCounts,
    /// Older devices, each on its own.
    pub older: Vec<OlderDevice>,
}

/// The counts of an older device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OlderDevice {
    /// The device.
    pub tag: DeviceTag,
    /// Its first login.
    pub first_seen: Timestamp,
    /// Its counts.
    pub counts: DayCounts,
}

impl DeviceCounts {
    /// Older devices with counts of their own. More would make the merchant state large.
    pub const OLDER_MAX: usize = 2;

    /// The counts that apply to a device.
    #[must_use]
    pub fn of(&self, device: &SessionDevice, policy: &Policy, now: Timestamp) -> DayCounts {
        // A copy, because a device without counts of its own may still get some.
        let mut counts = self.clone();
        counts.of_mut(device, policy, now).clone()
    }

    /// The counts that apply to a device, to add to them. Drops what is older than a day.
    pub fn of_mut(
        &mut self,
        device: &SessionDevice,
        policy: &Policy,
        now: Timestamp,
    ) -> &mut DayCounts {
        self.prune(now);
        if device.first_seen.age_s_at(now) < policy.device_young_s {
            return &mut self.young;
        }
        if !self.older.iter().any(|older| older.tag == device.tag) {
            self.older.push(OlderDevice {
                tag: device.tag.clone(),
                first_seen: device.first_seen,
                counts: DayCounts::default(),
            });
            self.older.sort_by_key(|older| older.first_seen);
            // The youngest of them has to count with the young ones.
            for surplus in self.older.drain(Self::OLDER_MAX.min(self.older.len())..) {
                self.young.extend(surplus.counts);
            }
        }
        let mut older = self.older.iter_mut();
        match older.find(|older| older.tag == device.tag) {
            Some(own) => &mut own.counts,
            None => &mut self.young,
        }
    }

    /// The counts of all devices.
    pub fn all(&self) -> impl Iterator<Item = &DayCounts> {
        let older = self.older.iter().map(|older| &older.counts);
        older.chain([&self.young])
    }

    /// Counts the rebind that was created at `created_at` as refunded.
    pub fn refund_rebind(&mut self, created_at: Timestamp) {
        let older = self.older.iter_mut().map(|older| &mut older.counts);
        for counts in older.chain([&mut self.young]) {
            if counts.rebinds.refund(created_at) {
                counts.refunded.add(DAY_S, created_at);
                return;
            }
        }
    }

    fn prune(&mut self, now: Timestamp) {
        self.young.prune(now);
        self.older.retain(|older| !older.counts.is_empty_at(now));
        for older in &mut self.older {
            older.counts.prune(now);
        }
    }
}
