//! Runs the use cases of the functions, each up to its next external call.
//!
//! The explorer clones and hashes its states, which is impossible with a future. A process in a state therefore consists of
//! the input of its use case and the answers to its calls so far. To advance it, the use case runs again from its start over
//! these answers, up to the next call or to its end. The same input and answers always lead to the same call, so the result
//! is cached per world.

use crate::calls::{Answer, Call, ModelKeys, Ports, Tape};
use crate::invariants::looking;
use crate::requests::{Asks, Input, Operation, Request, Work};
use crate::rows::Rows;
use crate::world::World;
use agreement::Agreement;
use api::event::{HttpEvent, Request as HttpRequest};
use api::routes::{Function, Route};
use application::backoff::Limits;
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{LoadMerchant as _, PortError, Selector, SignInstruction};
use application::serve::{Deployment, respond};
use application::stream::{BatchReply, StreamEvent};
use application::transact::{Learned, Loaded, Transactor, nothing_to_prepare};
use cards::Cards;
use confirmation_notice::ConfirmationNotice;
use cooldown_cleanup::{CooldownCleanup, ScheduleEvent};
use domain::contact::{ContactChange, ContactValue, PreviousPhoneRule};
use domain::decide::Command;
use domain::ids::MerchantId;
use domain::pii::PersonName;
use domain::policy::Policy;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use freezes::Freezes;
use payouts::{CoreKeys, Payouts};
use rebind_request::RebindRequest;
use serde_json::{Value, json};
use std::cell::Cell;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use store::Store;
use tests::merchant::luhn;
use tests::transport::HttpCall;
use verification::Verification;

/// The model creates payouts and pays none.
struct NoSigner;

impl SignInstruction for NoSigner {
    fn key_id(&self) -> &str {
        unreachable!("the model pays nothing")
    }

    async fn sign(&self, _: &[u8]) -> Result<Vec<u8>, PortError> {
        unreachable!("the model pays nothing")
    }
}

/// A point in a use case: the answers so far, and the continuation.
#[derive(Debug)]
pub struct Point {
    /// A hash of the input and the answers, which identifies the point.
    key: u64,
    pub answers: Vec<Arc<Answer>>,
    pub next: Next,
}

impl PartialEq for Point {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Point {}

impl Hash for Point {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

/// The continuation of a point.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a point is shared, not copied")]
pub enum Next {
    /// An external call.
    Call(Call),
    /// The end of a request or of an operation of the core.
    Replied { status: u16, replayed: bool },
    /// The end of a stream record, or of a run of the clean-up; true if it must be retried.
    Ended { again: bool },
}

impl World {
    /// The first call of a use case.
    pub fn begun(&self, input: &Input) -> Arc<Point> {
        let mut hasher = DefaultHasher::new();
        input.hash(&mut hasher);
        self.point(input, hasher.finish(), Vec::new)
    }

    /// The continuation after one more answer.
    pub fn after(&self, input: &Input, point: &Point, answer: Answer) -> Arc<Point> {
        let mut hasher = DefaultHasher::new();
        (point.key, answer.fingerprint()).hash(&mut hasher);
        let answers = || {
            let answer = Arc::new(answer);
            point.answers.iter().cloned().chain([answer]).collect()
        };
        self.point(input, hasher.finish(), answers)
    }

    fn point(
        &self,
        input: &Input,
        key: u64,
        answers: impl FnOnce() -> Vec<Arc<Answer>>,
    ) -> Arc<Point> {
        if let Some(known) = self.points.lock().unwrap().get(&key) {
            return Arc::clone(known);
        }
        let answers = answers();
        let next = self.run(input, answers.clone());
        let point = Arc::new(Point { key, answers, next });
        self.points.lock().unwrap().insert(key, Arc::clone(&point));
        point
    }

    /// Runs a use case from its start.
    fn run(&self, input: &Input, answers: Vec<Arc<Answer>>) -> Next {
        let due = match &input.work {
            Work::CleanUp(due) => Some(due.item()),
            Work::Request(_) | Work::Notification(..) => None,
        };
        let tape = Tape::new(answers, due);
        let ports = Ports::new(&tape);
        let ended = match &input.work {
            Work::Request(index) => {
                let request = input.request.as_ref().unwrap();
                driven(&tape, self.reply(input, *index, request, &ports))
            }
            Work::CleanUp(_) => driven(&tape, clean_up(&ports, input.at)),
            Work::Notification(who, seq, times) => {
                let pk = &self.merchants[usize::from(*who)].pk;
                let keys = self.keys(0);
                driven(&tape, notify(&ports, keys, pk, *seq, *times, input.at))
            }
        };
        ended.unwrap_or_else(|| Next::Call(tape.take_waiting().unwrap()))
    }

    /// Keys whose random bytes are drawn from a seed.
    pub fn keys(&self, seed: u64) -> Keys<ModelKeys> {
        Keys::new(ModelKeys {
            memory: self.memory_keys.clone(),
            random: Cell::new(seed),
        })
    }

