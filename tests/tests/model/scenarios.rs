//! The worlds: the beginning of each, and its possible events.

use crate::beginnings::{Stands, begin};
use crate::bugs::Bug;
use crate::invariants as must;
use crate::requests::BankSays;
use crate::state::Left;
use crate::world::{Extra, Scenario, World};
use domain::policy::Policy;
use std::sync::Arc;

/// The name of a world.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    FirstSteps,
    Codes,
    Outages,
    LastAttempt,
    Signing,
    Bank,
    Confirming,
    Depositing,
    TwoMerchants,
    Notifying,
    Freezing,
    SecondRebind,
    ForLater,
    Switching,
    TimePasses,
    HandedOverLate,
    Operators,
    ContactChanged,
}

const NOTHING: Left = Left {
    requests: 0,
    repeats: 0,
    crashes: 0,
    torn: 0,
    jumps: 0,
    again: 0,
    lost: 0,
};

const MINUTE_S: i64 = 60;
const HOUR_S: i64 = 3_600;
const DAY_S: i64 = 24 * HOUR_S;

impl Which {
    pub const ALL: [Self; 18] = [
        Self::FirstSteps,
        Self::Codes,
        Self::Outages,
        Self::LastAttempt,
        Self::Signing,
        Self::Bank,
        Self::Confirming,
        Self::Depositing,
        Self::TwoMerchants,
        Self::Notifying,
        Self::Freezing,
        Self::SecondRebind,
        Self::ForLater,
        Self::Switching,
        Self::TimePasses,
        Self::HandedOverLate,
        Self::Operators,
        Self::ContactChanged,
    ];

