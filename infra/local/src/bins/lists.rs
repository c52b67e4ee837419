//! Reads the lists. Their source text is parsed as data; nothing of a package runs.

use std::collections::{BTreeMap, HashMap};

use super::merge::{Cited, Key, List, Named};
use crate::Error;

/// The prefix lengths and card lengths that the product accepts.
const LENGTHS: std::ops::RangeInclusive<usize> = 15..=19;

/// The npm package `bankcard`: objects `{ bin: '…', bank: '…', type: DC, len: 19 }` and `{ code: '…', name: '…' }`.
pub(super) fn bankcard(text: &str) -> Result<Named, Error> {
    let mut named = Named::default();
    for object in objects(text, "{ code: '") {
        if let Some((code, name)) = object.split_once("', name: '") {
            let name = name.trim_end_matches("' ");
            named.names.insert(code.to_owned(), name.to_owned());
        }
    }
    for object in objects(text, "{ bin: '") {
        let row = || {
            let (bin, rest) = object.split_once("', bank: '")?;
            let (bank, rest) = rest.split_once("', type: ")?;
            let (kind, length) = rest.split_once(", len: ")?;
            Some((bin, bank, card_type(kind)?, length.trim().parse().ok()?))
        };
        let (bin, bank, kind, length) = row().ok_or_else(|| unreadable("bankcard", "a row"))?;
        add(&mut named.rows, bin, length, kind, bank);
    }
    filled("bankcard", named.rows.len())?;
    Ok(named)
}

/// The npm package `bankcardinfo`: for each bank, patterns `/^(…|…)\d{13}$/` with a card type.
pub(super) fn bankcardinfo(text: &str) -> Result<Named, Error> {
    const NAME: &str = "bankcardinfo";
    let mut named = Named::default();
    for bank in text.split("bankName: \"").skip(1) {
        let broken = || unreadable(NAME, "a bank");
        let name = until(bank, "\"").ok_or_else(broken)?;
        let code = after(bank, "bankCode: \"").and_then(|rest| until(rest, "\""));
        let code = code.ok_or_else(broken)?;
        named
            .names
            .entry(code.to_owned())
            .or_insert_with(|| name.to_owned());
        for pattern in bank.split("reg: /^(").skip(1) {
            let row = || {
                let (prefixes, rest) = pattern.split_once(")\\d{")?;
                let more: usize = until(rest, "}")?.parse().ok()?;
                let kind = until(after(rest, "cardType: \"")?, "\"")?;
                Some((prefixes, more, card_type(kind)?))
            };
            let (prefixes, more, kind) = row().ok_or_else(|| unreadable(NAME, "a pattern"))?;
            for bin in prefixes.split('|') {
                add(&mut named.rows, bin, bin.len() + more, kind, code);
            }
        }
    }
    filled(NAME, named.rows.len())?;
    Ok(named)
}

/// The PyPI package `cardbin`: lines `"prefix" : "bank|product"`. The product's name states the type of some cards, and no
/// line states a length.
pub(super) fn cardbin(text: &str) -> Result<HashMap<String, &'static str>, Error> {
    let lines = text.lines().filter_map(|line| {
        let (bin, rest) = line.trim().strip_prefix('"')?.split_once("\" : \"")?;
        let (_, product) = rest.split_once('|')?;
        Some((bin.to_owned(), product_type(product)?))
    });
    let list: HashMap<_, _> = lines.collect();
    filled("cardbin", list.len())?;
    Ok(list)
}

/// The type that a product's name states, if it states exactly one. 信用卡 covers credit and semi-credit cards.
fn product_type(product: &str) -> Option<&'static str> {
    let product = product.replace("标准贷记", "贷记");
    let without_semi = product.replace("准贷记", "");
    let mut stated = [
        ("quasi_credit", product.contains("准贷记")),
        ("prepaid", product.contains("预付")),
        ("debit", product.contains("借记")),
        ("credit", without_semi.contains("贷记")),
    ]
    .into_iter()
    .filter_map(|(kind, is_stated)| is_stated.then_some(kind));
    stated.next().filter(|_| stated.next().is_none())
}

