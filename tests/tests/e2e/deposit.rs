//! A card that its bank cannot check: a deposit of ¥0.01 whose code only the holder can read.

use aws_sdk_dynamodb::types::AttributeValue;
use domain::error_code::ErrorCode;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use domain::sms::Sms;
use domain::time::Timestamp;
use serde_json::{Value, json};
use tests::local_cloud::{App, LocalCloud};
use tests::transport::{Reply, Transport as _};

use crate::see::{label, last4, rebind_path, zh};

const ALPHABET: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

async fn confirm(app: &App<'_>, path: &str, typed: &str) -> Reply {
    app.try_card_code(path, typed).await
}

/// A wrong code of the same form.
fn wrong(code: &str) -> String {
    let first = if code.starts_with('A') { 'B' } else { 'A' };
    format!("{first}{}", &code[1..])
}

/// From the check to the hold.
async fn a_deposit_is_sent(live: &LocalCloud, card: &str, bank_name: &str) {
    let (merchant, app) = live.logged_in().await;
    let path = app.to_card_pending(card).await;
    let sent_at = merchant.now();
    let checked = app.check_card(&path).await.ok(200);
    let dies_at = sent_at.plus_s(7 * DAY_S).to_rfc3339_shanghai();
    assert_eq!(
        checked["challenge"],
        json!({
            "purpose": "card",
            "method": "micro_deposit",
            "sent_to": format!("{bank_name} ···{}", last4(card)),
            "expires_at": dies_at,
            "resend_after_s": null,
            "attempts_left": 3,
        })
    );
    assert_eq!(
        (
            &checked["state"],
            &checked["expires_at"],
            &checked["next_actions"]
        ),
        (
            &json!("card_pending"),
            &json!(dies_at),
            &json!(["card_check_confirm", "cancel"])
        )
    );
    assert!(live.sms(&merchant.reserved_phone).await.is_empty());
    let code = live.deposit_code(card).await;
    assert!(
        code.chars().all(|c| ALPHABET.contains(c)),
        "only letters of the alphabet"
    );
    let transfer = &live.statement(card).await[0];
    assert_eq!(
        (&transfer["amount_fen"], &transfer["status"]),
        (&json!(1), &json!("succeeded"))
    );
    // A repetition returns the same challenge and makes no second transfer. There is no resend.
    merchant.pass_s(MINUTE_S);
    assert_eq!(
        app.check_card(&path).await.ok(200)["challenge"],
        checked["challenge"]
    );
    assert_eq!(live.statement(card).await.len(), 1);
    app.resend_card_code(&path)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    // As typed on a small screen.
    let spaced: Vec<String> = code.to_lowercase().chars().map(String::from).collect();
    let activated_at = merchant.now();
    let activated = confirm(&app, &path, &spaced.join(" ")).await.ok(200);
    assert_eq!(activated["state"], "activated");
    assert_eq!(
        activated["effective_at"],
        activated_at.plus_s(3 * DAY_S).to_rfc3339_shanghai()
    );
    assert_eq!(
        activated["cooldown_until"],
        activated_at.plus_s(30 * DAY_S).to_rfc3339_shanghai()
    );
    let cards = app.get("/v1/cards").await.ok(200);
    assert_eq!(cards["hold"]["effective_at"], activated["effective_at"]);
    live.notifications(&merchant.phone, 1).await;
    live.notifications(&merchant.reserved_phone, 1).await;
    let kinds = app.kinds().await;
    assert_eq!(
        kinds[kinds.len() - 2..],
        ["micro_deposit_sent", "activated"]
    );
    merchant.pass_s(3 * DAY_S - 1);
    let app = live.app(&merchant).await;
    assert_eq!(app.get(&path).await.ok(200)["state"], "activated");
    merchant.pass_s(1);
    assert_eq!(app.get(&path).await.ok(200)["state"], "completed");
}

/// A card without the bank's online-check feature.
pub async fn unenabled_card_gets_deposit(live: &LocalCloud) {
    let card = live.magic_card("not_enabled");
    a_deposit_is_sent(live, &card, "招商银行").await;
}

/// A bank that does not answer checks.
pub async fn unsupported_issuer_gets_deposit(live: &LocalCloud) {
    let card = live.magic_card("issuer_unsupported");
    a_deposit_is_sent(live, &card, "中信银行").await;
}

