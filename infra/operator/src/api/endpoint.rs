//! Where the API is, and who calls it.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The API's address, and the credentials that sign for it.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The base URL, without a slash at its end.
    pub url: String,
    /// The region of the API.
    pub region: String,
    /// The credentials of a role's session.
    pub credentials: Credentials,
}

/// Why there is no endpoint.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// No URL.
    #[error(
        "no address: set --url or REBIND_OPERATOR_URL to the stack's output OperatorApiUrl, or use --local --as ROLE"
    )]
    NoUrl,
    /// Not an address.
    #[error("the address must begin with https://, or with http:// on 127.0.0.1")]
    BadUrl,
    /// No region.
    #[error("no region: set --region or AWS_REGION")]
    NoRegion,
    /// No credentials.
    #[error(
        "no AWS credentials: assume one of the stack's operator roles, under your own name, and export its credentials"
    )]
    NoCredentials,
    /// The local system is not up.
    #[error("{0} cannot be read: start the local system with `cargo local up --detach`")]
    NotUp(PathBuf),
    /// No role of the local system.
    #[error("--local needs a role here: --as with one of {0}")]
    RoleMissing(String),
    /// The local system has no such role.
    #[error("the local system has no role {role}: use one of {known}")]
    NoRole {
        /// The role.
        role: String,
        /// The roles that it has.
        known: String,
    },
}

/// The part of `endpoints.json` that is needed here.
#[derive(Deserialize)]
pub(crate) struct Endpoints {
    operator_url: String,
    pub(crate) cloud_url: String,
    pub(crate) region: String,
    pub(crate) access_key: String,
    pub(crate) secret_key: String,
    pub(crate) stack: String,
    operators: BTreeMap<String, Session>,
}

#[derive(Deserialize)]
struct Session {
    access_key: String,
    secret_key: String,
    session_token: String,
}

/// The local system: its `endpoints.json`.
#[derive(Clone, Copy, Debug)]
pub struct Local<'a>(pub &'a Path);

impl Local<'_> {
    pub(crate) fn read(self) -> Result<Endpoints, EndpointError> {
        let not_up = || EndpointError::NotUp(self.0.to_owned());
        let text = std::fs::read_to_string(self.0).map_err(|_| not_up())?;
        serde_json::from_str(&text).map_err(|_| not_up())
    }
}

impl Endpoint {
    /// The local system, in one of its roles.
    ///
    /// # Errors
    /// When it is not up, or has no such role.
    pub fn local(local: Local<'_>, role: Option<&str>) -> Result<Self, EndpointError> {
        let endpoints = local.read()?;
        let session = role.and_then(|role| endpoints.operators.get(role));
        let Some(session) = session else {
            let known: Vec<_> = endpoints.operators.into_keys().collect();
            let known = known.join(", ");
            return Err(match role {
                Some(role) => EndpointError::NoRole {
                    role: role.to_owned(),
                    known,
                },
                None => EndpointError::RoleMissing(known),
            });
        };
        let token = Some(session.session_token.clone());
        let (id, secret) = (&session.access_key, &session.secret_key);
        Ok(Self {
            url: endpoints.operator_url,
            region: endpoints.region,
            credentials: Credentials::new(id, secret, token, None, "local"),
        })
    }

    /// A stack on AWS, with the usual credentials.
    ///
    /// # Errors
    /// Without address, region or credentials.
    pub async fn aws(url: Option<&str>, region: Option<&str>) -> Result<Self, EndpointError> {
        let url = url.ok_or(EndpointError::NoUrl)?.trim_end_matches('/');
        let is_local = url.starts_with("http://127.0.0.1:");
        if !(url.starts_with("https://") || is_local) {
            return Err(EndpointError::BadUrl);
        }
        let (_, region, credentials) = usual(region).await?;
        Ok(Self {
            url: url.to_owned(),
            region,
            credentials,
        })
    }
}

/// The usual configuration of AWS, its region unless one is given, and its credentials: from the environment, profiles,
/// containers and instances.
pub(crate) async fn usual(
    region: Option<&str>,
) -> Result<(SdkConfig, String, Credentials), EndpointError> {
    let config = aws_config::defaults(BehaviorVersion::latest()).load().await;
    let configured = config.region().map(ToString::to_string);
    let region = region.map(str::to_owned).or(configured);
    let provider = config.credentials_provider();
    let provider = provider.ok_or(EndpointError::NoCredentials)?;
    let credentials = provider.provide_credentials().await;
    let credentials = credentials.map_err(|_| EndpointError::NoCredentials)?;
    Ok((config, region.ok_or(EndpointError::NoRegion)?, credentials))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_roles_come_from_endpoints() {
        let folder = std::env::temp_dir().join(format!("rebindctl-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("endpoints.json");
        let local = |role: &str| Endpoint::local(Local(&path), Some(role));
        assert!(matches!(local("support"), Err(EndpointError::NotUp(_))));
        let session = r#"{"access_key": "a", "secret_key": "b", "session_token": "c"}"#;
        let text = format!(
            r#"{{"operator_url": "http://127.0.0.1:1/x", "cloud_url": "http://127.0.0.1:1", "region": "r", "access_key": "a",
                "secret_key": "b", "stack": "s", "operators": {{"support": {session}}}}}"#
        );
        std::fs::write(&path, text).unwrap();
        let endpoint = local("support").unwrap();
        assert_eq!(endpoint.credentials.session_token(), Some("c"));
        let error = local("nobody").unwrap_err().to_string();
        assert!(error.contains("support"), "{error}");
        let missing = Endpoint::local(Local(&path), None);
        assert!(matches!(missing, Err(EndpointError::RoleMissing(_))));
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
