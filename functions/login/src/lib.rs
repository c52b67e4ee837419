//! `POST /v1/sessions`, `DELETE /v1/sessions/current`, `DELETE /v1/sessions`.

use api::body;
use api::event::Request;
use api::replies::Session;
use api::reply::Reply;
use api::requests::{CreateSession, Empty};
use api::routes::LoginRoute;
use api::token::{self, token_text};
use application::backoff::{Limits, retry};
use application::crypto::{HashPurpose, Keys, password};
use application::error::HandlerError;
use application::ports::{
    Commit, IdempotencyMode, KeyService, LoadMerchant, LoginKeys, Logins, OpenSession, PortError,
    PreviousLoginKeys, Selector,
};
use application::request::no_content;
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
use application::transact::Transactor;
use application::usage::Usage;
use domain::banner::notices;
use domain::decide::{Command, CommandContext, decide};
use domain::device::ended_slot;
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::login::{LoginRead, OpenedSession};
use domain::merchant::Merchant;
use domain::pii::typed::{Field, fold};
use domain::policy::Policy;
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use store::Store;
use store::client::Table;

/// Opens and ends sessions.
pub struct Login<T, K> {
    store: Store<T>,
    keys: Keys<K>,
}

const POLICY: &Policy = &Policy::CURRENT;

impl<T: Table, K: KeyService> Handler for Login<T, K> {
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
            LoginRoute::DeleteSessions => self.end_others(request, now).await,
        }
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T, K> Login<T, K> {
    /// Creates the function from its store and keys.
    pub const fn new(store: Store<T>, keys: Keys<K>) -> Self {
        Self { store, keys }
    }
}

impl<T: Table, K: KeyService> Login<T, K> {
    /// Reads the account and counts the attempt as a failure, compares the password, then opens the session and refunds
    /// the failure. Three calls; four for the first login of a device.
    async fn open(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let (account, password, device_id) = all_given(body::read(request)?.fields)?;
        let keys = self
            .login_keys(account.expose(), device_id.expose(), &request.source_ip)
            .await?;
        let keys = self.store.stored_keys(keys).await?;
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
        let name = [account];
        let old_account = self.keys.previous_mac(HashPurpose::Account, &name);
        let old_device = self.keys.previous_device(account, device_id);
        let previous = old_account.await?.zip(old_device.await?);
        Ok(LoginKeys {
            account: self.keys.mac(HashPurpose::Account, &name).await?.0,
            device: self.keys.device(account, device_id).await?,
            source: self.keys.mac(HashPurpose::Source, &[source_ip]).await?.0,
            nonce: self.keys.random()?,
            previous: previous.map(|(account, device)| PreviousLoginKeys {
                account: account.0,
                device,
            }),
        })
    }

    /// Counts the attempt as a failure before the password is compared.
    async fn count(&self, keys: &LoginKeys, now: Timestamp) -> Result<LoginRead, HandlerError> {
        let counted = retry(Limits::REQUEST, async || {
            let counted = self.store.read_login(keys).await?.count(POLICY, now)?;
            self.store.count_login(keys, &counted, now).await?;
            Ok(counted)
        });
        match counted.await {
            // Too many concurrent attempts to count this one, so its password must not be compared.
            Err(HandlerError::Failed(PortError::Conflict)) => {
                Err(Rejection::new(ErrorCode::AuthThrottled)
                    .not_counted()
                    .retry_after(1)
                    .into())
            }
            counted => counted,
        }
    }

    /// Opens the session and refunds the counted failure in one write.
    async fn open_session(
        &self,
        keys: &LoginKeys,
        counted: &LoginRead,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let mut read = counted.clone();
        let mut is_fresh = true;
        let opened = retry(Limits::REQUEST, async || {
            if !is_fresh {
                // Another login to this account, or from this address, wrote first. Thousands of users may share an
                // address.
                read = self.read_again(keys, counted).await?;
            }
            is_fresh = false;
            self.write_session(keys, &read, true, now).await
        })
        .await;
        match opened {
            // As a last resort, open the session without the address's refund: one failure too many stays counted.
            Err(HandlerError::Failed(PortError::Conflict)) => {
                let read = self.read_again(keys, counted).await?;
                self.write_session(keys, &read, false, now).await
            }
            Err(error) if is_refunded(&error) => {
                // The password was right, so refund the failure even if the session failed. If the session was opened
                // after all, this write meets a newer record and changes nothing. If the refund fails, one failure too
                // many stays counted.
                let _ = self.store.count_login(keys, &read.clear(now), now).await;
                Err(error)
            }
            opened => opened,
        }
    }

