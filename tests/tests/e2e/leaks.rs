//! No secret leaks. Everything that the run logged, sent or stored is searched for every secret that the run used.

use application::clock::wall_clock;
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::aws::{LOGS, SQS, STREAMS};
use tests::local_cloud::LocalCloud;
use tests::metrics::{metric, metric_in_bytes};
use tests::secrets::{Kind, Searcher};
use tests::transport::Transport as _;

/// The place where a secret was found, and its kind.
type Found = BTreeSet<(String, Kind)>;

/// The search finds no secret. As proof that it can, it then finds planted ones: each kind once, each place once.
pub async fn no_secret_is_stored_or_sent(live: &LocalCloud) {
    let used = every_kind_is_used(live).await;
    let search = Search::of(live).await;
    assert_eq!(search.found, Found::new());
    for (place, (pieces, bytes)) in &search.searched {
        println!("searched: {pieces} × {place}, {bytes} bytes");
    }
    let bytes: usize = search.searched.values().map(|(_, bytes)| bytes).sum();
    for place in PLACES {
        assert!(
            search.searched.contains_key(place),
            "{place}: nothing to search"
        );
    }

    let planted = plant(live, &used).await;
    let found = Search::of(live).await.found;
    assert_eq!(found, planted);
    metric_in_bytes(
        "secrets: bytes searched (logs, replies, events, SMS, items, queues, metrics, settings)",
        bytes,
        0,
    );
    metric(
        "secrets: planted secrets, each kind and each place, not found",
        planted.len(),
        0,
    );
}

/// The searched places, except the queues, which are empty unless something failed permanently.
const PLACES: [&str; 10] = [
    "a log",
    "a reply",
    "a reply to the core",
    "a clean-up's summary",
    "an item",
    "the bank's item",
    "an SMS",
    "an event",
    "a metric",
    "a function's settings",
];

/// Uses a secret of each kind, whatever ran before; returns the last of each.
async fn every_kind_is_used(live: &LocalCloud) -> BTreeMap<Kind, String> {
    let (merchant, app) = live.logged_in().await;
    let push = format!("push-token-of-{}", merchant.id);
    live.secrets.add(Kind::PushToken, &push);
    let target = json!({"platform": "fcm", "token": push});
    app.put("/v1/push-targets/till", target).await.ok(204);
    let card = live
        .card_with_outcome("not_enabled", &merchant.holder_name)
        .await;
    let rebind = app.request(&card).await;
    app.show_document(&rebind).await;
    live.code(&merchant.phone).await;
    app.confirm_identity(&rebind).await;
    let signature = app.signature(&rebind).await;
    let sign = format!("{rebind}/agreement");
    app.post(&sign, signature.clone()).await.ok(200);
    app.check_card(&rebind).await.ok(200);
    let deposit = live.deposit_code(&card).await;
    let confirm = format!("{rebind}/card-check/confirm");
    app.post(&confirm, json!({"code": deposit})).await.ok(200);
    // The push target, and the activation.
    live.notifications(&merchant.phone, 2).await;
    let freeze = live.freeze_code(&merchant.phone).await;
    let payout = json!({"operation": "create_payout", "merchant_id": merchant.id, "payout_id": format!("pay_{}", merchant.id),
        "amount_fen": 1, "time": merchant.now().to_rfc3339_shanghai()});
    live.core(&payout).await.unwrap();
    live.clean_up(merchant.now()).await;
    live.app_on(&merchant, "another device").await;
    let credentials = live.credentials(&merchant, "another device");
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let used: BTreeMap<Kind, String> = [
        (Kind::CardNumber, card),
        (Kind::IdNumber, merchant.document_number.clone()),
        (Kind::Password, merchant.password.clone()),
        (Kind::Token, app.token.clone()),
        (Kind::DeviceId, text(&credentials["device_id"])),
        // Made up. A few real OTPs are excluded from the search, because their digits also occur in other values.
        (Kind::Otp, "917364".to_owned()),
        (Kind::ReadingToken, text(&signature["reading_token"])),
        (Kind::FreezeCode, freeze),
        (Kind::DepositCode, deposit),
        (Kind::PushToken, push),
    ]
    .into();
    assert_eq!(used.len(), Kind::ALL.len());
    for (kind, value) in &used {
        live.secrets.add(*kind, value);
    }
    used
}