/// A deposit takes a day to appear. The identity is stale by then and can be refreshed on any device.
pub async fn deposit_confirms_on_other_device_later(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let path = live.app(&merchant).await.to_deposit(&card).await;
    let code = live.deposit_code(&card).await;
    merchant.pass_s(2 * DAY_S);
    let app = live.app_on(&merchant, "the new phone").await;
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["state"], &shown["next_actions"]),
        (&json!("card_pending"), &json!(["identity_code", "cancel"]))
    );
    let problem = confirm(&app, &path, &code)
        .await
        .refused(ErrorCode::StepUpRequired);
    assert_eq!(
        (&problem["next_actions"], &problem["counts_toward_limit"]),
        (&json!(["identity_code"]), &json!(false))
    );
    let refreshing = app.resend_identity_code(&path).await.ok(200);
    assert_eq!(refreshing["challenge"]["purpose"], "identity");
    let refreshed = app.confirm_identity(&path).await;
    assert_eq!(
        (
            &refreshed["challenge"]["method"],
            &refreshed["challenge"]["attempts_left"]
        ),
        (&json!("micro_deposit"), &json!(3))
    );
    // The code is read from a statement, so it is not bound to a session.
    let first = live.app(&merchant).await;
    assert_eq!(
        confirm(&first, &path, &code).await.ok(200)["state"],
        "activated"
    );
}

/// Three attempts; malformed input uses none. The third wrong code ends the rebind.
pub async fn third_wrong_deposit_code_rejects(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live
        .card_with_outcome("issuer_unsupported", &merchant.holder_name)
        .await;
    let path = app.to_deposit(&card).await;
    let code = live.deposit_code(&card).await;
    for nonsense in ["", "ABCDE", "ABCDEFG", "ABCDE0", "ABCDEI", "一二三四五六"] {
        let problem = confirm(&app, &path, nonsense)
            .await
            .refused(ErrorCode::MicroDepositWrong);
        assert_eq!(
            (&problem["attempts_left"], &problem["counts_toward_limit"]),
            (&json!(3), &json!(false))
        );
        assert_eq!(
            problem["errors"],
            json!([{"field": "code", "code": "MICRO_DEPOSIT_WRONG"}])
        );
    }
    for left in [2, 1] {
        let problem = confirm(&app, &path, &wrong(&code))
            .await
            .refused(ErrorCode::MicroDepositWrong);
        assert_eq!(
            (&problem["attempts_left"], &problem["counts_toward_limit"]),
            (&json!(left), &json!(true))
        );
        assert_eq!(
            problem["next_actions"],
            json!(["card_check_confirm", "cancel"])
        );
        let shown = app.get(&path).await.ok(200);
        assert_eq!(shown["challenge"]["attempts_left"], left);
    }
    let problem = confirm(&app, &path, &wrong(&code))
        .await
        .refused(ErrorCode::MicroDepositWrong);
    assert_eq!(
        (&problem["attempts_left"], &problem["next_actions"]),
        (&json!(0), &json!(["new_rebind", "contact_support"]))
    );
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("MICRO_DEPOSIT_WRONG"))
    );
    confirm(&app, &path, &code)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    let texts = live.notifications(&merchant.phone, 1).await;
    assert_eq!(texts, [zh(&Sms::Rejected { card: label(&card) })]);
    app.request(&live.card()).await;
}

/// Many concurrent guesses use at most three attempts.
pub async fn parallel_guesses_are_capped_at_three(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let path = app.to_deposit(&card).await;
    let code = live.deposit_code(&card).await;
    let typed = wrong(&code);
    let guesses = (0..6).map(|_| confirm(&app, &path, &typed));
    let replies = futures::future::join_all(guesses).await;
    let count = |code: &str| {
        let is_it = |reply: &&Reply| reply.body["code"] == code;
        replies.iter().filter(is_it).count()
    };
    let tried = count("MICRO_DEPOSIT_WRONG");
    let later = count("VERSION_CONFLICT") + count("STEP_OUT_OF_ORDER");
    assert!(
        (1..=3).contains(&tried) && tried + later == 6,
        "{tried} + {later}"
    );
    let shown = app.get(&path).await.ok(200);
    if tried == 3 {
        assert_eq!(shown["ended_reason"], "MICRO_DEPOSIT_WRONG");
    }
}

