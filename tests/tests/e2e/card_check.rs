//! What the bank says, the code to the card's phone, and the activation.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, MINUTE_S};
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::another;
use tests::transport::Transport as _;

use crate::see::without;

/// A definite refusal ends the rebind.
async fn the_bank_refuses(live: &LocalCloud, outcome: &str, code: ErrorCode) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card(outcome)).await;
    let problem = app.check_card(&path).await.refused(code);
    assert_eq!(problem["next_actions"], json!(["new_rebind"]));
    assert_eq!(problem["counts_toward_limit"], true);
    assert_eq!(
        problem.get("errors"),
        None,
        "which element did not match is never told"
    );
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!(code.as_str()))
    );
    assert_eq!(
        (&ended["next_actions"], &ended["challenge"]),
        (&json!(["new_rebind"]), &Value::Null)
    );
    app.check_card(&path)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    assert!(live.sms(&merchant.reserved_phone).await.is_empty());
    app.request(&live.card()).await;
}

/// Name, ID, card and phone do not belong together.
pub async fn mismatch_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "mismatch", ErrorCode::ElementsMismatch).await;
}

/// Reported lost.
pub async fn blocked_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "blocked", ErrorCode::CardBlocked).await;
}

/// No such card.
pub async fn invalid_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "invalid", ErrorCode::CardInvalid).await;
}

/// Not in use.
pub async fn dormant_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "dormant", ErrorCode::CardDormant).await;
}

/// Past its date.
pub async fn expired_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "expired", ErrorCode::CardExpired).await;
}

/// Restricted by its bank.
pub async fn restricted_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "restricted", ErrorCode::CardRestricted).await;
}

/// An account that cannot receive settlement.
pub async fn class_ii_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "class_ii", ErrorCode::CardClassIi).await;
}

/// A card that is listed as matching.
pub async fn matching_card_activates(live: &LocalCloud) {
    let merchant = live.merchant().await;
    live.app(&merchant)
        .await
        .activate(&live.magic_card("match"))
        .await;
}

/// Busy leaves everything as it is and counts for nothing, however often it is said.
pub async fn busy_bank_changes_nothing(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card("busy")).await;
    for _ in 0..6 {
        let problem = app.check_card(&path).await.refused(ErrorCode::UpstreamBusy);
        assert_eq!(
            (&problem["retry_after_s"], &problem["counts_toward_limit"]),
            (&json!(60), &json!(false))
        );
        assert_eq!(
            (&problem["next_actions"], &problem["retryable"]),
            (&json!(["card_check", "cancel"]), &json!(true))
        );
        merchant.pass_s(MINUTE_S);
    }
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["state"], &shown["challenge"]),
        (&json!("card_pending"), &Value::Null)
    );
    assert_eq!(shown["next_actions"], json!(["card_check", "cancel"]));
}

/// Busy at first, then a match; the same request under the same key is no replay.
pub async fn busy_once_is_retried_under_same_key(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card("busy_once")).await;
    let check = async || app.keyed("check", &format!("{path}/card-check"), ()).await;
    check().await.refused(ErrorCode::UpstreamBusy);
    merchant.pass_s(MINUTE_S);
    let matched = check().await;
    assert!(!matched.is_replayed());
    assert_eq!(matched.ok(200)["challenge"]["method"], "bank_code");
    assert!(check().await.is_replayed());
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// Too many checks upstream: tomorrow, by the bank's calendar.
pub async fn exhausted_quota_waits_until_midnight(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card("quota")).await;
    let problem = app
        .check_card(&path)
        .await
        .refused(ErrorCode::UpstreamQuota);
    let opens_at = merchant
        .now()
        .plus_s(problem["retry_after_s"].as_i64().unwrap());
    assert!(opens_at.to_rfc3339_shanghai().ends_with("T00:00:00+08:00"));
    assert_eq!(problem["counts_toward_limit"], false);
    assert_eq!(app.get(&path).await.ok(200)["state"], "card_pending");
}

