//! A sequence of steps. Each step is repeated from the same state, each time with another fault.

use crate::picture::{self, Picture, differences};
use crate::reasons;
use application::crypto::HashPurpose;
use domain::policy::Policy;
use http::HeaderMap;
use serde_json::{Value, json};
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tests::dynamodb_table::{Items, Table};
use tests::in_process::{InProcess, PeerState, table_of};
use tests::invariants::violations;
use tests::merchant::{Merchant, Profile, merchant};
use tests::operators::Person;
use tests::peer_faults::DroppedPart;
use tests::sample::sample;
use tests::table_faults::{Call, Fault, impatient};
use tests::transport::{HttpCall, Reply, Transport};

/// The merchant of the stories.
pub const NAME: &str = "plain_1";
/// The merchant whose card cannot be attached.
const OTHER: &str = "plain_2";
/// The delay of the clean-up: unanswered bank calls and unsent notifications are due by then.
const CLEAN_UP_AFTER_S: i64 = Policy::CURRENT.notification_retry_s + 1;
/// The faults for a due query that finds nothing. Such a query has no effect, so it does not matter whether the table
/// received it. The remaining cases are a successful retry, an unreadable reply and the end of the process.
const FINDS_NOTHING: [Fault; 3] = [Fault::RequestLost, Fault::ReplyCut, Fault::DiesBefore];
/// The stride of a sample over a step's points. It is coprime to the number of faults per call: a query 26, an update 28, a
/// transaction 30.
const STRIDE: usize = 29;
/// The stride if only some steps meet faults.
const STRIDE_OF_ONLY: usize = 3;
/// The maximum number of a client's attempts.
const ROUNDS_MAX: usize = 12;

/// The work of a step.
#[derive(Clone, Debug)]
pub enum Work {
    /// A request.
    Request(HttpCall),
    /// A call of an operator.
    Operate(Person, HttpCall),
    /// An operation of the acquirer's core.
    Core(Value),
    /// A run of the clean-up.
    CleanUp {
        /// True if due queries that find nothing also meet faults. There is one query per month and shard, and all behave the
        /// same ([`FINDS_NOTHING`]).
        thorough: bool,
    },
    /// The stream delivers these records.
    Deliver(Value),
    /// The stream delivers these records to the function that publishes them.
    Publish(Value),
}

/// The result of a step.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The HTTP status, or an equivalent one.
    pub status: u16,
    /// The body.
    pub body: Value,
    calls: Vec<Call>,
}

impl Outcome {
    /// The problem's code.
    #[must_use]
    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    fn is_like(&self, other: &Self) -> bool {
        (self.status, self.code()) == (other.status, other.code())
    }

    /// The status in a reply that can be pending.
    fn status(&self) -> Option<&str> {
        self.body["status"].as_str()
    }

    /// The number of seconds after which to retry; `None` if the reply is final.
    fn again_after_s(&self) -> Option<i64> {
        let again = self.status >= 500 || self.status == 429 || self.code() == "VERSION_CONFLICT";
        again.then(|| self.body["retry_after_s"].as_i64().unwrap_or(2))
    }
}

/// A point of failure, and its fault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    /// The `n`-th operation on the table.
    Table {
        /// Its position.
        n: usize,
        /// `Query`, …
        operation: String,
        /// Its fault.
        fault: Fault,
        /// True if every attempt meets the fault, false if only the first does.
        lasts: bool,
    },
    /// The `n`-th call to another peer.
    Peer {
        /// Its position.
        n: usize,
        /// The peer.
        peer: &'static str,
        /// The lost part.
        lost: DroppedPart,
    },
}

impl Point {
    /// The fault of the table; true if each attempt meets it.
    const fn fault(&self) -> Option<(Fault, bool)> {
        match self {
            Self::Table { fault, lasts, .. } => Some((*fault, *lasts)),
            Self::Peer { .. } => None,
        }
    }

    /// The category of the fault, for the metrics.
    #[must_use]
    pub fn kind(&self) -> String {
        match self {
            Self::Table { fault, lasts, .. } if fault.can_last() => {
                let times = if *lasts { "every attempt" } else { "once" };
                format!("{}, {times}", fault.kind())
            }
            Self::Table { fault, .. } => fault.kind().to_owned(),
            Self::Peer { peer, lost, .. } => format!("{peer}: {lost:?} lost").to_lowercase(),
        }
    }
}

