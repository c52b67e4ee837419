//! The budgets of the fault-free path, counted at the SDK's boundary: calls, items of a transaction, bytes of an item, capacity
//! units. `cargo test -p tests --test budgets -- --nocapture` prints the table.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use api::routes::Route;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::decide::BankAnswer;
use domain::device::DeviceTag;
use domain::device_counts::{DayCounts, DeviceCounts, OlderDevice};
use domain::ids::{CardId, MerchantId};
use domain::merchant::{BankCall, BoundCard, FreezeCode, MerchantState, PushTarget};
use domain::merchant::{PendingSettlement, ReplacedCard, StandbyCard};
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::rebind::Mac;
use local::cost::{Month, Operation};
use local::prices::{Prices, Usage};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use store::records::merchant_state;
use store::shards::DueShards;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD};
use tests::table_faults::Call;
use tests::transport::Reply;

/// Maximum capacity of one whole rebind, from login to `completed`, with its notifications, reminders and the clean-up's work,
/// without push.
const RRU_MAX: f64 = 30.0;
const WRU_MAX: f64 = 99.0;
/// The largest item. A larger one would cost more for the smallest change.
const ITEM_MAX_BYTES: usize = 1_024;
/// The largest merchant state, with every field at its maximum. Above 1 KiB each write of it costs 4 WRU instead of 2, which is
/// accepted for the few merchants who get there. Above 2 KiB a write would cost six, and the tail of the partition (profile,
/// merchant state, latest rebind) might no longer fit one read unit.
const FULLEST_HEAD_MAX_BYTES: usize = 3_072;
const TRANSACTION_ITEMS_MAX: usize = 5;
/// Maximum capacity of what the clean-up does later: it removes the old card and announces the end of the cooldown.
const LATER_RRU_MAX: f64 = 7.0;
const LATER_WRU_MAX: f64 = 20.0;

/// Maximum number of history events of one whole rebind, and of those that are published.
const EVENTS_MAX: usize = 14;
const PUBLISHED_MAX: usize = 8;

/// Maximum number of calls to the table.
mod calls_max {
    /// A read.
    pub const READ: usize = 1;
    /// A list: the session, then the list.
    pub const LIST: usize = 2;
    /// A step: read, write.
    pub const STEP: usize = 2;
    /// An OTP attempt or a bank call: read, reservation, result.
    pub const TWO_WRITES: usize = 3;
    /// A card check: also the holders of the card's number. A read of them costs half as much as a condition of the write.
    pub const CARD_CHECK: usize = TWO_WRITES + 1;
    /// A notification: its lease, the announced change with the merchant's record, its hand-over, the record with the phone on
    /// file, then a mark for each phone.
    pub const NOTIFICATION: usize = 7;
    /// With push: the targets, the key that decrypts their tokens, a mark for each device (here one), and one for all.
    pub const NOTIFICATION_WITH_PUSH: usize = NOTIFICATION + 4;
    /// A wrong freeze code: the account, the merchant, two counters.
    pub const FREEZE_TRY: usize = 4;
    /// The clean-up's work on a merchant: two reads and two writes.
    pub const CLEAN_UP: usize = 4;
    /// A successful freeze: the account, the merchant, its write.
    pub const FREEZE: usize = 3;
}
use calls_max::{
    CARD_CHECK, CLEAN_UP, FREEZE, FREEZE_TRY, LIST, NOTIFICATION, NOTIFICATION_WITH_PUSH, READ,
    STEP, TWO_WRITES,
};

/// Maximum price of a million rebinds, in dollars, without SMS, the duration of functions, logs and bank fees.
const DOLLARS_MAX: f64 = 91.0;
/// What one rebind uses beside the table: nine requests, and a batch of the stream for its notification and for each of two
/// reminders. The runs of the clean-up are shared by all rebinds. KMS seals the card number, opens card and ID number, and
/// seals the evidence.
const BESIDE_THE_TABLE: Usage = Usage {
    http_requests: 9.0,
    invocations: 12.0,
    kms_requests: 4.0,
    wru: 0.0,
    rru: 0.0,
};

