//! DynamoDB as a call: the real SDK over dynoxide without a socket between them, and a way back to how it was. A fuzzer
//! asks thousands of times a second, and each time of the same table.

use aws_sdk_dynamodb::config::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, DynoxideError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Arc, Mutex};

/// The key of an item, in a table.
type Key = (String, String, String);

/// One DynamoDB in memory.
#[derive(Clone)]
pub struct Table {
    db: Database,
    /// What [`Table::restore`] goes back to.
    kept: Arc<Mutex<BTreeMap<Key, Value>>>,
    /// What was written to since then.
    touched: Arc<Mutex<BTreeSet<Key>>>,
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Table")
    }
}

impl Table {
    /// An empty one.
    #[must_use]
    pub fn new() -> Self {
        Self {
            db: Database::memory().unwrap(),
            kept: Arc::default(),
            touched: Arc::default(),
        }
    }

    /// Lets the SDK reach this one.
    #[must_use]
    pub fn reached_by(&self, config: Builder) -> Builder {
        let connector = SharedHttpConnector::new(self.clone());
        config
            .endpoint_url("http://localhost")
            .http_client(http_client_fn(move |_, _| connector.clone()))
    }

    /// From now on this is how it was. `tables`: those whose items count.
    pub fn keep(&self, tables: &[&str]) {
        let mut kept = self.kept.lock().unwrap();
        kept.clear();
        for table in tables {
            let scan = json!({"TableName": table}).to_string();
            let page: Value = serde_json::from_str(&self.run("Scan", &scan).unwrap()).unwrap();
            assert!(page["LastEvaluatedKey"].is_null(), "more than one page");
            for item in page["Items"].as_array().unwrap() {
                kept.insert(key_of(table, item), item.clone());
            }
        }
        self.touched.lock().unwrap().clear();
    }

    /// The partitions that were written to since [`Table::keep`].
    #[must_use]
    pub fn touched(&self) -> BTreeSet<String> {
        let touched = self.touched.lock().unwrap();
        touched.iter().map(|(_, pk, _)| pk.clone()).collect()
    }

    /// Back to how it was.
    pub fn restore(&self) {
        let touched = std::mem::take(&mut *self.touched.lock().unwrap());
        let kept = self.kept.lock().unwrap();
        for key in touched {
            let undone = match kept.get(&key) {
                Some(item) => self.run(
                    "PutItem",
                    &json!({"TableName": key.0, "Item": item}).to_string(),
                ),
                None => {
                    let of_item = json!({"pk": {"S": key.1}, "sk": {"S": key.2}});
                    self.run(
                        "DeleteItem",
                        &json!({"TableName": key.0, "Key": of_item}).to_string(),
                    )
                }
            };
            undone.unwrap();
        }
    }

    fn run(&self, operation: &str, body: &str) -> Result<String, DynoxideError> {
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
            "TransactWriteItems" => call(body, |request| db.transact_write_items(request)),
            other => panic!("the functions do not ask for {other}"),
        }
    }

    /// Notes what a request may write to.
    fn note(&self, body: &str) {
        let request: Value = serde_json::from_str(body).unwrap();
        let mut touched = self.touched.lock().unwrap();
        let one = std::slice::from_ref(&request);
        let writes = request["TransactItems"]
            .as_array()
            .map_or(one, Vec::as_slice);
        for write in writes {
            // A transaction names what it does to each item; other requests are one such thing.
            let kinds = ["Put", "Update", "Delete", "ConditionCheck"];
            let mut named = kinds.iter().filter_map(|kind| write.get(kind));
            let write = named.next().unwrap_or(write);
            let at = write.get("Item").or_else(|| write.get("Key"));
            touched.insert(key_of(write["TableName"].as_str().unwrap(), at.unwrap()));
        }
    }
}

impl Default for Table {
    fn default() -> Self {
        Self::new()
    }
}

impl HttpConnector for Table {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = std::str::from_utf8(request.body().bytes().unwrap()).unwrap();
        if ["PutItem", "UpdateItem", "DeleteItem", "TransactWriteItems"].contains(&operation) {
            self.note(body);
        }
        let (status, text) = match self.run(operation, body) {
            Ok(text) => (200, text),
            Err(error) => (error.status_code(), error.to_json()),
        };
        let status = status.try_into().unwrap();
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(text))))
    }
}

fn call<Request: DeserializeOwned, Answer: Serialize>(
    body: &str,
    operation: impl FnOnce(Request) -> Result<Answer, DynoxideError>,
) -> Result<String, DynoxideError> {
    let request = serde_json::from_str(body).unwrap();
    Ok(serde_json::to_string(&operation(request)?).unwrap())
}

fn key_of(table: &str, item: &Value) -> Key {
    let text = |name: &str| item[name]["S"].as_str().unwrap().to_owned();
    (table.to_owned(), text("pk"), text("sk"))
}
