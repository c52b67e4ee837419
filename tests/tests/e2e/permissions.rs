//! A role's policy on the running system, and probes that run with a part of it taken away.

use futures::future::BoxFuture;
use http::Method;
use percent_encoding::percent_decode_str;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU32, Ordering};
use tests::aws::element;
use tests::iam_policy::logical_name;
use tests::local_cloud::{App, LocalCloud};
use tests::merchant::Ask;

/// The result of an attempt: `200`, `500 INTERNAL`, or the error of an invocation.
pub type Attempt<'l> = Box<dyn Fn() -> BoxFuture<'l, String> + Send + Sync + 'l>;

/// A call that works, and the permissions that it needs.
pub struct Probe<'l> {
    /// Taken away one after the other. Several are taken together if one has no effect alone.
    pub taken: Vec<&'static [&'static str]>,
    pub attempt: Attempt<'l>,
    /// The result without each of them, and with all.
    pub without: &'static str,
    pub with: &'static str,
}

/// The reply of a step that lacks a permission.
pub const DENIED: &str = "500 INTERNAL";
/// The function failed to start.
pub const DENIED_IN_INIT: &str = "denied in init";

/// A function's own policy on the running system.
pub struct Role<'l> {
    live: &'l LocalCloud,
    name: String,
    policy: String,
    pub document: Value,
    /// The short name of each ARN.
    names: BTreeMap<String, &'static str>,
}

impl<'l> Role<'l> {
    pub async fn of(live: &'l LocalCloud, function: &str) -> Self {
        let name = live
            .system
            .resource(&(logical_name(function) + "Role"))
            .unwrap()
            .to_owned();
        let fields = [("RoleName", name.as_str()), ("PolicyName", function)];
        let reply = live
            .root
            .query("iam", "2010-05-08", "GetRolePolicy", &fields)
            .await
            .unwrap();
        let document = percent_decode_str(element(&reply, "PolicyDocument").unwrap())
            .decode_utf8()
            .unwrap();
        let table = &live.system.endpoints().table;
        let record = &live.system.endpoints().record_table;
        let resource = |name: &str| live.system.resource(name).unwrap().to_owned();
        let names = [
            (format!(":table/{table}"), "table"),
            (format!(":table/{record}"), "record"),
            (format!(":table/{table}/index/due"), "index"),
            (format!(":table/{table}/stream/*"), "stream"),
            (
                format!(":table/{}", resource("SandboxBankTable")),
                "bank's table",
            ),
            (resource("LookUpKey1"), "look-up key"),
            (resource("CardAndIdKey1"), "card-and-id key"),
            (resource("CodesKey1"), "codes key"),
            (resource("FreezeKey1"), "freeze key"),
            (resource("CardKey"), "card key"),
            (resource("PayoutSigningKey"), "payout key"),
            (resource("AnchorSigningKey"), "anchor key"),
            (format!(":::{}", resource("LogBucket")), "log"),
            (format!(":::{}/*", resource("LogBucket")), "log's objects"),
            (resource("IdentityKey"), "identity key"),
            (resource("HistoryKey"), "history key"),
            (resource("EventsKey"), "events key"),
            (resource("EventsTopic"), "events topic"),
            ("sns:*:*:*".to_owned(), "phones"),
        ];
        Self {
            live,
            name,
            policy: function.to_owned(),
            document: serde_json::from_str(&document).unwrap(),
            names: names.into(),
        }
    }

    pub async fn put(&self, document: &Value) {
        let document = document.to_string();
        let fields = [
            ("RoleName", self.name.as_str()),
            ("PolicyName", &self.policy),
            ("PolicyDocument", &document),
        ];
        self.live
            .root
            .query("iam", "2010-05-08", "PutRolePolicy", &fields)
            .await
            .unwrap();
    }

    /// Each action with each resource: `dynamodb:Query table`.
    pub fn granted(&self) -> BTreeSet<String> {
        let statements = self.document["Statement"].as_array().unwrap();
        let pairs = statements
            .iter()
            .flat_map(|statement| self.pairs(statement));
        pairs
            .map(|(pair, ..)| pair)
            .filter(|pair| !pair.starts_with("logs:"))
            .collect()
    }

