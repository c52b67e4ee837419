//! How rebinds and cards look on the wire.

use domain::card::{Card, CardStatus};
use domain::decide::{attempts_max, next_actions, pending_otp};
use domain::error_code::ErrorCode;
use domain::merchant::Merchant;
use domain::payout::Payout;
use domain::policy::Policy;
use domain::rebind::{CardCheck, OtpPurpose, Rebind, RebindState, TestTransfer};
use domain::settlement;
use domain::time::Timestamp;
use serde_json::{Map, Value, json};

/// A card, at `now`.
#[must_use]
pub fn card(merchant: &Merchant, card: &Card, now: Timestamp) -> Value {
    card_as(merchant, card, merchant.card_status(&card.card_id, now))
}

fn card_as(merchant: &Merchant, card: &Card, status: CardStatus) -> Value {
    let mut view = json!({
        "card_id": card.card_id.as_str(),
        "bank_code": card.bank_code(),
        "bank_name": card.bank_name(),
        "type": card.card_type.as_str(),
        "last4": card.last4,
        "status": status.as_str(),
        "bound_at": card.bound_at.to_rfc3339_shanghai(),
    });
    if let (Some(standby), Value::Object(view)) = (merchant.head.standby(&card.card_id), &mut view)
    {
        view.insert("usable_at".to_owned(), time(standby.usable_at));
    }
    view
}

/// A rebind of this merchant, at `now`.
#[must_use]
pub fn rebind(merchant: &Merchant, rebind: &Rebind, policy: &Policy, now: Timestamp) -> Value {
    // Pending is what the card of an open rebind is, whichever rebind was loaded with the merchant.
    let show = |of: &Card| match merchant.card_status(&of.card_id, now) {
        CardStatus::Removed
            if merchant.is_open(rebind, now) && of.card_id == rebind.new_card.card_id =>
        {
            card_as(merchant, of, CardStatus::Pending)
        }
        status => card_as(merchant, of, status),
    };
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    put("rebind_id", Value::from(rebind.rebind_id.as_str()));
    put("state", Value::from(merchant.state_of(rebind, now)));
    put("version", Value::from(rebind.version));
    put("purpose", Value::from(rebind.purpose.as_str()));
    put("new_card", show(&rebind.new_card));
    put(
        "old_card",
        rebind.old_card.as_ref().map_or(Value::Null, show),
    );
    put(
        "reserved_phone_masked",
        Value::from(rebind.reserved_phone.masked()),
    );
    put("created_at", time(rebind.created_at));
    put("expires_at", time(rebind.expires_at));
    put("challenge", challenge(merchant, rebind, policy, now));
    put(
        "next_actions",
        next_actions(merchant, rebind, policy, now)
            .iter()
            .map(|action| Value::from(action.as_str()))
            .collect(),
    );
    if let Some(activated_card) = rebind.activated_card() {
        put("activated_at", time(activated_card.times.activated_at));
        put("effective_at", time(activated_card.times.effective_at));
        put("cooldown_until", time(activated_card.times.cooldown_until));
        if let TestTransfer::Arrived { at, .. } = &activated_card.test {
            put("test_succeeded_at", time(*at));
        }
    }
    if let Some(reason) = ended_reason(rebind, now) {
        put("ended_reason", Value::from(reason.as_str()));
    }
    Value::Object(view)
}

/// Why it ended; an overdue one with a deposit ended with the deposit's code, whether or not the clean-up has come by.
fn ended_reason(rebind: &Rebind, now: Timestamp) -> Option<ErrorCode> {
    match &rebind.stage {
        RebindState::Ended { reason, .. } => *reason,
        _ if rebind.is_overdue(now) && rebind.has_deposit() => Some(ErrorCode::MicroDepositExpired),
        _ => None,
    }
}

/// The code that is waited for, if one is.
#[must_use]
pub fn challenge(merchant: &Merchant, rebind: &Rebind, policy: &Policy, now: Timestamp) -> Value {
    let is_standby = merchant.head.standby(&rebind.new_card.card_id).is_some();
    if !merchant.is_open(rebind, now) && !is_standby {
        return Value::Null;
    }
    let sms = pending_otp(&rebind.stage, policy, now);
    let sms = sms.filter(|(_, code, _)| code.lives(policy, now) || !rebind.has_deposit());
    let Some((purpose, code, tries)) = sms else {
        return deposit(rebind, policy);
    };
    let (phone, method) = match purpose {
        OtpPurpose::Identity | OtpPurpose::Activate => {
            (&merchant.profile.phone_on_file, "sms_code")
        }
        OtpPurpose::Card => (&rebind.reserved_phone, "bank_code"),
    };
    json!({
        "purpose": purpose.as_str(),
        "method": method,
        "sent_to": phone.masked(),
        "expires_at": time(code.expires_at(policy)),
        "resend_after_s": (policy.code_gap_s - code.sent_at.age_s_at(now)).max(0),
        "attempts_left": tries.left(attempts_max(&rebind.stage, purpose, policy)),
    })
}

/// The deposit whose code is waited for. There is no second one.
fn deposit(rebind: &Rebind, policy: &Policy) -> Value {
    let RebindState::CardPending {
        check: CardCheck::Deposit { .. },
        card_attempts,
        ..
    } = &rebind.stage
    else {
        return Value::Null;
    };
    let card = &rebind.new_card;
    json!({
        "purpose": OtpPurpose::Card.as_str(),
        "method": "micro_deposit",
        "sent_to": format!("{} ···{}", card.bank_name(), card.last4),
        "expires_at": time(rebind.expires_at),
        "resend_after_s": Value::Null,
        "attempts_left": card_attempts.left(policy.deposit_tries),
    })
}

/// How payouts are made.
#[must_use]
pub fn settlement(merchant: &Merchant) -> Value {
    let settlement = &merchant.profile.settlement;
    json!({
        "cycle": settlement.cycle.as_str(),
        "payout_time": settlement.payout_time.to_string(),
        "retained_fen": settlement.retained_fen,
        "daily_limit_fen": settlement.daily_limit_fen,
        "fee_rate_bp": merchant.profile.fee_rate_bp,
    })
}

/// A payout that is not sent yet. One that waits for a hold to end is expected after it.
#[must_use]
pub fn payout(merchant: &Merchant, payout: &Payout, now: Timestamp) -> Map<String, Value> {
    let head = &merchant.head;
    let routed_at = match (&payout.card, head.hold(now)) {
        (None, Some(last)) => last.times.effective_at.max(payout.created_at),
        _ => payout.created_at,
    };
    let expected_at = settlement::expected_at(&merchant.profile.settlement, routed_at, now);
    let mut view = Map::new();
    let mut put = |name: &str, value: Value| view.insert(name.to_owned(), value);
    put("payout_id", Value::from(payout.payout_id.as_str()));
    put("amount_fen", Value::from(payout.amount_fen));
    put("created_at", time(payout.created_at));
    put(
        "card",
        payout
            .card
            .as_ref()
            .map_or(Value::Null, |of| card(merchant, of, now)),
    );
    put("held", Value::from(merchant.holds(payout)));
    put("expected_at", time(expected_at));
    view
}

/// A time on the wire.
#[must_use]
pub fn time(at: Timestamp) -> Value {
    Value::from(at.to_rfc3339_shanghai())
}
