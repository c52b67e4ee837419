//! The functions' settings in `infra/template.yaml`. They are read from the deployed file, so that a local process gets
//! exactly the deployed settings.

use crate::operators::OPERATOR_ROLES;
use jose::receiver::Receiver;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::OnceLock;
use std::time::Duration;

/// The local name of the main table.
pub const TABLE: &str = "rebind";
/// The local name of the table with the acquirer's record.
pub const RECORD_TABLE: &str = "record";
/// The local name of the sandbox bank's table.
pub const BANK_TABLE: &str = "bank";
/// The local name of the outbox.
pub const OUTBOX_TABLE: &str = "outbox";

/// The template. The short forms of intrinsic functions are read as their arguments: `!Ref Table` is `Table`.
pub struct Template(Value);

/// The deployed settings of a function.
#[derive(Clone, Debug)]
pub struct Deployed {
    /// The name of its folder.
    pub name: String,
    /// The memory.
    pub memory_mb: u64,
    /// The timeout of an invocation.
    pub timeout: Duration,
    variables: BTreeMap<String, Value>,
    parameters: Value,
}

impl Deployed {
    /// The environment, in a sandbox stack whose bank is at `bank_url`.
    pub fn environment(&self, bank_url: &str) -> impl Iterator<Item = (&str, String)> {
        self.variables
            .iter()
            .map(move |(name, value)| (name.as_str(), resolved(value, &self.parameters, bank_url)))
    }
}

/// A route of the gateway.
#[derive(Clone, Debug)]
pub struct Route {
    /// `POST /v1/rebinds/{id}/cancel`, or `$default`.
    pub key: String,
    /// The folder of the function behind it.
    pub function: String,
}

/// The local value of a template key.
#[must_use]
pub fn key_arn(resource: &str) -> String {
    format!(
        "arn:aws:kms:{}:000000000000:key/{resource}",
        crate::processes::cloud::REGION
    )
}

/// The local ARN of the topic of events.
#[must_use]
pub fn topic_arn() -> String {
    format!(
        "arn:aws:sns:{}:000000000000:events",
        crate::processes::cloud::REGION
    )
}

/// The core system, which reads payout instructions.
#[must_use]
pub fn core_key() -> &'static Receiver {
    static KEY: OnceLock<Receiver> = OnceLock::new();
    KEY.get_or_init(|| Receiver::generate("core-1").unwrap())
}

/// A template value in a local sandbox stack, with all other parameters at their defaults.
fn resolved(value: &Value, parameters: &Value, bank_url: &str) -> String {
    let Value::String(name) = value else {
        return match value[0].as_str() {
            Some("SimulatedBank") => bank_url.to_owned(),
            // Messages go through SNS.
            Some("SimulatedGateway" | "ThroughGateway" | "ToOutbox") => String::new(),
            other => panic!("unsupported condition: {other:?}"),
        };
    };
    match name.as_str() {
        "Stage" => "sandbox".to_owned(),
        "RootCertificates" => local::root_certificates().to_owned(),
        "SmsSignature" => local::SMS_SIGNATURE.to_owned(),
        "OperatorRoleArns" => OPERATOR_ROLES.join(","),
        "CoreEncryptionKeys" => core_key().public_set(),
        parameter if !parameters[parameter].is_null() => {
            let default = &parameters[parameter]["Default"];
            let number = || default.as_u64().unwrap().to_string();
            default.as_str().map_or_else(number, str::to_owned)
        }
        "MainTableName.Value" => TABLE.to_owned(),
        "RecordTableName.Value" => RECORD_TABLE.to_owned(),
        "SandboxBankTable" => BANK_TABLE.to_owned(),
        "EventsTopic" => topic_arn(),
        "/card-rebind/${AWS::StackName}" => "/card-rebind/tests".to_owned(),
        // No local process has a log.
        "LogBucket" => "log".to_owned(),
        "LogBucket.RegionalDomainName" => "log.localhost".to_owned(),
        "AnchorQueue" => "http://127.0.0.1/anchor".to_owned(),
        "${AWS::StackName}/${AWS::AccountId}/${AWS::Region}" => "log.test".to_owned(),
        "BankSecret.Id" => "BankSecret".to_owned(),
        "BankQuerySecret.Id" => "BankQuerySecret".to_owned(),
        "GatewaySecret.Id" => "GatewaySecret".to_owned(),
        "OutboxTable" => OUTBOX_TABLE.to_owned(),
        // `!Sub "1=${LookUpKey1.Arn}"`
        key => match key.split_once("=${") {
            Some((version, key)) => {
                format!("{version}={}", key_arn(key.strip_suffix(".Arn}").unwrap()))
            }
            None => key_arn(key.strip_suffix(".Arn").unwrap_or_else(|| panic!("{key}?"))),
        },
    }
}

