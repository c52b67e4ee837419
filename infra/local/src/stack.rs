//! Deploys the template through CloudFormation, the way `sam package` and `sam deploy` do.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use bytes::Bytes;

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
#[derive(Clone, Debug, Default)]
pub(crate) struct Stack {
    /// The template's outputs.
    pub(crate) outputs: BTreeMap<String, String>,
    /// Logical id to physical id.
    pub(crate) resources: BTreeMap<String, String>,
}

impl Stack {
    /// An output of the template.
    pub(crate) fn output(&self, name: &str) -> Result<&str, Error> {
        named(&self.outputs, "output", name)
    }

    /// The physical id of a resource of the template.
    pub(crate) fn resource(&self, logical_id: &str) -> Result<&str, Error> {
        named(&self.resources, "resource", logical_id)
    }

    /// The simulated bank's address on the local cloud at `url`, without a slash at its end.
    pub(crate) fn bank_url(&self, url: &str) -> Result<String, Error> {
        let address = self.output("BankUrl")?;
        let id = address
            .trim_start_matches("https://")
            .split('.')
            .next()
            .unwrap_or_default();
        Ok(format!("{url}/_aws/lambda-url/{id}"))
    }
}

fn named<'a>(
    values: &'a BTreeMap<String, String>,
    kind: &str,
    name: &str,
) -> Result<&'a str, Error> {
    values
        .get(name)
        .map(String::as_str)
        .ok_or_else(|| Error::Reply {
            what: format!("{kind} {name}"),
            reply: format!("the stack's {:?}", values.keys()),
        })
}