/// Puts secrets into places where none may be.
async fn plant(live: &LocalCloud, used: &BTreeMap<Kind, String>) -> Found {
    let text = |value: &str| AttributeValue::S(value.to_owned());
    let table = &live.system.endpoints().table;
    put(
        live,
        table,
        "PLANTED#1",
        text(&format!("seen: {}", used[&Kind::IdNumber])),
    )
    .await;
    // As a stored reply.
    let deflated = AttributeValue::B(Blob::new(deflate(&used[&Kind::Token])));
    put(live, table, "PLANTED#2", deflated).await;
    let bank = live.system.resource("SandboxBankTable").unwrap();
    put(live, bank, "PLANTED#3", text(&used[&Kind::CardNumber])).await;
    let groups = live.log_groups().await;
    let group = groups
        .iter()
        .find(|group| group.ends_with("/LoginLogs"))
        .unwrap();
    log(
        live,
        group,
        &json!({"message": "request.answered", "typed": used[&Kind::Otp]}).to_string(),
    )
    .await;
    log(live, group, &format!("plain: {}", used[&Kind::Password])).await;
    // As a byte string that was printed by mistake.
    log(
        live,
        group,
        &format!("{:?}", used[&Kind::ReadingToken].as_bytes()),
    )
    .await;
    let sms = [
        ("PhoneNumber", "+8613699999998"),
        ("Message", used[&Kind::DeviceId].as_str()),
    ];
    live.root
        .query("sns", "2010-03-31", "Publish", &sms)
        .await
        .unwrap();
    let queue = live.system.resource("CleanupFailures").unwrap();
    let message = json!({"QueueUrl": queue, "MessageBody": used[&Kind::PushToken]});
    live.root.json(&SQS, "SendMessage", &message).await.unwrap();
    let metric = [
        ("Namespace", "planted"),
        (
            "MetricData.member.1.MetricName",
            used[&Kind::FreezeCode].as_str(),
        ),
        ("MetricData.member.1.Value", "1"),
    ];
    live.root
        .query("monitoring", "2010-08-01", "PutMetricData", &metric)
        .await
        .unwrap();
    live.note(
        "a reply",
        format!("HTTP\nx-debug: {}", used[&Kind::DepositCode]),
    );
    live.note(
        "a reply to the core",
        format!("Ok({})", used[&Kind::CardNumber]),
    );
    live.note("a clean-up's summary", used[&Kind::IdNumber].clone());
    let function = &live.system.endpoints().functions["cards"];
    let path = format!("/2015-03-31/functions/{function}/configuration");
    let described = json!({"Description": used[&Kind::Password]});
    let changed = live
        .root
        .rest("lambda", &Method::PUT, &path, &described)
        .await;
    assert_eq!(changed.status, 200, "{:?}", changed.text());
    [
        ("an item", Kind::IdNumber),
        ("an item", Kind::Token),
        // The stream carried what was put into the table.
        ("an event", Kind::IdNumber),
        ("an event", Kind::Token),
        ("the bank's item", Kind::CardNumber),
        ("a log", Kind::Otp),
        ("a log", Kind::Password),
        ("a log", Kind::ReadingToken),
        ("an SMS", Kind::DeviceId),
        ("a queue", Kind::PushToken),
        ("a metric", Kind::FreezeCode),
        ("a reply", Kind::DepositCode),
        ("a reply to the core", Kind::CardNumber),
        ("a clean-up's summary", Kind::IdNumber),
        ("a function's settings", Kind::Password),
    ]
    .map(|(place, kind)| (place.to_owned(), kind))
    .into()
}

/// A search through every place.
struct Search {
    searcher: Searcher,
    found: Found,
    /// Number of pieces and bytes by place.
    searched: BTreeMap<String, (usize, usize)>,
}

impl Search {
    async fn of(live: &LocalCloud) -> Self {
        let mut this = Self {
            searcher: live.secrets.searcher(),
            found: Found::new(),
            searched: BTreeMap::new(),
        };
        for group in live.log_groups().await {
            for line in live.log_of(&group).await {
                this.text("a log", &without_clock(&line), &[]);
            }
        }
        this.queues(live).await;
        for (place, text) in live.outputs.lock().unwrap().iter() {
            this.text(place, text, &[]);
        }
        for item in live.items().await {
            this.item("an item", item.iter(), &[]);
        }
        for item in live
            .items_of(live.system.resource("SandboxBankTable").unwrap())
            .await
        {
            // The bank's statement shows the deposit's code to its holder.
            let allowed: &[Kind] = if item.contains_key("descriptor") {
                &[Kind::DepositCode]
            } else {
                &[]
            };
            this.item("the bank's item", item.iter(), allowed);
        }
        for text in live.all_sms().await {
            // An SMS may carry its own OTP or freeze code and no other secret.
            this.text("an SMS", &text, &[Kind::Otp, Kind::FreezeCode]);
        }
        this.events(live).await;
        let metrics = live
            .root
            .query("monitoring", "2010-08-01", "ListMetrics", &[])
            .await;
        this.text("a metric", &metrics.unwrap(), &[]);
        let functions = live
            .root
            .rest(
                "lambda",
                &Method::GET,
                "/2015-03-31/functions",
                &Value::Null,
            )
            .await;
        this.text("a function's settings", &functions.text(), &[]);
        this
    }

