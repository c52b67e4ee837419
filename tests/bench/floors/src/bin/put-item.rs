//! Puts one item: the least that a function with a table does. The SDK's defaults throughout.

use aws_sdk_dynamodb::types::AttributeValue;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use serde_json::{Value, json};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let config = aws_config::load_defaults(aws_config::BehaviorVersion::latest()).await;
    let client = &aws_sdk_dynamodb::Client::new(&config);
    let table = &std::env::var("TABLE")?;
    lambda_runtime::run(service_fn(async |_: LambdaEvent<Value>| {
        client
            .put_item()
            .table_name(table)
            .item("pk", AttributeValue::S("floor".to_owned()))
            .item("sk", AttributeValue::S("floor".to_owned()))
            .send()
            .await?;
        Ok::<_, Error>(json!({"statusCode": 200}))
    }))
    .await
}