/// The behaviour of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manners {
    /// It retries a request with the same key.
    Keyed,
    /// It retries with a new key, like a faulty app.
    Careless,
}

/// The findings of all stories.
#[derive(Debug, Default)]
pub struct Tally {
    /// Points by category, and the number of failures among them.
    pub points: BTreeMap<String, (usize, usize)>,
    /// Points by step.
    pub steps: BTreeMap<String, usize>,
    /// The faults of the table; true if each attempt met them.
    pub faults: BTreeSet<(Fault, bool)>,
    /// The number of permitted differences, by index of the reason.
    pub reasons: BTreeMap<usize, usize>,
    /// The failures.
    pub wrong: Vec<String>,
}

impl Tally {
    /// Adds the findings of another story.
    pub fn add(&mut self, other: Self) {
        for (kind, (points, lost)) in other.points {
            let all = self.points.entry(kind).or_default();
            *all = (all.0 + points, all.1 + lost);
        }
        for (step, points) in other.steps {
            *self.steps.entry(step).or_default() += points;
        }
        self.faults.extend(other.faults);
        for (reason, times) in other.reasons {
            *self.reasons.entry(reason).or_default() += times;
        }
        self.wrong.extend(other.wrong);
    }
}

/// The state before a step.
#[derive(Clone)]
struct Moment {
    items: Arc<Items>,
    kept: PeerState,
}

/// The state after a step without a fault.
struct Wanted {
    picture: Picture,
    outcome: Outcome,
    /// The number of SMS at the time of the reply.
    codes: usize,
}

/// A story in progress. It is the transport of its merchant: each request is a step.
pub struct Story {
    /// The functions.
    pub world: Arc<InProcess>,
    /// The behaviour of its client.
    pub manners: Manners,
    /// The steps that meet faults; all if empty.
    pub only: Vec<&'static str>,
    /// The table.
    pub table: Table,
    tally: RefCell<Tally>,
    keys: Cell<usize>,
    skims: Cell<bool>,
    note: Cell<&'static str>,
    title: &'static str,
}

impl Story {
    /// A story with a new merchant.
    pub async fn begin(title: &'static str) -> Self {
        let table = Table::new(table_of);
        let world = InProcess::on(&table, impatient, "sandbox").await;
        let mut items = (*table.items()).clone();
        // The other merchants would only slow the runs down.
        let mut names = Vec::new();
        for name in [NAME, OTHER] {
            let account = merchant(name).account;
            let mac = world.keys().mac(HashPurpose::Account, &[&account]).await;
            names.extend([format!("mer_{name}"), mac.unwrap().0]);
        }
        items.retain(|(pk, _), item| {
            let of = format!("{pk} {} {}", item["holders"]["SS"], item["merchant"]["S"]);
            names.iter().any(|name| of.contains(name))
        });
        table.reset_to(&Arc::new(items));
        Self {
            world,
            manners: Manners::Keyed,
            only: Vec::new(),
            table,
            tally: RefCell::default(),
            keys: Cell::default(),
            skims: Cell::default(),
            note: Cell::default(),
            title,
        }
    }

    /// The findings.
    #[must_use]
    pub fn end(self) -> Tally {
        self.tally.into_inner()
    }

    /// Runs steps without faults, because they meet faults elsewhere.
    pub async fn skim<T>(&self, steps: impl Future<Output = T>) -> T {
        let before = self.skims.replace(true);
        let done = steps.await;
        self.skims.set(before);
        done
    }

    /// Runs steps under names that are more specific than their routes.
    pub async fn noted<T>(&self, note: &'static str, steps: impl Future<Output = T>) -> T {
        self.note.set(note);
        let done = steps.await;
        self.note.set("");
        done
    }

    /// The merchant's own data.
    #[must_use]
    pub fn profile(&self) -> Profile {
        let clock = self.world.clock.clone();
        Profile {
            clock,
            ..merchant(NAME)
        }
    }

