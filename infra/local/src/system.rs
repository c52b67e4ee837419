//! A whole local system: builds, starts, deploys and loads it, and stops it when it is dropped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use bytes::Bytes;
use http::Request;
use jose::receiver::Receiver;
use rebindctl::import::Target;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use store::seed::SeedMerchant;

use crate::artifacts;
use crate::cloud::{ACCESS_KEY, Cloud, REGION, SECRET_KEY};
use crate::error::Error;
use crate::http::Http;
use crate::ministack::{self, Claim, Ministack};
use crate::operators::{self, RoleCredentials};
use crate::paths;
use crate::progress::Progress;
use crate::seed;
use crate::stack::{self, STACK, Stack};
use crate::tools;

/// Options for starting a system.
#[derive(Clone, Debug)]
pub struct UpOptions {
    /// The directory of its state. Systems with different directories run side by side.
    pub state_dir: PathBuf,
    /// The port to listen on; a free one if `None`.
    pub port: Option<u16>,
    /// True if the system outlives this process, until [`down`].
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

/// Addresses and names of a running system: `endpoints.json` in its state directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoints {
    /// The API. Paths begin with `/v1`.
    pub api_url: String,
    /// `GET {sms_url}?phoneNumber=%2B86…` lists the SMS sent to a phone.
    pub sms_url: String,
    /// The endpoint of every AWS service.
    pub cloud_url: String,
    /// The simulated bank.
    pub bank_url: String,
    /// For AWS clients.
    pub region: String,
    /// For AWS clients: the local cloud's administrator. Valid nowhere else.
    pub access_key: String,
    /// The secret of `access_key`.
    pub secret_key: String,
    /// The CloudFormation stack.
    pub stack: String,
    /// The main DynamoDB table.
    pub table: String,
    /// The DynamoDB table with the acquirer's record.
    pub record_table: String,
    /// The core system's private key (JWK), which reads payout instructions.
    pub core_key: Value,
    /// The operator's API. Paths begin with `/operator/v1`.
    pub operator_url: String,
    /// The credentials of fictional operators by their roles.
    pub operators: BTreeMap<String, RoleCredentials>,
    /// The ARN of the SNS topic of published events.
    pub events_topic: String,
    /// A function's name by its folder's name.
    pub functions: BTreeMap<String, String>,
}

/// A running system. Dropping it stops it, unless it was started detached.
#[derive(Debug)]
pub struct System {
    endpoints: Endpoints,
    stack: Stack,
    cloud: Cloud,
    http: Http,
    endpoints_file: Option<PathBuf>,
    ministack: Ministack,
}

impl System {
    /// Builds, starts, deploys and loads a system.
    ///
    /// # Errors
    /// When a step fails. Then no process keeps running.
    pub async fn up(options: UpOptions) -> Result<Self, Error> {
        let progress = Progress::start();
        let claim = Claim::take(&options.state_dir, options.port)?;
        let _ = std::fs::remove_file(endpoints_path(&options.state_dir)); // left behind by a killed process
        let template = artifacts::template()?;
        let program = tools::install(progress)?;
        let packages = artifacts::build(&template, progress)?;

        progress.say("starting the local cloud");
        let ministack = Ministack::start(&program, claim).await?;
        let url = ministack.url();
        let cloud = Cloud::at(&url);
        progress.say("deploying infra/template.yaml");
        let core = Receiver::generate("local-core").map_err(|_| Error::CoreKey)?;
        let core_key = core.private_jwk().map_err(|_| Error::CoreKey)?;
        let roles = operators::create_roles(&cloud).await?;
        let settings = [
            ("CoreEncryptionKeys", core.public_set()),
            ("OperatorRoleArns", roles.arns()),
        ];
        let stack = stack::deploy(&cloud, &url, &template, &packages, settings).await?;
        let operators = roles
            .permitted(&cloud, stack.output("OperatorApiId")?)
            .await?;
        let mut system = Self {
            endpoints: Endpoints {
                core_key,
                operators,
                ..endpoints(&url, &stack, &packages)?
            },
            stack,
            cloud,
            http: Http::new(),
            endpoints_file: None,
            ministack,
        };
        progress.say("loading the sandbox's merchants");
        seed::mark(&system.sdk_config(), &system.stack).await?;
        system.load(&seed::sandbox()?).await?;
        system.publish(&options)?;
        progress.say(&format!("up: {}", system.endpoints.api_url));
        Ok(system)
    }

