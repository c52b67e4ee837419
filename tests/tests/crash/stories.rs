//! The stories. A step that meets faults in one story runs without them in the others.

use crate::operators;
use crate::story::{Manners, NAME, Outcome, Story, Tally, Work};
use domain::decide::BankAnswer;
use domain::policy::{DAY_S, MINUTE_S, Policy};
use domain::transfer::TransferAnswer;
use serde_json::{Value, json};
use tests::merchant::{GOOD_CARD, Merchant, RESERVED_PHONE, SECOND_CARD, card_path, wrong_otp};
use tests::published::insertions;
use tests::transport::{HttpCall, Reply, Transport as _};

const POLICY: &Policy = &Policy::CURRENT;
/// The active card of another merchant.
const TAKEN_CARD: &str = "6222020000008000028";
/// Longer than the minimum time between two OTPs.
const GAP_S: i64 = POLICY.code_gap_s + 1;

type App<'s> = Merchant<&'s Story>;

/// All stories.
pub const ALL: &[fn() -> Tally] = &[
    || run("sessions", sessions),
    || run("proofs", proofs),
    || run("in use", activated_card),
    || run("micro-deposit", micro_deposit),
    || run("standby", standby),
    || run("ends", ends),
    || run("refusals", refusals),
    || run("freeze", freeze),
    || run("late freeze", late_freeze),
    || run("freeze by a known device", device_freeze),
    || run("a month without clean-up", dead_clean_up),
    || run("lost bank answers", lost_bank_answers),
    || run("acts of operators", operators::acts),
    || run("decisions of two persons", operators::decisions),
    || run("registry", operators::registry),
];

/// Runs a story from its beginning. Returns its findings.
pub fn run(title: &'static str, play: impl AsyncFn(&Story) + Sync) -> Tally {
    run_as(title, Manners::Keyed, &[], play)
}

