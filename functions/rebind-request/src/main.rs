//! The `rebind-request` function: wiring. Its use cases are in [`rebind_request`].

use application::init;
use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::Error;
use rebind_request::RebindRequest;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    let keys = aws.keys(&[HashKey::LookUp, HashKey::CardAndId])?;
    let deployment = runtime::deployment()?;
    init::warm(&store, &keys, &deployment).await?;
    let handler = RebindRequest::new(store, keys);
    runtime::serve(&handler, &deployment).await
}
