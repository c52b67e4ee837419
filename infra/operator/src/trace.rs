//! Collects what the logs of a stack have of an id: that of a request (`support_ref`), an invocation, a merchant, a rebind, a payout
//! or a question to the bank.
//!
//! Lines that contain the id are found first. Then the other lines of the same invocations and of the gateway, which do not
//! contain it: the report of a timeout names the invocation only.

use crate::account::{Account, LOGS, NoAnswer, Why};
use crate::doctor::stack::Stack;
use domain::time::Timestamp;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;
use std::io::{self, Write};
use std::time::Duration;

/// CloudWatch Logs allows ten searches a second.
const AT_ONCE: usize = 4;
const THROTTLED_MAX: u32 = 20;
const ID_CHARS: std::ops::RangeInclusive<usize> = 4..=80;
/// The logs of the two gateways in the template.
const ACCESS_LOGS: [&str; 2] = ["AccessLogs", "OperatorAccessLogs"];

/// A line of a log.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Line {
    /// When it was written, in milliseconds of the epoch.
    pub at_ms: i64,
    /// The log's name in the template.
    pub log: String,
    /// What was written: JSON, unless the platform wrote text.
    pub text: String,
}

/// An id that can be searched for: a shape that all ids of this system and of AWS have.
#[derive(Clone, Copy, Debug)]
pub struct TraceId<'a>(&'a str);

impl<'a> TraceId<'a> {
    /// `None` for a text that is not an id.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let is_of_id = |byte: u8| byte.is_ascii_alphanumeric() || b"_-=.:".contains(&byte);
        (ID_CHARS.contains(&text.len()) && text.bytes().all(is_of_id)).then_some(Self(text))
    }
}

/// All lines since a time that belong to an id, oldest first.
///
/// # Errors
/// When the stack or a log cannot be read.
pub async fn trace(
    account: &Account,
    stack: &str,
    id: TraceId<'_>,
    since_ms: i64,
) -> Result<Vec<Line>, NoAnswer> {
    let (stack, _) = Stack::read(account, stack).await?;
    let logs = stack.of_kind("AWS::Logs::LogGroup");
    let logs: Vec<(&str, &str)> = logs
        .map(|log| (log.logical_id.as_str(), log.physical_id.as_str()))
        .collect();
    let logs = Logs {
        account,
        logs: &logs,
        since_ms,
    };
    let mut found = BTreeSet::new();
    logs.search(vec![(id.0.to_owned(), In::All)], id, &mut found)
        .await?;
    // Lines of the gateway lead to an invocation, and its lines to the gateway.
    for _ in 0..2 {
        logs.search(related(&found), id, &mut found).await?;
    }
    Ok(found.into_iter().collect())
}

/// Where to search.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum In {
    All,
    Functions,
    Gateways,
    Log(String),
}

impl In {
    fn contains(&self, log: &str) -> bool {
        match self {
            Self::All => true,
            Self::Functions => !ACCESS_LOGS.contains(&log),
            Self::Gateways => ACCESS_LOGS.contains(&log),
            Self::Log(one) => one == log,
        }
    }
}

/// The ids by which these lines lead to others.
fn related(found: &BTreeSet<Line>) -> Vec<(String, In)> {
    let mut wanted = BTreeSet::new();
    for line in found {
        let (log, ids) = (line.log.as_str(), Ids::of(&line.text));
        if let Some(invocation) = ids.invocation {
            let place = match ACCESS_LOGS.contains(&log) {
                true => In::Functions,
                false => In::Log(log.to_owned()),
            };
            wanted.insert((invocation, place));
        }
        if let Some(request) = ids.request {
            wanted.insert((request, In::Gateways));
        }
    }
    // The log of an invocation is known as soon as one of its lines is found.
    let known: BTreeSet<String> = wanted
        .iter()
        .filter(|(_, place)| matches!(place, In::Log(_)))
        .map(|(id, _)| id.clone())
        .collect();
    let is_needed = |(id, place): &(String, In)| *place != In::Functions || !known.contains(id);
    wanted.into_iter().filter(is_needed).collect()
}

/// The ids in a line.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ids {
    /// Lambda's.
    invocation: Option<String>,
    /// The gateway's, which is the `support_ref`.
    request: Option<String>,
    /// True if the line is about one of several records or entries of its invocation.
    is_of_one_of_many: bool,
}

