//! What grows with the number of merchants, of due entries and of events, and what must not.
//!
//! A table without latency would answer each call at once and hide every overlap of two entries or runs. Calls of the
//! clean-up therefore take a few milliseconds, most of them of a virtual clock.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use application::ports::{QueryCheck, QueryOutcome, QueryTransfer};
use aws_sdk_dynamodb::config::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use cooldown_cleanup::{CooldownCleanup, RESERVE, ScheduleEvent, Summary};
use domain::decide::BankAnswer;
use domain::ids::MerchantId;
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::transfer::TransferAnswer;
use dynoxide::Database;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use store::shards::DueShards;
use store::{Store, Tables};
use tests::clean_up_scale::{INDEX_WRITES_MAX, Names, Original, Size, Work};
use tests::dynamodb_table::Table;
use tests::history;
use tests::in_process::{InProcess, RECORD_TABLE, TABLE, table_of};
use tests::merchant::{GOOD_CARD, SECOND_CARD};
use tests::table_faults::Call;

const NAMES: Names = Names {
    main: TABLE,
    record: RECORD_TABLE,
};
/// A run's maximum time, as Lambda grants it.
const LEFT: Duration = Duration::from_secs(120);

/// A table whose reads and writes take some time.
#[derive(Clone, Debug)]
struct Slow {
    table: Table,
    read: Duration,
    write: Duration,
}

impl Slow {
    fn configure(self, config: Builder) -> Builder {
        let connector = SharedHttpConnector::new(self);
        config.http_client(http_client_fn(move |_, _| connector.clone()))
    }
}

impl HttpConnector for Slow {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let reads = ["Query", "GetItem", "BatchGetItem"];
        let is_read = reads.iter().any(|operation| target.ends_with(operation));
        let latency = if is_read { self.read } else { self.write };
        let table = self.table.clone();
        HttpConnectorFuture::new(async move {
            tokio::time::sleep(latency).await;
            table.call(request).await
        })
    }
}

/// A system with merchants who have due work.
struct Crowd {
    world: Arc<InProcess>,
    table: Table,
    original: Original,
    due: Vec<MerchantId>,
}

impl Crowd {
    async fn new(work: Work, size: Size) -> Self {
        Self::sharded(work, size, "4").await
    }

    async fn sharded(work: Work, size: Size, shards: &str) -> Self {
        let original = Original::with(work).await;
        let table = Table::new(table_of);
        let slow = Slow {
            table: table.clone(),
            read: Duration::from_millis(5),
            write: Duration::from_millis(15),
        };
        let world = InProcess::on(&table, |config| slow.configure(config), "sandbox").await;
        world.clock.set(original.now);
        // What is due for the sandbox's own merchants by then.
        world.clean_up().await;
        let due = original.seed(
            &table.database(),
            NAMES,
            size,
            DueShards::parse(shards).unwrap(),
        );
        let _ = world.boundary.take();
        Self {
            world,
            table,
            original,
            due,
        }
    }

    fn event(&self) -> Value {
        json!({"time": self.original.now.to_rfc3339_shanghai()})
    }

    async fn run(&self, id: &str) -> Summary {
        let run = self.world.scheduled_as(id, self.event(), LEFT).await;
        run.unwrap()
    }

    /// Asserts that each due merchant has one event of this kind. A sample has an unbroken history.
    async fn each_has_one(&self, kind: &str) {
        let mut found: BTreeMap<String, usize> = BTreeMap::new();
        for item in scanned(&self.table.database()) {
            let of = item["pk"]["S"].as_str().unwrap();
            if item["kind"]["S"] == kind && of.starts_with("M#mer_due_") {
                *found.entry(of.to_owned()).or_default() += 1;
            }
        }
        assert_eq!(found.len(), self.due.len(), "{kind}");
        assert!(found.values().all(|count| *count == 1), "{kind}");
        for merchant in self.due.iter().step_by(40) {
            let events = history::unbroken(&self.world.store(), merchant).await;
            assert!(events.unwrap().len() > 1, "{merchant}");
        }
    }

