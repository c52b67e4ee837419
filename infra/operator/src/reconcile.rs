//! Compares the core system's file of payouts with this system.
//!
//! The file is CSV with the header `payout_id,status,card_last4,amount_fen,at`. Each difference names the line and what differs.

use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io::Read;

/// A payout as this system knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Known {
    /// `unsent`, `sending`, `sent` or `returned`.
    pub status: String,
    /// The last four digits of its card; `None` while it has none.
    pub card_last4: Option<String>,
    /// The amount.
    pub amount_fen: u64,
}

/// Finds payouts.
#[expect(async_fn_in_trait, reason = "only this workspace implements it")]
pub trait FindPayout {
    /// Why a payout cannot be looked up.
    type Error;
    /// The payout with this id, if this system has it.
    async fn find(&self, payout_id: &str) -> Result<Option<Known>, Self::Error>;
}

/// A line of the core system's file.
#[derive(Debug, Deserialize)]
struct Line {
    payout_id: String,
    status: String,
    card_last4: String,
    amount_fen: u64,
    #[serde(rename = "at")]
    _at: String,
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// The line is not a line of such a file.
    Malformed,
    /// This system has no such payout.
    Missing,
    /// The file has the payout twice.
    Doubled,
    /// The core system paid to another card.
    OtherCard,
    /// The core system paid another amount.
    OtherAmount,
    /// The core system has another state of the payout.
    OtherStatus,
}

/// A difference and its place.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Found {
    /// The line, from 1; the header is line 1.
    pub line: u64,
    /// The payout; empty if the line has none.
    pub payout_id: String,
    /// What is wrong.
    pub difference: Difference,
}

/// The result of a comparison.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Summary {
    /// The lines with a payout.
    pub payouts: u64,
    /// The differences.
    pub differences: u64,
}

/// Why a comparison stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error<E> {
    /// Not such a file.
    #[error("the file must begin with the line payout_id,status,card_last4,amount_fen,at")]
    NoHeader,
    /// The file cannot be read.
    #[error("the file cannot be read: {0}")]
    Unreadable(String),
    /// A payout cannot be looked up.
    #[error("{0}")]
    Find(E),
}

/// Compares each line, and reports the differences in the order of the lines.
///
/// # Errors
/// When the file is not such a file, or a payout cannot be looked up.
pub async fn reconcile<F: FindPayout>(
    file: impl Read,
    payouts: &F,
    mut report: impl FnMut(Found),
) -> Result<Summary, Error<F::Error>> {
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(file);
    let header = reader.headers();
    let header = header.map_err(|error| Error::Unreadable(error.to_string()))?;
    let expected = ["payout_id", "status", "card_last4", "amount_fen", "at"];
    if !expected
        .iter()
        .all(|name| header.iter().any(|one| one == *name))
    {
        return Err(Error::NoHeader);
    }
    let mut seen: HashMap<String, u64> = HashMap::new();
    let mut summary = Summary::default();
    for (read, line) in reader.deserialize::<Line>().zip(2..) {
        let mut found = |payout_id: &str, difference| {
            summary.differences += 1;
            let payout_id = payout_id.to_owned();
            report(Found {
                line,
                payout_id,
                difference,
            });
        };
        let Ok(read) = read else {
            found("", Difference::Malformed);
            continue;
        };
        let id = read.payout_id.as_str();
        if seen.insert(id.to_owned(), line).is_some() {
            found(id, Difference::Doubled);
            continue;
        }
        match payouts.find(id).await.map_err(Error::Find)? {
            None => found(id, Difference::Missing),
            Some(known) => {
                for difference in differences(&read, &known) {
                    found(id, difference);
                }
            }
        }
        summary.payouts += 1;
    }
    Ok(summary)
}

fn differences(line: &Line, known: &Known) -> Vec<Difference> {
    // A payout that is held has no card yet; the core system must not have paid it.
    let other_card = known.card_last4.as_deref() != Some(line.card_last4.as_str());
    let all = [
        (other_card, Difference::OtherCard),
        (known.amount_fen != line.amount_fen, Difference::OtherAmount),
        (known.status != line.status, Difference::OtherStatus),
    ];
    let all = all.into_iter();
    all.filter_map(|(differs, difference)| differs.then_some(difference))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Book;

    impl FindPayout for Book {
        type Error = String;

        async fn find(&self, payout_id: &str) -> Result<Option<Known>, String> {
            let known = |card: Option<&str>| Known {
                status: "sent".to_owned(),
                card_last4: card.map(str::to_owned),
                amount_fen: 100,
            };
            match payout_id {
                "pay_1" => Ok(Some(known(Some("0010")))),
                "pay_held" => Ok(Some(known(None))),
                "pay_down" => Err("no reply".to_owned()),
                _ => Ok(None),
            }
        }
    }

    async fn run(lines: &[&str]) -> (Vec<(u64, Difference)>, Summary) {
        let file = format!(
            "payout_id,status,card_last4,amount_fen,at\r\n{}",
            lines.join("\r\n")
        );
        let mut all = Vec::new();
        let report = |found: Found| all.push((found.line, found.difference));
        let summary = reconcile(file.as_bytes(), &Book, report).await.unwrap();
        (all, summary)
    }

    #[tokio::test]
    async fn every_difference_has_its_line() {
        let at = "2026-11-30T10:00:00+08:00";
        let lines = [
            format!("pay_1,sent,0010,100,{at}"),
            format!("pay_1,sent,0010,100,{at}"),
            format!("pay_2,sent,0010,100,{at}"),
            format!("pay_held,returned,0010,101,{at}"),
            format!("pay_3,sent,0010,x,{at}"),
        ];
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let (found, summary) = run(&lines).await;
        let expected = [
            (3, Difference::Doubled),
            (4, Difference::Missing),
            (5, Difference::OtherCard),
            (5, Difference::OtherAmount),
            (5, Difference::OtherStatus),
            (6, Difference::Malformed),
        ];
        assert_eq!(found, expected);
        assert_eq!((summary.payouts, summary.differences), (3, 6));
    }

    #[tokio::test]
    async fn equal_files_have_no_differences() {
        let (found, summary) = run(&["pay_1,sent,0010,100,2026-11-30T10:00:00+08:00"]).await;
        assert_eq!((found.len(), summary.payouts), (0, 1));
    }

    #[tokio::test]
    async fn other_files_are_refused() {
        for text in ["", "a,b\n1,2\n"] {
            let refused = reconcile(text.as_bytes(), &Book, |_| ()).await;
            assert!(matches!(refused, Err(Error::NoHeader)), "{text}");
        }
        let text = "payout_id,status,card_last4,amount_fen,at\npay_down,sent,0010,1,x\n";
        let refused = reconcile(text.as_bytes(), &Book, |_| ()).await;
        assert!(matches!(refused, Err(Error::Find(_))));
    }
}
