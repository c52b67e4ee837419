//! What administrators have stopped. Functions read it while they run, so that it takes effect without a deployment.

use crate::ports::{PortError, SendSms, SmsAnswer};
use domain::pii::Phone;
use domain::sms::Message;

/// `Retry-After` of a stopped change.
pub const STOPPED_RETRY_S: i64 = 300;

/// What is stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stopped {
    /// The changes of merchants ([`api::routes::Route::can_be_stopped`]).
    pub changes: bool,
    /// All SMS.
    pub sms: bool,
}

/// Reads what is stopped.
#[expect(async_fn_in_trait, reason = "only this workspace implements it")]
pub trait ReadSwitches {
    /// What is stopped; the answer may be some seconds old.
    async fn stopped(&self) -> Result<Stopped, PortError>;
}

/// Sends SMS unless they are stopped. A stopped SMS is one that the channel did not take: a code is refused, a notification waits.
#[derive(Clone, Debug)]
pub struct UnlessStopped<M, S> {
    sms: M,
    switches: S,
}

impl<M, S> UnlessStopped<M, S> {
    /// Through this channel, under these switches.
    pub const fn new(sms: M, switches: S) -> Self {
        Self { sms, switches }
    }
}

impl<M: SendSms, S: ReadSwitches> SendSms for UnlessStopped<M, S> {
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
        if self.switches.stopped().await?.sms {
            return Err(PortError::Transient("SMS", "stopped".to_owned()));
        }
        self.sms.send(phone, message).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Sent;

    impl SendSms for Sent {
        async fn send(&self, _: &Phone, _: &Message) -> Result<SmsAnswer, PortError> {
            Ok(SmsAnswer::Accepted)
        }
    }

    struct Switches(Result<Stopped, ()>);

    impl ReadSwitches for Switches {
        async fn stopped(&self) -> Result<Stopped, PortError> {
            let unread = |()| PortError::Permanent("the table", "AccessDenied".to_owned());
            self.0.map_err(unread)
        }
    }

    #[tokio::test]
    async fn no_sms_is_sent_while_they_are_stopped_or_it_is_unknown() {
        let phone = Phone::parse("+8613900000001").unwrap();
        let message = Message {
            template: "a template",
            values: Vec::new(),
            text: "a text".to_owned(),
        };
        for (switches, sends) in [
            (Ok(Stopped::default()), true),
            (
                Ok(Stopped {
                    changes: true,
                    sms: false,
                }),
                true,
            ),
            (
                Ok(Stopped {
                    changes: false,
                    sms: true,
                }),
                false,
            ),
            (Err(()), false),
        ] {
            let sms = UnlessStopped::new(Sent, Switches(switches));
            let sent = sms.send(&phone, &message).await;
            assert_eq!(sent.is_ok(), sends, "{switches:?}");
        }
    }
}
