//! The AWS services of the functions, for real `bootstrap` processes: a real DynamoDB API (dynoxide), and KMS, SNS and
//! Secrets Manager in their own wire protocols, plain or with TLS. The access key identifies the caller, so that a process can be killed at any
//! of its calls.
//!
//! The local cloud of `cargo local` is not suitable here: it takes 96 ms for any call, which rules out load tests, and it
//! cannot be stopped between two calls. The end-to-end tests use it for roles, routes and the deployed template.

use crate::history;
use crate::processes::server::{Answer, Server, serve_with};
use crate::processes::template::{
    BANK_TABLE, OUTBOX_TABLE, RECORD_TABLE, TABLE, Template, topic_arn,
};
use crate::processes::traffic::Traffic;
use crate::transport::unsigned;
use application::crypto::Keys;
use application::ports::{DataKey, HashKey, HashKeyVersions, KeyService, PortError};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region};
use bank::sandbox::person_items;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::secret::Secret;
use domain::time::Timestamp;
use dynoxide::Database;
use hmac::{Hmac, KeyInit as _, Mac as _};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use local::http::Http;
use percent_encoding::percent_decode_str;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use sha2::Sha256;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, OnceLock};
use store::seed::SeedMerchant;
use store::{Store, Tables};
use tokio_rustls::TlsAcceptor;

/// The region of all services.
pub const REGION: &str = "us-east-1";
/// The signing keys of the sandbox bank and of the bank client.
pub const BANK_SECRET: &str =
    "a secret of the tests that is long enough to be a key of HMAC-SHA256";

/// The services, each at its own address, because a client shares its connections to one address.
pub struct Cloud {
    /// The variables with the endpoints of the functions' AWS SDK.
    pub endpoints: Vec<(&'static str, String)>,
    /// The table's own address. It bypasses the call recorder, for load and for reads.
    pub table_url: String,
    /// The tables.
    pub database: Database,
    /// Every published SMS.
    pub texts: Texts,
    /// Every published event.
    pub topic: Topic,
    /// The entries on the queue of the log.
    pub queue: Queue,
    /// The recorded calls by caller.
    pub calls: Calls,
    /// The traffic of all callers.
    pub traffic: Traffic,
    _servers: Vec<Server>,
}

/// The variables of the AWS SDK with the address of each service.
const ENDPOINTS: [&str; 5] = [
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_KMS",
    "AWS_ENDPOINT_URL_SNS",
    "AWS_ENDPOINT_URL_SQS",
    "AWS_ENDPOINT_URL_SECRETS_MANAGER",
];

/// Every published SMS, indexed by phone so that a look-up stays fast.
#[derive(Clone, Debug, Default)]
pub struct Texts(Arc<Mutex<HashMap<String, Vec<String>>>>);

impl Texts {
    /// The texts to a phone, oldest first.
    #[must_use]
    pub fn to(&self, phone: &str) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .get(phone)
            .cloned()
            .unwrap_or_default()
    }

    /// The last text to a phone.
    #[must_use]
    pub fn last(&self, phone: &str) -> Option<String> {
        self.0.lock().unwrap().get(phone)?.last().cloned()
    }

    /// Resets a phone to an earlier number of texts.
    pub fn put_back(&self, phone: &str, texts: Vec<String>) {
        self.0.lock().unwrap().insert(phone.to_owned(), texts);
    }
}

/// Every event in the topic, in the order of publication.
#[derive(Clone, Debug, Default)]
pub struct Topic(Arc<Mutex<Vec<Value>>>);

impl Topic {
    /// Every event, copies included.
    #[must_use]
    pub fn published(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// Resets the topic to earlier events.
    pub fn put_back(&self, events: Vec<Value>) {
        *self.0.lock().unwrap() = events;
    }
}

/// The entries on the queue of the log, in the order of their arrival, copies included.
#[derive(Clone, Debug, Default)]
pub struct Queue(Arc<Mutex<Vec<Value>>>);

impl Queue {
    /// Every entry.
    #[must_use]
    pub fn entries(&self) -> Vec<Value> {
        self.0.lock().unwrap().clone()
    }

