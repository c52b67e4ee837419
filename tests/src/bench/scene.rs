//! The measured steps: one whole rebind, with the state before each step, so that a step can be repeated at will.

use super::capacity::{PerRebind, Stored};
use crate::processes::Processes;
pub use crate::walk::is_request;
use crate::walk::{Checkpoint, Step, Walk};
use domain::policy::{DAY_S, HOUR_S};
use serde_json::Value;

/// A step that can be repeated.
pub struct Moment {
    /// The step.
    pub step: Step,
    /// The function that it invokes.
    pub function: String,
    /// Its event.
    pub event: Value,
    /// The number of services with which the function shakes hands beside DynamoDB and KMS.
    pub further_endpoints: u8,
    before: Checkpoint,
}

impl Moment {
    /// Restores the state before the step.
    pub fn restore(&self, system: &Processes) {
        let _ = self.before.put_back(system);
    }
}

/// The steps that the peers also have.
pub const PEER_STEPS: [Step; 2] = [Step::ListCards, Step::Create];

/// The order of the steps. A step of `false` is only prepared and not walked: it would end the rebind.
const SCRIPT: [(Step, bool); 20] = [
    (Step::LogIn, true),
    (Step::ListCards, true),
    (Step::Settings, true),
    (Step::Create, true),
    (Step::Publish, true),
    (Step::Identity, true),
    (Step::ConfirmIdentity, true),
    (Step::Read, true),
    (Step::Sign, true),
    (Step::CheckCard, true),
    (Step::ConfirmCard, true),
    (Step::Notify, true),
    (Step::PayOut, true),
    (Step::Freeze, false),
    (Step::Pass(8 * HOUR_S), true),
    (Step::CleanUp, true),
    (Step::Notify, true),
    (Step::Pass(DAY_S), true),
    (Step::LogIn, true),
    (Step::TestTransfer, true),
];

/// A walk through one rebind.
pub struct Scene {
    /// Its steps.
    pub moments: Vec<Moment>,
    /// What was stored before it.
    pub empty: Stored,
    /// What was stored after it.
    pub after: Stored,
    /// What it used.
    pub uses: PerRebind,
}

/// Walks through one rebind.
///
/// # Panics
/// When a step fails.
pub async fn walk(system: &Processes) -> Scene {
    let mut walk = Walk::begin(system, "match").await;
    let empty = Stored::of(system);
    let mut moments = Vec::new();
    let mut uses = PerRebind::default();
    for (place, (step, is_walked)) in SCRIPT.into_iter().enumerate() {
        walk.look(system);
        walk.prepare(system, step).await;
        if matches!(step, Step::Pass(_)) {
            continue;
        }
        let key = format!("key-{place}");
        let before = Checkpoint::take(system, &walk, place);
        moments.push(Moment {
            step,
            function: walk.function(system, step).to_owned(),
            event: walk.event(step, &key),
            further_endpoints: further_endpoints(step),
            before,
        });
        if is_walked {
            let _ = system.cloud.traffic.take();
            let (reply, _) = walk.once(system, step, &key, None).await;
            let used = system.cloud.traffic.take();
            let reply = reply.unwrap();
            assert!(reply.status < 300, "{step:?}: {reply:?} {:?}", system.log());
            walk.take(system, step, &key, &reply).await.unwrap();
            // A publish to the topic is no SMS.
            if step != Step::Publish {
                uses.wru += used.wru;
                uses.kms += f64::from(used.kms_calls);
                uses.sms += f64::from(used.sms);
            }
        }
    }
    Scene {
        moments,
        empty,
        after: Stored::of(system),
        uses,
    }
}

const fn further_endpoints(step: Step) -> u8 {
    match step {
        // SNS.
        Step::Identity | Step::Notify => 1,
        // Secrets Manager and the bank.
        Step::TestTransfer | Step::CleanUp => 2,
        // Both.
        Step::CheckCard => 3,
        _ => 0,
    }
}
