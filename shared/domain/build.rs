//! Turns `data/china-card-bins.csv` into sorted static tables and the texts in `data/*.json` into constants. The build fails
//! when a row breaks an assumption of `format::bins` or a text lacks a language. A cold start parses nothing.

use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const SOURCE: &str = "../data/china-card-bins.csv";
const HEADER: &str = "bin,length,type,bank_code,bank_name";

/// The files of texts, each with the module that its constants lie in.
const TEXTS: [(&str, &str); 3] = [
    ("banners", "../data/banners.json"),
    ("consents", "../data/agreement/consents.json"),
    ("sms", "../data/sms.json"),
];

/// The fields of a row after prefix and card length.
struct Row<'a> {
    kind: &'static str,
    bank_code: &'a str,
}

/// Prefix length -> (prefix, card length) -> row, in search order.
type Table<'a> = BTreeMap<usize, BTreeMap<(&'a str, usize), Row<'a>>>;

/// Bank code -> bank name.
type Banks<'a> = BTreeMap<&'a str, &'a str>;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={SOURCE}");
    let csv = fs::read_to_string(SOURCE)?;
    let (table, banks) = read(&csv)?;
    let out_dir = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&out_dir).join("bins.rs"), render(&table, &banks)?)?;
    let mut texts = String::new();
    for (module, path) in TEXTS {
        println!("cargo::rerun-if-changed={path}");
        let file = serde_json::from_str(&fs::read_to_string(path)?)?;
        texts += &texts_module(module, &file).map_err(|error| format!("{path}: {error}"))?;
    }
    fs::write(Path::new(&out_dir).join("texts.rs"), texts)?;
    Ok(())
}

/// A module with a constant for each text of a file. A `note` is for its readers.
fn texts_module(module: &str, file: &Map<String, Value>) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    writeln!(out, "pub(crate) mod {module} {{\n    use super::Text;")?;
    for (id, languages) in file.iter().filter(|(id, _)| *id != "note") {
        let text = |lang: &str| {
            let text = languages.get(lang).and_then(Value::as_str);
            text.ok_or_else(|| format!("{id} has no text in {lang}"))
        };
        let (zh_cn, en) = (text("zh-CN")?, text("en")?);
        let name = id.to_uppercase();
        writeln!(
            out,
            "    pub(crate) const {name}: Text = Text {{ zh_cn: {zh_cn:?}, en: {en:?} }};"
        )?;
    }
    writeln!(out, "}}")?;
    Ok(out)
}

fn read(csv: &str) -> Result<(Table<'_>, Banks<'_>), Box<dyn Error>> {
    let mut lines = csv.lines();
    if lines.next() != Some(HEADER) {
        return Err(format!("{SOURCE}: the first line must be {HEADER}").into());
    }
    let mut table = Table::new();
    let mut banks = Banks::new();
    for (index, line) in lines.enumerate() {
        let at = |problem: &str| format!("{SOURCE}:{}: {problem}: {line}", index + 2);
        let fields: Vec<&str> = line.split(',').collect();
        let [prefix, length, kind, bank_code, bank_name] = fields[..] else {
            return Err(at("expected five fields").into());
        };
        let length: usize = length.parse().map_err(|_| at("bad card length"))?;
        if !(15..=19).contains(&length) {
            return Err(at("the card length must be 15 to 19").into());
        }
        let is_number = !prefix.is_empty() && prefix.bytes().all(|b| b.is_ascii_digit());
        if !is_number || prefix.len() > length {
            return Err(at("bad prefix").into());
        }
        if bank_code.is_empty() || bank_name.is_empty() {
            return Err(at("missing bank code or bank name").into());
        }
        let kind = match kind {
            "debit" => "Debit",
            "credit" => "Credit",
            "quasi_credit" => "QuasiCredit",
            "prepaid" => "Prepaid",
            _ => return Err(at("unknown card type").into()),
        };
        if *banks.entry(bank_code).or_insert(bank_name) != bank_name {
            return Err(at("an earlier row has another name for this bank").into());
        }
        let row = Row { kind, bank_code };
        let group = table.entry(prefix.len()).or_default();
        if group.insert((prefix, length), row).is_some() {
            return Err(at("duplicate prefix and length").into());
        }
    }
    if table.is_empty() {
        return Err(format!("{SOURCE}: no rows").into());
    }
    Ok((table, banks))
}

fn render(table: &Table<'_>, banks: &Banks<'_>) -> Result<String, std::fmt::Error> {
    let mut out = String::new();
    writeln!(
        out,
        "/// Longest prefix first; in a group sorted by prefix, then by card length.\n\
         static GROUPS: [Group; {}] = [",
        table.len()
    )?;
    for (prefix_length, rows) in table.iter().rev() {
        writeln!(out, "    Group {{ prefix_length: {prefix_length}, bins: &[")?;
        for (&(prefix, length), row) in rows {
            let Row { kind, bank_code } = row;
            writeln!(
                out,
                "        Bin {{ prefix: {prefix:?}, length: {length}, card_type: CardType::{kind}, \
                 bank_code: {bank_code:?} }},"
            )?;
        }
        writeln!(out, "    ] }},")?;
    }
    writeln!(
        out,
        "];\n\n/// Bank code and name, sorted by code.\n\
         static BANKS: [(&str, &str); {}] = [",
        banks.len()
    )?;
    for (code, name) in banks {
        writeln!(out, "    ({code:?}, {name:?}),")?;
    }
    writeln!(out, "];")?;
    Ok(out)
}
