//! A scenario as stateright explores it: every order of everything that may happen.

use crate::bugs::Bug;
use crate::invariants::{self as must, Look};
use crate::requests::{Answer, Asks, Duty, Phase, Process, Request, Who, Work};
use crate::rows::{Row, Rows};
use crate::state::{Left, State};
use crate::steps::{Chance, Read};
use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::decide::next_actions;
use domain::ids::{CardId, MerchantId};
use domain::merchant::Merchant;
use domain::next_action::NextAction;
use domain::policy::Policy;
use domain::rebind::OtpPurpose;
use stateright::{Model, Property};
use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex};
use store::Store;

/// A merchant of a scenario.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: MerchantId,
    pub pk: String,
    /// The card that the history begins with.
    pub card: Option<String>,
    /// Slots with a session.
    pub slots: Vec<u8>,
}

/// What may be asked for beyond what the app offers next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Each code is also tried wrongly.
    WrongCodes,
    /// What the app offers: confirm, resend, cancel, and so on.
    Offered,
    /// A new rebind, whatever there is: replacing, or for later.
    Create { standby: bool },
    /// The freeze codes that were announced.
    Freeze,
    /// A payout.
    Pay,
    /// Standby cards and replaced ones are taken off.
    Unbind,
}

/// What a scenario allows.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub extras: &'static [Extra],
    pub answers: &'static [Option<Answer>],
    pub jumps_s: &'static [i64],
    pub stream: bool,
    pub clean_up: bool,
    /// Requests that are in functions at the same time.
    pub at_once: usize,
    pub left: Left,
}

/// Transactions as they were tried: what was there, what was asked, whether it was done.
pub type Tape = Arc<Mutex<Vec<(Rows, Vec<TransactWriteItem>, bool)>>>;

/// A scenario with its beginning.
#[derive(Clone)]
pub struct World {
    pub scenario: Scenario,
    pub bug: Bug,
    pub merchants: Vec<Known>,
    pub start: State,
    pub store: Store,
    pub policy: &'static Policy,
    pub tape: Option<Tape>,
    /// What has happened anywhere, to show that the exploration gets there.
    pub met: Arc<Mutex<BTreeSet<&'static str>>>,
    /// What was looked at before, by the table's fingerprint.
    pub looks: Arc<Mutex<HashMap<u64, Arc<Vec<Look>>>>>,
}

/// Something that happens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// An app asks.
    Asks(Request),
    /// An app asks again, under the same key.
    AsksAgain(usize),
    /// A function does its next step.
    Steps(usize, Chance),
    /// A function ends where it stands.
    Crashes(usize),
    /// The stream delivers a record, perhaps to deliver it again.
    Delivers(usize, bool),
    /// The clean-up takes up something that is due.
    CleansUp(Who, Duty),
    /// Time passes.
    Passes(i64),
}

impl World {
    /// Notes what has happened.
    pub fn meets(&self, what: &'static str) {
        self.met.lock().unwrap().insert(what);
    }

    pub fn who_is(&self, merchant: &Merchant) -> Who {
        let mut all = self.merchants.iter();
        let index = all.position(|one| one.id == merchant.profile.merchant_id);
        u8::try_from(index.unwrap()).unwrap()
    }

