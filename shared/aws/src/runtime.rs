//! The Lambda runtime: of a function behind the gateway, and the deadline of a scheduled one.

use crate::settings::env;
use api::event::HttpEvent;
use application::serve::{DeploymentStage, Handler, respond};
use lambda_runtime::{Context, Error, LambdaEvent, service_fn};
use std::time::{Instant, SystemTime};

/// Serves the function's routes for as long as the runtime sends events.
///
/// # Errors
/// When `STAGE` is not set, or the runtime fails.
pub async fn serve<H: Handler>(handler: &H) -> Result<(), Error> {
    let stage = &DeploymentStage::new(env("STAGE")?);
    let _ = handler.usage(); // what init used belongs to no request
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        Ok::<_, Error>(respond(handler, stage, event.payload).await)
    }))
    .await
}

/// The time at which Lambda ends an invocation. A deadline that has passed is now.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "Lambda's own clock")]
pub fn deadline(context: &Context) -> Instant {
    let left = context.deadline().duration_since(SystemTime::now());
    Instant::now() + left.unwrap_or_default()
}
