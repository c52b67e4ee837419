//! The messages: JSON in the bodies of POST requests and of their replies.
//!
//! The caller chooses the serial of each message: 1 to 64 of `A-Z a-z 0-9 _ -`. A serial identifies one request and is
//! never reused. The serials of a rebind are `<rebind_id>-<k>` for checks, `<rebind_id>-d<k>` for micro-deposits and
//! `<rebind_id>-t1` for its test transaction.

use domain::card::BankCardType;
use domain::pii::{CardNumber, DocumentType, IdNumber, PersonName, Phone};
use domain::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};

/// The paths below the base URL.
pub mod path {
    /// Checks whether name, ID number, card and phone belong together: [`super::CheckRequest`] to
    /// [`super::CheckAnswer`].
    pub const CHECK: &str = "/check";
    /// Returns the answer to a check: [`super::SerialQuery`] to [`super::CheckQueryAnswer`].
    pub const CHECK_QUERY: &str = "/check/query";
    /// Transfers money to a card: [`super::TransferRequest`] to [`super::TransferAnswer`].
    pub const TRANSFER: &str = "/transfer";
    /// Returns the status of a transfer: [`super::SerialQuery`] to [`super::TransferQueryAnswer`].
    pub const TRANSFER_QUERY: &str = "/transfer/query";
    /// Lists the transfers to a card. Unsigned, in the sandbox only: [`super::StatementRequest`] to
    /// [`super::Statement`].
    pub const STATEMENT: &str = "/statement";
}

/// Maximum length of a serial.
pub const MAX_SERIAL_CHARS: usize = 64;

/// Whether the text is a valid serial.
#[must_use]
pub fn is_serial(text: &str) -> bool {
    (1..=MAX_SERIAL_CHARS).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

/// A four-element check.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CheckRequest {
    /// Chosen by the caller; see the module.
    pub serial: String,
    /// 15 to 19 digits.
    #[serde(serialize_with = "exposed")]
    pub card_number: Secret<String>,
    /// The holder's name, as the acquirer's record spells it.
    #[serde(serialize_with = "exposed")]
    pub holder_name: Secret<String>,
    /// The kind of the identity document.
    pub document_type: DocumentType,
    /// The number of the document, with letters in upper case.
    #[serde(serialize_with = "exposed")]
    pub id_number: Secret<String>,
    /// The phone on record with the card's issuer: `+86` and 11 digits.
    #[serde(serialize_with = "exposed")]
    pub phone: Secret<String>,
}

impl CheckRequest {
    /// Takes validated values only, so that the bank has no reason to answer `malformed`.
    #[must_use]
    pub fn new(
        serial: &str,
        card_number: &CardNumber,
        holder_name: &PersonName,
        id_number: &IdNumber,
        phone: &Phone,
    ) -> Self {
        Self {
            serial: serial.to_owned(),
            card_number: secret(card_number.expose()),
            holder_name: secret(holder_name.expose()),
            document_type: id_number.kind(),
            id_number: secret(id_number.expose()),
            phone: secret(phone.e164()),
        }
    }
}

/// The bank's answer to a check. Each variant stands for one or more published result codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// 0: the elements belong together.
    Match,
    /// −1, −6: the elements do not belong together. The bank never reveals which one differs.
    Mismatch,
    /// −7: the card is not enabled for card-not-present checks.
    NotEnabled,
    /// −17, −20: the issuer does not answer, or does not support this kind of document.
    IssuerUnsupported,
    /// −8, −12, −13: confiscated, fraudulent or reported lost.
    Blocked,
    /// −9, −10, −21: no such card, no such issuer, or an abnormal account.
    Invalid,
    /// −11: not initialised, or dormant.
    Dormant,
    /// −14: expired.
    Expired,
    /// −15, −16: restricted, or too many PIN attempts.
    Restricted,
    /// A Class II or III account, which cannot receive settlement.
    #[serde(rename = "class_ii")] // snake_case would produce class_i_i
    ClassII,
    /// −2, −3, −4, −5: an element is malformed, which is a defect of the caller.
    Malformed,
    /// −18: busy. Nothing was decided; retry under the same serial.
    Busy,
    /// −19: too many checks today. Nothing was decided; retry tomorrow under the same serial.
    Quota,
}

impl CheckOutcome {
    /// Whether the answer is final. After any other outcome the same serial is sent again.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Busy | Self::Quota)
    }
}

/// The answer to a check.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckAnswer {
    /// The serial of the request.
    pub serial: String,
    /// The answer.
    pub outcome: CheckOutcome,
    /// The card's type, with `match` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_type: Option<BankCardType>,
}

/// Outcome and card type combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckResult {
    /// The outcome.
    pub outcome: CheckOutcome,
    /// The card's type; `Unknown` unless the elements match.
    pub card_type: BankCardType,
}

impl CheckResult {
    /// From the fields of an answer. A match without a card type does not state it.
    #[must_use]
    pub fn new(outcome: CheckOutcome, card_type: Option<BankCardType>) -> Self {
        let card_type = card_type.filter(|_| outcome == CheckOutcome::Match);
        let card_type = card_type.unwrap_or(BankCardType::Unknown);
        Self { outcome, card_type }
    }

