//! The SDK's HTTP boundary to the table: records the calls and injects faults.
//!
//! It wraps the HTTP client of the SDK. The SDK's own timeouts and retries therefore handle a fault as they would on a wire,
//! and no code above the SDK is aware of it.

use ::aws::settings::{ATTEMPT_TIMEOUT_MS, OPERATION_TIMEOUT_MS};
use aws_sdk_dynamodb::config::retry::{RetryConfig, RetryPartition, TokenBucket};
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Builder, SharedHttpClient};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::dynamodb_table::response;
use crate::in_process::RECORD_TABLE;

/// The limits of the functions; see [`impatient`].
const ATTEMPT_TIMEOUT: Duration = Duration::from_millis(ATTEMPT_TIMEOUT_MS);
const OPERATION_TIMEOUT: Duration = Duration::from_millis(OPERATION_TIMEOUT_MS);
/// The delay between two attempts: short, so that a test with a real clock does not wait for seconds.
const BACKOFF: Duration = Duration::from_millis(1);
/// The maximum number of random conflicts per operation: fewer than its attempts.
const CONFLICTS_MAX: u32 = 2;
/// The delay of a late request.
const LATE_BY: Duration = Duration::from_millis(100);

/// One call to the tables: one attempt at an operation. Two reads that are sent in parallel count as one.
#[derive(Clone, Debug)]
pub struct Call {
    /// An id shared by all attempts at an operation.
    pub id: String,
    /// `Query`, `TransactWriteItems`, …
    pub operation: String,
    /// The request's body.
    pub body: Value,
    /// The capacity consumed: read units of a read, write units of a write, also of one whose condition failed.
    pub units: f64,
}

impl Call {
    /// Returns true if the operation only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(
            self.operation.as_str(),
            "Query" | "GetItem" | "BatchGetItem"
        )
    }

    /// Returns true for a read of the record that is sent in parallel with the read `last`.
    fn is_beside(&self, last: &Self) -> bool {
        self.operation == "GetItem"
            && self.body["TableName"] == RECORD_TABLE
            && ["Query", "BatchGetItem"].contains(&last.operation.as_str())
    }

    /// Returns true for a read of an idempotency key's row.
    #[must_use]
    pub fn is_read_of_key(&self) -> bool {
        let pk = self.body["Key"]["pk"]["S"].as_str();
        self.operation == "GetItem" && pk.is_some_and(|pk| pk.starts_with("I#"))
    }

    /// The items of a transaction.
    #[must_use]
    pub fn transaction_items(&self) -> usize {
        self.body["TransactItems"].as_array().map_or(0, Vec::len)
    }
}

