//! Random commands under a jumping clock, starting from a merchant without a rebind. The invariants hold after each command.

use super::contact;
use super::fixture::*;
use super::world::{Asked, Compared, Store, TIGHT};
use crate::card::BankCardType;
use crate::contact::PreviousPhoneRule;
use crate::decide::{BankAnswer, BankReply, Command, Document, deposit_of, next_actions, otp_of};
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::format::DocumentExpiry;
use crate::ids::CardId;
use crate::next_action::NextAction;
use crate::payout::Payout;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::rebind::{Mac, OtpPurpose, Purpose, Reason, RebindState, TestTransfer};
use crate::transfer::TransferAnswer;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::cell::RefCell;
use std::collections::BTreeMap;

/// Number of command sequences.
const CASES: u32 = 1_024;

/// One random step.
#[derive(Clone, Debug)]
enum Step {
    /// Moves the clock by this many seconds, possibly backwards.
    Jump(i64),
    Login,
    /// The next action runs on an instance whose clock is ahead by this many seconds.
    Ahead(i64),
    /// Runs the clean-up.
    CleanUp,
    /// Takes the first next action, so that the run reaches late states.
    Onward,
    /// Tries several codes in a row in the first session. All are wrong except possibly the last.
    Codes {
        purpose: OtpPurpose,
        wrong: u8,
        right: bool,
    },
    /// Issues any command about any rebind.
    CommandContext(Asking, u8, By),
    /// Delivers the result of a pending comparison.
    Compared {
        which: u8,
        right: bool,
        bound: bool,
    },
    /// Delivers the bank's answer to a pending call, possibly twice.
    Answered {
        which: u8,
        answer: Option<BankAnswer>,
        again: bool,
        phone: bool,
    },
}

/// The issuer of a command.
#[derive(Clone, Copy, Debug)]
enum By {
    Session(u8),
    Nobody,
}

/// A command without the values that depend on the state.
#[derive(Clone, Debug)]
enum Asking {
    Create {
        card: u8,
        lost: bool,
        standby: bool,
        good: bool,
    },
    Cancel,
    Document(Typed),
    Resend(OtpPurpose),
    Take(OtpPurpose, bool),
    Read,
    Sign(i64),
    CardCheck(bool),
    NotSent(OtpPurpose),
    DepositSays(Option<TransferAnswer>),
    TestTransfer,
    TestSays(Option<TransferAnswer>),
    Switch,
    Unbind,
    Freeze,
    Unfreeze(u8),
    FreezeByOperator,
    Contact(u8),
    Pay,
    Sending(u8),
    Sent(u8),
    Returned(u8),
    Assign(u8),
    Settlement,
    Push(u8),
    Unpush(u8),
    Remove,
    Expire,
    Complete,
    EndCooldown,
    Notified,
}

#[derive(Clone, Copy, Debug)]
enum Typed {
    Right,
    Wrong,
    Malformed,
}

fn purpose() -> impl Strategy<Value = OtpPurpose> {
    prop_oneof![4 => Just(Identity), 4 => Just(Card), 1 => Just(Activate)]
}

