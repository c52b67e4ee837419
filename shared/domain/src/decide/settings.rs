//! Settlement settings and push devices.

use super::{Context, create};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::merchant::{Merchant, MerchantState, PushTarget};
use crate::notification::{Notification, Recipient};
use crate::policy::DAY_S;
use crate::rejection::Rejection;
use crate::settlement::{self, SettlementChange};
use crate::transition::{NewEvent, NewPushTarget, PushChange, Transition};

impl Context<'_> {
    pub(super) fn change_settlement(
        &self,
        change: &SettlementChange,
    ) -> Result<Transition, Rejection> {
        self.not_frozen()?;
        self.fresh_login()?;
        let Merchant { state, profile, .. } = self.merchant;
        let next = settlement::check(
            change,
            profile.daily_limit_max_fen,
            profile.fee_rate_bp,
            profile.opened_at,
            self.now,
            self.policy,
        )?;
        create::check_quiet_period(self.merchant, self.policy, self.now)?;
        if next == state.settlement {
            return Ok(Transition::none());
        }
        let event = Event::SettlementChanged(event::SettlementChanged {
            before: state.settlement.clone(),
            after: next.clone(),
        });
        let mut after = self.counted_change()?;
        after.settlement = next;
        let event = self.notice(&mut after, event);
        Ok(Transition {
            state: Some(after),
            event: Some(event),
            ..Transition::none()
        })
    }

    /// The merchant state after one more setting change, unless the daily limit is reached.
    fn counted_change(&self) -> Result<MerchantState, Rejection> {
        let changes = &self.merchant.state.setting_changes;
        create::check_per_day(changes, self.policy.setting_changes_per_day, self.now)?;
        let mut after = self.changed_state();
        after.setting_changes.add(DAY_S, self.now);
        Ok(after)
    }

    /// Registers a push device, or replaces its token. The device that registered it refreshes the token in silence.
    pub(super) fn put_push_target(&self, new: &NewPushTarget) -> Result<Transition, Rejection> {
        self.not_frozen()?;
        let state = &self.merchant.state;
        let id = &new.target.id;
        let known = state.push_targets.iter().find(|target| target.id == *id);
        if known.is_some_and(|known| known.is_same(&new.target)) {
            self.known_device()?;
            return Ok(Transition::none());
        }
        let device = self.session().map(|session| session.device.tag.clone());
        let refreshed = known.filter(|known| Some(&known.device) == device.as_ref());
        let mut after = if refreshed.is_some() {
            self.known_device()?;
            self.changed_state()
        } else {
            self.fresh_login()?;
            if known.is_none() && state.push_targets.len() >= self.policy.push_targets_max {
                return Err(Rejection::new(ErrorCode::StepOutOfOrder));
            }
            self.counted_change()?
        };
        let target = PushTarget {
            device: device.unwrap_or_default(),
            registered_at: refreshed.map_or(self.now, |known| known.registered_at),
            ..new.target.clone()
        };
        after.push_targets.retain(|target| target.id != *id);
        after.push_targets.push(target.clone());
        if known.is_some() {
            after.push_removed_at = Some(self.now);
        }
        let facts = event::PushTargetChanged {
            push_target_id: id.clone(),
            platform: new.platform,
        };
        let event = if refreshed.is_some() {
            self.event(Event::PushTargetRefreshed(facts), None)
        } else {
            self.push_notice(&mut after, Event::PushTargetChanged(facts))
        };
        Ok(Transition {
            state: Some(after),
            event: Some(event),
            push: Some(PushChange {
                removed: known.cloned(),
                added: Some(NewPushTarget {
                    target,
                    ..new.clone()
                }),
            }),
            ..Transition::none()
        })
    }

    /// A notice about push devices. It reaches the device concerned, even if no other one is registered.
    fn push_notice(&self, after: &mut MerchantState, event: Event) -> NewEvent {
        let mut event = self.notice(after, event);
        let all = &mut event.notifications;
        if !all.iter().any(|one| one.to() == Recipient::Push) {
            all.push(Notification::Push {
                delivered: Vec::new(),
            });
        }
        event
    }

    /// Removes a push device. It keeps receiving notifications for some days, because an account thief would first silence
    /// the owner's devices.
    pub(super) fn remove_push_target(&self, id: &str) -> Result<Transition, Rejection> {
        let state = &self.merchant.state;
        let known = state.push_targets.iter().find(|target| target.id == id);
        let known: &PushTarget = known.ok_or_else(|| Rejection::new(ErrorCode::NotFound))?;
        self.not_frozen()?;
        self.fresh_login()?;
        let mut after = self.changed_state();
        after.push_targets.retain(|target| target.id != id);
        after.push_removed_at = Some(self.now);
        let event = Event::PushTargetRemoved(event::PushTargetRemoved {
            push_target_id: id.to_owned(),
        });
        let event = self.push_notice(&mut after, event);
        Ok(Transition {
            state: Some(after),
            event: Some(event),
            push: Some(PushChange {
                removed: Some(known.clone()),
                added: None,
            }),
            ..Transition::none()
        })
    }
}
