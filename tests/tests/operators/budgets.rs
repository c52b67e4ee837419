//! The budgets of the operator's API: calls to the table for each operation, counted at the SDK's boundary.
//! `cargo test -p tests --test operators budgets -- --nocapture` prints them.

#![allow(clippy::print_stdout)]

use super::{ID, NEW_PHONE, show};
use serde_json::{Value, json};
use std::sync::Arc;
use tests::in_process::InProcess;
use tests::new_merchants::new_merchant;
use tests::operators::{OPERATIONS, Person, REGISTRY, SECURITY, SUPPORT, call, change};
use tests::transport::HttpCall;

/// Every call begins with its entry in the audit chain: a read of the chain's end, and a write.
const AUDIT: usize = 2;
/// A merchant, or one other item.
const READ: usize = AUDIT + 1;
/// A page of items, and the merchant that they belong to.
const LIST: usize = AUDIT + 2;
/// A change: the merchant, and the write.
const CHANGE: usize = AUDIT + 2;
/// A change that needs to know something before: the rebind that it freezes, or the merchant of a proposal.
const PREPARED: usize = CHANGE + 1;
/// The approval of a proposal also reads it: to find its merchant, and in the moment of the decision.
const APPROVAL: usize = PREPARED + 2;

struct Measured(Arc<InProcess>);

impl Measured {
    async fn call(&self, person: &Person, call: HttpCall, calls_max: usize) -> Value {
        let reply = self.0.operate(person, call).await;
        assert!(reply.status < 300, "{}: {:?}", reply.what, reply.body);
        let calls = reply.calls.iter().map(|call| call.operation.as_str());
        let calls: Vec<&str> = calls.collect();
        println!("{:<70} {:>2} calls", reply.what, calls.len());
        assert!(calls.len() <= calls_max, "{}: {calls:?}", reply.what);
        assert!(!calls.contains(&"Scan"), "{}: {calls:?}", reply.what);
        reply.body
    }

    async fn read(&self, path: &str, calls_max: usize) {
        self.call(&SUPPORT, call("GET", path), calls_max).await;
    }

    async fn change(&self, person: &Person, path: &str, body: &Value, calls_max: usize) -> Value {
        self.call(person, change(path, path, body), calls_max).await
    }
}

#[tokio::test]
async fn calls_of_operators_keep_their_budgets() {
    let world = InProcess::start().await;
    let measured = Measured(Arc::clone(&world));
    measured.read(&format!("merchants/{ID}"), READ).await;
    measured
        .read(&format!("merchants/{ID}/payouts"), LIST)
        .await;
    measured.read("payouts/pay_sandbox_1", LIST).await;
    measured.read("proposals", READ).await;
    let account = json!({"account": "13900000001"});
    let look_up = call("POST", "lookups").json(&account);
    measured.call(&SUPPORT, look_up, READ).await;

    let none = json!({});
    let freeze = format!("acts/freeze/{ID}");
    measured.change(&SUPPORT, &freeze, &none, PREPARED).await;
    measured.read(&format!("merchants/{ID}/events"), READ).await;
    let active = show(&world).await["active"]["card_id"].clone();
    let unfreeze = json!({"merchant_id": ID, "card_id": active});
    let made = measured
        .change(&OPERATIONS, "proposals/unfreeze", &unfreeze, PREPARED)
        .await;
    let id = made["proposal_id"].as_str().unwrap();
    let proposal = call("GET", &format!("proposals/{id}"));
    let shown = measured.call(&SECURITY, proposal, LIST).await;
    let approval = format!("approvals/unfreeze/{id}");
    let digest = json!({"digest": shown["digest"]});
    measured
        .change(&SECURITY, &approval, &digest, APPROVAL)
        .await;

    let end = format!("acts/end-sessions/{ID}");
    measured.change(&SUPPORT, &end, &none, CHANGE).await;
    let lower = format!("acts/lower-tier/{ID}");
    let limit = json!({"daily_limit_max_fen": 1_000});
    measured.change(&SUPPORT, &lower, &limit, CHANGE).await;
    let (profile, line) = new_merchant("budget", 4_321);
    measured
        .change(&REGISTRY, "registry/create", &line, CHANGE)
        .await;
    let contact = format!("registry/contact-change/{}", profile.id);
    let phone = json!({"phone": NEW_PHONE});
    measured.change(&REGISTRY, &contact, &phone, CHANGE).await;
    let close = format!("registry/close/{}", profile.id);
    measured.change(&REGISTRY, &close, &none, CHANGE).await;
}
