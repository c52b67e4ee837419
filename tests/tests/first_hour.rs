//! The first hour in an AWS account, tried on the local cloud: the permissions of each role, events, alarms, the bank's key, and restored
//! tables, with changes of card in between. What the local cloud cannot answer stays open in the report.

use local::Architecture;
use local::first_hour::{Plan, run};

#[tokio::test(flavor = "multi_thread")]
async fn local_cloud_answers_as_expected() -> Result<(), local::Error> {
    let plan = Plan {
        stack: None,
        region: None,
        architecture: Architecture::Host,
        // All cases run in their own suite.
        cases: "happy::card_is_changed,events::".to_owned(),
        keep: false,
    };
    run(&plan).await
}
