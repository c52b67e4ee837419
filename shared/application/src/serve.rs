//! One request, from the gateway's event to its reply: the clock, the panic handler, the log line.

use crate::clock;
use crate::correlation;
use crate::crypto;
use crate::error::HandlerError;
use crate::front_door::FrontDoor;
use crate::ports::PortError;
use crate::switches::{STOPPED_RETRY_S, Stopped};
use crate::usage::whole_ms;
use api::event::{HttpEvent, Request};
use api::reply::{HttpResponse, Reply};
use api::routes::{Route, Routed};
use domain::error_code::ErrorCode;
use domain::rejection::Rejection;
use domain::time::Timestamp;
use futures::FutureExt as _;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::time::Instant;
use tracing::Instrument as _;

/// How this system is deployed: its stage, and what stands in front of it.
#[derive(Clone, Debug)]
pub struct Deployment {
    stage: String,
    front_door: FrontDoor,
}

impl Deployment {
    /// At a stage, from the template's parameter, without a front door.
    #[must_use]
    pub fn new(stage: impl Into<String>) -> Self {
        Self {
            stage: stage.into(),
            front_door: FrontDoor::default(),
        }
    }

    /// The same behind a front door.
    #[must_use]
    pub fn behind(self, front_door: FrontDoor) -> Self {
        Self { front_door, ..self }
    }

    /// The stage.
    #[must_use]
    pub fn stage(&self) -> &str {
        &self.stage
    }

    /// True in the sandbox, where callers may set the clock.
    #[must_use]
    pub fn is_sandbox(&self) -> bool {
        self.stage == "sandbox"
    }
}

/// The clock of this request's business rules.
fn rule_clock(request: &Request, deployment: &Deployment) -> Result<Timestamp, Rejection> {
    match request.header("x-sandbox-now") {
        None => Ok(clock::wall_clock()),
        Some(text) if deployment.is_sandbox() => Timestamp::parse_rfc3339(text)
            .ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed)),
        // Outside the sandbox, reject an attempt to set the clock; ignoring it would hide the mistake.
        Some(_) => Err(Rejection::new(ErrorCode::RequestMalformed)),
    }
}

/// A function's request handler.
#[expect(async_fn_in_trait, reason = "only this workspace implements it")]
pub trait Handler {
    /// The routes of this function. A request for any other route is answered with 404.
    type Route: Routed;
    /// Answers one request.
    async fn handle(
        &self,
        route: Self::Route,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError>;
    /// What is stopped.
    async fn stopped(&self) -> Result<Stopped, PortError>;
    /// What the request used.
    fn usage(&self) -> crate::usage::Usage;
}

/// Answers one event. Never fails: every failure becomes a reply.
///
/// Boxed, so that the runtime's layers are not compiled around every handler's state.
pub fn respond<'a, H: Handler>(
    handler: &'a H,
    deployment: &'a Deployment,
    event: HttpEvent,
) -> Pin<Box<dyn Future<Output = HttpResponse> + 'a>> {
    let mut request = Request::from(event);
    // All problem documents and all lines of this request have the same reference.
    request.request_id = support_ref(&request);
    let span = correlation::request(&request.request_id);
    Box::pin(answer(handler, deployment, request).instrument(span))
}

async fn answer<H: Handler>(
    handler: &H,
    deployment: &Deployment,
    mut request: Request,
) -> HttpResponse {
    let started = Instant::now();
    clock::see_gateway(request.received_ms);
    let (own, label) = H::Route::of(&request).unzip();
    let support_ref = request.request_id.clone();
    let admitted = deployment.front_door.admit(&mut request);
    let answer = AssertUnwindSafe(async {
        admitted?;
        let now = rule_clock(&request, deployment)?;
        match own {
            Some(own) => {
                admit_change(handler, &request).await?;
                handler.handle(own, &request, now).await
            }
            None => Err(Rejection::new(ErrorCode::NotFound).into()),
        }
    });
    let outcome = answer.catch_unwind().await;
    let (reply, cause) = reply_of(outcome.ok(), &support_ref);
    let usage = handler.usage();
    let code = reply.code.map(ErrorCode::as_str);
    let duration_ms = whole_ms(started.elapsed());
    macro_rules! line {
        ($level:ident) => {
            tracing::$level!(
                http.route = label.unwrap_or("none"),
                http.status = reply.status,
                problem.code = code,
                problem.cause = cause,
                support_ref,
                replayed = reply.replayed,
                store.calls = usage.calls,
                store.items_max = usage.items_max,
                store.rru = usage.rru,
                store.wru = usage.wru,
                keys.calls = usage.key_calls,
                duration_ms,
                "request.answered"
            )
        };
    }
    if reply.status >= 500 {
        line!(error);
    } else {
        line!(info);
    }
    reply.into()
}

/// Refuses a change while changes are stopped.
async fn admit_change<H: Handler>(handler: &H, request: &Request) -> Result<(), HandlerError> {
    if request.route.is_some_and(Route::can_be_stopped) && handler.stopped().await?.changes {
        let refusal = Rejection::new(ErrorCode::ChangesStopped).not_counted();
        return Err(refusal.retry_after(STOPPED_RETRY_S).into());
    }
    Ok(())
}

