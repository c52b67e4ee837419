//! One step of a process: its next external call is executed, and its use case runs up to the following call.

use crate::calls::{Answer, Call, placeholder, text};
use crate::requests::{BankSays, Input, Process, Work};
use crate::rows::{Row, Rows};
use crate::state::{State, Table, code_for};
use crate::use_cases::Next;
use crate::world::{Extra, World};
use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::decide::BankAnswer;
use domain::notification::{Notification, Recipient};
use domain::transfer::TransferAnswer;
use std::sync::Arc;
use store::client::SingleUpdate;
use store::item::Item;
use store::records::event;
use tests::transport::code_in;

/// The random part of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chance {
    None,
    /// A torn read between the halves of the last transaction.
    Torn(Torn),
    /// The bank's answer; `None` for none.
    Answers(Option<BankSays>),
    /// True if the operator accepts the SMS.
    Takes(bool),
    /// The transaction has no reply; true if it is executed.
    Lost(bool),
}

/// The half of the last transaction that a read misses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Torn {
    OldState,
    OldRebind,
}

impl World {
    /// The possible outcomes of a process's next call.
    pub fn chances(&self, state: &State, process: &Process) -> Vec<Chance> {
        let Next::Call(call) = &process.point.next else {
            unreachable!("an ended process is removed")
        };
        let left = &state.left;
        let silent = self.scenario.answers.contains(&None);
        let is_request = matches!(process.input.work, Work::Request(_));
        match call {
            Call::Query(_) | Call::BatchGet(_)
                if is_request && left.torn > 0 && state.before != state.rows =>
            {
                let torn = [Torn::OldState, Torn::OldRebind].map(Chance::Torn);
                [Chance::None].into_iter().chain(torn).collect()
            }
            Call::Sms { .. } if left.again > 0 => vec![Chance::Takes(true), Chance::Takes(false)],
            Call::Sms { .. } => vec![Chance::Takes(true)],
            // The bank repeats its decision.
            Call::Check(reference) => match state.bank.get(reference) {
                Some(known) => vec![Chance::Answers(Some(*known))],
                None => {
                    let answers = self.scenario.answers.iter();
                    answers.copied().map(Chance::Answers).collect()
                }
            },
            Call::Transfer(..) if silent => {
                vec![
                    Chance::Answers(Some(BankSays::Deposit)),
                    Chance::Answers(None),
                ]
            }
            Call::Transfer(..) => vec![Chance::Answers(Some(BankSays::Deposit))],
            Call::Transact(_) if is_request && left.lost > 0 => {
                vec![Chance::None, Chance::Lost(false), Chance::Lost(true)]
            }
            _ => vec![Chance::None],
        }
    }

    /// Executes the step of the process at `index`. `false`: the chance makes no difference.
    pub fn step(&self, state: &mut State, index: usize, chance: Chance) -> bool {
        let mut process = state.processes[index].clone();
        let is_torn = matches!(chance, Chance::Torn(_));
        let mut chance = chance;
        loop {
            let Next::Call(call) = &process.point.next else {
                unreachable!("an ended process is removed")
            };
            let Some(answer) = self.answer(state, &process, call, chance) else {
                return false;
            };
            let after = self.after(&process.input, &process.point, answer);
            if is_torn && matches!(after.next, Next::Call(Call::Query(_) | Call::BatchGet(_))) {
                self.meets("half a transaction was recognised");
            }
            process.point = after;
            chance = Chance::None;
            self.compared(state, &process);
            match &process.point.next {
                Next::Call(call) if self.is_private(call) => {}
                Next::Call(_) => {
                    state.processes[index] = process;
                    return true;
                }
                end => {
                    state.processes.remove(index);
                    self.ended(state, &process, end);
                    return true;
                }
            }
        }
    }

    fn ended(&self, state: &mut State, process: &Process, end: &Next) {
        match (&process.input.work, end) {
            (Work::Request(index), Next::Replied { status, replayed }) => {
                state.requests[*index].status = Some(*status);
                let mut answers = process.point.answers.iter();
                let was_lost = answers.any(|answer| matches!(**answer, Answer::Lost));
                if *status == 200 && was_lost {
                    self.meets("a lost answer was overcome");
                }
                if *replayed {
                    self.meets("a reply was repeated");
                }
            }
            // The stream restarts at the failed record.
            (Work::Notification(who, seq, times), Next::Ended { again: true }) => {
                state.stream.insert(0, (*who, *seq, *times));
            }
            _ => {}
        }
    }

