//! The `payouts` function: wiring. Its operations are in [`payouts`].

use application::serve::DeploymentStage;
use aws::logging;
use aws::settings::{Aws, env};
use domain::policy::Policy;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use payouts::{CoreKeys, Payouts};
use serde_json::Value;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let stage = &DeploymentStage::new(env("STAGE")?);
    let aws = Aws::from_environment()?;
    let payouts = &Payouts::new(
        Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT),
        aws.keys(&[])?,
        aws.signer()?,
        CoreKeys::read(&env("CORE_ENCRYPTION_KEYS").unwrap_or_default()),
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let done = Box::pin(payouts.handle(event.payload, stage)).await;
        done.map_err(Diagnostic::from)
    }))
    .await
}
