//! The issuing bank and the type of a card, by the prefix of its number.
//!
//! `build.rs` generates the tables `GROUPS` and `BANKS` from `data/china-card-bins.csv`, or from the acquirer's own table
//! (`data/NOTICE.md`). Communities maintain the public data, so a missing prefix means "unknown, let the bank decide" and
//! never "invalid". The type `disputed` of a row, about which public lists disagree, is read as unknown.

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

    /// The table that is compiled in, and the public one.
    const CSV: &str = include_str!(env!("CARD_BINS"));
    const PUBLIC: &str = include_str!("../../../data/china-card-bins.csv");

    /// (prefix, length, type, bank code, bank name), parsed independently of the build script.
    type Row = (
        &'static str,
        usize,
        &'static str,
        &'static str,
        &'static str,
    );

    fn rows_of(csv: &'static str) -> Vec<Row> {
        csv.lines()
            .skip(1)
            .map(|line| {
                let f: Vec<&'static str> = line.split(',').collect();
                assert_eq!(f.len(), 5, "{line}");
                (f[0], f[1].parse().unwrap(), f[2], f[3], f[4])
            })
            .collect()
    }

    /// The rows as they are looked up: a disputed type is unknown.
    fn rows() -> Vec<Row> {
        let rows = rows_of(CSV).into_iter();
        rows.map(|row| match row.2 {
            "disputed" => (row.0, row.1, "unknown", row.3, row.4),
            _ => row,
        })
        .collect()
    }

    /// The rules of a table of card prefixes, public or official.
    fn follows_rules(csv: &'static str) {
        assert!(csv.starts_with("bin,length,type,bank_code,bank_name\n"));
        let rows = rows_of(csv);
        assert!(
            rows.is_sorted_by(|a, b| (a.0, a.1) < (b.0, b.1)),
            "sorted, and each prefix and length once"
        );
        let mut names = std::collections::HashMap::new();
        for (prefix, length, card_type, code, name) in rows {
            assert!(prefix.len() <= length && (15..=19).contains(&length));
            assert!(prefix.bytes().all(|b| b.is_ascii_digit()), "{prefix}");
            let types = ["debit", "credit", "quasi_credit", "prepaid", "disputed"];
            assert!(types.contains(&card_type), "{prefix}: {card_type}");
            assert!(
                code.bytes().all(|b| b.is_ascii_alphanumeric()),
                "{prefix}: {code}"
            );
            assert_eq!(*names.entry(code).or_insert(name), name, "{code}");
        }
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
            .filter_map(|check| CardNumber::parse(&format!("{payload}{check}")).ok())
            .find(CardNumber::has_check_digit)
            .unwrap()
    }

    #[test]
    fn compiled_table_follows_its_rules() {
        follows_rules(CSV);
    }

    #[test]
    fn public_table_follows_its_rules() {
        follows_rules(PUBLIC);
        let rows = rows_of(PUBLIC);
        let row = |prefix: &str| {
            let mut found = rows.iter().filter(|row| row.0 == prefix);
            let row = found.next().copied();
            assert!(found.next().is_none(), "{prefix}");
            row.unwrap()
        };
        // Public lists disagree about the type of these prefixes. The banks are those of the first list.
        for (prefix, bank_code) in [
            ("453242", "CCB"),
            ("491031", "CCB"),
            ("532421", "CCB"),
            ("620530", "SPDB"),
            ("622707", "CCB"),
            ("625955", "CCB"),
            ("627066", "SPABANK"),
            ("627067", "SPABANK"),
            ("627068", "SPABANK"),
            ("627069", "SPABANK"),
            ("920000", "CEP"),
        ] {
            let (_, _, card_type, code, _) = row(prefix);
            assert_eq!((card_type, code), ("disputed", bank_code), "{prefix}");
        }
        // They agree about these.
        assert_eq!(row("622202").2, "debit");
        assert_eq!(row("622575").2, "credit");
        assert_eq!(row("53242").2, "quasi_credit");
        let of = |card_type| rows.iter().filter(|row| row.2 == card_type).count();
        assert_eq!((rows.len(), of("disputed")), (2376, 58));
        assert!(of("credit") + of("quasi_credit") > 860);
    }

    #[test]
    fn disputed_prefix_is_looked_up_as_unknown() {
        let rows = rows_of(CSV);
        for row in rows.iter().filter(|row| row.2 == "disputed") {
            let own = |bin: &&&Bin| (bin.prefix, bin.length) == (row.0, row.1);
            let mut bins = GROUPS.iter().flat_map(|group| group.bins);
            let bin = bins.find(|bin| own(&bin)).unwrap();
            assert_eq!(bin.card_type, CardType::Unknown, "{}", row.0);
            assert_eq!(bin.bank_code, row.3);
        }
    }

    #[test]
    fn table_contains_every_row_in_order() {
        let mut wanted = rows();
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
            let Some(number) = card["card_number"].as_str().map(CardNumber::parse) else {
                continue;
            };
            let number = number.unwrap();
            seen += 1;
            let Some(bank_code) = card["bank_code"].as_str() else {
                // Without a bank in the file: either no list has the prefix, or the number is refused for its check digit.
                let is_listed = lookup(&number).is_some();
                assert_eq!(is_listed, !number.has_check_digit());
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
        let banks: std::collections::HashSet<_> = rows().iter().map(|row| row.3).collect();
        assert_eq!(BANKS.len(), banks.len());
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
