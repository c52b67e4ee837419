//! Idempotency rows: a stored reply for each key, for as long as the key is valid.

use super::Store;
use super::client::{Get, Table};
use super::item::{delete_item, put_item, s, time};
use super::keys::idempotency_key;
use super::records::{self, idempotency};
use application::ports::{IdempotencyKey, IdempotencyLookup, IdempotencyMode, PortError};
use aws_sdk_dynamodb::types::{Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem};
use domain::time::Timestamp;

impl<T: Table> Store<T> {
    pub(super) async fn find_row(
        &self,
        wanted: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<IdempotencyLookup, PortError> {
        let get = Get {
            key: idempotency_key(wanted),
            only: None,
            consistent: true,
        };
        let row = self.table.get(get).await?;
        row.map_or(Ok(IdempotencyLookup::Nothing), |row| {
            idempotency::read(&row, wanted, now)
        })
    }

    pub(super) fn idempotency_row(
        &self,
        mode: &IdempotencyMode<'_>,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, PortError> {
        let until = now.plus_s(self.policy.idempotency_s);
        let put = Put::builder()
            .table_name(self.table.name())
            .expression_attribute_names("#until", idempotency::UNTIL)
            .expression_attribute_values(":now", time(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let (wanted, row, put) = match *mode {
            IdempotencyMode::None => return Ok(None),
            IdempotencyMode::Release(key) => {
                return delete_item(self.table.name(), idempotency_key(key)).map(Some);
            }
            IdempotencyMode::Claim(key, context) => {
                let put = put.condition_expression("attribute_not_exists(pk) OR #until <= :now");
                (key, idempotency::claim(key, context, until), put)
            }
            IdempotencyMode::Reply(key, reply) => {
                let put = put
                    .condition_expression(
                        "attribute_not_exists(pk) OR #until <= :now OR (#fp = :fp AND attribute_not_exists(#status))",
                    )
                    .expression_attribute_names("#status", idempotency::STATUS)
                    .expression_attribute_names("#fp", idempotency::FINGERPRINT)
                    .expression_attribute_values(":fp", s(&key.fingerprint));
                (key, idempotency::reply(key, reply, until)?, put)
            }
        };
        let item = records::item_of(idempotency_key(wanted), row);
        put_item(put.set_item(Some(item))).map(Some)
    }
}
