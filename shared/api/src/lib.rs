//! The HTTP APIs: gateway events, routes, requests, replies, problem documents, tokens. [`operator`] is the operators' API. Also the
//! events for other systems.

#[cfg(feature = "schema")]
pub mod asyncapi;
pub mod body;
pub mod cloud_event;
pub mod event;
#[cfg(feature = "schema")]
pub mod openapi;
pub mod operator;
pub mod problems;
pub mod replies;
pub mod reply;
pub mod requests;
pub mod routes;
#[cfg(feature = "schema")]
pub mod schema;
pub mod token;
