//! `PUT` and `DELETE /v1/push-targets/{id}`: the devices that receive notifications besides the phone on file.

use super::Settlement;
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::{Empty, PutPushTarget};
use application::crypto::HashPurpose;
use application::error::HandlerError;
use application::ports::{KeyService, LogPublicKey, ReadLog, Selector};
use application::request::no_content;
use application::transact::{Learned, Loaded};
use domain::decide::Command;
use domain::device::DeviceTag;
use domain::error_code::ErrorCode;
use domain::merchant::PushTarget;
use domain::push::PushPlatform;
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transition::{NewPushTarget, Transition};
use store::client::Table;

/// Maximum length of an id. Ids are stored in the merchant state, which must stay small.
const ID_MAX_CHARS: usize = 36;
/// Maximum length of a platform's push token.
const TOKEN_MAX_CHARS: usize = 4_096;
/// Length of a token's keyed hash: enough to distinguish one merchant's tokens.
const TAG_CHARS: usize = 8;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey> Settlement<T, K, B, S> {
    pub(crate) async fn put_push_target(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<PutPushTarget>(request)?;
        let ctx = self.context(request, now, &body.canonical).await?;
        let (id, platform, token) = match read(request, body.fields) {
            Ok(read) => read,
            Err(refusal) => {
                // The session token is checked before any field is reported.
                ctx.load(Selector::Latest).await?;
                return Err(refusal.into());
            }
        };
        let parts = [platform.as_str(), token.expose()];
        let tag = self.keys.mac(HashPurpose::Push, &parts).await?;
        let tag = tag.shortened(TAG_CHARS).0;
        let new = NewPushTarget {
            // The decision sets the device and the time.
            target: PushTarget {
                id,
                token_tag: tag,
                device: DeviceTag::default(),
                registered_at: now,
            },
            platform,
            sealed_token: None,
        };
        let plan = async |_: &Loaded, _: &Learned| {
            Ok(Command::PutPushTarget(Box::new(new.clone())).into())
        };
        let prepare = async |loaded: &Loaded, transition: &mut Transition| {
            let change = transition.push.as_mut();
            if let Some(added) = change.and_then(|change| change.added.as_mut()) {
                let profile = &loaded.merchant.profile;
                let sealed = self.keys.seal_personal(profile, token.expose());
                added.sealed_token = Some(sealed.await?);
            }
            Ok(None)
        };
        let ctx = ctx.showing(&no_content);
        let put = ctx.transact(Selector::Latest, plan, prepare).await?;
        Ok(put.reply)
    }

    pub(crate) async fn remove_push_target(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = self.context(request, now, &body.canonical).await?;
        let id = request.path_id.clone();
        ctx.showing(&no_content)
            .execute(Selector::Latest, Command::RemovePushTarget(id))
            .await
    }
}

fn read(
    request: &Request,
    typed: PutPushTarget,
) -> Result<(String, PushPlatform, Secret<String>), Rejection> {
    let id = &request.path_id;
    let is_id = (1..=ID_MAX_CHARS).contains(&id.len())
        && id
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    let platform = typed.platform.as_deref().and_then(PushPlatform::parse);
    let token = typed.token.filter(|token| {
        let token = token.expose();
        (1..=TOKEN_MAX_CHARS).contains(&token.len()) && token.bytes().all(|b| b.is_ascii_graphic())
    });
    Rejection::of_malformed([
        ("id", !is_id),
        ("platform", platform.is_none()),
        ("token", token.is_none()),
    ])?;
    match (platform, token) {
        (Some(platform), Some(token)) => Ok((id.to_owned(), platform, token)),
        _ => Err(Rejection::new(ErrorCode::RequestMalformed)),
    }
}
