//! The store: two DynamoDB tables, the main one and the one of the acquirer's record.
//!
//! # Items
//! The items marked with § lie in the record table: phone on file, names, document, tier and password are changed by the
//! acquirer only. A function that serves merchants has no permission to write that table.
//!
//! | key (`pk`, `sk`) | what | written |
//! |---|---|---|
//! | `M#<merchant>`, `E#<seq>` | a history event; outbox of its notifications (`notice`) | once; its outbox part until sent |
//! | `M#<merchant>`, `R#<number>` | a rebind, with the encrypted number of its card until it ends, and with claims (`c_…`) | each step |
//! | `M#<merchant>`, `Y` | the merchant state: version, pointer, cooldown, settings, counters, sessions (`s0`–`s4`) | each step |
//! | § `M#<merchant>`, `Z` | the profile: the acquirer's record of the merchant, and a keyed hash of what it was created from; or the time of its erasure | by the acquirer |
//! | `M#<merchant>`, `N#<id>#<tag>` | a push target with its encrypted token | by the merchant |
//! | `M#<merchant>`, `P#<time>#<payout>` | a pending payout | created, assigned, being paid; deleted once sent or returned |
//! | `O#<payout>`, `O` | a payout under the acquirer's id, which makes its creation idempotent | with each change |
//! | `M#<merchant>`, `C#<card>` | the encrypted number of a card from onboarding | by the acquirer |
//! | § `A#<mac of account>`, `A` | account: merchant, password hash | by the acquirer |
//! | `A#<mac of account>`, `L` | known devices, failed logins of each and of all others, use of the session slots | login |
//! | `S#<mac of address>`, `S` | failed logins from a source address | login |
//! | `A#<mac of account>`, `Q` and `S#<mac of address>`, `Q` | wrong freeze codes, by the hour | freeze |
//! | `P#<mac of phone>`, `P` | the times of the last ten OTPs to a phone, newest in `t0` | each OTP |
//! | `F#<mac of card number>`, `F` | person and cards of a verified card number | activation, a card's removal |
//! | `I#<mac of merchant, method, path, key>`, `I` | a reply stored for a repeated request | each step with a key |
//! | § `M#`, `STAGE` | the stage that the tables belong to, and what administrators have stopped | once, before the first merchant; a stop |
//! | `X#<merchant>`, `X` | the salt of the merchant's pseudonym in the log, or the time of its erasure | once; erased once |
//!
//! Within a merchant's partition the kinds sort `C# < E# < N# < P# < R# < Y`. One query backwards from the end, limited to
//! two items, returns merchant state and latest rebind; the profile is read in parallel. Nearly every request reads just
//! this: one read unit, and a half for the profile, whose version shows if it is outdated.
//!
//! # Access patterns and what each costs (calls; RRU and WRU at items under 1 KiB; a transaction doubles)
//! Two reads that are sent in parallel count as one call.
//!
//! | pattern | calls | cost |
//! |---|---|---|
//! | merchant with latest rebind | 1 query beside 1 get | 1.5 RRU |
//! | the same with the use of an idempotency key | 1 query beside 2 gets | 2.5 RRU |
//! | merchant with a given rebind, to show it | 1 batch get beside 1 get | 2.5 RRU |
//! | a merchant's rebinds | 2 queries | 1 RRU per 4 KB |
//! | commit: state, rebind, event, OTP counter or card holders, idempotency row | 1 transaction | 2 WRU an item, up to 5 |
//! | an attempt at a code: rebind with its claim; without a key as a transaction | 1 update | 1 WRU; 2 without a key |
//! | a bank call: card holders, then state, rebind with its claim | 1 get, 1 transaction | 1 RRU, 4 WRU |
//! | login: account, its logins, address | 1 batch get beside 1 get | 3 RRU |
//! | login of a known device, counted: logins | 1 update | 1 WRU |
//! | first login of a device: merchant state, event, logins, address | 1 query beside 1 get, 1 transaction | 1.5 RRU, 8 WRU |
//! | payout created: merchant state, record, entry, event | 1 query beside 1 get, 1 transaction | 1.5 RRU, 8 WRU |
//! | payout being paid, sent or returned, merchant given | 1 batch get beside 1 get, 1 transaction | 3 RRU, 8 WRU |
//! | pending payouts, history | 2 queries | 1 RRU per 4 KB |
//! | a step on a card: merchant state, profile, its rebind | 1 batch get beside 1 get, 1 transaction | 2.5 RRU |
//! | a new merchant: profile, account, state, event, card, holders | 1 get, 1 transaction | 1 RRU, 2 WRU an item |
//! | freeze: account, merchant, transaction | 3 calls | 2 RRU, 6 WRU and more |
//! | wrong freeze code: account, merchant, two counts | 4 calls | 2 RRU, 2 WRU |
//! | erasure, of each card | 2 transactions | 4 WRU |
//! | erasure, of up to 100 rebinds, card numbers and push targets | 1 query, 1 transaction | 1 RRU per 4 KB, 2 WRU an item |
//! | pseudonym of a merchant; for the first event | 1 get; 1 update more | 1 RRU; 1 WRU more |
//! | due items | 1 query per month and shard, and 1 more per 200 due items | 0.5 RRU, and 0.5 per 4 KB of keys |
//!
//! # The index `due`
//! Sparse, keys only. It holds rebinds with a time-driven transition ahead, merchant states with due work (the
//! notification of a cooldown's end is pending, a card can be removed, or a held payout can be assigned), and events with
//! an unsent notification. The hash key is the month of the due time and the merchant's shard, one of [`DueShards`], so
//! that a key holds only a fraction of a month's due items. The range key is the time. An entry may be early, never late:
//! a move costs two writes, so a request leaves an entry where it is while only the expiry is ahead. The clean-up moves an
//! early entry when it meets it.
//!
//! # Rules
//! - A decision is written under the condition that the merchant state's `version` has not changed since the read.
//! - A single item is written without a transaction only if its repetition after a lost reply is recognised: an update has
//!   no token.
//! - A claim is written on the rebind with which its key was looked up, under the condition of the rebind's `rev`. An answer
//!   to the key changes the rebind too, or leaves the claim in place.
//! - An attempt at a code does not change the merchant state. Its condition is the rebind's `rev`, which every write of
//!   the rebind increments.
//! - A login does not change the version: sessions are attributes of their own, so a login and a step never conflict.
//!   A write of the merchant state requires that its session still exists. A write of the rebind alone does not: it
//!   only counts attempts or removes an unsent OTP.
//! - A read may see half of a transaction. The merchant state holds the versions of the latest rebind and of the
//!   acquirer's record; after a mismatch the read is repeated.
//! - `ttl` collects garbage. No decision depends on the presence of an expired item.
//! - Each item carries the version of its format; see [`records`].

