//! Reads, checks, sends and reports.

use super::Error;
use super::card_key::{CardKey, opened};
use super::lines::{Content, Line, Lines, Mark};
use super::pace::{Pace, pause};
use super::report::{Report, State};
use super::resume::{Progress, ResumeFile};
use super::target::{Answer, Entry, Target};
use api::operator::NewMerchant;
use domain::onboarding::{Fault, FieldFault};
use domain::policy::Policy;
use domain::time::Timestamp;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io::{BufRead, Write};
use std::time::{Duration, Instant as Wall};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Lines between the first one that is not done and the last one that was read.
const WINDOW: usize = 1_000;
/// Lines that are read before the next look at what was sent.
const LINES_AT_ONCE: usize = 256;
/// Calls for one entry: with the pauses between them, about three quarters of a minute.
const ATTEMPTS_MAX: u32 = 10;
/// When the resume file is written: after this many lines or this time.
const STORED_EVERY: (u64, Duration) = (1_000, Duration::from_secs(1));

/// What to import, and how.
#[derive(Clone, Copy, Debug)]
pub struct Plan<'p> {
    /// The name of the file, for messages.
    pub file: &'p str,
    /// The length of the file.
    pub total_bytes: u64,
    /// Maximum number of calls in flight.
    pub in_flight: u16,
    /// Maximum number of lines a second.
    pub rate: Option<u32>,
    /// True if nothing is sent.
    pub dry_run: bool,
    /// The key to which card numbers are encrypted.
    pub card_key: Option<&'p CardKey>,
    /// The rules.
    pub policy: &'static Policy,
    /// The clock of the rules.
    pub clock: fn() -> Timestamp,
}

/// How an import ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every line is done.
    Finished,
    /// The user stopped it, or nobody reads its output any more.
    Stopped,
    /// The target does not work.
    Failed(String),
}

/// The result of an import.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// How it ended.
    pub ending: Ending,
    /// True if nothing was sent.
    pub dry_run: bool,
    /// The lines with a merchant of this run.
    pub lines: u64,
    /// The merchants that this run created; in a dry run, the valid lines.
    pub created: u64,
    /// The merchants that were created before from the same content.
    pub already_there: u64,
    /// The lines of this run that have faults.
    pub refused: u64,
    /// The lines that earlier runs have done.
    pub skipped: u64,
    /// Those of them that have faults.
    pub refused_before: u64,
    /// The number of lines, from the first one, that are done.
    pub done_lines: u64,
    /// How long it took.
    pub took: Duration,
}

impl Summary {
    /// True if every line of the file is a merchant that exists; in a dry run, that is valid.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.ending == Ending::Finished && self.refused == 0 && self.refused_before == 0
    }
}

/// Imports the lines. With a resume file, goes on where an earlier import stopped. `stop` ends it after the lines in flight.
///
/// # Errors
/// When a file cannot be read or written, has no lines, or the resume file is about something else.
pub async fn run<R: BufRead, T: Target, O: Write, P: Write>(
    plan: Plan<'_>,
    mut lines: Lines<R>,
    target: &T,
    resume: Option<&ResumeFile>,
    report: &mut Report<O, P>,
    stop: impl Future<Output = ()>,
) -> Result<Summary, Error> {
    let done = match resume {
        Some(resume) => go_on(&plan, &mut lines, resume)?,
        None => Progress::default(),
    };
    let skipped = lines.bytes();
    let mut import = Import {
        plan,
        target,
        resume,
        report,
        shared: &Shared::new(&plan),
        pending: VecDeque::new(),
        batch: Vec::new(),
        summary: Summary {
            ending: Ending::Finished,
            dry_run: plan.dry_run,
            lines: 0,
            created: 0,
            already_there: 0,
            refused: 0,
            skipped: done.mark.lines,
            refused_before: done.refused,
            done_lines: done.mark.lines,
            took: Duration::ZERO,
        },
        stored: (done.mark.lines, Wall::now()),
        done,
        is_read: false,
    };
    import.all(&mut lines, skipped, stop).await
}

/// Skips what an earlier import has done.
fn go_on<R: BufRead>(
    plan: &Plan<'_>,
    lines: &mut Lines<R>,
    resume: &ResumeFile,
) -> Result<Progress, Error> {
    let Some(done) = resume.load()? else {
        return Ok(Progress::default());
    };
    let reading = Error::io(format!("reading {}", plan.file));
    if done.mark.bytes > 0 && !lines.skip_to(&done.mark).map_err(reading)? {
        return Err(Error::OtherFile {
            file: plan.file.to_owned(),
            resume: resume.path().display().to_string(),
            lines: done.mark.lines,
        });
    }
    Ok(done)
}

