//! One state of the world: the table, pending work, people's data and the record of past actions.

use crate::requests::{BankSays, Process, Request, Who};
use crate::rows::Rows;
use domain::notification::Recipient;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;
use std::collections::{BTreeMap, BTreeSet};

/// The remaining number of each kind of event. It bounds the number of worlds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Left {
    /// New requests.
    pub requests: u8,
    /// Requests that are sent again with their key: after a lost reply, after a crash, or by an impatient app.
    pub repeats: u8,
    /// Processes that crash.
    pub crashes: u8,
    /// Torn reads between the halves of the last transaction.
    pub torn: u8,
    /// Jumps of the clock.
    pub jumps: u8,
    /// Stream records that are delivered again, and SMS that the operator rejects.
    pub again: u8,
    /// Transactions without a reply.
    pub lost: u8,
}

/// The proofs of a rebind and their times. Recorded from people's actions, not from the table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Proofs {
    pub identity_at: Option<Timestamp>,
    pub signed: bool,
    pub bank_at: Option<Timestamp>,
    pub deposit: bool,
    pub card_otp: bool,
    pub switch_code: bool,
}

/// A request, the number of its sends, and the status of its last reply.
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
    /// Pending stream records: merchant, event, and the number of deliveries so far.
    pub stream: Vec<(Who, u64, u8)>,
    /// The content of phones and statements, newest last.
    pub codes: BTreeMap<(Who, u32, CodeFor), Vec<String>>,
    /// The bank's decisions, by bank reference.
    pub bank: BTreeMap<String, BankSays>,
    /// The number of notifications per phone and event; 0 while one is still due.
    pub notified: BTreeMap<(Who, u64, Recipient), u8>,
    pub proofs: BTreeMap<(Who, u32), Proofs>,
    /// Compared wrong OTPs: the earlier count, and the requests since. A request that was sent twice counts once.
    pub compared: BTreeMap<(Who, u32, CodeFor), (u8, BTreeSet<usize>)>,
    /// The transitions caused by a request.
    pub effects: Vec<u8>,
    pub left: Left,
    pub crashed: bool,
    /// The invariants violated by a step.
    pub broken: BTreeSet<&'static str>,
}

/// Indexed by [`OtpPurpose`].
pub type CodeFor = u8;

/// See [`CodeFor`].
pub const fn code_for(purpose: OtpPurpose) -> CodeFor {
    match purpose {
        OtpPurpose::Identity => 0,
        OtpPurpose::Card => 1,
        OtpPurpose::Activate => 2,
    }
}

/// The rows, compared by their hash.
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
