//! The bank's table.
//!
//! | pk | sk | item | attributes |
//! |---|---|---|---|
//! | `SERIAL#<serial>` | `-` | a check | `fingerprint`, `outcome`, `card_type`, `decided`, `garbled`, `ttl` |
//! | `SERIAL#<serial>` | `-` | the serial of a transfer | `fingerprint`, `transfer_pk`, `transfer_sk`, `ttl` |
//! | `CARD#<keyed hash>` | `TRANSFER#<time>#<serial>` | a transfer | `serial`, `amount_fen`, `descriptor`, `status`, `reason`, `queries`, `ttl` |
//! | `CARD#<keyed hash>` | `CALLS#<rebind>` | number of calls for a card in a rebind | `calls`, `ttl` |
//!
//! `bank::sandbox` lists the items that seeding writes. `fingerprint` is a keyed hash of the request.

use crate::rule::Behaviour;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem};
use bank::protocol::{StatementLine, TransferStatus};
use bank::sandbox::{Item, SINGLE_ITEM_SK};
use bank::{CheckResult, ReturnReason, TransferOutcome};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long the bank keeps an answer. A transfer can be returned after weeks, so queries come late.
const KEEP_S: u64 = 90 * 24 * 60 * 60;
/// Maximum number of lines in a statement.
const STATEMENT_LINES: i32 = 100;

/// The table cannot be used, or an item is invalid. For the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(String);

impl StoreError {
    fn call(error: impl Error) -> Self {
        Self(DisplayErrorContext(error).to_string())
    }

    fn item(what: impl fmt::Display) -> Self {
        Self(format!("invalid item: {what}"))
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// The first request that used a serial.
#[derive(Debug, PartialEq, Eq)]
pub struct SerialRecord {
    /// Keyed hash of the request.
    pub fingerprint: String,
    /// The operation and its result.
    pub operation: RecordedOperation,
}

/// See [`SerialRecord::operation`].
#[derive(Debug, PartialEq, Eq)]
pub enum RecordedOperation {
    /// A check with its answer.
    Check(CheckRecord),
    /// A transfer with its key.
    Transfer(TransferKey),
}

/// The answer to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckRecord {
    /// The last answer.
    pub result: CheckResult,
    /// Whether every reply is unreadable.
    pub is_garbled: bool,
}

/// The key of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferKey {
    pk: String,
    sk: String,
}

/// A transfer to store.
#[derive(Debug)]
pub struct NewTransfer<'a> {
    /// The serial.
    pub serial: &'a str,
    /// Keyed hash of the request.
    pub fingerprint: &'a str,
    /// The partition key of the card.
    pub card_key: &'a str,
    /// The amount.
    pub amount_fen: u64,
    /// The text on the statement.
    pub descriptor: &'a str,
    /// The first answer.
    pub outcome: TransferOutcome,
}

/// A stored transfer.
#[derive(Clone, Copy, Debug)]
pub struct TransferRecord {
    /// The first answer.
    pub outcome: TransferOutcome,
    /// The number of queries so far.
    pub queries: u64,
}

/// A test card.
#[derive(Debug, Default)]
pub struct SeededCard {
    /// Its behaviour.
    pub behaviour: Option<Behaviour>,
    /// The holder key of its owner.
    pub owner: Option<String>,
}

/// The result of a conditional write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PutResult {
    /// The item is stored.
    Stored,
    /// The serial is already in use: read its record.
    SerialInUse,
}

/// The table.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
}

