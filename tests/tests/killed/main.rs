//! Kills a process with SIGKILL at every call of every step: before the service receives the call, and after it executes the
//! call but before it replies. The processes are the compiled `bootstrap`s; the calls go to the table, KMS, SNS and the bank.
//! Then another process takes over, the app repeats its request with the same key and the clean-up runs. The merchant must
//! reach the same end as without a kill.

#![allow(clippy::unwrap_used, missing_docs)]

mod channels;
mod picture;
mod starts;
mod survives;

use domain::policy::{DAY_S, MINUTE_S};
use picture::{Picture, of_reply};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use tests::metrics::metric;
use tests::processes::Processes;
use tests::processes::cloud::{Kill, Moment};
use tests::sample::sample;
use tests::walk::{Checkpoint, Step, Walk};

/// The maximum number of attempts for one request.
const ATTEMPTS_MAX: usize = 3;
/// The stride of a sample over a step's points. It is coprime to the two or four points of a call.
const STRIDE: usize = 7;

/// A point at which a process is killed.
struct Point {
    /// The position of the step in the script.
    place: usize,
    step: Step,
    kill: Kill,
    /// The call's name.
    call: String,
    /// True if the app returns only after the next run of the clean-up.
    late: bool,
    /// True if a notification was sent but not marked as sent.
    repeated: bool,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            step, kill, call, ..
        } = self;
        write!(f, "{step:?}, {:?} call {} ({call})", kill.moment, kill.call)?;
        f.write_str(if self.late { ", clean-up first" } else { "" })
    }
}

/// The app's way of repeating a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum App {
    /// With the same key.
    Careful,
    /// With another key, as a new request. The resulting damage must be detected.
    Careless,
}

/// A step of a walk without a kill.
struct Plain {
    reply: Value,
    calls: Vec<String>,
}

/// The result of killing at all points.
#[derive(Default)]
struct Found {
    points: usize,
    lost: Vec<String>,
}

/// A script and the walks through it.
struct Trial<'s> {
    system: Processes,
    script: &'s [Step],
    app: App,
    plain: Vec<Plain>,
    checkpoints: Vec<Checkpoint>,
    wanted: Picture,
}

fn key_of(place: usize) -> String {
    format!("key {place}")
}

impl<'s> Trial<'s> {
    /// Walks through the script once, without a kill.
    async fn of(outcome: &str, script: &'s [Step], app: App) -> Self {
        let system = Processes::start().await;
        let mut walk = Walk::begin(&system, outcome).await;
        let (mut plain, mut checkpoints) = (Vec::new(), Vec::new());
        for (place, &step) in script.iter().enumerate() {
            checkpoints.push(Checkpoint::take(&system, &walk, place));
            let key = key_of(place);
            walk.look(&system);
            walk.prepare(&system, step).await;
            if matches!(step, Step::Pass(_)) {
                plain.push(Plain {
                    reply: Value::Null,
                    calls: Vec::new(),
                });
                continue;
            }
            system.end(walk.function(&system, step));
            let (reply, calls) = walk.once(&system, step, &key, None).await;
            let reply = reply.unwrap();
            assert!(reply.status < 500, "{step:?}: {reply:?} {:?}", system.log());
            walk.take(&system, step, &key, &reply).await.unwrap();
            let reply = of_reply(step, &reply);
            plain.push(Plain { reply, calls });
        }
        let wanted = Picture::of(&system, &mut walk).await.unwrap();
        Self {
            system,
            script,
            app,
            plain,
            checkpoints,
            wanted,
        }
    }

    /// The points of these steps: all, or a sample of each step's.
    fn points(&self, places: Range<usize>) -> Vec<Point> {
        let points = places.flat_map(|place| match self.app {
            App::Careful => sample(self.points_of(place), STRIDE, place),
            App::Careless => self.points_of(place),
        });
        points.collect()
    }

