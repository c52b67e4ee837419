//! Runs the commands that call the operator's API.

use crate::calls::{self, Caller, Proposals};
use crate::cli::{Export, Switched, Trace, What};
use crate::{CANNOT_RUN, HAS_ERRORS};
use application::clock::{wall_clock, wall_clock_ms};
use domain::policy::DAY_S;
use proof::export::PersonalPart;
use rebindctl::account::Account;
use rebindctl::api::{Api, Endpoint, Local, Request, print_json, print_text};
use rebindctl::doctor::{self, Packages};
use rebindctl::export::{self, Read};
use rebindctl::import::registry::Registry;
use rebindctl::reconcile::{self, FindPayout, Found, Known};
use rebindctl::switches;
use rebindctl::trace::{self, TraceId};
use serde_json::Value;
use std::fs::File;
use std::io::{BufReader, IsTerminal as _, Read as _, Write as _};
use std::path::Path;
use std::time::Duration;
use store::switches::Switch;

/// The addresses of the local system, from the root of the repository.
const ENDPOINTS: &str = "target/local/endpoints.json";
const NO_GROUNDS: &str = "every call needs --reason and --comment; see rebindctl --help";
/// The longest values of a proposal.
const INPUT_MAX_BYTES: u64 = 16 * 1024;

/// The exit code, or why the command cannot run.
pub(crate) type Done = Result<u8, String>;

/// Sends one request and prints its reply.
pub(crate) async fn call(caller: &Caller, request: Request) -> Done {
    let request = with_grounds(caller, request)?;
    if caller.dry_run {
        return print(caller, &shown(&request));
    }
    let api = Api::new(endpoint(caller).await?);
    let reply = api
        .send(&request)
        .await
        .map_err(|error| error.to_string())?;
    match reply.refusal(&request) {
        None => print(caller, &reply.body),
        Some(refusal) if caller.json && reply.body.is_object() => {
            print(caller, &reply.body)?;
            eprintln!("error: {}", refusal.lines().next().unwrap_or_default());
            Ok(HAS_ERRORS)
        }
        Some(refusal) => {
            eprintln!("error: {refusal}");
            Ok(HAS_ERRORS)
        }
    }
}

/// Sends the request of a proposal. The values of a change of contact come from standard input.
pub(crate) async fn propose(caller: &Caller, proposals: &Proposals) -> Done {
    let mut input = Value::Null;
    if matches!(proposals, Proposals::ContactChange { .. }) {
        let mut text = String::new();
        let mut limited = std::io::stdin().take(INPUT_MAX_BYTES);
        let read = limited.read_to_string(&mut text);
        read.map_err(|error| format!("standard input cannot be read: {error}"))?;
        let wrong = "standard input must be a JSON object with the new values, for example {\"phone\": \"13700000000\"}";
        input = serde_json::from_str(&text).map_err(|_| wrong.to_owned())?;
        if !input.is_object() {
            return Err(wrong.to_owned());
        }
    }
    call(caller, proposals.request(input)).await
}

/// Compares a file with this system, payout by payout.
pub(crate) async fn reconcile(caller: &Caller, file: &Path) -> Done {
    let opened = File::open(file);
    let opened = opened.map_err(|error| format!("opening {}: {error}", file.display()))?;
    let system = System {
        caller,
        api: Api::new(endpoint(caller).await?),
    };
    let mut output = std::io::stdout();
    let mut is_closed = false;
    let report = |found: Found| {
        let written = if caller.json {
            serde_json::to_writer(&mut output, &found).is_ok() && writeln!(output).is_ok()
        } else {
            let difference = serde_json::to_value(found.difference).unwrap_or_default();
            let word = difference.as_str().unwrap_or_default();
            writeln!(output, "line {}: {}: {word}", found.line, found.payout_id).is_ok()
        };
        is_closed |= !written;
    };
    let compared = reconcile::reconcile(BufReader::new(opened), &system, report).await;
    let summary = compared.map_err(|error| error.to_string())?;
    if is_closed {
        return Ok(CANNOT_RUN);
    }
    print(caller, &serde_json::to_value(&summary).unwrap_or_default())?;
    Ok(if summary.differences == 0 {
        0
    } else {
        HAS_ERRORS
    })
}

/// The account of the caller, and the name of the stack.
async fn account(caller: &Caller, stack: Option<&str>) -> Result<(Account, String), String> {
    let (account, known) = if caller.local {
        let (account, stack) = Account::local(local(caller)).map_err(|error| error.to_string())?;
        (account, Some(stack))
    } else {
        let account = Account::aws(caller.region.as_deref()).await;
        (account.map_err(|error| error.to_string())?, None)
    };
    let stack = stack.map(str::to_owned).or(known);
    let stack = stack.ok_or("no stack: set --stack to the name of the CloudFormation stack")?;
    Ok((account, stack))
}

/// Stops something for the reason of the comment.
pub(crate) async fn stop(caller: &Caller, switched: &Switched) -> Done {
    let why = caller.comment.as_deref();
    let why = why.ok_or("say why with --comment; it is kept with the time")?;
    switch(caller, switched, Some(why)).await
}

