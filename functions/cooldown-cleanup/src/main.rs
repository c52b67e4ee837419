//! The `cooldown-cleanup` function: wiring. What it does is in [`cooldown_cleanup`].

use cooldown_cleanup::{CooldownCleanup, ScheduleEvent};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::adapters::aws::{Aws, env};
use shared::adapters::logging;
use shared::edge::serve::{Stage, wall_clock};
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let stage = Stage::new(env("STAGE")?);
    let cleanup = &CooldownCleanup::new(Aws::connect().await.store()?, stage.is_sandbox());
    lambda_runtime::run(service_fn(async |event: LambdaEvent<ScheduleEvent>| {
        let left = event
            .context
            .deadline()
            .duration_since(std::time::SystemTime::now())
            .unwrap_or_default();
        let summary =
            Box::pin(cleanup.run(&event.payload, wall_clock(), Instant::now() + left)).await?;
        tracing::info!(summary = ?summary, "clean-up");
        Ok::<_, Error>(summary)
    }))
    .await
}
