//! What the bank does with a request. `infra/bank-protocol.md` says what it must.

use crate::rule::{Behaviour, Book, Delivery, stands};
use crate::store::{
    CheckRecord, NewTransfer, Seen, SeenWhat, Store, StoreError, TransferAt, TransferRecord,
    Written,
};
use api::event::Request;
use bank::protocol::{
    CheckAnswer, CheckQueryAnswer, Known, NeverSeen, SerialQuery, Statement, StatementRequest,
    TransferAnswer, TransferQueryAnswer, is_serial, path,
};
use bank::sandbox::{card_key, holder_key, keyed_hash, person_key};
use bank::signature::{SIGNATURE_HEADER, TIME_HEADER, sign_reply, verify_request};
use bank::{BankKey, CheckOutcome, CheckRequest, ReturnReason, TransferOutcome, TransferRequest};
use domain::pii::{CardNumber, Phone};
use lambda_runtime::Diagnostic;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

const MAX_BODY_BYTES: usize = 16 * 1024;
const MAX_DESCRIPTOR_CHARS: usize = 64;
/// What `garbage` says, with status 200.
const GARBAGE: &str = "<html><body>system busy</body></html>";

/// The bank.
#[derive(Debug)]
pub struct Bank {
    book: Book,
    key: BankKey,
    store: Store,
}

/// A reply, as the gateway wants it. No `Debug`: a statement shows codes.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct HttpReply {
    /// The status.
    pub status_code: u16,
    /// Names in lower case.
    pub headers: BTreeMap<&'static str, String>,
    /// Text.
    pub body: String,
}

/// The reply is lost on purpose: the invocation fails, and the gateway answers 5xx of its own.
///
/// Ending the process would do the same to the caller, and would cost the next one a cold start.
#[derive(Debug, thiserror::Error)]
#[error("the reply is lost, as this card wants it")]
pub struct ReplyLost;

/// What can be asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Check,
    CheckQuery,
    Transfer,
    TransferQuery,
    Statement,
}

impl Operation {
    const ALL: [Self; 5] = [
        Self::Check,
        Self::CheckQuery,
        Self::Transfer,
        Self::TransferQuery,
        Self::Statement,
    ];

    /// By the end of the path: what stands before it (a stage) is the gateway's.
    fn of(request: &Request) -> Option<Self> {
        let is_post = request.method == "POST";
        let mut all = Self::ALL.into_iter();
        all.find(|operation| is_post && request.path.ends_with(operation.path()))
    }

    /// A statement is not: a tester without the secret reads there what reached a card.
    const fn is_signed(self) -> bool {
        !matches!(self, Self::Statement)
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Check => path::CHECK,
            Self::CheckQuery => path::CHECK_QUERY,
            Self::Transfer => path::TRANSFER,
            Self::TransferQuery => path::TRANSFER_QUERY,
            Self::Statement => path::STATEMENT,
        }
    }
}

