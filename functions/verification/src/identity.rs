//! `POST /v1/rebinds/{id}/identity`: the document check.

use super::{Bank, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::CheckIdentity;
use application::error::HandlerError;
use application::ports::{KeyService, Selector, SendSms};
use domain::decide::{Command, Document};
use domain::error_code::ErrorCode;
use domain::format::document_expiry::DocumentExpiry;
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
        let document = self.document(body.fields).await?;
        self.send_otp(&ctx, Selector::Step(&id), OtpPurpose::Identity, |otp| {
            Command::CheckDocument(document.clone(), otp)
        })
        .await
    }

    /// The typed document in the form the core compares. Its number is only a keyed hash.
    async fn document(&self, typed: CheckIdentity) -> Result<Document, HandlerError> {
        let number = typed.document_number.as_ref();
        let number = number.map_or("", |number| number.expose());
        let kind = match typed.document_type.as_deref() {
            None => Ok(DocumentType::default()),
            Some(word) => DocumentType::parse(word).ok_or(ErrorCode::RequestMalformed),
        };
        let mut previous_number = None;
        let number = match kind.and_then(|kind| IdNumber::parse(kind, number)) {
            Ok(number) => {
                previous_number = self.keys.previous_document(&number).await?;
                Ok(self.keys.document(&number).await?)
            }
            Err(code) => Err(code),
        };
        let expires_on = typed.document_expires_on.unwrap_or_default();
        Ok(Document {
            number,
            previous_number,
            expires_on: DocumentExpiry::parse(&expires_on),
        })
    }
}