/// Stops or resumes something.
pub(crate) async fn switch(caller: &Caller, switched: &Switched, why: Option<&str>) -> Done {
    let (account, stack) = account(caller, switched.stack.as_deref()).await?;
    let what = match switched.what {
        What::Changes => Switch::Changes,
        What::Sms => Switch::Sms,
    };
    let done = switches::switch(&account, &stack, what, why, wall_clock()).await;
    print(caller, &done.map_err(|error| error.to_string())?)
}

/// Prints the lines of the logs that belong to an id.
pub(crate) async fn trace(caller: &Caller, asked: &Trace) -> Done {
    const NOT_AN_ID: &str = "an id has 4 to 80 letters, digits or characters of \"_-=.:\"";
    let id = TraceId::parse(&asked.id).ok_or(NOT_AN_ID)?;
    let (account, stack) = account(caller, asked.stack.as_deref()).await?;
    let since_ms = wall_clock_ms() - i64::from(asked.days) * DAY_S * 1_000;
    let lines = trace::trace(&account, &stack, id, since_ms).await;
    let lines = lines.map_err(|error| format!("the logs cannot be searched: {error}"))?;
    if lines.is_empty() {
        eprintln!(
            "no line of the last {} days has this id; lines appear after some seconds",
            asked.days
        );
        return Ok(HAS_ERRORS);
    }
    let printed = trace::print(&mut std::io::stdout().lock(), &lines, caller.json);
    Ok(if printed.is_ok() { 0 } else { CANNOT_RUN })
}

/// Examines a stack.
pub(crate) async fn doctor(caller: &Caller, stack: Option<&str>, packages: Option<&Path>) -> Done {
    let (account, stack) = account(caller, stack).await?;
    let packages = packages.map(listed).transpose()?;
    let examined = doctor::examine(
        &account,
        &stack,
        env!("CARGO_PKG_VERSION"),
        packages.as_ref(),
    )
    .await;
    let examined = examined.map_err(|error| format!("{stack} cannot be examined: {error}"))?;
    let mut output = std::io::stdout().lock();
    let printed = if caller.json {
        let value = serde_json::to_value(&examined).unwrap_or_default();
        print_json(&mut output, &value)
    } else {
        let colours = output.is_terminal();
        doctor::print(&mut output, &examined, colours)
    };
    Ok(match printed {
        Err(_) => CANNOT_RUN,
        Ok(()) if examined.problems + examined.unknown > 0 => HAS_ERRORS,
        Ok(()) => 0,
    })
}

fn listed(path: &Path) -> Result<Packages, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("cannot read {}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| cannot(&error))?;
    serde_json::from_str(&text).map_err(|error| cannot(&error))
}

/// The operator's API as the target of an import.
pub(crate) async fn registry(caller: &Caller) -> Result<Registry, String> {
    let grounds = caller.grounds().ok_or(NO_GROUNDS)?;
    Ok(Registry::new(Api::new(endpoint(caller).await?), grounds))
}

/// Exports a history.
pub(crate) async fn export(caller: &Caller, arguments: &Export) -> Done {
    if caller.dry_run && arguments.with_personal.is_some() {
        return Err("--with-personal reads at once: it has no --dry-run".to_owned());
    }
    let system = System {
        caller,
        api: Api::new(endpoint(caller).await?),
    };
    let kept = arguments.checkpoint.as_deref().map(kept_size).transpose()?;
    let wait = Duration::from_secs(arguments.wait);
    let id = calls::segment(&arguments.merchant);
    let mut exported = export::export(&system, &id, kept, wait).await?;
    // The file is open before a reading that can be done only once.
    let out = match &arguments.out {
        Some(path) => Some((path.display(), private_file(path)?)),
        None => None,
    };
    if let Some(proposal) = &arguments.with_personal {
        exported.personal = system.personal(proposal, &exported.merchant_id).await?;
    }
    let text = serde_json::to_string_pretty(&exported).unwrap_or_default() + "\n";
    match out {
        Some((path, mut file)) => {
            let written = file
                .set_len(0)
                .and_then(|()| file.write_all(text.as_bytes()));
            written.map_err(|error| format!("writing {path}: {error}"))?;
            Ok(0)
        }
        None => printed(&text),
    }
}

/// A file that only its owner can read if it is new. An existing one is not changed yet.
fn private_file(path: &Path) -> Result<File, String> {
    let mut options = File::options();
    options.create(true).write(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let opened = options.open(path);
    opened.map_err(|error| format!("writing {}: {error}", path.display()))
}

/// Prints a member of the log: its public key, or its newest checkpoint.
pub(crate) async fn log(caller: &Caller, member: &str) -> Done {
    let system = System {
        caller,
        api: Api::new(endpoint(caller).await?),
    };
    let log = system.read("log").await?;
    match log[member].as_str() {
        Some(text) => printed(text),
        None => Err("the log is empty; it is written every five minutes".to_owned()),
    }
}

/// The size in a signed note: its second line.
fn kept_size(path: &Path) -> Result<u64, String> {
    let file = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| format!("reading {file}: {error}"))?;
    let size = text.lines().nth(1).and_then(|line| line.parse().ok());
    size.ok_or_else(|| format!("{file} is not a checkpoint"))
}

