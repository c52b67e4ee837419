//! Turns the table of card prefixes and `data/holidays.json` into sorted static tables and the texts in `data/*.json` into
//! constants. The build fails when a row breaks an assumption of `format::bins` or a text lacks a language. A cold start parses nothing.

use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

/// The folder of the data. A new file in it reruns this script too.
const DATA: &str = "../data";
/// The acquirer's own table of card prefixes. It takes the place of the public one if it exists.
const OFFICIAL: &str = "../data/official-card-bins.csv";
const PUBLIC: &str = "../data/china-card-bins.csv";
const HEADER: &str = "bin,length,type,bank_code,bank_name";

const HOLIDAYS: &str = "../data/holidays.json";

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
    println!("cargo::rerun-if-changed={DATA}");
    let source = if Path::new(OFFICIAL).exists() {
        OFFICIAL
    } else {
        PUBLIC
    };
    let csv = fs::read_to_string(source)?;
    let (table, banks) = read(source, &csv)?;
    let source = fs::canonicalize(source)?;
    println!("cargo::rustc-env=CARD_BINS={}", source.display());
    let out_dir = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    fs::write(Path::new(&out_dir).join("bins.rs"), render(&table, &banks)?)?;
    let mut texts = String::new();
    for (module, path) in TEXTS {
        println!("cargo::rerun-if-changed={path}");
        let file = serde_json::from_str(&fs::read_to_string(path)?)?;
        texts += &texts_module(module, &file).map_err(|error| format!("{path}: {error}"))?;
    }
    fs::write(Path::new(&out_dir).join("texts.rs"), texts)?;
    println!("cargo::rerun-if-changed={HOLIDAYS}");
    let file = serde_json::from_str(&fs::read_to_string(HOLIDAYS)?)?;
    let tables = holidays(&file).map_err(|error| format!("{HOLIDAYS}: {error}"))?;
    fs::write(Path::new(&out_dir).join("holidays.rs"), tables)?;
    Ok(())
}

/// A module with a constant for each text of a file. A `note` is for its readers.
fn texts_module(module: &str, file: &Map<String, Value>) -> Result<String, Box<dyn Error>> {
    let mut out = String::new();
    writeln!(out, "pub(crate) mod {module} {{\n    use super::Text;")?;
    let mut names = Vec::new();
    for (id, languages) in file.iter().filter(|(id, _)| *id != "note") {
        let text = |lang: &str| {
            let text = languages.get(lang).and_then(Value::as_str);
            text.ok_or_else(|| format!("{id} has no text in {lang}"))
        };
        let (zh_cn, en) = (text("zh-CN")?, text("en")?);
        let name = id.to_uppercase();
        names.push(format!("&{name}"));
        writeln!(
            out,
            "    pub(crate) const {name}: Text = Text {{ name: {id:?}, zh_cn: {zh_cn:?}, en: {en:?} }};"
        )?;
    }
    if module == "sms" {
        writeln!(
            out,
            "    pub(crate) static ALL: [&Text; {}] = [{}];",
            names.len(),
            names.join(", ")
        )?;
    }
    writeln!(out, "}}")?;
    Ok(out)
}

/// Tables of the days off and the days worked, and the first and last day of the years in the file.
fn holidays(file: &Map<String, Value>) -> Result<String, Box<dyn Error>> {
    let (mut off, mut worked, mut years) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for (year, notice) in file.iter().filter(|(id, _)| *id != "note") {
        years.insert(year.parse::<i64>()?);
        let list = |name: &str| {
            notice[name]
                .as_array()
                .ok_or_else(|| format!("{year} has no {name}"))
        };
        for range in list("off")? {
            off.extend(day(&range[0])?..=day(&range[1])?);
        }
        for date in list("worked")? {
            worked.insert(day(date)?);
        }
    }
    let (Some(first), Some(last)) = (years.first(), years.last()) else {
        return Err("no year".into());
    };
    if i64::try_from(years.len())? != last - first + 1 {
        return Err("a year is missing".into());
    }
    let table = |name: &str, days: &BTreeSet<i64>| {
        let (count, days) = (days.len(), days.iter().collect::<Vec<_>>());
        format!("static {name}: [i64; {count}] = {days:?};\n")
    };
    let (first, end) = (day_number(*first, 1, 1), day_number(last + 1, 1, 1));
    Ok(format!(
        "{}{}const FIRST_DAY: i64 = {first};\nconst LAST_DAY: i64 = {};\n",
        table("OFF", &off),
        table("WORKED", &worked),
        end - 1
    ))
}

/// The number of a date, `2026-01-31`.
fn day(date: &Value) -> Result<i64, Box<dyn Error>> {
    let text = date.as_str().ok_or("a date is not a text")?;
    let parts: Vec<i64> = text.split('-').map(str::parse).collect::<Result<_, _>>()?;
    let [year, month @ 1..=12, day @ 1..=31] = parts[..] else {
        return Err(format!("{text} is not a date").into());
    };
    Ok(day_number(year, month, day))
}

/// Days since 1970-01-01 in the Gregorian calendar. A year starts in March here, so that a leap day ends it.
const fn day_number(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    365 * year + year / 4 - year / 100 + year / 400 + day_of_year - 719_468
}

fn read<'a>(source: &str, csv: &'a str) -> Result<(Table<'a>, Banks<'a>), Box<dyn Error>> {
    let mut lines = csv.lines();
    if lines.next() != Some(HEADER) {
        return Err(format!("{source}: the first line must be {HEADER}").into());
    }
    let mut table = Table::new();
    let mut banks = Banks::new();
    for (index, line) in lines.enumerate() {
        let at = |problem: &str| format!("{source}:{}: {problem}: {line}", index + 2);
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
            // Public lists disagree, so the bank decides as it does about a missing prefix.
            "disputed" => "Unknown",
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
        return Err(format!("{source}: no rows").into());
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
