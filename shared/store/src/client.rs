//! The table calls of the store. [`DynamoDb`] sends them; a model of the table can answer them instead.

use super::item::{self, Item, Update};
use super::keys::is_record;
use super::meter::Meter;
use application::ports::PortError;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::interceptors::InterceptorContext;
use aws_sdk_dynamodb::config::retry::{ClassifyRetry, RetryAction};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
use aws_sdk_dynamodb::types::{
    self as transaction, AttributeValue, CancellationReason, KeysAndAttributes,
    ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use std::collections::HashMap;

/// A query of the table or its index.
#[derive(Clone, Debug)]
pub struct Query {
    /// The index; `None` for the table itself, which is read consistently.
    pub index: Option<&'static str>,
    /// The key condition.
    pub condition: &'static str,
    /// The values that the condition refers to.
    pub values: HashMap<String, AttributeValue>,
    /// Ascending by sort key.
    pub forward: bool,
    /// Maximum number of items.
    pub limit: Option<i32>,
    /// The key after which the page begins.
    pub start: Option<Item>,
}

/// One page of a query.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// The start key of the next page.
    pub next: Option<Item>,
}

/// A read of one item.
#[derive(Clone, Debug)]
pub struct Get {
    /// Its key.
    pub key: Item,
    /// The one attribute to return; `None` for all.
    pub only: Option<&'static str>,
    /// True if the read must see every earlier write.
    pub consistent: bool,
}

/// An update of one item, outside a transaction.
#[derive(Debug)]
pub struct SingleUpdate {
    /// Its key.
    pub key: Item,
    /// The update expression.
    pub expression: String,
    /// The condition.
    pub condition: Option<String>,
    /// The names in both.
    pub names: HashMap<String, String>,
    /// The values in both.
    pub values: HashMap<String, AttributeValue>,
    /// The attributes to return after the update.
    pub returned: ReturnValue,
}

impl SingleUpdate {
    /// An `update` of the item under `key`.
    pub(super) fn new(key: Item, update: Update, returned: ReturnValue) -> Self {
        let expression = update.expression();
        Self {
            condition: update.condition(),
            expression,
            key,
            names: update.names,
            values: update.values,
            returned,
        }
    }

    /// The update of a transaction's only item, which needs no transaction if the caller recognises its own repetition: a
    /// repeated update has no token.
    pub(super) fn alone(update: transaction::Update) -> Self {
        Self {
            key: update.key,
            expression: update.update_expression,
            condition: update.condition_expression,
            names: update.expression_attribute_names.unwrap_or_default(),
            values: update.expression_attribute_values.unwrap_or_default(),
            returned: ReturnValue::None,
        }
    }
}

/// The result of a [`SingleUpdate`].
#[derive(Clone, Debug)]
pub enum Updated {
    /// Written; the requested attributes.
    Done(Option<Item>),
    /// The condition failed; the current item.
    ConditionFailed(Option<Item>),
}

/// The result of a transaction.
#[derive(Clone, Debug)]
pub enum Transacted {
    /// All items are written.
    Done,
    /// Nothing is written; one reason per item.
    Cancelled(Vec<CancellationReason>),
}

/// The two DynamoDB tables: the main one, and the one of the acquirer's record, which functions only read.
#[expect(async_fn_in_trait, reason = "only this workspace implements it")]
pub trait Table {
    /// The name of the main table.
    fn name(&self) -> &str;
    /// The name of the record table.
    fn record_name(&self) -> &str;
    /// The cost of the calls.
    fn meter(&self) -> &Meter;
    /// Reads one page.
    async fn query(&self, query: Query) -> Result<Page, PortError>;
    /// Reads one item of either table.
    async fn get(&self, get: Get) -> Result<Option<Item>, PortError>;
    /// Reads one item in parallel with another read. Both count as one call.
    async fn get_beside(&self, get: Get) -> Result<Option<Item>, PortError>;
    /// Reads several items of the main table, each consistently, in any order. A throttled part is an error: the caller's next request
    /// retries.
    async fn batch_get(&self, keys: Vec<Item>) -> Result<Vec<Item>, PortError>;
    /// Writes all items or none.
    async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Transacted, PortError>;
    /// Updates one item.
    async fn update(&self, update: SingleUpdate) -> Result<Updated, PortError>;
    /// Puts one item of either table unconditionally. For the sandbox's seed only.
    async fn put(&self, item: Item) -> Result<(), PortError>;
}

/// The tables in DynamoDB.
#[derive(Clone, Debug)]
pub struct DynamoDb {
    client: Client,
    table: String,
    record: String,
    meter: Meter,
}

impl DynamoDb {
    /// `table` and `record`: the names of the tables.
    #[must_use]
    pub fn new(client: &Client, table: impl Into<String>, record: impl Into<String>) -> Self {
        let config = client.config().to_builder();
        Self {
            client: Client::from_conf(config.retry_classifier(RetryTransactionConflict).build()),
            table: table.into(),
            record: record.into(),
            meter: Meter::default(),
        }
    }
}

impl DynamoDb {
    /// The name of the table with this item.
    fn table_of(&self, key: &Item) -> &str {
        let of = |name| item::opt_s(key, name).unwrap_or_default();
        match is_record(of("pk"), of("sk")) {
            true => &self.record,
            false => &self.table,
        }
    }
}

impl Table for DynamoDb {
    fn name(&self) -> &str {
        &self.table
    }

