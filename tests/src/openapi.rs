//! The descriptions of the two APIs, for the validation of replies.

use jsonschema::Validator;
use serde_json::{Value, json};

/// The folder of the descriptions.
const INFRA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra");

/// The media type of every error of the API.
pub const PROBLEM: &str = "application/problem+json";

/// The API's description.
pub struct Contract {
    document: Value,
}

impl Contract {
    /// Reads `infra/openapi.json`.
    ///
    /// # Errors
    /// A sentence, when the file is missing or not JSON.
    pub fn load() -> Result<Self, String> {
        Self::read("openapi.json")
    }

    /// Reads `infra/operator/openapi.json`.
    ///
    /// # Errors
    /// As [`Contract::load`].
    pub fn of_operators() -> Result<Self, String> {
        Self::read("operator/openapi.json")
    }

    fn read(file: &str) -> Result<Self, String> {
        let path = format!("{INFRA}/{file}");
        let json = std::fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
        let document = serde_json::from_str(&json).map_err(|error| format!("{path}: {error}"))?;
        Ok(Self { document })
    }

    /// The whole document.
    #[must_use]
    pub const fn document(&self) -> &Value {
        &self.document
    }

    /// Validates one reply. `path` is the requested path, with or without a query. A reply without a body has `content_type`
    /// `""` and `body` `null`. An unknown path or method must be answered with the 404 problem.
    ///
    /// # Errors
    /// A readable description of the violation.
    pub fn validate(
        &self,
        method: &str,
        path: &str,
        status: u16,
        content_type: &str,
        body: &Value,
    ) -> Result<(), String> {
        self.check_reply(method, path, status, content_type, body)
            .map_err(|reason| {
                format!("{method} {path} -> {status} {content_type}: {reason}\n{body:#}")
            })
    }

    fn check_reply(
        &self,
        method: &str,
        path: &str,
        status: u16,
        content_type: &str,
        body: &Value,
    ) -> Result<(), String> {
        let media_type = content_type.split(';').next().unwrap_or_default().trim();
        let response = match self.operation(method, path) {
            Some(operation) => {
                let responses = &operation["responses"];
                let response = &responses[status.to_string()];
                if response.is_null() {
                    let declared: Vec<_> = responses
                        .as_object()
                        .into_iter()
                        .flat_map(|map| map.keys())
                        .collect();
                    return Err(format!("the status is not described; {declared:?} are"));
                }
                self.resolve(response)?
            }
            None if status == 404 => &self.document["components"]["responses"]["NotFound"],
            None => return Err("no such operation: this must be 404".to_owned()),
        };
        let Some(content) = response["content"].as_object() else {
            let is_empty = body.is_null() && media_type.is_empty();
            return is_empty
                .then_some(())
                .ok_or_else(|| "there must be no body".to_owned());
        };
        let media = content.get(media_type).ok_or_else(|| {
            format!(
                "the media type must be one of {:?}",
                content.keys().collect::<Vec<_>>()
            )
        })?;
        self.check(&media["schema"], body)
    }

    /// Validates `instance` against a schema of the document, formats included.
    ///
    /// # Errors
    /// Every violation, one per line, or the reason why the schema is unusable.
    pub fn check(&self, schema: &Value, instance: &Value) -> Result<(), String> {
        let errors: Vec<String> = self
            .validator(schema)?
            .iter_errors(instance)
            .map(|error| format!("  at `{}`: {error}", error.instance_path()))
            .collect();
        if errors.is_empty() {
            Ok(())
        } else {
            Err(errors.join("\n"))
        }
    }

    /// References begin with `#/components`, so the components are added to the schema.
    fn validator(&self, schema: &Value) -> Result<Validator, String> {
        let root = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": { "schemas": self.document["components"]["schemas"] },
            "allOf": [schema],
        });
        jsonschema::options()
            .should_validate_formats(true)
            .build(&root)
            .map_err(|error| format!("not a schema: {error}"))
    }

    /// The object itself, or the target of its `$ref` in this document.
    ///
    /// # Errors
    /// If the target does not exist.
    pub fn resolve<'a>(&'a self, object: &'a Value) -> Result<&'a Value, String> {
        match object["$ref"].as_str() {
            None => Ok(object),
            Some(reference) => reference
                .strip_prefix('#')
                .and_then(|pointer| self.document.pointer(pointer))
                .ok_or_else(|| format!("{reference} points to nothing")),
        }
    }

    /// The operation of a request. A literal segment is preferred to a parameter, as the gateway does.
    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let path = path.split('?').next().unwrap_or_default();
        self.document["paths"]
            .as_object()?
            .iter()
            .filter(|(template, _)| matches(template, path))
            .filter_map(|(template, item)| Some((template, item.get(method.to_ascii_lowercase())?)))
            .min_by_key(|(template, _)| template.matches('{').count())
            .map(|(_, operation)| operation)
    }
}

