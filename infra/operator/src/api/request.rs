//! A request of the operator's API.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

/// Why the operator calls: the headers of every request.
#[derive(Clone, Debug)]
pub struct Grounds {
    /// A word of the contract, section 8.
    pub reason: String,
    /// In the operator's words.
    pub comment: String,
    /// The ticket in the acquirer's own system.
    pub ticket: Option<String>,
}

/// A request before it is signed.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// `GET` or `POST`.
    pub method: &'static str,
    /// The path with its query.
    pub path: String,
    /// The header fields, without those of the signature.
    pub headers: Vec<(&'static str, String)>,
    /// The body; null for none.
    pub body: Value,
}

impl Request {
    /// A read.
    #[must_use]
    pub fn get(path: impl Into<String>) -> Self {
        Self {
            method: "GET",
            path: path.into(),
            headers: Vec::new(),
            body: Value::Null,
        }
    }

    /// A change, or a read with a body.
    #[must_use]
    pub fn post(path: impl Into<String>, body: Value) -> Self {
        Self {
            method: "POST",
            path: path.into(),
            headers: vec![("content-type", "application/json".to_owned())],
            body,
        }
    }

    /// The same with its grounds and its idempotency key.
    #[must_use]
    pub fn on(mut self, grounds: &Grounds, key: &str) -> Self {
        let comment = utf8_percent_encode(&grounds.comment, NON_ALPHANUMERIC);
        self.headers
            .push(("operator-reason", grounds.reason.clone()));
        self.headers.push(("operator-comment", comment.to_string()));
        if let Some(ticket) = &grounds.ticket {
            self.headers.push(("operator-ticket", ticket.clone()));
        }
        if self.method == "POST" {
            self.headers.push(("idempotency-key", key.to_owned()));
        }
        self
    }

    /// The same for this version of the record only. A read ignores it.
    #[must_use]
    pub fn matching(mut self, record_version: Option<u32>) -> Self {
        if let Some(version) = record_version.filter(|_| self.method == "POST") {
            self.headers.push(("if-match", format!("\"{version}\"")));
        }
        self
    }

    /// The body's bytes.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        match &self.body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn grounds_become_headers() {
        let grounds = Grounds {
            reason: "review".to_owned(),
            comment: "回 a".to_owned(),
            ticket: None,
        };
        let read = Request::get("/a").on(&grounds, "k");
        let comment = ("operator-comment", "%E5%9B%9E%20a".to_owned());
        assert_eq!(
            read.headers,
            [("operator-reason", "review".to_owned()), comment]
        );
        let change = Request::post("/a", json!({})).on(&grounds, "k");
        assert_eq!(
            change.headers.last(),
            Some(&("idempotency-key", "k".to_owned()))
        );
        let versioned = change.clone().matching(Some(3));
        let if_match = ("if-match", "\"3\"".to_owned());
        assert_eq!(versioned.headers.last(), Some(&if_match));
        assert_eq!(change.clone().matching(None), change);
        assert_eq!(read.clone().matching(Some(3)), read);
        assert_eq!((read.bytes(), change.bytes()), (Vec::new(), b"{}".to_vec()));
    }
}
