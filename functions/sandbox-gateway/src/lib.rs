//! The simulated gateway of the sandbox: it implements the gateway's side of `infra/message-protocol.md`, and keeps each message in
//! the outbox instead of sending it. The function refuses to start outside the sandbox.

use api::event::Request;
use application::clock::wall_clock;
use domain::lang::Lang;
use domain::pii::Phone;
use domain::sms::{Message, filled};
use message::outbox::{Kept, Outbox};
use message::protocol::{PATH, SIGNATURE_HEADER, SendReply, SendRequest, SendStatus, TIME_HEADER};
use partner::PartnerKey;
use partner::signature::{sign_reply, verify_request};
use serde::Serialize;
use std::collections::BTreeMap;

/// The gateway: its key, and where it keeps messages.
#[derive(Debug)]
pub struct SandboxGateway {
    key: PartnerKey,
    outbox: Outbox,
}

/// A reply in the format of function URLs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpReply {
    /// The HTTP status.
    pub status_code: u16,
    /// Headers with names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// The body as text.
    pub body: String,
}

/// A status and the word in its body.
type Refused = (u16, &'static str);

impl SandboxGateway {
    /// A gateway whose callers sign with `key`.
    #[must_use]
    pub const fn new(key: PartnerKey, outbox: Outbox) -> Self {
        Self { key, outbox }
    }

    /// Answers a request.
    pub async fn handle(&self, request: &Request) -> HttpReply {
        let signature = request.header(SIGNATURE_HEADER);
        let (status, body) = match self.answer(request, signature).await {
            Ok(reply) => (200, serde_json::to_string(&reply).unwrap_or_default()),
            Err((status, error)) => (status, serde_json::json!({ "error": error }).to_string()),
        };
        tracing::info!(http.status = status, "message_request.answered");
        let mut headers = BTreeMap::from([("content-type", "application/json".to_owned())]);
        if let Some(signature) = signature.filter(|_| status == 200) {
            let signature = sign_reply(&self.key, signature, status, body.as_bytes());
            headers.insert(SIGNATURE_HEADER, signature);
        }
        HttpReply {
            status_code: status,
            headers,
            body,
        }
    }

    async fn answer(
        &self,
        request: &Request,
        signature: Option<&str>,
    ) -> Result<SendReply, Refused> {
        if request.method != "POST" || !request.path.ends_with(PATH) {
            return Err((404, "no_such_operation"));
        }
        let body = request.body.as_deref().ok_or((400, "malformed"))?;
        let (time, now) = (request.header(TIME_HEADER), wall_clock().epoch_s());
        verify_request(&self.key, PATH, time, signature, body, now).map_err(|cause| {
            tracing::warn!(gateway.cause = %cause, "message_request.unauthenticated");
            (401, "signature")
        })?;
        let sent: SendRequest = serde_json::from_slice(body).map_err(|_| (400, "malformed"))?;
        let phone = Phone::parse(&sent.phone).map_err(|_| (400, "malformed"))?;
        let values = sent.parameters.iter();
        let values: Vec<(&str, &str)> = values
            .map(|one| (one.name.as_str(), one.value.as_str()))
            .collect();
        let text = filled(&sent.template, &values, Lang::default());
        let text = text.ok_or((400, "template"))?;
        let message = Message {
            template: "",
            values: Vec::new(),
            text,
        };
        match self.outbox.keep(&phone, &message, &sent.id).await {
            Ok(Kept::Now | Kept::Before) => Ok(SendReply {
                id: sent.id,
                status: SendStatus::Accepted,
            }),
            Err(error) => {
                tracing::error!(gateway.cause = error.to_string(), "message_request.failed");
                Err((500, "internal"))
            }
        }
    }
}
