//! The micro-deposit and the test transfer with answers that are lost, late or revoked.

#![allow(clippy::unwrap_used, missing_docs)]

use cooldown_cleanup::Summary;
use domain::decide::BankAnswer;
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::transfer::TransferAnswer;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD};
use tests::scenario;
use tests::table_faults::Fault;
use tests::transport::Reply;

const POLICY: &Policy = &Policy::CURRENT;

/// A wrong code of the right form.
fn wrong(right: &str) -> String {
    let first = if right.starts_with('A') { 'B' } else { 'A' };
    format!("{first}{}", &right[1..])
}

/// The number of distinct bank references.
fn distinct(serials: &[String]) -> usize {
    serials.iter().collect::<BTreeSet<_>>().len()
}

async fn bank_calls(world: &Arc<InProcess>) -> usize {
    world.stored("plain_1").await.state.bank_calls.len()
}

// The check.

#[tokio::test]
async fn unanswered_check_repeats_its_reference_uncounted() {
    let (world, app, rebind) = scenario::card_pending("plain_1").await;
    world.bank.script([None, None, None, None]);
    for _ in 0..4 {
        app.check_card(&rebind)
            .await
            .is(502, "UPSTREAM_UNKNOWN")
            .has("counts_toward_limit", false);
        assert_eq!(bank_calls(&world).await, 0);
    }
    app.check_card(&rebind)
        .await
        .has("/challenge/method", "bank_code");
    assert_eq!(distinct(&world.bank.serials()), 1);
    assert_eq!(bank_calls(&world).await, 1, "an answer counts");
}

#[tokio::test]
async fn unanswered_deposit_is_repeated_unchanged() {
    let (world, app, rebind) = scenario::card_pending("plain_1").await;
    world.bank.script([Some(BankAnswer::NotEnabled)]);
    world.bank.script_transfers([None, None]);
    for _ in 0..2 {
        app.check_card(&rebind).await.is(502, "UPSTREAM_UNKNOWN");
        app.get(&rebind)
            .await
            .is(200, "card_pending")
            .has("challenge", ());
    }
    let sent = app
        .check_card(&rebind)
        .await
        .has("/challenge/method", "micro_deposit");
    let transfers = world.bank.transfers();
    assert_eq!(transfers.len(), 3);
    for transfer in &transfers {
        assert_eq!(transfer.serial, transfers[0].serial);
        assert_eq!(transfer.descriptor, transfers[0].descriptor);
        assert!(transfer.check_name, "or a stranger's card would pass");
    }
    // A sent OTP is not sent again.
    let again = app.check_card(&rebind).await;
    assert_eq!(again.body["challenge"], sent.body["challenge"]);
    assert_eq!(world.bank.transfers().len(), 3);
    app.try_card_code(&rebind, &world.bank.deposit_code())
        .await
        .is(200, "activated");
    world.history("plain_1").await;
}

