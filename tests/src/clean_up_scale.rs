//! Many merchants, some of whom have due work: clones of one merchant whom the functions led there. Cloning bypasses the API
//! and imports the items in batches.

use crate::dynamodb_table::{Table, item_of};
use crate::in_process::{InProcess, RECORD_TABLE, table_of};
use crate::merchant::GOOD_CARD;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::history::{GENESIS, hash};
use domain::ids::MerchantId;
use domain::policy::{HOUR_S, MINUTE_S, Policy};
use domain::time::Timestamp;
use dynoxide::{AttributeValue, Database, Item};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use store::records::event;
use store::shards::DueShards;

/// Maximum writes to the index of due items for one change of a card.
pub const INDEX_WRITES_MAX: usize = 22;

/// The merchant that is cloned.
const ORIGINAL: &str = "plain_1";
/// Items in one import.
const BATCH: usize = 20_000;

/// The due work of a merchant. A run of the clean-up does it with one read and one write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// The hold of a change is over: it completes.
    HoldOver,
    /// A rebind was not finished in time: it expires.
    Overdue,
    /// The bank left a check unanswered: the clean-up asks again.
    Unanswered,
}

/// A merchant with due work.
#[derive(Clone, Debug)]
pub struct Original {
    /// The time at which the work is due.
    pub now: Timestamp,
    /// The merchant's items, in DynamoDB's JSON, by sort key.
    items: BTreeMap<String, Value>,
}

/// The number of merchants, and of those with due work.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// All merchants.
    pub stored: usize,
    /// The merchants with due work.
    pub due: usize,
}

/// The names of the main table and of the table with the acquirer's record.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The main table.
    pub main: &'a str,
    /// The table with the acquirer's record.
    pub record: &'a str,
}

impl Original {
    /// Leads a merchant to the work, in a system of its own. Nothing else of this merchant is due.
    pub async fn with(work: Work) -> Self {
        let table = Table::new(table_of);
        let world = InProcess::on(&table, |config| config, "sandbox").await;
        let app = world.log_in(ORIGINAL).await;
        match work {
            Work::HoldOver => {
                app.activate(GOOD_CARD).await;
                world.deliver_due().await;
                // The reminders of the change are due before its hold is over.
                for hours in [8, 14] {
                    world.pass_s(hours * HOUR_S);
                    world.clean_up().await;
                    world.deliver_due().await;
                }
                world.pass_s(2 * HOUR_S);
            }
            Work::Overdue => {
                app.request(GOOD_CARD).await;
                world.deliver_due().await;
                world.pass_s(Policy::CURRENT.rebind_life_s);
            }
            Work::Unanswered => {
                let rebind = app.to_card_pending(GOOD_CARD).await;
                world.deliver_due().await;
                world.bank.script([None]);
                app.check_card(&rebind).await;
                world.pass_s(10 * MINUTE_S);
            }
        }
        let pk = format!("M#mer_{ORIGINAL}");
        let items = table.items();
        let own = items.iter().filter(|((owner, _), _)| *owner == pk);
        let original = Self {
            now: world.now(),
            items: own
                .map(|((_, sk), item)| (sk.clone(), item.clone()))
                .collect(),
        };
        let due = original.items.values().filter(|item| original.is_due(item));
        assert_eq!(due.count(), 1, "one due item");
        original
    }

