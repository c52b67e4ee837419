//! Operators: their audit chains, their proposals, and the registered keys of the core system.

use super::Store;
use super::client::{Get, Query, SingleUpdate, Table, Transacted, Updated};
use super::commit::cancelled;
use super::item::{Update, n, put_item, s, update_item};
use super::keys::{PROPOSALS, account_key, audit_end_key, audit_key, core_keys_key, proposal_key};
use super::records::audit::AuditEnd;
use super::records::{account, audit, idempotency as row, item_of, proposal};
use application::ports::{
    IdempotencyKey, IdempotencyLookup, IdempotencyMode, PortError, StoredReply,
};
use aws_sdk_dynamodb::types::{AttributeValue, Put, ReturnValue, TransactWriteItem};
use domain::ids::{MerchantId, ProposalId};
use domain::operator::{AuditEntry, Proposal};
use domain::rebind::Mac;
use domain::time::Timestamp;
use domain::transition::ProposalChange;
use std::collections::HashMap;

/// The attribute with the registered thumbprints, a set of strings.
const THUMBPRINTS: &str = "thumbprints";

/// A change of a proposal that concerns no merchant, with its reply.
#[derive(Debug)]
pub struct CoreKeyChange<'a> {
    /// The proposal.
    pub proposal: &'a ProposalChange,
    /// The registered thumbprints before and after, if they change.
    pub registers: Option<(&'a [String], &'a [String])>,
    /// The key of the request.
    pub key: &'a IdempotencyKey,
    /// The reply to store.
    pub reply: &'a StoredReply,
    /// The clock of the business rules.
    pub now: Timestamp,
}

impl<T: Table> Store<T> {
    /// Appends a call to the operator's audit chain, and returns the new end. [`PortError::Conflict`] when another call of the
    /// same person was first.
    ///
    /// # Errors
    /// When the table cannot be read or written.
    pub async fn audit(&self, entry: &AuditEntry) -> Result<AuditEnd, PortError> {
        let get = Get {
            key: audit_end_key(&entry.actor),
            only: None,
            consistent: true,
        };
        let end = self.table.get(get).await?;
        let end = end.as_ref().map(audit::read_end).transpose()?;
        let before = end.unwrap_or_else(AuditEnd::empty);
        let after = before.followed_by(entry);
        let table = self.table.name();
        let attributes = audit::attributes(entry, &before.hash, &after);
        let put = Put::builder()
            .table_name(table)
            .set_item(Some(item_of(
                audit_key(&entry.actor, after.seq),
                attributes,
            )))
            .condition_expression("attribute_not_exists(pk)");
        let mut update = Update::default();
        update.put_all(audit::end_attributes(&after));
        if before.seq == 0 {
            update.when("attribute_not_exists(pk)");
        } else {
            update.value("read", n(before.seq));
            update.when(format!("#{} = :read", audit::SEQ));
        }
        let end = update_item(table, audit_end_key(&entry.actor), update)?;
        self.write(vec![put_item(put)?, end]).await?;
        Ok(after)
    }

