//! The table of the model: the items that the store's own writes leave behind.

use crate::expression::{Placeholders, holds, updated};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use domain::history::{self, ChainedEvent};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use store::item::Item;
use store::records::event;

/// One item, with what is asked of it again and again.
#[derive(Debug)]
pub struct Row {
    pub item: Item,
    hash: u64,
    event: OnceLock<ChainedEvent>,
    hash_fits: OnceLock<bool>,
}

impl Row {
    fn new(item: Item) -> Self {
        let mut hasher = DefaultHasher::new();
        let mut attributes: Vec<_> = item.iter().collect();
        attributes.sort_by_key(|(name, _)| *name);
        for (name, value) in attributes {
            name.hash(&mut hasher);
            match value {
                AttributeValue::S(text) | AttributeValue::N(text) => text.hash(&mut hasher),
                AttributeValue::B(blob) => blob.as_ref().hash(&mut hasher),
                other => format!("{other:?}").hash(&mut hasher),
            }
        }
        Self {
            item,
            hash: hasher.finish(),
            event: OnceLock::new(),
            hash_fits: OnceLock::new(),
        }
    }

    /// Of a row that is an event.
    pub fn event(&self) -> &ChainedEvent {
        self.event.get_or_init(|| event::read(&self.item).unwrap())
    }

    /// Whether an event's hash is its own.
    pub fn hash_fits(&self) -> bool {
        *self
            .hash_fits
            .get_or_init(|| history::hash(self.event()) == self.event().hash)
    }
}

/// Partition and sort key.
pub type Key = (String, String);

/// All items; a copy shares them.
#[derive(Clone, Debug, Default)]
pub struct Rows {
    rows: BTreeMap<Arc<Key>, Arc<Row>>,
    hash: u64,
}

impl Rows {
    pub fn of(items: impl IntoIterator<Item = Item>) -> Self {
        let mut rows = Self::default();
        for item in items {
            rows.put(key_of(&item), Some(item));
        }
        rows
    }

    pub fn get(&self, pk: &str, sk: &str) -> Option<&Row> {
        let key = (pk.to_owned(), sk.to_owned());
        self.rows.get(&key).map(Arc::as_ref)
    }

    /// A partition's rows whose sort key begins so, in order.
    pub fn of_kind<'r>(&'r self, pk: &'r str, kind: &'r str) -> impl Iterator<Item = &'r Row> {
        let rows = self.rows.range((pk.to_owned(), kind.to_owned())..);
        rows.take_while(move |(key, _)| key.0 == pk && key.1.starts_with(kind))
            .map(|(_, row)| row.as_ref())
    }

    /// All rows with their keys.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Row)> {
        self.rows
            .iter()
            .map(|(key, row)| (key.as_ref(), row.as_ref()))
    }

    /// Puts one row as it was in another table: what a read sees that falls between the halves of a transaction.
    pub fn as_it_was_in(&mut self, before: &Self, pk: &str, sk: &str) {
        let key = (pk.to_owned(), sk.to_owned());
        let old = before.rows.get(&key).map(|row| row.item.clone());
        self.put(key, old);
    }

    /// Tells the states of one partition apart.
    pub fn hash_of(&self, pk: &str) -> u64 {
        let rows = self.rows.range((pk.to_owned(), String::new())..);
        let rows = rows.take_while(|(key, _)| key.0 == pk);
        rows.fold(0, |hash, (key, row)| hash ^ mixed(key, row.hash))
    }

    /// Tells the states of the whole table apart.
    pub fn fingerprint(&self) -> u64 {
        self.hash
    }

    fn put(&mut self, key: Key, item: Option<Item>) {
        let old = match item {
            Some(item) => {
                let row = Arc::new(Row::new(item));
                self.hash ^= mixed(&key, row.hash);
                self.rows.insert(Arc::new(key.clone()), row)
            }
            None => self.rows.remove(&key),
        };
        if let Some(old) = old {
            self.hash ^= mixed(&key, old.hash);
        }
    }

    /// All of it or, with the reasons, nothing.
    pub fn transact(&mut self, items: &[TransactWriteItem]) -> Result<(), Vec<CancellationReason>> {
        let parts: Vec<Part<'_>> = items.iter().map(Part::of).collect();
        let mut failed = false;
        let mut reasons = Vec::new();
        for part in &parts {
            let old = self.rows.get(&part.key).map(|row| &row.item);
            let reason = CancellationReason::builder();
            let fails = part
                .condition
                .is_some_and(|condition| !holds(condition, part.with, old));
            reasons.push(if fails {
                failed = true;
                let shown = old.filter(|_| part.shows_old).cloned();
                reason
                    .code("ConditionalCheckFailed")
                    .set_item(shown)
                    .build()
            } else {
                reason.code("None").build()
            });
        }
        if failed {
            return Err(reasons);
        }
        for part in parts {
            let old = self.rows.get(&part.key).map(|row| &row.item);
            match part.then {
                Then::Nothing => {}
                Then::Remove => self.put(part.key, None),
                Then::Put(item) => self.put(part.key, Some(item.clone())),
                Then::Update(update) => {
                    let keys = || {
                        let pk = AttributeValue::S(part.key.0.clone());
                        let sk = AttributeValue::S(part.key.1.clone());
                        Item::from([("pk".to_owned(), pk), ("sk".to_owned(), sk)])
                    };
                    let before = old.cloned().unwrap_or_else(keys);
                    let after = updated(update, part.with, &before);
                    self.put(part.key, Some(after));
                }
            }
        }
        Ok(())
    }
}

