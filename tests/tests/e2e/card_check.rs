//! The bank's answer, the OTP to the card's phone, and the activation.

use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, MINUTE_S};
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::{luhn, wrong_otp};
use tests::transport::Transport as _;

use crate::see::without;

/// A definite refusal ends the rebind.
async fn the_bank_refuses(live: &LocalCloud, outcome: &str, code: ErrorCode) {
    the_card_is_refused(live, &live.magic_card(outcome), code).await;
}

async fn the_card_is_refused(live: &LocalCloud, card: &str, code: ErrorCode) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(card).await;
    let problem = app.check_card(&path).await.refused(code);
    assert_eq!(
        problem["next_actions"],
        json!(["new_rebind", "contact_support"])
    );
    assert_eq!(problem["counts_toward_limit"], true);
    assert_eq!(
        problem.get("errors"),
        None,
        "the reply does not reveal the element that failed"
    );
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!(code.as_str()))
    );
    assert_eq!(
        (&ended["next_actions"], &ended["challenge"]),
        (&json!(["new_rebind", "contact_support"]), &Value::Null)
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

/// The card does not exist.
pub async fn invalid_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "invalid", ErrorCode::CardInvalid).await;
}

/// The card is not in use.
pub async fn dormant_card_rejects(live: &LocalCloud) {
    the_bank_refuses(live, "dormant", ErrorCode::CardDormant).await;
}

/// The card has expired.
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

/// A credit card with a prefix that the table lacks: the elements match, and the bank states the type.
pub async fn credit_card_by_the_bank_rejects(live: &LocalCloud) {
    let card = live.card_of_type("credit");
    the_card_is_refused(live, &card, ErrorCode::CardTypeCredit).await;
}

/// A debit card with such a prefix activates, and the card shows the bank's type.
pub async fn debit_card_by_the_bank_activates(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let app = live.app(&merchant).await;
    let path = app.activate(&live.card_of_type("debit")).await;
    assert_eq!(app.get(&path).await.ok(200)["new_card"]["type"], "debit");
}

/// The bank cannot check a card with such a prefix, so nobody knows that it is a debit card.
pub async fn card_of_unknown_type_gets_no_deposit(live: &LocalCloud) {
    let card = luhn("99999900000001");
    for outcome in ["issuer_unsupported", "not_enabled"] {
        live.seed_card(&card, outcome, "anyone").await;
        the_card_is_refused(live, &card, ErrorCode::CardTypeUnknown).await;
    }
}

/// A card that the sandbox lists as matching.
pub async fn matching_card_activates(live: &LocalCloud) {
    let merchant = live.merchant().await;
    live.app(&merchant)
        .await
        .activate(&live.magic_card("match"))
        .await;
}

/// A busy bank changes nothing and never counts toward a limit.
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

/// The bank is busy first, then matches. The second request under the same key is not a replay.
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

/// After the upstream quota is used up, the next check is possible tomorrow, by the bank's calendar.
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

/// An unreadable answer counts as no answer: the bank is asked again, and nothing is counted.
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
    // The rebind can still be cancelled.
    app.cancel(&path).await.ok(200);
}

/// The bank decided, but its reply was lost. A query by bank reference returns the same decision.
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

/// A repetition returns the same challenge without a bank call or an SMS.
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

/// Each step is accepted only in its own state.
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

/// The identity must be at most fifteen minutes old. An OTP to the phone on file refreshes it, and no attempt is used.
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
    // A card OTP does not confirm the identity.
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

/// The bank's answer must be at most thirty minutes old. After that a new check under a new bank reference is needed, which
/// counts.
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
    // Everything else is fresh: both phones have just received an OTP.
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
    // Three bank calls for this card today.
    merchant.pass_s(30 * MINUTE_S + 1);
    let problem = ask().await.refused(ErrorCode::CardCheckLimit);
    assert_eq!(problem["retry_after_s"], DAY_S - 3 * (30 * MINUTE_S + 1));
    assert_eq!(
        (&problem["next_actions"], &problem["counts_toward_limit"]),
        (&json!(["wait", "cancel"]), &json!(false))
    );
    assert_eq!(live.codes_sent(&merchant.reserved_phone).await, 3);
}

/// Limits: three bank calls per card, five per merchant.
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

