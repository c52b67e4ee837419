//! The acquirer's tool of a rotation: moves stored hashes from the previous to the current version of their key. See
//! `infra/hash-keys.md`.

use super::Store;
use super::client::{Get, Table, Transacted};
use super::commit::cancelled;
use super::item::{Item, Update, broken, n, put_item, update_item};
use super::keys::{PROFILE, account_key, key, logins_key, merchant_pk};
use super::records::card_holders::Person;
use super::records::{card_holders, logins, profile};
use application::crypto::{HashPurpose, Keys};
use application::ports::{
    Commit, DataKey, IdempotencyMode, KeyService, LoadMerchant as _, PortError, Selector,
};
use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use domain::contact::RecordChange;
use domain::ids::{CardId, MerchantId};
use domain::merchant::{Merchant, MerchantState, Profile};
use domain::pii::typed::{Field, fold};
use domain::rebind::{Mac, Rebind};
use domain::time::Timestamp;
use domain::transition::{FingerprintRule, Transition};

impl<T: Table> Store<T> {
    /// Moves an account and its logins from the previous to the current look-up key, during a rotation. Returns false if
    /// they have been moved before. `account`: its name in the acquirer's books.
    ///
    /// # Errors
    /// `Permanent` when the merchant is unknown or has another account; `Conflict` when a login wrote meanwhile.
    pub async fn rehash_account<K: KeyService>(
        &self,
        keys: &Keys<K>,
        merchant: &MerchantId,
        account: &str,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let folded = fold(Field::Account, account);
        let name = [folded.expose().as_str()];
        let before = self.to_move(merchant, Selector::Latest).await?;
        let profile = &before.profile;
        let current = keys.mac(HashPurpose::Account, &name).await?;
        if profile.account == current {
            return Ok(false);
        }
        let previous = keys.previous_mac(HashPurpose::Account, &name).await?;
        if previous.as_ref() != Some(&profile.account) {
            return Err(broken("the merchant has another account"));
        }
        let (record_table, table) = (self.table.record_name(), self.table.name());
        let mut writes = Vec::new();
        for (table, of) in [
            (record_table, account_key as fn(&str) -> Item),
            (table, logins_key),
        ] {
            let (old_key, new_key) = (of(&profile.account.0), of(&current.0));
            let get = Get {
                key: old_key.clone(),
                only: None,
                consistent: true,
            };
            if let Some(old) = self.table.get(get).await? {
                writes.extend(moved(table, old, old_key, new_key)?);
            }
        }
        let mut update = Update::default();
        let next = Profile {
            version: profile.version.saturating_add(1),
            account: current,
            ..profile.clone()
        };
        update.put_all(profile::attributes(&next)?);
        update.value("read", n(profile.version));
        update.when("#version = :read");
        let key = key(merchant_pk(merchant), PROFILE);
        writes.push(update_item(record_table, key, update)?);
        let state = MerchantState {
            record_version: next.version,
            ..before.state.next_version()
        };
        writes.extend(self.rewritten(&before, &with_state(state), now)?);
        self.write(writes).await?;
        Ok(true)
    }

    /// Moves a merchant's ID document and verified cards from the previous to the current card-and-ID key, during a
    /// rotation. Returns false if there was nothing to move.
    ///
    /// # Errors
    /// `Permanent` when the merchant is unknown or a number has holders of another person; `Conflict` when another write
    /// came first. A repeated call continues.
    pub async fn rehash_cards<K: KeyService>(
        &self,
        keys: &Keys<K>,
        merchant: &MerchantId,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let before = self.to_move(merchant, Selector::Latest).await?;
        let document = keys.id_number(&before.profile).await?;
        let previous = keys.previous_document(&document).await?;
        let owner = Owner {
            current: keys.document(&document).await?,
            previous: previous.ok_or_else(|| broken("no rotation"))?,
        };
        let mut has_moved = self.rehash_document(&before, &owner, now).await?;
        for bound in before.state.all_bound() {
            has_moved |= self
                .rehash_card(keys, (merchant, &bound.card.card_id), &owner, now)
                .await?;
        }
        Ok(has_moved)
    }

    async fn rehash_document(
        &self,
        before: &Merchant,
        owner: &Owner,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let profile = &before.profile;
        if profile.id_number_mac == owner.current {
            return Ok(false);
        }
        if profile.id_number_mac != owner.previous {
            return Err(broken("the document does not fit its hash"));
        }
        let next = Profile {
            version: profile.version.saturating_add(1),
            id_number_mac: owner.current.clone(),
            ..profile.clone()
        };
        let state = MerchantState {
            record_version: next.version,
            ..before.state.next_version()
        };
        let transition = Transition {
            record: Some(Box::new(RecordChange {
                profile: next,
                password_hash: None,
            })),
            ..with_state(state)
        };
        let writes = self.rewritten(before, &transition, now)?;
        self.write(writes).await?;
        Ok(true)
    }