    /// A run of a clean-up with this number of shards. Returns the number of expired rebinds.
    async fn run_with(&self, shards: &str) -> u32 {
        let cleanup = CooldownCleanup::new(self.store(shards), self.world.bank.clone(), true);
        let event: ScheduleEvent = serde_json::from_value(self.event()).unwrap();
        let deadline = Instant::now() + LEFT;
        let run = cleanup.run(&event, self.original.now, deadline, "run");
        run.await.unwrap().expired
    }

    fn store(&self, shards: &str) -> Store {
        let tables = Tables {
            due_shards: DueShards::parse(shards).unwrap(),
            ..Tables::new(TABLE, RECORD_TABLE)
        };
        Store::new(self.world.client.clone(), tables, &Policy::CURRENT)
    }
}

/// The items of the main table, in DynamoDB's JSON.
fn scanned(database: &Database) -> Vec<Value> {
    let mut scan = json!({"TableName": TABLE});
    let mut items = Vec::new();
    loop {
        let request = serde_json::from_value(scan.clone()).unwrap();
        let page = serde_json::to_value(database.scan(request).unwrap()).unwrap();
        items.extend(page["Items"].as_array().unwrap().iter().cloned());
        match page.get("LastEvaluatedKey") {
            Some(last) => scan["ExclusiveStartKey"] = last.clone(),
            None => return items,
        }
    }
}

/// The cost of the calls since the last time: calls, RRU, WRU.
fn cost(world: &InProcess) -> (usize, f64, f64) {
    cost_of(&world.boundary.take())
}

fn cost_of(calls: &[Call]) -> (usize, f64, f64) {
    let units = |reads: bool| {
        let calls = calls.iter().filter(|call| call.is_read() == reads);
        calls.map(|call| call.units).sum()
    };
    (calls.len(), units(true), units(false))
}

#[tokio::test(start_paused = true)]
async fn cleanup_handles_hundreds_of_entries_a_second() {
    let size = Size {
        stored: 500,
        due: 500,
    };
    for (work, kind) in [(Work::HoldOver, "completed"), (Work::Overdue, "expired")] {
        let crowd = Crowd::new(work, size).await;
        let begun = tokio::time::Instant::now();
        let summary = crowd.run("run").await;
        let taken = begun.elapsed();
        println!("{work:?}: {taken:?} of latency, {:?}", cost(&crowd.world));
        assert_eq!(summary.completed + summary.expired, 500);
        assert_eq!((summary.skipped, summary.failed), (0, 0));
        assert!(taken < Duration::from_secs(1), "{taken:?}");
        crowd.each_has_one(kind).await;
        assert_eq!(crowd.run("run").await, Summary::default());
    }
}

#[tokio::test(start_paused = true)]
async fn cleanup_cost_ignores_stored_merchants() {
    let due = 200;
    let mut costs = Vec::new();
    for stored in [due, 20_000 + due] {
        let crowd = Crowd::new(Work::HoldOver, Size { stored, due }).await;
        let summary = crowd.run("run").await;
        assert_eq!(summary.completed, 200);
        costs.push(cost(&crowd.world));
    }
    println!("200 due, calls, RRU, WRU: {costs:?}");
    let [few, many] = costs[..] else { panic!() };
    let is_near = |one: f64, other: f64| (one - other).abs() <= 0.05 * one;
    assert_eq!(few.0, many.0);
    assert!(is_near(few.1, many.1) && is_near(few.2, many.2));
}

