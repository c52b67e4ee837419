//! The stories. A step that is taken with faults in one of them is skimmed over in the others.

use crate::story::{Story, Tally, Told, Work};
use domain::decide::BankAnswer;
use domain::policy::{DAY_S, MINUTE_S, Policy};
use domain::transfer::TransferAnswer;
use serde_json::{Value, json};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD, signature_of};
use tests::transport::freeze_code_in;

const POLICY: &Policy = &Policy::CURRENT;
/// The card in use of another merchant.
const TAKEN_CARD: &str = "6222020000008000028";
/// More than a code's gap.
const GAP_S: i64 = POLICY.code_gap_s + 1;

/// All of them.
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
    || run("a month without clean-up", dead_clean_up),
    || run("what the bank did not say", unheard),
];

/// Tells a story from its beginning; returns what it has found.
pub fn run(title: &'static str, tell: impl AsyncFn(&mut Story) + Sync) -> Tally {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build().unwrap();
    let told = || {
        runtime.block_on(async {
            let mut story = Story::begin(title).await;
            tell(&mut story).await;
            story.end()
        })
    };
    std::thread::scope(|scope| {
        // Futures of futures, unoptimised, are too much for the stack of a test.
        let thread = std::thread::Builder::new().stack_size(16 << 20);
        let told = thread.spawn_scoped(scope, told).unwrap().join();
        told.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn path_of(told: &Told) -> String {
    let id = told.body["rebind_id"].as_str();
    format!(
        "/v1/rebinds/{}",
        id.unwrap_or_else(|| panic!("{:?}", told.body))
    )
}

fn wrong(right: &str) -> Value {
    json!({"code": if right == "000000" { "000001" } else { "000000" }})
}

impl Story {
    pub async fn create(&mut self, card: &str, facts: Value) -> String {
        let mut body = json!({
            "card_number": card,
            "holder_name": self.profile.holder_name,
            "reserved_phone": RESERVED_PHONE,
            "reason": "replace",
        });
        for (name, value) in facts.as_object().unwrap() {
            body[name] = value.clone();
        }
        path_of(&self.app("POST rebinds", "/v1/rebinds", body).await)
    }

    fn document(&self) -> Value {
        json!({"document_number": self.profile.document_number, "document_expires_on": self.profile.expires_on})
    }

    fn on_file(&self) -> String {
        self.world.sms.code(&self.profile.phone)
    }

    async fn identify(&mut self, rebind: &str) {
        let document = self.document();
        self.app("POST identity", &format!("{rebind}/identity"), document)
            .await;
        let code = json!({"code": self.on_file()});
        self.app(
            "POST identity/confirm",
            &format!("{rebind}/identity/confirm"),
            code,
        )
        .await;
    }

    async fn sign(&mut self, rebind: &str) {
        let path = format!("{rebind}/agreement");
        let text = self.app("GET agreement", &path, Value::Null).await.body;
        self.pass_s(POLICY.agreement_min_read_s + 1);
        let signature = signature_of(&text, &self.profile.holder_name);
        self.app("POST agreement", &path, signature).await;
    }

    async fn check(&mut self, step: &'static str, rebind: &str) -> Told {
        self.app(step, &format!("{rebind}/card-check"), Value::Null)
            .await
    }

    async fn prove(&mut self, step: &'static str, rebind: &str, code: &str) -> Told {
        let body = json!({"code": code});
        self.app(step, &format!("{rebind}/card-check/confirm"), body)
            .await
    }

    /// The whole way, skimmed.
    pub async fn whole(&mut self, card: &str, facts: Value) -> String {
        let rebind = self.create(card, facts).await;
        self.identify(&rebind).await;
        self.sign(&rebind).await;
        self.check("POST card-check", &rebind).await;
        let code = self.world.sms.code(RESERVED_PHONE);
        let done = self.prove("POST card-check/confirm", &rebind, &code).await;
        assert_eq!(done.status, 200, "{:?}", done.body);
        rebind
    }

    pub async fn payout(&mut self, step: &'static str, operation: &str, id: &str) -> Told {
        let mut work =
            json!({"operation": operation, "merchant_id": "mer_plain_1", "payout_id": id});
        if operation == "create_payout" {
            work["amount_fen"] = json!(1_234);
        }
        self.step(step, Work::Core(work)).await
    }

    async fn deliver(&mut self, step: &'static str) {
        let told = self.step(step, Work::Deliver(self.due_notices())).await;
        assert_eq!(told.status, 200, "{:?}", told.body);
    }

    async fn clean_up(&mut self, step: &'static str) -> Value {
        let told = self.step(step, Work::CleanUp { thorough: false }).await;
        told.body
    }

    fn freeze_code(&self) -> String {
        let texts = self.world.sms.to(&self.profile.phone);
        let mut codes = texts.iter().rev().filter_map(|text| freeze_code_in(text));
        codes.next().expect("a freeze code")
    }

    async fn type_freeze_code(&mut self, step: &'static str, code: &str) {
        let body = json!({"account": self.profile.account, "freeze_code": code});
        let told = self.stranger(step, "/v1/freezes", body).await;
        assert_eq!(told.status, 202, "{:?}", told.body);
    }
}

/// Logins of all kinds, looking around, and the way out.
async fn sessions(story: &mut Story) {
    story.log_in("POST sessions", "device-1").await;
    story
        .log_in("POST sessions, known device", "device-1")
        .await;
    let body = json!({"account": story.profile.account, "password": "a wrong one", "device_id": "device-2"});
    story
        .stranger("POST sessions, wrong password", "/v1/sessions", body)
        .await;
    story.skim();
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.attend();
    for (step, path) in [
        ("GET cards", "/v1/cards"),
        ("GET rebinds", "/v1/rebinds"),
        ("GET rebind", rebind.as_str()),
        ("GET payouts", "/v1/payouts"),
        ("GET settlement", "/v1/settlement"),
        ("GET history", "/v1/history"),
    ] {
        let told = story.app(step, path, Value::Null).await;
        assert_eq!(told.status, 200, "{step}: {:?}", told.body);
    }
    let out = story
        .app("DELETE session", "/v1/sessions/current", Value::Null)
        .await;
    assert_eq!(out.status, 204, "{:?}", out.body);
}

/// A rebind up to its activation, with a wrong document and wrong codes on the way.
pub async fn proofs(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    story.attend();
    let rebind = story.create(GOOD_CARD, json!({})).await;
    let mut mistaken = story.document();
    mistaken["document_expires_on"] = json!("2030-01-01");
    let identity = format!("{rebind}/identity");
    story
        .app("POST identity, wrong document", &identity, mistaken)
        .await;
    let document = story.document();
    story
        .app("POST identity", &identity, document.clone())
        .await;
    story
        .app("POST identity, repeated", &identity, document)
        .await;
    story.pass_s(GAP_S);
    story
        .app(
            "POST identity/code",
            &format!("{rebind}/identity/code"),
            Value::Null,
        )
        .await;
    let confirm = format!("{rebind}/identity/confirm");
    let right = story.on_file();
    story
        .app("POST identity/confirm, wrong", &confirm, wrong(&right))
        .await;
    story
        .app("POST identity/confirm", &confirm, json!({"code": right}))
        .await;
    story.sign(&rebind).await;
    story.check("POST card-check", &rebind).await;
    story.check("POST card-check, repeated", &rebind).await;
    story.pass_s(GAP_S);
    let refresh = format!("{rebind}/identity/code");
    story
        .app("POST identity/code, refresh", &refresh, Value::Null)
        .await;
    let right = json!({"code": story.on_file()});
    story
        .app("POST identity/confirm, refresh", &confirm, right)
        .await;
    story
        .app(
            "POST card-check/code",
            &format!("{rebind}/card-check/code"),
            Value::Null,
        )
        .await;
    let right = story.world.sms.code(RESERVED_PHONE);
    let guess = wrong(&right)["code"].as_str().unwrap().to_owned();
    story
        .prove("POST card-check/confirm, wrong", &rebind, &guess)
        .await;
    let done = story
        .prove("POST card-check/confirm", &rebind, &right)
        .await;
    assert_eq!(done.body["state"], "activated", "{:?}", done.body);
}

/// What follows an activation: payouts, devices, settings, notices, and the clean-up up to the end of the cooldown.
async fn activated_card(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    story.attend();
    let target = json!({"platform": "apns", "token": "a-token"});
    story
        .app("PUT push-target", "/v1/push-targets/phone", target)
        .await;
    let target = json!({"platform": "apns", "token": "another-token"});
    story
        .app(
            "PUT push-target, replaced",
            "/v1/push-targets/phone",
            target,
        )
        .await;
    story.skim();
    let old = story
        .world
        .stored("plain_1")
        .await
        .head
        .active
        .unwrap()
        .card
        .card_id;
    let rebind = story.whole(GOOD_CARD, json!({})).await;
    story.attend();
    story.deliver("deliver, activation").await;
    story
        .payout("create_payout, in the hold", "create_payout", "pay_1")
        .await;
    story.skim();
    story
        .payout("create_payout", "create_payout", "pay_2")
        .await;
    story.attend();
    let test = format!("{rebind}/test-transaction");
    story
        .world
        .bank
        .script_transfers([Some(TransferAnswer::Pending)]);
    story.app("POST test-transaction", &test, Value::Null).await;
    let serial = story.world.bank.transfers().pop().unwrap().serial;
    story.world.bank.settle(&serial, TransferAnswer::Succeeded);
    story
        .app("POST test-transaction, asked again", &test, Value::Null)
        .await;
    story
        .app("POST test-transaction, repeated", &test, Value::Null)
        .await;
    story.payout("payout_sent", "payout_sent", "pay_1").await;
    story
        .payout("payout_returned", "payout_returned", "pay_2")
        .await;
    story
        .payout(
            "payout_returned, after it was sent",
            "payout_returned",
            "pay_1",
        )
        .await;
    let mut settings = story
        .app("GET settlement", "/v1/settlement", Value::Null)
        .await
        .body;
    settings["payout_time"] = json!("12:34");
    story
        .app("PUT settlement", "/v1/settlement", settings)
        .await;
    story.deliver("deliver, settings").await;
    story
        .app("DELETE push-target", "/v1/push-targets/phone", Value::Null)
        .await;
    story.pass_s(POLICY.hold_s);
    story
        .clean_up("clean-up, completes and asks the bank")
        .await;
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    story
        .payout("create_payout", "create_payout", "pay_3")
        .await;
    story.payout("payout_sent", "payout_sent", "pay_3").await;
    story.attend();
    story.pass_s(POLICY.retire_after_effective_s);
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    story.attend();
    story
        .app(
            "POST unbind, replaced card",
            &format!("/v1/cards/{old}/unbind"),
            Value::Null,
        )
        .await;
    story.clean_up("clean-up, removes a card").await;
    story.pass_s(POLICY.cooldown_s);
    story.clean_up("clean-up, ends a cooldown").await;
    story.deliver("deliver, end of a cooldown").await;
}

/// A card whose bank cannot be asked.
async fn micro_deposit(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.sign(&rebind).await;
    story.attend();
    story.world.bank.script([Some(BankAnswer::NotEnabled)]);
    story
        .world
        .bank
        .script_transfers([Some(TransferAnswer::Pending)]);
    story.check("POST card-check, deposit", &rebind).await;
    story
        .check("POST card-check, deposit repeated", &rebind)
        .await;
    let right = story.world.bank.deposit_code();
    story
        .prove(
            "POST card-check/confirm, deposit on its way",
            &rebind,
            &right,
        )
        .await;
    let serial = story.world.bank.transfers().pop().unwrap().serial;
    story.world.bank.settle(&serial, TransferAnswer::Succeeded);
    story
        .prove("POST card-check/confirm, deposit wrong", &rebind, "AAAAAA")
        .await;
    let done = story
        .prove("POST card-check/confirm, deposit", &rebind, &right)
        .await;
    assert_eq!(done.body["state"], "activated", "{:?}", done.body);
    story.deliver("deliver, activation by deposit").await;
}

/// A card for later, the switch to it, and another that is taken off.
async fn standby(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    let rebind = story.create(GOOD_CARD, json!({"activate": false})).await;
    story.identify(&rebind).await;
    story.sign(&rebind).await;
    story.check("POST card-check", &rebind).await;
    story.attend();
    let code = story.world.sms.code(RESERVED_PHONE);
    let done = story
        .prove("POST card-check/confirm, standby", &rebind, &code)
        .await;
    assert_eq!(done.body["state"], "completed", "{:?}", done.body);
    story.deliver("deliver, standby").await;
    let card = format!(
        "/v1/cards/{}",
        done.body["new_card"]["card_id"].as_str().unwrap()
    );
    story.skim();
    story.pass_s(GAP_S);
    let rebind = story.whole(SECOND_CARD, json!({"activate": false})).await;
    let shown = story.app("GET rebind", &rebind, Value::Null).await;
    let second = format!(
        "/v1/cards/{}",
        shown.body["new_card"]["card_id"].as_str().unwrap()
    );
    story.pass_s(POLICY.standby_wait_s);
    story.log_in("POST sessions", "device-1").await;
    story.attend();
    story
        .app(
            "POST unbind, standby card",
            &format!("{second}/unbind"),
            Value::Null,
        )
        .await;
    let activate = format!("{card}/activate");
    story.app("POST activate", &activate, Value::Null).await;
    story
        .app("POST activate, repeated", &activate, Value::Null)
        .await;
    let right = story.on_file();
    story
        .app("POST activate, wrong code", &activate, wrong(&right))
        .await;
    let done = story
        .app("POST activate, code", &activate, json!({"code": right}))
        .await;
    assert_eq!(done.body["state"], "activated", "{:?}", done.body);
    story.deliver("deliver, switch").await;
    story.clean_up("clean-up, removes an unbound card").await;
}

/// Rebinds that come to nothing by the merchant, by time, and by a transfer that comes back.
async fn ends(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.attend();
    story
        .app(
            "POST cancel, at once",
            &format!("{rebind}/cancel"),
            Value::Null,
        )
        .await;
    story.skim();
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.attend();
    story
        .app(
            "POST cancel, identified",
            &format!("{rebind}/cancel"),
            Value::Null,
        )
        .await;
    story.skim();
    story.pass_s(GAP_S);
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.pass_s(POLICY.rebind_life_s);
    story.log_in("POST sessions", "device-1").await;
    story.attend();
    story.create(GOOD_CARD, json!({})).await;
    story.pass_s(POLICY.rebind_life_s);
    story.clean_up("clean-up, expires two").await;
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    let rebind = story.whole(GOOD_CARD, json!({})).await;
    story.deliver("deliver, activation").await;
    story.attend();
    story
        .world
        .bank
        .script_transfers([Some(TransferAnswer::Returned)]);
    let test = format!("{rebind}/test-transaction");
    let failed = story
        .app("POST test-transaction, returned", &test, Value::Null)
        .await;
    assert_eq!(failed.body["status"], "failed", "{:?}", failed.body);
    story.deliver("deliver, revert").await;
    story
        .clean_up("clean-up, removes a card that was sent back")
        .await;
}

/// Rebinds that are refused for good.
async fn refusals(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.sign(&rebind).await;
    story.attend();
    story.world.bank.script([Some(BankAnswer::Mismatch)]);
    story.check("POST card-check, mismatch", &rebind).await;
    story.skim();
    story.pass_s(GAP_S);
    let rebind = story.create(TAKEN_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.sign(&rebind).await;
    story.attend();
    let taken = story
        .check("POST card-check, bound elsewhere", &rebind)
        .await;
    assert_eq!(taken.code(), "CARD_BOUND_ELSEWHERE", "{:?}", taken.body);
    story.skim();
    story.pass_s(GAP_S);
    let rebind = story.create(GOOD_CARD, json!({})).await;
    let document = story.document();
    story
        .app("POST identity", &format!("{rebind}/identity"), document)
        .await;
    let guess = wrong(&story.on_file());
    let confirm = format!("{rebind}/identity/confirm");
    for _ in 1..POLICY.code_tries {
        story
            .app("POST identity/confirm, wrong", &confirm, guess.clone())
            .await;
    }
    story.attend();
    let last = story
        .app("POST identity/confirm, last wrong", &confirm, guess)
        .await;
    assert_eq!(last.code(), "OTP_TOO_MANY", "{:?}", last.body);
    story.deliver("deliver, rejection").await;
    story.skim();
    story.pass_s(GAP_S);
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.sign(&rebind).await;
    story.attend();
    story.world.bank.script([Some(BankAnswer::NotEnabled)]);
    story
        .world
        .bank
        .script_transfers([Some(TransferAnswer::Returned)]);
    story
        .check("POST card-check, deposit returned", &rebind)
        .await;
}

/// The old contact freezes: a wrong code, the right one in the hold.
async fn freeze(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    story.whole(GOOD_CARD, json!({})).await;
    story.deliver("deliver, activation").await;
    story
        .payout("create_payout", "create_payout", "pay_1")
        .await;
    story.attend();
    story
        .type_freeze_code("POST freezes, wrong", "AAAAAAAA")
        .await;
    let code = story.freeze_code();
    story.type_freeze_code("POST freezes", &code).await;
    story.deliver("deliver, freeze").await;
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    story.attend();
    story
        .app("GET cards, frozen", "/v1/cards", Value::Null)
        .await;
    story.clean_up("clean-up, removes a frozen card").await;
}

/// A freeze when the change has taken effect: every payout waits, and another rebind's card goes.
async fn late_freeze(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    story.whole(GOOD_CARD, json!({"activate": false})).await;
    story.deliver("deliver, standby").await;
    let of_standby = story.freeze_code();
    story.pass_s(GAP_S);
    story.whole(SECOND_CARD, json!({})).await;
    story.deliver("deliver, activation").await;
    story.pass_s(POLICY.hold_s);
    story
        .payout("create_payout", "create_payout", "pay_1")
        .await;
    story.attend();
    story
        .type_freeze_code("POST freezes, older rebind", &of_standby)
        .await;
    story
        .payout("create_payout, held", "create_payout", "pay_2")
        .await;
    story
        .payout("payout_sent, frozen", "payout_sent", "pay_1")
        .await;
    story
        .payout("payout_returned, held", "payout_returned", "pay_2")
        .await;
    story.clean_up("clean-up, frozen").await;
}

/// Everything that a clean-up does, in one run, after a month without any.
async fn dead_clean_up(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    let rebind = story.whole(GOOD_CARD, json!({"reason": "lost"})).await;
    for id in ["pay_1", "pay_2"] {
        let held = story.payout("create_payout", "create_payout", id).await;
        assert_eq!(held.body["held"], true, "{:?}", held.body);
    }
    story
        .world
        .bank
        .script_transfers([Some(TransferAnswer::Pending)]);
    story
        .app(
            "POST test-transaction",
            &format!("{rebind}/test-transaction"),
            Value::Null,
        )
        .await;
    let serial = story.world.bank.transfers().pop().unwrap().serial;
    story.world.bank.settle(&serial, TransferAnswer::Succeeded);
    story.pass_s(POLICY.cooldown_lost_s);
    story.log_in("POST sessions", "device-1").await;
    story.create(SECOND_CARD, json!({})).await;
    story.pass_s(2 * DAY_S);
    story.attend();
    let told = story
        .step("clean-up, everything", Work::CleanUp { thorough: true })
        .await;
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
            told.body[what].as_u64() > Some(0),
            "{what}: {:?}",
            told.body
        );
    }
    story.deliver("deliver, rearmed").await;
}

/// Answers that were lost, and what the clean-up hears of them.
async fn unheard(story: &mut Story) {
    story.skim();
    story.log_in("POST sessions", "device-1").await;
    let rebind = story.create(GOOD_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.sign(&rebind).await;
    story.world.bank.script([None]);
    let unknown = story.check("POST card-check", &rebind).await;
    assert_eq!(unknown.code(), "UPSTREAM_UNKNOWN", "{:?}", unknown.body);
    let serial = story.world.bank.serials().pop().unwrap();
    story.world.bank.decide(&serial, BankAnswer::Match);
    story.pass_s(5 * MINUTE_S);
    story.attend();
    story.clean_up("clean-up, hears of a match").await;
    story
        .check("POST card-check, after the clean-up", &rebind)
        .await;
    story.skim();
    story
        .app("POST cancel", &format!("{rebind}/cancel"), Value::Null)
        .await;
    story.pass_s(GAP_S);
    let rebind = story.create(SECOND_CARD, json!({})).await;
    story.identify(&rebind).await;
    story.sign(&rebind).await;
    story.world.bank.script([Some(BankAnswer::NotEnabled)]);
    story
        .world
        .bank
        .script_transfers([Some(TransferAnswer::Pending)]);
    story.check("POST card-check, deposit", &rebind).await;
    story.pass_s(5 * MINUTE_S);
    story.attend();
    story.clean_up("clean-up, deposit on its way").await;
    let serial = story.world.bank.transfers().pop().unwrap().serial;
    story.world.bank.settle(&serial, TransferAnswer::Returned);
    story.pass_s(5 * MINUTE_S);
    let told = story.clean_up("clean-up, deposit returned").await;
    assert_eq!(told["bank_answers"], 1, "{told:?}");
}
