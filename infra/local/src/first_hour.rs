//! `cargo local first-hour`: a sandbox in an AWS account, and what only an account can answer.
//!
//! - `environment`: the stack, from its packages to its end
//! - `suite`: the end-to-end suite on the stack
//! - `roles`, `grants`: table calls with the credentials of each function's role; `policies`: the example policies of operators
//! - `subscribers`, `signature`, `queue`: published events; `alarms`: the messages of all alarms
//! - `throttle`, `cold`, `canary`: rates, starts and gradual deployments
//! - `drills`: the bank's key, and restored tables
//! - `report`: expectations and answers

mod alarms;
mod canary;
mod cold;
mod drills;
mod environment;
mod grants;
mod policies;
mod queue;
mod report;
mod roles;
mod signature;
mod subscribers;
mod suite;
mod throttle;

use std::path::PathBuf;

use rebindctl::account::{Account, Service};
use serde_json::Value;

use crate::architecture::Architecture;
use crate::demo::{Changed, change_card};
use crate::error::Error;
use crate::stack::no_answer;
use crate::system::System;
use environment::Release;
use report::Report;

/// What an hour does.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The name of the new stack; `None` for a trial on this machine.
    pub stack: Option<String>,
    /// The region; that of the usual settings if `None`.
    pub region: Option<String>,
    /// The processors of the functions.
    pub architecture: Architecture,
    /// The cases of the suite, as in `E2E`.
    pub cases: String,
    /// True if the stack stays.
    pub keep: bool,
}

/// A stack under examination.
struct Hour {
    system: System,
    release: Option<Release>,
    report: Report,
    /// Where report and logs are.
    folder: PathBuf,
}

/// Deploys a sandbox, asks everything, prints and stores the report, and deletes the sandbox.
///
/// # Errors
/// When the stack cannot be deployed, an answer is otherwise than expected, or the stack cannot be deleted.
pub async fn run(plan: &Plan) -> Result<(), Error> {
    let name = plan.stack.as_deref().unwrap_or("trial");
    if plan.stack.is_some() && !environment::is_packaged(plan.architecture) {
        return Err(Error::Environment(
            "packages are for x86_64 or arm64".to_owned(),
        ));
    }
    let folder = environment::folder(name)?;
    let (release, system) = match &plan.stack {
        None => (None, environment::local(&folder).await?),
        Some(stack) => {
            let (release, system) = environment::aws(plan, stack, &folder).await?;
            (Some(release), system)
        }
    };
    let report = Report::new(system.account().is_aws());
    let mut hour = Hour {
        system,
        release,
        report,
        folder,
    };
    hour.examine(&plan.cases).await;
    if plan.keep {
        println!("the stack {name} stays; delete it after emptying its buckets");
    } else {
        let deleted = environment::delete(&hour.system).await;
        hour.ended("the stack is deleted, with what is in its buckets", deleted);
    }
    let path = hour.folder.join("report.md");
    let text = hour.report.markdown(name);
    std::fs::write(&path, &text).map_err(Error::io(format!("writing {}", path.display())))?;
    println!("\n{text}\n{}", path.display());
    match hour.report.otherwise() {
        0 => Ok(()),
        count => Err(Error::FirstHour {
            count,
            report: path,
        }),
    }
}

impl Hour {
    /// Asks everything. A part that fails is an answer, and the next one goes on.
    async fn examine(&mut self, cases: &str) {
        let kept = drills::keep_changes(self).await;
        self.ended("point-in-time recovery can be turned on", kept);
        let first = change_card(&self.system, 0).await;
        self.first_change(first).await;
        let endpoints = self.folder.join("endpoints.json");
        let suite = suite::run(self, &endpoints, cases);
        self.ended("the suite can be run", suite);
        let part = roles::run(self).await;
        self.ended("each function's role can be walked", part);
        let part = subscribers::run(self, 1).await;
        self.ended("events can be subscribed to", part);
        let part = throttle::run(self).await;
        self.ended("the rates can be probed", part);
        let part = cold::run(self).await;
        self.ended("starts can be measured", part);
        let part = drills::bank_key(self, [2, 3]).await;
        self.ended("the bank's key can be replaced", part);
        let part = alarms::run(self).await;
        self.ended("alarms can be set off", part);
        let part = roles::with_demanded_keys(self).await;
        self.ended("keys can be demanded", part);
        let part = canary::run(self).await;
        self.ended("a canary can be deployed", part);
        let part = drills::restore(self, [4, 5, 6]).await;
        self.ended("the tables can be restored", part);
        self.report.open(
            "a budget may publish to the topic of the alarms",
            "it publishes when money was spent; look after the first day of a stack with MonthlyBudget",
        );
    }

    /// A change of card, which shows that functions, keys and certificates work.
    async fn first_change(&mut self, changed: Result<Changed, Error>) {
        let holds = changed.is_ok();
        let answer = match &changed {
            Ok(changed) => format!("{} has a new card", changed.merchant_id),
            Err(error) => error.to_string(),
        };
        let expectation = "an imported merchant changes the card: imports, certificates, keys, messages and the stream work";
        self.report.judge(expectation, holds, answer);
        if let Ok(changed) = changed {
            let part = policies::run(self, &changed).await;
            self.ended("example policies can be tried", part);
        }
    }

    /// The end of a part.
    fn ended(&mut self, part: &str, result: Result<(), Error>) {
        if let Err(error) = result {
            self.report.judge(part, false, error.to_string());
        }
    }

    /// Deploys again with other values of parameters.
    async fn deploy<const N: usize>(
        &mut self,
        changes: [(&'static str, String); N],
    ) -> Result<(), Error> {
        if let Some(release) = &mut self.release {
            *release = release.with(changes.clone());
            release.deploy()?;
        }
        self.system.update(changes).await
    }

    fn is_aws(&self) -> bool {
        self.system.account().is_aws()
    }

    fn release(&self) -> Option<&Release> {
        self.release.as_ref()
    }

    /// The name of a function, by its folder.
    fn function(&self, folder: &str) -> Result<String, Error> {
        let functions = &self.system.endpoints().functions;
        let function = functions.get(folder).cloned();
        function.ok_or_else(|| missing(&format!("the function {folder}")))
    }
}

async fn ask(
    account: &Account,
    service: Service,
    operation: &str,
    input: &Value,
) -> Result<Value, Error> {
    let answer = account.ask(service, operation, input).await;
    Ok(answer.map_err(no_answer)?.body)
}

/// A text of a reply.
fn text_of(reply: &Value, name: &str) -> Result<String, Error> {
    let text = reply[name].as_str();
    text.map(str::to_owned).ok_or_else(|| missing(name))
}

fn missing(what: &str) -> Error {
    Error::Reply {
        what: what.to_owned(),
        reply: "a reply of the account".to_owned(),
    }
}
