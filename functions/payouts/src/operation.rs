//! What the core system asks for, parsed.

use crate::refusal::Refusal;
use application::clock::wall_clock;
use application::serve::Deployment;
use domain::ids::{MerchantId, PayoutId};
use domain::time::Timestamp;
use serde::Deserialize;
use serde_json::Value;

/// The largest amount that every JSON reader represents exactly.
const AMOUNT_MAX_FEN: u64 = (1 << 53) - 1;
/// The payouts of one call.
const PAYOUTS_MAX: usize = 25;

/// The word of an operation.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Word {
    CreatePayout,
    PayoutSending,
    PayoutSent,
    PayoutReturned,
    PayoutsUnfinished,
}

impl Word {
    /// The name in the log.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::CreatePayout => "create_payout",
            Self::PayoutSending => "payout_sending",
            Self::PayoutSent => "payout_sent",
            Self::PayoutReturned => "payout_returned",
            Self::PayoutsUnfinished => "payouts_unfinished",
        }
    }
}

/// An event of the core system.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Asked {
    pub(crate) operation: Word,
    payout_id: Option<String>,
    merchant_id: Option<String>,
    payouts: Option<Vec<OfPayout>>,
    amount_fen: Option<i64>,
    cursor: Option<String>,
    time: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OfPayout {
    payout_id: Option<String>,
    merchant_id: Option<String>,
}

/// A payout that is reported.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reported {
    pub(crate) payout_id: PayoutId,
    /// Optional: with it, the operation costs one call less.
    pub(crate) merchant_id: Option<MerchantId>,
}

/// A report about payouts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Report {
    Sending,
    Sent,
    Returned,
}

/// One operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Create {
        payout_id: PayoutId,
        merchant_id: MerchantId,
        amount_fen: u64,
    },
    Report(Report, Reported),
    /// Each payout with its own result, also if its ids are malformed.
    ReportAll(Report, Vec<(String, Result<Reported, Refusal>)>),
    ListUnfinished {
        merchant_id: MerchantId,
        before: Option<String>,
    },
}

impl Asked {
    /// The members of an event.
    pub(crate) fn read(event: Value) -> Result<Self, Refusal> {
        serde_json::from_value(event).map_err(|_| {
            Refusal::malformed(
                "expected operation (create_payout, payout_sending, payout_sent, payout_returned or payouts_unfinished), \
                 payout_id or payouts, merchant_id, amount_fen with a new payout, cursor with payouts_unfinished; nothing else",
            )
        })
    }

    /// The clock of the operation.
    pub(crate) fn now(&self, deployment: &Deployment) -> Result<Timestamp, Refusal> {
        match self.time.as_deref() {
            None => Ok(wall_clock()),
            Some(_) if !deployment.is_sandbox() => {
                Err(Refusal::malformed("time can be set in the sandbox only"))
            }
            Some(text) => Timestamp::parse_rfc3339(text)
                .ok_or_else(|| Refusal::malformed("time is not RFC 3339")),
        }
    }

    pub(crate) fn parse(self) -> Result<Operation, Refusal> {
        let is_list = self.operation == Word::PayoutsUnfinished;
        if self.cursor.is_some() && !is_list {
            return Err(Refusal::malformed(
                "cursor is allowed with payouts_unfinished only",
            ));
        }
        if self.amount_fen.is_some() && self.operation != Word::CreatePayout {
            return Err(Refusal::malformed(
                "amount_fen is allowed with create_payout only",
            ));
        }
        let report = match self.operation {
            Word::CreatePayout => return self.create(),
            Word::PayoutsUnfinished => return self.list(),
            Word::PayoutSending => Report::Sending,
            Word::PayoutSent => Report::Sent,
            Word::PayoutReturned => Report::Returned,
        };
        let Some(payouts) = &self.payouts else {
            return self.one().map(|one| Operation::Report(report, one));
        };
        if self.payout_id.is_some() || self.merchant_id.is_some() {
            return Err(Refusal::malformed(
                "payouts stands for payout_id and merchant_id",
            ));
        }
        if !(1..=PAYOUTS_MAX).contains(&payouts.len()) {
            let text = format!("payouts must have 1 to {PAYOUTS_MAX} elements");
            return Err(Refusal::malformed(text));
        }
        let parsed = payouts.iter().map(|one| {
            let id = one.payout_id.clone().unwrap_or_default();
            (
                id,
                reported(one.payout_id.as_deref(), one.merchant_id.as_deref()),
            )
        });
        Ok(Operation::ReportAll(report, parsed.collect()))
    }

    fn one(&self) -> Result<Reported, Refusal> {
        reported(self.payout_id.as_deref(), self.merchant_id.as_deref())
    }

