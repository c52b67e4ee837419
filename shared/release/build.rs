//! Compiles the digest of the sources in.

#[path = "src/digest.rs"]
mod digest;

use std::path::Path;

fn main() -> std::io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    for part in digest::PARTS {
        println!("cargo::rerun-if-changed={}", root.join(part).display());
    }
    println!("cargo::rustc-env=SOURCE_DIGEST={}", digest::of(&root)?);
    Ok(())
}
