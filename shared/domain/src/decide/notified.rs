//! The hand-over of the owner's notification. Nothing takes effect before it.

use super::{Context, nothing_due};
use crate::history::event::{self, Event};
use crate::merchant::MerchantState;
use crate::rebind::{ActivatedCard, Activation, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::transition::Transition;
use crate::vocabulary::vocabulary;

vocabulary! {
    /// What counts as the hand-over of a notification.
    pub enum NotifiedBy {
        /// The provider accepted the SMS to the phone on file.
        Sms = "sms",
        /// A push service accepted the message to one of the owner's devices.
        Push = "push",
        /// The acquirer's operator has told the owner.
        Operator = "operator",
    }
}

impl Context<'_> {
    /// Records that the owner was notified of the rebind's activation, or of its standby card. A repetition changes nothing.
    /// `reason`: the operator's.
    pub(super) fn confirm_notified(
        &self,
        by: NotifiedBy,
        reason: Option<&str>,
    ) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        let number = rebind.rebind_id.number();
        let ahead = self.merchant.state.change_ahead(number, self.now);
        if !ahead.is_some_and(|ahead| ahead.waits) {
            return Err(nothing_due());
        }
        let mut state = self.changed_state();
        let activated = match &rebind.stage {
            RebindState::Activated(activated) if activated.times.waits => Some(activated),
            _ => None,
        };
        let times = activated.map(|activated| Activation {
            effective_at: activated.times.effective_if_notified(self.policy, self.now),
            waits: false,
            ..activated.times.clone()
        });
        let event = Event::ChangeNotified(event::ChangeNotified {
            rebind_id: rebind.rebind_id.clone(),
            by,
            effective_at: times.as_ref().map(|times| times.effective_at),
            reason: reason.map(str::to_owned),
        });
        let (Some(activated), Some(times)) = (activated, times) else {
            for standby in &mut state.standby {
                standby.waits &= standby.bound.card.card_id.number() != number;
            }
            return Ok(Transition {
                state: Some(state),
                event: Some(self.event(event, None)),
                ..Transition::none()
            });
        };
        self.start_hold(&mut state, rebind, &times);
        let stage = RebindState::Activated(ActivatedCard {
            times,
            test: activated.test.clone(),
        });
        Ok(self.advance(state, rebind, stage, event))
    }

    /// Counts everything that is counted from `effective_at` from the time that now holds.
    fn start_hold(&self, state: &mut MerchantState, rebind: &Rebind, times: &Activation) {
        let old_card = state.last_activation.as_mut().and_then(|last| {
            last.times = times.clone();
            last.old_card.clone()
        });
        for replaced in &mut state.replaced {
            if Some(&replaced.bound.card.card_id) == old_card.as_ref() {
                let kept_s = self.policy.retire_after_effective_s;
                replaced.removable_at = times.effective_at.plus_s(kept_s);
            }
        }
        let good_until = times
            .effective_at
            .plus_s(self.policy.freeze_after_effective_s);
        for code in &mut state.freeze_codes {
            if code.activation && code.rebind == Some(rebind.rebind_id.number()) {
                code.good_until = Some(good_until);
            }
        }
    }
}