/// An answer that cannot be read is no answer: asked again, never counted.
pub async fn unreadable_answer_is_unknown(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card("garbage")).await;
    for _ in 0..5 {
        let problem = app
            .check_card(&path)
            .await
            .refused(ErrorCode::UpstreamUnknown);
        assert_eq!(
            (&problem["counts_toward_limit"], &problem["retryable"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(problem["next_actions"], json!(["card_check", "cancel"]));
    }
    assert_eq!(app.get(&path).await.ok(200)["state"], "card_pending");
    assert!(live.sms(&merchant.reserved_phone).await.is_empty());
    // It can be given up all the same.
    app.cancel(&path).await.ok(200);
}

/// The bank decided, and its reply was lost on the way: asked by the serial, it says so again.
pub async fn lost_reply_is_recovered_by_query(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card("reply_lost")).await;
    let checked = app.check_card(&path).await.ok(200);
    assert_eq!(checked["challenge"]["method"], "bank_code");
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// A bank that takes a second and a half.
pub async fn slow_bank_is_awaited(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.magic_card("slow")).await;
    let started = std::time::Instant::now();
    app.check_card(&path).await.ok(200);
    assert!(started.elapsed().as_millis() >= 1_500);
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// Repeated, the same challenge: the bank is not asked, nothing is sent.
pub async fn repeat_returns_same_challenge(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    let first = app.check_card(&path).await.ok(200);
    for _ in 0..4 {
        merchant.pass_s(10);
        let again = app.check_card(&path).await.ok(200);
        let (one, other) = (&first["challenge"], &again["challenge"]);
        assert_eq!(
            without(one, &["resend_after_s"]),
            without(other, &["resend_after_s"])
        );
        assert_eq!(again["version"], first["version"]);
    }
    assert_eq!(live.codes_sent(&merchant.reserved_phone).await, 1);
    let resend = async || app.resend_card_code(&path).await;
    assert_eq!(
        resend().await.refused(ErrorCode::OtpSendLimit)["retry_after_s"],
        20
    );
    merchant.pass_s(20);
    let old = live.code(&merchant.reserved_phone).await;
    resend().await.ok(200);
    let new = live.code(&merchant.reserved_phone).await;
    if old != new {
        let confirm = format!("{path}/card-check/confirm");
        app.post(&confirm, json!({"code": old}))
            .await
            .refused(ErrorCode::OtpWrong);
    }
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// Each step in its place.
pub async fn out_of_order_steps_list_next_actions(live: &LocalCloud) {
    let (_, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let refused = async |steps: &[&str], next: Value| {
        for step in steps {
            let problem = app
                .post(&format!("{path}/{step}"), ())
                .await
                .refused(ErrorCode::StepOutOfOrder);
            assert_eq!(problem["next_actions"], next, "{step}");
        }
    };
    let card_steps = ["card-check", "card-check/code", "card-check/confirm"];
    let next = json!(["identity", "cancel"]);
    refused(&card_steps, next.clone()).await;
    refused(
        &["identity/code", "identity/confirm", "agreement"],
        next.clone(),
    )
    .await;
    app.get(&format!("{path}/agreement"))
        .await
        .refused(ErrorCode::StepOutOfOrder);
    app.identify(&path).await;
    let next = json!(["read_agreement", "sign_agreement", "cancel"]);
    refused(&card_steps, next.clone()).await;
    refused(&["identity", "identity/code", "identity/confirm"], next).await;
    app.sign(&path).await;
    let next = json!(["card_check", "cancel"]);
    refused(&["identity", "agreement", "identity/confirm"], next.clone()).await;
    refused(&["card-check/code", "card-check/confirm"], next).await;
    app.check_card(&path).await.ok(200);
    app.confirm_card(&path).await.ok(200);
    let next = json!(["test_transaction"]);
    refused(&card_steps, next.clone()).await;
    refused(
        &[
            "identity",
            "identity/code",
            "identity/confirm",
            "agreement",
            "cancel",
        ],
        next,
    )
    .await;
}

/// The identity must be of the last fifteen minutes: refreshed by a code to the phone on file, no try is used.
pub async fn stale_identity_is_refreshed(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    let identified_at = merchant.now().plus_s(-11);
    merchant.set_clock(identified_at.plus_s(14 * MINUTE_S));
    app.check_card(&path).await.ok(200);
    merchant.set_clock(identified_at.plus_s(15 * MINUTE_S + 1));
    let problem = app
        .confirm_card(&path)
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(
        (&problem["next_actions"], &problem["counts_toward_limit"]),
        (&json!(["identity_code"]), &json!(false))
    );
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["challenge"]["attempts_left"], &shown["next_actions"]),
        (&json!(5), &json!(["identity_code", "cancel"]))
    );
    let refreshing = app.resend_identity_code(&path).await.ok(200);
    assert_eq!(
        (&refreshing["state"], &refreshing["challenge"]["purpose"]),
        (&json!("card_pending"), &json!("identity"))
    );
    // A code for the card is none for the identity.
    let card_otp = live.code(&merchant.reserved_phone).await;
    if card_otp != live.code(&merchant.phone).await {
        let confirm = format!("{path}/identity/confirm");
        app.post(&confirm, json!({"code": card_otp}))
            .await
            .refused(ErrorCode::OtpWrong);
    }
    let refreshed = app.confirm_identity(&path).await;
    assert_eq!(
        (&refreshed["state"], &refreshed["challenge"]["purpose"]),
        (&json!("card_pending"), &json!("card"))
    );
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// The bank's answer must be of the last thirty minutes: else it is asked again, under a new serial, and that counts.
pub async fn stale_answer_needs_new_check(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let path = live
        .app(&merchant)
        .await
        .to_card_pending(&live.card())
        .await;
    let ask = async || {
        let app = live.app(&merchant).await;
        app.check_card(&path).await
    };
    for _ in 0..2 {
        ask().await.ok(200);
        merchant.pass_s(30 * MINUTE_S + 1);
    }
    // Everything else is fresh: a code to both phones, just now.
    let app = live.app(&merchant).await;
    app.resend_identity_code(&path).await.ok(200);
    app.confirm_identity(&path).await;
    assert_eq!(
        app.get(&path).await.ok(200)["next_actions"],
        json!(["card_check", "cancel"])
    );
    let problem = app
        .confirm_card(&path)
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(
        problem["next_actions"],
        json!(["card_check", "identity_code"])
    );
    app.resend_card_code(&path)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    ask().await.ok(200);
    // Three calls for this card today.
    merchant.pass_s(30 * MINUTE_S + 1);
    let problem = ask().await.refused(ErrorCode::CardCheckLimit);
    assert_eq!(problem["retry_after_s"], DAY_S - 3 * (30 * MINUTE_S + 1));
    assert_eq!(
        (&problem["next_actions"], &problem["counts_toward_limit"]),
        (&json!(["wait", "cancel"]), &json!(false))
    );
    assert_eq!(live.codes_sent(&merchant.reserved_phone).await, 3);
}

/// Three calls for a card, five for a merchant.
pub async fn daily_check_limits_apply(live: &LocalCloud) {
    let mut merchant = live.merchant().await;
    let mut answers = Vec::new();
    for phone in ["+8613699990001", "+8613699990002"] {
        merchant.reserved_phone = phone.to_owned();
        let app = live.app(&merchant).await;
        let path = app.to_card_pending(&live.card()).await;
        for _ in 0..4 {
            let app = live.app(&merchant).await;
            let reply = app.check_card(&path).await;
            answers.push(reply.status);
            if reply.status != 200 {
                reply.refused(ErrorCode::CardCheckLimit);
                app.cancel(&path).await.ok(200);
                break;
            }
            merchant.pass_s(30 * MINUTE_S + 1);
        }
    }
    assert_eq!(answers, [200, 200, 200, 429, 200, 200, 429]);
}

/// Five tries for the card's code too; a wrong one at the end tells the phone on file, not the reserved one.
pub async fn fifth_wrong_card_otp_rejects(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    app.check_card(&path).await.ok(200);
    let code = live.code(&merchant.reserved_phone).await;
    let confirm = async |typed: &str| app.try_card_code(&path, typed).await;
    // What was sent for the identity is no code for the card, even where the digits are right.
    for left in [4, 3, 2, 1] {
        let problem = confirm(&another(&code)).await.refused(ErrorCode::OtpWrong);
        assert_eq!(problem["attempts_left"], left);
        assert_eq!(
            problem["next_actions"],
            json!(["card_check_confirm", "card_check_code", "cancel"])
        );
    }
    confirm(&another(&code))
        .await
        .refused(ErrorCode::OtpTooMany);
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("OTP_TOO_MANY"))
    );
    confirm(&code).await.refused(ErrorCode::StepOutOfOrder);
    live.notices(&merchant.phone, 1).await;
    assert_eq!(live.sms(&merchant.reserved_phone).await.len(), 1);
}

/// A code that is too old costs no try.
pub async fn expired_card_otp_uses_no_attempt(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    app.check_card(&path).await.ok(200);
    merchant.pass_s(5 * MINUTE_S);
    let problem = app.confirm_card(&path).await.refused(ErrorCode::OtpExpired);
    assert_eq!(
        (&problem["next_actions"], &problem["attempts_left"]),
        (&json!(["card_check_code"]), &json!(5))
    );
    // The bank's answer still stands: only the code is new.
    let again = app.check_card(&path).await.ok(200);
    assert_eq!(again["challenge"]["attempts_left"], 5);
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// Verified for another person: told at the card check, after the bank matched; a pending rebind reserves nothing.
pub async fn foreign_card_is_refused_after_match(live: &LocalCloud) {
    let card = live.card();
    let (first, second) = (live.merchant().await, live.merchant().await);
    let (one, two) = (live.app(&first).await, live.app(&second).await);
    let ours = one.to_card_pending(&card).await;
    let theirs = two.to_card_pending(&card).await;
    one.check_card(&ours).await.ok(200);
    two.check_card(&theirs).await.ok(200);
    // Both were told that they may; the first one to confirm has it.
    assert_eq!(one.confirm_card(&ours).await.ok(200)["state"], "activated");
    let problem = two
        .confirm_card(&theirs)
        .await
        .refused(ErrorCode::CardBoundElsewhere);
    assert_eq!(problem["next_actions"], json!(["new_rebind"]));
    let ended = two.get(&theirs).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("CARD_BOUND_ELSEWHERE"))
    );

    // Asked for afterwards: no earlier than at the check, and only once the bank has matched.
    second.pass_s(MINUTE_S);
    let theirs = two.to_card_pending(&card).await;
    two.check_card(&theirs)
        .await
        .refused(ErrorCode::CardBoundElsewhere);
    assert_eq!(
        two.get(&theirs).await.ok(200)["ended_reason"],
        "CARD_BOUND_ELSEWHERE"
    );
    assert_eq!(live.codes_sent(&second.reserved_phone).await, 1);
}

