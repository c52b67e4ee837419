//! A table and its stream over the wire.

use aws_sdk_dynamodb::config::Builder;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use domain::time::Timestamp;
use http::Request;
use local::http::Http;
use serde_json::{Value, json};

/// The SDK's HTTP client, wrapped for recording and faults.
#[derive(Clone, Debug)]
struct Wire(Http);

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let http = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request
                .try_into_http1x()
                .map_err(|error| ConnectorError::user(error.into()))?;
            let request = request.map(|body| Bytes::copy_from_slice(body.bytes().unwrap()));
            let reply = http
                .send(request)
                .await
                .map_err(|error| ConnectorError::io(error.into()))?;
            let status = reply.status.try_into().unwrap();
            Ok(HttpResponse::new(status, SdkBody::from(reply.body)))
        })
    }
}

/// Connects the SDK to the table at this address.
pub fn reached(config: Builder, url: &str) -> Builder {
    let connector = SharedHttpConnector::new(Wire(Http::new()));
    config
        .endpoint_url(url)
        .http_client(http_client_fn(move |_, _| connector.clone()))
}

/// A table's stream, read through its API.
pub struct TableStream {
    http: Http,
    url: String,
    arn: String,
    iterator: String,
}

impl TableStream {
    /// From the oldest record; `arn` is the stream's ARN.
    pub async fn open(url: &str, arn: &str) -> Self {
        let mut stream = Self {
            http: Http::new(),
            url: url.to_owned(),
            arn: arn.to_owned(),
            iterator: String::new(),
        };
        let described = stream
            .ask("DescribeStream", &json!({"StreamArn": arn}))
            .await;
        // This table's API has one shard; the host decides the function's number of shards.
        let shard = &described["StreamDescription"]["Shards"][0]["ShardId"];
        let from = json!({"StreamArn": arn, "ShardId": shard, "ShardIteratorType": "TRIM_HORIZON"});
        let begun = stream.ask("GetShardIterator", &from).await;
        stream.iterator = begun["ShardIterator"].as_str().unwrap().to_owned();
        stream
    }

    /// The records since the last read, in the form that a function gets, with `now` as their time.
    pub async fn read(&mut self, now: Timestamp) -> Vec<Value> {
        let mut records = Vec::new();
        loop {
            let page = json!({"ShardIterator": self.iterator});
            let page = self.ask("GetRecords", &page).await;
            self.iterator = page["NextShardIterator"].as_str().unwrap().to_owned();
            let news = page["Records"].as_array().unwrap();
            if news.is_empty() {
                return records;
            }
            records.extend(news.iter().cloned().map(|mut record| {
                record["eventSourceARN"] = self.arn.as_str().into();
                record["dynamodb"]["ApproximateCreationDateTime"] = now.epoch_s().into();
                record
            }));
        }
    }

    async fn ask(&self, operation: &str, body: &Value) -> Value {
        let request = Request::post(&self.url)
            .header(
                "x-amz-target",
                format!("DynamoDBStreams_20120810.{operation}"),
            )
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-date", "20261101T000000Z")
            .header(
                "authorization",
                "AWS4-HMAC-SHA256 Credential=a/b, SignedHeaders=c, Signature=d",
            )
            .body(Bytes::from(body.to_string()))
            .unwrap();
        let reply = self.http.send(request).await.unwrap();
        assert_eq!(reply.status, 200, "{operation}: {}", reply.text());
        reply.json().unwrap()
    }
}