    /// The card type in an answer.
    #[must_use]
    pub fn stated_type(self) -> Option<BankCardType> {
        (self.outcome == CheckOutcome::Match).then_some(self.card_type)
    }
}

/// Queries the result of a serial. A query never decides anything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialQuery {
    /// The serial of the check or transfer.
    pub serial: String,
}

/// Replaces the outcome or the status when no request of this kind has arrived with this serial yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeverSeen {
    /// `"unknown_serial"`
    UnknownSerial,
}

/// The bank's record of a serial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SerialLookup<T> {
    /// The stored result.
    Found(T),
    /// No result: the serial is unknown.
    NotFound(NeverSeen),
}

/// The answer to a query about a check.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckQueryAnswer {
    /// The serial of the request.
    pub serial: String,
    /// The stored answer.
    pub outcome: SerialLookup<CheckOutcome>,
    /// The card's type, with `match` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub card_type: Option<BankCardType>,
}

/// Sends money to a card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// Chosen by the caller; see the module.
    pub serial: String,
    /// 15 to 19 digits.
    #[serde(serialize_with = "exposed")]
    pub card_number: Secret<String>,
    /// The payee's name, folded.
    #[serde(serialize_with = "exposed")]
    pub holder_name: Secret<String>,
    /// At least 1.
    pub amount_fen: u64,
    /// The text on the payee's statement, at most 64 characters. A micro-deposit's ends in its code.
    #[serde(serialize_with = "exposed")]
    pub descriptor: Secret<String>,
    /// Whether to return the transfer when the payee's name differs from the holder's.
    pub check_name: bool,
}

impl TransferRequest {
    /// Transfers one fen, to verify or to test a card. This system never sends another amount.
    #[must_use]
    pub fn one_fen(
        serial: &str,
        card_number: &CardNumber,
        holder_name: &PersonName,
        descriptor: &str,
        check_name: bool,
    ) -> Self {
        Self {
            serial: serial.to_owned(),
            card_number: secret(card_number.expose()),
            holder_name: secret(holder_name.expose()),
            amount_fen: 1,
            descriptor: secret(descriptor),
            check_name,
        }
    }
}

/// The status of a transfer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatus {
    /// The payee received the money. The payee's bank can still return it; a later query then answers `returned`.
    Succeeded,
    /// Not decided yet; query the serial again.
    Pending,
    /// The money did not reach the payee, or the payee's bank returned it.
    Returned,
}

/// Why a transfer was returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnReason {
    /// The payee's name differs from the card holder's.
    NameMismatch,
    /// The account cannot receive money.
    AccountUnusable,
    /// No reason, or a reason outside this protocol.
    #[serde(other)]
    Other,
}

/// The answer to a transfer.
#[derive(Debug, Serialize, Deserialize)]
pub struct TransferAnswer {
    /// The serial of the request.
    pub serial: String,
    /// The current status.
    pub status: TransferStatus,
    /// Present with `returned` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReturnReason>,
}

/// The answer to a query about a transfer.
#[derive(Debug, Serialize, Deserialize)]
pub struct TransferQueryAnswer {
    /// The serial of the request.
    pub serial: String,
    /// The current status.
    pub status: SerialLookup<TransferStatus>,
    /// Present with `returned` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReturnReason>,
}

/// Status and return reason combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TransferOutcome {
    /// See [`TransferStatus::Succeeded`].
    Succeeded,
    /// See [`TransferStatus::Pending`].
    Pending,
    /// See [`TransferStatus::Returned`].
    Returned(ReturnReason),
}

impl TransferOutcome {
    /// From the fields of an answer. Ignores a reason unless the status is `returned`.
    #[must_use]
    pub fn new(status: TransferStatus, reason: Option<ReturnReason>) -> Self {
        match status {
            TransferStatus::Succeeded => Self::Succeeded,
            TransferStatus::Pending => Self::Pending,
            TransferStatus::Returned => Self::Returned(reason.unwrap_or(ReturnReason::Other)),
        }
    }

    /// The fields of an answer.
    #[must_use]
    pub const fn parts(self) -> (TransferStatus, Option<ReturnReason>) {
        match self {
            Self::Succeeded => (TransferStatus::Succeeded, None),
            Self::Pending => (TransferStatus::Pending, None),
            Self::Returned(reason) => (TransferStatus::Returned, Some(reason)),
        }
    }
}

/// Asks the sandbox for the transfers to a card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementRequest {
    /// 15 to 19 digits.
    #[serde(serialize_with = "exposed")]
    pub card_number: Secret<String>,
}

/// The last 100 transfers to a card in the sandbox, newest first.
#[derive(Serialize, Deserialize)]
pub struct Statement {
    /// The transfers, returned ones included.
    pub transfers: Vec<StatementLine>,
}

/// One transfer. Contains the code of a micro-deposit, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct StatementLine {
    /// The transfer's serial.
    pub serial: String,
    /// The amount.
    pub amount_fen: u64,
    /// The descriptor of the transfer request.
    pub descriptor: String,
    /// The current status.
    pub status: TransferStatus,
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