/// Uploads the packages and deploys `template` for the sandbox. `settings`: values of further parameters.
pub(crate) async fn deploy(
    cloud: &Cloud,
    url: &str,
    template: &str,
    packages: &Packages,
    settings: impl IntoIterator<Item = (&'static str, String)>,
) -> Result<Stack, Error> {
    cloud.create_bucket(BUCKET).await?;
    for (name, package) in packages {
        let bytes =
            std::fs::read(package).map_err(Error::io(format!("reading {}", package.display())))?;
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
    run(cloud, url, "CreateStack", template, &parameters).await?;
    // The simulated bank has an address only now. Its host name would lead to AWS, so set the path form as a parameter.
    let mut stack = Stack {
        outputs: outputs(cloud).await?,
        resources: BTreeMap::new(),
    };
    parameters.push(("BankUrl", stack.bank_url(url)?));
    // Without another revision, callers would stay at the versions without that address.
    parameters.push(("Revision", "1".to_owned()));
    run(cloud, url, "UpdateStack", template, &parameters).await?;
    stack.resources = resources(cloud).await?;
    Ok(stack)
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

async fn run(
    cloud: &Cloud,
    url: &str,
    action: &str,
    template: &str,
    parameters: &[(&str, String)],
) -> Result<(), Error> {
    let zip = |function: &str| format!("s3://{BUCKET}/{function}.zip");
    // The local cloud's transform of functions sees the defaults of parameters only.
    let revision = parameters.iter().find(|(name, _)| *name == "Revision");
    let defaults: Vec<_> = revision
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let template = artifacts::packaged(template, zip, &defaults);
    cloud
        .put_object(BUCKET, TEMPLATE_KEY, Bytes::from(template))
        .await?;
    let mut fields = vec![
        ("StackName".to_owned(), STACK.to_owned()),
        (
            "TemplateURL".to_owned(),
            format!("{url}/{BUCKET}/{TEMPLATE_KEY}"),
        ),
        (
            "Capabilities.member.1".to_owned(),
            "CAPABILITY_IAM".to_owned(),
        ),
        (
            "Capabilities.member.2".to_owned(),
            "CAPABILITY_AUTO_EXPAND".to_owned(),
        ),
    ];
    for (index, (name, value)) in (1..).zip(parameters) {
        fields.push((
            format!("Parameters.member.{index}.ParameterKey"),
            (*name).to_owned(),
        ));
        fields.push((
            format!("Parameters.member.{index}.ParameterValue"),
            value.clone(),
        ));
    }
    cloud.cloudformation(action, &fields).await?;

    let deadline = Instant::now() + DEPLOY_LIMIT;
    loop {
        let status = first(&describe(cloud).await?, "StackStatus").unwrap_or_default();
        match status.as_str() {
            "CREATE_COMPLETE" | "UPDATE_COMPLETE" => return Ok(()),
            running if running.ends_with("_IN_PROGRESS") && Instant::now() < deadline => {
                tokio::time::sleep(POLL).await;
            }
            _ => {
                return Err(Error::Deploy {
                    status,
                    reasons: reasons(cloud).await?,
                });
            }
        }
    }
}

async fn describe(cloud: &Cloud) -> Result<String, Error> {
    cloud.cloudformation("DescribeStacks", &stack_name()).await
}

async fn outputs(cloud: &Cloud) -> Result<BTreeMap<String, String>, Error> {
    let xml = describe(cloud).await?;
    Ok(pairs(&xml, "OutputKey", "OutputValue"))
}

async fn resources(cloud: &Cloud) -> Result<BTreeMap<String, String>, Error> {
    let mut all = BTreeMap::new();
    let mut fields = stack_name();
    loop {
        let xml = cloud.cloudformation("ListStackResources", &fields).await?;
        all.extend(pairs(&xml, "LogicalResourceId", "PhysicalResourceId"));
        match first(&xml, "NextToken") {
            Some(token) => fields = [stack_name(), vec![("NextToken".to_owned(), token)]].concat(),
            None => return Ok(all),
        }
    }
}

/// Each failed resource with its reason, oldest first. The first is the cause of the others.
async fn reasons(cloud: &Cloud) -> Result<String, Error> {
    let xml = cloud
        .cloudformation("DescribeStackEvents", &stack_name())
        .await?;
    let mut lines: Vec<String> = values(&xml, "member")
        .filter(|event| {
            first(event, "ResourceStatus").is_some_and(|status| status.ends_with("_FAILED"))
        })
        .map(|event| {
            let field = |name| first(event, name).unwrap_or_default();
            format!(
                "  {}: {}",
                field("LogicalResourceId"),
                field("ResourceStatusReason")
            )
        })
        .collect();
    lines.reverse();
    Ok(lines.join("\n"))
}

fn stack_name() -> Vec<(String, String)> {
    vec![("StackName".to_owned(), STACK.to_owned())]
}

/// The texts of the elements `value` by the texts of the elements `key`, in their order.
fn pairs(xml: &str, key: &str, value: &str) -> BTreeMap<String, String> {
    let keys = values(xml, key).map(unescape);
    keys.zip(values(xml, value).map(unescape)).collect()
}

pub(crate) fn first(xml: &str, name: &str) -> Option<String> {
    values(xml, name).next().map(unescape)
}

/// The texts between `<name>` and `</name>`, in order. The replies have no attributes and do not nest these elements.
fn values<'a>(xml: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let mut rest = xml;
    std::iter::from_fn(move || {
        let start = rest.find(&open)? + open.len();
        let length = rest[start..].find(&close)?;
        let value = &rest[start..start + length];
        rest = &rest[start + length + close.len()..];
        Some(value)
    })
}

fn unescape(text: &str) -> String {
    text.replace("&lt;", "<")
        .replace("&gt;", ">")
        .replace("&quot;", "\"")
        .replace("&#39;", "'")
        .replace("&amp;", "&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_read_and_unescaped() {
        let xml = "<Outputs><member><OutputKey>A</OutputKey><OutputValue>x&amp;y&lt;</OutputValue></member>\
                   <member><OutputKey>B</OutputKey><OutputValue></OutputValue></member></Outputs>";
        let want = BTreeMap::from([
            ("A".to_owned(), "x&y<".to_owned()),
            ("B".to_owned(), String::new()),
        ]);
        assert_eq!(pairs(xml, "OutputKey", "OutputValue"), want);
        assert_eq!(first(xml, "NextToken"), None);
    }
}
