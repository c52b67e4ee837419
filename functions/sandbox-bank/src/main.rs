//! Wires the `sandbox-bank` function.

use api::event::HttpEvent;
use application::serve::DeploymentStage;
use aws::logging;
use aws::settings::{Aws, env};
use bank::BankKey;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sandbox_bank::handler::{Bank, BankKeys};
use sandbox_bank::rule::CardBook;
use sandbox_bank::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    // This bank confirms card numbers that are published in a file, so it must never replace a real bank.
    if !DeploymentStage::new(env("STAGE")?).is_sandbox() {
        return Err("the sandbox bank requires STAGE=sandbox".into());
    }
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), env("BANK_TABLE")?);
    let bank = &Bank::new(
        CardBook::sandbox()?,
        BankKeys {
            ask: BankKey::load(&aws.secrets(), &env("BANK_SECRET_ID")?).await?,
            query: BankKey::load(&aws.secrets(), &env("BANK_QUERY_SECRET_ID")?).await?,
        },
        store,
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        bank.handle(&event.payload.into()).await
    }))
    .await
}
