//! A process is killed, with SIGKILL, at every call of every step: before the call is seen, and after it is done and
//! before its answer is. The processes are the compiled `bootstrap`s, the calls those to the table, to KMS, to SNS and to
//! the bank. Then another process takes over, the app repeats its request under the same key, the clean-up runs, and the
//! merchant has to end where a merchant ends whose processes were left alone.

#![allow(clippy::unwrap_used, missing_docs)]

mod picture;
mod survives;
mod walk;

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
use walk::{Checkpoint, Step, Walk};

/// How often one request is sent until it is given up.
const TRIES: usize = 3;
/// Of a step's points a sample takes every so many. It shares no factor with the two or four points of a call.
const STRIDE: usize = 7;

/// Where a process is killed.
struct Point {
    /// The step's place in the script.
    place: usize,
    step: Step,
    kill: Kill,
    /// The call's name.
    call: String,
    /// The app comes back after the clean-up's next run only.
    late: bool,
    /// A notice is out and not marked as sent.
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

/// How the app repeats a request.
#[derive(Clone, Copy, PartialEq, Eq)]
enum App {
    /// Under the same key.
    Careful,
    /// Under another one, as if it were new: what is lost then has to be noticed.
    Careless,
}

/// A step of a walk in which nothing is killed.
struct Plain {
    reply: Value,
    calls: Vec<String>,
}

/// What came of killing at all points.
#[derive(Default)]
struct Found {
    points: usize,
    lost: Vec<String>,
}

/// A script, and the walks through it.
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
    /// Walks through the script once, and leaves everything alone.
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
        // What the bank has said may be heard by the clean-up before the app comes back.
        let late = match asks_bank && step != Step::CleanUp {
            true => &[false, true][..],
            false => &[false],
        };
        for (index, call) in calls.iter().enumerate() {
            for moment in [Moment::Before, Moment::After] {
                let published = match moment {
                    Moment::Before => index > 0 && calls[index - 1] == "Publish",
                    Moment::After => call == "Publish",
                };
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
                        repeated: step == Step::Tell && published,
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
        if calls.iter().any(|call| call == "GenerateMac") {
            // One that has served before would not make that call: it keeps the hash keys that it has fetched.
            self.system.end(walk.function(&self.system, point.step));
        }
        let (reply, _) = walk
            .once(&self.system, point.step, &key, Some(point.kill))
            .await;
        if let Some(reply) = reply {
            return Err(format!("the process was to die, but said {reply:?}"));
        }
        if point.late {
            walk.pass_s(6 * MINUTE_S);
            walk.clean_up(&self.system).await?;
            // A code that came before that is dead by now.
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

    /// One step, repeated until it is answered for good; the answer must be the one of the plain walk.
    async fn step(&self, walk: &mut Walk, place: usize, app: App) -> Result<(), String> {
        let step = self.script[place];
        if matches!(step, Step::Pass(_)) {
            return Ok(());
        }
        let mut key = key_of(place);
        if app == App::Careless {
            key = format!("{key}, another one");
        }
        for _ in 0..TRIES {
            let (reply, _) = walk.once(&self.system, step, &key, None).await;
            let reply = reply.ok_or("a process died that nobody has killed")?;
            let retryable = reply.status >= 500 || reply.code() == "VERSION_CONFLICT";
            if retryable {
                continue;
            }
            let (got, wanted) = (of_reply(step, &reply), &self.plain[place].reply);
            if step != Step::CleanUp && got != *wanted {
                return Err(format!("{step:?} said {got} instead of {wanted}"));
            }
            return walk.take(&self.system, step, &key, &reply).await;
        }
        Err(format!("{step:?} was never answered for good"))
    }
}

async fn tried(what: &str, outcome: &str, script: &[Step], places: Range<usize>) {
    let trial = Trial::of(outcome, script, App::Careful).await;
    let found = trial.kill_at_all(places).await;
    let lost = found.lost.len();
    metric(&format!("processes killed: {what}"), found.points, lost);
    assert!(found.lost.is_empty(), "{}", found.lost.join("\n"));
}

/// Up to where the hold is over, the old card can go and the cooldown is over.
const REBIND: [Step; 17] = [
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
    Step::Tell,
    Step::PayOut,
    Step::TestTransfer,
    Step::Pass(31 * DAY_S),
    Step::CleanUp,
    Step::Tell,
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebind_survives_kill_at_any_call() {
    tried("a rebind", "match", &REBIND, 0..14).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cleanup_survives_kill_at_any_call() {
    tried("a clean-up", "match", &REBIND, 15..17).await;
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
        Step::Tell,
    ];
    // The steps up to the bank are those of every rebind.
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
        Step::Tell,
        Step::Pass(DAY_S),
        Step::LogIn,
        Step::AskSwitch,
        Step::Switch,
        Step::Tell,
    ];
    tried("a standby card and the switch", "match", &script, 7..14).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeze_survives_kill_at_any_call() {
    let script = [
        Step::LogIn,
        Step::Create,
        Step::Identity,
        Step::ConfirmIdentity,
        Step::Read,
        Step::Sign,
        Step::CheckCard,
        Step::ConfirmCard,
        Step::Tell,
        Step::Freeze,
        Step::Tell,
        Step::PayOut,
    ];
    tried("a freeze", "match", &script, 9..12).await;
}

/// What is looked for can be found: an app that does not keep its keys asks for a second rebind, and takes a second try.
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