fn check_price(rru: f64, wru: f64) {
    let prices = Prices::load().unwrap();
    let usage = Usage {
        rru,
        wru,
        ..BESIDE_THE_TABLE
    };
    let (region, as_of) = (&prices.region, &prices.as_of);
    println!("dollars a million rebinds, {region}, {as_of}");
    let parts = prices.of(usage);
    for (part, dollars) in parts {
        println!("{part:<18} {dollars:>7.2}");
    }
    let sum: f64 = parts.iter().map(|(_, dollars)| dollars).sum();
    println!("{:<18} {sum:>7.2}\n", "sum");
    assert!(sum <= DOLLARS_MAX, "{sum} dollars");
}

/// The routes that the tests of this process have measured.
static MEASURED: Mutex<BTreeSet<Route>> = Mutex::new(BTreeSet::new());

#[derive(Default)]
struct Table {
    rows: Vec<(String, usize, usize, f64, f64)>,
    requests: u32,
}

/// What `infra/month.json` says of an operation must be what was counted.
fn check_month(name: &str, counted: Operation) {
    let month = Month::load().unwrap();
    assert_eq!(month.operations[name], counted, "infra/month.json, {name}");
}

impl Table {
    fn step(&mut self, step: &str, answer: &Reply, calls_max: usize) {
        assert!(answer.status < 300, "{step}: {:?}", answer.body);
        let (method, path) = answer.what.split_once(' ').unwrap();
        let (route, _) = Route::parse(method, path).unwrap();
        MEASURED.lock().unwrap().insert(route);
        self.requests += 1;
        self.calls(step, &answer.calls, calls_max);
    }

    fn calls(&mut self, step: &str, calls: &[Call], calls_max: usize) {
        // A key is looked up in parallel with its merchant: one call.
        let sequential = calls.iter().filter(|call| !call.is_read_of_key());
        let operations: Vec<&str> = sequential.map(|call| call.operation.as_str()).collect();
        assert!(operations.len() <= calls_max, "{step}: {operations:?}");
        assert!(!operations.contains(&"Scan"), "{step}: {operations:?}");
        let items = calls.iter().map(Call::transaction_items).max().unwrap_or(0);
        assert!(
            items <= TRANSACTION_ITEMS_MAX,
            "{step}: {items} items in one transaction"
        );
        let units = |reads: bool| {
            calls
                .iter()
                .filter(|call| call.is_read() == reads)
                .map(|call| call.units)
                .sum::<f64>()
                + 0.0 // an empty sum is -0.0
        };
        let row = (
            step.to_owned(),
            operations.len(),
            items,
            units(true),
            units(false),
        );
        self.rows.push(row);
    }

    /// The sum of the rows with these names, or of all others.
    fn operation(&self, names: &[&str], are_of: bool) -> Operation {
        let rows = self.rows.iter();
        let rows = rows.filter(|row| names.contains(&row.0.as_str()) == are_of);
        let add = |sum: Operation, row: &(String, usize, usize, f64, f64)| Operation {
            calls: sum.calls + f64::from(u32::try_from(row.1).unwrap()),
            rru: sum.rru + row.3,
            wru: sum.wru + row.4,
            ..sum
        };
        rows.fold(Operation::default(), add)
    }

    /// Printed at once, so that the tables of concurrent tests do not mix.
    fn print(&self, of: &str) -> (f64, f64) {
        let mut text = format!(
            "{of:<24} {:>5} {:>5} {:>5} {:>5}\n",
            "calls", "items", "RRU", "WRU"
        );
        for (step, calls, items, rru, wru) in &self.rows {
            writeln!(
                text,
                "{step:<24} {calls:>5} {items:>5} {rru:>5.1} {wru:>5.1}"
            )
            .unwrap();
        }
        let sum = self
            .rows
            .iter()
            .fold((0.0, 0.0), |(rru, wru), row| (rru + row.3, wru + row.4));
        writeln!(
            text,
            "{:<24} {:>5} {:>5} {:>5.1} {:>5.1}",
            "sum", "", "", sum.0, sum.1
        )
        .unwrap();
        println!("{text}");
        sum
    }
}

