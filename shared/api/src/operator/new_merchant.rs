//! A new merchant, as a line of an import file and as the body of the operator's API.

use super::sent::{Sent, body};
#[cfg(feature = "schema")]
use crate::replies::{Text, Time};
#[cfg(feature = "schema")]
use crate::schema;
use domain::decide::CardFacts;
use domain::error_code::ErrorCode;
use domain::format::bins::CardType;
use domain::ids::{MerchantId, PayoutId};
use domain::merchant::EntityType;
use domain::onboarding::{
    Fault, Faults, FieldFault, Hold, Migration, MigrationTimes, Onboarding, PAYOUTS_MAX, Tier,
    UnsentPayout, check_migration, check_opened, check_settlement, expiry_of_books,
};
use domain::password_hash::PasswordHash;
use domain::pii::typed::{Field, fold};
use domain::pii::{CardNumber, DocumentType, IdNumber, PersonName, Phone};
use domain::policy::Policy;
use domain::secret::Secret;
use domain::settlement::{Cycle, PayoutTime, SettlementChange};
use domain::time::Timestamp;
use serde::Deserialize;

/// Characters of an account's name.
const ACCOUNT_CHARS: usize = 64;
/// Characters of a person's name.
const NAME_CHARS: usize = 128;
/// The greatest amount in fen: the greatest integer that every JSON parser keeps.
pub const FEN_MAX: u64 = 9_007_199_254_740_991;
/// The greatest fee, in basis points.
const FEE_MAX: u32 = 10_000;