    /// Answers `SendMessageBatch`.
    fn send(&self, asked: &Value) -> Answer {
        let messages = asked["Entries"].as_array().map_or(&[][..], Vec::as_slice);
        let mut sent = Vec::new();
        for message in messages {
            let body = message["MessageBody"].as_str().unwrap();
            self.0
                .lock()
                .unwrap()
                .push(serde_json::from_str(body).unwrap());
            sent.push(json!({"Id": message["Id"], "MessageId": "0"}));
        }
        json_reply(200, &json!({"Successful": sent, "Failed": []}))
    }
}

/// The calls of an access key since its invocation began, and the call at which its process is killed.
#[derive(Clone, Debug, Default)]
pub struct Calls(Arc<Mutex<HashMap<String, Calling>>>);

#[derive(Debug, Default)]
struct Calling {
    pid: Option<Pid>,
    made: Vec<String>,
    kill: Option<Kill>,
}

/// The point at which a process is killed: one of the calls of its invocation, to any service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Kill {
    /// The position of the call, from 1.
    pub call: usize,
    /// The side of the call.
    pub moment: Moment,
}

/// A side of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Before the service receives the call.
    Before,
    /// After the service has executed the call, before it replies.
    After,
}

impl Calls {
    /// Begins an invocation in a process.
    pub fn begin(&self, caller: &str, pid: u32, kill: Option<Kill>) {
        let calling = Calling {
            pid: i32::try_from(pid).ok().and_then(Pid::from_raw),
            made: Vec::new(),
            kill,
        };
        self.0.lock().unwrap().insert(caller.to_owned(), calling);
    }

    /// The calls of the invocation, in order.
    #[must_use]
    pub fn end(&self, caller: &str) -> Vec<String> {
        let ended = self.0.lock().unwrap().remove(caller);
        ended.map_or_else(Vec::new, |calling| calling.made)
    }

    /// Forwards a call to its service, unless the caller is killed at it. `None`: the caller is dead, so there is no reply.
    pub async fn pass<T>(
        &self,
        caller: &str,
        what: String,
        service: impl Future<Output = T>,
    ) -> Option<T> {
        let kill = self.made(caller, what);
        if let Some((pid, Moment::Before)) = kill {
            kill_process(pid, Signal::KILL).unwrap();
            return None;
        }
        let answer = service.await;
        if let Some((pid, Moment::After)) = kill {
            kill_process(pid, Signal::KILL).unwrap();
            return None;
        }
        Some(answer)
    }

    /// Records a call. `Some`: the caller is killed at this call.
    fn made(&self, caller: &str, what: String) -> Option<(Pid, Moment)> {
        let mut all = self.0.lock().unwrap();
        let calling = all.get_mut(caller)?;
        calling.made.push(what);
        let kill = calling
            .kill
            .filter(|kill| kill.call == calling.made.len())?;
        Some((calling.pid?, kill.moment))
    }
}

impl Cloud {
    /// Starts the services, with the template's tables, empty. They speak TLS if there is an acceptor.
    pub async fn start(template: &Template, tls: Option<&TlsAcceptor>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let table_url = format!("http://{}", listener.local_addr().unwrap());
        let database = Database::memory().unwrap();
        tokio::spawn(dynoxide::server::serve_on(listener, database.clone()));
        for (name, resource) in [
            (TABLE, "Table"),
            (RECORD_TABLE, "RecordTable"),
            (BANK_TABLE, "SandboxBankTable"),
            (OUTBOX_TABLE, "OutboxTable"),
        ] {
            let table = template.table(resource, name);
            database
                .create_table(serde_json::from_value(table).unwrap())
                .unwrap();
        }
        let (texts, topic, calls) = (Texts::default(), Topic::default(), Calls::default());
        let queue = Queue::default();
        let services = Services {
            texts: texts.clone(),
            topic: topic.clone(),
            queue: queue.clone(),
            table_url: table_url.clone(),
            http: Http::new(),
        };
        let traffic = Traffic::default();
        let (mut endpoints, mut servers) = (Vec::new(), Vec::new());
        for variable in ENDPOINTS {
            let service = Service {
                services: services.clone(),
                calls: calls.clone(),
                traffic: traffic.clone(),
                url: Arc::default(),
            };
            let server = service.serve(tls).await;
            endpoints.push((variable, server.url.clone()));
            servers.push(server);
        }
        Self {
            endpoints,
            table_url,
            database,
            texts,
            topic,
            queue,
            calls,
            traffic,
            _servers: servers,
        }
    }

    /// The client of the tables, for reading and for seeding.
    #[must_use]
    pub fn client(&self) -> Client {
        let config = aws_sdk_dynamodb::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .credentials_provider(Credentials::for_tests())
            .endpoint_url(&self.table_url);
        Client::from_conf(config.build())
    }

