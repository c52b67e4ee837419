//! The `login` function: wiring. Its use cases are in [`login`].

use application::crypto::password;
use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::Error;
use login::Login;
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::connect().await;
    let keys = aws.keys(&[HashKey::LookUp])?;
    password::warm()?;
    keys.warm().await?;
    let handler = Login::new(
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