#[tokio::test]
async fn cleanup_settles_an_interrupted_check() {
    for (decided, expected) in [
        (Some(BankAnswer::DEBIT_MATCH), ("card_pending", 1)),
        (Some(BankAnswer::Dormant), ("rejected", 1)),
        // Answers that only a request of the merchant can continue from, and unknown ones, are left alone.
        (Some(BankAnswer::NotEnabled), ("card_pending", 0)),
        (Some(BankAnswer::Busy), ("card_pending", 0)),
        (None, ("card_pending", 0)),
    ] {
        let (world, app, rebind) = scenario::card_pending("plain_1").await;
        world.bank.script([None]);
        app.check_card(&rebind).await.is(502, "UPSTREAM_UNKNOWN");
        let serial = world.bank.serials().pop().unwrap();
        if let Some(answer) = decided {
            world.bank.decide(&serial, answer);
        }
        assert_eq!(world.clean_up().await.bank_answers, 0, "not yet due");
        world.pass_s(POLICY.bank_retry_s);
        let summary = world.clean_up().await;
        let shown = app.get(&rebind).await;
        assert_eq!(
            (shown.state(), summary.bank_answers),
            expected,
            "{decided:?}"
        );
        assert_eq!(summary.failed, 0);
        assert_eq!(
            world.sms.to(RESERVED_PHONE).len(),
            0,
            "no OTP is sent in the background"
        );
        assert_eq!(
            world.bank.serials().len(),
            1,
            "the clean-up starts no new check"
        );
        let calls = bank_calls(&world).await;
        assert_eq!(calls, usize::try_from(expected.1).unwrap(), "{decided:?}");
        if decided == Some(BankAnswer::DEBIT_MATCH) {
            // On the merchant's next request the answer is known and the OTP is sent.
            app.check_card(&rebind)
                .await
                .has("/challenge/method", "bank_code");
            let code = world.sms.code(RESERVED_PHONE);
            app.try_card_code(&rebind, &code).await.is(200, "activated");
            assert_eq!(world.bank.serials().len(), 1);
        }
        if decided == Some(BankAnswer::NotEnabled) {
            app.check_card(&rebind)
                .await
                .has("/challenge/method", "micro_deposit");
            assert_eq!(distinct(&world.bank.serials()), 1);
        }
        if decided == Some(BankAnswer::Dormant) {
            assert_eq!(shown.body["ended_reason"], "CARD_DORMANT");
        }
        assert_eq!(world.clean_up().await.bank_answers, 0);
        world.history("plain_1").await;
    }
}

#[tokio::test]
async fn returned_deposit_rejects_the_rebind() {
    let (world, app, rebind) = scenario::card_pending("plain_1").await;
    world.bank.script([Some(BankAnswer::IssuerUnsupported)]);
    world.bank.next_transfer(TransferAnswer::Returned);
    app.check_card(&rebind)
        .await
        .is(422, "MICRO_DEPOSIT_RETURNED")
        .has("next_actions", json!(["new_rebind", "contact_support"]));
    app.get(&rebind)
        .await
        .is(200, "rejected")
        .has("ended_reason", "MICRO_DEPOSIT_RETURNED");
    assert_eq!(world.count("plain_1", "micro_deposit_returned").await, 1);
}

// The deposit.

/// A rebind with a deposit on its way, and the deposit's bank reference.
async fn pending_deposit(app: &App) -> (String, String) {
    app.system.bank.next_transfer(TransferAnswer::Pending);
    let rebind = app.deposit(GOOD_CARD).await;
    let serial = app.system.bank.transfers().pop().unwrap().serial;
    (rebind, serial)
}

#[tokio::test]
async fn pending_deposit_counts_no_attempt() {
    let (world, app) = InProcess::with("plain_1").await;
    let (rebind, serial) = pending_deposit(&app).await;
    let right = world.bank.deposit_code();
    for code in [&wrong(&right), &right] {
        app.try_card_code(&rebind, code)
            .await
            .is(503, "UPSTREAM_BUSY")
            .has("counts_toward_limit", false);
    }
    app.get(&rebind).await.has("/challenge/attempts_left", 3);
    world.bank.settle(&serial, TransferAnswer::Succeeded);
    app.try_card_code(&rebind, &wrong(&right))
        .await
        .is(422, "MICRO_DEPOSIT_WRONG")
        .has("attempts_left", 2);
    // Case and spaces do not matter.
    let spaced = format!(" {} {} ", right[..3].to_lowercase(), &right[3..]);
    let done = app
        .try_card_code(&rebind, &spaced)
        .await
        .is(200, "activated");
    let hold_s = POLICY.hold_deposit_s;
    assert_eq!(
        done.body["effective_at"],
        json!(world.now().plus_s(hold_s).to_rfc3339_shanghai())
    );
    world.history("plain_1").await;
}

