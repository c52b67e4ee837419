//! A change of card with each channel of SMS: SNS, a gateway, and an outbox.

use application::clock::wall_clock;
use store::seed::World;
use tests::merchant::{GOOD_CARD, Merchant, merchant};
use tests::processes::{Options, Processes};
use tests::transport::{Transport as _, freeze_code_in};

async fn system(channel: &'static str) -> Processes {
    let system = Processes::with(Options {
        channel: Some(channel),
        ..Options::default()
    })
    .await;
    let merchants = World::sandbox().unwrap().merchants;
    let seed = merchants
        .iter()
        .find(|seed| seed.account == merchant("plain_1").account);
    system.cloud.seed(seed.unwrap(), wall_clock()).await;
    system
}

#[tokio::test]
async fn each_channel_carries_codes_and_notifications() {
    for channel in ["sns", "gateway", "outbox"] {
        let system = system(channel).await;
        let profile = merchant("plain_1");
        let app = Merchant::log_in(&system, &profile, "a phone").await;
        app.activate(GOOD_CARD).await;
        system.deliver_notifications().await;
        let texts = system.sms(&profile.phone).await;
        let last = texts.last().unwrap_or_else(|| panic!("{channel}: no SMS"));
        assert!(freeze_code_in(last).is_some(), "{channel}: {last}");
        // A channel that is not chosen carries nothing.
        let through_sns = system.cloud.texts.to(&profile.phone);
        assert_eq!(through_sns.is_empty(), channel != "sns", "{channel}");
        let log = system.log().join("\n");
        let leaked = texts.iter().any(|text| log.contains(text.as_str()));
        assert!(!leaked, "{channel}: a text is in the log");
    }
}
