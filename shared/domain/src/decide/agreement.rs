//! The agreement: shown, read for a minimum time, and signed by name with separate consents (PIPL 28–29).

use super::Context;
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::lang::Lang;
use crate::pii::PersonName;
use crate::rebind::{Attempts, CardCheck, RebindState, Signature};
use crate::rejection::{FieldError, Rejection};
use crate::time::Timestamp;
use crate::transition::Transition;

/// The signature. The caller has compared it with the text that was shown.
#[derive(Clone, Debug)]
pub struct SignedAgreement {
    /// The current version.
    pub version: String,
    /// The language of the shown text.
    pub lang: Lang,
    /// SHA-256 of the shown text, in hex.
    pub sha256: String,
    /// True if the signed version and hash match the current text.
    pub is_current: bool,
    /// When the reading token was issued; `None` when the token is invalid or belongs to another rebind.
    pub issued_at: Option<Timestamp>,
    /// The name as typed.
    pub signed_name: PersonName,
    /// The consents in the request.
    pub consents: Vec<String>,
    /// True if the consents are exactly the required ones.
    pub consents_complete: bool,
}

impl Context<'_> {
    pub(super) fn read_agreement(&self) -> Result<Transition, Rejection> {
        // Reads are allowed while the account is frozen; the step order still applies.
        self.rebind_in(|stage| matches!(stage, RebindState::AgreementPending { .. }))
            .map(|_| Transition::none())
    }

    pub(super) fn sign_agreement(&self, signed: &SignedAgreement) -> Result<Transition, Rejection> {
        let rebind =
            self.open_rebind(|stage| matches!(stage, RebindState::AgreementPending { .. }))?;
        let RebindState::AgreementPending { identity, attempts } = &rebind.stage else {
            return Err(self.out_of_order(rebind));
        };
        let issued_at = self.agreement_fields(signed)?;
        let stage = RebindState::CardPending {
            identity: identity.clone(),
            refresh: None,
            identity_attempts: attempts.clone(),
            signature: Signature {
                signed_at: self.now,
                version: signed.version.clone(),
            },
            check: CardCheck::NotAsked { next: 1 },
            card_attempts: Attempts::default(),
        };
        let event = Event::AgreementSigned(event::AgreementSigned {
            rebind_id: rebind.rebind_id.clone(),
            version: signed.version.clone(),
            lang: signed.lang,
            sha256: signed.sha256.clone(),
            shown_at: issued_at,
            consents: signed.consents.clone(),
        });
        Ok(self.advance(rebind, stage, event))
    }

    /// Checks all fields and reports every invalid one.
    fn agreement_fields(&self, signed: &SignedAgreement) -> Result<Timestamp, Rejection> {
        let mut errors = Vec::new();
        let mut wait_s = None;
        if !signed.is_current {
            errors.push(FieldError {
                field: "sha256",
                code: ErrorCode::AgreementStale,
            });
        }
        let age_s = signed.issued_at.map(|at| at.age_s_at(self.now));
        match age_s {
            None => errors.push(FieldError {
                field: "reading_token",
                code: ErrorCode::AgreementNotRead,
            }),
            Some(age_s) if age_s < self.policy.agreement_min_read_s => {
                wait_s = Some(self.policy.agreement_min_read_s - age_s);
                errors.push(FieldError {
                    field: "reading_token",
                    code: ErrorCode::AgreementNotRead,
                });
            }
            Some(age_s) if age_s > self.policy.agreement_read_within_s => {
                errors.push(FieldError {
                    field: "reading_token",
                    code: ErrorCode::AgreementStale,
                });
            }
            Some(_) => {}
        }
        if signed.signed_name != *self.merchant.profile.holder_name() {
            errors.push(FieldError {
                field: "signed_name",
                code: ErrorCode::HolderNotMerchant,
            });
        }
        if !signed.consents_complete {
            errors.push(FieldError {
                field: "consents",
                code: ErrorCode::ConsentMissing,
            });
        }
        match (signed.issued_at, Rejection::of_fields(errors)) {
            (Some(issued_at), Ok(())) => Ok(issued_at),
            (_, Err(refusal)) => Err(Rejection {
                retry_after_s: wait_s,
                ..refusal
            }),
            (None, Ok(())) => Err(Rejection::new(ErrorCode::AgreementNotRead)),
        }
    }
}
