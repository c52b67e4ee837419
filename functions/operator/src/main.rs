//! The `operator` function: wiring. Its use cases are in [`operator`].

use api::operator::OperatorRoles;
use application::init::{self, Mark};
use application::ports::HashKey;
use aws::settings::{Aws, env, env_number};
use aws::{logging, runtime};
use domain::policy::{DAY_S, Policy};
use lambda_runtime::Error;
use operator::{Operator, Settings};
use proof::published::PublishedLog;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    let keys = aws.keys(&[HashKey::LookUp, HashKey::CardAndId])?;
    let deployment = runtime::deployment()?;
    if init::warm(&store, &keys, &deployment).await? == Mark::Missing {
        init::or_later(store.mark_stage(deployment.stage()).await)?;
    }
    let log = PublishedLog::new(aws.log_bucket()?, aws.log_signer()?, env("LOG_NAME")?);
    let settings = Settings {
        roles: OperatorRoles::parse(&env("OPERATOR_ROLE_ARNS").unwrap_or_default()),
        retention_s: i64::from(env_number("RETENTION_DAYS")?) * DAY_S,
        person_calls_max: env_number("PERSON_CALLS_MAX")?,
    };
    let handler = Operator::new(store, keys, log, aws.push(), settings);
    runtime::serve(&handler, &deployment).await
}
