//! One transition, one atomic write.

use super::Store;
use super::client::{Table, Transacted};
use super::idempotency::found_in;
use super::item::{Item, Update, broken, json, n, s, time};
use super::payout::known_payout;
use super::phone::code_wait_s;
use super::record::{
    self, HEAD, PROFILE, card_sk, key, merchant_pk, session_prefix, session_value, slot_name,
};
use application::ports::{
    Commit, CommitOutcome, CommitTransition, IdempotencyKey, IdempotencyLookup, IdempotencyMode,
    PortError,
};
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, ConditionCheck, Delete, Put,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update as UpdateItem,
};
use domain::ids::{CardId, MerchantId};
use domain::merchant::{Merchant, MerchantState};
use domain::policy::Policy;
use domain::rebind::{Mac, OtpPurpose, Rebind};
use domain::time::Timestamp;
use domain::transition::{FingerprintRule, PayoutChange, as_it_was, next_revision};

/// What an item of the transaction is, to understand which condition failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    MerchantState,
    Rebind,
    Event,
    Payout,
    Phone,
    Fingerprint,
    Idempotency,
    /// One without a condition that could fail.
    Plain,
}

/// One transition as the table gets it: the items of one transaction, in order.
#[derive(Clone, Debug)]
pub struct Writes {
    policy: &'static Policy,
    kinds: Vec<Part>,
    /// What is sent.
    pub items: Vec<TransactWriteItem>,
}

impl Writes {
    fn push(&mut self, kind: Part, item: TransactWriteItem) {
        self.kinds.push(kind);
        self.items.push(item);
    }

    /// What a cancelled transaction means: nothing of it is written.
    ///
    /// # Errors
    /// [`PortError::Conflict`] when the state has changed since it was read; what no condition of ours explains.
    pub fn cancelled(
        &self,
        commit: &Commit<'_>,
        reasons: &[CancellationReason],
    ) -> Result<CommitOutcome, PortError> {
        failed_condition(commit, &self.kinds, reasons, self.policy)
    }
}

impl<T: Table> CommitTransition for Store<T> {
    async fn commit(&self, commit: Commit<'_>) -> Result<CommitOutcome, PortError> {
        let writes = self.writes(&commit)?;
        if writes.items.is_empty() {
            return Ok(CommitOutcome::Written);
        }
        match self.table.transact(writes.items.clone()).await? {
            Transacted::Done => Ok(CommitOutcome::Written),
            Transacted::Cancelled(reasons) => writes.cancelled(&commit, &reasons),
        }
    }

    async fn find(
        &self,
        wanted: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<IdempotencyLookup, PortError> {
        self.find_row(wanted, now).await
    }

    async fn refund_otp(
        &self,
        phone_hash: &Mac,
        purpose: OtpPurpose,
        at: Timestamp,
    ) -> Result<(), PortError> {
        self.take_code_back(phone_hash, purpose, at).await
    }
}

impl<T: Table> Store<T> {
    /// Everything that a commit writes, with the conditions under which it may; nothing is sent.
    ///
    /// # Errors
    /// `Permanent`, when something cannot be written down.
    pub fn writes(&self, commit: &Commit<'_>) -> Result<Writes, PortError> {
        let Commit {
            before,
            transition,
            event,
            ..
        } = commit;
        let merchant = &before.profile.merchant_id;
        let policy = self.policy;
        let mut writes = Writes {
            policy,
            kinds: Vec::new(),
            items: Vec::new(),
        };
        if let Some(head) = &transition.head {
            writes.push(Part::MerchantState, self.update_head(before, head, commit)?);
        }
        for rebind in transition.rebind.iter().chain(&transition.also) {
            writes.push(Part::Rebind, self.put_rebind(before, rebind)?);
        }
        if let Some(event) = event {
            let put = Put::builder()
                .table_name(self.table.name())
                .set_item(Some(record::event_item(event, policy)?))
                .condition_expression("attribute_not_exists(pk)");
            writes.push(Part::Event, put_item(put)?);
        }
        if let Some(change) = &transition.payout {
            for (part, item) in self.payout_parts(merchant, change)? {
                writes.push(part, item);
            }
        }
        if let Some(settlement) = &transition.settlement {
            let mut update = Update::default();
            update.put("settlement", Some(json(settlement)?));
            update.when("attribute_exists(pk)");
            let profile = key(merchant_pk(merchant), PROFILE);
            writes.push(Part::Plain, self.update_item(profile, update)?);
        }
        if let Some(change) = &transition.push {
            for item in self.push_parts(merchant, change, commit.now)? {
                writes.push(Part::Plain, item);
            }
        }
        if let Some(card_id) = &transition.forgotten_card {
            let delete = Delete::builder()
                .table_name(self.table.name())
                .set_key(Some(key(merchant_pk(merchant), card_sk(card_id))))
                .build()
                .map_err(|error| broken(&error.to_string()))?;
            let delete = TransactWriteItem::builder().delete(delete).build();
            writes.push(Part::Plain, delete);
        }
        if let Some(send) = &transition.otp_delivery {
            writes.push(
                Part::Phone,
                self.count_code(&send.phone_hash, send.purpose, policy, commit.now)?,
            );
        }
        if let Some(rule) = &transition.fingerprint {
            writes.push(Part::Fingerprint, self.fingerprint(rule, commit)?);
        }
        if let Some(row) = self.idempotency_row(&commit.idempotency, commit.now)? {
            writes.push(Part::Idempotency, row);
        }
        Ok(writes)
    }