    /// Logs in.
    pub async fn log_in(&self) -> Merchant<&Self> {
        Merchant::log_in(self, &self.profile(), "dev-1").await
    }

    /// Logs in without faults.
    pub async fn logged_in(&self) -> Merchant<&Self> {
        self.skim(self.log_in()).await
    }

    /// Runs a step with every fault at every call, then without any. Returns the reply of the last run.
    pub async fn step(&self, step: &str, work: Work) -> Outcome {
        self.keys.set(self.keys.get() + 1);
        let before = self.moment();
        if !self.skims.get() && (self.only.is_empty() || self.only.contains(&step)) {
            let (wanted, points) = self.reference(&before, &work).await;
            for point in self.sampled(points) {
                self.try_point(step, &before, &work, &point, &wanted).await;
            }
            self.put_back(&before);
        }
        self.attempt(&work, &self.key(0)).await
    }

    /// All points, or a sample that includes the first occurrence of each fault in the story.
    fn sampled(&self, points: Vec<Point>) -> Vec<Point> {
        let stride = if self.only.is_empty() {
            STRIDE
        } else {
            STRIDE_OF_ONLY
        };
        let mut taken = sample((0..points.len()).collect(), stride, self.keys.get());
        let mut met = self.tally.borrow().faults.clone();
        met.extend(taken.iter().filter_map(|place| points[*place].fault()));
        for (place, point) in points.iter().enumerate() {
            if point.fault().is_some_and(|fault| met.insert(fault)) {
                taken.push(place);
            }
        }
        let points = points.into_iter().enumerate();
        let points = points.filter(|(place, _)| taken.contains(place));
        points.map(|(_, point)| point).collect()
    }

    fn moment(&self) -> Moment {
        Moment {
            items: self.table.items(),
            kept: self.world.peer_state(),
        }
    }

    fn put_back(&self, moment: &Moment) {
        self.table.reset_to(&moment.items);
        self.world.restore_peers(&moment.kept);
    }

    fn key(&self, round: usize) -> String {
        match self.manners {
            Manners::Keyed => format!("key-{}", self.keys.get()),
            Manners::Careless => format!("key-{}-{round}", self.keys.get()),
        }
    }

    /// Runs the step without a fault: its reply, its end state and the points of failure.
    async fn reference(&self, before: &Moment, work: &Work) -> (Wanted, Vec<Point>) {
        let _ = self.world.peer_calls.take();
        let outcome = self.attempt(work, &self.key(0)).await;
        let peer_calls = self.world.peer_calls.take();
        let mut points = Vec::new();
        let due = (before.items.values()).filter_map(|item| item["due_bucket"]["S"].as_str());
        let due: BTreeSet<&str> = due.collect();
        for (n, call) in (1..).zip(&outcome.calls) {
            let bucket = call.body["ExpressionAttributeValues"][":bucket"]["S"].as_str();
            let faults = match (bucket, work) {
                (Some(bucket), Work::CleanUp { thorough }) if !due.contains(bucket) => {
                    Some(if *thorough { &FINDS_NOTHING[..] } else { &[] })
                }
                _ => Some(&Fault::ALL[..]),
            };
            let faults = faults.unwrap_or_default().iter();
            for fault in faults.filter(|fault| fault.fits(&call.operation)) {
                for lasts in [false, true] {
                    if !lasts || fault.can_last() {
                        points.push(Point::Table {
                            n,
                            operation: call.operation.clone(),
                            fault: *fault,
                            lasts,
                        });
                    }
                }
            }
        }
        for (n, peer) in (1..).zip(peer_calls) {
            points.push(Point::Peer {
                n,
                peer,
                lost: DroppedPart::Request,
            });
            if peer != "keys" {
                points.push(Point::Peer {
                    n,
                    peer,
                    lost: DroppedPart::Reply,
                });
            }
        }
        let codes = self.world.peer_state().sms.len();
        let ended = self.ended(work, &outcome).await;
        let title = self.title;
        let picture = ended.unwrap_or_else(|wrong| panic!("{title}, without a fault: {wrong:?}"));
        self.put_back(before);
        let wanted = Wanted {
            picture,
            outcome,
            codes,
        };
        (wanted, points)
    }

