//! The pure core.

pub mod agreement;
pub mod card;
pub mod code;
pub mod decide;
pub mod event_kind;
pub mod format;
pub mod history;
pub mod ids;
pub mod lang;
pub mod login;
pub mod mask;
pub mod merchant;
pub mod next_action;
pub mod notice_code;
pub mod policy;
pub mod rebind;
pub mod rejection;
pub mod secret;
pub mod sms;
mod texts;
pub mod time;
pub mod transition;
pub mod usage;
pub mod vocabulary;
pub mod window;
