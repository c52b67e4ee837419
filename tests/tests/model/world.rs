//! A scenario as a stateright model: every order of its events.

use crate::bugs::Bug;
use crate::calls::Call;
use crate::invariants::{self as must, Look};
use crate::requests::{Asks, BankSays, Due, Input, Operation, Process, Request, Who, Work};
use crate::rows::{Row, Rows};
use crate::state::{Left, Sent, State, code_for};
use crate::steps::Chance;
use crate::use_cases::Point;
use domain::decide::next_actions;
use domain::ids::{MerchantId, RebindId};
use domain::merchant::Merchant;
use domain::next_action::NextAction;
use domain::policy::Policy;
use domain::rebind::{OtpPurpose, Rebind};
use domain::time::Timestamp;
use stateright::{Model, Property};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use tests::merchant::Profile;
use tests::scripted_peers::MemoryKeys;

/// A merchant of a scenario.
#[derive(Clone, Debug)]
pub struct Known {
    pub id: MerchantId,
    pub pk: String,
    /// The active card at the start of the history.
    pub card: Option<String>,
    /// The person's data.
    pub profile: Profile,
    /// The token of each session, by its slot.
    pub tokens: BTreeMap<u8, String>,
}

/// The requests that a scenario allows beyond those that the app offers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extra {
    /// Each pending OTP is typed, both wrongly and correctly, even if the app does not offer it.
    AnyCode,
    /// The actions that the app offers: confirm, resend, cancel, and so on.
    Offered,
    /// A new rebind at any time: replacing or standby.
    Create { standby: bool },
    /// The freeze codes that were sent.
    Freeze,
    /// A payout.
    Pay,
    /// The operator's freeze, and the end of a freeze.
    Operator,
    /// A change of contact.
    Contact,
    /// The unbinding of standby and replaced cards.
    Unbind,
}

/// The limits of a scenario.
#[derive(Clone, Debug)]
pub struct Scenario {
    pub name: &'static str,
    pub extras: &'static [Extra],
    pub answers: &'static [Option<BankSays>],
    pub jumps_s: &'static [i64],
    pub stream: bool,
    pub clean_up: bool,
    /// The maximum number of concurrent requests in functions.
    pub at_once: usize,
    pub left: Left,
}

/// Calls to the table, with the rows before them.
pub type Tape = Arc<Mutex<Vec<(Rows, Call)>>>;

/// A scenario with its initial world.
#[derive(Clone)]
pub struct World {
    pub scenario: Scenario,
    pub bug: Bug,
    pub merchants: Vec<Known>,
    pub start: State,
    pub memory_keys: MemoryKeys,
    pub policy: &'static Policy,
    pub tape: Option<Tape>,
    /// The observed events, to show that the exploration reaches them.
    pub met: Arc<Mutex<BTreeSet<&'static str>>>,
    /// The views computed so far, by the table's fingerprint.
    pub looks: Arc<Mutex<HashMap<u64, Arc<Vec<Look>>>>>,
    /// The points of use cases reached so far, by key.
    pub points: Arc<Mutex<HashMap<u64, Arc<Point>>>>,
    /// Signatures by session, rebind and time.
    pub signatures: Arc<Mutex<HashMap<Shown, Option<String>>>>,
}

/// An agreement that an app displays.
type Shown = (Who, u8, RebindId, Timestamp);

/// An event of the world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Event {
    /// An app sends a request.
    Asks(Request),
    /// An app sends a request again, with the same key.
    AsksAgain(usize),
    /// A process makes its next call.
    Steps(usize, Chance),
    /// A process crashes.
    Crashes(usize),
    /// The stream delivers a record, and may deliver it again.
    Delivers(usize, bool),
    /// The clean-up processes a due entry.
    CleansUp(Due),
    /// Time passes.
    Passes(i64),
}

impl World {
    /// Records an observed event.
    pub fn meets(&self, what: &'static str) {
        self.met.lock().unwrap().insert(what);
    }

