//! Between HTTP and the core.

pub mod body;
pub mod catalogue;
pub mod event;
pub mod reply;
pub mod serve;
pub mod step;
pub mod token;
pub mod view;
