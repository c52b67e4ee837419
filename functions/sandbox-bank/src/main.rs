//! The `sandbox-bank` function: wiring.

use aws_config::BehaviorVersion;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use sandbox_bank::handler::Bank;
use sandbox_bank::rule::Book;
use sandbox_bank::store::Store;
use shared::adapters::aws::env;
use shared::adapters::bank::BankKey;
use shared::adapters::logging;
use shared::edge::event::HttpEvent;
use std::time::Duration;

/// For one attempt at a store call; the client of this bank waits 4 s for everything.
const ATTEMPT_TIMEOUT_MS: u64 = 1_000;
/// For a store call with its repeats.
const OPERATION_TIMEOUT_MS: u64 = 3_000;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    // A bank that says "match" to numbers anyone can read in a file must not answer for a real one.
    if env("STAGE")? != "sandbox" {
        return Err("the sandbox bank runs with STAGE=sandbox only".into());
    }
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_millis(ATTEMPT_TIMEOUT_MS))
        .operation_timeout(Duration::from_millis(OPERATION_TIMEOUT_MS))
        .build();
    let aws = aws_config::defaults(BehaviorVersion::latest())
        .timeout_config(timeouts)
        .retry_config(RetryConfig::standard())
        .load()
        .await;
    let secrets = aws_sdk_secretsmanager::Client::new(&aws);
    let key = BankKey::load(&secrets, &env("BANK_SECRET_ID")?).await?;
    let store = Store::new(aws_sdk_dynamodb::Client::new(&aws), env("BANK_TABLE")?);
    let bank = Bank::new(Book::sandbox()?, key, store);
    let bank = &bank;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<HttpEvent>| async move {
        bank.handle(&event.payload.into()).await
    }))
    .await
}
