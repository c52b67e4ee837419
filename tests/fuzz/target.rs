//! One target of `tests::fuzz`: that of the program's name.
#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use tests::fuzz::{Target, target};

static TARGET: LazyLock<Target> = LazyLock::new(|| target(env!("CARGO_BIN_NAME")));

// The fuzzer's own hook ends the process at any panic, those that a function catches too.
fuzz_target!(|data: &[u8]| (TARGET.run)(data));
