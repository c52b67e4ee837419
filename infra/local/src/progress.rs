//! Progress messages, with the seconds since the start.

use std::time::Instant;

/// Prints a line when a long task begins.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Progress(Instant);

impl Progress {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn say(self, what: &str) {
        println!("[{:6.1} s] {what}", self.0.elapsed().as_secs_f32());
    }
}