    /// The messages in the queues. Messages that a test received earlier were recorded at that time.
    async fn queues(&mut self, live: &LocalCloud) {
        for queue in ["NoticeFailures", "CleanupFailures", "AnchorFailures"] {
            let url = live.system.resource(queue).unwrap();
            loop {
                let body =
                    json!({"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 600});
                let reply = live.root.json(&SQS, "ReceiveMessage", &body).await.unwrap();
                let messages = reply["Messages"].as_array().cloned().unwrap_or_default();
                if messages.is_empty() {
                    break;
                }
                for message in messages {
                    live.note("a queue", message.to_string());
                }
            }
        }
    }

    /// Everything that passed through the table's stream.
    async fn events(&mut self, live: &LocalCloud) {
        let streams = async |operation: &str, body: Value| {
            live.root.json(&STREAMS, operation, &body).await.unwrap()
        };
        let listed = streams(
            "ListStreams",
            json!({"TableName": live.system.endpoints().table}),
        )
        .await;
        let arn = &listed["Streams"][0]["StreamArn"];
        let described = streams("DescribeStream", json!({"StreamArn": arn})).await;
        for shard in described["StreamDescription"]["Shards"].as_array().unwrap() {
            let from = json!({"StreamArn": arn, "ShardId": shard["ShardId"], "ShardIteratorType": "TRIM_HORIZON"});
            let mut next = streams("GetShardIterator", from).await["ShardIterator"].clone();
            while next.is_string() {
                let page = streams("GetRecords", json!({"ShardIterator": next})).await;
                let records = page["Records"].as_array().unwrap();
                if records.is_empty() {
                    break;
                }
                for record in records {
                    let image = record["dynamodb"]["NewImage"].as_object();
                    let keys = record["dynamodb"]["Keys"].as_object();
                    for (name, value) in image.into_iter().chain(keys).flatten() {
                        self.event(name, value);
                    }
                }
                next = page["NextShardIterator"].clone();
            }
        }
    }

    fn event(&mut self, name: &str, value: &Value) {
        match value["B"].as_str() {
            Some(blob) => self.bytes("an event", &STANDARD.decode(blob).unwrap(), &[]),
            None => {
                let text = value["S"].as_str().or(value["N"].as_str());
                let text = text.map_or_else(|| value.to_string(), str::to_owned);
                self.text("an event", &format!("{name}\n{text}\n"), &[]);
            }
        }
    }

    fn item<'i>(
        &mut self,
        place: &str,
        attributes: impl Iterator<Item = (&'i String, &'i AttributeValue)>,
        allowed: &[Kind],
    ) {
        for (name, value) in attributes {
            let text = match value {
                AttributeValue::S(text) | AttributeValue::N(text) => text.clone(),
                AttributeValue::B(blob) => {
                    self.bytes(place, blob.as_ref(), allowed);
                    continue;
                }
                other => format!("{other:?}"),
            };
            self.text(place, &format!("{name}\n{text}\n"), allowed);
        }
    }

    fn text(&mut self, place: &str, text: &str, allowed: &[Kind]) {
        let found = self.searcher.found_in(text, allowed);
        self.note(place, text.len(), found);
    }

    fn bytes(&mut self, place: &str, bytes: &[u8], allowed: &[Kind]) {
        let found = self.searcher.found_in_bytes(bytes, allowed);
        self.note(place, bytes.len(), found);
    }

    fn note(&mut self, place: &str, bytes: usize, found: BTreeSet<Kind>) {
        let searched = self.searched.entry(place.to_owned()).or_default();
        *searched = (searched.0 + 1, searched.1 + bytes);
        self.found
            .extend(found.into_iter().map(|kind| (place.to_owned(), kind)));
    }
}

/// A log line without its time, because a fraction of a second has six digits like an OTP.
fn without_clock(line: &str) -> String {
    match serde_json::from_str(line) {
        Ok(Value::Object(mut line)) => {
            line.remove("timestamp");
            Value::Object(line).to_string()
        }
        _ => line.to_owned(),
    }
}

fn deflate(text: &str) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(text.as_bytes()).unwrap();
    encoder.finish().unwrap()
}

async fn put(live: &LocalCloud, table: &str, pk: &str, value: AttributeValue) {
    let put = live.table.put_item().table_name(table);
    let put = put
        .item("pk", AttributeValue::S(pk.to_owned()))
        .item("sk", AttributeValue::S("-".to_owned()));
    put.item("note", value).send().await.unwrap();
}

async fn log(live: &LocalCloud, group: &str, line: &str) {
    let stream = json!({"logGroupName": group, "logStreamName": "planted"});
    let _ = live.root.json(&LOGS, "CreateLogStream", &stream).await; // fails the second time, when the stream exists
    let event = json!({"timestamp": wall_clock().epoch_s() * 1_000, "message": line});
    let mut body = stream;
    body["logEvents"] = json!([event]);
    live.root.json(&LOGS, "PutLogEvents", &body).await.unwrap();
}