    /// The action-resource pairs of a statement, each as a statement of its own.
    fn pairs(&self, statement: &Value) -> Vec<(String, Value)> {
        let list = |value: &Value| match value {
            Value::Array(values) => values.clone(),
            Value::Null => Vec::new(),
            value => vec![value.clone()],
        };
        let mut pairs = Vec::new();
        for action in list(&statement["Action"]) {
            for kind in ["Resource", "NotResource"] {
                for resource in list(&statement[kind]) {
                    let mut one = statement.clone();
                    one["Action"] = action.clone();
                    one[kind] = resource.clone();
                    let pair = format!(
                        "{} {}",
                        action.as_str().unwrap(),
                        self.short(resource.as_str().unwrap())
                    );
                    pairs.push((pair, one));
                }
            }
        }
        pairs
    }

    fn short<'a>(&'a self, arn: &'a str) -> &'a str {
        if arn.contains(":secret:") {
            return if arn.contains("Query") {
                "bank's query secret"
            } else {
                "bank's secret"
            };
        }
        if arn.contains(":sqs:") {
            return match arn {
                arn if arn.contains("Notice") => "notices' queue",
                arn if arn.contains("Anchor") => "events' queue",
                _ => "clean-up's queue",
            };
        }
        let known = self
            .names
            .iter()
            .find(|(end, _)| arn.ends_with(end.as_str()));
        known.map_or(arn, |(_, name)| name)
    }

    /// The policy without some of its pairs.
    pub fn without(&self, taken: &[&str]) -> Value {
        let statements = self.document["Statement"].as_array().unwrap();
        let pairs = statements
            .iter()
            .flat_map(|statement| self.pairs(statement));
        let (gone, kept): (Vec<_>, Vec<_>) =
            pairs.partition(|(pair, _)| taken.contains(&pair.as_str()));
        let gone: BTreeSet<&str> = gone.iter().map(|(pair, _)| pair.as_str()).collect();
        assert_eq!(
            gone,
            taken.iter().copied().collect(),
            "{} does not grant all of these",
            self.policy
        );
        let kept: Vec<Value> = kept.into_iter().map(|(_, statement)| statement).collect();
        json!({"Version": "2012-10-17", "Statement": kept})
    }
}

/// The support references of requests that were refused for lack of a permission.
pub static REFUSED: std::sync::Mutex<BTreeSet<String>> = std::sync::Mutex::new(BTreeSet::new());

pub fn probe<'l>(
    taken: &[&'static [&'static str]],
    without: &'static str,
    with: &'static str,
    attempt: impl Fn() -> BoxFuture<'l, String> + Send + Sync + 'l,
) -> Probe<'l> {
    Probe {
        taken: taken.to_vec(),
        attempt: Box::new(attempt),
        without,
        with,
    }
}

/// A request over HTTP.
pub fn asked<'l>(
    taken: &[&'static [&'static str]],
    with: &'static str,
    ask: impl Fn() -> Ask<&'l LocalCloud> + Send + Sync + 'l,
) -> Probe<'l> {
    asked_until(taken, DENIED, with, ask)
}

pub fn asked_until<'l>(
    taken: &[&'static [&'static str]],
    without: &'static str,
    with: &'static str,
    ask: impl Fn() -> Ask<&'l LocalCloud> + Send + Sync + 'l,
) -> Probe<'l> {
    probe(taken, without, with, move || {
        let ask = ask();
        Box::pin(async move {
            let reply = ask.send().await;
            let ended = match reply.body["code"].as_str() {
                Some(code) => format!("{} {code}", reply.status),
                None => reply.status.to_string(),
            };
            if ended == DENIED {
                let reference = reply.body["support_ref"].as_str().unwrap();
                REFUSED.lock().unwrap().insert(reference.to_owned());
            }
            ended
        })
    })
}

