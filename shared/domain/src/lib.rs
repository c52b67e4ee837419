//! The pure core: the rules of card changes and payouts, without a clock, randomness, network or storage.
//!
//! - [`decide`]: one function for every command, from a [`merchant`] state to a [`transition`].
//! - [`merchant`], [`rebind`], [`card`], [`payout`], [`settlement`]: the state; [`contact`]: changes of the record.
//! - [`history`], [`notification`], [`sms`], [`integration`]: the events, the messages that they cause, and what other
//!   systems receive.
//! - [`onboarding`]: a new merchant, and what is wrong with its description.
//! - [`policy`], [`window`]: the numbers of the rules, and sliding-window limits.
//! - [`pii`], [`secret`], [`password_hash`], [`mask`]: personal data and secrets as types.
//! - [`operator`]: who acts for the acquirer, and what takes two persons.
//! - [`login`], [`banner`], [`agreement`]: throttling of logins, banners, and the agreement to sign.
//! - [`error_code`], [`rejection`], [`mod@vocabulary`]: the words of the API.

pub mod activation;
pub mod agreement;
pub mod banner;
pub mod banner_code;
pub mod bound_card;
pub mod calendar;
pub mod card;
pub mod contact;
pub mod decide;
pub mod device;
pub mod device_counts;
pub mod erasure;
pub mod error_code;
pub mod event_kind;
pub mod format;
pub mod freeze_code;
pub mod history;
pub mod ids;
pub mod integration;
pub mod lang;
pub mod login;
pub mod mask;
pub mod merchant;
pub mod next_action;
pub mod notification;
pub mod onboarding;
pub mod operator;
pub mod password_hash;
pub mod payout;
pub mod pii;
pub mod policy;
pub mod profile;
pub mod push;
pub mod rebind;
pub mod rejection;
pub mod reminder;
pub mod secret;
pub mod settlement;
pub mod sms;
mod texts;
pub mod time;
pub mod transfer;
pub mod transition;
pub mod vocabulary;
pub mod window;
