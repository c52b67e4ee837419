//! `POST /v1/rebinds`, `GET /v1/rebinds`, `GET /v1/rebinds/{id}`, `POST /v1/rebinds/{id}/cancel`.

use api::body;
use api::event::Request;
use api::replies::{PAGE_READ, Page, Rebind};
use api::reply::Reply;
use api::requests::{CreateRebind, Empty};
use api::routes::RebindRequestRoute;
use application::crypto::{HashPurpose, Keys};
use application::error::HandlerError;
use application::ports::{DataKey, KeyService, ListRebinds, PortError, Selector};
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
use application::transact::{Learned, Loaded, Transactor};
use application::usage::Usage;
use domain::decide::{CardFacts, Command, Create};
use domain::error_code::ErrorCode;
use domain::ids::RebindId;
use domain::merchant::Merchant;
use domain::pii::{CardNumber, PersonName, Phone};
use domain::policy::Policy;
use domain::rebind::{self, Purpose, Reason};
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transition::Transition;
use store::Store;
use store::client::Table;

/// Starts, shows and cancels rebinds.
pub struct RebindRequest<T, K> {
    store: Store<T>,
    keys: Keys<K>,
}

impl<T: Table, K: KeyService> Handler for RebindRequest<T, K> {
    type Route = RebindRequestRoute;

    async fn handle(
        &self,
        route: RebindRequestRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            RebindRequestRoute::CreateRebind => self.create(request, now).await,
            RebindRequestRoute::ListRebinds => self.list(request, now).await,
            RebindRequestRoute::GetRebind => self.show(request, now).await,
            RebindRequestRoute::CancelRebind => self.cancel(request, now).await,
        }
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T, K> RebindRequest<T, K> {
    /// Creates the function from its store and keys.
    pub const fn new(store: Store<T>, keys: Keys<K>) -> Self {
        Self { store, keys }
    }
}

impl<T: Table, K: KeyService> RebindRequest<T, K> {
    async fn create(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<CreateRebind>(request)?;
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, &body.canonical)
            .await?
            .showing(&created);
        let CreateRebind {
            card_number,
            holder_name,
            reserved_phone,
            reason,
            activate,
            number_confirmed,
        } = body.fields;
        let number = CardNumber::parse(typed(&card_number));
        let create = Create {
            card: match &number {
                Ok(number) => Ok(self.facts(number).await?),
                Err(code) => Err(*code),
            },
            holder_name: PersonName::new(typed(&holder_name)),
            reserved_phone: Phone::parse(typed(&reserved_phone)),
            number_confirmed: number_confirmed == Some(true),
            reason: reason.as_deref().and_then(Reason::parse),
            purpose: match activate {
                Some(false) => Purpose::Standby,
                Some(true) | None => Purpose::Activate,
            },
            rebind_random: self.keys.random()?,
            card_random: self.keys.random()?,
        };
        let plan =
            async |_: &Loaded, _: &Learned| Ok(Command::Create(Box::new(create.clone())).into());
        let prepare = async |loaded: &Loaded, transition: &mut Transition| {
            if let (Some(rebind), Ok(number)) = (&mut transition.rebind, &number) {
                let merchant = loaded.merchant.profile.merchant_id.as_str();
                let context = [
                    ("merchant_id", merchant),
                    ("card_id", rebind.new_card.card_id.as_str()),
                ];
                let sealed = self.keys.seal(DataKey::Card, &context, number.expose());
                rebind.sealed_number = Some(sealed.await?);
            }
            Ok(None)
        };
        Ok(ctx.transact(Selector::Latest, plan, prepare).await?.reply)
    }

    async fn facts(&self, number: &CardNumber) -> Result<CardFacts, HandlerError> {
        let parts = [number.expose()];
        let fingerprint = self.keys.mac(HashPurpose::Card, &parts).await?;
        let previous = self.keys.previous_mac(HashPurpose::Card, &parts).await?;
        Ok(CardFacts::new(number, fingerprint, previous))
    }

    async fn list(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let before = cursor(request)?;
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, "").await?;
        let loaded = ctx.load(Selector::Latest).await?;
        let merchant = &loaded.merchant;
        let rebinds = self
            .store
            .list(&merchant.profile.merchant_id, before, PAGE_READ)
            .await?;
        let cursor = |rebind: &rebind::Rebind| format!("{:06x}", rebind.rebind_id.number());
        let show = |rebind: &_| Rebind::new(merchant, rebind, ctx.policy, now);
        let page = Page::new(&rebinds, cursor, show);
        Ok(Reply::json(200, &page))
    }

    async fn show(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, "").await?;
        let id = ctx.rebind_id(request).await?;
        let loaded = ctx.load(Selector::Shown(&id)).await?;
        let shown = Rebind::new(&loaded.merchant, loaded.rebind()?, ctx.policy, now);
        Ok(Reply::json(200, &shown))
    }

    async fn cancel(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, &body.canonical).await?;
        let id = ctx.rebind_id(request).await?;
        ctx.execute(Selector::Step(&id), Command::Cancel).await
    }
}

/// A missing member is validated as an empty string.
fn typed(member: &Option<Secret<String>>) -> &str {
    member.as_ref().map_or("", |text| text.expose())
}

/// 201 and the rebind.
fn created(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    Reply::json(201, &Rebind::loaded(after, policy, now))
}

/// A cursor is the number of the last rebind shown, in hex.
fn cursor(request: &Request) -> Result<Option<u32>, Rejection> {
    match request.query.get("cursor") {
        None => Ok(None),
        Some(text) => match u32::from_str_radix(text, 16) {
            Ok(number) if (1..=RebindId::NUMBER_MAX).contains(&number) => Ok(Some(number)),
            _ => Err(Rejection::new(ErrorCode::RequestMalformed).field("cursor")),
        },
    }
}
