//! Builds what the benchmark runs: the functions as they are deployed, the floors, the peers.

use super::peers::{self, Peer};
use crate::processes::Variant;
use local::Architecture;
use local::package::{self, Package};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The function that makes one TLS PutItem and nothing else.
pub const PUT_ITEM: &str = "floor-put-item";
/// The function that returns its event.
pub const ECHO: &str = "floor-echo";
/// The floors by name, with their binaries.
const FLOORS: [(&str, &str); 3] = [
    (PUT_ITEM, "put-item"),
    (ECHO, "echo"),
    (super::measure::REPLAY, "replay"),
];

/// Everything that is measured.
pub struct Built {
    /// The functions.
    pub packages: Vec<Package>,
    /// The peers.
    pub peers: Vec<Peer>,
    /// The release binaries of another checkout to compare with.
    pub before: Option<PathBuf>,
    floors: PathBuf,
}

/// Builds the given functions, or all if there are none, the floors and the peers.
///
/// # Errors
/// When a build fails; its tool has printed why.
pub fn all(functions: &[String]) -> Result<Built, String> {
    let packages = package::packages(Architecture::Host, functions);
    let packages = packages.map_err(|error| error.to_string())?;
    Ok(Built {
        packages,
        peers: peers::build()?,
        before: None,
        floors: floors()?,
    })
}

impl Built {
    /// The release binaries of the functions, by name.
    #[must_use]
    pub fn binaries(&self) -> BTreeMap<String, PathBuf> {
        let packages = self.packages.iter();
        packages
            .map(|package| (package.function.clone(), package.binary.clone()))
            .collect()
    }

    /// The floors and the peers, with the settings of our functions.
    #[must_use]
    pub fn variants(&self) -> Vec<Variant> {
        let floors = FLOORS.iter().map(|(name, binary)| Variant {
            name: (*name).to_owned(),
            function: "cards".to_owned(),
            binary: self.floors.join(binary),
        });
        let peers = self.peers.iter().map(|peer| Variant {
            name: peer_name(peer),
            function: peer.function.to_owned(),
            binary: peer.bootstrap.clone(),
        });
        let before = self.packages.iter().filter_map(|package| {
            Some(Variant {
                name: before_name(&package.function),
                function: package.function.clone(),
                binary: self.before.as_ref()?.join(&package.function),
            })
        });
        floors.chain(peers).chain(before).collect()
    }
}

/// `cards@node`.
#[must_use]
pub fn peer_name(peer: &Peer) -> String {
    format!("{}@{}", peer.function, peer.language)
}

/// `cards@before`.
#[must_use]
pub fn before_name(function: &str) -> String {
    format!("{function}@before")
}

/// Builds the floors. Returns the folder of their binaries.
fn floors() -> Result<PathBuf, String> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR")).join("bench/floors/Cargo.toml");
    let target = folder().join("floors");
    super::say("building the floors");
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked", "--manifest-path"])
        .arg(manifest)
        .arg("--target-dir")
        .arg(&target)
        .status()
        .map_err(|error| format!("starting cargo: {error}"))?;
    if status.success() {
        Ok(target.join("release"))
    } else {
        Err("the floors do not build".to_owned())
    }
}

/// The benchmark's folder under `target`.
#[must_use]
pub fn folder() -> PathBuf {
    local::default_state_dir().with_file_name("bench")
}
