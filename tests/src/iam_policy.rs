//! Evaluates the role of each function, as `infra/template.yaml` grants it, with IAM's rules and conditions. The local cloud
//! evaluates actions and resources, but neither leading keys nor encryption contexts. Also records every use, so that a test
//! can find unused grants.

use crate::in_process::RECORD_TABLE;
use aws_sdk_dynamodb::config::interceptors::BeforeTransmitInterceptorContextRef;
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock, Mutex};

/// The path of the template in the repository.
const PATH: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/template.yaml");

static TEMPLATE: LazyLock<Value> = LazyLock::new(|| {
    let yaml = std::fs::read_to_string(PATH).unwrap_or_else(|error| panic!("{PATH}: {error}"));
    // A short form like `!GetAtt CardKey.Arn` is read as its argument: `CardKey.Arn`.
    serde_saphyr::from_str(&yaml).unwrap_or_else(|error| panic!("{PATH}: {error}"))
});

/// The parsed template.
#[must_use]
pub fn template() -> &'static Value {
    &TEMPLATE
}

/// The role and policy name that the template gives to the function of a folder: `rebind-request` is `RebindRequest`.
#[must_use]
pub fn logical_name(function: &str) -> String {
    let capital = |word: &str| word[..1].to_ascii_uppercase() + &word[1..];
    function.split('-').map(capital).collect()
}

/// One AWS request of a function.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Use {
    /// The folder of the function.
    pub function: String,
    /// `dynamodb:PutItem`, `kms:Decrypt`, …
    pub action: String,
    /// The resource as the template names it: `MainTableArn.Value`, `${MainTableArn.Value}/index/due`, `CardKey.Arn`.
    pub resource: String,
    /// The kind of item by its partition key (`M#`), the shape of an index's key, or the names of an encryption context.
    pub what: String,
}

/// The condition keys of a request.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// `dynamodb:LeadingKeys`
    pub leading_keys: Vec<String>,
    /// `kms:EncryptionContext:*`
    pub encryption: Vec<(String, String)>,
}

/// A statement. It allows, but for those of [`guards`].
#[derive(Clone, Debug)]
pub struct Statement {
    /// The actions.
    pub actions: Vec<String>,
    /// The resources.
    pub resources: Vec<String>,
    /// The conditions: operator, key, values.
    pub conditions: Vec<(String, String, Vec<String>)>,
}

/// The statements of a function's own policy in the strictest stack: not a sandbox, with every option enabled.
#[must_use]
pub fn statements(function: &str) -> Vec<Statement> {
    let name = logical_name(function);
    let policy = &template()["Resources"][format!("{name}Policy")]["Properties"];
    assert_eq!(policy["Roles"], serde_json::json!([format!("{name}Role")]));
    let all = policy["PolicyDocument"]["Statement"].as_array().unwrap();
    let all = all.iter().map(chosen).filter(|one| one.is_object());
    all.map(statement).collect()
}

/// `!If [Durable, then, else]`: the first branch, and the second one for a rotation of the hash keys.
fn chosen(value: &Value) -> &Value {
    match value.as_array().map(Vec::as_slice) {
        Some([Value::String(condition), then, _])
            if [
                "Durable",
                "LeadingKeysDemanded",
                "ThroughSns",
                "Apns",
                "Fcm",
            ]
            .contains(&condition.as_str()) =>
        {
            then
        }
        Some([Value::String(condition), _, otherwise])
            if condition.starts_with("Rotates")
                || ["ThroughGateway", "ToOutbox"].contains(&condition.as_str()) =>
        {
            otherwise
        }
        _ => value,
    }
}

fn texts(value: &Value) -> Vec<String> {
    match value {
        // `!Sub [pattern, values]`
        Value::Array(values)
            if matches!(values.as_slice(), [Value::String(_), Value::Object(_)]) =>
        {
            vec![value.to_string()]
        }
        Value::Array(values) => values.iter().map(chosen).flat_map(texts).collect(),
        Value::String(text) if text == "AWS::NoValue" => Vec::new(),
        Value::String(text) => vec![text.clone()],
        other => vec![other.to_string()],
    }
}

/// What every role denies, whatever its policy allows.
fn guards() -> &'static [Statement] {
    static GUARDS: LazyLock<Vec<Statement>> = LazyLock::new(|| {
        let role = &template()["Resources"]["Fn::ForEach::Roles"][2]["${Function}Role"];
        let policies = role["Properties"]["Policies"].as_array().unwrap();
        let policies = policies.iter().map(chosen);
        let all = policies.flat_map(|policy| {
            let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
            statements.iter()
        });
        let denied = all.filter(|statement| statement["Effect"] == "Deny");
        denied.map(parts).collect()
    });
    &GUARDS
}