/// From the request to the signature, with keys, each step in the table. Returns the rebind's path.
async fn to_card_pending(table: &mut Table, app: &App, card: &str, facts: Value) -> String {
    let mut body = app.request_body(card);
    for (name, value) in facts.as_object().unwrap() {
        body[name] = value.clone();
    }
    let created = app.keyed("k-1", "/v1/rebinds", body).await;
    table.step("request", &created, STEP);
    let rebind = format!(
        "/v1/rebinds/{}",
        created.body["rebind_id"].as_str().unwrap()
    );
    let post = async |key: &str, step: &str, body: Value| {
        let path = format!("{rebind}/{step}");
        app.keyed(key, &path, body).await
    };
    let identity = post("k-2", "identity", app.document()).await;
    table.step("identity", &identity, STEP);
    let code = json!({"code": app.system.sms.code(&app.profile.phone)});
    let confirm = post("k-3", "identity/confirm", code).await;
    table.step("identity confirm", &confirm, TWO_WRITES);
    let agreement = format!("{rebind}/agreement");
    let agreement = app.get(&agreement).await;
    table.step("read agreement", &agreement, READ);
    let signature = app.signature(&rebind).await;
    let sign = post("k-4", "agreement", signature).await;
    table.step("sign agreement", &sign, STEP);
    rebind
}

/// The bank matches, and the OTP of the reserved phone is confirmed.
async fn prove_card(table: &mut Table, app: &App, rebind: &str, done: &str) -> Reply {
    let check = format!("{rebind}/card-check");
    let check = app.keyed("k-5", &check, ()).await;
    table.step("card check", &check, CARD_CHECK);
    let code = json!({"code": app.system.sms.code(RESERVED_PHONE)});
    let confirm = format!("{rebind}/card-check/confirm");
    let confirm = app.keyed("k-6", &confirm, code).await;
    table.step(done, &confirm, TWO_WRITES);
    confirm
}

/// A rebind after its notification. Checks the capacity of all of it.
async fn whole_rebind(mut table: Table, world: &Arc<InProcess>) {
    let _ = world.boundary.take();
    for (of, wait_s) in [
        ("first reminder", 8 * HOUR_S),
        ("second reminder", 14 * HOUR_S),
        ("completed", 2 * HOUR_S),
    ] {
        timed(&mut table, world, of, wait_s).await;
    }
    let (rru, wru) = table.print("a rebind");
    check_price(rru, wru);
    let request = Operation {
        requests: 1.0,
        ..table.operation(&["login"], true)
    };
    check_month("login", request);
    let request = Operation {
        requests: 1.0,
        ..table.operation(&["list cards"], true)
    };
    check_month("list_cards", request);
    assert!(rru <= RRU_MAX, "{rru} RRU");
    assert!(wru <= WRU_MAX, "{wru} WRU");
    let mut later = Table::default();
    timed(&mut later, world, "old card removed", 7 * DAY_S).await;
    timed(&mut later, world, "cooldown over", 22 * DAY_S).await;
    let (rru, wru) = later.print("later");
    assert!(rru <= LATER_RRU_MAX, "{rru} RRU");
    assert!(wru <= LATER_WRU_MAX, "{wru} WRU");
    let published = publication(world).await;
    let sum = table.operation(&["login", "list cards"], false);
    let later = later.operation(&[], false);
    let counted = Operation {
        requests: f64::from(table.requests) - 2.0, // login and cards are operations of their own
        // A batch of the stream for the notifications of each event.
        invocations: published.invocations + 6.0,
        calls: sum.calls + later.calls + published.calls,
        rru: sum.rru + later.rru + published.rru,
        wru: sum.wru + later.wru + published.wru,
        key_calls: BESIDE_THE_TABLE.kms_requests,
        signatures: 0.0,
        messages: f64::from(u32::try_from(world.sms.count()).unwrap()),
        publishes: published.publishes,
    };
    check_month("rebind", counted);
}

/// The stream delivers each event of the rebind on its own: one invocation each, which reads the merchant's salt, queues the
/// event for the log, and publishes it at most once. The merchant's first event also makes the salt.
async fn publication(world: &Arc<InProcess>) -> Operation {
    let records = world.event_records().await;
    let records = records["Records"].as_array().unwrap().iter();
    let own = records.filter(|record| record.to_string().contains("M#mer_minority_name"));
    let _ = (world.boundary.take(), world.peer_calls.take());
    let mut invocations = 0;
    for record in own {
        let reply = world.publish(json!({"Records": [record]})).await;
        assert_eq!(reply, json!({"batchItemFailures": []}));
        invocations += 1;
    }
    let (store_calls, peer_calls) = (world.boundary.take(), world.peer_calls.take());
    let (queued, published): (Vec<&str>, Vec<&str>) =
        peer_calls.into_iter().partition(|peer| *peer == "queue");
    println!(
        "events: {invocations} invocations, {} calls to the table, {} to the queue, {} publishes\n",
        store_calls.len(),
        queued.len(),
        published.len()
    );
    assert!(invocations <= EVENTS_MAX, "{invocations} events");
    assert!(store_calls.len() <= invocations + 1, "{store_calls:?}");
    assert_eq!(queued.len(), invocations);
    assert!(published.len() <= PUBLISHED_MAX, "{published:?}");
    let units = |reads| {
        let calls = store_calls.iter().filter(|call| call.is_read() == reads);
        calls.map(|call| call.units).sum::<f64>()
    };
    let count = |of: usize| f64::from(u32::try_from(of).unwrap());
    Operation {
        invocations: count(invocations),
        calls: count(store_calls.len()),
        rru: units(true),
        wru: units(false),
        publishes: count(published.len()),
        ..Operation::default()
    }
}

