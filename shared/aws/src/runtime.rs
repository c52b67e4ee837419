//! The Lambda runtime of a function behind the gateway.

use crate::settings::env;
use api::event::HttpEvent;
use application::serve::{DeploymentStage, Handler, respond};
use lambda_runtime::{Error, LambdaEvent, service_fn};

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