fn statement(value: &Value) -> Statement {
    assert_eq!(value["Effect"], "Allow", "a function's own policy allows");
    parts(value)
}

fn parts(value: &Value) -> Statement {
    let mut conditions = Vec::new();
    for (operator, keys) in value["Condition"].as_object().into_iter().flatten() {
        for (key, values) in chosen(keys).as_object().unwrap() {
            conditions.push((operator.clone(), key.clone(), texts(values)));
        }
    }
    Statement {
        actions: texts(&value["Action"]),
        resources: match &value["NotResource"] {
            Value::Null => texts(&value["Resource"]),
            not => texts(not)
                .iter()
                .map(|text| format!("not {text}"))
                .collect(),
        },
        conditions,
    }
}

impl Statement {
    /// Returns true if the statement is about a request.
    #[must_use]
    pub fn applies(&self, action: &str, resource: &str, context: &Context) -> bool {
        self.actions.iter().any(|allowed| allowed == action)
            && (self.resources.iter()).any(|allowed| allowed == resource || allowed == "*")
            && self
                .conditions
                .iter()
                .all(|(operator, key, values)| holds(operator, key, values, context))
    }
}

/// Evaluates a condition. Panics on an unknown operator: either the template is wrong or this evaluator is incomplete.
fn holds(operator: &str, key: &str, wanted: &[String], context: &Context) -> bool {
    match (operator, key.rsplit_once(':')) {
        ("ForAllValues:StringLike", _) if key == "dynamodb:LeadingKeys" => context
            .leading_keys
            .iter()
            .all(|key| wanted.iter().any(|pattern| is_like(pattern, key))),
        ("Null", _) if key == "dynamodb:LeadingKeys" => {
            assert_eq!(wanted, ["true"], "{key}");
            context.leading_keys.is_empty()
        }
        ("ForAllValues:StringEquals", _) if key == "kms:EncryptionContextKeys" => context
            .encryption
            .iter()
            .all(|(name, _)| wanted.contains(name)),
        ("Null", Some(("kms:EncryptionContext", name))) => {
            assert_eq!(wanted, ["false"], "{key}");
            context.encryption.iter().any(|(given, _)| given == name)
        }
        _ => panic!("unsupported condition: {operator} {key}"),
    }
}

/// Matches an IAM pattern: `*` is any text, `?` any character.
fn is_like(pattern: &str, text: &str) -> bool {
    let mut rest = text.chars();
    let mut pattern = pattern.chars();
    loop {
        match (pattern.next(), rest.clone().next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                let pattern = pattern.as_str();
                let tails = rest.as_str().char_indices().map(|(at, _)| at);
                let mut tails = tails.chain([rest.as_str().len()]);
                return tails.any(|at| is_like(pattern, &rest.as_str()[at..]));
            }
            (Some('?'), Some(_)) => {
                rest.next();
            }
            (Some(wanted), Some(found)) if wanted == found => {
                rest.next();
            }
            _ => return false,
        }
    }
}

/// The AWS requests of all functions of one system.
#[derive(Clone, Debug, Default)]
pub struct IamRecorder(Arc<Mutex<BTreeSet<Use>>>);

impl IamRecorder {
    /// Records a request.
    ///
    /// # Errors
    /// A sentence that names the request, if the function's role does not allow it.
    pub fn authorize(
        &self,
        function: &str,
        action: &str,
        resource: &str,
        context: &Context,
    ) -> Result<(), String> {
        let mut uses = self.0.lock().unwrap();
        for what in kinds(context) {
            uses.insert(Use {
                function: function.to_owned(),
                action: action.to_owned(),
                resource: resource.to_owned(),
                what,
            });
        }
        drop(uses);
        let is_about = |statement: &Statement| statement.applies(action, resource, context);
        if statements_of(function).iter().any(is_about) && !guards().iter().any(is_about) {
            return Ok(());
        }
        Err(format!(
            "{function} may not {action} on {resource}: {context:?}"
        ))
    }

    /// All recorded requests.
    #[must_use]
    pub fn all(&self) -> BTreeSet<Use> {
        self.0.lock().unwrap().clone()
    }
}

