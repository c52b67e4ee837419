//! Who calls: the session of one of the acquirer's roles.

use crate::event::Request;
use domain::error_code::ErrorCode;
use domain::operator::Actor;
use domain::rejection::Rejection;

/// The roles whose sessions may call, each as account and name.
#[derive(Clone, Debug, Default)]
pub struct OperatorRoles(Vec<(String, String)>);

impl OperatorRoles {
    /// Reads a comma-separated list of role ARNs. An ARN of another form permits nobody.
    #[must_use]
    pub fn parse(arns: &str) -> Self {
        let roles = arns.split(',').filter_map(|arn| {
            let mut parts = arn.trim().split(':');
            let ("arn", Some(_), Some("iam"), Some(_)) =
                (parts.next()?, parts.next(), parts.next(), parts.next())
            else {
                return None;
            };
            let (account, resource) = (parts.next()?, parts.next()?);
            // A session's ARN does not have the role's path.
            let name = resource.strip_prefix("role/")?.rsplit('/').next()?;
            (parts.next().is_none() && !account.is_empty() && !name.is_empty())
                .then(|| (account.to_owned(), name.to_owned()))
        });
        Self(roles.collect())
    }

    /// The person who calls.
    ///
    /// # Errors
    /// `OPERATOR_UNKNOWN` unless the caller is a session of one of the roles. The root user, an IAM user and a caller whom IAM did
    /// not authorise have no such session.
    pub fn caller(&self, request: &Request) -> Result<Actor, Rejection> {
        let known = || {
            let (account, role, person) = session(&request.caller_arn)?;
            let mut roles = self.0.iter();
            let is_known = roles.any(|(of, name)| of == account && name == role);
            is_known.then(|| Actor::new(account, person))
        };
        known().ok_or_else(|| Rejection::new(ErrorCode::OperatorUnknown))
    }
}

/// Account, role and person of `arn:aws:sts::<account>:assumed-role/<role>/<person>`.
fn session(arn: &str) -> Option<(&str, &str, &str)> {
    let mut parts = arn.splitn(6, ':');
    let ("arn", Some(_), Some("sts"), Some(_)) =
        (parts.next()?, parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    let (account, resource) = (parts.next()?, parts.next()?);
    let (role, person) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    let is_name = |text: &str| !text.is_empty() && !text.contains('/');
    (!account.is_empty() && is_name(role) && is_name(person)).then_some((account, role, person))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROLE: &str = "arn:aws:iam::111122223333:role/team/Support";
    const LI: &str = "arn:aws:sts::111122223333:assumed-role/Support/Li.Na";

    fn caller(roles: &str, arn: &str) -> Option<Actor> {
        let request = Request {
            caller_arn: arn.to_owned(),
            ..Request::default()
        };
        OperatorRoles::parse(roles).caller(&request).ok()
    }

    #[test]
    fn session_of_a_known_role_is_a_person() {
        let roles = format!("arn:aws:iam::1:role/Other, {ROLE}");
        let li = caller(&roles, LI).unwrap();
        assert_eq!((li.account(), li.person()), ("111122223333", "li.na"));
    }

    #[test]
    fn everybody_else_is_unknown() {
        for arn in [
            "",
            "arn:aws:iam::111122223333:root",
            "arn:aws:iam::111122223333:user/Li.Na",
            "arn:aws:sts::111122223333:assumed-role/Security/Li.Na",
            "arn:aws:sts::444455556666:assumed-role/Support/Li.Na",
            "arn:aws:sts::111122223333:assumed-role/Support/",
            "arn:aws:sts::111122223333:assumed-role/team/Support/Li.Na",
            "arn:aws:sts::111122223333:federated-user/Li.Na",
        ] {
            assert_eq!(caller(ROLE, arn), None, "{arn}");
        }
    }

    #[test]
    fn malformed_roles_permit_nobody() {
        for roles in ["", "Support", "arn:aws:iam::111122223333:user/Support"] {
            assert_eq!(caller(roles, LI), None, "{roles}");
        }
    }
}