/// A run of the clean-up after this time, and the notifications that it arms. Excludes its queries of the index, which every
/// run makes, whatever is due, and its work on other merchants.
async fn timed(table: &mut Table, world: &Arc<InProcess>, of: &str, wait_s: i64) {
    world.pass_s(wait_s);
    world.clean_up().await;
    let mut calls = world.boundary.take();
    let due = world.due_notifications().await;
    world.deliver(due, world.now()).await;
    calls.extend(world.boundary.take());
    let is_own = |call: &Call| call.body.to_string().contains("M#mer_minority_name");
    calls.retain(|call| is_own(call) && call.body["IndexName"].is_null());
    assert!(!calls.is_empty(), "{of}");
    table.calls(of, &calls, CLEAN_UP + NOTIFICATION);
}

/// Delivers the due notifications.
async fn notifications(table: &mut Table, world: &Arc<InProcess>, of: &str, calls_max: usize) {
    let due = world.due_notifications().await;
    let reply = world.deliver(due, world.now()).await;
    assert_eq!(reply, json!({"batchItemFailures": []}));
    table.calls(of, &world.boundary.take(), calls_max);
}

/// One operation of the acquirer's core.
async fn core(table: &mut Table, world: &Arc<InProcess>, of: &str, operation: Value) -> Value {
    let done = world.core(operation).await.unwrap();
    // A payment also reads the number of the card.
    let calls = STEP + usize::from(of == "payout_sending");
    table.calls(of, &world.boundary.take(), calls);
    done
}

/// Adds the sizes of the stored items and checks that the largest is small.
async fn small(world: &Arc<InProcess>, before: Vec<(usize, String)>) -> Vec<(usize, String)> {
    let mut sizes = before;
    for item in world.items().await {
        let bytes = store::records::size_bytes(&item);
        sizes.push((bytes, item["sk"].as_s().unwrap().clone()));
    }
    sizes.sort();
    sizes.dedup_by(|a, b| a.1 == b.1);
    let largest = sizes.last().unwrap();
    assert!(largest.0 < ITEM_MAX_BYTES, "{largest:?}");
    sizes
}

fn print_sizes(of: &str, sizes: &[(usize, String)]) {
    let largest = sizes.iter().rev().take(8);
    let lines: Vec<String> = largest
        .map(|(bytes, name)| format!("{bytes:>5} B  {name}"))
        .collect();
    println!("{of}\n{}\n", lines.join("\n"));
}

#[tokio::test]
async fn rebind_stays_within_budget() {
    let world = InProcess::start().await;
    let mut table = Table::default();
    // The longest name and the longest ids in the sandbox.
    let app = world.log_in("minority_name").await;
    table.step("login", &app.login, 3);
    let cards = app.get("/v1/cards").await;
    table.step("list cards", &cards, READ);
    let rebind = to_card_pending(&mut table, &app, GOOD_CARD, json!({})).await;
    prove_card(&mut table, &app, &rebind, "card confirm").await;
    let sizes = small(&world, Vec::new()).await;
    notifications(&mut table, &world, "two notifications", NOTIFICATION).await;
    print_sizes("the largest items of a rebind", &sizes);
    whole_rebind(table, &world).await;
}

