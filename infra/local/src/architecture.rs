//! The processor architectures of Lambda.

use clap::ValueEnum;

/// A processor architecture, as `cargo local package --arch` takes it. The comments are the help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Architecture {
    /// This machine, with its C library: to measure, not to deploy
    Host,
    /// Intel and AMD
    #[value(name = "x86_64")]
    X86_64,
    /// AWS Graviton; the template's default
    Arm64,
}

impl Architecture {
    /// The same architecture by its own name, never `Host`.
    pub(crate) fn resolved(self) -> Self {
        match self {
            Self::Host if cfg!(target_arch = "aarch64") => Self::Arm64,
            Self::Host => Self::X86_64,
            named => named,
        }
    }

    /// Lambda's name for it.
    pub(crate) fn name(self) -> &'static str {
        match self.resolved() {
            Self::Arm64 => "arm64",
            _ => "x86_64",
        }
    }

    /// Rust's target triple for Linux.
    pub(crate) fn target(self) -> &'static str {
        match self.resolved() {
            Self::Arm64 => "aarch64-unknown-linux-gnu",
            _ => "x86_64-unknown-linux-gnu",
        }
    }
}
