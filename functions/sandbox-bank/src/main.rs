//! The `sandbox-bank` function: wiring.

use api::event::HttpEvent;
use aws::logging;
use aws::settings::{Aws, env};
use bank::BankKey;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sandbox_bank::handler::Bank;
use sandbox_bank::rule::Book;
use sandbox_bank::store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    // A bank that says "match" to numbers anyone can read in a file must not answer for a real one.
    if env("STAGE")? != "sandbox" {
        return Err("the sandbox bank runs with STAGE=sandbox only".into());
    }
    let aws = Aws::connect().await;
    let store = Store::new(aws.dynamodb(), env("BANK_TABLE")?);
    let bank = &Bank::new(
        Book::sandbox()?,
        BankKey::load(&aws.secrets(), &env("BANK_SECRET_ID")?).await?,
        store,
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        bank.handle(&event.payload.into()).await
    }))
    .await
}