    /// The store, for reading.
    #[must_use]
    pub fn store(&self) -> Store {
        let policy = &domain::policy::Policy::CURRENT;
        Store::new(self.client(), Tables::new(TABLE, RECORD_TABLE), policy)
    }

    /// Adds a merchant to the table, and the person to the sandbox bank.
    pub async fn seed(&self, merchant: &SeedMerchant, now: Timestamp) {
        let (store, client) = (self.store(), self.client());
        let keys = Keys::new(StatelessKeys);
        store.seed(&keys, merchant, now).await.unwrap();
        let holder = merchant.settlement_name.as_deref();
        let holder = holder.unwrap_or(&merchant.legal_name);
        let document = &merchant.id_document;
        for item in person_items(holder, document.document_type, document.number.expose()) {
            let put = client.put_item().table_name(BANK_TABLE);
            put.set_item(Some(item)).send().await.unwrap();
        }
    }

    /// Every item of a table, in DynamoDB's JSON.
    #[must_use]
    pub fn items(&self, table: &str) -> Vec<Value> {
        let mut scan = json!({"TableName": table});
        let mut items = Vec::new();
        loop {
            let request = serde_json::from_value(scan.clone()).unwrap();
            let page = serde_json::to_value(self.database.scan(request).unwrap()).unwrap();
            items.extend(page["Items"].as_array().unwrap().iter().cloned());
            match page.get("LastEvaluatedKey") {
                Some(last) => scan["ExclusiveStartKey"] = last.clone(),
                None => return items,
            }
        }
    }

    /// A merchant's whole history, oldest first.
    ///
    /// # Errors
    /// The position of a break in the chain, or a mismatch between its end and the merchant state.
    pub async fn history(&self, merchant: &MerchantId) -> Result<Vec<ChainedEvent>, String> {
        history::unbroken(&self.store(), merchant).await
    }

    /// Replaces an item, given in DynamoDB's JSON.
    pub fn put(&self, table: &str, item: &Value) {
        let put = json!({"TableName": table, "Item": item});
        let put = serde_json::from_value(put).unwrap();
        self.database.put_item(put).unwrap();
    }
}

/// The simulated bank's function, and the beginning of its processes' access keys.
const BANK: &str = "sandbox-bank";

/// The access key in a request's signature.
fn access_key(request: &Request<Bytes>) -> Option<&str> {
    let signed = request.headers().get("authorization")?.to_str().ok()?;
    let (_, credential) = signed.split_once("Credential=")?;
    Some(credential.split_once('/')?.0)
}

/// The AWS name of the requested operation.
fn operation(request: &Request<Bytes>) -> String {
    let target = request.headers().get("x-amz-target");
    let target = target.and_then(|target| target.to_str().ok());
    let name = target.and_then(|target| target.rsplit('.').next());
    name.map_or_else(
        || form(request.body(), "Action").unwrap_or_default(),
        str::to_owned,
    )
}

/// One address of the services.
#[derive(Clone)]
struct Service {
    services: Services,
    calls: Calls,
    traffic: Traffic,
    url: Arc<OnceLock<String>>,
}

impl Service {
    async fn serve(self, tls: Option<&TlsAcceptor>) -> Server {
        let (traffic, url) = (self.traffic.clone(), Arc::clone(&self.url));
        let server = serve_with(
            tls.cloned(),
            move || traffic.handshake(),
            move |request| {
                let service = self.clone();
                async move { service.pass(request).await }
            },
        )
        .await;
        url.get_or_init(|| server.url.clone());
        server
    }

    async fn pass(&self, request: Request<Bytes>) -> Option<Answer> {
        let url = self.url.get().map_or("", String::as_str);
        let caller = access_key(&request).unwrap_or_default().to_owned();
        // The simulated bank's own calls are not the product's.
        let traffic = Some(&self.traffic).filter(|_| !caller.starts_with(BANK));
        if let Some(traffic) = traffic {
            traffic.request(url, &request);
        }
        let what = operation(&request);
        let answer = self.services.answer(request, traffic);
        self.calls.pass(&caller, what, answer).await
    }
}

#[derive(Clone)]
struct Services {
    texts: Texts,
    topic: Topic,
    queue: Queue,
    table_url: String,
    http: Http,
}

