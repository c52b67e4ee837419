//! Deploys the template through CloudFormation, the way `sam package` and `sam deploy` do.

use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;
use rebindctl::account::{Account, CLOUDFORMATION, NoAnswer};
use rebindctl::doctor::stack::{Resource, Stack as Read};
use serde_json::{Map, Value, json};

use crate::architecture::Architecture;
use crate::artifacts::{self, Packages};
use crate::cloud::Cloud;
use crate::error::Error;

pub(crate) const STACK: &str = "card-rebind";
const BUCKET: &str = "artifacts";
const TEMPLATE_KEY: &str = "template.yaml";
const DEPLOY_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

/// A deployed stack.
#[derive(Clone, Debug)]
pub(crate) struct Stack {
    pub(crate) name: String,
    read: Read,
}

impl Stack {
    /// Reads outputs and resources.
    pub(crate) async fn read(account: &Account, name: &str) -> Result<Self, Error> {
        let (read, _) = Read::read(account, name).await.map_err(no_answer)?;
        Ok(Self {
            name: name.to_owned(),
            read,
        })
    }

    /// An output of the template.
    pub(crate) fn output(&self, name: &str) -> Result<&str, Error> {
        self.named("output", name, self.read.output(name))
    }

    /// The physical id of a resource of the template.
    pub(crate) fn resource(&self, logical_id: &str) -> Result<&str, Error> {
        self.named("resource", logical_id, self.read.resource(logical_id))
    }

    /// The value of a parameter; empty if the stack has none of this name.
    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.read.parameter(name)
    }

    /// The ARN of the stack, which finds it after its end too.
    pub(crate) fn id(&self) -> &str {
        self.read.id()
    }

    /// The resources of a type, such as `AWS::IAM::Role`.
    pub(crate) fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.read.of_kind(kind)
    }

    /// The simulated bank's address, without a slash at its end. `url`: that of a local cloud.
    pub(crate) fn bank_url(&self, url: Option<&str>) -> Result<String, Error> {
        let address = self.output("BankUrl")?;
        let Some(url) = url else {
            return Ok(address.trim_end_matches('/').to_owned());
        };
        let id = address
            .trim_start_matches("https://")
            .split('.')
            .next()
            .unwrap_or_default();
        Ok(format!("{url}/_aws/lambda-url/{id}"))
    }

    fn named<'a>(&self, kind: &str, name: &str, value: &'a str) -> Result<&'a str, Error> {
        if value.is_empty() {
            return Err(Error::Reply {
                what: format!("{kind} {name}"),
                reply: format!("the stack {}", self.name),
            });
        }
        Ok(value)
    }
}

