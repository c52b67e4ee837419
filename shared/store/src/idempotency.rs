//! Idempotency keys: a row with the stored reply for each, for as long as the key is valid, and claims in the rebinds.

use super::Store;
use super::client::{Get, Table};
use super::item::{Item, Update, delete_item, put_item, s, time};
use super::keys::idempotency_key;
use super::records::{self, claim, idempotency};
use application::ports::{IdempotencyKey, IdempotencyLookup, IdempotencyMode, PortError};
use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use domain::time::Timestamp;

impl<T: Table> Store<T> {
    pub(super) async fn find_row(
        &self,
        wanted: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<IdempotencyLookup, PortError> {
        let row = self.table.get(row_of(wanted)).await?;
        read_row(row.as_ref(), wanted, now)
    }

    /// The row of a key, read in parallel with its merchant.
    pub(super) async fn row_beside(
        &self,
        wanted: Option<&IdempotencyKey>,
    ) -> Result<Option<Item>, PortError> {
        match wanted {
            Some(wanted) => self.table.get_beside(row_of(wanted)).await,
            None => Ok(None),
        }
    }

    /// The effect of a commit on the claims in its rebind.
    pub(super) fn change_claims(
        &self,
        update: &mut Update,
        mode: &IdempotencyMode<'_>,
        now: Timestamp,
    ) {
        match *mode {
            IdempotencyMode::None => {}
            IdempotencyMode::Claim(key, context) => {
                claim::begin(update, key, context, now.plus_s(self.policy.idempotency_s));
            }
            IdempotencyMode::Reply(key, _) => claim::answer(update, key),
            IdempotencyMode::Release(key) => claim::end(update, key),
        }
    }

    pub(super) fn idempotency_row(
        &self,
        mode: &IdempotencyMode<'_>,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, PortError> {
        let (key, reply) = match *mode {
            IdempotencyMode::None | IdempotencyMode::Claim(..) => return Ok(None),
            IdempotencyMode::Release(key) => {
                return delete_item(self.table.name(), idempotency_key(key)).map(Some);
            }
            IdempotencyMode::Reply(key, reply) => (key, reply),
        };
        let until = now.plus_s(self.policy.idempotency_s);
        let row = idempotency::reply(key, reply, until)?;
        let put = Put::builder()
            .table_name(self.table.name())
            .set_item(Some(records::item_of(idempotency_key(key), row)))
            // A row without a status is a claim of an earlier release.
            .condition_expression(
                "attribute_not_exists(pk) OR #until <= :now OR (#fp = :fp AND attribute_not_exists(#status))",
            )
            .expression_attribute_names("#until", idempotency::UNTIL)
            .expression_attribute_names("#status", idempotency::STATUS)
            .expression_attribute_names("#fp", idempotency::FINGERPRINT)
            .expression_attribute_values(":now", time(now))
            .expression_attribute_values(":fp", s(&key.fingerprint))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        put_item(put).map(Some)
    }
}

fn row_of(wanted: &IdempotencyKey) -> Get {
    Get {
        key: idempotency_key(wanted),
        only: None,
        consistent: true,
    }
}

fn read_row(
    row: Option<&Item>,
    wanted: &IdempotencyKey,
    now: Timestamp,
) -> Result<IdempotencyLookup, PortError> {
    row.map_or(Ok(IdempotencyLookup::Nothing), |row| {
        idempotency::read(row, wanted, now)
    })
}

/// The earlier use of a key: its row, or else its claim in the rebind.
pub(super) fn use_of(
    wanted: &IdempotencyKey,
    row: Option<&Item>,
    rebind: Option<&Item>,
    now: Timestamp,
) -> Result<IdempotencyLookup, PortError> {
    Ok(match (read_row(row, wanted, now)?, rebind) {
        (IdempotencyLookup::Nothing, Some(rebind)) => claim::read(rebind, wanted, now),
        (found, _) => found,
    })
}

/// True if row and rebind come from different commits: the key was answered, and its row was read before.
pub(super) fn is_torn(wanted: &IdempotencyKey, row: Option<&Item>, rebind: Option<&Item>) -> bool {
    row.is_none() && rebind.is_some_and(|rebind| claim::was_answered(rebind, wanted))
}
