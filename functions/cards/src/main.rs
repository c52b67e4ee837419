//! The `cards` function: wiring. Its use cases are in [`cards`].

use application::init;
use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use cards::Cards;
use domain::policy::Policy;
use lambda_runtime::Error;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    let keys = aws.keys(&[HashKey::LookUp])?;
    let deployment = runtime::deployment()?;
    init::warm(&store, &keys, &deployment).await?;
    let handler = Cards::new(store, keys);
    runtime::serve(&handler, &deployment).await
}