/// A step with an idempotency key, so that a repetition is the same request.
pub fn step<'l>(
    app: &App<'l>,
    key: &str,
    method: &str,
    path: &str,
    body: &Value,
) -> impl Fn() -> Ask<&'l LocalCloud> + Send + Sync + 'l {
    let (key, body, ask) = (key.to_owned(), body.clone(), asking(app, method, path));
    move || ask().key(&key).json(&body)
}

pub fn read<'l>(app: &App<'l>, path: &str) -> impl Fn() -> Ask<&'l LocalCloud> + Send + Sync + 'l {
    asking(app, "GET", path)
}

fn asking<'l>(
    app: &App<'l>,
    method: &str,
    path: &str,
) -> impl Fn() -> Ask<&'l LocalCloud> + Send + Sync + 'l {
    let (live, token, profile) = (app.system, app.token.clone(), app.profile.clone());
    let (method, path) = (method.to_owned(), path.to_owned());
    move || live.ask(&method, &path).token(&token).at(profile.now())
}

/// An invocation.
pub fn invoked<'l>(
    live: &'l LocalCloud,
    taken: &[&'static [&'static str]],
    (without, with): (&'static str, &'static str),
    (function, event): (&'static str, Value),
) -> Probe<'l> {
    probe(taken, without, with, move || {
        let event = event.clone();
        Box::pin(async move {
            let name = &live.system.endpoints().functions[function];
            match live.root.run(name, &event).await {
                Ok(reply) if reply["failed"].as_u64().is_some_and(|failed| failed > 0) => {
                    "failed in part".to_owned()
                }
                Ok(reply) if reply["statusCode"] == 500 => "refused".to_owned(),
                Ok(_) => "done".to_owned(),
                Err((_, text)) if denied_in_init(&text) => DENIED_IN_INIT.to_owned(),
                Err((kind, text)) => {
                    println!("{function}: {kind}: {text}");
                    kind
                }
            }
        })
    })
}

/// The text of an error of an invocation: the process did not start, for lack of a permission.
pub fn denied_in_init(error: &str) -> bool {
    error.contains("during init") && error.contains("AccessDenied")
}

/// The probe with new processes of the function for each attempt, because a process keeps its secrets.
pub fn in_new_process<'l>(
    live: &'l LocalCloud,
    function: &'static str,
    probe: Probe<'l>,
) -> Probe<'l> {
    let attempt = std::sync::Arc::new(probe.attempt);
    Probe {
        attempt: Box::new(move || {
            let attempt = std::sync::Arc::clone(&attempt);
            Box::pin(async move {
                end_processes(live, function).await;
                attempt().await
            })
        }),
        ..probe
    }
}

/// The functions behind an API.
pub const HTTP: [&str; 8] = [
    "login",
    "cards",
    "rebind-request",
    "verification",
    "agreement",
    "settlement",
    "freezes",
    "operator",
];

/// Invokes a function with an event that it refuses: the local cloud then reads the rest of the process's output.
pub async fn read_output(live: &LocalCloud, function: &str) {
    if HTTP.contains(&function) {
        let _ = live.system.invoke(function, &json!({})).await;
    }
}

/// Moves the function's alias to a new version, which has no process yet.
async fn end_processes(live: &LocalCloud, function: &str) {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    read_output(live, function).await;
    let name = &live.system.endpoints().functions[function];
    let path = format!("/2015-03-31/functions/{name}");
    let call = async |method, end: &str, body: Value| {
        let path = format!("{path}/{end}");
        let reply = live.root.rest("lambda", &method, &path, &body).await;
        assert!([200, 201].contains(&reply.status), "{function}: {end}");
        reply.json().unwrap()
    };
    // A version is published only after a change.
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let change = json!({ "Description": format!("version {number} of the tests") });
    call(Method::PUT, "configuration", change).await;
    let version = call(Method::POST, "versions", json!({})).await;
    let moved = json!({"FunctionVersion": version["Version"]});
    call(Method::PUT, "aliases/live", moved).await;
}
