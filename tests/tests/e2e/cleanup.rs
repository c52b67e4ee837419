//! The clean-up, with its clock in the event.
//!
//! A run acts for all merchants. These cases therefore use separate years of the clock, more than a year apart: nothing else is
//! due at their times, and the other cases' merchants are never overdue.

use application::clock::wall_clock;
use aws_sdk_dynamodb::types::AttributeValue;
use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use domain::sms::Sms;
use domain::time::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tests::local_cloud::LocalCloud;
use tests::merchant::{DEVICE, Profile};
use tests::transport::Transport as _;

use crate::payouts::{create, pay_out, report};
use crate::see::{rebind_path, zh};

/// A merchant on 10 March of a year, 10:00.
pub async fn in_year(live: &LocalCloud, year: u16) -> Profile {
    in_year_with(live, year, json!({})).await
}

/// The same with changed or additional members. The device has been known since before that year.
async fn in_year_with(live: &LocalCloud, year: u16, mut changes: Value) -> Profile {
    changes["known_devices"] = json!([{"device_id": DEVICE, "first_login_days_ago": 20_000}]);
    let merchant = live.merchant_with(changes).await;
    let text = format!("{year}-03-10T10:00:00+08:00");
    merchant.set_clock(Timestamp::parse_rfc3339(&text).unwrap());
    merchant
}

/// Makes the bank's unreadable answer to a rebind's card check readable, for the next query.
pub async fn bank_answers_readably(live: &LocalCloud, path: &str) {
    let serial = format!("SERIAL#{}-1", path.rsplit('/').next().unwrap());
    let bank = live.system.resource("SandboxBankTable").unwrap();
    let items = live.items_of(bank).await;
    let mut record = items
        .into_iter()
        .find(|item| item["pk"].as_s() == Ok(&serial))
        .unwrap();
    record.insert("garbled".to_owned(), AttributeValue::Bool(false));
    let put = live.table.put_item().table_name(bank);
    put.set_item(Some(record)).send().await.unwrap();
}

/// The counts of a run's report, without the zeros.
fn did(summary: &Value) -> Value {
    let all = summary.as_object().unwrap();
    let counts = all.iter().filter(|(name, _)| *name != "lag_s");
    counts
        .filter(|(_, value)| **value != json!(0) && **value != json!(false))
        .map(|(k, v)| (k.clone(), v.clone()))
        .collect()
}

/// The owner is reminded in the hold, which ends at day 1. The cooldown ends at day 30 and is announced once. Nothing is left
/// at day 31.
pub async fn entries_fall_due_on_days_1_8_and_30(live: &LocalCloud) {
    let merchant = in_year(live, 1990).await;
    let app = live.app(&merchant).await;
    let path = app.activate(&live.card()).await;
    let activated_at = merchant.now();
    live.handed_over(&merchant).await;
    let announced = live.notifications(&merchant.phone, 1).await;
    let day = |days: i64| activated_at.plus_s(days * DAY_S);
    let hour = |hours: i64| activated_at.plus_s(hours * HOUR_S);
    let version = async || live.state(&merchant.pk(), "R#000001").await["ver"].clone();
    let before = version().await;

    // After a third of the hold and 2 h before its end, the phone on file gets the same text again.
    for (hours, texts) in [(8, 2), (22, 3)] {
        assert_eq!(did(&live.clean_up(hour(hours).plus_s(-1)).await), json!({}));
        assert_eq!(
            did(&live.clean_up(hour(hours)).await),
            json!({"reminders": 1})
        );
        let all = live.notifications(&merchant.phone, texts).await;
        assert!(all.iter().all(|text| *text == announced[0]));
    }
    assert_eq!(did(&live.clean_up(day(1).plus_s(-1)).await), json!({}));
    assert_eq!(version().await, before);
    assert_eq!(did(&live.clean_up(day(1)).await), json!({"completed": 1}));
    assert_eq!(
        live.state(&merchant.pk(), "R#000001").await["st"].get("activated"),
        None
    );
    assert_eq!(
        did(&live.clean_up(day(1)).await),
        json!({}),
        "a second run changes nothing"
    );
    let looks_at = async |at| {
        merchant.set_clock(at);
        let app = live.app(&merchant).await;
        (
            app.get(&path).await.ok(200),
            app.get("/v1/cards").await.ok(200),
        )
    };
    let (rebind, cards) = looks_at(day(1)).await;
    assert_eq!(
        (&rebind["state"], &cards["hold"]),
        (&json!("completed"), &Value::Null)
    );
    assert_eq!(cards["blocked_by"], "REBIND_COOLDOWN");

    // The old card is kept for a week.
    assert_eq!(did(&live.clean_up(day(8).plus_s(-1)).await), json!({}));
    assert_eq!(
        did(&live.clean_up(day(8)).await),
        json!({"cards_removed": 1})
    );
    assert_eq!(did(&live.clean_up(day(8)).await), json!({}));
    assert_eq!(did(&live.clean_up(day(30).plus_s(-1)).await), json!({}));
    assert_eq!(
        did(&live.clean_up(day(30)).await),
        json!({"cooldowns_ended": 1})
    );
    let texts = live.notifications(&merchant.phone, 4).await;
    assert_eq!(texts[3], zh(&Sms::CooldownEnded));
    let (rebind, cards) = looks_at(day(30)).await;
    assert_eq!(cards["can_rebind"], true);
    assert_eq!(
        rebind["cooldown_until"],
        day(30).to_rfc3339_shanghai(),
        "the end is announced, and its time unchanged"
    );

    for at in [day(30), day(31), day(31)] {
        assert_eq!(did(&live.clean_up(at).await), json!({}));
    }
    assert_eq!(live.notifications(&merchant.phone, 4).await, texts);
    assert_eq!(
        live.notifications(&merchant.reserved_phone, 1).await.len(),
        1
    );
    // The clean-up's three events are in the history, and the chain is complete.
    let events = chain(live, &merchant).await;
    assert_eq!(
        events[events.len() - 3..],
        ["completed", "card_removed", "cooldown_ended"]
    );
}

