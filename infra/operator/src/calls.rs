//! The commands that call the operator's API, and the request that each means.

use clap::{Args, Subcommand, ValueEnum};
use rebindctl::api::{Grounds, Request};
use serde_json::{Value, json};
use std::path::PathBuf;

/// How the API is reached, and on what grounds.
#[derive(Debug, Args)]
#[command(next_help_heading = "Operator's API")]
pub(crate) struct Caller {
    /// Call the local system of `cargo local up`
    #[arg(long, global = true)]
    pub(crate) local: bool,
    /// The role of the local system: support, operations, security, security_2 or registry
    #[arg(long = "as", global = true, value_name = "ROLE")]
    pub(crate) role: Option<String>,
    /// The addresses of the local system [default: target/local/endpoints.json]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) endpoints: Option<PathBuf>,
    /// The stack's output OperatorApiUrl [default: REBIND_OPERATOR_URL, except for an import]
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) url: Option<String>,
    /// The region of the stack [default: that of the AWS configuration]
    #[arg(long, global = true, value_name = "REGION")]
    pub(crate) region: Option<String>,
    /// Why you act. Every call needs it
    #[arg(long, global = true, value_name = "WORD")]
    pub(crate) reason: Option<Reason>,
    /// Why, in your own words. It is stored with the act. Every call needs it
    #[arg(long, global = true, value_name = "TEXT")]
    pub(crate) comment: Option<String>,
    /// The ticket in your own system
    #[arg(long, global = true, value_name = "ID")]
    pub(crate) ticket: Option<String>,
    /// The idempotency key of a change. Use it again if no reply came [default: a random one, which is printed]
    #[arg(long, global = true, value_name = "KEY")]
    pub(crate) key: Option<String>,
    /// The record_version that you have seen. An act that answers with the merchant is refused if the record has changed since
    #[arg(long, global = true, value_name = "N")]
    pub(crate) record_version: Option<u32>,
    /// Print the request instead of sending it
    #[arg(long, global = true)]
    pub(crate) dry_run: bool,
    /// Print results as JSON
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// The words of the contract, section 8.
#[derive(Clone, Copy, Debug, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(crate) enum Reason {
    /// The owner of the account has asked for it
    OwnerRequest,
    /// A fraud was reported or is suspected
    FraudReport,
    /// A court or an authority has ordered it
    CourtOrder,
    /// The record is wrong
    DataError,
    /// A failure of a system
    Incident,
    /// A check without a particular cause
    Review,
}

impl Caller {
    /// Checks that the options fit together. The parser cannot: some may stand before the command and others behind it.
    ///
    /// # Errors
    /// What to tell the user.
    pub(crate) fn check(&self) -> Result<(), String> {
        let of_local = self.role.is_some() || self.endpoints.is_some();
        let of_stack = self.url.is_some() || self.region.is_some();
        match self.local {
            true if of_stack => Err("--local cannot be used with --url or --region".to_owned()),
            false if of_local => Err("--as and --endpoints need --local".to_owned()),
            _ => Ok(()),
        }
    }

    /// The grounds of the call; `None` if one is missing.
    pub(crate) fn grounds(&self) -> Option<Grounds> {
        let reason = self.reason?.to_possible_value()?;
        Some(Grounds {
            reason: reason.get_name().to_owned(),
            comment: self.comment.clone()?,
            ticket: self.ticket.clone(),
        })
    }
}

