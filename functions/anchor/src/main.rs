//! The `anchor` function: wiring. Its use case is in [`anchor`].

use anchor::Anchor;
use application::clock::wall_clock;
use aws::logging;
use aws::runtime::deadline;
use aws::settings::{Aws, env};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let anchor = &Anchor::new(
        aws.anchor_queue()?,
        aws.log_bucket()?,
        aws.log_signer()?,
        env("LOG_NAME")?,
    );
    // The event has no content: a run always anchors what the queue holds.
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let started = Instant::now();
        let run = anchor.run(wall_clock(), deadline(&event.context));
        let summary = Box::pin(run).await.map_err(|error| Diagnostic {
            error_type: "AnchorFailed".to_owned(),
            error_message: error.to_string(),
        })?;
        summary.log(started.elapsed());
        Ok::<_, Diagnostic>(summary)
    }))
    .await
}
