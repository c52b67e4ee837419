//! How rebinds and cards look on the wire.

use crate::domain::card::{Card, CardStatus};
use crate::domain::decide::{next_actions, waiting_code};
use crate::domain::mask;
use crate::domain::merchant::Merchant;
use crate::domain::policy::Policy;
use crate::domain::rebind::{CodePurpose, End, Rebind, Stage};
use crate::domain::time::Timestamp;
use serde_json::{Map, Value, json};

/// A card, at `now`.
#[must_use]
pub fn card(card: &Card, status: CardStatus) -> Value {
    json!({
        "card_id": card.card_id.as_str(),
        "bank_code": card.bank_code(),
        "bank_name": card.bank_name(),
        "type": card.card_type.as_str(),
        "last4": card.last4,
        "status": status.as_str(),
        "bound_at": card.bound_at.to_rfc3339_shanghai(),
    })
}

/// A rebind of this merchant, at `now`.
#[must_use]
pub fn rebind(merchant: &Merchant, rebind: &Rebind, policy: &Policy, now: Timestamp) -> Value {
    // Pending is what the card of an open rebind is, whichever rebind was loaded with the merchant.
    let status = |of: &Card| match merchant.card_status(of, now, policy) {
        CardStatus::Removed if rebind.is_open(now) && of.card_id == rebind.new_card.card_id => {
            CardStatus::Pending
        }
        status => status,
    };
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    put("rebind_id", Value::from(rebind.rebind_id.as_str()));
    put("state", Value::from(rebind.state_at(now)));
    put("version", Value::from(rebind.version));
    put("purpose", Value::from(rebind.purpose.as_str()));
    put("new_card", card(&rebind.new_card, status(&rebind.new_card)));
    put(
        "old_card",
        rebind
            .old_card
            .as_ref()
            .map_or(Value::Null, |old| card(old, status(old))),
    );
    put(
        "reserved_phone_masked",
        Value::from(masked_phone(&rebind.reserved_phone)),
    );
    put("created_at", time(rebind.created_at));
    put("expires_at", time(rebind.expires_at));
    put("challenge", challenge(merchant, rebind, policy, now));
    put(
        "next_actions",
        next_actions(rebind, policy, now)
            .iter()
            .map(|action| Value::from(action.as_str()))
            .collect(),
    );
    if let Some(activation) = rebind.activation() {
        put("activated_at", time(activation.activated_at));
        put("effective_at", time(activation.effective_at));
        put("cooldown_until", time(activation.cooldown_until));
    }
    if let Stage::Ended {
        how: End::Rejected | End::Reverted,
        reason: Some(reason),
        ..
    } = &rebind.stage
    {
        put("ended_reason", Value::from(reason.as_str()));
    }
    Value::Object(view)
}

/// The code that is waited for, if one is.
fn challenge(merchant: &Merchant, rebind: &Rebind, policy: &Policy, now: Timestamp) -> Value {
    if !rebind.is_open(now) {
        return Value::Null;
    }
    let Some((purpose, code, tries)) = waiting_code(&rebind.stage, policy, now) else {
        return Value::Null;
    };
    let phone = match purpose {
        CodePurpose::Identity => &merchant.profile.phone_on_file,
        CodePurpose::Card => &rebind.reserved_phone,
    };
    let method = match purpose {
        CodePurpose::Identity => "sms_code",
        CodePurpose::Card => "bank_code",
    };
    json!({
        "purpose": purpose.as_str(),
        "method": method,
        "sent_to": masked_phone(phone),
        "expires_at": time(code.expires_at(policy)),
        "resend_after_s": (policy.code_gap_s - code.sent_at.age_s_at(now)).max(0),
        "attempts_left": tries.left(policy),
    })
}

/// A time on the wire.
#[must_use]
pub fn time(at: Timestamp) -> Value {
    Value::from(at.to_rfc3339_shanghai())
}

/// `139****0001` of an E.164 mainland number.
#[must_use]
pub fn masked_phone(e164: &str) -> String {
    mask::phone(e164.strip_prefix("+86").unwrap_or(e164))
}
