//! What is on the wire: JSON in the bodies of POST requests and of their replies.
//!
//! Each message names its serial, which the caller makes: 1 to 64 of `A-Z a-z 0-9 _ -`. One serial is one
//! question for ever. The serials of one rebind are `<rebind_id>-<k>` for checks, `<rebind_id>-d<k>` for micro-deposits
//! and `<rebind_id>-t1` for its test transaction.

use domain::pii::{CardNumber, IdNumber, PersonName, Phone};
use domain::secret::Secret;
use serde::{Deserialize, Serialize, Serializer};

/// The paths, after the base URL.
pub mod path {
    /// Do name, ID number, card and phone belong together? [`super::CheckRequest`] to [`super::CheckAnswer`].
    pub const CHECK: &str = "/check";
    /// What was answered to a check: [`super::SerialQuery`] to [`super::CheckQueryAnswer`].
    pub const CHECK_QUERY: &str = "/check/query";
    /// Send money to a card: [`super::TransferRequest`] to [`super::TransferAnswer`].
    pub const TRANSFER: &str = "/transfer";
    /// What became of a transfer: [`super::SerialQuery`] to [`super::TransferQueryAnswer`].
    pub const TRANSFER_QUERY: &str = "/transfer/query";
    /// What reached a card; unsigned, in the sandbox only: [`super::StatementRequest`] to [`super::Statement`].
    pub const STATEMENT: &str = "/statement";
}

/// The longest serial.
pub const MAX_SERIAL_CHARS: usize = 64;

/// Whether a text can be a serial.
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
    /// Ours; see the module.
    pub serial: String,
    /// 15 to 19 digits.
    #[serde(serialize_with = "exposed")]
    pub card_number: Secret<String>,
    /// The holder's name, folded (middle dot U+00B7, half-width forms).
    #[serde(serialize_with = "exposed")]
    pub holder_name: Secret<String>,
    /// Resident ID number, `X` in upper case.
    #[serde(serialize_with = "exposed")]
    pub id_number: Secret<String>,
    /// The phone that the card's issuer has on record: `+86` and 11 digits.
    #[serde(serialize_with = "exposed")]
    pub phone: Secret<String>,
}

impl CheckRequest {
    /// From values that are of their form, so that a bank has no reason to answer `malformed`.
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
            id_number: secret(id_number.expose()),
            phone: secret(phone.e164()),
        }
    }
}

/// What a bank says about four elements: the union of the published lists, one name a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckOutcome {
    /// 0: they belong together.
    Match,
    /// −1, −6: they do not. Which one is never said.
    Mismatch,
    /// −7: the card is not opened for checks without the card being present.
    NotEnabled,
    /// −17, −20: the issuer does not answer, or does not know this kind of document.
    IssuerUnsupported,
    /// −8, −12, −13: confiscated, a cheat card, reported lost.
    Blocked,
    /// −9, −10, −21: no such card, no such issuer, abnormal.
    Invalid,
    /// −11: not initialised, or dormant.
    Dormant,
    /// −14: expired.
    Expired,
    /// −15, −16: restricted, or too many PIN tries.
    Restricted,
    /// A Class II or III account, which cannot receive settlement.
    #[serde(rename = "class_ii")] // the rule would make it class_i_i
    ClassII,
    /// −2, −3, −4, −5: an element is not of its form. A bug of the caller's.
    Malformed,
    /// −18: busy. Nothing was decided; ask again under the same serial.
    Busy,
    /// −19: too many checks today. Nothing was decided; ask again tomorrow, under the same serial.
    Quota,
}

impl CheckOutcome {
    /// Whether the question is answered for ever. After any other outcome the same serial is asked again.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        !matches!(self, Self::Busy | Self::Quota)
    }
}

/// The answer to a check.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckAnswer {
    /// That of the request.
    pub serial: String,
    /// What the bank says.
    pub outcome: CheckOutcome,
}

/// Asks what became of a serial. Never decides anything.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SerialQuery {
    /// The serial asked about.
    pub serial: String,
}

/// In the place of an outcome or a status: no request with this serial has come in, of this kind, so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeverSeen {
    /// The one value.
    UnknownSerial,
}

/// Either what is known of a serial, or that nothing is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Known<T> {
    /// What was answered.
    Yes(T),
    /// `"unknown_serial"`
    No(NeverSeen),
}

/// The answer to a query about a check.
#[derive(Debug, Serialize, Deserialize)]
pub struct CheckQueryAnswer {
    /// That of the request.
    pub serial: String,
    /// What the bank has said.
    pub outcome: Known<CheckOutcome>,
}

/// Sends money to a card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TransferRequest {
    /// Ours; see the module.
    pub serial: String,
    /// 15 to 19 digits.
    #[serde(serialize_with = "exposed")]
    pub card_number: Secret<String>,
    /// The payee's name, folded.
    #[serde(serialize_with = "exposed")]
    pub holder_name: Secret<String>,
    /// At least 1.
    pub amount_fen: u64,
    /// What the payee's statement shows, at most 64 characters. Ends in the code when it is a micro-deposit.
    #[serde(serialize_with = "exposed")]
    pub descriptor: Secret<String>,
    /// Return the transfer when the payee's name is not that of the card's holder.
    pub check_name: bool,
}

