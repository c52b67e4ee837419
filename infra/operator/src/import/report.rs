//! What the user sees: faults and the summary on the output, progress beside it.

use super::engine::{Ending, Summary};
use domain::onboarding::FieldFault;
use serde_json::json;
use std::io::{self, Write};
use std::time::{Duration, Instant};

/// How faults and summary are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// Text, with colours on a terminal.
    Text {
        /// True for a terminal.
        colours: bool,
    },
    /// One JSON object a line.
    Json,
}

/// Writes the output.
pub struct Report<O, P> {
    output: O,
    format: Format,
    /// The name of the file, which begins a line about a fault.
    file: String,
    progress: Option<Progress<P>>,
}

impl<O: Write, P: Write> Report<O, P> {
    /// Writes to `output`.
    pub fn new(output: O, format: Format, file: impl Into<String>) -> Self {
        Self {
            output,
            format,
            file: file.into(),
            progress: None,
        }
    }

    /// Shows progress, too.
    #[must_use]
    pub fn with_progress(mut self, progress: Progress<P>) -> Self {
        self.progress = Some(progress);
        self
    }

    /// The faults of a line.
    pub(super) fn faults(&mut self, line: u64, faults: &[FieldFault]) -> io::Result<()> {
        self.clear();
        for FieldFault { field, fault } in faults {
            let message = fault.message();
            match self.format {
                Format::Json => {
                    let code = fault.as_str();
                    let fault =
                        json!({"line": line, "field": field, "code": code, "message": message});
                    writeln!(self.output, "{fault}")?;
                }
                Format::Text { colours } => {
                    let (red, plain) = if colours {
                        ("\u{1b}[31m", "\u{1b}[0m")
                    } else {
                        ("", "")
                    };
                    let field = if field.is_empty() { "the line" } else { field };
                    let file = &self.file;
                    writeln!(
                        self.output,
                        "{file}:{line}: {field}: {red}{fault}{plain} {message}"
                    )?;
                }
            }
        }
        self.output.flush()
    }

    pub(super) fn progress(&mut self, state: &State) {
        if let Some(progress) = &mut self.progress {
            progress.show(state, false);
        }
    }

    fn clear(&mut self) {
        if let Some(progress) = &mut self.progress {
            progress.clear();
        }
    }

    /// The summary, at the end.
    pub(super) fn summary(&mut self, summary: &Summary) -> io::Result<()> {
        self.clear();
        match self.format {
            Format::Json => writeln!(self.output, "{}", summary_json(summary))?,
            Format::Text { .. } => write!(self.output, "{}", summary_text(summary))?,
        }
        self.output.flush()
    }
}

fn summary_json(summary: &Summary) -> serde_json::Value {
    let (ending, reason) = match &summary.ending {
        Ending::Finished => ("finished", None),
        Ending::Stopped => ("stopped", None),
        Ending::Failed(reason) => ("failed", Some(reason)),
    };
    json!({
        "ending": ending,
        "reason": reason,
        "dry_run": summary.dry_run,
        "lines": summary.lines,
        "created": summary.created,
        "already_there": summary.already_there,
        "refused": summary.refused,
        "skipped": summary.skipped,
        "refused_before": summary.refused_before,
        "done_lines": summary.done_lines,
        "seconds": summary.took.as_secs_f64(),
    })
}

fn summary_text(summary: &Summary) -> String {
    let created = if summary.dry_run { "valid" } else { "created" };
    let mut text = format!(
        "{} lines in {}: {} {created}, {} there before, {} with errors ({} a second)\n",
        summary.lines,
        clock(summary.took),
        summary.created,
        summary.already_there,
        summary.refused,
        per_second(summary.lines, summary.took),
    );
    if summary.skipped > 0 {
        let errors = summary.refused_before;
        text.push_str(&format!(
            "{} lines were done before, {errors} of them with errors\n",
            summary.skipped
        ));
    }
    match &summary.ending {
        Ending::Finished => {}
        Ending::Stopped => text.push_str(&format!(
            "stopped: lines up to {} are done; the same command continues\n",
            summary.done_lines
        )),
        Ending::Failed(reason) => text.push_str(&format!(
            "failed: {reason}\nlines up to {} are done; the same command continues\n",
            summary.done_lines
        )),
    }
    text
}

/// Whole items a second.
#[must_use]
pub fn per_second(items: u64, took: Duration) -> u64 {
    let ms = took.as_millis().max(1);
    u64::try_from(u128::from(items) * 1_000 / ms).unwrap_or(u64::MAX)
}

/// Minutes and seconds.
fn clock(time: Duration) -> String {
    let s = time.as_secs();
    format!("{}:{:02}", s / 60, s % 60)
}

