//! Long random histories of one merchant: changes of every kind and their reversal, payouts in between, and a clean-up that
//! runs in time, late or never. After every write the checks of the store and the model hold. The clean-up decides exactly
//! what is due.

use super::fixture::*;
use super::world::{Store, TIGHT};
use crate::decide::{BankAnswer, BankReply, Command, deposit_of, otp_of};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::ids::CardId;
use crate::payout::Payout;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::rebind::{CardCheck, OtpPurpose, Purpose, Reason, RebindState};
use crate::transfer::TransferAnswer;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Number of histories per property.
const CASES: u32 = 1_024;

/// One step of a history.
#[derive(Clone, Debug)]
enum Step {
    Jump(i64),
    /// Creates a rebind and takes its steps up to this point.
    Rebind {
        card: u8,
        lost: bool,
        standby: bool,
        deposit: bool,
        far: Far,
    },
    /// Continues the open rebind.
    Onward,
    Cancel,
    /// Switches to a standby card after some wrong codes.
    Switch {
        which: u8,
        wrong: u8,
    },
    Unbind(u8),
    Test(u8),
    TestSays(u8, TransferAnswer),
    Freeze(u8),
    FreezeByOperator,
    Unfreeze(u8),
    Pay(u16),
    Sending(u8),
    Sent(u8),
    Returned(u8),
    CleanUp(Option<TransferAnswer>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Far {
    Requested,
    Asked,
    Answered,
    Bound,
}

fn transfer() -> impl Strategy<Value = TransferAnswer> {
    prop_oneof![
        3 => Just(TransferAnswer::Succeeded),
        1 => Just(TransferAnswer::Pending),
        2 => Just(TransferAnswer::Returned),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let jump = prop_oneof![
        3 => 0..HOUR_S,
        3 => HOUR_S..25 * HOUR_S,
        // The edges of the compared periods.
        3 => prop::sample::select(vec![DAY_S - 1, DAY_S, 3 * DAY_S, 7 * DAY_S - 1, 7 * DAY_S]),
        2 => DAY_S..9 * DAY_S,
        2 => 9 * DAY_S..40 * DAY_S,
        1 => 40 * DAY_S..400 * DAY_S,
    ];
    let far = prop_oneof![
        1 => Just(Far::Requested),
        1 => Just(Far::Asked),
        1 => Just(Far::Answered),
        8 => Just(Far::Bound),
    ];
    let flags = (any::<bool>(), any::<bool>(), prop::bool::weighted(0.3));
    prop_oneof![
        8 => jump.prop_map(Step::Jump),
        6 => (0_u8..4, flags, far).prop_map(|(card, (lost, standby, deposit), far)| Step::Rebind {
            card, lost, standby, deposit, far,
        }),
        1 => Just(Step::Onward),
        1 => Just(Step::Cancel),
        4 => (any::<u8>(), prop_oneof![8 => Just(0_u8), 1 => 1..POLICY.code_attempts, 1 => Just(POLICY.code_attempts)])
            .prop_map(|(which, wrong)| Step::Switch { which, wrong }),
        2 => any::<u8>().prop_map(Step::Unbind),
        2 => any::<u8>().prop_map(Step::Test),
        2 => (any::<u8>(), transfer()).prop_map(|(which, answer)| Step::TestSays(which, answer)),
        2 => any::<u8>().prop_map(Step::Freeze),
        1 => Just(Step::FreezeByOperator),
        6 => any::<u8>().prop_map(Step::Unfreeze),
        9 => (1_u16..1_000).prop_map(Step::Pay),
        4 => any::<u8>().prop_map(Step::Sending),
        4 => any::<u8>().prop_map(Step::Sent),
        2 => any::<u8>().prop_map(Step::Returned),
        5 => prop::option::weighted(0.7, transfer()).prop_map(Step::CleanUp),
    ]
}

/// The number of events of each kind.
type Seen = BTreeMap<EventKind, u32>;

struct Life<'s> {
    store: Store,
    seen: &'s RefCell<Seen>,
}

impl<'s> Life<'s> {
    fn new(seen: &'s RefCell<Seen>) -> Self {
        Self {
            store: Store::new(),
            seen,
        }
    }

    fn command(&mut self, number: u32, by: Option<u8>, act: &Command) -> Result<(), ErrorCode> {
        let kind = self.store.command(number, by, act)?;
        if let Some(kind) = kind {
            *self.seen.borrow_mut().entry(kind).or_default() += 1;
        }
        Ok(())
    }

    /// Issues a command as the merchant, after a login.
    fn ask(&mut self, number: u32, act: &Command) -> Result<(), ErrorCode> {
        self.store.login();
        self.command(number, Some(0), act)
    }

    fn latest(&self) -> u32 {
        self.store.merchant.state.rebinds
    }

    fn number(&self, which: u8) -> u32 {
        u32::from(which) % (self.latest() + 1)
    }

    /// Usually the rebind of the active card.
    fn activated_card(&self, which: u8) -> u32 {
        match &self.store.merchant.state.active {
            Some(active) if which < 220 => active.card.card_id.number(),
            _ => self.number(which),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Jump(by_s) => {
                // Often, but not always, the notifications were handed over before.
                if by_s % 8 != 1 {
                    self.notify_all();
                }
                self.store.jump(*by_s);
            }
            Step::Rebind {
                card,
                lost,
                standby,
                deposit,
                far,
            } => {
                let requested = self.request(*card, *lost, *standby);
                if requested.is_ok() {
                    self.walk(*deposit, *far);
                }
            }
            Step::Onward => self.walk(false, Far::Bound),
            Step::Cancel => {
                let _ = self.ask(self.latest(), &Command::Cancel);
            }
            Step::Switch { which, wrong } => self.switch(*which, *wrong),
            Step::Unbind(which) => {
                let number = self.number(*which);
                let _ = self.ask(number, &Command::Unbind(self.card(number)));
            }
            Step::Test(which) => {
                let _ = self.ask(self.activated_card(*which), &Command::StartTestTransfer);
            }
            Step::TestSays(which, answer) => {
                let says = Command::SettleTestTransfer(Some(*answer));
                let _ = self.ask(self.activated_card(*which), &says);
            }
            Step::Freeze(which) => self.freeze(self.number(*which)),
            Step::FreezeByOperator => {
                let reason = "asked".to_owned();
                let number = self.store.rebind_of_live_code();
                self.command(number, None, &Command::FreezeByOperator { reason })
                    .unwrap();
            }
            Step::Unfreeze(which) => {
                let was = self.store.merchant.state.frozen.is_some();
                let (number, act) = self.store.unfreeze(*which);
                let done = self.command(number, None, &act);
                assert_eq!(done.is_ok(), was, "{done:?}");
            }
            Step::Pay(amount_fen) => {
                let id = payout_id(&self.store.history.len().to_string());
                let create = Command::CreatePayout(id, u64::from(*amount_fen));
                self.command(self.latest(), None, &create).unwrap();
            }
            Step::Sending(which) => self.about_payout(*which, begin_payment),
            Step::Sent(which) => self.about_payout(*which, Command::PayoutSent),
            Step::Returned(which) => self.about_payout(*which, Command::PayoutReturned),
            Step::CleanUp(answer) => self.clean_up(*answer),
        }
    }

    fn card(&self, number: u32) -> CardId {
        let rebind = self.store.rebinds.get(&number);
        rebind.map_or(CardId::new(0, &[1; 16]), |rebind| {
            rebind.new_card.card_id.clone()
        })
    }

    fn request(&mut self, card: u8, lost: bool, standby: bool) -> Result<(), ErrorCode> {
        let name = ["a", "b", "c", "d"][usize::from(card) % 4];
        let act = create_with(|request| {
            request.card.as_mut().unwrap().fingerprint = fingerprint(name);
            if lost {
                request.reason = Some(Reason::Lost);
            }
            if standby {
                request.purpose = Purpose::Standby;
            }
        });
        self.ask(self.latest(), &act)
    }

    /// Takes the next steps of the open rebind. A refused step leaves it unchanged.
    fn walk(&mut self, deposit: bool, far: Far) {
        let number = self.latest();
        for _ in 0..12 {
            let Some(rebind) = self.store.rebinds.get(&number) else {
                return;
            };
            let now = self.store.now;
            let act = match rebind.stage.clone() {
                RebindState::IdentityPending { .. } if far == Far::Requested => return,
                RebindState::IdentityPending { code: None, .. } => document(true),
                RebindState::IdentityPending { .. } => {
                    let code = self.store.code();
                    let _ = self.ask(number, &Command::ResendIdentityOtp(code));
                    if self.confirm(number, Identity, true).is_err() {
                        return;
                    }
                    continue;
                }
                RebindState::AgreementPending { .. } => sign(now.plus_s(-10)),
                RebindState::CardPending { identity, .. }
                    if identity.confirmed_at.age_s_at(now) > TIGHT.identity_proof_s =>
                {
                    let code = self.store.code();
                    let _ = self.ask(number, &Command::ResendIdentityOtp(code));
                    if self.confirm(number, Identity, true).is_err() {
                        return;
                    }
                    continue;
                }
                RebindState::CardPending { check, .. } => match check {
                    CardCheck::Asking { .. } if far == Far::Asked => return,
                    CardCheck::Asking { number: serial, .. } => {
                        let answer = match deposit {
                            true => BankAnswer::Deposited { arrived: false },
                            false => BankAnswer::DEBIT_MATCH,
                        };
                        let reply = BankReply {
                            number: serial,
                            answer: Some(answer),
                        };
                        Command::SettleCardCheck(reply, Some(self.store.code()))
                    }
                    CardCheck::Deposit { .. } | CardCheck::Matched { .. } if far < Far::Bound => {
                        return;
                    }
                    CardCheck::Deposit { arrived: false, .. } => {
                        Command::SettleDeposit(Some(TransferAnswer::Succeeded))
                    }
                    CardCheck::Matched { matched_at, .. }
                        if matched_at.age_s_at(now) <= TIGHT.bank_proof_s =>
                    {
                        let code = self.store.code();
                        let _ = self.ask(number, &Command::ResendCardOtp(code));
                        let _ = self.confirm(number, Card, true);
                        return;
                    }
                    CardCheck::Deposit { .. } => {
                        let _ = self.confirm(number, Card, true);
                        return;
                    }
                    CardCheck::NotAsked { .. } | CardCheck::Matched { .. } => {
                        Command::StartCardCheck {
                            bound_elsewhere: false,
                            code: self.store.code(),
                        }
                    }
                },
                _ => return,
            };
            if self.ask(number, &act).is_err() {
                return;
            }
        }
    }

    /// Reserves an attempt and settles it.
    fn confirm(&mut self, number: u32, purpose: OtpPurpose, right: bool) -> Result<(), ErrorCode> {
        let reserve = Command::ReserveAttempt {
            purpose,
            well_formed: true,
            deposit_polled: true,
        };
        self.ask(number, &reserve)?;
        let Some(one) = self.store.compared.pop() else {
            return Err(ErrorCode::OtpTooMany);
        };
        let stage = &self.store.rebinds[&number].stage;
        let compared = otp_of(stage, purpose).map_or(one.mac, |(code, _)| code.mac.clone());
        self.ask(number, &settle(purpose, compared, right))
    }

    fn switch(&mut self, which: u8, wrong: u8) {
        let standby = &self.store.merchant.state.standby;
        let Some(standby) = standby.get(usize::from(which) % standby.len().max(1)) else {
            return;
        };
        let card_id = standby.bound.card.card_id.clone();
        let number = card_id.number();
        let code = self.store.code();
        if self
            .ask(number, &Command::StartActivation(card_id, code))
            .is_err()
        {
            return;
        }
        for _ in 0..wrong {
            let _ = self.confirm(number, Activate, false);
        }
        let _ = self.confirm(number, Activate, true);
    }

    /// Uses the freeze code of any rebind. It must freeze exactly if it was issued, is in time and is unused. A dropped code
    /// stays invalid even if the clock goes back.
    fn freeze(&mut self, number: u32) {
        let works = self.store.model.code_works(number, self.store.now);
        let codes = self.store.merchant.state.freeze_codes.clone();
        let code = codes.iter().rev().find(|code| code.rebind == Some(number));
        let command = Command::Freeze(code.map_or(0, |code| code.seq));
        let state = &self.store.merchant.state;
        let read = code.and_then(|code| state.rebind_to_freeze(code, self.store.now));
        let done = self.command(read.unwrap_or(number), None, &command);
        assert!(works || done.is_err());
        assert!(done.is_ok() || !works || self.store.went_back, "{done:?}");
    }

    fn about_payout(&mut self, which: u8, act: fn(Payout) -> Command) {
        let payouts: Vec<_> = self.store.model.payouts().cloned().collect();
        if let Some(payout) = payouts.get(usize::from(which) % payouts.len().max(1)) {
            let _ = self.command(self.latest(), None, &act(payout.clone()));
        }
    }

    // The clean-up.

    fn notify_all(&mut self) {
        for number in 1..=self.latest() {
            let _ = self.command(number, None, &notified());
        }
    }

    /// Processes exactly what is due, with this answer of the bank to every query. Nothing is due afterwards.
    fn clean_up(&mut self, answer: Option<TransferAnswer>) {
        self.notify_all();
        self.check_due_times();
        let now = self.store.now;
        for number in 1..=self.latest() {
            let is_due = |life: &Self| {
                let due_at = life.store.rebinds[&number].due_at(&TIGHT);
                due_at.is_some_and(|at| at <= now) && !life.is_replaced(number)
            };
            if !is_due(self) {
                continue;
            }
            // Query the bank before the period ends in which its answer matters.
            for act in self.questions(number, answer) {
                let _ = self.command(number, None, &act);
            }
            for act in [Command::Expire, Command::Complete] {
                let _ = self.command(number, None, &act);
            }
            assert!(
                !is_due(self),
                "due forever: {:?}",
                self.store.rebinds[&number]
            );
        }
        self.clean_merchant();
        self.clean_merchant();
        let state = &self.store.merchant.state;
        let due_at = state.due_at(now);
        assert!(due_at.is_none_or(|at| at > now), "due forever: {state:?}");
        self.check_due_times();
    }

    fn clean_merchant(&mut self) {
        let state = &self.store.merchant.state;
        if state
            .due_at(self.store.now)
            .is_none_or(|at| at > self.store.now)
        {
            return;
        }
        for (number, act) in self.merchant_acts() {
            let _ = self.command(number, None, &act);
        }
    }

    fn merchant_acts(&self) -> Vec<(u32, Command)> {
        let mut acts = vec![(self.latest(), Command::EndCooldown)];
        for replaced in &self.store.merchant.state.replaced {
            let card_id = replaced.bound.card.card_id.clone();
            acts.push((card_id.number(), Command::RemoveCard(card_id)));
        }
        for payout in self.store.model.payouts() {
            if self.store.merchant.state.awaits_card(payout) {
                acts.push((self.latest(), Command::AssignPayout(payout.clone())));
            }
        }
        acts
    }

    /// True if a later rebind replaced this one when it was overdue. After the clock has gone back, it can only expire, once
    /// the clock has caught up.
    fn is_replaced(&self, number: u32) -> bool {
        let rebind = &self.store.rebinds[&number];
        let replaced =
            rebind.is_open(self.store.now) && self.store.merchant.state.open != Some(number);
        assert!(!replaced || self.store.went_back);
        replaced
    }

    /// The queries to the bank about this rebind.
    fn questions(&mut self, number: u32, answer: Option<TransferAnswer>) -> Vec<Command> {
        let rebind = &self.store.rebinds[&number];
        match &rebind.stage {
            RebindState::CardPending {
                check: CardCheck::Asking { number, .. },
                ..
            } => {
                let answer = answer.map(|answer| match answer {
                    TransferAnswer::Succeeded => BankAnswer::DEBIT_MATCH,
                    TransferAnswer::Pending => BankAnswer::Busy,
                    TransferAnswer::Returned => BankAnswer::DepositReturned,
                });
                let number = *number;
                vec![Command::SettleCardCheck(BankReply { number, answer }, None)]
            }
            stage if deposit_of(stage).is_some() => vec![Command::SettleDeposit(answer)],
            RebindState::Activated(_) | RebindState::Completed(_) => {
                vec![Command::SettleTestTransfer(answer)]
            }
            _ => Vec::new(),
        }
    }

    /// Checks that the due times are complete: nothing can be decided that is not due.
    fn check_due_times(&self) {
        let now = self.store.now;
        let due = |at: Option<crate::time::Timestamp>| at.is_some_and(|at| at <= now);
        for (number, rebind) in &self.store.rebinds {
            if !due(rebind.due_at(&TIGHT)) {
                for act in [Command::Expire, Command::Complete] {
                    assert!(!self.store.is_allowed(*number, &act), "{act:?} is not due");
                }
            }
        }
        let state = &self.store.merchant.state;
        if due(state.due_at(now)) {
            return;
        }
        for (number, act) in self.merchant_acts() {
            assert!(!self.store.is_allowed(number, &act), "{act:?} is not due");
        }
    }
}

fn live(name: &str, goes_back: bool, enough: &[(EventKind, u32)]) {
    let seen = RefCell::new(Seen::new());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let jump_back = prop::option::weighted(0.1, 0..3 * DAY_S);
    let histories = prop::collection::vec((step(), jump_back), 1..90);
    let result = TestRunner::new(config).run(&histories, |steps| {
        let mut life = Life::new(&seen);
        for (step, back_s) in &steps {
            life.step(step);
            if let (true, Some(back_s)) = (goes_back, back_s) {
                life.store.jump(-back_s);
            }
        }
        life.store.check_history();
        Ok(())
    });
    if let Err(failed) = result {
        panic!("{failed}");
    }
    let seen = seen.into_inner();
    let events: u32 = seen.values().sum();
    eprintln!("{name}: {CASES} cases, {events} events: {seen:?}");
    // Histories without events would prove nothing.
    for (kind, times) in enough {
        let seen = seen.get(kind).copied().unwrap_or(0);
        assert!(seen >= *times, "{kind} only {seen} times");
    }
}

#[test]
fn payout_goes_to_card_valid_at_creation() {
    live(
        "a clock that never goes back",
        false,
        &[
            (EventKind::Activated, 500),
            (EventKind::StandbyReady, 500),
            (EventKind::MicroDepositSent, 300),
            (EventKind::CodeWrong, 2),
            (EventKind::TestTransferSucceeded, 30),
            (EventKind::Reverted, 15),
            (EventKind::Frozen, 150),
            (EventKind::Unfrozen, 100),
            (EventKind::PayoutCreated, 2_000),
            (EventKind::PayoutAssigned, 100),
            (EventKind::PayoutSending, 500),
            (EventKind::PayoutReleased, 100),
            (EventKind::PayoutSent, 150),
            (EventKind::PayoutReturned, 500),
            (EventKind::CardUnbound, 50),
            (EventKind::CardRemoved, 200),
            (EventKind::Completed, 200),
            (EventKind::Expired, 100),
            (EventKind::CooldownEnded, 80),
        ],
    );
}

#[test]
fn backward_clock_loses_no_payout() {
    live(
        "a clock that goes back and forth",
        true,
        &[
            (EventKind::Activated, 500),
            (EventKind::Frozen, 100),
            (EventKind::PayoutAssigned, 50),
        ],
    );
}
