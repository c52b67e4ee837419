//! Idempotency rows: what was answered under a key, for as long as the same answer is given again.

use super::item::{Item, delete_item, put_item, s, time};
use super::keys::key;
use super::records::{self, idempotency};
use super::{Store, port_error};
use application::ports::{IdempotencyKey, IdempotencyLookup, PortError, Remember};
use aws_sdk_dynamodb::types::{
    Put, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use domain::time::Timestamp;

impl Store {
    pub(super) async fn find_row(
        &self,
        wanted: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<IdempotencyLookup, PortError> {
        let answer = self
            .client
            .get_item()
            .table_name(&self.table)
            .consistent_read(true)
            .set_key(Some(idempotency_key(wanted)))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(port_error)?;
        self.meter.call(0);
        self.meter.read(answer.consumed_capacity.as_slice());
        answer.item.map_or(Ok(IdempotencyLookup::Nothing), |row| {
            idempotency::read(&row, wanted, now)
        })
    }

    pub(super) fn idempotency_row(
        &self,
        remember: &Remember<'_>,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, PortError> {
        let until = now.plus_s(self.policy.idempotency_s);
        let put = Put::builder()
            .table_name(&self.table)
            .expression_attribute_names("#until", idempotency::UNTIL)
            .expression_attribute_values(":now", time(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let (wanted, row, put) = match *remember {
            Remember::Nothing => return Ok(None),
            Remember::Forget(key) => {
                return delete_item(&self.table, idempotency_key(key)).map(Some);
            }
            Remember::Claim(key, context) => {
                let put = put.condition_expression("attribute_not_exists(pk) OR #until <= :now");
                (key, idempotency::claim(key, context, until), put)
            }
            Remember::Reply(key, reply) => {
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

fn idempotency_key(wanted: &IdempotencyKey) -> Item {
    key(format!("I#{}", wanted.scope), "I")
}