/// Rows of other public sources: `bin,length,type,bank_code,source`.
pub(super) fn citations(text: &str) -> Result<BTreeMap<Key, Cited>, Error> {
    let mut cited = BTreeMap::new();
    for line in text.lines().skip(1) {
        let fields: Vec<&str> = line.split(',').collect();
        let row = || {
            let [bin, length, kind, bank, source] = fields[..] else {
                return None;
            };
            let kind = ["debit", "credit", "quasi_credit", "prepaid"]
                .into_iter()
                .find(|known| *known == kind)?;
            let length = length
                .parse()
                .ok()
                .filter(|length| LENGTHS.contains(length))?;
            source.starts_with("https://").then_some(())?;
            Some(((bin.to_owned(), length), (kind, bank.to_owned())))
        };
        let (key, row) = row().ok_or_else(|| unreadable("card-bin-citations.csv", "a row"))?;
        cited.insert(key, row);
    }
    Ok(cited)
}

/// Adds a row. The first of two rows with the same prefix and length counts.
fn add(rows: &mut List, bin: &str, length: usize, kind: &'static str, bank: &str) {
    if LENGTHS.contains(&length) {
        rows.entry((bin.to_owned(), length))
            .or_insert_with(|| (kind, bank.to_owned()));
    }
}

fn card_type(word: &str) -> Option<&'static str> {
    match word {
        "DC" => Some("debit"),
        "CC" => Some("credit"),
        "SCC" => Some("quasi_credit"),
        "PC" => Some("prepaid"),
        _ => None,
    }
}

/// The rest of each object that begins like this.
fn objects<'a>(text: &'a str, beginning: &'a str) -> impl Iterator<Item = &'a str> {
    let objects = text.split(beginning).skip(1);
    objects.filter_map(|rest| until(rest, "}"))
}

fn until<'a>(text: &'a str, end: &str) -> Option<&'a str> {
    text.split_once(end).map(|(before, _)| before)
}

fn after<'a>(text: &'a str, start: &str) -> Option<&'a str> {
    text.split_once(start).map(|(_, rest)| rest)
}

fn filled(name: &'static str, rows: usize) -> Result<(), Error> {
    (rows > 0)
        .then_some(())
        .ok_or_else(|| unreadable(name, "the list"))
}

fn unreadable(name: &'static str, what: &'static str) -> Error {
    Error::List { name, what }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_list_is_read_in_its_own_form() {
        let text = "var banks = [{ code: 'ABC', name: '中国农业银行' }];\
                    var bin = [{ bin: '103', bank: 'ABC', type: DC, len: 19 }];";
        let named = bankcard(text).unwrap();
        assert_eq!(named.names["ABC"], "中国农业银行");
        assert_eq!(
            named.rows[&("103".to_owned(), 19)],
            ("debit", "ABC".to_owned())
        );

        let text = "bankName: \"甲\",\n bankCode: \"A\",\n patterns: [{ reg: /^(6221|6222)\\d{12}$/g,\n cardType: \"SCC\" },\
                    { reg: /^(1)\\d{19}$/g, cardType: \"DC\" }]";
        let named = bankcardinfo(text).unwrap();
        assert_eq!(named.rows.len(), 2, "20 digits are not a card number");
        assert_eq!(named.rows[&("6222".to_owned(), 16)].0, "quasi_credit");

        let text = "   \"621016\" : \"星展银行|星展银行借记卡\",\n   \"622232\" : \"工商银行|牡丹卡(个人卡)\"";
        let list = cardbin(text).unwrap();
        assert_eq!(list, HashMap::from([("621016".to_owned(), "debit")]));
        for nothing in ["", "[]"] {
            assert!(bankcard(nothing).is_err());
            assert!(bankcardinfo(nothing).is_err());
            assert!(cardbin(nothing).is_err());
        }
    }

    #[test]
    fn product_name_states_one_type_or_none() {
        for (product, expected) in [
            ("准贷记卡普卡", Some("quasi_credit")),
            ("银联标准贷记普卡", Some("credit")),
            ("IC预付费卡", Some("prepaid")),
            ("借记IC卡", Some("debit")),
            ("借贷合一卡", None),
            ("借记贷记合一卡", None),
            ("长城信用卡", None),
        ] {
            assert_eq!(product_type(product), expected, "{product}");
        }
    }

    #[test]
    fn citation_needs_a_source() {
        let file = |row: &str| citations(&format!("bin,length,type,bank_code,source\n{row}\n"));
        assert_eq!(
            file("6221,16,credit,A,https://example.org/a")
                .unwrap()
                .len(),
            1
        );
        for row in [
            "6221,16,credit,A,",
            "6221,16,gift,A,https://x",
            "6221,20,debit,A,https://x",
        ] {
            assert!(file(row).is_err(), "{row}");
        }
    }
}
