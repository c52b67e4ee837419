//! One `bootstrap` process and its Lambda Runtime API (2018-06-01). Each process has its own address, like an execution
//! environment on Lambda.

use super::Outcome;
use super::server::{Answer, Server, serve};
use super::template::Deployed;
use crate::processes::cloud::{REGION, json_reply};
use bytes::Bytes;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;

/// The number of log lines kept.
const LOG_LINES: usize = 200;
/// The time for a process to finish after its last request.
const END_LIMIT: Duration = Duration::from_secs(10);

/// The last lines of all logs.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<VecDeque<String>>>);

impl Log {
    /// The lines, oldest first.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.0.lock().unwrap().iter().cloned().collect()
    }

    fn keep(&self, from: impl AsyncRead + Unpin + Send + 'static) {
        let log = self.clone();
        tokio::spawn(async move {
            let mut lines = BufReader::new(from).lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let mut kept = log.0.lock().unwrap();
                if kept.len() == LOG_LINES {
                    kept.pop_front();
                }
                kept.push_back(line);
            }
        });
    }
}

/// A running `bootstrap`. Dropping this kills it. If this test process is killed, its Runtime API disappears and the
/// bootstrap ends by itself.
pub(super) struct Process {
    /// Its access key, which identifies its calls.
    pub(super) name: String,
    pub(super) pid: u32,
    /// The time from its start to its request for the first event.
    pub(super) init: Duration,
    work: mpsc::UnboundedSender<Invocation>,
    ended: watch::Receiver<Option<ExitStatus>>,
    api: Option<Server>,
    owner: JoinHandle<()>,
}

struct Invocation {
    event: Bytes,
    deadline: SystemTime,
    answer: oneshot::Sender<Outcome>,
}

/// The state of the Runtime API.
struct Api {
    function: String,
    process: String,
    next: tokio::sync::Mutex<mpsc::UnboundedReceiver<Invocation>>,
    open: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
    number: Mutex<u64>,
    /// The time of the first request for an event: the initialisation is over.
    ready: watch::Sender<Option<Instant>>,
}