#[tokio::test]
async fn requests_beside_a_rebind_keep_their_budgets() {
    let (world, app) = InProcess::with("minority_name").await;
    let rebind = app.activate(GOOD_CARD).await;
    let mut others = Table::default();
    let show = app.get(&rebind).await;
    others.step("show rebind", &show, READ);
    let list = app.get("/v1/rebinds").await;
    others.step("list rebinds", &list, LIST);
    let test = format!("{rebind}/test-transaction");
    let test = app.keyed("k-7", &test, ()).await.has("status", "succeeded");
    others.step("test transaction", &test, TWO_WRITES);
    let sizes = small(&world, Vec::new()).await;
    let new_device = app.on("new").await;
    others.step("login, new device", &new_device.login, 4);
    let end_others = app.delete("/v1/sessions").await;
    others.step("end other sessions", &end_others, 2);
    let logout = app.delete("/v1/sessions/current");
    others.step("logout", &logout.await, 1);
    others.print("besides");
    print_sizes("their largest items", &sizes);
}

/// A deposit costs no more than an OTP by SMS: the confirmation queries its arrival, and writes the answer only if it is new.
#[tokio::test]
async fn deposit_rebind_keeps_its_budgets() {
    let world = InProcess::start().await;
    let mut table = Table::default();
    let app = world.log_in("minority_name").await;
    table.step("login", &app.login, 3);
    let rebind = to_card_pending(&mut table, &app, GOOD_CARD, json!({})).await;
    world.bank.script([Some(BankAnswer::NotEnabled)]);
    let check = format!("{rebind}/card-check");
    let check = app
        .keyed("k-5", &check, ())
        .await
        .has("/challenge/method", "micro_deposit");
    table.step("micro-deposit check", &check, CARD_CHECK);
    let sizes = small(&world, Vec::new()).await;
    let code = json!({"code": world.bank.deposit_code()});
    let confirm = format!("{rebind}/card-check/confirm");
    let confirm = app.keyed("k-6", &confirm, code).await.is(200, "activated");
    table.step("micro-deposit confirm", &confirm, TWO_WRITES);
    let sizes = small(&world, sizes).await;
    notifications(&mut table, &world, "two notifications", NOTIFICATION).await;
    let (rru, wru) = table.print("a micro-deposit rebind");
    assert!(rru <= RRU_MAX, "{rru} RRU");
    assert!(wru <= WRU_MAX, "{wru} WRU");
    print_sizes("its largest items", &small(&world, sizes).await);
}

/// A standby card and the switch to it: one more OTP, one more notification, and a second login because of the waiting period.
#[tokio::test]
async fn standby_and_switch_keep_their_budgets() {
    // Four of the steps look up their keys.
    const SWITCH_RRU_MAX: f64 = 31.0;
    const SWITCH_WRU_MAX: f64 = 110.0;
    let world = InProcess::start().await;
    let mut table = Table::default();
    let app = world.log_in("minority_name").await;
    table.step("login", &app.login, 3);
    let standby = json!({"activate": false});
    let rebind = to_card_pending(&mut table, &app, GOOD_CARD, standby).await;
    let done = prove_card(&mut table, &app, &rebind, "standby completion")
        .await
        .is(200, "completed")
        .has("purpose", "standby");
    let sizes = small(&world, Vec::new()).await;
    notifications(&mut table, &world, "two notifications", NOTIFICATION).await;
    let card = format!(
        "/v1/cards/{}",
        done.body["new_card"]["card_id"].as_str().unwrap()
    );

    world.pass_s(Policy::CURRENT.standby_wait_s);
    let app = app.again().await;
    table.step("login", &app.login, 3);
    let activate = format!("{card}/activate");
    let code = app.keyed("k-7", &activate, ()).await;
    table.step("activate (code)", &code, STEP);
    let sizes = small(&world, sizes).await;
    let code = json!({"code": world.sms.code(&app.profile.phone)});
    let switched = app.keyed("k-8", &activate, code).await.is(200, "activated");
    table.step("activate (confirm)", &switched, TWO_WRITES);
    let sizes = small(&world, sizes).await;
    notifications(&mut table, &world, "two notifications", NOTIFICATION).await;
    let (rru, wru) = table.print("standby and switch");
    assert!(rru <= SWITCH_RRU_MAX, "{rru} RRU");
    assert!(wru <= SWITCH_WRU_MAX, "{wru} WRU");

    // The replaced card leaves after its week.
    let mut others = Table::default();
    world.pass_s(Policy::CURRENT.retire_after_effective_s);
    let app = app.again().await;
    let cards = switched.body["old_card"]["card_id"].as_str().unwrap();
    let unbind = format!("/v1/cards/{cards}/unbind");
    let unbound = app.keyed("k-9", &unbind, ()).await;
    others.step("unbind", &unbound, STEP);
    others.print("afterwards");
    print_sizes("its largest items", &small(&world, sizes).await);
}