#[tokio::test]
async fn confirmation_notices_a_returned_deposit() {
    let (world, app) = InProcess::with("plain_1").await;
    let (rebind, serial) = pending_deposit(&app).await;
    let right = world.bank.deposit_code();
    world.bank.settle(&serial, TransferAnswer::Returned);
    let confirm = format!("{rebind}/card-check/confirm");
    let body = json!({"code": right});
    let returned = app
        .keyed("k", &confirm, body.clone())
        .await
        .is(422, "MICRO_DEPOSIT_RETURNED");
    let again = app.keyed("k", &confirm, body).await;
    assert_eq!((again.status, &again.body), (422, &returned.body));
    app.get(&rebind)
        .await
        .is(200, "rejected")
        .has("ended_reason", "MICRO_DEPOSIT_RETURNED");
    assert_eq!(world.count("plain_1", "micro_deposit_returned").await, 1);
    // No stored value can identify the card.
    assert!(
        world
            .stored("plain_1")
            .await
            .rebind
            .unwrap()
            .sealed_number
            .is_none()
    );
}

#[tokio::test]
async fn cleanup_settles_a_pending_deposit() {
    for (answer, state) in [
        (TransferAnswer::Succeeded, "card_pending"),
        (TransferAnswer::Returned, "rejected"),
    ] {
        let (world, app) = InProcess::with("plain_1").await;
        let (rebind, serial) = pending_deposit(&app).await;
        world.pass_s(POLICY.bank_retry_s);
        // Still on its way: queried now, and again later.
        let summary = world.clean_up().await;
        assert_eq!((summary.bank_answers, summary.failed), (0, 0));
        world.bank.settle(&serial, answer);
        assert_eq!(
            world.clean_up().await.bank_answers,
            0,
            "queried a moment ago"
        );
        world.pass_s(POLICY.bank_retry_s);
        let summary = world.clean_up().await;
        assert_eq!((summary.bank_answers, summary.failed), (1, 0), "{answer:?}");
        let shown = app.get(&rebind).await;
        assert_eq!(shown.state(), state);
        let after = world.clean_up().await;
        assert_eq!(
            (after.bank_answers, after.failed),
            (0, 0),
            "a second run changes nothing"
        );
        world.history("plain_1").await;
    }
}

#[tokio::test]
async fn late_return_of_a_deposit_is_noticed() {
    // By the clean-up, a day later.
    let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
    world.bank.settle_last(TransferAnswer::Returned);
    world.pass_s(POLICY.transfer_recheck_s);
    assert_eq!(world.clean_up().await.bank_answers, 1);
    let app = app.again().await;
    app.get(&rebind)
        .await
        .is(200, "rejected")
        .has("ended_reason", "MICRO_DEPOSIT_RETURNED");

    // By the confirmation itself, with the right code.
    let rebind = app.deposit(SECOND_CARD).await;
    let transfer = world.bank.transfers().pop().unwrap();
    world
        .bank
        .settle(&transfer.serial, TransferAnswer::Returned);
    app.try_card_code(&rebind, &world.bank.deposit_code())
        .await
        .is(422, "MICRO_DEPOSIT_RETURNED");
    assert_eq!(world.count("plain_1", "micro_deposit_returned").await, 2);
}

#[tokio::test]
async fn deposit_expires_after_seven_days() {
    let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
    for _ in 0..6 {
        world.pass_s(POLICY.transfer_recheck_s);
        assert_eq!(world.clean_up().await.bank_answers, 1);
        assert_eq!(world.clean_up().await.bank_answers, 0);
    }
    world.pass_s(DAY_S - 1);
    let app = app.again().await;
    app.get(&rebind).await.is(200, "card_pending");
    world.pass_s(1);
    app.try_card_code(&rebind, &world.bank.deposit_code())
        .await
        .is(422, "MICRO_DEPOSIT_EXPIRED");
    for _ in 0..2 {
        app.get(&rebind)
            .await
            .is(200, "expired")
            .has("ended_reason", "MICRO_DEPOSIT_EXPIRED");
        app.check_card(&rebind).await.is(410, "REQUEST_EXPIRED");
        world.clean_up().await;
    }
    app.try_card_code(&rebind, &world.bank.deposit_code())
        .await
        .is(422, "MICRO_DEPOSIT_EXPIRED");
    assert_eq!(world.count("plain_1", "expired").await, 1);
}

