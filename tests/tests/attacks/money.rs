//! Ways around the hold, the notification and the freeze: with a standby card, a mule's card, a test transfer, the old card.

use crate::{NAME, POLICY, active_card, ask};
use application::ports::{
    CardQuestion, CheckCard, QueryOutcome, QueryTransfer, SendTransfer, Transfer,
};
use domain::card::BankCardType;
use domain::decide::{BankAnswer, Command};
use domain::error_code::ErrorCode;
use domain::policy::DAY_S;
use domain::transfer::TransferAnswer;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tests::in_process::{App, InProcess};
use tests::merchant::{self, GOOD_CARD, RESERVED_PHONE, SECOND_CARD};
use verification::Verification;

/// Freezes with the code from the notification to the phone on file.
async fn freeze(world: &Arc<InProcess>, app: &App, code: &str) {
    let source = "198.51.100.1";
    world
        .freeze(&app.profile.account, code, source)
        .await
        .ok(202);
}

/// The last four digits of the card that a payout created now would get.
async fn pays_to(world: &Arc<InProcess>, payout: &str) -> Value {
    let payout = json!({"operation": "create_payout", "merchant_id": format!("mer_{NAME}"), "payout_id": payout, "amount_fen": 1});
    world.core(payout).await.unwrap()["card"]["last4"].clone()
}

/// An operation of the acquirer's core on a payout.
async fn core(
    world: &Arc<InProcess>,
    operation: &str,
    payout: &str,
) -> Result<Value, payouts::Refusal> {
    let merchant = format!("mer_{NAME}");
    let event = json!({"operation": operation, "merchant_id": merchant, "payout_id": payout});
    world.core(event).await
}

#[tokio::test]
async fn standby_card_to_bypass_hold() {
    let (world, app) = InProcess::with(NAME).await;
    let card = app.standby(GOOD_CARD).await;
    let switch = format!("{card}/activate");
    // Two cards, added at different times: each waits from its own beginning.
    world.pass_s(POLICY.standby_wait_s - POLICY.fresh_login_s);
    let app = app.again().await;
    let second = app.standby(SECOND_CARD).await;
    let before = world.sms.to(&app.profile.phone).len();
    for (card, wait_s) in [
        (&card, POLICY.fresh_login_s),
        (&second, POLICY.standby_wait_s),
    ] {
        let early = app
            .post(&format!("{card}/activate"), ())
            .await
            .is(409, "STANDBY_NOT_READY");
        let left = early.body["retry_after_s"].as_i64().unwrap();
        assert!((wait_s - 60..=wait_s).contains(&left), "{left}");
        app.post(&format!("{card}/activate"), json!({"code": "123456"}))
            .await
            .is(409, "STANDBY_NOT_READY");
    }
    assert_eq!(
        world.sms.to(&app.profile.phone).len(),
        before,
        "no code yet"
    );
    assert_eq!(pays_to(&world, "pay_1").await, "0010");
    // After its wait the switch needs an OTP to the phone on file, and starts the usual cooldown.
    world.pass_s(POLICY.fresh_login_s);
    let app = app.again().await;
    app.switch(&card).await;
    app.post(&format!("{second}/activate"), ())
        .await
        .is(409, "REBIND_COOLDOWN");
    app.post(&switch, ()).await.is(409, "STEP_OUT_OF_ORDER");
}

#[tokio::test]
async fn standby_card_to_bypass_notification() {
    let (world, app) = InProcess::with(NAME).await;
    let card = app.standby(GOOD_CARD).await;
    let before = [&app.profile.phone, RESERVED_PHONE].map(|phone| world.sms.to(phone).len());
    world.deliver_due().await;
    let now = [&app.profile.phone, RESERVED_PHONE].map(|phone| world.sms.to(phone).len());
    assert_eq!(
        now,
        before.map(|count| count + 1),
        "both are notified at once"
    );
    // The freeze code removes the card a day before it becomes usable.
    let code = app.freeze_code().await;
    freeze(&world, &app, &code).await;
    world.pass_s(POLICY.standby_wait_s);
    let app = app.again().await;
    let switch = app.post(&format!("{card}/activate"), ()).await;
    assert!([404, 423].contains(&switch.status), "{:?}", switch.body);
    app.get("/v1/cards").await.has("standby", json!([]));
}

