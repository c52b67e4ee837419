//! Password guessing: across accounts, across devices, to lock out a merchant, to enumerate accounts.

use crate::{NAME, OTHER, POLICY, refused};
use domain::policy::{DAY_S, HOUR_S};
use serde_json::json;
use std::sync::Arc;
use std::time::Instant;
use tests::in_process::InProcess;
use tests::merchant::merchant;
use tests::transport::Reply;

/// One attempt to log in, from any address. The attacker also claims another address in the header that proxies use.
pub(crate) async fn log_in(
    world: &Arc<InProcess>,
    account: &str,
    password: &str,
    device: &str,
    source: &str,
) -> Reply {
    let body = json!({"account": account, "password": password, "device_id": device});
    let claimed = [("x-forwarded-for", device)];
    let mut event = world.event("POST", "/v1/sessions", &claimed, &body);
    event["requestContext"]["http"]["sourceIp"] = json!(source);
    world.send(event).await
}

/// Logs in as the merchant; the error is the time to wait.
async fn owner(world: &Arc<InProcess>, device: &str, source: &str) -> Result<(), i64> {
    let owner = merchant(NAME);
    let answer = log_in(world, &owner.account, &owner.password, device, source).await;
    match answer.status {
        201 => Ok(()),
        _ => {
            refused(&answer, 429, "AUTH_THROTTLED");
            Err(answer.body["retry_after_s"].as_i64().unwrap())
        }
    }
}

#[tokio::test]
async fn passwords_sprayed_over_accounts() {
    const FROM: &str = "203.0.113.66";
    let world = InProcess::start().await;
    owner(&world, "the merchant's phone", "203.0.113.7")
        .await
        .unwrap();
    let spray = async |guess: usize| {
        // Three per account, which is below the account's limit, each from a device of its own.
        let account = format!("139{:08}", guess / 3 + 1);
        log_in(&world, &account, "Aa123456", &format!("{guess}"), FROM).await
    };
    let limit = POLICY.login_failures_per_source_hour;
    for guess in 0..limit {
        if guess == limit / 2 {
            // A success with the attacker's own account refunds only its own attempt.
            let own = merchant(OTHER);
            log_in(&world, &own.account, &own.password, "own", FROM)
                .await
                .ok(201);
        }
        refused(&spray(guess).await, 401, "AUTH_BAD_CREDENTIALS");
    }
    for guess in limit..limit + 2 {
        let held = spray(guess).await.is(429, "AUTH_THROTTLED");
        assert_eq!(held.body["retry_after_s"], HOUR_S);
    }
    let right = owner(&world, "a thief's phone", FROM).await;
    assert_eq!(
        right,
        Err(HOUR_S),
        "not even the right password is compared"
    );
    // Thousands may share a carrier's address, so its limit does not block a known device.
    owner(&world, "the merchant's phone", FROM).await.unwrap();
}

#[tokio::test]
async fn merchant_locked_out_by_guesses() {
    let world = InProcess::start().await;
    owner(&world, "the merchant's phone", "203.0.113.7")
        .await
        .unwrap();
    let account = merchant(NAME).account;
    let mut compared = 0;
    for guess in 0..POLICY.login_failures_per_day + 5 {
        world.pass_s(POLICY.login_wait_max_s);
        let (device, source) = (format!("device {guess}"), format!("198.51.100.{guess}"));
        let answer = log_in(&world, &account, "guess", &device, &source).await;
        compared += usize::from(answer.code() == "AUTH_BAD_CREDENTIALS");
    }
    assert_eq!(compared, POLICY.login_failures_per_day, "the daily limit");
    // The merchant's usual phone, even from the attacker's own address.
    let own = owner(&world, "the merchant's phone", "198.51.100.1").await;
    assert_eq!(own, Ok(()));
    // A new device must wait, but never for good.
    let wait_s = owner(&world, "a new phone", "203.0.113.7")
        .await
        .unwrap_err();
    assert!((1..=DAY_S).contains(&wait_s), "{wait_s}");
    world.pass_s(wait_s);
    owner(&world, "a new phone", "203.0.113.7").await.unwrap();
}

#[tokio::test]
async fn device_ids_invented_to_evade_throttle() {
    let world = InProcess::start().await;
    // A device that is known, but for the thief's own account.
    world.log_in_on(OTHER, "a thief's phone").await;
    let account = merchant(NAME).account;
    let free = usize::try_from(POLICY.login_wait_from_failure).unwrap();
    let guesses = (0..30).map(|guess| {
        let device = match guess {
            0 => "a thief's phone".to_owned(),
            _ => format!("device {guess}"),
        };
        let source = format!("198.51.100.{guess}");
        let (world, account) = (&world, account.as_str());
        async move { log_in(world, account, "guess", &device, &source).await }
    });
    let answers = futures::future::join_all(guesses).await;
    let of = |code: &str| {
        answers
            .iter()
            .filter(|answer| answer.code() == code)
            .count()
    };
    let (compared, held) = (of("AUTH_BAD_CREDENTIALS"), of("AUTH_THROTTLED"));
    assert!(
        compared <= free && compared + held == 30,
        "{compared} {held}"
    );
    // Slow attempts are blocked as well, until the waiting time has passed.
    let mut compared = compared;
    for guess in 30..40 {
        let device = format!("device {guess}");
        let answer = log_in(&world, &account, "guess", &device, "203.0.113.7").await;
        compared += usize::from(answer.code() == "AUTH_BAD_CREDENTIALS");
    }
    assert_eq!(compared, free);
    log_in(&world, &account, "guess", "", "203.0.113.7")
        .await
        .is(400, "REQUEST_MALFORMED");
}

