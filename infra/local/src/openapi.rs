//! `cargo local openapi` and `cargo local asyncapi`: the descriptions of the API and of the events, written from the types and
//! routes of `shared/api`.

use std::path::PathBuf;

use serde_json::Value;

use crate::Error;
use crate::paths::workspace;

/// A generated description.
#[derive(Clone, Copy, Debug)]
pub enum Description {
    /// `infra/openapi.json`, its copy in OpenAPI 3.0.3, the description of the operator's API, and the schema of a new merchant.
    OpenApi,
    /// `infra/asyncapi.json`.
    AsyncApi,
}

/// Each file of a description, with the text that it should have.
fn files(description: Description) -> Result<Vec<(PathBuf, String)>, Error> {
    let infra = workspace().join("infra");
    let file = |name: &str, document: &Value| (infra.join(name), format!("{document:#}\n"));
    match description {
        Description::OpenApi => {
            let document = api::openapi::document();
            resolve(&document, &document)?;
            let operators = api::operator::openapi::document();
            resolve(&operators, &operators)?;
            let old = api::openapi::to_3_0(&document);
            Ok(vec![
                file("openapi.json", &document),
                file("openapi-3.0.json", &old),
                file("operator/openapi.json", &operators),
                file(
                    "operator/merchant.schema.json",
                    &api::operator::new_merchant_schema(),
                ),
            ])
        }
        Description::AsyncApi => {
            let document = api::asyncapi::document();
            resolve(&document, &document)?;
            Ok(vec![file("asyncapi.json", &document)])
        }
    }
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

/// Writes the files of a description.
///
/// # Errors
/// When a reference points to nothing or a file cannot be written.
pub fn write(description: Description) -> Result<(), Error> {
    for (path, text) in files(description)? {
        let writing = Error::io(format!("writing {}", path.display()));
        std::fs::write(&path, text).map_err(writing)?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Compares the files of a description with the generated text.
///
/// # Errors
/// When a reference points to nothing, or a file differs or cannot be read.
pub fn check(description: Description) -> Result<(), Error> {
    for (path, text) in files(description)? {
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
