//! Events with the notifications that they cause.

use super::Context;
use crate::history::event::Event;
use crate::merchant::{MerchantState, Profile};
use crate::notification::{Notification, Recipient, is_for_trusted_devices, notification};
use crate::pii::Phone;
use crate::policy::DAY_S;
use crate::transition::NewEvent;

impl Context<'_> {
    /// An event about devices, push devices or settings. Over the daily limit it is pushed only.
    pub(super) fn notice(&self, state: &mut MerchantState, event: Event) -> NewEvent {
        let sent = state.notice_sms.count(DAY_S, self.now);
        let mut event = self.event(event, None);
        if sent >= self.policy.notice_sms_per_day {
            event
                .notifications
                .retain(|notification| notification.to() == Recipient::Push);
        } else if event
            .notifications
            .iter()
            .any(|notification| notification.to() == Recipient::OnFile)
        {
            state.notice_sms.add(DAY_S, self.now);
        }
        event
    }

    /// An event with the notifications of [`Self::event_for`], by the record before the command.
    pub(super) fn event(&self, event: Event, reserved: Option<&Phone>) -> NewEvent {
        self.event_for(&self.merchant.profile, event, reserved)
    }

    /// An event with a notification for each recipient that it has a message for: the phone on file, the previous one, the
    /// new card's phone where one is given and is another one, and push where a device is registered.
    pub(super) fn event_for(
        &self,
        profile: &Profile,
        event: Event,
        reserved: Option<&Phone>,
    ) -> NewEvent {
        let previous = profile.notified_previous_phone(self.now);
        let is_contact = |phone: &Phone| *phone == profile.phone_on_file || Some(phone) == previous;
        let reserved = reserved.filter(|reserved| !is_contact(reserved));
        let state = &self.merchant.state;
        let is_pushed = match is_for_trusted_devices(&event) {
            true => state.has_trusted_device(self.policy, self.now),
            false => state.receives_pushes(self.policy, self.now),
        };
        let all = [
            Some(Notification::OnFile),
            previous.map(|_| Notification::Previous),
            reserved.map(|reserved| Notification::Reserved(reserved.clone())),
            is_pushed.then(|| Notification::Push {
                delivered: Vec::new(),
            }),
        ];
        let is_sent = |to: Recipient| notification(&event, self.now, to).is_some();
        let notifications = all.into_iter().flatten();
        NewEvent {
            notifications: notifications
                .filter(|notification| is_sent(notification.to()))
                .collect(),
            at: self.now,
            event,
        }
    }
}