#[tokio::test]
async fn device_ids_invented_to_trip_throttle() {
    const PHONE: &str = "4f7d the merchant's phone";
    let world = InProcess::start().await;
    owner(&world, PHONE, "203.0.113.7").await.unwrap();
    let account = merchant(NAME).account;
    let near = [
        PHONE.to_uppercase(),
        format!("{PHONE} "),
        format!(" {PHONE}"),
        format!("{PHONE}\u{200b}"),
        PHONE.replace('\'', "\u{2019}"),
        PHONE.replace(' ', "\u{a0}"),
        PHONE[1..].to_owned(),
    ];
    // More than the number of known devices per account, which could evict the merchant's own.
    let far = (0..POLICY.known_devices_max).map(|number| format!("device {number}"));
    let mut held = 0;
    for device in near.into_iter().chain(far) {
        let answer = log_in(&world, &account, "guess", &device, "203.0.113.7").await;
        held += usize::from(answer.code() == "AUTH_THROTTLED");
    }
    assert!(held > 0, "unknown devices are throttled");
    assert_eq!(owner(&world, PHONE, "203.0.113.7").await, Ok(()));
}

/// The share of pairs, one value from each list, in which the first is larger (the statistic of the Mann-Whitney test). It is
/// 0.5 if the lists do not differ.
fn larger(first: &[f64], second: &[f64]) -> f64 {
    let pairs = first
        .iter()
        .flat_map(|a| second.iter().map(move |b| (a, b)));
    let larger: f64 = pairs
        .map(|(a, b)| f64::from(u8::from(a > b)) + f64::from(u8::from(a == b)) / 2.0)
        .sum();
    larger / (first.len() * second.len()) as f64
}

/// The mean of the middle half, which excludes outliers of the machine.
fn trimmed_mean(times: &[f64]) -> f64 {
    let mut times = times.to_vec();
    times.sort_by(f64::total_cmp);
    let quarter = times.len() / 4;
    let middle = &times[quarter..times.len() - quarter];
    middle.iter().sum::<f64>() / middle.len() as f64
}

#[tokio::test]
async fn accounts_enumerated_by_reply_or_time() {
    /// Each pair is one attempt on a known account and one on an unknown account, back to back.
    const PAIRS: usize = 40;
    let world = InProcess::start().await;
    let accounts = [merchant(NAME).account, "13912345678".to_owned()];
    let guess = async |account: &str, number: usize| {
        let device = format!("device {number}");
        log_in(&world, account, "guess", &device, "203.0.113.7").await
    };
    // Equal to the last byte, also while throttled.
    for number in 0..8 {
        let there = guess(&accounts[0], number).await;
        let not = guess(&accounts[1], number).await;
        assert_eq!(
            (there.status, &there.headers, &there.body),
            (not.status, &not.headers, &not.body)
        );
        let asked = |answer: &Reply| -> Vec<(String, usize)> {
            let calls = answer.calls.iter();
            calls
                .map(|call| (call.operation.clone(), call.transaction_items()))
                .collect()
        };
        assert_eq!(asked(&there), asked(&not), "the table gets the same calls");
    }
    let mut times = [const { Vec::new() }; 2];
    for pair in 0..PAIRS {
        // The failures of the day before have expired.
        world.pass_s(DAY_S);
        for place in 0..2 {
            // In alternating order, so that other load affects both alike.
            let kind = (pair + place) % 2;
            let started = Instant::now();
            let answer = guess(&accounts[kind], pair).await;
            times[kind].push(started.elapsed().as_secs_f64());
            refused(&answer, 401, "AUTH_BAD_CREDENTIALS");
        }
    }
    let [there, not] = &times;
    // If the two times do not differ, a run exceeds these bounds about once in a hundred thousand. Without the dummy hash for
    // an unknown account, every attempt on a known account is slower.
    let larger = larger(there, not);
    let ratio = trimmed_mean(there) / trimmed_mean(not);
    assert!((0.2..=0.8).contains(&larger), "{larger:.2}, {ratio:.2}");
    assert!((0.75..=1.33).contains(&ratio), "{larger:.2}, {ratio:.2}");
}
