//! A push target. The sort key holds its id and the tag of its token.

use super::{Attributes, GARBAGE_AFTER_S, check_version, version};
use crate::item::{Item, b, broken, get_s, opt_b, opt_time, s, time};
use application::ports::{KeptPushTarget, PortError};
use domain::policy::Policy;
use domain::push::PushPlatform;
use domain::rebind::Sealed;
use domain::time::Timestamp;
use domain::transition::NewPushTarget;

/// The attributes of a registered target, new or registered again.
///
/// # Errors
/// `Permanent`, when the token is not sealed: the target could not be read again.
pub(crate) fn registered(target: &NewPushTarget) -> Result<Attributes, PortError> {
    let token = target
        .sealed_token
        .as_ref()
        .ok_or_else(|| broken("token"))?;
    Ok(vec![
        version(),
        ("platform", Some(s(target.platform.as_str()))),
        ("token", Some(b(&token.0))),
        ("registered_at", Some(time(target.target.registered_at))),
        ("removed_at", None),
        ("ttl", None),
    ])
}

/// The attributes of a target removed at `now`. It still receives notifications for some days.
pub(crate) fn removed(policy: &Policy, now: Timestamp) -> Attributes {
    let garbage_at = now.plus_s(policy.push_after_removal_s + GARBAGE_AFTER_S);
    vec![
        ("removed_at", Some(time(now))),
        ("ttl", Some(time(garbage_at))),
    ]
}

/// A target, from its item.
///
/// # Errors
/// `TooNew`, for an item of a later release; `Permanent`, for one that this code did not write.
pub fn read(item: &Item) -> Result<KeptPushTarget, PortError> {
    check_version(item, "a push target")?;
    let tag = get_s(item, "sk")?.rsplit('#').next().unwrap_or_default();
    let platform = PushPlatform::parse(get_s(item, "platform")?);
    Ok(KeptPushTarget {
        tag: tag.to_owned(),
        platform: platform.ok_or_else(|| broken("platform"))?,
        sealed_token: Sealed(opt_b(item, "token").ok_or_else(|| broken("token"))?),
        registered_at: opt_time(item, "registered_at"),
        removed_at: opt_time(item, "removed_at"),
    })
}
