//! The `agreement` function: wiring. Its use cases are in [`agreement`].

use agreement::Agreement;
use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::Error;
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::connect().await;
    let keys = aws.keys(&[HashKey::LookUp])?;
    keys.warm().await?;
    let handler = Agreement::new(
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
