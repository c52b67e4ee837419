//! Logging: JSON, one line per request, and one at the start of a process that names its sources. A line contains the spans that
//! it was written in ([`application::correlation`]). Input of a caller is never logged.

use crate::metrics::Metrics;
use crate::settings::env;
use application::COUNTED;
use tracing::Level;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Starts logging at the level of `RUST_LOG`: one word, because filters by module would link a regular expression engine
/// into every function. The default is `info`. Metrics do not depend on the level.
pub fn init() {
    let level = env("RUST_LOG").ok().and_then(|level| level.parse().ok());
    let level = level.unwrap_or(Level::INFO);
    let is_logged = FilterFn::new(move |line| *line.level() <= level && line.target() != COUNTED);
    let lines = fmt::layer()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_ansi(false)
        .with_filter(is_logged.with_max_level_hint(level));
    let is_counted = FilterFn::new(|line| *line.level() <= Level::INFO);
    let metrics = Metrics::new(env("STAGE").unwrap_or_default(), std::io::stdout())
        .with_filter(is_counted.with_max_level_hint(Level::INFO));
    tracing_subscriber::registry()
        .with(lines)
        .with(metrics)
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
