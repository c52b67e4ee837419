//! The tables between two marks: one row for each figure in `tests/README.md`, one for each ordeal in `README.md`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Ordeal;
use crate::error::Error;

/// Where the table begins and ends.
const MARKS: (&str, &str) = ("<!-- figures -->", "<!-- end of figures -->");

/// In the name of a figure that counts them.
const BYTES: &str = ": bytes ";

/// A row: what was tried, how often, what was lost, and what repeats it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Figure {
    pub(super) what: String,
    pub(super) tried: String,
    pub(super) lost: String,
    command: String,
}

impl Figure {
    /// The figure that a line prints, if it prints one.
    pub(super) fn of(line: &str, command: &str) -> Option<Self> {
        let mut cells = line.split(" | ").map(str::trim);
        if cells.next() != Some("figure") {
            return None;
        }
        let mut cell = || cells.next().map(str::to_owned);
        Some(Self {
            what: cell()?,
            tried: cell()?,
            lost: cell()?,
            command: command.to_owned(),
        })
    }

    pub(super) fn new(
        what: &str,
        tried: impl ToString,
        lost: impl ToString,
        command: &str,
    ) -> Self {
        Self {
            what: what.to_owned(),
            tried: tried.to_string(),
            lost: lost.to_string(),
            command: command.to_owned(),
        }
    }
}

/// The rows by what was run, and where they are kept.
#[derive(Debug)]
pub(super) struct Table {
    rows: BTreeMap<Ordeal, Vec<Figure>>,
    folder: PathBuf,
}

impl Table {
    /// What `tests/README.md` of this folder has.
    pub(super) fn read(folder: &Path) -> Result<Self, Error> {
        let page = Page::read(folder.join("tests/README.md"))?;
        let mut rows: BTreeMap<Ordeal, Vec<Figure>> = BTreeMap::new();
        for row in page.table.lines() {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let [ordeal, what, tried, lost, command] = cells.as_slice() else {
                continue;
            };
            if let Ok(ordeal) = ordeal.parse::<Ordeal>() {
                let figure = Figure::new(what, tried, lost, command.trim_matches('`'));
                rows.entry(ordeal).or_default().push(figure);
            }
        }
        Ok(Self {
            rows,
            folder: folder.to_owned(),
        })
    }

    pub(super) fn replace(&mut self, ordeal: Ordeal, figures: Vec<Figure>) {
        self.rows.insert(ordeal, figures);
    }

    /// One row for each figure.
    pub(super) fn text(&self) -> String {
        let mut text =
            "| ordeal | what was tried | how often | lost | command |\n|---|---|---|---|---|\n"
                .to_owned();
        for (ordeal, figures) in &self.rows {
            for Figure {
                what,
                tried,
                lost,
                command,
            } in figures
            {
                let ordeal = ordeal.name();
                text.push_str(&format!(
                    "| {ordeal} | {what} | {tried} | {lost} | `{command}` |\n"
                ));
            }
        }
        text
    }

    /// One row for each ordeal: its figures added up, but for bytes, which nothing else is added to.
    fn sums(&self) -> String {
        let mut text =
            "| what was tried | how often | lost | command |\n|---|---|---|---|\n".to_owned();
        for (ordeal, figures) in &self.rows {
            let (bytes, others): (Vec<&Figure>, Vec<&Figure>) = figures
                .iter()
                .partition(|figure| figure.what.contains(BYTES));
            let sum = |cell: fn(&Figure) -> &str| -> u64 {
                others.iter().map(|figure| number(cell(figure))).sum()
            };
            let (tried, lost) = (sum(|figure| &figure.tried), sum(|figure| &figure.lost));
            let mut row = |what: &str, tried: u64, lost: u64| {
                let name = ordeal.name();
                text.push_str(&format!(
                    "| {what} | {tried} | {lost} | `cargo local torture {name}` |\n"
                ));
            };
            row(ordeal.what(), tried, lost);
            for figure in bytes {
                row(&figure.what, number(&figure.tried), number(&figure.lost));
            }
        }
        text
    }

