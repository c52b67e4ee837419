//! The `rebind-request` function: wiring. Its use cases are in [`rebind_request`].

use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::Error;
use rebind_request::RebindRequest;
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::connect().await;
    let keys = aws.keys(&[HashKey::LookUp, HashKey::CardAndId])?;
    keys.warm().await?;
    let handler = RebindRequest::new(
        Store::new(
            aws.dynamodb(),
            env("TABLE")?,
            env("RECORD_TABLE")?,
            &Policy::CURRENT,
        ),
        keys,
    );
    runtime::serve(&handler).await
}