    pub fn event_row<'s>(&self, state: &'s State, who: Who, seq: u64) -> &'s Row {
        let pk = &self.merchants[usize::from(who)].pk;
        state.rows.0.get(pk, &format!("E#{seq:010}")).unwrap()
    }

    /// How often a record of this event was delivered so far.
    pub fn deliveries(&self, state: &State, who: Who, seq: u64) -> u8 {
        let row = self.event_row(state, who, seq);
        let armed = row.item.get("armed").and_then(|value| value.as_n().ok());
        armed.map_or(0, |armed| 100 + armed.parse::<u8>().unwrap())
    }

    /// The card that came with a rebind.
    pub fn card_of(&self, state: &State, who: Who, number: u32) -> Option<CardId> {
        let look = self.look(&state.rows.0);
        let mut all = look[usize::from(who)].rebinds.iter();
        let rebind = all.find(|rebind| rebind.rebind_id.number() == number)?;
        Some(rebind.new_card.card_id.clone())
    }

    /// Notes a transaction, to be tried on a real table.
    pub fn record(&self, before: &Rows, items: &[TransactWriteItem], done: bool) {
        if let Some(tape) = &self.tape {
            let one = (before.clone(), items.to_vec(), done);
            tape.lock().unwrap().push(one);
        }
    }

    /// What the apps may ask for now.
    fn asks(&self, state: &State) -> Vec<Request> {
        let mut all = Vec::new();
        let looks = self.look(&state.rows.0);
        for ((who, known), look) in (0..).zip(&self.merchants).zip(looks.iter()) {
            let Some(merchant) = &look.merchant else {
                continue;
            };
            for slot in &known.slots {
                let request = |asks| Request {
                    who,
                    slot: Some(*slot),
                    asks,
                };
                for extra in self.scenario.extras {
                    match extra {
                        Extra::Create { standby } => all.push(request(Asks::Create {
                            card: u8::from(*standby) + 1,
                            standby: *standby,
                            lost: false,
                        })),
                        Extra::Offered => {
                            all.extend(self.offered(state, who, merchant).into_iter().map(request));
                        }
                        Extra::WrongCodes => {
                            all.extend(wrong_codes(merchant).into_iter().map(request));
                        }
                        Extra::Unbind => {
                            let standby = merchant.head.standby.iter().map(|one| &one.bound);
                            let replaced = merchant.head.replaced.iter().map(|one| &one.bound);
                            let cards = standby.chain(replaced).map(|one| one.card.card_id.clone());
                            all.extend(cards.map(|card| request(Asks::Unbind(card))));
                        }
                        Extra::Freeze | Extra::Pay => {}
                    }
                }
            }
            let without = |asks| Request {
                who,
                slot: None,
                asks,
            };
            if self.scenario.extras.contains(&Extra::Freeze) {
                let codes = merchant.head.freeze_codes.iter();
                all.extend(codes.map(|code| without(Asks::Freeze(code.number))));
            }
            if self.scenario.extras.contains(&Extra::Pay) {
                let number = u8::try_from(state.requests.len()).unwrap();
                all.push(without(Asks::Pay(number)));
            }
        }
        all
    }

    /// What the app shows as the next things to do.
    fn offered(&self, state: &State, who: Who, merchant: &Merchant) -> Vec<Asks> {
        let Some(rebind) = &merchant.rebind else {
            return Vec::new();
        };
        let number = rebind.rebind_id.number();
        let known = |purpose| {
            let shown = state
                .codes
                .get(&(who, number, crate::state::code_for(purpose)));
            shown.map_or(&[][..], Vec::as_slice)
        };
        let mut all = Vec::new();
        for action in next_actions(merchant, rebind, self.policy, state.now) {
            match action {
                NextAction::Identity => all.push(Asks::Document(number)),
                NextAction::IdentityCode => all.push(Asks::Resend(number, OtpPurpose::Identity)),
                NextAction::CardCheckCode => all.push(Asks::Resend(number, OtpPurpose::Card)),
                NextAction::SignAgreement => all.push(Asks::Sign(number)),
                NextAction::CardCheck => all.push(Asks::CardCheck(number)),
                NextAction::Cancel => all.push(Asks::Cancel(number)),
                NextAction::IdentityConfirm => {
                    let codes = known(OtpPurpose::Identity).iter().cloned();
                    all.extend(
                        codes.map(|code| Asks::Code(number, OtpPurpose::Identity, Some(code))),
                    );
                }
                NextAction::CardCheckConfirm => {
                    let codes = known(OtpPurpose::Card).iter().cloned();
                    all.extend(codes.map(|code| Asks::Code(number, OtpPurpose::Card, Some(code))));
                }
                NextAction::ActivateStandby => {
                    all.push(Asks::StartSwitch(number));
                    let codes = known(OtpPurpose::Activate).iter().cloned();
                    all.extend(
                        codes.map(|code| Asks::Code(number, OtpPurpose::Activate, Some(code))),
                    );
                }
                _ => {}
            }
        }
        all
    }

    /// What the index shows as due.
    fn due(&self, state: &State) -> Vec<(Who, Duty)> {
        let mut all = Vec::new();
        let looks = self.look(&state.rows.0);
        for ((who, known), look) in (0..).zip(&self.merchants).zip(looks.iter()) {
            let pk = known.pk.as_str();
            for (key, row) in state.rows.0.all().filter(|(key, _)| key.0 == pk) {
                let at = row.item.get("due_at").and_then(|value| value.as_n().ok());
                if at.is_none_or(|at| at.parse::<i64>().unwrap() > state.now.epoch_s()) {
                    continue;
                }
                match key.1.split_once('#') {
                    Some(("R", number)) => {
                        all.push((who, Duty::Rebind(u32::from_str_radix(number, 16).unwrap())));
                    }
                    Some(("E", seq)) => all.push((who, Duty::Notice(seq.parse().unwrap()))),
                    _ => {
                        all.push((who, Duty::Cooldown));
                        let replaced = look.merchant.iter().flat_map(|one| &one.head.replaced);
                        all.extend(
                            replaced.map(|one| (who, Duty::Card(one.bound.card.card_id.clone()))),
                        );
                    }
                }
            }
        }
        all
    }
}

/// A wrong code for each that is waited for.
fn wrong_codes(merchant: &Merchant) -> Vec<Asks> {
    let Some(rebind) = &merchant.rebind else {
        return Vec::new();
    };
    let number = rebind.rebind_id.number();
    let purposes = [OtpPurpose::Identity, OtpPurpose::Card, OtpPurpose::Activate];
    let waits = |purpose: &OtpPurpose| {
        domain::decide::otp_of(&rebind.stage, *purpose).is_some()
            || (*purpose == OtpPurpose::Card && rebind.has_deposit())
    };
    purposes
        .into_iter()
        .filter(waits)
        .map(|purpose| Asks::Code(number, purpose, None))
        .collect()
}