/// Evaluates IAM between a function's client and the table.
#[derive(Clone, Debug)]
pub struct Role {
    function: &'static str,
    iam: IamRecorder,
}

impl Role {
    /// The folder of the function.
    #[must_use]
    pub const fn new(function: &'static str, iam: IamRecorder) -> Self {
        Self { function, iam }
    }
}

impl Intercept for Role {
    fn name(&self) -> &'static str {
        "role"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = request.body().bytes().unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap();
        for (action, resource, context) in requests(operation, &body) {
            let allowed = self
                .iam
                .authorize(self.function, &action, resource, &context);
            // Panic instead of a service error: a use case may handle an error, and the test would pass.
            allowed.unwrap_or_else(|refusal| panic!("{refusal}"));
        }
        Ok(())
    }
}

/// The IAM requests of a call to the table: one per transaction item, or one with all keys of a batch.
fn requests(operation: &str, body: &Value) -> Vec<(String, &'static str, Context)> {
    const TABLE: &str = "MainTableArn.Value";
    let table = |part: &Value| match part["TableName"].as_str() {
        Some(RECORD_TABLE) => "RecordTableArn.Value",
        _ => TABLE,
    };
    let text = |value: &Value| value["S"].as_str().unwrap().to_owned();
    let request = |action: &str, resource, leading_keys| {
        let context = Context {
            leading_keys,
            ..Context::default()
        };
        (format!("dynamodb:{action}"), resource, context)
    };
    match operation {
        "TransactWriteItems" => {
            let items = body["TransactItems"].as_array().unwrap();
            let parts = items.iter().flat_map(|item| item.as_object().unwrap());
            parts
                .map(|(kind, part)| match kind.as_str() {
                    "Put" => request("PutItem", table(part), vec![text(&part["Item"]["pk"])]),
                    "Update" => request("UpdateItem", table(part), vec![text(&part["Key"]["pk"])]),
                    "Delete" => request("DeleteItem", table(part), vec![text(&part["Key"]["pk"])]),
                    "ConditionCheck" => request(
                        "ConditionCheckItem",
                        table(part),
                        vec![text(&part["Key"]["pk"])],
                    ),
                    other => panic!("unsupported transaction item: {other}"),
                })
                .collect()
        }
        "BatchGetItem" => {
            let tables = body["RequestItems"].as_object().unwrap().values();
            let keys = tables.flat_map(|table| table["Keys"].as_array().unwrap());
            let keys = keys.map(|key| text(&key["pk"])).collect();
            vec![request(operation, TABLE, keys)]
        }
        "Query" => {
            let expression = body["KeyConditionExpression"].as_str().unwrap();
            let (name, rest) = expression.split_once(" = ").unwrap();
            let placeholder = rest.split(' ').next().unwrap();
            let value = text(&body["ExpressionAttributeValues"][placeholder]);
            let resource = match (name, body["IndexName"].as_str()) {
                ("pk", None) => TABLE,
                ("due_bucket", Some("due")) => "${MainTableArn.Value}/index/due",
                other => panic!("unsupported query index: {other:?}"),
            };
            vec![request(operation, resource, vec![value])]
        }
        "GetItem" | "UpdateItem" | "DeleteItem" => {
            vec![request(
                operation,
                table(body),
                vec![text(&body["Key"]["pk"])],
            )]
        }
        "PutItem" => vec![request(
            operation,
            table(body),
            vec![text(&body["Item"]["pk"])],
        )],
        other => vec![request(other, TABLE, Vec::new())],
    }
}

/// The statements of each policy, parsed once.
fn statements_of(function: &str) -> &'static [Statement] {
    static READ: Mutex<BTreeMap<String, &'static [Statement]>> = Mutex::new(BTreeMap::new());
    let mut read = READ.lock().unwrap();
    let known = read.entry(function.to_owned());
    known.or_insert_with(|| Vec::leak(statements(function)))
}

/// The subject of a request, in the notation of [`Use::what`].
fn kinds(context: &Context) -> BTreeSet<String> {
    if !context.encryption.is_empty() {
        let names: BTreeSet<&str> = context
            .encryption
            .iter()
            .map(|(name, _)| name.as_str())
            .collect();
        return [names.into_iter().collect::<Vec<_>>().join(" ")].into();
    }
    if context.leading_keys.is_empty() {
        return [String::new()].into();
    }
    let kind = |key: &String| match key.split_once('#') {
        Some((kind, _)) if kind.len() == 1 => format!("{kind}#*"),
        _ => "??????#*".to_owned(),
    };
    context.leading_keys.iter().map(kind).collect()
}