#[tokio::test]
async fn settlement_keeps_its_budgets() {
    let world = InProcess::start().await;
    let mut table = Table::default();
    let app = world.log_in("minority_name").await;
    let id = "mer_minority_name";
    for payout in ["pay_one", "pay_two"] {
        let create = json!({"operation": "create_payout", "merchant_id": id, "payout_id": payout, "amount_fen": 128_000});
        core(&mut table, &world, "create_payout", create).await;
    }
    let payouts = app.get("/v1/payouts").await;
    table.step("list payouts", &payouts, LIST);
    let sending = json!({"operation": "payout_sending", "merchant_id": id, "payout_id": "pay_one"});
    core(&mut table, &world, "payout_sending", sending).await;
    let sent = json!({"operation": "payout_sent", "merchant_id": id, "payout_id": "pay_one"});
    core(&mut table, &world, "payout_sent", sent).await;
    let returned =
        json!({"operation": "payout_returned", "merchant_id": id, "payout_id": "pay_one"});
    core(&mut table, &world, "payout_returned", returned).await;
    // An operation without a merchant id costs one more call, which looks it up.
    let sending = json!({"operation": "payout_sending", "payout_id": "pay_two"});
    world.core(sending).await.unwrap();
    table.calls(
        "payout_sending, owner open",
        &world.boundary.take(),
        STEP + 2,
    );

    let shown = app.get("/v1/settlement").await;
    table.step("show settlement", &shown, READ);
    let mut changed = shown.body.clone();
    changed["payout_time"] = json!("07:00");
    let put = app
        .call_keyed("k-1", "PUT", "/v1/settlement", changed)
        .await;
    table.step("change settlement", &put, STEP);
    let sizes = small(&world, Vec::new()).await;
    notifications(&mut table, &world, "two notifications", 6).await;

    let target = |token: &str| json!({"platform": "apns", "token": token.repeat(64)});
    let path = "/v1/push-targets/phone-1";
    for (of, key, token) in [
        ("put push target", "k-2", "a"),
        ("replace push target", "k-3", "b"),
    ] {
        let put = app.call_keyed(key, "PUT", path, target(token)).await;
        table.step(of, &put, STEP);
    }
    let removed = app.call_keyed("k-4", "DELETE", path, ()).await;
    table.step("remove push target", &removed, STEP);
    let history = app.get("/v1/history").await;
    table.step("history", &history, LIST);
    world.publish(world.event_records().await).await;
    world.anchor().await;
    let _ = (world.boundary.take(), world.peer_calls.take());
    let receipt = app.get("/v1/history/receipt").await;
    table.step("receipt", &receipt, LIST);
    table.print("money and settings");
    let request = Operation {
        requests: 1.0,
        ..table.operation(&["list payouts"], true)
    };
    check_month("list_payouts", request);
    let first = |name: &str| table.rows.iter().find(|row| row.0 == name).unwrap();
    let [created, sending, sent] = ["create_payout", "payout_sending", "payout_sent"].map(first);
    let payout = [created, sending, sent];
    check_month(
        "payout",
        Operation {
            invocations: 3.0,
            calls: f64::from(u32::try_from(payout.iter().map(|row| row.1).sum::<usize>()).unwrap()),
            rru: payout.iter().map(|row| row.3).sum(),
            wru: payout.iter().map(|row| row.4).sum(),
            // The instruction: the card number is decrypted, the whole is signed.
            key_calls: 1.0,
            signatures: 1.0,
            ..Operation::default()
        },
    );
    print_sizes("their largest items", &small(&world, sizes).await);
}