#[tokio::test]
async fn parallel_deposit_guesses_are_three() {
    let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
    let code = wrong(&world.bank.deposit_code());
    let guesses = (0..20).map(|_| app.try_card_code(&rebind, &code));
    let answers = futures::future::join_all(guesses).await;
    let counted = |answers: &[Reply]| {
        let counted = answers
            .iter()
            .filter(|answer| answer.body["counts_toward_limit"] == true);
        counted.count()
    };
    assert!(counted(&answers) <= 3, "{}", counted(&answers));
    for answer in &answers {
        let known = [
            "MICRO_DEPOSIT_WRONG",
            "VERSION_CONFLICT",
            "STEP_OUT_OF_ORDER",
        ];
        assert!(known.contains(&answer.code()), "{:?}", answer.body);
    }
    // A request that had to retry gets the same answer as all others.
    world.pass_s(POLICY.code_deciding_s + 1);
    app.try_card_code(&rebind, &code).await;
    app.get(&rebind)
        .await
        .is(200, "rejected")
        .has("ended_reason", "MICRO_DEPOSIT_WRONG");
    assert_eq!(world.count("plain_1", "rejected").await, 1);
    // The rejection notifies the phone on file.
    let before = world.sms.to(&app.profile.phone).len();
    world.deliver_due().await;
    assert_eq!(world.sms.to(&app.profile.phone).len(), before + 1);
}

#[tokio::test]
async fn right_deposit_code_wins_among_guesses() {
    for place in 0..3 {
        let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
        let right = world.bank.deposit_code();
        let mut codes = vec![wrong(&right); 2];
        codes.insert(place, right.clone());
        let guesses = codes.iter().map(|code| app.try_card_code(&rebind, code));
        let answers = futures::future::join_all(guesses).await;
        assert_eq!(
            answers[place].state(),
            "activated",
            "{:?}",
            answers[place].body
        );
        assert_eq!(world.count("plain_1", "activated").await, 1);
    }
}

#[tokio::test]
async fn right_deposit_code_wins_if_it_got_an_attempt() {
    let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
    let right = world.bank.deposit_code();
    // The right code comes first; the results of the others do not matter.
    let mut codes = vec![wrong(&right); 20];
    codes.insert(0, right);
    let guesses = codes.iter().map(|code| app.try_card_code(&rebind, code));
    let answers = futures::future::join_all(guesses).await;
    let counted = answers
        .iter()
        .filter(|answer| answer.body["counts_toward_limit"] == true)
        .count();
    assert!(counted <= 3, "{counted}");
    let won = answers
        .iter()
        .filter(|answer| answer.state() == "activated")
        .count();
    let shown = app.get(&rebind).await;
    match won {
        1 => assert_eq!(shown.state(), "activated"),
        _ => assert!(
            counted == 3 || shown.state() == "card_pending",
            "{:?}",
            shown.body
        ),
    }
    world.history("plain_1").await;
}

#[tokio::test]
async fn malformed_deposit_code_counts_no_attempt() {
    let (_, app, rebind) = scenario::deposit_sent("plain_1").await;
    for code in ["", "123456", "ABCDE", "ABCDEFG", "ABCDE0", "ABCDEI"] {
        let answer = app.try_card_code(&rebind, code).await;
        assert_eq!(
            (answer.status, answer.code()),
            (422, "MICRO_DEPOSIT_WRONG"),
            "{code}"
        );
        assert_eq!(answer.body["counts_toward_limit"], false, "{code}");
        assert_eq!(answer.body["attempts_left"], 3, "{code}");
    }
    let resend = format!("{rebind}/card-check/code");
    app.post(&resend, ()).await.is(409, "STEP_OUT_OF_ORDER");
}