    /// Reads the account again. Rejects the login if the password has changed meanwhile.
    async fn read_again(
        &self,
        keys: &LoginKeys,
        counted: &LoginRead,
    ) -> Result<LoginRead, HandlerError> {
        let fresh = self.store.read_login(keys).await?;
        let password_of = |read: &LoginRead| Some(read.account.as_ref()?.password_hash.clone());
        if password_of(&fresh) != password_of(counted) {
            return Err(bad_credentials());
        }
        Ok(LoginRead {
            // Refund the failure where it was counted, even if the device has become known since.
            known_device: counted.known_device.clone(),
            ..fresh
        })
    }

    /// The first session of a device needs one call more, to read the merchant: the history announces the device.
    async fn write_session(
        &self,
        keys: &LoginKeys,
        read: &LoginRead,
        refunds_source: bool,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let account = read.account.as_ref().ok_or_else(bad_credentials)?;
        let mut after = read.clear(now);
        let device = after.logins.admit(&keys.device, POLICY, now);
        let is_announced = device.known && read.logins.device(&keys.device).is_none();
        let free = after.logins.slot(&device, POLICY, now);
        let merchant = match free {
            Some(_) if !is_announced => None,
            _ => Some(self.merchant(&account.merchant_id).await?),
        };
        let slot = match (free, &merchant) {
            (Some(slot), _) => slot,
            (None, Some(merchant)) => ended_slot(&merchant.state, POLICY, now)?,
            (None, None) => return Err(PortError::Conflict.into()),
        };
        after.logins.occupy(slot, &device, POLICY, now);
        let secret = self.keys.token_secret()?;
        let token = token_text(&account.merchant_id, slot, secret.expose());
        let hash = token::token_hash(&token);
        let opened = OpenedSession::new(slot, device, hash, now);
        let open = OpenSession {
            keys,
            account,
            opened: &opened,
            after: &after,
            refunds_source,
            announced: None,
            now,
        };
        match merchant.filter(|_| is_announced) {
            Some(merchant) => self.announce(&merchant, open).await?,
            None => self.store.open_session(open).await?,
        }
        let banners = notices(&account.id_expires_on, POLICY, now);
        let session = Session::new(token, account, &banners, POLICY, now);
        Ok(Reply::json(201, &session))
    }

    async fn merchant(&self, merchant_id: &MerchantId) -> Result<Merchant, PortError> {
        let merchant = self.store.load(merchant_id, Selector::Latest).await?;
        merchant.ok_or_else(|| PortError::Permanent("the account", "it has no merchant".to_owned()))
    }

    /// Opens the first session of a device, with its event and notification.
    async fn announce(&self, before: &Merchant, open: OpenSession<'_>) -> Result<(), HandlerError> {
        let command = CommandContext {
            by: None,
            act: Command::AddDevice(Box::new(open.opened.clone())),
        };
        let mut transition = decide(before, &command, POLICY, open.now)?;
        let event = transition.chained(before, None, POLICY);
        let commit = Commit {
            before,
            transition: &transition,
            event: event.as_ref(),
            session: None,
            idempotency: IdempotencyMode::None,
            now: open.now,
        };
        let open = OpenSession {
            announced: Some(&commit),
            ..open
        };
        Ok(self.store.open_session(open).await?)
    }

    async fn end_others(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, &body.canonical).await?;
        ctx.showing(&no_content)
            .execute(Selector::Latest, Command::EndOtherSessions)
            .await
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
            Some(session) if session.is_valid_at(POLICY, now) => Ok(Reply::no_content()),
            _ => Err(token::dead().into()),
        }
    }
}

type Credentials = (Secret<String>, Secret<String>, Secret<String>);

/// The folded account, the password and the device. An account of blanks only is given, and unknown.
fn all_given(body: CreateSession) -> Result<Credentials, Rejection> {
    let given = (
        body.account.filter(|text| !text.is_empty()),
        body.password.filter(|text| !text.expose().is_empty()),
        body.device_id.filter(|text| !text.expose().is_empty()),
    );
    if let (Some(account), Some(password), Some(device_id)) = given {
        return Ok((fold(Field::Account, &account), password, device_id));
    }
    Rejection::of_malformed([
        ("account", given.0.is_none()),
        ("password", given.1.is_none()),
        ("device_id", given.2.is_none()),
    ])?;
    Err(Rejection::new(ErrorCode::RequestMalformed))
}

/// True if the login failed although the password was right.
fn is_refunded(error: &HandlerError) -> bool {
    match error {
        HandlerError::Failed(_) => true,
        HandlerError::Rejected(refusal) => refusal.code == ErrorCode::AuthThrottled,
        HandlerError::Answered(_) | HandlerError::PayoutExists { .. } => false,
    }
}

fn bad_credentials() -> HandlerError {
    let refusal = Rejection {
        counts_toward_limit: Some(true),
        ..Rejection::new(ErrorCode::AuthBadCredentials)
    };
    refusal.into()
}
