//! The expiry of a document as other systems store it.

use super::Fault;
use crate::format::DocumentExpiry;
use crate::time::{Date, Timestamp};

/// No document with a date is valid for longer, so a date further ahead is a mistake or a stand-in.
const TERM_MAX_DAYS: i64 = 25 * 366;

/// Words for a document that does not expire.
const LONG_TERM_WORDS: [&str; 3] = ["long_term", "长期", "长期有效"];

/// Last days of a century, with which systems without a word say that a document does not expire. Any day of the year 9999
/// says the same.
const STAND_INS: [&str; 2] = ["2099-12-31", "2999-12-31"];

/// Parses `YYYY-MM-DD`, a word for "long term", or a date that stands for it: `9999-12-31`, `99991231`, `2099/12/31`.
///
/// # Errors
/// [`Fault::IdFormat`] for any other text; [`Fault::TooFarAhead`] for a date that neither is possible nor stands for it.
pub fn expiry_of_books(text: &str, now: Timestamp) -> Result<DocumentExpiry, Fault> {
    let text = text.trim();
    if LONG_TERM_WORDS.contains(&text) || is_stand_in(text) {
        return Ok(DocumentExpiry::LongTerm);
    }
    let date = Date::parse(text).ok_or(Fault::IdFormat)?;
    if now.date_shanghai().days_until(date) > TERM_MAX_DAYS {
        return Err(Fault::TooFarAhead);
    }
    Ok(DocumentExpiry::On(date))
}

/// True for a date in one of the usual forms that nobody means.
fn is_stand_in(text: &str) -> bool {
    let separators = text.chars().filter(|c| !c.is_ascii_digit());
    let separators: Vec<char> = separators.collect();
    let is_form = match separators.as_slice() {
        [] => true,
        [first, second] => first == second && "-/.".contains(*first),
        _ => false,
    };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let (Some(year), Some(month), Some(day)) =
        (digits.get(..4), digits.get(4..6), digits.get(6..8))
    else {
        return false;
    };
    let date = format!("{year}-{month}-{day}");
    let is_there = digits.len() == 8 && Date::parse(&date).is_some();
    is_form && is_there && (year == "9999" || STAND_INS.contains(&date.as_str()))
}
