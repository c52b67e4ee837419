//! The external calls of a use case, and the ports of a run.
//!
//! A [`Tape`] holds the answers to the calls so far. The ports answer the first calls from the tape. The next call stops the
//! run and becomes the process's next step.

use crate::rows::{Row, Rows};
use application::ports::{
    CardQuestion, CheckCard, DataKey, HashKey, HashKeyVersions, KeyService, PortError, Pushed,
    QueryCheck, QueryOutcome, QueryTransfer, SendPush, SendSms, SendTransfer, SmsAnswer, Transfer,
};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ReturnValue, ReturnValuesOnConditionCheckFailure,
    TransactWriteItem, Update,
};
use domain::decide::BankAnswer;
use domain::pii::Phone;
use domain::push::PushPlatform;
use domain::secret::Secret;
use domain::sms::Message;
use domain::transfer::TransferAnswer;
use std::cell::{Cell, RefCell};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use std::sync::Arc;
use store::client::{Get, Page, Query, SingleUpdate, Table, Transacted, Updated};
use store::item::Item;
use store::meter::Meter;
use tests::in_process::{RECORD_TABLE, TABLE};
use tests::scripted_peers::MemoryKeys;

/// An external call.
#[derive(Debug)]
pub enum Call {
    Query(Query),
    Get(Get),
    BatchGet(Vec<Item>),
    Transact(Vec<TransactWriteItem>),
    Update(SingleUpdate),
    Sms {
        phone: String,
        text: String,
    },
    /// A card check, by bank reference.
    Check(String),
    CheckOutcome(String),
    /// A transfer: bank reference and descriptor.
    Transfer(String, String),
    TransferOutcome(String),
}

impl Call {
    /// Copies a call to the table, because the SDK's update has no `Clone`.
    pub fn copy(&self) -> Self {
        match self {
            Self::Query(query) => Self::Query(query.clone()),
            Self::Get(get) => Self::Get(get.clone()),
            Self::BatchGet(keys) => Self::BatchGet(keys.clone()),
            Self::Transact(items) => Self::Transact(items.clone()),
            Self::Update(update) => Self::Update(SingleUpdate {
                key: update.key.clone(),
                expression: update.expression.clone(),
                condition: update.condition.clone(),
                names: update.names.clone(),
                values: update.values.clone(),
                returned: update.returned.clone(),
            }),
            other => unreachable!("{other:?} is not a call to the table"),
        }
    }
}

/// The answer to one call.
#[derive(Debug)]
pub enum Answer {
    /// The result of a query, a batch get or a get.
    Rows(Vec<Arc<Row>>),
    /// The transaction is written.
    Written,
    /// The transaction was cancelled: for each item, true if its condition failed, and the old row if requested.
    Cancelled(Vec<(bool, Option<Arc<Row>>)>),
    /// The update is written; the new row.
    Updated(Option<Arc<Row>>),
    /// The condition of the update failed; the old row.
    NotUpdated(Option<Arc<Row>>),
    /// The SMS was accepted.
    Sent,
    /// No answer.
    Lost,
    Checked(BankAnswer),
    CheckKnown(Option<BankAnswer>),
    Transferred(TransferAnswer),
    TransferKnown(Option<TransferAnswer>),
}

impl Answer {
    /// A hash that distinguishes answers.
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        std::mem::discriminant(self).hash(&mut hasher);
        match self {
            Self::Rows(rows) => rows.hash(&mut hasher),
            Self::Cancelled(reasons) => reasons.hash(&mut hasher),
            Self::Updated(row) | Self::NotUpdated(row) => row.hash(&mut hasher),
            Self::Written | Self::Sent | Self::Lost => {}
            Self::Checked(_)
            | Self::CheckKnown(_)
            | Self::Transferred(_)
            | Self::TransferKnown(_) => format!("{self:?}").hash(&mut hasher),
        }
        hasher.finish()
    }
}

