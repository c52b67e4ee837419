//! Merchants, a stream, its host, and virtual time.

use crate::sns::{Clock, Sns, Weather};
use crate::stream::{TableStream, reached};
use application::stream::StreamEvent;
use aws_sdk_dynamodb::types::{AttributeValue, Select, StreamSpecification, StreamViewType};
use confirmation_notice::ConfirmationNotice;
use cooldown_cleanup::{CooldownCleanup, ScheduleEvent, Summary};
use domain::policy::{MINUTE_S, Policy};
use domain::time::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::time::{Duration, Instant};
use store::client::DynamoDb;
use tests::in_process::InProcess;
use tests::merchant::Profile;
use tests::scripted_peers::{MemoryKeys, ScriptedBank};
use tests::stream_host::{Delivery, Ended, Host, Mapping, Retries};

pub const MERCHANTS: [&str; 5] = ["plain_1", "plain_2", "plain_3", "plain_4", "plain_5"];
/// The function's name in the template.
pub const FUNCTION: &str = "ConfirmationNoticeFunction";
pub const CLEAN_UP_EVERY_S: i64 = 5 * MINUTE_S;
/// Maximum wait after the stream has given up: the retry time, then the next clean-up.
pub const REARMED_WITHIN_S: i64 =
    Policy::CURRENT.notification_retry_s + CLEAN_UP_EVERY_S + 2 * MINUTE_S;
/// Maximum time that an undeliverable record occupies its shard.
pub const RETRIED_WITHIN_S: i64 = 2 * MINUTE_S;
/// Both behaviours that AWS permits.
pub const BOTH: [Retries; 2] = [Retries::Reset, Retries::Decremented];

pub type Item = HashMap<String, AttributeValue>;

/// Merchants who have each changed a card and a setting, with every notification still pending.
pub struct Scene {
    pub world: Arc<InProcess>,
    pub database: dynoxide::Database,
    pub stream: TableStream,
    pub host: Host,
    pub sns: Sns,
    notice: ConfirmationNotice<DynamoDb, MemoryKeys, Sns, Sns>,
    cleanup: CooldownCleanup<DynamoDb, ScriptedBank>,
    pub clock: Clock,
    clean_up_at: Timestamp,
    pub given_up: u32,
    /// If true, the function is not invoked.
    pub is_stalled: bool,
    /// The beginning of the current delivery.
    pub since: Timestamp,
    /// The events that carry notifications.
    pub events: Vec<Item>,
    /// All other items, as they were at the start.
    others: Vec<Item>,
}

/// The result of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub struct Outcome {
    pub messages: usize,
    pub unsent: usize,
    pub twice: usize,
}