#[tokio::test]
async fn standby_card_to_shorten_deposit_hold() {
    let (world, app) = InProcess::with(NAME).await;
    let rebind = app
        .request_with(GOOD_CARD, json!({"activate": false}))
        .await;
    app.identify(&rebind).await;
    app.sign(&rebind).await;
    world.bank.script([Some(BankAnswer::NotEnabled)]);
    app.check_card(&rebind).await;
    let code = world.bank.deposit_code();
    let done = app.try_card_code(&rebind, &code).await.is(200, "completed");
    let card = done.body["new_card"]["card_id"].as_str().unwrap();
    world.pass_s(POLICY.hold_deposit_s - 1);
    let app = app.again().await;
    let switch = format!("/v1/cards/{card}/activate");
    app.post(&switch, ())
        .await
        .is(409, "STANDBY_NOT_READY")
        .has("retry_after_s", 1);
}

/// A card number whose prefix no list has.
const UNLISTED_CARD: &str = "6299139005550127";

#[tokio::test]
async fn anonymous_prepaid_card() {
    let (world, app) = InProcess::with(NAME).await;
    // Nobody is registered for such a card, so it matches any name.
    let anonymous = BankAnswer::Match(BankCardType::Prepaid);
    for card in [UNLISTED_CARD, GOOD_CARD] {
        let rebind = app.to_card_pending(card).await;
        world.bank.script([Some(anonymous)]);
        app.post(&format!("{rebind}/card-check"), ())
            .await
            .is(422, "CARD_TYPE_PREPAID");
        app.get(&rebind).await.is(200, "rejected");
        world.pass_s(POLICY.code_gap_s);
    }
    assert!(world.sms.to(RESERVED_PHONE).is_empty());
    assert_eq!(pays_to(&world, "pay_1").await, "0010");
}

#[tokio::test]
async fn micro_deposit_to_card_of_unknown_type() {
    let (world, app) = InProcess::with(NAME).await;
    let rebind = app.to_card_pending(UNLISTED_CARD).await;
    // The bank cannot check the card. An anonymous card would receive the deposit under any name.
    world.bank.script([Some(BankAnswer::IssuerUnsupported)]);
    app.post(&format!("{rebind}/card-check"), ())
        .await
        .is(422, "CARD_TYPE_UNKNOWN");
    assert!(
        world.bank.transfers().is_empty(),
        "no code reaches the card"
    );
    app.get(&rebind).await.is(200, "rejected");
    assert_eq!(pays_to(&world, "pay_1").await, "0010");
}

/// A bank that cannot check cards and has issued this one to a mule. A transfer arrives unless the payee's name is compared.
#[derive(Clone, Default)]
struct MulesBank(Arc<Mutex<Option<(String, TransferAnswer)>>>);

impl CheckCard for MulesBank {
    async fn check(&self, _: &CardQuestion) -> Option<BankAnswer> {
        Some(BankAnswer::NotEnabled)
    }
}

impl SendTransfer for MulesBank {
    async fn transfer(&self, transfer: &Transfer) -> Option<TransferAnswer> {
        let answer = match transfer.check_name {
            true => TransferAnswer::Returned,
            false => TransferAnswer::Succeeded,
        };
        *self.0.lock().unwrap() = Some((transfer.descriptor.expose().clone(), answer));
        Some(answer)
    }
}

impl QueryTransfer for MulesBank {
    async fn transfer_outcome(&self, _: &str) -> QueryOutcome<TransferAnswer> {
        let sent = self.0.lock().unwrap();
        let sent = sent.as_ref().map(|(_, answer)| *answer);
        sent.map_or(QueryOutcome::NeverSeen, QueryOutcome::Answer)
    }
}

