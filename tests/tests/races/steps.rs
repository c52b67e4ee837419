//! Many concurrent requests for the same step.

use super::{Ask, CONFLICT, Made, NAME, Race, count, each, only, post, tally};
use domain::policy::Policy;
use serde_json::{Value, json};
use std::time::Duration;
use tests::in_process::App;
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, wrong_otp};

const POLICY: &Policy = &Policy::CURRENT;

#[tokio::test(start_paused = true)]
async fn parallel_requests_make_one_rebind() {
    each("create", async |race, seed, devices| {
        let apps = race.devices(devices).await;
        let mut asks = vec![post("/v1/rebinds", apps[0].request_body(GOOD_CARD))];
        // Every second request shares one key.
        asks.push(Ask {
            key: Some("the same".to_owned()),
            ..asks[0].clone()
        });
        let made = race.run(seed, &apps, &asks).await;
        only(&made, &["201", "200", "REQUEST_IN_PROGRESS", CONFLICT]);
        let ids: Vec<&Value> = made
            .iter()
            .filter(|one| one.is_done())
            .map(|one| &one.answer.body["rebind_id"])
            .collect();
        assert!(!ids.is_empty(), "{:?}", tally(&made));
        assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        let replayed = |one: &&Made| one.answer.is_replayed();
        let granted = made.iter().filter(|one| one.is_done());
        assert_eq!(granted.filter(|one| !replayed(one)).count(), 1);
        let path = format!("/v1/rebinds/{}", ids[0].as_str().unwrap());
        let history = race.is_one_order(&made, &path).await;
        assert_eq!(count(&history, "rebind_requested"), 1);
        let counts = race.world.stored(NAME).await.state.device_counts;
        let rebinds = counts.all().map(|counts| counts.rebinds.times().count());
        assert_eq!(rebinds.sum::<usize>(), 1);
        made.len()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_identity_sends_one_otp() {
    each("identity", async |race, seed, devices| {
        let apps = race.devices(devices).await;
        let path = apps[0].request(GOOD_CARD).await;
        let asks = [post(format!("{path}/identity"), apps[0].document())];
        let made = race.run(seed, &apps, &asks).await;
        only(&made, &["200", CONFLICT]);
        let history = race.is_one_order(&made, &path).await;
        assert_eq!(count(&history, "identity_matched"), 1);
        assert_eq!(race.world.sms.to(&apps[0].profile.phone).len(), 1);
        made.len()
    })
    .await;
}

/// Replies that consumed an attempt.
fn counted(made: &[Made]) -> usize {
    let counted = made
        .iter()
        .filter(|one| one.answer.body["counts_toward_limit"] == true);
    counted.count()
}

/// Many clients submit OTPs at once, one in `dilution` of them right. At most five attempts are reserved by wrong ones. A
/// right OTP with a reserved attempt wins, and then no client receives an exhausted-attempts error.
async fn guesses(race: &Race, seed: u64, apps: &[App], path: &str, right: &str) -> Vec<Made> {
    let dilution = [2, 6, 40][usize::try_from(seed % 3).unwrap()];
    let mut asks = vec![post(path, json!({"code": wrong_otp(right)})); dilution - 1];
    asks.push(post(path, json!({"code": right})));
    let made = race.run(seed, apps, &asks).await;
    // A replay would repeat a reply that was already counted. Each client has its own keys, so none occurs here.
    assert!(
        counted(&made) <= usize::from(POLICY.code_attempts),
        "{:?}",
        tally(&made)
    );
    made
}

#[tokio::test(start_paused = true)]
async fn parallel_identity_guesses_are_five() {
    each(
        "identity/confirm, right and wrong codes",
        async |race, seed, devices| {
            let apps = race.devices(devices).await;
            let path = apps[0].request(GOOD_CARD).await;
            apps[0]
                .post(&format!("{path}/identity"), apps[0].document())
                .await;
            let right = race.world.sms.code(&apps[0].profile.phone);
            let confirm = format!("{path}/identity/confirm");
            let made = guesses(race, seed, &apps, &confirm, &right).await;
            // The other device would have another OTP.
            let known = [
                "200",
                "OTP_WRONG",
                "OTP_TOO_MANY",
                "STEP_OUT_OF_ORDER",
                "STEP_UP_REQUIRED",
                CONFLICT,
            ];
            only(&made, &known);
            let history = race.is_one_order(&made, &path).await;
            let won = made.iter().any(Made::is_done);
            assert_eq!(count(&history, "identity_confirmed"), usize::from(won));
            assert!(!won || count(&history, "rejected") == 0);
            made.len()
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn concurrent_signatures_sign_once() {
    each("sign", async |race, seed, devices| {
        let apps = race.devices(devices).await;
        let path = apps[0].request(GOOD_CARD).await;
        apps[0].identify(&path).await;
        let signature = apps[0].signature(&path).await;
        let asks = [post(format!("{path}/agreement"), signature)];
        let made = race.run(seed, &apps, &asks).await;
        only(&made, &["200", "STEP_OUT_OF_ORDER", CONFLICT]);
        let history = race.is_one_order(&made, &path).await;
        assert_eq!(count(&history, "agreement_signed"), 1);
        assert_eq!(made.iter().filter(|one| one.is_done()).count(), 1);
        made.len()
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn parallel_checks_send_one_code() {
    each("card-check", async |race, seed, devices| {
        let apps = race.devices(devices).await;
        let path = apps[0].to_card_pending(GOOD_CARD).await;
        race.world
            .bank
            .set_answer_delay(Duration::from_millis(seed * 20));
        let asks = [post(format!("{path}/card-check"), Value::Null)];
        let made = race.run(seed, &apps, &asks).await;
        only(&made, &["200", CONFLICT]);
        let history = race.is_one_order(&made, &path).await;
        assert_eq!(count(&history, "card_check_answered"), 1);
        let mut serials = race.world.bank.serials();
        serials.dedup();
        assert_eq!(serials.len(), 1, "{serials:?}");
        assert_eq!(race.world.stored(NAME).await.state.bank_calls.len(), 1);
        assert_eq!(race.world.sms.to(RESERVED_PHONE).len(), 1);
        made.len()
    })
    .await;
}

/// Devices of which the first has reached the card OTP; with the path and the OTP.
async fn to_code(race: &Race, devices: usize) -> (Vec<App>, String, String) {
    let apps = race.devices(devices).await;
    let path = apps[0].to_card_pending(GOOD_CARD).await;
    apps[0].check_card(&path).await.ok(200);
    let code = race.world.sms.code(RESERVED_PHONE);
    (apps, path, code)
}

#[tokio::test(start_paused = true)]
async fn parallel_card_codes_activate_once() {
    each(
        "card-check/confirm, right and wrong codes",
        async |race, seed, devices| {
            let (apps, path, right) = to_code(race, devices).await;
            let confirm = format!("{path}/card-check/confirm");
            let made = guesses(race, seed, &apps, &confirm, &right).await;
            let known = [
                "200",
                "OTP_WRONG",
                "OTP_TOO_MANY",
                "STEP_OUT_OF_ORDER",
                "STEP_UP_REQUIRED",
                CONFLICT,
            ];
            only(&made, &known);
            let history = race.is_one_order(&made, &path).await;
            let won = made.iter().any(Made::is_done);
            assert_eq!(count(&history, "activated"), usize::from(won));
            assert!(!won || count(&history, "rejected") == 0);
            made.len()
        },
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn activation_races_a_cancellation() {
    each("confirm against cancel", async |race, seed, devices| {
        let (apps, path, right) = to_code(race, devices).await;
        let asks = [
            post(format!("{path}/card-check/confirm"), json!({"code": right})),
            post(format!("{path}/cancel"), Value::Null),
        ];
        let made = race.run(seed, &apps, &asks).await;
        only(
            &made,
            &["200", "STEP_OUT_OF_ORDER", "STEP_UP_REQUIRED", CONFLICT],
        );
        let history = race.is_one_order(&made, &path).await;
        let ends = [count(&history, "activated"), count(&history, "cancelled")];
        assert!(ends == [1, 0] || ends == [0, 1], "{ends:?}");
        let done: Vec<&str> = made
            .iter()
            .filter(|one| one.is_done())
            .map(|one| one.answer.state())
            .collect();
        assert_eq!(done, [["activated", "cancelled"][ends[1]]]);
        made.len()
    })
    .await;
}
