//! One whole local system: built, started, deployed, loaded; ended when it is dropped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use http::Request;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::artifacts;
use crate::cloud::{ACCESS_KEY, Cloud, REGION, SECRET_KEY};
use crate::error::Error;
use crate::http::Http;
use crate::ministack::{self, Claim, Ministack};
use crate::paths;
use crate::progress::Progress;
use crate::seed;
use crate::stack::{self, STACK, Stack};
use crate::tools;

/// How to bring a system up.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// Where its state goes. Systems with different directories run side by side.
    pub state_dir: PathBuf,
    /// The port it listens on; a free one if `None`.
    pub port: Option<u16>,
    /// Whether it outlives this process, until [`down`].
    pub detached: bool,
}

impl Default for UpOptions {
    fn default() -> Self {
        Self {
            state_dir: paths::default_state_dir(),
            port: None,
            detached: false,
        }
    }
}

/// Where everything of a running system is; `endpoints.json` in its state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The API; paths begin with `/v1`.
    pub api_url: String,
    /// `GET {sms_url}?phoneNumber=%2B86…` lists the SMS caught for a phone.
    pub sms_url: String,
    /// Every AWS service.
    pub cloud_url: String,
    /// The simulated bank.
    pub bank_url: String,
    /// For AWS clients.
    pub region: String,
    /// For AWS clients: the local cloud's all-powerful user, worth nothing elsewhere.
    pub access_key: String,
    /// As `access_key`.
    pub secret_key: String,
    /// The CloudFormation stack.
    pub stack: String,
    /// The DynamoDB table.
    pub table: String,
    /// A function's name by its folder's name.
    pub functions: BTreeMap<String, String>,
}

/// A running system. Dropping it ends it, unless it was started detached.
#[derive(Debug)]
pub struct System {
    endpoints: Endpoints,
    resources: BTreeMap<String, String>,
    cloud: Cloud,
    http: Http,
    endpoints_file: Option<PathBuf>,
    ministack: Ministack,
}

impl System {
    /// Builds, starts, deploys and loads a system.
    ///
    /// # Errors
    /// Whatever stood in the way, with what to do about it. Nothing is left running then.
    pub async fn up(options: UpOptions) -> Result<Self, Error> {
        let progress = Progress::start();
        let claim = Claim::take(&options.state_dir, options.port)?;
        let _ = std::fs::remove_file(endpoints_path(&options.state_dir)); // a killed predecessor's
        let path = paths::template();
        let template = std::fs::read_to_string(&path)
            .map_err(Error::io(format!("reading {}", path.display())))?;
        let program = tools::install(progress)?;
        let packages = artifacts::build(&template, progress)?;

        progress.say("starting the local cloud");
        let ministack = Ministack::start(&program, claim).await?;
        let url = ministack.url();
        let cloud = Cloud::at(&url);
        progress.say("deploying infra/template.yaml");
        let stack = stack::deploy(&cloud, &url, &template, &packages).await?;
        let mut system = Self {
            endpoints: endpoints(&url, &stack, &packages)?,
            resources: stack.resources,
            cloud,
            http: Http::new(),
            endpoints_file: None,
            ministack,
        };
        progress.say("loading the sandbox");
        seed::load(&system).await?;
        system.publish(&options)?;
        progress.say(&format!("up: {}", system.endpoints.api_url));
        Ok(system)
    }

    /// Where everything is.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The physical id of a resource of the template, such as a key.
    ///
    /// # Errors
    /// When the template has none of that name.
    pub fn resource(&self, logical_id: &str) -> Result<&str, Error> {
        self.resources
            .get(logical_id)
            .map(String::as_str)
            .ok_or_else(|| Error::Reply {
                what: format!("resource {logical_id}"),
                reply: "infra/template.yaml".into(),
            })
    }

