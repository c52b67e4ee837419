//! `POST /v1/rebinds/{id}/identity`: the document check.

use super::{Bank, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::CheckIdentity;
use application::error::HandlerError;
use application::ports::{KeyService, Selector, SendSms};
use application::transact::Loaded;
use domain::decide::{Command, Document};
use domain::error_code::ErrorCode;
use domain::format::document_expiry::DocumentExpiry;
use domain::merchant::Profile;
use domain::pii::{DocumentType, IdNumber};
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use store::client::Table;

impl<T: Table, K: KeyService, M: SendSms, B: Bank> Verification<T, K, M, B> {
    /// Compares the document with the record, then sends an OTP to the phone on file.
    pub(crate) async fn check_identity(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<CheckIdentity>(request)?;
        let ctx = self.context(request, now, &body.canonical).await?;
        let id = ctx.rebind_id(request).await?;
        let typed = Typed::parse(body.fields);
        let command = async |loaded: &Loaded, otp| {
            let document = self.document(&typed, &loaded.merchant.profile).await?;
            Ok(Command::CheckDocument(document, otp))
        };
        self.send_otp(&ctx, Selector::Step(&id), OtpPurpose::Identity, command)
            .await
    }

    /// The typed document in the form the core compares. Its number is only a keyed hash, under the version of the record's.
    async fn document(&self, typed: &Typed, record: &Profile) -> Result<Document, HandlerError> {
        let number = match &typed.number {
            Ok(number) => Ok(self.keys.document_as(&record.id_number_mac, number).await?),
            Err(code) => Err(*code),
        };
        Ok(Document {
            number,
            expires_on: typed.expires_on,
        })
    }
}

/// The fields as typed, parsed separately.
struct Typed {
    number: Result<IdNumber, ErrorCode>,
    expires_on: Result<DocumentExpiry, ErrorCode>,
}

impl Typed {
    fn parse(fields: CheckIdentity) -> Self {
        let number = fields.document_number.as_ref();
        let number = number.map_or("", |number| number.expose());
        let kind = match fields.document_type.as_deref() {
            None => Ok(DocumentType::default()),
            Some(word) => DocumentType::parse(word).ok_or(ErrorCode::RequestMalformed),
        };
        let expires_on = fields.document_expires_on.unwrap_or_default();
        Self {
            number: kind.and_then(|kind| IdNumber::parse(kind, number)),
            expires_on: DocumentExpiry::parse(&expires_on),
        }
    }
}