    pub fn event_row<'s>(&self, state: &'s State, who: Who, seq: u64) -> &'s Row {
        let pk = &self.merchants[usize::from(who)].pk;
        state.rows.0.get(pk, &format!("E#{seq:010}")).unwrap()
    }

    /// The number of deliveries of an event's records so far.
    pub fn deliveries(&self, state: &State, who: Who, seq: u64) -> u8 {
        let row = self.event_row(state, who, seq);
        let armed = row.item.get("armed").and_then(|value| value.as_n().ok());
        armed.map_or(0, |armed| 100 + armed.parse::<u8>().unwrap())
    }

    /// Records a call to the table, for comparison with a real one.
    pub fn record(&self, before: &Rows, call: impl FnOnce() -> Call) {
        if let Some(tape) = &self.tape {
            tape.lock().unwrap().push((before.clone(), call()));
        }
    }

    /// The requests that apps can send now.
    fn asks(&self, state: &State) -> Vec<Request> {
        let mut all = Vec::new();
        let looks = self.look(&state.rows.0);
        for ((who, known), look) in (0..).zip(&self.merchants).zip(looks.iter()) {
            let Some(merchant) = &look.merchant else {
                continue;
            };
            for slot in known.tokens.keys() {
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
                        })),
                        Extra::Offered => {
                            let offered = self.offered(state, who, *slot, merchant);
                            all.extend(offered.into_iter().map(request));
                        }
                        Extra::AnyCode => {
                            let codes = self.any_codes(state, who, merchant);
                            all.extend(codes.into_iter().map(request));
                        }
                        Extra::Unbind => {
                            let standby = merchant.state.standby.iter().map(|one| &one.bound);
                            let replaced = merchant.state.replaced.iter().map(|one| &one.bound);
                            let cards = standby.chain(replaced).map(|one| one.card.card_id.clone());
                            all.extend(cards.map(|card| request(Asks::Unbind(card))));
                        }
                        Extra::Freeze | Extra::Pay | Extra::Operator | Extra::Contact => {}
                    }
                }
            }
            let without = |asks| Request {
                who,
                slot: None,
                asks,
            };
            if self.scenario.extras.contains(&Extra::Freeze) {
                let codes = merchant.state.freeze_codes.iter();
                all.extend(codes.map(|code| without(Asks::Freeze(code.seq))));
            }
            if self.scenario.extras.contains(&Extra::Operator) {
                all.extend(decisions(merchant).map(|one| without(Asks::Operator(one))));
            }
            if self.scenario.extras.contains(&Extra::Contact) {
                all.push(without(Asks::Operator(Operation::ChangeName)));
            }
            if self.scenario.extras.contains(&Extra::Pay) {
                let number = u8::try_from(state.requests.len()).unwrap();
                all.push(without(Asks::Pay(number)));
            }
        }
        let mut seen = HashSet::new();
        all.retain(|request| seen.insert(request.clone()));
        all
    }

    /// The next actions that the app offers.
    fn offered(&self, state: &State, who: Who, slot: u8, merchant: &Merchant) -> Vec<Asks> {
        let Some(rebind) = &merchant.rebind else {
            return Vec::new();
        };
        let id = || rebind.rebind_id.clone();
        let typed = |purpose| shown_codes(state, who, rebind, purpose);
        let mut all = Vec::new();
        for action in next_actions(merchant, rebind, self.policy, state.now) {
            match action {
                NextAction::Identity => all.push(Asks::Document(id())),
                NextAction::IdentityCode => all.push(Asks::Resend(id(), OtpPurpose::Identity)),
                NextAction::CardCheckCode => all.push(Asks::Resend(id(), OtpPurpose::Card)),
                NextAction::SignAgreement if self.shows(state, who, slot, &rebind.rebind_id) => {
                    all.push(Asks::Sign(id(), state.now));
                }
                NextAction::CardCheck => all.push(Asks::CardCheck(id())),
                NextAction::Cancel => all.push(Asks::Cancel(id())),
                NextAction::IdentityConfirm => all.extend(typed(OtpPurpose::Identity)),
                NextAction::CardCheckConfirm => all.extend(typed(OtpPurpose::Card)),
                NextAction::ActivateStandby => {
                    let card = rebind.new_card.card_id.clone();
                    all.push(Asks::Switch(id(), card, None));
                    all.extend(typed(OtpPurpose::Activate));
                }
                _ => {}
            }
        }
        all
    }

    /// A right and a wrong OTP for each pending one.
    fn any_codes(&self, state: &State, who: Who, merchant: &Merchant) -> Vec<Asks> {
        let Some(rebind) = &merchant.rebind else {
            return Vec::new();
        };
        let purposes = [OtpPurpose::Identity, OtpPurpose::Card, OtpPurpose::Activate];
        let waits = |purpose: &OtpPurpose| {
            domain::decide::otp_of(&rebind.stage, *purpose).is_some()
                || (*purpose == OtpPurpose::Card && rebind.has_deposit())
        };
        let codes = purposes.into_iter().filter(waits).flat_map(|purpose| {
            let wrong = code_of(rebind, purpose, None);
            shown_codes(state, who, rebind, purpose).chain([wrong])
        });
        codes.collect()
    }

    /// Returns true if an app displays the agreement now; then its signature is known.
    fn shows(&self, state: &State, who: Who, slot: u8, id: &RebindId) -> bool {
        let shown = (who, slot, id.clone(), state.now);
        let mut known = self.signatures.lock().unwrap();
        let sign = || self.signature(&state.rows.0, who, slot, id.as_str(), state.now);
        known.entry(shown).or_insert_with(sign).is_some()
    }

    /// The due entries in the index.
    fn due(&self, state: &State) -> Vec<Due> {
        let mut all = Vec::new();
        for (who, known) in (0..).zip(&self.merchants) {
            for row in state.rows.0.of_kind(&known.pk, "") {
                let at = row.item.get("due_at").and_then(|value| value.as_n().ok());
                if at.is_some_and(|at| at.parse::<i64>().unwrap() <= state.now.epoch_s()) {
                    all.push(Due::of(who, &row.item));
                }
            }
        }
        all
    }

    /// Starts a use case.
    fn start(&self, state: &mut State, work: Work, request: Option<(Request, u8)>) {
        let (request, sent) = request.unzip();
        let input = Arc::new(Input {
            work,
            at: state.now,
            request,
            sent: sent.unwrap_or_default(),
        });
        let point = self.begun(&input);
        state.processes.push(Process { input, point });
    }

    /// Sends a request, or sends it again.
    fn send(&self, state: &mut State, index: usize) {
        let sent = &mut state.requests[index];
        sent.times += 1;
        let request = (sent.request.clone(), sent.times);
        self.start(state, Work::Request(index), Some(request));
    }
}

