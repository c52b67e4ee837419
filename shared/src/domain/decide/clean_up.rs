//! What time alone brings about. The clean-up writes it down and announces it; whoever reads in between computes the same
//! from the times, so a late clean-up changes nothing for anybody.

use super::{Context, object};
use crate::domain::code::Code;
use crate::domain::event_kind::EventKind;
use crate::domain::rebind::{End, Stage};
use crate::domain::rejection::Rejection;
use crate::domain::transition::{Notice, Recipient, Transition};

impl Context<'_> {
    pub(super) fn expire(&self) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        if !rebind.is_overdue(self.now) {
            return Err(nothing_due());
        }
        let stage = Stage::Ended {
            how: End::Expired,
            at: self.now,
            reason: None,
        };
        Ok(self.advance(rebind, stage, EventKind::Expired, object([])))
    }

    pub(super) fn complete(&self) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        match &rebind.stage {
            Stage::Activated(activation) if self.now >= activation.effective_at => {
                let stage = Stage::Completed {
                    activation: Some(activation.clone()),
                };
                Ok(self.advance(rebind, stage, EventKind::Completed, object([])))
            }
            _ => Err(nothing_due()),
        }
    }

    pub(super) fn end_cooldown(&self) -> Result<Transition, Rejection> {
        let head = &self.state.head;
        let over = head.cooldown_until.is_some_and(|until| self.now >= until);
        if !(over && head.cooldown_end_untold) {
            return Err(nothing_due());
        }
        let mut after = self.changed_head();
        after.cooldown_end_untold = false;
        let mut event = self.event(EventKind::CooldownEnded, object([]));
        event.notices.push(Notice {
            to: Recipient::OnFile,
            phone: self.state.profile.phone_on_file.clone(),
        });
        Ok(Transition {
            head: Some(after),
            event: Some(event),
            ..Transition::none()
        })
    }
}

/// Done already, or too early: to the clean-up both mean "leave it".
const fn nothing_due() -> Rejection {
    Rejection::new(Code::StepOutOfOrder)
}