impl Store {
    /// Uses the table with this name.
    #[must_use]
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// Reads the record of a serial.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn serial_record(&self, serial: &str) -> Result<Option<SerialRecord>> {
        let Some(item) = self.get(&serial_key(serial), SINGLE_ITEM_SK).await? else {
            return Ok(None);
        };
        let operation = if item.contains_key("transfer_pk") {
            RecordedOperation::Transfer(TransferKey {
                pk: text(&item, "transfer_pk")?.to_owned(),
                sk: text(&item, "transfer_sk")?.to_owned(),
            })
        } else {
            RecordedOperation::Check(CheckRecord {
                result: CheckResult {
                    outcome: word(&item, "outcome")?,
                    card_type: word(&item, "card_type")?,
                },
                is_garbled: flag(&item, "garbled")?,
            })
        };
        Ok(Some(SerialRecord {
            fingerprint: text(&item, "fingerprint")?.to_owned(),
            operation,
        }))
    }

    /// Stores the answer to a check. Replaces an undecided answer to the same request, but never a decided one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_check(
        &self,
        serial: &str,
        fingerprint: &str,
        record: CheckRecord,
    ) -> Result<PutResult> {
        let CheckResult { outcome, card_type } = record.result;
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", s(serial_key(serial)))
            .item("sk", s(SINGLE_ITEM_SK))
            .item("fingerprint", s(fingerprint))
            .item("outcome", s(as_word(outcome)?))
            .item("card_type", s(as_word(card_type)?))
            .item("decided", AttributeValue::Bool(outcome.is_decided()))
            .item("garbled", AttributeValue::Bool(record.is_garbled))
            .item("ttl", n(now_epoch_s()? + KEEP_S))
            .condition_expression(
                "attribute_not_exists(pk) OR (fingerprint = :fingerprint AND decided = :no)",
            )
            .expression_attribute_values(":fingerprint", s(fingerprint))
            .expression_attribute_values(":no", AttributeValue::Bool(false))
            .send()
            .await;
        match written {
            Ok(_) => Ok(PutResult::Stored),
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                Ok(PutResult::SerialInUse)
            }
            Err(error) => Err(StoreError::call(error)),
        }
    }

    /// Counts a call for a card in a rebind. Returns true for the first one.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count_call(&self, card_key: &str, rebind: &str) -> Result<bool> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", s(card_key))
            .key("sk", s(format!("CALLS#{rebind}")))
            .update_expression("SET #ttl = :ttl ADD calls :one")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_values(":ttl", n(now_epoch_s()? + KEEP_S))
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::UpdatedNew)
            .send()
            .await
            .map_err(StoreError::call)?;
        let calls = number(updated.attributes.as_ref().unwrap_or(&Item::new()), "calls")?;
        Ok(calls == 1)
    }

    /// Reads a test card.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn seeded_card(&self, card_key: &str) -> Result<SeededCard> {
        let Some(item) = self.get(card_key, SINGLE_ITEM_SK).await? else {
            return Ok(SeededCard::default());
        };
        let behaviour = text(&item, "outcome")?;
        Ok(SeededCard {
            behaviour: Some(
                Behaviour::parse(behaviour).ok_or_else(|| StoreError::item(behaviour))?,
            ),
            owner: Some(text(&item, "owner")?.to_owned()),
        })
    }

    /// Whether the person or the holder with this key was seeded.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn is_seeded(&self, key: &str) -> Result<bool> {
        Ok(self.get(key, SINGLE_ITEM_SK).await?.is_some())
    }

    /// Stores a transfer and its serial in one transaction.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_transfer(&self, new: &NewTransfer<'_>) -> Result<PutResult> {
        let now_epoch_ms = since_epoch()?.as_millis();
        let ttl = n(now_epoch_s()? + KEEP_S);
        // 13 digits until the year 2286, so the text sorts by time.
        let sk = format!("TRANSFER#{now_epoch_ms:013}#{}", new.serial);
        let (status, reason) = new.outcome.parts();
        let mut transfer = Item::from([
            ("pk".to_owned(), s(new.card_key)),
            ("sk".to_owned(), s(&sk)),
            ("serial".to_owned(), s(new.serial)),
            ("amount_fen".to_owned(), n(new.amount_fen)),
            ("descriptor".to_owned(), s(new.descriptor)),
            ("status".to_owned(), s(as_word(status)?)),
            ("queries".to_owned(), n(0)),
            ("ttl".to_owned(), ttl.clone()),
        ]);
        if let Some(reason) = reason {
            transfer.insert("reason".to_owned(), s(as_word(reason)?));
        }
        let serial = Item::from([
            ("pk".to_owned(), s(serial_key(new.serial))),
            ("sk".to_owned(), s(SINGLE_ITEM_SK)),
            ("fingerprint".to_owned(), s(new.fingerprint)),
            ("transfer_pk".to_owned(), s(new.card_key)),
            ("transfer_sk".to_owned(), s(sk)),
            ("ttl".to_owned(), ttl),
        ]);
        let put = |item: Item| {
            let put = Put::builder().table_name(&self.table).set_item(Some(item));
            let put = put.condition_expression("attribute_not_exists(pk)").build();
            put.map(|put| TransactWriteItem::builder().put(put).build())
                .map_err(StoreError::call)
        };
        let written = self
            .client
            .transact_write_items()
            .transact_items(put(serial)?)
            .transact_items(put(transfer)?)
            .send()
            .await;
        match written {
            Ok(_) => Ok(PutResult::Stored),
            // Either the serial's condition failed or a concurrent request with the same serial collided. In both
            // cases the other request's record is the valid one.
            Err(SdkError::ServiceError(error))
                if error.err().is_transaction_canceled_exception() =>
            {
                Ok(PutResult::SerialInUse)
            }
            Err(error) => Err(StoreError::call(error)),
        }
    }

    /// Reads a transfer without counting a query.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn transfer(&self, key: &TransferKey) -> Result<TransferRecord> {
        let item = self.get(&key.pk, &key.sk).await?;
        transfer_record(&item.ok_or_else(|| StoreError::item("missing transfer"))?)
    }

    /// Counts a query and returns the updated transfer.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count_query(&self, key: &TransferKey) -> Result<TransferRecord> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", s(&key.pk))
            .key("sk", s(&key.sk))
            .update_expression("ADD queries :one")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(StoreError::call)?;
        transfer_record(updated.attributes.as_ref().unwrap_or(&Item::new()))
    }

    /// The last transfers to a card with their records, newest first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn transfers(&self, card_key: &str) -> Result<Vec<(StatementLine, TransferRecord)>> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("pk = :pk AND begins_with(sk, :prefix)")
            .expression_attribute_values(":pk", s(card_key))
            .expression_attribute_values(":prefix", s("TRANSFER#"))
            .scan_index_forward(false)
            .consistent_read(true)
            .limit(STATEMENT_LINES)
            .send()
            .await
            .map_err(StoreError::call)?;
        let line = |item: &Item| {
            let record = transfer_record(item)?;
            let line = StatementLine {
                serial: text(item, "serial")?.to_owned(),
                amount_fen: number(item, "amount_fen")?,
                descriptor: text(item, "descriptor")?.to_owned(),
                status: record.outcome.parts().0,
            };
            Ok((line, record))
        };
        page.items().iter().map(line).collect()
    }

    async fn get(&self, pk: &str, sk: &str) -> Result<Option<Item>> {
        let got = self
            .client
            .get_item()
            .table_name(&self.table)
            .key("pk", s(pk))
            .key("sk", s(sk))
            .consistent_read(true)
            .send()
            .await
            .map_err(StoreError::call)?;
        Ok(got.item)
    }
}

