//! The `confirmation-notice` function: wiring. Its use case is in [`confirmation_notice`].

use application::init;
use application::ports::HashKey;
use application::serve::{DeploymentStage, wall_clock};
use application::stream::StreamEvent;
use aws::logging;
use aws::settings::{Aws, env};
use confirmation_notice::ConfirmationNotice;
use domain::policy::Policy;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    let keys = aws.keys(&[HashKey::Freeze])?;
    init::warm(&store, &keys).await;
    let notice = &ConfirmationNotice::new(
        store,
        keys,
        aws.sms()?,
        aws.push(),
        DeploymentStage::new(env("STAGE")?).is_sandbox(),
    );
    let _ = notice.usage(); // what init used belongs to no batch
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        let handled = notice.handle(event.payload, wall_clock);
        Ok::<_, Error>(Box::pin(handled).await)
    }))
    .await
}