/// The answers to the calls of a run.
#[derive(Debug)]
pub struct Tape {
    answers: Vec<Arc<Answer>>,
    next: Cell<usize>,
    waiting: RefCell<Option<Call>>,
    /// The content of the due index for this run.
    due: Option<Item>,
}

impl Tape {
    pub fn new(answers: Vec<Arc<Answer>>, due: Option<Item>) -> Rc<Self> {
        Rc::new(Self {
            answers,
            next: Cell::new(0),
            waiting: RefCell::default(),
            due,
        })
    }

    /// Returns true if the run has reached a call without an answer.
    pub fn is_waiting(&self) -> bool {
        self.waiting.borrow().is_some()
    }

    /// The first call without an answer.
    pub fn take_waiting(&self) -> Option<Call> {
        self.waiting.borrow_mut().take()
    }

    async fn call(&self, call: Call) -> Arc<Answer> {
        let index = self.next.get();
        self.next.set(index + 1);
        if let Some(answer) = self.answers.get(index) {
            return Arc::clone(answer);
        }
        self.waiting.borrow_mut().get_or_insert(call);
        std::future::pending().await
    }
}

/// Every port except the keys, over a tape.
#[derive(Clone, Debug)]
pub struct Ports {
    tape: Rc<Tape>,
    meter: Meter,
}

impl Ports {
    pub fn new(tape: &Rc<Tape>) -> Self {
        Self {
            tape: Rc::clone(tape),
            meter: Meter::default(),
        }
    }
}

impl Ports {
    /// An attempt is reserved with a key or without one. For the model both are transactions of one item.
    async fn update_rebind(&self, update: SingleUpdate) -> Result<Updated, PortError> {
        let item = Update::builder()
            .table_name(TABLE)
            .set_key(Some(update.key))
            .update_expression(update.expression)
            .set_condition_expression(update.condition)
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .unwrap();
        let item = TransactWriteItem::builder().update(item).build();
        Ok(match self.transact(vec![item]).await? {
            Transacted::Done => Updated::Done(None),
            Transacted::Cancelled(reasons) => {
                Updated::ConditionFailed(reasons.into_iter().find_map(|reason| reason.item))
            }
        })
    }
}

fn lost() -> PortError {
    PortError::Transient("the call", "no answer".to_owned())
}

fn page(rows: &[Arc<Row>]) -> Page {
    Page {
        items: rows.iter().map(|row| row.item.clone()).collect(),
        next: None,
    }
}

fn unfit<T>(answer: &Answer) -> T {
    unreachable!("{answer:?} is the answer to another call")
}

impl Table for Ports {
    fn name(&self) -> &str {
        TABLE
    }

