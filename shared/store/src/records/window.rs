//! The times of a limit, inside a record.

use super::stored::Stored;
use application::ports::PortError;
use domain::time::Timestamp;
use domain::window::Window;
use serde::{Deserialize, Serialize};

/// The epoch seconds of the first time, then the seconds between consecutive times: ten times take about sixty bytes.
#[derive(Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct WindowV1(Vec<i64>);

impl WindowV1 {
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Stored<Window> for WindowV1 {
    fn of(window: &Window) -> Self {
        let mut before_s = 0;
        let step = |at: Timestamp| at.epoch_s() - std::mem::replace(&mut before_s, at.epoch_s());
        Self(window.times().map(step).collect())
    }

    fn back(self) -> Result<Window, PortError> {
        let times = self.0.into_iter().scan(0_i64, |at_s, step_s| {
            *at_s = at_s.saturating_add(step_s);
            Some(Timestamp::from_epoch_s(*at_s))
        });
        Ok(times.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn window_is_stored_as_steps() {
        let times = [1_763_800_000, 1_763_800_060, 1_763_790_000];
        let window: Window = times.into_iter().map(Timestamp::from_epoch_s).collect();
        let record = WindowV1::of(&window);
        assert_eq!(record.0, [1_763_800_000, 60, -10_060]);
        assert_eq!(record.back().unwrap(), window);
    }
}
