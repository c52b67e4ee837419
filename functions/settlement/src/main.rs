//! The `settlement` function: wiring. Its use cases are in [`settlement`].

use application::init;
use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::Error;
use proof::published::PublishedLog;
use settlement::Settlement;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    let keys = aws.keys(&[HashKey::LookUp])?;
    let deployment = runtime::deployment()?;
    init::warm(&store, &keys, &deployment).await?;
    let log = PublishedLog::new(aws.log_bucket()?, aws.log_signer()?, env("LOG_NAME")?);
    let handler = Settlement::new(store, keys, log);
    runtime::serve(&handler, &deployment).await
}
