//! `POST /v1/sessions` and `DELETE /v1/sessions/current`.

use api::body;
use api::event::Request;
use api::replies::Session;
use api::reply::Reply;
use api::requests::{CreateSession, Empty};
use api::routes::LoginRoute;
use api::token::{self, token_text};
use application::crypto::{self, HashPurpose, Keys, password};
use application::ports::{KeyService, LoginKeys, Logins, PortError};
use application::serve::{Handler, HandlerError};
use application::step::Rounds;
use domain::banner::notices;
use domain::error_code::ErrorCode;
use domain::login::{LoginRead, OpenedSession};
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::usage::Usage;
use store::Store;

/// Opens and ends sessions.
pub struct Login<K> {
    store: Store,
    keys: Keys<K>,
}

const POLICY: &Policy = &Policy::CURRENT;
/// Of a device's keyed hash: 132 bits are enough to tell an account's devices apart.
const DEVICE_CHARS: usize = 22;

impl<K: KeyService> Handler for Login<K> {
    type Route = LoginRoute;

    async fn handle(
        &self,
        route: LoginRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            LoginRoute::CreateSession => self.open(request, now).await,
            LoginRoute::DeleteSession => self.close(request, now).await,
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

impl<K: KeyService> Login<K> {
    /// With this function's store and keys.
    pub const fn new(store: Store, keys: Keys<K>) -> Self {
        Self { store, keys }
    }

    /// Read, count the try as a failure, compare, then open the session and take the failure back: three calls.
    async fn open(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let (account, password, device_id) = all_given(body::read(request)?.fields)?;
        let keys = self
            .login_keys(&account, device_id.expose(), &request.source_ip)
            .await?;
        let counted = self.count(&keys, now).await?;
        let kept = counted
            .account
            .as_ref()
            .map(|account| account.password_hash.as_str());
        if !password::is_right(&password, kept)? {
            return Err(bad_credentials());
        }
        self.open_session(&keys, &counted, now).await
    }

    async fn login_keys(
        &self,
        account: &str,
        device_id: &str,
        source_ip: &str,
    ) -> Result<LoginKeys, PortError> {
        let mut device = self
            .keys
            .mac(HashPurpose::Device, &[account, device_id])
            .await?
            .0;
        device.truncate(DEVICE_CHARS);
        Ok(LoginKeys {
            account: self.keys.mac(HashPurpose::Account, &[account]).await?.0,
            device,
            source: self.keys.mac(HashPurpose::Source, &[source_ip]).await?.0,
        })
    }

    async fn count(&self, keys: &LoginKeys, now: Timestamp) -> Result<LoginRead, HandlerError> {
        let mut rounds = Rounds::new();
        loop {
            let counted = self.store.read_login(keys).await?.count(POLICY, now)?;
            match self.store.count_login(keys, &counted, now).await {
                Ok(()) => return Ok(counted),
                Err(error @ PortError::Conflict) => match rounds.again(error).await {
                    Ok(()) => {}
                    // So many tries at once that none can be counted: none may be compared either.
                    Err(_) => {
                        return Err(Rejection::new(ErrorCode::AuthThrottled)
                            .not_counted()
                            .retry_after(1)
                            .into());
                    }
                },
                Err(error) => return Err(error.into()),
            }
        }
    }

    async fn open_session(
        &self,
        keys: &LoginKeys,
        counted: &LoginRead,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let mut rounds = Rounds::new();
        let mut cleared = Some(counted.clear(now));
        let mut account = counted.account.clone().ok_or_else(bad_credentials)?;
        loop {
            let secret = crypto::token_secret()?;
            let slot = account.next_slot % POLICY.sessions_max;
            let token = token_text(&account.merchant_id, slot, secret.expose());
            let opened = OpenedSession::plan(
                &account,
                &keys.device,
                token::token_hash(&token),
                POLICY,
                now,
            );
            match self
                .store
                .open_session(keys, &account, &opened, cleared.as_ref(), now)
                .await
            {
                Ok(()) => {
                    let banners = notices(&account.id_expires_on, now);
                    let session = Session::new(token, &account, &banners, POLICY, now);
                    return Ok(Reply::json(201, &session));
                }
                Err(error @ PortError::Conflict) => {
                    // Another login wrote first: to this account, or from this address, which thousands may share.
                    let again = rounds.again(error).await;
                    let fresh = self.store.read_login(keys).await?;
                    let same = fresh.account.clone();
                    account = same
                        .filter(|same| same.password_hash == account.password_hash)
                        .ok_or_else(bad_credentials)?;
                    // Where it was counted is where it is taken back, although the device may be known by now.
                    let device_known = counted.device_known;
                    cleared = match again {
                        Ok(()) => Some(
                            LoginRead {
                                device_known,
                                ..fresh
                            }
                            .clear(now),
                        ),
                        // At last the session comes first, and one failure too many stays counted.
                        Err(_) if cleared.is_some() => None,
                        Err(stop) => return Err(stop),
                    };
                }
                Err(error) => {
                    // The password was right: what was counted is no failure, whatever has become of the session. If it was
                    // opened after all, this finds a newer record and writes nothing; if it fails, one too many stays counted.
                    if let Some(cleared) = &cleared {
                        let _ = self.store.count_login(keys, cleared, now).await;
                    }
                    return Err(error.into());
                }
            }
        }
    }

    async fn close(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        body::read::<Empty>(request)?;
        let presented = token::presented(request)?;
        let closed = self
            .store
            .close_session(
                &presented.merchant_id,
                presented.slot,
                &presented.token_hash,
            )
            .await?;
        match closed {
            Some(session) if session.lives(POLICY, now) => Ok(Reply::no_content()),
            _ => Err(token::dead().into()),
        }
    }
}

fn all_given(body: CreateSession) -> Result<(String, Secret<String>, Secret<String>), Rejection> {
    let given = (
        body.account.filter(|text| !text.is_empty()),
        body.password.filter(|text| !text.expose().is_empty()),
        body.device_id.filter(|text| !text.expose().is_empty()),
    );
    if let (Some(account), Some(password), Some(device_id)) = given {
        return Ok((account, password, device_id));
    }
    Rejection::of_malformed([
        ("account", given.0.is_none()),
        ("password", given.1.is_none()),
        ("device_id", given.2.is_none()),
    ])?;
    Err(Rejection::new(ErrorCode::RequestMalformed))
}

fn bad_credentials() -> HandlerError {
    let refusal = Rejection {
        counts_toward_limit: Some(true),
        ..Rejection::new(ErrorCode::AuthBadCredentials)
    };
    refusal.into()
}