/// Settlement settings take effect a day after the PUT. The run records them.
pub async fn settlement_settings_are_applied(live: &LocalCloud) {
    let merchant = in_year(live, 1987).await;
    let app = live.app(&merchant).await;
    let mut settings = app.get("/v1/settlement").await.ok(200);
    settings["payout_time"] = json!("21:30");
    app.put("/v1/settlement", settings.clone()).await.ok(200);
    live.notifications(&merchant.phone, 1).await;
    let due_at = merchant.now().plus_s(DAY_S);
    assert_eq!(did(&live.clean_up(due_at.plus_s(-1)).await), json!({}));
    for applied in [json!({"settlements_applied": 1}), json!({})] {
        assert_eq!(did(&live.clean_up(due_at).await), applied);
    }
    assert_eq!(
        app.kinds().await,
        ["settlement_changed", "settlement_applied"]
    );
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    assert_eq!(app.get("/v1/settlement").await.ok(200), settings);
}

/// A late clean-up does everything that is due, each once.
pub async fn late_run_catches_up(live: &LocalCloud) {
    let (changed, pending) = (in_year(live, 1993).await, in_year(live, 1993).await);
    live.app(&changed).await.activate(&live.card()).await;
    let app = live.app(&pending).await;
    let path = app.to_card_pending(&live.card()).await;
    live.handed_over(&changed).await;
    live.notifications(&changed.phone, 1).await;
    let at = changed.now().plus_s(31 * DAY_S);
    let want = json!({"cards_removed": 1, "completed": 1, "cooldowns_ended": 1, "expired": 1});
    assert_eq!(did(&live.clean_up(at).await), want);
    assert_eq!(did(&live.clean_up(at).await), json!({}));
    assert_eq!(live.notifications(&changed.phone, 2).await.len(), 2);
    pending.set_clock(at);
    let app = live.app(&pending).await;
    assert_eq!(app.get(&path).await.ok(200)["state"], "expired");
    assert!(live.notifications(&pending.phone, 0).await.is_empty());
    let rebind = live.item(&pending.pk(), "R#000001").await;
    assert!(
        !rebind.contains_key("number"),
        "the number of an unused card is deleted"
    );
}

