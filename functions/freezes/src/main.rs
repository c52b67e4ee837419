//! The `freezes` function: wiring. Its use case is in [`freezes`].

use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use freezes::Freezes;
use lambda_runtime::Error;
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::connect().await;
    let keys = aws.keys(&[HashKey::LookUp, HashKey::Freeze])?;
    keys.warm().await?;
    let handler = Freezes::new(
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