    pub fn name(self) -> &'static str {
        self.scenario().1.name
    }

    /// The world, with an optional mistake.
    pub fn world(self, bug: Bug) -> World {
        let (stands, scenario, names, devices) = self.scenario();
        let (start, merchants, memory_keys) = begin(stands, names, devices, scenario.left);
        World {
            scenario,
            bug,
            merchants,
            start,
            memory_keys,
            policy: &Policy::CURRENT,
            tape: None,
            met: Arc::default(),
            looks: Arc::default(),
            points: Arc::default(),
            signatures: Arc::default(),
        }
    }

    #[allow(clippy::too_many_lines)] // a table
    fn scenario(self) -> (Stands, Scenario, &'static [&'static str], usize) {
        use Extra::{AnyCode, Contact, Create, Freeze, Offered, Operator, Pay, Unbind};
        const ONE: &[&str] = &["plain_1"];
        const TWO: &[&str] = &["plain_1", "plain_2"];
        let base = Scenario {
            name: "",
            extras: &[Offered],
            answers: &[Some(BankSays::Match)],
            jumps_s: &[],
            stream: false,
            clean_up: false,
            at_once: 2,
            left: NOTHING,
        };
        match self {
            Self::FirstSteps => (
                Stands::Idle,
                Scenario {
                    name: "two devices request a card at once",
                    extras: &[Create { standby: false }, Offered],
                    left: Left {
                        requests: 4,
                        repeats: 1,
                        crashes: 1,
                        torn: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                2,
            ),
            Self::Codes => (
                Stands::IdentityCode,
                Scenario {
                    name: "OTPs: right, wrong, sent again, cancelled",
                    extras: &[Offered, AnyCode],
                    jumps_s: &[61, 6 * MINUTE_S],
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        torn: 1,
                        jumps: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                2,
            ),
            Self::Outages => (
                Stands::IdentityCode,
                Scenario {
                    name: "outages: lost answers, rejected SMS",
                    extras: &[Offered, AnyCode],
                    jumps_s: &[61],
                    left: Left {
                        requests: 2,
                        repeats: 1,
                        jumps: 1,
                        again: 1,
                        lost: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::LastAttempt => (
                Stands::FourWrong,
                Scenario {
                    name: "the fifth attempt, three requests at once",
                    extras: &[Offered, AnyCode],
                    jumps_s: &[11],
                    at_once: 3,
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        jumps: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::Signing => (
                Stands::Agreement,
                Scenario {
                    name: "the agreement: signed twice, cancelled, overdue",
                    jumps_s: &[DAY_S + 1],
                    clean_up: true,
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        torn: 1,
                        jumps: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                2,
            ),
            Self::Bank => (
                Stands::CardPending,
                Scenario {
                    name: "the bank: match, mismatch, no answer, a deposit",
                    answers: &[
                        Some(BankSays::Match),
                        Some(BankSays::Mismatch),
                        Some(BankSays::Deposit),
                        None,
                    ],
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        torn: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                2,
            ),
            Self::Confirming => (
                Stands::CardCodeAgain,
                Scenario {
                    name: "the activation: confirmed, cancelled, old proofs",
                    extras: &[Offered, AnyCode, Pay],
                    jumps_s: &[2 * MINUTE_S],
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        torn: 1,
                        jumps: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                2,
            ),
            Self::Depositing => (
                Stands::Deposit,
                Scenario {
                    name: "a deposit: confirmed, wrong, expired",
                    extras: &[Offered, AnyCode],
                    jumps_s: &[10 * MINUTE_S, 8 * DAY_S],
                    clean_up: true,
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        jumps: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                2,
            ),
            Self::TwoMerchants => (
                Stands::CardCode,
                Scenario {
                    name: "one card, two merchants",
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        ..NOTHING
                    },
                    stream: true,
                    ..base
                },
                TWO,
                1,
            ),
            Self::Notifying => (
                Stands::CardCode,
                Scenario {
                    name: "the notification: late, twice, rejected, requeued",
                    jumps_s: &[11 * MINUTE_S],
                    stream: true,
                    clean_up: true,
                    left: Left {
                        requests: 1,
                        crashes: 1,
                        jumps: 2,
                        again: 2,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::Freezing => (
                Stands::Hold,
                Scenario {
                    name: "a freeze, in the hold and after it",
                    extras: &[Freeze, Pay, Create { standby: false }],
                    jumps_s: &[25 * HOUR_S],
                    clean_up: true,
                    left: Left {
                        requests: 4,
                        repeats: 1,
                        torn: 1,
                        crashes: 1,
                        jumps: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::SecondRebind => (
                Stands::Cooled,
                Scenario {
                    name: "the next rebind, when the cooldown is over",
                    extras: &[
                        Create { standby: false },
                        Create { standby: true },
                        Offered,
                        Unbind,
                    ],
                    clean_up: true,
                    left: Left {
                        requests: 4,
                        repeats: 1,
                        crashes: 1,
                        torn: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::ForLater => (
                Stands::StandbyCode,
                Scenario {
                    name: "a standby card: confirmed, notified, frozen",
                    extras: &[Offered, AnyCode, Freeze],
                    stream: true,
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::Switching => (
                Stands::SwitchCode,
                Scenario {
                    name: "the switch: against unbind, freeze, new request",
                    extras: &[
                        Offered,
                        AnyCode,
                        Unbind,
                        Freeze,
                        Create { standby: false },
                        Pay,
                    ],
                    stream: true,
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::TimePasses => (
                Stands::Hold,
                Scenario {
                    name: "a month: completed, cooldown over, removed, frozen late",
                    extras: &[Freeze, Pay],
                    jumps_s: &[25 * HOUR_S, 8 * DAY_S, 30 * DAY_S],
                    stream: true,
                    clean_up: true,
                    left: Left {
                        requests: 2,
                        crashes: 1,
                        jumps: 3,
                        again: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::HandedOverLate => (
                Stands::CardCode,
                Scenario {
                    name: "an activation handed over late, payouts, a freeze",
                    extras: &[Offered, Pay, Freeze],
                    jumps_s: &[13 * HOUR_S, 25 * HOUR_S],
                    stream: true,
                    clean_up: true,
                    left: Left {
                        requests: 3,
                        crashes: 1,
                        jumps: 2,
                        again: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::Operators => (
                Stands::Hold,
                Scenario {
                    name: "an operator freezes and chooses a card",
                    extras: &[Freeze, Operator, Pay],
                    jumps_s: &[25 * HOUR_S],
                    clean_up: true,
                    left: Left {
                        requests: 4,
                        crashes: 1,
                        jumps: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                1,
            ),
            Self::ContactChanged => (
                Stands::IdentityCode,
                Scenario {
                    name: "a contact is changed in the middle of a rebind",
                    extras: &[Offered, AnyCode, Contact],
                    left: Left {
                        requests: 3,
                        repeats: 1,
                        crashes: 1,
                        torn: 1,
                        ..NOTHING
                    },
                    ..base
                },
                ONE,
                2,
            ),
        }
    }
}

/// Each mistake, the world that exposes it, and the violated invariant.
pub const MISTAKES: &[(Bug, Which, &str)] = &[
    (Bug::PointerStays, Which::Confirming, must::POINTER),
    (Bug::OldProofsAreGood, Which::Confirming, must::PROOFS),
    (Bug::OpensTwice, Which::FirstSteps, must::OPEN),
    (Bug::NoCooldown, Which::Confirming, must::COOLDOWN),
    (Bug::SignatureWithoutEvent, Which::Signing, must::CHAIN),
    (Bug::BrokenChain, Which::Signing, must::CHAIN),
    (Bug::UnconditionalWrite, Which::Signing, must::CHAIN),
    (Bug::NoNotification, Which::Confirming, must::NOTIFIED),
    (Bug::NoSentMark, Which::Notifying, must::NOTIFIED),
    (Bug::NoStoredReply, Which::ForLater, must::REPLAY),
    (Bug::FreezesHalf, Which::Freezing, must::FREEZE),
    (
        Bug::UnconditionalAttempt,
        Which::LastAttempt,
        must::ATTEMPTS,
    ),
    (Bug::PayoutToActiveCard, Which::Freezing, must::PAYOUT),
    (Bug::UnfreezesHalf, Which::Operators, must::POINTER),
    (Bug::DoesNotWait, Which::Confirming, must::UNSEEN),
    (Bug::RebindSurvives, Which::ContactChanged, must::CONTACT),
];
