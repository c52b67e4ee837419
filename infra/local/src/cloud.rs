//! The services that only this crate calls: S3, CloudFormation, Lambda and CloudWatch Logs, of a local cloud or of AWS.
//!
//! The requests are signed here. Four more SDKs, for a dozen operations, would take longer to compile than the rest of this crate.

use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime_api::client::identity::Identity;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{Method, Request};
use rebindctl::account::Account;
use serde_json::{Value, json};

use crate::error::Error;
use crate::http::{Http, Reply};

/// The region and the administrator of the local cloud. The credentials are valid nowhere else.
pub(crate) const REGION: &str = "us-east-1";
pub(crate) const ACCESS_KEY: &str = "test";
pub(crate) const SECRET_KEY: &str = "test";

const JSON: &str = "application/json";

/// A client, as the administrator of an account.
#[derive(Clone, Debug)]
pub struct Cloud {
    account: Account,
    http: Http,
}

impl Cloud {
    /// The local cloud at `url`.
    #[must_use]
    pub fn at(url: &str) -> Self {
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "local");
        Self::of(Account::new(
            Some(url.to_owned()),
            REGION.to_owned(),
            credentials,
        ))
    }

    /// An account.
    #[must_use]
    pub fn of(account: Account) -> Self {
        Self {
            account,
            http: Http::new(),
        }
    }

    /// The account.
    #[must_use]
    pub const fn account(&self) -> &Account {
        &self.account
    }

    /// Invokes the alias of a function and returns its reply.
    ///
    /// # Errors
    /// When the call fails, or the function returns an error: the call's status and the error document.
    pub async fn invoke(&self, function: &str, event: &Value) -> Result<Value, Error> {
        let path = format!("/2015-03-31/functions/{function}/invocations?Qualifier=live");
        let reply = self.rest("lambda", &Method::POST, &path, event).await?;
        if reply.headers.contains_key("x-amz-function-error") {
            return Err(refused(&format!("invoking {function}"), &reply));
        }
        reply.json()
    }

    /// Invokes the unpublished version of a function and returns the end of its log.
    pub(crate) async fn invoke_latest(
        &self,
        function: &str,
        event: &Value,
    ) -> Result<String, Error> {
        let path = format!("/2015-03-31/functions/{function}/invocations");
        let headers = [("content-type", JSON), ("x-amz-log-type", "Tail")];
        let body = Bytes::from(event.to_string());
        let reply = self
            .call("lambda", &Method::POST, &path, &headers, body)
            .await?;
        if !(200..300).contains(&reply.status) {
            return Err(refused(&format!("invoking {function}"), &reply));
        }
        let log = reply.headers.get("x-amz-log-result");
        let log = STANDARD.decode(log.map_or(&[][..], |log| log.as_bytes()));
        Ok(String::from_utf8_lossy(&log.unwrap_or_default()).into_owned())
    }

    /// Calls an operation of an API of paths.
    pub(crate) async fn rest(
        &self,
        service: &str,
        method: &Method,
        path: &str,
        body: &Value,
    ) -> Result<Reply, Error> {
        let body = match body {
            Value::Null => Bytes::new(),
            body => Bytes::from(body.to_string()),
        };
        let headers = [("content-type", JSON)];
        let reply = self.call(service, method, path, &headers, body).await?;
        match reply.status {
            200..300 => Ok(reply),
            _ => Err(refused(&format!("{service} {method} {path}"), &reply)),
        }
    }

    pub(crate) async fn create_bucket(&self, bucket: &str) -> Result<(), Error> {
        self.put(&format!("/{bucket}"), Bytes::new()).await
    }

    pub(crate) async fn put_object(
        &self,
        bucket: &str,
        key: &str,
        body: Bytes,
    ) -> Result<(), Error> {
        self.put(&format!("/{bucket}/{key}"), body).await
    }

    /// The names of all log groups.
    pub(crate) async fn log_groups(&self) -> Result<Vec<String>, Error> {
        let all = json!({"limit": 50});
        let groups = self.logs_of("DescribeLogGroups", all, "logGroups").await?;
        let names = groups.iter().map(|group| group["logGroupName"].as_str());
        Ok(names.flatten().map(str::to_owned).collect())
    }

    /// The lines of a log group since `since_ms`, each with its time. Times are Unix milliseconds.
    ///
    /// The local cloud answers with 10,000 events at most, without a token for the next page. So the next page begins at the time of
    /// the last event, whose events come again.
    pub(crate) async fn log_of(
        &self,
        group: &str,
        since_ms: i64,
    ) -> Result<Vec<(i64, String)>, Error> {
        const LIMIT: usize = 10_000;
        let (mut lines, mut start) = (Vec::new(), since_ms);
        loop {
            let request = json!({"logGroupName": group, "startTime": start, "limit": LIMIT});
            let events = self.logs_of("FilterLogEvents", request, "events").await?;
            let page = events.iter().filter_map(|event| {
                let text = event["message"].as_str()?;
                Some((event["timestamp"].as_i64()?, text.to_owned()))
            });
            let page: Vec<(i64, String)> = page.collect();
            let last = page.last().map_or(start, |(at, _)| *at);
            if events.len() < LIMIT || last == start {
                lines.extend(page);
                return Ok(lines);
            }
            lines.extend(page.into_iter().filter(|(at, _)| *at < last));
            start = last;
        }
    }

    /// All pages of a list of CloudWatch Logs.
    async fn logs_of(
        &self,
        operation: &str,
        mut request: Value,
        list: &str,
    ) -> Result<Vec<Value>, Error> {
        let mut all = Vec::new();
        loop {
            let mut page = self.logs(operation, &request).await?;
            if let Value::Array(items) = page[list].take() {
                all.extend(items);
            }
            if page["nextToken"].is_null() {
                return Ok(all);
            }
            request["nextToken"] = page["nextToken"].take();
        }
    }

    /// Calls an operation of CloudWatch Logs. Retries, because the local cloud fails while functions write to the same log.
    async fn logs(&self, operation: &str, body: &Value) -> Result<Value, Error> {
        let mut retries = 10;
        loop {
            let target = format!("Logs_20140328.{operation}");
            let body = Bytes::from(body.to_string());
            let headers = [
                ("content-type", "application/x-amz-json-1.1"),
                ("x-amz-target", &target),
            ];
            let reply = self
                .call("logs", &Method::POST, "/", &headers, body)
                .await?;
            match reply.status {
                200 => return reply.json(),
                500.. if retries > 0 => retries -= 1,
                _ => return Err(refused(operation, &reply)),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    async fn put(&self, path: &str, body: Bytes) -> Result<(), Error> {
        let reply = self
            .call(
                "s3",
                &Method::PUT,
                path,
                &[("content-type", "application/octet-stream")],
                body,
            )
            .await?;
        if reply.status == 200 {
            Ok(())
        } else {
            Err(refused(&format!("PUT {path}"), &reply))
        }
    }

    async fn call(
        &self,
        service: &str,
        method: &Method,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
    ) -> Result<Reply, Error> {
        let (url, region) = self.account.address(service);
        let uri = format!("{url}{path}");
        let identity: Identity = self.account.credentials().clone().into();
        let failed = |cause: String| Error::Unreachable {
            what: format!("signing {method} {uri}"),
            cause,
        };
        let params = v4::SigningParams::builder()
            .identity(&identity)
            .region(&region)
            .name(service)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| failed(error.to_string()))?
            .into();
        // A package has tens of megabytes and travels over loopback only, so its hash is not worth the time.
        let signed = if service == "s3" {
            SignableBody::UnsignedPayload
        } else {
            SignableBody::Bytes(&body)
        };
        let mut headers = headers.to_vec();
        if service == "s3" {
            headers.push(("x-amz-content-sha256", "UNSIGNED-PAYLOAD"));
        }
        let signable = SignableRequest::new(method.as_str(), &uri, headers.iter().copied(), signed)
            .map_err(|error| failed(error.to_string()))?;
        let (instructions, _) = sign(signable, &params)
            .map_err(|error| failed(error.to_string()))?
            .into_parts();
        let mut request = Request::builder().method(method).uri(&uri);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let mut request = request
            .body(body)
            .map_err(|error| failed(error.to_string()))?;
        instructions.apply_to_request_http1x(&mut request);
        self.http.send(request).await
    }
}

fn refused(what: &str, reply: &Reply) -> Error {
    Error::Call {
        what: what.to_owned(),
        status: reply.status,
        body: reply.text(),
    }
}