    async fn try_point(
        &self,
        step: &str,
        before: &Moment,
        work: &Work,
        point: &Point,
        wanted: &Wanted,
    ) {
        self.put_back(before);
        let (boundary, peer_calls) = (&self.world.boundary, &self.world.peer_calls);
        match point {
            Point::Table {
                n, fault, lasts, ..
            } if *lasts => boundary.fail(*n, *fault),
            Point::Table { n, fault, .. } => boundary.fail_once(*n, *fault),
            Point::Peer { n, lost, .. } => peer_calls.fail(*n, *lost),
        }
        let (mut wrong, mut explained) = (Vec::new(), Vec::new());
        if let Some(outcome) = self.pursue(work, point, wanted, &mut wrong).await {
            self.ask_for_code(work, &outcome, before, wanted).await;
            match self.ended(work, &outcome).await {
                Err(violations) => wrong.extend(violations),
                Ok(found) => {
                    for difference in differences(&wanted.picture, &found) {
                        match reasons::of(step, point, &difference) {
                            Some(reason) => explained.push(reason),
                            None => wrong.push(difference.to_string()),
                        }
                    }
                }
            }
        }
        let mut tally = self.tally.borrow_mut();
        for reason in explained {
            *tally.reasons.entry(reason).or_default() += 1;
        }
        let points = tally.points.entry(point.kind()).or_default();
        points.0 += 1;
        points.1 += usize::from(!wrong.is_empty());
        tally.faults.extend(point.fault());
        *tally.steps.entry(step.to_owned()).or_default() += 1;
        if !wrong.is_empty() {
            let (title, wrong) = (self.title, wrong.join("\n    "));
            let wrong = format!("{title}, {step}, {point:?}:\n    {wrong}");
            tally.wrong.push(wrong);
        }
    }

    /// The client after a fault: it retries the step with the same key as long as the reply instructs it. Then it repeats the
    /// step once more, as if the last reply had been lost. That must change nothing.
    async fn pursue(
        &self,
        work: &Work,
        point: &Point,
        wanted: &Wanted,
        wrong: &mut Vec<String>,
    ) -> Option<Outcome> {
        let mut looks = 0;
        let mut last = None;
        for round in 0..ROUNDS_MAX {
            let key = self.key(round) + ["", " again"][looks];
            let attempt = self.attempt(work, &key);
            let outcome = self.world.boundary.survive(attempt).await;
            if round == 0 {
                let (of_table, peer_calls) =
                    (self.world.boundary.calm(), self.world.peer_calls.take());
                let met = match point {
                    Point::Table { .. } => of_table > 0,
                    Point::Peer { n, .. } => peer_calls.len() >= *n,
                };
                if !met {
                    wrong.push("no call met the fault".to_owned());
                }
            }
            let wait_s = match &outcome {
                None => Some(2),
                Some(outcome) if outcome.is_like(&wanted.outcome) => None,
                Some(outcome) => outcome.again_after_s(),
            };
            // A pending status is polled later by a separate request.
            let is_pending = |outcome: &Outcome| outcome.status() == Some("pending");
            if outcome.as_ref().is_some_and(is_pending)
                && !is_pending(&wanted.outcome)
                && looks == 0
            {
                looks = 1;
                self.world.pass_s(Policy::CURRENT.bank_retry_s);
                continue;
            }
            match (wait_s, outcome) {
                (None, Some(outcome)) => {
                    self.repeat(work, &key, &outcome, wrong).await;
                    return Some(outcome);
                }
                (wait_s, outcome) => {
                    self.world.pass_s(wait_s.unwrap_or(2));
                    last = outcome;
                }
            }
        }
        wrong.push(format!("the client exceeds its retries: {last:?}"));
        None
    }