/// Overdue rebinds expire in each of the pending states; the others stay.
pub async fn overdue_rebinds_expire(live: &LocalCloud) {
    let mut open = Vec::new();
    for steps in 0..3 {
        let merchant = in_year(live, 1996).await;
        merchant.pass_s(steps * HOUR_S);
        let app = live.app(&merchant).await;
        let path = app.request(&live.card()).await;
        if steps > 0 {
            app.identify(&path).await;
        }
        if steps > 1 {
            app.sign(&path).await;
            app.check_card(&path).await.ok(200);
        }
        open.push((merchant, path));
    }
    let begun = in_year(live, 1996).await.now();
    assert_eq!(
        did(&live.clean_up(begun.plus_s(DAY_S - 1)).await),
        json!({})
    );
    assert_eq!(
        did(&live.clean_up(begun.plus_s(DAY_S)).await),
        json!({"expired": 1})
    );
    assert_eq!(
        did(&live.clean_up(begun.plus_s(DAY_S + 3 * HOUR_S)).await),
        json!({"expired": 2})
    );
    for (merchant, path) in open {
        merchant.pass_s(DAY_S);
        let app = live.app(&merchant).await;
        let shown = app.get(&path).await.ok(200);
        assert_eq!(
            (&shown["state"], &shown["new_card"]["status"]),
            (&json!("expired"), &json!("removed"))
        );
        app.cancel(&path).await.refused(ErrorCode::RequestExpired);
        assert_eq!(chain(live, &merchant).await.last().unwrap(), "expired");
        app.request(&live.card()).await;
    }
}

/// Two concurrent runs do the work of one.
pub async fn concurrent_runs_act_once(live: &LocalCloud) {
    let merchant = in_year(live, 1999).await;
    live.app(&merchant).await.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    live.notifications(&merchant.phone, 1).await;
    let at = merchant.now().plus_s(31 * DAY_S);
    let runs = futures::future::join_all((0..4).map(|_| live.clean_up(at))).await;
    let sum = |name: &str| {
        runs.iter()
            .map(|run| run[name].as_u64().unwrap())
            .sum::<u64>()
    };
    assert_eq!(
        (
            sum("completed"),
            sum("cooldowns_ended"),
            sum("cards_removed"),
            sum("failed")
        ),
        (1, 1, 1, 0)
    );
    live.notifications(&merchant.phone, 2).await;
    let events = chain(live, &merchant).await;
    assert_eq!(
        events
            .iter()
            .filter(|kind| *kind == "cooldown_ended")
            .count(),
        1
    );
}

/// The clean-up sends an unsent notification, once.
pub async fn unsent_notification_is_resent_once(live: &LocalCloud) {
    let merchant = in_year(live, 2002).await;
    let app = live.app(&merchant).await;
    app.activate(&live.card()).await;
    let activated_at = merchant.now();
    live.handed_over(&merchant).await;
    let first = live.notifications(&merchant.phone, 1).await;
    // As after a crash between the messages and their marks: the lease is released, and no phone is marked.
    let sk = event_of(live, &merchant, "activated").await;
    let due_at = activated_at.plus_s(10 * MINUTE_S);
    let shard = Sha256::digest(merchant.id.as_bytes())[0] % 4;
    let text = |text: String| AttributeValue::S(text);
    for (name, value) in [
        ("to_on_file", text("record".to_owned())),
        ("to_reserved", text(merchant.reserved_phone.clone())),
        (
            "due_bucket",
            text(format!("{}#{shard}", due_at.yyyymm_utc())),
        ),
        ("due_at", AttributeValue::N(due_at.epoch_s().to_string())),
        ("notice", text("released".to_owned())),
        ("reminder", AttributeValue::Null(true)),
    ] {
        live.edit(&merchant.pk(), &sk, name, value).await;
    }
    assert_eq!(did(&live.clean_up(due_at.plus_s(-1)).await), json!({}));
    assert_eq!(
        did(&live.clean_up(due_at).await),
        json!({"notices_rearmed": 1})
    );
    let again = live.notifications(&merchant.phone, 2).await;
    assert_eq!(
        again[1], first[0],
        "a resent notification carries the same freeze code"
    );
    live.notifications(&merchant.reserved_phone, 2).await;
    assert_eq!(did(&live.clean_up(due_at.plus_s(HOUR_S)).await), json!({}));
    let event = live.item(&merchant.pk(), &sk).await;
    assert_eq!(event["notice"].as_s().unwrap(), "sent");
    assert!(!event.contains_key("to_on_file") && !event.contains_key("to_reserved"));
    // Only the reminder is due, after a third of the rest of the hold.
    let effective_at = activated_at.plus_s(DAY_S);
    let third_s = (effective_at.epoch_s() - due_at.epoch_s()) / 3;
    assert_eq!(
        (
            event["reminder"].as_s().unwrap().as_str(),
            event["due_at"].as_n().unwrap()
        ),
        ("first", &due_at.plus_s(third_s).epoch_s().to_string())
    );
}