#[tokio::test]
async fn deposit_code_works_on_another_device() {
    let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
    world.pass_s(DAY_S + HOUR_S);
    world.clean_up().await;
    let other = app.on("another device").await;
    let code = world.bank.deposit_code();
    other
        .try_card_code(&rebind, &code)
        .await
        .is(403, "STEP_UP_REQUIRED")
        .has("next_actions", json!(["identity_code"]));
    let path = format!("{rebind}/identity/code");
    other.post(&path, ()).await.ok(200);
    let sms = json!({"code": world.sms.code(&other.profile.phone)});
    let proven = other
        .post(&format!("{rebind}/identity/confirm"), sms)
        .await
        .is(200, "card_pending");
    assert_eq!(
        proven.body["challenge"]["attempts_left"], 3,
        "no attempt was used"
    );
    other
        .try_card_code(&rebind, &code)
        .await
        .is(200, "activated");
}

#[tokio::test]
async fn interrupted_deposit_attempt_resumes_uncounted() {
    let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
    let right = world.bank.deposit_code();
    let confirm = format!("{rebind}/card-check/confirm");
    let body = json!({"code": wrong(&right)});
    world.boundary.fail(4, Fault::RequestLost);
    app.keyed("k", &confirm, body.clone()).await.ok(500);
    app.keyed("k", &confirm, body)
        .await
        .is(422, "MICRO_DEPOSIT_WRONG")
        .has("attempts_left", 2);
    // The last attempt dies too. It is the right one, and it wins.
    assert_eq!(
        app.try_card_code(&rebind, &wrong(&right)).await.body["attempts_left"],
        1
    );
    // The repeated request finds its claim with its read, and reserves nothing.
    for (place, fault) in [(4, Fault::RequestLost), (3, Fault::ReplyLost)] {
        world.boundary.fail(place, fault);
        app.keyed("k3", &confirm, json!({"code": right}))
            .await
            .ok(500);
    }
    app.keyed("k3", &confirm, json!({"code": right}))
        .await
        .is(200, "activated");
    assert_eq!(world.count("plain_1", "activated").await, 1);
}

#[tokio::test]
async fn silent_bank_does_not_block_the_cleanup() {
    let world = InProcess::start().await;
    let names = ["plain_1", "plain_2", "plain_3", "plain_4"];
    for name in names {
        let app = world.log_in(name).await;
        let rebind = app.to_card_pending(GOOD_CARD).await;
        world.bank.script([None]);
        app.check_card(&rebind).await.is(502, "UPSTREAM_UNKNOWN");
    }
    let app = world.log_in("plain_5").await;
    let deposit = app.deposit(GOOD_CARD).await;
    let overdue = world.log_in("minority_name").await;
    let overdue = overdue.request(GOOD_CARD).await;
    for serial in world.bank.serials() {
        world.bank.decide(&serial, BankAnswer::Dormant);
    }
    world.bank.set_silent(true);
    world.pass_s(DAY_S);
    let summary = world.clean_up().await;
    assert_eq!((summary.bank_answers, summary.failed), (0, 0));
    assert_eq!(
        summary.expired, 5,
        "an overdue rebind expires with or without an answer"
    );
    let app = world.log_in("minority_name").await;
    app.get(&overdue).await.is(200, "expired");
    // The deposit stays pending, and its result is found once the bank answers again.
    let app = world.log_in("plain_5").await;
    app.get(&deposit).await.is(200, "card_pending");
    world.bank.settle_last(TransferAnswer::Returned);
    world.bank.set_silent(false);
    world.pass_s(POLICY.transfer_recheck_s);
    assert_eq!(world.clean_up().await.bank_answers, 1);
    let app = app.again().await;
    app.get(&deposit).await.is(200, "rejected");
    for name in names.into_iter().chain(["plain_5", "minority_name"]) {
        world.history(name).await;
    }
}

#[tokio::test]
async fn arrived_deposit_needs_no_bank() {
    let (world, app, rebind) = scenario::deposit_sent("plain_1").await;
    world.bank.set_silent(true);
    app.try_card_code(&rebind, &world.bank.deposit_code())
        .await
        .is(200, "activated");
}