/// The same person may have it in two shops; a card that somebody came with counts as verified.
pub async fn same_person_may_bind_card_twice(live: &LocalCloud) {
    let first = live.merchant().await;
    let card = live.card();
    live.app(&first).await.activate(&card).await;
    let id_document = json!({"number": first.document_number, "expires_on": "long_term"});
    let shop = live
        .merchant_with(json!({"id_document": id_document}))
        .await;
    live.app(&shop).await.activate(&card).await;

    let stranger = live.merchant().await;
    let app = live.app(&stranger).await;
    let path = app
        .to_card_pending(shop.active_card.as_ref().unwrap())
        .await;
    app.check_card(&path)
        .await
        .refused(ErrorCode::CardBoundElsewhere);
}

/// Three checks at the same moment are one question to the bank and one code.
pub async fn concurrent_checks_send_one_otp(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    let replies = futures::future::join_all((0..3).map(|_| app.check_card(&path))).await;
    let shown = app.get(&path).await.ok(200);
    for reply in replies {
        assert_eq!(reply.ok(200)["challenge"], shown["challenge"]);
    }
    assert_eq!(live.codes_sent(&merchant.reserved_phone).await, 1);
    let calls = live.state(&merchant.pk(), "Y").await["bank"].clone();
    assert_eq!(calls.as_array().unwrap().len(), 1, "counted once");
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// Confirmed on one device and given up on another, at the same moment: one of the two has happened.
pub async fn confirm_and_cancel_exclude_each_other(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    app.check_card(&path).await.ok(200);
    let other = live.app_on(&merchant, "another device").await;
    let cancel = format!("{path}/cancel");
    let (confirmed, cancelled) =
        futures::future::join(app.confirm_card(&path), other.post(&cancel, ())).await;
    let (kept, refused, state) = if confirmed.status == 200 {
        (confirmed, cancelled, "activated")
    } else {
        (cancelled, confirmed, "cancelled")
    };
    assert_eq!(kept.ok(200)["state"], state);
    refused.refused(ErrorCode::StepOutOfOrder);
    assert_eq!(app.get(&path).await.ok(200)["state"], state);
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["hold"].is_null(), state == "cancelled");
}

/// The same right code from two places at once: one activation, one event, one notice.
pub async fn concurrent_confirms_activate_once(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    app.check_card(&path).await.ok(200);
    let replies = futures::future::join_all((0..4).map(|_| app.confirm_card(&path))).await;
    let activated = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(activated, 1, "{:?}", statuses(&replies));
    live.notices(&merchant.phone, 1).await;
    live.notices(&merchant.reserved_phone, 1).await;
    let kinds = events(&app).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "activated").count(), 1);
}

fn statuses(replies: &[tests::transport::Reply]) -> Vec<(u16, &Value)> {
    replies
        .iter()
        .map(|reply| (reply.status, &reply.body["code"]))
        .collect()
}

/// The kinds of a merchant's events, as they lie in the table.
async fn events(app: &App<'_>) -> Vec<String> {
    let items = app.system.items().await;
    let mine = items
        .into_iter()
        .filter(|item| item["pk"].as_s() == Ok(&app.profile.pk()));
    mine.filter_map(|item| Some(item.get("kind")?.as_s().unwrap().clone()))
        .collect()
}