/// How far an import is.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct State {
    pub(super) lines: u64,
    pub(super) refused: u64,
    /// Bytes read by this run.
    pub(super) read: u64,
    /// Bytes that this run has to read.
    pub(super) total: u64,
}

/// The progress bar on a terminal; elsewhere a line now and then.
pub struct Progress<P> {
    output: P,
    is_terminal: bool,
    began: Instant,
    shown_at: Option<Instant>,
    is_shown: bool,
}

impl<P: Write> Progress<P> {
    const ON_TERMINAL: Duration = Duration::from_millis(200);
    const ELSEWHERE: Duration = Duration::from_secs(10);
    const BAR: u64 = 24;

    /// Progress since now.
    pub fn new(output: P, is_terminal: bool) -> Self {
        Self {
            output,
            is_terminal,
            began: Instant::now(),
            shown_at: None,
            is_shown: false,
        }
    }

    fn show(&mut self, state: &State, now: bool) {
        let every = if self.is_terminal {
            Self::ON_TERMINAL
        } else {
            Self::ELSEWHERE
        };
        let since = self.shown_at.unwrap_or(self.began);
        if !now && since.elapsed() < every {
            return;
        }
        self.shown_at = Some(Instant::now());
        let text = bar(state, self.began.elapsed(), Self::BAR);
        // Progress is worth no error.
        let _ = if self.is_terminal {
            self.is_shown = true;
            write!(self.output, "\r\u{1b}[K{text}")
        } else {
            writeln!(self.output, "{text}")
        };
        let _ = self.output.flush();
    }

    fn clear(&mut self) {
        if self.is_shown {
            self.is_shown = false;
            let _ = write!(self.output, "\r\u{1b}[K");
            let _ = self.output.flush();
        }
    }
}

/// `[####    ] 41 %  41200 lines  1234/s  0:48 left  3 with errors`
fn bar(state: &State, took: Duration, width: u64) -> String {
    let total = state.total.max(1);
    let read = state.read.min(total);
    let filled = read * width / total;
    let bar: String = (0..width)
        .map(|at| if at < filled { '#' } else { ' ' })
        .collect();
    let percent = read * 100 / total;
    let rate = per_second(state.lines, took);
    let left = if read == 0 {
        "-:--".to_owned()
    } else {
        let ms = took.as_millis() * u128::from(total - read) / u128::from(read);
        clock(Duration::from_millis(u64::try_from(ms).unwrap_or(u64::MAX)))
    };
    format!(
        "[{bar}] {percent} %  {} lines  {rate}/s  {left} left  {} with errors",
        state.lines, state.refused
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::onboarding::Fault;

    #[test]
    fn fault_names_file_line_and_field() {
        let faults = [
            FieldFault::new("card.number", Fault::CardFormat),
            FieldFault::new("", Fault::NotJson),
        ];
        let written = |format| {
            let mut report: Report<_, Vec<u8>> = Report::new(Vec::new(), format, "m.jsonl");
            report.faults(7, &faults).unwrap();
            String::from_utf8(report.output).unwrap()
        };
        assert_eq!(
            written(Format::Text { colours: false }),
            "m.jsonl:7: card.number: CARD_FORMAT does not have 15 to 19 digits\n\
             m.jsonl:7: the line: NOT_JSON is not a JSON object in UTF-8\n"
        );
        assert!(written(Format::Text { colours: true }).contains("\u{1b}[31mCARD_FORMAT\u{1b}[0m"));
        let json: serde_json::Value =
            serde_json::from_str(written(Format::Json).lines().next().unwrap()).unwrap();
        assert_eq!(json["line"], 7);
        assert_eq!(json["field"], "card.number");
        assert_eq!(json["code"], "CARD_FORMAT");
    }

    #[test]
    fn bar_shows_rate_and_time_left() {
        let state = State {
            lines: 5_000,
            refused: 3,
            read: 250,
            total: 1_000,
        };
        let text = bar(&state, Duration::from_secs(5), 8);
        assert_eq!(
            text,
            "[##      ] 25 %  5000 lines  1000/s  0:15 left  3 with errors"
        );
        let text = bar(&State::default(), Duration::ZERO, 4);
        assert_eq!(text, "[    ] 0 %  0 lines  0/s  -:-- left  0 with errors");
    }

    #[test]
    fn progress_is_cleared_on_a_terminal_only() {
        for (is_terminal, expected) in [(true, "\r\u{1b}[K"), (false, "")] {
            let mut progress = Progress::new(Vec::new(), is_terminal);
            progress.show(&State::default(), true);
            let shown = progress.output.len();
            progress.clear();
            let after = String::from_utf8(progress.output[shown..].to_vec()).unwrap();
            assert_eq!(after, expected);
        }
    }
}