    /// The reply was lost on its way to the app: a repetition gets the same reply and changes nothing.
    async fn repeat(&self, work: &Work, key: &str, outcome: &Outcome, wrong: &mut Vec<String>) {
        let keyed = match work {
            // Sessions and freezes ignore the key.
            Work::Request(call) => {
                call.method != "GET"
                    && call.headers.iter().any(|(name, _)| name == "authorization")
                    && call.path != "/v1/sessions/current"
                    && !call.path.ends_with("/freeze")
            }
            Work::Operate(_, call) => call.method != "GET",
            _ => false,
        };
        if !keyed || outcome.status >= 300 || self.manners == Manners::Careless {
            return;
        }
        // Each call of an operator is in the audit chain, a repetition too.
        let unaudited = |items: &Items| {
            let mut items = items.clone();
            items.retain(|(pk, _), _| !pk.starts_with("U#"));
            items
        };
        let before = unaudited(&self.table.items());
        let again = self.attempt(work, key).await;
        if (again.status, &again.body) != (outcome.status, &outcome.body) {
            wrong.push(format!(
                "a repetition is answered {} {}",
                again.status, again.body
            ));
        }
        if before != unaudited(&self.table.items()) {
            wrong.push("a repetition changes the state".to_owned());
        }
    }

    /// A promised OTP did not arrive: the user requests another, as the reply instructs.
    async fn ask_for_code(&self, work: &Work, outcome: &Outcome, before: &Moment, wanted: &Wanted) {
        let codes = |kept: &PeerState| kept.sms.len();
        let is_missing = wanted.codes > codes(&before.kept)
            && codes(&self.world.peer_state()) == codes(&before.kept);
        let Work::Request(call) = work else {
            return;
        };
        if !is_missing || outcome.status != 200 {
            return;
        }
        let challenge = &outcome.body["challenge"];
        let (wait_s, life_s) = (&challenge["resend_after_s"], Policy::CURRENT.code_life_s);
        let rebind = call.path.split('/').take(4).collect::<Vec<_>>().join("/");
        let path = match challenge["purpose"].as_str().unwrap() {
            "identity" => format!("{rebind}/identity/code"),
            "card" => format!("{rebind}/card-check/code"),
            _ => call.path.clone(),
        };
        // A switch can only be restarted once its OTP is dead.
        let is_switch = path.ends_with("/activate");
        self.world.pass_s(if is_switch {
            life_s
        } else {
            wait_s.as_i64().unwrap()
        });
        let body = bytes::Bytes::new();
        let again = Work::Request(HttpCall {
            path,
            body,
            ..call.clone()
        });
        let sent = self.attempt(&again, "another code").await;
        assert_eq!(sent.status, 200, "{:?}", sent.body);
        assert_eq!(codes(&self.world.peer_state()), codes(&before.kept) + 1);
    }

    async fn attempt(&self, work: &Work, key: &str) -> Outcome {
        let world = &self.world;
        let outcome = |status, body| Outcome {
            status,
            body,
            calls: world.boundary.take(),
        };
        let _ = world.boundary.take();
        match work {
            Work::Request(call) => {
                let reply = world.http(call.clone().at(world.now()).key(key)).await;
                Outcome {
                    status: reply.status,
                    body: reply.body,
                    calls: reply.calls,
                }
            }
            Work::Operate(person, call) => {
                let reply = world.operate(person, call.clone().key(key)).await;
                Outcome {
                    status: reply.status,
                    body: reply.body,
                    calls: reply.calls,
                }
            }
            Work::Core(operation) => match world.core(operation.clone()).await {
                Ok(payout) => outcome(200, payout),
                Err(refusal) => {
                    let retryable = ["INTERNAL", "VERSION_CONFLICT"];
                    let code = refusal.code.as_str();
                    let status = if retryable.contains(&code) { 500 } else { 400 };
                    outcome(status, json!({"code": code}))
                }
            },
            Work::CleanUp { .. } => {
                let event = json!({"time": world.now().to_rfc3339_shanghai()});
                match world.scheduled(event, Duration::from_secs(60)).await {
                    Ok(run) if run.failed + run.skipped == 0 => outcome(200, json!(run)),
                    Ok(run) => outcome(500, json!(run)),
                    Err(_) => outcome(500, Value::Null),
                }
            }
            Work::Deliver(batch) => {
                let reply = world.deliver(batch.clone(), world.now()).await;
                delivered(reply, outcome)
            }
            Work::Publish(batch) => delivered(world.publish(batch.clone()).await, outcome),
        }
    }