impl Model for World {
    type State = State;
    type Action = Event;

    fn init_states(&self) -> Vec<State> {
        let mut state = self.start.clone();
        self.judge(&mut state);
        vec![state]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Event>) {
        let is_app = |process: &&Process| matches!(process.work, Work::Request(_));
        let in_flight = state.processes.iter().filter(is_app).count();
        for (index, process) in state.processes.iter().enumerate() {
            match &process.phase {
                Phase::Load if matches!(process.work, Work::Request(_)) => {
                    actions.push(Event::Steps(index, Chance::Reads(Read::Whole)));
                    if state.left.torn > 0 && state.before != state.rows {
                        actions.push(Event::Steps(index, Chance::Reads(Read::OldHead)));
                        actions.push(Event::Steps(index, Chance::Reads(Read::OldRebind)));
                    }
                }
                Phase::Ask(..) => {
                    let answers = self.scenario.answers.iter();
                    actions.extend(answers.map(|one| Event::Steps(index, Chance::Answers(*one))));
                }
                Phase::Tell(_) => {
                    actions.push(Event::Steps(index, Chance::Takes(true)));
                    if state.left.again > 0 {
                        actions.push(Event::Steps(index, Chance::Takes(false)));
                    }
                }
                _ => actions.push(Event::Steps(index, Chance::None)),
            }
            if state.left.crashes > 0 {
                actions.push(Event::Crashes(index));
            }
        }
        if in_flight < self.scenario.at_once {
            if state.left.requests > 0 {
                actions.extend(self.asks(state).into_iter().map(Event::Asks));
            }
            if state.left.repeats > 0 {
                let keyed = |(request, _): &&(Request, Option<u16>)| request.slot.is_some();
                let all = state.requests.iter().enumerate();
                let keyed = all.filter(|(_, request)| keyed(request));
                actions.extend(keyed.map(|(index, _)| Event::AsksAgain(index)));
            }
        }
        if self.scenario.stream {
            for who in (0..).take(self.merchants.len()) {
                let busy =
                    |process: &Process| matches!(process.work, Work::Notice(of, ..) if of == who);
                if state.processes.iter().any(busy) {
                    continue;
                }
                // In order within a merchant; merchants do not wait for each other.
                if let Some(index) = state.stream.iter().position(|one| one.0 == who) {
                    actions.push(Event::Delivers(index, false));
                    if state.left.again > 0 {
                        actions.push(Event::Delivers(index, true));
                    }
                }
            }
        }
        if self.scenario.clean_up {
            let cleaning = |process: &&Process| matches!(process.work, Work::CleanUp(..));
            if state.processes.iter().filter(cleaning).count() < 2 {
                let due = self.due(state).into_iter();
                actions.extend(due.map(|(who, duty)| Event::CleansUp(who, duty)));
            }
        }
        if state.left.jumps > 0 {
            actions.extend(self.scenario.jumps_s.iter().map(|by| Event::Passes(*by)));
        }
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        let mut state = last.clone();
        match event {
            Event::Asks(request) => {
                state.left.requests -= 1;
                let index = state.requests.len();
                state.requests.push((request, None));
                state.effects.push(0);
                state.processes.push(Process::new(Work::Request(index)));
            }
            Event::AsksAgain(index) => {
                state.left.repeats -= 1;
                state.processes.push(Process::new(Work::Request(index)));
            }
            Event::Steps(index, chance) => {
                if let Chance::Reads(Read::OldHead | Read::OldRebind) = chance {
                    state.left.torn -= 1;
                }
                if chance == Chance::Takes(false) {
                    state.left.again -= 1;
                }
                self.step(&mut state, index, chance);
            }
            Event::Crashes(index) => {
                state.left.crashes -= 1;
                state.crashed = true;
                let process = state.processes.remove(index);
                if let Work::Notice(who, seq, times) = process.work {
                    // A record whose function died comes again.
                    state.stream.insert(0, (who, seq, times));
                }
            }
            Event::Delivers(index, again) => {
                let (who, seq, times) = state.stream[index];
                if again {
                    state.left.again -= 1;
                    state.stream[index].2 = times;
                } else {
                    state.stream.remove(index);
                }
                state
                    .processes
                    .push(Process::new(Work::Notice(who, seq, times)));
            }
            Event::CleansUp(who, duty) => {
                state.processes.push(Process::new(Work::CleanUp(who, duty)));
            }
            Event::Passes(by_s) => {
                state.left.jumps -= 1;
                state.now = state.now.plus_s(by_s);
                state.before = state.rows.clone();
            }
        }
        self.judge(&mut state);
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        macro_rules! always {
            ($($name:expr),+) => {
                vec![$(Property::always($name, |_, state: &State| !state.broken.contains($name))),+]
            };
        }
        always![
            must::POINTER,
            must::PROOFS,
            must::OPEN,
            must::COOLDOWN,
            must::CHAIN,
            must::TOLD,
            must::REPLAY,
            must::FREEZE,
            must::TRIES,
            must::PAYOUT
        ]
    }
}