/// Payouts created during a hold get their card when the hold ends. This applies to a merchant's first card and to the
/// replacement of a lost one. Payouts created later never wait.
pub async fn held_payouts_are_assigned(live: &LocalCloud) {
    let first = in_year_with(live, 2008, json!({"active_card": null})).await;
    let lost = in_year(live, 2008).await;
    let mut ends = Vec::new();
    for (merchant, reason) in [(&first, "replace"), (&lost, "lost")] {
        let app = live.app(merchant).await;
        let before = create(live, merchant, "before", merchant.now()).await;
        assert_eq!(before["held"], reason == "replace");
        let mut body = app.request_body(&live.card());
        body["reason"] = json!(reason);
        let path = rebind_path(&app.post("/v1/rebinds", body).await.ok(201));
        app.identify(&path).await;
        app.sign(&path).await;
        app.check_card(&path).await.ok(200);
        let activated = app.confirm_card(&path).await.ok(200);
        live.handed_over(merchant).await;
        let mut held = Vec::new();
        for number in 0..3 {
            let at = merchant.now().plus_s(number * HOUR_S);
            let payout = create(live, merchant, &format!("{number}"), at).await;
            assert_eq!(
                (&payout["card"], &payout["held"]),
                (&Value::Null, &json!(true))
            );
            held.push(payout);
        }
        let problem = report(live, "payout_sending", &held[0], merchant.now()).await;
        assert_eq!(problem, Err("STEP_OUT_OF_ORDER".to_owned()));
        // The core takes one back, so it gets no card.
        report(live, "payout_returned", &held[2], merchant.now())
            .await
            .unwrap();
        let effective_at = activated["effective_at"].as_str().unwrap();
        ends.push(Timestamp::parse_rfc3339(effective_at).unwrap());
        merchant.set_clock(*ends.last().unwrap());
        let at = merchant.now();
        let after = create(live, merchant, "after", at).await;
        assert_eq!(after["card"]["card_id"], activated["new_card"]["card_id"]);
    }
    let (early, late) = (ends[0], ends[1]);
    assert_eq!(late.epoch_s() - early.epoch_s(), 2 * DAY_S);
    // A third of the longer hold is over only when the shorter one ends.
    assert_eq!(
        did(&live.clean_up(early.plus_s(-1)).await),
        json!({"reminders": 1})
    );
    let mut assigned = 0;
    for at in [early, late, late] {
        let summary = live.clean_up(at).await;
        assert_eq!(summary["failed"], 0);
        assigned += summary["payouts_assigned"].as_u64().unwrap();
    }
    assert_eq!(
        assigned, 5,
        "three of the first card, two of the replacement"
    );
    for (merchant, old) in [(&first, 0), (&lost, 1)] {
        let app = live.app(merchant).await;
        let list = app.get("/v1/payouts").await.ok(200);
        let items = list["items"].as_array().unwrap();
        let active = app.get("/v1/cards").await.ok(200)["active"]["card_id"].clone();
        let reach = |item: &&Value| item["card"]["card_id"] == active && item["held"] == false;
        assert_eq!(
            (items.len(), items.iter().filter(reach).count()),
            (4, 4 - old)
        );
        for item in items {
            let sent = pay_out(live, item, merchant.now()).await;
            assert_eq!(sent.unwrap()["status"], "sent");
        }
        let events = chain(live, merchant).await;
        let count = |kind: &str| events.iter().filter(|of| *of == kind).count();
        assert_eq!(count("payout_assigned"), 3 - old);
    }
}

/// A test transfer with an unknown result is settled by the second query.
pub async fn pending_test_transfer_is_settled(live: &LocalCloud) {
    let merchant = in_year(live, 2005).await;
    let app = live.app(&merchant).await;
    let card = live
        .card_with_outcome("match_transfer_pending", &merchant.holder_name)
        .await;
    let path = app.activate(&card).await;
    live.handed_over(&merchant).await;
    let tested_at = merchant.now();
    let pending = app.test_transfer(&path).await.ok(200);
    assert_eq!(pending["status"], "pending");
    let minutes = |minutes: i64| tested_at.plus_s(minutes * MINUTE_S);
    assert_eq!(did(&live.clean_up(minutes(5).plus_s(-1)).await), json!({}));
    let summary = live.clean_up(minutes(5)).await;
    assert_eq!(
        (&summary["bank_answers"], &summary["failed"]),
        (&json!(0), &json!(0)),
        "not decided yet"
    );
    assert_eq!(
        did(&live.clean_up(minutes(10)).await),
        json!({"bank_answers": 1})
    );
    assert_eq!(did(&live.clean_up(minutes(15)).await), json!({}));
    let rebind = app.get(&path).await.ok(200);
    assert_eq!(
        (&rebind["state"], &rebind["test_succeeded_at"]),
        (
            &json!("activated"),
            &json!(minutes(10).to_rfc3339_shanghai())
        )
    );
    let again = app.test_transfer(&path).await.ok(200);
    assert_eq!(again["status"], "succeeded");
}

