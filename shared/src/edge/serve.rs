//! One request, from the gateway's event to its reply: the clock, the panic net, the log line.

use super::event::{HttpEvent, Request};
use super::reply::{HttpResponse, Reply};
use crate::crypto;
use crate::domain::code::Code;
use crate::domain::history::hex;
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::ports::PortError;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Why a request has no success to show.
#[derive(Debug)]
pub enum Stop {
    /// Refused; the caller is told why.
    Rejected(Box<Rejection>),
    /// Something of ours failed; the caller is told no more than that.
    Failed(PortError),
}

impl From<Rejection> for Stop {
    fn from(refusal: Rejection) -> Self {
        Self::Rejected(Box::new(refusal))
    }
}

impl From<PortError> for Stop {
    fn from(error: PortError) -> Self {
        Self::Failed(error)
    }
}

/// The stage of the deployment, as its parameter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage(String);

impl Stage {
    /// From the template's parameter.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self(name.into())
    }

    /// Whether callers may set the clock.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        self.0 == "sandbox"
    }
}

/// The clock that hangs on the wall: for leases and signatures, never for a rule of the contract.
#[must_use]
pub fn wall_clock() -> Timestamp {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp::from_epoch_s(i64::try_from(since.as_secs()).unwrap_or(i64::MAX))
}

/// The clock of this request's rules.
fn rule_clock(request: &Request, stage: &Stage) -> Result<Timestamp, Rejection> {
    match request.header("x-sandbox-now") {
        None => Ok(wall_clock()),
        Some(text) if stage.is_sandbox() => {
            Timestamp::parse_rfc3339(text).ok_or_else(|| Rejection::new(Code::RequestMalformed))
        }
        // Elsewhere a caller who tries to set the clock is told so; ignoring it would hide the mistake.
        Some(_) => Err(Rejection::new(Code::RequestMalformed)),
    }
}

/// What a function does with its requests.
#[allow(async_fn_in_trait)]
pub trait Handler {
    /// The route a request matches, for the log: a template, so that nothing typed into a path is logged.
    fn route(&self, request: &Request) -> &'static str;
    /// Answers one request.
    async fn handle(&self, request: &Request, now: Timestamp) -> Result<Reply, Stop>;
    /// What the request cost at the table.
    fn usage(&self) -> crate::domain::usage::Usage;
}

/// Answers one event. Never fails: whatever happens inside becomes a reply.
///
/// Boxed, so that the runtime's own layers are not compiled around every state of a handler.
pub fn respond<'a, H: Handler>(
    handler: &'a H,
    stage: &'a Stage,
    event: HttpEvent,
) -> Pin<Box<dyn Future<Output = HttpResponse> + 'a>> {
    Box::pin(answer(handler, stage, event))
}

async fn answer<H: Handler>(handler: &H, stage: &Stage, event: HttpEvent) -> HttpResponse {
    let started = Instant::now();
    let request = Request::from(event);
    let route = handler.route(&request);
    let support_ref = support_ref(&request);
    let answer = AssertUnwindSafe(async {
        let now = rule_clock(&request, stage)?;
        handler.handle(&request, now).await
    });
    let mut cause = None;
    let reply = match answer.catch_unwind().await {
        Ok(Ok(reply)) => reply,
        Ok(Err(Stop::Rejected(refusal))) => Reply::problem(&refusal, &support_ref),
        Ok(Err(Stop::Failed(PortError::Conflict))) => Reply::problem(
            &Rejection::new(Code::VersionConflict).retry_after(1),
            &support_ref,
        ),
        Ok(Err(Stop::Failed(error))) => {
            cause = Some(error.to_string());
            let refusal = Rejection::new(Code::Internal);
            let refusal = if matches!(error, PortError::Transient(..)) {
                refusal.retry_after(1)
            } else {
                refusal
            };
            Reply::problem(&refusal, &support_ref)
        }
        Err(_) => {
            // The panic's text may hold anything; the hook has not printed it either.
            cause = Some("panic".to_owned());
            Reply::problem(&Rejection::new(Code::Internal), &support_ref)
        }
    };
    let usage = handler.usage();
    let code = reply.code.map(Code::as_str);
    let duration_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    if reply.status >= 500 {
        tracing::error!(
            http.route = route,
            http.status = reply.status,
            problem.code = code,
            problem.cause = cause,
            support_ref,
            replayed = reply.replayed,
            store.calls = usage.calls,
            store.items_max = usage.items_max,
            store.rru = usage.rru,
            store.wru = usage.wru,
            duration_ms,
            "request"
        );
    } else {
        tracing::info!(
            http.route = route,
            http.status = reply.status,
            problem.code = code,
            support_ref,
            replayed = reply.replayed,
            store.calls = usage.calls,
            store.items_max = usage.items_max,
            store.rru = usage.rru,
            store.wru = usage.wru,
            duration_ms,
            "request"
        );
    }
    reply.into()
}

fn support_ref(request: &Request) -> String {
    let given = &request.request_id;
    if !given.is_empty()
        && given.len() <= 64
        && given
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_=".contains(&b))
    {
        return given.clone();
    }
    crypto::random::<8>().map_or_else(|_| "unknown".to_owned(), |bytes| hex(&bytes))
}

/// The answer to a path or a method that is not there.
///
/// # Errors
/// Always `NOT_FOUND`.
pub fn not_found() -> Result<Reply, Stop> {
    Err(Rejection::new(Code::NotFound).into())
}