    async fn reply(&self, input: &Input, index: usize, request: &Request, ports: &Ports) -> Next {
        let stage = sandbox();
        if let Asks::Pay(number) = &request.asks {
            let operation = json!({
                "operation": "create_payout",
                "merchant_id": self.merchants[usize::from(request.who)].id.as_str(),
                "payout_id": format!("pay_model_{number}"),
                "amount_fen": 100,
                "time": input.at.to_rfc3339_shanghai(),
            });
            let payouts = Payouts::new(
                Store::over(ports.clone(), &Policy::CURRENT),
                self.keys(0),
                NoSigner,
                CoreKeys::read(""),
            );
            let created = payouts.handle(operation, &stage).await;
            return Next::Replied {
                status: if created.is_ok() { 200 } else { 409 },
                replayed: false,
            };
        }
        if let Asks::Operator(operation) = &request.asks {
            let store = Store::over(ports.clone(), &Policy::CURRENT);
            let merchant = &self.merchants[usize::from(request.who)].id;
            let done = operate(&store, merchant, operation, input.at).await;
            return Next::Replied {
                status: if done.is_ok() { 200 } else { 409 },
                replayed: false,
            };
        }
        let mut seed = DefaultHasher::new();
        (index, input.sent).hash(&mut seed);
        let call = self.http(request, index, input.at).await;
        let event: HttpEvent = serde_json::from_value(call.event()).unwrap();
        let store = Store::over(ports.clone(), &Policy::CURRENT);
        let keys = self.keys(seed.finish());
        let route = HttpRequest::from(event.clone()).route;
        let response = match route.map(Route::function) {
            Some(Function::RebindRequest) => {
                respond(&RebindRequest::new(store, keys), &stage, event).await
            }
            Some(Function::Agreement) => respond(&Agreement::new(store, keys), &stage, event).await,
            Some(Function::Verification) => {
                let function = Verification::new(store, keys, ports.clone(), ports.clone());
                respond(&function, &stage, event).await
            }
            Some(Function::Cards) => respond(&Cards::new(store, keys), &stage, event).await,
            Some(Function::Freezes) => respond(&Freezes::new(store, keys), &stage, event).await,
            other => unreachable!("the model does not call {other:?}"),
        };
        assert!(response.status_code != 500 || self.scenario.left.lost > 0);
        Next::Replied {
            status: response.status_code,
            replayed: response.headers.contains_key("idempotent-replayed"),
        }
    }

    /// A request in the app's form.
    async fn http(&self, request: &Request, index: usize, at: Timestamp) -> HttpCall {
        let known = &self.merchants[usize::from(request.who)];
        let profile = &known.profile;
        let none = Value::Null;
        let code = |typed: &Option<String>| {
            let typed = typed.as_deref().unwrap_or(WRONG_CODE);
            json!({"code": typed})
        };
        let (path, body) = match &request.asks {
            Asks::Create { card, standby } => {
                let number = luhn(&format!("62220200000077{card:04}"));
                let mut body = profile.request_body(&number);
                body["activate"] = json!(!standby);
                ("/v1/rebinds".to_owned(), body)
            }
            Asks::Document(id) => (format!("/v1/rebinds/{id}/identity"), profile.document()),
            Asks::Resend(id, OtpPurpose::Card) => {
                (format!("/v1/rebinds/{id}/card-check/code"), none)
            }
            Asks::Resend(id, _) => (format!("/v1/rebinds/{id}/identity/code"), none),
            Asks::Code(id, OtpPurpose::Card, typed) => {
                let path = format!("/v1/rebinds/{id}/card-check/confirm");
                (path, code(typed))
            }
            Asks::Code(id, _, typed) => {
                let path = format!("/v1/rebinds/{id}/identity/confirm");
                (path, code(typed))
            }
            Asks::Switch(_, card, typed) => {
                let body = typed.as_ref().map_or(none, code);
                (format!("/v1/cards/{card}/activate"), body)
            }
            Asks::Sign(id, at) => {
                let shown = (request.who, request.slot.unwrap(), id.clone(), *at);
                let signature = self.signatures.lock().unwrap()[&shown].clone().unwrap();
                let signature = serde_json::from_str(&signature).unwrap();
                (format!("/v1/rebinds/{id}/agreement"), signature)
            }
            Asks::CardCheck(id) => (format!("/v1/rebinds/{id}/card-check"), none),
            Asks::Cancel(id) => (format!("/v1/rebinds/{id}/cancel"), none),
            Asks::Unbind(card) => (format!("/v1/cards/{card}/unbind"), none),
            Asks::Freeze(number) => {
                let keys = self.keys(0);
                let code = keys.freeze_code(known.id.as_str(), *number).await.unwrap();
                let body = json!({"account": profile.account, "freeze_code": code.expose()});
                ("/v1/freezes".to_owned(), body)
            }
            Asks::Pay(_) | Asks::Operator(_) => unreachable!("not over HTTP"),
        };
        let call = HttpCall::new("POST", &path).at(at).json(&body);
        match request.slot {
            Some(slot) => {
                let key = format!("request-{index}");
                call.token(&known.tokens[&slot]).key(&key)
            }
            None => call,
        }
    }

