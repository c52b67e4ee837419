//! One moment of the world: the table, what is on its way, what people have, and what is known of how it came about.

use crate::requests::{BankSays, Process, Request, Who};
use crate::rows::Rows;
use domain::notification::Recipient;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// How much of each may still happen: what bounds the number of worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// New requests.
    pub requests: u8,
    /// Requests that are sent once more under their key: their reply was lost, or they crashed, or the app is impatient.
    pub repeats: u8,
    /// Processes that end where they stand.
    pub crashes: u8,
    /// Reads that fall between the halves of the last transaction.
    pub torn: u8,
    /// Jumps of the clock.
    pub jumps: u8,
    /// Stream records that are delivered again, and SMS that the operator does not take.
    pub again: u8,
    /// Transactions without an answer.
    pub lost: u8,
}

/// What a rebind has been given in proof, and when: noted from what people did, not from what the table says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proofs {
    pub identity_at: Option<Timestamp>,
    pub signed: bool,
    pub bank_at: Option<Timestamp>,
    pub deposit: bool,
    pub card_otp: bool,
    pub switch_code: bool,
}

/// A request, how often it was sent, and the status of its last reply.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Sent {
    pub request: Request,
    pub times: u8,
    pub status: Option<u16>,
}

/// The world.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct State {
    pub now: Timestamp,
    pub rows: Table,
    /// The table before the last transaction.
    pub before: Table,
    pub processes: Vec<Process>,
    /// Every request so far; its index is its idempotency key.
    pub requests: Vec<Sent>,
    /// Stream records that are still to be delivered: whose, and which event; how often this record was.
    pub stream: Vec<(Who, u64, u8)>,
    /// What phones and statements show, newest last.
    pub codes: BTreeMap<(Who, u32, CodeFor), Vec<String>>,
    /// What the bank has decided, by reference.
    pub bank: BTreeMap<String, BankSays>,
    /// How often each was told of each event; 0 as long as they are to be told.
    pub told: BTreeMap<(Who, u64, Recipient), u8>,
    pub proofs: BTreeMap<(Who, u32), Proofs>,
    /// Wrong codes that were looked at: so many before, and those of these requests. One that was sent twice is one code.
    pub compared: BTreeMap<(Who, u32, CodeFor), (u8, BTreeSet<usize>)>,
    /// Transitions that a request has brought about.
    pub effects: Vec<u8>,
    pub left: Left,
    pub crashed: bool,
    /// Invariants that a step has broken.
    pub broken: BTreeSet<&'static str>,
}

/// [`OtpPurpose`] in order.
pub type CodeFor = u8;

/// See [`CodeFor`].
pub const fn code_for(purpose: OtpPurpose) -> CodeFor {
    match purpose {
        OtpPurpose::Identity => 0,
        OtpPurpose::Card => 1,
        OtpPurpose::Activate => 2,
    }
}

/// The rows, told apart by their hash.
#[derive(Clone)]
pub struct Table(pub Rows);

impl std::fmt::Debug for Table {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let keys = self.0.all().map(|(key, _)| key);
        f.debug_list().entries(keys).finish()
    }
}

impl PartialEq for Table {
    fn eq(&self, other: &Self) -> bool {
        self.0.fingerprint() == other.0.fingerprint()
    }
}

impl Eq for Table {}

impl std::hash::Hash for Table {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.0.fingerprint().hash(state);
    }
}
