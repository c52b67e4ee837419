//! The `settlement` function: wiring. What it does is in [`settlement`].

use application::crypto::HashPurpose;
use application::serve::{DeploymentStage, respond};
use aws::logging;
use aws::settings::{Aws, env};
use domain::policy::Policy;
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::Value;
use settlement::Settlement;
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let stage = &DeploymentStage::new(env("STAGE")?);
    let aws = Aws::connect().await;
    let keys = aws.keys()?;
    keys.warm(&[
        HashPurpose::Account,
        HashPurpose::Source,
        HashPurpose::Freeze,
        HashPurpose::Idempotency,
    ])
    .await?;
    let settlement = &Settlement::new(
        Store::new(aws.dynamodb(), env("TABLE")?, &Policy::CURRENT),
        keys,
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<Value>| {
        let event = event.payload;
        if is_direct(&event) {
            let done = Box::pin(settlement.direct(event, stage)).await;
            return done.map_err(Diagnostic::from);
        }
        // Tolerantly, as in the other functions: an event of a strange shape is a request for nothing.
        let request = serde_json::from_value(event).unwrap_or_default();
        let response = respond(settlement, stage, request).await;
        serde_json::to_value(response).map_err(|error| Diagnostic::from(Error::from(error)))
    }))
    .await
}

/// Whether the acquirer's core invokes the function itself. What comes through the gateway always has a `requestContext`,
/// which no caller can leave out, so that nothing typed into a request is taken for the core's.
fn is_direct(event: &Value) -> bool {
    event.get("requestContext").is_none()
}

#[cfg(test)]
mod tests {
    use super::is_direct;
    use serde_json::json;

    #[test]
    fn what_comes_through_the_gateway_is_never_the_cores() {
        for context in [json!({"http": {}}), json!(null)] {
            assert!(!is_direct(
                &json!({"operation": "payout_sent", "requestContext": context})
            ));
        }
        // Anything else is the core's, and is refused as such when it is no operation.
        for event in [json!({"operation": "payout_sent"}), json!({}), json!([])] {
            assert!(is_direct(&event));
        }
    }
}
