//! The clean-up as a release process: its cost must follow what is due, not what is stored, and its speed must be near that of
//! its own requests.

use super::build::Built;
use super::measure::{REPLAY, fresh};
use crate::clean_up_scale::{Names, Original, Size, Work};
use crate::processes::template::{RECORD_TABLE, TABLE};
use crate::processes::traffic::Totals;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;
use store::shards::DueShards;

/// The clean-up's concurrency.
const CONCURRENCY: usize = cooldown_cleanup::ENTRIES_AT_ONCE;
/// The number of due entries.
const DUE: usize = 1_000;
const FUNCTION: &str = "cooldown-cleanup";

/// One run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The number of stored merchants.
    pub stored: usize,
    /// Its duration.
    pub took: Duration,
    /// The duration of its requests without it, at the same concurrency.
    pub replay: Duration,
    /// Its traffic.
    pub traffic: Totals,
}

impl Run {
    /// Entries a second.
    #[must_use]
    pub fn rate(&self) -> f64 {
        DUE as f64 / self.took.as_secs_f64()
    }

    /// Its speed in relation to its requests alone.
    #[must_use]
    pub fn of_replay(&self) -> f64 {
        self.replay.as_secs_f64() / self.took.as_secs_f64()
    }
}

/// Runs the clean-up over the due entries among this many stored merchants, then its requests alone.
///
/// # Panics
/// When a run fails or leaves an entry.
pub async fn run(built: &Built, stored: usize) -> Run {
    let original = Original::with(Work::HoldOver).await;
    let event = json!({"time": original.now.to_rfc3339_shanghai()});
    let system = super::host(built).await;
    let size = Size { stored, due: DUE };
    let names = Names {
        main: TABLE,
        record: RECORD_TABLE,
    };
    let due = original.seed(&system.cloud.database, names, size, DueShards::DEFAULT);
    // An invocation with nothing due, so that the process is warm.
    let early = json!({"time": "2020-01-01T00:00:00+08:00"});
    system.timed(FUNCTION, &early).await;
    let path = super::build::folder().join("clean-up.db");
    let path = path.to_str().unwrap();
    let _ = std::fs::remove_file(path);
    system.cloud.database.vacuum_into(path).unwrap();
    let _ = system.cloud.traffic.take();
    system.cloud.traffic.record();
    let (summary, timing) = system.timed(FUNCTION, &event).await;
    assert_eq!(summary["completed"], DUE, "{summary}");
    let traffic = system.cloud.traffic.take();
    let requests = fresh(&system.cloud.traffic.recorded(), 1);
    system.cloud.database.restore_from(path).unwrap();
    let _ = std::fs::remove_file(path);
    let groups = json!({"groups": groups(&requests, &due), "concurrency": CONCURRENCY});
    system.timed(REPLAY, &json!({"groups": []})).await;
    let (_, replay) = system.timed(REPLAY, &groups).await;
    Run {
        stored,
        took: timing.call,
        replay: replay.call,
        traffic,
    }
}

/// The requests of each merchant in order; the queries of the index first, together.
fn groups(requests: &[Value], due: &[domain::ids::MerchantId]) -> Vec<Vec<Value>> {
    let mut groups: BTreeMap<usize, Vec<Value>> = BTreeMap::new();
    let places: BTreeMap<&str, usize> = (1..)
        .zip(due)
        .map(|(place, id)| (id.as_str(), place))
        .collect();
    for request in requests {
        let body = request["body"].as_str().unwrap();
        let merchant = body
            .split_once("M#")
            .and_then(|(_, rest)| rest.split('"').next());
        let place = merchant.and_then(|merchant| places.get(merchant).copied());
        groups
            .entry(place.unwrap_or_default())
            .or_default()
            .push(request.clone());
    }
    groups.into_values().collect()
}
