//! OTPs per phone, counted before they are sent.

use super::Store;
use super::client::{SingleUpdate, Table};
use super::item::{Item, update_item};
use super::keys::key;
use super::records::otp_counter;
use application::ports::PortError;
use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem};
use domain::policy::Policy;
use domain::rebind::{Mac, OtpPurpose};
use domain::time::Timestamp;

impl<T: Table> Store<T> {
    pub(super) async fn take_code_back(
        &self,
        phone_hash: &Mac,
        purpose: OtpPurpose,
        at: Timestamp,
    ) -> Result<(), PortError> {
        let update = otp_counter::take_back(purpose, at);
        let phone = phone_item_key(phone_hash);
        let update = SingleUpdate::new(phone, update, ReturnValue::None);
        // The condition fails if another OTP was counted after this one. Then this one stays counted, which is safe.
        self.table.update(update).await.map(|_| ())
    }

    /// Counts an OTP; see [`otp_counter::count`].
    pub(super) fn count_code(
        &self,
        phone_hash: &Mac,
        purpose: OtpPurpose,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<TransactWriteItem, PortError> {
        let update = otp_counter::count(purpose, policy, now);
        update_item(self.table.name(), phone_item_key(phone_hash), update)
    }
}

fn phone_item_key(phone_hash: &Mac) -> Item {
    key(format!("P#{}", phone_hash.0), "P")
}
