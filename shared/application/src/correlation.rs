//! What the lines of one request, of one record of the stream or of one due entry have in common. Each is handled in a span, and
//! each line of the log contains the spans around it, so that an id finds all its lines. The outermost span is the runtime's and
//! has the id of the invocation, `requestId`.

use domain::ids::{MerchantId, PayoutId, RebindId};
use domain::merchant::Merchant;
use tracing::Span;
use tracing::field::Empty;

/// The span of a request with this reference.
#[must_use]
pub fn request(support_ref: &str) -> Span {
    tracing::info_span!(
        "request",
        support_ref,
        merchant.id = Empty,
        rebind.id = Empty,
        bank.serial = Empty
    )
}

/// The span of an operation of the acquirer's core system.
#[must_use]
pub fn operation() -> Span {
    tracing::info_span!(
        "operation",
        merchant.id = Empty,
        payout.id = Empty,
        rebind.id = Empty
    )
}

/// The span of one payout of an operation about several.
#[must_use]
pub fn payout() -> Span {
    tracing::info_span!(
        "payout",
        merchant.id = Empty,
        payout.id = Empty,
        rebind.id = Empty
    )
}

/// The span of an event that the stream delivers.
#[must_use]
pub fn event(merchant: &MerchantId, seq: u64) -> Span {
    tracing::info_span!(
        "event",
        merchant.id = merchant.as_str(),
        event.seq = seq,
        rebind.id = Empty
    )
}

/// The span of a due entry. Its kind and number are those of the index.
#[must_use]
pub fn due(merchant: &MerchantId, kind: &str, number: Option<u64>) -> Span {
    tracing::info_span!(
        "due",
        merchant.id = merchant.as_str(),
        due.kind = kind,
        due.number = number,
        rebind.id = Empty,
        bank.serial = Empty
    )
}

/// The merchant of the current span.
pub fn of_merchant(merchant: &MerchantId) {
    record("merchant.id", merchant.as_str());
}

/// The merchant of the current span, and the rebind that was read with it.
pub fn of_loaded(merchant: &Merchant) {
    of_merchant(&merchant.profile.merchant_id);
    if let Some(rebind) = &merchant.rebind {
        of_rebind(&rebind.rebind_id);
    }
}

/// The rebind of the current span.
pub fn of_rebind(rebind: &RebindId) {
    record("rebind.id", rebind.as_str());
}

/// The payout of the current span.
pub fn of_payout(payout: &PayoutId) {
    record("payout.id", payout.as_str());
}

/// The question to the bank, or the order, of the current span.
pub fn of_bank_serial(serial: &str) {
    record("bank.serial", serial);
}

/// A span without this field ignores it.
fn record(field: &str, value: &str) {
    Span::current().record(field, value);
}
