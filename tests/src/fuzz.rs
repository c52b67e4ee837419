//! The fuzz targets. Each accepts any bytes and panics on a violation. `cargo fuzz` searches for such inputs (`tests/fuzz`);
//! `tests/tests/corpus.rs` replays the saved ones on any toolchain.

mod bank;
mod events;
mod lab;
mod texts;

use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Once;
use tokio::runtime::{Builder, Runtime};

/// A target.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// The name of the corpus and of the fuzz program.
    pub name: &'static str,
    /// Runs one input.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($module:ident: $($name:ident),+;)+) => {
        /// All targets.
        pub const TARGETS: &[Target] = &[$($(
            Target { name: stringify!($name), run: $module::$name }
        ),+),+];
    };
}

targets! {
    events: request, http_event, stream_event, schedule_event, core_operation;
    bank: bank_reply, bank_signature, sandbox_bank;
    texts: session_token, request_body, query, ids, card_number, resident_id, phone, person_name,
        document_expiry, timestamp;
}

/// The target with a name.
///
/// # Panics
/// If no target has this name.
#[must_use]
pub fn target(name: &str) -> Target {
    let mut all = TARGETS.iter();
    *all.find(|target| target.name == name)
        .unwrap_or_else(|| panic!("no target {name}"))
}

/// The directory of a target's saved inputs.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz/corpus", name]
        .iter()
        .collect()
}

/// The functions' runtime. Its clock skips every pause, because no target waits for IO.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

thread_local! {
    /// The panic messages of this thread during one input, caught panics included.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Runs one input. Returns the message if the target panics, or if it catches a panic of the product.
pub fn crash(target: Target, input: &[u8]) -> Option<String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let noted = PANICS.with_borrow_mut(|panics| {
                let note = |panics: &mut Vec<String>| panics.push(panic.to_string());
                panics.as_mut().map(note).is_some()
            });
            if !noted {
                before(panic);
            }
        }));
    });
    PANICS.set(Some(Vec::new()));
    let ended = catch_unwind(AssertUnwindSafe(|| (target.run)(input)));
    let panics = PANICS.take().unwrap_or_default();
    (ended.is_err() || !panics.is_empty()).then(|| panics.join("\n"))
}
