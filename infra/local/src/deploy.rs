//! `cargo local deploy`: deploys the packages of `cargo local package` into an environment of `infra/samconfig.toml`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::error::Error;
use crate::package;
use crate::paths;

/// What stands in the place of an account in the file.
const NO_ACCOUNT: &str = "ACCOUNT";
/// The parameter that this command sets.
const REVISION: &str = "Revision";

/// An environment of `samconfig.toml`.
#[derive(Debug, Deserialize)]
struct Environment {
    deploy: Deploy,
}

#[derive(Debug, Deserialize)]
struct Deploy {
    parameters: Settings,
}

#[derive(Debug, Deserialize)]
struct Settings {
    #[serde(default)]
    parameter_overrides: Vec<String>,
}

/// Deploys into an environment. `overrides`: further parameters as `Name=value`, which prevail. `options`: of `sam deploy`.
///
/// # Errors
/// When the environment is unknown or without an account, the packages are missing, or `sam` fails.
pub fn run(environment: &str, overrides: &[String], options: &[&str]) -> Result<(), Error> {
    let file = paths::workspace().join("infra/samconfig.toml");
    let text = std::fs::read_to_string(&file);
    let text = text.map_err(Error::io(format!("reading {}", file.display())))?;
    let parameters = parameters(&text, environment, overrides)?;
    let architecture = parameters
        .get("Architecture")
        .map_or("arm64", String::as_str);
    let folder = package::folder_of(architecture);
    let list = folder.join("packages.json");
    let packages = std::fs::read_to_string(&list).map_err(|_| Error::NoPackages {
        architecture: architecture.to_owned(),
    })?;
    let revision = revision(&packages, &parameters);
    println!("revision {revision}");
    let status = command(&file, environment, &folder.join("template.yaml"))
        .args(options)
        .arg("--parameter-overrides")
        .args(parameters.iter().map(|(name, value)| set(name, value)))
        .arg(format!("{REVISION}={revision}"))
        .status()
        .map_err(Error::io("starting sam; install the AWS SAM CLI"))?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::Sam),
    }
}

/// A parameter for `sam`, which keeps the deployed value of a parameter without a quoted empty one.
fn set(name: &str, value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    format!("{name}=\"{value}\"")
}

fn command(file: &Path, environment: &str, template: &PathBuf) -> Command {
    let mut command = Command::new("sam");
    command
        .arg("deploy")
        .arg("--config-file")
        .arg(file)
        .args(["--config-env", environment, "--template-file"])
        .arg(template)
        .stdin(Stdio::inherit());
    command
}

/// The parameters of an environment, by name.
fn parameters(
    file: &str,
    environment: &str,
    overrides: &[String],
) -> Result<BTreeMap<String, String>, Error> {
    let bad = |why: String| Error::Environment(why);
    let all: BTreeMap<String, toml::Value> =
        toml::from_str(file).map_err(|error| bad(error.to_string()))?;
    let known = || {
        let names = all
            .iter()
            .filter(|(_, value)| value.get("deploy").is_some());
        names
            .map(|(name, _)| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let given = all.get(environment).cloned();
    let given = given.ok_or_else(|| {
        bad(format!(
            "no environment `{environment}`; choose from: {}",
            known()
        ))
    })?;
    let given: Environment = given
        .try_into()
        .map_err(|error: toml::de::Error| bad(format!("{environment}: {error}")))?;
    let mut parameters = BTreeMap::new();
    for line in given
        .deploy
        .parameters
        .parameter_overrides
        .iter()
        .chain(overrides)
    {
        let (name, value) = line
            .split_once('=')
            .ok_or_else(|| bad(format!("`{line}` is not Name=value")))?;
        if name == REVISION {
            return Err(bad(format!("{REVISION} is not for you to set")));
        }
        parameters.insert(name.to_owned(), value.to_owned());
    }
    match parameters.get("DeploymentAccount").map(String::as_str) {
        Some(NO_ACCOUNT) | None => Err(bad(format!(
            "{environment} has no account: set DeploymentAccount to the account's id"
        ))),
        Some(_) => Ok(parameters),
    }
}

/// A digest of the packages and of all parameters: any change of either publishes versions.
fn revision(packages: &str, parameters: &BTreeMap<String, String>) -> String {
    let mut digest = Sha256::new();
    digest.update(packages);
    for (name, value) in parameters {
        digest.update(format!("\n{name}={value}"));
    }
    hex::encode(digest.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
        version = 0.1
        [staging.deploy.parameters]
        parameter_overrides = ["Stage=staging", "DeploymentAccount=111122223333", "LogLevel=info"]
        [production.deploy.parameters]
        parameter_overrides = ["Stage=production", "DeploymentAccount=ACCOUNT"]
    "#;

    #[test]
    fn each_change_is_another_revision() {
        let of = |overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|&line| line.to_owned()).collect();
            parameters(FILE, "staging", &overrides).unwrap()
        };
        let first = revision("{}", &of(&[]));
        assert_eq!(first, revision("{}", &of(&["LogLevel=info"])));
        assert_ne!(first, revision("{}", &of(&["LogLevel=warn"])));
        assert_ne!(first, revision("{ }", &of(&[])));
    }

    #[test]
    fn values_are_quoted_for_sam() {
        assert_eq!(set("RestoredTableName", ""), "RestoredTableName=\"\"");
        assert_eq!(set("SmsSignature", "a b"), "SmsSignature=\"a b\"");
        assert_eq!(set("X", "a\"b\\"), "X=\"a\\\"b\\\\\"");
    }

    #[test]
    fn wrong_environment_is_refused() {
        let refused = |environment: &str, overrides: &[&str]| {
            let overrides: Vec<String> = overrides.iter().map(|&line| line.to_owned()).collect();
            parameters(FILE, environment, &overrides)
                .unwrap_err()
                .to_string()
        };
        assert!(refused("stagin", &[]).contains("production, staging"));
        assert!(refused("production", &[]).contains("DeploymentAccount"));
        assert!(refused("staging", &["LogLevel"]).contains("`LogLevel`"));
        assert!(refused("staging", &["Revision=1"]).contains("Revision"));
    }

    #[test]
    fn environments_of_the_file_lack_their_accounts_only() {
        let file = include_str!("../../samconfig.toml");
        for environment in ["sandbox", "staging", "production"] {
            let refused = parameters(file, environment, &[]).unwrap_err().to_string();
            assert!(refused.contains("DeploymentAccount"), "{refused}");
            let account = ["DeploymentAccount=111122223333".to_owned()];
            let given = parameters(file, environment, &account).unwrap();
            assert_eq!(given["Stage"], environment);
        }
    }
}
