//! The operators of the local system: one role for each fictional person. Its trust policy fixes the name of the session, and its
//! policy permits routes of the operator's API.

use aws_credential_types::Credentials;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::cloud::{Cloud, REGION};
use crate::error::Error;
use crate::stack::first;

const IAM: (&str, &str) = ("iam", "2010-05-08");
const STS: (&str, &str) = ("sts", "2011-06-15");

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

/// Creates the roles without permissions. The stack needs their ARNs, and the permissions need the stack.
pub(crate) async fn create_roles(cloud: &Cloud) -> Result<Roles, Error> {
    let mut roles = Vec::new();
    for role in ROLES {
        let trust = json!({"Version": "2012-10-17", "Statement": [{
            "Effect": "Allow",
            "Principal": {"AWS": "*"},
            "Action": "sts:AssumeRole",
            "Condition": {"StringEquals": {"sts:RoleSessionName": role.person}},
        }]});
        let fields = fields([
            ("RoleName", role.name),
            ("AssumeRolePolicyDocument", &trust.to_string()),
        ]);
        let reply = cloud.query(IAM, "CreateRole", &fields).await?;
        let arn = part(&reply, "Arn")?;
        roles.push((role, arn));
    }
    Ok(Roles(roles))
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
        cloud: &Cloud,
        api_id: &str,
    ) -> Result<BTreeMap<String, RoleCredentials>, Error> {
        let mut all = BTreeMap::new();
        for (role, arn) in self.0 {
            let account = arn.split(':').nth(4).unwrap_or_default();
            let api = format!("arn:aws:execute-api:{REGION}:{account}:{api_id}/*");
            let routes: Vec<_> = role
                .routes
                .iter()
                .map(|route| format!("{api}/{route}"))
                .collect();
            let policy = json!({"Version": "2012-10-17", "Statement": [
                {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": routes},
            ]});
            let put = fields([
                ("RoleName", role.name),
                ("PolicyName", "routes"),
                ("PolicyDocument", &policy.to_string()),
            ]);
            cloud.query(IAM, "PutRolePolicy", &put).await?;
            let assume = fields([("RoleArn", arn.as_str()), ("RoleSessionName", role.person)]);
            let reply = cloud.query(STS, "AssumeRole", &assume).await?;
            let credentials = RoleCredentials {
                access_key: part(&reply, "AccessKeyId")?,
                secret_key: part(&reply, "SecretAccessKey")?,
                session_token: part(&reply, "SessionToken")?,
            };
            all.insert(role.name.to_owned(), credentials);
        }
        Ok(all)
    }
}

fn fields<const N: usize>(fields: [(&str, &str); N]) -> Vec<(String, String)> {
    let fields = fields.into_iter();
    fields
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn part(xml: &str, name: &str) -> Result<String, Error> {
    first(xml, name).ok_or_else(|| Error::Reply {
        what: name.to_owned(),
        reply: "a reply without it".to_owned(),
    })
}