    /// The merchant of an account, by the keyed hashes of its name.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn merchant_of_account(
        &self,
        account: &Mac,
        previous: Option<&Mac>,
    ) -> Result<Option<MerchantId>, PortError> {
        for hash in [Some(account), previous].into_iter().flatten() {
            let get = Get {
                key: account_key(&hash.0),
                only: None,
                consistent: true,
            };
            if let Some(item) = self.table.get(get).await? {
                return account::read(&item).map(|account| Some(account.merchant_id));
            }
        }
        Ok(None)
    }

    /// A proposal.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn proposal(&self, id: &ProposalId) -> Result<Option<Proposal>, PortError> {
        let get = Get {
            key: proposal_key(id),
            only: None,
            consistent: true,
        };
        let item = self.table.get(get).await?;
        item.as_ref().map(proposal::read).transpose()
    }

    /// Marks an approved proposal as read by this call. False if another call was first; a repetition of the same call is true.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn mark_read(
        &self,
        id: &ProposalId,
        key: &IdempotencyKey,
    ) -> Result<bool, PortError> {
        let mut update = Update::default();
        update.put(proposal::READING, Some(s(&key.scope)));
        update.put(proposal::STATE, Some(s(proposal::READ)));
        update.value("approved", s(proposal::APPROVED));
        update.when(format!(
            "(#{} = :approved OR #{reading} = :{reading})",
            proposal::STATE,
            reading = proposal::READING
        ));
        let update = SingleUpdate::new(proposal_key(id), update, ReturnValue::None);
        match self.table.update(update).await? {
            Updated::Done(_) => Ok(true),
            Updated::ConditionFailed(_) => Ok(false),
        }
    }

    /// The proposals, newest first. `before`: the last one of the previous page.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn proposals(
        &self,
        before: Option<&ProposalId>,
        limit: u8,
    ) -> Result<Vec<Proposal>, PortError> {
        let values = [(":pk", s(PROPOSALS))];
        let query = Query {
            index: None,
            condition: "pk = :pk",
            values: owned(values),
            forward: false,
            limit: Some(i32::from(limit)),
            start: before.map(proposal_key),
        };
        let page = self.table.query(query).await?;
        page.items.iter().map(proposal::read).collect()
    }

    /// The thumbprints of the core system's encryption keys that two operators have registered, in order.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn registered_core_keys(&self) -> Result<Vec<String>, PortError> {
        let get = Get {
            key: core_keys_key(),
            only: None,
            consistent: true,
        };
        let item = self.table.get(get).await?;
        let registered = item
            .as_ref()
            .and_then(|item| item.get(THUMBPRINTS)?.as_ss().ok());
        let mut registered = registered.cloned().unwrap_or_default();
        registered.sort();
        Ok(registered)
    }

    /// Writes a change of a proposal about a key of the core system, with the registered keys and the reply.
    /// [`PortError::Conflict`] when the proposal or the keys have changed since they were read.
    ///
    /// # Errors
    /// When the table cannot be written.
    pub async fn change_core_key(
        &self,
        change: CoreKeyChange<'_>,
    ) -> Result<Option<IdempotencyLookup>, PortError> {
        let CoreKeyChange {
            proposal,
            registers,
            key,
            reply,
            now,
        } = change;
        let mode = IdempotencyMode::Reply(key, reply);
        let mut items = vec![self.proposal_part(proposal)?];
        if let Some((before, after)) = registers {
            items.push(self.thumbprints(before, after)?);
        }
        let index = items.len();
        items.extend(self.idempotency_row(&mode, now)?);
        let reasons = match self.table.transact(items).await? {
            Transacted::Done => return Ok(None),
            Transacted::Cancelled(reasons) => reasons,
        };
        let of_row = reasons.get(index).filter(|reason| {
            let failed = "ConditionalCheckFailed";
            reason.code() == Some(failed)
        });
        match of_row.and_then(|reason| reason.item()) {
            Some(item) => row::read(item, key, now).map(Some),
            None => Err(cancelled(&reasons)),
        }
    }

    /// The item of a proposal. A decision requires that it is still open.
    pub(super) fn proposal_part(
        &self,
        change: &ProposalChange,
    ) -> Result<TransactWriteItem, PortError> {
        let mut update = Update::default();
        let proposal = match change {
            ProposalChange::Made(proposal) => {
                update.when("attribute_not_exists(pk)");
                proposal
            }
            ProposalChange::Decided(proposal) => {
                update.value("open", s(proposal::OPEN));
                update.when(format!("#{} = :open", proposal::STATE));
                proposal
            }
        };
        update.put_all(proposal::attributes(proposal));
        let key = proposal_key(&proposal.proposal_id);
        update_item(self.table.name(), key, update)
    }

    /// The registered keys. The condition is that they are as they were read.
    fn thumbprints(
        &self,
        before: &[String],
        after: &[String],
    ) -> Result<TransactWriteItem, PortError> {
        let set = |all: &[String]| (!all.is_empty()).then(|| AttributeValue::Ss(all.to_vec()));
        let mut update = Update::default();
        update.put(THUMBPRINTS, set(after));
        match set(before) {
            Some(read) => {
                update.value("read", read);
                update.when(format!("#{THUMBPRINTS} = :read"));
            }
            None => update.when(format!("attribute_not_exists(#{THUMBPRINTS})")),
        }
        update_item(self.table.record_name(), core_keys_key(), update)
    }
}

fn owned<const N: usize>(values: [(&str, AttributeValue); N]) -> HashMap<String, AttributeValue> {
    let values = values.into_iter();
    values
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}
