//! DynamoDB as a function call: the real SDK over dynoxide, without a socket between them. Tests with a virtual clock
//! therefore never wait for IO. The table can be reset to an earlier content.

use aws_sdk_dynamodb::config::Builder;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};
use store::item::Item;

/// An item's keys.
pub type Key = (String, String);

/// The content of a table, in wire format.
pub type Items = BTreeMap<Key, Value>;

/// The two tables in memory. Their keys are disjoint, so that the content is one map.
#[derive(Clone)]
pub struct Table {
    db: Database,
    name_of: fn(&str, &str) -> &'static str,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    /// The content at the last read or reset.
    base: Arc<Items>,
    /// The keys of items that may have been written since then.
    touched: BTreeSet<Key>,
    ignores_conditions: bool,
    forgets_writes: bool,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl Table {
    /// Tables that are not yet created. `name_of` names the table of an item.
    #[must_use]
    pub fn new(name_of: fn(&str, &str) -> &'static str) -> Self {
        Self {
            db: Database::memory().unwrap(),
            name_of,
            state: Arc::default(),
        }
    }

    /// Tables in a file, which keep nothing in memory: also not which items were written, so that [`Self::items`] and
    /// [`Self::reset_to`] do not work.
    #[must_use]
    pub fn stored_in(path: &str, name_of: fn(&str, &str) -> &'static str) -> Self {
        let state = State {
            forgets_writes: true,
            ..State::default()
        };
        let db = Database::new(path).unwrap();
        // SQLite's usual settings. With dynoxide's own, each transaction waits for the disk.
        db.disable_bulk_loading().unwrap();
        Self {
            db,
            name_of,
            state: Arc::new(Mutex::new(state)),
        }
    }

    /// The database behind the tables, for imports. [`Self::items`] and [`Self::reset_to`] ignore what is written there.
    #[must_use]
    pub fn database(&self) -> Database {
        self.db.clone()
    }

    /// An SDK configuration that uses this table.
    #[must_use]
    pub fn configure(&self, config: Builder) -> Builder {
        let connector = SharedHttpConnector::new(self.clone());
        config
            .endpoint_url("http://localhost")
            .http_client(http_client_fn(move |_, _| connector.clone()))
    }

    /// The whole content.
    #[must_use]
    pub fn items(&self) -> Arc<Items> {
        let mut state = self.state.lock().unwrap();
        let touched = std::mem::take(&mut state.touched);
        if !touched.is_empty() {
            let mut items = (*state.base).clone();
            for key in touched {
                match self.item(&key) {
                    Some(item) => items.insert(key, item),
                    None => items.remove(&key),
                };
            }
            state.base = Arc::new(items);
        }
        state.base.clone()
    }

    /// The partitions with possible writes since the last read or reset.
    #[must_use]
    pub fn touched(&self) -> BTreeSet<String> {
        let state = self.state.lock().unwrap();
        state.touched.iter().map(|(pk, _)| pk.clone()).collect()
    }

    /// Replaces the content with these items.
    pub fn reset_to(&self, wanted: &Arc<Items>) {
        let mut state = self.state.lock().unwrap();
        let mut keys = std::mem::take(&mut state.touched);
        if !Arc::ptr_eq(&state.base, wanted) {
            let of_either = state.base.keys().chain(wanted.keys());
            let differing = of_either.filter(|key| state.base.get(*key) != wanted.get(*key));
            keys.extend(differing.cloned());
        }
        for key in keys {
            match wanted.get(&key) {
                Some(item) => self.ask("PutItem", &key, json!({"Item": item})),
                None => self.ask("DeleteItem", &key, json!({"Key": key_value(&key)})),
            };
        }
        state.base = wanted.clone();
    }

    /// Ignores the conditions of updates and transactions from now on. For tests of the checks that must notice this.
    pub fn ignore_conditions(&self) {
        self.state.lock().unwrap().ignores_conditions = true;
    }

    fn item(&self, key: &Key) -> Option<Value> {
        let mut answer = self.ask("GetItem", key, json!({"Key": key_value(key)}));
        Some(answer["Item"].take()).filter(|item| !item.is_null())
    }

    /// Sends a request directly, bypassing the SDK and every recorder and fault injector.
    fn ask(&self, operation: &str, (pk, sk): &Key, mut request: Value) -> Value {
        request["TableName"] = json!((self.name_of)(pk, sk));
        let answer = self.run(operation, request.to_string().as_bytes()).unwrap();
        serde_json::from_str(&answer).unwrap()
    }

    fn run(&self, operation: &str, body: &[u8]) -> Result<String, DynoxideError> {
        let db = &self.db;
        match operation {
            "CreateTable" => call(body, |request| db.create_table(request)),
            "Query" => call(body, |request| db.query(request)),
            "Scan" => call(body, |request| db.scan(request)),
            "GetItem" => call(body, |request| db.get_item(request)),
            "BatchGetItem" => call(body, |request| db.batch_get_item(request)),
            "PutItem" => call(body, |request| db.put_item(request)),
            "UpdateItem" => call(body, |request| db.update_item(request)),
            "DeleteItem" => call(body, |request| db.delete_item(request)),
            "TransactWriteItems" => call(body, |mut request: TransactWriteItemsRequest| {
                if self.state.lock().unwrap().forgets_writes {
                    // dynoxide walks through the tokens of ten minutes for each transaction.
                    request.client_request_token = None;
                }
                db.transact_write_items(request)
            }),
            other => panic!("unsupported operation: {other}"),
        }
    }

    /// Records the keys of items that a request may write.
    fn note(&self, body: &[u8]) {
        if self.state.lock().unwrap().forgets_writes {
            return;
        }
        let request: Value = serde_json::from_slice(body).unwrap();
        let mut state = self.state.lock().unwrap();
        let one = std::slice::from_ref(&request);
        let writes = request["TransactItems"]
            .as_array()
            .map_or(one, Vec::as_slice);
        for write in writes {
            // A transaction names an action per item; other requests contain one action.
            let kinds = ["Put", "Update", "Delete", "ConditionCheck"];
            let mut named = kinds.iter().filter_map(|kind| write.get(kind));
            let write = named.next().unwrap_or(write);
            let at = write.get("Item").or_else(|| write.get("Key"));
            state.touched.insert(key_of(at.unwrap()));
        }
    }
}

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = request.body().bytes().unwrap();
        if ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].contains(&operation) {
            self.note(body);
        }
        let (ignores_conditions, is_stored) = {
            let state = self.state.lock().unwrap();
            (state.ignores_conditions, state.forgets_writes)
        };
        if is_stored {
            // On another thread, as a server would.
            let (table, operation, body) = (self.clone(), operation.to_owned(), body.to_vec());
            let answered = tokio::task::spawn_blocking(move || table.run(&operation, &body));
            return HttpConnectorFuture::new(async { Ok(answer(answered.await.unwrap())) });
        }
        HttpConnectorFuture::ready(Ok(answer(match operation {
            "TransactWriteItems" | "UpdateItem" if ignores_conditions => {
                self.run(operation, &unconditional(body))
            }
            _ => self.run(operation, body),
        })))
    }
}