/// A line that was read and is not done, or waits for earlier ones.
struct Pending {
    number: u64,
    end: Mark,
    /// Whether it has faults; `None` until it is done.
    refused: Option<bool>,
}

/// What the calls in flight share with the import.
struct Shared {
    pace: RefCell<Pace>,
    is_stopping: Cell<bool>,
    stopping: Notify,
}

impl Shared {
    fn new(plan: &Plan<'_>) -> Self {
        Self {
            pace: RefCell::new(Pace::new(plan.in_flight, plan.rate)),
            is_stopping: Cell::new(false),
            stopping: Notify::new(),
        }
    }

    fn is_stopping(&self) -> bool {
        self.is_stopping.get()
    }

    /// Ends every pause between two attempts.
    fn stop(&self) {
        self.is_stopping.set(true);
        self.stopping.notify_waiters();
    }

    /// Waits before the next attempt.
    async fn pause(&self, attempt: u32) {
        tokio::select! {
            () = tokio::time::sleep(pause(attempt)) => {}
            () = self.stopping.notified() => {}
        }
    }
}

struct Import<'i, T, O, P> {
    plan: Plan<'i>,
    target: &'i T,
    resume: Option<&'i ResumeFile>,
    report: &'i mut Report<O, P>,
    shared: &'i Shared,
    /// In the order of the file.
    pending: VecDeque<Pending>,
    /// Entries for the next call.
    batch: Vec<Entry>,
    summary: Summary,
    done: Progress,
    /// The position and the time of the last write of the resume file.
    stored: (u64, Wall),
    is_read: bool,
}

impl<'i, T: Target, O: Write, P: Write> Import<'i, T, O, P> {
    async fn all<R: BufRead>(
        &mut self,
        lines: &mut Lines<R>,
        skipped: u64,
        stop: impl Future<Output = ()>,
    ) -> Result<Summary, Error> {
        let began = Wall::now();
        let mut stop = std::pin::pin!(stop);
        let mut calls = FuturesUnordered::new();
        loop {
            for _ in 0..LINES_AT_ONCE {
                if !self.may_read(calls.len()) {
                    break;
                }
                let reading = Error::io(format!("reading {}", self.plan.file));
                self.read(lines.next_line().map_err(reading)?);
                if self.batch.len() >= self.target.batch().max(1)
                    || (self.is_read && !self.batch.is_empty())
                {
                    let batch = std::mem::take(&mut self.batch);
                    calls.push(send(self.target, batch, self.shared));
                }
            }
            self.advance()?;
            self.report.progress(&State {
                lines: self.summary.lines,
                refused: self.summary.refused,
                read: lines.bytes().saturating_sub(skipped),
                total: self.plan.total_bytes.saturating_sub(skipped),
            });
            if calls.is_empty() && (self.is_read || self.shared.is_stopping()) {
                break;
            }
            let wait_until = self.shared.pace.borrow().wait_until(Instant::now());
            tokio::select! {
                biased;
                () = &mut stop, if !self.shared.is_stopping() => self.stop(Ending::Stopped),
                Some(answers) = calls.next() => self.answered(answers),
                () = sleep_until(wait_until.unwrap_or_else(Instant::now)), if wait_until.is_some() => {}
                () = tokio::task::yield_now(), if wait_until.is_none() && calls.is_empty() => {}
            }
        }
        self.end(began)
    }

    fn end(&mut self, began: Wall) -> Result<Summary, Error> {
        self.advance()?;
        self.store()?;
        self.summary.done_lines = self.done.mark.lines;
        self.summary.took = began.elapsed();
        let summary = self.summary.clone();
        let is_empty = summary.lines == 0 && summary.skipped == 0;
        if is_empty && summary.ending == Ending::Finished {
            return Err(Error::Empty(self.plan.file.to_owned()));
        }
        // Nobody may read any more; the exit code says the rest.
        let _ = self.report.summary(&summary);
        Ok(summary)
    }

    fn may_read(&self, calls: usize) -> bool {
        let pace = self.shared.pace.borrow();
        !self.is_read
            && !self.shared.is_stopping()
            && self.pending.len() < WINDOW
            && pace.allows(calls)
            && pace.wait_until(Instant::now()).is_none()
    }

