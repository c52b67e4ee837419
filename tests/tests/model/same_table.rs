//! The model's table against a real DynamoDB API: every transaction of many random walks through the worlds, tried on both.

use crate::bugs::Bug;
use crate::rows::{Rows, key_of};
use crate::scenarios::Which;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem};
use stateright::Model;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use store::item::Item;
use tests::in_process::InProcess;
use tests::metrics::metric;

/// Walks through each world, and steps of each.
const WALKS: u64 = 16;
const STEPS: usize = 40;

#[test]
fn the_models_table_is_like_a_real_one() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let real = runtime.block_on(InProcess::start());
    let mut compared = 0;
    let mut refused = 0;
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
                state = world.next_state(&state, action).unwrap();
            }
        }
        let tape = std::mem::take(&mut *tape.lock().unwrap());
        for (before, items, done) in tape {
            runtime.block_on(compare(&real, &before, &items, done));
            compared += 1;
            refused += usize::from(!done);
        }
    }
    assert!(
        compared > 500 && refused > 20,
        "{compared} transactions, {refused} refused"
    );
    metric(
        "model: transactions tried on a real table too, with another end",
        compared,
        0,
    );
}

/// The rows that a transaction is about, put into the real table; the transaction; the same rows after it.
async fn compare(real: &Arc<InProcess>, before: &Rows, items: &[TransactWriteItem], done: bool) {
    let keys: BTreeSet<(String, String)> = items.iter().map(key_in).collect();
    for (pk, sk) in &keys {
        let old = before.get(pk, sk).map(|row| row.item.clone());
        put(&real.client, &real.table, pk, sk, old).await;
    }
    let mut after = before.clone();
    assert_eq!(after.transact(items).is_ok(), done);
    let items = items
        .iter()
        .cloned()
        .map(|item| on_table(item, &real.table))
        .collect();
    let sent = real
        .client
        .transact_write_items()
        .set_transact_items(Some(items))
        .send()
        .await;
    assert_eq!(sent.is_ok(), done, "{sent:?}");
    for (pk, sk) in &keys {
        let get = real
            .client
            .get_item()
            .table_name(&real.table)
            .consistent_read(true);
        let get = get.key("pk", AttributeValue::S(pk.clone()));
        let got = get
            .key("sk", AttributeValue::S(sk.clone()))
            .send()
            .await
            .unwrap()
            .item;
        let expected = after.get(pk, sk).map(|row| sorted(&row.item));
        assert_eq!(got.as_ref().map(sorted), expected, "{pk} {sk}");
    }
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

async fn put(client: &Client, table: &str, pk: &str, sk: &str, item: Option<Item>) {
    match item {
        Some(item) => {
            let put = client.put_item().table_name(table).set_item(Some(item));
            put.send().await.unwrap();
        }
        None => {
            let delete = client.delete_item().table_name(table);
            let delete = delete.key("pk", AttributeValue::S(pk.to_owned()));
            delete
                .key("sk", AttributeValue::S(sk.to_owned()))
                .send()
                .await
                .unwrap();
        }
    }
}

fn key_in(item: &TransactWriteItem) -> (String, String) {
    let put = item.put().map(|put| key_of(put.item()));
    let update = item.update().map(|update| key_of(update.key()));
    let delete = item.delete().map(|delete| key_of(delete.key()));
    let check = item.condition_check().map(|check| key_of(check.key()));
    put.or(update).or(delete).or(check).unwrap()
}

fn on_table(mut item: TransactWriteItem, table: &str) -> TransactWriteItem {
    let table = table.to_owned();
    if let Some(put) = &mut item.put {
        put.table_name = table;
    } else if let Some(update) = &mut item.update {
        update.table_name = table;
    } else if let Some(delete) = &mut item.delete {
        delete.table_name = table;
    } else if let Some(check) = &mut item.condition_check {
        check.table_name = table;
    }
    item
}

/// The same every time.
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
