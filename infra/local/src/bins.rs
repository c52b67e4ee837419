//! `cargo local bins`: the public table of card prefixes, rebuilt from pinned packages.
//!
//! - `packages`: the pinned packages, downloaded once and verified
//! - `lists`: reads the list in each package
//! - `merge`: one table from all lists

mod lists;
mod merge;
mod packages;

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::Error;
use crate::paths::workspace;
use merge::Table;

/// The committed table.
fn table_path() -> PathBuf {
    workspace().join("shared/data/china-card-bins.csv")
}

/// Rows of other public sources, each with its source.
fn citations_path() -> PathBuf {
    workspace().join("shared/data/card-bin-citations.csv")
}

fn read(path: &std::path::Path) -> Result<String, Error> {
    std::fs::read_to_string(path).map_err(Error::io(format!("reading {}", path.display())))
}

fn rebuilt() -> Result<Table, Error> {
    let texts = packages::texts()?;
    let citations = lists::citations(&read(&citations_path())?)?;
    Ok(merge::merge(
        &lists::bankcard(&texts.bankcard)?,
        &lists::bankcardinfo(&texts.bankcardinfo)?,
        &lists::cardbin(&texts.cardbin)?,
        &citations,
    ))
}

/// Writes `shared/data/china-card-bins.csv`, and prints what it contains.
///
/// # Errors
/// When a package cannot be downloaded or read, or the file cannot be written.
pub fn write() -> Result<(), Error> {
    let table = rebuilt()?;
    let path = table_path();
    let writing = Error::io(format!("writing {}", path.display()));
    std::fs::write(&path, table.to_csv()).map_err(writing)?;
    println!("wrote {}", path.display());
    report(&table);
    Ok(())
}

/// Compares the committed table with the rebuilt one, and prints what it contains.
///
/// # Errors
/// When the table differs, or a package cannot be downloaded or read.
pub fn check() -> Result<(), Error> {
    let table = rebuilt()?;
    let path = table_path();
    if read(&path)? != table.to_csv() {
        return Err(Error::StaleBins(path));
    }
    report(&table);
    Ok(())
}

fn report(table: &Table) {
    let mut types = BTreeMap::new();
    for row in table.rows.values() {
        *types.entry(row.card_type).or_insert(0_usize) += 1;
    }
    let types = types.iter().map(|(name, count)| format!("{count} {name}"));
    let types = types.collect::<Vec<_>>().join(", ");
    println!("{} rows: {types}", table.rows.len());
    println!("disputed, and what each list states:");
    for (key, opinions) in &table.disputes {
        let opinions = opinions.iter().map(|(list, kind)| format!("{list} {kind}"));
        let opinions = opinions.collect::<Vec<_>>().join(", ");
        println!("  {} of {} digits: {opinions}", key.0, key.1);
    }
}
