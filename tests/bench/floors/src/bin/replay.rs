//! Sends the requests in its event over kept connections: a step of the product without its work. The requests of a group are
//! sent one after the other, and `concurrency` groups at once.

use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::Connector;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::HttpConnector;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use futures::stream::{self, StreamExt, TryStreamExt};
use http_body_util::BodyExt;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let connector = &Connector::builder()
        .sleep_impl(TokioSleep::new())
        .tls_provider(Provider::Rustls(CryptoMode::AwsLc))
        .build();
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let groups = event.payload["groups"].as_array().cloned().unwrap_or_default();
        let concurrency = event.payload["concurrency"].as_u64().unwrap_or(1);
        stream::iter(groups)
            .map(Ok)
            .try_for_each_concurrent(usize::try_from(concurrency)?, async |group: Value| {
                for request in group.as_array().into_iter().flatten() {
                    send(connector, request).await?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        Ok::<_, Error>(json!({"statusCode": 200}))
    }))
    .await
}

/// Sends one request and reads the whole reply.
async fn send(connector: &Connector, wanted: &Value) -> Result<(), Error> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut request = HttpRequest::new(SdkBody::from(text(&wanted["body"])));
    request.set_method("POST")?;
    request.set_uri(text(&wanted["url"]))?;
    for header in wanted["headers"].as_array().into_iter().flatten() {
        request
            .headers_mut()
            .insert(text(&header[0]), text(&header[1]));
    }
    let response = connector.call(request).await?;
    let status = response.status().as_u16();
    let body = response.into_body().collect().await?.to_bytes();
    if status != 200 {
        return Err(format!("status {status}: {}", String::from_utf8_lossy(&body)).into());
    }
    Ok(())
}
