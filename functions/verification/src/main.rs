//! The `verification` function: wiring. Its use cases are in [`verification`].

use api::event::HttpEvent;
use application::crypto::HashPurpose;
use application::serve::{DeploymentStage, respond};
use aws::logging;
use aws::settings::{Aws, env};
use domain::policy::Policy;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::Store;
use verification::Verification;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let stage = &DeploymentStage::new(env("STAGE")?);
    let aws = Aws::connect().await;
    let keys = aws.keys()?;
    keys.warm(&[
        HashPurpose::Code,
        HashPurpose::IdNumber,
        HashPurpose::Phone,
        HashPurpose::Idempotency,
    ])
    .await?;
    let handler = &Verification::new(
        Store::new(aws.dynamodb(), env("TABLE")?, &Policy::CURRENT),
        keys,
        aws.sms(),
        bank::connect(&aws.secrets(), &env("BANK_SECRET_ID")?, &env("BANK_URL")?).await?,
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        Ok::<_, Error>(respond(handler, stage, event.payload).await)
    }))
    .await
}
