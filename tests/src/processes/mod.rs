//! Lambda as a function sees it: the compiled `bootstrap`s as processes that use the real Runtime API, one invocation at a
//! time each, with the settings of `infra/template.yaml`. A gateway in front accepts requests, and a function URL serves the
//! sandbox bank.
//!
//! Every process is a child of this one and is killed with it. AWS calls go to [`cloud`].

pub mod cloud;
mod process;
pub mod server;
pub mod template;
pub mod tls;
pub mod traffic;

use crate::published::insertions;
use crate::transport::{HttpCall, Reply, Transport, unsigned};
use bytes::Bytes;
pub use cloud::{Cloud, Kill};
use http::{HeaderMap, Request, Response};
use process::{Log, Process};
use serde_json::{Value, json};
use server::{Answer, Server, serve_with};
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::{Duration, Instant};
use template::{Deployed, OUTBOX_TABLE, Route, Template};
use tls::LocalTls;
use tokio::sync::Semaphore;

/// The compiled functions by name, built once per test run.
static BINARIES: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();

/// The result of an invocation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The function's reply.
    Answered(Value),
    /// An error of the function or of the host: `errorType`, `errorMessage`.
    Failed(Value),
    /// The process ended before it replied.
    Died(ExitStatus),
}

/// The host.
pub struct Processes {
    /// The services that the functions call.
    pub cloud: Arc<Cloud>,
    inner: Arc<Inner>,
    routes: Vec<Route>,
    _bank: Server,
}

/// How a host runs its functions.
pub struct Options {
    /// The maximum number of processes of a function.
    pub at_most: fn(&str) -> usize,
    /// True if calls to the table bypass the recorder: no process can be killed at them, and they are not counted.
    pub uncounted: bool,
    /// The services speak TLS.
    pub tls: Option<LocalTls>,
    /// The executables of functions, by name. The others are those of the dev build.
    pub binaries: BTreeMap<String, PathBuf>,
    /// Further executables with the settings of a function, invoked by their own names.
    pub variants: Vec<Variant>,
    /// Variables that prevail over those of the template.
    pub settings: Vec<(&'static str, String)>,
    /// The channel of SMS; `None` is SNS, as in the template.
    pub channel: Option<&'static str>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            at_most: |_| 1,
            uncounted: false,
            tls: None,
            binaries: BTreeMap::new(),
            variants: Vec::new(),
            settings: Vec::new(),
            channel: None,
        }
    }
}

/// An executable that is deployed like one of the functions.
#[derive(Clone, Debug)]
pub struct Variant {
    /// Its own name.
    pub name: String,
    /// The function whose settings it gets.
    pub function: String,
    /// The file.
    pub binary: PathBuf,
}

/// The duration of an invocation, and of the initialisation before it if it started a process.
#[derive(Clone, Debug)]
pub struct Timing {
    /// From the start of the process to its request for the first event.
    pub init: Option<Duration>,
    /// From the event to the reply.
    pub call: Duration,
    /// The process.
    pub pid: u32,
}

struct Inner {
    cloud: Arc<Cloud>,
    functions: HashMap<String, Function>,
    bank_url: String,
    /// Variables that prevail over those of the template.
    variables: Vec<(&'static str, String)>,
    channel: Option<&'static str>,
    started: AtomicU64,
    /// The pids of the running processes, by name.
    running: Mutex<BTreeMap<String, u32>>,
    log: Log,
}

struct Function {
    deployed: Deployed,
    binary: PathBuf,
    /// Limits the number of concurrent invocations.
    room: Semaphore,
    /// Idle processes.
    idle: Mutex<Vec<Process>>,
}

impl Processes {
    /// Builds the functions and starts their services. Processes start on demand, one per function.
    pub async fn start() -> Self {
        Self::with(Options::default()).await
    }