impl Services {
    async fn answer(&self, request: Request<Bytes>, traffic: Option<&Traffic>) -> Answer {
        let target = request.headers().get("x-amz-target").cloned();
        let target = target.as_ref().and_then(|target| target.to_str().ok());
        let service = target.and_then(|target| target.split('.').next());
        let operation = operation(&request);
        let reply = self.reply(service, &operation, request).await;
        let body = reply.body().clone().collect().await.unwrap().to_bytes();
        if let Some(traffic) = traffic {
            traffic.reply(service, &operation, &body);
        }
        reply
    }

    async fn reply(
        &self,
        service: Option<&str>,
        operation: &str,
        request: Request<Bytes>,
    ) -> Answer {
        let asked = || serde_json::from_slice::<Value>(request.body()).unwrap_or_default();
        match (service, operation) {
            (Some("DynamoDB_20120810"), _) => self.table(request).await,
            (Some("TrentService"), operation) => key_service(operation, &asked()),
            (Some("secretsmanager"), "GetSecretValue") => {
                let name = &asked()["SecretId"];
                json_reply(200, &json!({"Name": name, "SecretString": BANK_SECRET}))
            }
            (Some("AmazonSQS"), "SendMessageBatch") => self.queue.send(&asked()),
            (None, "Publish") => self.publish(request.body()),
            _ => json_reply(400, &json!({"__type": "UnknownOperationException"})),
        }
    }

    /// Forwards the request unchanged to dynoxide, and returns its reply unchanged.
    async fn table(&self, request: Request<Bytes>) -> Answer {
        let (mut parts, body) = request.into_parts();
        parts.uri = self.table_url.parse().unwrap();
        parts.headers.remove("host");
        let reply = self.http.send(Request::from_parts(parts, body)).await;
        let reply = reply.unwrap();
        let mut response = Response::new(reply.body.into());
        *response.status_mut() = reply.status.try_into().unwrap();
        *response.headers_mut() = reply.headers;
        response
    }

    fn publish(&self, body: &[u8]) -> Answer {
        let [phone, topic, text] =
            ["PhoneNumber", "TopicArn", "Message"].map(|name| form(body, name));
        match (phone, topic, text) {
            (Some(phone), None, Some(text)) => {
                let mut texts = self.texts.0.lock().unwrap();
                texts.entry(phone).or_default().push(unsigned(&text));
            }
            (None, Some(topic), Some(text)) if topic == topic_arn() => {
                let event = serde_json::from_str(&text).unwrap();
                self.topic.0.lock().unwrap().push(event);
            }
            _ => return json_reply(400, &json!({"__type": "InvalidParameter"})),
        }
        let done = "<PublishResponse xmlns=\"http://sns.amazonaws.com/doc/2010-03-31/\"><PublishResult>\
            <MessageId>00000000-0000-0000-0000-000000000000</MessageId></PublishResult></PublishResponse>";
        let reply = Response::builder().header("content-type", "text/xml");
        reply.body(Bytes::from(done).into()).unwrap()
    }
}

