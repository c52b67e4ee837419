//! The `verification` function: wiring. Its use cases are in [`verification`].

use application::init;
use application::ports::HashKey;
use application::switches::UnlessStopped;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use domain::policy::Policy;
use lambda_runtime::Error;
use message::Channel;
use store::{Store, Tables};
use verification::Verification;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    let keys = aws.keys(&[HashKey::LookUp, HashKey::CardAndId, HashKey::Codes])?;
    let deployment = runtime::deployment()?;
    let sms = UnlessStopped::new(Channel::connect(&aws)?, store.clone());
    init::warm(&store, &keys, &deployment).await?;
    let handler = Verification::new(
        store,
        keys,
        sms,
        bank::connect(aws.secrets(), env("BANK_SECRET_ID")?, &env("BANK_URL")?)?,
    );
    runtime::serve(&handler, &deployment).await
}