    /// Starts the services of the functions.
    pub async fn with(options: Options) -> Self {
        let template = Template::load();
        let functions = functions(&template, &options);
        let acceptor = options.tls.as_ref().map(|tls| &tls.acceptor);
        let cloud = Arc::new(Cloud::start(&template, acceptor).await);
        // Set late, because the functions need the bank's address and the bank is one of them.
        let known = Arc::new(OnceLock::<Weak<Inner>>::new());
        let host = Arc::clone(&known);
        let traffic = cloud.traffic.clone();
        let bank = serve_with(
            acceptor.cloned(),
            move || traffic.handshake(),
            move |request| {
                let inner = host.get().and_then(Weak::upgrade);
                async move { inner?.bank(request).await }
            },
        )
        .await;
        let mut variables = cloud.endpoints.clone();
        if options.uncounted {
            variables.push(("AWS_ENDPOINT_URL_DYNAMODB", cloud.table_url.clone()));
        }
        if let Some(tls) = &options.tls {
            variables.push(("SSL_CERT_FILE", tls.roots.display().to_string()));
        }
        variables.extend(options.settings);
        let inner = Arc::new(Inner {
            cloud: Arc::clone(&cloud),
            functions,
            bank_url: bank.url.clone(),
            variables,
            channel: options.channel,
            started: AtomicU64::new(0),
            running: Mutex::default(),
            log: Log::default(),
        });
        known.get_or_init(|| Arc::downgrade(&inner));
        Self {
            cloud,
            inner,
            routes: template.routes(),
            _bank: bank,
        }
    }

    /// Starts a process of a function or a variant, for the next invocation. Returns its pid.
    pub async fn prepare(&self, name: &str) -> u32 {
        let function = &self.inner.functions[name];
        let process = self.inner.start(function).await;
        let pid = process.pid;
        function.idle.lock().unwrap().push(process);
        pid
    }

    /// Invokes a function or a variant once, and measures it. An event that fails the function is an error here.
    ///
    /// # Panics
    /// When the function fails.
    pub async fn timed(&self, name: &str, event: &Value) -> (Value, Timing) {
        let (outcome, timing) = self.inner.timed(name, event).await;
        match outcome {
            Outcome::Answered(reply) => (reply, timing),
            other => panic!("{name}: {other:?} {:?}", self.log()),
        }
    }

    /// Invokes a function once.
    pub async fn run(&self, function: &str, event: &Value) -> Outcome {
        self.inner.invoke(function, event, None).await.0
    }

    /// The same with a point at which the process is killed. Also returns its calls.
    pub async fn invoke_killed(
        &self,
        function: &str,
        event: &Value,
        kill: Option<Kill>,
    ) -> (Outcome, Vec<String>) {
        self.inner.invoke(function, event, kill).await
    }

    /// The SMS to a phone in the outbox, oldest first, without the signature.
    fn kept(&self, phone: &str) -> Vec<String> {
        let mut kept = self.cloud.items(OUTBOX_TABLE);
        kept.retain(|item| item["pk"]["S"] == phone);
        let at = |item: &Value| item["at"]["N"].as_str().unwrap().parse::<u64>().unwrap();
        kept.sort_by_key(at);
        let texts = kept.iter().map(|item| item["text"]["S"].as_str().unwrap());
        texts.map(unsigned).collect()
    }

    /// The function behind a request's route.
    #[must_use]
    pub fn function_of(&self, event: &Value) -> &str {
        let key = &event["requestContext"]["routeKey"];
        let found = self.routes.iter().find(|route| *key == route.key);
        let default = || self.routes.iter().find(|route| route.key == "$default");
        &found.or_else(default).unwrap().function
    }

    /// Sends a request through the gateway. `None`: the process behind it died, which a real gateway reports as a 502.
    pub async fn send(&self, event: &Value) -> Option<Reply> {
        self.send_killed(event, None).await.0
    }

    /// The same with a point at which the process is killed. Also returns its calls.
    pub async fn send_killed(
        &self,
        event: &Value,
        kill: Option<Kill>,
    ) -> (Option<Reply>, Vec<String>) {
        let function = self.function_of(event);
        let (outcome, calls) = self.inner.invoke(function, event, kill).await;
        let reply = match outcome {
            Outcome::Answered(reply) => reply,
            Outcome::Failed(error) => panic!("{function} failed: {error}; {:?}", self.log()),
            Outcome::Died(_) => return (None, calls),
        };
        (Some(Reply::of_event(event, &reply)), calls)
    }

    /// The stream records of every notification that is due.
    #[must_use]
    pub fn due_notifications(&self) -> Value {
        let items = self.cloud.items(template::TABLE);
        let due = items.iter().filter(|item| item["notice"]["S"] == "due");
        let records = due.map(|item| {
            json!({"eventID": item["sk"]["S"], "eventName": "INSERT", "dynamodb": {
                "SequenceNumber": item["sk"]["S"],
                "Keys": {"pk": item["pk"], "sk": item["sk"]},
            }})
        });
        json!({"Records": records.collect::<Vec<_>>()})
    }

