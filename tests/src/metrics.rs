//! What a run has shown, one line for each row of the table in `tests/README.md`: a claim there is a line that a command has
//! printed.

use std::fmt::Display;

/// How each line begins, so that it can be told from everything else that tests print.
pub const MARK: &str = "figure";

/// Prints a row: what was tried, how often, and how much of it was lost.
#[allow(clippy::print_stdout)] // this is the product of a measurement
pub fn figure(what: &str, tried: impl Display, lost: impl Display) {
    // Begins a line of its own: the harness prints a test's name without ending it.
    println!("\n{MARK} | {what} | {tried} | {lost}");
}