    fn put_rebind(
        &self,
        before: &Merchant,
        rebind: &Rebind,
    ) -> Result<TransactWriteItem, PortError> {
        let mut next = rebind.clone();
        next.revision = next_revision(before, rebind);
        let merchant = &before.profile.merchant_id;
        let put = Put::builder()
            .table_name(self.table.name())
            .set_item(Some(record::rebind_item(merchant, &next, self.policy)?));
        put_item(match as_it_was(before, rebind) {
            Some(old) => put
                .condition_expression("rev = :rev")
                .expression_attribute_values(":rev", n(old.revision)),
            None => put.condition_expression("attribute_not_exists(pk)"),
        })
    }

    fn update_head(
        &self,
        before: &Merchant,
        head: &MerchantState,
        commit: &Commit<'_>,
    ) -> Result<TransactWriteItem, PortError> {
        let merchant = &before.profile.merchant_id;
        let mut update = Update::default();
        for (name, value) in record::head_attributes(merchant, head, commit.now)? {
            update.put(name, value);
        }
        if commit.transition.ends_sessions {
            // Also one that was opened since the read.
            for slot in (0..).take(head.sessions.len()) {
                update.put(&slot_name(slot), None);
            }
        }
        update.value("read", n(before.head.version));
        update.when("#version = :read");
        if let Some(slot) = commit.session
            && let Some(Some(session)) = head.sessions.get(usize::from(slot))
        {
            let name = slot_name(slot);
            update.put(&name, Some(session_value(session)));
            update.value("token", session_prefix(&session.token_hash));
            update.when(format!("begins_with(#{name}, :token)"));
        }
        let begins = head.open != before.head.open && head.open.is_some();
        let activates =
            head.last_activation != before.head.last_activation && head.last_activation.is_some();
        if begins || activates {
            // Whatever else was read: no cooldown may be running when a rebind begins, or a card is activated.
            update.value("now", time(commit.now));
            update.name("cooldown_until");
            update.when("(attribute_not_exists(#cooldown_until) OR #cooldown_until <= :now)");
        }
        self.update_item(key(merchant_pk(merchant), HEAD), update)
    }

    fn fingerprint(
        &self,
        rule: &FingerprintRule,
        commit: &Commit<'_>,
    ) -> Result<TransactWriteItem, PortError> {
        const FREE: &str = "(attribute_not_exists(holders) OR person = :person)";
        match rule {
            FingerprintRule::Free {
                fingerprint,
                person,
            } => ConditionCheck::builder()
                .table_name(self.table.name())
                .set_key(Some(key(format!("F#{}", fingerprint.0), "F")))
                .condition_expression(FREE)
                .expression_attribute_values(":person", s(&person.0))
                .build()
                .map(|check| TransactWriteItem::builder().condition_check(check).build())
                .map_err(|error| broken(&error.to_string())),
            FingerprintRule::Claim {
                fingerprint,
                person,
            } => {
                let mut update = Update::default();
                update.put("person", Some(s(&person.0)));
                update.when(FREE);
                let rebind = commit.transition.rebind.as_ref();
                let card_id = rebind.map(|rebind| &rebind.new_card.card_id);
                let card_id = card_id.ok_or_else(|| broken("a claim without a rebind"))?;
                let holder = holder(&commit.before.profile.merchant_id, card_id);
                update.value("holder", AttributeValue::Ss(vec![holder]));
                let item = key(format!("F#{}", fingerprint.0), "F");
                let expression = format!("{} ADD holders :holder", update.expression());
                self.update_with(item, update, expression)
            }
            FingerprintRule::Release {
                fingerprint,
                card_id,
            } => {
                let mut update = Update::default();
                let holder = holder(&commit.before.profile.merchant_id, card_id);
                update.value("holder", AttributeValue::Ss(vec![holder]));
                let item = key(format!("F#{}", fingerprint.0), "F");
                self.update_with(item, update, "DELETE holders :holder".to_owned())
            }
        }
    }