    /// Moves one card, in the merchant state and its rebind, together with its place among the holders of its number.
    async fn rehash_card<K: KeyService>(
        &self,
        keys: &Keys<K>,
        (merchant, card_id): (&MerchantId, &CardId),
        owner: &Owner,
        now: Timestamp,
    ) -> Result<bool, PortError> {
        let before = self.to_move(merchant, Selector::Card(card_id)).await?;
        let mut state = before.state.next_version();
        let (Some(bound), Some(sealed)) = (
            state.bound_mut(card_id),
            self.sealed_card_number(merchant, card_id).await?,
        ) else {
            // Removed meanwhile, or waiting for its removal.
            return Ok(false);
        };
        let context = [
            ("merchant_id", merchant.as_str()),
            ("card_id", card_id.as_str()),
        ];
        let number = keys.open(DataKey::Card, &context, &sealed).await?;
        let parts = [number.expose().as_str()];
        let current = keys.mac(HashPurpose::Card, &parts).await?;
        if bound.fingerprint == current {
            return Ok(false);
        }
        let previous = keys.previous_mac(HashPurpose::Card, &parts).await?;
        if previous.as_ref() != Some(&bound.fingerprint) {
            return Err(broken("the card does not fit its hash"));
        }
        let released = std::mem::replace(&mut bound.fingerprint, current.clone());
        let rebind = before.rebind.as_ref().map(|rebind| Rebind {
            fingerprint: current.clone(),
            ..rebind.clone()
        });
        let transition = Transition {
            rebind,
            fingerprint: Some(FingerprintRule::RemoveHolder {
                fingerprint: released,
                card_id: card_id.clone(),
            }),
            ..with_state(state)
        };
        let mut writes = self.rewritten(&before, &transition, now)?;
        let person = Person {
            hash: &owner.current,
            other: Some(&owner.previous),
        };
        let added = card_holders::add(merchant, card_id, person);
        writes.push(self.update_holders(&current, added)?);
        match self.table.transact(writes).await? {
            Transacted::Done => Ok(true),
            Transacted::Cancelled(reasons) => {
                let holders = reasons.last().and_then(|reason| reason.code());
                if holders == Some("ConditionalCheckFailed") {
                    return Err(broken("the card's number has holders of another person"));
                }
                Err(cancelled(&reasons))
            }
        }
    }

    async fn to_move(
        &self,
        merchant: &MerchantId,
        selector: Selector<'_>,
    ) -> Result<Merchant, PortError> {
        let loaded = self.load(merchant, selector).await?;
        loaded.ok_or_else(|| broken("an unknown merchant"))
    }

    /// The items of a move: no session, no event, no idempotency key.
    fn rewritten(
        &self,
        before: &Merchant,
        transition: &Transition,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        self.items(&Commit {
            before,
            transition,
            event: None,
            session: None,
            idempotency: IdempotencyMode::None,
            now,
        })
    }
}

/// The hashes of a merchant's ID document under both versions.
struct Owner {
    current: Mac,
    previous: Mac,
}

fn with_state(state: MerchantState) -> Transition {
    Transition {
        state: Some(state),
        ..Transition::none()
    }
}

/// Moves an item that has not changed since it was read. Its optimistic lock is `version` or `rev`.
fn moved(
    table: &str,
    old: Item,
    old_key: Item,
    new_key: Item,
) -> Result<[TransactWriteItem; 2], PortError> {
    let lock = if old.contains_key(logins::REVISION) {
        logins::REVISION
    } else {
        "version"
    };
    let read = old.get(lock).cloned().ok_or_else(|| broken(lock))?;
    let mut moved = old;
    moved.extend(new_key);
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(moved))
        .condition_expression("attribute_not_exists(pk)");
    let delete = Delete::builder()
        .table_name(table)
        .set_key(Some(old_key))
        .condition_expression("#lock = :read")
        .expression_attribute_names("#lock", lock)
        .expression_attribute_values(":read", read)
        .build()
        .map_err(|error| broken(&error.to_string()))?;
    let delete = TransactWriteItem::builder().delete(delete).build();
    Ok([put_item(put)?, delete])
}