#[tokio::test]
async fn micro_deposit_to_mule_card() {
    let (world, app) = InProcess::with(NAME).await;
    let bank = MulesBank::default();
    let function = Verification::new(world.store(), world.keys(), world.sms.clone(), bank.clone());
    let rebind = app.to_card_pending(GOOD_CARD).await;
    ask(
        &function,
        &app,
        &format!("{rebind}/card-check"),
        Value::Null,
    )
    .await
    .is(422, "MICRO_DEPOSIT_RETURNED");
    // The mule can read the card's statement, and the code on it is refused.
    let (statement, _) = bank.0.lock().unwrap().clone().unwrap();
    let code = statement.split(' ').next_back().unwrap().to_owned();
    let path = format!("{rebind}/card-check/confirm");
    ask(&function, &app, &path, json!({"code": code}))
        .await
        .is(409, "STEP_OUT_OF_ORDER");
    app.get(&rebind).await.is(200, "rejected");
    assert_eq!(pays_to(&world, "pay_1").await, "0010");
}

#[tokio::test]
async fn test_transfer_to_close_freeze_window() {
    let (world, app) = InProcess::with(NAME).await;
    let old = active_card(&world, NAME).await;
    let rebind = app.activate(GOOD_CARD).await;
    let effective_at = app.get(&rebind).await.body["effective_at"].clone();
    let code = app.freeze_code().await;
    let path = format!("{rebind}/test-transaction");
    let tested = app
        .post(&path, ())
        .await
        .has("status", "succeeded")
        .has("/rebind/state", "activated");
    assert_eq!(tested.body["rebind"]["effective_at"], effective_at);
    // The new card receives no payout earlier, and the clean-up finds nothing to complete.
    world.pass_s(POLICY.hold_s - 1);
    assert_eq!(world.clean_up().await.completed, 0);
    assert_eq!(pays_to(&world, "pay_1").await, "0010");
    freeze(&world, &app, &code).await;
    assert_eq!(active_card(&world, NAME).await, old, "the change is undone");
    app.again().await.get(&rebind).await.is(200, "frozen");
}

#[tokio::test]
async fn old_card_unbound_during_hold() {
    let (world, app) = InProcess::with(NAME).await;
    let old = active_card(&world, NAME).await;
    app.activate(GOOD_CARD).await;
    let code = app.freeze_code().await;
    let unbind = format!("{old}/unbind");
    let mut app = app;
    for wait_s in [0, POLICY.hold_s - 1, 1, POLICY.retire_after_effective_s - 1] {
        world.pass_s(wait_s);
        world.clean_up().await;
        app = app.again().await;
        app.keyed("k", &unbind, ())
            .await
            .is(409, "PAYOUT_IN_FLIGHT");
        assert!(
            world
                .stored(NAME)
                .await
                .state
                .replaced
                .iter()
                .any(|replaced| { old.ends_with(replaced.bound.card.card_id.as_str()) })
        );
    }
    freeze(&world, &app, &code).await;
    let app = app.again().await;
    app.post(&unbind, ()).await.is(423, "ACCOUNT_FROZEN");
}

#[tokio::test]
async fn the_old_card_reported_lost_to_defeat_a_freeze() {
    let (world, app) = InProcess::with(NAME).await;
    let old = active_card(&world, NAME).await;
    app.activate_with(GOOD_CARD, json!({"reason": "lost"}))
        .await;
    assert_eq!(pays_to(&world, "pay_1").await, Value::Null, "held");
    let code = app.freeze_code().await;
    freeze(&world, &app, &code).await;
    let state = world.stored(NAME).await.state;
    let active = state
        .active
        .map(|active| format!("/v1/cards/{}", active.card.card_id));
    assert_eq!(active, Some(old), "the thief's reason is ignored");
    assert_eq!(pays_to(&world, "pay_2").await, "0010");
}

