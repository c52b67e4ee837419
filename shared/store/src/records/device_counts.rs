//! The day's counts of a merchant's devices, inside the merchant's state.

use super::stored::Stored;
use super::window::WindowV1;
use application::ports::PortError;
use domain::device::DeviceTag;
use domain::device_counts::{DayCounts, DeviceCounts, OlderDevice};
use domain::time::Timestamp;
use domain::window::Window;
use serde::{Deserialize, Serialize};

/// The device and its first login, empty and 0 for the young ones; the numbers of wrong codes and of rebinds; then the times of wrong codes, of
/// rebinds and of refunded ones, as one list because that is short.
#[derive(Serialize, Deserialize)]
struct DayCountsV1(String, i64, usize, usize, WindowV1);

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
    fn of(device: &str, first_seen: i64, counts: &DayCounts) -> Option<Self> {
        let DayCounts {
            wrong_codes,
            rebinds,
            refunded,
        } = counts;
        let all: Window = (wrong_codes.times())
            .chain(rebinds.times())
            .chain(refunded.times())
            .collect();
        let count = |window: &Window| window.times().count();
        (!all.is_empty()).then(|| {
            let (wrong_codes, rebinds) = (count(wrong_codes), count(rebinds));
            let device = device.to_owned();
            Self(device, first_seen, wrong_codes, rebinds, WindowV1::of(&all))
        })
    }
}

impl Stored<DeviceCounts> for DeviceCountsV1 {
    fn of(DeviceCounts { young, older }: &DeviceCounts) -> Self {
        let older = older.iter().map(|older| {
            let first_seen = older.first_seen.epoch_s();
            DayCountsV1::of(&older.tag.0, first_seen, &older.counts)
        });
        let all = older.chain([DayCountsV1::of("", 0, young)]);
        Self(all.flatten().collect())
    }

    fn back(self) -> Result<DeviceCounts, PortError> {
        let mut devices = DeviceCounts::default();
        for DayCountsV1(device, first_seen, wrong_codes, rebinds, all) in self.0 {
            let all = all.back()?;
            let mut times = all.times();
            let counts = DayCounts {
                wrong_codes: times.by_ref().take(wrong_codes).collect(),
                rebinds: times.by_ref().take(rebinds).collect(),
                refunded: times.collect(),
            };
            match device.is_empty() {
                true => devices.young = counts,
                false => devices.older.push(OlderDevice {
                    tag: DeviceTag(device),
                    first_seen: Timestamp::from_epoch_s(first_seen),
                    counts,
                }),
            }
        }
        Ok(devices)
    }
}
