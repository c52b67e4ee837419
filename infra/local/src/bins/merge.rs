//! One table from all lists.
//!
//! A row exists for each prefix and length in `bankcard`, in `bankcardinfo` or among the citations; its bank is that of the
//! first of them. Each list has an opinion about a row: the type of its longest row that covers it. Where opinions differ,
//! the row is `disputed`, and the bank decides.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;

/// Prefix and card length.
pub(super) type Key = (String, usize);

/// Type and bank code.
pub(super) type Cited = (&'static str, String);

/// The rows of a list.
pub(super) type List = BTreeMap<Key, Cited>;

/// A list with the names of its banks by code.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) rows: List,
    pub(super) names: HashMap<String, String>,
}

/// A row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) card_type: &'static str,
    pub(super) bank_code: String,
    pub(super) bank_name: String,
}

/// The table, with what each list states about its disputed rows.
#[derive(Debug, Default)]
pub(super) struct Table {
    pub(super) rows: BTreeMap<Key, Row>,
    pub(super) disputes: BTreeMap<Key, Vec<(&'static str, &'static str)>>,
}

/// Banks to which `bankcardinfo` gives another code than `bankcard`. `NCB` is Nanyang there and Nanchang in `bankcard`.
const OTHER_CODES: [(&str, &str); 6] = [
    ("CYB", "CYBC"),
    ("JXNCX", "JXRCU"),
    ("NCB", "NCBHK"),
    ("QSBANK", "ZBCB"),
    ("WHSYBANK", "WHCCB"),
    ("ZJQL", "ZJTLCB"),
];

/// As the product names a bank that it does not know.
const OTHER_BANK: &str = "其他银行";

/// Merges the lists.
pub(super) fn merge(
    bankcard: &Named,
    bankcardinfo: &Named,
    cardbin: &HashMap<String, &'static str>,
    citations: &List,
) -> Table {
    let lists = [&bankcard.rows, &bankcardinfo.rows, citations];
    let keys: BTreeSet<&Key> = lists.iter().flat_map(|list| list.keys()).collect();
    let mut lengths: HashMap<&str, usize> = HashMap::new();
    for (bin, _) in &keys {
        *lengths.entry(bin).or_default() += 1;
    }
    let mut table = Table::default();
    for key in keys {
        let mut opinions = vec![
            ("bankcard", opinion(&bankcard.rows, key)),
            ("bankcardinfo", opinion(&bankcardinfo.rows, key)),
            ("citations", opinion(citations, key)),
        ];
        // This list has no lengths, so it means a row only if its prefix has one length.
        if lengths.get(key.0.as_str()) == Some(&1) {
            opinions.push(("cardbin", cardbin.get(&key.0).copied()));
        }
        let opinions = opinions.into_iter();
        let opinions: Vec<_> = opinions
            .filter_map(|(list, kind)| kind.map(|kind| (list, kind)))
            .collect();
        let types: BTreeSet<_> = opinions.iter().map(|(_, kind)| *kind).collect();
        let agreed = types.first().copied().filter(|_| types.len() == 1);
        if agreed.is_none() {
            table.disputes.insert(key.clone(), opinions);
        }
        let (bank_code, bank_name) = bank(key, bankcard, bankcardinfo, citations);
        let row = Row {
            card_type: agreed.unwrap_or("disputed"),
            bank_code,
            bank_name,
        };
        table.rows.insert(key.clone(), row);
    }
    table
}

/// The type of the list's longest row that covers this prefix for cards of this length.
fn opinion(list: &List, (bin, length): &Key) -> Option<&'static str> {
    (1..=bin.len()).rev().find_map(|digits| {
        let shorter = bin.get(..digits)?.to_owned();
        list.get(&(shorter, *length)).map(|(kind, _)| *kind)
    })
}