/// The grants of a function's policy on the table and the keys, in the same notation: one line per operation and kind.
#[must_use]
pub fn granted(function: &str) -> BTreeSet<Use> {
    let mut granted = BTreeSet::new();
    for statement in statements(function) {
        let whats = match statement
            .conditions
            .iter()
            .find(|(operator, ..)| operator != "Null")
        {
            Some((_, key, values)) if key == "kms:EncryptionContextKeys" => {
                let names: BTreeSet<&str> = values.iter().map(String::as_str).collect();
                vec![names.into_iter().collect::<Vec<_>>().join(" ")]
            }
            Some((_, _, values)) => values.clone(),
            None => vec![String::new()],
        };
        for action in &statement.actions {
            for resource in &statement.resources {
                granted.extend(whats.iter().map(|what| Use {
                    function: function.to_owned(),
                    action: action.clone(),
                    resource: resource.clone(),
                    what: what.clone(),
                }));
            }
        }
    }
    granted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_keys(keys: &[&str]) -> Context {
        Context {
            leading_keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            ..Context::default()
        }
    }

    fn of_context(names: &[&str]) -> Context {
        Context {
            encryption: names
                .iter()
                .map(|name| ((*name).to_owned(), "x".to_owned()))
                .collect(),
            ..Context::default()
        }
    }

    #[test]
    fn patterns_match_like_iam() {
        for (pattern, text, like) in [
            ("M#*", "M#mer_1", true),
            ("M#*", "M#", true),
            ("M#*", "A#M#", false),
            ("*", "", true),
            ("??????#?", "202611#3", true),
            ("??????#?", "202611#33", false),
            ("a*c?", "abbcd", true),
            ("a*c?", "abbc", false),
        ] {
            assert_eq!(is_like(pattern, text), like, "{pattern} {text}");
        }
    }

    #[test]
    fn denies_what_role_does_not_grant() {
        let iam = IamRecorder::default();
        let may = |function: &str, action: &str, resource: &str, context: &Context| {
            iam.authorize(function, action, resource, context).is_ok()
        };
        let (table, index) = ("MainTableArn.Value", "${MainTableArn.Value}/index/due");
        assert!(may("login", "dynamodb:PutItem", table, &of_keys(&["S#x"])));
        assert!(!may("login", "dynamodb:PutItem", table, &of_keys(&["A#x"])));
        // One forbidden leading key is enough to deny the request.
        assert!(!may(
            "login",
            "dynamodb:BatchGetItem",
            table,
            &of_keys(&["A#x", "M#x"])
        ));
        assert!(!may(
            "login",
            "dynamodb:DeleteItem",
            table,
            &of_keys(&["A#x"])
        ));
        assert!(!may("login", "dynamodb:Scan", table, &of_keys(&[])));
        // `ForAllValues` holds for a request without keys; the guard denies it.
        let own = statements("login");
        let nothing = of_keys(&[]);
        assert!(
            own.iter()
                .any(|one| one.applies("dynamodb:PutItem", table, &nothing))
        );
        assert!(!may("login", "dynamodb:PutItem", table, &nothing));
        assert!(may(
            "cooldown-cleanup",
            "dynamodb:Query",
            index,
            &of_keys(&["202611#0"])
        ));
        assert!(may(
            "cooldown-cleanup",
            "dynamodb:Query",
            index,
            &of_keys(&["202611#63"])
        ));
        assert!(!may(
            "cooldown-cleanup",
            "dynamodb:Query",
            index,
            &of_keys(&["M#x"])
        ));
        assert!(!may(
            "cooldown-cleanup",
            "dynamodb:Query",
            table,
            &of_keys(&["202611#0"])
        ));
        let both = of_context(&["merchant_id", "card_id"]);
        assert!(may("verification", "kms:Decrypt", "CardKey.Arn", &both));
        assert!(!may(
            "verification",
            "kms:Decrypt",
            "CardKey.Arn",
            &of_context(&["merchant_id"])
        ));
        assert!(!may(
            "verification",
            "kms:Decrypt",
            "CardKey.Arn",
            &of_context(&[])
        ));
        assert!(!may(
            "verification",
            "kms:Decrypt",
            "IdentityKey.Arn",
            &both
        ));
        assert!(!may("cards", "kms:Decrypt", "CardKey.Arn", &both));
    }
}
