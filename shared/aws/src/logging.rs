//! Logging: JSON, one line per request. Input of a caller is never logged.

use tracing_subscriber::EnvFilter;

/// Starts logging at the level of `RUST_LOG`; the default is `info`.
pub fn init() {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .json()
        .flatten_event(true)
        .with_target(false)
        .with_current_span(false)
        .with_span_list(false)
        .with_env_filter(filter)
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
}