#[tokio::test]
async fn freeze_and_push_keep_their_budgets() {
    let world = InProcess::start().await;
    let mut table = Table::default();
    let app = world.log_in("minority_name").await;
    let target = json!({"platform": "fcm", "token": "t".repeat(163)});
    app.put("/v1/push-targets/phone-1", target).await.ok(204);
    world.deliver_due().await;
    app.activate(GOOD_CARD).await;
    let sizes = small(&world, Vec::new()).await;
    notifications(
        &mut table,
        &world,
        "two notifications and a push",
        NOTIFICATION_WITH_PUSH,
    )
    .await;
    let code = app.freeze_code().await;
    let account = &app.profile.account;
    let wrong = world.freeze(account, "AAAAAAAA", "198.51.100.1").await;
    table.step("freeze, wrong code", &wrong, FREEZE_TRY);
    let frozen = world.freeze(account, &code, "198.51.100.2").await;
    table.step("freeze", &frozen, FREEZE);
    assert_eq!(world.count("minority_name", "frozen").await, 1);
    notifications(
        &mut table,
        &world,
        "one notification and a push",
        NOTIFICATION_WITH_PUSH - 1,
    )
    .await;
    // Both merchants have the same reserved phone, which receives one OTP a minute.
    world.pass_s(Policy::CURRENT.code_gap_s);
    let other = world.log_in("plain_2").await;
    let rebind = other.activate(SECOND_CARD).await;
    let frozen = other.post(&format!("{rebind}/freeze"), json!({})).await;
    table.step("freeze, known device", &frozen, STEP);
    table.print("freeze and push");
    print_sizes("their largest items", &small(&world, sizes).await);
}

#[tokio::test]
async fn resends_and_cancel_keep_their_budgets() {
    let (world, app) = InProcess::with("minority_name").await;
    let mut table = Table::default();
    let rebind = app.request(GOOD_CARD).await;
    app.show_document(&rebind).await;
    world.pass_s(Policy::CURRENT.code_gap_s);
    let resent = app.resend_identity_code(&rebind).await;
    table.step("identity code again", &resent, STEP);
    app.confirm_identity(&rebind).await;
    app.sign(&rebind).await;
    app.check_card(&rebind).await.ok(200);
    world.pass_s(Policy::CURRENT.code_gap_s);
    let resent = app.resend_card_code(&rebind).await;
    table.step("card code again", &resent, STEP);
    table.step("cancel", &app.cancel(&rebind).await, STEP);
    table.print("resends and cancel");
}

/// Calls the tests above, because the runner may give each test a separate process.
#[test]
fn every_route_has_a_budget() {
    rebind_stays_within_budget();
    requests_beside_a_rebind_keep_their_budgets();
    standby_and_switch_keep_their_budgets();
    settlement_keeps_its_budgets();
    freeze_and_push_keep_their_budgets();
    resends_and_cancel_keep_their_budgets();
    let all: BTreeSet<Route> = Route::ALL.iter().copied().collect();
    assert_eq!(*MEASURED.lock().unwrap(), all, "a budget for each route");
}

/// A merchant state with every field at its maximum: all logins, two standby and two replaced cards, all push targets, and a
/// day's bank calls, wrong documents, wrong codes and rebinds of three devices.
fn fullest(before: &MerchantState, now: domain::time::Timestamp) -> MerchantState {
    let mut state = before.clone();
    let bound = |number: u32, unsent: u32| {
        let mut bound: BoundCard = before.active.clone().unwrap();
        bound.card.card_id = CardId::new(number, &[7; 16]);
        bound.fingerprint = Mac("f".repeat(before.active.as_ref().unwrap().fingerprint.0.len()));
        bound.unsent = unsent;
        bound
    };
    state.active = Some(bound(0xa0, 120));
    state.standby = [0xa1, 0xa2]
        .map(|number| StandbyCard {
            bound: bound(number, 0),
            usable_at: now.plus_s(DAY_S),
            waits: true,
        })
        .to_vec();
    state.replaced = [0xa3, 0xa4]
        .map(|number| ReplacedCard {
            bound: bound(number, 120),
            removable_at: now.plus_s(DAY_S),
            state: domain::merchant::Replaced::Usable,
        })
        .to_vec();
    state.freeze_codes = [0xa0, 0xa1, 0xa2]
        .map(|number| FreezeCode {
            seq: u64::from(number) << 8,
            rebind: Some(number),
            good_until: Some(now.plus_s(DAY_S)),
            activation: true,
        })
        .to_vec();
    // Settings that were changed on each of the last days.
    state.freeze_codes.extend((0..8).map(|day| FreezeCode {
        seq: 9_000 + day,
        rebind: None,
        good_until: Some(now.plus_s(DAY_S)),
        activation: false,
    }));
    state.pending_settlement = Some(PendingSettlement {
        settings: state.settlement.clone(),
        effective_at: now.plus_s(DAY_S),
    });
    let policy = Policy::CURRENT;
    state.push_targets = (0..policy.push_targets_max)
        .map(|number| PushTarget {
            id: format!("{number}").repeat(36),
            token_tag: "t".repeat(8),
            device: DeviceTag("d".repeat(8)),
            registered_at: now,
        })
        .collect();
    state.push_removed_at = Some(now);
    state.bank_calls = (0..policy.bank_calls_per_day)
        .map(|_| BankCall {
            at: now,
            card_tag: "c".repeat(8),
        })
        .collect();
    // Spread over the day, because longer steps between two of them need more digits.
    let over_the_day = |count: usize| {
        let count = i64::try_from(count).unwrap();
        let step_s = DAY_S / count;
        (1..=count).map(move |number| now.plus_s(number * step_s - DAY_S))
    };
    state.id_mismatches = over_the_day(policy.id_mismatches_per_day).collect();
    state.setting_changes = over_the_day(policy.setting_changes_per_day).collect();
    state.push_refreshes = over_the_day(policy.push_refreshes_per_day).collect();
    state.notice_sms = over_the_day(policy.notice_sms_per_day).collect();
    state.freeze_guesses_notified_at = Some(now);
    let counts = || DayCounts {
        wrong_codes: over_the_day(policy.wrong_codes_per_day).collect(),
        rebinds: over_the_day(policy.rebinds_per_day).collect(),
        refunded: over_the_day(policy.creations_per_day - policy.rebinds_per_day).collect(),
    };
    let older = (0..DeviceCounts::OLDER_MAX).map(|number| OlderDevice {
        tag: DeviceTag(format!("{number}").repeat(8)),
        first_seen: now.plus_s(-90 * DAY_S),
        counts: counts(),
    });
    state.device_counts = DeviceCounts {
        young: counts(),
        older: older.collect(),
    };
    state.last_seq = 9_999;
    state.held_payouts = 120;
    state.security_changed_at = Some(now.plus_s(-2 * DAY_S));
    state.lost_at = Some(now);
    state
}