impl Process {
    /// Starts `binary` as `name`. Its environment contains only the values of Lambda, the template and `others`, of which the
    /// last prevail.
    pub(super) async fn start(
        name: String,
        binary: &Path,
        deployed: &Deployed,
        others: &[(&str, &str)],
        bank_url: &str,
        log: &Log,
    ) -> Self {
        let (work, next) = mpsc::unbounded_channel();
        let (set_ready, mut ready) = watch::channel(None);
        let api = Arc::new(Api {
            function: deployed.name.clone(),
            process: name.clone(),
            next: next.into(),
            open: Mutex::default(),
            number: Mutex::default(),
            ready: set_ready,
        });
        let server = serve(move |request| {
            let api = Arc::clone(&api);
            async move { api.answer(request).await }
        })
        .await;
        let mut command = Command::new(binary);
        command
            .env_clear()
            .env(
                "AWS_LAMBDA_RUNTIME_API",
                server.url.trim_start_matches("http://"),
            )
            .env("AWS_LAMBDA_FUNCTION_NAME", &deployed.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env(
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
                deployed.memory_mb.to_string(),
            )
            .env(
                "AWS_LAMBDA_LOG_GROUP_NAME",
                format!("/aws/lambda/{}", deployed.name),
            )
            .env("AWS_LAMBDA_LOG_STREAM_NAME", &name)
            .env("AWS_REGION", REGION)
            .env("AWS_DEFAULT_REGION", REGION)
            .env("AWS_ACCESS_KEY_ID", &name)
            .env("AWS_SECRET_ACCESS_KEY", "of the tests")
            .env("AWS_SESSION_TOKEN", "of the tests")
            .envs(deployed.environment(bank_url))
            .envs(others.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        let started = Instant::now();
        let mut child = command.spawn().unwrap();
        let pid = child.id().unwrap();
        log.keep(child.stdout.take().unwrap());
        log.keep(child.stderr.take().unwrap());
        let (set_ended, mut ended) = watch::channel(None);
        let owner = tokio::spawn(wait(child, set_ended));
        // Calls during initialisation belong to no invocation.
        let init = tokio::select! {
            Ok(ready) = ready.wait_for(Option::is_some) => ready.unwrap().duration_since(started),
            Ok(status) = ended.wait_for(Option::is_some) => {
                panic!("{name} does not start: {:?} {:?}", *status, log.lines());
            }
        };
        Self {
            name,
            pid,
            init,
            work,
            ended,
            api: Some(server),
            owner,
        }
    }

    /// One invocation. A function that exceeds its timeout is killed, as on Lambda.
    pub(super) async fn invoke(&mut self, event: &Value, timeout: Duration) -> Outcome {
        let (answer, answered) = oneshot::channel();
        let sent = self.work.send(Invocation {
            event: event.to_string().into(),
            deadline: SystemTime::now() + timeout,
            answer,
        });
        sent.unwrap_or_else(|_| panic!("the Runtime API of {} is closed", self.name));
        let mut ended = self.ended.clone();
        tokio::select! {
            biased;
            Ok(outcome) = answered => outcome,
            Ok(status) = ended.wait_for(Option::is_some) => Outcome::Died(status.unwrap()),
            () = tokio::time::sleep(timeout) => {
                self.owner.abort();
                Outcome::Failed(json!({"errorType": "Sandbox.Timedout"}))
            }
        }
    }

    pub(super) fn is_alive(&self) -> bool {
        self.ended.borrow().is_none() && !self.owner.is_finished()
    }

    /// Shuts down the Runtime API, as if the test process were killed. Returns the exit status, if the process ended.
    pub(super) async fn orphan(mut self) -> Option<ExitStatus> {
        drop(self.api.take());
        let ended = self.ended.wait_for(Option::is_some);
        let status = tokio::time::timeout(END_LIMIT, ended).await;
        status.ok()?.ok().and_then(|status| *status)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.owner.abort();
    }
}

/// Owns the child. Aborting this kills the child.
async fn wait(mut child: Child, set_ended: watch::Sender<Option<ExitStatus>>) {
    let status = child.wait().await.unwrap();
    set_ended.send_replace(Some(status));
}

impl Api {
    async fn answer(&self, request: Request<Bytes>) -> Option<Answer> {
        let path = request.uri().path().to_owned();
        let path = path.strip_prefix("/2018-06-01/runtime/")?;
        let segments: Vec<&str> = path.split('/').collect();
        let body = || serde_json::from_slice(request.body()).unwrap_or(Value::Null);
        match (request.method(), segments.as_slice()) {
            (&Method::GET, ["invocation", "next"]) => Some(self.next().await),
            (&Method::POST, ["invocation", id, "response"]) => {
                Some(self.done(id, Outcome::Answered(body())))
            }
            (&Method::POST, ["invocation", id, "error"]) => {
                Some(self.done(id, Outcome::Failed(body())))
            }
            (&Method::POST, ["init", "error"]) => Some(accepted()),
            _ => Some(json_reply(404, &json!({"errorType": "UnknownPath"}))),
        }
    }

    /// Waits for the next invocation, without a timeout.
    async fn next(&self) -> Answer {
        self.ready.send_if_modified(|ready| {
            let is_first = ready.is_none();
            ready.get_or_insert_with(Instant::now);
            is_first
        });
        let invocation = self.next.lock().await.recv().await;
        let Some(Invocation {
            event,
            deadline,
            answer,
        }) = invocation
        else {
            return std::future::pending().await;
        };
        let number = {
            let mut number = self.number.lock().unwrap();
            *number += 1;
            *number
        };
        let id = format!("{}-{number}", self.process);
        self.open.lock().unwrap().insert(id.clone(), answer);
        let deadline_ms = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis();
        let arn = format!(
            "arn:aws:lambda:{REGION}:000000000000:function:{}",
            self.function
        );
        let trace = "Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0";
        Response::builder()
            .header("content-type", "application/json")
            .header("lambda-runtime-aws-request-id", id)
            .header("lambda-runtime-deadline-ms", deadline_ms.to_string())
            .header("lambda-runtime-invoked-function-arn", arn)
            .header("lambda-runtime-trace-id", trace)
            .body(event.into())
            .unwrap()
    }

    fn done(&self, id: &str, outcome: Outcome) -> Answer {
        let open = self.open.lock().unwrap().remove(id);
        match open.map(|answer| answer.send(outcome)) {
            Some(_) => accepted(),
            None => json_reply(400, &json!({"errorType": "InvalidRequestID"})),
        }
    }
}

fn accepted() -> Answer {
    json_reply(202, &json!({"status": "OK"}))
}
