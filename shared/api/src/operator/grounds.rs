//! The grounds of a call, from its headers.

use crate::event::Request;
use domain::error_code::ErrorCode;
use domain::operator::{Grounds, ReasonCode};
use domain::rejection::Rejection;

const REASON: &str = "operator-reason";
const COMMENT: &str = "operator-comment";
const TICKET: &str = "operator-ticket";

/// Maximum length of a comment.
const COMMENT_MAX_CHARS: usize = 500;
/// Maximum length of a ticket.
const TICKET_MAX_CHARS: usize = 64;

/// Reads `Operator-Reason`, `Operator-Comment` (percent-encoded UTF-8) and `Operator-Ticket`.
///
/// # Errors
/// `REQUEST_MALFORMED` with every header that is missing or malformed.
pub fn grounds(request: &Request) -> Result<Grounds, Rejection> {
    let reason = request.header(REASON).and_then(ReasonCode::parse);
    let comment = request.header(COMMENT).and_then(comment);
    let ticket = request.header(TICKET);
    let is_ticket = |text: &str| {
        let is_short = (1..=TICKET_MAX_CHARS).contains(&text.len());
        is_short && text.bytes().all(|byte| byte.is_ascii_graphic())
    };
    Rejection::of_malformed([
        (REASON, reason.is_none()),
        (COMMENT, comment.is_none()),
        (TICKET, ticket.is_some_and(|text| !is_ticket(text))),
    ])?;
    match (reason, comment) {
        (Some(reason), Some(comment)) => Ok(Grounds {
            reason,
            comment,
            ticket: ticket.map(str::to_owned),
        }),
        _ => Err(Rejection::new(ErrorCode::RequestMalformed)),
    }
}

/// The decoded comment, if it has some text and no control characters.
fn comment(encoded: &str) -> Option<String> {
    let decoded = percent_encoding::percent_decode_str(encoded)
        .decode_utf8()
        .ok()?;
    let text = decoded.trim();
    let is_short = (1..=COMMENT_MAX_CHARS).contains(&text.chars().count());
    (is_short && !text.chars().any(char::is_control)).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> Result<Grounds, Vec<&'static str>> {
        let headers = headers.iter();
        let request = Request {
            headers: headers
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Request::default()
        };
        let fields = |refused: Rejection| refused.errors.iter().map(|error| error.field).collect();
        grounds(&request).map_err(fields)
    }

    #[test]
    fn grounds_are_read_from_headers() {
        let read = read(&[
            (REASON, "owner_request"),
            (COMMENT, "%E5%9B%9E%E7%94%B5%20ok"),
            (TICKET, "T-1"),
        ]);
        let grounds = read.unwrap();
        assert_eq!(grounds.reason, ReasonCode::OwnerRequest);
        assert_eq!(grounds.comment, "回电 ok");
        assert_eq!(grounds.ticket.as_deref(), Some("T-1"));
    }

    #[test]
    fn every_bad_header_is_named() {
        assert_eq!(read(&[]).unwrap_err(), [REASON, COMMENT]);
        let long = "a".repeat(COMMENT_MAX_CHARS + 1);
        for bad in ["", "%20", "%FF", "a%0Ab", &long] {
            let refused = read(&[(REASON, "review"), (COMMENT, bad), (TICKET, "a b")]);
            assert_eq!(refused.unwrap_err(), [COMMENT, TICKET], "{bad}");
        }
    }
}
