//! Settlement settings and push devices.

use super::{Context, create};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::merchant::{Merchant, MerchantState, PushTarget};
use crate::policy::DAY_S;
use crate::rejection::Rejection;
use crate::settlement::{self, SettlementChange};
use crate::transition::{NewPushTarget, PushChange, Transition};

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

    pub(super) fn put_push_target(&self, new: &NewPushTarget) -> Result<Transition, Rejection> {
        self.not_frozen()?;
        let state = &self.merchant.state;
        let known = state
            .push_targets
            .iter()
            .find(|target| target.id == new.target.id);
        if known.is_some_and(|known| known.is_same(&new.target)) {
            return Ok(Transition::none());
        }
        if known.is_some() {
            // Replacing a device also removes the old one, so the rule for a removal applies.
            self.fresh_login()?;
        } else if state.push_targets.len() >= self.policy.push_targets_max {
            return Err(Rejection::new(ErrorCode::StepOutOfOrder));
        }
        let mut after = self.counted_change()?;
        after
            .push_targets
            .retain(|target| target.id != new.target.id);
        let mut new = new.clone();
        new.target.registered_at = known.map_or(self.now, |known| known.registered_at);
        after.push_targets.push(new.target.clone());
        if known.is_some() {
            after.push_removed_at = Some(self.now);
        }
        let event = Event::PushTargetChanged(event::PushTargetChanged {
            push_target_id: new.target.id.clone(),
            platform: new.platform,
        });
        Ok(Transition {
            state: Some(after),
            event: Some(self.event(event, None)),
            push: Some(PushChange {
                removed: known.cloned(),
                added: Some(new),
            }),
            ..Transition::none()
        })
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
        Ok(Transition {
            state: Some(after),
            event: Some(self.event(event, None)),
            push: Some(PushChange {
                removed: Some(known.clone()),
                added: None,
            }),
            ..Transition::none()
        })
    }
}
