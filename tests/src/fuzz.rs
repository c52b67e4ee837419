//! The targets of the fuzzer: each takes any bytes, and panics when something is not as it must be. `cargo fuzz` looks for
//! such bytes (`tests/fuzz`), and `tests/tests/corpus.rs` takes all that it has found before, on any toolchain.

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
    /// Of its corpus and of its program.
    pub name: &'static str,
    /// What it does with an input.
    pub run: fn(&[u8]),
}

macro_rules! targets {
    ($($module:ident: $($name:ident),+;)+) => {
        /// All of them.
        pub const TARGETS: &[Target] = &[$($(
            Target { name: stringify!($name), run: $module::$name }
        ),+),+];
    };
}

targets! {
    events: request, http_event, stream_event, schedule_event, core_operation;
    bank: bank_reply, bank_signature, sandbox_bank;
    texts: session_token, request_body, query, ids, card_number, resident_id, credit_code, phone, person_name,
        document_expiry, timestamp;
}

/// The target of a name.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn target(name: &str) -> Target {
    let mut all = TARGETS.iter();
    *all.find(|target| target.name == name)
        .unwrap_or_else(|| panic!("no target {name}"))
}

/// Where the inputs of a target are kept.
#[must_use]
pub fn corpus(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fuzz/corpus", name]
        .iter()
        .collect()
}

/// The functions' runtime: its clock jumps over every pause, as nothing here waits for anything from outside.
fn runtime() -> Runtime {
    let mut builder = Builder::new_current_thread();
    builder.enable_all().start_paused(true).build().unwrap()
}

fn text(data: &[u8]) -> Option<&str> {
    std::str::from_utf8(data).ok()
}

thread_local! {
    /// What the panics of this thread have said while an input was tried, those that something has caught too.
    static PANICS: RefCell<Option<Vec<String>>> = const { RefCell::new(None) };
}

/// Tries one input. Of a crash, what it says: the target panics, or something in it does and is caught.
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
