//! Stops and resumes changes or SMS: a write of the mark of the tables in the caller's own role, so that it works
//! whatever is wrong with the functions.

use crate::account::{Account, NoAnswer};
use crate::doctor::stack::Stack;
use application::ports::PortError;
use domain::policy::Policy;
use domain::time::Timestamp;
use serde_json::{Value, json};
use store::switches::Switch;
use store::{Store, Tables};
use thiserror::Error;

/// Why nothing was switched.
#[derive(Debug, Error)]
pub enum Error {
    /// The stack cannot be read.
    #[error("the stack cannot be read: {0}")]
    Stack(NoAnswer),
    /// The table cannot be read or written.
    #[error(
        "the switches cannot be read or written: {0}; infra/operator/policies/stop.json permits it"
    )]
    Table(#[from] PortError),
}

/// Stops something for a reason, or resumes it without one. Returns what is stopped then.
///
/// # Errors
/// When the stack or its tables do not answer, or the role may not do it.
pub async fn switch(
    account: &Account,
    stack: &str,
    switch: Switch,
    why: Option<&str>,
    now: Timestamp,
) -> Result<Value, Error> {
    let (stack, _) = Stack::read(account, stack).await.map_err(Error::Stack)?;
    let client = aws_sdk_dynamodb::Client::new(&account.sdk());
    let tables = Tables::new(stack.output("TableName"), stack.output("RecordTableName"));
    let store = Store::new(client, tables, &Policy::CURRENT);
    store.switch(switch, why, now).await?;
    let stopped = store.switched().await?.into_iter();
    let shown = stopped.map(|(switch, why)| {
        let what = match switch {
            Switch::Changes => "changes",
            Switch::Sms => "sms",
        };
        (what.to_owned(), Value::from(why))
    });
    Ok(json!({"stopped": shown.collect::<serde_json::Map<_, _>>()}))
}