/// The thief's card is in effect. The core system reads its list of payouts and then begins to pay them.
#[tokio::test]
async fn payout_sent_from_a_list_read_before_the_freeze() {
    let (world, app) = InProcess::with(NAME).await;
    app.activate(GOOD_CARD).await;
    let code = app.freeze_code().await;
    world.pass_s(POLICY.hold_s);
    assert_eq!(pays_to(&world, "pay_1").await, "1009");
    let list = app.again().await.get("/v1/payouts").await;
    assert_eq!(list.body["items"][0]["held"], false, "it may be paid");
    freeze(&world, &app, &code).await;
    for (operation, code) in [
        ("payout_sending", ErrorCode::AccountFrozen),
        ("payout_sent", ErrorCode::StepOutOfOrder),
    ] {
        let refused = core(&world, operation, "pay_1").await.unwrap_err();
        assert_eq!(refused.code, code, "{operation}");
    }
    let list = app.again().await.get("/v1/payouts").await;
    assert_eq!(list.body["items"][0]["held"], true);
}

/// The thief outlasts the hold. The owner freezes, and the operator chooses the owner's card: what was routed to the thief's card
/// and not paid goes back to the owner.
#[tokio::test]
async fn payouts_to_the_thiefs_card_after_a_freeze() {
    let (world, app) = InProcess::with(NAME).await;
    let old = world.stored(NAME).await.state.active.unwrap().card.card_id;
    let rebind = app.activate(GOOD_CARD).await;
    let code = app.freeze_code().await;
    world.pass_s(POLICY.hold_s);
    assert_eq!(pays_to(&world, "pay_1").await, "1009");
    assert_eq!(pays_to(&world, "pay_2").await, "1009");
    core(&world, "payout_sending", "pay_2").await.unwrap();
    freeze(&world, &app, &code).await;
    let reason = "the owner came to the shop".to_owned();
    let card_id = Some(old);
    world
        .operator(NAME, Command::Unfreeze { reason, card_id })
        .await;
    // Until the clean-up has assigned it, the payout waits without a card.
    let refused = core(&world, "payout_sending", "pay_1").await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::StepOutOfOrder);
    let app = app.again().await;
    let list = app.get("/v1/payouts").await;
    let waiting = &list.body["items"][1];
    assert_eq!(
        (&waiting["held"], &waiting["card"]),
        (&json!(true), &Value::Null)
    );
    let summary = world.clean_up().await;
    assert_eq!((summary.payouts_assigned, summary.failed), (1, 0));
    let paid = core(&world, "payout_sending", "pay_1").await.unwrap();
    assert_eq!(paid["card"]["last4"], "0010");
    // A payment under way is the bank's: it stays with its card.
    let sent = core(&world, "payout_sent", "pay_2").await.unwrap();
    assert_eq!(sent["card"]["last4"], "1009");
    app.get(&rebind).await.is(200, "reverted");
    world.clean_up().await;
    let state = world.stored(NAME).await.state;
    assert!(state.replaced.is_empty(), "the thief's card is removed");
    app.post("/v1/rebinds", app.request_body(SECOND_CARD)).await;
    world.history(NAME).await;
}

/// The money has left when the freeze lands. If the report were refused, the core system would pay a second time.
#[tokio::test]
async fn freeze_between_payment_and_report() {
    let (world, app) = InProcess::with(NAME).await;
    app.activate(GOOD_CARD).await;
    let code = app.freeze_code().await;
    world.pass_s(POLICY.hold_s);
    assert_eq!(pays_to(&world, "pay_1").await, "1009");
    core(&world, "payout_sending", "pay_1").await.unwrap();
    freeze(&world, &app, &code).await;
    let again = core(&world, "payout_sending", "pay_1").await.unwrap();
    assert_eq!(
        (&again["status"], &again["held"]),
        (&json!("sending"), &json!(false))
    );
    let list = app.again().await.get("/v1/payouts").await;
    assert_eq!(list.body["items"][0]["status"], "sending", "it is shown");
    for status in ["sent", "returned"] {
        let reported = core(&world, &format!("payout_{status}"), "pay_1").await;
        assert_eq!(reported.unwrap()["status"], status);
    }
}

