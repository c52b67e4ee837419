//! The `verification` function: wiring. Its use cases are in [`verification`].

use application::ports::HashKey;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::Error;
use store::Store;
use verification::Verification;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::connect().await;
    let keys = aws.keys(&[HashKey::LookUp, HashKey::CardAndId, HashKey::Codes])?;
    keys.warm().await?;
    let handler = Verification::new(
        Store::new(
            aws.dynamodb(),
            env("TABLE")?,
            env("RECORD_TABLE")?,
            &Policy::CURRENT,
        ),
        keys,
        aws.sms()?,
        bank::connect(&aws.secrets(), &env("BANK_SECRET_ID")?, &env("BANK_URL")?).await?,
    );
    runtime::serve(&handler).await
}
