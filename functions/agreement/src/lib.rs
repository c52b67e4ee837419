//! `GET` and `POST /v1/rebinds/{id}/agreement`.

use api::body;
use api::event::Request;
use api::reply::Reply;
use application::crypto::Keys;
use application::ports::{KeyService, PortError};
use application::serve::{Handler, HandlerError, not_found};
use application::step::{KeyRule, Loaded, Step, Which};
use domain::agreement::{self, AgreementText, ConsentId};
use domain::decide::{Command, SignedAgreement};
use domain::error_code::ErrorCode;
use domain::lang::Lang;
use domain::pii::PersonName;
use domain::rebind::{Rebind, Sealed};
use domain::rejection::Rejection;
use domain::time::Timestamp;
use domain::usage::Usage;
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use store::Store;

/// Shows the agreement and takes the signature.
pub struct Agreement<K> {
    store: Store,
    keys: Keys<K>,
}

impl<K: KeyService> Handler for Agreement<K> {
    fn route(&self, request: &Request) -> &'static str {
        match (request.method.as_str(), request.segments().as_slice()) {
            ("GET", ["v1", "rebinds", _, "agreement"]) => "GET /v1/rebinds/{id}/agreement",
            ("POST", ["v1", "rebinds", _, "agreement"]) => "POST /v1/rebinds/{id}/agreement",
            _ => "none",
        }
    }

    async fn handle(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        match self.route(request) {
            "GET /v1/rebinds/{id}/agreement" => self.show(request, now).await,
            "POST /v1/rebinds/{id}/agreement" => self.sign(request, now).await,
            _ => not_found(),
        }
    }

    fn usage(&self) -> Usage {
        self.store.meter().take()
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    version: Option<String>,
    sha256: Option<String>,
    reading_token: Option<String>,
    signed_name: Option<String>,
    consents: Option<Vec<String>>,
}

impl<K: KeyService> Agreement<K> {
    /// With this function's store and keys.
    pub const fn new(store: Store, keys: Keys<K>) -> Self {
        Self { store, keys }
    }

    async fn show(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let lang = match request.query.get("lang") {
            None => Lang::default(),
            Some(text) => Lang::parse(text)
                .ok_or_else(|| Rejection::new(ErrorCode::RequestMalformed).field("lang"))?,
        };
        let key = KeyRule::Ignored;
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let loaded = step.load(Which::Step(&id)).await?;
        step.decide(&loaded.merchant, Command::ReadAgreement)?;
        let rebind = loaded.rebind()?;
        let text = text(lang, rebind);
        let reading_token = self
            .keys
            .reading_token(&about(&loaded, rebind, &text), now)
            .await?;
        let consents: Vec<Value> = text
            .consents
            .iter()
            .map(|consent| json!({"id": consent.id.as_str(), "text": consent.text}))
            .collect();
        Ok(Reply::json(
            200,
            json!({
                "version": text.version,
                "lang": text.lang.as_str(),
                "title": text.title,
                "body_markdown": text.body_markdown,
                "sha256": text.sha256,
                "min_read_s": step.policy.agreement_min_read_s,
                "consents": consents,
                "reading_token": reading_token,
            }),
        ))
    }

    async fn sign(&self, request: &Request, now: Timestamp) -> Result<Reply, HandlerError> {
        let body = body::read::<Signature>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let signature = &body.fields;
        let written = step
            .one_write(
                Which::Step(&id),
                async |loaded| {
                    Ok(Command::SignAgreement(
                        self.signed(loaded, signature).await?,
                    ))
                },
                async |loaded, _| Ok(Some(self.evidence(loaded, request, signature).await?)),
            )
            .await?;
        Ok(written)
    }

    /// What was signed, compared with what was shown: the hash tells the language.
    async fn signed(
        &self,
        loaded: &Loaded,
        signature: &Signature,
    ) -> Result<SignedAgreement, HandlerError> {
        let rebind = loaded.rebind()?;
        let sha256 = signature.sha256.as_deref().unwrap_or_default();
        let shown = Lang::ALL
            .iter()
            .map(|lang| text(*lang, rebind))
            .find(|text| text.sha256 == sha256);
        let is_current = shown
            .as_ref()
            .is_some_and(|text| signature.version.as_deref() == Some(text.version));
        let shown = shown.unwrap_or_else(|| text(Lang::default(), rebind));
        let token = signature.reading_token.as_deref().unwrap_or_default();
        // The token is about the text whose hash is signed: a token of the other language proves nothing.
        let issued_at = self
            .keys
            .read_at(&about(loaded, rebind, &shown), token)
            .await?;
        let consents = signature.consents.clone().unwrap_or_default();
        let given: BTreeSet<&str> = consents.iter().map(String::as_str).collect();
        let required: BTreeSet<&str> = ConsentId::ALL.iter().map(|id| id.as_str()).collect();
        Ok(SignedAgreement {
            version: shown.version.to_owned(),
            lang: shown.lang,
            sha256: shown.sha256,
            is_current,
            issued_at,
            signed_name: PersonName::new(signature.signed_name.as_deref().unwrap_or_default()),
            consents_complete: given == required,
            consents: required.into_iter().map(str::to_owned).collect(),
        })
    }

    /// What proves the signature and is personal: sealed under the merchant's history key.
    async fn evidence(
        &self,
        loaded: &Loaded,
        request: &Request,
        signature: &Signature,
    ) -> Result<Sealed, HandlerError> {
        /// Longer ones say nothing more.
        const USER_AGENT_MAX_CHARS: usize = 200;
        let profile = &loaded.merchant.profile;
        let history_key = profile.history_key.as_ref();
        let history_key = history_key.ok_or_else(|| {
            PortError::Permanent("the profile", "the merchant has no history key".to_owned())
        })?;
        let user_agent: String = request
            .header("user-agent")
            .unwrap_or_default()
            .chars()
            .take(USER_AGENT_MAX_CHARS)
            .collect();
        let evidence = json!({
            "signed_name": signature.signed_name,
            "session": loaded.session.0,
            "address": request.source_ip,
            "user_agent": user_agent,
        });
        Ok(self
            .keys
            .seal_personal(
                profile.merchant_id.as_str(),
                history_key,
                &evidence.to_string(),
            )
            .await?)
    }
}

fn text(lang: Lang, rebind: &Rebind) -> AgreementText {
    agreement::text(lang, rebind.new_card.bank_name(), &rebind.new_card.last4)
}

/// What a reading token is about.
fn about<'a>(loaded: &'a Loaded, rebind: &'a Rebind, text: &'a AgreementText) -> [&'a str; 4] {
    [
        loaded.merchant.profile.merchant_id.as_str(),
        rebind.rebind_id.as_str(),
        text.version,
        &text.sha256,
    ]
}
