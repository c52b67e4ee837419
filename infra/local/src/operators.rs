//! The operators of a sandbox: one role for each fictional person. Its trust policy fixes the name of the session, and its
//! policy permits routes of the operator's API.

use aws_credential_types::Credentials;
use rebindctl::account::{Account, IAM, STS, Why};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::stack::no_answer;

/// On AWS, a new role can be assumed after some seconds.
const ASSUMABLE_LIMIT: Duration = Duration::from_secs(60);

/// The name of each role's only policy.
const POLICY: &str = "policy";

/// A role: its name, its person, and the routes that it permits.
struct Role {
    name: &'static str,
    person: &'static str,
    routes: &'static [&'static str],
}

const SUPPORT: &[&str] = &[
    "GET/*",
    "POST/operator/v1/lookups",
    "POST/operator/v1/acts/*",
];
const OPERATIONS: &[&str] = &[
    "GET/*",
    "POST/operator/v1/lookups",
    "POST/operator/v1/acts/*",
    "POST/operator/v1/proposals/*",
];
const SECURITY: &[&str] = &[
    "GET/*",
    "POST/operator/v1/approvals/*",
    "POST/operator/v1/acts/erase/*",
];

const REGISTRY: &[&str] = &[
    "GET/*",
    "POST/operator/v1/lookups",
    "POST/operator/v1/registry/*",
];

const ROLES: [Role; 5] = [
    Role {
        name: "support",
        person: "li.na",
        routes: SUPPORT,
    },
    Role {
        name: "operations",
        person: "wang.wei",
        routes: OPERATIONS,
    },
    Role {
        name: "security",
        person: "zhao.min",
        routes: SECURITY,
    },
    Role {
        name: "security_2",
        person: "chen.jing",
        routes: SECURITY,
    },
    Role {
        name: "registry",
        person: "registry",
        routes: REGISTRY,
    },
];

/// The credentials of a role's session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleCredentials {
    /// The access key.
    pub access_key: String,
    /// The secret of the access key.
    pub secret_key: String,
    /// The token of the session.
    pub session_token: String,
}

impl RoleCredentials {
    /// For a client that signs its requests.
    #[must_use]
    pub fn credentials(&self) -> Credentials {
        let token = Some(self.session_token.clone());
        Credentials::new(&self.access_key, &self.secret_key, token, None, "local")
    }
}

/// The roles with their ARNs.
pub(crate) struct Roles(Vec<(Role, String)>);

/// Creates the roles without permissions. The stack needs their ARNs, and the permissions need the stack. `prefix`: of their names.
pub(crate) async fn create_roles(account: &Account, prefix: &str) -> Result<Roles, Error> {
    let mut roles = Vec::new();
    for role in ROLES {
        let name = format!("{prefix}{}", role.name);
        let arn = create_role(account, &name, role.person).await?;
        roles.push((role, arn));
    }
    Ok(Roles(roles))
}

/// Creates a role that this account may assume under one session name. Returns its ARN.
pub(crate) async fn create_role(
    account: &Account,
    name: &str,
    session: &str,
) -> Result<String, Error> {
    let caller = ask(account, STS, "GetCallerIdentity", &json!({})).await?;
    let caller = part(&caller, "/Arn")?;
    let trust = json!({"Version": "2012-10-17", "Statement": [trusted(&caller, session)]});
    let input = json!({"RoleName": name, "AssumeRolePolicyDocument": trust.to_string()});
    let created = ask(account, IAM, "CreateRole", &input).await?;
    part(&created, "/Role/Arn")
}

/// Deletes the roles with their permissions.
pub(crate) async fn delete_roles(account: &Account, prefix: &str) -> Result<(), Error> {
    for role in ROLES {
        let name = format!("{prefix}{}", role.name);
        let policy = json!({"RoleName": name, "PolicyName": POLICY});
        // A role without permissions has no policy.
        let _ = ask(account, IAM, "DeleteRolePolicy", &policy).await;
        ask(account, IAM, "DeleteRole", &json!({ "RoleName": name })).await?;
    }
    Ok(())
}

/// The statement of a trust policy that lets everybody in whom the account of this ARN permits, under one session name.
pub(crate) fn trusted(arn: &str, session: &str) -> Value {
    let mut parts = arn.split(':');
    let (partition, id) = (parts.nth(1), parts.nth(2));
    let (partition, id) = (partition.unwrap_or_default(), id.unwrap_or_default());
    json!({
        "Effect": "Allow",
        "Principal": {"AWS": format!("arn:{partition}:iam::{id}:root")},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEquals": {"sts:RoleSessionName": session}},
    })
}

/// Replaces the permissions of a role.
pub(crate) async fn permit(account: &Account, role: &str, policy: &Value) -> Result<(), Error> {
    let input =
        json!({"RoleName": role, "PolicyName": POLICY, "PolicyDocument": policy.to_string()});
    ask(account, IAM, "PutRolePolicy", &input).await?;
    Ok(())
}

/// Opens a session of a role.
pub(crate) async fn assume(
    account: &Account,
    arn: &str,
    session: &str,
) -> Result<RoleCredentials, Error> {
    let input = json!({"RoleArn": arn, "RoleSessionName": session});
    let deadline = Instant::now() + ASSUMABLE_LIMIT;
    let reply = loop {
        match account.ask(STS, "AssumeRole", &input).await {
            Ok(answer) => break answer.body,
            Err(cause) if cause.why == Why::Denied && Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
            Err(cause) => return Err(no_answer(cause)),
        }
    };
    Ok(RoleCredentials {
        access_key: part(&reply, "/Credentials/AccessKeyId")?,
        secret_key: part(&reply, "/Credentials/SecretAccessKey")?,
        session_token: part(&reply, "/Credentials/SessionToken")?,
    })
}

impl Roles {
    /// The ARNs, as the template's parameter takes them.
    pub(crate) fn arns(&self) -> String {
        let arns: Vec<_> = self.0.iter().map(|(_, arn)| arn.as_str()).collect();
        arns.join(",")
    }

    /// Permits the routes, and opens a session of each role.
    pub(crate) async fn permitted(
        self,
        account: &Account,
        api_id: &str,
    ) -> Result<BTreeMap<String, RoleCredentials>, Error> {
        let region = account.region();
        let mut all = BTreeMap::new();
        for (role, arn) in self.0 {
            let mut parts = arn.split(':');
            let partition = parts.nth(1).unwrap_or_default();
            let id = parts.nth(2).unwrap_or_default();
            let api = format!("arn:{partition}:execute-api:{region}:{id}:{api_id}/*");
            let routes = role.routes.iter().map(|route| format!("{api}/{route}"));
            let policy = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": routes.collect::<Vec<_>>()},
            ]});
            let name = arn.rsplit('/').next().unwrap_or_default();
            permit(account, name, &policy).await?;
            let session = assume(account, &arn, role.person).await?;
            all.insert(role.name.to_owned(), session);
        }
        Ok(all)
    }
}

async fn ask(
    account: &Account,
    service: rebindctl::account::Service,
    operation: &str,
    input: &Value,
) -> Result<Value, Error> {
    let answer = account.ask(service, operation, input).await;
    Ok(answer.map_err(no_answer)?.body)
}

fn part(reply: &Value, pointer: &str) -> Result<String, Error> {
    let text = reply.pointer(pointer).and_then(Value::as_str);
    text.map(str::to_owned).ok_or_else(|| Error::Reply {
        what: pointer.to_owned(),
        reply: "a reply of IAM".to_owned(),
    })
}
