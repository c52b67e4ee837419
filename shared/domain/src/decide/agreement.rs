//! The agreement: shown, read for a minimum time, and signed by name with separate consents (PIPL 28–29).

use super::Context;
use crate::agreement::{AgreementText, ConsentId};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::pii::PersonName;
use crate::rebind::{Attempts, CardCheck, RebindState, Signature};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::Transition;
use std::collections::BTreeSet;

/// The signature as typed, with the text that it is about.
#[derive(Clone, Debug)]
pub struct SignedAgreement {
    /// The current text in the language of the signed hash, or in the default language if the hash fits none.
    pub text: AgreementText,
    /// The version as typed.
    pub version: Option<String>,
    /// SHA-256 of the text as typed.
    pub sha256: Option<String>,
    /// When the reading token of the text was issued; `None` when the token is invalid or belongs to another rebind.
    pub issued_at: Option<Timestamp>,
    /// The name as typed.
    pub signed_name: PersonName,
    /// The consents as typed.
    pub consents: Vec<String>,
}

/// The consents that the agreement requires.
fn required() -> BTreeSet<&'static str> {
    ConsentId::ALL.iter().map(|id| id.as_str()).collect()
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
                version: signed.text.version.to_owned(),
            },
            check: CardCheck::NotAsked { next: 1 },
            card_attempts: Attempts::default(),
        };
        let event = Event::AgreementSigned(event::AgreementSigned {
            rebind_id: rebind.rebind_id.clone(),
            version: signed.text.version.to_owned(),
            lang: signed.text.lang,
            sha256: signed.text.sha256.clone(),
            shown_at: issued_at,
            consents: required().into_iter().map(str::to_owned).collect(),
        });
        Ok(self.advance(self.changed_state(), rebind, stage, event))
    }

    /// Checks all fields and reports every invalid one.
    fn agreement_fields(&self, signed: &SignedAgreement) -> Result<Timestamp, Rejection> {
        let is_current = signed.version.as_deref() == Some(signed.text.version)
            && signed.sha256.as_ref() == Some(&signed.text.sha256);
        let is_holder = signed.signed_name == *self.merchant.profile.holder_name();
        let given: BTreeSet<&str> = signed.consents.iter().map(String::as_str).collect();
        let mut wait_s = None;
        let token = match signed.issued_at.map(|at| at.age_s_at(self.now)) {
            None => Some(ErrorCode::AgreementNotRead),
            Some(age_s) if age_s < self.policy.agreement_min_read_s => {
                wait_s = Some(self.policy.agreement_min_read_s - age_s);
                Some(ErrorCode::AgreementNotRead)
            }
            Some(age_s) if age_s > self.policy.agreement_read_within_s => {
                Some(ErrorCode::AgreementStale)
            }
            Some(_) => None,
        };
        let unless = |is_right: bool, code: ErrorCode| (!is_right).then_some(code);
        let refusal = Rejection::invalid([
            ("sha256", unless(is_current, ErrorCode::AgreementStale)),
            ("reading_token", token),
            (
                "signed_name",
                unless(is_holder, ErrorCode::HolderNotMerchant),
            ),
            (
                "consents",
                unless(given == required(), ErrorCode::ConsentMissing),
            ),
        ]);
        match signed.issued_at {
            Some(issued_at) if refusal.errors.is_empty() => Ok(issued_at),
            _ => Err(Rejection {
                retry_after_s: wait_s,
                ..refusal
            }),
        }
    }
}
