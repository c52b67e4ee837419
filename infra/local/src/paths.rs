//! Where things are in the checkout.

use std::path::PathBuf;

/// The checkout this crate was built from.
pub(crate) fn workspace() -> PathBuf {
    let mut path = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    path.pop();
    path.pop();
    path
}

/// What is deployed.
pub(crate) fn template() -> PathBuf {
    workspace().join("infra/template.yaml")
}

/// State of the system that `cargo local up` starts, and of nothing else: `target/local`.
#[must_use]
pub fn default_state_dir() -> PathBuf {
    target().join("local")
}

/// The local cloud's own Python environment; all systems of a checkout share it.
pub(crate) fn venv() -> PathBuf {
    default_state_dir().join("venv")
}

/// The functions' packages; all systems of a checkout share them.
pub(crate) fn packages() -> PathBuf {
    default_state_dir().join("packages")
}

fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| workspace().join("target"), |dir| workspace().join(dir))
}
