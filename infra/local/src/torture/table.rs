//! The table in `tests/README.md`: one row for each figure, kept between two marks.

use std::collections::BTreeMap;
use std::path::Path;

use super::Ordeal;
use crate::error::Error;

/// Where the table begins and ends.
const MARKS: (&str, &str) = ("<!-- figures -->", "<!-- end of figures -->");

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

/// The rows by what was run, and the text around them.
#[derive(Debug)]
pub(super) struct Table {
    rows: BTreeMap<Ordeal, Vec<Figure>>,
    before: String,
    after: String,
}

impl Table {
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(Error::io(format!("reading {}", path.display())))?;
        Self::of(&text).ok_or_else(|| Error::Reply {
            what: format!("a table between {} and {}", MARKS.0, MARKS.1),
            reply: path.display().to_string(),
        })
    }

    fn of(text: &str) -> Option<Self> {
        let (before, rest) = text.split_once(MARKS.0)?;
        let (rows, after) = rest.split_once(MARKS.1)?;
        let mut table = Self {
            rows: BTreeMap::new(),
            before: before.to_owned(),
            after: after.to_owned(),
        };
        for row in rows.lines() {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            let [ordeal, what, tried, lost, command] = cells.as_slice() else {
                continue;
            };
            if let Ok(ordeal) = ordeal.parse::<Ordeal>() {
                let command = command.trim_matches('`');
                let figure = Figure::new(what, tried, lost, command);
                table.rows.entry(ordeal).or_default().push(figure);
            }
        }
        Some(table)
    }

    pub(super) fn replace(&mut self, ordeal: Ordeal, figures: Vec<Figure>) {
        self.rows.insert(ordeal, figures);
    }

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

    pub(super) fn write(&self, path: &Path) -> Result<(), Error> {
        let Self { before, after, .. } = self;
        let text = format!("{before}{}\n{}{}{after}", MARKS.0, self.text(), MARKS.1);
        std::fs::write(path, text).map_err(Error::io(format!("writing {}", path.display())))
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
    fn rows_of_other_runs_stay() {
        let text = format!("Above.\n\n{}\n{}\n\nBelow.\n", MARKS.0, MARKS.1);
        let mut table = Table::of(&text).unwrap();
        table.replace(
            Ordeal::Attacks,
            vec![Figure::new("attacks", 45, 0, "cargo attacks")],
        );
        table.replace(
            Ordeal::Model,
            vec![Figure::new("states", 7, 0, "cargo model")],
        );
        let written = format!(
            "{}{}\n{}{}{}",
            table.before,
            MARKS.0,
            table.text(),
            MARKS.1,
            table.after
        );
        let mut again = Table::of(&written).unwrap();
        assert_eq!(again.rows, table.rows);
        again.replace(
            Ordeal::Model,
            vec![Figure::new("states", 8, 0, "cargo model")],
        );
        assert_eq!(again.rows[&Ordeal::Attacks], table.rows[&Ordeal::Attacks]);
        assert_eq!((again.before, again.after), (table.before, table.after));
        assert!(Table::of("no marks").is_none());
    }
}
