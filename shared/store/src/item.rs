//! Reading and writing attributes, with one error for damaged records.

use application::ports::PortError;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::builders::PutBuilder;
use aws_sdk_dynamodb::types::{
    AttributeValue, Delete, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
    Update as UpdateItem,
};
use domain::time::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::HashMap;

/// An item in the SDK's form.
pub type Item = HashMap<String, AttributeValue>;

pub(super) fn s(value: impl Into<String>) -> AttributeValue {
    AttributeValue::S(value.into())
}

pub(super) fn n(value: impl ToString) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

pub(super) fn time(value: Timestamp) -> AttributeValue {
    n(value.epoch_s())
}

pub(super) fn b(value: &[u8]) -> AttributeValue {
    AttributeValue::B(Blob::new(value))
}

pub(super) fn json<T: Serialize>(value: &T) -> Result<AttributeValue, PortError> {
    serde_json::to_string(value)
        .map(AttributeValue::S)
        .map_err(|error| broken(&error.to_string()))
}

pub(super) fn get_s<'a>(item: &'a Item, name: &str) -> Result<&'a str, PortError> {
    opt_s(item, name).ok_or_else(|| broken(name))
}

pub(super) fn opt_s<'a>(item: &'a Item, name: &str) -> Option<&'a str> {
    item.get(name)?.as_s().ok().map(String::as_str)
}

pub(super) fn get_n<T: std::str::FromStr>(item: &Item, name: &str) -> Result<T, PortError> {
    opt_n(item, name).ok_or_else(|| broken(name))
}

pub(super) fn opt_n<T: std::str::FromStr>(item: &Item, name: &str) -> Option<T> {
    item.get(name)?.as_n().ok()?.parse().ok()
}

pub(super) fn opt_time(item: &Item, name: &str) -> Option<Timestamp> {
    opt_n(item, name).map(Timestamp::from_epoch_s)
}

pub(super) fn opt_b(item: &Item, name: &str) -> Option<Vec<u8>> {
    item.get(name)?
        .as_b()
        .ok()
        .map(|blob| blob.as_ref().to_vec())
}

pub(super) fn get_json<T: DeserializeOwned>(item: &Item, name: &str) -> Result<T, PortError> {
    serde_json::from_str(get_s(item, name)?)
        .map_err(|error| broken(&format!("{name}, at byte {}", error.column())))
}

/// A damaged or foreign record, or a bug. The text names attributes, never values.
pub(super) fn broken(what: &str) -> PortError {
    PortError::Permanent(
        "the table",
        format!("a record cannot be read or written: {what}"),
    )
}

/// A put as one item of a transaction.
pub(super) fn put_item(put: PutBuilder) -> Result<TransactWriteItem, PortError> {
    put.build()
        .map(|put| TransactWriteItem::builder().put(put).build())
        .map_err(|error| broken(&error.to_string()))
}

/// A delete as one item of a transaction.
pub(super) fn delete_item(table: &str, key: Item) -> Result<TransactWriteItem, PortError> {
    Delete::builder()
        .table_name(table)
        .set_key(Some(key))
        .build()
        .map(|delete| TransactWriteItem::builder().delete(delete).build())
        .map_err(|error| broken(&error.to_string()))
}

/// An update as one item of a transaction.
pub(super) fn update_item(
    table: &str,
    key: Item,
    update: Update,
) -> Result<TransactWriteItem, PortError> {
    let expression = update.expression();
    update_with(table, key, update, expression)
}

/// The same, with an expression that has more than the update's own clauses.
pub(super) fn update_with(
    table: &str,
    key: Item,
    update: Update,
    expression: String,
) -> Result<TransactWriteItem, PortError> {
    let condition = update.condition();
    UpdateItem::builder()
        .table_name(table)
        .set_key(Some(key))
        .update_expression(expression)
        .set_condition_expression(condition)
        .set_expression_attribute_names((!update.names.is_empty()).then_some(update.names))
        .set_expression_attribute_values((!update.values.is_empty()).then_some(update.values))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .map(|update| TransactWriteItem::builder().update(update).build())
        .map_err(|error| broken(&error.to_string()))
}

/// An update: its clauses, names and values.
#[derive(Debug, Default)]
pub(super) struct Update {
    set: Vec<String>,
    remove: Vec<String>,
    conditions: Vec<String>,
    pub(super) names: HashMap<String, String>,
    pub(super) values: HashMap<String, AttributeValue>,
}

impl Update {
    /// Puts several attributes as [`Update::put`] does.
    pub(super) fn put_all(
        &mut self,
        attributes: impl IntoIterator<Item = (&'static str, Option<AttributeValue>)>,
    ) {
        for (name, value) in attributes {
            self.put(name, value);
        }
    }

    /// Sets `#name = :name`, or removes the attribute for `None`.
    pub(super) fn put(&mut self, name: &str, value: Option<AttributeValue>) {
        self.put_as(name, name, value);
    }

    /// The same for an attribute whose name cannot be a placeholder.
    pub(super) fn put_as(
        &mut self,
        placeholder: &str,
        name: impl Into<String>,
        value: Option<AttributeValue>,
    ) {
        self.names.insert(format!("#{placeholder}"), name.into());
        match value {
            Some(value) => {
                self.set.push(format!("#{placeholder} = :{placeholder}"));
                self.values.insert(format!(":{placeholder}"), value);
            }
            None => self.remove.push(format!("#{placeholder}")),
        }
    }

    pub(super) fn set_raw(&mut self, clause: impl Into<String>) {
        self.set.push(clause.into());
    }

    pub(super) fn when(&mut self, condition: impl Into<String>) {
        self.conditions.push(condition.into());
    }

    pub(super) fn name(&mut self, name: &str) {
        self.names.insert(format!("#{name}"), name.to_owned());
    }

    pub(super) fn value(&mut self, name: &str, value: AttributeValue) {
        self.values.insert(format!(":{name}"), value);
    }

    pub(super) fn expression(&self) -> String {
        let mut parts = Vec::new();
        if !self.set.is_empty() {
            parts.push(format!("SET {}", self.set.join(", ")));
        }
        if !self.remove.is_empty() {
            parts.push(format!("REMOVE {}", self.remove.join(", ")));
        }
        parts.join(" ")
    }

    pub(super) fn condition(&self) -> Option<String> {
        (!self.conditions.is_empty()).then(|| self.conditions.join(" AND "))
    }
}
