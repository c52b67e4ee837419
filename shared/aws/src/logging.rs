//! Logging: JSON, one line per request, and one at the start of a process that names its sources. Input of a caller is never logged.

use crate::settings::env;
use tracing::Level;

/// Starts logging at the level of `RUST_LOG`: one word, because filters by module would link a regular expression engine
/// into every function. The default is `info`.
pub fn init() {
    let level = env("RUST_LOG").ok().and_then(|level| level.parse().ok());
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_max_level(level.unwrap_or(Level::INFO))
        .with_ansi(false)
        .init();
    // The message of a panic can contain secrets, so log its location only.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(panic.place = place, "process.panicked");
    }));
    tracing::info!(release.sources = release::SOURCES, "process.started");
}