/// The fault of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    /// The connection breaks before the request reaches the table.
    RequestLost,
    /// The table executes the request; the connection breaks before the reply arrives.
    ReplyLost,
    /// The table executes the request; the reply is truncated.
    ReplyCut,
    /// The request times out and is not executed. This fault and the late ones need an [`impatient`] client.
    Silence,
    /// The request times out; the table executes it before the next attempt ends.
    Late,
    /// The request times out; the table executes it after the caller has given up the operation, and possibly repeated it.
    TooLate,
    /// `ProvisionedThroughputExceededException`.
    Throughput,
    /// `ThrottlingException`.
    Throttled,
    /// A transaction is cancelled because an item is throttled.
    CancelledForThroughput,
    /// `TransactionConflict`, as a cancellation reason or as the error itself.
    Conflict,
    /// `TransactionInProgressException`.
    InProgress,
    /// A batch read returns only some of its items.
    Unprocessed,
    /// `InternalServerError` without execution.
    Failed,
    /// `InternalServerError` after execution.
    FailedAndDone,
    /// 503 with an empty body from an intermediary, without execution.
    Unavailable,
    /// The process ends before the call reaches the table; see [`Boundary::survive`].
    DiesBefore,
    /// The process ends after the table has executed the call.
    DiesAfter,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 17] = [
        Self::RequestLost,
        Self::ReplyLost,
        Self::ReplyCut,
        Self::Silence,
        Self::Late,
        Self::TooLate,
        Self::Throughput,
        Self::Throttled,
        Self::CancelledForThroughput,
        Self::Conflict,
        Self::InProgress,
        Self::Unprocessed,
        Self::Failed,
        Self::FailedAndDone,
        Self::Unavailable,
        Self::DiesBefore,
        Self::DiesAfter,
    ];

    /// Returns true if DynamoDB can answer such a call with this fault.
    #[must_use]
    pub fn fits(self, operation: &str) -> bool {
        let is_transaction = operation == "TransactWriteItems";
        match self {
            Self::CancelledForThroughput | Self::InProgress => is_transaction,
            Self::Conflict => is_transaction || operation == "UpdateItem",
            Self::Unprocessed => operation == "BatchGetItem",
            _ => true,
        }
    }

    /// Returns true if every attempt at an operation can meet this fault. A process ends only once.
    #[must_use]
    pub const fn can_last(self) -> bool {
        !matches!(self, Self::DiesBefore | Self::DiesAfter)
    }

    /// The label of the fault's category in the metrics.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Self::RequestLost => "request lost",
            Self::ReplyLost | Self::ReplyCut => "reply lost",
            Self::Silence | Self::Late | Self::TooLate => "late",
            Self::Throughput | Self::Throttled | Self::CancelledForThroughput => "throttled",
            Self::Unprocessed => "throttled",
            Self::Conflict | Self::InProgress => "transaction conflict",
            Self::Failed | Self::FailedAndDone | Self::Unavailable => "internal error",
            Self::DiesBefore | Self::DiesAfter => "process dies",
        }
    }

    /// The table's reply, for a fault that has one.
    fn answer(self, call: &Call) -> Option<HttpResponse> {
        let refusal = |status, kind: &str| {
            let body = json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"), "message": "injected fault"});
            Some(response(status, body.to_string()))
        };
        match self {
            Self::Throughput => refusal(400, "ProvisionedThroughputExceededException"),
            Self::Throttled => refusal(400, "ThrottlingException"),
            Self::InProgress => refusal(400, "TransactionInProgressException"),
            Self::Failed | Self::FailedAndDone => refusal(500, "InternalServerError"),
            Self::Unavailable => Some(response(503, String::new())),
            Self::CancelledForThroughput => Some(cancelled(call, "ProvisionedThroughputExceeded")),
            Self::Conflict if call.operation == "TransactWriteItems" => {
                Some(cancelled(call, "TransactionConflict"))
            }
            Self::Conflict => refusal(400, "TransactionConflictException"),
            Self::Unprocessed => {
                let body = json!({"Responses": {}, "UnprocessedKeys": call.body["RequestItems"]});
                Some(response(200, body.to_string()))
            }
            _ => None,
        }
    }

    /// The delay after which a late request reaches the table.
    fn arrives_after(self) -> Option<Duration> {
        match self {
            Self::Late => Some(ATTEMPT_TIMEOUT + LATE_BY),
            Self::TooLate => Some(OPERATION_TIMEOUT + LATE_BY),
            _ => None,
        }
    }
}

/// A client with the timeouts of a function. Only for tests with a virtual clock: with a real clock, a busy machine would
/// cause timeouts.
#[must_use]
pub fn impatient(config: Builder) -> Builder {
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(ATTEMPT_TIMEOUT)
        .operation_timeout(OPERATION_TIMEOUT)
        .build();
    config.timeout_config(timeouts)
}

/// A transaction cancelled because of its first item.
fn cancelled(call: &Call, reason: &str) -> HttpResponse {
    let mut reasons = vec![json!({"Code": "None"}); call.transaction_items()];
    reasons[0] = json!({"Code": reason, "Message": "injected fault"});
    let body = json!({
        "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled, please refer cancellation reasons for specific reasons",
        "CancellationReasons": reasons,
    });
    response(400, body.to_string())
}

/// The scope of a fault.
#[derive(Clone, Copy, Debug)]
enum Reach {
    /// The operation's first attempt.
    Attempt,
    /// All attempts at the operation.
    Operation,
    /// All attempts at the operation and at every later one.
    Onwards,
}

/// A fault that waits for its operation.
#[derive(Debug)]
struct Armed {
    /// The position of the operation in the request, from 1.
    place: usize,
    fault: Fault,
    reach: Reach,
    /// The operation, once matched.
    operation: Option<String>,
}

/// Random conflicts.
#[derive(Debug, Default)]
struct Weather {
    chance: Chance,
    conflicts_percent: u64,
    /// The number of conflicts of each operation.
    met: HashMap<String, u32>,
}

#[derive(Debug, Default)]
struct State {
    calls: Vec<Call>,
    /// The operations of the recorded calls, each once.
    operations: Vec<String>,
    /// The number of times that `calls` was taken. A reply to an older call is not recorded.
    era: usize,
    armed: Option<Armed>,
    met: usize,
    weather: Weather,
}

/// Records every call, SDK retries included, and injects the requested fault.
#[derive(Clone, Debug, Default)]
pub struct Boundary {
    state: Arc<Mutex<State>>,
    late: Arc<AtomicUsize>,
    death: Arc<tokio::sync::Notify>,
}