impl TransferRequest {
    /// One fen to a card that is to be proven or tried: all that this system ever sends.
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

/// Where a transfer stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TransferStatus {
    /// The payee has it. A payee's bank can still return it later: then a query says so.
    Succeeded,
    /// Not decided; ask again by its serial.
    Pending,
    /// It did not reach the payee, or it came back.
    Returned,
}

/// Why a transfer came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReturnReason {
    /// The payee's name is not that of the card's holder.
    NameMismatch,
    /// The account cannot receive money.
    AccountUnusable,
    /// A reason that this protocol does not name, or none.
    #[serde(other)]
    Other,
}

/// The answer to a transfer.
#[derive(Debug, Serialize, Deserialize)]
pub struct TransferAnswer {
    /// That of the request.
    pub serial: String,
    /// Where it stands.
    pub status: TransferStatus,
    /// With `returned` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReturnReason>,
}

/// The answer to a query about a transfer.
#[derive(Debug, Serialize, Deserialize)]
pub struct TransferQueryAnswer {
    /// That of the request.
    pub serial: String,
    /// Where it stands.
    pub status: Known<TransferStatus>,
    /// With `returned` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReturnReason>,
}

/// Status and reason in one.
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
    /// From what is on the wire. A reason is dropped where it makes no sense.
    #[must_use]
    pub fn new(status: TransferStatus, reason: Option<ReturnReason>) -> Self {
        match status {
            TransferStatus::Succeeded => Self::Succeeded,
            TransferStatus::Pending => Self::Pending,
            TransferStatus::Returned => Self::Returned(reason.unwrap_or(ReturnReason::Other)),
        }
    }

    /// As it goes on the wire.
    #[must_use]
    pub const fn parts(self) -> (TransferStatus, Option<ReturnReason>) {
        match self {
            Self::Succeeded => (TransferStatus::Succeeded, None),
            Self::Pending => (TransferStatus::Pending, None),
            Self::Returned(reason) => (TransferStatus::Returned, Some(reason)),
        }
    }
}

/// Asks the sandbox what reached a card.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StatementRequest {
    /// 15 to 19 digits.
    #[serde(serialize_with = "exposed")]
    pub card_number: Secret<String>,
}

/// What reached a card in the sandbox, newest first, the newest 100.
#[derive(Serialize, Deserialize)]
pub struct Statement {
    /// The transfers, returned ones included.
    pub transfers: Vec<StatementLine>,
}

/// One transfer. Shows a micro-deposit's code, so it has no `Debug`.
#[derive(Serialize, Deserialize)]
pub struct StatementLine {
    /// The transfer's serial.
    pub serial: String,
    /// What was sent.
    pub amount_fen: u64,
    /// As it was sent.
    pub descriptor: String,
    /// Where it stands.
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
    fn requests_do_not_print_who_they_are_about() {
        let card = CardNumber::parse("6222020000009001009").unwrap();
        let holder = PersonName::new("测试商户一");
        let id_number = IdNumber::parse("110105196302111073").unwrap();
        let phone = Phone::parse("13900000001").unwrap();
        let check = CheckRequest::new("rbd_1-1", &card, &holder, &id_number, &phone);
        let transfer = TransferRequest::one_fen("rbd_1-2", &card, &holder, "BIND ABC234", true);
        let printed = format!("{check:?}{transfer:?}");
        for secret in ["6222", "测试", "1101", "139", "ABC234"] {
            assert!(!printed.contains(secret), "{printed}");
        }
        assert!(printed.contains("rbd_1-1"));
        // On the wire they are all there.
        assert_eq!(
            serde_json::to_value(&check).unwrap(),
            json!({
                "serial": "rbd_1-1", "card_number": "6222020000009001009", "holder_name": "测试商户一",
                "id_number": "110105196302111073", "phone": "+8613900000001",
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
    fn answers_are_a_closed_set() {
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
            let known: Known<CheckOutcome> = serde_json::from_value(json!(name)).unwrap();
            assert_eq!(known, Known::Yes(outcome));
        }
        let known: Known<CheckOutcome> = serde_json::from_value(json!("unknown_serial")).unwrap();
        assert_eq!(known, Known::No(NeverSeen::UnknownSerial));
        for other in [json!("unknown"), json!("Match"), json!(0), json!(null)] {
            assert!(serde_json::from_value::<Known<CheckOutcome>>(other.clone()).is_err());
            assert!(serde_json::from_value::<CheckOutcome>(other).is_err());
        }
    }

    #[test]
    fn a_reason_we_do_not_know_is_no_reason_to_lose_the_answer() {
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
    fn serials() {
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