    fn record_name(&self) -> &str {
        &self.record
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    async fn query(&self, query: Query) -> Result<Page, PortError> {
        let page = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(query.index.map(str::to_owned))
            .set_consistent_read(query.index.is_none().then_some(true))
            .key_condition_expression(query.condition)
            .set_expression_attribute_values(Some(query.values))
            .scan_index_forward(query.forward)
            .set_limit(query.limit)
            .set_exclusive_start_key(query.start)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(port_error)?;
        self.meter.call(0);
        self.meter.read(page.consumed_capacity.as_slice());
        Ok(Page {
            items: page.items.unwrap_or_default(),
            next: page.last_evaluated_key,
        })
    }

    async fn get(&self, get: Get) -> Result<Option<Item>, PortError> {
        let item = self.get_beside(get).await;
        self.meter.call(0);
        item
    }

    async fn get_beside(&self, get: Get) -> Result<Option<Item>, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(self.table_of(&get.key))
            .set_key(Some(get.key))
            .set_consistent_read(get.consistent.then_some(true))
            .set_projection_expression(get.only.map(str::to_owned))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(port_error)?;
        self.meter.read(answer.consumed_capacity.as_slice());
        Ok(answer.item)
    }

    async fn batch_get(&self, keys: Vec<Item>) -> Result<Vec<Item>, PortError> {
        let wanted = KeysAndAttributes::builder()
            .set_keys(Some(keys))
            .consistent_read(true)
            .build()
            .map_err(|error| item::broken(&error.to_string()))?;
        let answer = self
            .client
            .batch_get_item()
            .request_items(&self.table, wanted)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(port_error)?;
        self.meter.call(0);
        self.meter.read(answer.consumed_capacity());
        let unprocessed = answer.unprocessed_keys();
        if unprocessed.is_some_and(|keys| !keys.is_empty()) {
            return Err(PortError::Transient(
                "the table",
                "unprocessed keys".to_owned(),
            ));
        }
        let mut responses = answer.responses.unwrap_or_default();
        Ok(responses.remove(&self.table).unwrap_or_default())
    }

    async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Transacted, PortError> {
        self.meter.call(items.len());
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(items))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                self.meter.written(answer.consumed_capacity());
                Ok(Transacted::Done)
            }
            Err(error) => match error.as_service_error() {
                Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => Ok(
                    Transacted::Cancelled(cancelled.cancellation_reasons().to_vec()),
                ),
                _ => Err(port_error(error)),
            },
        }
    }

    async fn update(&self, update: SingleUpdate) -> Result<Updated, PortError> {
        self.meter.call(1);
        let sent = self
            .client
            .update_item()
            .table_name(self.table_of(&update.key))
            .set_key(Some(update.key))
            .update_expression(update.expression)
            .set_condition_expression(update.condition)
            .set_expression_attribute_names(some_unless_empty(update.names))
            .set_expression_attribute_values(some_unless_empty(update.values))
            .return_values(update.returned)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                self.meter.written(answer.consumed_capacity.as_slice());
                Ok(Updated::Done(answer.attributes))
            }
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Updated::ConditionFailed(failed.item.clone()))
                }
                _ => Err(port_error(error)),
            },
        }
    }

    async fn put(&self, item: Item) -> Result<(), PortError> {
        self.client
            .put_item()
            .table_name(self.table_of(&item))
            .set_item(Some(item))
            .send()
            .await
            .map(|_| ())
            .map_err(port_error)
    }
}

/// DynamoDB refuses an empty map of names or values.
fn some_unless_empty<K, V>(map: HashMap<K, V>) -> Option<HashMap<K, V>> {
    (!map.is_empty()).then_some(map)
}

/// Retries a single write that conflicted with a transaction and was not applied. The SDK retries only a transaction in
/// progress.
#[derive(Debug)]
struct RetryTransactionConflict;

impl ClassifyRetry for RetryTransactionConflict {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        let error = context.output_or_error().and_then(Result::err);
        let error = error.and_then(|error| error.as_operation_error());
        match error.and_then(|error| error.downcast_ref::<UpdateItemError>()) {
            Some(UpdateItemError::TransactionConflictException(_)) => {
                RetryAction::transient_error()
            }
            _ => RetryAction::NoActionIndicated,
        }
    }

    fn name(&self) -> &'static str {
        "single write conflicted with a transaction"
    }
}

/// Maps an SDK error to a port error.
fn port_error<E>(error: SdkError<E>) -> PortError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    let code = error.code().unwrap_or("").to_owned();
    // The service's message can contain a key or a value of the request, so only the code is kept.
    let cause = if code.is_empty() {
        kind(&error).to_owned()
    } else {
        code.clone()
    };
    match code.as_str() {
        "ConditionalCheckFailedException" => PortError::Conflict,
        // Neither code means a failed condition: the single write conflicted with a transaction and was not applied, or
        // the transaction is still in progress. Returned as `Conflict`, either would look like a lost lease, and the
        // notification would be skipped.
        "TransactionConflictException"
        | "TransactionInProgressException"
        | "ProvisionedThroughputExceededException"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "InternalServerError"
        | "InternalFailure"
        | "ServiceUnavailable" => PortError::Transient("the table", cause),
        _ => match error {
            SdkError::TimeoutError(_)
            | SdkError::DispatchFailure(_)
            | SdkError::ResponseError(_) => PortError::Transient("the table", cause),
            // A malformed answer, or one from a proxy. It is unknown whether the write took effect.
            SdkError::ServiceError(answer)
                if code.is_empty() && !answer.raw().status().is_client_error() =>
            {
                PortError::Transient("the table", cause)
            }
            _ => PortError::Permanent("the table", cause),
        },
    }
}

const fn kind<E, R>(error: &SdkError<E, R>) -> &'static str {
    match error {
        SdkError::ConstructionFailure(_) => "construction failure",
        SdkError::TimeoutError(_) => "timeout",
        SdkError::DispatchFailure(_) => "dispatch failure",
        SdkError::ResponseError(_) => "unreadable response",
        _ => "service error",
    }
}
