//! Inserts merchants into the table: the acquirer's onboarding, and the fixed test world of the local system and the
//! tests.

use super::Store;
use super::client::{Get, Table};
use super::item::Item;
use super::keys::{
    PROFILE, STATE, account_key, card_number_key, card_sk, key, logins_key, merchant_pk, payout_key,
};
use super::payout::entry_key;
use super::records::{
    account, card, card_holders, item_of, logins, merchant_state, payout, profile,
};
use application::crypto::{HashPurpose, Keys, password};
use application::ports::{DataKey, KeyService, PortError};
use domain::decide::CardFacts;
use domain::device::{KnownDevice, Logins};
use domain::error_code::ErrorCode;
use domain::format::DocumentExpiry;
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::login::{Account, Failures};
use domain::merchant::{BoundCard, EntityType, LastActivation, MerchantState, Profile};
use domain::payout::{Payout, PayoutState, Releases};
use domain::pii::typed::{Field, fold};
use domain::pii::{CardNumber, DocumentType, IdNumber, PersonName, Phone};
use domain::policy::{DAY_S, HOUR_S};
use domain::rebind::{Activation, Mac};
use domain::secret::Secret;
use domain::settlement::{Cycle, PayoutTime, Settlement};
use domain::time::Timestamp;
use serde::Deserialize;

/// The test world, from `shared/data/sandbox.json`.
#[derive(Debug, Deserialize)]
pub struct World {
    /// Its merchants.
    pub merchants: Vec<SeedMerchant>,
}

impl World {
    /// The test world that ships with this crate.
    ///
    /// # Errors
    /// When the file does not have the expected shape.
    pub fn sandbox() -> Result<Self, serde_json::Error> {
        serde_json::from_str(include_str!("../../data/sandbox.json"))
    }
}

/// A merchant in the test world's format.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedMerchant {
    /// The id.
    pub merchant_id: String,
    /// The name to log in with.
    pub account: String,
    /// The password.
    pub password: Secret<String>,
    /// Kind of merchant.
    pub entity_type: EntityType,
    /// The registered name.
    pub legal_name: String,
    /// The name on settlement cards, if different.
    pub settlement_name: Option<String>,
    /// The ID document.
    pub id_document: SeedDocument,
    /// E.164.
    pub phone_on_file: String,
    /// Days before the seeding.
    pub opened_days_ago: i64,
    /// The active card.
    pub active_card: Option<SeedCard>,
    /// Days before the seeding; the date can start a cooldown.
    pub last_rebind_days_ago: Option<i64>,
    /// Hours before the seeding; the time can start a quiet period.
    pub security_changed_hours_ago: Option<i64>,
    /// Unsent payouts to the active card.
    #[serde(default)]
    pub unsent_payouts: Vec<SeedPayout>,
    /// The devices that have logged in before.
    #[serde(default)]
    pub known_devices: Vec<SeedDevice>,
    /// Limits.
    pub tier: SeedTier,
    /// The settlement settings.
    pub settlement: SeedSettlement,
}

/// An ID document of the test world.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedDocument {
    /// Its kind.
    #[serde(rename = "type", default)]
    pub document_type: DocumentType,
    /// Its number.
    pub number: Secret<String>,
    /// A date or `long_term`.
    pub expires_on: Option<String>,
    /// An alternative to the date: days after the seeding.
    pub expires_in_days: Option<i64>,
}

/// A card of the test world.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedCard {
    /// Its number.
    pub card_number: Secret<String>,
}

/// An unsent payout of the test world.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedPayout {
    /// Its id.
    pub payout_id: String,
    /// Fen.
    pub amount_fen: u64,
    /// Hours before the seeding.
    pub created_hours_ago: i64,
}

/// A known device of the test world.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedDevice {
    /// The device id.
    pub device_id: Secret<String>,
    /// Days before the seeding. The device was last used at the seeding.
    pub first_login_days_ago: i64,
}

/// A tier of the test world.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedTier {
    /// Fen.
    pub daily_limit_max_fen: u64,
    /// Basis points.
    pub fee_rate_bp: u32,
}

/// Settlement settings of the test world.
#[derive(Clone, Debug, Deserialize)]
pub struct SeedSettlement {
    /// The day of the payout.
    pub cycle: Cycle,
    /// `HH:MM`.
    pub payout_time: String,
    /// Fen.
    pub retained_fen: u64,
    /// Fen.
    pub daily_limit_fen: u64,
}

