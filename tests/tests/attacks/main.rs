//! The attacks: each is a test named after the thief's attempt. The functions run in one process over a real DynamoDB API,
//! which is exact and fast. Their replies, rows and SMS are those of the running system.
//!
//! For each attack `tests/defences/defences.yaml` names the defence that stops it, as a small edit of the product that removes
//! the defence. `cargo run -p tests --bin defences` shows that each attack then succeeds; [`list`] checks the file.
//!
//! Variants of an attack that other suites test, because they need a whole rebind:
//!
//! | attack | more of it |
//! |---|---|
//! | codes guessed in parallel | `deposits.rs` (three attempts), `standby.rs` (the switch), `e2e::identity`, `e2e::deposit` |
//! | steps skipped, out of order | `e2e::card_check::out_of_order_steps_list_next_actions`, `e2e::order`, the table of states and commands in the core |
//! | replays | `e2e::replays` (every step twice, keys of another body, after a day) |
//! | user enumeration | `freeze.rs` (a freeze of a match, a mismatch, an unknown account takes the same time) |
//! | a card of someone else | `deposits.rs`, `e2e::card_check::foreign_card_is_refused_after_match` |
//! | a device silenced before the change | `push.rs` |
//! | forged bank requests and replies | `bank` (each fault by itself), `functions/sandbox-bank` |
//! | ciphertext under another context, with AWS's own conditions | `e2e::roles::sealed_number_is_bound_to_merchant` |
//! | requests that end a process | `e2e::edges`, `tests/fuzz` |

#![recursion_limit = "256"] // nested futures
#![allow(clippy::unwrap_used, missing_docs)]

mod codes;
mod contact;
mod devices;
mod freezes;
mod insiders;
mod list;
mod logins;
mod money;
mod operators;
mod sessions;
mod settings;
mod sms;
mod steps;
mod wire;

use api::event::HttpEvent;
use application::serve::{Deployment, Handler, respond};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::policy::Policy;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{SECOND_CARD, merchant};
use tests::transport::Reply;

const POLICY: &Policy = &Policy::CURRENT;
/// The merchant under attack.
const NAME: &str = "plain_1";
/// Another merchant, sometimes the thief's own.
const OTHER: &str = "plain_2";

/// An item of the table.
type Item = store::item::Item;

/// Asserts a refusal with this status and code.
#[track_caller]
fn refused(answer: &Reply, status: u16, code: &str) {
    let got = (answer.status, answer.code());
    assert_eq!(got, (status, code), "{:?}", answer.body);
}

/// Every request that requires a session: on this rebind, on this card, and on neither. Logout comes last.
fn doors(rebind: &str, card: &str) -> Vec<(&'static str, String, Value)> {
    let of = |step: &str| format!("{rebind}/{step}");
    let code = json!({"code": "123456"});
    let new = merchant("plain_1").request_body(SECOND_CARD);
    let document =
        json!({"document_number": "110105196302111073", "document_expires_on": "long_term"});
    let signature = json!({"version": "1", "sha256": "0", "reading_token": "AAAA", "signed_name": "测试商户一", "consents": []});
    let settings =
        json!({"cycle": "D1", "payout_time": "09:00", "retained_fen": 1, "daily_limit_fen": 1});
    let mut doors: Vec<(&'static str, String, Value)> = [
        "/v1/cards",
        "/v1/rebinds",
        "/v1/payouts",
        "/v1/settlement",
        "/v1/history",
    ]
    .map(|path| ("GET", path.to_owned(), Value::Null))
    .into();
    doors.extend([
        ("GET", rebind.to_owned(), Value::Null),
        ("GET", of("agreement"), Value::Null),
        ("POST", "/v1/rebinds".to_owned(), new),
        ("POST", of("identity"), document),
        ("POST", of("identity/code"), Value::Null),
        ("POST", of("identity/confirm"), code.clone()),
        ("POST", of("agreement"), signature),
        ("POST", of("card-check"), Value::Null),
        ("POST", of("card-check/code"), Value::Null),
        ("POST", of("card-check/confirm"), code.clone()),
        ("POST", of("test-transaction"), Value::Null),
        ("POST", of("cancel"), Value::Null),
        ("POST", format!("{card}/activate"), Value::Null),
        ("POST", format!("{card}/activate"), code),
        ("POST", format!("{card}/unbind"), Value::Null),
        ("PUT", "/v1/settlement".to_owned(), settings),
        (
            "PUT",
            "/v1/push-targets/new".to_owned(),
            json!({"platform": "fcm", "token": "t"}),
        ),
        ("DELETE", "/v1/push-targets/phone".to_owned(), Value::Null),
        ("DELETE", "/v1/sessions/current".to_owned(), Value::Null),
    ]);
    doors
}

/// The app with another token.
fn with_token(app: &App, token: &str) -> App {
    let token = token.to_owned();
    App {
        token,
        ..app.clone()
    }
}

/// The path of the active card.
async fn active_card(world: &Arc<InProcess>, name: &str) -> String {
    let card = world.stored(name).await.state.active.unwrap().card;
    format!("/v1/cards/{}", card.card_id)
}

/// Every stored item of a merchant, in order.
async fn kept_of(world: &Arc<InProcess>, name: &str) -> Vec<Item> {
    let pk = AttributeValue::S(format!("M#mer_{name}"));
    let mut items = world.items().await;
    items.retain(|item| item["pk"] == pk);
    items.sort_by_key(|item| item["sk"].as_s().unwrap().clone());
    items
}

/// One item of a merchant, as a reader with the table's keys sees it.
async fn item_of(world: &Arc<InProcess>, name: &str, sk: &str) -> Item {
    let items = kept_of(world, name).await;
    let is_it = |item: &&Item| item["sk"].as_s().unwrap() == sk;
    items.iter().find(is_it).unwrap().clone()
}

/// Writes a changed item back.
async fn put_item(world: &Arc<InProcess>, item: Item) {
    world.put_item(item).await;
}

/// Changes an attribute that holds JSON.
fn change_json(item: &mut Item, name: &str, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_str(item[name].as_s().unwrap()).unwrap();
    change(&mut value);
    item.insert(name.to_owned(), AttributeValue::S(value.to_string()));
}

/// A request of this app to a separate instance of a function, such as one with another bank.
async fn ask<H: Handler>(function: &H, app: &App, path: &str, body: Value) -> Reply {
    let bearer = format!("Bearer {}", app.token);
    let headers = [("authorization", bearer.as_str())];
    let event = app.system.event("POST", path, &headers, &body);
    let http: HttpEvent = serde_json::from_value(event.clone()).unwrap();
    let reply = respond(function, &Deployment::new("sandbox"), http).await;
    let calls = app.system.boundary.take();
    let reply = Reply::of_event(&event, &serde_json::to_value(reply).unwrap());
    Reply { calls, ..reply }
}
