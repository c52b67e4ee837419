//! The devices of an account: which one becomes known, which one it replaces, and whose session a login replaces. A
//! stranger with the password must not push out the owner's device, so age decides, not the last login.

use super::error_code::ErrorCode;
use super::login::Failures;
use super::merchant::{MerchantState, SESSION_SLOTS, Slot};
use super::policy::{DAY_S, Policy};
use super::rejection::Rejection;
use super::time::Timestamp;
use super::window::Window;

/// The first characters of a device's keyed hash: enough to distinguish an account's devices.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeviceTag(pub String);

impl DeviceTag {
    const CHARS: usize = 8;

    /// The tag of a device with this keyed hash.
    #[must_use]
    pub fn of(hash: &str) -> Self {
        Self(hash.chars().take(Self::CHARS).collect())
    }
}

/// The device of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionDevice {
    /// The device.
    pub tag: DeviceTag,
    /// Its first login. For a device that did not become known, this login.
    pub first_seen: Timestamp,
    /// False for a device beyond the daily limit of new devices: its session changes nothing.
    pub known: bool,
}

/// A device that has logged in to the account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownDevice {
    /// Keyed hash of the device id.
    pub hash: String,
    /// The time of its first login.
    pub first_seen: Timestamp,
    /// The time of its last login.
    pub last_used: Timestamp,
    /// Its failed logins.
    pub failures: Failures,
}

/// The last login in a session slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotUse {
    /// Its device.
    pub device: DeviceTag,
    /// The first login of that device.
    pub first_seen: Timestamp,
    /// The end of the session's longest life. Until then the slot may be in use.
    pub until: Timestamp,
}

/// What logins change about an account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Logins {
    /// Optimistic lock: incremented with every change. 0 means that no record exists yet.
    pub revision: u64,
    /// The known devices.
    pub devices: Vec<KnownDevice>,
    /// Failed logins of all other devices together.
    pub strangers: Failures,
    /// The times at which a device became known.
    pub added: Window,
    /// The session slots.
    pub slots: [Option<SlotUse>; SESSION_SLOTS],
}

impl Logins {
    /// The same without any failure, as the next revision.
    #[must_use]
    pub fn without_failures(&self) -> Self {
        let mut cleared = self.clone();
        cleared.revision += 1;
        cleared.strangers = Failures::default();
        for device in &mut cleared.devices {
            device.failures = Failures::default();
        }
        cleared
    }

    /// The known device with this keyed hash.
    #[must_use]
    pub fn device(&self, hash: &str) -> Option<&KnownDevice> {
        self.devices.iter().find(|device| device.hash == hash)
    }

    /// Replaces a device's hash under the previous key by its hash under the current one.
    pub fn rehash_device(&mut self, previous: &str, current: &str) {
        if let Some(device) = self.device_mut(previous) {
            current.clone_into(&mut device.hash);
        }
        let tag = DeviceTag::of(previous);
        for slot in self.slots.iter_mut().flatten() {
            if slot.device == tag {
                slot.device = DeviceTag::of(current);
            }
        }
    }

    pub(super) fn device_mut(&mut self, hash: &str) -> Option<&mut KnownDevice> {
        self.devices.iter_mut().find(|device| device.hash == hash)
    }

    /// Records a login of the device and returns it as its session sees it. A new device becomes known unless the day's
    /// new devices are used up.
    pub fn admit(&mut self, hash: &str, policy: &Policy, now: Timestamp) -> SessionDevice {
        let tag = DeviceTag::of(hash);
        if let Some(device) = self.device_mut(hash) {
            device.last_used = device.last_used.max(now);
            let first_seen = device.first_seen;
            return SessionDevice {
                tag,
                first_seen,
                known: true,
            };
        }
        let known = self
            .added
            .wait_s(policy.new_devices_per_day, DAY_S, now)
            .is_none();
        if known {
            self.make_room(policy, now);
            self.added.add(DAY_S, now);
            self.devices.push(KnownDevice {
                hash: hash.to_owned(),
                first_seen: now,
                last_used: now,
                failures: Failures::default(),
            });
        }
        SessionDevice {
            tag,
            first_seen: now,
            known,
        }
    }

    /// Removes a device that has not been used for long, otherwise the youngest.
    fn make_room(&mut self, policy: &Policy, now: Timestamp) {
        while self.devices.len() >= policy.known_devices_max {
            let all = || self.devices.iter().enumerate();
            let unused = all()
                .filter(|(_, device)| device.last_used.age_s_at(now) >= policy.device_unused_s)
                .min_by_key(|(_, device)| device.last_used);
            let leaves = unused.or_else(|| all().max_by_key(|(_, device)| device.first_seen));
            match leaves.map(|(index, _)| index) {
                Some(index) => self.devices.remove(index),
                None => return,
            };
        }
    }

    /// The slot for a session of this device: its own, a free one, or that of the youngest device. `None` if every slot
    /// may be in use by an older device.
    #[must_use]
    pub fn slot(&self, device: &SessionDevice, policy: &Policy, now: Timestamp) -> Option<u8> {
        let slots = || (0_u8..policy.sessions_max).zip(&self.slots);
        let own =
            |slot: &Option<SlotUse>| slot.as_ref().is_some_and(|slot| slot.device == device.tag);
        let free = |slot: &Option<SlotUse>| slot.as_ref().is_none_or(|slot| slot.until <= now);
        let find = |fits: &dyn Fn(&Option<SlotUse>) -> bool| {
            slots().find(|(_, slot)| fits(slot)).map(|(index, _)| index)
        };
        let youngest = || {
            let used = slots().filter_map(|(index, slot)| Some((index, slot.as_ref()?.first_seen)));
            let (index, first_seen) = used.max_by_key(|(_, first_seen)| *first_seen)?;
            (first_seen >= device.first_seen).then_some(index)
        };
        find(&own).or_else(|| find(&free)).or_else(youngest)
    }

    /// Records that the slot holds a session of this device.
    pub fn occupy(&mut self, slot: u8, device: &SessionDevice, policy: &Policy, now: Timestamp) {
        if let Some(entry) = self.slots.get_mut(usize::from(slot)) {
            *entry = Some(SlotUse {
                device: device.tag.clone(),
                first_seen: device.first_seen,
                until: now.plus_s(policy.session_max_s),
            });
        }
    }
}

/// The slot of a session that has ended, where the record of logins shows only older devices.
///
/// # Errors
/// `AUTH_THROTTLED` until the first of the sessions is idle: a login never ends the session of an older device.
pub fn ended_slot(
    state: &MerchantState,
    policy: &Policy,
    now: Timestamp,
) -> Result<Slot, Rejection> {
    let mut wait_s = policy.session_idle_s;
    for (slot, session) in (0..policy.sessions_max).zip(&state.sessions) {
        match session {
            Some(session) if session.is_valid_at(policy, now) => {
                let idle_s = policy.session_idle_s - session.last_change_at.age_s_at(now);
                wait_s = wait_s.min(idle_s);
            }
            _ => return Ok(slot),
        }
    }
    Err(Rejection::new(ErrorCode::AuthThrottled)
        .not_counted()
        .retry_after(wait_s.max(1)))
}

#[cfg(test)]
#[path = "device_tests.rs"]
mod tests;
