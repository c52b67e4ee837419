//! The `confirmation-notice` function: wiring. Its use case is in [`confirmation_notice`].

use application::ports::HashKey;
use application::serve::{DeploymentStage, wall_clock};
use aws::logging;
use aws::settings::{Aws, env};
use confirmation_notice::{ConfirmationNotice, StreamEvent};
use domain::policy::Policy;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::Store;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::connect().await;
    let keys = aws.keys(&[HashKey::Freeze])?;
    keys.warm().await?;
    let notice = &ConfirmationNotice::new(
        Store::new(
            aws.dynamodb(),
            env("TABLE")?,
            env("RECORD_TABLE")?,
            &Policy::CURRENT,
        ),
        keys,
        aws.sms()?,
        aws.push(),
        DeploymentStage::new(env("STAGE")?).is_sandbox(),
    );
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        let handled = notice.handle(event.payload, wall_clock);
        Ok::<_, Error>(Box::pin(handled).await)
    }))
    .await
}