impl From<ReplyLost> for Diagnostic {
    fn from(lost: ReplyLost) -> Self {
        Self {
            error_type: "ReplyLost".to_owned(),
            error_message: lost.to_string(),
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
    outcome: CheckOutcome,
    delivery: Delivery,
    is_garbled: bool,
}

impl Bank {
    /// A bank over `store` whose callers sign with `key`.
    #[must_use]
    pub const fn new(book: Book, key: BankKey, store: Store) -> Self {
        Self { book, key, store }
    }

    /// Answers a request.
    ///
    /// # Errors
    /// [`ReplyLost`], when the card asks for it.
    pub async fn handle(&self, request: &Request) -> Result<HttpReply, ReplyLost> {
        let operation = Operation::of(request);
        let result = match operation {
            Some(operation) => self.answer(operation, request).await,
            None => Err(Failure::Refused(404, "no_such_operation")),
        };
        let is_signed = operation.is_some_and(Operation::is_signed);
        let operation = operation.map(Operation::path);
        let (status, body) = match result {
            Ok(body) => (200, body),
            Err(Failure::Refused(status, error)) => (status, error_body(error)),
            Err(Failure::Store(error)) => {
                tracing::error!(bank.operation = operation, error = %error, "the bank failed");
                (500, error_body("internal"))
            }
            Err(Failure::Lost) => return Err(ReplyLost),
        };
        tracing::info!(bank.operation = operation, http.status = status, "request");
        let mut headers = BTreeMap::from([("content-type", "application/json".to_owned())]);
        // Only what answers a verified request: whoever could have anything else signed could forge with it.
        if let (200, true, Some(signature)) = (status, is_signed, request.header(SIGNATURE_HEADER))
        {
            let signature = sign_reply(&self.key, signature, status, body.as_bytes());
            headers.insert(SIGNATURE_HEADER, signature);
        }
        Ok(HttpReply {
            status_code: status,
            headers,
            body,
        })
    }

    async fn answer(&self, operation: Operation, request: &Request) -> Result<String, Failure> {
        let body = request.body.as_deref().ok_or(MALFORMED)?;
        if body.len() > MAX_BODY_BYTES {
            return Err(Failure::Refused(413, "too_large"));
        }
        if operation.is_signed() {
            self.verify(operation.path(), request, body)?;
        }
        match operation {
            Operation::Check => self.check(&parse(body)?).await,
            Operation::CheckQuery => self.check_query(parse(body)?).await,
            Operation::Transfer => self.transfer(&parse(body)?).await,
            Operation::TransferQuery => self.transfer_query(parse(body)?).await,
            Operation::Statement => self.statement(&parse(body)?).await,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a bank's clock is real")]
    fn verify(&self, path: &str, request: &Request, body: &[u8]) -> Result<(), Failure> {
        let refused = Failure::Refused(401, "signature");
        // A clock before 1970 is no clock to judge by.
        let Ok(now) = SystemTime::now().duration_since(UNIX_EPOCH) else {
            return Err(refused);
        };
        let now_epoch_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        let (time, signature) = (
            request.header(TIME_HEADER),
            request.header(SIGNATURE_HEADER),
        );
        verify_request(&self.key, path, time, signature, body, now_epoch_s).map_err(|why| {
            tracing::warn!(bank.operation = path, why = %why, "not from our caller");
            refused
        })
    }

    async fn check(&self, request: &CheckRequest) -> Result<String, Failure> {
        let serial = checked_serial(&request.serial)?;
        let fingerprint = self.fingerprint(path::CHECK, request)?;
        match self.seen_check(serial, &fingerprint).await? {
            Some(record) if record.outcome.is_decided() => return check_answer(serial, record),
            _ => {}
        }
        let decision = self.decide(request).await?;
        let record = CheckRecord {
            outcome: decision.outcome,
            is_garbled: decision.is_garbled,
        };
        if self.store.put_check(serial, &fingerprint, record).await? == Written::Taken {
            // The same request, a moment earlier: its answer is the one.
            let record = self
                .seen_check(serial, &fingerprint)
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

    /// What was said to this very request before.
    async fn seen_check(
        &self,
        serial: &str,
        fingerprint: &str,
    ) -> Result<Option<CheckRecord>, Failure> {
        match self.store.seen(serial).await? {
            None => Ok(None),
            Some(Seen {
                fingerprint: seen,
                what: SeenWhat::Check(record),
            }) if seen == fingerprint => Ok(Some(record)),
            Some(_) => Err(CONFLICT),
        }
    }

    async fn decide(&self, request: &CheckRequest) -> Result<Decision, Failure> {
        let plain = |outcome| Decision {
            outcome,
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
            // The rule of sandbox.json for a card that is not listed.
            let belongs = Phone::parse(request.phone.expose()).is_ok()
                && self.store.knows(&person_key(name, id_number)).await?;
            return Ok(plain(if belongs {
                CheckOutcome::Match
            } else {
                CheckOutcome::Mismatch
            }));
        };
        let is_first_call = behaviour == Behaviour::BusyOnce
            && self
                .store
                .is_first_call(&card.key, rebind_of(&request.serial))
                .await?;
        let outcome = match behaviour.check(is_first_call) {
            CheckOutcome::Match if card.owner.is_some_and(|owner| owner != holder_key(name)) => {
                CheckOutcome::Mismatch
            }
            outcome => outcome,
        };
        Ok(Decision {
            outcome,
            delivery: behaviour.delivery(),
            is_garbled: behaviour == Behaviour::Garbage,
        })
    }

    async fn check_query(&self, query: SerialQuery) -> Result<String, Failure> {
        let seen = self.store.seen(checked_serial(&query.serial)?).await?;
        let outcome = match seen.map(|seen| seen.what) {
            Some(SeenWhat::Check(record)) if record.is_garbled => return Ok(GARBAGE.to_owned()),
            Some(SeenWhat::Check(record)) => Known::Yes(record.outcome),
            _ => Known::No(NeverSeen::UnknownSerial),
        };
        json(&CheckQueryAnswer {
            serial: query.serial,
            outcome,
        })
    }

    async fn transfer(&self, request: &TransferRequest) -> Result<String, Failure> {
        let serial = checked_serial(&request.serial)?;
        let descriptor = request.descriptor.expose();
        let card_number = CardNumber::parse(request.card_number.expose()).map_err(|_| MALFORMED)?;
        if request.amount_fen == 0
            || !(1..=MAX_DESCRIPTOR_CHARS).contains(&descriptor.chars().count())
        {
            return Err(MALFORMED);
        }
        let fingerprint = self.fingerprint(path::TRANSFER, request)?;
        if let Some(at) = self.seen_transfer(serial, &fingerprint).await? {
            return transfer_answer(serial, self.store.transfer(&at).await?);
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
        if self.store.put_transfer(&new).await? == Written::Taken {
            let at = self
                .seen_transfer(serial, &fingerprint)
                .await?
                .ok_or(CONFLICT)?;
            return transfer_answer(serial, self.store.transfer(&at).await?);
        }
        transfer_answer(
            serial,
            TransferRecord {
                outcome,
                queries: 0,
            },
        )
    }

    /// Where the transfer is that this very request ordered before.
    async fn seen_transfer(
        &self,
        serial: &str,
        fingerprint: &str,
    ) -> Result<Option<TransferAt>, Failure> {
        match self.store.seen(serial).await? {
            None => Ok(None),
            Some(Seen {
                fingerprint: seen,
                what: SeenWhat::Transfer(at),
            }) if seen == fingerprint => Ok(Some(at)),
            Some(_) => Err(CONFLICT),
        }
    }

    /// The payee-name check. A card that nobody was said to own is that of whoever exists.
    async fn is_holder(&self, card: &Card, request: &TransferRequest) -> Result<bool, StoreError> {
        let holder = holder_key(request.holder_name.expose());
        match &card.owner {
            Some(owner) => Ok(*owner == holder),
            None => self.store.knows(&holder).await,
        }
    }

    async fn transfer_query(&self, query: SerialQuery) -> Result<String, Failure> {
        let seen = self.store.seen(checked_serial(&query.serial)?).await?;
        let (status, reason) = match seen.map(|seen| seen.what) {
            Some(SeenWhat::Transfer(at)) => {
                let record = self.store.count_query(&at).await?;
                let (status, reason) = stands(record.outcome, record.queries).parts();
                (Known::Yes(status), reason)
            }
            _ => (Known::No(NeverSeen::UnknownSerial), None),
        };
        json(&TransferQueryAnswer {
            serial: query.serial,
            status,
            reason,
        })
    }

    async fn statement(&self, request: &StatementRequest) -> Result<String, Failure> {
        let card_number = CardNumber::parse(request.card_number.expose()).map_err(|_| MALFORMED)?;
        let lines = self
            .store
            .transfers(&card_key(&self.key, card_number.expose()))
            .await?;
        let transfers = lines.into_iter().map(|(mut line, record)| {
            line.status = stands(record.outcome, record.queries).parts().0;
            line
        });
        json(&Statement {
            transfers: transfers.collect(),
        })
    }

    async fn card(&self, number: &CardNumber) -> Result<Card, StoreError> {
        let key = card_key(&self.key, number.expose());
        if let Some(behaviour) = self.book.behaviour(number.expose()) {
            return Ok(Card {
                key,
                behaviour: Some(behaviour),
                owner: None,
            });
        }
        let seeded = self.store.seeded_card(&key).await?;
        Ok(Card {
            key,
            behaviour: seeded.behaviour,
            owner: seeded.owner,
        })
    }

    /// Tells one request from another without keeping what is in it.
    fn fingerprint(&self, purpose: &str, request: &impl Serialize) -> Result<String, Failure> {
        // Written anew from its fields, so that white space and the order of members make no difference.
        let fields = serde_json::to_vec(request).map_err(|_| MALFORMED)?;
        Ok(keyed_hash(&self.key, purpose, &fields))
    }
}

/// A card as the bank knows it.
struct Card {
    key: String,
    behaviour: Option<Behaviour>,
    owner: Option<String>,
}

/// The serials of one rebind are `<rebind_id>-<k>`.
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
        outcome: record.outcome,
    })
}

fn transfer_answer(serial: &str, record: TransferRecord) -> Result<String, Failure> {
    let (status, reason) = stands(record.outcome, record.queries).parts();
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
