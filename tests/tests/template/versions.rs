//! Versions live side by side: every caller uses the alias of a function, and each deployment moves it.

use serde_json::Value;
use tests::iam_policy::template;

/// Collects the texts of a value that name a function past its alias.
fn past_the_alias<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
    match value {
        Value::String(text) => {
            let name = text.strip_suffix(".Arn").unwrap_or(text);
            // In a text of `!Sub`, the name stands in braces.
            let name = name
                .rsplit("${")
                .next()
                .unwrap_or(name)
                .trim_end_matches('}');
            let resource = &template()["Resources"][name];
            if resource["Type"] == "AWS::Serverless::Function" {
                found.push(text);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| past_the_alias(value, found)),
        // A metric counts every version of a function.
        Value::Object(members) => members
            .iter()
            .filter(|(name, _)| *name != "Dimensions")
            .for_each(|(_, value)| past_the_alias(value, found)),
        _ => {}
    }
}

#[test]
fn callers_use_the_alias() {
    let mut found = Vec::new();
    past_the_alias(&template()["Resources"], &mut found);
    past_the_alias(&template()["Outputs"], &mut found);
    assert_eq!(found, Vec::<&str>::new());
    assert_eq!(
        template()["Globals"]["Function"]["AutoPublishAlias"],
        "live"
    );
    let resources = template()["Resources"].as_object().unwrap();
    let functions = resources
        .iter()
        .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
    for (name, function) in functions {
        let digest = &function["Properties"]["AutoPublishCodeSha256"];
        assert_eq!(digest, "Revision", "{name}");
    }
}

#[test]
fn call_past_the_alias_is_found() {
    for bad in [
        "LoginFunction",
        "LoginFunction.Arn",
        "arn:x:${LoginFunction}",
    ] {
        let value = serde_json::json!({"Target": {"Arn": [bad]}});
        let mut found = Vec::new();
        past_the_alias(&value, &mut found);
        assert_eq!(found, [bad]);
    }
    let metric = serde_json::json!({"Dimensions": [{"Value": "LoginFunction"}], "Arn": "LoginFunction.Alias"});
    let mut found = Vec::new();
    past_the_alias(&metric, &mut found);
    assert_eq!(found, Vec::<&str>::new());
}