#[tokio::test]
async fn fullest_merchant_state_costs_three_write_units() {
    let world = InProcess::start().await;
    for device in 0..5 {
        let device = format!("device-{device}");
        world.log_in_on("minority_name", &device).await;
    }
    let app = world.log_in_on("minority_name", "dev-1").await;
    // An activation, its cooldown, and the largest kind of rebind beside the merchant state.
    app.activate(GOOD_CARD).await;
    world.deliver_due().await;
    let state = fullest(&world.stored("minority_name").await.state, world.now());
    let merchant = MerchantId::parse("mer_minority_name").unwrap();
    let attributes =
        merchant_state::attributes(&merchant, &state, world.now(), DueShards::DEFAULT).unwrap();
    let mut attributes = attributes.into_iter();
    let json = attributes.find(|(name, _)| *name == "state").unwrap();
    let key = |name: &str, value: &str| (name.to_owned(), AttributeValue::S(value.to_owned()));
    let item = [key("pk", "M#mer_minority_name"), key("sk", "Y")];
    let update = world.client.update_item().table_name(&world.table);
    update
        .set_key(Some(item.into()))
        .update_expression("SET #state = :state")
        .expression_attribute_names("#state", "state")
        .expression_attribute_values(":state", json.1.unwrap())
        .send()
        .await
        .unwrap();
    let read = world.stored("minority_name").await.state;
    assert_eq!(read.sessions.iter().flatten().count(), 5);
    assert_eq!(
        (
            read.standby.len(),
            read.replaced.len(),
            read.push_targets.len()
        ),
        (2, 2, 5)
    );
    let items = world.items().await;
    let stored = items.iter().find(|item| {
        item["pk"].as_s().unwrap() == "M#mer_minority_name" && item["sk"].as_s().unwrap() == "Y"
    });
    let bytes = store::records::size_bytes(stored.unwrap());
    assert!(bytes < FULLEST_HEAD_MAX_BYTES, "{bytes}");

    let mut table = Table::default();
    let cards = app.get("/v1/cards").await;
    table.step("list cards", &cards, READ);
    let reads: f64 = cards.calls.iter().map(|call| call.units).sum();
    assert!((reads - 1.5).abs() < f64::EPSILON, "{reads} RRU");
    let create = json!({"operation": "create_payout", "merchant_id": "mer_minority_name", "payout_id": "pay_full", "amount_fen": 1});
    core(&mut table, &world, "create_payout", create).await;
    table.print(&format!("the largest merchant state, {bytes} B"));
}