    fn points_of(&self, place: usize) -> Vec<Point> {
        let mut points = Vec::new();
        let step = self.script[place];
        let calls = &self.plain[place].calls;
        let asks_bank = calls.iter().any(|call| call.starts_with("bank"));
        // The clean-up may read the bank's answer before the app returns.
        let late = match asks_bank && step != Step::CleanUp {
            true => &[false, true][..],
            false => &[false],
        };
        for (index, call) in calls.iter().enumerate() {
            for moment in [Moment::Before, Moment::After] {
                let done = match moment {
                    Moment::Before => &calls[..index],
                    Moment::After => &calls[..=index],
                };
                // The mark is an update; the hand-over of an activation lies between the two.
                let mut done = done.iter().rev().map(String::as_str);
                let last = done.find(|call| ["Publish", "UpdateItem"].contains(call));
                let published = last == Some("Publish");
                for &late in late {
                    points.push(Point {
                        place,
                        step,
                        kill: Kill {
                            call: index + 1,
                            moment,
                        },
                        call: call.clone(),
                        late,
                        repeated: step == Step::Notify && published,
                    });
                }
            }
        }
        points
    }

    async fn kill_at_all(&self, places: Range<usize>) -> Found {
        let mut found = Found::default();
        for point in self.points(places) {
            found.points += 1;
            if let Err(lost) = self.kill_at(&point).await {
                found.lost.push(format!("{point}: {lost}"));
            }
        }
        found
    }

    async fn kill_at(&self, point: &Point) -> Result<(), String> {
        let mut walk = self.checkpoints[point.place].put_back(&self.system);
        walk.look(&self.system);
        walk.prepare(&self.system, point.step).await;
        let key = key_of(point.place);
        let calls = &self.plain[point.place].calls;
        let is_cached = |call: &String| call == "GenerateMac" || call == "GetSecretValue";
        if calls.iter().any(is_cached) {
            // A process that has served before would not make that call, because it caches the keys.
            self.system.end(walk.function(&self.system, point.step));
        }
        let (reply, _) = walk
            .once(&self.system, point.step, &key, Some(point.kill))
            .await;
        if let Some(reply) = reply {
            return Err(format!("the process must die, but replied {reply:?}"));
        }
        if point.late {
            walk.pass_s(6 * MINUTE_S);
            walk.clean_up(&self.system).await?;
            // An OTP sent before that has been replaced by now.
            walk.look(&self.system);
        }
        self.step(&mut walk, point.place, self.app).await?;
        walk.clean_up(&self.system).await?;
        for place in point.place + 1..self.script.len() {
            walk.look(&self.system);
            walk.prepare(&self.system, self.script[place]).await;
            self.step(&mut walk, place, App::Careful).await?;
        }
        let picture = Picture::of(&self.system, &mut walk).await?;
        picture
            .lost_against(&self.wanted, point.repeated)
            .map_or(Ok(()), Err)
    }

    /// One step, repeated until its answer is final. The answer must equal that of the plain walk.
    async fn step(&self, walk: &mut Walk, place: usize, app: App) -> Result<(), String> {
        let step = self.script[place];
        if matches!(step, Step::Pass(_)) {
            return Ok(());
        }
        let mut key = key_of(place);
        if app == App::Careless {
            key = format!("{key}, another one");
        }
        for _ in 0..ATTEMPTS_MAX {
            let (reply, _) = walk.once(&self.system, step, &key, None).await;
            let reply = reply.ok_or("a process died without a kill")?;
            let retryable = reply.status >= 500 || reply.code() == "VERSION_CONFLICT";
            if retryable {
                continue;
            }
            let (got, wanted) = (of_reply(step, &reply), &self.plain[place].reply);
            if step != Step::CleanUp && got != *wanted {
                return Err(format!("{step:?} returned {got} instead of {wanted}"));
            }
            return walk.take(&self.system, step, &key, &reply).await;
        }
        Err(format!("{step:?} got no final reply"))
    }
}