    /// What an AWS client needs to call this system as its all-powerful user, and nothing from the environment.
    #[must_use]
    pub fn sdk_config(&self) -> SdkConfig {
        let credentials = Credentials::new(ACCESS_KEY, SECRET_KEY, None, None, "local");
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(REGION))
            .endpoint_url(&self.endpoints.cloud_url)
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .build()
    }

    /// Runs the function of `folder` to its end and gives its reply.
    ///
    /// # Errors
    /// When there is no such function, or it reports an error.
    pub async fn invoke(&self, folder: &str, event: &Value) -> Result<Value, Error> {
        let function = self
            .endpoints
            .functions
            .get(folder)
            .ok_or_else(|| Error::NoBinary(folder.to_owned()))?;
        self.cloud.invoke(function, event).await
    }

    /// The SMS caught for `phone` (`+86…`), oldest first.
    ///
    /// # Errors
    /// When the local cloud does not answer.
    pub async fn sms(&self, phone: &str) -> Result<Vec<String>, Error> {
        let number = phone.replacen('+', "%2B", 1);
        let uri = format!("{}?phoneNumber={number}", self.endpoints.sms_url);
        let request =
            Request::get(&uri)
                .body(Bytes::new())
                .map_err(|error| Error::Unreachable {
                    what: uri,
                    cause: error.to_string(),
                })?;
        let reply = self.http.send(request).await?.json()?;
        let messages = reply["sms_messages"][phone]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        Ok(messages
            .iter()
            .filter_map(|sms| sms["Message"].as_str())
            .map(str::to_owned)
            .collect())
    }

    /// Writes `endpoints.json`, whole or not at all, and settles who ends the system.
    fn publish(&mut self, options: &UpOptions) -> Result<(), Error> {
        let path = endpoints_path(&options.state_dir);
        let partial = path.with_extension("partial");
        let failed = || format!("writing {}", path.display());
        let text = serde_json::to_string_pretty(&self.endpoints).map_err(|error| Error::Reply {
            what: "JSON".into(),
            reply: error.to_string(),
        })?;
        std::fs::write(&partial, text).map_err(Error::io(failed()))?;
        std::fs::rename(&partial, &path).map_err(Error::io(failed()))?;
        if options.detached {
            self.ministack.detach()?;
        } else {
            self.endpoints_file = Some(path);
        }
        Ok(())
    }
}

impl Drop for System {
    fn drop(&mut self) {
        if let Some(path) = &self.endpoints_file {
            let _ = std::fs::remove_file(path); // it would point at nothing
        }
    }
}

/// Ends the system of `state_dir`, if there is one. `false` when there was none.
///
/// # Errors
/// When its state cannot be read.
pub fn down(state_dir: &Path) -> Result<bool, Error> {
    let was_up = ministack::end(state_dir)?;
    let _ = std::fs::remove_file(endpoints_path(state_dir)); // absent if the start never got that far
    Ok(was_up)
}

fn endpoints_path(state_dir: &Path) -> PathBuf {
    state_dir.join("endpoints.json")
}

fn endpoints(url: &str, stack: &Stack, packages: &artifacts::Packages) -> Result<Endpoints, Error> {
    let functions = packages
        .keys()
        .filter_map(|folder| {
            Some((
                folder.clone(),
                stack.resources.get(&logical_id(folder))?.clone(),
            ))
        })
        .collect();
    Ok(Endpoints {
        // Without a stage the gateway takes the default one, and without `$default` the address survives a shell.
        api_url: format!(
            "{url}/_aws/execute-api/{}",
            stack::output(&stack.outputs, "ApiId")?
        ),
        sms_url: format!("{url}/_ministack/sns/sms-messages"),
        cloud_url: url.to_owned(),
        bank_url: stack::bank_url(url, &stack.outputs)?,
        region: REGION.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        stack: STACK.to_owned(),
        table: stack::output(&stack.outputs, "TableName")?.to_owned(),
        functions,
    })
}

/// The template's name for the function in `folder`: `rebind-request` is `RebindRequestFunction`.
fn logical_id(folder: &str) -> String {
    let mut id: String = folder
        .split('-')
        .flat_map(|word| {
            word.chars()
                .enumerate()
                .map(|(i, c)| if i == 0 { c.to_ascii_uppercase() } else { c })
        })
        .collect();
    id.push_str("Function");
    id
}

#[cfg(test)]
mod tests {
    use super::logical_id;

    #[test]
    fn a_folder_has_one_name_in_the_template() {
        assert_eq!(logical_id("login"), "LoginFunction");
        assert_eq!(logical_id("rebind-request"), "RebindRequestFunction");
    }
}
