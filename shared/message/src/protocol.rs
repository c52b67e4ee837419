//! The messages of the gateway protocol, as `infra/message-protocol.md` specifies them.

use partner::Headers;
use serde::{Deserialize, Serialize};

/// The only path.
pub const PATH: &str = "/messages";
/// Header with the signing time.
pub const TIME_HEADER: &str = "x-gateway-time";
/// Header with the signature of a request or a reply.
pub const SIGNATURE_HEADER: &str = "x-gateway-signature";
/// Both.
pub const HEADERS: Headers = Headers {
    time: TIME_HEADER,
    signature: SIGNATURE_HEADER,
};

/// One SMS. It may contain a code, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SendRequest {
    /// 32 hex digits. The same id again is the same message, and is not sent twice.
    pub id: String,
    /// E.164.
    pub phone: String,
    /// The registered name of the sender, without brackets.
    pub sign_name: String,
    /// The name of the template in `data/sms.json`.
    pub template: String,
    /// The values of its placeholders, in the order of the text.
    pub parameters: Vec<Parameter>,
}

/// A value of a template.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Parameter {
    /// The placeholder, without braces.
    pub name: String,
    /// Its value.
    pub value: String,
}

/// The gateway's reply.
#[derive(Debug, Serialize, Deserialize)]
pub struct SendReply {
    /// The id of the request.
    pub id: String,
    /// What became of it.
    pub status: SendStatus,
}

/// What became of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SendStatus {
    /// The provider has taken it.
    Accepted,
    /// The provider accepts nothing for this phone: the number is invalid, or its owner has opted out.
    PhoneRefused,
    /// The provider does not take it now, for a limit or an outage.
    Busy,
}
