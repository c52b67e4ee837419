//! A merchant's whole history, checked.

use application::ports::{ListEvents as _, LoadMerchant as _, Selector};
use domain::history::{ChainedEvent, GENESIS, hash};
use domain::ids::MerchantId;
use store::Store;

/// All events, oldest first.
///
/// # Errors
/// The position of a break in the chain.
pub async fn chained(store: &Store, merchant: &MerchantId) -> Result<Vec<ChainedEvent>, String> {
    let mut events: Vec<ChainedEvent> = Vec::new();
    loop {
        let before = events.last().map(|oldest| oldest.seq);
        let page = store.list_events(merchant, before, 200).await.unwrap();
        if page.is_empty() {
            break;
        }
        events.extend(page);
    }
    events.reverse();
    let mut prev = GENESIS.to_owned();
    for (seq, event) in (1..).zip(&events) {
        if (event.seq, &event.prev_hash, &hash(event)) != (seq, &prev, &event.hash) {
            return Err(format!("{merchant}: the chain breaks at event {seq}"));
        }
        prev.clone_from(&event.hash);
    }
    Ok(events)
}

/// All events, oldest first. Of an erased merchant, only the chain is checked.
///
/// # Errors
/// The position of a break in the chain, or a mismatch between its end and the merchant state.
pub async fn unbroken(store: &Store, merchant: &MerchantId) -> Result<Vec<ChainedEvent>, String> {
    let events = chained(store, merchant).await?;
    if store.erasure(merchant).await.unwrap().is_some() {
        return Ok(events);
    }
    let stored = store.load(merchant, Selector::Latest).await.unwrap();
    let state = stored
        .ok_or_else(|| format!("{merchant} has no stored state"))?
        .state;
    let length = u64::try_from(events.len()).unwrap();
    let last = events.last().map_or(GENESIS, |event| &event.hash);
    if (state.last_seq, state.last_hash.as_str()) != (length, last) {
        return Err(format!(
            "{merchant}: the chain has {length} events, the merchant state has {}",
            state.last_seq
        ));
    }
    Ok(events)
}