#[tokio::test]
async fn bound_card_shows_only_after_its_deposit_code() {
    let world = InProcess::start().await;
    let owner = world.log_in("plain_1").await;
    owner.activate(GOOD_CARD).await;
    world.pass_s(61);
    let app = world.log_in("plain_2").await;
    let rebind = app.deposit(GOOD_CARD).await;
    let right = world.bank.deposit_code();
    app.try_card_code(&rebind, &wrong(&right))
        .await
        .is(422, "MICRO_DEPOSIT_WRONG");
    app.try_card_code(&rebind, &right)
        .await
        .is(409, "CARD_BOUND_ELSEWHERE");
    app.get(&rebind)
        .await
        .is(200, "rejected")
        .has("ended_reason", "CARD_BOUND_ELSEWHERE");
    assert_eq!(world.count("plain_2", "activated").await, 0);
}

// The bank's limits.

/// Five concurrent requests for a bank check of this rebind's card.
async fn asked_at_once(app: &App, rebind: &str, cancel: bool) -> Vec<Reply> {
    let mut paths = vec![format!("{rebind}/card-check"); 5];
    if cancel {
        paths.insert(2, format!("{rebind}/cancel"));
    }
    let requests = paths.iter().map(|path| app.post(path, ()));
    futures::future::join_all(requests).await
}

#[tokio::test]
async fn parallel_checks_stay_within_the_bank_limits() {
    for cancel in [false, true] {
        let world = InProcess::start().await;
        let mut app = world.log_in("plain_1").await;
        world.bank.set_answer_delay(Duration::from_millis(20));
        let mut of_card = Vec::new();
        // Each cancelled one is a rebind of its own, and only five a day are allowed.
        let second = if cancel { 1 } else { 3 };
        for (card, times) in [(GOOD_CARD, 4), (SECOND_CARD, second)] {
            let before = distinct(&world.bank.serials());
            let mut rebind = None;
            for _ in 0..times {
                let path = match rebind.take() {
                    Some(path) => path,
                    None => app.to_card_pending(card).await,
                };
                asked_at_once(&app, &path, cancel).await;
                // An answer is valid for half an hour; then a check calls the bank again.
                world.pass_s(POLICY.bank_proof_s + 1);
                app = app.again().await;
                if app.get(&path).await.state() == "card_pending" {
                    rebind = Some(path);
                }
            }
            of_card.push(distinct(&world.bank.serials()) - before);
            if let Some(path) = rebind {
                let path = format!("{path}/cancel");
                app.post(&path, ()).await.is(200, "cancelled");
            }
        }
        assert!(of_card[0] <= 3, "{of_card:?}");
        assert!(of_card[0] + of_card[1] <= 5, "{of_card:?}");
        if !cancel {
            assert_eq!(of_card, [3, 2]);
        }
        assert!(bank_calls(&world).await <= 5);
        world.history("plain_1").await;
    }
}

// The test transfer.

#[tokio::test]
async fn unanswered_test_transfer_stays_pending() {
    let (world, app, rebind) = scenario::activated("plain_1").await;
    world
        .bank
        .script_transfers([None, None, Some(TransferAnswer::Pending)]);
    for _ in 0..3 {
        app.test_transfer(&rebind)
            .await
            .with_status(200)
            .has("status", "pending")
            .has("amount_fen", 1);
    }
    let serial = world.bank.transfers()[0].serial.clone();
    world.bank.settle(&serial, TransferAnswer::Succeeded);
    let arrived = app
        .test_transfer(&rebind)
        .await
        .has("status", "succeeded")
        .has(
            "/rebind/test_succeeded_at",
            json!(world.now().to_rfc3339_shanghai()),
        );
    let again = app.test_transfer(&rebind).await;
    assert_eq!(again.body, arrived.body);
    let transfers = world.bank.transfers();
    // Sent again as long as the bank had not received it, then only queried.
    assert_eq!(transfers.len(), 3, "a received transfer is not sent again");
    assert!(transfers.iter().all(|transfer| transfer.serial == serial));
    let kinds = ["test_transfer_started", "test_transfer_succeeded"];
    for kind in kinds {
        assert_eq!(world.count("plain_1", kind).await, 1, "{kind}");
    }
    // The hold is not shortened.
    let cards = app.get("/v1/cards").await;
    assert!(cards.body["hold"].is_object());
}