impl Scene {
    pub async fn start(merchants: &[&str]) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let database = dynoxide::Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        let world = InProcess::reached(|config| reached(config, &url), "sandbox").await;
        let mapping = Mapping::of(FUNCTION);
        for name in merchants {
            register_push_targets(&world, name).await;
        }
        // The notifications of the push targets are no part of the scene: they are sent before the stream begins.
        assert_eq!(world.deliver_due().await, json!({"batchItemFailures": []}));
        let arn = enable_stream(&world, &mapping).await;
        for (number, name) in merchants.iter().enumerate() {
            change_setting_and_card(&world, name, number).await;
        }
        let clock = Clock(Arc::new(AtomicI64::new(world.now().epoch_s())));
        let sns = Sns::over(&world, &clock);
        let (store, keys) = (world.store(), world.keys());
        let mut scene = Self {
            stream: TableStream::open(&url, &arn).await,
            host: Host::new(mapping, Retries::Decremented, 1, 1),
            notice: ConfirmationNotice::new(store, keys, sns.clone(), sns.clone(), false),
            cleanup: CooldownCleanup::new(world.store(), world.bank.clone(), true),
            sns,
            clean_up_at: clock.now().plus_s(CLEAN_UP_EVERY_S),
            since: clock.now(),
            clock,
            given_up: 0,
            is_stalled: false,
            events: Vec::new(),
            others: Vec::new(),
            database,
            world,
        };
        scene.events = scene.notifications().await;
        let is_pending = |event: &Item| event["notice"].as_s().unwrap() == "due";
        scene.events.retain(is_pending);
        scene.others = scene.others().await;
        scene
    }

    /// The events with a notification, pending or sent.
    pub async fn notifications(&self) -> Vec<Item> {
        let scan = self.world.client.scan().table_name(&self.world.table);
        let scan = scan.filter_expression("attribute_exists(notice)");
        scan.send().await.unwrap().items.unwrap_or_default()
    }

    /// All items but the events with a notification.
    async fn others(&self) -> Vec<Item> {
        let mut items = self.world.items().await;
        items.retain(|item| !item.contains_key("notice"));
        items
    }

    /// Undoes the hand-over of the notifications, which changes the merchants.
    async fn restore(&self) {
        let now = self.others().await;
        let is_same =
            |one: &Item, other: &Item| one["pk"] == other["pk"] && one["sk"] == other["sk"];
        for new in &now {
            if !self.others.iter().any(|item| is_same(item, new)) {
                let delete = self.world.client.delete_item();
                let delete = delete.table_name(&self.world.table);
                let keys = ["pk", "sk"].map(|name| (name.to_owned(), new[name].clone()));
                delete.set_key(Some(keys.into())).send().await.unwrap();
            }
        }
        for item in &self.others {
            if !now.contains(item) {
                self.world.put_item(item.clone()).await;
            }
        }
    }

    /// Starts over: writes the events in their original, pending form, which brings them into the stream again.
    pub async fn again(&mut self, retries: Retries, shards: usize, seed: u64) {
        let events = self.events.clone();
        self.again_with(&events, retries, shards, seed).await;
    }

    /// Starts over with changed events.
    pub async fn again_with(
        &mut self,
        events: &[Item],
        retries: Retries,
        shards: usize,
        seed: u64,
    ) {
        self.restore().await;
        // Skips the records that the previous run left in the stream.
        let _ = self.stream.read(self.clock.now()).await;
        let mapping = Mapping::of(FUNCTION);
        self.host = Host::new(mapping, retries, shards, seed);
        self.sns.set(Weather::Fine);
        self.sns.messages.lock().unwrap().clear();
        self.since = self.clock.now();
        self.clean_up_at = self.since.plus_s(CLEAN_UP_EVERY_S);
        self.given_up = 0;
        for event in events {
            let mut event = event.clone();
            let due_at = self.since.plus_s(Policy::CURRENT.notification_retry_s);
            let due_at = AttributeValue::N(due_at.epoch_s().to_string());
            event.insert("due_at".to_owned(), due_at);
            self.put(event).await;
        }
    }

    pub async fn put(&self, item: Item) {
        let put = self.world.client.put_item().table_name(&self.world.table);
        put.set_item(Some(item)).send().await.unwrap();
    }

    /// Moves written records to the host.
    pub async fn feed(&mut self) {
        for record in self.stream.read(self.clock.now()).await {
            self.host.add(record);
        }
    }

    /// Lets time pass, with all retries and clean-ups that fall due.
    pub async fn pass_s(&mut self, seconds: i64) {
        let until = self.clock.now().plus_s(seconds);
        loop {
            self.feed().await;
            let now = self.clock.now();
            if now >= self.clean_up_at {
                // An idle run makes 52 queries, and there are many runs.
                if self.is_anything_due().await {
                    self.clean_up().await;
                }
                self.clean_up_at = now.plus_s(CLEAN_UP_EVERY_S);
            } else if let Some(delivery) = self.next() {
                self.invoke(delivery).await;
            } else if now >= until {
                return;
            } else {
                let retry_at = self.host.wakes_at().filter(|_| !self.is_stalled);
                let next = retry_at.unwrap_or(until).min(until).min(self.clean_up_at);
                self.clock.wait_until(next);
            }
        }
    }

    /// Lets time pass until nothing is pending, at most this long, then until after one more clean-up.
    pub async fn settle(&mut self, within_s: i64) {
        let until = self.clock.now().plus_s(within_s);
        while self.clock.now() < until && self.is_anybody_waiting().await {
            self.pass_s(CLEAN_UP_EVERY_S).await;
        }
        self.pass_s(CLEAN_UP_EVERY_S).await;
    }

    async fn is_anything_due(&self) -> bool {
        let scan = self.world.client.scan().table_name(&self.world.table);
        let now = AttributeValue::N(self.clock.now().epoch_s().to_string());
        let scan = scan
            .filter_expression("due_at <= :now")
            .expression_attribute_values(":now", now);
        scan.select(Select::Count).send().await.unwrap().count > 0
    }

    pub fn next(&mut self) -> Option<Delivery> {
        if self.is_stalled {
            return None;
        }
        self.host.next(self.clock.now())
    }

    pub async fn invoke(&mut self, delivery: Delivery) {
        let ended = self.handle(&delivery).await;
        self.host.finish(delivery, &ended, self.clock.now());
    }

    pub async fn handle(&self, delivery: &Delivery) -> Ended {
        let deadline = self.clock.now().plus_s(self.host.mapping.timeout_s);
        *self.sns.deadline.lock().unwrap() = deadline;
        self.clock.pass_s(1);
        let event: StreamEvent = serde_json::from_value(delivery.event()).unwrap();
        tokio::select! {
            biased;
            reply = self.notice.handle(event, || self.clock.now()) => {
                Ended::Replied(serde_json::to_value(reply).unwrap())
            }
            () = self.sns.died.notified() => Ended::Failed,
        }
    }

    async fn clean_up(&mut self) {
        self.given_up += self.run_clean_up().await.notices_given_up;
    }

    pub async fn run_clean_up(&self) -> Summary {
        let now = self.clock.now();
        let event = json!({"time": now.to_rfc3339_shanghai()});
        let event: ScheduleEvent = serde_json::from_value(event).unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let summary = self
            .cleanup
            .run(&event, now, deadline, "run")
            .await
            .unwrap();
        assert_eq!((summary.failed, summary.stopped_early), (0, false));
        summary
    }

    /// The recipients of these events, with the number of messages for each.
    fn expected_messages<'e>(
        &self,
        events: impl IntoIterator<Item = &'e Item>,
    ) -> BTreeMap<String, usize> {
        let mut expected = BTreeMap::new();
        for event in events {
            if event.contains_key("to_on_file") {
                let id = event["pk"].as_s().unwrap().strip_prefix("M#").unwrap();
                let phone = Profile::sandbox(id).phone;
                *expected.entry(phone).or_default() += 1;
            }
            if let Some(phone) = event.get("to_reserved") {
                *expected.entry(phone.as_s().unwrap().clone()).or_default() += 1;
            }
            if event.contains_key("to_push") {
                for token in tokens(event["pk"].as_s().unwrap().strip_prefix("M#mer_").unwrap()) {
                    *expected.entry(token).or_default() += 1;
                }
            }
        }
        expected
    }

    /// Compares the sent messages with these events.
    pub fn outcome_of<'e>(&self, events: impl IntoIterator<Item = &'e Item>) -> Outcome {
        let expected = self.expected_messages(events);
        let messages = self.sns.messages.lock().unwrap();
        let mut outcome = Outcome {
            messages: expected.values().sum(),
            unsent: 0,
            twice: 0,
        };
        for (phone, wanted) in expected {
            let texts = messages.iter().filter(|(_, to, _)| *to == phone);
            let texts: Vec<&String> = texts.map(|(_, _, text)| text).collect();
            let different: BTreeSet<&&String> = texts.iter().collect();
            assert!(different.len() <= wanted, "{phone} received {different:?}");
            outcome.unsent += wanted - different.len();
            outcome.twice += texts.len() - different.len();
        }
        outcome
    }

    pub fn outcome(&self) -> Outcome {
        self.outcome_of(&self.events)
    }

    /// The longest wait of a message.
    pub fn longest_wait_s(&self) -> i64 {
        let messages = self.sns.messages.lock().unwrap();
        let waits = messages.iter().map(|(at, _, _)| self.since.age_s_at(*at));
        waits.max().unwrap_or(0)
    }

    async fn is_anybody_waiting(&self) -> bool {
        let notifications = self.notifications().await;
        let mut states = notifications
            .iter()
            .map(|item| item["notice"].as_s().unwrap());
        states.any(|state| !["sent", "given up"].contains(&state.as_str()))
    }

    /// Asserts that every message was sent and nothing is left to do.
    pub async fn assert_done(&self, twice: usize) -> usize {
        let outcome = self.outcome();
        let expected = Outcome {
            unsent: 0,
            twice,
            ..outcome
        };
        assert_eq!(outcome, expected);
        for notification in self.notifications().await {
            assert_eq!(notification["notice"].as_s().unwrap(), "sent");
            for name in [
                "to_on_file",
                "to_previous",
                "to_reserved",
                "to_push",
                "awaited",
            ] {
                assert!(!notification.contains_key(name), "{name} is still stored");
            }
            // Only an activation is reminded of.
            let is_reminded = notification["kind"].as_s().unwrap() == "activated";
            for name in ["due_at", "due_bucket", "reminder"] {
                assert_eq!(notification.contains_key(name), is_reminded, "{name}");
            }
        }
        assert_eq!(self.given_up, 0);
        outcome.messages
    }
}