/// An unreadable answer of the bank is queried again and found. The merchant continues from the same state.
pub async fn lost_bank_answer_is_recovered(live: &LocalCloud) {
    let merchant = in_year(live, 2014).await;
    let app = live.app(&merchant).await;
    let card = live
        .card_with_outcome("garbage", &merchant.holder_name)
        .await;
    let path = app.to_card_pending(&card).await;
    let asked_at = merchant.now();
    app.check_card(&path)
        .await
        .refused(ErrorCode::UpstreamUnknown);
    let at = asked_at.plus_s(5 * MINUTE_S);
    let summary = live.clean_up(at).await;
    assert_eq!(
        (&summary["bank_answers"], &summary["failed"]),
        (&json!(0), &json!(0)),
        "still unreadable"
    );
    bank_answers_readably(live, &path).await;
    // It was queried just now, so the next query waits.
    assert_eq!(did(&live.clean_up(at).await), json!({}));
    let at = at.plus_s(5 * MINUTE_S);
    assert_eq!(did(&live.clean_up(at).await), json!({"bank_answers": 1}));
    assert_eq!(did(&live.clean_up(at).await), json!({}));
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["state"], &shown["challenge"]),
        (&json!("card_pending"), &Value::Null)
    );
    assert_eq!(shown["next_actions"], json!(["card_check_code", "cancel"]));
    assert!(
        live.sms(&merchant.reserved_phone).await.is_empty(),
        "no OTP is sent in the background"
    );
    merchant.set_clock(at);
    let checked = app.check_card(&path).await.ok(200);
    assert_eq!(checked["challenge"]["method"], "bank_code");
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// A deposit is queried once a day, and ends with its OTP.
pub async fn deposit_is_polled_until_it_expires(live: &LocalCloud) {
    let (kept, back) = (in_year(live, 2011).await, in_year(live, 2011).await);
    let mut paths = Vec::new();
    for merchant in [&kept, &back] {
        let card = live
            .card_with_outcome("not_enabled", &merchant.holder_name)
            .await;
        paths.push(live.app(merchant).await.to_deposit(&card).await);
    }
    let sent_at = kept.now().max(back.now());
    let day = |days: i64| sent_at.plus_s(days * DAY_S);
    assert_eq!(
        did(&live.clean_up(day(1)).await),
        json!({"bank_answers": 2})
    );
    assert_eq!(did(&live.clean_up(day(1)).await), json!({}));
    // One deposit is returned on the third day, which is within a bank's usual time.
    crate::deposit::the_bank_says(live, &paths[1], "returned").await;
    assert_eq!(
        did(&live.clean_up(day(3)).await),
        json!({"bank_answers": 2})
    );
    back.set_clock(day(3));
    let ended = live.app(&back).await.get(&paths[1]).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("MICRO_DEPOSIT_RETURNED"))
    );
    let summary = live.clean_up(day(7)).await;
    assert_eq!(
        (&summary["expired"], &summary["failed"]),
        (&json!(1), &json!(0))
    );
    assert_eq!(did(&live.clean_up(day(7)).await), json!({}));
    kept.set_clock(day(7));
    let app = live.app(&kept).await;
    let ended = app.get(&paths[0]).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("expired"), &json!("MICRO_DEPOSIT_EXPIRED"))
    );
    let confirm = format!("{}/card-check/confirm", paths[0]);
    app.post(&confirm, json!({"code": "ABCDEF"}))
        .await
        .refused(ErrorCode::MicroDepositExpired);
    app.request(&live.card()).await;
}