/// The code expires after seven days; from then on every step reports the expiry.
pub async fn deposit_expires_after_7_days(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let path = live.app(&merchant).await.to_deposit(&card).await;
    let sent_at = merchant.now();
    let code = live.deposit_code(&card).await;
    merchant.set_clock(sent_at.plus_s(7 * DAY_S - 1));
    let app = live.app(&merchant).await;
    assert_eq!(app.get(&path).await.ok(200)["state"], "card_pending");
    app.post("/v1/rebinds", app.request_body(&live.card()))
        .await
        .refused(ErrorCode::RequestInProgress);
    merchant.pass_s(1);
    let shown = app.get(&path).await.ok(200);
    assert_eq!(
        (&shown["state"], &shown["ended_reason"], &shown["challenge"]),
        (
            &json!("expired"),
            &json!("MICRO_DEPOSIT_EXPIRED"),
            &Value::Null
        )
    );
    let problem = confirm(&app, &path, &code)
        .await
        .refused(ErrorCode::MicroDepositExpired);
    assert_eq!(
        (&problem["next_actions"], &problem["counts_toward_limit"]),
        (&json!(["new_rebind"]), &json!(false))
    );
    for step in ["cancel", "identity/code", "card-check", "card-check/code"] {
        app.post(&format!("{path}/{step}"), ())
            .await
            .refused(ErrorCode::RequestExpired);
    }
    app.request(&live.card()).await;
    confirm(&app, &path, &code)
        .await
        .refused(ErrorCode::MicroDepositExpired);
}

/// The deposit was returned: payouts to this card would fail.
pub async fn returned_deposit_rejects(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let card = live.magic_card("deposit_returned");
    comes_back(&live.app(&merchant).await, &card).await;
}

/// The account belongs to another name. The payee-name check reveals this, although the merchant could read the statement.
pub async fn deposit_to_mule_card_is_returned(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let card = live.card_with_outcome("not_enabled", "李四").await;
    comes_back(&live.app(&merchant).await, &card).await;
}

async fn comes_back(app: &App<'_>, card: &str) {
    let path = app.to_card_pending(card).await;
    let check = format!("{path}/card-check");
    let reply = app.keyed("once", &check, ()).await;
    let problem = reply.refused(ErrorCode::MicroDepositReturned);
    assert_eq!(
        problem["next_actions"],
        json!(["new_rebind", "contact_support"])
    );
    let again = app.keyed("once", &check, ()).await;
    assert!(again.is_replayed());
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (
            &ended["state"],
            &ended["ended_reason"],
            &ended["new_card"]["status"]
        ),
        (
            &json!("rejected"),
            &json!("MICRO_DEPOSIT_RETURNED"),
            &json!("removed")
        )
    );
    // Reading the code on that statement gains nothing.
    let code = app.system.deposit_code(card).await;
    assert_eq!(app.system.statement(card).await[0]["status"], "returned");
    confirm(app, &path, &code)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    assert_eq!(app.kinds().await.last().unwrap(), "micro_deposit_returned");
    app.request(&app.system.card()).await;
}

/// The deposit arrived and was returned later. The confirmation reports the return, and no attempt is used.
pub async fn late_return_rejects_at_confirm(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let path = app.to_deposit(&card).await;
    let code = live.deposit_code(&card).await;
    the_bank_says(live, &path, "returned").await;
    let problem = confirm(&app, &path, &wrong(&code))
        .await
        .refused(ErrorCode::MicroDepositReturned);
    assert_eq!(
        problem["next_actions"],
        json!(["new_rebind", "contact_support"])
    );
    let ended = app.get(&path).await.ok(200);
    assert_eq!(ended["ended_reason"], "MICRO_DEPOSIT_RETURNED");
}

/// While the result is unknown, the code cannot be tried until the bank reports the deposit as received.
pub async fn pending_deposit_cannot_be_confirmed(live: &LocalCloud) {
    let merchant = live.merchant().await;
    // Earlier than every clean-up, which would query it too.
    merchant.set_clock(Timestamp::parse_rfc3339("2041-03-10T10:00:00+08:00").unwrap());
    let app = live.app(&merchant).await;
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let path = app.to_deposit(&card).await;
    let code = live.deposit_code(&card).await;
    // As if the first answer had been "not decided".
    the_bank_says(live, &path, "pending").await;
    live.edit_state(&merchant.pk(), "R#000001", |state| {
        let deposit = &mut state["st"]["card_pending"]["chk"]["deposit"];
        drop(deposit.as_object_mut().unwrap().remove("ok"));
    })
    .await;
    let problem = confirm(&app, &path, &code)
        .await
        .refused(ErrorCode::UpstreamBusy);
    assert_eq!(
        (&problem["retry_after_s"], &problem["counts_toward_limit"]),
        (&json!(60), &json!(false))
    );
    let shown = app.get(&path).await.ok(200);
    assert_eq!(shown["challenge"]["attempts_left"], 3);
    // The second query finds it.
    assert_eq!(
        confirm(&app, &path, &code).await.ok(200)["state"],
        "activated"
    );
}