async fn tried(what: &str, outcome: &str, script: &[Step], places: Range<usize>) {
    let trial = Trial::of(outcome, script, App::Careful).await;
    let found = trial.kill_at_all(places).await;
    let lost = found.lost.len();
    metric(&format!("processes killed: {what}"), found.points, lost);
    assert!(found.lost.is_empty(), "{}", found.lost.join("\n"));
}

/// Continues until the hold is over, the old card is removed and the cooldown is over.
const REBIND: [Step; 18] = [
    Step::LogIn,
    Step::Create,
    Step::WrongDocument,
    Step::Identity,
    Step::WrongIdentityCode,
    Step::ConfirmIdentity,
    Step::Read,
    Step::Sign,
    Step::CheckCard,
    Step::WrongCardCode,
    Step::ConfirmCard,
    Step::Notify,
    Step::Publish,
    Step::PayOut,
    Step::TestTransfer,
    Step::Pass(31 * DAY_S),
    Step::CleanUp,
    Step::Notify,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebind_survives_kill_at_any_call() {
    tried("a rebind", "match", &REBIND, 0..15).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_survives_kill_at_any_call() {
    tried("a clean-up", "match", &REBIND, 16..18).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deposit_survives_kill_at_any_call() {
    let script = [
        Step::LogIn,
        Step::Create,
        Step::Identity,
        Step::ConfirmIdentity,
        Step::Read,
        Step::Sign,
        Step::CheckCard,
        Step::Pass(DAY_S),
        Step::LogIn,
        Step::WrongCardCode,
        Step::ConfirmCard,
        Step::Notify,
    ];
    // The steps up to the bank are the same in every rebind.
    tried("a micro-deposit", "not_enabled", &script, 6..12).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn standby_survives_kill_at_any_call() {
    let script = [
        Step::LogIn,
        Step::CreateStandby,
        Step::Identity,
        Step::ConfirmIdentity,
        Step::Read,
        Step::Sign,
        Step::CheckCard,
        Step::ConfirmCard,
        Step::Notify,
        Step::Pass(DAY_S),
        Step::LogIn,
        Step::AskSwitch,
        Step::Switch,
        Step::Notify,
    ];
    tried("a standby card and the switch", "match", &script, 7..14).await;
}

/// A change of the card with its notification, then these steps.
fn after_change(steps: &[Step]) -> Vec<Step> {
    let change = [
        Step::LogIn,
        Step::Create,
        Step::Identity,
        Step::ConfirmIdentity,
        Step::Read,
        Step::Sign,
        Step::CheckCard,
        Step::ConfirmCard,
        Step::Notify,
    ];
    [&change, steps].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_survives_kill_at_any_call() {
    let script = after_change(&[Step::Freeze, Step::Notify, Step::Publish, Step::PayOut]);
    tried("a freeze", "match", &script, 9..13).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_by_operator_survives_kill_at_any_call() {
    let script = after_change(&[Step::OperatorFreeze, Step::Notify]);
    tried("a freeze by an operator", "match", &script, 9..10).await;
}

/// Checks that the suite detects damage: an app that loses its keys requests a second rebind and reserves a second attempt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn careless_app_is_noticed() {
    let script = [
        Step::LogIn,
        Step::Create,
        Step::Identity,
        Step::WrongIdentityCode,
    ];
    let trial = Trial::of("match", &script, App::Careless).await;
    let found = trial.kill_at_all(1..4).await;
    let noticed = |step: &str| {
        found
            .lost
            .iter()
            .filter(|lost| lost.starts_with(step))
            .count()
    };
    let noticed = BTreeMap::from(["Create", "WrongIdentityCode"].map(|step| (step, noticed(step))));
    assert!(
        noticed.values().all(|count| *count > 0),
        "{noticed:?} of {}",
        found.points
    );
}
