//! Changes of the acquirer's record, made by its operator.

use super::{Context, nothing_due, with_stage};
use crate::contact::{
    ContactChange, ContactValue, DocumentRenewal, PreviousPhoneRule, RecordChange, TierChange,
};
use crate::error_code::ErrorCode;
use crate::format::DocumentExpiry;
use crate::history::event::{self, Event, Nullable};
use crate::merchant::{MerchantState, PreviousPhone, Profile};
use crate::rebind::{End, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::transition::{EndedSessions, Transition};

impl Context<'_> {
    /// Changes phone, password, name or document. A thief who talked the acquirer into it gains no open rebind and no
    /// session, has to wait, and is announced to the previous phone.
    pub(super) fn change_contact(&self, change: &ContactChange) -> Result<Transition, Rejection> {
        let mut profile = self.next_profile();
        if change.previous_phone == PreviousPhoneRule::Drop {
            profile.previous_phone = None;
        }
        let mut password_hash = None;
        match &change.value {
            ContactValue::Phone(phone) => {
                self.change_phone(&mut profile, phone, change.previous_phone)?;
            }
            ContactValue::Password(hash) => password_hash = Some(hash.clone()),
            ContactValue::Name {
                legal_name,
                settlement_name,
            } => {
                profile.legal_name = legal_name.clone();
                profile.settlement_name.clone_from(settlement_name);
                let before = &self.merchant.profile;
                let names = |profile: &Profile| {
                    (profile.legal_name.clone(), profile.settlement_name.clone())
                };
                if names(&profile) == names(before) {
                    return Err(nothing_due());
                }
            }
            ContactValue::Document(document) => {
                let mut hashes =
                    std::iter::once(&document.number_mac).chain(&document.previous_mac);
                if hashes.any(|hash| *hash == profile.id_number_mac) {
                    return Err(nothing_due());
                }
                profile.document_type = document.document_type;
                profile.id_number_mac = document.number_mac.clone();
                profile.sealed_id_number.clone_from(&document.sealed_number);
                profile.id_expires_on = document.expires_on;
            }
        }
        let mut state = self.changed_state();
        state.record_version = profile.version;
        state.security_changed_at = state.security_changed_at.max(Some(self.now));
        state.sessions = Default::default();
        self.end_pending_settlement(&mut state);
        // The change takes effect at once.
        let good_until = self.now.plus_s(self.policy.freeze_after_effective_s);
        self.issue_freeze_code(&mut state, None, Some(good_until), false);
        let ended = self.end_open_rebind(&mut state)?;
        let event = Event::SecurityChanged(event::SecurityChanged {
            change: change.value.field(),
            by: change.by.clone(),
            reason: change.reason.clone(),
            rebind_id: Nullable(ended.as_ref().map(|rebind| rebind.rebind_id.clone())),
        });
        Ok(Transition {
            event: Some(self.event_for(&profile, event, None)),
            state: Some(state),
            rebind: ended,
            record: Some(Box::new(RecordChange {
                profile,
                password_hash,
            })),
            ends_sessions: EndedSessions::All,
            ..Transition::none()
        })
    }

    fn next_profile(&self) -> Profile {
        let mut profile = self.merchant.profile.clone();
        profile.version += 1;
        profile
    }

    fn change_phone(
        &self,
        profile: &mut Profile,
        phone: &crate::pii::Phone,
        rule: PreviousPhoneRule,
    ) -> Result<(), Rejection> {
        if profile.notified_previous_phone(self.now).is_some() {
            // Two changes in a row would silence the phone of the owner.
            return Err(Rejection::new(ErrorCode::StepOutOfOrder));
        }
        let before = std::mem::replace(&mut profile.phone_on_file, phone.clone());
        if before == *phone {
            return Err(nothing_due());
        }
        let keeps = rule == PreviousPhoneRule::Keep;
        profile.previous_phone = keeps.then(|| PreviousPhone {
            phone: before,
            until: self.now.plus_s(self.policy.previous_phone_s),
        });
        Ok(())
    }

    /// Ends the open rebind, whose steps were made with the old contact.
    pub(super) fn end_open_rebind(
        &self,
        state: &mut MerchantState,
    ) -> Result<Option<Rebind>, Rejection> {
        let Some(number) = state.open.take() else {
            return Ok(None);
        };
        let open = self.merchant.numbered(number);
        let open = open.ok_or_else(|| Rejection::new(ErrorCode::VersionConflict).retry_after(1))?;
        let stage = if open.is_overdue(self.now) {
            self.expired(open)
        } else {
            RebindState::Ended {
                how: End::Cancelled,
                at: self.now,
                reason: Some(ErrorCode::QuietPeriod),
            }
        };
        Ok(Some(Rebind {
            sealed_number: None,
            ..with_stage(state, open, stage)
        }))
    }

    /// Changes the tier. A daily limit above the new tier falls to it at once.
    pub(super) fn change_tier(&self, change: &TierChange) -> Result<Transition, Rejection> {
        let mut profile = self.next_profile();
        let before_fen = profile.daily_limit_max_fen;
        let after_fen = change.daily_limit_max_fen;
        if after_fen == before_fen || (after_fen > before_fen && !change.may_rise) {
            return Err(Rejection::new(ErrorCode::StepOutOfOrder));
        }
        profile.daily_limit_max_fen = after_fen;
        let mut state = self.changed_state();
        let pending = state.pending_settlement.as_ref();
        if pending.is_some_and(|pending| pending.effective_at <= self.now) {
            // They are in force, although the clean-up has not recorded it.
            self.end_pending_settlement(&mut state);
        }
        let settings = &mut state.settlement;
        settings.daily_limit_fen = settings.daily_limit_fen.min(after_fen);
        settings.retained_fen = settings.retained_fen.min(settings.daily_limit_fen);
        let event = Event::TierChanged(event::TierChanged {
            by: change.by.clone(),
            reason: change.reason.clone(),
            before_fen,
            after_fen,
        });
        Ok(self.changed_record(profile, state, event))
    }

    /// Records a later date of the same document.
    pub(super) fn renew_document(
        &self,
        renewal: &DocumentRenewal,
    ) -> Result<Transition, Rejection> {
        let mut profile = self.next_profile();
        if renewal.number_mac != profile.id_number_mac
            || !is_later(renewal.expires_on, profile.id_expires_on)
        {
            return Err(Rejection::new(ErrorCode::StepOutOfOrder));
        }
        profile.id_expires_on = renewal.expires_on;
        let event = Event::DocumentRenewed(event::DocumentRenewed {
            by: renewal.by.clone(),
        });
        Ok(self.changed_record(profile, self.changed_state(), event))
    }

    /// The record changes, and nothing of it concerns the login.
    fn changed_record(
        &self,
        profile: Profile,
        mut state: MerchantState,
        event: Event,
    ) -> Transition {
        state.record_version = profile.version;
        Transition {
            event: Some(self.event_for(&profile, event, None)),
            state: Some(state),
            record: Some(Box::new(RecordChange {
                profile,
                password_hash: None,
            })),
            ..Transition::none()
        }
    }
}

fn is_later(next: DocumentExpiry, before: DocumentExpiry) -> bool {
    match (next, before) {
        (DocumentExpiry::On(next), DocumentExpiry::On(before)) => before.days_until(next) > 0,
        (DocumentExpiry::LongTerm, DocumentExpiry::On(_)) => true,
        (_, DocumentExpiry::LongTerm) => false,
    }
}
