//! The `cards` function: wiring. What it does is in [`cards`].

use cards::Cards;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use shared::adapters::aws::{Aws, env};
use shared::adapters::logging;
use shared::crypto::HashPurpose;
use shared::edge::event::HttpEvent;
use shared::edge::serve::{Stage, respond};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let stage = &Stage::new(env("STAGE")?);
    let aws = Aws::connect().await;
    let keys = aws.keys()?;
    keys.warm(&[HashPurpose::Idempotency]).await?;
    let handler = &Cards::new(aws.store()?, keys);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        Ok::<_, Error>(respond(handler, stage, event.payload).await)
    }))
    .await
}