    /// Puts the merchants into the tables, whose index has this number of shards. Returns the ids of the merchants with due
    /// work; their history is a valid chain. The other merchants have their state, their record and a rebind that is due
    /// within the next 30 days, but no history.
    pub fn seed(
        &self,
        database: &Database,
        names: Names<'_>,
        size: Size,
        shards: DueShards,
    ) -> Vec<MerchantId> {
        let mut import = Import {
            database,
            names,
            main: Vec::new(),
            record: Vec::new(),
        };
        let mut due = Vec::with_capacity(size.due);
        for number in 0..size.due {
            let merchant = MerchantId::parse(&format!("mer_due_{number:07}")).unwrap();
            for (sk, item) in self.clone_as(&merchant, shards) {
                import.put(&sk, dynoxide_item(&item));
            }
            due.push(merchant);
        }
        let kept = |sk: &String| ["Y", "Z"].contains(&sk.as_str()) || sk.starts_with("R#");
        let parts = self.items.iter().filter(|(sk, _)| kept(sk));
        let parts: Vec<_> = parts.map(|(sk, item)| (sk, dynoxide_item(item))).collect();
        for number in size.due..size.stored {
            let merchant = MerchantId::parse(&format!("mer_undue_{number:07}")).unwrap();
            let minutes = i64::try_from(number % (30 * 24 * 60)).unwrap();
            let due_at = self.now.plus_s(MINUTE_S * (1 + minutes));
            for (sk, item) in &parts {
                let mut item = item.clone();
                item.insert("pk".to_owned(), AttributeValue::S(format!("M#{merchant}")));
                if sk.starts_with("R#") {
                    let bucket = shards.bucket(&merchant, due_at);
                    item.insert("due_bucket".to_owned(), AttributeValue::S(bucket));
                    let due_at = AttributeValue::N(due_at.epoch_s().to_string());
                    item.insert("due_at".to_owned(), due_at);
                } else {
                    item.remove("due_bucket");
                    item.remove("due_at");
                }
                import.put(sk, item);
            }
        }
        import.flush();
        due
    }

    /// The merchant's items under another id, with the hashes of the history that follow from the id.
    fn clone_as(&self, merchant: &MerchantId, shards: DueShards) -> BTreeMap<String, Value> {
        let mut items = self.items.clone();
        for item in items.values_mut() {
            let text = item.to_string();
            let text = text.replace(&format!("mer_{ORIGINAL}"), merchant.as_str());
            *item = serde_json::from_str(&text).unwrap();
            if let Some(due_at) = due_at(item) {
                item["due_bucket"]["S"] = json!(shards.bucket(merchant, due_at));
            }
        }
        let mut last = GENESIS.to_owned();
        for (_, item) in items.iter_mut().filter(|(sk, _)| sk.starts_with("E#")) {
            item["prev_hash"]["S"] = json!(last);
            let event = event::read(&item_of(item)).unwrap();
            last = hash(&event);
            item["hash"]["S"] = json!(last);
        }
        let state = items.get_mut("Y").unwrap();
        let mut value: Value = serde_json::from_str(state["state"]["S"].as_str().unwrap()).unwrap();
        value["hash"] = json!(URL_SAFE_NO_PAD.encode(hex::decode(last).unwrap()));
        state["state"]["S"] = json!(value.to_string());
        items
    }

    fn is_due(&self, item: &Value) -> bool {
        due_at(item).is_some_and(|at| at <= self.now)
    }
}

/// Collects items and imports them in batches.
struct Import<'a> {
    database: &'a Database,
    names: Names<'a>,
    main: Vec<Item>,
    record: Vec<Item>,
}

impl Import<'_> {
    fn put(&mut self, sk: &str, item: Item) {
        match table_of("M#", sk) {
            RECORD_TABLE => self.record.push(item),
            _ => self.main.push(item),
        }
        if self.main.len() + self.record.len() >= BATCH {
            self.flush();
        }
    }

    fn flush(&mut self) {
        for (name, items) in [
            (self.names.main, &mut self.main),
            (self.names.record, &mut self.record),
        ] {
            let items = std::mem::take(items);
            let options = dynoxide::ImportOptions::default();
            self.database.import_items(name, items, options).unwrap();
        }
    }
}

fn due_at(item: &Value) -> Option<Timestamp> {
    let epoch_s = item["due_at"]["N"].as_str()?.parse().ok()?;
    Some(Timestamp::from_epoch_s(epoch_s))
}

fn dynoxide_item(item: &Value) -> Item {
    serde_json::from_value(item.clone()).unwrap()
}
