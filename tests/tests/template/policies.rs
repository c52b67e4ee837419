//! The example policies of the operators' roles: every route is in one of them, and none gives one person what takes two.

use api::operator::OperatorRoute;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use tests::iam_policy::template;

const LEVELS: [&str; 4] = ["support", "operations", "security", "registry"];
const API: &str = "arn:aws:execute-api:REGION:ACCOUNT:API_ID/$default/";

/// The routes that a level permits.
fn permitted(level: &str) -> BTreeSet<OperatorRoute> {
    let path = format!("../infra/operator/policies/{level}.json");
    let policy: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    let mut routes = BTreeSet::new();
    for statement in policy["Statement"].as_array().unwrap() {
        assert_eq!(statement["Action"], "execute-api:Invoke");
        assert!(statement["Condition"]["IpAddress"]["aws:SourceIp"].is_array());
        for resource in statement["Resource"].as_array().unwrap() {
            let pattern = resource.as_str().unwrap().strip_prefix(API).unwrap();
            let matching = OperatorRoute::ALL.iter().filter(|route| {
                let path = route.path().replace("{id}", "x_1");
                let given = format!("{}{path}", route.method());
                match pattern.strip_suffix('*') {
                    Some(start) => given.starts_with(start) && given.len() > start.len(),
                    None => given == pattern,
                }
            });
            let before = routes.len();
            routes.extend(matching.copied());
            assert!(
                routes.len() > before,
                "{level}: {pattern} permits nothing new"
            );
        }
    }
    routes
}

/// `rebindctl doctor` compares it with its own.
#[test]
fn version_of_the_stack_is_the_release() {
    let version = &template()["Outputs"]["Version"]["Value"];
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
}

#[test]
fn example_policies_cover_every_route() {
    let all = LEVELS.map(permitted);
    for route in OperatorRoute::ALL {
        let levels = LEVELS.iter().zip(&all);
        let levels: BTreeSet<&str> = levels
            .filter(|(_, routes)| routes.contains(route))
            .map(|(level, _)| *level)
            .collect();
        let expected: &[&str] = match route.path().split('/').nth(3).unwrap() {
            "registry" => &["registry"],
            "approvals" => &["security"],
            "proposals" if route.changes() => &["operations"],
            _ => &[],
        };
        assert!(!levels.is_empty(), "{route}");
        if !expected.is_empty() {
            assert_eq!(levels, expected.iter().copied().collect(), "{route}");
        }
    }
}