    /// Checks a line, and adds its entry to the next call if it is valid.
    fn read(&mut self, line: Option<Line>) {
        let Some(Line {
            number,
            content,
            end,
        }) = line
        else {
            self.is_read = true;
            return;
        };
        self.pending.push_back(Pending {
            number,
            end,
            refused: None,
        });
        let text = match content {
            Content::Blank => return self.line_done(number, false),
            Content::TooLong => {
                self.summary.lines += 1;
                return self.refused(number, &[FieldFault::new("", Fault::LineTooLong)]);
            }
            Content::Text(text) => text,
        };
        self.summary.lines += 1;
        self.shared.pace.borrow_mut().start(Instant::now());
        let now = (self.plan.clock)();
        let read = opened(text, self.plan.card_key).and_then(|json| {
            let merchant = NewMerchant::from_json(&json)?;
            let merchant = merchant.read(self.plan.policy, now)?;
            Ok(Entry {
                line: number,
                json,
                merchant,
            })
        });
        match read {
            Ok(entry) => self.batch.push(entry),
            Err(faults) => self.refused(number, &faults),
        }
    }

    fn answered(&mut self, answers: Vec<(u64, Answer)>) {
        for (line, answer) in answers {
            match answer {
                Answer::Created => {
                    self.summary.created += 1;
                    self.line_done(line, false);
                }
                Answer::AlreadyThere => {
                    self.summary.already_there += 1;
                    self.line_done(line, false);
                }
                Answer::Refused(faults) => self.refused(line, &faults),
                Answer::Unavailable(reason) | Answer::Failed(reason) => {
                    self.stop(Ending::Failed(reason));
                }
            }
        }
    }

    fn refused(&mut self, line: u64, faults: &[FieldFault]) {
        self.summary.refused += 1;
        if self.report.faults(line, faults).is_err() {
            // A line whose faults nobody has seen is not done.
            self.stop(Ending::Stopped);
            return;
        }
        self.line_done(line, true);
    }

    fn line_done(&mut self, line: u64, refused: bool) {
        let first = self.pending.front().map_or(line, |first| first.number);
        let index = usize::try_from(line.saturating_sub(first)).unwrap_or(usize::MAX);
        if let Some(pending) = self.pending.get_mut(index) {
            pending.refused = Some(refused);
        }
    }

    fn stop(&mut self, ending: Ending) {
        self.shared.stop();
        if self.summary.ending == Ending::Finished {
            self.summary.ending = ending;
        }
    }

    /// Moves the position over the lines that are done.
    fn advance(&mut self) -> Result<(), Error> {
        while let Some(Pending {
            refused: Some(refused),
            ..
        }) = self.pending.front()
        {
            self.done.refused += u64::from(*refused);
            if let Some(line) = self.pending.pop_front() {
                self.done.mark = line.end;
            }
        }
        let (lines, at) = self.stored;
        let (every_lines, every) = STORED_EVERY;
        if self.done.mark.lines >= lines + every_lines
            || (self.done.mark.lines > lines && at.elapsed() >= every)
        {
            self.store()?;
        }
        Ok(())
    }

    fn store(&mut self) -> Result<(), Error> {
        let lines = self.done.mark.lines;
        if let Some(resume) = self.resume
            && lines > self.stored.0
        {
            resume.store(&self.done)?;
        }
        self.stored = (lines, Wall::now());
        Ok(())
    }
}

/// Sends entries until each has an answer, attempts are used up or the import stops.
async fn send<T: Target>(
    target: &T,
    mut entries: Vec<Entry>,
    shared: &Shared,
) -> Vec<(u64, Answer)> {
    let mut answered = Vec::with_capacity(entries.len());
    for attempt in 1..=ATTEMPTS_MAX {
        let answers = target.create(&entries).await;
        let missing = std::iter::repeat_with(|| Answer::Failed("an answer is missing".to_owned()));
        let mut again = Vec::new();
        for (entry, answer) in entries.into_iter().zip(answers.into_iter().chain(missing)) {
            match answer {
                Answer::Unavailable(_) if attempt < ATTEMPTS_MAX && !shared.is_stopping() => {
                    again.push(entry);
                }
                answer => answered.push((entry.line, answer)),
            }
        }
        if again.is_empty() {
            shared.pace.borrow_mut().succeeded();
            break;
        }
        entries = again;
        shared.pace.borrow_mut().throttled(Instant::now());
        shared.pause(attempt - 1).await;
    }
    answered
}

#[cfg(test)]
#[path = "engine_tests.rs"]
mod tests;
