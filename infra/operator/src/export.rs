//! Exports a merchant's history with the proofs of the log.

use domain::time::Timestamp;
use proof::export::{ChainHead, Export, ExportedEvent, Proof};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::time::Duration;
use tokio::time::{Instant, sleep};
use transparency::hash::Hash;
use transparency::history::consistency::Consistency;

/// The time between two looks at the log.
const POLL: Duration = Duration::from_secs(5);

/// Reads from the operator's API.
pub trait Read {
    /// The body of the reply to `GET /operator/v1/{path}`.
    ///
    /// # Errors
    /// What to tell the operator.
    fn read(&self, path: &str) -> impl Future<Output = Result<Value, String>>;
}

/// The receipt of the log.
#[derive(Deserialize)]
struct Receipt {
    head: ChainHead,
    anchored: Option<Anchored>,
}

#[derive(Deserialize)]
struct Anchored {
    proofs: Vec<Proof>,
    checkpoint: String,
    consistency: Option<Consistency>,
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next_after: Option<u64>,
}

/// An event of the API.
#[derive(Deserialize)]
struct Item {
    at: String,
    data: Map<String, Value>,
    hash: Hash,
    kind: String,
    personal_sha256: Option<String>,
    policy_version: u32,
    prev_hash: Hash,
    sequence: u64,
}

/// The whole history of a merchant. It waits until the log has anchored the last event, or `wait` is over. `kept`: the size of a
/// checkpoint that the file must continue.
///
/// # Errors
/// What to tell the operator. Nothing is exported without a proof.
pub async fn export(
    api: &impl Read,
    merchant: &str,
    kept: Option<u64>,
    wait: Duration,
) -> Result<Export, String> {
    let (head, anchored) = anchored(api, merchant, kept, wait).await?;
    let mut earlier = anchored.proofs;
    let proof = earlier.pop().ok_or(
        "no event of this merchant is anchored yet; the log is written every five minutes, so repeat the command then",
    )?;
    Ok(Export {
        merchant_id: merchant.to_owned(),
        events: events(api, merchant, head.sequence).await?,
        head,
        proof,
        earlier,
        checkpoint: anchored.checkpoint,
        consistency: anchored.consistency,
        personal: Vec::new(),
    })
}

/// The end of the history, and the proofs.
async fn anchored(
    api: &impl Read,
    merchant: &str,
    kept: Option<u64>,
    wait: Duration,
) -> Result<(ChainHead, Anchored), String> {
    let path = match kept {
        Some(size) => format!("merchants/{merchant}/receipt?kept={size}"),
        None => format!("merchants/{merchant}/receipt"),
    };
    let started = Instant::now();
    loop {
        let receipt: Receipt = parsed(api.read(&path).await?)?;
        let anchored = receipt.anchored.unwrap_or_else(|| Anchored {
            proofs: Vec::new(),
            checkpoint: String::new(),
            consistency: None,
        });
        let newest = anchored.proofs.last().map(|proof| proof.entry.seq);
        if newest >= Some(receipt.head.sequence) || started.elapsed() >= wait {
            return Ok((receipt.head, anchored));
        }
        sleep(POLL).await;
    }
}

/// The events up to `last`, oldest first.
async fn events(api: &impl Read, merchant: &str, last: u64) -> Result<Vec<ExportedEvent>, String> {
    let (mut events, mut after) = (Vec::new(), 0);
    loop {
        let path = format!("merchants/{merchant}/events?after={after}");
        let page: Page = parsed(api.read(&path).await?)?;
        let items = page.items.into_iter();
        for item in items.filter(|item| item.sequence <= last) {
            events.push(item.exported().ok_or_else(not_a_reply)?);
        }
        match page.next_after {
            Some(next) if next > after && next < last => after = next,
            _ => return Ok(events),
        }
    }
}

impl Item {
    fn exported(self) -> Option<ExportedEvent> {
        Some(ExportedEvent {
            at: Timestamp::parse_rfc3339(&self.at)?.epoch_s(),
            data: self.data,
            hash: self.hash,
            kind: self.kind,
            personal_sha256: self.personal_sha256,
            policy: self.policy_version,
            prev_hash: self.prev_hash,
            seq: self.sequence,
        })
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(body: Value) -> Result<T, String> {
    serde_json::from_value(body).map_err(|_| not_a_reply())
}

fn not_a_reply() -> String {
    "the reply is not of this API; compare the versions of rebindctl and of the deployment"
        .to_owned()
}