/// The card OTP also allows five attempts. The rejection notifies the phone on file, not the reserved phone.
pub async fn fifth_wrong_card_otp_rejects(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    app.check_card(&path).await.ok(200);
    let code = live.code(&merchant.reserved_phone).await;
    let confirm = async |typed: &str| app.try_card_code(&path, typed).await;
    // An identity OTP does not pass as a card OTP, even with the right digits.
    for left in [4, 3, 2, 1] {
        let problem = confirm(wrong_otp(&code)).await.refused(ErrorCode::OtpWrong);
        assert_eq!(problem["attempts_left"], left);
        assert_eq!(
            problem["next_actions"],
            json!(["card_check_confirm", "card_check_code", "cancel"])
        );
    }
    confirm(wrong_otp(&code))
        .await
        .refused(ErrorCode::OtpTooMany);
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("OTP_TOO_MANY"))
    );
    confirm(&code).await.refused(ErrorCode::StepOutOfOrder);
    live.notifications(&merchant.phone, 1).await;
    assert_eq!(live.sms(&merchant.reserved_phone).await.len(), 1);
}

/// An expired OTP uses no attempt.
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
    // The bank's answer is still valid; only the OTP is new.
    let again = app.check_card(&path).await.ok(200);
    assert_eq!(again["challenge"]["attempts_left"], 5);
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// A card that is verified for another person is refused at the card check, after the bank matched. A pending rebind reserves
/// nothing.
pub async fn foreign_card_is_refused_after_match(live: &LocalCloud) {
    let card = live.card();
    let (first, second) = (live.merchant().await, live.merchant().await);
    let (one, two) = (live.app(&first).await, live.app(&second).await);
    let ours = one.to_card_pending(&card).await;
    let theirs = two.to_card_pending(&card).await;
    one.check_card(&ours).await.ok(200);
    two.check_card(&theirs).await.ok(200);
    // Both rebinds passed the check; the first to confirm gets the card.
    assert_eq!(one.confirm_card(&ours).await.ok(200)["state"], "activated");
    let problem = two
        .confirm_card(&theirs)
        .await
        .refused(ErrorCode::CardBoundElsewhere);
    assert_eq!(
        problem["next_actions"],
        json!(["new_rebind", "contact_support"])
    );
    let ended = two.get(&theirs).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("CARD_BOUND_ELSEWHERE"))
    );

    // A later rebind learns of the conflict at the check, and only once the bank has matched.
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

/// The same person may use the card at two merchants. A card that the merchant was onboarded with counts as verified.
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

/// Three concurrent checks make one bank call and send one OTP.
pub async fn concurrent_checks_send_one_otp(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    let replies = futures::future::join_all((0..3).map(|_| app.check_card(&path))).await;
    let shown = app.get(&path).await.ok(200);
    for reply in replies {
        assert_eq!(reply.ok(200)["challenge"], shown["challenge"]);
    }
    assert_eq!(live.codes_sent(&merchant.reserved_phone).await, 1);
    let calls = live.state(&merchant.pk(), "Y").await["bk"].clone();
    assert_eq!(calls.as_array().unwrap().len(), 1, "counted once");
    assert_eq!(app.confirm_card(&path).await.ok(200)["state"], "activated");
}

/// A confirmation on one device meets a cancellation on another: exactly one of the two happens.
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

/// The same right OTP from two places at once: one activation, one event, one notification.
pub async fn concurrent_confirms_activate_once(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(&live.card()).await;
    app.check_card(&path).await.ok(200);
    let replies = futures::future::join_all((0..4).map(|_| app.confirm_card(&path))).await;
    let activated = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(activated, 1, "{:?}", statuses(&replies));
    live.notifications(&merchant.phone, 1).await;
    live.notifications(&merchant.reserved_phone, 1).await;
    let kinds = events(&app).await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "activated").count(), 1);
}

fn statuses(replies: &[tests::transport::Reply]) -> Vec<(u16, &Value)> {
    replies
        .iter()
        .map(|reply| (reply.status, &reply.body["code"]))
        .collect()
}

/// The kinds of a merchant's events, as stored in the table.
async fn events(app: &App<'_>) -> Vec<String> {
    let items = app.system.items().await;
    let mine = items
        .into_iter()
        .filter(|item| item["pk"].as_s() == Ok(&app.profile.pk()));
    mine.filter_map(|item| Some(item.get("kind")?.as_s().unwrap().clone()))
        .collect()
}