    pub(super) fn update_item(
        &self,
        key: Item,
        update: Update,
    ) -> Result<TransactWriteItem, PortError> {
        let expression = update.expression();
        self.update_with(key, update, expression)
    }

    pub(super) fn update_with(
        &self,
        key: Item,
        update: Update,
        expression: String,
    ) -> Result<TransactWriteItem, PortError> {
        let condition = update.condition();
        UpdateItem::builder()
            .table_name(self.table.name())
            .set_key(Some(key))
            .update_expression(expression)
            .set_condition_expression(condition)
            .set_expression_attribute_names((!update.names.is_empty()).then_some(update.names))
            .set_expression_attribute_values((!update.values.is_empty()).then_some(update.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build()
            .map(|update| TransactWriteItem::builder().update(update).build())
            .map_err(|error| broken(&error.to_string()))
    }
}

/// How a card is named among the holders of its number.
pub(super) fn holder(merchant: &MerchantId, card_id: &CardId) -> String {
    format!("{merchant}#{card_id}")
}

pub(super) fn put_item(
    put: aws_sdk_dynamodb::types::builders::PutBuilder,
) -> Result<TransactWriteItem, PortError> {
    put.build()
        .map(|put| TransactWriteItem::builder().put(put).build())
        .map_err(|error| broken(&error.to_string()))
}

/// Why the transaction was cancelled, the most telling reason first.
fn failed_condition(
    commit: &Commit<'_>,
    kinds: &[Part],
    reasons: &[CancellationReason],
    policy: &Policy,
) -> Result<CommitOutcome, PortError> {
    let failed = |part: Part| {
        kinds
            .iter()
            .zip(reasons)
            .find(|(kind, reason)| {
                **kind == part && reason.code() == Some("ConditionalCheckFailed")
            })
            .map(|(_, reason)| reason)
    };
    if let (Some(reason), IdempotencyMode::Claim(wanted, _) | IdempotencyMode::Reply(wanted, _)) =
        (failed(Part::Idempotency), &commit.idempotency)
    {
        // Without the old row the reason is still "used before"; the caller reads again.
        let row = reason.item().ok_or(PortError::Conflict)?;
        return found_in(row, wanted, commit.now).map(CommitOutcome::Before);
    }
    if let Some(reason) = failed(Part::Payout)
        && let Some(PayoutChange::Created(_)) = &commit.transition.payout
    {
        let known = reason.item().ok_or(PortError::Conflict)?;
        return Ok(CommitOutcome::PayoutExists(Box::new(known_payout(known)?)));
    }
    if failed(Part::MerchantState).is_some()
        || failed(Part::Payout).is_some()
        || failed(Part::Rebind).is_some()
        || failed(Part::Event).is_some()
    {
        return Err(PortError::Conflict);
    }
    if let (Some(reason), Some(send)) = (failed(Part::Phone), &commit.transition.otp_delivery) {
        let wait_s = reason.item().map_or(policy.code_gap_s, |item| {
            code_wait_s(item, send.purpose, policy, commit.now)
        });
        return Ok(CommitOutcome::OtpLimit { wait_s });
    }
    if failed(Part::Fingerprint).is_some() {
        return Ok(CommitOutcome::BoundElsewhere);
    }
    Err(cancelled(reasons))
}

/// A cancellation that no condition of ours explains.
pub(super) fn cancelled(reasons: &[CancellationReason]) -> PortError {
    let codes: Vec<&str> = reasons
        .iter()
        .filter_map(CancellationReason::code)
        .filter(|code| *code != "None")
        .collect();
    match codes.first() {
        Some(&("TransactionConflict" | "ConditionalCheckFailed")) => PortError::Conflict,
        Some(&("ProvisionedThroughputExceeded" | "ThrottlingError")) => {
            PortError::Transient("the table", codes.join(" "))
        }
        _ => PortError::Permanent(
            "the table",
            format!("transaction cancelled: {}", codes.join(" ")),
        ),
    }
}
