//! Push targets: one item for each token. A replaced or removed target is kept for some days.

use super::Store;
use super::client::{Get, Table};
use super::item::{Update, update_item};
use super::keys::{PROFILE, key, merchant_pk, push_target_sk};
use super::records::{profile, push_target};
use application::ports::{KeptPushTarget, ListPushTargets, PortError};
use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::ids::MerchantId;
use domain::rebind::Sealed;
use domain::time::Timestamp;
use domain::transition::PushChange;

impl<T: Table> ListPushTargets for Store<T> {
    async fn push_targets(&self, merchant: &MerchantId) -> Result<Vec<KeptPushTarget>, PortError> {
        let mut targets = Vec::new();
        let mut start = None;
        loop {
            let range = ("N#".to_owned(), "N#~".to_owned());
            let page = self.page(merchant, range, true, None, start).await?;
            for item in &page.items {
                targets.push(push_target::read(item)?);
            }
            start = page.next;
            if start.is_none() {
                break;
            }
        }
        targets.sort_by_key(|target| target.removed_at.is_some());
        Ok(targets)
    }

    async fn history_key(&self, merchant: &MerchantId) -> Result<Option<Sealed>, PortError> {
        let get = Get {
            key: key(merchant_pk(merchant), PROFILE),
            only: Some(profile::HISTORY_KEY),
            consistent: false,
        };
        let profile = self.table.get(get).await?;
        Ok(profile.as_ref().and_then(profile::history_key))
    }
}

impl<T: Table> Store<T> {
    pub(super) fn push_parts(
        &self,
        merchant: &MerchantId,
        change: &PushChange,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let mut parts = Vec::with_capacity(2);
        let mut push = |target, attributes, condition: Option<&str>| {
            let mut update = Update::default();
            update.put_all(attributes);
            condition
                .into_iter()
                .for_each(|condition| update.when(condition));
            let key = key(merchant_pk(merchant), push_target_sk(target));
            parts.push(update_item(self.table.name(), key, update)?);
            Ok(())
        };
        if let Some(removed) = &change.removed {
            let attributes = push_target::removed(self.policy, now);
            push(removed, attributes, Some("attribute_exists(pk)"))?;
        }
        if let Some(added) = &change.added {
            push(&added.target, push_target::registered(added)?, None)?;
        }
        Ok(parts)
    }
}
