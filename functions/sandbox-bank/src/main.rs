//! Wires the `sandbox-bank` function.

use api::event::HttpEvent;
use application::serve::Deployment;
use aws::logging;
use aws::settings::{Aws, env};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sandbox_bank::handler::Bank;
use sandbox_bank::keys::BankKeys;
use sandbox_bank::rule::CardBook;
use sandbox_bank::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    // This bank confirms card numbers that are published in a file, so it must never replace a real bank.
    if !Deployment::new(env("STAGE")?).is_sandbox() {
        return Err("the sandbox bank requires STAGE=sandbox".into());
    }
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), env("BANK_TABLE")?);
    let secrets = &aws.secrets();
    let (ask, query) = (env("BANK_SECRET_ID")?, env("BANK_QUERY_SECRET_ID")?);
    let keys = async || BankKeys::load(secrets, &ask, &query).await;
    let bank = &Bank::new(CardBook::sandbox()?, keys().await?, store);
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        let request = event.payload.into();
        let reply = bank.handle(&request).await?;
        if reply.status_code != 401 {
            return Ok(reply);
        }
        // The secret may have changed since the keys were read.
        match keys().await {
            Ok(keys) => {
                bank.accept(keys);
                bank.handle(&request).await
            }
            Err(_) => Ok(reply),
        }
    }))
    .await
}