/// A deployment to a local cloud, which can be changed.
#[derive(Clone, Debug)]
pub(crate) struct Deployment {
    url: String,
    template: String,
    parameters: Vec<(&'static str, String)>,
    revision: u32,
}

impl Deployment {
    /// Uploads the packages and deploys `template` for the sandbox. `settings`: values of further parameters.
    pub(crate) async fn create(
        cloud: &Cloud,
        url: &str,
        template: &str,
        packages: &Packages,
        settings: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(Self, Stack), Error> {
        cloud.create_bucket(BUCKET).await?;
        for (name, package) in packages {
            let bytes = std::fs::read(package)
                .map_err(Error::io(format!("reading {}", package.display())))?;
            cloud
                .put_object(BUCKET, &format!("{name}.zip"), Bytes::from(bytes))
                .await?;
        }
        let mut parameters = vec![
            ("Stage", "sandbox".to_owned()),
            ("Architecture", Architecture::Host.name().to_owned()),
            ("RootCertificates", root_certificates().to_owned()),
            ("SmsSignature", SMS_SIGNATURE.to_owned()),
        ];
        parameters.extend(settings);
        let mut deployment = Self {
            url: url.to_owned(),
            template: template.to_owned(),
            parameters,
            revision: 0,
        };
        let stack = deployment.run(cloud, "CreateStack").await?;
        // The simulated bank has an address only now. Its host name would lead to AWS, so set the path form as a parameter.
        let bank = ("BankUrl", stack.bank_url(Some(url))?);
        let stack = deployment.update(cloud, [bank]).await?;
        Ok((deployment, stack))
    }

    /// Deploys again with these values of parameters, and the others as before.
    pub(crate) async fn update(
        &mut self,
        cloud: &Cloud,
        changes: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<Stack, Error> {
        for (name, value) in changes {
            self.parameters.retain(|(known, _)| *known != name);
            self.parameters.push((name, value));
        }
        // Without another revision, callers would stay at the versions before.
        self.revision += 1;
        self.run(cloud, "UpdateStack").await
    }

    async fn run(&self, cloud: &Cloud, action: &str) -> Result<Stack, Error> {
        let zip = |function: &str| format!("s3://{BUCKET}/{function}.zip");
        let revision = self.revision.to_string();
        let revision = (self.revision > 0).then_some(("Revision", revision.as_str()));
        // The local cloud's transform of functions sees the defaults of parameters only.
        let defaults: Vec<_> = revision.into_iter().collect();
        let template = artifacts::packaged(&self.template, zip, &defaults);
        cloud
            .put_object(BUCKET, TEMPLATE_KEY, Bytes::from(template))
            .await?;
        let template = format!("{}/{BUCKET}/{TEMPLATE_KEY}", self.url);
        let mut input = Map::new();
        let mut set = |name: String, value: &str| input.insert(name, Value::from(value));
        set("StackName".to_owned(), STACK);
        set("TemplateURL".to_owned(), &template);
        set("Capabilities.member.1".to_owned(), "CAPABILITY_IAM");
        set("Capabilities.member.2".to_owned(), "CAPABILITY_AUTO_EXPAND");
        let parameters = self.parameters.iter();
        let parameters = parameters.map(|(name, value)| (*name, value.as_str()));
        for (index, (name, value)) in (1..).zip(parameters.chain(revision)) {
            let parameter = format!("Parameters.member.{index}");
            set(format!("{parameter}.ParameterKey"), name);
            set(format!("{parameter}.ParameterValue"), value);
        }
        let account = cloud.account();
        ask(account, action, &Value::Object(input)).await?;
        complete(account).await?;
        Stack::read(account, STACK).await
    }
}

async fn ask(account: &Account, action: &str, input: &Value) -> Result<Value, Error> {
    let answer = account.ask(CLOUDFORMATION, action, input).await;
    Ok(answer.map_err(no_answer)?.body)
}

/// The error of a question without an answer.
pub(crate) fn no_answer(cause: NoAnswer) -> Error {
    Error::NoAnswer(cause)
}

/// Waits until the stack is deployed.
async fn complete(account: &Account) -> Result<(), Error> {
    let deadline = Instant::now() + DEPLOY_LIMIT;
    let input = json!({ "StackName": STACK });
    loop {
        let described = ask(account, "DescribeStacks", &input).await?;
        let status = &described["Stacks"][0]["StackStatus"];
        match status.as_str().unwrap_or_default() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" => return Ok(()),
            running if running.ends_with("_IN_PROGRESS") && Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            status => {
                return Err(Error::Deploy {
                    status: status.to_owned(),
                    reasons: reasons(account).await?,
                });
            }
        }
    }
}

/// Each failed resource with its reason, oldest first. The first is the cause of the others.
async fn reasons(account: &Account) -> Result<String, Error> {
    let input = json!({ "StackName": STACK });
    let described = ask(account, "DescribeStackEvents", &input).await?;
    let events = described["StackEvents"].as_array();
    let mut lines: Vec<String> = events
        .into_iter()
        .flatten()
        .filter(|event| {
            let status = event["ResourceStatus"].as_str();
            status.is_some_and(|status| status.ends_with("_FAILED"))
        })
        .map(|event| {
            let field = |name: &str| event[name].as_str().unwrap_or_default();
            let (id, reason) = (field("LogicalResourceId"), field("ResourceStatusReason"));
            format!("  {id}: {reason}")
        })
        .collect();
    lines.reverse();
    Ok(lines.join("\n"))
}

/// The sender's signature of the local system, in front of every SMS as 【…】.
pub const SMS_SIGNATURE: &str = "示例收单";

/// The file with this machine's root certificates, for the functions that run on it.
#[must_use]
pub fn root_certificates() -> &'static str {
    const KNOWN: [&str; 4] = [
        "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch
        "/etc/pki/tls/cert.pem",              // Amazon Linux, Fedora
        "/etc/ssl/ca-bundle.pem",             // SUSE
        "/etc/ssl/cert.pem",                  // Alpine, macOS
    ];
    let found = KNOWN.into_iter().find(|path| Path::new(path).exists());
    found.unwrap_or(KNOWN[0])
}
