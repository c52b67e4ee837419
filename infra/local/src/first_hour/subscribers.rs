//! Published events: their signature, and a subscriber that is gone.

use bytes::Bytes;
use http::Request;
use serde_json::Value;
use std::time::Duration;

use super::queue::{Queue, published};
use super::{Hour, signature};
use crate::demo::change_card;
use crate::error::Error;
use crate::http::Http;

/// The time from a change to its event.
const EVENT_LIMIT: Duration = Duration::from_secs(90);

/// Subscribes two queues, deletes one, and has a card changed.
pub(super) async fn run(hour: &mut Hour, number: usize) -> Result<(), Error> {
    let account = hour.system.account().clone();
    let topic = hour.system.endpoints().events_topic.clone();
    let name = hour.system.stack().name.clone();
    let stays = Queue::create(&account, &format!("{name}-first-hour-stays")).await?;
    let goes = Queue::create(&account, &format!("{name}-first-hour-goes")).await?;
    stays.subscribe(&topic).await?;
    goes.subscribe(&topic).await?;
    goes.delete().await?;
    let changed = change_card(&hour.system, number).await?;
    let is_activation = |event: &Value| {
        event["type"] == "card-rebind.activated" && event["subject"] == changed.merchant_id.as_str()
    };
    let envelopes = stays
        .receive(EVENT_LIMIT, |all| {
            published(all).any(|event| is_activation(&event))
        })
        .await?;
    stays.delete().await?;
    let arrived = published(&envelopes).any(|event| is_activation(&event));
    hour.report.judge(
        "a subscriber that is gone keeps no event from another one",
        arrived,
        format!("{} events arrived", envelopes.len()),
    );
    let verified = match envelopes.first() {
        Some(envelope) => verified(hour, envelope).await,
        None => Err("no event".to_owned()),
    };
    hour.report.judge_on_aws(
        "the signature of an event is of version 2 and verifies",
        verified.is_ok(),
        verified.err().unwrap_or_else(|| "it verifies".to_owned()),
        "the local cloud makes no signatures",
    );
    Ok(())
}

async fn verified(hour: &Hour, envelope: &Value) -> Result<(), String> {
    let region = &hour.system.endpoints().region;
    let url = signature::certificate_url(envelope, region)?;
    let request = Request::get(url).body(Bytes::new());
    let request = request.map_err(|error| error.to_string())?;
    let reply = Http::new().send(request).await;
    let reply = reply.map_err(|error| error.to_string())?;
    signature::verify(envelope, &reply.body)
}
