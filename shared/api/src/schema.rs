//! Text formats and rules between members, for the API description. The types here have no values.

use crate::replies::{Text, Time};
use domain::error_code::ErrorCode;
use domain::ids::{CardId, MerchantId, PayoutId, ProposalId, RebindId};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};
use std::borrow::Cow;

/// Registers each type as a component of the description.
macro_rules! components {
    ($($type:ty, $name:literal, $description:literal, $schema:tt;)+) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                component(json_schema!($schema), $description)
            }
        }
    )+};
}

/// Declares text formats.
macro_rules! formats {
    ($($name:ident, $description:literal, $schema:tt;)+) => {
        $(
            #[doc = $description]
            pub enum $name {}
        )+
        $(impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                component(json_schema!($schema), $description)
            }
        })+
    };
}

fn component(mut schema: Schema, description: &str) -> Schema {
    schema.insert("description".to_owned(), description.into());
    schema
}

components! {
    Time, "Timestamp", "RFC 3339 at +08:00, whole seconds.", {
        "type": "string", "format": "date-time", "pattern": "^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\\+08:00$", "examples": ["2026-11-22T10:00:00+08:00"]
    };
    Text<RebindId>, "RebindId", "A rebind.", {
        "type": "string", "pattern": "^rbd_[0-9a-f]{6}[0-9A-Za-z]{16}$", "maxLength": 26,
        "examples": ["rbd_000001h3kq7vbn2fdw9s4m"]
    };
    Text<CardId>, "CardId", "A card.", {
        "type": "string", "pattern": "^card_[0-9a-f]{6}[0-9A-Za-z]{16}$", "maxLength": 27,
        "examples": ["card_0000017fqk2mhd9wzr4tbn"]
    };
    Text<MerchantId>, "MerchantId", "A merchant, as the acquirer names it.", {
        "type": "string", "pattern": "^mer_[0-9A-Za-z_]{1,40}$", "maxLength": 44, "examples": ["mer_plain_1"]
    };
    Text<ProposalId>, "ProposalId", "A proposal.", {
        "type": "string", "pattern": "^prp_[0-9A-Za-z]{26}$", "maxLength": 30, "examples": ["prp_006b02cb63bcdfghjklmnpqrst"]
    };
    Text<PayoutId>, "PayoutId", "A payout, as the acquirer's core system names it.", {
        "type": "string", "pattern": "^pay_[0-9A-Za-z_]{1,40}$", "maxLength": 44, "examples": ["pay_sandbox_1"]
    };
}

formats! {
    PhoneMasked, "A mainland mobile number, the middle hidden.", {
        "type": "string", "pattern": "^1[3-9][0-9]\\*{4}[0-9]{4}$", "examples": ["139****0001"]
    };
    NameMasked, "The first character of a name.", { "type": "string", "pattern": "^.\\*$", "examples": ["测*"] };
    Last4, "The last four digits of a card number.", { "type": "string", "pattern": "^[0-9]{4}$", "examples": ["1009"] };
    Sha256, "SHA-256 in lower-case hex.", { "type": "string", "pattern": "^[0-9a-f]{64}$" };
    Fen, "An amount in fen (1/100 yuan).", { "type": "integer", "minimum": 0, "maximum": 9_007_199_254_740_991_u64, "examples": [128_000] };
    PayoutTime, "Time of the day in Shanghai.", { "type": "string", "pattern": "^([01][0-9]|2[0-3]):[0-5][0-9]$", "examples": ["06:00"] };
    FeeRateBp, "The fee in basis points (1/10000). It can be read only.", { "type": "integer", "minimum": 0, "maximum": 10_000, "examples": [60] };
    IdempotencyKey, "1 to 255 printable ASCII characters.", { "type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$" };
}

/// Rules between members. Each rule is under `then` of a condition that always holds: validators apply it, and client
/// generators ignore it, so no rule adds a type.
pub mod rules {
    use super::{ErrorCode, Schema, Value, json};
    use crate::replies::BlockedBy;

    fn add(schema: &mut Schema, rules: Value) {
        schema.insert("if".to_owned(), json!(true));
        schema.insert("then".to_owned(), json!({ "allOf": rules }));
    }

    fn only(schema: &mut Schema, codes: &[ErrorCode]) {
        schema.remove("$ref");
        schema.insert("type".to_owned(), json!("string"));
        schema.insert(
            "enum".to_owned(),
            codes.iter().map(|code| json!(code.as_str())).collect(),
        );
    }

    /// The codes that end a rebind.
    pub fn ended_reason(schema: &mut Schema) {
        only(schema, ErrorCode::ENDED_REASONS);
    }

    /// The codes that stop a rebind from being started.
    pub fn blocked_by(schema: &mut Schema) {
        only(schema, BlockedBy::ALL);
    }

    /// Only the banner of an expiring document has `days_left` and `until`.
    pub fn notice(schema: &mut Schema) {
        add(
            schema,
            json!([{
                "if": { "properties": { "code": { "const": "ID_EXPIRING" } } },
                "then": { "required": ["days_left", "until"] },
                "else": { "properties": { "days_left": false, "until": false } },
            }]),
        );
    }

