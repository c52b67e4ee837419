//! The HTTP API: gateway events, requests, replies, problem documents, tokens.

pub mod body;
pub mod catalogue;
pub mod event;
pub mod reply;
pub mod requests;
pub mod routes;
pub mod token;
pub mod view;
