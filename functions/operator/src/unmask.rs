//! Personal data in full: what two persons have permitted one of them to read once.

use crate::Operator;
use crate::call::Call;
use api::body;
use api::operator::{Unmasked, UnmaskedEvent};
use api::reply::Reply;
use api::requests::Empty;
use application::error::HandlerError;
use application::ports::{KeyService, LogPublicKey, ReadLog};
use domain::error_code::ErrorCode;
use domain::merchant::Profile;
use domain::pii::Phone;
use domain::rejection::Rejection;
use store::client::Table;

/// Events that are read at once.
const PAGE: u8 = 100;

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    /// The proposal is marked with the key before the reply, so only a repetition with the same key can read it again.
    pub(crate) async fn read_unmasked(&self, call: &Call<'_>) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(call.request)?;
        let key = call.key(&self.keys, &body.canonical).await?;
        let not_found = || Rejection::new(ErrorCode::NotFound);
        let proposal = self.proposal(&call.proposal_id()?).await?;
        proposal.check_reading(&call.actor, call.now)?;
        let merchant_id = proposal.merchant_id.as_ref().ok_or_else(not_found)?;
        let profile = self.merchant(merchant_id).await?.profile;
        let events = self.personal_parts(&profile).await?;
        if !self.store.mark_read(&proposal.proposal_id, &key).await? {
            return Err(Rejection::new(ErrorCode::StepOutOfOrder).into());
        }
        let previous = profile.notified_previous_phone(call.now);
        let unmasked = Unmasked {
            merchant_id: merchant_id.as_str(),
            legal_name: profile.legal_name.expose(),
            settlement_name: profile.settlement_name.as_ref().map(|name| name.expose()),
            phone_on_file: profile.phone_on_file.e164().to_owned(),
            previous_phone: previous.map(|phone: &Phone| phone.e164().to_owned()),
            events,
        };
        Ok(Reply::json(200, &unmasked))
    }

    /// The personal parts of all events. After an erasure none can be opened.
    async fn personal_parts(&self, profile: &Profile) -> Result<Vec<UnmaskedEvent>, HandlerError> {
        let Some(history_key) = &profile.history_key else {
            return Ok(Vec::new());
        };
        let id = &profile.merchant_id;
        let (mut parts, mut after) = (Vec::new(), 0);
        loop {
            let events = self.store.events_after(id, after, PAGE).await?;
            let Some(last) = events.last() else {
                return Ok(parts);
            };
            after = last.seq;
            for event in events {
                if let Some(sealed) = &event.personal {
                    let opened = self.keys.open_personal(id.as_str(), history_key, sealed);
                    parts.push(UnmaskedEvent {
                        sequence: event.seq,
                        personal: opened.await?.expose().clone(),
                    });
                }
            }
        }
    }
}
