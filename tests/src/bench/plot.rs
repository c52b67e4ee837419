//! The stored results: the tables as Markdown, and a plot of cold starts and warm calls beside the peers.

use super::Row;
use super::report::Results;
use super::scene::PEER_STEPS;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const WIDTH: f64 = 760.0;
const BAR_HEIGHT: f64 = 18.0;
const LINE: f64 = 24.0;
const LEFT: f64 = 190.0;
/// The room for the figure behind the longest bar.
const RIGHT: f64 = 90.0;

/// Writes `tests/bench/results.md` and `tests/bench/results.svg`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(results: &Results<'_>, tables: &[String]) -> Result<(), String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench");
    let mut text = "# Results of `cargo local bench --write`\n\n".to_owned();
    for table in tables {
        if table.contains('\n') {
            let _ = write!(text, "```text\n{table}```\n\n");
        } else {
            let _ = write!(text, "{table}\n\n");
        }
    }
    store(&folder.join("results.md"), text.trim_end())?;
    store(&folder.join("results.svg"), &svg(results))
}

fn store(path: &PathBuf, text: &str) -> Result<(), String> {
    std::fs::write(path, format!("{text}\n"))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// Two panels of bars.
fn svg(results: &Results<'_>) -> String {
    let rows = results.rows.iter();
    let rows: Vec<&Row> = rows
        .filter(|row| PEER_STEPS.contains(&results.moments[row.place].step))
        .collect();
    let cold = rows
        .iter()
        .map(|row| (row.name.as_str(), row.cold.total.median()));
    let warm = rows
        .iter()
        .map(|row| (row.name.as_str(), row.warm.call.median()));
    let (mut y, mut body) = (0.0, String::new());
    panel(
        &mut body,
        &mut y,
        "Cold start: init and first call, ms",
        &cold.collect::<Vec<_>>(),
    );
    panel(
        &mut body,
        &mut y,
        "Warm call, p50, ms",
        &warm.collect::<Vec<_>>(),
    );
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {y}\" width=\"{WIDTH}\" height=\"{y}\" \
         font-family=\"sans-serif\" font-size=\"13\"><title>Cold and warm times beside the peers</title>\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>{body}</svg>"
    )
}

fn panel(body: &mut String, y: &mut f64, title: &str, bars: &[(&str, f64)]) {
    *y += LINE;
    let _ = write!(
        body,
        "<text x=\"8\" y=\"{y}\" font-weight=\"bold\">{title}</text>"
    );
    let longest = bars.iter().map(|(_, ms)| *ms).fold(1e-9, f64::max);
    for (name, ms) in bars {
        let (top, text) = (*y + 6.0, *y + 20.0);
        let width = (ms / longest * (WIDTH - LEFT - RIGHT)).max(1.0);
        let colour = if name.contains('@') {
            "#9aa5b1"
        } else {
            "#0b7285"
        };
        let after = LEFT + width + 6.0;
        let _ = write!(
            body,
            "<text x=\"8\" y=\"{text}\">{name}</text>\
             <rect x=\"{LEFT}\" y=\"{top}\" width=\"{width:.1}\" height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>\
             <text x=\"{after:.1}\" y=\"{text}\">{ms:.1}</text>"
        );
        *y += LINE;
    }
    *y += LINE / 2.0;
}
