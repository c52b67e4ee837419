//! Compares the model's table with a real DynamoDB API: every call of many random walks through the worlds runs on both.

use crate::bugs::Bug;
use crate::calls::Call;
use crate::rows::{Key, Row, Rows, key_in, key_of};
use crate::scenarios::Which;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, TransactWriteItem};
use stateright::Model;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use store::client::{DynamoDb, Table, Transacted, Updated};
use store::item::Item;
use tests::in_process::{InProcess, RECORD_TABLE, TABLE, table_of};
use tests::metrics::metric;

/// The number of walks through each world, and of steps in each walk.
const WALKS: u64 = 16;
const STEPS: usize = 40;

#[test]
fn the_models_table_is_like_a_real_one() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut real = runtime.block_on(Real::start());
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for which in Which::ALL {
        let tape = Arc::new(Mutex::new(Vec::new()));
        let mut world = which.world(Bug::None);
        world.tape = Some(Arc::clone(&tape));
        for walk in 0..WALKS {
            let mut chance = Chance(walk + 1);
            let mut state = world.init_states().remove(0);
            for _ in 0..STEPS {
                let mut actions = Vec::new();
                world.actions(&state, &mut actions);
                if actions.is_empty() {
                    break;
                }
                let action = actions.swap_remove(chance.below(actions.len()));
                state = world.next_state(&state, action).unwrap_or(state);
            }
        }
        let tape = std::mem::take(&mut *tape.lock().unwrap());
        for (before, call) in tape {
            let what = runtime.block_on(real.compare(&before, call));
            *counts.entry(what).or_default() += 1;
        }
    }
    println!("{counts:?}");
    for what in [
        "query",
        "get",
        "batch get",
        "transaction done",
        "transaction refused",
        "update done",
        "update refused",
    ] {
        assert!(counts.get(what).is_some_and(|count| *count > 5), "{what}");
    }
    metric(
        "model: calls compared with a real table; different answers",
        counts.values().sum::<usize>(),
        0,
    );
}

/// A real table, and its current rows.
struct Real {
    system: Arc<InProcess>,
    table: DynamoDb,
    rows: Rows,
}

impl Real {
    async fn start() -> Self {
        let system = InProcess::start().await;
        let mut rows = Rows::of(system.items().await);
        // The worlds do not include seeded rows.
        let keys: Vec<Key> = rows.all().map(|(key, _)| key.clone()).collect();
        for key in keys {
            put(&system.client, &key, None).await;
            rows.put(key, None);
        }
        Self {
            table: DynamoDb::new(&system.client, TABLE, RECORD_TABLE),
            system,
            rows,
        }
    }

    /// Replaces the content of the real table.
    async fn hold(&mut self, rows: &Rows) {
        let keys: BTreeSet<Key> = rows
            .all()
            .chain(self.rows.all())
            .map(|(key, _)| key.clone())
            .collect();
        for key in keys {
            let wanted = rows.get(&key.0, &key.1);
            if self.rows.get(&key.0, &key.1) != wanted {
                let item = wanted.map(|row| row.item.clone());
                put(&self.system.client, &key, item.clone()).await;
                self.rows.put(key, item);
            }
        }
    }

