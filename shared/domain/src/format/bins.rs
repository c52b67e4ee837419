//! The issuing bank and the type of a card, by the prefix of its number.
//!
//! `build.rs` generates the tables `GROUPS` and `BANKS` from `data/china-card-bins.csv` (source and licence:
//! `data/NOTICE.md`). A community maintains the data, so a missing prefix means "unknown, let the bank decide" and never
//! "invalid". A prefix does not distinguish Class I accounts from Class II accounts.

use crate::pii::CardNumber;
use crate::vocabulary::vocabulary;

include!(concat!(env!("OUT_DIR"), "/bins.rs"));

vocabulary! {
    /// The type of a card: by its prefix, until the bank states it.
    pub enum CardType {
        /// A debit card.
        Debit = "debit",
        /// A credit card.
        Credit = "credit",
        /// A semi-credit card (准贷记卡).
        QuasiCredit = "quasi_credit",
        /// A prepaid card.
        Prepaid = "prepaid",
        /// The prefix is not in the table, or public lists disagree about its type. The bank decides.
        Unknown = "unknown",
    }
}

/// One row of the prefix table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bin {
    /// The first digits of the card numbers.
    pub prefix: &'static str,
    /// The number of digits of the card numbers.
    pub length: usize,
    /// The type of card.
    pub card_type: CardType,
    /// The bank's code, such as `ICBC`.
    pub bank_code: &'static str,
}

/// All rows with the same prefix length.
struct Group {
    prefix_length: usize,
    bins: &'static [Bin],
}

/// The row with the longest matching prefix for this length of card number. `None` means that the bank decides.
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

    /// (prefix, length, type, bank code, bank name), parsed independently of the build script.
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

    fn scan(rows: &[Row], digits: &str) -> Option<Row> {
        rows.iter()
            .filter(|row| row.1 == digits.len() && digits.starts_with(row.0))
            .max_by_key(|row| row.0.len())
            .copied()
    }

    fn as_row(bin: &'static Bin) -> Row {
        let name = bank_name(bin.bank_code).unwrap();
        let card_type = bin.card_type.as_str();
        (bin.prefix, bin.length, card_type, bin.bank_code, name)
    }

    /// A valid card number with this prefix and length.
    fn card(prefix: &str, filler: char, length: usize) -> CardNumber {
        let mut payload = prefix.to_owned();
        payload.extend(std::iter::repeat_n(filler, length - 1 - prefix.len()));
        ('0'..='9')
            .find_map(|check| CardNumber::parse(&format!("{payload}{check}")).ok())
            .unwrap()
    }

    #[test]
    fn table_contains_every_row_in_order() {
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
    fn lookup_agrees_with_a_scan_for_every_row() {
        let rows = rows();
        for row in &rows {
            for filler in ['0', '5', '9'] {
                for length in 15..=19 {
                    let card = card(row.0, filler, length);
                    let found = lookup(&card).map(as_row);
                    assert_eq!(found, scan(&rows, card.expose()));
                    assert!(length != row.1 || found.is_some());
                }
            }
        }
    }

    #[test]
    fn longest_prefix_of_the_card_length_wins() {
        let rows = rows();
        // Finds two nested prefixes (shorter, longer), for the same card length or for different ones.
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
    fn every_sandbox_card_has_its_bank() {
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
            seen += 1;
            let Some(bank_code) = card["bank_code"].as_str() else {
                assert_eq!(lookup(&number), None, "the bank decides");
                continue;
            };
            let bin = lookup(&number).unwrap();
            assert_eq!(bin.bank_code, bank_code);
            assert_eq!(
                bin.card_type.as_str(),
                card["type"].as_str().unwrap_or("debit")
            );
            assert!(bank_name(bin.bank_code).is_some());
        }
        assert!(seen >= 38);
    }

    #[test]
    fn bank_name_is_found_by_code() {
        assert_eq!(bank_name("ICBC"), Some("中国工商银行"));
        assert_eq!(bank_name("icbc"), None);
        assert_eq!(bank_name(""), None);
        assert_eq!(BANKS.len(), 258);
        assert!(rows().iter().all(|row| bank_name(row.3) == Some(row.4)));
    }

    proptest! {
        #[test]
        fn lookup_agrees_with_a_scan_for_any_number(digits in "(62|4|5|3|9|1)?[0-9]{12,17}", filler in 0..10_u32) {
            let rows = rows();
            let filler = char::from_digit(filler, 10).unwrap();
            for length in 15..=19 {
                if digits.len() < length {
                    let card = card(&digits, filler, length);
                    prop_assert_eq!(lookup(&card).map(as_row), scan(&rows, card.expose()));
                }
            }
        }
    }
}