/// The same with another client behaviour, and with faults in these steps only.
pub fn run_as(
    title: &'static str,
    manners: Manners,
    only: &[&'static str],
    play: impl AsyncFn(&Story) + Sync,
) -> Tally {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let played = || {
        runtime.block_on(async {
            let mut story = Story::begin(title).await;
            story.manners = manners;
            story.only = only.to_vec();
            play(&story).await;
            story.end()
        })
    };
    std::thread::scope(|scope| {
        // Boxed: unoptimised nested futures overflow the stack of a test.
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        let tally = thread.spawn_scoped(scope, played).unwrap().join();
        tally.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

impl Story {
    /// An operation of the acquirer's core, as a step.
    pub async fn payout(&self, step: &'static str, operation: &str, id: &str) -> Outcome {
        let mut work = self.profile().payout(operation, id);
        work.as_object_mut().unwrap().remove("time");
        self.step(step, Work::Core(work)).await
    }

    /// The stream delivers every notification that is due, as a step.
    pub async fn deliver(&self, step: &'static str) {
        let outcome = self
            .step(step, Work::Deliver(self.due_notifications()))
            .await;
        assert_eq!(outcome.status, 200, "{:?}", outcome.body);
    }

    /// The stream delivers every history event to the function that publishes them, as a step.
    pub async fn publish(&self, step: &'static str) {
        let events = self.table.items();
        let batch = insertions(events.values().cloned());
        let outcome = self.step(step, Work::Publish(batch)).await;
        assert_eq!(outcome.status, 200, "{:?}", outcome.body);
    }

    async fn clean_up(&self, step: &'static str) -> Value {
        let outcome = self.step(step, Work::CleanUp { thorough: false }).await;
        outcome.body
    }

    async fn type_freeze_code(&self, code: &str) {
        let account = self.profile().account;
        let body = json!({"account": account, "freeze_code": code});
        let call = HttpCall::new("POST", "/v1/freezes").json(&body);
        self.http(call).await.ok(202);
    }

    /// The bank cannot check the card, and gives this answer to the transfer.
    fn script_deposit(&self, answer: TransferAnswer) {
        self.world.bank.script([Some(BankAnswer::NotEnabled)]);
        self.world.bank.script_transfers([Some(answer)]);
    }

    /// Sets the bank's decision about the last transfer.
    fn settle_transfer(&self, answer: TransferAnswer) {
        self.world.bank.settle_last(answer);
    }
}

/// Logins of all kinds, reads, and the logout.
async fn sessions(story: &Story) {
    story.log_in().await;
    let app = story.noted("known device", story.log_in()).await;
    let mut body = app.profile.credentials("device-2");
    body["password"] = json!("a wrong one");
    let login = HttpCall::new("POST", "/v1/sessions").json(&body);
    story.noted("wrong password", story.http(login)).await;
    let elsewhere = Merchant::log_in(story, &app.profile, "device-3");
    story.noted("new device", elsewhere).await;
    story.deliver("deliver, new device").await;
    let rebind = story.skim(app.request(GOOD_CARD)).await;
    for path in [
        "/v1/cards",
        "/v1/rebinds",
        &rebind,
        "/v1/payouts",
        "/v1/settlement",
        "/v1/history",
    ] {
        app.get(path).await.ok(200);
    }
    app.delete("/v1/sessions/current").await.ok(204);
}

/// A rebind up to its activation, with a wrong document and wrong OTPs on the way.
pub async fn proofs(story: &Story) {
    let app = story.logged_in().await;
    let rebind = app.request(GOOD_CARD).await;
    let mut mistaken = app.document();
    mistaken["document_expires_on"] = json!("2030-01-01");
    let identity = format!("{rebind}/identity");
    let shown = app.post(&identity, mistaken);
    story.noted("wrong document", shown).await;
    app.show_document(&rebind).await;
    let again = app.show_document(&rebind);
    story.noted("repeated", again).await;
    story.world.pass_s(GAP_S);
    app.resend_identity_code(&rebind).await;
    let right = story.code(&app.profile.phone).await;
    let miss = app.try_identity_code(&rebind, wrong_otp(&right));
    story.noted("wrong", miss).await;
    app.confirm_identity(&rebind).await;
    app.sign(&rebind).await;
    app.check_card(&rebind).await;
    story.noted("repeated", app.check_card(&rebind)).await;
    story.world.pass_s(GAP_S);
    let refresh = app.resend_identity_code(&rebind);
    story.noted("refresh", refresh).await;
    let refresh = app.confirm_identity(&rebind);
    story.noted("refresh", refresh).await;
    app.resend_card_code(&rebind).await;
    let right = story.code(RESERVED_PHONE).await;
    let miss = app.try_card_code(&rebind, wrong_otp(&right));
    story.noted("wrong", miss).await;
    let done = app.confirm_card(&rebind).await;
    done.is(200, "activated");
}

/// After an activation: payouts, devices, settings, notifications, and the clean-up up to the end of the cooldown.
async fn activated_card(story: &Story) {
    let app = story.logged_in().await;
    let device = "/v1/push-targets/phone";
    let target = json!({"platform": "apns", "token": "a-token"});
    app.put(device, target).await;
    let target = json!({"platform": "apns", "token": "another-token"});
    story.noted("replaced", app.put(device, target)).await;
    let mut settings = app.get("/v1/settlement").await.body;
    settings["payout_time"] = json!("12:34");
    app.put("/v1/settlement", settings.clone()).await;
    story.deliver("deliver, settings").await;
    let old = story.world.stored(NAME).await.state.active.unwrap().card;
    // The activation drops the settings.
    let rebind = story.skim(app.activate(GOOD_CARD)).await;
    story.deliver("deliver, activation").await;
    story.publish("publish, activation").await;
    let created = story.payout("create_payout, in the hold", "create_payout", "pay_1");
    created.await;
    story
        .skim(story.payout("create_payout", "create_payout", "pay_2"))
        .await;
    story.world.bank.next_transfer(TransferAnswer::Pending);
    app.test_transfer(&rebind).await;
    story.settle_transfer(TransferAnswer::Succeeded);
    story.noted("asked again", app.test_transfer(&rebind)).await;
    story.noted("repeated", app.test_transfer(&rebind)).await;
    story
        .payout("payout_sending", "payout_sending", "pay_1")
        .await;
    story.payout("payout_sent", "payout_sent", "pay_1").await;
    story
        .payout("payout_returned", "payout_returned", "pay_2")
        .await;
    let late = "payout_returned, after it was sent";
    story.payout(late, "payout_returned", "pay_1").await;
    app.delete(device).await;
    let until_reminder_s = POLICY.hold_s / POLICY.reminder_part;
    story.world.pass_s(until_reminder_s);
    story.clean_up("clean-up, arms a reminder").await;
    story.deliver("deliver, reminder").await;
    story.world.pass_s(POLICY.hold_s - until_reminder_s);
    story
        .clean_up("clean-up, completes and asks the bank")
        .await;
    let app = story.logged_in().await;
    story.skim(app.put("/v1/settlement", settings)).await;
    story
        .skim(story.payout("create_payout", "create_payout", "pay_3"))
        .await;
    for operation in ["payout_sending", "payout_sent"] {
        story
            .skim(story.payout(operation, operation, "pay_3"))
            .await;
    }
    story.world.pass_s(POLICY.retire_after_effective_s);
    let app = story.logged_in().await;
    let unbound = app.unbind(&format!("/v1/cards/{}", old.card_id)).await;
    assert_eq!(unbound.status, 204, "{:?}", unbound.body);
    story
        .clean_up("clean-up, applies settings, removes a card")
        .await;
    story.world.pass_s(POLICY.cooldown_s);
    story.clean_up("clean-up, ends a cooldown").await;
    story.deliver("deliver, end of a cooldown").await;
}

/// A card whose bank does not support the check.
async fn micro_deposit(story: &Story) {
    let app = story.logged_in().await;
    let rebind = story.skim(app.to_card_pending(GOOD_CARD)).await;
    story.script_deposit(TransferAnswer::Pending);
    story.noted("deposit", app.check_card(&rebind)).await;
    let again = app.check_card(&rebind);
    story.noted("deposit repeated", again).await;
    let right = story.world.bank.deposit_code();
    let early = app.try_card_code(&rebind, &right);
    story.noted("deposit on its way", early).await;
    story.settle_transfer(TransferAnswer::Succeeded);
    let miss = app.try_card_code(&rebind, "AAAAAA");
    story.noted("deposit wrong", miss).await;
    let done = story
        .noted("deposit", app.try_card_code(&rebind, &right))
        .await;
    done.is(200, "activated");
    story.deliver("deliver, activation by deposit").await;
}

/// A standby card, the switch to it, and another card that is unbound.
async fn standby(story: &Story) {
    let app = story.logged_in().await;
    let members = || json!({"activate": false});
    let steps = async |app: &App<'_>| {
        let rebind = app.request_with(GOOD_CARD, members()).await;
        app.identify(&rebind).await;
        app.sign(&rebind).await;
        app.check_card(&rebind).await;
        rebind
    };
    let rebind = story.skim(steps(&app)).await;
    let done = story.noted("standby", app.confirm_card(&rebind)).await;
    let card = card_path(&done.is(200, "completed").body);
    story.deliver("deliver, standby").await;
    story.world.pass_s(GAP_S);
    let second = story.skim(app.standby(SECOND_CARD)).await;
    story.world.pass_s(POLICY.standby_wait_s);
    let app = story.logged_in().await;
    story.noted("standby card", app.unbind(&second)).await;
    let activate = format!("{card}/activate");
    app.post(&activate, ()).await;
    story.noted("repeated", app.post(&activate, ())).await;
    let right = story.code(&app.profile.phone).await;
    let miss = app.post(&activate, json!({"code": wrong_otp(&right)}));
    story.noted("wrong code", miss).await;
    let done = app.post(&activate, json!({"code": right}));
    story.noted("code", done).await.is(200, "activated");
    story.deliver("deliver, switch").await;
    story.clean_up("clean-up, removes an unbound card").await;
}

async fn identified(app: &App<'_>, card: &str) -> String {
    let rebind = app.request(card).await;
    app.identify(&rebind).await;
    rebind
}

/// Rebinds that end without activation: cancelled, expired, or after a returned transfer.
async fn ends(story: &Story) {
    let app = story.logged_in().await;
    let rebind = story.skim(app.request(GOOD_CARD)).await;
    story.noted("at once", app.cancel(&rebind)).await;
    let rebind = story.skim(identified(&app, GOOD_CARD)).await;
    story.noted("identified", app.cancel(&rebind)).await;
    story.world.pass_s(GAP_S);
    story.skim(identified(&app, GOOD_CARD)).await;
    story.world.pass_s(POLICY.rebind_life_s);
    let app = story.logged_in().await;
    app.request(GOOD_CARD).await;
    story.world.pass_s(POLICY.rebind_life_s);
    story.clean_up("clean-up, expires two").await;
    let app = story.logged_in().await;
    let rebind = story.skim(app.activate(GOOD_CARD)).await;
    story.skim(story.deliver("deliver, activation")).await;
    story.world.bank.next_transfer(TransferAnswer::Returned);
    let failed = story.noted("returned", app.test_transfer(&rebind)).await;
    failed.is(200, "failed");
    story.deliver("deliver, revert").await;
    let step = "clean-up, removes a card that was sent back";
    story.clean_up(step).await;
}

/// Rebinds that are rejected permanently.
async fn refusals(story: &Story) {
    let app = story.logged_in().await;
    let rebind = story.skim(app.to_card_pending(GOOD_CARD)).await;
    story.world.bank.script([Some(BankAnswer::Mismatch)]);
    story.noted("mismatch", app.check_card(&rebind)).await;
    story.world.pass_s(GAP_S);
    let rebind = story.skim(app.to_card_pending(TAKEN_CARD)).await;
    let taken = story
        .noted("bound elsewhere", app.check_card(&rebind))
        .await;
    taken.is(409, "CARD_BOUND_ELSEWHERE");
    story.world.pass_s(GAP_S);
    let rebind = story.skim(app.request(GOOD_CARD)).await;
    story.skim(app.show_document(&rebind)).await;
    let guess = wrong_otp(&story.code(&app.profile.phone).await);
    for _ in 1..POLICY.code_attempts {
        let miss = app.try_identity_code(&rebind, guess);
        story.skim(miss).await;
    }
    let last = app.try_identity_code(&rebind, guess);
    let last: Reply = story.noted("last wrong", last).await;
    last.is(422, "OTP_TOO_MANY");
    story.deliver("deliver, rejection").await;
    story.world.pass_s(GAP_S);
    let rebind = story.skim(app.to_card_pending(GOOD_CARD)).await;
    story.script_deposit(TransferAnswer::Returned);
    let returned = app.check_card(&rebind);
    story.noted("deposit returned", returned).await;
}

/// The old contact freezes the account: a wrong freeze code, then the right one within the hold.
async fn freeze(story: &Story) {
    let app = story.logged_in().await;
    story.skim(app.activate(GOOD_CARD)).await;
    story.skim(story.deliver("deliver, activation")).await;
    story
        .skim(story.payout("create_payout", "create_payout", "pay_1"))
        .await;
    story
        .noted("wrong", story.type_freeze_code("AAAAAAAA"))
        .await;
    story.type_freeze_code(&app.freeze_code().await).await;
    story.deliver("deliver, freeze").await;
    let app = story.logged_in().await;
    story.noted("frozen", app.get("/v1/cards")).await;
    story.clean_up("clean-up, removes a frozen card").await;
}

/// The owner freezes the account in a session of a known device, without a code.
async fn device_freeze(story: &Story) {
    let app = story.logged_in().await;
    let rebind = story.skim(app.activate(GOOD_CARD)).await;
    story.skim(story.deliver("deliver, activation")).await;
    let frozen = app.post(&format!("{rebind}/freeze"), ()).await;
    frozen.is(200, "frozen");
    story.deliver("deliver, freeze by a device").await;
}

/// A freeze after the change took effect: every payout is held, and the card of another rebind is removed.
async fn late_freeze(story: &Story) {
    let app = story.logged_in().await;
    story.skim(app.standby(GOOD_CARD)).await;
    story.skim(story.deliver("deliver, standby")).await;
    let of_standby = app.freeze_code().await;
    story.world.pass_s(GAP_S);
    story.skim(app.activate(SECOND_CARD)).await;
    story.skim(story.deliver("deliver, activation")).await;
    story.world.pass_s(POLICY.hold_s);
    for id in ["pay_1", "pay_3"] {
        story
            .skim(story.payout("create_payout", "create_payout", id))
            .await;
    }
    story
        .skim(story.payout("payout_sending", "payout_sending", "pay_3"))
        .await;
    story
        .noted("older rebind", story.type_freeze_code(&of_standby))
        .await;
    story
        .payout("create_payout, held", "create_payout", "pay_2")
        .await;
    story
        .payout("payout_sending, frozen", "payout_sending", "pay_1")
        .await;
    story
        .payout("payout_sent, frozen", "payout_sent", "pay_3")
        .await;
    story
        .payout("payout_returned, held", "payout_returned", "pay_2")
        .await;
    story.clean_up("clean-up, frozen").await;
}

/// Every task of the clean-up in one run, after a month without any.
async fn dead_clean_up(story: &Story) {
    let app = story.logged_in().await;
    let lost = app.activate_with(GOOD_CARD, json!({"reason": "lost"}));
    let rebind = story.skim(lost).await;
    story.skim(story.deliver("deliver, activation")).await;
    for id in ["pay_1", "pay_2"] {
        let held = story.payout("create_payout", "create_payout", id);
        let held = story.skim(held).await;
        assert_eq!(held.body["held"], true, "{:?}", held.body);
    }
    story.world.bank.next_transfer(TransferAnswer::Pending);
    story.skim(app.test_transfer(&rebind)).await;
    story.settle_transfer(TransferAnswer::Succeeded);
    story.world.pass_s(POLICY.cooldown_lost_s);
    let app = story.logged_in().await;
    // Its notification stays unsent.
    let target = json!({"platform": "apns", "token": "a-token"});
    let put = story.skim(app.put("/v1/push-targets/phone", target)).await;
    assert_eq!(put.status, 204, "{:?}", put.body);
    story.skim(app.request(SECOND_CARD)).await;
    story.world.pass_s(4 * DAY_S);
    let work = Work::CleanUp { thorough: true };
    let outcome = story.step("clean-up, everything", work).await;
    for what in [
        "expired",
        "completed",
        "cooldowns_ended",
        "cards_removed",
        "payouts_assigned",
        "bank_answers",
        "notices_rearmed",
    ] {
        assert!(
            outcome.body[what].as_u64() > Some(0),
            "{what}: {:?}",
            outcome.body
        );
    }
    story.deliver("deliver, rearmed").await;
}

/// Lost replies, and the answers that the clean-up obtains later.
async fn lost_bank_answers(story: &Story) {
    let app = story.logged_in().await;
    let rebind = story.skim(app.to_card_pending(GOOD_CARD)).await;
    story.world.bank.script([None]);
    let unknown = story.skim(app.check_card(&rebind)).await;
    unknown.is(502, "UPSTREAM_UNKNOWN");
    let serial = story.world.bank.serials().pop().unwrap();
    story.world.bank.decide(&serial, BankAnswer::DEBIT_MATCH);
    story.world.pass_s(5 * MINUTE_S);
    story.clean_up("clean-up, hears of a match").await;
    let after = app.check_card(&rebind);
    story.noted("after the clean-up", after).await;
    story.skim(app.cancel(&rebind)).await;
    story.world.pass_s(GAP_S);
    let rebind = story.skim(app.to_card_pending(SECOND_CARD)).await;
    story.script_deposit(TransferAnswer::Pending);
    story.skim(app.check_card(&rebind)).await;
    story.world.pass_s(5 * MINUTE_S);
    story.clean_up("clean-up, deposit on its way").await;
    story.settle_transfer(TransferAnswer::Returned);
    story.world.pass_s(5 * MINUTE_S);
    let run = story.clean_up("clean-up, deposit returned").await;
    assert_eq!(run["bank_answers"], 1, "{run:?}");
}
