//! The change that a notification announces. It takes effect only after its notification was handed over.

use super::ConfirmationNotice;
use application::backoff::Limits;
use application::error::HandlerError;
use application::ports::{KeptPushTarget, LoadMerchant, PortError, Selector};
use application::transact::{Learned, Loaded, Start, Transactor, nothing_to_prepare};
use domain::decide::{Command, NotifiedBy};
use domain::history::{ChainedEvent, Event};
use domain::ids::MerchantId;
use domain::merchant::{ChangeAhead, Profile};
use domain::notification::Recipient;
use domain::policy::Policy;
use domain::reminder::{self, Reminder};
use domain::time::Timestamp;
use store::client::Table;
use store::outbox::LeasedNotification;

/// The announced change, as it is when the notification is sent.
pub(super) struct Announced {
    rebind: u32,
    rebind_created_at: Timestamp,
    /// `None` once the change has taken effect or was stopped.
    ahead: Option<ChangeAhead>,
    /// The clock of the business rules.
    now: Timestamp,
    /// The acquirer's record as read with the merchant; `None` for an unknown merchant.
    record: Option<Profile>,
    /// The merchant as read, for the hand-over.
    loaded: Option<Loaded>,
}

impl Announced {
    /// True until the notification is handed over.
    pub(super) fn waits(&self) -> bool {
        self.ahead.is_some_and(|ahead| ahead.waits)
    }

    /// The acquirer's record with the phones to notify.
    pub(super) fn record(&self) -> Option<Profile> {
        self.record.clone()
    }

    /// True if the change has neither taken effect nor been stopped.
    pub(super) const fn is_ahead(&self) -> bool {
        self.ahead.is_some()
    }

    /// True for a message that is tried until it is handed over, even if its phone is refused.
    pub(super) fn keeps(&self, to: Recipient) -> bool {
        to == Recipient::OnFile && self.waits()
    }

    /// The event with the time that holds if the notification is handed over now.
    pub(super) fn event(&self, event: &ChainedEvent, policy: &Policy) -> Event {
        let event = event.event().clone();
        match self.ahead {
            Some(ahead) => event.taking_effect_at(ahead.notified(policy, self.now).takes_effect_at),
            None => event,
        }
    }

    /// The reminder that follows this message.
    pub(super) fn next_reminder(
        &self,
        sent: Option<Reminder>,
        policy: &Policy,
    ) -> Option<(Reminder, Timestamp)> {
        let ahead = self.ahead?;
        reminder::next(policy, sent, self.now, ahead.takes_effect_at)
    }

    /// True if the device was the owner's before the rebind began.
    pub(super) fn trusts(&self, target: &KeptPushTarget, policy: &Policy) -> bool {
        let created_at = self.rebind_created_at;
        let is_old = |at: Timestamp| at.age_s_at(created_at) > policy.push_trusted_age_s;
        target.registered_at.is_some_and(is_old)
    }
}

impl<T: Table, K, M, P> ConfirmationNotice<T, K, M, P> {
    /// Reads the change that the event announces; `None` for another event.
    pub(super) async fn announced(
        &self,
        leased: &LeasedNotification,
        wall: Timestamp,
    ) -> Result<Option<Announced>, PortError> {
        let Some(rebind) = leased.event.event().announces() else {
            return Ok(None);
        };
        let now = self.business_time(leased, wall);
        let selector = Selector::Number(rebind);
        let merchant = self.store.load(&leased.event.merchant_id, selector).await?;
        let created_at = merchant
            .as_ref()
            .and_then(|merchant| merchant.numbered(rebind))
            .map(|rebind| rebind.created_at);
        Ok(Some(Announced {
            rebind,
            rebind_created_at: created_at.unwrap_or(leased.event.at),
            ahead: merchant
                .as_ref()
                .and_then(|merchant| merchant.state.change_ahead(rebind, now)),
            now,
            record: merchant.as_ref().map(|merchant| merchant.profile.clone()),
            loaded: merchant.map(Loaded::by_system),
        }))
    }

    /// The clock of the business rules. In the sandbox a request may have set it, so that the wall clock means nothing.
    fn business_time(&self, leased: &LeasedNotification, wall: Timestamp) -> Timestamp {
        if self.sandbox {
            leased.armed_at
        } else {
            leased.armed_at.max(wall)
        }
    }

    /// Records the hand-over, so that the change can take effect. A repetition changes nothing. Retried after any failure: a
    /// message whose hand-over is not recorded would be sent twice.
    pub(super) async fn hand_over(
        &self,
        merchant_id: &MerchantId,
        change: &mut Announced,
        by: NotifiedBy,
    ) -> Result<(), PortError> {
        let policy = self.store.policy();
        let (id, now) = (merchant_id.clone(), change.now);
        let limits = Limits {
            after_transient: true,
            ..Limits::REQUEST
        };
        let system = Transactor::system(&self.store, policy, id, now, limits);
        let plan = async |_: &Loaded, _: &Learned| Ok(Command::ConfirmNotified(by, None).into());
        let selector = Selector::Number(change.rebind);
        let start: Start<'_> = match change.loaded.take() {
            Some(loaded) => (selector, loaded).into(),
            None => selector.into(),
        };
        match system.transact(start, plan, nothing_to_prepare).await {
            Ok(_) => {
                change.ahead = change.ahead.map(|ahead| ahead.notified(policy, now));
                tracing::info!(notification.by = by.as_str(), "notification.handed_over");
                Ok(())
            }
            // Handed over before, perhaps by a write whose reply was lost, or the change was stopped meanwhile.
            Err(HandlerError::Rejected(_)) => {
                let merchant = self.store.load(merchant_id, selector).await?;
                change.ahead = merchant.and_then(|merchant| {
                    let state = &merchant.state;
                    state.change_ahead(change.rebind, now)
                });
                Ok(())
            }
            Err(error) => Err(error.into_port_error()),
        }
    }
}