body! {
    /// A new merchant: the acquirer's record, the login, the settlement settings, the card, and what a migration leaves running.
    NewMerchant {
        /// The acquirer's id of the merchant.
        #[cfg_attr(feature = "schema", schemars(with = "Text<MerchantId>"))]
        merchant_id: String,
        /// The name to log in with. Spellings that fold alike are one account.
        #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1, max = ACCOUNT_CHARS)))]
        account: Secret<String>,
        /// The PHC string of argon2id with these parameters, and a hash of 32 bytes.
        #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = r"^\$argon2id\$v=19\$m=19456,t=2,p=1\$[A-Za-z0-9+/]{11,64}\$[A-Za-z0-9+/]{43}$")))]
        password_hash: Secret<String>,
        /// The kind of the merchant.
        #[cfg_attr(feature = "schema", schemars(with = "EntityType"))]
        entity_type: String,
        /// The registered name.
        #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1, max = NAME_CHARS)))]
        legal_name: Secret<String>,
        /// The name on settlement cards, if it differs from the registered name.
        #[cfg_attr(feature = "schema", schemars(with = "Option<String>", length(min = 1, max = NAME_CHARS)))]
        settlement_name: Secret<String>,
        /// The ID document.
        #[cfg_attr(feature = "schema", schemars(with = "NewDocument"))]
        id_document: NewDocument,
        /// The phone on file: a mainland mobile number.
        #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = r"^(\+86)?1[3-9][0-9]{9}$")))]
        phone_on_file: Secret<String>,
        /// The day on which the acquirer opened the account, in Shanghai. Not in the future.
        #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = "^[0-9]{4}-[0-9]{2}-[0-9]{2}$")))]
        opened_on: String,
        /// The limits that the acquirer sets.
        #[cfg_attr(feature = "schema", schemars(with = "NewTier"))]
        tier: NewTier,
        /// The settlement settings. They obey the rules of `PUT /v1/settlement`.
        #[cfg_attr(feature = "schema", schemars(with = "NewSettlement"))]
        settlement: NewSettlement,
        /// The active card, which the acquirer has verified. Without it, payouts are held.
        #[cfg_attr(feature = "schema", schemars(with = "Option<NewCard>"))]
        card: NewCard,
        /// What was running in the system that the merchant comes from.
        #[cfg_attr(feature = "schema", schemars(with = "Option<NewMigration>"))]
        migration: NewMigration,
    }

    /// An ID document.
    NewDocument {
        /// The kind of the document.
        #[cfg_attr(feature = "schema", schemars(rename = "type", with = "Option<DocumentType>", extend("default" = "resident_id")))]
        kind as "type": String,
        /// The number, in the form of its kind.
        #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = "^[0-9A-Za-z]{5,18}$")))]
        number: Secret<String>,
        /// The last day of validity, or `long_term`. `9999-12-31` and similar stand-ins mean `long_term`.
        #[cfg_attr(feature = "schema", schemars(with = "String", length(min = 1, max = 16), extend("examples" = ["2031-05-31", "long_term", "9999-12-31"])))]
        expires_on: Secret<String>,
    }

    /// The limits that the acquirer sets.
    NewTier {
        /// The highest daily limit that the merchant can set.
        #[cfg_attr(feature = "schema", schemars(with = "schema::Fen", range(min = 1)))]
        daily_limit_max_fen: i64,
        /// The fee in basis points (1/10000).
        #[cfg_attr(feature = "schema", schemars(with = "u32", range(max = FEE_MAX)))]
        fee_rate_bp: i64,
    }

    /// The settlement settings.
    NewSettlement {
        /// The day of payouts.
        #[cfg_attr(feature = "schema", schemars(with = "Cycle"))]
        cycle: String,
        /// The time of payouts.
        #[cfg_attr(feature = "schema", schemars(with = "schema::PayoutTime"))]
        payout_time: String,
        /// The amount retained from each payout.
        #[cfg_attr(feature = "schema", schemars(with = "schema::Fen"))]
        retained_fen: i64,
        /// The maximum paid out per day.
        #[cfg_attr(feature = "schema", schemars(with = "schema::Fen"))]
        daily_limit_fen: i64,
    }

    /// A settlement card.
    NewCard {
        /// 15 to 19 digits.
        #[cfg_attr(feature = "schema", schemars(with = "String", regex(pattern = "^[0-9]{15,19}$")))]
        number: Secret<String>,
    }

    /// What was running in the system that a merchant comes from. A time in the past has no effect.
    NewMigration {
        /// The end of a cooldown, at most as far ahead as a new one would be.
        #[cfg_attr(feature = "schema", schemars(with = "Option<Time>"))]
        cooldown_until: String,
        /// The end of the hold of the last change of the card, at most as far ahead as the longest hold. It requires `card` and a
        /// `cooldown_until` that is not earlier.
        #[cfg_attr(feature = "schema", schemars(with = "Option<Time>"))]
        hold_until: String,
        /// The card that receives payouts until `hold_until`. Without it, they are held until then.
        #[cfg_attr(feature = "schema", schemars(with = "Option<NewCard>"))]
        replaced_card: NewCard,
        /// Payouts that were created and not yet paid.
        #[cfg_attr(feature = "schema", schemars(with = "Option<Vec<NewPayout>>", length(max = PAYOUTS_MAX)))]
        unsent_payouts: Vec<Sent<NewPayout>>,
    }

    /// An unsent payout.
    NewPayout {
        /// The core system's id of the payout.
        #[cfg_attr(feature = "schema", schemars(with = "Text<PayoutId>"))]
        payout_id: String,
        /// The amount.
        #[cfg_attr(feature = "schema", schemars(with = "schema::Fen", range(min = 1)))]
        amount_fen: i64,
        /// When it was created. Not in the future.
        #[cfg_attr(feature = "schema", schemars(with = "Time"))]
        created_at: String,
    }
}

impl<'de> Deserialize<'de> for NewMerchant {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Sent::deserialize(deserializer)? {
            Sent::Is(merchant) => Ok(merchant),
            Sent::Absent | Sent::WrongType => {
                Err(serde::de::Error::custom("a new merchant is an object"))
            }
        }
    }
}

impl NewMerchant {
    /// Reads a merchant from JSON.
    ///
    /// # Errors
    /// [`Fault::NotJson`] for anything except a JSON object. Its members are checked by [`Self::read`].
    pub fn from_json(json: &[u8]) -> Result<Self, Vec<FieldFault>> {
        // The parser's own message may quote a value.
        serde_json::from_slice(json).map_err(|_| vec![FieldFault::new("", Fault::NotJson)])
    }

