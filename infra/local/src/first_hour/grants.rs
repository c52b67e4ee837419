//! The calls of tables that a role's policies permit, and requests that show it without a change of any item.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// No item has this attribute, so that no write happens.
const NEVER: &str = "attribute_exists(first_hour)";

/// A call of a table or of its index.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Call {
    pub(super) action: String,
    pub(super) table: String,
    /// Of the index `due`, and not of the table.
    pub(super) is_of_index: bool,
}

/// What a role may call, each with the patterns of permitted partition keys; none for every key.
pub(super) type Grants = BTreeMap<Call, BTreeSet<String>>;

/// A request of DynamoDB.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Request {
    pub(super) operation: &'static str,
    pub(super) input: Value,
}

/// Adds the grants of a policy.
pub(super) fn add(grants: &mut Grants, policy: &Value) {
    for statement in list(&policy["Statement"]) {
        if statement["Effect"] != "Allow" {
            continue;
        }
        let condition = &statement["Condition"]["ForAllValues:StringLike"];
        let keys = list(&condition["dynamodb:LeadingKeys"]);
        let keys = keys.iter().filter_map(|key| key.as_str());
        let keys: BTreeSet<String> = keys.map(str::to_owned).collect();
        for action in list(&statement["Action"]) {
            for resource in list(&statement["Resource"]) {
                if let Some(call) = Call::of(&action, &resource) {
                    grants.entry(call).or_default().extend(keys.clone());
                }
            }
        }
    }
}

fn list(value: &Value) -> Vec<Value> {
    match value {
        Value::Array(values) => values.clone(),
        Value::Null => Vec::new(),
        value => vec![value.clone()],
    }
}

impl Call {
    fn of(action: &Value, resource: &Value) -> Option<Self> {
        let action = action.as_str()?.strip_prefix("dynamodb:")?;
        let (_, table) = resource.as_str()?.split_once(":table/")?;
        let (table, rest) = table.split_once('/').unwrap_or((table, ""));
        let call = Self {
            action: action.to_owned(),
            table: table.to_owned(),
            is_of_index: rest.starts_with("index/"),
        };
        let is_of_items = call.alone("").is_some();
        is_of_items.then_some(call)
    }

    /// The call by itself. `None` for a call that is not about items.
    pub(super) fn alone(&self, key: &str) -> Option<Request> {
        let table = &self.table;
        let item = item_key(key);
        let (operation, input) = match self.action.as_str() {
            "GetItem" => ("GetItem", json!({"TableName": table, "Key": item})),
            "BatchGetItem" => {
                let keys = json!({"Keys": [item]});
                ("BatchGetItem", json!({"RequestItems": {table: keys}}))
            }
            "Query" => ("Query", self.query(key)),
            "PutItem" | "UpdateItem" | "DeleteItem" => {
                let (operation, mut input) = self.write(key)?;
                input["ConditionExpression"] = json!(NEVER);
                (operation, input)
            }
            "ConditionCheckItem" => return self.in_transaction(&[key]),
            _ => return None,
        };
        Some(Request { operation, input })
    }

    /// The call as a part of a transaction, once for each key. `None` for a call that transactions do not have.
    pub(super) fn in_transaction(&self, keys: &[&str]) -> Option<Request> {
        let part = |key: &&str| {
            let (name, mut input) = match self.action.as_str() {
                "PutItem" => ("Put", self.write(key)?.1),
                "UpdateItem" => ("Update", self.write(key)?.1),
                "DeleteItem" => ("Delete", self.write(key)?.1),
                "ConditionCheckItem" => {
                    let input = json!({"TableName": self.table, "Key": item_key(key)});
                    ("ConditionCheck", input)
                }
                _ => return None,
            };
            input["ConditionExpression"] = json!(NEVER);
            Some(json!({ name: input }))
        };
        let parts = keys.iter().map(part).collect::<Option<Vec<_>>>()?;
        Some(Request {
            operation: "TransactWriteItems",
            input: json!({ "TransactItems": parts }),
        })
    }

    fn query(&self, key: &str) -> Value {
        let name = match self.is_of_index {
            true => "due_bucket",
            false => "pk",
        };
        let mut input = json!({
            "TableName": self.table,
            "KeyConditionExpression": format!("{name} = :key"),
            "ExpressionAttributeValues": {":key": {"S": key}},
        });
        if self.is_of_index {
            input["IndexName"] = json!("due");
        }
        input
    }