/// A command of one merchant.
#[derive(Debug, Subcommand)]
pub(crate) enum OfMerchant {
    /// Show a merchant, personal data masked
    Show {
        /// The merchant's id
        id: String,
    },
    /// Find the merchant of an account
    Lookup {
        /// The account's name. It is sent in the body, never in a URL
        account: String,
    },
    /// List events, oldest first
    Events {
        /// The merchant's id
        id: String,
        /// Begin after this sequence number
        #[arg(long, default_value_t = 0)]
        after: u64,
    },
    /// List payouts that are not reported as sent
    Payouts {
        /// The merchant's id
        id: String,
        /// The next_cursor of the previous page
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Freeze the account. A second person is needed to unfreeze it
    Freeze {
        /// The merchant's id
        id: String,
    },
    /// End all sessions
    EndSessions {
        /// The merchant's id
        id: String,
    },
    /// Send a notification again that was not handed over. It goes to the recipients that it had
    Resend {
        /// The merchant's id
        id: String,
        /// The sequence of its event: one with not_handed_over
        #[arg(long)]
        sequence: u64,
    },
    /// List what has been due for more than an hour, oldest first
    Overdue,
    /// Ask the bank again about an operation whose outcome is unknown. `show` prints that of the latest rebind as bank_question; the
    /// log line bank.outcome_unknown names every rebind
    AskBank {
        /// The merchant's id
        id: String,
        /// The rebind
        #[arg(long)]
        rebind: String,
    },
    /// Forget the failed logins of the account. No password is set
    ClearLogins {
        /// The merchant's id
        id: String,
    },
    /// Show what an erasure would remove and keep, and what forbids it; after one, how far it is
    Erasure {
        /// The merchant's id
        id: String,
    },
    /// Remove what is left of an erased merchant. Repeat it until the reply is done
    Erase {
        /// The merchant's id
        id: String,
    },
    /// Record that the owner was informed of a change that waits for it
    ConfirmNotified {
        /// The merchant's id
        id: String,
        /// The rebind
        #[arg(long)]
        rebind: String,
    },
    /// Lower the highest daily limit. A limit above it falls to it
    LowerTier {
        /// The merchant's id
        id: String,
        /// The highest daily limit, in fen
        #[arg(long, value_name = "FEN")]
        limit: u64,
    },
    /// Record a later date of the same document
    RenewDocument {
        /// The merchant's id
        id: String,
        /// YYYY-MM-DD or long_term
        #[arg(long, value_name = "DATE")]
        expires_on: String,
    },
}

impl OfMerchant {
    /// The request of the command.
    pub(crate) fn request(&self) -> Request {
        let act = |act: &str, id: &str, body| Request::post(path(&["acts", act, id]), body);
        match self {
            Self::Show { id } => Request::get(path(&["merchants", id])),
            Self::Lookup { account } => {
                Request::post(path(&["lookups"]), json!({ "account": account }))
            }
            Self::Events { id, after } => {
                let events = path(&["merchants", id, "events"]);
                Request::get(format!("{events}?after={after}"))
            }
            Self::Payouts { id, cursor } => Request::get(paged(
                &path(&["merchants", id, "payouts"]),
                cursor.as_deref(),
            )),
            Self::Freeze { id } => act("freeze", id, json!({})),
            Self::EndSessions { id } => act("end-sessions", id, json!({})),
            Self::Resend { id, sequence } => act("resend", id, json!({ "sequence": sequence })),
            Self::Overdue => Request::get(path(&["overdue"])),
            Self::Erasure { id } => Request::get(path(&["merchants", id, "erasure"])),
            Self::Erase { id } => act("erase", id, json!({})),
            Self::ClearLogins { id } => act("clear-logins", id, json!({})),
            Self::AskBank { id, rebind } => act("ask-bank", id, json!({ "rebind_id": rebind })),
            Self::ConfirmNotified { id, rebind } => {
                act("confirm-notified", id, json!({ "rebind_id": rebind }))
            }
            Self::LowerTier { id, limit } => {
                act("lower-tier", id, json!({ "daily_limit_max_fen": limit }))
            }
            Self::RenewDocument { id, expires_on } => {
                let body = json!({ "document_expires_on": expires_on });
                act("renew-document", id, body)
            }
        }
    }
}

/// Payouts
#[derive(Debug, Subcommand)]
pub(crate) enum Payouts {
    /// Show a payout
    Show {
        /// The payout's id
        id: String,
    },
    /// Compare the core system's payouts with this system
    ///
    /// FILE is CSV with the header payout_id,status,card_last4,amount_fen,at. Differences are printed with their lines: missing,
    /// doubled, other_card, other_amount, other_status, malformed. With differences, the exit code is 2.
    Reconcile {
        /// The file
        file: PathBuf,
    },
}

/// The request for a payout.
pub(crate) fn payout(id: &str) -> Request {
    Request::get(path(&["payouts", id]))
}

/// What takes two persons
#[derive(Debug, Subcommand)]
pub(crate) enum Proposals {
    /// List proposals, newest first
    List {
        /// The next_cursor of the previous page
        #[arg(long)]
        cursor: Option<String>,
    },
    /// Show a proposal with its values and the digest that approves it
    Show {
        /// The proposal's id
        id: String,
    },
    /// Propose to end a freeze
    Unfreeze {
        /// The merchant's id
        #[arg(long, value_name = "ID")]
        merchant: String,
        /// The active card from now on
        #[arg(
            long,
            value_name = "ID",
            required_unless_present = "no_card",
            conflicts_with = "no_card"
        )]
        card: Option<String>,
        /// Leave no active card; payouts wait
        #[arg(long)]
        no_card: bool,
    },
    /// Propose to change phone, password, name or document. The values are read from standard input, as JSON
    ///
    /// One of {"phone", "drop_previous_phone"?}, {"password_hash"}, {"legal_name", "settlement_name"?} and {"document_number",
    /// "document_expires_on", "document_type"?}. A command line would leave them in the shell's history.
    ContactChange {
        /// The merchant's id
        #[arg(long, value_name = "ID")]
        merchant: String,
    },
    /// Propose to close an account for good
    Close {
        /// The merchant's id
        #[arg(long, value_name = "ID")]
        merchant: String,
    },
    /// Propose to erase a merchant's personal data. `merchants erasure` shows what it would do
    Erase {
        /// The merchant's id
        #[arg(long, value_name = "ID")]
        merchant: String,
    },
    /// Propose to read a merchant's personal data in full, once
    Unmask {
        /// The merchant's id
        #[arg(long, value_name = "ID")]
        merchant: String,
    },
    /// Read what your approved unmask permits: once, within 15 minutes of the approval; with the same --key again if the reply was
    /// lost
    Read {
        /// The proposal's id
        id: String,
    },
    /// Propose a key that card numbers may be released to
    CoreKey {
        /// The RFC 7638 thumbprint of the key (SHA-256)
        #[arg(long)]
        thumbprint: String,
        /// Remove the key
        #[arg(long)]
        remove: bool,
    },
    /// Approve a proposal of another person, and execute it
    Approve {
        /// The proposal's id
        id: String,
        /// What is proposed
        #[arg(long)]
        kind: Kind,
        /// The digest that `proposals show` printed beside the values
        #[arg(long)]
        digest: String,
    },
    /// Withdraw a proposal
    Withdraw {
        /// The proposal's id
        id: String,
    },
}

