//! The HTTP API: gateway events, routes, requests, replies, problem documents, tokens.

pub mod body;
pub mod event;
pub mod problems;
pub mod replies;
pub mod reply;
pub mod requests;
pub mod routes;
pub mod token;
