//! Reads from the services of an AWS account.
//!
//! The requests are signed here. Four more SDKs (CloudFormation, IAM, Lambda, Scheduler) would take longer to compile than this crate.

use aws::signed::{SendError, SignedHttp, SignedReply, Unsigned};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::fmt;
use std::time::Duration;

use crate::api::{EndpointError, Local, usual};

const CONNECT_LIMIT: Duration = Duration::from_secs(5);
const CALL_LIMIT: Duration = Duration::from_secs(15);
const REPLY_MAX_BYTES: usize = 4 * 1024 * 1024;

/// A service, and how it is called.
#[derive(Clone, Copy, Debug)]
pub struct Service {
    /// The name in its address, its signatures and its permissions.
    name: &'static str,
    protocol: Protocol,
}

#[derive(Clone, Copy, Debug)]
enum Protocol {
    /// A version of the media type, and the prefix of a target.
    Json(&'static str, &'static str),
    /// A version of the API. Replies are XML.
    Query(&'static str),
    /// Paths; replies are JSON.
    Rest,
}

/// CloudFormation.
pub const CLOUDFORMATION: Service = query("cloudformation", "2010-05-15");
/// DynamoDB.
pub const DYNAMODB: Service = json("dynamodb", "1.0", "DynamoDB_20120810");
/// IAM.
pub const IAM: Service = query("iam", "2010-05-08");
/// CloudWatch.
pub const CLOUDWATCH: Service = query("monitoring", "2010-08-01");
pub(crate) const KMS: Service = json("kms", "1.1", "TrentService");
pub(crate) const LOGS: Service = json("logs", "1.1", "Logs_20140328");
/// Lambda.
pub const LAMBDA: Service = rest("lambda");
pub(crate) const SCHEDULER: Service = rest("scheduler");
/// Secrets Manager.
pub const SECRETS: Service = json("secretsmanager", "1.1", "secretsmanager");
/// SNS.
pub const SNS: Service = query("sns", "2010-03-31");
/// STS.
pub const STS: Service = query("sts", "2011-06-15");
/// SQS.
pub const SQS: Service = json("sqs", "1.0", "AmazonSQS");

const fn json(name: &'static str, version: &'static str, prefix: &'static str) -> Service {
    Service {
        name,
        protocol: Protocol::Json(version, prefix),
    }
}

const fn query(name: &'static str, version: &'static str) -> Service {
    Service {
        name,
        protocol: Protocol::Query(version),
    }
}

const fn rest(name: &'static str) -> Service {
    Service {
        name,
        protocol: Protocol::Rest,
    }
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer {
    /// The permission that the question needs.
    pub permission: String,
    /// Why.
    pub why: Why,
}

/// Why a question has no answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The caller has no permission.
    Denied,
    /// The service refused: its code and its message.
    Refused(String),
    /// No reply that can be read.
    NoReply(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { permission, why } = self;
        match why {
            Why::Denied => write!(
                f,
                "your role lacks {permission}: see infra/operator/policies"
            ),
            Why::Refused(refusal) => write!(f, "{permission} was refused: {refusal}"),
            Why::NoReply(cause) => write!(f, "no reply to {permission}: {cause}"),
        }
    }
}

/// An account in a region, and a role's session in it.
#[derive(Clone, Debug)]
pub struct Account {
    /// All services of the local system; `None` on AWS.
    url: Option<String>,
    region: String,
    credentials: Credentials,
}

impl Account {
    /// The local system, as its administrator, and the name of its stack.
    ///
    /// # Errors
    /// When it is not up.
    pub fn local(local: Local<'_>) -> Result<(Self, String), EndpointError> {
        let endpoints = local.read()?;
        let (id, secret) = (endpoints.access_key, endpoints.secret_key);
        let credentials = Credentials::new(id, secret, None, None, "local");
        let account = Self::new(Some(endpoints.cloud_url), endpoints.region, credentials);
        Ok((account, endpoints.stack))
    }

    /// An account at this address, `None` for AWS.
    #[must_use]
    pub const fn new(url: Option<String>, region: String, credentials: Credentials) -> Self {
        Self {
            url,
            region,
            credentials,
        }
    }

