//! The `rebind-request` function: wiring. Its use cases are in [`rebind_request`].

use api::event::HttpEvent;
use application::crypto::HashPurpose;
use application::serve::{DeploymentStage, respond};
use aws::logging;
use aws::settings::{Aws, env};
use domain::policy::Policy;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use rebind_request::RebindRequest;
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let stage = &DeploymentStage::new(env("STAGE")?);
    let aws = Aws::connect().await;
    let keys = aws.keys()?;
    keys.warm(&[HashPurpose::Card, HashPurpose::Idempotency])
        .await?;
    let handler = &RebindRequest::new(
        Store::new(aws.dynamodb(), env("TABLE")?, &Policy::CURRENT),
        keys,
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        Ok::<_, Error>(respond(handler, stage, event.payload).await)
    }))
    .await
}
