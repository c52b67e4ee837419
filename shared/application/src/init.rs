//! What a function does before its first event, while the processor is not throttled and no merchant waits.

use crate::crypto::Keys;
use crate::ports::{KeyService, LoadMerchant, PortError, Selector};
use domain::ids::MerchantId;
use std::time::Duration;
use tokio::time::timeout;

/// Limit for everything here. Lambda ends an init after 10 s and repeats it inside the first invocation, where it would count
/// towards the function's timeout.
const INIT_LIMIT: Duration = Duration::from_secs(5);
/// Belongs to no merchant: the read finds nothing.
const NOBODY: &str = "mer_none";

/// Fetches the secrets of the hash keys and opens the connection to the table with a read, in parallel.
///
/// A failure ends nothing, because the first request does the same again: it is logged, and the function starts.
pub async fn warm<S: LoadMerchant, K: KeyService>(store: &S, keys: &Keys<K>) {
    let both = async { futures::join!(connect(store), keys.warm()) };
    let cause = match timeout(INIT_LIMIT, both).await {
        Ok((Ok(()), Ok(()))) => return,
        Ok((Err(error), _) | (_, Err(error))) => error.to_string(),
        Err(_) => "no answer in time".to_owned(),
    };
    tracing::warn!(init.cause = cause, "init.incomplete");
}

/// Opens the connection to the table.
async fn connect(store: &impl LoadMerchant) -> Result<(), PortError> {
    match MerchantId::parse(NOBODY) {
        Some(nobody) => store.load(&nobody, Selector::Latest).await.map(|_| ()),
        None => Ok(()),
    }
}