    /// The addresses of the system.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The physical id of a resource of the template, such as a key.
    ///
    /// # Errors
    /// When the template has no such resource.
    pub fn resource(&self, logical_id: &str) -> Result<&str, Error> {
        self.stack.resource(logical_id)
    }

    /// A configuration for AWS clients that call this system as its administrator. It reads nothing from the environment.
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

    /// Loads more merchants, and makes them known to the simulated bank.
    ///
    /// # Errors
    /// When the table or a key refuses a call.
    pub async fn load(&self, merchants: &[SeedMerchant]) -> Result<(), Error> {
        seed::load(&self.sdk_config(), &self.stack, merchants).await
    }

    /// Where an import creates merchants of this system.
    ///
    /// # Errors
    /// When the stack lacks a key or a table.
    pub(crate) fn import_target(&self) -> Result<impl Target + use<>, Error> {
        seed::import_target(&self.sdk_config(), &self.stack)
    }

    /// Invokes the function of `folder` and returns its reply.
    ///
    /// # Errors
    /// When the function does not exist or returns an error.
    pub async fn invoke(&self, folder: &str, event: &Value) -> Result<Value, Error> {
        let function = self
            .endpoints
            .functions
            .get(folder)
            .ok_or_else(|| self.unknown(folder))?;
        self.cloud.invoke(function, event).await
    }

    /// The SMS sent to `phone` (`+86…`), oldest first.
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

    /// The names of all log groups.
    ///
    /// # Errors
    /// When the local cloud does not answer.
    pub async fn log_groups(&self) -> Result<Vec<String>, Error> {
        self.cloud.log_groups().await
    }

    /// The lines of a log group since `since_ms`, each with its time. Times are Unix milliseconds.
    ///
    /// # Errors
    /// When there is no such group, or the local cloud does not answer.
    pub async fn log_of(&self, group: &str, since_ms: i64) -> Result<Vec<(i64, String)>, Error> {
        self.cloud.log_of(group, since_ms).await
    }

    fn unknown(&self, folder: &str) -> Error {
        let known: Vec<&str> = self
            .endpoints
            .functions
            .keys()
            .map(String::as_str)
            .collect();
        Error::UnknownFunction {
            name: folder.to_owned(),
            known: known.join(", "),
        }
    }

    /// Writes `endpoints.json` atomically, and detaches the system if the options ask for it.
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
            let _ = std::fs::remove_file(path); // its addresses are no longer valid
        }
    }
}

/// Stops the system of `state_dir`. Returns `false` if none was running.
///
/// # Errors
/// When the system is still starting, or its state cannot be read.
pub fn down(state_dir: &Path) -> Result<bool, Error> {
    let was_up = ministack::end(state_dir)?;
    let _ = std::fs::remove_file(endpoints_path(state_dir)); // absent if the system did not start completely
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
        // Without a stage the gateway uses `$default`, which a shell would expand.
        api_url: format!("{url}/_aws/execute-api/{}", stack.output("ApiId")?),
        sms_url: format!("{url}/_ministack/sns/sms-messages"),
        cloud_url: url.to_owned(),
        bank_url: stack.bank_url(url)?,
        region: REGION.to_owned(),
        access_key: ACCESS_KEY.to_owned(),
        secret_key: SECRET_KEY.to_owned(),
        stack: STACK.to_owned(),
        table: stack.output("TableName")?.to_owned(),
        record_table: stack.output("RecordTableName")?.to_owned(),
        operator_url: format!("{url}/_aws/execute-api/{}", stack.output("OperatorApiId")?),
        core_key: Value::Null,
        operators: BTreeMap::new(),
        events_topic: stack.output("EventsTopicArn")?.to_owned(),
        functions,
    })
}

/// The logical id of the function in `folder`: `rebind-request` is `RebindRequestFunction`.
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
    fn a_folder_maps_to_its_logical_id() {
        assert_eq!(logical_id("login"), "LoginFunction");
        assert_eq!(logical_id("rebind-request"), "RebindRequestFunction");
    }
}