impl SeedSettlement {
    fn settlement(&self) -> Result<Settlement, PortError> {
        let payout_time = PayoutTime::parse(&self.payout_time);
        Ok(Settlement {
            cycle: self.cycle,
            payout_time: payout_time
                .ok_or_else(|| bad("payout_time", ErrorCode::RequestMalformed))?,
            retained_fen: self.retained_fen,
            daily_limit_fen: self.daily_limit_fen,
        })
    }
}

impl SeedMerchant {
    fn expiry(&self, now: Timestamp) -> Result<DocumentExpiry, PortError> {
        match (
            &self.id_document.expires_on,
            self.id_document.expires_in_days,
        ) {
            (Some(text), None) => {
                DocumentExpiry::parse(text).map_err(|code| bad("expires_on", code))
            }
            (None, Some(days)) => Ok(DocumentExpiry::On(now.plus_s(days * DAY_S).date_shanghai())),
            _ => Err(PortError::Permanent(
                "the test world",
                "a document must have exactly one kind of expiry".to_owned(),
            )),
        }
    }
}

impl<T: Table> Store<T> {
    /// Inserts one merchant with account and card. Existing items of this merchant are replaced.
    ///
    /// # Errors
    /// When the description is invalid, the account is another merchant's after folding, or the table or the keys fail.
    pub async fn seed<K: KeyService>(
        &self,
        keys: &Keys<K>,
        seed: &SeedMerchant,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let policy = self.policy;
        let merchant_id = MerchantId::parse(&seed.merchant_id).ok_or_else(|| {
            PortError::Permanent("the test world", "invalid merchant id".to_owned())
        })?;
        let id = merchant_id.as_str();
        let document = &seed.id_document;
        let number = IdNumber::parse(document.document_type, document.number.expose())
            .map_err(|code| bad("number", code))?;
        let phone = Phone::parse(&seed.phone_on_file).map_err(|code| bad("phone_on_file", code))?;
        let account_mac = self.account_mac(keys, seed, &merchant_id).await?;

        let profile = Profile {
            merchant_id: merchant_id.clone(),
            version: 1,
            account: account_mac.clone(),
            entity_type: seed.entity_type,
            legal_name: PersonName::new(&seed.legal_name),
            settlement_name: seed.settlement_name.as_deref().map(PersonName::new),
            id_number_mac: keys.document(&number).await?,
            document_type: number.kind(),
            id_expires_on: seed.expiry(now)?,
            phone_on_file: phone,
            previous_phone: None,
            opened_at: now.plus_s(-seed.opened_days_ago * DAY_S),
            daily_limit_max_fen: seed.tier.daily_limit_max_fen,
            fee_rate_bp: seed.tier.fee_rate_bp,
            sealed_id_number: Some(
                keys.seal(DataKey::Identity, &[("merchant_id", id)], number.expose())
                    .await?,
            ),
            history_key: Some(keys.new_history_key(id).await?),
        };
        let mut state = MerchantState {
            security_changed_at: seed
                .security_changed_hours_ago
                .map(|hours| now.plus_s(-hours * HOUR_S)),
            ..MerchantState::onboarded(seed.settlement.settlement()?)
        };
        let pk = merchant_pk(&merchant_id);
        let mut items = vec![item_of(
            key(pk.as_str(), PROFILE),
            profile::attributes(&profile)?,
        )];
        if let Some(card) = &seed.active_card {
            let number = CardNumber::parse(card.card_number.expose())
                .map_err(|code| bad("card_number", code))?;
            let fingerprint = keys.mac(HashPurpose::Card, &[number.expose()]).await?;
            let facts = CardFacts::new(&number, fingerprint, None);
            let card_id = CardId::new(0, &application::crypto::random()?);
            let card = facts.card(card_id, profile.opened_at);
            let context = [("merchant_id", id), ("card_id", card.card_id.as_str())];
            let sealed = keys.seal(DataKey::Card, &context, number.expose()).await?;
            items.push(item_of(
                key(pk.as_str(), card_sk(&card.card_id)),
                card::attributes(&sealed),
            ));
            items.push(item_of(
                card_number_key(&facts.fingerprint),
                card_holders::attributes(&merchant_id, &card.card_id, &profile.id_number_mac),
            ));
            state.active = Some(BoundCard {
                card,
                fingerprint: facts.fingerprint,
                unsent: 0,
                sending: 0,
            });
        }
        for unsent in &seed.unsent_payouts {
            let payout_id = PayoutId::parse(&unsent.payout_id)
                .ok_or_else(|| bad("payout_id", ErrorCode::RequestMalformed))?;
            let created_at = now.plus_s(-unsent.created_hours_ago * HOUR_S);
            let payout = Payout {
                releases: Releases::default(),
                payout_id,
                amount_fen: unsent.amount_fen,
                created_at,
                card: state.paying_card(created_at).cloned(),
                state: PayoutState::Unsent,
            };
            match &mut state.active {
                Some(active) => active.unsent += 1,
                None => state.held_payouts += 1,
            }
            items.push(item_of(
                payout_key(&payout.payout_id),
                payout::attributes(&merchant_id, &payout)?,
            ));
            items.push(item_of(
                entry_key(&merchant_id, &payout),
                payout::entry_attributes(&payout)?,
            ));
        }
        if let Some(days) = seed.last_rebind_days_ago {
            let activated_at = now.plus_s(-days * DAY_S);
            let times = Activation {
                activated_at,
                effective_at: activated_at.plus_s(policy.hold_s),
                cooldown_until: activated_at.plus_s(policy.cooldown_s),
                waits: false,
            };
            state.cooldown_until = Some(times.cooldown_until);
            state.cooldown_end_unannounced = true;
            state.last_activation = Some(LastActivation {
                number: 0,
                rebind_id: RebindId::new(0, &[0; 16]),
                times,
                old_card: None,
            });
        }
        let attributes = merchant_state::attributes(&merchant_id, &state, now, self.due_shards)?;
        items.push(item_of(key(pk, STATE), attributes));
        items.extend(
            self.login_items(keys, seed, &profile, &account_mac, now)
                .await?,
        );
        for item in items {
            self.table.put(item).await?;
        }
        Ok(())
    }

