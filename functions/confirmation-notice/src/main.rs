//! The `confirmation-notice` function: wiring. Its use case is in [`confirmation_notice`].

use application::clock::wall_clock;
use application::init;
use application::ports::HashKey;
use application::stream::StreamEvent;
use application::switches::UnlessStopped;
use aws::settings::{Aws, env};
use aws::{logging, runtime};
use confirmation_notice::ConfirmationNotice;
use domain::policy::Policy;
use lambda_runtime::{Error, LambdaEvent, service_fn};
use message::Channel;
use store::{Store, Tables};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    logging::init();
    let aws = Aws::from_environment()?;
    let store = Store::new(aws.dynamodb(), Tables::read(env)?, &Policy::CURRENT);
    let keys = aws.keys(&[HashKey::Freeze])?;
    let deployment = runtime::deployment()?;
    let sms = UnlessStopped::new(Channel::connect(&aws)?, store.clone());
    init::warm(&store, &keys, &deployment).await?;
    let notice = &ConfirmationNotice::new(store, keys, sms, aws.push(), deployment.is_sandbox());
    let _ = notice.usage(); // what init used belongs to no batch
    lambda_runtime::run(service_fn(async |event: LambdaEvent<StreamEvent>| {
        let handled = notice.handle(event.payload, wall_clock);
        Ok::<_, Error>(Box::pin(handled).await)
    }))
    .await
}