fn exposed<S: Serializer>(secret: &Secret<String>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose())
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::ids::RebindId;
    use serde_json::json;

    #[test]
    fn debug_output_hides_personal_data() {
        let card = CardNumber::parse("6222020000009001009").unwrap();
        let holder = PersonName::new("测试商户一");
        let id_number = IdNumber::parse(DocumentType::ResidentId, "110105196302111073").unwrap();
        let phone = Phone::parse("13900000001").unwrap();
        let check = CheckRequest::new("rbd_1-1", &card, &holder, &id_number, &phone);
        let transfer = TransferRequest::one_fen("rbd_1-2", &card, &holder, "BIND ABC234", true);
        let printed = format!("{check:?}{transfer:?}");
        for secret in ["6222", "测试", "1101", "139", "ABC234"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        assert!(printed.contains("rbd_1-1"));
        // The serialized request contains all fields.
        assert_eq!(
            serde_json::to_value(&check).unwrap(),
            json!({
                "serial": "rbd_1-1", "card_number": "6222020000009001009", "holder_name": "测试商户一",
                "id_number": "110105196302111073", "document_type": "resident_id", "phone": "+8613900000001",
            })
        );
        assert_eq!(
            serde_json::to_value(&transfer).unwrap(),
            json!({
                "serial": "rbd_1-2", "card_number": "6222020000009001009", "holder_name": "测试商户一",
                "amount_fen": 1, "descriptor": "BIND ABC234", "check_name": true,
            })
        );
    }

    #[test]
    fn outcomes_are_a_closed_set() {
        for (name, outcome) in [
            ("match", CheckOutcome::Match),
            ("mismatch", CheckOutcome::Mismatch),
            ("not_enabled", CheckOutcome::NotEnabled),
            ("issuer_unsupported", CheckOutcome::IssuerUnsupported),
            ("blocked", CheckOutcome::Blocked),
            ("invalid", CheckOutcome::Invalid),
            ("dormant", CheckOutcome::Dormant),
            ("expired", CheckOutcome::Expired),
            ("restricted", CheckOutcome::Restricted),
            ("class_ii", CheckOutcome::ClassII),
            ("malformed", CheckOutcome::Malformed),
            ("busy", CheckOutcome::Busy),
            ("quota", CheckOutcome::Quota),
        ] {
            assert_eq!(serde_json::to_value(outcome).unwrap(), name);
            let lookup: SerialLookup<CheckOutcome> = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(lookup, SerialLookup::Found(outcome));
        }
        let lookup: SerialLookup<CheckOutcome> =
            serde_json::from_value(json!("unknown_serial")).unwrap();
        assert_eq!(lookup, SerialLookup::NotFound(NeverSeen::UnknownSerial));
        for other in [json!("unknown"), json!("Match"), json!(0), json!(null)] {
            assert!(serde_json::from_value::<SerialLookup<CheckOutcome>>(other.clone()).is_err());
            assert!(serde_json::from_value::<CheckOutcome>(other).is_err());
        }
    }

    #[test]
    fn only_a_match_states_a_card_type() {
        let credit = Some(BankCardType::Credit);
        let matched = CheckResult::new(CheckOutcome::Match, credit);
        assert_eq!(matched.stated_type(), credit);
        for (outcome, card_type) in [
            (CheckOutcome::Match, None),
            (CheckOutcome::NotEnabled, Some(BankCardType::Debit)),
        ] {
            let result = CheckResult::new(outcome, card_type);
            assert_eq!(result.card_type, BankCardType::Unknown);
        }
        let refused = CheckResult::new(CheckOutcome::NotEnabled, Some(BankCardType::Debit));
        assert_eq!(refused.stated_type(), None);
        let answer = CheckAnswer {
            serial: "s".to_owned(),
            outcome: CheckOutcome::Match,
            card_type: credit,
        };
        assert_eq!(
            serde_json::to_value(&answer).unwrap(),
            json!({"serial": "s", "outcome": "match", "card_type": "credit"})
        );
    }

    #[test]
    fn unknown_return_reason_reads_as_other() {
        let answer: TransferAnswer = serde_json::from_value(
            json!({"serial": "s", "status": "returned", "reason": "new_in_2027", "more": 1}),
        )
        .unwrap();
        assert_eq!(
            TransferOutcome::new(answer.status, answer.reason),
            TransferOutcome::Returned(ReturnReason::Other)
        );
        assert_eq!(
            TransferOutcome::new(TransferStatus::Succeeded, Some(ReturnReason::NameMismatch)),
            TransferOutcome::Succeeded
        );
    }

    #[test]
    fn serial_format_is_checked() {
        for good in ["a", &"x".repeat(64)] {
            assert!(is_serial(good));
        }
        let rebind = RebindId::new(RebindId::NUMBER_MAX, &[255; 16]);
        for what in ["12", "d3", "t1"] {
            assert!(is_serial(&format!("{rebind}-{what}")));
        }
        for bad in ["", "a b", "a#b", "é", &"x".repeat(65)] {
            assert!(!is_serial(bad));
        }
    }
}
