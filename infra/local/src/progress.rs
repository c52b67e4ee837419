//! One line for each long piece of work, as it begins, with the seconds since the start.

use std::time::Instant;

/// Tells what is being done.
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