    /// The account of the usual AWS credentials.
    ///
    /// # Errors
    /// Without region or credentials.
    pub async fn aws(region: Option<&str>) -> Result<Self, EndpointError> {
        let (config, region, credentials) = usual(region).await?;
        let url = config.endpoint_url().map(str::to_owned);
        Ok(Self::new(url, region, credentials))
    }

    /// The same account, in another role's session.
    #[must_use]
    pub fn with(&self, credentials: Credentials) -> Self {
        Self {
            credentials,
            ..self.clone()
        }
    }

    /// True on AWS, and false on a local cloud.
    #[must_use]
    pub const fn is_aws(&self) -> bool {
        self.url.is_none()
    }

    /// The region.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The credentials of the session.
    #[must_use]
    pub const fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The configuration of an SDK client. It reads nothing from the environment.
    #[must_use]
    pub fn sdk(&self) -> SdkConfig {
        let credentials = SharedCredentialsProvider::new(self.credentials.clone());
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .credentials_provider(credentials);
        match &self.url {
            Some(url) => config.endpoint_url(url).build(),
            None => config.build(),
        }
    }

    /// Calls an operation. `input`: an object, for a query API of texts; for an API of paths, the path to read.
    ///
    /// # Errors
    /// When the caller may not do it, the service refuses, or no reply comes in time.
    pub async fn ask(
        &self,
        service: Service,
        operation: &str,
        input: &Value,
    ) -> Result<Answer, NoAnswer> {
        match service.protocol {
            Protocol::Json(version, prefix) => {
                let kind = format!("application/x-amz-json-{version}");
                let target = format!("{prefix}.{operation}");
                let headers = [
                    ("content-type", kind.as_str()),
                    ("x-amz-target", target.as_str()),
                ];
                let body = input.to_string();
                self.send(service, operation, ("POST", "/"), &headers, body)
                    .await
            }
            Protocol::Query(version) => {
                let mut form = format!("Action={operation}&Version={version}");
                for (name, value) in input.as_object().into_iter().flatten() {
                    let value = value.as_str().unwrap_or_default();
                    let value = utf8_percent_encode(value, NON_ALPHANUMERIC);
                    form.push_str(&format!("&{name}={value}"));
                }
                let headers = [("content-type", "application/x-www-form-urlencoded")];
                let answer = self
                    .send(service, operation, ("POST", "/"), &headers, form)
                    .await;
                answer.map(|mut answer| {
                    answer.body = answer.body[format!("{operation}Result")].take();
                    answer
                })
            }
            Protocol::Rest => {
                let path = input.as_str().unwrap_or_default();
                self.send(service, operation, ("GET", path), &[], String::new())
                    .await
            }
        }
    }

    async fn send(
        &self,
        service: Service,
        operation: &str,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: String,
    ) -> Result<Answer, NoAnswer> {
        let no_answer = |why| NoAnswer {
            permission: format!("{}:{operation}", service.name),
            why,
        };
        let (url, region) = self.address(service.name);
        let unsigned = Unsigned {
            method,
            url: &format!("{url}{path}"),
            headers,
            body: body.as_bytes(),
        };
        let http = SignedHttp::new(service.name, region, CONNECT_LIMIT, REPLY_MAX_BYTES);
        let sent = http.send(self.credentials.clone(), &unsigned);
        let no_reply = |cause| no_answer(Why::NoReply(cause));
        let reply = match tokio::time::timeout(CALL_LIMIT, sent).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(SendError::Unsigned(cause) | SendError::NoReply(cause))) => {
                return Err(no_reply(cause));
            }
            Err(_) => return Err(no_reply("no answer in time".to_owned())),
        };
        let SignedReply { status, body, date } = reply;
        let text = String::from_utf8_lossy(&body);
        let body = if text.trim_start().starts_with('<') {
            from_xml(&text)
        } else {
            serde_json::from_str(&text).ok()
        };
        let Some(body) = body else {
            return Err(no_reply(format!("status {status}, and no document")));
        };
        if status < 300 {
            return Ok(Answer { body, date });
        }
        Err(no_answer(refusal(status, &body)))
    }

    /// The address of a service, and the region of its signatures.
    #[must_use]
    pub fn address(&self, service: &str) -> (String, String) {
        let region = self.region.as_str();
        let (suffix, home) = match region.starts_with("cn-") {
            true => ("amazonaws.com.cn", "cn-north-1"),
            false => ("amazonaws.com", "us-east-1"),
        };
        match &self.url {
            Some(url) => (url.clone(), region.to_owned()),
            // One address for all regions.
            None if service == "iam" && home == "us-east-1" => {
                (format!("https://iam.{suffix}"), home.to_owned())
            }
            None if service == "iam" => (format!("https://iam.{home}.{suffix}"), home.to_owned()),
            None => (
                format!("https://{service}.{region}.{suffix}"),
                region.to_owned(),
            ),
        }
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The document.
    pub body: Value,
    /// The time of the service, as in HTTP.
    pub date: Option<String>,
}