/// While an account is frozen nothing leaves the record and no payout gets a card: an operator decides first.
pub async fn frozen_account_is_left_alone(live: &LocalCloud) {
    let merchant = in_year(live, 2017).await;
    live.app(&merchant).await.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    live.notifications(&merchant.phone, 1).await;
    let code = live.freeze_code(&merchant.phone).await;
    merchant.pass_s(2 * DAY_S);
    assert_eq!(
        did(&live.clean_up(merchant.now()).await),
        json!({"completed": 1})
    );
    live.freeze_from("198.51.100.17", merchant.now(), &merchant.account, &code)
        .await;
    let held = create(live, &merchant, "held", merchant.now()).await;
    assert_eq!(held["held"], true);
    // The notice of the freeze, which a later run would queue again.
    live.notifications(&merchant.phone, 2).await;
    for days in [1, 7, 30, 60] {
        let at = merchant.now().plus_s(days * DAY_S);
        assert_eq!(did(&live.clean_up(at).await), json!({}), "{days}");
    }
    // The end of the cooldown is not announced either, since the freeze cancelled it.
    live.notifications(&merchant.phone, 2).await;
    let app = live.app(&merchant).await;
    let list = app.get("/v1/payouts").await.ok(200);
    assert_eq!(
        (&list["items"][0]["held"], &list["items"][0]["card"]),
        (&json!(true), &Value::Null)
    );
}

/// A switch to a standby card completes at once. The card before it is removed a week later.
pub async fn switch_completes_and_old_card_leaves(live: &LocalCloud) {
    let merchant = in_year(live, 2020).await;
    let ready = live.app(&merchant).await.standby_rebind(&live.card()).await;
    live.handed_over(&merchant).await;
    merchant.pass_s(DAY_S);
    let app = live.app(&merchant).await;
    let path = crate::standby::switch_path(&ready);
    app.post(&path, ()).await.ok(200);
    let sms = live.code(&merchant.phone).await;
    let switched_at = merchant.now();
    app.post(&path, json!({"code": sms})).await.ok(200);
    assert_eq!(
        did(&live.clean_up(switched_at.plus_s(1)).await),
        json!({"completed": 1})
    );
    live.notifications(&merchant.phone, 2).await;
    assert_eq!(
        did(&live.clean_up(switched_at.plus_s(7 * DAY_S)).await),
        json!({"cards_removed": 1})
    );
    assert_eq!(
        did(&live.clean_up(switched_at.plus_s(30 * DAY_S)).await),
        json!({"cooldowns_ended": 1})
    );
    live.notifications(&merchant.phone, 3).await;
}

/// The sandbox takes the event's time as it is. Without one, wall-clock time counts.
pub async fn event_time_is_the_clock(live: &LocalCloud) {
    let invoke = |event: Value| async move { live.system.invoke("cooldown-cleanup", &event).await };
    for event in [
        json!({}),
        json!({"time": null}),
        json!({"time": wall_clock().plus_s(6 * MINUTE_S).to_rfc3339_shanghai(), "id": "x", "detail": {}}),
    ] {
        let summary = invoke(event).await.unwrap();
        assert_eq!(summary["failed"], 0);
        assert_eq!(summary["stopped_early"], false);
    }
    for time in [json!("yesterday"), json!(1_795_312_800), json!("")] {
        assert!(invoke(json!({"time": time})).await.is_err(), "{time}");
    }
}

/// The kinds of a merchant's events, in order, after a check of the chain.
async fn chain(live: &LocalCloud, merchant: &Profile) -> Vec<String> {
    let mut events: Vec<_> = live
        .items()
        .await
        .into_iter()
        .filter(|item| {
            item["pk"].as_s() == Ok(&merchant.pk()) && item["sk"].as_s().unwrap().starts_with("E#")
        })
        .collect();
    events.sort_by_key(|item| item["sk"].as_s().unwrap().clone());
    let text = |index: usize, name: &str| {
        let item: &store::item::Item = &events[index];
        item[name].as_s().unwrap().clone()
    };
    for index in 0..events.len() {
        assert_eq!(text(index, "sk"), format!("E#{:010}", index + 1));
        let before = if index == 0 {
            "0".repeat(64)
        } else {
            text(index - 1, "hash")
        };
        assert_eq!(text(index, "prev_hash"), before);
    }
    (0..events.len()).map(|index| text(index, "kind")).collect()
}

/// The sort key of a merchant's only event of a kind.
pub async fn event_of(live: &LocalCloud, merchant: &Profile, kind: &str) -> String {
    let kinds = chain(live, merchant).await;
    let index = kinds.iter().position(|of| of == kind).unwrap();
    format!("E#{:010}", index + 1)
}
