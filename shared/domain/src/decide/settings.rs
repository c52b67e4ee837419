//! Settlement settings and push devices.

use super::day_limits::within_daily_limit;
use super::{Context, create, nothing_due, seconds_until};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::merchant::{FreezeCode, MerchantState, PendingSettlement, PushTarget, Settlement};
use crate::next_action::NextAction;
use crate::notification::{Notification, Recipient};
use crate::policy::DAY_S;
use crate::rejection::Rejection;
use crate::settlement::SettlementChange;
use crate::time::Timestamp;
use crate::transition::{NewEvent, NewPushTarget, PushChange, Transition};

impl Context<'_> {
    pub(super) fn change_settlement(
        &self,
        change: &SettlementChange,
    ) -> Result<Transition, Rejection> {
        self.not_frozen()?;
        self.fresh_login()?;
        let fee_rate_bp = self.merchant.profile.fee_rate_bp;
        let in_force = self.merchant.settlement(self.policy, self.now);
        let pending = self.merchant.pending_settlement(self.now);
        if let Some(pending) = pending
            && change.is(in_force, fee_rate_bp)
        {
            return Ok(self.drop_settlement(&pending.settings, true));
        }
        let next = self
            .merchant
            .check_settlement(change, self.policy, self.now)?;
        create::check_quiet_period(self.merchant, self.policy, self.now)?;
        self.check_no_hold()?;
        if next == *pending.map_or(in_force, |pending| &pending.settings) {
            return Ok(Transition::none());
        }
        let effective_at = self.now.plus_s(self.policy.settlement_wait_s);
        let mut after = self.counted_change()?;
        let freeze_code_seq = self.announce_settlement(&mut after, effective_at);
        let event = Event::SettlementChanged(event::SettlementChanged {
            before: in_force.clone(),
            after: next.clone(),
            effective_at,
            freeze_code_seq,
        });
        after.settlement = in_force.clone();
        after.pending_settlement = Some(PendingSettlement {
            settings: next,
            effective_at,
        });
        let event = if freeze_code_seq > self.merchant.state.last_seq {
            // No limit may keep a new freeze code from its owner.
            self.event(event, None)
        } else {
            self.notice(&mut after, event)
        };
        Ok(Transition {
            state: Some(after),
            event: Some(event),
            ..Transition::none()
        })
    }

    /// Refuses a change during a hold, because it could hold back payouts until the new card receives them.
    fn check_no_hold(&self) -> Result<(), Rejection> {
        let Some(last) = self.merchant.state.hold(self.now) else {
            return Ok(());
        };
        let until = last.times.effective_if_notified(self.policy, self.now);
        Err(Rejection::new(ErrorCode::HoldRunning)
            .retry_after(seconds_until(until, self.now))
            .next(&[NextAction::Wait]))
    }

    /// Issues the freeze code of settings that take effect at this time. The code of settings that are still ahead is
    /// announced again, so that codes do not pile up. Returns the sequence number of the event that announced it first.
    fn announce_settlement(&self, state: &mut MerchantState, effective_at: Timestamp) -> u64 {
        let valid_s = self.policy.freeze_after_effective_s;
        let good_until = Some(effective_at.plus_s(valid_s));
        let is_ahead = |code: &&mut FreezeCode| {
            code.rebind.is_none() && code.good_until > Some(self.now.plus_s(valid_s))
        };
        if let Some(code) = state.freeze_codes.iter_mut().find(is_ahead) {
            code.good_until = code.good_until.max(good_until);
            return code.seq;
        }
        self.issue_freeze_code(state, None, good_until, false);
        self.merchant.state.last_seq + 1
    }

    /// Clean-up: puts due settings in force. The limits decide again, because the record may have changed.
    pub(super) fn apply_settlement(&self) -> Result<Transition, Rejection> {
        let Some(due) = &self.merchant.state.pending_settlement else {
            return Err(nothing_due());
        };
        if self.now < due.effective_at {
            return Err(nothing_due());
        }
        if *self.merchant.settlement(self.policy, self.now) != due.settings {
            return Ok(self.drop_settlement(&due.settings, false));
        }
        let mut after = self.changed_state();
        self.end_pending_settlement(&mut after);
        let event = Event::SettlementApplied(event::SettlementApplied {
            settings: due.settings.clone(),
        });
        Ok(Transition {
            state: Some(after),
            event: Some(self.event(event, None)),
            ..Transition::none()
        })
    }

    fn drop_settlement(&self, settings: &Settlement, withdrawn: bool) -> Transition {
        let mut after = self.changed_state();
        self.end_pending_settlement(&mut after);
        let event = Event::SettlementDropped(event::SettlementDropped {
            settings: settings.clone(),
            withdrawn,
        });
        let event = match withdrawn {
            true => self.notice(&mut after, event),
            false => self.event(event, None),
        };
        Transition {
            state: Some(after),
            event: Some(event),
            ..Transition::none()
        }
    }

    /// Drops settings that have not taken effect. Settings that are due stay in force.
    pub(super) fn end_pending_settlement(&self, state: &mut MerchantState) {
        state.settlement = self.merchant.settlement(self.policy, self.now).clone();
        state.pending_settlement = None;
    }

    /// The merchant state after one more setting change, unless the daily limit is reached.
    fn counted_change(&self) -> Result<MerchantState, Rejection> {
        let changes = &self.merchant.state.setting_changes;
        let limit = self.policy.setting_changes_per_day;
        within_daily_limit(changes.wait_s(limit, DAY_S, self.now))?;
        let mut after = self.changed_state();
        after.setting_changes.add(DAY_S, self.now);
        Ok(after)
    }

    /// Registers a push device, or replaces its token. The device that registered it refreshes the token in silence, a few
    /// times a day.
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
        let refreshes_left = self.refreshes_left();
        let refreshed = known
            .filter(|known| Some(&known.device) == device.as_ref())
            .filter(|_| refreshes_left);
        let mut after = if refreshed.is_some() {
            self.known_device()?;
            let mut after = self.changed_state();
            after.push_refreshes.add(DAY_S, self.now);
            after
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

    /// True if another silent refresh is within the daily limit.
    fn refreshes_left(&self) -> bool {
        let refreshes = &self.merchant.state.push_refreshes;
        let limit = self.policy.push_refreshes_per_day;
        refreshes.wait_s(limit, DAY_S, self.now).is_none()
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