    pub(super) fn write(&self) -> Result<(), Error> {
        Page::read(self.folder.join("tests/README.md"))?.write(&self.text())?;
        Page::read(self.folder.join("README.md"))?.write(&self.sums())
    }
}

/// The number that a cell begins with: `14, 7 twice` is 14.
fn number(cell: &str) -> u64 {
    let digits = cell.split(|c: char| !c.is_ascii_digit()).next();
    digits
        .and_then(|digits| digits.parse().ok())
        .unwrap_or_default()
}

/// A text with a table in it.
#[derive(Debug)]
struct Page {
    path: PathBuf,
    before: String,
    table: String,
    after: String,
}

impl Page {
    fn read(path: PathBuf) -> Result<Self, Error> {
        let text = std::fs::read_to_string(&path)
            .map_err(Error::io(format!("reading {}", path.display())))?;
        let parts = text
            .split_once(MARKS.0)
            .and_then(|(before, rest)| Some((before, rest.split_once(MARKS.1)?)));
        let Some((before, (table, after))) = parts else {
            return Err(Error::Reply {
                what: format!("a table between {} and {}", MARKS.0, MARKS.1),
                reply: path.display().to_string(),
            });
        };
        Ok(Self {
            before: before.to_owned(),
            table: table.to_owned(),
            after: after.to_owned(),
            path,
        })
    }

    fn write(self, table: &str) -> Result<(), Error> {
        let Self {
            path,
            before,
            after,
            ..
        } = self;
        let text = format!("{before}{}\n{table}{}{after}", MARKS.0, MARKS.1);
        std::fs::write(&path, text).map_err(Error::io(format!("writing {}", path.display())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_figure_or_none() {
        let figure = Figure::of("figure | model: states | 370739 | 0", "cargo test");
        assert_eq!(
            figure,
            Some(Figure::new("model: states", 370_739, 0, "cargo test"))
        );
        assert_eq!(Figure::of("test model ... ok", "cargo test"), None);
        assert_eq!(Figure::of("figure | half", "cargo test"), None);
    }

    #[test]
    fn rows_of_other_runs_stay_and_are_added_up() {
        let folder = std::env::temp_dir().join(format!("torture-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("tests")).unwrap();
        for name in ["README.md", "tests/README.md"] {
            let text = format!("Above {name}.\n\n{}\n{}\n\nBelow.\n", MARKS.0, MARKS.1);
            std::fs::write(folder.join(name), text).unwrap();
        }
        let mut table = Table::read(&folder).unwrap();
        table.replace(
            Ordeal::Attacks,
            vec![Figure::new("attacks", 45, 0, "cargo attacks")],
        );
        table.write().unwrap();
        let mut table = Table::read(&folder).unwrap();
        table.replace(
            Ordeal::Streams,
            vec![
                Figure::new("crashes", "14, 7 twice", 0, "cargo streams"),
                Figure::new("notices", 20, 1, "cargo streams"),
                Figure::new("messages: bytes searched", 5_000, 0, "cargo streams"),
            ],
        );
        table.write().unwrap();
        assert_eq!(Table::read(&folder).unwrap().rows, table.rows);
        assert_eq!(table.rows.len(), 2);
        let text = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
        let sums = text("README.md");
        assert!(sums.starts_with("Above README.md.") && sums.ends_with("Below.\n"));
        assert!(sums.contains(" | 34 | 1 | `cargo local torture streams` |"));
        assert!(sums.contains("| messages: bytes searched | 5000 | 0 | "));
        assert!(sums.contains(" | 45 | 0 | `cargo local torture attacks` |"));
        assert!(
            text("tests/README.md").contains("| streams | notices | 20 | 1 | `cargo streams` |")
        );
        std::fs::write(folder.join("README.md"), "no marks").unwrap();
        assert!(table.write().is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
