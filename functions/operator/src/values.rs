//! The values of a proposal: their JSON, and the command that they mean.

use crate::Operator;
use crate::call::malformed;
use api::operator::{ChangeContact, ProposeUnfreeze};
use application::error::HandlerError;
use application::ports::{DataKey, KeyService, LogPublicKey, PortError, ReadLog};
use domain::contact::{ContactChange, ContactValue, PreviousPhoneRule, RecordDocument};
use domain::decide::Command;
use domain::error_code::ErrorCode;
use domain::format::DocumentExpiry;
use domain::ids::CardId;
use domain::merchant::Profile;
use domain::operator::{BY_OPERATOR, Grounds, ProposalKind};
use domain::password_hash::PasswordHash;
use domain::pii::{DocumentType, IdNumber, PersonName, Phone};
use domain::rejection::Rejection;
use domain::secret::Secret;
use serde_json::{Value, json};
use store::client::Table;

/// The values of an unfreeze.
///
/// # Errors
/// `REQUEST_MALFORMED` without the choice of a card.
pub(crate) fn of_unfreeze(proposed: &ProposeUnfreeze) -> Result<Value, Rejection> {
    let chosen = proposed.card_id.as_ref();
    let is_card = |text: &String| CardId::parse(text).is_some();
    match chosen {
        Some(None) => Ok(json!({"card_id": null})),
        Some(Some(card_id)) if is_card(card_id) => Ok(json!({"card_id": card_id})),
        Some(Some(_)) | None => Err(malformed("card_id")),
    }
}

/// The values of a change of the record: exactly one of phone, password, names and document.
///
/// # Errors
/// `REQUEST_MALFORMED` for none or several; the code of an invalid field.
pub(crate) fn of_contact_change(proposed: &ChangeContact) -> Result<Value, Rejection> {
    let ChangeContact {
        merchant_id: _,
        phone,
        drop_previous_phone,
        password_hash,
        legal_name,
        settlement_name,
        document_type,
        document_number,
        document_expires_on,
    } = proposed;
    let with_phone = drop_previous_phone.is_some();
    let with_name = settlement_name.is_some();
    let with_document = document_type.is_some() || document_expires_on.is_some();
    match (phone, password_hash, legal_name, document_number) {
        (Some(phone), None, None, None) if !(with_name || with_document) => {
            let phone = Phone::parse(phone.expose()).map_err(|code| invalid("phone", code))?;
            let drops = drop_previous_phone.unwrap_or_default();
            let phone = phone.e164();
            Ok(json!({"change": "phone", "drop_previous_phone": drops, "phone": phone}))
        }
        (None, Some(hash), None, None) if !(with_phone || with_name || with_document) => {
            let hash = PasswordHash::parse(hash.expose());
            let hash = hash.map_err(|_| malformed("password_hash"))?;
            Ok(json!({"change": "password", "password_hash": hash.expose()}))
        }
        (None, None, Some(name), None) if !(with_phone || with_document) => {
            let settlement_name = settlement_name.as_ref().map(Secret::expose);
            let is_blank = |name: &String| name.trim().is_empty();
            if is_blank(name.expose()) || settlement_name.is_some_and(is_blank) {
                return Err(malformed("legal_name"));
            }
            let name = name.expose();
            Ok(json!({"change": "name", "legal_name": name, "settlement_name": settlement_name}))
        }
        (None, None, None, Some(number)) if !(with_phone || with_name) => {
            let kind = match document_type.as_deref() {
                None => DocumentType::default(),
                Some(word) => {
                    DocumentType::parse(word).ok_or_else(|| malformed("document_type"))?
                }
            };
            let number = IdNumber::parse(kind, number.expose())
                .map_err(|code| invalid("document_number", code))?;
            let expires_on = document_expires_on.as_deref().unwrap_or_default();
            let expires_on = DocumentExpiry::parse(expires_on)
                .map_err(|code| invalid("document_expires_on", code))?;
            Ok(json!({
                "change": "document",
                "document_expires_on": expires_on.to_text(),
                "document_number": number.expose(),
                "document_type": kind.as_str(),
            }))
        }
        _ => Err(malformed(
            "phone, password_hash, legal_name or document_number",
        )),
    }
}

