//! The walk through every step of every flow.

use anchor::Outcome;
use domain::decide::BankAnswer;
use domain::policy::{DAY_S, Policy};
use domain::transfer::TransferAnswer;
use serde_json::{Value, json};
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD, merchant};
use tests::metrics::metric_in_bytes;
use tests::operators::{SUPPORT, call};
use tests::secrets::{Kind, Secrets};
use tests::transport::{Reply, code_in, freeze_code_in, is_otp};
use transparency::history::Entry;
use transparency::merkle::leaf_hash;

pub const POLICY: &Policy = &Policy::CURRENT;
const THIRD_CARD: &str = "6228480000009001744";

/// A world, its merchants, and every secret that they have used.
pub struct Walk {
    pub world: Arc<InProcess>,
    pub secrets: Secrets,
}

impl Walk {
    /// From login to a change that is undone a day later.
    pub async fn through_everything() -> Self {
        let walk = Self {
            world: InProcess::start().await,
            secrets: Secrets::default(),
        };
        walk.sessions().await;
        walk.a_card_is_changed().await;
        walk.codes_that_do_not_arrive().await;
        walk.standby_cards().await;
        walk.money().await;
        walk.a_freeze().await;
        walk.what_time_brings().await;
        walk.what_is_undone_late().await;
        walk.operators().await;
        walk.events_are_published().await;
        walk.the_log().await;
        walk
    }

    pub async fn app(&self, name: &str) -> App {
        // One phone receives the OTPs for all their cards, and no two within a minute.
        self.world.pass_s(POLICY.code_gap_s);
        let app = self.world.log_in(name).await;
        self.secrets.add(Kind::Password, &app.profile.password);
        self.secrets
            .add(Kind::IdNumber, &app.profile.document_number);
        self.secrets.add(Kind::Token, &app.token);
        app
    }