/// Changes the bank's record of a rebind's deposit.
pub async fn the_bank_says(live: &LocalCloud, path: &str, status: &str) {
    let serial = format!("{}-d1", path.rsplit('/').next().unwrap());
    let bank = live.system.resource("SandboxBankTable").unwrap();
    let items = live.items_of(bank).await;
    let is_it = |item: &&store::item::Item| {
        item.get("serial")
            .is_some_and(|of| of.as_s() == Ok(&serial))
    };
    let mut transfer = items.iter().find(is_it).unwrap().clone();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    transfer.insert("status".to_owned(), text(status));
    if status == "returned" {
        transfer.insert("reason".to_owned(), text("account_unusable"));
    }
    let put = live.table.put_item().table_name(bank);
    put.set_item(Some(transfer)).send().await.unwrap();
}

/// A card that is verified for another person is refused only once the code proves the card, so nobody else learns of it.
pub async fn foreign_card_is_refused_after_proof(live: &LocalCloud) {
    let (first, second) = (live.merchant().await, live.merchant().await);
    let card = live
        .card_with_outcome("not_enabled", &first.holder_name)
        .await;
    let app = live.app(&first).await;
    let path = app.to_deposit(&card).await;
    let code = live.deposit_code(&card).await;
    confirm(&app, &path, &code).await.ok(200);
    // The same name, another person.
    let app = live.app(&second).await;
    let path = app.to_deposit(&card).await;
    let code = live.deposit_code(&card).await;
    confirm(&app, &path, &wrong(&code))
        .await
        .refused(ErrorCode::MicroDepositWrong);
    let problem = confirm(&app, &path, &code)
        .await
        .refused(ErrorCode::CardBoundElsewhere);
    assert_eq!(
        problem["next_actions"],
        json!(["new_rebind", "contact_support"])
    );
    let ended = app.get(&path).await.ok(200);
    assert_eq!(
        (&ended["state"], &ended["ended_reason"]),
        (&json!("rejected"), &json!("CARD_BOUND_ELSEWHERE"))
    );
}

/// A standby card is proven the same way.
pub async fn standby_card_is_proven_by_deposit(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let mut body = app.request_body(&card);
    body["activate"] = json!(false);
    let path = rebind_path(&app.post("/v1/rebinds", body).await.ok(201));
    app.identify(&path).await;
    app.sign(&path).await;
    app.check_card(&path).await.ok(200);
    let code = live.deposit_code(&card).await;
    let ready_at = merchant.now();
    let ready = confirm(&app, &path, &code).await.ok(200);
    assert_eq!(
        (&ready["state"], &ready["new_card"]["status"]),
        (&json!("completed"), &json!("standby"))
    );
    // Its waiting period is no shorter than the hold of such a card.
    let usable_at = ready["new_card"]["usable_at"].as_str().unwrap();
    let usable_at = Timestamp::parse_rfc3339(usable_at).unwrap();
    assert!(
        usable_at >= ready_at.plus_s(DAY_S) && usable_at <= ready_at.plus_s(3 * DAY_S + HOUR_S)
    );
}

/// After a cancellation with the deposit on its way, its code is useless, and the next rebind has a deposit of its own.
pub async fn cancel_voids_deposit_code(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let path = app.to_deposit(&card).await;
    let first = live.deposit_code(&card).await;
    app.cancel(&path).await.ok(200);
    confirm(&app, &path, &first)
        .await
        .refused(ErrorCode::StepOutOfOrder);
    merchant.pass_s(MINUTE_S);
    let path = app.to_deposit(&card).await;
    let second = live.deposit_code(&card).await;
    assert_ne!(first, second);
    assert_eq!(live.statement(&card).await.len(), 2);
    let problem = confirm(&app, &path, &first)
        .await
        .refused(ErrorCode::MicroDepositWrong);
    assert_eq!(problem["attempts_left"], 2);
    confirm(&app, &path, &second).await.ok(200);
}
