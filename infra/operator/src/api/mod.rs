//! The operator's API: signed requests, and what their replies mean.

mod client;
mod endpoint;
mod print;
mod request;

pub use client::{Api, CallError, Reply};
pub(crate) use endpoint::usual;
pub use endpoint::{Endpoint, EndpointError, Local};
pub use print::{print_json, print_text};
pub use request::{Grounds, Request};