fn asking() -> impl Strategy<Value = Asking> {
    let typed = prop_oneof![
        Just(Typed::Right),
        Just(Typed::Wrong),
        Just(Typed::Malformed)
    ];
    prop_oneof![
        3 => (0_u8..3, any::<bool>(), any::<bool>(), prop::bool::weighted(0.9))
            .prop_map(|(card, lost, standby, good)| Asking::Create { card, lost, standby, good }),
        1 => Just(Asking::Cancel),
        2 => typed.prop_map(Asking::Document),
        2 => purpose().prop_map(Asking::Resend),
        3 => (purpose(), prop::bool::weighted(0.9)).prop_map(|(of, good)| Asking::Take(of, good)),
        1 => Just(Asking::Read),
        1 => (0_i64..60).prop_map(Asking::Sign),
        2 => any::<bool>().prop_map(Asking::CardCheck),
        1 => purpose().prop_map(Asking::NotSent),
        1 => transfer().prop_map(Asking::DepositSays),
        1 => Just(Asking::TestTransfer),
        1 => transfer().prop_map(Asking::TestSays),
        1 => Just(Asking::Switch),
        1 => Just(Asking::Unbind),
        1 => Just(Asking::Freeze),
        1 => any::<u8>().prop_map(Asking::Unfreeze),
        1 => Just(Asking::FreezeByOperator),
        1 => (0_u8..4).prop_map(Asking::Contact),
        2 => Just(Asking::Pay),
        2 => any::<u8>().prop_map(Asking::Sending),
        2 => any::<u8>().prop_map(Asking::Sent),
        1 => any::<u8>().prop_map(Asking::Returned),
        1 => any::<u8>().prop_map(Asking::Assign),
        1 => Just(Asking::Settlement),
        1 => (0_u8..7).prop_map(Asking::Push),
        3 => (0_u8..3).prop_map(Asking::Unpush),
        1 => Just(Asking::Remove),
        1 => Just(Asking::Expire),
        1 => Just(Asking::Complete),
        1 => Just(Asking::EndCooldown),
        2 => Just(Asking::Notified),
    ]
}

fn transfer() -> impl Strategy<Value = Option<TransferAnswer>> {
    prop_oneof![
        4 => Just(Some(TransferAnswer::Succeeded)),
        1 => Just(Some(TransferAnswer::Pending)),
        1 => Just(Some(TransferAnswer::Returned)),
        1 => Just(None),
    ]
}

fn answer() -> impl Strategy<Value = Option<BankAnswer>> {
    use BankAnswer::*;
    prop_oneof![
        6 => Just(Some(BankAnswer::DEBIT_MATCH)),
        1 => prop::sample::select(BankCardType::ALL).prop_map(|stated| Some(Match(stated))),
        3 => Just(None),
        3 => prop::sample::select(vec![
            Mismatch, NotEnabled, IssuerUnsupported, Blocked, Invalid, Dormant, Expired,
            Restricted, ClassTwo, Malformed, Busy, Quota, DepositReturned,
        ])
        .prop_map(Some),
        3 => any::<bool>().prop_map(|arrived| Some(Deposited { arrived })),
    ]
}

fn jump() -> impl Strategy<Value = i64> {
    prop_oneof![
        6 => 0_i64..70,
        4 => MINUTE_S..6 * MINUTE_S,
        4 => 6 * MINUTE_S..35 * MINUTE_S,
        2 => HOUR_S..26 * HOUR_S,
        2 => DAY_S..9 * DAY_S,
        1 => 9 * DAY_S..100 * DAY_S,
        2 => -HOUR_S..0,
        1 => -3 * DAY_S..0,
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let by = prop_oneof![
        8 => (0_u8..2).prop_map(By::Session),
        1 => Just(By::Nobody),
    ];
    prop_oneof![
        3 => jump().prop_map(Step::Jump),
        1 => Just(Step::Login),
        1 => (0_i64..2 * DAY_S).prop_map(Step::Ahead),
        1 => Just(Step::CleanUp),
        12 => Just(Step::Onward),
        2 => (purpose(), 0_u8..6, any::<bool>())
            .prop_map(|(purpose, wrong, right)| Step::Codes { purpose, wrong, right }),
        6 => (asking(), any::<u8>(), by).prop_map(|(asking, which, by)| Step::CommandContext(asking, which, by)),
        4 => (any::<u8>(), prop::bool::weighted(0.7), prop::bool::weighted(0.05))
            .prop_map(|(which, right, bound)| Step::Compared { which, right, bound }),
        2 => (any::<u8>(), answer(), any::<bool>(), prop::bool::weighted(0.8))
            .prop_map(|(which, answer, again, phone)| Step::Answered { which, answer, again, phone }),
    ]
}

/// The number of events of each kind.
type Seen = BTreeMap<EventKind, u32>;

struct Run<'s> {
    store: Store,
    seen: &'s RefCell<Seen>,
}