/// What is proposed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Kind {
    /// The end of a freeze
    Unfreeze,
    /// A change of the record
    ContactChange,
    /// The end of an account
    Close,
    /// One reading of personal data
    Unmask,
    /// The erasure of a merchant
    Erase,
    /// A key of the core system
    CoreKey,
}

impl Proposals {
    /// The request of the command. `input`: the values of a change of contact.
    pub(crate) fn request(&self, input: Value) -> Request {
        let propose = |kind: &str, body| Request::post(path(&["proposals", kind]), body);
        match self {
            Self::List { cursor } => Request::get(paged(&path(&["proposals"]), cursor.as_deref())),
            Self::Show { id } => Request::get(path(&["proposals", id])),
            Self::Unfreeze { merchant, card, .. } => propose(
                "unfreeze",
                json!({"merchant_id": merchant, "card_id": card}),
            ),
            Self::ContactChange { merchant } => {
                let mut body = json!({ "merchant_id": merchant });
                if let (Value::Object(body), Value::Object(values)) = (&mut body, input) {
                    body.extend(values);
                }
                propose("contact-change", body)
            }
            Self::Close { merchant } => propose("close", json!({ "merchant_id": merchant })),
            Self::Erase { merchant } => propose("erase", json!({ "merchant_id": merchant })),
            Self::Unmask { merchant } => propose("unmask", json!({ "merchant_id": merchant })),
            Self::Read { id } => Request::post(path(&["acts", "read-unmasked", id]), json!({})),
            Self::CoreKey { thumbprint, remove } => propose(
                "core-key",
                json!({"thumbprint": thumbprint, "remove": remove}),
            ),
            Self::Approve { id, kind, digest } => {
                let kind = kind.to_possible_value();
                let kind = kind
                    .map(|word| word.get_name().to_owned())
                    .unwrap_or_default();
                let path = path(&["approvals", &kind, id]);
                Request::post(path, json!({ "digest": digest }))
            }
            Self::Withdraw { id } => Request::post(path(&["acts", "withdraw", id]), json!({})),
        }
    }
}

/// A path of the API.
fn path(segments: &[&str]) -> String {
    let mut path = "/operator/v1".to_owned();
    for text in segments {
        path.push('/');
        path.push_str(&segment(text));
    }
    path
}

/// A segment of a path. Whatever is not a letter, a digit, `_` or `-` is percent-encoded.
pub(crate) fn segment(text: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const OTHERS: &AsciiSet = &NON_ALPHANUMERIC.remove(b'_').remove(b'-');
    utf8_percent_encode(text, OTHERS).to_string()
}

fn paged(path: &str, cursor: Option<&str>) -> String {
    match cursor {
        Some(cursor) => format!("{path}?cursor={cursor}"),
        None => path.to_owned(),
    }
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
