//! What logins change about an account: its known devices, failures, and the use of its session slots.

use super::stored::Stored;
use super::window::WindowV1;
use super::{Attributes, GARBAGE_AFTER_S, check_version, version};
use crate::item::{Item, get_json, get_n, json, n, opt_s, time};
use application::ports::PortError;
use domain::device::{DeviceTag, KnownDevice, Logins, SlotUse};
use domain::login::Failures;
use domain::time::Timestamp;
use serde::{Deserialize, Serialize};

/// The attribute for the optimistic lock.
pub(crate) const REVISION: &str = "rev";
/// The attribute of the login that wrote last, while it counts a failure.
pub(crate) const COUNTED_BY: &str = "by";
/// The attribute of the known devices.
pub(crate) const DEVICES: &str = "devices";
/// The attribute of the session slots.
pub(crate) const SLOTS: &str = "slots";

/// Failures in a row, and the times of the day's failures.
#[derive(Default, Serialize, Deserialize)]
struct FailuresV1(u32, WindowV1);

impl Stored<Failures> for FailuresV1 {
    fn of(value: &Failures) -> Self {
        let Failures { window, in_a_row } = value;
        Self(*in_a_row, WindowV1::of(window))
    }

    fn back(self) -> Result<Failures, PortError> {
        let Self(in_a_row, window) = self;
        Ok(Failures {
            window: window.back()?,
            in_a_row,
        })
    }
}

/// Keyed hash, first and last login, failures.
#[derive(Serialize, Deserialize)]
struct KnownDeviceV1(String, i64, i64, FailuresV1);

impl Stored<KnownDevice> for KnownDeviceV1 {
    fn of(value: &KnownDevice) -> Self {
        let KnownDevice {
            hash,
            first_seen,
            last_used,
            failures,
        } = value;
        Self(
            hash.clone(),
            first_seen.epoch_s(),
            last_used.epoch_s(),
            FailuresV1::of(failures),
        )
    }

    fn back(self) -> Result<KnownDevice, PortError> {
        let Self(hash, first_seen, last_used, failures) = self;
        Ok(KnownDevice {
            hash,
            first_seen: first_seen.back()?,
            last_used: last_used.back()?,
            failures: failures.back()?,
        })
    }
}

/// Tag and first login of the device, end of the session's longest life.
#[derive(Serialize, Deserialize)]
struct SlotUseV1(String, i64, i64);

impl Stored<SlotUse> for SlotUseV1 {
    fn of(value: &SlotUse) -> Self {
        let SlotUse {
            device,
            first_seen,
            until,
        } = value;
        Self(device.0.clone(), first_seen.epoch_s(), until.epoch_s())
    }

    fn back(self) -> Result<SlotUse, PortError> {
        let Self(device, first_seen, until) = self;
        Ok(SlotUse {
            device: DeviceTag(device),
            first_seen: first_seen.back()?,
            until: until.back()?,
        })
    }
}

/// The attributes; `now` is the time of the write. Failures of an account without a known device become garbage, because
/// an account name that does not exist collects them too.
///
/// # Errors
/// `Permanent`, when it cannot be written as JSON.
pub fn attributes(logins: &Logins, now: Timestamp) -> Result<Attributes, PortError> {
    let Logins {
        revision,
        devices,
        strangers,
        added,
        slots,
    } = logins;
    let known: Vec<KnownDeviceV1> = devices.iter().map(Stored::of).collect();
    let in_use: Vec<Option<SlotUseV1>> = slots
        .iter()
        .map(|slot| slot.as_ref().map(Stored::of))
        .collect();
    let garbage_at = known.is_empty().then(|| time(now.plus_s(GARBAGE_AFTER_S)));
    Ok(vec![
        version(),
        (REVISION, Some(n(revision))),
        (DEVICES, Some(json(&known)?)),
        ("others", Some(json(&FailuresV1::of(strangers))?)),
        ("added", Some(json(&WindowV1::of(added))?)),
        (SLOTS, Some(json(&in_use)?)),
        ("ttl", garbage_at),
    ])
}

/// The logins, from their item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<Logins, PortError> {
    check_version(item, "an account's logins")?;
    let mut logins = Logins {
        revision: get_n(item, REVISION)?,
        ..Logins::default()
    };
    if opt_s(item, DEVICES).is_some() {
        let known: Vec<KnownDeviceV1> = get_json(item, DEVICES)?;
        let devices: Result<_, _> = known.into_iter().map(Stored::back).collect();
        logins.devices = devices?;
    }
    if opt_s(item, SLOTS).is_some() {
        let in_use: Vec<Option<SlotUseV1>> = get_json(item, SLOTS)?;
        for (slot, stored) in logins.slots.iter_mut().zip(in_use) {
            *slot = stored.map(Stored::back).transpose()?;
        }
    }
    logins.strangers = get_json::<FailuresV1>(item, "others")?.back()?;
    logins.added = get_json::<WindowV1>(item, "added")?.back()?;
    Ok(logins)
}
