//! The model's table: the items written by the store.

use crate::expression::{Placeholders, holds, updated};
use aws_sdk_dynamodb::types::{
    AttributeValue, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use domain::history::{self, ChainedEvent};
use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::{Arc, OnceLock};
use store::client::{Query, SingleUpdate};
use store::item::Item;
use store::records::event;

/// An item, with cached values.
pub struct Row {
    pub item: Item,
    hash: u64,
    event: OnceLock<ChainedEvent>,
    hash_fits: OnceLock<bool>,
}

impl Row {
    pub fn new(item: Item) -> Self {
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

    /// The item, reduced to one attribute if one is given.
    pub fn projected(&self, only: Option<&str>) -> Item {
        let mut item = self.item.clone();
        if let Some(only) = only {
            item.retain(|name, _| name == only);
        }
        item
    }

    /// For a row that is an event.
    pub fn event(&self) -> &ChainedEvent {
        self.event.get_or_init(|| event::read(&self.item).unwrap())
    }

    /// True if an event's stored hash is correct.
    pub fn hash_fits(&self) -> bool {
        *self
            .hash_fits
            .get_or_init(|| history::hash(self.event()) == self.event().hash)
    }
}

impl fmt::Debug for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (pk, sk) = key_of(&self.item);
        write!(f, "{pk} {sk}")
    }
}

impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        self.hash == other.hash
    }
}

impl Eq for Row {}

impl Hash for Row {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.hash.hash(state);
    }
}

/// Partition and sort key.
pub type Key = (String, String);

/// All items. Clones share them.
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

    /// A partition's rows with a sort-key prefix, in order.
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

    /// Replaces one row by its version in another table, for a torn read between the halves of a transaction.
    pub fn restore_row(&mut self, before: &Self, pk: &str, sk: &str) {
        let key = (pk.to_owned(), sk.to_owned());
        let old = before.rows.get(&key).map(|row| row.item.clone());
        self.put(key, old);
    }

    /// The row under a key.
    pub fn at(&self, key: &Item) -> Option<Arc<Row>> {
        self.rows.get(&key_of(key)).map(Arc::clone)
    }

    /// The rows under several keys.
    pub fn batch(&self, keys: &[Item]) -> Vec<Arc<Row>> {
        keys.iter().filter_map(|key| self.at(key)).collect()
    }

    /// The result of a query of the table.
    pub fn query(&self, query: &Query) -> Vec<Arc<Row>> {
        assert!(query.index.is_none() && query.start.is_none());
        let with = Placeholders {
            names: None,
            values: Some(&query.values),
        };
        let pk = query.values[":pk"].as_s().unwrap();
        let rows = self.rows.range((pk.clone(), String::new())..);
        let rows = rows.take_while(|(key, _)| key.0 == *pk);
        let rows = rows.filter(|(_, row)| holds(query.condition, with, Some(&row.item)));
        let mut rows: Vec<Arc<Row>> = rows.map(|(_, row)| Arc::clone(row)).collect();
        if !query.forward {
            rows.reverse();
        }
        if let Some(limit) = query.limit {
            rows.truncate(usize::try_from(limit).unwrap());
        }
        rows
    }

    /// The new row, or the old one if the condition fails.
    pub fn update(&mut self, update: &SingleUpdate) -> Result<Arc<Row>, Option<Arc<Row>>> {
        let part = Part {
            key: key_of(&update.key),
            condition: update.condition.as_deref(),
            with: Placeholders {
                names: Some(&update.names),
                values: Some(&update.values),
            },
            shows_old: true,
            then: Then::Update(&update.expression),
        };
        let old = self.rows.get(&part.key).cloned();
        if !part.holds(old.as_deref()) {
            return Err(old);
        }
        let key = part.key.clone();
        self.apply(part);
        Ok(Arc::clone(&self.rows[&key]))
    }

    /// A hash that distinguishes the states of the whole table.
    pub fn fingerprint(&self) -> u64 {
        self.hash
    }

    pub fn put(&mut self, key: Key, item: Option<Item>) {
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

    /// Executes all of it, or nothing and returns the reasons.
    pub fn transact(&mut self, items: &[TransactWriteItem]) -> Result<(), Vec<Reason>> {
        let parts: Vec<Part<'_>> = items.iter().map(Part::of).collect();
        let reasons = parts.iter().map(|part| {
            let old = self.rows.get(&part.key);
            let fails = !part.holds(old.map(Arc::as_ref));
            (fails, old.filter(|_| fails && part.shows_old).cloned())
        });
        let reasons: Vec<Reason> = reasons.collect();
        if reasons.iter().any(|(fails, _)| *fails) {
            return Err(reasons);
        }
        for part in parts {
            self.apply(part);
        }
        Ok(())
    }

    fn apply(&mut self, part: Part<'_>) {
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
                let old = self.rows.get(&part.key).map(|row| row.item.clone());
                let after = updated(update, part.with, &old.unwrap_or_else(keys));
                self.put(part.key, Some(after));
            }
        }
    }
}

/// The cancellation reason of an item: true if its condition failed, and the old row if requested.
pub type Reason = (bool, Option<Arc<Row>>);

/// Includes the key in the hash, so that two changes never cancel each other out.
fn mixed(key: &Key, hash: u64) -> u64 {
    let mut hasher = DefaultHasher::new();
    (key, hash).hash(&mut hasher);
    hasher.finish()
}

pub fn key_of(item: &Item) -> Key {
    let text = |name: &str| item[name].as_s().unwrap().clone();
    (text("pk"), text("sk"))
}

/// The key of a transaction item.
pub fn key_in(item: &TransactWriteItem) -> Key {
    let put = item.put().map(|put| key_of(put.item()));
    let update = item.update().map(|update| key_of(update.key()));
    let delete = item.delete().map(|delete| key_of(delete.key()));
    let check = item.condition_check().map(|check| key_of(check.key()));
    put.or(update).or(delete).or(check).unwrap()
}

enum Then<'a> {
    Nothing,
    Remove,
    Put(&'a Item),
    Update(&'a str),
}

/// A transaction item.
struct Part<'a> {
    key: Key,
    condition: Option<&'a str>,
    with: Placeholders<'a>,
    shows_old: bool,
    then: Then<'a>,
}

impl<'a> Part<'a> {
    fn holds(&self, old: Option<&Row>) -> bool {
        let old = old.map(|row| &row.item);
        self.condition
            .is_none_or(|condition| holds(condition, self.with, old))
    }

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
