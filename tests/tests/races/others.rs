//! Races between different steps, and between steps and background work.

use super::{Ask, CONFLICT, CONFLICTS_PERCENT, NAME, Race, count, each, only, post, tally};
use domain::policy::Policy;
use domain::transfer::TransferAnswer;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::in_process::App;
use tests::invariants::violations;
use tests::merchant::{DEVICE, GOOD_CARD, RESERVED_PHONE, SECOND_CARD, merchant};

const POLICY: &Policy = &Policy::CURRENT;

/// A merchant with a standby card that is ready for a switch, as the first of the given devices; and the card's path.
async fn with_standby(race: &Race, devices: usize) -> (Vec<App>, String) {
    let apps = race.devices(1).await;
    let card = apps[0].standby(GOOD_CARD).await;
    race.world.deliver_due().await;
    race.world.pass_s(POLICY.standby_wait_s);
    (race.devices(devices).await, card)
}

#[tokio::test(start_paused = true)]
async fn freeze_races_a_confirmation() {
    each("confirm against freeze", async |race, seed, devices| {
        let apps = race.devices(1).await;
        let old = race
            .world
            .stored(NAME)
            .await
            .state
            .active
            .unwrap()
            .card
            .card_id;
        apps[0].standby(GOOD_CARD).await;
        let freeze_code = apps[0].freeze_code().await;
        race.world.pass_s(POLICY.code_gap_s + 1);
        let apps = race.devices(devices).await;
        let path = apps[0].to_card_pending(SECOND_CARD).await;
        apps[0].check_card(&path).await;
        let code = race.world.sms.code(RESERVED_PHONE);
        let confirm = post(format!("{path}/card-check/confirm"), json!({"code": code}));
        let freeze = post(
            "/v1/freezes",
            json!({"account": apps[0].profile.account, "freeze_code": freeze_code}),
        );
        // Few clients know the freeze code.
        let mut asks = vec![confirm; 12];
        asks.push(freeze);
        let made = race.run(seed, &apps, &asks).await;
        let known = [
            "200",
            "202",
            "STEP_OUT_OF_ORDER",
            "STEP_UP_REQUIRED",
            "SESSION_EXPIRED",
            "ACCOUNT_FROZEN",
            CONFLICT,
        ];
        only(&made, &known);
        let history = race.is_one_order(&made, &path).await;
        assert_eq!(count(&history, "frozen"), 1);
        let activated = history
            .iter()
            .position(|event| event.kind().as_str() == "activated");
        let frozen = history
            .iter()
            .position(|event| event.kind().as_str() == "frozen");
        assert!(
            activated.is_none() || activated < frozen,
            "activated while frozen"
        );
        let seen = made
            .iter()
            .filter(|one| one.answer.state() == "activated")
            .count();
        assert!(
            seen <= usize::from(activated.is_some()),
            "{:?}",
            tally(&made)
        );
        let state = race.world.stored(NAME).await.state;
        assert_eq!(state.active.unwrap().card.card_id, old, "the old card");
        assert!(state.standby.is_empty() && state.open.is_none());
        made.len()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn standby_is_switched_or_unbound() {
    each("activate against unbind", async |race, seed, devices| {
        let (apps, card) = with_standby(race, devices).await;
        let code = apps[0].switch_code(&card).await;
        let asks = [
            post(format!("{card}/activate"), code),
            post(format!("{card}/unbind"), Value::Null),
        ];
        let made = race.run(seed, &apps, &asks).await;
        let known = [
            "200",
            "204",
            "STEP_OUT_OF_ORDER",
            "STEP_UP_REQUIRED",
            "NOT_FOUND",
            "LAST_CARD_CANNOT_UNBIND",
            CONFLICT,
        ];
        only(&made, &known);
        let rebind = race.world.stored(NAME).await.rebind.unwrap().rebind_id;
        let path = format!("/v1/rebinds/{}", rebind.as_str());
        let history = race.is_one_order(&made, &path).await;
        let ends = [
            count(&history, "activated"),
            count(&history, "card_unbound"),
        ];
        assert!(ends == [1, 0] || ends == [0, 1], "{ends:?}");
        assert_eq!(made.iter().filter(|one| one.is_done()).count(), 1);
        made.len()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn cleanup_races_every_step() {
    each("clean-up against everything", async |race, seed, devices| {
        let apps = race.devices(1).await;
        let body = json!({"reason": "lost"});
        let path = apps[0].activate_with(GOOD_CARD, body).await;
        race.world.deliver_due().await;
        let payout = |operation: &str, id: usize| {
            let mut asked = json!({"operation": operation, "merchant_id": "mer_plain_1", "payout_id": format!("pay_{id}")});
            if operation == "create_payout" {
                asked["amount_fen"] = json!(100);
            }
            asked
        };
        for id in 0..10 {
            race.world.core(payout("create_payout", id)).await.unwrap();
        }
        race.world.bank.next_transfer(TransferAnswer::Pending);
        apps[0].test_transfer(&path).await;
        let serial = race.world.bank.transfers()[0].serial.clone();
        race.world.bank.settle(&serial, TransferAnswer::Succeeded);
        race.world.pass_s(POLICY.cooldown_s);
        let apps = race.devices(devices).await;
        let settings = apps[0].get("/v1/settlement").await.body;
        let put = |minute: u64| {
            let mut body = settings.clone();
            body["payout_time"] = json!(format!("10:{minute:02}"));
            Ask { method: "PUT", path: "/v1/settlement".to_owned(), body, key: None }
        };
        let get = |path: &str| Ask { method: "GET", path: path.to_owned(), body: Value::Null, key: None };
        let mut asks = vec![
            post(format!("{path}/test-transaction"), Value::Null),
            put(1),
            put(2),
            get("/v1/cards"),
            get("/v1/payouts"),
            get(&path),
        ];
        asks.push(post("/v1/rebinds", apps[0].request_body(SECOND_CARD)));
        let clean_ups = futures::future::join_all((0..12).map(|_| race.world.clean_up()));
        let core = futures::future::join_all((0..20).map(|id| {
            let operation = if id < 10 { "payout_returned" } else { "create_payout" };
            race.world.core(payout(operation, id))
        }));
        let (made, runs, core) = futures::join!(race.run(seed, &apps, &asks), clean_ups, core);
        let known = ["200", "201", "REQUEST_IN_PROGRESS", "DAILY_REQUEST_LIMIT", CONFLICT];
        only(&made, &known);
        let busy = |refusal: &payouts::Refusal| refusal.code.as_str() == CONFLICT;
        assert!(core.iter().all(|done| done.as_ref().err().is_none_or(busy)), "{core:?}");
        // The next request completes the work that they left unfinished.
        race.world.clean_up().await;
        let history = race.is_one_order(&made, &path).await;
        for kind in ["completed", "cooldown_ended", "card_removed", "test_transfer_succeeded"] {
            assert_eq!(count(&history, kind), 1, "{kind}");
        }
        let failed: u32 = runs.iter().map(|run| run.failed).sum();
        assert_eq!(failed, 0);
        assert_eq!(race.world.stored(NAME).await.state.held_payouts, 0);
        assert!(race.world.stored(NAME).await.state.setting_changes.times().count() <= POLICY.setting_changes_per_day);
        made.len() + runs.len() + core.len()
    })
    .await;
}

/// Each delivery has its own record, as when the clean-up queues a notification again. One record is never delivered twice at
/// once, because a shard waits for its batch.
#[tokio::test(start_paused = true)]
async fn parallel_deliveries_send_one_notification() {
    const TIMES: usize = 200;
    each(
        "a notification delivered many times at once",
        async |race, seed, _| {
            let world = &race.world;
            let apps = race.devices(1).await;
            let target = json!({"platform": "apns", "token": "t"});
            apps[0].put("/v1/push-targets/phone", target).await.ok(204);
            world.deliver_due().await;
            apps[0].activate(GOOD_CARD).await;
            let phones = [apps[0].profile.phone.as_str(), RESERVED_PHONE];
            let before = phones.map(|phone| world.sms.to(phone).len());
            let pushed = world.push.all().len();
            let batch = world.due_notifications().await;
            assert_eq!(batch["Records"].as_array().unwrap().len(), 1);
            world.boundary.disturb(seed, CONFLICTS_PERCENT);
            let brought = (0..TIMES).map(|number| {
                let mut batch = batch.clone();
                batch["Records"][0]["eventID"] = json!(format!("record-{number}"));
                world.deliver(batch, world.now())
            });
            futures::future::join_all(brought).await;
            world.boundary.disturb(seed, 0);
            // If all deliveries met a conflict, the notification is queued again.
            world.pass_s(POLICY.notification_retry_s + 1);
            world.clean_up().await;
            world.deliver_due().await;
            let now = phones.map(|phone| world.sms.to(phone).len());
            assert_eq!(now, before.map(|count| count + 1));
            assert_eq!(world.push.all().len(), pushed + 1);
            assert_eq!(world.count(NAME, "change_notified").await, 1);
            assert!(violations(&race.table.items(), world.now()).is_empty());
            TIMES
        },
    )
    .await;
}

/// More new devices than there are slots: one session for each, and none takes the slot of a device that the owner has used
/// for long.
#[tokio::test(start_paused = true)]
async fn parallel_logins_open_five_sessions() {
    const DEVICES: usize = 7;
    each("login", async |race, seed, devices| {
        let apps = race.devices(devices).await;
        race.world.boundary.disturb(seed, CONFLICTS_PERCENT);
        let merchant = &merchant(NAME);
        let logins = (0..25).map(|login| async move {
            let device = match login % DEVICES {
                0 => DEVICE.to_owned(),
                number => format!("new-device-{number}"),
            };
            let body = merchant.credentials(&device);
            (
                device,
                race.world
                    .send(race.world.event("POST", "/v1/sessions", &[], &body))
                    .await,
            )
        });
        let answers = futures::future::join_all(logins).await;
        race.world.boundary.disturb(seed, 0);
        for (_, answer) in &answers {
            let known =
                answer.status == 201 || ["AUTH_THROTTLED", CONFLICT].contains(&answer.code());
            assert!(known, "{:?}", answer.body);
        }
        let opened = answers.iter().filter(|(_, answer)| answer.status == 201);
        let mut alive: BTreeMap<&str, usize> = BTreeMap::new();
        for (device, answer) in opened.clone() {
            let bearer = format!("Bearer {}", answer.body["token"].as_str().unwrap());
            let event = race.world.event(
                "GET",
                "/v1/cards",
                &[("authorization", &bearer)],
                &Value::Null,
            );
            if race.world.send(event).await.status == 200 {
                *alive.entry(device).or_default() += 1;
            }
        }
        let begun: BTreeSet<&str> = opened.map(|(device, _)| device.as_str()).collect();
        assert!(begun.contains(DEVICE), "{begun:?}");
        // The owner's second device does not log in again.
        for app in &apps[1..] {
            app.get("/v1/cards").await.ok(200);
        }
        let free = usize::from(POLICY.sessions_max) - (devices - 1);
        assert_eq!(alive.len(), free.min(begun.len()), "{alive:?}");
        assert!(alive.contains_key(DEVICE), "{alive:?}");
        assert!(alive.values().all(|sessions| *sessions == 1), "{alive:?}");
        assert!(violations(&race.table.items(), race.world.now()).is_empty());
        answers.len()
    })
    .await;
}
