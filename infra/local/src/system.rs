//! A whole sandbox. On this machine it is built, started, deployed and loaded, and stopped when it is dropped; one that runs already,
//! here or on AWS, is attached to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use bytes::Bytes;
use http::Request;
use jose::receiver::Receiver;
use rebindctl::account::Account;
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
use crate::stack::{Deployment, Stack};
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
    /// `GET {sms_url}?phoneNumber=%2B86…` lists the SMS sent to a phone. On AWS, a table keeps them.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sms_url: String,
    /// The endpoint of every AWS service; empty on AWS.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub cloud_url: String,
    /// The simulated bank.
    pub bank_url: String,
    /// For AWS clients.
    pub region: String,
    /// For AWS clients: the local cloud's administrator. Valid nowhere else, and empty on AWS.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub access_key: String,
    /// The secret of `access_key`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
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

impl Endpoints {
    /// Writes them to a file, atomically.
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        let partial = path.with_extension("partial");
        let failed = || format!("writing {}", path.display());
        let text = serde_json::to_string_pretty(self).map_err(|error| Error::Reply {
            what: "JSON".into(),
            reply: error.to_string(),
        })?;
        std::fs::write(&partial, text).map_err(Error::io(failed()))?;
        std::fs::rename(&partial, path).map_err(Error::io(failed()))
    }
}