    fn record_name(&self) -> &str {
        RECORD_TABLE
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    async fn query(&self, query: Query) -> Result<Page, PortError> {
        if query.index.is_some() {
            let bucket = query.values.get(":bucket");
            let due = self.tape.due.iter();
            let due = due.filter(|item| item.get("due_bucket") == bucket);
            return Ok(Page {
                items: due.cloned().collect(),
                next: None,
            });
        }
        match &*self.tape.call(Call::Query(query)).await {
            Answer::Rows(rows) => Ok(page(rows)),
            Answer::Lost => Err(lost()),
            other => unfit(other),
        }
    }

    async fn get(&self, get: Get) -> Result<Option<Item>, PortError> {
        let only = get.only;
        match &*self.tape.call(Call::Get(get)).await {
            Answer::Rows(rows) => Ok(rows.first().map(|row| row.projected(only))),
            Answer::Lost => Err(lost()),
            other => unfit(other),
        }
    }

    async fn get_beside(&self, get: Get) -> Result<Option<Item>, PortError> {
        self.get(get).await
    }

    async fn batch_get(&self, keys: Vec<Item>) -> Result<Vec<Item>, PortError> {
        match &*self.tape.call(Call::BatchGet(keys)).await {
            Answer::Rows(rows) => Ok(page(rows).items),
            Answer::Lost => Err(lost()),
            other => unfit(other),
        }
    }

    async fn transact(&self, items: Vec<TransactWriteItem>) -> Result<Transacted, PortError> {
        match &*self.tape.call(Call::Transact(items)).await {
            Answer::Written => Ok(Transacted::Done),
            Answer::Cancelled(reasons) => {
                let reasons = reasons.iter().map(|(failed, old)| {
                    let code = if *failed {
                        "ConditionalCheckFailed"
                    } else {
                        "None"
                    };
                    let old = old.as_ref().map(|row| row.item.clone());
                    let reason = CancellationReason::builder().code(code);
                    reason.set_item(old).build()
                });
                Ok(Transacted::Cancelled(reasons.collect()))
            }
            Answer::Lost => Err(lost()),
            other => unfit(other),
        }
    }

    async fn update(&self, update: SingleUpdate) -> Result<Updated, PortError> {
        if text(&update.key, "sk").starts_with("R#") {
            return self.update_rebind(update).await;
        }
        let returned = update.returned.clone();
        let item = |row: &Option<Arc<Row>>| row.as_ref().map(|row| row.item.clone());
        match &*self.tape.call(Call::Update(update)).await {
            Answer::Updated(row) => Ok(Updated::Done(
                item(row).filter(|_| returned == ReturnValue::AllNew),
            )),
            Answer::NotUpdated(row) => Ok(Updated::ConditionFailed(item(row))),
            Answer::Lost => Err(lost()),
            other => unfit(other),
        }
    }

    async fn put(&self, _: Item) -> Result<(), PortError> {
        unreachable!("only the seed puts items")
    }
}

impl SendSms for Ports {
    async fn send(&self, phone: &Phone, message: &Message) -> Result<SmsAnswer, PortError> {
        let (phone, text) = (phone.e164().to_owned(), message.text.clone());
        match &*self.tape.call(Call::Sms { phone, text }).await {
            Answer::Sent => Ok(SmsAnswer::Accepted),
            Answer::Lost => Err(lost()),
            other => unfit(other),
        }
    }
}

impl SendPush for Ports {
    async fn push(
        &self,
        _: PushPlatform,
        _: &Secret<String>,
        _: &str,
    ) -> Result<Pushed, PortError> {
        unreachable!("no merchant of the model has a device")
    }
}

impl CheckCard for Ports {
    async fn check(&self, question: &CardQuestion) -> Option<BankAnswer> {
        let call = Call::Check(question.serial.clone());
        match &*self.tape.call(call).await {
            Answer::Checked(answer) => Some(*answer),
            Answer::Lost => None,
            other => unfit(other),
        }
    }
}

impl QueryCheck for Ports {
    async fn check_outcome(&self, serial: &str) -> QueryOutcome<BankAnswer> {
        match &*self.tape.call(Call::CheckOutcome(serial.to_owned())).await {
            Answer::CheckKnown(known) => outcome(*known),
            other => unfit(other),
        }
    }
}

impl SendTransfer for Ports {
    async fn transfer(&self, transfer: &Transfer) -> Option<TransferAnswer> {
        let descriptor = transfer.descriptor.expose().clone();
        let call = Call::Transfer(transfer.serial.clone(), descriptor);
        match &*self.tape.call(call).await {
            Answer::Transferred(answer) => Some(*answer),
            Answer::Lost => None,
            other => unfit(other),
        }
    }
}

impl QueryTransfer for Ports {
    async fn transfer_outcome(&self, serial: &str) -> QueryOutcome<TransferAnswer> {
        let call = Call::TransferOutcome(serial.to_owned());
        match &*self.tape.call(call).await {
            Answer::TransferKnown(known) => outcome(*known),
            other => unfit(other),
        }
    }
}

fn outcome<A>(known: Option<A>) -> QueryOutcome<A> {
    known.map_or(QueryOutcome::NeverSeen, QueryOutcome::Answer)
}

/// The function keys with which the initial world was made. New random bytes are a function of the run, so that each
/// repetition of a run creates the same OTPs, ids and nonces.
#[derive(Clone, Debug)]
pub struct ModelKeys {
    pub memory: MemoryKeys,
    pub random: Cell<u64>,
}

/// The prefix of a data key that the model has wrapped.
const WRAPPED: &[u8] = b"model:";

impl ModelKeys {
    fn wrapped(context: &[(&str, &str)], plain: &[u8]) -> Vec<u8> {
        [WRAPPED, plain, format!("{context:?}").as_bytes()].concat()
    }
}

impl KeyService for ModelKeys {
    fn hash_key_versions(&self, key: HashKey) -> Option<HashKeyVersions> {
        self.memory.hash_key_versions(key)
    }

