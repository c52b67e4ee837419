//! The freeze code: guessed to stop an account, or its attempts exhausted so that the owner cannot stop a change.

use crate::{NAME, OTHER, POLICY};
use application::crypto::HashPurpose;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::policy::HOUR_S;
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, SECOND_CARD};

const WRONG: &str = "AAAAAAAA";

/// An activated merchant and the freeze code of the notification.
async fn announced(world: &Arc<InProcess>, name: &str, card: &str) -> (App, String) {
    let app = world.log_in(name).await;
    app.activate(card).await;
    let code = app.freeze_code().await;
    (app, code)
}

async fn frozen(world: &Arc<InProcess>, name: &str) -> bool {
    world.stored(name).await.state.frozen.is_some()
}

/// The same attempts from one address, concurrently, since each reply takes a fixed time.
async fn send_attempts(world: &Arc<InProcess>, account: &str, codes: &[&str], source: &str) {
    let attempts = codes.iter().map(|code| world.freeze(account, code, source));
    for answer in futures::future::join_all(attempts).await {
        assert_eq!(answer.status, 202);
    }
}

/// Stores this number of attempts for an account, an hour ago.
async fn set_counted(world: &Arc<InProcess>, account: &str, count: usize) {
    let mac = world.keys().mac(HashPurpose::Account, &[account]).await;
    let text = |text: String| AttributeValue::S(text);
    let hour = world.now().epoch_s().div_euclid(HOUR_S) - 1;
    let put = world.client.put_item().table_name(&world.table);
    let put = put
        .item("pk", text(format!("A#{}", mac.unwrap().0)))
        .item("sk", text("Q".to_owned()))
        .item("v", AttributeValue::N("1".to_owned()))
        .item(format!("h{hour}"), AttributeValue::N(count.to_string()));
    put.send().await.unwrap();
}

#[tokio::test]
async fn freeze_code_guessed_from_one_address() {
    let world = InProcess::start().await;
    let (app, code) = announced(&world, NAME, GOOD_CARD).await;
    let account = &app.profile.account;
    let wrong = vec![WRONG; POLICY.freeze_attempts_per_source_day];
    send_attempts(&world, account, &wrong, "198.51.100.1").await;
    // After those, no attempt from that address is compared, in any spelling.
    let small = code.to_lowercase();
    send_attempts(&world, account, &[&code, &small], "198.51.100.1").await;
    assert!(!frozen(&world, NAME).await);
    send_attempts(&world, account, &[&code], "198.51.100.2").await;
    assert!(frozen(&world, NAME).await);
}

#[tokio::test]
async fn freeze_code_guessed_from_many_addresses() {
    let world = InProcess::start().await;
    let (app, code) = announced(&world, NAME, GOOD_CARD).await;
    let account = &app.profile.account;
    // The daily limit, which a hundred addresses can reach: a chance of one in a billion.
    set_counted(&world, account, POLICY.freeze_attempts_per_account_day).await;
    for address in 0..3 {
        send_attempts(&world, account, &[&code], &format!("198.51.100.{address}")).await;
    }
    assert!(!frozen(&world, NAME).await);
}

#[tokio::test]
async fn freeze_code_of_another_merchant() {
    let world = InProcess::start().await;
    let (victim, _) = announced(&world, NAME, GOOD_CARD).await;
    world.pass_s(POLICY.code_gap_s);
    // The thief's own code, of the rebind with the same number.
    let (own, code) = announced(&world, OTHER, SECOND_CARD).await;
    send_attempts(&world, &victim.profile.account, &[&code], "198.51.100.1").await;
    assert!(!frozen(&world, NAME).await);
    send_attempts(&world, &own.profile.account, &[&code], "198.51.100.1").await;
    assert!(frozen(&world, OTHER).await && !frozen(&world, NAME).await);
}

#[tokio::test]
async fn freeze_attempts_of_account_exhausted() {
    let world = InProcess::start().await;
    let (app, code) = announced(&world, NAME, GOOD_CARD).await;
    let account = &app.profile.account;
    let limit = POLICY.freeze_attempts_per_account_day;
    set_counted(&world, account, limit - 15).await;
    // One address, and many more attempts than the account has left.
    for _ in 0..3 {
        send_attempts(&world, account, &[WRONG; 10], "198.51.100.1").await;
    }
    assert!(!frozen(&world, NAME).await);
    // The owner's attempt is still compared.
    send_attempts(&world, account, &[&code], "198.51.100.2").await;
    assert!(frozen(&world, NAME).await);
}