    fn write(&self, key: &str) -> Option<(&'static str, Value)> {
        let (table, item) = (&self.table, item_key(key));
        Some(match self.action.as_str() {
            "PutItem" => ("PutItem", json!({"TableName": table, "Item": item})),
            "UpdateItem" => {
                let input = json!({
                    "TableName": table,
                    "Key": item,
                    "UpdateExpression": "SET first_hour = :value",
                    "ExpressionAttributeValues": {":value": {"S": "first hour"}},
                });
                ("UpdateItem", input)
            }
            "DeleteItem" => ("DeleteItem", json!({"TableName": table, "Key": item})),
            _ => return None,
        })
    }
}

fn item_key(key: &str) -> Value {
    json!({"pk": {"S": key}, "sk": {"S": "first hour"}})
}

/// A key that a pattern of IAM permits.
pub(super) fn key_like(pattern: &str) -> String {
    pattern.replace('*', "first-hour").replace('?', "0")
}

/// A key that none of the patterns permits, and that another kind of item has.
pub(super) fn neighbour(patterns: &BTreeSet<String>, all: &BTreeSet<String>) -> Option<String> {
    let mut keys = all.iter().map(|pattern| key_like(pattern));
    keys.find(|key| !patterns.iter().any(|pattern| matches(pattern, key)))
}

/// `*` stands for any characters, `?` for one.
fn matches(pattern: &str, text: &str) -> bool {
    let mut pattern_chars = pattern.chars();
    match pattern_chars.next() {
        None => text.is_empty(),
        Some('*') => {
            let rest = pattern_chars.as_str();
            let mut ends = text.char_indices().map(|(at, _)| at);
            matches(rest, "") || ends.any(|at| matches(rest, &text[at..]))
        }
        Some(wanted) => {
            let mut chars = text.chars();
            chars
                .next()
                .is_some_and(|found| wanted == '?' || wanted == found)
                && matches(pattern_chars.as_str(), chars.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "arn:aws:dynamodb:eu-west-1:111122223333:table/main";

    #[test]
    fn statements_about_a_call_are_merged() {
        let keys = |keys: Value| json!({"ForAllValues:StringLike": {"dynamodb:LeadingKeys": keys}});
        let policy = json!({"Statement": [
            {"Effect": "Allow", "Action": ["dynamodb:PutItem", "kms:Sign"], "Resource": TABLE, "Condition": keys(json!("M#*"))},
            {"Effect": "Allow", "Action": "dynamodb:PutItem", "Resource": [TABLE], "Condition": keys(json!(["I#*"]))},
            {"Effect": "Allow", "Action": "dynamodb:Query", "Resource": format!("{TABLE}/index/due")},
            {"Effect": "Allow", "Action": "dynamodb:GetRecords", "Resource": format!("{TABLE}/stream/*")},
            {"Effect": "Deny", "Action": "dynamodb:GetItem", "Resource": TABLE},
        ]});
        let mut grants = Grants::new();
        add(&mut grants, &policy);
        let shown: Vec<String> = grants
            .iter()
            .map(|(call, keys)| format!("{} {} {keys:?}", call.action, call.is_of_index))
            .collect();
        assert_eq!(shown, ["PutItem false {\"I#*\", \"M#*\"}", "Query true {}"]);
    }

    #[test]
    fn writes_have_a_condition_that_never_holds() {
        for action in ["PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"] {
            let call = Call::of(&json!(format!("dynamodb:{action}")), &json!(TABLE)).unwrap();
            for request in [call.alone("M#1"), call.in_transaction(&["M#1", "I#2"])] {
                let input = request.unwrap().input;
                let parts = input["TransactItems"].as_array();
                let parts = parts.map_or(vec![&input], |parts| {
                    let inputs = parts
                        .iter()
                        .flat_map(|part| part.as_object().unwrap().values());
                    inputs.collect()
                });
                assert!(
                    parts
                        .iter()
                        .all(|part| part["ConditionExpression"] == NEVER)
                );
            }
        }
    }

    #[test]
    fn neighbours_are_kinds_that_are_not_permitted() {
        let set = |patterns: &[&str]| patterns.iter().map(|&one| one.to_owned()).collect();
        let all: BTreeSet<String> = set(&["??????#*", "I#*", "M#*"]);
        assert_eq!(
            neighbour(&set(&["M#*", "I#*"]), &all).as_deref(),
            Some("000000#first-hour")
        );
        assert_eq!(
            neighbour(&set(&["??????#*"]), &all).as_deref(),
            Some("I#first-hour")
        );
        assert_eq!(neighbour(&all, &all), None);
    }
}
