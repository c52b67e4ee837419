//! Inserts the fixed test world of the local system and the tests.

use super::client::{Get, Table};
use super::item::Item;
use super::keys::{account_key, card_number_key, logins_key};
use super::records::{account, card_holders, item_of, logins};
use super::{Store, onboard};
use application::crypto::{HashPurpose, Keys, password};
use application::ports::{KeyService, PortError};
use domain::device::{KnownDevice, Logins};
use domain::error_code::ErrorCode;
use domain::format::DocumentExpiry;
use domain::ids::{MerchantId, PayoutId, RebindId};
use domain::login::Failures;
use domain::merchant::{EntityType, LastActivation};
use domain::onboarding::{Migration, Onboarding, UnsentPayout};
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

    /// The merchant without its known devices and its history.
    fn onboarding(&self, now: Timestamp) -> Result<Onboarding, PortError> {
        let malformed = |field| bad(field, ErrorCode::RequestMalformed);
        let document = &self.id_document;
        let number = IdNumber::parse(document.document_type, document.number.expose());
        let card = self.active_card.as_ref();
        let card = card.map(|card| CardNumber::parse(card.card_number.expose()));
        let payouts = self.unsent_payouts.iter().map(|unsent| {
            let payout_id = PayoutId::parse(&unsent.payout_id);
            Ok(UnsentPayout {
                payout_id: payout_id.ok_or_else(|| malformed("payout_id"))?,
                amount_fen: unsent.amount_fen,
                created_at: now.plus_s(-unsent.created_hours_ago * HOUR_S),
            })
        });
        let merchant_id = MerchantId::parse(&self.merchant_id);
        Ok(Onboarding {
            merchant_id: merchant_id.ok_or_else(|| malformed("merchant_id"))?,
            account: fold(Field::Account, &self.account),
            password_hash: password::hash(&self.password)?,
            entity_type: self.entity_type,
            legal_name: PersonName::new(&self.legal_name),
            settlement_name: self.settlement_name.as_deref().map(PersonName::new),
            document: number.map_err(|code| bad("number", code))?,
            id_expires_on: self.expiry(now)?,
            phone_on_file: Phone::parse(&self.phone_on_file)
                .map_err(|code| bad("phone_on_file", code))?,
            opened_at: now.plus_s(-self.opened_days_ago * DAY_S),
            daily_limit_max_fen: self.tier.daily_limit_max_fen,
            fee_rate_bp: self.tier.fee_rate_bp,
            settlement: self.settlement.settlement()?,
            card: card.transpose().map_err(|code| bad("card_number", code))?,
            migration: Migration {
                unsent_payouts: payouts.collect::<Result<_, _>>()?,
                ..Migration::default()
            },
        })
    }
}

impl<T: Table> Store<T> {
    /// Inserts one merchant with account and card, and an empty history. Existing items of this merchant are replaced.
    /// [`Store::onboard`] creates merchants outside the test world.
    ///
    /// # Errors
    /// When the description is invalid, the account is another merchant's after folding, or the table or the keys fail.
    pub async fn seed<K: KeyService>(
        &self,
        keys: &Keys<K>,
        seed: &SeedMerchant,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let new = seed.onboarding(now)?;
        self.check_account(keys, &new).await?;
        let keyed = onboard::keyed(keys, &new, now).await?;
        let mut records = new.records(&keyed.parts, self.policy, now);
        let state = &mut records.state;
        state.security_changed_at = seed
            .security_changed_hours_ago
            .map(|hours| now.plus_s(-hours * HOUR_S));
        if let Some(days) = seed.last_rebind_days_ago {
            let activated_at = now.plus_s(-days * DAY_S);
            let times = Activation {
                activated_at,
                effective_at: activated_at.plus_s(self.policy.hold_s),
                cooldown_until: activated_at.plus_s(self.policy.cooldown_s),
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
        let items = self.record_items(&records, &keyed.cards, now)?;
        let mut items: Vec<Item> = items.into_iter().map(|(_, item)| item).collect();
        let merchant = &new.merchant_id;
        items.extend(keyed.cards.iter().map(|card| {
            let person = &records.profile.id_number_mac;
            let holder = card_holders::attributes(merchant, &card.card_id, person);
            item_of(card_number_key(&card.fingerprint), holder)
        }));
        items.push(
            self.logins(keys, seed, &new, &records.profile.account, now)
                .await?,
        );
        for item in items {
            self.table.put(item).await?;
        }
        Ok(())
    }

    /// Refuses the account of another merchant: two accounts that fold alike would be one.
    async fn check_account<K: KeyService>(
        &self,
        keys: &Keys<K>,
        new: &Onboarding,
    ) -> Result<(), PortError> {
        let account = new.account.expose();
        let mac = keys.mac(HashPurpose::Account, &[account]).await?;
        let get = Get {
            key: account_key(&mac.0),
            only: None,
            consistent: true,
        };
        let existing = self.table.get(get).await?;
        let existing = existing.as_ref().map(account::read).transpose()?;
        let is_taken = existing.is_some_and(|account| account.merchant_id != new.merchant_id);
        if account.is_empty() || is_taken {
            return Err(PortError::Permanent(
                "the test world",
                "the account is empty or another merchant's".to_owned(),
            ));
        }
        Ok(())
    }

    /// The account's known devices.
    async fn logins<K: KeyService>(
        &self,
        keys: &Keys<K>,
        seed: &SeedMerchant,
        new: &Onboarding,
        account: &Mac,
        now: Timestamp,
    ) -> Result<Item, PortError> {
        let mut logins = Logins {
            revision: 1,
            ..Logins::default()
        };
        for device in &seed.known_devices {
            logins.devices.push(KnownDevice {
                hash: keys
                    .device(new.account.expose(), device.device_id.expose())
                    .await?,
                first_seen: now.plus_s(-device.first_login_days_ago * DAY_S),
                last_used: now,
                failures: Failures::default(),
            });
        }
        let attributes = logins::attributes(&logins, now)?;
        Ok(item_of(logins_key(&account.0), attributes))
    }
}

fn bad(field: &str, code: ErrorCode) -> PortError {
    PortError::Permanent("the test world", format!("{field}: {code}"))
}
