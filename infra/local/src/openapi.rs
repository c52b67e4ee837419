//! `cargo local openapi`: the API description, written from the types and routes of `shared/api`.

use std::path::PathBuf;

use crate::Error;
use crate::paths::workspace;

/// Each file of the description, with the text that it should have.
fn files() -> [(PathBuf, String); 2] {
    let document = api::openapi::document();
    let old = api::openapi::to_3_0(&document);
    let infra = workspace().join("infra");
    [
        (infra.join("openapi.json"), format!("{document:#}\n")),
        (infra.join("openapi-3.0.json"), format!("{old:#}\n")),
    ]
}

/// Writes `infra/openapi.json` and its copy in OpenAPI 3.0.3.
///
/// # Errors
/// When a file cannot be written.
pub fn write() -> Result<(), Error> {
    for (path, text) in files() {
        let writing = Error::io(format!("writing {}", path.display()));
        std::fs::write(&path, text).map_err(writing)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Compares both files with the generated text.
///
/// # Errors
/// When one differs or cannot be read.
pub fn check() -> Result<(), Error> {
    for (path, text) in files() {
        let found = std::fs::read_to_string(&path);
        let found = found.map_err(Error::io(format!("reading {}", path.display())))?;
        if found != text {
            return Err(Error::StaleDescription(path));
        }
    }
    Ok(())
}