impl Boundary {
    /// The `n`-th operation of the next request (from 1) meets this fault in every attempt; no other operation does.
    pub fn fail(&self, n: usize, fault: Fault) {
        self.arm(n, fault, Reach::Operation);
    }

    /// The same in the first attempt only: the SDK's retry finds a healthy table.
    pub fn fail_once(&self, n: usize, fault: Fault) {
        self.arm(n, fault, Reach::Attempt);
    }

    /// The same for this operation and every later one to which the fault applies, until [`Boundary::calm`].
    pub fn fail_from(&self, n: usize, fault: Fault) {
        self.arm(n, fault, Reach::Onwards);
    }

    fn arm(&self, place: usize, fault: Fault, reach: Reach) {
        let _ = self.take();
        let mut state = self.state.lock().unwrap();
        state.met = 0;
        state.armed = Some(Armed {
            place,
            fault,
            reach,
            operation: None,
        });
    }

    /// Ends all faults. Returns the number of attempts that met the fault.
    pub fn calm(&self) -> usize {
        let mut state = self.state.lock().unwrap();
        state.armed = None;
        std::mem::take(&mut state.met)
    }

    /// From now on this percentage of writes fails with a transaction conflict, and concurrent calls reach the table in
    /// random order. The seed determines both.
    pub fn disturb(&self, seed: u64, conflicts_percent: u64) {
        self.state.lock().unwrap().weather = Weather {
            chance: Chance::new(seed),
            conflicts_percent,
            met: HashMap::new(),
        };
    }

