//! The target of `tests::fuzz` with the name of this program.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tests::fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| target(env!("CARGO_BIN_NAME")));

// libFuzzer's panic hook ends the process at every panic, including those that a function catches.
fuzz_target!(|data: &[u8]| (TARGET.run)(data));