    /// The body that signs the agreement, displayed 11 s ago. `None`: the function returns no agreement.
    pub fn signature(
        &self,
        rows: &Rows,
        who: u8,
        slot: u8,
        id: &str,
        now: Timestamp,
    ) -> Option<String> {
        let known = &self.merchants[usize::from(who)];
        let path = format!("/v1/rebinds/{id}/agreement?lang=zh-CN");
        let call = HttpCall::new("GET", &path).at(now.plus_s(-11));
        let event = call.token(&known.tokens[&slot]).event();
        let event = serde_json::from_value(event).unwrap();
        let function = Agreement::new(looking(rows), self.keys(0));
        let stage = sandbox();
        let shown = futures::executor::block_on(respond(&function, &stage, event));
        let text = serde_json::from_str(&shown.body).unwrap();
        (shown.status_code == 200).then(|| known.profile.signature_of(&text).to_string())
    }
}

/// A decision of the operator.
async fn operate(
    store: &Store<Ports>,
    merchant: &MerchantId,
    operation: &Operation,
    now: Timestamp,
) -> Result<(), HandlerError> {
    let reason = || "the merchant called".to_owned();
    let command = match operation {
        Operation::Freeze => Command::FreezeByOperator { reason: reason() },
        Operation::Unfreeze(card_id) => Command::Unfreeze {
            reason: reason(),
            card_id: card_id.clone(),
        },
        Operation::ChangeName => {
            let change = ContactChange {
                value: ContactValue::Name {
                    legal_name: PersonName::new("改名后"),
                    settlement_name: None,
                },
                by: "operator-17".to_owned(),
                reason: reason(),
                previous_phone: PreviousPhoneRule::Keep,
            };
            return store.change_contact(merchant, change, now).await;
        }
    };
    let read = store.load(merchant, Selector::Latest).await?;
    let last = read.and_then(|read| read.state.last_activation);
    let number = last.map(|last| last.number).filter(|number| *number > 0);
    let selector = number.map_or(Selector::Latest, Selector::Announced);
    let (policy, limits) = (&Policy::CURRENT, Limits::REQUEST);
    let account = Transactor::system(store, policy, merchant.clone(), now, limits);
    let plan = async |_: &Loaded, _: &Learned| Ok(command.clone().into());
    account.transact(selector, plan, nothing_to_prepare).await?;
    Ok(())
}

/// An OTP that differs from every OTP and deposit code of the model.
const WRONG_CODE: &str = "222222";

fn sandbox() -> Deployment {
    Deployment::new("sandbox")
}

/// One run of the clean-up. The index contains one entry.
async fn clean_up(ports: &Ports, now: Timestamp) -> Next {
    let event = json!({"time": now.to_rfc3339_shanghai()});
    let event: ScheduleEvent = serde_json::from_value(event).unwrap();
    let function = CooldownCleanup::new(
        Store::over(ports.clone(), &Policy::CURRENT),
        ports.clone(),
        true,
    );
    let deadline = Instant::now() + Duration::from_secs(60);
    let summary = function.run(&event, now, deadline, "run").await.unwrap();
    assert_eq!(summary.failed, 0);
    Next::Ended { again: false }
}

/// One delivery of a stream record.
async fn notify(
    ports: &Ports,
    keys: Keys<ModelKeys>,
    pk: &str,
    seq: u64,
    times: u8,
    wall: Timestamp,
) -> Next {
    let batch = json!({"Records": [{
        "eventID": format!("record {seq}-{times}"),
        "dynamodb": {
            "SequenceNumber": "1",
            "Keys": {"pk": {"S": pk}, "sk": {"S": format!("E#{seq:010}")}},
        },
    }]});
    let batch: StreamEvent = serde_json::from_value(batch).unwrap();
    let store = Store::over(ports.clone(), &Policy::CURRENT);
    let function = ConfirmationNotice::new(store, keys, ports.clone(), ports.clone(), false);
    let reply = function.handle(batch, || wall).await;
    Next::Ended {
        again: reply != BatchReply::default(),
    }
}

/// Polls a use case up to its next call, or to its end. Its pauses take no time.
fn driven(tape: &Rc<Tape>, use_case: impl Future<Output = Next>) -> Option<Next> {
    thread_local! {
        static RUNTIME: tokio::runtime::Runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
    }
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let mut use_case = pin!(use_case);
            std::future::poll_fn(|context| match use_case.as_mut().poll(context) {
                Poll::Ready(end) => Poll::Ready(Some(end)),
                Poll::Pending if tape.is_waiting() => Poll::Ready(None),
                Poll::Pending => Poll::Pending,
            })
            .await
        })
    })
}
