//! Generates sorted static tables from `data/china-card-bins.csv`, so that a cold start parses nothing. Fails the build
//! when a row violates an assumption of `crate::format::bins`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

const SOURCE: &str = "../data/china-card-bins.csv";
const HEADER: &str = "bin,length,type,bank_code,bank_name";

/// The fields of a row after prefix and card length.
struct Row<'a> {
    kind: &'static str,
    bank_code: &'a str,
    bank_name: &'a str,
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
    Ok(())
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
        let row = Row {
            kind,
            bank_code,
            bank_name,
        };
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
            let Row {
                kind,
                bank_code,
                bank_name,
            } = row;
            writeln!(
                out,
                "        Bin {{ prefix: {prefix:?}, length: {length}, kind: BinKind::{kind}, \
                 bank_code: {bank_code:?}, bank_name: {bank_name:?} }},"
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