    /// Executes the call on both, from the same rows. The answers and the resulting rows must be equal.
    async fn compare(&mut self, before: &Rows, call: Call) -> &'static str {
        self.hold(before).await;
        match call {
            Call::Query(query) => {
                let page = self.table.query(query.clone()).await.unwrap();
                assert_eq!(
                    page.items.iter().map(sorted).collect::<Vec<_>>(),
                    all(&before.query(&query))
                );
                "query"
            }
            Call::Get(get) => {
                let got = self.table.get(get.clone()).await.unwrap();
                let expected = before.at(&get.key).map(|row| row.projected(get.only));
                assert_eq!(got.as_ref().map(sorted), expected.as_ref().map(sorted));
                "get"
            }
            Call::BatchGet(keys) => {
                let mut got = self.table.batch_get(keys.clone()).await.unwrap();
                // The order does not matter.
                got.sort_by_key(key_of);
                let mut expected = before.batch(&keys);
                expected.sort_by_key(|row| key_of(&row.item));
                assert_eq!(got.iter().map(sorted).collect::<Vec<_>>(), all(&expected));
                "batch get"
            }
            Call::Transact(items) => self.compare_transaction(before, items).await,
            Call::Update(update) => {
                let mut after = before.clone();
                let expected = after.update(&update);
                let (key, returned) = (key_of(&update.key), update.returned.clone());
                let sent = self.table.update(update).await.unwrap();
                self.look(&[key], &after).await;
                match (sent, expected) {
                    (Updated::Done(item), Ok(row)) => {
                        let expected = (returned == ReturnValue::AllNew).then(|| sorted(&row.item));
                        assert_eq!(item.as_ref().map(sorted), expected);
                        "update done"
                    }
                    (Updated::ConditionFailed(item), Err(old)) => {
                        let old = old.map(|row| sorted(&row.item));
                        assert_eq!(item.as_ref().map(sorted), old);
                        "update refused"
                    }
                    other => panic!("{other:?}"),
                }
            }
            other => unreachable!("{other:?} is not a call to the table"),
        }
    }

    async fn compare_transaction(
        &mut self,
        before: &Rows,
        items: Vec<TransactWriteItem>,
    ) -> &'static str {
        let mut after = before.clone();
        let expected = after.transact(&items);
        let sent = self.table.transact(items.clone()).await.unwrap();
        let keys: Vec<Key> = items.iter().map(key_in).collect();
        self.look(&keys, &after).await;
        match (sent, expected) {
            (Transacted::Done, Ok(())) => "transaction done",
            (Transacted::Cancelled(sent), Err(expected)) => {
                let failed = |code: Option<&str>| code == Some("ConditionalCheckFailed");
                let sent = sent
                    .iter()
                    .map(|one| (failed(one.code()), one.item().map(sorted)));
                let expected = expected
                    .iter()
                    .map(|(failed, old)| (*failed, old.as_ref().map(|row| sorted(&row.item))));
                assert_eq!(sent.collect::<Vec<_>>(), expected.collect::<Vec<_>>());
                "transaction refused"
            }
            other => panic!("{other:?}: {items:?}"),
        }
    }

    /// The real rows with these keys must equal the model's.
    async fn look(&mut self, keys: &[Key], after: &Rows) {
        for (pk, sk) in keys {
            let get = self
                .system
                .client
                .get_item()
                .table_name(table_of(pk, sk))
                .consistent_read(true);
            let get = get.key("pk", AttributeValue::S(pk.clone()));
            let get = get.key("sk", AttributeValue::S(sk.clone()));
            let got = get.send().await.unwrap().item;
            let expected = after.get(pk, sk).map(|row| sorted(&row.item));
            assert_eq!(got.as_ref().map(sorted), expected, "{pk} {sk}");
            self.rows.put((pk.clone(), sk.clone()), got);
        }
    }
}

fn all(rows: &[Arc<Row>]) -> Vec<BTreeMap<String, AttributeValue>> {
    rows.iter().map(|row| sorted(&row.item)).collect()
}

fn sorted(item: &Item) -> BTreeMap<String, AttributeValue> {
    let sorted = |value: &AttributeValue| match value {
        AttributeValue::Ss(set) => {
            let mut set = set.clone();
            set.sort();
            AttributeValue::Ss(set)
        }
        other => other.clone(),
    };
    item.iter()
        .map(|(name, value)| (name.clone(), sorted(value)))
        .collect()
}

async fn put(client: &Client, (pk, sk): &Key, item: Option<Item>) {
    match item {
        Some(item) => {
            let put = client
                .put_item()
                .table_name(table_of(pk, sk))
                .set_item(Some(item));
            put.send().await.unwrap();
        }
        None => {
            let delete = client.delete_item().table_name(table_of(pk, sk));
            let delete = delete.key("pk", AttributeValue::S(pk.clone()));
            let delete = delete.key("sk", AttributeValue::S(sk.clone()));
            delete.send().await.unwrap();
        }
    }
}

/// A deterministic random number.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(end).unwrap()).unwrap()
    }
}