/// What a refusal means.
fn refusal(status: u16, body: &Value) -> Why {
    let error = body.get("Error").unwrap_or(body);
    let text = |names: &[&str]| names.iter().find_map(|name| error[*name].as_str());
    let code = text(&["__type", "Code", "code"]).unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    if code.contains("AccessDenied") || code == "AuthorizationError" || status == 403 {
        return Why::Denied;
    }
    let message = text(&["message", "Message"]).unwrap_or("no message");
    Why::Refused(format!("{status} {code}: {message}"))
}

/// The document below the root: elements are members of objects, `member` and `entry` are items of lists, the rest is text.
fn from_xml(text: &str) -> Option<Value> {
    let document = roxmltree::Document::parse(text).ok()?;
    Some(of_element(document.root_element()))
}

fn of_element(element: roxmltree::Node<'_, '_>) -> Value {
    let children = || element.children().filter(roxmltree::Node::is_element);
    let is_item =
        |child: &roxmltree::Node<'_, '_>| ["member", "entry"].contains(&child.tag_name().name());
    match children().next() {
        None => Value::from(element.text().unwrap_or_default()),
        Some(first) if is_item(&first) => children().map(of_element).collect(),
        Some(_) => {
            let members =
                children().map(|child| (child.tag_name().name().to_owned(), of_element(child)));
            Value::Object(members.collect::<Map<_, _>>())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn xml_becomes_objects_lists_and_texts() {
        let xml = "<?xml version=\"1.0\"?><R xmlns=\"http://x/\"><A><member><K>1 &amp; 2</K></member><member><K/></member></A><B> </B></R>";
        assert_eq!(
            from_xml(xml),
            Some(json!({"A": [{"K": "1 & 2"}, {"K": ""}], "B": " "}))
        );
        assert_eq!(from_xml("<R>"), None);
    }

    #[test]
    fn refusals_are_told_apart() {
        let denied = json!({"__type": "com.amazon.coral.service#AccessDeniedException"});
        assert_eq!(refusal(400, &denied), Why::Denied);
        let denied = json!({"Error": {"Code": "AuthorizationError", "Message": "no"}});
        assert_eq!(refusal(400, &denied), Why::Denied);
        let refused = json!({"Error": {"Code": "ValidationError", "Message": "no such stack"}});
        let refused = refusal(400, &refused);
        assert_eq!(
            refused,
            Why::Refused("400 ValidationError: no such stack".to_owned())
        );
    }

    #[test]
    fn addresses_follow_the_partition() {
        let of = |region: &str, service| {
            let credentials = Credentials::new("a", "b", None, None, "test");
            Account::new(None, region.to_owned(), credentials).address(service)
        };
        let pair = |url: &str, region: &str| (url.to_owned(), region.to_owned());
        assert_eq!(
            of("ap-east-1", "kms"),
            pair("https://kms.ap-east-1.amazonaws.com", "ap-east-1")
        );
        assert_eq!(
            of("ap-east-1", "iam"),
            pair("https://iam.amazonaws.com", "us-east-1")
        );
        assert_eq!(
            of("cn-northwest-1", "iam"),
            pair("https://iam.cn-north-1.amazonaws.com.cn", "cn-north-1")
        );
    }
}
