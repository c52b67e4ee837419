//! The budgets of the fault-free path, counted at the SDK's boundary: calls, items of a transaction, bytes of an item,
//! capacity. `cargo test -p tests --test budgets -- --nocapture` prints the table.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

use serde_json::{Value, json};
use tests::boundary::Call;
use tests::world::{Answer, GOOD_CARD, RESERVED_PHONE, World, merchant};

/// Of one whole rebind, login to notice.
const RRU_MAX: f64 = 15.0;
const WRU_MAX: f64 = 115.0;
/// Larger items cost more for the smallest change.
const ITEM_MAX_BYTES: usize = 1_024;
const TRANSACTION_ITEMS_MAX: usize = 5;

/// List prices of us-east-1, dollars a million.
const HTTP_REQUEST: f64 = 1.00;
const LAMBDA_REQUEST: f64 = 0.20;
const RRU: f64 = 0.125;
const WRU: f64 = 0.625;
const KMS_REQUEST: f64 = 3.00;
/// Of one rebind: nine requests, one batch of notices; card sealed, card and ID opened, evidence sealed.
const HTTP_REQUESTS: f64 = 9.0;
const INVOCATIONS: f64 = 10.0;
const KMS_REQUESTS: f64 = 4.0;

/// Without SMS, the time that the functions run, logs, and what the bank asks for.
fn print_cost(rru: f64, wru: f64) {
    let parts = [
        ("DynamoDB", rru * RRU + wru * WRU),
        ("KMS", KMS_REQUESTS * KMS_REQUEST),
        ("HTTP API", HTTP_REQUESTS * HTTP_REQUEST),
        ("Lambda requests", INVOCATIONS * LAMBDA_REQUEST),
    ];
    println!("dollars a million rebinds");
    for (part, dollars) in parts {
        println!("{part:<18} {dollars:>7.2}");
    }
    let sum: f64 = parts.iter().map(|(_, dollars)| dollars).sum();
    println!("{:<18} {sum:>7.2}\n", "sum");
}

#[derive(Default)]
struct Table {
    rows: Vec<(&'static str, usize, usize, f64, f64)>,
}

impl Table {
    fn step(&mut self, step: &'static str, answer: &Answer, calls_max: usize) {
        assert!(answer.status < 300, "{step}: {:?}", answer.body);
        self.calls(step, &answer.calls, calls_max);
    }

    fn calls(&mut self, step: &'static str, calls: &[Call], calls_max: usize) {
        let operations: Vec<&str> = calls.iter().map(|call| call.operation.as_str()).collect();
        assert!(calls.len() <= calls_max, "{step}: {operations:?}");
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
                + 0.0 // an empty sum is minus zero
        };
        self.rows
            .push((step, calls.len(), items, units(true), units(false)));
    }

    fn print(&self) -> (f64, f64) {
        println!(
            "{:<18} {:>5} {:>5} {:>5} {:>5}",
            "step", "calls", "items", "RRU", "WRU"
        );
        for (step, calls, items, rru, wru) in &self.rows {
            println!("{step:<18} {calls:>5} {items:>5} {rru:>5.1} {wru:>5.1}");
        }
        let sum = self
            .rows
            .iter()
            .fold((0.0, 0.0), |(rru, wru), row| (rru + row.3, wru + row.4));
        println!(
            "{:<18} {:>5} {:>5} {:>5.1} {:>5.1}\n",
            "sum", "", "", sum.0, sum.1
        );
        sum
    }
}

#[tokio::test]
async fn a_whole_rebind_stays_within_its_budgets() {
    let world = World::start().await;
    let mut table = Table::default();
    // The longest name and the longest ids that the sandbox has.
    let merchant = merchant("minority_name");
    let app = world.app(&merchant).await;
    table.step("login", &app.login, 3);
    table.step(
        "list cards",
        &app.call("GET", "/v1/cards", Value::Null).await,
        1,
    );
    let created = app
        .keyed("k-1", "POST", "/v1/rebinds", app.request_body(GOOD_CARD))
        .await;
    table.step("request", &created, 2);
    let rebind = format!(
        "/v1/rebinds/{}",
        created.body["rebind_id"].as_str().unwrap()
    );
    let path = |step: &str| format!("{rebind}/{step}");
    table.step(
        "identity",
        &app.keyed("k-2", "POST", &path("identity"), app.document())
            .await,
        2,
    );
    let code = json!({"code": world.sms.code(&merchant.phone)});
    table.step(
        "identity confirm",
        &app.keyed("k-3", "POST", &path("identity/confirm"), code)
            .await,
        3,
    );
    table.step(
        "read agreement",
        &app.call("GET", &path("agreement"), Value::Null).await,
        1,
    );
    let signature = app.signature(&rebind).await;
    table.step(
        "sign agreement",
        &app.keyed("k-4", "POST", &path("agreement"), signature)
            .await,
        2,
    );
    table.step(
        "card check",
        &app.keyed("k-5", "POST", &path("card-check"), Value::Null)
            .await,
        3,
    );
    let code = json!({"code": world.sms.code(RESERVED_PHONE)});
    table.step(
        "card confirm",
        &app.keyed("k-6", "POST", &path("card-check/confirm"), code)
            .await,
        3,
    );
    let at_its_largest = world.items().await;
    let due = world.due_notices().await;
    world.deliver(due, world.now()).await;
    table.calls("two notices", &world.boundary.take(), 3);
    let (rru, wru) = table.print();
    print_cost(rru, wru);
    assert!(rru <= RRU_MAX, "{rru} RRU");
    assert!(wru <= WRU_MAX, "{wru} WRU");

    let mut others = Table::default();
    others.step(
        "show rebind",
        &app.call("GET", &rebind, Value::Null).await,
        1,
    );
    others.step(
        "list rebinds",
        &app.call("GET", "/v1/rebinds", Value::Null).await,
        2,
    );
    others.step(
        "logout",
        &app.call("DELETE", "/v1/sessions/current", Value::Null)
            .await,
        1,
    );
    others.print();

    let mut sizes: Vec<(usize, String)> = at_its_largest
        .iter()
        .chain(&world.items().await)
        .map(|item| {
            (
                shared::store::record::size_bytes(item),
                item["sk"].as_s().unwrap().clone(),
            )
        })
        .collect();
    sizes.sort();
    sizes.dedup_by(|a, b| a.1 == b.1);
    for (bytes, name) in sizes.iter().rev().take(8) {
        println!("{bytes:>5} B  {name}");
    }
    assert!(
        sizes.last().unwrap().0 < ITEM_MAX_BYTES,
        "{:?}",
        sizes.last()
    );
}
