//! Wires the `sandbox-gateway` function.

use api::event::HttpEvent;
use application::serve::Deployment;
use aws::logging;
use aws::settings::{Aws, env};
use lambda_runtime::{Error, LambdaEvent, service_fn};
use message::outbox::Outbox;
use partner::PartnerKey;
use partner::key_ring::Version;
use sandbox_gateway::SandboxGateway;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    // It sends nothing, so it must never stand where merchants wait for messages.
    if !Deployment::new(env("STAGE")?).is_sandbox() {
        return Err("the sandbox gateway requires STAGE=sandbox".into());
    }
    let aws = Aws::from_environment()?;
    let (secrets, secret_id) = (aws.secrets(), env("GATEWAY_SECRET_ID")?);
    let key = PartnerKey::load(&secrets, &secret_id, Version::Current);
    let gateway = &SandboxGateway::new(
        key.await?,
        Outbox::new(aws.dynamodb(), env("OUTBOX_TABLE")?, aws.sms_signature()?),
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<HttpEvent>| {
        Ok::<_, Error>(gateway.handle(&event.payload.into()).await)
    }))
    .await
}
