//! Which bank issued a card and of what type it is, from the first digits of its number.
//!
//! The tables `GROUPS` and `BANKS` are made by `build.rs` from `data/china-card-bins.csv` (source and licence:
//! `data/NOTICE.md`). They are collected by a community: a prefix that is missing means "unknown, let the bank
//! decide" and never "invalid", and a prefix cannot tell a Class I account from a Class II one.

use crate::pii::CardNumber;
use crate::vocabulary::vocabulary;

include!(concat!(env!("OUT_DIR"), "/bins.rs"));

vocabulary! {
    /// Of what type the cards of a prefix are.
    pub enum BinKind {
        /// 借记卡: an account with money in it. The only kind that settlement goes to.
        Debit = "debit",
        /// 贷记卡
        Credit = "credit",
        /// 准贷记卡: a credit card that also keeps a deposit; treated as credit.
        QuasiCredit = "quasi_credit",
        /// 预付费卡
        Prepaid = "prepaid",
    }
}

/// One row of the table of prefixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// The first digits of the card numbers that it is about.
    pub prefix: &'static str,
    /// How many digits such a card number has.
    pub length: usize,
    /// The type of card.
    pub kind: BinKind,
    /// A short name of the bank, as `ICBC`.
    pub bank_code: &'static str,
    /// The bank's Chinese name, as `中国工商银行`.
    pub bank_name: &'static str,
}

/// The rows whose prefixes are equally long.
struct Group {
    prefix_length: usize,
    bins: &'static [Bin],
}

/// The row with the longest prefix among those for cards of this length. `None`: unknown, let the bank decide.
pub fn lookup(card: &CardNumber) -> Option<&'static Bin> {
    let digits = card.expose();
    GROUPS.iter().find_map(|group| {
        let wanted = (digits.get(..group.prefix_length)?, digits.len());
        let found = group
            .bins
            .binary_search_by_key(&wanted, |bin| (bin.prefix, bin.length));
        found.ok().and_then(|index| group.bins.get(index))
    })
}

/// The Chinese name of a bank in the table.
pub fn bank_name(bank_code: &str) -> Option<&'static str> {
    let found = BANKS.binary_search_by_key(&bank_code, |(code, _)| code);
    found
        .ok()
        .and_then(|index| BANKS.get(index))
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pii::tests::sandbox;
    use proptest::prelude::*;

    const CSV: &str = include_str!("../../../data/china-card-bins.csv");

    /// (prefix, length, type, bank code, bank name), read without the build script.
    type Row = (
        &'static str,
        usize,
        &'static str,
        &'static str,
        &'static str,
    );

    fn rows() -> Vec<Row> {
        CSV.lines()
            .skip(1)
            .map(|line| {
                let f: Vec<&'static str> = line.split(',').collect();
                (f[0], f[1].parse().unwrap(), f[2], f[3], f[4])
            })
            .collect()
    }

    fn naive(rows: &[Row], digits: &str) -> Option<Row> {
        rows.iter()
            .filter(|row| row.1 == digits.len() && digits.starts_with(row.0))
            .max_by_key(|row| row.0.len())
            .copied()
    }

    fn as_row(bin: &'static Bin) -> Row {
        let kind = bin.kind.as_str();
        (bin.prefix, bin.length, kind, bin.bank_code, bin.bank_name)
    }

    /// A card number of this length that starts with these digits.
    fn card(prefix: &str, filler: char, length: usize) -> CardNumber {
        let mut payload = prefix.to_owned();
        payload.extend(std::iter::repeat_n(filler, length - 1 - prefix.len()));
        ('0'..='9')
            .find_map(|check| CardNumber::parse(&format!("{payload}{check}")).ok())
            .unwrap()
    }

    #[test]
    fn the_table_holds_every_row_once_and_in_order() {
        let mut wanted = rows();
        assert_eq!(wanted.len(), 1698);
        wanted.sort_by_key(|row| (usize::MAX - row.0.len(), row.0, row.1));
        let table: Vec<Row> = GROUPS
            .iter()
            .inspect(|g| assert!(g.bins.iter().all(|b| b.prefix.len() == g.prefix_length)))
            .flat_map(|group| group.bins)
            .map(as_row)
            .collect();
        assert_eq!(table, wanted);
    }

    #[test]
    fn every_row_agrees_with_a_scan() {
        let rows = rows();
        for row in &rows {
            for filler in ['0', '5', '9'] {
                for length in 15..=19 {
                    let card = card(row.0, filler, length);
                    let found = lookup(&card).map(as_row);
                    assert_eq!(found, naive(&rows, card.expose()));
                    assert!(length != row.1 || found.is_some());
                }
            }
        }
    }

    #[test]
    fn longest_prefix_with_the_right_length_wins() {
        let rows = rows();
        // (shorter, longer) for the same card length; and a longer one that is for another length.
        let nested = |same_length: bool| {
            rows.iter()
                .flat_map(|a| rows.iter().map(move |b| (*a, *b)))
                .find(|(a, b)| {
                    a.0.len() < b.0.len() && b.0.starts_with(a.0) && (a.1 == b.1) == same_length
                })
        };
        let (_, longer) = nested(true).unwrap();
        assert_eq!(
            lookup(&card(longer.0, '5', longer.1)).map(as_row),
            Some(longer)
        );
        let (shorter, longer) = nested(false).unwrap();
        let found = lookup(&card(longer.0, '5', shorter.1)).unwrap();
        assert_eq!(found.length, shorter.1);
        assert!(found.prefix.len() < longer.0.len());
    }

    #[test]
    fn every_card_of_the_sandbox_has_its_bank() {
        let sandbox = sandbox();
        let own = sandbox["merchants"].as_array().unwrap().iter();
        let own = own.map(|merchant| &merchant["active_card"]);
        let others = sandbox["cards"].as_array().unwrap().iter();
        let refused = sandbox["refused_cards"].as_array().unwrap().iter();
        let mut seen = 0;
        for card in own.chain(others).chain(refused) {
            let Some(Ok(number)) = card["card_number"].as_str().map(CardNumber::parse) else {
                continue;
            };
            let bin = lookup(&number).unwrap();
            assert_eq!(bin.bank_code, card["bank_code"].as_str().unwrap());
            assert_eq!(bin.kind.as_str(), card["type"].as_str().unwrap_or("debit"));
            assert_eq!(bank_name(bin.bank_code), Some(bin.bank_name));
            seen += 1;
        }
        assert_eq!(seen, 36);
    }

    #[test]
    fn names_of_banks() {
        assert_eq!(bank_name("ICBC"), Some("中国工商银行"));
        assert_eq!(bank_name("icbc"), None);
        assert_eq!(bank_name(""), None);
        assert_eq!(BANKS.len(), 258);
        assert!(rows().iter().all(|row| bank_name(row.3) == Some(row.4)));
    }

    proptest! {
        #[test]
        fn random_numbers_agree_with_a_scan(digits in "(62|4|5|3|9|1)?[0-9]{12,17}", filler in 0..10_u32) {
            let rows = rows();
            let filler = char::from_digit(filler, 10).unwrap();
            for length in 15..=19 {
                if digits.len() < length {
                    let card = card(&digits, filler, length);
                    prop_assert_eq!(lookup(&card).map(as_row), naive(&rows, card.expose()));
                }
            }
        }
    }
}