fn invalid(field: &'static str, code: ErrorCode) -> Rejection {
    Rejection::invalid([(field, Some(code))])
}

/// The values as an approver sees them. The hash of a password tells nothing.
pub(crate) fn shown(mut values: Value) -> Value {
    if let Some(values) = values.as_object_mut() {
        values.remove("password_hash");
    }
    values
}

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    /// The command that the values mean.
    pub(crate) async fn command(
        &self,
        kind: ProposalKind,
        values: &Value,
        profile: &Profile,
        grounds: &Grounds,
    ) -> Result<Command, HandlerError> {
        let reason = grounds.reason.as_str().to_owned();
        let text = |name: &str| values.get(name).and_then(Value::as_str);
        match kind {
            ProposalKind::Unfreeze => {
                let card_id = text("card_id").and_then(CardId::parse);
                return Ok(Command::Unfreeze { reason, card_id });
            }
            ProposalKind::Close => {
                let by = BY_OPERATOR.to_owned();
                return Ok(Command::Close { by, reason });
            }
            ProposalKind::Unmask => return Ok(Command::Unmask { reason }),
            ProposalKind::Erase => {
                let retention_s = self.settings.retention_s;
                return Ok(Command::Erase {
                    reason,
                    retention_s,
                });
            }
            // A key of the core system is no command of a merchant.
            ProposalKind::CoreKey => return Err(unreadable().into()),
            ProposalKind::ContactChange => {}
        }
        let value = match text("change") {
            Some("phone") => {
                let phone = text("phone").and_then(|phone| Phone::parse(phone).ok());
                ContactValue::Phone(phone.ok_or_else(unreadable)?)
            }
            Some("password") => {
                let hash = text("password_hash").and_then(|hash| PasswordHash::parse(hash).ok());
                ContactValue::Password(hash.ok_or_else(unreadable)?)
            }
            Some("name") => ContactValue::Name {
                legal_name: PersonName::new(text("legal_name").ok_or_else(unreadable)?),
                settlement_name: text("settlement_name").map(PersonName::new),
            },
            _ => ContactValue::Document(self.document(values, profile).await?),
        };
        let drops = values.get("drop_previous_phone") == Some(&Value::Bool(true));
        let previous_phone = match drops {
            true => PreviousPhoneRule::Drop,
            false => PreviousPhoneRule::Keep,
        };
        Ok(Command::ChangeContact(Box::new(ContactChange {
            value,
            by: BY_OPERATOR.to_owned(),
            reason,
            previous_phone,
        })))
    }

    async fn document(
        &self,
        values: &Value,
        profile: &Profile,
    ) -> Result<RecordDocument, HandlerError> {
        let text = |name: &str| {
            values
                .get(name)
                .and_then(Value::as_str)
                .ok_or_else(unreadable)
        };
        let kind = DocumentType::parse(text("document_type")?).ok_or_else(unreadable)?;
        let number = IdNumber::parse(kind, text("document_number")?).map_err(|_| unreadable())?;
        let expires_on = DocumentExpiry::parse(text("document_expires_on")?);
        let context = [("merchant_id", profile.merchant_id.as_str())];
        let sealed = self.keys.seal(DataKey::Identity, &context, number.expose());
        Ok(RecordDocument {
            document_type: kind,
            number_mac: self.keys.document(&number).await?,
            previous_mac: self.keys.previous_document(&number).await?,
            sealed_number: Some(sealed.await?),
            expires_on: expires_on.map_err(|_| unreadable())?,
        })
    }
}

pub(crate) fn unreadable() -> PortError {
    PortError::Permanent("the proposal", "its values cannot be read".to_owned())
}
