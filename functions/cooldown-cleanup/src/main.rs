//! The `cooldown-cleanup` function: wiring. Its use case is in [`cooldown_cleanup`].

use application::clock::wall_clock;
use application::init;
use aws::runtime::deadline;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use cooldown_cleanup::{CooldownCleanup, ScheduleEvent};
use domain::policy::Policy;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use std::time::Instant;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let deployment = runtime::deployment()?;
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    init::connect(&store, &deployment).await?;
    let cleanup = &CooldownCleanup::new(
        store,
        bank::connect(aws.secrets(), env("BANK_SECRET_ID")?, &env("BANK_URL")?)?,
        deployment.is_sandbox(),
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<ScheduleEvent>| {
        let started = Instant::now();
        let (deadline, id) = (deadline(&event.context), &event.context.request_id);
        let run = cleanup.run(&event.payload, wall_clock(), deadline, id);
        let summary = Box::pin(run).await.map_err(|error| Diagnostic {
            error_type: "CleanupFailed".to_owned(),
            error_message: error.to_string(),
        })?;
        summary.log(cleanup.usage(), started.elapsed());
        Ok::<_, Diagnostic>(summary)
    }))
    .await
}