#[tokio::test]
async fn cleanup_settles_test_transfer() {
    for (answer, state) in [
        (TransferAnswer::Succeeded, "activated"),
        (TransferAnswer::Returned, "reverted"),
    ] {
        let (world, app, rebind) = scenario::activated("plain_1").await;
        world.bank.next_transfer(TransferAnswer::Pending);
        assert_eq!(app.test_transfer(&rebind).await.body["status"], "pending");
        let serial = world.bank.transfers()[0].serial.clone();
        world.bank.settle(&serial, answer);
        world.pass_s(POLICY.bank_retry_s);
        let Summary {
            bank_answers,
            skipped,
            failed,
            ..
        } = world.clean_up().await;
        assert_eq!((bank_answers, skipped, failed), (1, 0, 0));
        assert_eq!(app.get(&rebind).await.state(), state);
        assert_eq!(world.clean_up().await.bank_answers, 0);
        world.history("plain_1").await;
    }
}

#[tokio::test]
async fn returned_test_transfer_reverts_and_notifies() {
    for late_s in [0, POLICY.hold_s + POLICY.revert_after_effective_s - 1] {
        let (world, app) = InProcess::with("plain_1").await;
        let before = world.stored("plain_1").await.state.active.unwrap();
        let rebind = app.activate(GOOD_CARD).await;
        world.deliver_due().await;
        world.bank.next_transfer(TransferAnswer::Pending);
        assert_eq!(app.test_transfer(&rebind).await.body["status"], "pending");
        let serial = world.bank.transfers()[0].serial.clone();
        world.bank.settle(&serial, TransferAnswer::Returned);
        world.pass_s(late_s);
        let app = app.again().await;
        let sent_before =
            [&app.profile.phone, RESERVED_PHONE].map(|phone| world.sms.to(phone).len());
        for _ in 0..2 {
            let failed = app
                .test_transfer(&rebind)
                .await
                .with_status(200)
                .has("status", "failed");
            let undone = &failed.body["rebind"];
            assert_eq!(
                (&undone["state"], &undone["ended_reason"]),
                (&json!("reverted"), &json!("TEST_TXN_FAILED"))
            );
        }
        let state = world.stored("plain_1").await.state;
        assert_eq!(
            state.active.unwrap().card,
            before.card,
            "the old card is active again"
        );
        assert_eq!((state.cooldown_until, state.last_activation), (None, None));
        assert_eq!(world.count("plain_1", "reverted").await, 1);
        world.deliver_due().await;
        let now = [&app.profile.phone, RESERVED_PHONE].map(|phone| world.sms.to(phone).len());
        assert_eq!(
            now,
            sent_before.map(|count| count + 1),
            "both contacts are notified"
        );
    }
}

#[tokio::test]
async fn late_return_of_a_test_reverts_nothing() {
    let (world, app, rebind) = scenario::activated("plain_1").await;
    world.bank.next_transfer(TransferAnswer::Pending);
    app.test_transfer(&rebind).await;
    let serial = world.bank.transfers()[0].serial.clone();
    world.pass_s(POLICY.hold_s + POLICY.revert_after_effective_s);
    world.bank.settle(&serial, TransferAnswer::Returned);
    let app = app.again().await;
    for _ in 0..2 {
        let failed = app
            .test_transfer(&rebind)
            .await
            .with_status(200)
            .has("status", "failed")
            .has("/rebind/state", "completed");
        assert!(failed.body["rebind"].get("test_succeeded_at").is_none());
    }
    assert_eq!(world.count("plain_1", "reverted").await, 0);
    assert_eq!(world.count("plain_1", "test_transfer_failed").await, 1);
    world.clean_up().await;
    app.get(&rebind).await.is(200, "completed");
}

