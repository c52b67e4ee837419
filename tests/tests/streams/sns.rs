//! A simulated SNS with failures, and the virtual clock that it uses.

use application::ports::{PortError, Pushed, SendPush, SendSms, SmsAnswer};
use domain::pii::Phone;
use domain::push::PushPlatform;
use domain::secret::Secret;
use domain::sms::Message;
use domain::time::Timestamp;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tests::in_process::InProcess;
use tests::scripted_peers::{PushBox, SmsBox};
use tokio::sync::Notify;

/// A clock that moves only on request.
#[derive(Clone, Debug)]
pub struct Clock(pub Arc<AtomicI64>);

impl Clock {
    pub fn now(&self) -> Timestamp {
        Timestamp::from_epoch_s(self.0.load(Ordering::Relaxed))
    }

    pub fn pass_s(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub fn wait_until(&self, then: Timestamp) {
        self.0.fetch_max(then.epoch_s(), Ordering::Relaxed);
    }
}

/// The behaviour of SNS on a publish.
#[derive(Clone, Copy, Debug)]
pub enum Weather {
    Fine,
    /// Refuses every publish.
    Down,
    /// Refuses every n-th publish.
    Throttled(usize),
    /// Takes this many seconds, then succeeds.
    Slow(i64),
    /// Takes this many seconds, which is longer than the client's timeout.
    Silent(i64),
    /// The function dies at the n-th publish, before or after SNS has the message.
    Deadly(usize, Moment),
    /// The function dies once at each message.
    AlwaysDeadly(Moment),
    /// Answers on request.
    Waits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    Before,
    After,
}

/// SMS and pushes, with a log of all messages.
#[derive(Clone)]
pub struct Sns {
    sms: SmsBox,
    push: PushBox,
    clock: Clock,
    weather: Arc<Mutex<Weather>>,
    /// The end of the function's timeout.
    pub deadline: Arc<Mutex<Timestamp>>,
    asked: Arc<AtomicUsize>,
    /// Time, recipient, text.
    pub messages: Arc<Mutex<Vec<(Timestamp, String, String)>>>,
    /// The messages at which the function has died.
    over: Arc<Mutex<BTreeSet<(String, String)>>>,
    /// The function died.
    pub died: Arc<Notify>,
    /// A publish waits for SNS.
    pub reached: Arc<Notify>,
    pub go_on: Arc<Notify>,
}

impl Sns {
    pub fn over(world: &Arc<InProcess>, clock: &Clock) -> Self {
        Self {
            sms: world.sms.clone(),
            push: world.push.clone(),
            clock: clock.clone(),
            weather: Arc::new(Mutex::new(Weather::Fine)),
            deadline: Arc::new(Mutex::new(clock.now())),
            asked: Arc::default(),
            messages: Arc::default(),
            over: Arc::default(),
            died: Arc::default(),
            reached: Arc::default(),
            go_on: Arc::default(),
        }
    }

    pub fn set(&self, weather: Weather) {
        self.asked.store(0, Ordering::Relaxed);
        self.over.lock().unwrap().clear();
        *self.weather.lock().unwrap() = weather;
    }

    async fn die(&self) {
        self.died.notify_one();
        std::future::pending().await
    }

    async fn publish<T>(
        &self,
        to: &str,
        text: &str,
        deliver: impl Future<Output = Result<T, PortError>>,
    ) -> Result<T, PortError> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed) + 1;
        let refused = |code: &str| Err(PortError::Transient("SNS", code.to_owned()));
        let message = (to.to_owned(), text.to_owned());
        let weather = *self.weather.lock().unwrap();
        let dies = match weather {
            Weather::Deadly(at, moment) if at == number => Some(moment),
            Weather::AlwaysDeadly(moment) => {
                self.over.lock().unwrap().insert(message).then_some(moment)
            }
            _ => None,
        };
        match weather {
            Weather::Down => return refused("ServiceUnavailable"),
            Weather::Throttled(every) if number.is_multiple_of(every) => {
                return refused("Throttling");
            }
            Weather::Slow(seconds) | Weather::Silent(seconds) => self.clock.pass_s(seconds),
            Weather::Waits => {
                self.reached.notify_one();
                self.go_on.notified().await;
            }
            _ => {}
        }
        if dies == Some(Moment::Before) {
            self.die().await;
        }
        if !matches!(weather, Weather::Silent(_)) {
            let line = (self.clock.now(), to.to_owned(), text.to_owned());
            self.messages.lock().unwrap().push(line);
        }
        let time_is_up = self.clock.now() >= *self.deadline.lock().unwrap();
        if time_is_up || dies == Some(Moment::After) {
            self.die().await;
        }
        if matches!(weather, Weather::Silent(_)) {
            return refused("no answer");
        }
        deliver.await
    }
}

impl SendSms for Sns {
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
        self.publish(phone.e164(), &message.text, self.sms.send(phone, message))
            .await
    }
}

impl SendPush for Sns {
    async fn push(
        &self,
        platform: PushPlatform,
        token: &Secret<String>,
        text: &str,
    ) -> Result<Pushed, PortError> {
        let pushed = self.push.push(platform, token, text);
        self.publish(token.expose(), text, pushed).await
    }
}
