//! The `events` function: wiring. Its use case is in [`events`].

use application::clock::wall_clock;
use application::stream::StreamEvent;
use aws::logging;
use aws::settings::{Aws, env};
use domain::policy::Policy;
use events::Events;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let events = &Events::new(
        Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT),
        aws.topic()?,
        aws.anchor_queue()?,
        env("EVENT_SOURCE")?,
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        Ok::<_, Error>(events.handle(event.payload, wall_clock).await)
    }))
    .await
}
