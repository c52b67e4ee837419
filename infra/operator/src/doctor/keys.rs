//! Keys and secrets.

use super::{Finding, Findings, Level};
use jose::jwk::EncryptionKey;
use serde_json::Value;

/// The longest time from the creation of a secret to the generation of its first value, in seconds.
const GENERATED_WITHIN_S: f64 = 60.0;

/// Judges a key of KMS. `rotation`: for a symmetric key that encrypts, the answer of `GetKeyRotationStatus`.
pub(super) fn kms_key(subject: &str, answer: &Value, rotation: Option<&Value>) -> Vec<Finding> {
    let state = answer["KeyMetadata"]["KeyState"]
        .as_str()
        .unwrap_or_default();
    let mut found = Findings::about(subject);
    found.problem_unless(
        state == "Enabled",
        match state {
            "PendingDeletion" => {
                "it will be deleted, and what it encrypts is lost then: `aws kms cancel-key-deletion`, then `enable-key`".to_owned()
            }
            state => format!("it is {state}: `aws kms enable-key`"),
        },
    );
    if let Some(rotation) = rotation {
        found.warning_unless(
            rotation["KeyRotationEnabled"] == true,
            "its material does not rotate: `aws kms enable-key-rotation`",
        );
    }
    found.or_ok("enabled")
}

/// True if KMS can rotate the material of a key.
pub(super) fn rotates(answer: &Value) -> bool {
    let key = &answer["KeyMetadata"];
    key["KeySpec"] == "SYMMETRIC_DEFAULT" && key["KeyState"] == "Enabled"
}

/// Judges a secret that is shared with the bank, from `DescribeSecret`. Its value is not read.
pub(super) fn secret(subject: &str, answer: &Value, is_bank_real: bool) -> Vec<Finding> {
    let mut found = Findings::about(subject);
    let stages = answer["VersionIdsToStages"].as_object();
    let has = |stage: &str| {
        let mut lists = stages.into_iter().flat_map(|versions| versions.values());
        lists.any(|list| {
            list.as_array()
                .is_some_and(|list| list.contains(&stage.into()))
        })
    };
    found.problem_unless(
        answer["DeletedDate"].is_null(),
        "it will be deleted: `aws secretsmanager restore-secret`",
    );
    found.problem_unless(
        has("AWSCURRENT"),
        "it has no value: `aws secretsmanager put-secret-value`",
    );
    let seconds = |name: &str| answer[name].as_f64().unwrap_or_default();
    let is_generated = !has("AWSPREVIOUS")
        && seconds("LastChangedDate") - seconds("CreatedDate") < GENERATED_WITHIN_S;
    found.problem_unless(
        !(is_bank_real && is_generated),
        "it still has the generated value, which the bank does not know: `aws secretsmanager put-secret-value`",
    );
    found.or_ok("has a value")
}

/// Judges the parameter CoreEncryptionKeys. `registered`: the thumbprints that two operators registered, which only the sandbox
/// does not demand.
pub(super) fn core_keys(parameter: &str, registered: &[String], is_durable: bool) -> Vec<Finding> {
    let mut found = Findings::about("CoreEncryptionKeys");
    if parameter.is_empty() {
        let message =
            "it is empty, so no payout can be paid: deploy with the public keys of the core system";
        found.add(Level::Problem, message);
        return found.all;
    }
    let keys = match EncryptionKey::read_set(parameter) {
        Ok(keys) => keys,
        Err(error) => {
            found.add(Level::Problem, format!("no payout can be paid: {error}"));
            return found.all;
        }
    };
    if is_durable {
        for key in &keys {
            let (kid, thumbprint) = (key.kid(), key.thumbprint());
            found.problem_unless(
                registered.iter().any(|one| one == thumbprint),
                format!(
                    "{kid} is not registered, so no number is released to it: compare its thumbprint {thumbprint} with the \
                     core system's key service, then `rebindctl proposals core-key`"
                ),
            );
        }
        for one in registered {
            found.warning_unless(
                keys.iter().any(|key| key.thumbprint() == one),
                format!("{one} is registered but not in use: remove it with `rebindctl proposals core-key --remove`"),
            );
        }
    }
    found.or_ok(format!("{} usable", keys.len()))
}
