//! The day's counts of a merchant's devices, inside the merchant's state.

use super::stored::Stored;
use super::window::WindowV1;
use application::ports::PortError;
use domain::device::DeviceTag;
use domain::device_counts::{DayCounts, DeviceCounts};
use serde::{Deserialize, Serialize};

/// The device, empty for the young ones; then the times of wrong codes, of rebinds, of refunded ones.
#[derive(Serialize, Deserialize)]
struct DayCountsV1(String, WindowV1, WindowV1, WindowV1);

/// Only devices that have counts are stored.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct DeviceCountsV1(Vec<DayCountsV1>);

impl DeviceCountsV1 {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl DayCountsV1 {
    fn of(device: &str, counts: &DayCounts) -> Option<Self> {
        let DayCounts {
            wrong_codes,
            rebinds,
            refunded,
        } = counts;
        let [wrong_codes, rebinds, refunded] = [wrong_codes, rebinds, refunded].map(WindowV1::of);
        let is_empty = wrong_codes.is_empty() && rebinds.is_empty() && refunded.is_empty();
        (!is_empty).then(|| Self(device.to_owned(), wrong_codes, rebinds, refunded))
    }
}

impl Stored<DeviceCounts> for DeviceCountsV1 {
    fn of(DeviceCounts { young, older }: &DeviceCounts) -> Self {
        let older = older.iter().map(|(device, counts)| (&*device.0, counts));
        let all = older.chain([("", young)]);
        Self(
            all.filter_map(|(device, counts)| DayCountsV1::of(device, counts))
                .collect(),
        )
    }

    fn back(self) -> Result<DeviceCounts, PortError> {
        let mut devices = DeviceCounts::default();
        for DayCountsV1(device, wrong_codes, rebinds, refunded) in self.0 {
            let counts = DayCounts {
                wrong_codes: wrong_codes.back()?,
                rebinds: rebinds.back()?,
                refunded: refunded.back()?,
            };
            match device.is_empty() {
                true => devices.young = counts,
                false => devices.older.push((DeviceTag(device), counts)),
            }
        }
        Ok(devices)
    }
}
