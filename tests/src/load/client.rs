//! One of many clients. Each has its own merchant, who rebinds repeatedly, a month apart by the merchant's own clock.

use super::marks::Marks;
use crate::merchant::{Merchant, Profile, card_path, luhn, wrong_otp};
use crate::processes::Processes;
use crate::transport::{HttpCall, Reply, Transport};
use domain::event_kind::EventKind;
use domain::history::Recorded;
use domain::notification::{Recipient, notification};
use domain::policy::{DAY_S, HOUR_S};
use domain::time::Timestamp;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The maximum number of attempts for a request under concurrent writes.
const ATTEMPTS_MAX: usize = 10;

/// A client's transport until a deadline. Records the acknowledged events.
pub struct Acknowledging {
    system: Arc<Processes>,
    marks: Arc<Marks>,
    source: String,
    deadline: Instant,
    over: Notify,
    requests: AtomicU32,
    acknowledged: Mutex<Vec<&'static str>>,
}

impl Acknowledging {
    /// The transport of the `number`-th client.
    #[must_use]
    pub fn new(system: Arc<Processes>, marks: Arc<Marks>, number: u32, deadline: Instant) -> Self {
        Self {
            system,
            marks,
            source: format!("198.51.{}.{}", number / 250, number % 250 + 1),
            deadline,
            over: Notify::new(),
            requests: AtomicU32::new(0),
            acknowledged: Mutex::default(),
        }
    }

    /// The acknowledged events, oldest first.
    #[must_use]
    pub fn acknowledged(&self) -> Vec<&'static str> {
        self.acknowledged.lock().unwrap().clone()
    }

    /// Sends nothing after the deadline: the client stops between two requests.
    async fn stop_in_time(&self) {
        if Instant::now() >= self.deadline {
            self.over.notify_one();
            std::future::pending::<()>().await;
        }
    }

    async fn timed(&self, route: &str, request: &HttpCall) -> Reply {
        let started = Instant::now();
        let reply = self.system.http(request.clone()).await;
        self.marks.note(route, started.elapsed());
        reply
    }
}

/// The events acknowledged by a reply.
fn events(route: &str, reply: &Reply) -> &'static [&'static str] {
    let is_activated = reply.state() == "activated";
    match (reply.status, route) {
        (201, "POST /v1/rebinds") => &["rebind_requested"],
        (200, "POST /v1/rebinds/{id}/cancel") => &["cancelled"],
        (200, "POST /v1/rebinds/{id}/identity") => &["identity_matched"],
        (200, "POST /v1/rebinds/{id}/identity/confirm") => &["identity_confirmed"],
        (200, "POST /v1/rebinds/{id}/agreement") => &["agreement_signed"],
        (200, "POST /v1/rebinds/{id}/card-check") => &["card_check_answered"],
        (200, "POST /v1/rebinds/{id}/card-check/confirm") if is_activated => &["activated"],
        (200, "POST /v1/rebinds/{id}/card-check/confirm") => &["standby_ready"],
        (200, "POST /v1/rebinds/{id}/test-transaction") => {
            &["test_transfer_started", "test_transfer_succeeded"]
        }
        (200, "POST /v1/cards/{id}/activate") if is_activated => &["activated"],
        (200, "POST /v1/cards/{id}/activate") => &["code_sent"],
        (200, "PUT /v1/settlement") => &["settlement_changed"],
        _ => &[],
    }
}

/// A request's route: the path without a merchant's ids.
fn route(request: &HttpCall) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    let segment = |segment| match str::split_once(segment, '_') {
        Some(_) => "{id}",
        None => segment,
    };
    let segments: Vec<&str> = path.split('/').map(segment).collect();
    format!("{} {}", request.method, segments.join("/"))
}

impl Transport for Acknowledging {
    /// Repeats a request until no other write conflicts. Sends every fifth change twice, like an app whose reply was lost.
    async fn http(&self, request: HttpCall) -> Reply {
        let request = request.from(&self.source);
        let route = route(&request);
        for _ in 0..ATTEMPTS_MAX {
            self.stop_in_time().await;
            let reply = self.timed(&route, &request).await;
            if reply.code() == "VERSION_CONFLICT" {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
            let events = events(&route, &reply);
            self.acknowledged.lock().unwrap().extend(events);
            let number = self.requests.fetch_add(1, Ordering::Relaxed);
            let is_keyed = request.method == "POST" && route != "POST /v1/sessions";
            if is_keyed && number.is_multiple_of(5) {
                let again = self.timed(&route, &request).await;
                assert!(
                    again.is_replayed(),
                    "{route}: {} {}",
                    again.status,
                    again.body
                );
                assert_eq!(again.body, reply.body, "{route}");
            }
            return reply;
        }
        panic!("{route}: conflict at every attempt");
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        for _ in 0..ATTEMPTS_MAX {
            let started = Instant::now();
            let done = self.system.invoke(function, event).await;
            self.marks.note(function, started.elapsed());
            match done {
                Err((kind, _)) if kind == "VERSION_CONFLICT" => {}
                done => return done,
            }
        }
        panic!("{function}: conflict at every attempt");
    }

    async fn sms(&self, phone: &str) -> Vec<String> {
        self.system.sms(phone).await
    }

    async fn statement(&self, card: &str) -> Vec<Value> {
        self.system.statement(card).await
    }

    async fn deliver_notifications(&self) {}

    fn new_key(&self) -> Option<String> {
        self.system.new_key()
    }
}

/// A client.
pub struct Client {
    /// The transport.
    pub way: Acknowledging,
    /// The merchant.
    pub profile: Profile,
    number: u32,
    counts: Counts,
}

/// The counters of a client over its rounds.
#[derive(Default)]
struct Counts {
    notified_until: u64,
    cards: u32,
    payouts: u32,
}

impl Counts {
    fn next_card(&mut self, number: u32) -> String {
        self.cards += 1;
        card(number, self.cards)
    }
}

/// The `place`-th card of a merchant.
#[must_use]
pub fn card(number: u32, place: u32) -> String {
    luhn(&format!("622202{number:06}{place:06}"))
}

impl Client {
    /// A client of the `number`-th merchant.
    #[must_use]
    pub fn new(way: Acknowledging, profile: Profile, number: u32) -> Self {
        let counts = Counts::default();
        Self {
            way,
            profile,
            number,
            counts,
        }
    }

