//! Codes to a phone: counted before they are sent.

use super::item::{Item, update_item};
use super::keys::key;
use super::records::otp_counter;
use super::{Store, port_error};
use application::ports::PortError;
use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, TransactWriteItem};
use domain::policy::Policy;
use domain::rebind::OtpPurpose;
use domain::time::Timestamp;

impl Store {
    pub(super) async fn take_code_back(
        &self,
        phone_key: &str,
        purpose: OtpPurpose,
        at: Timestamp,
    ) -> Result<(), PortError> {
        let update = otp_counter::take_back(purpose, at);
        let undone = self
            .client
            .update_item()
            .table_name(&self.table)
            .set_key(Some(phone_item_key(phone_key)))
            .update_expression(update.expression())
            .set_condition_expression(update.condition())
            .set_expression_attribute_names(Some(update.names))
            .set_expression_attribute_values(Some(update.values))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await
            .map_err(port_error);
        self.meter.call(1);
        match undone {
            Ok(answer) => {
                self.meter.written(answer.consumed_capacity.as_slice());
                Ok(())
            }
            // Another code was counted after this one: then this one stays counted, on the safe side.
            Err(PortError::Conflict) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Counts a code; see [`otp_counter::count`].
    pub(super) fn count_code(
        &self,
        phone_key: &str,
        purpose: OtpPurpose,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<TransactWriteItem, PortError> {
        let update = otp_counter::count(purpose, policy, now);
        update_item(&self.table, phone_item_key(phone_key), update)
    }
}

fn phone_item_key(phone_key: &str) -> Item {
    key(format!("P#{phone_key}"), "P")
}
