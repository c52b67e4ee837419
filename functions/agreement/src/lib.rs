//! `GET` and `POST /v1/rebinds/{id}/agreement`.

use api::body;
use api::event::Request;
use api::replies;
use api::reply::Reply;
use api::requests::SignAgreement;
use api::routes::AgreementRoute;
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{KeyService, PortError, Selector};
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
use application::transact::{Learned, Loaded, Transactor, nothing_to_prepare};
use application::usage::Usage;
use domain::agreement::{self, AgreementText};
use domain::decide::{Command, SignedAgreement};
use domain::error_code::ErrorCode;
use domain::lang::Lang;
use domain::pii::PersonName;
use domain::rebind::{Rebind, Sealed};
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::transition::Transition;
use serde_json::json;
use store::Store;
use store::client::Table;

/// Shows the agreement and takes the signature.
pub struct Agreement<T, K> {
    store: Store<T>,
    keys: Keys<K>,
}

impl<T: Table, K: KeyService> Handler for Agreement<T, K> {
    type Route = AgreementRoute;

    async fn handle(
        &self,
        route: AgreementRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        match route {
            AgreementRoute::GetAgreement => self.show(request, now).await,
            AgreementRoute::SignAgreement => self.sign(request, now).await,
        }
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T, K> Agreement<T, K> {
    /// Creates the function from its store and keys.
    pub const fn new(store: Store<T>, keys: Keys<K>) -> Self {
        Self { store, keys }
    }
}

impl<T: Table, K: KeyService> Agreement<T, K> {
    async fn show(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let lang = match request.query.get("lang") {
            None => Lang::default(),
            Some(text) => Lang::parse(text)
                .ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed).field("lang"))?,
        };
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, "").await?;
        let id = ctx.rebind_id(request).await?;
        let plan = async |_: &Loaded, _: &Learned| Ok(Command::ReadAgreement.into());
        let read = ctx.transact(Selector::Step(&id), plan, nothing_to_prepare);
        let loaded = read.await?.after;
        let rebind = loaded.rebind()?;
        let text = text(lang, rebind);
        let reading_token = self
            .keys
            .reading_token(&about(&loaded, rebind, &text), now)
            .await?;
        let agreement = replies::Agreement::new(text, reading_token, ctx.policy);
        Ok(Reply::json(200, &agreement))
    }

    async fn sign(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<SignAgreement>(request)?;
        let ctx = Transactor::begin(&self.store, &self.keys, request, now, &body.canonical).await?;
        let id = ctx.rebind_id(request).await?;
        let signature = &body.fields;
        let plan = async |loaded: &Loaded, _: &Learned| {
            let signed = self.signed(loaded, signature).await?;
            Ok(Command::SignAgreement(Box::new(signed)).into())
        };
        let prepare = async |loaded: &Loaded, _: &mut Transition| {
            Ok(Some(self.evidence(loaded, request, signature).await?))
        };
        let signed = ctx.transact(Selector::Step(&id), plan, prepare).await?;
        Ok(signed.reply)
    }

    /// The signature with its text, which is found by comparing the signed hash with the hash of each language's text.
    async fn signed(
        &self,
        loaded: &Loaded,
        signature: &SignAgreement,
    ) -> Result<SignedAgreement, HandlerError> {
        let rebind = loaded.rebind()?;
        let SignAgreement {
            version, sha256, ..
        } = signature;
        let mut texts = Lang::ALL.iter().map(|lang| text(*lang, rebind));
        let text = texts
            .find(|text| Some(&text.sha256) == sha256.as_ref())
            .unwrap_or_else(|| text(Lang::default(), rebind));
        let token = signature.reading_token.as_deref().unwrap_or_default();
        // The token is bound to the text of the signed hash: a token for the other language proves nothing.
        let issued_at = self
            .keys
            .read_at(&about(loaded, rebind, &text), token)
            .await?;
        Ok(SignedAgreement {
            text,
            version: version.clone(),
            sha256: sha256.clone(),
            issued_at,
            signed_name: PersonName::new(signed_name(signature).unwrap_or_default()),
            consents: signature.consents.clone().unwrap_or_default(),
        })
    }

    /// The personal evidence of the signature, sealed under the merchant's history key.
    async fn evidence(
        &self,
        loaded: &Loaded,
        request: &Request,
        signature: &SignAgreement,
    ) -> Result<Sealed, HandlerError> {
        /// Longer user agents add no information.
        const USER_AGENT_MAX_CHARS: usize = 200;
        let user_agent: String = request
            .header("user-agent")
            .unwrap_or_default()
            .chars()
            .take(USER_AGENT_MAX_CHARS)
            .collect();
        let evidence = json!({
            "signed_name": signed_name(signature),
            "session": loaded.session.0,
            "address": request.source_ip,
            "user_agent": user_agent,
        });
        Ok(self
            .keys
            .seal_personal(&loaded.merchant.profile, &evidence.to_string())
            .await?)
    }
}

fn signed_name(signature: &SignAgreement) -> Option<&str> {
    let name = signature.signed_name.as_ref();
    name.map(|name| name.expose().as_str())
}

fn text(lang: Lang, rebind: &Rebind) -> AgreementText {
    agreement::text(lang, rebind.new_card.bank_name(), &rebind.new_card.last4)
}

/// The parts that a reading token is bound to.
fn about<'a>(loaded: &'a Loaded, rebind: &'a Rebind, text: &'a AgreementText) -> [&'a str; 4] {
    [
        loaded.merchant.profile.merchant_id.as_str(),
        rebind.rebind_id.as_str(),
        text.version,
        &text.sha256,
    ]
}