    /// The calls since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Call> {
        let mut state = self.state.lock().unwrap();
        state.era += 1;
        state.operations.clear();
        std::mem::take(&mut state.calls)
    }

    /// Runs some work in a process that may die of [`Fault::DiesBefore`] or [`Fault::DiesAfter`]: `None` if it died.
    pub async fn survive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            () = self.death.notified() => None,
            done = work => Some(done),
        }
    }

    /// Waits until every late request has reached the table.
    pub async fn settle(&self) {
        while self.late.load(Ordering::SeqCst) > 0 {
            tokio::time::sleep(LATE_BY).await;
        }
    }

    /// The table's client, around the HTTP client of `config`.
    #[must_use]
    pub fn client(&self, config: Builder) -> aws_sdk_dynamodb::Client {
        // Without this, a client that has met thousands of faults would no longer retry.
        let patience = TokenBucket::builder()
            .retry_cost(0)
            .timeout_retry_cost(0)
            .throttling_retry_cost(0)
            .build();
        let inner = config.clone().build().http_client();
        let around = Around {
            boundary: self.clone(),
            inner: inner.expect("an HTTP client"),
        };
        let config = config
            .retry_config(RetryConfig::standard().with_initial_backoff(BACKOFF))
            .retry_partition(
                RetryPartition::custom("tests")
                    .token_bucket(patience)
                    .build(),
            )
            .http_client(around)
            .build();
        aws_sdk_dynamodb::Client::from_conf(config)
    }

    /// Records an attempt. Returns the slot for its cost, and its fault.
    fn meet(&self, request: &HttpRequest) -> (Call, (usize, usize), Option<Fault>) {
        let headers = request.headers();
        let target = headers.get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let id = headers.get("amz-sdk-invocation-id").unwrap_or_default();
        let body = request.body().bytes();
        let call = Call {
            id: id.to_owned(),
            body: body.map_or(Value::Null, |bytes| serde_json::from_slice(bytes).unwrap()),
            operation,
            units: 0.0,
        };
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let last = state.calls.iter().rposition(|last| !last.is_read_of_key());
        if let Some(last) = last.filter(|last| call.is_beside(&state.calls[*last])) {
            // Sent in parallel with the last read: one call with it, whose fault they share.
            return (call, (state.era, last), None);
        }
        state.calls.push(call.clone());
        let note = (state.era, state.calls.len() - 1);
        let is_first = !state.operations.iter().any(|known| known == id);
        if is_first {
            state.operations.push(id.to_owned());
        }
        let fault = match &mut state.armed {
            Some(armed) => {
                let begun = armed.operation.is_some();
                let here = is_first && state.operations.len() == armed.place && !begun;
                let meets = match armed.reach {
                    Reach::Attempt => here,
                    Reach::Operation => here || armed.operation.as_deref() == Some(id),
                    Reach::Onwards => {
                        (begun || state.operations.len() >= armed.place)
                            && armed.fault.fits(&call.operation)
                    }
                };
                if meets {
                    armed.operation = Some(id.to_owned());
                    state.met += 1;
                }
                meets.then_some(armed.fault)
            }
            None => {
                let is_write = Fault::Conflict.fits(&call.operation);
                let weather = &mut state.weather;
                let met = weather.met.entry(id.to_owned()).or_default();
                // A transaction takes milliseconds, so a conflict at every attempt means that the table is down.
                let strikes = is_write
                    && *met < CONFLICTS_MAX
                    && weather.chance.below(100) < weather.conflicts_percent;
                *met += u32::from(strikes);
                strikes.then_some(Fault::Conflict)
            }
        };
        (call, note, fault)
    }

    fn cost(&self, call: &Call, (era, index): (usize, usize), answer: &HttpResponse) {
        let failed = answer.status().is_client_error() && !call.is_read();
        let bytes = answer.body().bytes().unwrap_or_default();
        let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let units = match &answer["ConsumedCapacity"] {
            // AWS counts a write whose condition failed, the emulator does not. No item of a rebind is above 1 KiB.
            Value::Null if failed => match u32::try_from(call.transaction_items()) {
                Ok(items @ 1..) => 2.0 * f64::from(items),
                _ => 1.0,
            },
            Value::Array(tables) => tables
                .iter()
                .filter_map(|table| table["CapacityUnits"].as_f64())
                .sum(),
            table => table["CapacityUnits"].as_f64().unwrap_or(0.0),
        };
        let mut state = self.state.lock().unwrap();
        if state.era == era {
            state.calls[index].units += units;
        }
    }

    /// Yields one to three times, so that concurrent calls reach the table in many orders.
    async fn jostle(&self) {
        let times = 1 + self.state.lock().unwrap().weather.chance.below(3);
        for _ in 0..times {
            tokio::task::yield_now().await;
        }
    }

    async fn attempt(
        self,
        inner: SharedHttpConnector,
        request: HttpRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        let (call, note, fault) = self.meet(&request);
        self.jostle().await;
        let answered = match fault {
            Some(Fault::RequestLost) => Err(broken()),
            Some(Fault::Silence) => std::future::pending().await,
            Some(late @ (Fault::Late | Fault::TooLate)) => {
                self.send_later(inner, request, late.arrives_after().unwrap_or_default());
                std::future::pending().await
            }
            Some(Fault::DiesBefore) => self.die().await,
            Some(
                fault @ (Fault::ReplyLost
                | Fault::ReplyCut
                | Fault::FailedAndDone
                | Fault::DiesAfter),
            ) => {
                let answer = inner.call(request).await?;
                match fault {
                    Fault::ReplyCut => Ok(half(&answer)),
                    Fault::FailedAndDone => Ok(fault.answer(&call).expect("an answer")),
                    Fault::DiesAfter => self.die().await,
                    _ => Err(broken()),
                }
            }
            Some(fault) => Ok(fault.answer(&call).expect("an answer")),
            None => {
                let answer = inner.call(request).await?;
                self.cost(&call, note, &answer);
                Ok(answer)
            }
        };
        self.jostle().await;
        answered
    }

    /// Sends the request after a delay, when the attempt or the operation has timed out.
    fn send_later(&self, inner: SharedHttpConnector, request: HttpRequest, after: Duration) {
        let late = self.late.clone();
        late.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            // Ignore the reply: no caller is waiting for it.
            let _ = inner.call(request).await;
            late.fetch_sub(1, Ordering::SeqCst);
        });
    }

    async fn die<T>(&self) -> T {
        self.death.notify_one();
        std::future::pending().await
    }
}

fn broken() -> ConnectorError {
    ConnectorError::io("the connection broke".into())
}

fn half(answer: &HttpResponse) -> HttpResponse {
    let bytes = answer.body().bytes().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[..bytes.len() / 2]);
    response(answer.status().as_u16(), text.into_owned())
}

/// A boundary around the HTTP client of the table.
#[derive(Debug)]
struct Around {
    boundary: Boundary,
    inner: SharedHttpClient,
}

impl HttpClient for Around {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connected {
            boundary: self.boundary.clone(),
            inner: self.inner.http_connector(settings, components),
        })
    }
}

#[derive(Debug)]
struct Connected {
    boundary: Boundary,
    inner: SharedHttpConnector,
}

impl HttpConnector for Connected {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let attempt = self.boundary.clone().attempt(self.inner.clone(), request);
        HttpConnectorFuture::new(attempt)
    }
}

/// Deterministic pseudo-random numbers (xorshift64*).
#[derive(Clone, Debug)]
pub struct Chance(u64);

impl Default for Chance {
    fn default() -> Self {
        Self::new(1)
    }
}

impl Chance {
    /// A generator with a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    /// A number below `end`.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) % end
    }
}