    /// The merchant, if every member is valid.
    ///
    /// # Errors
    /// Every fault, each with its field.
    pub fn read(&self, policy: &Policy, now: Timestamp) -> Result<Onboarding, Vec<FieldFault>> {
        let mut reader = Reader {
            faults: Faults::default(),
            policy,
            now,
        };
        let read = reader.merchant(self);
        match read {
            Some(merchant) if reader.faults.is_empty() => Ok(merchant),
            _ => Err(reader.faults.into_vec()),
        }
    }
}

/// Reads the members and collects their faults. A method returns `None` after it has added a fault.
struct Reader<'p> {
    faults: Faults,
    policy: &'p Policy,
    now: Timestamp,
}

impl Reader<'_> {
    fn merchant(&mut self, new: &NewMerchant) -> Option<Onboarding> {
        new.strays.report("", &mut self.faults);
        let merchant_id = self.text("merchant_id", &new.merchant_id, MerchantId::parse);
        let account = self.account(&new.account);
        let password_hash = new
            .password_hash
            .required("password_hash", &mut self.faults);
        let password_hash = password_hash.and_then(|text| {
            let parsed = PasswordHash::parse(text.expose()).map_err(|_| Fault::PasswordHash);
            self.faults.take("password_hash", parsed)
        });
        let entity_type = self.text("entity_type", &new.entity_type, EntityType::parse);
        let legal_name = new.legal_name.required("legal_name", &mut self.faults);
        let legal_name = legal_name.and_then(|name| self.name("legal_name", name));
        let settlement_name = new
            .settlement_name
            .optional("settlement_name", &mut self.faults);
        let settlement_name = settlement_name.and_then(|name| self.name("settlement_name", name));
        let document = new.id_document.required("id_document", &mut self.faults);
        let document = document.and_then(|document| self.document(document));
        let phone = new
            .phone_on_file
            .required("phone_on_file", &mut self.faults);
        let phone_on_file = phone.and_then(|phone| {
            let parsed = Phone::parse(phone.expose());
            self.faults.take("phone_on_file", parsed)
        });
        let opened = new.opened_on.required("opened_on", &mut self.faults);
        let opened_at = opened.and_then(|text| {
            let opened = check_opened(text, self.now);
            self.faults.take("opened_on", opened)
        });
        let tier = new.tier.required("tier", &mut self.faults);
        let (limit_max, fee_rate_bp) = tier.map_or((None, None), |tier| self.tier(tier));
        let limits = Tier {
            daily_limit_max_fen: limit_max,
            opened_at,
        };
        let settlement = new.settlement.required("settlement", &mut self.faults);
        let settlement = settlement.and_then(|settings| self.settlement(settings, limits));
        let card = new.card.optional("card", &mut self.faults);
        let has_card = card.is_some();
        let card = card.and_then(|card| self.card("card", card));
        let migration = new.migration.optional("migration", &mut self.faults);
        let migration = match migration {
            Some(migration) => self.migration(migration, has_card, card.as_ref()),
            None => Some(Migration::default()),
        };
        let (document, id_expires_on) = document?;
        Some(Onboarding {
            merchant_id: merchant_id?,
            account: account?,
            password_hash: password_hash?,
            entity_type: entity_type?,
            legal_name: legal_name?,
            settlement_name,
            document,
            id_expires_on,
            phone_on_file: phone_on_file?,
            opened_at: opened_at?,
            daily_limit_max_fen: limit_max?,
            fee_rate_bp: fee_rate_bp?,
            settlement: settlement?,
            card,
            migration: migration?,
        })
    }

    /// A required text of a given form.
    fn text<T>(
        &mut self,
        field: &str,
        sent: &Sent<String>,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let text = sent.required(field, &mut self.faults)?;
        self.faults.take(field, parse(text).ok_or(Fault::Malformed))
    }

    /// A required amount in fen.
    fn fen(&mut self, field: &str, sent: &Sent<i64>, least: u64) -> Option<u64> {
        let number = *sent.required(field, &mut self.faults)?;
        let number = u64::try_from(number).ok();
        let number = number.filter(|fen| (least..=FEN_MAX).contains(fen));
        self.faults.take(field, number.ok_or(Fault::Malformed))
    }

    /// An optional time.
    fn time(&mut self, field: &str, sent: &Sent<String>) -> Option<Timestamp> {
        let text = sent.optional(field, &mut self.faults)?;
        let time = Timestamp::parse_rfc3339(text).ok_or(Fault::Malformed);
        self.faults.take(field, time)
    }

    fn account(&mut self, sent: &Sent<Secret<String>>) -> Option<Secret<String>> {
        let account = sent.required("account", &mut self.faults)?;
        let folded = fold(Field::Account, account.expose());
        let valid = match folded.expose().chars().count() {
            0 => Err(Fault::Malformed),
            1..=ACCOUNT_CHARS => Ok(folded),
            _ => Err(Fault::TooLong),
        };
        self.faults.take("account", valid)
    }

    fn name(&mut self, field: &str, name: &Secret<String>) -> Option<PersonName> {
        let text = name.expose();
        let is_printable = text.chars().all(|c| !c.is_control());
        let valid = if !is_printable || fold(Field::Name, text).expose().is_empty() {
            Err(Fault::Malformed)
        } else if text.chars().count() > NAME_CHARS {
            Err(Fault::TooLong)
        } else {
            Ok(PersonName::new(text))
        };
        self.faults.take(field, valid)
    }

    fn document(
        &mut self,
        document: &NewDocument,
    ) -> Option<(IdNumber, domain::format::DocumentExpiry)> {
        document.strays.report("id_document", &mut self.faults);
        let kind = match document.kind {
            Sent::Absent => Some(DocumentType::default()),
            ref kind => self.text("id_document.type", kind, DocumentType::parse),
        };
        let field = "id_document.number";
        let number = document.number.required(field, &mut self.faults);
        // Without a kind, the form of the number is unknown.
        let number = kind.zip(number).and_then(|(kind, number)| {
            let parsed = IdNumber::parse(kind, number.expose());
            self.faults.take(field, parsed)
        });
        let field = "id_document.expires_on";
        let expiry = document.expires_on.required(field, &mut self.faults);
        let expiry = expiry.and_then(|text| {
            let parsed = expiry_of_books(text.expose(), self.now);
            self.faults.take(field, parsed)
        });
        number.zip(expiry)
    }

    fn tier(&mut self, tier: &NewTier) -> (Option<u64>, Option<u32>) {
        tier.strays.report("tier", &mut self.faults);
        let limit = self.fen("tier.daily_limit_max_fen", &tier.daily_limit_max_fen, 1);
        let field = "tier.fee_rate_bp";
        let fee = tier.fee_rate_bp.required(field, &mut self.faults);
        let fee = fee.and_then(|fee| {
            let fee = u32::try_from(*fee).ok().filter(|fee| *fee <= FEE_MAX);
            self.faults.take(field, fee.ok_or(Fault::Malformed))
        });
        (limit, fee)
    }

    fn settlement(
        &mut self,
        new: &NewSettlement,
        limits: Tier,
    ) -> Option<domain::settlement::Settlement> {
        new.strays.report("settlement", &mut self.faults);
        let invalid = ErrorCode::RequestMalformed;
        let change = SettlementChange {
            cycle: self
                .text("settlement.cycle", &new.cycle, Cycle::parse)
                .ok_or(invalid),
            payout_time: self
                .text(
                    "settlement.payout_time",
                    &new.payout_time,
                    PayoutTime::parse,
                )
                .ok_or(invalid),
            retained_fen: self
                .fen("settlement.retained_fen", &new.retained_fen, 0)
                .ok_or(invalid),
            daily_limit_fen: self
                .fen("settlement.daily_limit_fen", &new.daily_limit_fen, 1)
                .ok_or(invalid),
            fee_rate_bp: None,
        };
        let (policy, now) = (self.policy, self.now);
        check_settlement("settlement", &change, limits, policy, now, &mut self.faults)
    }

    fn card(&mut self, path: &str, card: &NewCard) -> Option<CardNumber> {
        card.strays.report(path, &mut self.faults);
        let field = format!("{path}.number");
        let number = card.number.required(&field, &mut self.faults)?;
        let number = CardNumber::parse(number.expose()).map_err(Fault::from);
        let number = number.and_then(|number| match CardFacts::card_type(&number) {
            CardType::Credit | CardType::QuasiCredit => Err(Fault::CardTypeCredit),
            CardType::Prepaid => Err(Fault::CardTypePrepaid),
            CardType::Debit | CardType::Unknown => Ok(number),
        });
        self.faults.take(field, number)
    }

    fn migration(
        &mut self,
        new: &NewMigration,
        has_card: bool,
        card: Option<&CardNumber>,
    ) -> Option<Migration> {
        new.strays.report("migration", &mut self.faults);
        let cooldown_until = self.time("migration.cooldown_until", &new.cooldown_until);
        let hold_until = self.time("migration.hold_until", &new.hold_until);
        let field = "migration.replaced_card";
        let replaced = new.replaced_card.optional(field, &mut self.faults);
        let has_replaced_card = replaced.is_some();
        let replaced_card = replaced.and_then(|card| self.card(field, card));
        if replaced_card.is_some() && replaced_card.as_ref() == card {
            self.faults.add(format!("{field}.number"), Fault::Repeated);
        }
        let unsent_payouts = self.payouts(&new.unsent_payouts);
        let times = MigrationTimes {
            cooldown_until,
            hold_until,
            has_replaced_card,
            has_card,
        };
        let ids = unsent_payouts
            .iter()
            .map(|(index, payout)| (*index, &payout.payout_id));
        let (policy, now) = (self.policy, self.now);
        check_migration("migration", times, ids, policy, now, &mut self.faults);
        Some(Migration {
            cooldown_until,
            hold: hold_until.map(|until| Hold {
                until,
                replaced_card,
            }),
            unsent_payouts: unsent_payouts
                .into_iter()
                .map(|(_, payout)| payout)
                .collect(),
        })
    }

    /// The valid payouts with their positions in the list.
    fn payouts(&mut self, sent: &Sent<Vec<Sent<NewPayout>>>) -> Vec<(usize, UnsentPayout)> {
        let list = "migration.unsent_payouts";
        let Some(payouts) = sent.optional(list, &mut self.faults) else {
            return Vec::new();
        };
        if payouts.len() > PAYOUTS_MAX {
            self.faults.add(list, Fault::TooMany);
        }
        let payouts = payouts.iter().take(PAYOUTS_MAX).enumerate();
        payouts
            .filter_map(|(index, payout)| {
                let path = format!("{list}[{index}]");
                let payout = payout.required(&path, &mut self.faults)?;
                Some((index, self.payout(&path, payout)?))
            })
            .collect()
    }

    fn payout(&mut self, path: &str, new: &NewPayout) -> Option<UnsentPayout> {
        new.strays.report(path, &mut self.faults);
        let payout_id = self.text(
            &format!("{path}.payout_id"),
            &new.payout_id,
            PayoutId::parse,
        );
        let amount_fen = self.fen(&format!("{path}.amount_fen"), &new.amount_fen, 1);
        let field = format!("{path}.created_at");
        let created_at = self.text(&field, &new.created_at, Timestamp::parse_rfc3339);
        let created_at = created_at.and_then(|at| {
            let past = if at > self.now {
                Err(Fault::InFuture)
            } else {
                Ok(at)
            };
            self.faults.take(field, past)
        });
        Some(UnsentPayout {
            payout_id: payout_id?,
            amount_fen: amount_fen?,
            created_at: created_at?,
        })
    }
}

#[cfg(test)]
#[path = "new_merchant_tests.rs"]
mod tests;
