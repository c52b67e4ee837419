//! `POST /v1/rebinds`, `GET /v1/rebinds`, `GET /v1/rebinds/{id}`, `POST /v1/rebinds/{id}/cancel`.

use api::body::{self, Nothing};
use api::event::Request;
use api::reply::Reply;
use api::view;
use application::crypto::{self, HashPurpose, Keys};
use application::ports::{DataKey, KeyService, ListRebinds};
use application::serve::{Handler, HandlerError, not_found};
use application::step::{KeyRule, Step, Which, nothing_to_seal};
use domain::card::CardType;
use domain::decide::{CardFacts, Command, Create};
use domain::error_code::ErrorCode;
use domain::format::bins;
use domain::ids::RebindId;
use domain::merchant::Merchant;
use domain::pii::{CardNumber, PersonName, Phone};
use domain::policy::Policy;
use domain::rebind::{Purpose, Reason};
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::{Value, json};
use store::Store;

/// Begins, shows and cancels rebinds.
pub struct RebindRequest<K> {
    store: Store,
    keys: Keys<K>,
}

/// Rebinds a page.
const PAGE: u8 = 20;

impl<K: KeyService> Handler for RebindRequest<K> {
    fn route(&self, request: &Request) -> &'static str {
        match (request.method.as_str(), request.segments().as_slice()) {
            ("POST", ["v1", "rebinds"]) => "POST /v1/rebinds",
            ("GET", ["v1", "rebinds"]) => "GET /v1/rebinds",
            ("GET", ["v1", "rebinds", _]) => "GET /v1/rebinds/{id}",
            ("POST", ["v1", "rebinds", _, "cancel"]) => "POST /v1/rebinds/{id}/cancel",
            _ => "none",
        }
    }

    async fn handle(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        match self.route(request) {
            "POST /v1/rebinds" => self.create(request, now).await,
            "GET /v1/rebinds" => self.list(request, now).await,
            "GET /v1/rebinds/{id}" => self.show(request, now).await,
            "POST /v1/rebinds/{id}/cancel" => self.cancel(request, now).await,
            _ => not_found(),
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRebind {
    card_number: Option<Secret<String>>,
    holder_name: Option<String>,
    reserved_phone: Option<String>,
    reason: Option<String>,
    activate: Option<bool>,
}

impl<K: KeyService> RebindRequest<K> {
    /// With this function's store and keys.
    pub const fn new(store: Store, keys: Keys<K>) -> Self {
        Self { store, keys }
    }

    async fn create(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<NewRebind>(request)?;
        let step = Step::begin(
            &self.store,
            &self.keys,
            request,
            now,
            KeyRule::Required(&body.canonical),
        )
        .await?
        .showing(created);
        let NewRebind {
            card_number,
            holder_name,
            reserved_phone,
            reason,
            activate,
        } = body.fields;
        let number = CardNumber::parse(card_number.as_ref().map_or("", |number| number.expose()));
        let create = Create {
            card: match &number {
                Ok(number) => Ok(self.facts(number).await?),
                Err(code) => Err(*code),
            },
            holder_name: PersonName::new(&holder_name.unwrap_or_default()),
            reserved_phone: Phone::parse(&reserved_phone.unwrap_or_default()),
            reason: reason.as_deref().and_then(Reason::parse),
            purpose: match activate {
                Some(false) => Purpose::Standby,
                Some(true) | None => Purpose::Activate,
            },
            rebind_random: crypto::random()?,
            card_random: crypto::random()?,
        };
        let written = step
            .one_write(
                Which::Latest,
                async |_| Ok(Command::Create(Box::new(create.clone()))),
                async |loaded, transition| {
                    // Only a rebind that is allowed costs a call to the key service.
                    if let (Some(rebind), Ok(number)) = (&mut transition.rebind, &number) {
                        let merchant = loaded.merchant.profile.merchant_id.as_str();
                        let context = [
                            ("merchant_id", merchant),
                            ("card_id", rebind.new_card.card_id.as_str()),
                        ];
                        rebind.sealed_number = Some(
                            self.keys
                                .seal(DataKey::Card, &context, number.expose())
                                .await?,
                        );
                    }
                    Ok(None)
                },
            )
            .await?;
        Ok(written)
    }

    async fn facts(&self, number: &CardNumber) -> Result<CardFacts, HandlerError> {
        let bin = bins::lookup(number);
        Ok(CardFacts {
            bank_code: bin.map(|bin| bin.bank_code.to_owned()),
            card_type: bin.map_or(CardType::Unknown, |bin| bin.kind.into()),
            last4: number.last4().to_owned(),
            fingerprint: self.keys.mac(HashPurpose::Card, &[number.expose()]).await?,
        })
    }

    async fn list(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let before = cursor(request)?;
        let step = Step::begin(&self.store, &self.keys, request, now, KeyRule::Ignored).await?;
        let loaded = step.load(Which::Latest).await?;
        let merchant = &loaded.merchant;
        // One more than a page tells whether there is another.
        let mut rebinds = self
            .store
            .list(&merchant.profile.merchant_id, before, PAGE + 1)
            .await?;
        let more = rebinds.len() > usize::from(PAGE);
        rebinds.truncate(usize::from(PAGE));
        let last = rebinds
            .last()
            .filter(|_| more)
            .map(|rebind| format!("{:06x}", rebind.rebind_id.number()));
        let items: Vec<Value> = rebinds
            .iter()
            .map(|rebind| view::rebind(merchant, rebind, step.policy, now))
            .collect();
        Ok(Reply::json(
            200,
            json!({"items": items, "next_cursor": last}),
        ))
    }

    async fn show(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let key = KeyRule::Ignored;
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let loaded = step.load(Which::Shown(&id)).await?;
        let shown = loaded.merchant.rebind.as_ref();
        let shown = shown.map(|rebind| view::rebind(&loaded.merchant, rebind, step.policy, now));
        shown.map_or_else(not_found, |shown| Ok(Reply::json(200, shown)))
    }

    async fn cancel(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<Nothing>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let written = step
            .one_write(
                Which::Step(&id),
                async |_| Ok(Command::Cancel),
                nothing_to_seal,
            )
            .await?;
        Ok(written)
    }
}

/// 201 and the rebind.
fn created(after: &Merchant, policy: &Policy, now: Timestamp) -> Reply {
    let rebind = after.rebind.as_ref();
    let shown = rebind.map(|rebind| view::rebind(after, rebind, policy, now));
    Reply::json(201, shown.unwrap_or_default())
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
