//! The freeze code: guessed to stop an account, or guessed so often that the owner's right code would not be evaluated.

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

/// Stores this number of wrong codes for an account or from an address, an hour ago.
async fn set_counted(world: &Arc<InProcess>, purpose: HashPurpose, of: &str, count: usize) {
    let mac = world.keys().mac(purpose, &[of]).await;
    let kind = match purpose {
        HashPurpose::Account => "A",
        _ => "S",
    };
    let text = |text: String| AttributeValue::S(text);
    let hour = world.now().epoch_s().div_euclid(HOUR_S) - 1;
    let put = world.client.put_item().table_name(&world.table);
    let put = put
        .item("pk", text(format!("{kind}#{}", mac.unwrap().0)))
        .item("sk", text("Q".to_owned()))
        .item("v", AttributeValue::N("1".to_owned()))
        .item(format!("h{hour}"), AttributeValue::N(count.to_string()));
    put.send().await.unwrap();
}

/// The thief guesses, so that the owner's right code is not evaluated any more. 1,000 was once the limit of an account.
#[tokio::test]
async fn owner_freezes_while_1000_addresses_guess() {
    let world = InProcess::start().await;
    let (app, code) = announced(&world, NAME, GOOD_CARD).await;
    let account = &app.profile.account;
    set_counted(&world, HashPurpose::Account, account, 1_000).await;
    for address in 0..10 {
        let source = format!("198.51.100.{address}");
        send_attempts(&world, account, &[WRONG; 4], &source).await;
    }
    assert!(!frozen(&world, NAME).await);
    send_attempts(&world, account, &[&code], "203.0.113.1").await;
    assert!(frozen(&world, NAME).await);
}

/// The thief sits in the owner's café, or behind the same carrier's address.
#[tokio::test]
async fn owner_freezes_from_the_address_of_the_thief() {
    let world = InProcess::start().await;
    let (app, code) = announced(&world, NAME, GOOD_CARD).await;
    let source = "198.51.100.1";
    set_counted(&world, HashPurpose::Source, source, 1_000).await;
    send_attempts(&world, "an invented account", &[WRONG; 12], source).await;
    send_attempts(&world, &app.profile.account, &[&code], source).await;
    assert!(frozen(&world, NAME).await);
}

/// Nobody tells the owner that codes are guessed, or that the own one was mistyped.
#[tokio::test]
async fn freeze_codes_guessed_in_silence() {
    let world = InProcess::start().await;
    let (app, _) = announced(&world, NAME, GOOD_CARD).await;
    let (account, phone) = (&app.profile.account, &app.profile.phone);
    let before = world.sms.to(phone).len();
    for address in 0..POLICY.freeze_guesses_notified_from {
        let source = format!("198.51.100.{address}");
        send_attempts(&world, account, &[WRONG], &source).await;
    }
    world.deliver_due().await;
    assert_eq!(world.sms.to(phone).len(), before + 1);
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