/// The operator's decisions: a freeze, or any choice of a card that ends it.
fn decisions(merchant: &Merchant) -> impl Iterator<Item = Operation> {
    let state = &merchant.state;
    let (is_frozen, active) = (state.frozen.is_some(), state.active.iter());
    let replaced = state.replaced.iter().map(|one| &one.bound);
    let cards = active
        .chain(replaced)
        .map(|one| Some(one.card.card_id.clone()));
    let choices = cards.chain([None]).map(Operation::Unfreeze);
    let freeze = (!is_frozen).then_some(Operation::Freeze);
    choices.filter(move |_| is_frozen).chain(freeze)
}

/// The request that submits an OTP.
fn code_of(rebind: &Rebind, purpose: OtpPurpose, typed: Option<String>) -> Asks {
    let id = rebind.rebind_id.clone();
    match purpose {
        OtpPurpose::Activate => Asks::Switch(id, rebind.new_card.card_id.clone(), Some(typed)),
        OtpPurpose::Identity | OtpPurpose::Card => Asks::Code(id, purpose, typed),
    }
}

/// The requests that submit a correct OTP.
fn shown_codes(
    state: &State,
    who: Who,
    rebind: &Rebind,
    purpose: OtpPurpose,
) -> impl Iterator<Item = Asks> {
    let shown = (who, rebind.rebind_id.number(), code_for(purpose));
    let shown = state.codes.get(&shown).into_iter().flatten();
    shown.map(move |code| code_of(rebind, purpose, Some(code.clone())))
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
        let is_app = |process: &&Process| matches!(process.input.work, Work::Request(_));
        let in_flight = state.processes.iter().filter(is_app).count();
        for (index, process) in state.processes.iter().enumerate() {
            let chances = self.chances(state, process).into_iter();
            actions.extend(chances.map(|chance| Event::Steps(index, chance)));
            if state.left.crashes > 0 {
                actions.push(Event::Crashes(index));
            }
        }
        if in_flight < self.scenario.at_once {
            if state.left.requests > 0 {
                actions.extend(self.asks(state).into_iter().map(Event::Asks));
            }
            if state.left.repeats > 0 {
                let all = state.requests.iter().enumerate();
                let keyed = all.filter(|(_, sent)| sent.request.slot.is_some());
                actions.extend(keyed.map(|(index, _)| Event::AsksAgain(index)));
            }
        }
        if self.scenario.stream {
            for who in (0..).take(self.merchants.len()) {
                let busy = |process: &Process| matches!(process.input.work, Work::Notification(of, ..) if of == who);
                if state.processes.iter().any(busy) {
                    continue;
                }
                // Records of one merchant are delivered in order; merchants do not wait for each other.
                if let Some(index) = state.stream.iter().position(|one| one.0 == who) {
                    actions.push(Event::Delivers(index, false));
                    if state.left.again > 0 {
                        actions.push(Event::Delivers(index, true));
                    }
                }
            }
        }
        if self.scenario.clean_up {
            let cleaning = |process: &&Process| matches!(process.input.work, Work::CleanUp(_));
            if state.processes.iter().filter(cleaning).count() < 2 {
                actions.extend(self.due(state).into_iter().map(Event::CleansUp));
            }
        }
        if state.left.jumps > 0 {
            // An invocation ends within a minute, so longer times pass only between invocations.
            let jumps = self.scenario.jumps_s.iter().copied();
            let jumps = jumps.filter(|by_s| *by_s < 60 || state.processes.is_empty());
            actions.extend(jumps.map(Event::Passes));
        }
    }

    fn next_state(&self, last: &State, event: Event) -> Option<State> {
        let mut state = last.clone();
        match event {
            Event::Asks(request) => {
                state.left.requests -= 1;
                let index = state.requests.len();
                state.requests.push(Sent {
                    request,
                    times: 0,
                    status: None,
                });
                state.effects.push(0);
                self.send(&mut state, index);
            }
            Event::AsksAgain(index) => {
                state.left.repeats -= 1;
                self.send(&mut state, index);
            }
            Event::Steps(index, chance) => {
                if !self.step(&mut state, index, chance) {
                    return None;
                }
            }
            Event::Crashes(index) => {
                state.left.crashes -= 1;
                state.crashed = true;
                let process = state.processes.remove(index);
                if let Work::Notification(who, seq, times) = process.input.work {
                    // A record is redelivered if its function crashed.
                    state.stream.insert(0, (who, seq, times));
                }
            }
            Event::Delivers(index, again) => {
                let (who, seq, times) = state.stream[index];
                if again {
                    state.left.again -= 1;
                } else {
                    state.stream.remove(index);
                }
                self.start(&mut state, Work::Notification(who, seq, times), None);
            }
            Event::CleansUp(due) => self.start(&mut state, Work::CleanUp(due), None),
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
            must::NOTIFIED,
            must::REPLAY,
            must::FREEZE,
            must::ATTEMPTS,
            must::PAYOUT,
            must::UNSEEN,
            must::CONTACT
        ]
    }
}