    /// The stream event: a record for every notification that is due.
    #[must_use]
    pub fn due_notifications(&self) -> Value {
        let items = self.table.items();
        let due = items
            .iter()
            .filter(|(_, item)| item["notice"]["S"] == "due");
        let records: Vec<Value> = due
            .map(|((pk, sk), item)| {
                // A notification that was queued again has another record.
                let armed = item["armed"]["N"].as_str().unwrap_or("0");
                json!({"eventID": format!("{sk}-{armed}"), "eventName": "INSERT", "dynamodb": {
                    "SequenceNumber": sk, "Keys": {"pk": {"S": pk}, "sk": {"S": sk}},
                }})
            })
            .collect();
        json!({"Records": records})
    }

    /// The stream delivers the due records, and redelivers failed ones.
    async fn bring(&self) {
        let batch = self.due_notifications();
        for _ in 0..3 {
            let reply = self.world.deliver(batch.clone(), self.world.now()).await;
            if reply["batchItemFailures"] == json!([]) {
                return;
            }
        }
    }

    /// Returns true if a clean-up would find work. Otherwise a run only reads.
    fn is_due(&self) -> bool {
        let now = self.world.now();
        let items = self.table.items();
        items.values().any(|item| {
            let due_at = item["due_at"]["N"].as_str();
            due_at.is_some_and(|at| at.parse::<i64>().unwrap() <= now.epoch_s())
        })
    }

    /// Runs everything that happens without the client: late requests arrive, the stream delivers, the clean-up runs. Returns
    /// the end state, or the violations.
    async fn ended(&self, work: &Work, outcome: &Outcome) -> Result<Picture, Vec<String>> {
        let world = &self.world;
        world.boundary.settle().await;
        self.bring().await;
        world.pass_s(CLEAN_UP_AFTER_S);
        if self.is_due() {
            world.clean_up().await;
            self.bring().await;
        }
        let Moment { items, kept } = self.moment();
        let wrong = violations(&items, world.now());
        if !wrong.is_empty() {
            return Err(wrong);
        }
        let mut found = picture::picture(&items, &kept);
        if matches!(work, Work::Request(_) | Work::Operate(..) | Work::Core(_)) {
            found.extend(picture::answer(outcome.status, &outcome.body));
        }
        Ok(found)
    }
}

/// The result of a delivery: the stream redelivers after a failure.
fn delivered(reply: Value, outcome: impl Fn(u16, Value) -> Outcome) -> Outcome {
    let failed = reply["batchItemFailures"].as_array().unwrap().len();
    outcome(if failed == 0 { 200 } else { 500 }, reply)
}

/// The name of a request's step: `POST identity/confirm`, `GET rebind`.
fn name_of(call: &HttpCall) -> String {
    let path = call.path.split('?').next().unwrap_or_default();
    let segments: Vec<&str> = path.trim_start_matches("/v1/").split('/').collect();
    let what = match segments[..] {
        ["sessions", _] => "session".to_owned(),
        ["rebinds", _] => "rebind".to_owned(),
        ["push-targets", _] => "push-target".to_owned(),
        ["rebinds" | "cards", _, ..] => segments[2..].join("/"),
        _ => segments.join("/"),
    };
    format!("{} {what}", call.method)
}

impl Transport for Story {
    async fn http(&self, mut request: HttpCall) -> Reply {
        request
            .headers
            .retain(|(name, _)| name != "idempotency-key");
        let name = name_of(&request);
        let step = match self.note.get() {
            "" => name.clone(),
            note => format!("{name}, {note}"),
        };
        let outcome = self.step(&step, Work::Request(request)).await;
        Reply {
            what: step,
            status: outcome.status,
            headers: HeaderMap::new(),
            body: outcome.body,
            calls: outcome.calls,
        }
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        assert_eq!(function, "payouts");
        let outcome = self.step(self.note.get(), Work::Core(event.clone())).await;
        Ok(outcome.body)
    }

    async fn sms(&self, phone: &str) -> Vec<String> {
        self.world.sms.to(phone)
    }

    async fn statement(&self, card: &str) -> Vec<Value> {
        self.world.statement(card).await
    }

    /// Each delivery is a step of the story.
    async fn deliver_notifications(&self) {}

    fn new_key(&self) -> Option<String> {
        None
    }
}