    /// The keyed hash of the merchant's account. Two accounts that fold alike would be one, so the second one is refused.
    async fn account_mac<K: KeyService>(
        &self,
        keys: &Keys<K>,
        seed: &SeedMerchant,
        merchant_id: &MerchantId,
    ) -> Result<Mac, PortError> {
        let folded = fold(Field::Account, &seed.account);
        let mac = keys.mac(HashPurpose::Account, &[folded.expose()]).await?;
        let get = Get {
            key: account_key(&mac.0),
            only: None,
            consistent: true,
        };
        let existing = self.table.get(get).await?;
        let existing = existing.as_ref().map(account::read).transpose()?;
        let is_taken = existing.is_some_and(|account| account.merchant_id != *merchant_id);
        if folded.expose().is_empty() || is_taken {
            return Err(PortError::Permanent(
                "the test world",
                "the account is empty or another merchant's".to_owned(),
            ));
        }
        Ok(mac)
    }

    /// The account and its known devices.
    async fn login_items<K: KeyService>(
        &self,
        keys: &Keys<K>,
        seed: &SeedMerchant,
        profile: &Profile,
        account_mac: &Mac,
        now: Timestamp,
    ) -> Result<Vec<Item>, PortError> {
        let account = Account {
            merchant_id: profile.merchant_id.clone(),
            password_hash: password::hash(&seed.password)?.expose().to_owned(),
            version: 1,
            legal_name_masked: profile.legal_name.masked(),
            entity_type: seed.entity_type,
            id_expires_on: profile.id_expires_on,
        };
        let folded = fold(Field::Account, &seed.account);
        let mut logins = Logins {
            revision: 1,
            ..Logins::default()
        };
        for device in &seed.known_devices {
            logins.devices.push(KnownDevice {
                hash: keys
                    .device(folded.expose(), device.device_id.expose())
                    .await?,
                first_seen: now.plus_s(-device.first_login_days_ago * DAY_S),
                last_used: now,
                failures: Failures::default(),
            });
        }
        Ok(vec![
            item_of(account_key(&account_mac.0), account::attributes(&account)),
            item_of(
                logins_key(&account_mac.0),
                logins::attributes(&logins, now)?,
            ),
        ])
    }
}

fn bad(field: &str, code: ErrorCode) -> PortError {
    PortError::Permanent("the test world", format!("{field}: {code}"))
}
