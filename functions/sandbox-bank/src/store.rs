//! The bank's table.
//!
//! | pk | sk | what | attributes |
//! |---|---|---|---|
//! | `SERIAL#<serial>` | `-` | a check that was asked | `fingerprint`, `outcome`, `decided`, `garbled`, `ttl` |
//! | `SERIAL#<serial>` | `-` | a transfer that was ordered | `fingerprint`, `transfer_pk`, `transfer_sk`, `ttl` |
//! | `CARD#<keyed hash>` | `TRANSFER#<time>#<serial>` | a transfer | `serial`, `amount_fen`, `descriptor`, `status`, `reason`, `queries`, `ttl` |
//! | `CARD#<keyed hash>` | `CALLS#<rebind>` | calls for a card in a rebind | `calls`, `ttl` |
//!
//! and what seeding writes: see `bank::sandbox`. `fingerprint` is a keyed hash of the request.

use crate::rule::Behaviour;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem};
use bank::protocol::{StatementLine, TransferStatus};
use bank::sandbox::{ALONE, Item};
use bank::{CheckOutcome, ReturnReason, TransferOutcome};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::error::Error;
use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

/// How long a serial is answered for: past the last query (a transfer can come back for weeks), then garbage.
const KEEP_S: u64 = 90 * 24 * 60 * 60;
/// What a statement shows at most.
const STATEMENT_LINES: i32 = 100;

/// The table could not be used, or holds what this bank did not write. For the log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct StoreError(String);

impl StoreError {
    fn call(error: impl Error) -> Self {
        Self(DisplayErrorContext(error).to_string())
    }

    fn item(what: impl fmt::Display) -> Self {
        Self(format!("an item is not of its form: {what}"))
    }
}

type Result<T> = std::result::Result<T, StoreError>;

/// What is known of a serial.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    /// Keyed hash of the request that used the serial first.
    pub fingerprint: String,
    /// What it asked for.
    pub what: SeenWhat,
}

/// See [`Seen::what`].
#[derive(Debug, PartialEq, Eq)]
pub enum SeenWhat {
    /// A check, and what was said.
    Check(CheckRecord),
    /// A transfer: where it is kept.
    Transfer(TransferAt),
}

/// What was said to a check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckRecord {
    /// The last answer.
    pub outcome: CheckOutcome,
    /// Replies about it are nonsense.
    pub is_garbled: bool,
}

/// The key of a transfer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferAt {
    pk: String,
    sk: String,
}

/// A transfer as it was ordered.
#[derive(Debug)]
pub struct NewTransfer<'a> {
    /// The serial.
    pub serial: &'a str,
    /// Keyed hash of the request.
    pub fingerprint: &'a str,
    /// Where the card's transfers are.
    pub card_key: &'a str,
    /// What is sent.
    pub amount_fen: u64,
    /// What the statement shows.
    pub descriptor: &'a str,
    /// The first answer.
    pub outcome: TransferOutcome,
}

/// A transfer as it is kept.
#[derive(Clone, Copy, Debug)]
pub struct TransferRecord {
    /// The first answer.
    pub outcome: TransferOutcome,
    /// How often it was asked about.
    pub queries: u64,
}

/// A card that a test made.
#[derive(Debug, Default)]
pub struct SeededCard {
    /// How it behaves.
    pub behaviour: Option<Behaviour>,
    /// The holder key of its owner.
    pub owner: Option<String>,
}

/// Whether a write was the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is stored.
    Yes,
    /// The serial is taken: read it.
    Taken,
}

/// The table.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
}

impl Store {
    /// The table named `table`.
    #[must_use]
    pub const fn new(client: Client, table: String) -> Self {
        Self { client, table }
    }

