//! The queue of the log: SQS.

use crate::settings::{Aws, env};
use application::ports::{AnchorQueue, PortError, QueueAnchor, QueuedMessage};
use aws_sdk_sqs::Client;
use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::types::{DeleteMessageBatchRequestEntry, SendMessageBatchRequestEntry};
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use transparency::history::Entry;

/// The most messages of one call.
const MESSAGES_MAX: i32 = 10;
/// Waiting asks all servers of the queue. A call that does not wait can miss messages.
const WAIT_S: i32 = 1;
/// Calls at the same time.
const CALLS: usize = 8;

/// A queue of entries.
#[derive(Clone, Debug)]
pub struct EntryQueue {
    client: Client,
    url: String,
}

impl EntryQueue {
    /// The queue at `url`.
    #[must_use]
    pub const fn new(client: Client, url: String) -> Self {
        Self { client, url }
    }

    async fn delete_some(&self, receipts: &[String]) -> Result<(), PortError> {
        let entries = (0..).zip(receipts).map(|(id, receipt): (u32, _)| {
            DeleteMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .receipt_handle(receipt)
                .build()
                .map_err(|error| failed(error.to_string()))
        });
        let deleted = self
            .client
            .delete_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.collect::<Result<_, _>>()?))
            .send()
            .await
            .map_err(sqs_error)?;
        all_done(deleted.failed.len())
    }

    async fn send_some(&self, entries: &[Entry]) -> Result<(), PortError> {
        let messages = (0..).zip(entries).map(|(id, entry): (u32, _)| {
            SendMessageBatchRequestEntry::builder()
                .id(id.to_string())
                .message_body(entry.canonical())
                .build()
                .map_err(|error| failed(error.to_string()))
        });
        let sent = self
            .client
            .send_message_batch()
            .queue_url(&self.url)
            .set_entries(Some(messages.collect::<Result<_, _>>()?))
            .send()
            .await
            .map_err(sqs_error)?;
        all_done(sent.failed.len())
    }
}

impl AnchorQueue for EntryQueue {
    async fn receive(&self) -> Result<Vec<QueuedMessage>, PortError> {
        let received = self
            .client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(MESSAGES_MAX)
            .wait_time_seconds(WAIT_S)
            .send()
            .await
            .map_err(sqs_error)?;
        let messages = received.messages.unwrap_or_default().into_iter();
        let messages = messages.filter_map(|message| {
            Some(QueuedMessage {
                body: message.body?,
                receipt: message.receipt_handle?,
            })
        });
        Ok(messages.collect())
    }

    async fn delete(&self, receipts: &[String]) -> Result<(), PortError> {
        let calls = receipts.chunks(MESSAGES_MAX as usize);
        let calls = calls.map(|some| self.delete_some(some));
        let mut calls = stream::iter(calls).buffer_unordered(CALLS);
        while calls.try_next().await?.is_some() {}
        Ok(())
    }
}

impl QueueAnchor for EntryQueue {
    async fn queue(&self, entries: &[Entry]) -> Result<(), PortError> {
        for some in entries.chunks(MESSAGES_MAX as usize) {
            self.send_some(some).await?;
        }
        Ok(())
    }
}

/// A call can succeed for some of its messages only.
fn all_done(failures: usize) -> Result<(), PortError> {
    match failures {
        0 => Ok(()),
        count => Err(unavailable(format!("{count} messages failed"))),
    }
}

fn unavailable(cause: String) -> PortError {
    PortError::Transient("the queue", cause)
}

fn failed(cause: String) -> PortError {
    PortError::Permanent("the queue", cause)
}

fn sqs_error<E: ProvideErrorMetadata, R>(error: SdkError<E, R>) -> PortError {
    let code = error.code().unwrap_or("no answer").to_owned();
    let is_transient = matches!(
        error,
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) | SdkError::ResponseError(_)
    ) || [
        "RequestThrottled",
        "ThrottlingException",
        "InternalError",
        "ServiceUnavailable",
    ]
    .contains(&code.as_str());
    if is_transient {
        unavailable(code)
    } else {
        failed(code)
    }
}

impl Aws {
    /// The queue in `ANCHOR_QUEUE_URL`.
    ///
    /// # Errors
    /// `Permanent` when the variable is not set.
    pub fn anchor_queue(&self) -> Result<EntryQueue, PortError> {
        let client = Client::new(self.config());
        Ok(EntryQueue::new(client, env("ANCHOR_QUEUE_URL")?))
    }
}
