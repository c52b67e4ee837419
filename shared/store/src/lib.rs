//! The store: one DynamoDB table.
//!
//! # Items
//! | key (`pk`, `sk`) | what | written |
//! |---|---|---|
//! | `M#<merchant>`, `E#<seq>` | a history event; until everybody was told it is also the outbox of its notices (`notice`) | once; its notice part until sent |
//! | `M#<merchant>`, `R#<number>` | a rebind, with the encrypted number of its card until it ends | each step |
//! | `M#<merchant>`, `Y` | the head: version, pointer, cooldown, counters, sessions (`s0`–`s4`) | each step |
//! | `M#<merchant>`, `Z` | the profile, as the acquirer gave it; settlement settings that the merchant has changed | by the acquirer; `settlement` by the merchant |
//! | `M#<merchant>`, `N#<id>#<tag>` | a device that is told by push, with its encrypted token | by the merchant |
//! | `M#<merchant>`, `P#<time>#<payout>` | a payout that is not sent yet | created, assigned; gone once it is over |
//! | `O#<payout>`, `O` | a payout under the acquirer's id, which makes its creation idempotent | with each change |
//! | `M#<merchant>`, `C#<card>` | the encrypted number of a card that came with the merchant | by the acquirer |
//! | `A#<mac of account>`, `A` | account: merchant, password hash, known devices | login |
//! | `A#<mac of account>`, `D#<device>` or `D#*` | failed logins of a known device, or of all others together | login |
//! | `S#<mac of address>`, `S` | failed logins from a source address | login |
//! | `A#<mac of account>`, `Q` and `S#<mac of address>`, `Q` | tries of freeze codes, by the hour | freeze |
//! | `P#<mac of phone>`, `P` | the last ten codes to a phone, newest in `t0` | each code |
//! | `F#<mac of card number>`, `F` | for whom a card number is verified, and as which cards | activation, a card's removal |
//! | `I#<mac of merchant, method, path, key>`, `I` | a reply kept for a repeated request | each step with a key |
//!
//! Within a merchant's partition the kinds sort `C# < E# < N# < P# < R# < Y < Z`: one query backwards from the end, limited to three,
//! is profile, head and the latest rebind. That is the read of nearly every request: under 4 KB, one read unit.
//!
//! # Access patterns and what each costs (calls; RRU and WRU at items under 1 KiB; a transaction doubles)
//! | pattern | calls | cost |
//! |---|---|---|
//! | merchant with latest rebind | 1 query | 1 RRU |
//! | merchant with a given rebind, to show it | 1 batch get | 3 RRU |
//! | a merchant's rebinds | 2 queries | 1 RRU each 4 KB |
//! | commit: head, rebind, event, a code's phone or a card's fingerprint, idempotency row | 1 transaction | 2 WRU an item, at most 5 items |
//! | a try of a code: rebind, idempotency row | 1 transaction | 2 WRU an item |
//! | login: account, device, all others, address | 1 batch get | 4 RRU |
//! | payout created: head, record, entry, event | 1 query, 1 transaction | 1 RRU, 8 WRU |
//! | payout sent or returned, merchant given | 1 batch get, 1 transaction | 3 RRU, 8 WRU |
//! | unsent payouts, history | 2 queries | 1 RRU each 4 KB |
//! | a step about a card: head, profile, its rebind | 1 batch get, 1 transaction | 3 RRU |
//! | freeze: two counts, account, merchant, transaction, the counts taken back | 7 calls | 2 RRU, 16 WRU |
//! | what is due | 1 query a bucket and shard | 0.5 RRU and 0.5 a 4 KB of keys |
//!
//! # The index `due`
//! Sparse, keys only: rebinds while something will happen to them, heads while something of theirs is to come (a cooldown's end to
//! tell, a card to remove, a held payout to assign), events while a notice is unsent. Its hash key is the month of the due time and one of [`keys::SHARDS`] shards of the merchant, so no key
//! is shared by more than a fraction of the merchants that have something due in one month; its range key is the time.
//!
//! # Rules
//! - Who decides something writes under the condition that the head's `version` is the one it read.
//! - A try of a code does not touch the head: it is conditioned on the rebind's `rev`, which every write of it moves.
//! - A login does not touch the version: sessions are attributes of their own, so a login and a step never wait for
//!   each other. A step's write asks that its own session is still there.
//! - A transaction may be seen half by a query. The head keeps the latest rebind's version; a difference is read again.
//! - `ttl` collects garbage. Nothing is decided by whether an item is still there.
//! - Each item carries the version of its format; see [`records`].

pub mod client;
pub mod commit;
pub mod due;
mod freeze;
mod idempotency;
pub mod item;
pub mod keys;
pub mod login;
pub mod meter;
pub mod outbox;
pub mod payout;
mod phone;
mod push;
pub mod read;
pub mod records;
pub mod seed;

use client::{DynamoDb, Table};
use domain::policy::Policy;
use meter::Meter;

/// The records of one table. `T` is DynamoDB, or a model of it.
#[derive(Clone, Debug)]
pub struct Store<T = DynamoDb> {
    table: T,
    policy: &'static Policy,
}

impl Store {
    /// `table`: its name. `policy`: the limits and periods that the store's conditions and clean-up times follow.
    #[must_use]
    pub fn new(
        client: aws_sdk_dynamodb::Client,
        table: impl Into<String>,
        policy: &'static Policy,
    ) -> Self {
        Self::over(DynamoDb::new(&client, table), policy)
    }
}

impl<T: Table> Store<T> {
    /// The records of `table`.
    #[must_use]
    pub const fn over(table: T, policy: &'static Policy) -> Self {
        Self { table, policy }
    }

    /// The policy that this store follows.
    #[must_use]
    pub const fn policy(&self) -> &'static Policy {
        self.policy
    }

    /// The cost of the calls since this was last taken.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.table.meter()
    }
}
