//! Handles the requests to the bank, as specified in `infra/bank-protocol.md`.

use crate::keys::BankKeys;
use crate::operation::Operation;
use crate::rule::{Behaviour, CardBook, Delivery, USUAL_TYPE, transfer_after};
use crate::store::{
    CheckRecord, NewTransfer, PutResult, RecordedOperation, SerialRecord, Store, StoreError,
    TransferKey, TransferRecord,
};
use api::event::Request;
use bank::protocol::{
    CheckAnswer, CheckQueryAnswer, NeverSeen, SerialLookup, SerialQuery, Statement,
    StatementRequest, TransferAnswer, TransferQueryAnswer, is_serial, path,
};
use bank::sandbox::{card_key, holder_key, keyed_hash, person_key};
use bank::signature::{SIGNATURE_HEADER, TIME_HEADER, sign_reply, verify_request};
use bank::{
    BankKey, CheckOutcome, CheckRequest, CheckResult, ReturnReason, TransferOutcome,
    TransferRequest,
};
use domain::card::BankCardType;
use domain::pii::{CardNumber, Phone};
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

const MAX_BODY_BYTES: usize = 16 * 1024;
const MAX_DESCRIPTOR_CHARS: usize = 64;
/// The body of `garbage`, with status 200.
const GARBAGE: &str = "<html><body>system busy</body></html>";

/// The only amount of a transfer, in fen: the protocol sends no other one.
const AMOUNT_FEN: u64 = 1;

/// The bank: its cards, its keys and its table.
#[derive(Debug)]
pub struct Bank {
    book: CardBook,
    keys: Mutex<BankKeys>,
    store: Store,
}

/// A reply in the gateway's format. It has no `Debug` because a statement contains codes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpReply {
    /// The HTTP status.
    pub status_code: u16,
    /// Headers with names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// The body as text.
    pub body: String,
}

/// The card's behaviour is to lose the reply: the invocation fails, and the gateway answers with a 5xx of its own.
///
/// Ending the process would look the same to the caller, but the next request would pay a cold start.
#[derive(Debug, thiserror::Error)]
#[error("this card loses its reply")]
pub struct ReplyLost;

impl From<ReplyLost> for Diagnostic {
    fn from(error: ReplyLost) -> Self {
        Self {
            error_type: "ReplyLost".to_owned(),
            error_message: error.to_string(),
        }
    }
}