/// The devices of a merchant.
fn tokens(name: &str) -> Vec<String> {
    let devices = if name == "plain_1" { 2 } else { 1 };
    (0..devices)
        .map(|device| format!("token-{name}-{device}"))
        .collect()
}

async fn enable_stream(world: &Arc<InProcess>, mapping: &Mapping) -> String {
    let specification = StreamSpecification::builder()
        .stream_enabled(true)
        .stream_view_type(StreamViewType::from(mapping.view.as_str()))
        .build()
        .unwrap();
    let table = world.client.update_table().table_name(&world.table);
    let updated = table.stream_specification(specification).send().await;
    let description = updated.unwrap().table_description.unwrap();
    description.latest_stream_arn.unwrap()
}

/// A card number for each merchant, with a check digit.
fn card_number(number: usize) -> String {
    let digits = format!("622202000000{:06}", 900_100 + number);
    let sum: u32 = digits
        .chars()
        .rev()
        .enumerate()
        .map(|(place, digit)| {
            let digit = digit.to_digit(10).unwrap();
            let doubled = if place % 2 == 0 { digit * 2 } else { digit };
            doubled / 10 + doubled % 10
        })
        .sum();
    format!("{digits}{}", (10 - sum % 10) % 10)
}

async fn register_push_targets(world: &Arc<InProcess>, name: &str) {
    let app = world.log_in(name).await;
    for token in tokens(name) {
        let path = format!("/v1/push-targets/{token}");
        let put = app.put(&path, json!({"platform": "apns", "token": token}));
        put.await.ok(204);
    }
}

async fn change_setting_and_card(world: &Arc<InProcess>, name: &str, number: usize) {
    let app = world.log_in(name).await;
    let mut settings = app.get("/v1/settlement").await.body;
    settings["payout_time"] = json!(format!("12:{number:02}"));
    app.put("/v1/settlement", settings).await.ok(200);
    let reserved = format!("+861370000{number:04}");
    let rebind = app
        .request_with(&card_number(number), json!({"reserved_phone": reserved}))
        .await;
    app.identify(&rebind).await;
    app.sign(&rebind).await;
    let check = format!("{rebind}/card-check");
    app.post(&check, ()).await.ok(200);
    app.try_card_code(&rebind, &world.sms.code(&reserved))
        .await
        .is(200, "activated");
}
