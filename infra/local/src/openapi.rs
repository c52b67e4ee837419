//! `cargo local openapi`: the API description, written from the types and routes of `shared/api`.

use std::path::PathBuf;

use serde_json::Value;

use crate::Error;
use crate::paths::workspace;

/// Each file of the description, with the text that it should have.
fn files() -> Result<[(PathBuf, String); 2], Error> {
    let document = api::openapi::document();
    resolve(&document, &document)?;
    let old = api::openapi::to_3_0(&document);
    let infra = workspace().join("infra");
    Ok([
        (infra.join("openapi.json"), format!("{document:#}\n")),
        (infra.join("openapi-3.0.json"), format!("{old:#}\n")),
    ])
}

/// Checks that each reference below `part` points to a part of the document.
fn resolve(document: &Value, part: &Value) -> Result<(), Error> {
    if let Some(reference) = part.get("$ref").and_then(Value::as_str) {
        let pointer = reference.strip_prefix('#');
        if pointer.and_then(|at| document.pointer(at)).is_none() {
            return Err(Error::UnresolvedReference(reference.to_owned()));
        }
    }
    match part {
        Value::Object(members) => members.values().try_for_each(|one| resolve(document, one)),
        Value::Array(items) => items.iter().try_for_each(|one| resolve(document, one)),
        _ => Ok(()),
    }
}

/// Writes `infra/openapi.json` and its copy in OpenAPI 3.0.3.
///
/// # Errors
/// When a reference points to nothing or a file cannot be written.
pub fn write() -> Result<(), Error> {
    for (path, text) in files()? {
        let writing = Error::io(format!("writing {}", path.display()));
        std::fs::write(&path, text).map_err(writing)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Compares both files with the generated text.
///
/// # Errors
/// When a reference points to nothing, or a file differs or cannot be read.
pub fn check() -> Result<(), Error> {
    for (path, text) in files()? {
        let found = std::fs::read_to_string(&path);
        let found = found.map_err(Error::io(format!("reading {}", path.display())))?;
        if found != text {
            return Err(Error::StaleDescription(path));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn unresolved_reference_is_refused() {
        let document = |name: &str| {
            let reference = format!("#/components/schemas/{name}");
            json!({"components": {"schemas": {"Known": {}}}, "paths": [{"$ref": reference}]})
        };
        let check =
            |document: &Value| resolve(document, document).map_err(|error| error.to_string());
        assert_eq!(check(&document("Known")), Ok(()));
        let error = check(&document("Unknown")).unwrap_err();
        assert!(error.starts_with("#/components/schemas/Unknown points to nothing"));
    }
}
