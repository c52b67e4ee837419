//! The `events` function: wiring. Its use case is in [`events`].

use application::serve::wall_clock;
use application::stream::StreamEvent;
use aws::logging;
use aws::settings::{Aws, env};
use events::Events;
use lambda_runtime::{Error, LambdaEvent, service_fn};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let topic = Aws::from_environment()?.topic()?;
    let events = &Events::new(topic, env("EVENT_SOURCE")?);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        Ok::<_, Error>(events.handle(event.payload, wall_clock).await)
    }))
    .await
}
