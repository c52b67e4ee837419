//! The benchmark. `cargo local bench` runs it in the profile `measure`.

#![allow(clippy::print_stdout, clippy::unwrap_used)] // a command-line tool

use tests::bench::{self, Plan, build, scene};

#[tokio::main]
async fn main() {
    let only: Vec<String> = std::env::args().skip(1).collect();
    let plan = Plan {
        cold_runs: 15,
        warm_runs: 100,
        only,
    };
    let mut built = build::all(&plan.only).unwrap();
    built.before = std::env::var_os("BEFORE").map(Into::into);
    let system = bench::host(&built).await;
    let moments = scene::moments(&system).await;
    let (rows, floor) = bench::steps(&system, &built, &plan, &moments).await;
    println!(
        "floor: init {:.2} first {:.2} total {:.2} cpu {:.2} spread {:.0}%",
        floor.init.median(),
        floor.first.median(),
        floor.total.median(),
        floor.cpu.median(),
        floor.total.spread_percent()
    );
    for row in rows {
        let ratio = row.cold.total.median() / floor.total.median();
        println!(
            "{:<20} {:?} init {:.2} first {:.2} total {:.2} x{ratio:.2} cpu {:.2} hs {} kms {} | warm p50 {:.2} p99 {:.2} replay {:.2} x{:.2} cpu {:.2} mem {:.1} calls {} rru {} wru {} kms {}",
            row.name,
            moments[row.place].step,
            row.cold.init.median(),
            row.cold.first.median(),
            row.cold.total.median(),
            row.cold.cpu.median(),
            row.cold.traffic.handshakes,
            row.cold.traffic.kms_calls,
            row.warm.call.median(),
            row.warm.call.percentile(99),
            row.replay_ms,
            row.warm.call.median() / row.replay_ms,
            row.warm.cpu_ms,
            row.warm.peak_mib,
            row.warm.traffic.table_calls,
            row.warm.traffic.rru,
            row.warm.traffic.wru,
            row.warm.traffic.kms_calls
        );
    }
}
