//! Signed calls to the services of an account, as its administrator or as a function's role.
//!
//! The requests are built by hand, without an SDK client per service. The question is always "may this role do that?", across
//! seven services, and the answer is an error code.

use crate::transport::HttpCall;
use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use bytes::Bytes;
use http::{Method, Request};
use local::System;
use local::http::{Http, Reply};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use rebindctl::account::Account;
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

/// On AWS, a changed trust policy holds after some seconds.
const ASSUMABLE_LIMIT: Duration = Duration::from_secs(60);

/// A caller: a session of a role in an account, and a client.
#[derive(Clone, Debug)]
pub struct Caller {
    account: Account,
    /// An API in the place of the account's services.
    url: Option<String>,
    http: Http,
}

/// A service with a JSON interface: signing name, target prefix and media type.
pub struct Service(&'static str, &'static str, &'static str);

/// DynamoDB.
pub const DYNAMODB: Service = Service(
    "dynamodb",
    "DynamoDB_20120810",
    "application/x-amz-json-1.0",
);
/// DynamoDB's streams.
pub const STREAMS: Service = Service(
    "dynamodb",
    "DynamoDBStreams_20120810",
    "application/x-amz-json-1.0",
);
/// KMS.
pub const KMS: Service = Service("kms", "TrentService", "application/x-amz-json-1.1");
/// CloudWatch Logs.
pub const LOGS: Service = Service("logs", "Logs_20140328", "application/x-amz-json-1.1");
/// Secrets Manager.
pub const SECRETS: Service = Service(
    "secretsmanager",
    "secretsmanager",
    "application/x-amz-json-1.1",
);
/// SQS.
pub const SQS: Service = Service("sqs", "AmazonSQS", "application/x-amz-json-1.0");

impl Caller {
    /// This session of the account.
    #[must_use]
    pub fn of(account: &Account) -> Self {
        Self {
            account: account.clone(),
            url: None,
            http: Http::new(),
        }
    }

    /// The same caller of an API.
    #[must_use]
    pub fn at(&self, url: &str) -> Self {
        Self {
            url: Some(url.to_owned()),
            ..self.clone()
        }
    }

    /// The same caller in another session.
    fn with(&self, credentials: Credentials) -> Self {
        Self {
            account: self.account.with(credentials),
            ..self.clone()
        }
    }

    /// A caller with the role `name`.
    ///
    /// The roles trust only Lambda or the scheduler. This adds the account to the trust policy and leaves the permissions
    /// unchanged.
    pub async fn assume(&self, name: &str) -> Self {
        let role = self
            .query("iam", "2010-05-08", "GetRole", &[("RoleName", name)])
            .await
            .unwrap();
        let arn = element(&role, "Arn").expect("a role has an ARN");
        let account = arn.split(':').nth(4).expect("an ARN has an account");
        let may_assume =
            |who| json!({"Effect": "Allow", "Principal": who, "Action": "sts:AssumeRole"});
        let trust = json!({"Version": "2012-10-17", "Statement": [
            may_assume(json!({"Service": ["lambda.amazonaws.com", "scheduler.amazonaws.com"]})),
            may_assume(json!({"AWS": format!("arn:aws:iam::{account}:root")})),
        ]});
        let fields = [("RoleName", name), ("PolicyDocument", &trust.to_string())];
        self.query("iam", "2010-05-08", "UpdateAssumeRolePolicy", &fields)
            .await
            .unwrap();
        let fields = [("RoleArn", arn), ("RoleSessionName", "tests")];
        let deadline = Instant::now() + ASSUMABLE_LIMIT;
        let reply = loop {
            match self.query("sts", "2011-06-15", "AssumeRole", &fields).await {
                Ok(reply) => break reply,
                Err(code) => assert!(Instant::now() < deadline, "assuming {name}: {code}"),
            }
            tokio::time::sleep(Duration::from_secs(2)).await;
        };
        let part = |name| element(&reply, name).expect("credentials").to_owned();
        let token = Some(part("SessionToken"));
        let credentials = Credentials::new(
            part("AccessKeyId"),
            part("SecretAccessKey"),
            token,
            None,
            "tests",
        );
        self.with(credentials)
    }

    /// Creates a role with this policy, and opens a session of it.
    pub async fn new_role(&self, name: &str, policy: &Value) -> Self {
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole",
        }]});
        let (trust, policy) = (trust.to_string(), policy.to_string());
        let create = [("RoleName", name), ("AssumeRolePolicyDocument", &trust)];
        let created = self.query("iam", "2010-05-08", "CreateRole", &create).await;
        created.unwrap();
        let put = [
            ("RoleName", name),
            ("PolicyName", "policy"),
            ("PolicyDocument", &policy),
        ];
        let put = self.query("iam", "2010-05-08", "PutRolePolicy", &put).await;
        put.unwrap();
        self.assume(name).await
    }

    /// The credentials of the session.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        self.account.credentials().clone()
    }

    /// The session of a fictional operator of this system.
    #[must_use]
    pub fn operator(system: &System, role: &str) -> Self {
        let endpoints = system.endpoints();
        let session = endpoints.operators[role].credentials();
        let caller = Self::of(system.account()).with(session);
        caller.at(&endpoints.operator_url)
    }

    /// Sends a signed request to an API whose routes are authorised by IAM.
    pub async fn http(&self, call: &HttpCall) -> Reply {
        let headers: Vec<_> = call.all_headers().collect();
        let headers: Vec<_> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        let method = Method::from_bytes(call.method.as_bytes()).unwrap();
        let body = String::from_utf8(call.body.to_vec()).unwrap();
        self.send("execute-api", &method, &call.path, &headers, body)
            .await
    }

    /// Invokes the alias of a function synchronously and returns its reply.
    ///
    /// # Errors
    /// The type and the text of the function's error.
    pub async fn run(&self, function: &str, event: &Value) -> Result<Value, (String, String)> {
        let path = format!("/2015-03-31/functions/{function}/invocations?Qualifier=live");
        let reply = self.rest("lambda", &Method::POST, &path, event).await;
        assert_eq!(reply.status, 200, "{function} must be invocable");
        let failed = reply.headers.contains_key("x-amz-function-error");
        let body = reply.json().unwrap();
        if !failed {
            return Ok(body);
        }
        let part = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        Err((part("errorType"), part("errorMessage")))
    }

    /// Invokes the alias of a function with an empty event and discards the reply.
    ///
    /// # Errors
    /// The error code, if the role may not invoke the function.
    pub async fn invoke(&self, function: &str) -> Result<(), String> {
        let path = format!("/2015-03-31/functions/{function}:live/invocations");
        let reply = self.rest("lambda", &Method::POST, &path, &json!({})).await;
        if reply.status == 200 {
            return Ok(());
        }
        let code = reply.headers.get("x-amzn-errortype");
        let code = code.map_or("", |code| code.to_str().unwrap_or_default());
        Err(code.split(':').next().unwrap_or_default().to_owned())
    }

    /// Calls one operation of a JSON interface.
    ///
    /// # Errors
    /// The error code, without its namespace.
    pub async fn json(
        &self,
        service: &Service,
        operation: &str,
        body: &Value,
    ) -> Result<Value, String> {
        let Service(name, prefix, media_type) = service;
        let target = format!("{prefix}.{operation}");
        let headers = [("content-type", *media_type), ("x-amz-target", &target)];
        let reply = self.call(name, &headers, body.to_string()).await;
        let body = reply.json().unwrap_or_default();
        if reply.status == 200 {
            return Ok(body);
        }
        let code = body["__type"].as_str().unwrap_or_default();
        Err(code.rsplit('#').next().unwrap_or_default().to_owned())
    }

    /// Calls one operation of a query interface. The reply is XML.
    ///
    /// # Errors
    /// The error code.
    pub async fn query(
        &self,
        service: &str,
        version: &str,
        action: &str,
        fields: &[(&str, &str)],
    ) -> Result<String, String> {
        let mut form = format!("Action={action}&Version={version}");
        for (name, value) in fields {
            form.push_str(&format!(
                "&{name}={}",
                utf8_percent_encode(value, NON_ALPHANUMERIC)
            ));
        }
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let reply = self.call(service, &headers, form).await;
        let text = reply.text();
        if reply.status == 200 {
            return Ok(text);
        }
        Err(element(&text, "Code")
            .unwrap_or("an error without a code")
            .to_owned())
    }

    /// Sends one request with a JSON body, for interfaces with REST paths.
    pub async fn rest(&self, service: &str, method: &Method, path: &str, body: &Value) -> Reply {
        let body = if body.is_null() {
            String::new()
        } else {
            body.to_string()
        };
        self.send(
            service,
            method,
            path,
            &[("content-type", "application/json")],
            body,
        )
        .await
    }

    async fn call(&self, service: &str, headers: &[(&str, &str)], body: String) -> Reply {
        self.send(service, &Method::POST, "/", headers, body).await
    }

    async fn send(
        &self,
        service: &str,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: String,
    ) -> Reply {
        let (url, region) = self.account.address(service);
        let url = self.url.as_deref().unwrap_or(&url);
        let uri = format!("{url}{path}");
        let identity: Identity = self.credentials().into();
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .unwrap()
            .into();
        let signed = SignableBody::Bytes(body.as_bytes());
        let signable =
            SignableRequest::new(method.as_str(), &uri, headers.iter().copied(), signed).unwrap();
        let (instructions, _) = sign(signable, &params).unwrap().into_parts();
        let mut request = Request::builder().method(method).uri(&uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let mut request = request.body(Bytes::from(body)).unwrap();
        instructions.apply_to_request_http1x(&mut request);
        self.http.send(request).await.unwrap()
    }
}

/// The text of the first element `name`.
#[must_use]
pub fn element<'a>(xml: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = xml.split_once(&format!("<{name}>"))?;
    rest.split_once(&format!("</{name}>")).map(|(text, _)| text)
}