    /// The stream records of every history event that is not in the topic.
    #[must_use]
    pub fn unpublished_events(&self) -> Value {
        let published = self.cloud.topic.published();
        let is_new = |item: &Value| {
            let mut hashes = published.iter().map(|event| &event["data"]["hash"]);
            hashes.all(|hash| *hash != item["hash"]["S"])
        };
        insertions(self.cloud.items(template::TABLE).into_iter().filter(is_new))
    }

    /// The idle processes of a function.
    #[must_use]
    pub fn pids(&self, function: &str) -> Vec<u32> {
        let idle = self.inner.functions[function].idle.lock().unwrap();
        idle.iter().map(|process| process.pid).collect()
    }

    /// Ends a function's idle processes: the next invocation starts a new one.
    pub fn end(&self, function: &str) {
        let ended = std::mem::take(&mut *self.inner.functions[function].idle.lock().unwrap());
        let mut running = self.inner.running.lock().unwrap();
        for process in &ended {
            running.remove(&process.name);
        }
    }

    /// Shuts down the Runtime API of an idle process. Returns its exit status, if it ended.
    pub async fn orphan(&self, function: &str) -> Option<ExitStatus> {
        let process = self.inner.functions[function].idle.lock().unwrap().pop();
        process.expect("an idle process").orphan().await
    }

    /// The pids of all processes, by function name and number.
    #[must_use]
    pub fn running(&self) -> BTreeMap<String, u32> {
        self.inner.running.lock().unwrap().clone()
    }

    /// The last lines of every function's log.
    #[must_use]
    pub fn log(&self) -> Vec<String> {
        self.inner.log.lines()
    }
}

impl Inner {
    async fn invoke(
        &self,
        function: &str,
        event: &Value,
        kill: Option<Kill>,
    ) -> (Outcome, Vec<String>) {
        let function = &self.functions[function];
        let _room = function.room.acquire().await.unwrap();
        let (mut process, _) = self.process(function).await;
        let calls = &self.cloud.calls;
        calls.begin(&process.name, process.pid, kill);
        let outcome = process.invoke(event, function.deployed.timeout).await;
        let made = calls.end(&process.name);
        self.put_back(function, process);
        (outcome, made)
    }

    async fn timed(&self, name: &str, event: &Value) -> (Outcome, Timing) {
        let function = &self.functions[name];
        let _room = function.room.acquire().await.unwrap();
        let (mut process, is_new) = self.process(function).await;
        let started = Instant::now();
        let outcome = process.invoke(event, function.deployed.timeout).await;
        let timing = Timing {
            call: started.elapsed(),
            init: is_new.then_some(process.init),
            pid: process.pid,
        };
        self.put_back(function, process);
        (outcome, timing)
    }

    /// An idle process of the function, or a new one. True for a new one.
    async fn process(&self, function: &Function) -> (Process, bool) {
        let idle = function.idle.lock().unwrap().pop();
        match idle {
            Some(process) => (process, false),
            None => (self.start(function).await, true),
        }
    }

    fn put_back(&self, function: &Function, process: Process) {
        if process.is_alive() {
            function.idle.lock().unwrap().push(process);
        } else {
            self.running.lock().unwrap().remove(&process.name);
        }
    }

    async fn start(&self, function: &Function) -> Process {
        let number = self.started.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{number}", function.deployed.name);
        let variables = self.variables.iter();
        let mut variables: Vec<_> = variables
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let bank = format!("{}/{name}", self.bank_url);
        if let Some(channel) = self.channel {
            variables.push(("MESSAGE_CHANNEL", channel));
            variables.push(("GATEWAY_URL", &bank));
            variables.push(("GATEWAY_SECRET_ID", "GatewaySecret"));
            variables.push(("OUTBOX_TABLE", OUTBOX_TABLE));
        }
        let (binary, deployed) = (&function.binary, &function.deployed);
        let process = Process::start(name, binary, deployed, &variables, &bank, &self.log).await;
        let mut running = self.running.lock().unwrap();
        running.insert(process.name.clone(), process.pid);
        process
    }

