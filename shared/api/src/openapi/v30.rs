//! The same description in OpenAPI 3.0.3. It omits what 3.0 cannot express: conditions between members, names of
//! members, and bodies without members, which 3.0 tools treat as free-form objects. Everything else is kept.

use serde_json::{Map, Value, json};

/// Keywords of JSON Schema 2020-12 that OpenAPI 3.0 lacks.
const UNKNOWN: [&str; 4] = ["if", "then", "else", "propertyNames"];

/// Converts a 3.1 document.
#[must_use]
pub fn to_3_0(document: &Value) -> Value {
    let mut document = document.clone();
    document["openapi"] = json!("3.0.3");
    if let Some(info) = document["info"].as_object_mut() {
        info.remove("summary");
        info.insert("license".to_owned(), json!({ "name": "Apache-2.0" }));
    }
    without_empty_bodies(&mut document);
    visit(&mut document);
    super::sorted(document)
}

/// Removes request bodies without members, because such requests may be sent without a body.
fn without_empty_bodies(document: &mut Value) {
    let paths = document["paths"].as_object_mut().into_iter();
    let items = paths
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut);
    for operation in items
        .flat_map(Map::values_mut)
        .filter_map(Value::as_object_mut)
    {
        let schema = operation
            .get("requestBody")
            .map(|body| &body["content"][super::JSON]["schema"]);
        if schema.is_some_and(|schema| *schema == super::reference("schemas", "Empty")) {
            operation.remove("requestBody");
        }
    }
    for kind in ["schemas", "examples"] {
        let components = document["components"][kind].as_object_mut();
        components.map(|components| components.remove("Empty"));
    }
}

/// Rewrites every schema. Examples are data, so they are skipped.
fn visit(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match (name.as_str(), member) {
                    ("example" | "examples", _) => {}
                    ("schema", schema) => rewrite(schema),
                    ("schemas", Value::Object(schemas)) => schemas.values_mut().for_each(rewrite),
                    (_, member) => visit(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(visit),
        _ => {}
    }
}

fn rewrite(schema: &mut Value) {
    let Value::Object(members) = schema else {
        return;
    };
    for keyword in UNKNOWN {
        members.remove(keyword);
    }
    if let Some(value) = members.remove("const") {
        members.insert("enum".to_owned(), json!([value]));
    }
    if let Some(Value::Array(examples)) = members.remove("examples") {
        members.extend(
            examples
                .into_iter()
                .next()
                .map(|first| ("example".to_owned(), first)),
        );
    }
    for (name, member) in members.iter_mut() {
        match (name.as_str(), member) {
            ("items" | "additionalProperties", schema) => rewrite(schema),
            ("properties", Value::Object(properties)) => properties.values_mut().for_each(rewrite),
            ("anyOf" | "allOf" | "oneOf", Value::Array(branches)) => {
                branches.iter_mut().for_each(rewrite)
            }
            _ => {}
        }
    }
    if let Some(present) = beside_null(members) {
        members.remove("anyOf");
        members.insert("nullable".to_owned(), json!(true));
        for (name, member) in present {
            members.entry(name).or_insert(member);
        }
    }
    // 3.0 ignores every member beside a reference.
    if members.len() > 1
        && let Some(target) = members.remove("$ref")
    {
        members.insert("allOf".to_owned(), json!([{ "$ref": target }]));
    }
}

/// The other branch of a schema that allows null.
fn beside_null(members: &Map<String, Value>) -> Option<Map<String, Value>> {
    let branches = members.get("anyOf")?.as_array()?;
    let [present, null] = branches.as_slice() else {
        return None;
    };
    (null["type"] == "null").then(|| present.as_object().cloned())?
}