fn matches(template: &str, path: &str) -> bool {
    let is_parameter = |segment: &str| segment.starts_with('{') && segment.ends_with('}');
    let mut path = path.split('/');
    let fits = template.split('/').all(|segment| {
        path.next()
            .is_some_and(|given| given == segment || is_parameter(segment) && !given.is_empty())
    });
    fits && path.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contract() -> Contract {
        Contract::load().unwrap()
    }

    fn example(name: &str) -> Value {
        contract().document["components"]["examples"][name]["value"].clone()
    }

    #[test]
    fn paths_match_by_segment() {
        assert!(matches(
            "/v1/rebinds/{id}/cancel",
            "/v1/rebinds/rbd_1/cancel"
        ));
        for path in [
            "/v1/rebinds//cancel",
            "/v1/rebinds/a/b/cancel",
            "/v1/rebinds/a/cancel/",
            "/v1/rebinds/a",
            "",
        ] {
            assert!(!matches("/v1/rebinds/{id}/cancel", path), "{path}");
        }
    }

    #[test]
    fn described_reply_is_valid() {
        let contract = contract();
        let rebind = example("RebindCreated");
        let json = "application/json; charset=utf-8";
        assert_eq!(
            contract.validate("POST", "/v1/rebinds", 201, json, &rebind),
            Ok(())
        );
        assert_eq!(
            contract.validate("get", "/v1/rebinds/rbd_1?x=1", 200, json, &rebind),
            Ok(())
        );
        assert_eq!(
            contract.validate("DELETE", "/v1/sessions/current", 204, "", &Value::Null),
            Ok(())
        );
        let problem = example("REBIND_COOLDOWN");
        assert_eq!(
            contract.validate("POST", "/v1/rebinds", 409, PROBLEM, &problem),
            Ok(())
        );
    }

    #[test]
    fn undescribed_reply_is_invalid() {
        let contract = contract();
        let json = "application/json";
        let fails = |method, path, status, media_type, body: &Value, reason: &str| {
            let error = contract
                .validate(method, path, status, media_type, body)
                .unwrap_err();
            assert!(error.contains(reason), "{error}");
        };
        let rebind = example("RebindCreated");
        fails(
            "POST",
            "/v1/rebinds",
            200,
            json,
            &rebind,
            "the status is not described",
        );
        fails(
            "POST",
            "/v1/rebinds",
            201,
            PROBLEM,
            &rebind,
            "the media type must be one of",
        );
        fails(
            "POST",
            "/v1/rebinds",
            201,
            json,
            &Value::Null,
            "null is not of type",
        );
        fails(
            "DELETE",
            "/v1/sessions/current",
            204,
            "",
            &json!({}),
            "there must be no body",
        );

        for (pointer, bad) in [
            ("/state", json!("done")),
            ("/created_at", json!("2026-11-22T02:00:00Z")),
            ("/created_at", json!("2026-13-22T02:00:00+08:00")),
            ("/new_card/last4", json!("6222020000009001009")),
            ("/next_actions", json!(["dance"])),
            ("/reserved_phone_masked", json!("13900000001")),
        ] {
            let mut wrong = rebind.clone();
            *wrong.pointer_mut(pointer).unwrap() = bad;
            fails(
                "POST",
                "/v1/rebinds",
                201,
                json,
                &wrong,
                &format!("at `{pointer}"),
            );
        }
        let mut wrong = rebind.clone();
        wrong["new_card"]["card_number"] = json!("6222020000009001009");
        fails("POST", "/v1/rebinds", 201, json, &wrong, "at `/new_card`");
        let mut wrong = example("RebindActivated");
        wrong.as_object_mut().unwrap().remove("effective_at");
        fails(
            "POST",
            "/v1/rebinds/r/card-check/confirm",
            200,
            json,
            &wrong,
            "effective_at",
        );

        // The code of another operation, and a code whose status differs from the reply's.
        fails(
            "GET",
            "/v1/cards",
            401,
            PROBLEM,
            &example("OTP_WRONG"),
            "at `/code`",
        );
        fails(
            "POST",
            "/v1/rebinds",
            422,
            PROBLEM,
            &example("OTP_WRONG"),
            "at `/code`",
        );
    }

    #[test]
    fn undescribed_path_requires_404_problem() {
        let contract = contract();
        let problem = example("NOT_FOUND");
        for (method, path) in [
            ("GET", "/"),
            ("PUT", "/v1/rebinds"),
            ("GET", "/v1/rebinds/a/b"),
        ] {
            assert_eq!(
                contract.validate(method, path, 404, PROBLEM, &problem),
                Ok(())
            );
            assert!(
                contract
                    .validate(
                        method,
                        path,
                        404,
                        "application/json",
                        &json!({"message": "Not Found"})
                    )
                    .is_err()
            );
            assert!(
                contract
                    .validate(method, path, 405, PROBLEM, &problem)
                    .is_err()
            );
        }
    }
}