fn answer(answer: Result<String, DynoxideError>) -> HttpResponse {
    match answer {
        Ok(text) => response(200, text),
        Err(error) => response(error.status_code(), error.to_json()),
    }
}

/// Removes the conditions from an update or a transaction.
fn unconditional(body: &[u8]) -> Vec<u8> {
    let mut request: Value = serde_json::from_slice(body).unwrap();
    match request
        .get_mut("TransactItems")
        .and_then(Value::as_array_mut)
    {
        Some(writes) => {
            writes.retain(|write| write.get("ConditionCheck").is_none());
            let of_kinds = writes.iter_mut().filter_map(Value::as_object_mut);
            for write in of_kinds.flat_map(|write| write.values_mut()) {
                remove_condition(write);
            }
        }
        None => remove_condition(&mut request),
    }
    request.to_string().into_bytes()
}

/// Unused expression names and values must go with the condition, because DynamoDB rejects them.
fn remove_condition(write: &mut Value) {
    let write = write.as_object_mut().unwrap();
    write.remove("ConditionExpression");
    let update = write.get("UpdateExpression").and_then(Value::as_str);
    let update = update.unwrap_or_default().to_owned();
    let is_name = |c: char| c.is_alphanumeric() || "_#:".contains(c);
    let used: Vec<&str> = update.split(|c| !is_name(c)).collect();
    for names in ["ExpressionAttributeNames", "ExpressionAttributeValues"] {
        if let Some(Value::Object(mut all)) = write.remove(names) {
            all.retain(|name, _| used.contains(&name.as_str()));
            if !all.is_empty() {
                write.insert(names.to_owned(), Value::Object(all));
            }
        }
    }
}

/// A wire response.
#[must_use]
pub fn response(status: u16, text: String) -> HttpResponse {
    HttpResponse::new(status.try_into().unwrap(), SdkBody::from(text))
}

fn call<Request: DeserializeOwned, Answer: Serialize>(
    body: &[u8],
    operation: impl FnOnce(Request) -> Result<Answer, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_slice(body).unwrap();
    Ok(serde_json::to_string(&operation(request)?).unwrap())
}

/// Converts a wire item to an SDK item.
#[must_use]
pub fn item_of(item: &Value) -> Item {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let attribute = |value: &Value| {
        let (kind, value) = value.as_object().unwrap().iter().next().unwrap();
        match kind.as_str() {
            "S" => AttributeValue::S(text(value)),
            "N" => AttributeValue::N(text(value)),
            "B" => AttributeValue::B(Blob::new(BASE64.decode(text(value)).unwrap())),
            "SS" => AttributeValue::Ss(value.as_array().unwrap().iter().map(text).collect()),
            other => panic!("unsupported attribute type: {other}"),
        }
    };
    let attributes = item.as_object().unwrap().iter();
    attributes
        .map(|(name, value)| (name.clone(), attribute(value)))
        .collect()
}

fn key_of(item: &Value) -> Key {
    let text = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
    (text("pk"), text("sk"))
}

fn key_value((pk, sk): &Key) -> Value {
    json!({"pk": {"S": pk}, "sk": {"S": sk}})
}