    /// A standby card has `usable_at`.
    pub fn card(schema: &mut Schema) {
        add(
            schema,
            json!([{
                "if": { "properties": { "status": { "const": "standby" } } },
                "then": { "required": ["usable_at"] },
            }]),
        );
    }

    /// The members of each state.
    pub fn rebind(schema: &mut Schema) {
        add(
            schema,
            json!([
                {
                    "description": "An activation has its times.",
                    "if": { "properties": { "state": { "const": "activated" } } },
                    "then": { "required": ["activated_at", "effective_at", "cooldown_until"] },
                },
                {
                    "description": "So has one whose hold is over.",
                    "if": { "properties": { "state": { "const": "completed" }, "purpose": { "const": "activate" } } },
                    "then": { "required": ["activated_at", "effective_at"] },
                },
                {
                    "description": "A refusal has its reason.",
                    "if": { "properties": { "state": { "enum": ["rejected", "reverted"] } } },
                    "then": { "required": ["ended_reason"] },
                },
                {
                    "description": "A rebind that has not ended without its card has no reason.",
                    "if": { "properties": { "state": {
                        "enum": ["identity_pending", "agreement_pending", "card_pending", "activated", "completed"]
                    } } },
                    "then": { "properties": { "ended_reason": false } },
                },
                {
                    "description": "A test transfer undoes an activation, and so does an unfreeze to the old card.",
                    "if": { "properties": { "state": { "const": "reverted" } } },
                    "then": { "properties": { "ended_reason": { "enum": ["TEST_TXN_FAILED", "ACCOUNT_FROZEN"] } } },
                },
                {
                    "description": "Only an open rebind has a challenge, and a standby card that is being activated.",
                    "if": { "properties": { "challenge": { "type": "object" } } },
                    "then": { "anyOf": [
                        { "properties": {
                            "state": { "enum": ["identity_pending", "card_pending"] },
                            "challenge": { "properties": { "purpose": { "enum": ["identity", "card"] } } },
                        } },
                        { "properties": {
                            "state": { "const": "completed" },
                            "purpose": { "const": "standby" },
                            "challenge": { "properties": { "purpose": { "const": "activate" } } },
                        } },
                    ] },
                },
            ]),
        );
    }

    /// A `standby` entry has the status of a standby card. A rebind that cannot be started has a reason.
    pub fn cards(schema: &mut Schema) {
        add(
            schema,
            json!([
                { "properties": { "standby": { "items": { "properties": { "status": { "const": "standby" } } } } } },
                {
                    "if": { "properties": { "can_rebind": { "const": false } } },
                    "then": { "required": ["blocked_by"] },
                    "else": { "properties": { "blocked_by": false } },
                },
            ]),
        );
    }

    /// A transfer that arrived has its time.
    pub fn test_transaction(schema: &mut Schema) {
        add(
            schema,
            json!([{
                "if": { "properties": { "status": { "const": "succeeded" } } },
                "then": { "properties": { "rebind": { "required": ["test_succeeded_at"] } } },
            }]),
        );
    }

    /// A payout that is not held has its card.
    pub fn payout(schema: &mut Schema) {
        add(
            schema,
            json!([{
                "if": { "properties": { "held": { "const": false } } },
                "then": { "properties": { "card": { "type": "object" } } },
            }]),
        );
    }
}

/// The place of an event in the log: a leaf of the batch, whose root is a leaf of the log (RFC 9162).
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a value of the crate `proof`")]
pub(crate) struct HistoryProof {
    /// When the event was anchored, in epoch seconds.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    at: i64,
    /// The leaf of the batch.
    entry: HistoryEntry,
    /// The place of the leaf in the batch.
    batch: BatchPlace,
    /// The place of the batch in the log.
    log: LogPlace,
}

/// An anchored event.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a value of the crate `proof`")]
pub(crate) struct HistoryEntry {
    /// The hash of the event.
    #[schemars(with = "Sha256")]
    hash: String,
    /// The name of the merchant in the log.
    #[schemars(with = "Sha256")]
    pseudonym: String,
    /// The `sequence` of the event.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    seq: u64,
}

/// An inclusion proof in a batch.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a value of the crate `proof`")]
pub(crate) struct BatchPlace {
    /// The number of leaves.
    #[schemars(range(min = 1, max = 9_007_199_254_740_991_u64))]
    size: u64,
    /// The root.
    #[schemars(with = "Sha256")]
    root: String,
    /// The position of the leaf, from 0.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    index: u64,
    /// The hashes from the leaf to the root.
    #[schemars(with = "Vec<Sha256>", length(max = 64))]
    path: Vec<String>,
}

/// An inclusion proof in the log.
#[derive(JsonSchema)]
#[expect(dead_code, reason = "describes a value of the crate `proof`")]
pub(crate) struct LogPlace {
    /// The position of the batch, from 0.
    #[schemars(range(min = 0, max = 9_007_199_254_740_991_u64))]
    index: u64,
    /// The hashes from the leaf to the root.
    #[schemars(with = "Vec<Sha256>", length(max = 64))]
    path: Vec<String>,
}