    /// What is known of a serial.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn seen(&self, serial: &str) -> Result<Option<Seen>> {
        let Some(item) = self.get(&serial_key(serial), ALONE).await? else {
            return Ok(None);
        };
        let what = if item.contains_key("transfer_pk") {
            SeenWhat::Transfer(TransferAt {
                pk: text(&item, "transfer_pk")?.to_owned(),
                sk: text(&item, "transfer_sk")?.to_owned(),
            })
        } else {
            SeenWhat::Check(CheckRecord {
                outcome: word(&item, "outcome")?,
                is_garbled: flag(&item, "garbled")?,
            })
        };
        Ok(Some(Seen {
            fingerprint: text(&item, "fingerprint")?.to_owned(),
            what,
        }))
    }

    /// Stores the answer to a check, unless one that decides is there already.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_check(
        &self,
        serial: &str,
        fingerprint: &str,
        record: CheckRecord,
    ) -> Result<Written> {
        let written = self
            .client
            .put_item()
            .table_name(&self.table)
            .item("pk", s(serial_key(serial)))
            .item("sk", s(ALONE))
            .item("fingerprint", s(fingerprint))
            .item("outcome", s(as_word(record.outcome)?))
            .item("decided", AttributeValue::Bool(record.outcome.is_decided()))
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
            Ok(_) => Ok(Written::Yes),
            Err(SdkError::ServiceError(error))
                if error.err().is_conditional_check_failed_exception() =>
            {
                Ok(Written::Taken)
            }
            Err(error) => Err(StoreError::call(error)),
        }
    }

    /// Counts a call for a card in a rebind, and tells whether it was the first.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn is_first_call(&self, card_key: &str, rebind: &str) -> Result<bool> {
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

    /// What a test said of a card.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn seeded_card(&self, card_key: &str) -> Result<SeededCard> {
        let Some(item) = self.get(card_key, ALONE).await? else {
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

    /// Whether a person or a holder was seeded.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn knows(&self, key: &str) -> Result<bool> {
        Ok(self.get(key, ALONE).await?.is_some())
    }

    /// Stores a transfer and its serial, both or neither.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn put_transfer(&self, new: &NewTransfer<'_>) -> Result<Written> {
        let now_epoch_ms = since_epoch()?.as_millis();
        let ttl = n(now_epoch_s()? + KEEP_S);
        // 13 digits until the year 2286, so the text sorts as the time does.
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
            ("sk".to_owned(), s(ALONE)),
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
            Ok(_) => Ok(Written::Yes),
            // Of the two conditions only the serial's can fail. Two at once with one serial collide as well, and
            // then too the other one is to be read.
            Err(SdkError::ServiceError(error))
                if error.err().is_transaction_canceled_exception() =>
            {
                Ok(Written::Taken)
            }
            Err(error) => Err(StoreError::call(error)),
        }
    }

    /// A transfer as it stands, without counting the look.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn transfer(&self, at: &TransferAt) -> Result<TransferRecord> {
        let item = self.get(&at.pk, &at.sk).await?;
        transfer_record(&item.ok_or_else(|| StoreError::item("a transfer is missing"))?)
    }

    /// Counts a query, and returns the transfer after it.
    ///
    /// # Errors
    /// [`StoreError`]
    pub async fn count_query(&self, at: &TransferAt) -> Result<TransferRecord> {
        let updated = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", s(&at.pk))
            .key("sk", s(&at.sk))
            .update_expression("ADD queries :one")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":one", n(1))
            .return_values(ReturnValue::AllNew)
            .send()
            .await
            .map_err(StoreError::call)?;
        transfer_record(updated.attributes.as_ref().unwrap_or(&Item::new()))
    }

    /// The newest transfers to a card, newest first, each with its record.
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

/// A closed set is kept in the words that it has on the wire.
fn word<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T> {
    serde_json::from_value(text(item, name)?.into()).map_err(|_| StoreError::item(name))
}

fn as_word(value: impl Serialize) -> Result<String> {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => Ok(word),
        _ => Err(StoreError::item("a value without a word")),
    }
}

#[expect(clippy::disallowed_methods, reason = "a bank's clock is real")]
fn since_epoch() -> Result<std::time::Duration> {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(StoreError::call)
}

fn now_epoch_s() -> Result<u64> {
    Ok(since_epoch()?.as_secs())
}
