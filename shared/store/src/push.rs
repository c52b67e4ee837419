//! Devices that are told by push: one item for each token. One that was replaced or removed stays for some days.

use super::client::{Get, Table};
use super::commit::put_item;
use super::item::{Item, Update, b, broken, get_s, opt_b, opt_time, s, time};
use super::record::{PROFILE, key, merchant_pk};
use super::{GARBAGE_AFTER_S, Store};
use application::ports::{KeptPushTarget, ListPushTargets, PortError};
use aws_sdk_dynamodb::types::{Put, TransactWriteItem};
use domain::ids::MerchantId;
use domain::merchant::PushTarget;
use domain::push::PushPlatform;
use domain::rebind::Sealed;
use domain::time::Timestamp;
use domain::transition::PushChange;

fn target_sk(target: &PushTarget) -> String {
    format!("N#{}#{}", target.id, target.token_tag)
}

impl<T: Table> ListPushTargets for Store<T> {
    async fn push_targets(&self, merchant: &MerchantId) -> Result<Vec<KeptPushTarget>, PortError> {
        let mut targets = Vec::new();
        let mut start = None;
        loop {
            let range = ("N#".to_owned(), "N#~".to_owned());
            let page = self.page(merchant, range, true, None, start).await?;
            for item in &page.items {
                targets.push(target_from(item)?);
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
            only: Some("history_key"),
            consistent: false,
        };
        let profile = self.table.get(get).await?;
        Ok(profile
            .as_ref()
            .and_then(|item| opt_b(item, "history_key"))
            .map(Sealed))
    }
}

fn target_from(item: &Item) -> Result<KeptPushTarget, PortError> {
    let tag = get_s(item, "sk")?.rsplit('#').next().unwrap_or_default();
    let platform = PushPlatform::parse(get_s(item, "platform")?);
    Ok(KeptPushTarget {
        tag: tag.to_owned(),
        platform: platform.ok_or_else(|| broken("platform"))?,
        sealed_token: Sealed(opt_b(item, "token").ok_or_else(|| broken("token"))?),
        removed_at: opt_time(item, "removed_at"),
    })
}

impl<T: Table> Store<T> {
    pub(super) fn push_parts(
        &self,
        merchant: &MerchantId,
        change: &PushChange,
        now: Timestamp,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let mut parts = Vec::with_capacity(2);
        if let Some(removed) = &change.removed {
            let told_until = now.plus_s(self.policy.push_after_removal_s);
            let mut update = Update::default();
            update.put("removed_at", Some(time(now)));
            update.put("ttl", Some(time(told_until.plus_s(GARBAGE_AFTER_S))));
            update.when("attribute_exists(pk)");
            parts.push(self.update_item(key(merchant_pk(merchant), target_sk(removed)), update)?);
        }
        if let Some(added) = &change.added {
            let mut item = key(merchant_pk(merchant), target_sk(&added.target));
            item.insert("platform".to_owned(), s(added.platform.as_str()));
            item.insert("token".to_owned(), b(&added.sealed_token.0));
            let put = Put::builder()
                .table_name(self.table.name())
                .set_item(Some(item));
            parts.push(put_item(put)?);
        }
        Ok(parts)
    }
}
