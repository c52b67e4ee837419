//! The stack of the first hour: a sandbox in an account, or on this machine for a trial.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use http::Method;
use jose::receiver::Receiver;
use rebindctl::account::{Account, CLOUDFORMATION, STS};
use serde_json::{Value, json};

use super::{Plan, ask, text_of};
use crate::architecture::Architecture;
use crate::cloud::Cloud;
use crate::deploy;
use crate::error::Error;
use crate::operators;
use crate::package;
use crate::paths;
use crate::stack::Stack;
use crate::system::{System, UpOptions, endpoints};

const DELETE_LIMIT: Duration = Duration::from_secs(1_200);
const DELETIONS: u32 = 3;
const DELETED: &str = "DELETE_COMPLETE";
/// The environment of `infra/samconfig.toml`.
const ENVIRONMENT: &str = "sandbox";

/// A deployment into an account with `sam`, which can be repeated with other values of parameters.
#[derive(Clone, Debug)]
pub(super) struct Release {
    stack: String,
    region: String,
    parameters: BTreeMap<&'static str, String>,
}

impl Release {
    /// The same with other values of some parameters.
    #[must_use]
    pub(super) fn with(&self, changes: impl IntoIterator<Item = (&'static str, String)>) -> Self {
        let mut release = self.clone();
        release.parameters.extend(changes);
        release
    }

    /// Deploys it.
    pub(super) fn deploy(&self) -> Result<(), Error> {
        let parameters = self.parameters.iter();
        let parameters: Vec<String> = parameters
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        let options = [
            "--stack-name",
            &self.stack,
            "--region",
            &self.region,
            "--no-confirm-changeset",
            "--no-fail-on-empty-changeset",
        ];
        deploy::run(ENVIRONMENT, &parameters, &options)
    }
}

/// Where reports and addresses are.
pub(super) fn folder(stack: &str) -> Result<PathBuf, Error> {
    let folder = paths::target().join("first-hour").join(stack);
    let made = std::fs::create_dir_all(&folder);
    made.map_err(Error::io(format!("creating {}", folder.display())))?;
    Ok(folder)
}

/// A system on this machine.
pub(super) async fn local(folder: &Path) -> Result<System, Error> {
    System::up(UpOptions {
        state_dir: folder.to_owned(),
        ..UpOptions::default()
    })
    .await
}

/// Builds everything and deploys it into the account of the usual credentials, then loads the merchants of the sandbox.
pub(super) async fn aws(
    plan: &Plan,
    stack: &str,
    folder: &Path,
) -> Result<(Release, System), Error> {
    let account = Account::aws(plan.region.as_deref()).await;
    let account = account.map_err(Error::Account)?;
    package::run(&[plan.architecture], &[])?;
    let core = Receiver::generate("first-hour").map_err(|_| Error::CoreKey)?;
    let core_key = core.private_jwk().map_err(|_| Error::CoreKey)?;
    let caller = ask(&account, STS, "GetCallerIdentity", &json!({})).await?;
    let roles = operators::create_roles(&account, &format!("{stack}-")).await?;
    let release = Release {
        stack: stack.to_owned(),
        region: account.region().to_owned(),
        parameters: BTreeMap::from([
            ("DeploymentAccount", text_of(&caller, "Account")?),
            ("Architecture", plan.architecture.name().to_owned()),
            ("CoreEncryptionKeys", core.public_set()),
            ("OperatorRoleArns", roles.arns()),
        ]),
    };
    if let Err(error) = release.deploy() {
        operators::delete_roles(&account, &format!("{stack}-")).await?;
        return Err(error);
    }
    let deployed = Stack::read(&account, stack).await?;
    let operators = roles
        .permitted(&account, deployed.output("OperatorApiId")?)
        .await?;
    let endpoints = crate::system::Endpoints {
        core_key,
        operators,
        ..endpoints(None, account.region(), &deployed)?
    };
    endpoints.write(&folder.join("endpoints.json"))?;
    let system = System::of(account, deployed, endpoints);
    system.load_sandbox().await?;
    Ok((release, system))
}

/// Deletes the stack with everything in its buckets, and the roles of the operators.
pub(super) async fn delete(system: &System) -> Result<(), Error> {
    let (account, stack) = (system.account(), system.stack());
    let name = json!({ "StackName": stack.name });
    let mut status = String::new();
    for _ in 0..DELETIONS {
        // The log still grows until its function is deleted.
        for bucket in stack.of_kind("AWS::S3::Bucket") {
            empty(system.cloud(), &bucket.physical_id).await?;
        }
        ask(account, CLOUDFORMATION, "DeleteStack", &name).await?;
        status = end_of_deletion(account, stack.id()).await?;
        if status == DELETED {
            break;
        }
    }
    let prefix = match account.is_aws() {
        true => format!("{}-", stack.name),
        false => String::new(),
    };
    operators::delete_roles(account, &prefix).await?;
    match status.as_str() {
        DELETED => Ok(()),
        _ => Err(Error::Deploy {
            status,
            reasons: "see the events of the stack".to_owned(),
        }),
    }
}

/// The status when the deletion has ended. A deleted stack is found by its ARN only.
async fn end_of_deletion(account: &Account, stack: &str) -> Result<String, Error> {
    let deadline = Instant::now() + DELETE_LIMIT;
    loop {
        let id = json!({ "StackName": stack });
        let described = ask(account, CLOUDFORMATION, "DescribeStacks", &id).await?;
        let status = text_of(&described["Stacks"][0], "StackStatus")?;
        if status != "DELETE_IN_PROGRESS" || Instant::now() > deadline {
            return Ok(status);
        }
        let pause_s = if account.is_aws() { 10 } else { 1 };
        tokio::time::sleep(Duration::from_secs(pause_s)).await;
    }
}

/// Deletes every version of every object of a bucket.
async fn empty(cloud: &Cloud, bucket: &str) -> Result<(), Error> {
    loop {
        let path = format!("/{bucket}?versions");
        let listed = cloud.rest("s3", &Method::GET, &path, &Value::Null).await?;
        let versions = versions(&listed.text());
        if versions.is_empty() {
            return Ok(());
        }
        for (key, version) in versions {
            let path = format!("/{bucket}/{key}?versionId={version}");
            cloud
                .rest("s3", &Method::DELETE, &path, &Value::Null)
                .await?;
        }
    }
}

/// Key and version of each object in a list of S3.
fn versions(list: &str) -> Vec<(String, String)> {
    let text = |part: &str, name: &str| {
        let (_, rest) = part.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once(&format!("</{name}>"))?;
        Some(text.to_owned())
    };
    let parts = list
        .split("</Version>")
        .flat_map(|part| part.split("</DeleteMarker>"));
    parts
        .filter_map(|part| Some((text(part, "Key")?, text(part, "VersionId")?)))
        .collect()
}

/// Lambda's name of an architecture that packages are built for.
pub(super) const fn is_packaged(architecture: Architecture) -> bool {
    !matches!(architecture, Architecture::Host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_and_markers_are_listed() {
        let list = "<R><Name>b</Name><Version><Key>a/1</Key><VersionId>v1</VersionId></Version>\
                    <DeleteMarker><Key>a/1</Key><VersionId>v2</VersionId></DeleteMarker></R>";
        let pair = |key: &str, version: &str| (key.to_owned(), version.to_owned());
        assert_eq!(versions(list), [pair("a/1", "v1"), pair("a/1", "v2")]);
        assert!(versions("<R><Name>b</Name></R>").is_empty());
    }
}