/// Different for the same item under another key, so that two changes never cancel out.
fn mixed(key: &Key, hash: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, hash).hash(&mut hasher);
    hasher.finish()
}

pub fn key_of(item: &Item) -> Key {
    let text = |name: &str| item[name].as_s().unwrap().clone();
    (text("pk"), text("sk"))
}

enum Then<'a> {
    Nothing,
    Remove,
    Put(&'a Item),
    Update(&'a str),
}

/// One item of a transaction.
struct Part<'a> {
    key: Key,
    condition: Option<&'a str>,
    with: Placeholders<'a>,
    shows_old: bool,
    then: Then<'a>,
}

impl<'a> Part<'a> {
    fn of(item: &'a TransactWriteItem) -> Self {
        let shows = |how: Option<&_>| how == Some(&ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some(put) = item.put() {
            return Self {
                key: key_of(put.item()),
                condition: put.condition_expression(),
                with: Placeholders {
                    names: put.expression_attribute_names(),
                    values: put.expression_attribute_values(),
                },
                shows_old: shows(put.return_values_on_condition_check_failure()),
                then: Then::Put(put.item()),
            };
        }
        if let Some(update) = item.update() {
            return Self {
                key: key_of(update.key()),
                condition: update.condition_expression(),
                with: Placeholders {
                    names: update.expression_attribute_names(),
                    values: update.expression_attribute_values(),
                },
                shows_old: shows(update.return_values_on_condition_check_failure()),
                then: Then::Update(update.update_expression()),
            };
        }
        if let Some(delete) = item.delete() {
            return Self {
                key: key_of(delete.key()),
                condition: delete.condition_expression(),
                with: Placeholders {
                    names: delete.expression_attribute_names(),
                    values: delete.expression_attribute_values(),
                },
                shows_old: shows(delete.return_values_on_condition_check_failure()),
                then: Then::Remove,
            };
        }
        let check = item.condition_check().expect("one of four kinds");
        Self {
            key: key_of(check.key()),
            condition: Some(check.condition_expression()),
            with: Placeholders {
                names: check.expression_attribute_names(),
                values: check.expression_attribute_values(),
            },
            shows_old: shows(check.return_values_on_condition_check_failure()),
            then: Then::Nothing,
        }
    }
}
