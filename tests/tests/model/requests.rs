//! What is on its way in a function: where it stands between two calls to the table.

use domain::decide::BankAnswer;
use domain::ids::CardId;
use domain::merchant::Merchant;
use domain::notification::Recipient;
use domain::rebind::{Mac, Otp, OtpPurpose};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// One of the merchants of a scenario.
pub type Who = u8;

/// A request of an app; it may be sent more than once, always under the same key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    pub who: Who,
    /// The session's slot; `None` for what needs no session.
    pub slot: Option<u8>,
    pub asks: Asks,
}

/// What a request asks for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Asks {
    /// A rebind to a card of this number in the model's wallet.
    Create { card: u8, standby: bool, lost: bool },
    /// Compare the document, send a code.
    Document(u32),
    /// Another code.
    Resend(u32, OtpPurpose),
    /// Try a code; `None` is a wrong one.
    Code(u32, OtpPurpose, Option<Typed>),
    /// Sign what was shown 11 s ago.
    Sign(u32),
    /// Have the bank check the card.
    CardCheck(u32),
    /// Give up.
    Cancel(u32),
    /// The code for the switch to this rebind's standby card.
    StartSwitch(u32),
    /// Take a card off the account.
    Unbind(CardId),
    /// The freeze code of this rebind.
    Freeze(u32),
    /// A payout under this number.
    Pay(u8),
}

/// What stands in an SMS, or in a statement.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Typed {
    /// The code with this hash.
    Sms(String),
    /// The code of the deposit.
    Deposit,
}

/// Something that a function is doing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Process {
    pub work: Work,
    pub phase: Phase,
    /// How often it began again.
    pub rounds: u8,
    /// It goes on under a claim that an earlier one has left.
    pub claimed: bool,
    /// The write has found the card verified for another person.
    pub bound_elsewhere: bool,
    /// The reserved phone may get no code now: the bank's answer is written without one.
    pub limited: bool,
}

/// For whom.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Work {
    /// For an app: the index of its request.
    Request(usize),
    /// For the clean-up.
    CleanUp(Who, Duty),
    /// For a stream record, delivered for the so-many-th time.
    Notice(Who, u64, u8),
}

/// What the clean-up has found in the index.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Duty {
    /// A rebind whose time, or whose hold, is over, or whose answer is not known.
    Rebind(u32),
    /// A cooldown whose end is to be told.
    Cooldown,
    /// A card whose time on record is over.
    Card(CardId),
    /// A notice that was not sent.
    Notice(u64),
}

/// Where it stands. The next step is one call to the table, to the bank, or to the operator.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// To read.
    Load,
    /// Read; to decide and write.
    Write(Loaded),
    /// A try was taken; to write what came of it.
    SettleAttempt {
        loaded: Loaded,
        compared: Mac,
        right: bool,
    },
    /// The intent is written; the bank is to be asked.
    Ask(Loaded, u16),
    /// The bank has answered, or not; to be written.
    SettleCheck {
        loaded: Loaded,
        number: u16,
        answer: Option<Answer>,
    },
    /// A code is written; its SMS is to be handed over.
    Sms {
        number: u32,
        purpose: OtpPurpose,
        code: Mac,
        status: u16,
    },
    /// A notice is claimed; these are still to be told.
    Tell(Vec<Recipient>),
    /// One was told; that is to be written.
    Mark(Vec<Recipient>),
}

/// The bank's answers that lead different ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    Match,
    Mismatch,
    Deposit,
}

impl From<Answer> for BankAnswer {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Match => Self::Match,
            Answer::Mismatch => Self::Mismatch,
            Answer::Deposit => Self::Deposited { arrived: true },
        }
    }
}

/// A merchant as it was read, known by the rows that it was read from.
#[derive(Clone, Debug)]
pub struct Loaded {
    pub merchant: Arc<Merchant>,
    /// A hash of those rows.
    pub rows: u64,
}

impl PartialEq for Loaded {
    fn eq(&self, other: &Self) -> bool {
        self.rows == other.rows
    }
}

impl Eq for Loaded {}

impl Hash for Loaded {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rows.hash(state);
    }
}

impl Process {
    pub const fn new(work: Work) -> Self {
        Self {
            work,
            phase: Phase::Load,
            rounds: 0,
            claimed: false,
            bound_elsewhere: false,
            limited: false,
        }
    }
}

/// The code that a request makes in one of its rounds. Where the functions use chance, the model uses who asks and when:
/// what a state leads to is always the same.
pub fn fresh_code(request: usize, round: u8) -> Otp {
    Otp {
        digits: domain::secret::Secret::new("000000".to_owned()),
        mac: Mac(format!("code-{request}-{round}")),
    }
}