/// The reply to a handler's outcome, and the cause of a failure for the log. A handler that panicked has no outcome. Its
/// panic's payload is dropped, because it can contain personal data; the panic hook does not print it either.
fn reply_of(
    outcome: Option<Result<Reply, HandlerError>>,
    support_ref: &str,
) -> (Reply, Option<String>) {
    let internal = Rejection::new(ErrorCode::Internal);
    let Some(outcome) = outcome else {
        let reply = Reply::problem(&internal, support_ref);
        return (reply, Some("panic".to_owned()));
    };
    let error = match outcome {
        Ok(reply) => return (reply, None),
        Err(HandlerError::Answered(reply)) => return (*reply, None),
        Err(HandlerError::Rejected(refusal)) => {
            return (Reply::problem(&refusal, support_ref), None);
        }
        Err(HandlerError::Failed(PortError::Conflict) | HandlerError::PayoutExists { .. }) => {
            let refusal = Rejection::new(ErrorCode::VersionConflict).retry_after(1);
            return (Reply::problem(&refusal, support_ref), None);
        }
        Err(HandlerError::Failed(error)) => error,
    };
    let reply = match &error {
        PortError::TooNew(_) => Reply::problem(&internal.retry_after(5), support_ref).unavailable(),
        PortError::Transient(..) => Reply::problem(&internal.retry_after(1), support_ref),
        _ => Reply::problem(&internal, support_ref),
    };
    (reply, Some(error.to_string()))
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
    crypto::random::<8>().map_or_else(|_| "unknown".to_owned(), hex::encode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::usage::Usage;
    use api::routes::RebindRequestRoute;
    use serde_json::{Value, json};

    /// Acts by the id in its path.
    struct Probe;

    impl Handler for Probe {
        type Route = RebindRequestRoute;

        async fn handle(
            &self,
            _: RebindRequestRoute,
            request: &Request,
            _: Timestamp,
        ) -> Result<Reply, HandlerError> {
            match request.path_id.as_str() {
                "panic" => panic!("6222020000008000010"),
                "conflict" => Err(PortError::Conflict.into()),
                "down" => Err(PortError::Transient("the table", "timeout".to_owned()).into()),
                "too-new" => Err(PortError::TooNew("a profile").into()),
                "broken" => {
                    Err(PortError::Permanent("the table", "AccessDenied".to_owned()).into())
                }
                _ => Ok(Reply::json(200, &json!({}))),
            }
        }

        async fn stopped(&self) -> Result<Stopped, PortError> {
            Ok(Stopped::default())
        }

        fn usage(&self) -> Usage {
            Usage::default()
        }
    }

    async fn get(id: &str, headers: Value) -> (u16, Value) {
        let event = json!({
            "pathParameters": {"id": id},
            "headers": headers,
            "requestContext": {"requestId": "gw-1", "routeKey": Route::GetRebind.label()},
        });
        let event = serde_json::from_value(event).unwrap();
        let response = respond(&Probe, &Deployment::new("production"), event).await;
        assert_eq!(response.headers["cache-control"], "no-store");
        (
            response.status_code,
            serde_json::from_str(&response.body).unwrap(),
        )
    }

    #[tokio::test]
    async fn internal_failure_reply_leaks_nothing() {
        for (path, status, code) in [
            ("panic", 500, "INTERNAL"),
            ("conflict", 409, "VERSION_CONFLICT"),
            ("down", 500, "INTERNAL"),
            ("broken", 500, "INTERNAL"),
            ("too-new", 503, "INTERNAL"),
        ] {
            let (got, body) = get(path, json!({})).await;
            assert_eq!(
                (got, body["code"].as_str().unwrap()),
                (status, code),
                "{path}"
            );
            assert_eq!(
                (body["status"].as_u64(), &body["retryable"]),
                (Some(status.into()), &json!(true))
            );
            assert_eq!(body["support_ref"], "gw-1");
            let text = body.to_string();
            assert!(
                !text.contains("6222020000008000010") && !text.contains("AccessDenied"),
                "{text}"
            );
            // The same handler answers the next request.
            assert_eq!(get("", json!({})).await.0, 200);
        }
    }

    #[tokio::test]
    async fn production_rejects_clock_header() {
        let (status, body) = get("", json!({"X-Sandbox-Now": "2026-11-22T10:00:00+08:00"})).await;
        assert_eq!(
            (status, body["code"].as_str().unwrap()),
            (400, "REQUEST_MALFORMED")
        );
    }

    #[test]
    fn support_ref_is_gateway_id_or_random() {
        let of = |id: &str| {
            support_ref(&Request {
                request_id: id.to_owned(),
                ..Request::default()
            })
        };
        assert_eq!(of("JKJaXmPLvHcESHA="), "JKJaXmPLvHcESHA=");
        for strange in ["", "a b", &"x".repeat(65)] {
            assert_eq!(of(strange).len(), 16);
        }
    }
}