impl Run<'_> {
    /// Returns the code of a refusal without a write.
    fn command(&mut self, number: u32, by: Option<u8>, act: &Command) -> Option<ErrorCode> {
        match self.store.command(number, by, act) {
            Ok(Some(kind)) => *self.seen.borrow_mut().entry(kind).or_default() += 1,
            Ok(None) => {}
            Err(code) => return Some(code),
        }
        None
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Jump(by_s) => self.store.jump(*by_s),
            Step::Login => self.store.login(),
            Step::Ahead(by_s) => {
                self.store.jump(*by_s);
                self.onward();
                self.store.jump(-by_s);
            }
            Step::CleanUp => {
                for number in 1..=self.store.merchant.state.rebinds {
                    self.command(number, None, &notified());
                    self.command(number, None, &Command::Expire);
                    self.command(number, None, &Command::Complete);
                }
                let latest = self.store.merchant.state.rebinds;
                self.command(latest, None, &Command::EndCooldown);
                self.command(latest, None, &Command::ApplySettlement);
                let replaced = &self.store.merchant.state.replaced;
                let gone: Vec<_> = replaced
                    .iter()
                    .map(|replaced| replaced.bound.card.card_id.clone())
                    .collect();
                for card_id in gone {
                    self.command(card_id.number(), None, &Command::RemoveCard(card_id));
                }
            }
            Step::Onward => self.onward(),
            Step::Codes {
                purpose,
                wrong,
                right,
            } => {
                let latest = self.store.merchant.state.rebinds;
                for _ in 0..*wrong {
                    self.confirm(latest, *purpose, false);
                }
                if *right {
                    self.confirm(latest, *purpose, true);
                }
            }
            Step::CommandContext(asking, which, by) => {
                // Usually the latest one.
                let latest = self.store.merchant.state.rebinds;
                let number = match which {
                    0..100 if latest > 0 => 1 + u32::from(*which) % latest,
                    _ => latest,
                };
                let by = match by {
                    By::Session(slot) => Some(*slot),
                    By::Nobody => None,
                };
                let (number, act) = self.act(asking, number);
                self.command(number, by, &act);
            }
            Step::Compared {
                which,
                right,
                bound,
            } => {
                if !self.store.compared.is_empty() {
                    let index = usize::from(*which) % self.store.compared.len();
                    let one = self.store.compared.swap_remove(index);
                    if self.store.arrives(&one) {
                        self.settle(&one, *right, *bound);
                    }
                }
            }
            Step::Answered {
                which,
                answer,
                again,
                phone,
            } => {
                if !self.store.asked.is_empty() {
                    let index = usize::from(*which) % self.store.asked.len();
                    let one = self.store.asked[index];
                    if !again {
                        self.store.asked.swap_remove(index);
                    }
                    self.answer(one, *answer, *phone);
                }
            }
        }
    }

    fn settle(&mut self, one: &Compared, right: bool, bound_elsewhere: bool) {
        let act = Command::SettleAttempt {
            purpose: one.purpose,
            compared: Some(one.mac.clone()),
            right,
            bound_elsewhere,
        };
        self.command(one.number, one.by, &act);
    }

    fn answer(&mut self, one: Asked, answer: Option<BankAnswer>, phone: bool) {
        let reply = BankReply {
            number: one.serial,
            answer,
        };
        let code = phone.then(|| self.store.code());
        self.command(one.number, Some(0), &Command::SettleCardCheck(reply, code));
    }

    fn act(&mut self, asking: &Asking, number: u32) -> (u32, Command) {
        let code = self.store.code();
        let latest = self.store.merchant.state.rebinds;
        let act = match asking {
            // A rebind is created with the latest one loaded.
            Asking::Create {
                card,
                lost,
                standby,
                good,
            } => {
                return (latest, self.create(*card, *lost, *standby, *good));
            }
            Asking::Cancel => Command::Cancel,
            Asking::Document(typed) => Command::CheckDocument(typed_as(*typed), code),
            Asking::Resend(Identity) => Command::ResendIdentityOtp(code),
            Asking::Resend(Card) => Command::ResendCardOtp(code),
            Asking::Switch | Asking::Resend(Activate) => {
                Command::StartActivation(self.card(number), code)
            }
            Asking::DepositSays(answer) => Command::SettleDeposit(*answer),
            Asking::TestTransfer => Command::StartTestTransfer,
            Asking::TestSays(answer) => Command::SettleTestTransfer(*answer),
            Asking::Unbind => Command::Unbind(self.card(number)),
            Asking::Remove => Command::RemoveCard(self.card(number)),
            Asking::Freeze => {
                let codes = self.store.merchant.state.freeze_codes.iter();
                let code = codes.rev().find(|code| code.rebind == Some(number));
                Command::Freeze(code.map_or(0, |code| code.seq))
            }
            Asking::Unfreeze(which) => return self.store.unfreeze(*which),
            Asking::FreezeByOperator => {
                let reason = "asked".to_owned();
                let number = self.store.rebind_of_live_code();
                return (number, Command::FreezeByOperator { reason });
            }
            Asking::Contact(which) => {
                let act = match which {
                    0 => contact::phone(contact::NEW_PHONE, PreviousPhoneRule::Keep),
                    1 => contact::phone(PHONE_ON_FILE, PreviousPhoneRule::Drop),
                    2 => contact::password(),
                    _ => contact::renewal("person", "long_term"),
                };
                return (self.store.merchant.state.rebinds, act);
            }
            Asking::Pay => {
                let name = format!("{}", self.store.history.len());
                Command::CreatePayout(payout_id(&name), 1 + u64::from(number))
            }
            Asking::Sending(which) => self.with_payout(*which, begin_payment),
            Asking::Sent(which) => self.with_payout(*which, Command::PayoutSent),
            Asking::Returned(which) => self.with_payout(*which, Command::PayoutReturned),
            Asking::Assign(which) => self.with_payout(*which, Command::AssignPayout),
            Asking::Settlement => settlement("D1", 1_000 + i64::from(number)),
            Asking::Push(which) => push(&format!("phone-{which}"), &code.mac.0),
            Asking::Unpush(which) => Command::RemovePushTarget(format!("phone-{which}")),
            Asking::Take(purpose, well_formed) => Command::ReserveAttempt {
                purpose: *purpose,
                well_formed: *well_formed,
                deposit_polled: true,
            },
            Asking::Read => Command::ReadAgreement,
            Asking::Sign(age_s) => sign(self.store.now.plus_s(-age_s)),
            Asking::CardCheck(bound_elsewhere) => Command::StartCardCheck {
                bound_elsewhere: *bound_elsewhere,
                code,
            },
            Asking::NotSent(purpose) => {
                let rebind = self.store.rebinds.get(&number);
                let sent = rebind.and_then(|rebind| otp_of(&rebind.stage, *purpose));
                let mac = sent.map_or(code.mac, |(sent, _)| sent.mac.clone());
                Command::OtpNotSent(*purpose, mac)
            }
            Asking::Expire => Command::Expire,
            Asking::Complete => Command::Complete,
            Asking::EndCooldown => Command::EndCooldown,
            Asking::Notified => notified(),
        };
        (number, act)
    }

    fn create(&self, card: u8, lost: bool, standby: bool, good: bool) -> Command {
        let card_name = ["a", "b", "c"][usize::from(card) % 3];
        let random = self.store.merchant.state.rebinds.to_le_bytes();
        create_with(|request| {
            request.card.as_mut().unwrap().fingerprint = fingerprint(card_name);
            request.reason = Some(if lost { Reason::Lost } else { Reason::Replace });
            request.card_random[..4].copy_from_slice(&random);
            if standby {
                request.purpose = Purpose::Standby;
            }
            if !good {
                request.card.as_mut().unwrap().has_check_digit = false;
            }
        })
    }

    /// The card of this rebind, or the card from onboarding.
    fn card(&self, number: u32) -> CardId {
        let rebind = self.store.rebinds.get(&number);
        rebind.map_or(CardId::new(0, &[1; 16]), |rebind| {
            rebind.new_card.card_id.clone()
        })
    }

    /// A command about one of the payouts, or a harmless command without a payout.
    fn with_payout(&self, which: u8, act: impl FnOnce(Payout) -> Command) -> Command {
        let payouts: Vec<_> = self.store.model.payouts().collect();
        match payouts.get(usize::from(which) % payouts.len().max(1)) {
            Some(payout) => act((*payout).clone()),
            None => Command::EndCooldown,
        }
    }

    /// Takes the first next action of the latest rebind, which must never be out of order.
    fn onward(&mut self) {
        let latest = self.store.merchant.state.rebinds;
        let now = self.store.now;
        let rebind = self.store.rebinds.get(&latest);
        let next = rebind.and_then(|rebind| {
            next_actions(&self.store.merchant, rebind, &TIGHT, now)
                .first()
                .copied()
        });
        let asking = match next {
            // A bank call is pending, so the bank answers.
            Some(NextAction::CardCheck) if self.store.asked.len() == 1 => {
                let one = self.store.asked.remove(0);
                let answer = match latest % 5 {
                    4 => BankAnswer::Deposited { arrived: false },
                    _ => BankAnswer::DEBIT_MATCH,
                };
                return self.answer(one, Some(answer), true);
            }
            Some(NextAction::Identity) => Asking::Document(Typed::Right),
            Some(NextAction::IdentityCode) => Asking::Resend(Identity),
            Some(NextAction::IdentityConfirm) => Asking::Take(Identity, true),
            Some(NextAction::ReadAgreement) => Asking::Sign(10),
            Some(NextAction::CardCheck) => Asking::CardCheck(false),
            Some(NextAction::CardCheckCode) => Asking::Resend(Card),
            Some(NextAction::CardCheckConfirm) => {
                match rebind.and_then(|rebind| deposit_of(&rebind.stage)) {
                    Some((_, false)) => Asking::DepositSays(Some(TransferAnswer::Succeeded)),
                    _ => Asking::Take(Card, true),
                }
            }
            _ if self.store.merchant.state.frozen.is_some() => Asking::Unfreeze(0),
            Some(NextAction::ActivateStandby) => match rebind.map(|rebind| &rebind.stage) {
                Some(RebindState::Standby(standby)) if now < standby.usable_at => {
                    return self.store.jump(DAY_S);
                }
                Some(RebindState::Standby(standby)) if standby.code.is_some() => {
                    Asking::Take(Activate, true)
                }
                _ => {
                    self.store.login();
                    Asking::Switch
                }
            },
            Some(NextAction::TestTransaction) => {
                let test = rebind.and_then(|rebind| rebind.activated_card());
                match test.map(|activated_card| &activated_card.test) {
                    Some(TestTransfer::NotSent) => Asking::TestTransfer,
                    _ if latest % 4 == 2 => Asking::TestSays(Some(TransferAnswer::Returned)),
                    _ => Asking::TestSays(Some(TransferAnswer::Succeeded)),
                }
            }
            // The switch is locked.
            Some(NextAction::Wait) => return self.store.jump(DAY_S),
            None | Some(NextAction::NewRebind) => {
                if self.store.merchant.cooldown(now).is_some() {
                    // Retry later; the cooldown may be over then.
                    return self.store.jump(11 * DAY_S);
                }
                self.store.login();
                let card = u8::try_from(latest % 3).unwrap();
                let act = self.create(card, latest % 4 == 3, latest % 3 == 1, true);
                self.command(latest, Some(0), &act);
                return;
            }
            other => panic!("{other:?} is not a next action of a rebind"),
        };
        let (number, act) = self.act(&asking, latest);
        let refused = self.command(number, Some(0), &act);
        assert_ne!(refused, Some(ErrorCode::StepOutOfOrder), "{asking:?}");
        if let (Asking::Take(purpose, _), Some(ErrorCode::StepUpRequired)) = (&asking, refused) {
            // The code belonged to the other session.
            let (number, act) = self.act(&Asking::Resend(*purpose), latest);
            self.command(number, Some(0), &act);
        }
        if self.store.compared.len() == 1 {
            let one = self.store.compared.remove(0);
            self.settle(&one, true, false);
        }
    }

    /// Reserves an attempt and settles it immediately.
    fn confirm(&mut self, number: u32, purpose: OtpPurpose, right: bool) {
        let in_flight = self.store.compared.len();
        let reserve = Command::ReserveAttempt {
            purpose,
            well_formed: true,
            deposit_polled: true,
        };
        self.command(number, Some(0), &reserve);
        if self.store.compared.len() > in_flight {
            let one = self.store.compared.remove(in_flight);
            self.settle(&one, right, false);
        }
    }
}