impl Ids {
    fn of(text: &str) -> Self {
        let line: Value = serde_json::from_str(text).unwrap_or_default();
        let spans = line["spans"].as_array().map(Vec::as_slice);
        let spans = spans.unwrap_or_default();
        let in_spans = |name: &str| spans.iter().find_map(|span| span[name].as_str());
        let text = |pointer: &str| line.pointer(pointer).and_then(Value::as_str);
        let invocation = in_spans("requestId")
            .or_else(|| text("/record/requestId"))
            .or_else(|| text("/requestId"))
            .or_else(|| text("/integration_request_id"));
        let request = in_spans("support_ref").or_else(|| text("/request_id"));
        let usable = |id: &str| TraceId::parse(id).map(|id| id.0.to_owned());
        Self {
            invocation: invocation.and_then(usable),
            request: request.and_then(usable),
            is_of_one_of_many: spans.iter().any(|span| {
                ["event", "due", "payout"]
                    .map(Value::from)
                    .contains(&span["name"])
            }),
        }
    }
}

struct Logs<'a> {
    account: &'a Account,
    /// Names in the template and in the account.
    logs: &'a [(&'a str, &'a str)],
    since_ms: i64,
}

impl Logs<'_> {
    /// Adds the lines with these ids. A line about another record or entry of the same invocation does not belong to `id`.
    async fn search(
        &self,
        wanted: Vec<(String, In)>,
        id: TraceId<'_>,
        found: &mut BTreeSet<Line>,
    ) -> Result<(), NoAnswer> {
        let searches = wanted.iter().flat_map(|(wanted, place)| {
            let logs = self.logs.iter().filter(|(log, _)| place.contains(log));
            logs.map(move |log| self.lines(*log, wanted))
        });
        let searches: Vec<_> = searches.collect();
        let lines: Vec<Vec<Line>> = stream::iter(searches)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        let belongs =
            |line: &Line| line.text.contains(id.0) || !Ids::of(&line.text).is_of_one_of_many;
        found.extend(lines.into_iter().flatten().filter(belongs));
        Ok(())
    }

    /// The lines of a log with this id, all pages.
    async fn lines(&self, (log, group): (&str, &str), id: &str) -> Result<Vec<Line>, NoAnswer> {
        let mut input = json!({
            "logGroupName": group,
            "startTime": self.since_ms,
            "filterPattern": format!("\"{id}\""),
        });
        let (mut lines, mut throttled) = (Vec::new(), 0);
        loop {
            let page = match self.account.ask(LOGS, "FilterLogEvents", &input).await {
                Ok(page) => page.body,
                Err(error) if is_throttled(&error) && throttled < THROTTLED_MAX => {
                    throttled += 1;
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let events = page["events"].as_array().into_iter().flatten();
            lines.extend(events.filter_map(|event| {
                let text = event["message"].as_str()?.trim_end();
                // The local cloud also finds other spellings.
                text.contains(id).then_some(())?;
                Some(Line {
                    at_ms: event["timestamp"].as_i64()?,
                    log: log.to_owned(),
                    text: text.to_owned(),
                })
            }));
            match page["nextToken"].as_str() {
                Some(token) => input["nextToken"] = token.into(),
                None => return Ok(lines),
            }
        }
    }
}

fn is_throttled(error: &NoAnswer) -> bool {
    matches!(&error.why, Why::Refused(why) if why.contains("Throttling"))
}

/// A line as one object, in which the fields of its spans stand beside its own.
#[derive(Serialize)]
struct Shown {
    at: String,
    log: String,
    what: String,
    #[serde(flatten)]
    fields: Map<String, Value>,
}

impl Shown {
    fn of(line: &Line) -> Self {
        let parsed = serde_json::from_str(&line.text).ok();
        let Some(Value::Object(mut fields)) = parsed else {
            return Self {
                at: time(line.at_ms),
                log: line.log.clone(),
                what: line.text.clone(),
                fields: Map::new(),
            };
        };
        // The platform's lines have a type and a record instead.
        let what = fields.remove("message").or_else(|| fields.remove("type"));
        let what = what.and_then(|what| what.as_str().map(str::to_owned));
        for name in ["timestamp", "time", "at"] {
            fields.remove(name);
        }
        if fields.get("level").is_some_and(|level| level == "INFO") {
            fields.remove("level");
        }
        for nested in ["spans", "record"] {
            let within = match fields.remove(nested) {
                Some(Value::Array(spans)) => spans,
                other => other.into_iter().collect(),
            };
            for mut members in within {
                if let Some(members) = members.as_object_mut() {
                    members.remove("name");
                    for (name, value) in std::mem::take(members) {
                        fields.entry(name).or_insert(value);
                    }
                }
            }
        }
        fields.retain(|_, value| !value.is_null());
        Self {
            at: time(line.at_ms),
            log: line.log.clone(),
            what: what.unwrap_or_else(|| "gateway".to_owned()),
            fields,
        }
    }
}

/// In the time of the contract, to the millisecond.
fn time(at_ms: i64) -> String {
    let text = Timestamp::from_epoch_s(at_ms.div_euclid(1_000)).to_rfc3339_shanghai();
    let (seconds, zone) = text.split_at(text.len().saturating_sub("+08:00".len()));
    format!("{seconds}.{:03}{zone}", at_ms.rem_euclid(1_000))
}

/// Prints lines, each as one object or as text.
///
/// # Errors
/// When the output is closed.
pub fn print(output: &mut impl Write, lines: &[Line], as_json: bool) -> io::Result<()> {
    for line in lines {
        let shown = Shown::of(line);
        if as_json {
            serde_json::to_writer(&mut *output, &shown)?;
            writeln!(output)?;
            continue;
        }
        write!(output, "{}  {}  {}", shown.at, shown.log, shown.what)?;
        for (name, value) in &shown.fields {
            match value.as_str() {
                Some(text) if !text.contains(' ') => write!(output, "  {name}={text}")?,
                _ => write!(output, "  {name}={value}")?,
            }
        }
        writeln!(output)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUEST: &str = r#"{"timestamp":"t","level":"INFO","message":"request.answered","http.status":200,"spans":[{"requestId":"inv-1","name":"Lambda runtime invoke"},{"support_ref":"gw-1","rebind.id":"rbd_1","name":"request"}]}"#;
    const ACCESS: &str =
        r#"{"request_id":"gw-1","at":"t","route":"GET /","integration_request_id":"inv-1"}"#;
    const REPORT: &str = r#"{"time":"t","type":"platform.report","record":{"requestId":"inv-1","status":"timeout"}}"#;

    fn line(log: &str, text: &str) -> Line {
        Line {
            at_ms: 1_795_312_900_007,
            log: log.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn lines_lead_to_their_invocation_and_the_gateway() {
        let of = |lines: &[Line]| related(&lines.iter().cloned().collect());
        let invocation = |place| ("inv-1".to_owned(), place);
        let gateway = ("gw-1".to_owned(), In::Gateways);
        let in_login = invocation(In::Log("LoginLogs".to_owned()));
        assert_eq!(
            of(&[line("LoginLogs", REQUEST)]),
            [gateway.clone(), in_login.clone()]
        );
        assert_eq!(
            of(&[line("LoginLogs", REPORT)]),
            std::slice::from_ref(&in_login)
        );
        // A function that did not write a line is found by the gateway's.
        let access = line("AccessLogs", ACCESS);
        let somewhere = invocation(In::Functions);
        assert_eq!(
            of(std::slice::from_ref(&access)),
            [gateway.clone(), somewhere]
        );
        let both = [access, line("LoginLogs", REPORT)];
        assert_eq!(of(&both), [gateway, in_login]);
        assert_eq!(of(&[line("LoginLogs", "no JSON")]), []);
    }

    #[test]
    fn lines_of_other_records_are_told_apart() {
        let is_of_one = |text: &str| Ids::of(text).is_of_one_of_many;
        assert!(!is_of_one(REQUEST) && !is_of_one(REPORT) && !is_of_one(ACCESS));
        for name in ["event", "due", "payout"] {
            assert!(is_of_one(
                &REQUEST.replace("\"request\"", &format!("{name:?}"))
            ));
        }
    }

    #[test]
    fn line_is_printed_with_the_fields_of_its_spans() {
        let printed = |text, as_json| {
            let mut output = Vec::new();
            print(&mut output, &[line("LoginLogs", text)], as_json).unwrap();
            String::from_utf8(output).unwrap()
        };
        assert_eq!(
            printed(REQUEST, false),
            "2026-11-22T10:01:40.007+08:00  LoginLogs  request.answered  http.status=200  rebind.id=rbd_1  requestId=inv-1  support_ref=gw-1\n"
        );
        let shown: Value = serde_json::from_str(&printed(REPORT, true)).unwrap();
        assert_eq!(
            shown,
            json!({"at": "2026-11-22T10:01:40.007+08:00", "log": "LoginLogs", "what": "platform.report", "requestId": "inv-1", "status": "timeout"})
        );
        assert!(printed(ACCESS, false).contains("gateway  integration_request_id=inv-1"));
        assert!(printed("no JSON", false).ends_with("  no JSON\n"));
    }

    #[test]
    fn only_ids_are_searched_for() {
        for id in [
            "rbd_000001abc",
            "JKJaXmPLvHcESHA=",
            "1-5f84c7a1-0b",
            "mer_1",
        ] {
            assert!(TraceId::parse(id).is_some(), "{id}");
        }
        for text in ["", "abc", "a b c", "a\"bc", "{$.x}", &"x".repeat(81)] {
            assert!(TraceId::parse(text).is_none(), "{text}");
        }
    }
}