/// A report of a loss makes the hold cost the thief nothing: the payouts of the hold wait and then go to the thief's
/// card. So the hold lasts three days.
#[tokio::test]
async fn old_card_reported_lost_to_collect_payouts() {
    let (world, app) = InProcess::with(NAME).await;
    app.activate_with(GOOD_CARD, json!({"reason": "lost"}))
        .await;
    assert_eq!(pays_to(&world, "pay_1").await, Value::Null, "held");
    world.pass_s(3 * DAY_S - 1);
    world.clean_up().await;
    let state = world.stored(NAME).await.state;
    assert_eq!(state.held_payouts, 1, "assigned to the thief's card");
}

/// A mule opens a card in the merchant's name and has the bank refuse card-not-present checks, so that a deposit's
/// code, which only the mule reads, replaces the OTP to the reserved phone.
#[tokio::test]
async fn deposit_confirmed_without_the_phone() {
    let (world, app) = InProcess::with(NAME).await;
    let rebind = app.request(GOOD_CARD).await;
    app.identify(&rebind).await;
    app.sign(&rebind).await;
    world.bank.script([Some(BankAnswer::NotEnabled)]);
    app.check_card(&rebind).await;
    let code = world.bank.deposit_code();
    // The stolen phone is back with its owner when the deposit arrives.
    world.pass_s(2 * DAY_S);
    let app = app.again().await;
    app.try_card_code(&rebind, &code)
        .await
        .is(403, "STEP_UP_REQUIRED")
        .has("next_actions", json!(["identity_code"]));
    assert_eq!(pays_to(&world, "pay_1").await, "0010");
}

/// The owner overlooks the announcement of the thief's standby card, which the thief keeps for weeks. Its freeze code
/// still works after the switch, and the switch announces another one.
#[tokio::test]
async fn standby_card_kept_until_its_code_dies() {
    for is_first in [true, false] {
        let (world, app) = InProcess::with(NAME).await;
        let card = app.standby(GOOD_CARD).await;
        let of_announcement = app.freeze_code().await;
        world.pass_s(30 * DAY_S);
        let app = app.again().await;
        app.switch(&card).await;
        let of_switch = app.freeze_code().await;
        assert_ne!(of_switch, of_announcement);
        world.pass_s(6 * DAY_S);
        let code = if is_first { of_announcement } else { of_switch };
        freeze(&world, &app, &code).await;
        assert_eq!(pays_to(&world, "pay_1").await, Value::Null, "held");
    }
}

/// The thief's passport has the number of the victim's travel permit.
#[tokio::test]
async fn card_of_another_kind_of_document_with_same_number() {
    let world = InProcess::start().await;
    let mut people = Vec::new();
    for (number, kind) in [(71, "taiwan_travel_permit"), (72, "passport")] {
        let document = json!({"type": kind, "number": "12345678", "expires_on": "long_term"});
        let card = merchant::luhn(&format!("62220200000071{number:04}"));
        let changes = json!({"id_document": document});
        let (profile, seed) = merchant::Profile::new("kinds", number, &card, &changes);
        profile.set_clock(world.now());
        world
            .store()
            .seed(&world.keys(), &seed, world.now())
            .await
            .unwrap();
        people.push(App::log_in(Arc::clone(&world), &profile, "device-1").await);
    }
    let [victim, thief] = people.as_slice() else {
        panic!("two people")
    };
    victim.activate(GOOD_CARD).await;
    // The thief's own document is no proof for the victim's, and the victim's card stays the victim's.
    let rebind = thief.request(GOOD_CARD).await;
    let mut document = thief.document();
    document["document_type"] = json!("taiwan_travel_permit");
    thief
        .post(&format!("{rebind}/identity"), document)
        .await
        .is(422, "ID_MISMATCH");
    thief.identify(&rebind).await;
    thief.sign(&rebind).await;
    thief
        .check_card(&rebind)
        .await
        .is(409, "CARD_BOUND_ELSEWHERE");
}