#[tokio::test(start_paused = true)]
async fn concurrent_runs_share_the_work() {
    let size = Size {
        stored: 400,
        due: 400,
    };
    let alone = Crowd::new(Work::HoldOver, size).await;
    assert_eq!(alone.run("run").await.completed, 400);
    let (alone, ..) = cost(&alone.world);
    // The runs of the first pair start at the same shard, which is the worst case.
    for ids in [["1", "2"], ["3", "4"], ["5", "6"]] {
        let crowd = Crowd::new(Work::HoldOver, size).await;
        let (one, other) = futures::join!(crowd.run(ids[0]), crowd.run(ids[1]));
        let (both, ..) = cost(&crowd.world);
        let done = [one, other].map(|run| (run.completed, run.skipped));
        println!("{both} calls, alone {alone}, completed and skipped: {done:?}");
        assert_eq!(one.completed + other.completed, 400);
        assert_eq!(one.failed + other.failed, 0);
        assert!(one.completed.min(other.completed) > 100, "{done:?}");
        // A busy machine interleaves the runs otherwise than an idle one, where the sum is a fifth above one run.
        assert!(both * 2 < alone * 3, "{both} calls, alone {alone}");
        crowd.each_has_one("completed").await;
    }
}

#[tokio::test(start_paused = true)]
async fn shards_are_raised_while_the_system_runs() {
    let size = Size {
        stored: 100,
        due: 100,
    };
    // Entries of functions that still have the old number.
    let crowd = Crowd::new(Work::Overdue, size).await;
    assert_eq!(crowd.run_with("16").await, 100);
    // Entries of functions that have the new number before the clean-up has it.
    let crowd = Crowd::sharded(Work::Overdue, size, "64").await;
    let early = crowd.run_with("4").await;
    assert!((1..20).contains(&early), "{early}");
    assert_eq!(crowd.run_with("64").await, 100 - early);
}

/// A bank that answers nothing, after some time.
#[derive(Default)]
struct SilentBank(AtomicU32);

impl SilentBank {
    async fn asked<A>(&self) -> QueryOutcome<A> {
        self.0.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(2)).await;
        QueryOutcome::Unknown
    }
}

impl QueryCheck for &SilentBank {
    async fn check_outcome(&self, _: &str) -> QueryOutcome<BankAnswer> {
        self.asked().await
    }
}

impl QueryTransfer for &SilentBank {
    async fn transfer_outcome(&self, _: &str) -> QueryOutcome<TransferAnswer> {
        self.asked().await
    }
}

#[tokio::test(start_paused = true)]
async fn silent_bank_is_asked_a_few_times() {
    let size = Size {
        stored: 100,
        due: 100,
    };
    let crowd = Crowd::new(Work::Unanswered, size).await;
    let bank = SilentBank::default();
    let cleanup = CooldownCleanup::new(crowd.store("4"), &bank, true);
    let event: ScheduleEvent = serde_json::from_value(crowd.event()).unwrap();
    let begun = tokio::time::Instant::now();
    let deadline = Instant::now() + LEFT;
    let run = cleanup.run(&event, crowd.original.now, deadline, "run");
    assert_eq!(run.await.unwrap().failed, 0);
    let asked = bank.0.load(Ordering::Relaxed);
    assert_eq!(asked, Policy::CURRENT.bank_silence_max);
    assert!(begun.elapsed() < Duration::from_secs(3));
}

/// Here the latency is real, because the deadline is. A busy machine needs more time for the first entries.
#[tokio::test]
async fn cleanup_stops_between_entries_and_resumes() {
    let size = Size {
        stored: 600,
        due: 600,
    };
    for ms in [250, 500, 1_000, 2_000, 4_000] {
        let crowd = Crowd::new(Work::Overdue, size).await;
        let left = RESERVE + Duration::from_millis(ms);
        let first = crowd.world.scheduled_as("run", crowd.event(), left).await;
        let first = first.unwrap();
        assert_eq!((first.skipped, first.failed), (0, 0));
        if first.expired == 0 {
            continue;
        }
        assert!(first.stopped_early && first.expired < 600, "{first:?}");
        let next = crowd.run("run").await;
        assert!(!next.stopped_early);
        assert_eq!(first.expired + next.expired, 600);
        return;
    }
    panic!("no entry in four seconds");
}