    /// Executes a call. `None`: the chance makes no difference.
    fn answer(
        &self,
        state: &mut State,
        process: &Process,
        call: &Call,
        chance: Chance,
    ) -> Option<Answer> {
        let input = &process.input;
        let rows = &state.rows.0;
        let answer = match call {
            Call::Query(_) | Call::BatchGet(_) | Call::Get(_) => {
                let read = read(rows, call);
                let seen = match chance {
                    Chance::Torn(torn) => {
                        let half = half(rows, &state.before.0, &partition(call)?, torn);
                        let torn = self::read(&half, call);
                        state.left.torn -= 1;
                        (torn != read).then_some(torn)?
                    }
                    _ => read,
                };
                self.record(&state.rows.0, || call.copy());
                let seen = seen.into_iter().map(|row| self.bug.misread(row, input.at));
                Answer::Rows(seen.collect())
            }
            Call::Transact(items) => self.transact(state, process, items, chance),
            Call::Update(update) => {
                if self.bug.forgets(input, update) {
                    return Some(Answer::Updated(None));
                }
                self.record(&state.rows.0, || call.copy());
                self.update(state, update)
            }
            Call::Sms { phone, text } => {
                if chance == Chance::Takes(false) {
                    state.left.again -= 1;
                    return Some(Answer::Lost);
                }
                self.received(state, process, phone, text);
                Answer::Sent
            }
            Call::Check(reference) => match chance {
                Chance::Answers(Some(answer)) => {
                    state.bank.insert(reference.clone(), answer);
                    Answer::Checked(checked(answer))
                }
                _ => Answer::Lost,
            },
            Call::CheckOutcome(reference) => {
                let known = state.bank.get(reference).copied();
                Answer::CheckKnown(known.map(checked))
            }
            Call::Transfer(reference, descriptor) => {
                let Chance::Answers(Some(answer)) = chance else {
                    return Some(Answer::Lost);
                };
                state.bank.insert(reference.clone(), answer);
                let code: String = descriptor.split(' ').next_back().unwrap().to_owned();
                show(state, input, code);
                Answer::Transferred(TransferAnswer::Succeeded)
            }
            Call::TransferOutcome(reference) => {
                let known = state.bank.contains_key(reference);
                Answer::TransferKnown(known.then_some(TransferAnswer::Succeeded))
            }
        };
        Some(answer)
    }

    fn transact(
        &self,
        state: &mut State,
        process: &Process,
        meant: &[TransactWriteItem],
        chance: Chance,
    ) -> Answer {
        if let Chance::Lost(_) = chance {
            state.left.lost -= 1;
        }
        if chance == Chance::Lost(false) {
            return Answer::Lost;
        }
        let mut items = meant.to_vec();
        self.bug.spoil(&state.rows.0, &mut items);
        let mut rows = state.rows.0.clone();
        self.record(&state.rows.0, || Call::Transact(items.clone()));
        let lost = |answer| match chance {
            Chance::Lost(_) => Answer::Lost,
            _ => answer,
        };
        match rows.transact(&items) {
            Ok(()) => {
                let before = std::mem::replace(&mut state.rows.0, rows);
                self.observe(state, process, &before, meant, &items);
                self.streamed(state, &items);
                state.before = Table(if state.left.torn > 0 {
                    before
                } else {
                    state.rows.0.clone()
                });
                lost(Answer::Written)
            }
            Err(reasons) => {
                self.meets("a write came too late");
                lost(Answer::Cancelled(reasons))
            }
        }
    }

    fn update(&self, state: &mut State, update: &SingleUpdate) -> Answer {
        match state.rows.0.update(update) {
            Ok(row) => {
                if self.put_into_stream(state, &row.item) {
                    self.meets("a notification was armed again");
                }
                if state.left.torn == 0 {
                    state.before = state.rows.clone();
                }
                Answer::Updated(Some(row))
            }
            Err(old) => Answer::NotUpdated(old),
        }
    }