/// A running system. Dropping it stops it, if it was started here and not detached.
#[derive(Debug)]
pub struct System {
    endpoints: Endpoints,
    stack: Stack,
    cloud: Cloud,
    http: Http,
    endpoints_file: Option<PathBuf>,
    /// The local cloud, if it was started here.
    started: Option<(Deployment, Ministack)>,
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
        let roles = operators::create_roles(cloud.account(), "").await?;
        let settings = [
            ("CoreEncryptionKeys", core.public_set()),
            ("OperatorRoleArns", roles.arns()),
        ];
        let (deployment, stack) =
            Deployment::create(&cloud, &url, &template, &packages, settings).await?;
        let operators = roles
            .permitted(cloud.account(), stack.output("OperatorApiId")?)
            .await?;
        let endpoints = Endpoints {
            core_key,
            operators,
            ..endpoints(Some(&url), REGION, &stack)?
        };
        let mut system = Self {
            endpoints,
            stack,
            cloud,
            http: Http::new(),
            endpoints_file: None,
            started: Some((deployment, ministack)),
        };
        progress.say("loading the sandbox's merchants");
        system.load_sandbox().await?;
        system.publish(&options)?;
        progress.say(&format!("up: {}", system.endpoints.api_url));
        Ok(system)
    }

    /// The system that a file like `endpoints.json` describes. On AWS, with the usual credentials.
    ///
    /// # Errors
    /// When the file cannot be read, or the stack does not answer.
    pub async fn attach(file: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(file);
        let text = text.map_err(Error::io(format!("reading {}", file.display())))?;
        let endpoints: Endpoints = serde_json::from_str(&text).map_err(|error| Error::Reply {
            what: error.to_string(),
            reply: file.display().to_string(),
        })?;
        let account = if endpoints.cloud_url.is_empty() {
            let account = Account::aws(Some(&endpoints.region)).await;
            account.map_err(Error::Account)?
        } else {
            let (id, secret) = (&endpoints.access_key, &endpoints.secret_key);
            let credentials = Credentials::new(id, secret, None, None, "local");
            let url = Some(endpoints.cloud_url.clone());
            Account::new(url, endpoints.region.clone(), credentials)
        };
        let stack = Stack::read(&account, &endpoints.stack).await?;
        Ok(Self::of(account, stack, endpoints))
    }

    /// A stack that was deployed elsewhere.
    pub(crate) fn of(account: Account, stack: Stack, endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            stack,
            cloud: Cloud::of(account),
            http: Http::new(),
            endpoints_file: None,
            started: None,
        }
    }

    /// Marks the tables as those of a sandbox, and loads its merchants.
    pub(crate) async fn load_sandbox(&self) -> Result<(), Error> {
        seed::mark(&self.sdk_config(), &self.stack).await?;
        self.load(&seed::sandbox()?).await
    }

    /// Deploys a local system again with other values of parameters.
    pub(crate) async fn update(
        &mut self,
        changes: impl IntoIterator<Item = (&'static str, String)>,
    ) -> Result<(), Error> {
        if let Some((deployment, _)) = &mut self.started {
            deployment.update(&self.cloud, changes).await?;
        }
        self.read_again().await
    }

    /// Reads the stack again, after a deployment.
    pub(crate) async fn read_again(&mut self) -> Result<(), Error> {
        self.stack = Stack::read(self.cloud.account(), &self.stack.name).await?;
        self.endpoints.table = self.stack.output("TableName")?.to_owned();
        self.endpoints.record_table = self.stack.output("RecordTableName")?.to_owned();
        Ok(())
    }

    /// The account, as its administrator.
    #[must_use]
    pub const fn account(&self) -> &Account {
        self.cloud.account()
    }

    pub(crate) const fn cloud(&self) -> &Cloud {
        &self.cloud
    }

    pub(crate) const fn stack(&self) -> &Stack {
        &self.stack
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
        self.cloud.account().sdk()
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
    /// When the local cloud, or the table of messages, does not answer.
    pub async fn sms(&self, phone: &str) -> Result<Vec<String>, Error> {
        if self.endpoints.sms_url.is_empty() {
            return seed::kept_sms(
                &self.sdk_config(),
                self.stack.output("OutboxTableName")?,
                phone,
            )
            .await;
        }
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

    /// Writes `endpoints.json`, and detaches the system if the options ask for it.
    fn publish(&mut self, options: &UpOptions) -> Result<(), Error> {
        let path = endpoints_path(&options.state_dir);
        self.endpoints.write(&path)?;
        if options.detached {
            if let Some((_, ministack)) = &mut self.started {
                ministack.detach()?;
            }
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

/// `url`: of a local cloud.
pub(crate) fn endpoints(
    url: Option<&str>,
    region: &str,
    stack: &Stack,
) -> Result<Endpoints, Error> {
    let functions = stack.of_kind("AWS::Lambda::Function");
    let functions = functions.map(|one| (folder_of(&one.logical_id), one.physical_id.clone()));
    let api = |id: &str, address: &str| match url {
        // Without a stage the gateway uses `$default`, which a shell would expand.
        Some(url) => Ok(format!("{url}/_aws/execute-api/{}", stack.output(id)?)),
        None => stack.output(address).map(str::to_owned),
    };
    let of_cloud = |path: &str| url.map_or_else(String::new, |url| format!("{url}{path}"));
    let key = |key: &str| url.map_or_else(String::new, |_| key.to_owned());
    Ok(Endpoints {
        api_url: api("ApiId", "ApiUrl")?,
        sms_url: of_cloud("/_ministack/sns/sms-messages"),
        cloud_url: of_cloud(""),
        bank_url: stack.bank_url(url)?,
        region: region.to_owned(),
        access_key: key(ACCESS_KEY),
        secret_key: key(SECRET_KEY),
        stack: stack.name.clone(),
        table: stack.output("TableName")?.to_owned(),
        record_table: stack.output("RecordTableName")?.to_owned(),
        operator_url: api("OperatorApiId", "OperatorApiUrl")?,
        core_key: Value::Null,
        operators: BTreeMap::new(),
        events_topic: stack.output("EventsTopicArn")?.to_owned(),
        functions: functions.collect(),
    })
}

/// The folder of a function of the template: that of `RebindRequestFunction` is `rebind-request`.
fn folder_of(logical_id: &str) -> String {
    let name = logical_id.strip_suffix("Function").unwrap_or(logical_id);
    let mut folder = String::new();
    for (index, letter) in name.chars().enumerate() {
        if index > 0 && letter.is_ascii_uppercase() {
            folder.push('-');
        }
        folder.push(letter.to_ascii_lowercase());
    }
    folder
}

#[cfg(test)]
mod tests {
    use super::folder_of;

    #[test]
    fn functions_are_known_by_their_folders() {
        assert_eq!(folder_of("LoginFunction"), "login");
        assert_eq!(folder_of("RebindRequestFunction"), "rebind-request");
    }
}
