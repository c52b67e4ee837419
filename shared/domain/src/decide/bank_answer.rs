//! The bank's answers, and what each means for the rebind.

use super::seconds_until;
use crate::card::{BankCardType, Card, CardType};
use crate::error_code::ErrorCode;
use crate::policy::MINUTE_S;
use crate::rebind::Rebind;
use crate::time::Timestamp;

/// The bank's answer about name, ID, card and phone, or the state of the deposit that replaces the check.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankAnswer {
    /// The elements belong together, and the card has this type.
    Match(BankCardType),
    /// The elements do not belong together. The bank never reveals which one differs.
    Mismatch,
    /// The card is not enabled for such checks.
    NotEnabled,
    /// The issuer does not support such checks.
    IssuerUnsupported,
    /// Confiscated, or reported lost.
    Blocked,
    /// No such card.
    Invalid,
    /// Not initialised, or dormant.
    Dormant,
    /// The card has expired.
    Expired,
    /// Restricted.
    Restricted,
    /// A Class II account, which cannot receive settlement.
    ClassTwo,
    /// The bank rejected the request as malformed, which is a defect of this system.
    Malformed,
    /// The bank is busy. Retry soon.
    Busy,
    /// The daily quota is used up. Retry tomorrow.
    Quota,
    /// The bank cannot check the card. A deposit with a code was sent instead.
    Deposited {
        /// True if the bank has confirmed its arrival.
        arrived: bool,
    },
    /// The bank cannot check the card, and the deposit was returned.
    DepositReturned,
}

impl BankAnswer {
    /// The elements belong together, and the card is a debit card.
    pub const DEBIT_MATCH: Self = Self::Match(BankCardType::Debit);

    /// True if the answer decides about the card. Otherwise a deposit has to decide, or the bank cannot answer now.
    #[must_use]
    pub const fn decides(self, card: &Card) -> bool {
        match self {
            Self::NotEnabled | Self::IssuerUnsupported => !card.allows_deposit(),
            Self::Malformed | Self::Busy | Self::Quota => false,
            _ => true,
        }
    }

    /// The name in the history.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Match(_) => "match",
            Self::Mismatch => "mismatch",
            Self::NotEnabled => "not_enabled",
            Self::IssuerUnsupported => "issuer_unsupported",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
            Self::Dormant => "dormant",
            Self::Expired => "expired",
            Self::Restricted => "restricted",
            Self::ClassTwo => "class_ii",
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::Quota => "quota",
            Self::Deposited { .. } => "deposited",
            Self::DepositReturned => "deposit_returned",
        }
    }
}

/// The bank's reply to one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankReply {
    /// The number in the bank reference.
    pub number: u16,
    /// The answer; `None` when it was lost, late or unreadable.
    pub answer: Option<BankAnswer>,
}

/// The consequence of an answer for the rebind.
pub(super) enum Meaning {
    /// A code goes to the reserved phone.
    Matched,
    /// A deposit carries a code to the card itself.
    Deposited {
        /// True if the bank has confirmed its arrival.
        arrived: bool,
    },
    /// The card is refused and the rebind ends.
    Refused(ErrorCode),
    /// Nothing is decided. The same reference is asked again, after these seconds if given.
    AskAgain(ErrorCode, Option<i64>),
}

/// The rebind whose card has the type that a match states. If the bank does not know it, the table's type remains.
pub(super) fn with_type(rebind: &Rebind, answer: Option<BankAnswer>) -> Rebind {
    let mut typed = rebind.clone();
    if let Some(BankAnswer::Match(stated)) = answer {
        typed.new_card.card_type = match stated {
            BankCardType::Debit => CardType::Debit,
            BankCardType::Credit => CardType::Credit,
            BankCardType::Prepaid => CardType::Prepaid,
            BankCardType::Unknown => typed.new_card.card_type,
        };
    }
    typed
}

/// The consequence of each answer, as in `infra/bank-protocol.md`.
pub(super) fn interpret(
    answer: BankAnswer,
    card: &Card,
    bound_elsewhere: bool,
    now: Timestamp,
) -> Meaning {
    match answer {
        BankAnswer::Match(stated) => match refused_type(stated, card) {
            Some(code) => Meaning::Refused(code),
            // Reveal this only to a caller who has proven the card. After a deposit, the correct code comes first.
            None if bound_elsewhere => Meaning::Refused(ErrorCode::CardBoundElsewhere),
            None => Meaning::Matched,
        },
        BankAnswer::Mismatch => Meaning::Refused(ErrorCode::ElementsMismatch),
        BankAnswer::Blocked => Meaning::Refused(ErrorCode::CardBlocked),
        BankAnswer::Invalid => Meaning::Refused(ErrorCode::CardInvalid),
        BankAnswer::Dormant => Meaning::Refused(ErrorCode::CardDormant),
        BankAnswer::Expired => Meaning::Refused(ErrorCode::CardExpired),
        BankAnswer::Restricted => Meaning::Refused(ErrorCode::CardRestricted),
        BankAnswer::NotEnabled
        | BankAnswer::IssuerUnsupported
        | BankAnswer::Deposited { .. }
        | BankAnswer::DepositReturned
            if !card.allows_deposit() =>
        {
            Meaning::Refused(ErrorCode::CardTypeUnknown)
        }
        // A deposit verifies this card instead. The caller sends it and reports `Deposited` or `DepositReturned`.
        BankAnswer::NotEnabled | BankAnswer::IssuerUnsupported => {
            Meaning::AskAgain(ErrorCode::UpstreamUnknown, Some(5))
        }
        BankAnswer::Deposited { arrived } => Meaning::Deposited { arrived },
        BankAnswer::DepositReturned => Meaning::Refused(ErrorCode::MicroDepositReturned),
        BankAnswer::ClassTwo => Meaning::Refused(ErrorCode::CardClassIi),
        BankAnswer::Malformed => Meaning::AskAgain(ErrorCode::Internal, None),
        BankAnswer::Busy => Meaning::AskAgain(ErrorCode::UpstreamBusy, Some(MINUTE_S)),
        BankAnswer::Quota => {
            Meaning::AskAgain(ErrorCode::UpstreamQuota, Some(until_tomorrow_s(now)))
        }
    }
}

/// Why a card of this type is refused although its elements match. Only a debit card can receive settlement.
const fn refused_type(stated: BankCardType, card: &Card) -> Option<ErrorCode> {
    match (stated, card.card_type) {
        (BankCardType::Debit, _) | (BankCardType::Unknown, CardType::Debit) => None,
        (BankCardType::Credit, _) => Some(ErrorCode::CardTypeCredit),
        (BankCardType::Prepaid, _) => Some(ErrorCode::CardTypePrepaid),
        (BankCardType::Unknown, _) => Some(ErrorCode::CardTypeUnknown),
    }
}

/// Seconds until the bank's next day, which starts at midnight in Shanghai.
fn until_tomorrow_s(now: Timestamp) -> i64 {
    let tomorrow = Timestamp::start_of_shanghai_day(now.shanghai_day() + 1);
    seconds_until(tomorrow, now)
}