    /// Returns true if a call touches only rows that no other use case reads, so that it needs no separate step: the counters
    /// of freeze attempts, the rows of devices, which do not exist in the model, and the acquirer's record where nobody writes
    /// it.
    fn is_private(&self, call: &Call) -> bool {
        let is_private =
            |key: &Item| text(key, "pk").starts_with("A#") || text(key, "pk").starts_with("S#");
        match call {
            Call::Update(update) => is_private(&update.key),
            Call::Get(get) => {
                text(&get.key, "sk") == "Z" && !self.scenario.extras.contains(&Extra::Contact)
            }
            Call::BatchGet(keys) => keys.iter().all(is_private),
            Call::Query(query) => placeholder(query, ":first").starts_with("N#"),
            _ => false,
        }
    }

    /// The stream receives each event that a transaction wrote with a due notification.
    fn streamed(&self, state: &mut State, items: &[TransactWriteItem]) {
        for put in items.iter().filter_map(TransactWriteItem::put) {
            self.put_into_stream(state, put.item());
        }
    }

    /// Returns true if the item is an event with a due notification.
    fn put_into_stream(&self, state: &mut State, item: &Item) -> bool {
        let is_due = text(item, "notice") == "due";
        if is_due {
            let event = event::read(item).unwrap();
            let all = self.merchants.iter();
            let who = all
                .zip(0..)
                .find(|(known, _)| known.id == event.merchant_id);
            let who = who.unwrap().1;
            let times = self.deliveries(state, who, event.seq);
            state.stream.push((who, event.seq, times));
        }
        is_due
    }

    /// A phone receives a text.
    fn received(&self, state: &mut State, process: &Process, phone: &str, text: &str) {
        let Work::Notification(who, seq, _) = process.input.work else {
            show(state, &process.input, code_in(text).unwrap());
            return;
        };
        // The lease returned the event.
        let Some(Answer::Updated(Some(event))) = process.point.answers.first().map(Arc::as_ref)
        else {
            unreachable!("a notification is leased first")
        };
        let notifications = &event.event().notifications;
        let is_reserved =
            |one: &Notification| matches!(one, Notification::Reserved(to) if to.e164() == phone);
        let to = match notifications.iter().find(|one| is_reserved(one)) {
            Some(_) => Recipient::Reserved,
            None => Recipient::OnFile,
        };
        *state.notified.entry((who, seq, to)).or_default() += 1;
        self.meets("a notification was sent");
    }
}

/// An OTP reaches the person who requested it.
fn show(state: &mut State, input: &Input, code: String) {
    let request = input.request.as_ref().unwrap();
    let (id, purpose) = request.asks.otp().unwrap();
    let shown = (request.who, id.number(), code_for(purpose));
    let shown = state.codes.entry(shown).or_default();
    if !shown.contains(&code) {
        shown.push(code);
    }
}

const fn checked(answer: BankSays) -> BankAnswer {
    match answer {
        BankSays::Match => BankAnswer::DEBIT_MATCH,
        BankSays::Mismatch => BankAnswer::Mismatch,
        BankSays::Deposit => BankAnswer::NotEnabled,
    }
}

fn read(rows: &Rows, call: &Call) -> Vec<Arc<Row>> {
    match call {
        Call::Query(query) => rows.query(query),
        Call::BatchGet(keys) => rows.batch(keys),
        Call::Get(get) => rows.at(&get.key).into_iter().collect(),
        other => unreachable!("{other:?} is not a read"),
    }
}

/// The merchant partition that a call reads.
fn partition(call: &Call) -> Option<String> {
    let pk = match call {
        Call::Query(query) => placeholder(query, ":pk"),
        Call::BatchGet(keys) => keys.iter().map(|key| text(key, "pk")).max()?,
        _ => return None,
    };
    pk.starts_with("M#").then(|| pk.to_owned())
}

/// The rows, with one row of a partition in its version before the last transaction.
fn half(rows: &Rows, before: &Rows, pk: &str, torn: Torn) -> Rows {
    let mut half = rows.clone();
    let sk = match torn {
        Torn::OldState => "Y".to_owned(),
        Torn::OldRebind => format!("R#{:06x}", rows.of_kind(pk, "R#").count()),
    };
    half.restore_row(before, pk, &sk);
    half
}
