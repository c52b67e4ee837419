//! The Lambda runtime: of a function behind the gateway, and the deadline of a scheduled one.

use crate::settings::env;
use api::event::HttpEvent;
use application::front_door::FrontDoor;
use application::ports::PortError;
use application::serve::{Deployment, Handler, respond};
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use std::time::{Instant, SystemTime};

/// Serves the function's routes for as long as the runtime sends events.
///
/// # Errors
/// When the runtime fails.
pub async fn serve<H: Handler>(handler: &H, deployment: &Deployment) -> Result<(), Error> {
    let _ = handler.usage(); // what init used belongs to no request
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        Ok::<_, Error>(respond(handler, deployment, event.payload).await)
    }))
    .await
}

/// The stage in `STAGE`, behind the front door whose secrets have the hashes in `ORIGIN_SECRET_HASHES`, if there is one.
///
/// # Errors
/// `Permanent` when the stage is not set, or the hashes are malformed.
pub fn deployment() -> Result<Deployment, PortError> {
    let hashes = env("ORIGIN_SECRET_HASHES").unwrap_or_default();
    let front_door = FrontDoor::parse(&hashes).ok_or_else(|| {
        let rule =
            "ORIGIN_SECRET_HASHES must be one or two SHA-256 hashes in hex, separated by a comma";
        PortError::Permanent("environment", rule.to_owned())
    })?;
    Ok(Deployment::new(env("STAGE")?).behind(front_door))
}

/// The time at which Lambda ends an invocation. A deadline that has passed is now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "Lambda's own clock")]
pub fn deadline(context: &Context) -> Instant {
    let left = context.deadline().duration_since(SystemTime::now());
    Instant::now() + left.unwrap_or_default()
}