    /// Records a card number as used.
    pub fn card<'n>(&self, number: &'n str) -> &'n str {
        self.secrets.add(Kind::CardNumber, number);
        number
    }

    /// Logins that succeed and fail, and a logout.
    async fn sessions(&self) {
        let merchant = merchant("plain_1");
        let mut typed =
            json!({"account": merchant.account, "password": "something else", "device_id": "new"});
        self.secrets.add(Kind::Password, "something else");
        let event = self.world.event("POST", "/v1/sessions", &[], &typed);
        is(&self.world.send(event).await, 401);
        typed["account"] = json!("nobody");
        let event = self.world.event("POST", "/v1/sessions", &[], &typed);
        is(&self.world.send(event).await, 401);
        self.secrets.add(Kind::DeviceId, "a device's secret");
        let app = self.world.log_in_on("plain_1", "a device's secret").await;
        self.secrets.add(Kind::Token, &app.token);
        is(&app.get("/v1/cards").await, 200);
        is(&app.delete("/v1/sessions").await, 204);
        let again = self.app("plain_1").await; // from a known device
        is(&again.delete("/v1/sessions/current").await, 204);
    }

    /// A whole change, with each step repeated under its key, and requests on an older rebind.
    async fn a_card_is_changed(&self) {
        let app = self.app("plain_1").await;
        let first = app.request(self.card(GOOD_CARD)).await;
        is(&app.keyed("c", &format!("{first}/cancel"), ()).await, 200);
        is(&app.keyed("c", &format!("{first}/cancel"), ()).await, 200);

        let body = app.request_body(GOOD_CARD);
        let created = app.keyed("k", "/v1/rebinds", body.clone()).await;
        is(&created, 201);
        is(&app.keyed("k", "/v1/rebinds", body).await, 201);
        let rebind = format!(
            "/v1/rebinds/{}",
            created.body["rebind_id"].as_str().unwrap()
        );
        for (method, path) in [
            ("POST", format!("{first}/cancel")),
            ("POST", format!("{first}/identity")),
            ("GET", format!("{first}/agreement")),
        ] {
            is(
                &app.call(
                    method,
                    &path,
                    if method == "GET" {
                        Value::Null
                    } else {
                        body_of(&path, &app)
                    },
                )
                .await,
                409,
            );
        }
        for path in [rebind.clone(), "/v1/rebinds".to_owned()] {
            is(&app.get(&path).await, 200);
        }

        is(
            &app.keyed("i", &format!("{rebind}/identity"), app.document())
                .await,
            200,
        );
        let code = json!({"code": self.world.sms.code(&app.profile.phone)});
        let confirm = format!("{rebind}/identity/confirm");
        is(&app.keyed("o", &confirm, code.clone()).await, 200);
        is(&app.keyed("o", &confirm, code).await, 200);
        let signature = app.signature(&rebind).await;
        self.secrets.add(
            Kind::ReadingToken,
            signature["reading_token"].as_str().unwrap(),
        );
        let sign = format!("{rebind}/agreement");
        is(&app.keyed("s", &sign, signature.clone()).await, 200);
        is(&app.keyed("s", &sign, signature).await, 200);
        is(
            &app.keyed("b", &format!("{rebind}/card-check"), ()).await,
            200,
        );
        let code = json!({"code": self.world.sms.code(RESERVED_PHONE)});
        let confirm = format!("{rebind}/card-check/confirm");
        app.keyed("a", &confirm, code).await.is(200, "activated");
        is(
            &app.keyed("t", &format!("{rebind}/test-transaction"), ())
                .await,
            200,
        );
    }

    /// An undelivered OTP is withdrawn, and a deposit's code is read at the bank.
    async fn codes_that_do_not_arrive(&self) {
        let app = self.app("plain_2").await;
        let rebind = app.request(self.card(SECOND_CARD)).await;
        let identity = format!("{rebind}/identity");
        self.world.sms.set_down(true);
        is(&app.keyed("k", &identity, app.document()).await, 503);
        self.world.sms.set_down(false);
        app.identify(&rebind).await;
        app.sign(&rebind).await;
        self.world.bank.script([Some(BankAnswer::NotEnabled)]);
        is(&app.check_card(&rebind).await, 200);
        let code = self.world.bank.deposit_code();
        self.secrets.add(Kind::DepositCode, &code);
        is(&app.try_card_code(&rebind, "AAAAAA").await, 422);
        app.try_card_code(&rebind, &code).await.is(200, "activated");
        // The transfer is returned: the activation is undone, and the card is no longer bound.
        self.world.bank.next_transfer(TransferAnswer::Returned);
        app.test_transfer(&rebind).await.has("status", "failed");
    }

    async fn standby_cards(&self) {
        let app = self.app("plain_3").await;
        let card = app.standby(self.card(THIRD_CARD)).await;
        let unbind = format!("{card}/unbind");
        is(&app.keyed("u", &unbind, ()).await, 204);
        is(&app.keyed("u", &unbind, ()).await, 204);
        let app = self.app("plain_4").await;
        let card = app.standby(self.card("6222020000009001017")).await;
        // When its notification is sent, its rebind is no longer the latest.
        let later = app.request(self.card("6222020000009001090")).await;
        self.world.deliver_due().await;
        is(&app.post(&format!("{later}/cancel"), ()).await, 200);
        self.world.pass_s(POLICY.standby_wait_s);
        let app = self.app("plain_4").await;
        app.switch(&card).await;
    }

    /// Payouts, settings, devices, the history.
    async fn money(&self) {
        let app = self.app("plain_5").await;
        for (payout, owner) in [("pay_1", Some("mer_plain_5")), ("pay_2", None)] {
            let mut sending = json!({"operation": "payout_sending", "payout_id": payout});
            let sent = json!({"operation": "payout_sent", "payout_id": payout});
            let create = json!({"operation": "create_payout", "merchant_id": "mer_plain_5", "payout_id": payout, "amount_fen": 5});
            self.world.core(create).await.unwrap();
            if let Some(owner) = owner {
                sending["merchant_id"] = json!(owner);
            }
            self.world.core(sending).await.unwrap();
            self.world.core(sent).await.unwrap();
        }
        is(&app.get("/v1/payouts").await, 200);
        is(&app.get("/v1/history").await, 200);
        let token = "a-token-that-the-platform-gave-out";
        self.secrets.add(Kind::PushToken, token);
        for (id, platform) in [("phone", "apns"), ("tablet", "fcm")] {
            let target = json!({"platform": platform, "token": token});
            is(
                &app.put(&format!("/v1/push-targets/{id}"), target).await,
                204,
            );
        }
        is(&app.delete("/v1/push-targets/tablet").await, 204);
        let mut settings = app.get("/v1/settlement").await.body;
        settings["payout_time"] = json!("07:30");
        is(
            &app.call_keyed("s", "PUT", "/v1/settlement", settings.clone())
                .await,
            200,
        );
        settings["payout_time"] = json!("25:00");
        is(
            &app.call_keyed("f", "PUT", "/v1/settlement", settings).await,
            400,
        );
        assert_eq!(
            self.world.deliver_due().await,
            json!({"batchItemFailures": []})
        );
        assert!(!self.world.push.all().is_empty());
    }

    /// A freeze in the hold, and one by an older freeze code while another rebind is open.
    async fn a_freeze(&self) {
        let app = self.app("minority_name").await;
        app.activate(self.card("6222020000009001025")).await;
        let code = app.freeze_code().await;
        is(
            &self
                .world
                .freeze(&app.profile.account, "AAAAAAAA", "198.51.100.1")
                .await,
            202,
        );
        is(
            &self
                .world
                .freeze(&app.profile.account, &code, "198.51.100.2")
                .await,
            202,
        );
        let app = self.app("sole_trader").await;
        app.standby(self.card("6222020000009001033")).await;
        let code = app.freeze_code().await;
        app.request(self.card("6222020000009001041")).await;
        is(
            &self
                .world
                .freeze(&app.profile.account, &code, "198.51.100.3")
                .await,
            202,
        );
        for name in ["minority_name", "sole_trader"] {
            assert!(
                self.world.stored(name).await.state.frozen.is_some(),
                "{name}"
            );
        }
    }

    /// The clean-up finds an overdue rebind, an unsent notification, held payouts, an ended hold, an ended cooldown, removable
    /// cards, and an older rebind.
    async fn what_time_brings(&self) {
        let app = self.app("no_card").await;
        let create = json!({"operation": "create_payout", "merchant_id": "mer_no_card", "payout_id": "pay_3", "amount_fen": 5});
        self.world.core(create).await.unwrap();
        app.activate(self.card("6222020000009001058")).await;
        let lost = self.app("young").await;
        lost.activate_with(self.card("6222020000009001066"), json!({"reason": "lost"}))
            .await;
        self.app("id_expiring")
            .await
            .request(self.card("6222020000009001074"))
            .await;
        self.world
            .pass_s(POLICY.hold_lost_s + POLICY.retire_after_effective_s);
        let again = self
            .app("young")
            .await
            .request(self.card("6222020000009001082"))
            .await;
        assert!(again.ends_with(char::is_alphanumeric));
        // The notification of a device's first login stays unsent.
        self.world.log_in_on("plain_2", "another device").await;
        self.world.pass_s(POLICY.notification_retry_s);
        let summary = self.world.clean_up().await;
        assert_eq!(summary.failed, 0, "{summary:?}");
        let done = [
            summary.expired,
            summary.completed,
            summary.cards_removed,
            summary.payouts_assigned,
        ];
        assert!(done.iter().all(|count| *count > 0), "{summary:?}");
        assert!(
            summary.notices_rearmed > 0 && summary.cooldowns_ended > 0,
            "{summary:?}"
        );
        self.world.deliver_due().await;
    }

    /// A pending test transfer is returned, and the clean-up learns of it.
    async fn what_is_undone_late(&self) {
        let app = self.app("plain_5").await;
        let rebind = app.activate(self.card("6222020000009001090")).await;
        self.world.bank.next_transfer(TransferAnswer::Pending);
        app.test_transfer(&rebind).await.has("status", "pending");
        self.world.bank.settle_last(TransferAnswer::Returned);
        self.world.pass_s(DAY_S);
        assert!(self.world.clean_up().await.bank_answers > 0);
        self.world.deliver_due().await;
    }

    /// The stream delivers every event of the walk to the function that publishes them.
    async fn events_are_published(&self) {
        let events = self.world.event_records().await;
        let published = self.world.publish(events).await;
        assert_eq!(published, json!({"batchItemFailures": []}));
    }

    /// The first batch of the log, a second one, and a run that finds nothing.
    async fn the_log(&self) {
        for seq in [1, 2] {
            let event = Entry {
                hash: leaf_hash(b"event"),
                pseudonym: leaf_hash(b"merchant"),
                seq,
            };
            self.world.log.queue.send(event.canonical());
            assert_eq!(self.world.anchor().await.outcome, Outcome::Anchored);
        }
        assert_eq!(self.world.anchor().await.outcome, Outcome::Nothing);
        let app = self.app("plain_1").await;
        let receipt = app.get("/v1/history/receipt").await.ok(200);
        assert!(receipt["proof"].is_object());
        for path in ["merchants/mer_plain_1/receipt", "log"] {
            self.operate(&SUPPORT, call("GET", path), 200).await;
        }
    }

    /// No secret is logged, pushed or published.
    pub fn nothing_secret_is_output(&self, log: &str) {
        for name in [
            "plain_1",
            "plain_2",
            "plain_3",
            "plain_4",
            "plain_5",
            "minority_name",
            "sole_trader",
            "no_card",
            "young",
            "id_expiring",
        ] {
            for text in self.world.sms.to(&merchant(name).phone) {
                self.of_an_sms(&text);
            }
        }
        for text in self.world.sms.to(RESERVED_PHONE) {
            self.of_an_sms(&text);
        }
        let lines: Vec<&str> = log.lines().collect();
        assert!(lines.len() > 150, "{} lines", lines.len());
        let found = |text: &str| self.secrets.found_in(text, &[]);
        for line in &lines {
            assert!(found(&without_clock(line)).is_empty(), "{line}");
        }
        for (_, _, text) in self.world.push.all() {
            assert!(found(&text).is_empty(), "a push: {text}");
        }
        let published = self.world.topic.published();
        assert!(published.len() > 50, "{} events", published.len());
        for event in published {
            assert!(found(&event.to_string()).is_empty(), "{event}");
        }
        for kind in Kind::ALL {
            assert!(
                self.secrets.count(kind) > 0,
                "{kind:?}: no secret was recorded"
            );
        }
        metric_in_bytes(
            "secrets, in process: bytes of logs searched, at every level",
            log.len(),
            0,
        );
    }

    fn of_an_sms(&self, text: &str) {
        if let Some(code) = code_in(text).filter(|_| is_otp(text)) {
            self.secrets.add(Kind::Otp, &code);
        }
        if let Some(code) = freeze_code_in(text) {
            self.secrets.add(Kind::FreezeCode, &code);
        }
    }
}

pub fn is(answer: &Reply, status: u16) {
    assert_eq!(answer.status, status, "{:?}", answer.body);
}

/// The body of a step, by its path.
fn body_of(path: &str, app: &App) -> Value {
    if path.ends_with("/identity") {
        app.document()
    } else {
        Value::Null
    }
}

/// A log line without its time, because a fraction of a second has six digits like an OTP.
fn without_clock(line: &str) -> String {
    let mut line: Value = serde_json::from_str(line).unwrap();
    line.as_object_mut().unwrap().remove("timestamp");
    line.to_string()
}
