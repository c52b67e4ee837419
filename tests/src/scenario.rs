//! The initial states of test cases: an in-process system, a logged-in sandbox merchant and that merchant's progress.

use crate::in_process::{App, InProcess};
use crate::merchant::GOOD_CARD;
use domain::policy::Policy;
use std::sync::Arc;

/// The system, the merchant, and the path of its rebind or card.
pub type Scenario = (Arc<InProcess>, App, String);

/// A requested rebind.
pub async fn requested(name: &str) -> Scenario {
    let (system, app) = InProcess::with(name).await;
    let rebind = app.request(GOOD_CARD).await;
    (system, app, rebind)
}

/// A rebind that is ready for the card check.
pub async fn card_pending(name: &str) -> Scenario {
    let (system, app) = InProcess::with(name).await;
    let rebind = app.to_card_pending(GOOD_CARD).await;
    (system, app, rebind)
}

/// A rebind with a micro-deposit sent.
pub async fn deposit_sent(name: &str) -> Scenario {
    let (system, app) = InProcess::with(name).await;
    let rebind = app.deposit(GOOD_CARD).await;
    (system, app, rebind)
}

/// An activated rebind in its hold.
pub async fn activated(name: &str) -> Scenario {
    let (system, app) = InProcess::with(name).await;
    let rebind = app.activate(GOOD_CARD).await;
    (system, app, rebind)
}

/// A standby card that is ready for a switch, with its notifications delivered and a fresh login.
pub async fn standby_ready(name: &str) -> Scenario {
    let (system, app) = InProcess::with(name).await;
    let card = app.standby(GOOD_CARD).await;
    system.deliver_due().await;
    system.pass_s(Policy::CURRENT.standby_wait_s);
    (system, app.again().await, card)
}
