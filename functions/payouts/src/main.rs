//! The `payouts` function: wiring. Its operations are in [`payouts`].

use application::init;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use payouts::{CoreKeys, Payouts};
use serde_json::Value;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let deployment = &runtime::deployment()?;
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    init::connect(&store, deployment).await?;
    let payouts = &Payouts::new(
        store,
        aws.keys(&[])?,
        aws.signer()?,
        CoreKeys::read(&env("CORE_ENCRYPTION_KEYS").unwrap_or_default()),
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let done = Box::pin(payouts.handle(event.payload, deployment)).await;
        done.map_err(Diagnostic::from)
    }))
    .await
}