enum Failure {
    Refused(u16, &'static str),
    Store(StoreError),
    Lost,
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

const MALFORMED: Failure = Failure::Refused(400, "malformed");
const CONFLICT: Failure = Failure::Refused(409, "serial_conflict");

struct Decision {
    result: CheckResult,
    delivery: Delivery,
    is_garbled: bool,
}

impl Bank {
    /// Creates a bank that stores its data in `store` and whose callers sign with `keys`.
    #[must_use]
    pub const fn new(book: CardBook, keys: BankKeys, store: Store) -> Self {
        Self {
            book,
            keys: Mutex::new(keys),
            store,
        }
    }

    /// Accepts these keys from now on, and no others.
    pub fn accept(&self, keys: BankKeys) {
        *self.held() = keys;
    }

    fn held(&self) -> MutexGuard<'_, BankKeys> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a request.
    ///
    /// # Errors
    /// [`ReplyLost`] when the card loses its reply.
    pub async fn handle(&self, request: &Request) -> Result<HttpReply, ReplyLost> {
        let operation = Operation::of(request);
        let result = match operation {
            Some(operation) => self.answer(operation, request).await,
            None => Err(Failure::Refused(404, "no_such_operation")),
        };
        let operation = operation.map(Operation::path);
        let (status, signed_with, body) = match result {
            Ok((signed_with, body)) => (200, signed_with, body),
            Err(Failure::Refused(status, error)) => (status, None, error_body(error)),
            Err(Failure::Store(error)) => {
                tracing::error!(bank.operation = operation, bank.error = %error, "bank_request.failed");
                (500, None, error_body("internal"))
            }
            Err(Failure::Lost) => return Err(ReplyLost),
        };
        tracing::info!(
            bank.operation = operation,
            http.status = status,
            "bank_request.answered"
        );
        let mut headers = BTreeMap::from([("content-type", "application/json".to_owned())]);
        // Sign answers to verified requests only: other signed replies could be used to forge an answer.
        if let (Some(key), Some(signature)) = (signed_with, request.header(SIGNATURE_HEADER)) {
            let signature = sign_reply(&key, signature, status, body.as_bytes());
            headers.insert(SIGNATURE_HEADER, signature);
        }
        Ok(HttpReply {
            status_code: status,
            headers,
            body,
        })
    }

    /// The answer, and the key that the caller signed with.
    async fn answer(
        &self,
        operation: Operation,
        request: &Request,
    ) -> Result<(Option<BankKey>, String), Failure> {
        let body = request.body.as_deref().ok_or(MALFORMED)?;
        if body.len() > MAX_BODY_BYTES {
            return Err(Failure::Refused(413, "too_large"));
        }
        let signed_with = match operation.is_signed() {
            true => Some(self.verify(operation, request, body)?),
            false => None,
        };
        let answer = match operation {
            Operation::Check => self.check(&parse(body)?).await,
            Operation::CheckQuery => self.check_query(parse(body)?).await,
            Operation::Transfer => self.transfer(&parse(body)?).await,
            Operation::TransferQuery => self.transfer_query(parse(body)?).await,
            Operation::Statement => self.statement(&parse(body)?).await,
        };
        Ok((signed_with, answer?))
    }

    #[expect(clippy::disallowed_methods, reason = "the bank uses wall-clock time")]
    fn verify(
        &self,
        operation: Operation,
        request: &Request,
        body: &[u8],
    ) -> Result<BankKey, Failure> {
        let refused = Failure::Refused(401, "signature");
        // Without a valid clock no request can be verified.
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
            return Err(refused);
        };
        let now_epoch_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let (time, signature) = (
            request.header(TIME_HEADER),
            request.header(SIGNATURE_HEADER),
        );
        let path = operation.path();
        let keys = self.held().clone();
        for key in keys.of(operation) {
            match verify_request(key, path, time, signature, body, now_epoch_s) {
                Ok(()) => return Ok(key.clone()),
                Err(cause) => {
                    tracing::warn!(bank.operation = path, bank.cause = %cause, "bank_request.unauthenticated");
                }
            }
        }
        Err(refused)
    }

    async fn check(&self, request: &CheckRequest) -> Result<String, Failure> {
        let serial = checked_serial(&request.serial)?;
        let fingerprint = self.fingerprint(path::CHECK, request)?;
        match self.recorded_check(serial, &fingerprint).await? {
            Some(record) if record.result.outcome.is_decided() => {
                return check_answer(serial, record);
            }
            _ => {}
        }
        let decision = self.decide(request).await?;
        let record = CheckRecord {
            result: decision.result,
            is_garbled: decision.is_garbled,
        };
        let put = self.store.put_check(serial, &fingerprint, record).await?;
        if put == PutResult::SerialInUse {
            // A concurrent copy of the same request was faster, and its answer is the valid one.
            let record = self
                .recorded_check(serial, &fingerprint)
                .await?
                .ok_or(CONFLICT)?;
            return check_answer(serial, record);
        }
        match decision.delivery {
            Delivery::Now => {}
            Delivery::After(delay) => tokio::time::sleep(delay).await,
            Delivery::Lost => return Err(Failure::Lost),
        }
        check_answer(serial, record)
    }

    /// The earlier answer to the same request.
    async fn recorded_check(
        &self,
        serial: &str,
        fingerprint: &str,
    ) -> Result<Option<CheckRecord>, Failure> {
        match self.store.serial_record(serial).await? {
            None => Ok(None),
            Some(SerialRecord {
                fingerprint: recorded,
                operation: RecordedOperation::Check(record),
            }) if recorded == fingerprint => Ok(Some(record)),
            Some(_) => Err(CONFLICT),
        }
    }

    async fn decide(&self, request: &CheckRequest) -> Result<Decision, Failure> {
        let plain = |outcome| Decision {
            result: CheckResult::new(outcome, Some(USUAL_TYPE)),
            delivery: Delivery::Now,
            is_garbled: false,
        };
        let (name, id_number) = (request.holder_name.expose(), request.id_number.expose());
        let card_number = CardNumber::parse(request.card_number.expose());
        let (Ok(card_number), false) = (card_number, name.is_empty() || id_number.is_empty())
        else {
            return Ok(plain(CheckOutcome::Malformed));
        };
        let card = self.card(&card_number).await?;
        let Some(behaviour) = card.behaviour else {
            // The rule of sandbox.json for unlisted cards.
            let belongs = Phone::parse(request.phone.expose()).is_ok()
                && self
                    .store
                    .is_seeded(&person_key(name, request.document_type, id_number))
                    .await?;
            return Ok(plain(if belongs {
                CheckOutcome::Match
            } else {
                CheckOutcome::Mismatch
            }));
        };
        let is_first_call = behaviour == Behaviour::BusyOnce
            && self
                .store
                .count_call(&card.key, rebind_of(&request.serial))
                .await?;
        let outcome = match behaviour.check(is_first_call) {
            CheckOutcome::Match if card.owner.is_some_and(|owner| owner != holder_key(name)) => {
                CheckOutcome::Mismatch
            }
            outcome => outcome,
        };
        Ok(Decision {
            result: CheckResult::new(outcome, Some(card.card_type)),
            delivery: behaviour.delivery(),
            is_garbled: behaviour == Behaviour::Garbage,
        })
    }

    async fn check_query(&self, query: SerialQuery) -> Result<String, Failure> {
        let serial = checked_serial(&query.serial)?;
        let recorded = self.store.serial_record(serial).await?;
        let (outcome, card_type) = match recorded.map(|recorded| recorded.operation) {
            Some(RecordedOperation::Check(record)) if record.is_garbled => {
                return Ok(GARBAGE.to_owned());
            }
            Some(RecordedOperation::Check(CheckRecord { result, .. })) => {
                (SerialLookup::Found(result.outcome), result.stated_type())
            }
            _ => (SerialLookup::NotFound(NeverSeen::UnknownSerial), None),
        };
        json(&CheckQueryAnswer {
            serial: query.serial,
            outcome,
            card_type,
        })
    }

    async fn transfer(&self, request: &TransferRequest) -> Result<String, Failure> {
        let serial = checked_serial(&request.serial)?;
        let descriptor = request.descriptor.expose();
        let card_number = CardNumber::parse(request.card_number.expose()).map_err(|_| MALFORMED)?;
        if request.amount_fen != AMOUNT_FEN
            || !(1..=MAX_DESCRIPTOR_CHARS).contains(&descriptor.chars().count())
        {
            return Err(MALFORMED);
        }
        let fingerprint = self.fingerprint(path::TRANSFER, request)?;
        if let Some(key) = self.recorded_transfer(serial, &fingerprint).await? {
            return transfer_answer(serial, self.store.transfer(&key).await?);
        }
        let card = self.card(&card_number).await?;
        let outcome = if request.check_name && !self.is_holder(&card, request).await? {
            TransferOutcome::Returned(ReturnReason::NameMismatch)
        } else {
            card.behaviour.unwrap_or(Behaviour::Match).transfer()
        };
        let new = NewTransfer {
            serial,
            fingerprint: &fingerprint,
            card_key: &card.key,
            amount_fen: request.amount_fen,
            descriptor,
            outcome,
        };
        if self.store.put_transfer(&new).await? == PutResult::SerialInUse {
            let key = self
                .recorded_transfer(serial, &fingerprint)
                .await?
                .ok_or(CONFLICT)?;
            return transfer_answer(serial, self.store.transfer(&key).await?);
        }
        transfer_answer(
            serial,
            TransferRecord {
                outcome,
                queries: 0,
            },
        )
    }

    /// The key of the transfer that the same request created earlier.
    async fn recorded_transfer(
        &self,
        serial: &str,
        fingerprint: &str,
    ) -> Result<Option<TransferKey>, Failure> {
        match self.store.serial_record(serial).await? {
            None => Ok(None),
            Some(SerialRecord {
                fingerprint: recorded,
                operation: RecordedOperation::Transfer(key),
            }) if recorded == fingerprint => Ok(Some(key)),
            Some(_) => Err(CONFLICT),
        }
    }

    /// The payee-name check. A card without an owner accepts the name of any seeded person.
    async fn is_holder(&self, card: &Card, request: &TransferRequest) -> Result<bool, StoreError> {
        let holder = holder_key(request.holder_name.expose());
        match &card.owner {
            Some(owner) => Ok(*owner == holder),
            None => self.store.is_seeded(&holder).await,
        }
    }

    async fn transfer_query(&self, query: SerialQuery) -> Result<String, Failure> {
        let serial = checked_serial(&query.serial)?;
        let recorded = self.store.serial_record(serial).await?;
        let (status, reason) = match recorded.map(|recorded| recorded.operation) {
            Some(RecordedOperation::Transfer(key)) => {
                let record = self.store.count_query(&key).await?;
                let (status, reason) = transfer_after(record.outcome, record.queries).parts();
                (SerialLookup::Found(status), reason)
            }
            _ => (SerialLookup::NotFound(NeverSeen::UnknownSerial), None),
        };
        json(&TransferQueryAnswer {
            serial: query.serial,
            status,
            reason,
        })
    }

    async fn statement(&self, request: &StatementRequest) -> Result<String, Failure> {
        let card_number = CardNumber::parse(request.card_number.expose()).map_err(|_| MALFORMED)?;
        let key = card_key(&self.held().hashes, card_number.expose());
        let lines = self.store.transfers(&key).await?;
        let transfers = lines.into_iter().map(|(mut line, record)| {
            line.status = transfer_after(record.outcome, record.queries).parts().0;
            line
        });
        json(&Statement {
            transfers: transfers.collect(),
        })
    }

    async fn card(&self, number: &CardNumber) -> Result<Card, StoreError> {
        let key = card_key(&self.held().hashes, number.expose());
        if let Some(listed) = self.book.card(number.expose()) {
            return Ok(Card {
                key,
                behaviour: Some(listed.behaviour),
                card_type: listed.card_type,
                owner: None,
            });
        }
        let seeded = self.store.seeded_card(&key).await?;
        Ok(Card {
            key,
            behaviour: seeded.behaviour,
            card_type: USUAL_TYPE,
            owner: seeded.owner,
        })
    }

    /// Identifies a request without storing its contents.
    fn fingerprint(&self, purpose: &str, request: &impl Serialize) -> Result<String, Failure> {
        // Serialize the fields again, so that white space and the order of members make no difference.
        let fields = serde_json::to_vec(request).map_err(|_| MALFORMED)?;
        Ok(keyed_hash(&self.held().hashes, purpose, &fields))
    }
}

/// A card with its partition key.
struct Card {
    key: String,
    behaviour: Option<Behaviour>,
    card_type: BankCardType,
    owner: Option<String>,
}

/// The rebind's part of a serial: the text before the last `-`.
fn rebind_of(serial: &str) -> &str {
    serial.rsplit_once('-').map_or(serial, |(rebind, _)| rebind)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Failure> {
    serde_json::from_slice(body).map_err(|_| MALFORMED)
}

fn json(answer: &impl Serialize) -> Result<String, Failure> {
    serde_json::to_string(answer).map_err(|_| Failure::Refused(500, "internal"))
}

fn checked_serial(serial: &str) -> Result<&str, Failure> {
    is_serial(serial).then_some(serial).ok_or(MALFORMED)
}

fn check_answer(serial: &str, record: CheckRecord) -> Result<String, Failure> {
    if record.is_garbled {
        return Ok(GARBAGE.to_owned());
    }
    json(&CheckAnswer {
        serial: serial.to_owned(),
        outcome: record.result.outcome,
        card_type: record.result.stated_type(),
    })
}

fn transfer_answer(serial: &str, record: TransferRecord) -> Result<String, Failure> {
    let (status, reason) = transfer_after(record.outcome, record.queries).parts();
    json(&TransferAnswer {
        serial: serial.to_owned(),
        status,
        reason,
    })
}

fn error_body(error: &str) -> String {
    serde_json::json!({ "error": error }).to_string()
}

#[cfg(test)]
#[path = "handler_tests.rs"]
mod tests;