/// The bank's code and name. A code of `bankcard` keeps its name.
fn bank(key: &Key, bankcard: &Named, bankcardinfo: &Named, citations: &List) -> (String, String) {
    let other = |code: &str| {
        let known = OTHER_CODES.iter().find(|(theirs, _)| *theirs == code);
        known.map_or_else(|| code.to_owned(), |(_, ours)| (*ours).to_owned())
    };
    let theirs = bankcardinfo.rows.get(key).map(|(_, code)| code);
    let code = match bankcard.rows.get(key).or_else(|| citations.get(key)) {
        Some((_, code)) => code.clone(),
        None => theirs.map(|code| other(code)).unwrap_or_default(),
    };
    let name = bankcard.names.get(&code);
    let name = name.or_else(|| theirs.and_then(|code| bankcardinfo.names.get(code)));
    let name = name.cloned().unwrap_or_else(|| OTHER_BANK.to_owned());
    (code, name)
}

impl Table {
    /// The file: sorted by prefix, then by length.
    pub(super) fn to_csv(&self) -> String {
        let mut csv = String::from("bin,length,type,bank_code,bank_name\n");
        for ((bin, length), row) in &self.rows {
            let Row {
                card_type,
                bank_code,
                bank_name,
            } = row;
            // Writing to a string cannot fail.
            let _ = writeln!(csv, "{bin},{length},{card_type},{bank_code},{bank_name}");
        }
        csv
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(rows: &[(&str, usize, &'static str, &str)]) -> Named {
        let mut named = Named::default();
        for (bin, length, kind, bank) in rows {
            let row = (*kind, (*bank).to_owned());
            named.rows.insert(((*bin).to_owned(), *length), row);
            named
                .names
                .insert((*bank).to_owned(), format!("银行{bank}"));
        }
        named
    }

    fn merged(first: &Named, second: &Named, third: &[(&str, &'static str)]) -> Table {
        let third = third.iter().map(|(bin, kind)| ((*bin).to_owned(), *kind));
        merge(first, second, &third.collect(), &List::new())
    }

    #[test]
    fn lists_that_disagree_make_a_row_disputed() {
        let first = list(&[("6221", 16, "debit", "A"), ("6222", 16, "credit", "A")]);
        let second = list(&[
            ("6221", 16, "prepaid", "B"),
            ("6222", 16, "credit", "B"),
            ("6223", 16, "credit", "CYB"),
        ]);
        let table = merged(&first, &second, &[]);
        assert_eq!(
            table.to_csv(),
            "bin,length,type,bank_code,bank_name\n\
             6221,16,disputed,A,银行A\n\
             6222,16,credit,A,银行A\n\
             6223,16,credit,CYBC,银行CYB\n"
        );
        let key = ("6221".to_owned(), 16);
        let opinions = [("bankcard", "debit"), ("bankcardinfo", "prepaid")];
        assert_eq!(table.disputes[&key], opinions);
    }

    #[test]
    fn shorter_row_of_another_list_is_an_opinion() {
        let first = list(&[("532421", 16, "debit", "A")]);
        let second = list(&[
            ("53242", 16, "quasi_credit", "A"),
            ("5324", 19, "debit", "A"),
        ]);
        let table = merged(&first, &second, &[]);
        let row = |bin: &str, length| table.rows[&(bin.to_owned(), length)].card_type;
        assert_eq!(row("532421", 16), "disputed");
        assert_eq!(row("53242", 16), "quasi_credit");
        assert_eq!(row("5324", 19), "debit");
    }

    #[test]
    fn list_without_lengths_means_a_prefix_of_one_length() {
        let first = list(&[
            ("6221", 16, "credit", "A"),
            ("6221", 18, "debit", "B"),
            ("6222", 19, "debit", "A"),
        ]);
        let table = merged(
            &first,
            &Named::default(),
            &[("6221", "credit"), ("6222", "prepaid")],
        );
        let row = |bin: &str, length| table.rows[&(bin.to_owned(), length)].card_type;
        assert_eq!(row("6221", 18), "debit");
        assert_eq!(row("6222", 19), "disputed");
    }
}