pub mod client;
mod commit;
pub mod due;
mod entry;
pub mod erasure;
mod freeze;
mod idempotency;
pub mod item;
pub mod keys;
pub mod login;
pub mod meter;
pub mod onboard;
pub mod operator;
pub mod outbox;
pub mod payout;
mod pseudonym;
mod push;
mod read;
mod record;
pub mod records;
mod rehash;
pub mod seed;
pub mod shards;
mod stage;
pub mod stream;
pub mod switches;
mod tables;

pub use tables::Tables;

use client::{DynamoDb, Table};
use domain::policy::Policy;
use meter::Meter;
use shards::DueShards;
use std::sync::Arc;
use switches::Switches;

/// The store. `T` is DynamoDB, or a model of its tables.
#[derive(Clone, Debug)]
pub struct Store<T = DynamoDb> {
    table: T,
    due_shards: DueShards,
    policy: &'static Policy,
    /// `None` for the tests' tables, in which nothing is ever stopped.
    switches: Option<Arc<Switches>>,
}

impl Store {
    /// `policy`: defines the limits and periods in the store's conditions and clean-up times.
    #[must_use]
    pub fn new(client: aws_sdk_dynamodb::Client, tables: Tables, policy: &'static Policy) -> Self {
        let due_shards = tables.due_shards;
        Self {
            due_shards,
            switches: Some(Arc::default()),
            ..Self::over(DynamoDb::new(&client, tables.main, tables.record), policy)
        }
    }
}

impl<T: Table> Store<T> {
    /// The records of these tables, with the default number of shards.
    #[must_use]
    pub const fn over(table: T, policy: &'static Policy) -> Self {
        Self {
            table,
            due_shards: DueShards::DEFAULT,
            policy,
            switches: None,
        }
    }

    /// The same, in which nothing is ever stopped: for tests that count the calls of a step.
    #[must_use]
    pub fn without_switches(self) -> Self {
        Self {
            switches: None,
            ..self
        }
    }

    /// The policy of this store.
    #[must_use]
    pub const fn policy(&self) -> &'static Policy {
        self.policy
    }

    /// The meter of the store's calls.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        self.table.meter()
    }
}