/// A field of a form.
fn form(body: &[u8], name: &str) -> Option<String> {
    let text = std::str::from_utf8(body).ok()?;
    let pairs = text.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pairs.into_iter().find(|(key, _)| *key == name)?;
    let value = value.replace('+', " ");
    let decoded = percent_decode_str(&value).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

/// A reply with a JSON body.
pub(crate) fn json_reply(status: u16, body: &Value) -> Answer {
    let reply = Response::builder().status(status);
    let reply = reply.header("content-type", "application/x-amz-json-1.1");
    reply.body(Bytes::from(body.to_string()).into()).unwrap()
}

/// Each key is derived from its id, and a wrapped key from its context. A reset of the tables therefore needs no reset of keys.
struct StatelessKeys;

/// The number of bytes that KMS adds to a data key. The length counts in the table.
const WRAPPED_BYTES: usize = 184;
const TAG_BYTES: usize = 32;

impl StatelessKeys {
    fn mac(parts: &[&[u8]]) -> Vec<u8> {
        let mut mac = Hmac::<Sha256>::new_from_slice(b"the root key of the tests").unwrap();
        for part in parts {
            mac.update(&part.len().to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().to_vec()
    }

    fn wrap(key_id: &str, context: &BTreeMap<String, String>) -> (Vec<u8>, Vec<u8>) {
        let mut wrapped = vec![0; WRAPPED_BYTES - TAG_BYTES];
        getrandom::fill(&mut wrapped).unwrap();
        let bound = format!("{key_id} {context:?}");
        let plain = Self::mac(&[b"data key", bound.as_bytes(), &wrapped]);
        let tag = Self::mac(&[b"tag", bound.as_bytes(), &wrapped]);
        wrapped.extend(tag);
        (plain, wrapped)
    }

    /// `None`: wrapped by another key or for another context.
    fn unwrap(key_id: &str, context: &BTreeMap<String, String>, wrapped: &[u8]) -> Option<Vec<u8>> {
        let (random, tag) = wrapped.split_at_checked(WRAPPED_BYTES - TAG_BYTES)?;
        let bound = format!("{key_id} {context:?}");
        let fits = tag == Self::mac(&[b"tag", bound.as_bytes(), random]);
        fits.then(|| Self::mac(&[b"data key", bound.as_bytes(), random]))
    }
}

/// KMS.
fn key_service(operation: &str, asked: &Value) -> Answer {
    let key_id = asked["KeyId"].as_str().unwrap_or_default();
    let bytes = |name: &str| BASE64.decode(asked[name].as_str().unwrap_or_default());
    let context = asked.get("EncryptionContext").cloned().unwrap_or(json!({}));
    let context: BTreeMap<String, String> = serde_json::from_value(context).unwrap_or_default();
    match operation {
        "GenerateMac" => {
            let mac =
                StatelessKeys::mac(&[key_id.as_bytes(), &bytes("Message").unwrap_or_default()]);
            json_reply(200, &json!({"KeyId": key_id, "Mac": BASE64.encode(mac)}))
        }
        "GenerateDataKey" => {
            let (plain, wrapped) = StatelessKeys::wrap(key_id, &context);
            let (plain, wrapped) = (BASE64.encode(plain), BASE64.encode(wrapped));
            let made = json!({"KeyId": key_id, "Plaintext": plain, "CiphertextBlob": wrapped});
            json_reply(200, &made)
        }
        "Decrypt" => {
            let wrapped = bytes("CiphertextBlob").unwrap_or_default();
            match StatelessKeys::unwrap(key_id, &context, &wrapped) {
                Some(plain) => json_reply(
                    200,
                    &json!({"KeyId": key_id, "Plaintext": BASE64.encode(plain)}),
                ),
                None => json_reply(400, &json!({"__type": "InvalidCiphertextException"})),
            }
        }
        "Sign" => {
            let message = bytes("Message").unwrap_or_default();
            let signature = signing_key().sign(&SystemRandom::new(), &message).unwrap();
            let signature = BASE64.encode(signature.as_ref());
            json_reply(200, &json!({"KeyId": key_id, "Signature": signature}))
        }
        _ => json_reply(400, &json!({"__type": "UnknownOperationException"})),
    }
}

/// The key that signs payout instructions.
fn signing_key() -> &'static EcdsaKeyPair {
    static KEY: OnceLock<EcdsaKeyPair> = OnceLock::new();
    KEY.get_or_init(|| EcdsaKeyPair::generate(&ECDSA_P256_SHA256_ASN1_SIGNING).unwrap())
}

/// The same keys without the wire, for seeding.
impl KeyService for StatelessKeys {
    fn hash_key_versions(&self, _: HashKey) -> Option<HashKeyVersions> {
        Some(HashKeyVersions {
            current: 1,
            has_previous: false,
        })
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        let key_id = crate::processes::template::key_arn(&format!("{key:?}Key{version}"));
        let label = aws::kms::LABEL.as_bytes();
        Ok(Secret::new(Self::mac(&[key_id.as_bytes(), label])))
    }

    async fn new_data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        let (plain, wrapped) = Self::wrap(&data_key_arn(key), &owned(context));
        Ok((Secret::new(plain), wrapped))
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        let plain = Self::unwrap(&data_key_arn(key), &owned(context), wrapped);
        let unfit = || PortError::Permanent("the key service", "InvalidCiphertext".to_owned());
        plain.map(Secret::new).ok_or_else(unfit)
    }
}

fn data_key_arn(key: DataKey) -> String {
    crate::processes::template::key_arn(match key {
        DataKey::Card => "CardKey",
        DataKey::Identity => "IdentityKey",
        DataKey::History => "HistoryKey",
    })
}

fn owned(context: &[(&str, &str)]) -> BTreeMap<String, String> {
    let pairs = context.iter();
    pairs
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}