/// One change, from the request to the end of its cooldown. In the index, an entry that appears or disappears is one write,
/// and a moved entry is two.
#[tokio::test]
async fn change_writes_the_index_a_few_times() {
    let table = Table::new(table_of);
    let world = InProcess::on(&table, |config| config, "sandbox").await;
    let app = world.log_in("plain_1").await;
    let entries = || -> BTreeMap<_, _> {
        let items = table.items();
        let own = items.iter().filter(|((pk, _), _)| pk == "M#mer_plain_1");
        let due = own.filter(|(_, item)| item["due_at"].is_object());
        due.map(|((_, sk), item)| (sk.clone(), item["due_at"].clone()))
            .collect()
    };
    let mut writes = 0;
    let mut before = entries();
    let mut count = || {
        let after = entries();
        let left = before.iter().filter(|(sk, at)| after.get(*sk) != Some(at));
        let new = after.iter().filter(|(sk, at)| before.get(*sk) != Some(at));
        writes += left.count() + new.count();
        before = after;
        writes
    };
    let rebind = app.request(GOOD_CARD).await;
    count();
    app.identify(&rebind).await;
    count();
    app.sign(&rebind).await;
    count();
    app.check_card(&rebind).await;
    count();
    app.confirm_card(&rebind).await;
    count();
    world.deliver_due().await;
    count();
    for hours in [8, 14, 2, 7 * 24, 22 * 24] {
        world.pass_s(hours * HOUR_S);
        world.clean_up().await;
        count();
        world.deliver_due().await;
        count();
    }
    let writes = count();
    println!("a change writes the index {writes} times");
    assert!(writes <= INDEX_WRITES_MAX, "{writes}");
}

/// The costs of a login, a read, a creation and a step: calls, RRU, WRU.
async fn costs_with_events(events: u32) -> Vec<(usize, f64, f64)> {
    let table = Table::new(table_of);
    let world = InProcess::on(&table, |config| config, "sandbox").await;
    let app = world.log_in("plain_1").await;
    app.activate(GOOD_CARD).await;
    world.deliver_due().await;
    world.pass_s(31 * DAY_S);
    world.clean_up().await;
    world.deliver_due().await;
    append_events(&table, events);
    let app = app.again().await;
    let cards = app.get("/v1/cards").await;
    let body = app.request_body(SECOND_CARD);
    let created = app.keyed("k-1", "/v1/rebinds", body).await;
    let id = created.body["rebind_id"].as_str().unwrap();
    let identity = format!("/v1/rebinds/{id}/identity");
    let identity = app.keyed("k-2", &identity, app.document()).await;
    assert_eq!(
        (cards.status, created.status, identity.status),
        (200, 201, 200)
    );
    let replies = [app.login, cards, created, identity];
    replies.iter().map(|reply| cost_of(&reply.calls)).collect()
}

/// Appends copies of the merchant's last event.
fn append_events(table: &Table, events: u32) {
    let items = table.items();
    let own = |sk: &str| items[&("M#mer_plain_1".to_owned(), sk.to_owned())].clone();
    let mut state = own("Y");
    let mut value: Value = serde_json::from_str(state["state"]["S"].as_str().unwrap()).unwrap();
    let last = value["seq"].as_u64().unwrap();
    let event = own(&format!("E#{last:010}"));
    let copies = (last + 1..=last + u64::from(events)).map(|seq| {
        let mut event = event.clone();
        event["sk"]["S"] = json!(format!("E#{seq:010}"));
        event
    });
    value["seq"] = json!(last + u64::from(events));
    state["state"]["S"] = json!(value.to_string());
    let all = copies.chain([state]);
    let all = all.map(|item| serde_json::from_value(item).unwrap());
    let options = dynoxide::ImportOptions::default();
    let imported = table.database().import_items(TABLE, all.collect(), options);
    imported.unwrap();
}

#[tokio::test]
async fn history_makes_no_step_dearer() {
    let few = costs_with_events(0).await;
    let many = costs_with_events(10_000).await;
    println!("login, cards, create, identity; calls, RRU, WRU: {many:?}");
    assert_eq!(few, many);
}
