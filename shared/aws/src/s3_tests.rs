//! The requests to S3 and the classification of its answers, scripted at the HTTP boundary.

use super::*;
use aws_credential_types::Credentials;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

/// Answers in order, each a status and a body; status 0 breaks the connection. Keeps the requests.
#[derive(Clone, Debug, Default)]
struct Script {
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
    requests: Arc<Mutex<Vec<HttpRequest>>>,
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        self.requests.lock().unwrap().push(request);
        let (status, body) = self.answers.lock().unwrap().pop_front().unwrap();
        HttpConnectorFuture::ready(match status {
            0 => Err(ConnectorError::io("connection reset".into())),
            _ => {
                let status = status.try_into().unwrap();
                Ok(HttpResponse::new(status, SdkBody::from(body)))
            }
        })
    }
}

fn bucket(answers: &[(u16, &str)]) -> (LogBucket, Script) {
    let script = Script::default();
    let answers = answers
        .iter()
        .map(|(status, body)| (*status, (*body).to_owned()));
    script.answers.lock().unwrap().extend(answers);
    let credentials = Credentials::new("AKID", "SECRET", Some("TOKEN".into()), None, "tests");
    let mut bucket = LogBucket::new(
        "https://log.s3.eu-west-1.amazonaws.com".to_owned(),
        "eu-west-1".to_owned(),
        SharedCredentialsProvider::new(credentials),
    );
    bucket.http.connector = SharedHttpConnector::new(script.clone()).into();
    (bucket, script)
}

fn header(request: &HttpRequest, name: &str) -> String {
    request.headers().get(name).unwrap_or_default().to_owned()
}

#[tokio::test]
async fn object_is_written_if_absent() {
    let (bucket, script) = bucket(&[(200, ""), (412, "<Error/>")]);
    let put = async || bucket.put_new("leaf/1", b"content".to_vec()).await.unwrap();
    assert_eq!(put().await, PutOutcome::Created);
    assert_eq!(put().await, PutOutcome::Exists);
    let requests = script.requests.lock().unwrap();
    let request = &requests[0];
    assert_eq!(request.method(), "PUT");
    let uri = "https://log.s3.eu-west-1.amazonaws.com/leaf/1";
    assert_eq!(request.uri(), uri);
    assert_eq!(request.body().bytes(), Some(b"content".as_slice()));
    assert_eq!(header(request, "if-none-match"), "*");
    // `printf content | openssl dgst -sha256 -binary | base64`
    let checksum = "7XACtDnprIRfIjV9giusFERzD722AW0+yUMil7nsn3M=";
    assert_eq!(header(request, "x-amz-checksum-sha256"), checksum);
    assert_eq!(header(request, "x-amz-security-token"), "TOKEN");
    let authorization = header(request, "authorization");
    assert!(
        authorization.contains("/eu-west-1/s3/aws4_request"),
        "{authorization}"
    );
    let signed = "if-none-match;";
    assert!(authorization.contains(signed), "{authorization}");
}

#[tokio::test]
async fn missing_object_is_none() {
    let (bucket, script) = bucket(&[
        (200, "content"),
        (404, "<Error/>"),
        (403, "<Error><Code>AccessDenied</Code></Error>"),
    ]);
    assert_eq!(bucket.get("a").await.unwrap(), Some(b"content".to_vec()));
    assert_eq!(bucket.get("a").await.unwrap(), None);
    let refused = bucket.get("a").await.unwrap_err().to_string();
    assert_eq!(refused, "the log's bucket failed: status 403, AccessDenied");
    assert!(header(&script.requests.lock().unwrap()[0], "if-none-match").is_empty());
}

#[tokio::test]
async fn failures_of_s3_are_retried() {
    let (bucket, _) = bucket(&[(503, ""), (409, ""), (0, ""), (200, "content")]);
    assert_eq!(bucket.get("a").await.unwrap(), Some(b"content".to_vec()));
    let (bucket, _) = self::bucket(&[(500, ""); 4]);
    let error = bucket.get("a").await.unwrap_err();
    assert!(matches!(error, PortError::Transient(..)), "{error}");
}

#[tokio::test]
async fn listing_reads_all_pages() {
    let page = |keys: &[&str], more: bool| {
        let keys = keys
            .iter()
            .map(|key| format!("<Contents><Key>{key}</Key></Contents>"));
        let keys: String = keys.collect();
        format!("<ListBucketResult><IsTruncated>{more}</IsTruncated>{keys}</ListBucketResult>")
    };
    let pages = [
        page(&["index/a/1", "index/a/2"], true),
        page(&["index/a/3"], false),
    ];
    let (bucket, script) = bucket(&[(200, &pages[0]), (200, &pages[1])]);
    let keys = bucket.list("index/a/").await.unwrap();
    assert_eq!(keys, ["index/a/1", "index/a/2", "index/a/3"]);
    let second = script.requests.lock().unwrap()[1].uri().to_owned();
    assert!(
        second.ends_with("/?list-type=2&prefix=index%2Fa%2F&start-after=index%2Fa%2F2"),
        "{second}"
    );
    let (bucket, _) = self::bucket(&[(200, &page(&[], false))]);
    assert!(bucket.list("index/a/").await.unwrap().is_empty());
}