    async fn hash_secret(&self, key: HashKey, version: u32) -> Result<Secret<Vec<u8>>, PortError> {
        self.memory.hash_secret(key, version).await
    }

    async fn new_data_key(
        &self,
        _: DataKey,
        context: &[(&str, &str)],
    ) -> Result<(Secret<Vec<u8>>, Vec<u8>), PortError> {
        let mut plain = vec![0; 32];
        self.fill_random(&mut plain)?;
        let wrapped = Self::wrapped(context, &plain);
        Ok((Secret::new(plain), wrapped))
    }

    async fn data_key(
        &self,
        key: DataKey,
        context: &[(&str, &str)],
        wrapped: &[u8],
    ) -> Result<Secret<Vec<u8>>, PortError> {
        match wrapped.strip_prefix(WRAPPED) {
            Some(rest) => {
                let plain = &rest[..32];
                assert_eq!(wrapped, Self::wrapped(context, plain));
                Ok(Secret::new(plain.to_vec()))
            }
            None => self.memory.data_key(key, context, wrapped).await,
        }
    }

    fn fill_random(&self, bytes: &mut [u8]) -> Result<(), PortError> {
        for byte in bytes {
            // SplitMix64.
            let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
            self.random.set(state);
            let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            *byte = mixed.to_be_bytes()[0];
        }
        Ok(())
    }
}

/// A read-only table over the rows of one moment.
#[derive(Debug)]
pub struct View<'r> {
    pub rows: &'r Rows,
    pub meter: Meter,
}

impl Table for View<'_> {
    fn name(&self) -> &str {
        TABLE
    }

    fn record_name(&self) -> &str {
        RECORD_TABLE
    }

    fn meter(&self) -> &Meter {
        &self.meter
    }

    async fn get_beside(&self, get: Get) -> Result<Option<Item>, PortError> {
        self.get(get).await
    }

    async fn query(&self, query: Query) -> Result<Page, PortError> {
        Ok(page(&self.rows.query(&query)))
    }

    async fn get(&self, get: Get) -> Result<Option<Item>, PortError> {
        let row = self.rows.at(&get.key);
        Ok(row.map(|row| row.projected(get.only)))
    }

    async fn batch_get(&self, keys: Vec<Item>) -> Result<Vec<Item>, PortError> {
        Ok(page(&self.rows.batch(&keys)).items)
    }

    async fn transact(&self, _: Vec<TransactWriteItem>) -> Result<Transacted, PortError> {
        unreachable!("a view is read")
    }

    async fn update(&self, _: SingleUpdate) -> Result<Updated, PortError> {
        unreachable!("a view is read")
    }

    async fn put(&self, _: Item) -> Result<(), PortError> {
        unreachable!("a view is read")
    }
}

/// A text attribute; empty if absent.
pub fn text<'i>(item: &'i Item, name: &str) -> &'i str {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.map_or("", String::as_str)
}

/// The text value of a query's placeholder.
pub fn placeholder<'q>(query: &'q Query, name: &str) -> &'q str {
    let value: Option<&AttributeValue> = query.values.get(name);
    value
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}