    fn create(self) -> Result<Operation, Refusal> {
        if self.payouts.is_some() {
            return Err(Refusal::malformed("create_payout takes one payout"));
        }
        let amount = self.amount_fen.and_then(|fen| u64::try_from(fen).ok());
        let amount_fen = amount.filter(|fen| (1..=AMOUNT_MAX_FEN).contains(fen));
        let amount_fen = amount_fen.ok_or_else(|| {
            let text = format!("amount_fen must be a whole number from 1 to {AMOUNT_MAX_FEN}");
            Refusal::malformed(text)
        })?;
        let Reported {
            payout_id,
            merchant_id,
        } = self.one()?;
        let merchant_id = merchant_id
            .ok_or_else(|| Refusal::malformed("merchant_id is needed for a new payout"))?;
        Ok(Operation::Create {
            payout_id,
            merchant_id,
            amount_fen,
        })
    }

    fn list(self) -> Result<Operation, Refusal> {
        if self.payouts.is_some() || self.payout_id.is_some() {
            return Err(Refusal::malformed(
                "payouts_unfinished takes merchant_id and cursor only",
            ));
        }
        let merchant_id = merchant(self.merchant_id.as_deref())?;
        let merchant_id =
            merchant_id.ok_or_else(|| Refusal::malformed("merchant_id is needed for a list"))?;
        let before = self.cursor.as_deref().map(|cursor| {
            let position = store::payout::position(cursor);
            position.ok_or_else(|| Refusal::malformed("cursor must be the next_cursor of a list"))
        });
        Ok(Operation::ListUnfinished {
            merchant_id,
            before: before.transpose()?,
        })
    }
}

fn reported(payout_id: Option<&str>, merchant_id: Option<&str>) -> Result<Reported, Refusal> {
    let payout_id = payout_id.and_then(PayoutId::parse).ok_or_else(|| {
        Refusal::malformed("payout_id must be `pay_` followed by 1 to 40 letters, digits or `_`")
    })?;
    Ok(Reported {
        payout_id,
        merchant_id: merchant(merchant_id)?,
    })
}

fn merchant(merchant_id: Option<&str>) -> Result<Option<MerchantId>, Refusal> {
    let merchant_id = merchant_id.map(|text| {
        MerchantId::parse(text).ok_or_else(|| {
            Refusal::malformed(
                "merchant_id must be `mer_` followed by 1 to 40 letters, digits or `_`",
            )
        })
    });
    merchant_id.transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parsed(event: Value) -> Result<Operation, Refusal> {
        Asked::read(event).and_then(Asked::parse)
    }

    #[test]
    fn one_payout_or_several_are_reported() {
        let one = json!({"operation": "payout_sent", "payout_id": "pay_1", "merchant_id": "mer_1"});
        let Ok(Operation::Report(Report::Sent, reported)) = parsed(one) else {
            panic!("not a report");
        };
        assert_eq!(reported.payout_id.as_str(), "pay_1");
        let payouts = json!([{"payout_id": "pay_1"}, {"payout_id": "1"}, {}]);
        let all = json!({"operation": "payout_sending", "payouts": payouts});
        let Ok(Operation::ReportAll(Report::Sending, all)) = parsed(all) else {
            panic!("not several reports");
        };
        let are_ok: Vec<_> = all
            .iter()
            .map(|(id, one)| (id.as_str(), one.is_ok()))
            .collect();
        assert_eq!(are_ok, [("pay_1", true), ("1", false), ("", false)]);
    }

    #[test]
    fn every_malformed_event_is_refused() {
        let many = vec![json!({"payout_id": "pay_1"}); PAYOUTS_MAX + 1];
        for event in [
            json!({"operation": "payout_sent"}),
            json!({"operation": "payout_sent", "payout_id": "pay_1", "amount_fen": 1}),
            json!({"operation": "payout_sent", "payout_id": "pay_1", "cursor": "a"}),
            json!({"operation": "payout_sent", "payout_id": "pay_1", "more": 1}),
            json!({"operation": "payout_sent", "payout_id": "pay_1", "payouts": []}),
            json!({"operation": "payout_sent", "payouts": []}),
            json!({"operation": "payout_sent", "payouts": many}),
            json!({"operation": "payout_sent", "payouts": [{"payout_id": "pay_1", "more": 1}]}),
            json!({"operation": "create_payout", "payout_id": "pay_1", "merchant_id": "mer_1"}),
            json!({"operation": "create_payout", "payout_id": "pay_1", "amount_fen": 1}),
            json!({"operation": "create_payout", "payouts": [], "amount_fen": 1}),
            json!({"operation": "payouts_unfinished"}),
            json!({"operation": "payouts_unfinished", "merchant_id": "mer_1", "cursor": "!"}),
            json!({"operation": "payouts_unfinished", "merchant_id": "mer_1", "payout_id": "pay_1"}),
            json!({"operation": "pay"}),
            json!(null),
        ] {
            let refused = parsed(event.clone()).unwrap_err();
            assert_eq!(
                refused.code,
                domain::error_code::ErrorCode::RequestMalformed,
                "{event}"
            );
        }
    }
}
