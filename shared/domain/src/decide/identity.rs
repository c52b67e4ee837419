//! The identity step: compares the ID document with the record and sends a code to the phone on file. Only this code
//! authorises the change, because an attacker could choose the contacts of the new card.

use super::{Context, of_rebind};
use crate::error_code::ErrorCode;
use crate::format::document_expiry::DocumentExpiry;
use crate::history::event::{CodeSent, Event};
use crate::merchant::Merchant;
use crate::next_action::NextAction;
use crate::policy::DAY_S;
use crate::rebind::{Mac, Otp, OtpPurpose, Rebind, RebindState, SentOtp};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::{OtpDelivery, Outcome, Transition};

/// The document as typed, with each field parsed separately.
#[derive(Clone, Debug)]
pub struct Document {
    /// Keyed hash of kind and number under the version of the record's hash, or the error of the number.
    /// `REQUEST_MALFORMED`: the kind is not a known word.
    pub number: Result<Mac, ErrorCode>,
    /// The expiry date, or its error.
    pub expires_on: Result<DocumentExpiry, ErrorCode>,
}

impl Context<'_> {
    pub(super) fn check_document(
        &self,
        document: &Document,
        fresh: &Otp,
    ) -> Result<Transition, Rejection> {
        let rebind =
            self.open_rebind(|stage| matches!(stage, RebindState::IdentityPending { .. }))?;
        let RebindState::IdentityPending {
            mismatches,
            matched,
            code,
            attempts,
        } = &rebind.stage
        else {
            return Err(self.out_of_order(rebind));
        };
        let (number, expires_on) = fields(document)?;

        let profile = &self.merchant.profile;
        let wait_s = self.merchant.state.id_mismatches.wait_s(
            self.policy.id_mismatches_per_day,
            DAY_S,
            self.now,
        );
        if let Some(wait_s) = wait_s {
            // The day's attempts are used up, so the document is not compared. Another rebind would not help.
            let refusal = Rejection::new(ErrorCode::IdMismatch)
                .counted(0)
                .not_counted();
            let mut transition = self.reject(self.changed_state(), rebind, refusal.clone(), None);
            let refusal = refusal.retry_after(wait_s).next(&[NextAction::Wait]);
            transition.outcome = Outcome::Refused(Box::new(refusal));
            return Ok(transition);
        }
        if *number != profile.id_number_mac || *expires_on != profile.id_expires_on {
            let stage = RebindState::IdentityPending {
                mismatches: mismatches.saturating_add(1),
                matched: *matched,
                code: code.clone(),
                attempts: attempts.clone(),
            };
            return Ok(self.document_mismatch(rebind, mismatches.saturating_add(1), stage));
        }
        check_document_valid(self.merchant, self.now)?;
        if code
            .as_ref()
            .is_some_and(|code| code.is_valid_at(self.policy, self.now))
        {
            // A repeated request gets the same challenge. Nothing is sent or changed.
            return Ok(Transition::none());
        }
        if attempts.reserved >= self.policy.code_attempts {
            return self.no_attempts_left(rebind, OtpPurpose::Identity, attempts);
        }
        let stage = RebindState::IdentityPending {
            mismatches: *mismatches,
            matched: true,
            code: Some(self.sent(fresh)),
            attempts: attempts.clone(),
        };
        let event = Event::IdentityMatched(of_rebind(rebind));
        let mut transition = self.advance(self.changed_state(), rebind, stage, event);
        transition.otp_delivery = Some(self.send_on_file(rebind, OtpPurpose::Identity, fresh));
        Ok(transition)
    }

    /// Counts toward the limit. The refusal never reveals which of number, expiry or daily limit failed.
    fn document_mismatch(
        &self,
        rebind: &Rebind,
        mismatches: u8,
        counted: RebindState,
    ) -> Transition {
        let today = self.merchant.state.id_mismatches.count(DAY_S, self.now) + 1;
        let limit = self.policy.id_mismatches_per_day;
        let left_today = limit.saturating_sub(today);
        let left_here = self
            .policy
            .id_mismatches_per_rebind
            .saturating_sub(mismatches);
        let left = left_here.min(u8::try_from(left_today).unwrap_or(u8::MAX));
        let refusal = Rejection::new(ErrorCode::IdMismatch).counted(left);
        let mut state = self.changed_state();
        state.id_mismatches.add(DAY_S, self.now);
        let wait_s = state.id_mismatches.wait_s(limit, DAY_S, self.now);
        let mut transition = if left == 0 {
            self.reject(state, rebind, refusal, None)
        } else {
            let event = Event::IdentityMismatched(of_rebind(rebind));
            let refusal = refusal.next(&[NextAction::Identity, NextAction::Cancel]);
            Transition {
                outcome: Outcome::Refused(Box::new(refusal)),
                ..self.advance(state, rebind, counted, event)
            }
        };
        if let (Some(wait_s), Outcome::Refused(refusal)) = (wait_s, &mut transition.outcome) {
            // This was the day's last attempt. Another rebind would not help.
            refusal.retry_after_s = Some(wait_s);
            refusal.next_actions = vec![NextAction::Wait];
        }
        transition
    }

    pub(super) fn resend_identity_otp(&self, fresh: &Otp) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| {
            matches!(
                stage,
                RebindState::IdentityPending { matched: true, .. }
                    | RebindState::CardPending { .. }
            )
        })?;
        let stage = match &rebind.stage {
            RebindState::IdentityPending { attempts, .. }
                if attempts.reserved >= self.policy.code_attempts =>
            {
                return self.no_attempts_left(rebind, OtpPurpose::Identity, attempts);
            }
            RebindState::IdentityPending {
                mismatches,
                attempts,
                ..
            } => RebindState::IdentityPending {
                mismatches: *mismatches,
                matched: true,
                code: Some(self.sent(fresh)),
                attempts: attempts.clone(),
            },
            RebindState::CardPending {
                identity_attempts, ..
            } if identity_attempts.reserved >= self.policy.code_attempts => {
                return self.no_attempts_left(rebind, OtpPurpose::Identity, identity_attempts);
            }
            RebindState::CardPending {
                identity,
                identity_attempts,
                signature,
                check,
                card_attempts,
                ..
            } => RebindState::CardPending {
                identity: identity.clone(),
                refresh: Some(self.sent(fresh)),
                identity_attempts: identity_attempts.clone(),
                signature: signature.clone(),
                check: check.clone(),
                card_attempts: card_attempts.clone(),
            },
            _ => return Err(self.out_of_order(rebind)),
        };
        let event = Event::CodeSent(CodeSent {
            rebind_id: rebind.rebind_id.clone(),
            purpose: OtpPurpose::Identity,
            serial: None,
        });
        let mut transition = self.advance(self.changed_state(), rebind, stage, event);
        transition.otp_delivery = Some(self.send_on_file(rebind, OtpPurpose::Identity, fresh));
        Ok(transition)
    }

    pub(super) fn sent(&self, fresh: &Otp) -> SentOtp {
        SentOtp {
            mac: fresh.mac.clone(),
            sent_at: self.now,
            session: self.session_tag(),
        }
    }

    /// The delivery of an OTP to the phone on file.
    pub(super) fn send_on_file(
        &self,
        rebind: &Rebind,
        purpose: OtpPurpose,
        fresh: &Otp,
    ) -> OtpDelivery {
        OtpDelivery {
            phone: self.merchant.profile.phone_on_file.clone(),
            phone_hash: fresh.phone_hash.clone(),
            purpose,
            card: rebind.new_card.clone(),
            of: rebind.purpose,
        }
    }
}

/// Checks that the document in the acquirer's record has not expired.
pub(super) fn check_document_valid(merchant: &Merchant, now: Timestamp) -> Result<(), Rejection> {
    if merchant.profile.id_expires_on.is_over_at(now) {
        return Err(Rejection::new(ErrorCode::IdExpired)
            .not_counted()
            .next(&[NextAction::ContactSupport]));
    }
    Ok(())
}

fn fields(document: &Document) -> Result<(&Mac, &DocumentExpiry), Rejection> {
    match (&document.number, &document.expires_on) {
        (Ok(number), Ok(expires_on)) => Ok((number, expires_on)),
        (number, expires_on) => Err(Rejection::invalid([
            number_field(number.as_ref().err().copied()),
            ("document_expires_on", expires_on.as_ref().err().copied()),
        ])),
    }
}

/// The field that the error of a number is about.
const fn number_field(error: Option<ErrorCode>) -> (&'static str, Option<ErrorCode>) {
    match error {
        Some(ErrorCode::RequestMalformed) => ("document_type", error),
        _ => ("document_number", error),
    }
}