fn serial_key(serial: &str) -> String {
    format!("SERIAL#{serial}")
}

fn transfer_record(item: &Item) -> Result<TransferRecord> {
    let status: TransferStatus = word(item, "status")?;
    let reason: Option<ReturnReason> = match status {
        TransferStatus::Returned => Some(word(item, "reason")?),
        _ => None,
    };
    Ok(TransferRecord {
        outcome: TransferOutcome::new(status, reason),
        queries: number(item, "queries")?,
    })
}

fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

fn n(value: u64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

fn text<'a>(item: &'a Item, name: &str) -> Result<&'a str> {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value
        .map(String::as_str)
        .ok_or_else(|| StoreError::item(name))
}

fn number(item: &Item, name: &str) -> Result<u64> {
    let value = item.get(name).and_then(|value| value.as_n().ok());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| StoreError::item(name))
}

fn flag(item: &Item, name: &str) -> Result<bool> {
    let value = item.get(name).and_then(|value| value.as_bool().ok());
    value.copied().ok_or_else(|| StoreError::item(name))
}

/// Reads an enum, which is stored as its word on the wire.
fn word<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T> {
    serde_json::from_value(text(item, name)?.into()).map_err(|_| StoreError::item(name))
}

fn as_word(value: impl Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::item("value is not a word")),
    }
}

#[expect(clippy::disallowed_methods, reason = "the bank uses wall-clock time")]
fn since_epoch() -> Result<std::time::Duration> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(StoreError::call)
}

fn now_epoch_s() -> Result<u64> {
    Ok(since_epoch()?.as_secs())
}
