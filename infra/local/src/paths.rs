//! Paths in the checkout.

use std::ffi::OsString;
use std::path::PathBuf;

/// The checkout this crate was built from.
pub(crate) fn workspace() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path.pop();
    path
}

/// The template that is deployed.
pub(crate) fn template() -> PathBuf {
    workspace().join("infra/template.yaml")
}

/// State of the system that `cargo local up` starts: `target/local`. No other system uses it.
#[must_use]
pub fn default_state_dir() -> PathBuf {
    target().join("local")
}

/// The local cloud's Python environment. All systems of a checkout share it.
pub(crate) fn venv() -> PathBuf {
    default_state_dir().join("venv")
}

/// The functions' packages for the local cloud. All systems of a checkout share them.
pub(crate) fn packages() -> PathBuf {
    default_state_dir().join("packages")
}

/// Cargo's target directory.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}

/// The cargo that runs this program, or the one on the PATH.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