    /// The function URLs of the bank and of the gateway for messages. The path begins with the name of the calling process, so that the
    /// call is attributed to it.
    async fn bank(&self, request: Request<Bytes>) -> Option<Answer> {
        self.cloud.traffic.request(&self.bank_url, &request);
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let (caller, _) = path.split_once('/')?;
        let path = &path[caller.len()..];
        let headers = text_of(request.headers());
        let body = std::str::from_utf8(request.body()).ok()?;
        let mut event = HttpCall::new("POST", path).event();
        event["headers"] = json!(headers);
        event["body"] = json!(body);
        let peer = match path == message::protocol::PATH {
            true => "sandbox-gateway",
            false => "sandbox-bank",
        };
        let asked = async { self.invoke(peer, &event, None).await.0 };
        // Boxed, because an invocation of the bank is nested in that of its caller.
        let asked: std::pin::Pin<Box<dyn Future<Output = Outcome> + Send + '_>> = Box::pin(asked);
        let outcome = self
            .cloud
            .calls
            .pass(caller, format!("bank /{path}"), asked)
            .await?;
        let Outcome::Answered(reply) = outcome else {
            return Some(
                Response::builder()
                    .status(502)
                    .body(Bytes::new().into())
                    .unwrap(),
            );
        };
        let mut response =
            Response::builder().status(u16::try_from(reply["statusCode"].as_u64()?).ok()?);
        for (name, value) in reply["headers"].as_object()? {
            response = response.header(name, value.as_str()?);
        }
        let body = reply["body"].as_str()?.to_owned();
        self.cloud.traffic.reply(None, path, body.as_bytes());
        response.body(Bytes::from(body).into()).ok()
    }
}

/// The functions of the template, and the variants.
fn functions(template: &Template, options: &Options) -> HashMap<String, Function> {
    let deployed: Vec<Deployed> = template.functions().into_values().collect();
    let names: Vec<&str> = deployed.iter().map(|each| each.name.as_str()).collect();
    let is_given = |name: &&str| options.binaries.contains_key(*name);
    let binaries = if names.iter().all(is_given) {
        &options.binaries
    } else {
        BINARIES.get_or_init(|| local::binaries(&names).unwrap())
    };
    let binary = |name: &str| options.binaries.get(name).unwrap_or(&binaries[name]);
    let function = |deployed: &Deployed, binary: &PathBuf| Function {
        binary: binary.clone(),
        room: Semaphore::new((options.at_most)(&deployed.name)),
        idle: Mutex::default(),
        deployed: deployed.clone(),
    };
    let own = deployed.iter();
    let mut all: HashMap<_, _> = own
        .map(|each| (each.name.clone(), function(each, binary(&each.name))))
        .collect();
    for variant in &options.variants {
        let model = deployed.iter().find(|each| each.name == variant.function);
        let variant_of = function(model.unwrap(), &variant.binary);
        all.insert(variant.name.clone(), variant_of);
    }
    all
}

fn text_of(headers: &HeaderMap) -> HashMap<String, String> {
    let headers = headers.iter();
    headers
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

impl Transport for Processes {
    async fn http(&self, request: HttpCall) -> Reply {
        let reply = self.send(&request.event()).await;
        reply.unwrap_or_else(|| panic!("{} {}: the process died", request.method, request.path))
    }

    async fn invoke(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        match self.run(function, event).await {
            Outcome::Answered(reply) => Ok(reply),
            Outcome::Failed(error) => {
                let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
                Err((text("errorType"), text("errorMessage")))
            }
            Outcome::Died(status) => panic!("{function} died: {status}"),
        }
    }

    async fn sms(&self, phone: &str) -> Vec<String> {
        match self.inner.channel {
            None | Some("sns") => self.cloud.texts.to(phone),
            Some(_) => self.kept(phone),
        }
    }

    async fn statement(&self, card: &str) -> Vec<Value> {
        let body = json!({"card_number": card});
        let event = HttpCall::new("POST", "/statement").json(&body).event();
        let Outcome::Answered(reply) = self.run("sandbox-bank", &event).await else {
            panic!("the statement request failed: {:?}", self.log());
        };
        let statement: Value = serde_json::from_str(reply["body"].as_str().unwrap()).unwrap();
        statement["transfers"].as_array().unwrap().clone()
    }

    async fn deliver_notifications(&self) {
        let batch = self.due_notifications();
        let reply = self.run("confirmation-notice", &batch).await;
        assert_eq!(reply, Outcome::Answered(json!({"batchItemFailures": []})));
    }

    fn new_key(&self) -> Option<String> {
        Some(format!(
            "key-{}",
            self.inner.started.fetch_add(1, Ordering::Relaxed)
        ))
    }
}