    /// Changes cards until the deadline.
    pub async fn run(mut self) -> Self {
        let Self {
            way,
            profile,
            number,
            counts,
        } = &mut self;
        let rounds = async {
            for round in 0.. {
                self::round(way, profile, *number, counts, round).await;
            }
        };
        // The transport sends nothing after the deadline, so no request in progress is dropped here.
        tokio::select! {
            () = rounds => {}
            () = way.over.notified() => {}
        }
        self
    }
}

/// Every action of a merchant; some happen only in some rounds.
async fn round(
    way: &Acknowledging,
    profile: &Profile,
    number: u32,
    counts: &mut Counts,
    round: u32,
) {
    let app = Merchant::log_in(way, profile, "the phone").await;
    app.get("/v1/cards").await.ok(200);
    let settings = json!({
        "cycle": "T1",
        "payout_time": format!("{:02}:30", round % 20 + 1),
        "retained_fen": 0,
        "daily_limit_fen": 2_000_000,
    });
    app.put("/v1/settlement", settings).await.ok(200);
    notify(&app, &mut counts.notified_until).await;
    if round % 4 == 1 {
        let rebind = app.request(&counts.next_card(number)).await;
        app.cancel(&rebind).await.is(200, "cancelled");
    }
    let standby = round % 3 == 2;
    let members = json!({"activate": !standby});
    let rebind = app.request_with(&counts.next_card(number), members).await;
    app.show_document(&rebind).await;
    if round.is_multiple_of(2) {
        let code = wrong_otp(&way.code(&profile.phone).await);
        app.try_identity_code(&rebind, code).await.ok(422);
    }
    app.confirm_identity(&rebind).await;
    app.sign(&rebind).await;
    app.check_card(&rebind).await.ok(200);
    if round.is_multiple_of(3) {
        let code = wrong_otp(&way.code(&profile.reserved_phone).await);
        app.try_card_code(&rebind, code).await.ok(422);
    }
    let done = app.confirm_card(&rebind).await.ok(200);
    notify(&app, &mut counts.notified_until).await;
    if standby {
        // The switch to the standby card is possible a day later.
        profile.pass_s(DAY_S + HOUR_S);
        let app = Merchant::log_in(way, profile, "the phone").await;
        app.switch(&card_path(&done)).await;
        notify(&app, &mut counts.notified_until).await;
    } else {
        app.test_transfer(&rebind).await.is(200, "succeeded");
    }
    let app = Merchant::log_in(way, profile, "the phone").await;
    for _ in 0..2 {
        counts.payouts += 1;
        let payout = format!("pay_{number}_{}", counts.payouts);
        way.stop_in_time().await;
        let operations = ["create_payout", "payout_sending", "payout_sent"];
        let leave = ["payout_created", "payout_sending", "payout_sent"];
        let events = operations.map(|operation| profile.payout(operation, &payout));
        for (event, leaves) in events.iter().zip(leave) {
            way.invoke("payouts", event).await.unwrap();
            way.acknowledged.lock().unwrap().push(leaves);
        }
    }
    app.get("/v1/payouts").await.ok(200);
    app.get(&rebind).await.ok(200);
    app.get("/v1/rebinds").await.ok(200);
    profile.pass_s(31 * DAY_S);
}

fn is_notified(event: &Value) -> bool {
    let kind = EventKind::parse(event["kind"].as_str().unwrap()).unwrap();
    let recorded = Recorded::read(kind, event["data"].as_object().unwrap().clone()).unwrap();
    let at = Timestamp::parse_rfc3339(event["at"].as_str().unwrap()).unwrap();
    notification(recorded.event(), at, Recipient::OnFile).is_some()
}

/// Passes the stream records of the new notifications to the function that sends them.
async fn notify(app: &Merchant<&Acknowledging>, until: &mut u64) {
    let mut records = Vec::new();
    let history = app.get("/v1/history").await.ok(200);
    for event in history["items"].as_array().unwrap().iter().rev() {
        let sequence = event["sequence"].as_u64().unwrap();
        if sequence > *until && is_notified(event) {
            let sk = format!("E#{sequence:010}");
            records.push(json!({"eventID": sk, "eventName": "INSERT", "dynamodb": {
                "SequenceNumber": sk, "Keys": {"pk": {"S": app.profile.pk()}, "sk": {"S": sk}},
            }}));
        }
        *until = sequence.max(*until);
    }
    if !records.is_empty() {
        let batch = json!({"Records": records});
        let reply = app.system.invoke("confirmation-notice", &batch).await;
        assert_eq!(reply, Ok(json!({"batchItemFailures": []})));
    }
}
