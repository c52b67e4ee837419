//! What a function does before its first event, while the processor is not throttled and no merchant waits.

use crate::crypto::Keys;
use crate::ports::{ConnectTables, KeyService, PortError};
use crate::serve::Deployment;
use std::time::Duration;
use tokio::time::timeout;

/// Limit for each part. Lambda ends an init after 10 s and repeats it inside the first invocation, where it would count
/// towards the function's timeout.
const INIT_LIMIT: Duration = Duration::from_secs(5);
/// The same in the sandbox, which cannot start without the tables.
const INIT_LIMIT_SANDBOX: Duration = Duration::from_secs(9);

/// Whose the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// They belong to this stage.
    Own,
    /// They belong to no stage yet.
    Missing,
    /// The tables did not answer.
    Unknown,
}

/// Fetches the secrets of the hash keys and opens the connections to the tables with a read, in parallel.
///
/// A failure of a service ends nothing, because the first request does the same again: it is logged, and the function starts.
///
/// # Errors
/// When the tables belong to another stage. The sandbox, where callers set the clock, also needs to know that they do not.
pub async fn warm<S: ConnectTables, K: KeyService>(
    store: &S,
    keys: &Keys<K>,
    deployment: &Deployment,
) -> Result<Mark, PortError> {
    // Each has a limit of its own, so that silent keys hide no mark.
    let warmed = timeout(INIT_LIMIT, keys.warm());
    let (mark, warmed) = futures::join!(connect(store, deployment), warmed);
    if let Err(error) = warmed.unwrap_or_else(|_| Err(no_answer())) {
        incomplete(&error);
    }
    mark
}

/// Opens the connections to the tables.
///
/// # Errors
/// As [`warm`].
pub async fn connect(
    store: &impl ConnectTables,
    deployment: &Deployment,
) -> Result<Mark, PortError> {
    let connected = timeout(limit(deployment), store.connect()).await;
    let stage = connected.unwrap_or_else(|_| Err(no_answer()));
    admitted(stage, deployment)
}

/// Tolerates the failure of a service, which the next init may not meet.
///
/// # Errors
/// Every other failure.
pub fn or_later(done: Result<(), PortError>) -> Result<(), PortError> {
    match done {
        Err(error @ PortError::Transient(..)) => {
            incomplete(&error);
            Ok(())
        }
        other => other,
    }
}

fn admitted(
    stage: Result<Option<String>, PortError>,
    deployment: &Deployment,
) -> Result<Mark, PortError> {
    let own = deployment.stage();
    match stage {
        Ok(Some(stage)) if stage != own => Err(failed(format!(
            "the tables belong to the stage {stage}, and this function to {own}"
        ))),
        Ok(Some(_)) => Ok(Mark::Own),
        Ok(None) => Ok(Mark::Missing),
        Err(error) if deployment.is_sandbox() => Err(error),
        Err(error) => {
            incomplete(&error);
            Ok(Mark::Unknown)
        }
    }
}

fn limit(deployment: &Deployment) -> Duration {
    match deployment.is_sandbox() {
        true => INIT_LIMIT_SANDBOX,
        false => INIT_LIMIT,
    }
}

fn incomplete(error: &PortError) {
    tracing::warn!(init.cause = error.to_string(), "init.incomplete");
}

fn no_answer() -> PortError {
    failed("no answer in time".to_owned())
}

fn failed(cause: String) -> PortError {
    PortError::Permanent("init", cause)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tables(Result<Option<&'static str>, ()>);

    impl ConnectTables for Tables {
        async fn connect(&self) -> Result<Option<String>, PortError> {
            match self.0 {
                Ok(stage) => Ok(stage.map(str::to_owned)),
                Err(()) => Err(PortError::Transient("the table", "timeout".to_owned())),
            }
        }
    }

    #[tokio::test]
    async fn function_starts_at_the_stage_of_its_tables_only() {
        for (tables, stage, starts) in [
            (Ok(None), "sandbox", true),
            (Ok(None), "production", true),
            (Ok(Some("sandbox")), "sandbox", true),
            (Ok(Some("production")), "production", true),
            (Ok(Some("production")), "sandbox", false),
            (Ok(Some("sandbox")), "production", false),
            // With real merchants, the first request tries again. A sandbox on their tables would let callers set the clock.
            (Err(()), "production", true),
            (Err(()), "sandbox", false),
        ] {
            let started = connect(&Tables(tables), &Deployment::new(stage)).await;
            assert_eq!(started.is_ok(), starts, "{tables:?} {stage}");
        }
    }
}
