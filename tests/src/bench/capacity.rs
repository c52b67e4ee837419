//! What a large acquirer needs, by arithmetic from measured sizes and calls: 50 million merchants, 20 rebinds a second.

use crate::clean_up_scale::INDEX_WRITES_MAX;
use crate::dynamodb_table::item_of;
use crate::processes::Processes;
use crate::processes::template::{RECORD_TABLE, TABLE};
use local::prices::Prices;
use std::fmt::Write as _;

const MERCHANTS: f64 = 50e6;
const REBINDS_A_SECOND: f64 = 20.0;
const SECONDS_A_YEAR: f64 = 365.0 * 86_400.0;
/// DynamoDB counts this much for each item beside its attributes when it bills storage.
const OVERHEAD_BYTES: usize = 100;
/// Writes that one partition takes in a second.
const PARTITION_WRITES: f64 = 1_000.0;

/// The stored bytes at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stored {
    /// All items that stay.
    pub bytes: usize,
    /// The items that expire by themselves: replies of idempotency keys and counters.
    pub transient_bytes: usize,
}

impl Stored {
    /// The items of both tables.
    #[must_use]
    pub fn of(system: &Processes) -> Self {
        let mut stored = Self::default();
        for table in [TABLE, RECORD_TABLE] {
            for item in system.cloud.items(table) {
                let bytes = store::records::size_bytes(&item_of(&item)) + OVERHEAD_BYTES;
                if item.get("ttl").is_some() {
                    stored.transient_bytes += bytes;
                } else {
                    stored.bytes += bytes;
                }
            }
        }
        stored
    }
}

/// What one rebind uses, from login to completion.
#[derive(Clone, Copy, Debug, Default)]
pub struct PerRebind {
    /// Write request units.
    pub wru: f64,
    /// Requests to KMS.
    pub kms: f64,
    /// SMS.
    pub sms: f64,
}

/// The needs, one a line. `empty` is a merchant without a rebind, `after` the same merchant after one.
#[must_use]
pub fn table(empty: Stored, after: Stored, uses: PerRebind, prices: &Prices) -> String {
    let mut text = format!(
        "{:.0} million merchants, {REBINDS_A_SECOND:.0} rebinds a second\n",
        MERCHANTS / 1e6
    );
    let mut line = |what: &str, figure: f64, unit: &str| {
        let _ = writeln!(text, "{what:<44} {figure:>10.1} {unit}");
    };
    let merchants = MERCHANTS * empty.bytes as f64 / 1e9;
    let rebinds = REBINDS_A_SECOND * SECONDS_A_YEAR;
    let growth = rebinds * after.bytes.saturating_sub(empty.bytes) as f64 / 1e9;
    line("table: merchants without a rebind", merchants, "GB");
    line("table: growth by rebinds", growth, "GB a year");
    let price = prices.dynamodb_gb_month;
    line(
        "storage after a year",
        (merchants + growth) * price,
        "dollars a month",
    );
    line("table: writes", REBINDS_A_SECOND * uses.wru, "WRU a second");
    let index = REBINDS_A_SECOND * INDEX_WRITES_MAX as f64;
    line("index: writes", index, "a second");
    line(
        "index: partitions of one month that they fill",
        index / PARTITION_WRITES,
        "of 4 shards",
    );
    line("KMS", REBINDS_A_SECOND * uses.kms, "requests a second");
    line("SNS", REBINDS_A_SECOND * uses.sms, "SMS a second");
    text
}