impl Template {
    /// Reads the template.
    #[must_use]
    pub fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/template.yaml");
        let yaml = std::fs::read_to_string(path).unwrap();
        // `AttributeType: N` is a string, not the boolean "no".
        let options = serde_saphyr::options! { strict_booleans: true };
        Self(serde_saphyr::from_str_with_options(&yaml, options).unwrap())
    }

    /// Every function, by its logical id without `Function`.
    #[must_use]
    pub fn functions(&self) -> BTreeMap<String, Deployed> {
        let globals = &self.0["Globals"]["Function"];
        let resources = self.0["Resources"].as_object().unwrap();
        let functions = resources
            .iter()
            .filter(|(_, resource)| resource["Type"] == "AWS::Serverless::Function");
        functions
            .map(|(id, resource)| {
                let properties = &resource["Properties"];
                let number = |name: &str| {
                    let own = properties[name].as_u64();
                    own.or(globals[name].as_u64()).unwrap()
                };
                let mut variables = BTreeMap::new();
                for level in [globals, properties] {
                    let given = level["Environment"]["Variables"].as_object().unwrap();
                    let given = given.iter();
                    variables.extend(given.map(|(name, value)| (name.clone(), value.clone())));
                }
                let code = properties["CodeUri"].as_str().unwrap();
                let deployed = Deployed {
                    name: code.strip_prefix("../functions/").unwrap().to_owned(),
                    memory_mb: number("MemorySize"),
                    timeout: Duration::from_secs(number("Timeout")),
                    variables,
                    parameters: self.0["Parameters"].clone(),
                };
                (id.strip_suffix("Function").unwrap().to_owned(), deployed)
            })
            .collect()
    }

    /// The gateway's routes.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        let functions = self.functions();
        let resources = self.0["Resources"].as_object().unwrap();
        let mut routes = Vec::new();
        for (id, each) in resources {
            let id = id.strip_prefix("Fn::ForEach::");
            let Some(function) = id.and_then(|id| id.strip_suffix("Routes")) else {
                continue;
            };
            let keys = each[1].as_array().unwrap().iter();
            routes.extend(keys.map(|key| Route {
                key: key.as_str().unwrap().to_owned(),
                function: functions[function].name.clone(),
            }));
        }
        routes
    }

    /// The request that creates a table as the template describes it, but without a stream: with a stream, dynoxide walks
    /// over all earlier records at every write.
    #[must_use]
    pub fn table(&self, resource: &str, name: &str) -> Value {
        let properties = &self.0["Resources"][resource]["Properties"];
        let mut table = json!({"TableName": name});
        for part in [
            "BillingMode",
            "AttributeDefinitions",
            "KeySchema",
            "GlobalSecondaryIndexes",
        ] {
            if let Some(given) = properties.get(part) {
                table[part] = given.clone();
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn function_gets_its_environment() {
        let functions = Template::load().functions();
        assert_eq!(functions.len(), 15);
        let verification = &functions["Verification"];
        assert_eq!(verification.name, "verification");
        assert_eq!(verification.memory_mb, 256);
        assert_eq!(verification.timeout, Duration::from_secs(20));
        let given: BTreeMap<_, _> = verification.environment("http://bank").collect();
        assert_eq!(given["STAGE"], "sandbox");
        assert_eq!(given["TABLE"], TABLE);
        assert_eq!(given["RECORD_TABLE"], RECORD_TABLE);
        assert_eq!(given["BANK_URL"], "http://bank");
        let hash_key = format!("1={}", key_arn("CodesKey1"));
        assert_eq!(given["CODES_KEY"], hash_key);
        assert_eq!(given["PREVIOUS_CODES_KEY_ID"], "");
        assert_eq!(given["DUE_SHARDS"], "4");
        assert!(!given.contains_key("FREEZE_KEY"));
        assert!(!given.contains_key("HISTORY_KEY_ID"));
    }

    #[test]
    fn every_route_maps_to_function() {
        let routes = Template::load().routes();
        assert_eq!(routes.len(), 67);
        let of = |key: &str| {
            let route = routes.iter().find(|route| route.key == key);
            route.map(|route| route.function.as_str())
        };
        assert_eq!(of("POST /v1/sessions"), Some("login"));
        assert_eq!(of("POST /v1/freezes"), Some("freezes"));
        assert_eq!(of("$default"), Some("cards"));
    }
}