fn typed_as(typed: Typed) -> Document {
    let number = match typed {
        Typed::Right => Ok(Mac("person".to_owned())),
        Typed::Wrong => Ok(Mac("somebody else".to_owned())),
        Typed::Malformed => Err(ErrorCode::IdFormat),
    };
    Document {
        number,
        expires_on: DocumentExpiry::parse("2035-01-31"),
    }
}

#[test]
fn invariants_hold_for_any_commands() {
    let seen = RefCell::new(Seen::new());
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let sequences = (any::<bool>(), prop::collection::vec(step(), 1..160));
    let result = TestRunner::new(config).run(&sequences, |(goes_back, steps)| {
        let mut run = Run {
            store: Store::new(),
            seen: &seen,
        };
        for step in &steps {
            match step {
                Step::Jump(by_s) if !goes_back => run.step(&Step::Jump(by_s.abs())),
                Step::Ahead(_) if !goes_back => {}
                step => run.step(step),
            }
        }
        run.store.check_history();
        Ok(())
    });
    if let Err(failed) = result {
        panic!("{failed}");
    }
    // A run that never reaches the late states would prove nothing.
    let seen = seen.into_inner();
    eprintln!("any command in any order: {CASES} cases: {seen:?}");
    // `payout_properties.rs` covers the missing kinds.
    for kind in [
        EventKind::RebindRequested,
        EventKind::IdentityMatched,
        EventKind::IdentityMismatched,
        EventKind::CodeSent,
        EventKind::IdentityConfirmed,
        EventKind::AgreementSigned,
        EventKind::CardCheckAnswered,
        EventKind::Activated,
        EventKind::Completed,
        EventKind::Rejected,
        EventKind::Expired,
        EventKind::Cancelled,
        EventKind::CooldownEnded,
        EventKind::MicroDepositSent,
        EventKind::StandbyReady,
        EventKind::TestTransferStarted,
        EventKind::TestTransferSucceeded,
        EventKind::Reverted,
        EventKind::Frozen,
        EventKind::Unfrozen,
        EventKind::CardUnbound,
        EventKind::CardRemoved,
        EventKind::PayoutCreated,
        EventKind::PayoutSending,
        EventKind::PayoutReleased,
        EventKind::PayoutSent,
        EventKind::PayoutReturned,
        EventKind::SettlementChanged,
        EventKind::SettlementApplied,
        EventKind::PushTargetChanged,
        EventKind::PushTargetRemoved,
    ] {
        let times = seen.get(&kind).copied().unwrap_or(0);
        assert!(times >= 1, "{kind} only {times} times: {seen:?}");
    }
}