#[tokio::test]
async fn test_transfer_can_return_for_a_week() {
    for (day, undone) in [(1, true), (7, true), (9, false)] {
        let (world, app, rebind) = scenario::activated("plain_1").await;
        assert_eq!(app.test_transfer(&rebind).await.body["status"], "succeeded");
        let serial = world.bank.transfers()[0].serial.clone();
        for passed in 1..=10 {
            if passed == day {
                world.bank.settle(&serial, TransferAnswer::Returned);
            }
            world.pass_s(DAY_S);
            assert_eq!(world.clean_up().await.failed, 0);
        }
        let app = app.again().await;
        let state = if undone { "reverted" } else { "completed" };
        assert_eq!(app.get(&rebind).await.state(), state, "day {day}");
        let reverted = usize::from(undone);
        assert_eq!(world.count("plain_1", "reverted").await, reverted);
    }
}

#[tokio::test]
async fn failed_test_of_a_first_card_holds_payouts() {
    let (world, app, rebind) = scenario::activated("no_card").await;
    world.bank.next_transfer(TransferAnswer::Returned);
    app.test_transfer(&rebind).await.has("status", "failed");
    app.get("/v1/cards").await.has("active", ()).has("hold", ());
    let payout = json!({"operation": "create_payout", "merchant_id": "mer_no_card", "payout_id": "pay_1", "amount_fen": 1});
    let payout = world.core(payout).await.unwrap();
    assert_eq!(
        (&payout["held"], &payout["card"]),
        (&json!(true), &Value::Null)
    );
    world.history("no_card").await;
}

#[tokio::test]
async fn parallel_requests_send_one_test_transfer() {
    for answer in [
        Some(TransferAnswer::Succeeded),
        Some(TransferAnswer::Returned),
        None,
    ] {
        let (world, app, rebind) = scenario::activated("plain_1").await;
        world.bank.set_answer_delay(Duration::from_millis(20));
        world.bank.script_transfers(std::iter::repeat_n(answer, 11));
        let requests = (0..10).map(|_| app.test_transfer(&rebind));
        let answers = futures::future::join_all(requests).await;
        let expected = match answer {
            Some(TransferAnswer::Succeeded) => "succeeded",
            Some(TransferAnswer::Returned) => "failed",
            _ => "pending",
        };
        for answer in &answers {
            let retry = answer.code() == "VERSION_CONFLICT";
            let known = [expected, "pending"]
                .iter()
                .any(|known| answer.body["status"] == *known);
            assert!(retry || known, "{:?}", answer.body);
        }
        assert_eq!(app.test_transfer(&rebind).await.body["status"], expected);
        let transfers = world.bank.transfers();
        let serials: Vec<String> = transfers.into_iter().map(|sent| sent.serial).collect();
        assert_eq!(distinct(&serials), 1, "{answer:?}");
        assert_eq!(world.count("plain_1", "test_transfer_started").await, 1);
        let reverted = usize::from(answer == Some(TransferAnswer::Returned));
        assert_eq!(world.count("plain_1", "reverted").await, reverted);
    }
}

#[tokio::test]
async fn test_transfer_survives_lost_replies() {
    for (n, fault) in [
        (3, Fault::ReplyLost),
        (4, Fault::RequestLost),
        (4, Fault::ReplyLost),
    ] {
        let (world, app, rebind) = scenario::activated("plain_1").await;
        let path = format!("{rebind}/test-transaction");
        world.boundary.fail(n, fault);
        let lost = app.keyed("k", &path, ()).await;
        assert_eq!(lost.status, 500, "{n} {fault:?}: {:?}", lost.body);
        let again = app.keyed("k", &path, ()).await;
        assert_eq!(
            again.body["status"], "succeeded",
            "{n} {fault:?}: {:?}",
            again.body
        );
        let transfers = world.bank.transfers();
        assert!(
            transfers
                .iter()
                .all(|sent| sent.serial == transfers[0].serial)
        );
        assert_eq!(world.count("plain_1", "test_transfer_started").await, 1);
        assert_eq!(world.count("plain_1", "test_transfer_succeeded").await, 1);
    }
}