/// This system, through the operator's API.
struct System<'a> {
    caller: &'a Caller,
    api: Api,
}

impl System<'_> {
    async fn send(&self, request: Request) -> Result<Value, String> {
        let request = with_grounds(self.caller, request)?;
        let reply = self.api.send(&request).await;
        let reply = reply.map_err(|error| error.to_string())?;
        match reply.refusal(&request) {
            Some(refusal) => Err(refusal),
            None => Ok(reply.body),
        }
    }

    /// The personal parts that an approved proposal permits to read.
    async fn personal(&self, proposal: &str, merchant: &str) -> Result<Vec<PersonalPart>, String> {
        let id = || proposal.to_owned();
        let show = Proposals::Show { id: id() };
        let shown = self.send(show.request(Value::Null)).await?;
        if shown["kind"] != "unmask" || shown["merchant_id"] != *merchant {
            return Err(format!("{proposal} is not an unmask of this merchant"));
        }
        let read = Proposals::Read { id: id() };
        let mut unmasked = self.send(read.request(Value::Null)).await?;
        let parts = serde_json::from_value(unmasked["events"].take());
        parts.map_err(|_| "the reply has no personal parts".to_owned())
    }
}

impl Read for System<'_> {
    async fn read(&self, path: &str) -> Result<Value, String> {
        self.send(Request::get(format!("/operator/v1/{path}")))
            .await
    }
}

impl FindPayout for System<'_> {
    type Error = String;

    async fn find(&self, payout_id: &str) -> Result<Option<Known>, String> {
        let request = with_grounds(self.caller, calls::payout(payout_id))?;
        let reply = self
            .api
            .send(&request)
            .await
            .map_err(|error| error.to_string())?;
        let text = |name: &str| reply.body.pointer(name).and_then(Value::as_str);
        if reply.status == 404 && text("/code") == Some("NOT_FOUND") {
            return Ok(None);
        }
        if let Some(refusal) = reply.refusal(&request) {
            return Err(refusal);
        }
        let amount_fen = reply.body.pointer("/amount_fen").and_then(Value::as_u64);
        match (text("/status"), amount_fen) {
            (Some(status), Some(amount_fen)) => Ok(Some(Known {
                status: status.to_owned(),
                card_last4: text("/card/last4").map(str::to_owned),
                amount_fen,
            })),
            _ => Err("the reply is not a payout".to_owned()),
        }
    }
}

fn with_grounds(caller: &Caller, request: Request) -> Result<Request, String> {
    let grounds = caller.grounds();
    let grounds = grounds.ok_or(NO_GROUNDS)?;
    let key = match &caller.key {
        Some(key) => key.clone(),
        None => {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(|error| format!("no random key: {error}"))?;
            hex::encode(bytes)
        }
    };
    if request.method == "POST" && caller.key.is_none() && !caller.dry_run {
        eprintln!("key: {key}");
    }
    Ok(request.on(&grounds, &key).matching(caller.record_version))
}

/// The local system's `endpoints.json`.
fn local(caller: &Caller) -> Local<'_> {
    Local(caller.endpoints.as_deref().unwrap_or(Path::new(ENDPOINTS)))
}

async fn endpoint(caller: &Caller) -> Result<Endpoint, String> {
    let found = if caller.local {
        Endpoint::local(local(caller), caller.role.as_deref())
    } else {
        let default = std::env::var("REBIND_OPERATOR_URL").ok();
        let url = caller.url.as_deref().or(default.as_deref());
        Endpoint::aws(url, caller.region.as_deref()).await
    };
    found.map_err(|error| error.to_string())
}

/// A request as it would be sent, without its signature.
fn shown(request: &Request) -> Value {
    let headers = request.headers.iter();
    let headers = headers.map(|(name, value)| ((*name).to_owned(), Value::from(value.as_str())));
    serde_json::json!({
        "method": request.method,
        "path": request.path,
        "headers": headers.collect::<serde_json::Map<_, _>>(),
        "body": request.body,
    })
}

fn printed(text: &str) -> Done {
    let printed = write!(std::io::stdout(), "{text}");
    Ok(if printed.is_ok() { 0 } else { CANNOT_RUN })
}

/// Prints a result. A closed output, as of `| head`, ends the command quietly.
fn print(caller: &Caller, value: &Value) -> Done {
    let mut output = std::io::stdout().lock();
    let printed = match (caller.json, value) {
        (true, value) => print_json(&mut output, value),
        (false, Value::Null) => writeln!(output, "done"),
        (false, value) => print_text(&mut output, value),
    };
    Ok(if printed.is_ok() { 0 } else { CANNOT_RUN })
}
