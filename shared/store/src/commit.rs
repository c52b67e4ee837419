//! One transition, one atomic write.

use super::Store;
use super::client::{Get, SingleUpdate, Table, Transacted, Updated};
use super::item::{Update, broken, delete_item, n, put_item, time, update_item, update_with};
use super::keys::{
    STATE, account_key, card_number_key, card_sk, event_sk, key, logins_key, merchant_pk,
    phone_key, rebind_sk,
};
use super::records::card_holders::Person;
use super::records::{
    DUE, card_holders, claim, event, idempotency, item_of, merchant_state, otp_counter, payout,
    rebind, session,
};
use application::ports::{
    Commit, CommitOutcome, CommitTransition, IdempotencyKey, IdempotencyLookup, IdempotencyMode,
    PortError,
};
use aws_sdk_dynamodb::types::{
    self, CancellationReason, ConditionCheck, Put, ReturnValue, TransactWriteItem,
};
use domain::history::ChainedEvent;
use domain::ids::MerchantId;
use domain::merchant::{Merchant, MerchantState};
use domain::policy::Policy;
use domain::rebind::{Mac, OtpPurpose, Rebind};
use domain::time::Timestamp;
use domain::transition::{EndedSessions, FingerprintRule, PayoutChange, as_it_was, next_revision};

/// The role of an item in the transaction, to interpret a failed condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    MerchantState,
    Record,
    Rebind,
    Event,
    Payout,
    Logins,
    Proposal,
    Phone,
    Fingerprint,
    Idempotency,
    /// An item without a condition that can fail.
    Plain,
}

/// One transition as the items of one transaction, in order.
#[derive(Default)]
struct Writes {
    kinds: Vec<Part>,
    items: Vec<TransactWriteItem>,
}

impl Writes {
    fn push(&mut self, kind: Part, item: TransactWriteItem) {
        self.kinds.push(kind);
        self.items.push(item);
    }
}

impl<T: Table> CommitTransition for Store<T> {
    async fn commit(&self, commit: Commit<'_>) -> Result<CommitOutcome, PortError> {
        if !self.is_free(&commit).await? {
            return Ok(CommitOutcome::BoundElsewhere);
        }
        let Writes { kinds, items } = self.writes(&commit)?;
        if items.is_empty() {
            return Ok(CommitOutcome::Written);
        }
        if let (IdempotencyMode::Claim(key, _), [item]) = (&commit.idempotency, items.as_slice())
            && let Some(update) = item.update()
        {
            return self.claim_alone(update.clone(), key, commit.now).await;
        }
        match self.table.transact(items).await? {
            Transacted::Done => Ok(CommitOutcome::Written),
            Transacted::Cancelled(reasons) => {
                failed_condition(&commit, &kinds, &reasons, self.policy)
            }
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
        let update = otp_counter::refund_otp(purpose, at);
        let update = SingleUpdate::new(phone_key(phone_hash), update, ReturnValue::None);
        // The condition fails if another OTP was counted after this one. Then this one stays counted, which is safe.
        self.table.update(update).await.map(|_| ())
    }
}

impl<T: Table> Store<T> {
    /// The items of a commit, for a transaction with further items.
    pub(super) fn items(&self, commit: &Commit<'_>) -> Result<Vec<TransactWriteItem>, PortError> {
        self.writes(commit).map(|writes| writes.items)
    }

    /// Writes a claim that changes nothing but its rebind. If the reply is lost, the repeated update finds the claim.
    async fn claim_alone(
        &self,
        update: types::Update,
        key: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<CommitOutcome, PortError> {
        match self.table.update(SingleUpdate::alone(update)).await? {
            Updated::Done(_) => Ok(CommitOutcome::Written),
            Updated::ConditionFailed(rebind) => {
                match rebind.map(|rebind| claim::read(&rebind, key, now)) {
                    None | Some(IdempotencyLookup::Nothing) => Err(PortError::Conflict),
                    Some(used) => Ok(CommitOutcome::Before(used)),
                }
            }
        }
    }

    /// Builds all items of a commit with their conditions; sends nothing.
    fn writes(&self, commit: &Commit<'_>) -> Result<Writes, PortError> {
        let Commit {
            before,
            transition,
            event,
            ..
        } = commit;
        let merchant = &before.profile.merchant_id;
        let mut writes = Writes::default();
        if let Some(state) = &transition.state {
            writes.push(
                Part::MerchantState,
                self.update_state(before, state, commit)?,
            );
        }
        match (&transition.rebind, &commit.idempotency) {
            (Some(rebind), mode) => {
                let update = self.update_rebind(commit, rebind, mode)?;
                writes.push(Part::Rebind, update);
            }
            (None, IdempotencyMode::Claim(..)) => return Err(broken("a claim without a rebind")),
            (None, _) => {}
        }
        if let Some(rebind) = &transition.also {
            let mode = &IdempotencyMode::None;
            writes.push(Part::Rebind, self.update_rebind(commit, rebind, mode)?);
        }
        if let Some(event) = event {
            writes.push(Part::Event, self.put_event(merchant, event)?);
        }
        if let Some(change) = &transition.payout {
            let [record, entry] = self.payout_parts(merchant, change)?;
            writes.push(Part::Payout, record);
            writes.push(Part::Plain, entry);
        }
        if let Some(record) = &transition.record {
            for item in self.record_parts(&before.profile, record)? {
                writes.push(Part::Record, item);
            }
        }
        self.operators_parts(commit, &mut writes)?;
        if let Some(change) = &transition.push {
            for item in self.push_parts(merchant, change, commit.now)? {
                writes.push(Part::Plain, item);
            }
        }
        if let Some(card_id) = &transition.forgotten_card {
            let card = key(merchant_pk(merchant), card_sk(card_id));
            writes.push(Part::Plain, delete_item(self.table.name(), card)?);
        }
        if let Some(send) = &transition.otp_delivery {
            let update = otp_counter::count_otp(send.purpose, self.policy, commit.now);
            let phone = phone_key(&send.phone_hash);
            writes.push(Part::Phone, update_item(self.table.name(), phone, update)?);
        }
        if let Some(rule) = &transition.fingerprint {
            for item in self.fingerprint_parts(rule, commit)? {
                writes.push(Part::Fingerprint, item);
            }
        }
        if let Some(row) = self.idempotency_row(&commit.idempotency, commit.now)? {
            writes.push(Part::Idempotency, row);
        }
        Ok(writes)
    }

    /// What only operators change: the account of an erased merchant, the failed logins of an account, and proposals.
    fn operators_parts(&self, commit: &Commit<'_>, writes: &mut Writes) -> Result<(), PortError> {
        let state = commit.transition.state.as_ref();
        if state.is_some_and(|state| state.erased_at.is_some()) {
            let account = &commit.before.profile.account.0;
            let record = delete_item(self.table.record_name(), account_key(account))?;
            writes.push(Part::Plain, record);
            let logins = delete_item(self.table.name(), logins_key(account))?;
            writes.push(Part::Plain, logins);
        }
        if let Some(logins) = &commit.transition.logins {
            let account = &commit.before.profile.account.0;
            writes.push(Part::Logins, self.logins_part(account, logins, commit.now)?);
        }
        if let Some(change) = &commit.transition.proposal {
            writes.push(Part::Proposal, self.proposal_part(change)?);
        }
        Ok(())
    }

    fn put_event(
        &self,
        merchant: &MerchantId,
        event: &ChainedEvent,
    ) -> Result<TransactWriteItem, PortError> {
        let key = key(merchant_pk(merchant), event_sk(event.seq));
        let attributes = event::attributes(event, self.policy, self.due_shards)?;
        let put = Put::builder()
            .table_name(self.table.name())
            .set_item(Some(item_of(key, attributes)))
            .condition_expression("attribute_not_exists(pk)");
        put_item(put)
    }

    fn update_rebind(
        &self,
        commit: &Commit<'_>,
        rebind: &Rebind,
        mode: &IdempotencyMode<'_>,
    ) -> Result<TransactWriteItem, PortError> {
        let before = commit.before;
        let mut next = rebind.clone();
        next.revision = next_revision(before, rebind);
        let merchant = &before.profile.merchant_id;
        let old = as_it_was(before, rebind);
        let mut update = Update::default();
        let mut attributes = rebind::attributes(merchant, &next, self.policy, self.due_shards)?;
        if commit.session.is_some() && old.is_some_and(|old| self.may_keep_entry(old, &next)) {
            attributes.retain(|(name, _)| !DUE.contains(name));
        }
        update.put_all(attributes);
        match old {
            Some(old) => {
                update.value("read", n(old.revision));
                update.when("#rev = :read");
                self.change_claims(&mut update, mode, commit.now);
            }
            None => update.when("attribute_not_exists(pk)"),
        }
        let key = key(merchant_pk(merchant), rebind_sk(rebind.rebind_id.number()));
        update_item(self.table.name(), key, update)
    }

    fn update_state(
        &self,
        before: &Merchant,
        state: &MerchantState,
        commit: &Commit<'_>,
    ) -> Result<TransactWriteItem, PortError> {
        let merchant = &before.profile.merchant_id;
        let mut update = Update::default();
        update.put_all(merchant_state::attributes(
            merchant,
            state,
            commit.now,
            self.due_shards,
        )?);
        // Also removes a session that was opened after the read: a login does not change `version`.
        let kept = match commit.transition.ends_sessions {
            EndedSessions::None => None,
            EndedSessions::Others => Some(commit.session),
            EndedSessions::All => Some(None),
        };
        for slot in (0..).take(kept.map_or(0, |_| state.sessions.len())) {
            if kept != Some(Some(slot)) {
                update.put(&session::slot_name(slot), None);
            }
        }
        if let Some(slot) = commit.transition.opens_session
            && let Some(Some(session)) = state.sessions.get(usize::from(slot))
        {
            update.put(&session::slot_name(slot), Some(session::value(session)));
        }
        update.value("read", n(before.state.version));
        update.when("#version = :read");
        if let Some(slot) = commit.session
            && let Some(Some(session)) = state.sessions.get(usize::from(slot))
        {
            let name = session::slot_name(slot);
            update.put(&name, Some(session::value(session)));
            update.value("token", session::prefix(&session.token_hash));
            update.when(format!("begins_with(#{name}, :token)"));
        }
        let begins = state.open != before.state.open && state.open.is_some();
        let activated =
            |state: &MerchantState| state.last_activation.as_ref().map(|last| last.number);
        let activates =
            activated(state) != activated(&before.state) && state.last_activation.is_some();
        if begins || activates {
            // Independent of the state that was read: no cooldown may run when a rebind begins or a card is activated.
            update.value("now", time(commit.now));
            update.name("cooldown_until");
            update.when("(attribute_not_exists(#cooldown_until) OR #cooldown_until <= :now)");
        }
        update_item(self.table.name(), key(merchant_pk(merchant), STATE), update)
    }

    /// False if the card number is verified for another person. A read half as expensive as a condition of the write is
    /// enough: the write that adds the holder has the condition.
    async fn is_free(&self, commit: &Commit<'_>) -> Result<bool, PortError> {
        let Some(FingerprintRule::Free {
            fingerprint,
            person,
        }) = &commit.transition.fingerprint
        else {
            return Ok(true);
        };
        let get = |fingerprint| Get {
            key: card_number_key(fingerprint),
            only: None,
            consistent: true,
        };
        let other = commit.transition.other_version.as_ref();
        let beside = async {
            match other {
                Some(other) => self.table.get_beside(get(&other.fingerprint)).await,
                None => Ok(None),
            }
        };
        let (number, of_other) = futures::join!(self.table.get(get(fingerprint)), beside);
        let person = Person {
            hash: person,
            other: other.map(|other| &other.person),
        };
        Ok(person.may_verify_item(number?.as_ref())?
            && person.may_verify_item(of_other?.as_ref())?)
    }

    /// The condition on a card number; during a rotation under both versions of its hash.
    fn fingerprint_parts(
        &self,
        rule: &FingerprintRule,
        commit: &Commit<'_>,
    ) -> Result<Vec<TransactWriteItem>, PortError> {
        let merchant = &commit.before.profile.merchant_id;
        let other = commit.transition.other_version.as_ref();
        let person = |hash| Person {
            hash,
            other: other.map(|other| &other.person),
        };
        let mut parts = vec![match rule {
            // Read before the write.
            FingerprintRule::Free { .. } => return Ok(Vec::new()),
            FingerprintRule::AddHolder {
                fingerprint,
                person: hash,
            } => {
                let rebind = commit.transition.rebind.as_ref();
                let card_id = rebind.map(|rebind| &rebind.new_card.card_id);
                let card_id = card_id.ok_or_else(|| broken("a new holder without a rebind"))?;
                let update = card_holders::add(merchant, card_id, person(hash));
                self.update_holders(fingerprint, update)?
            }
            FingerprintRule::RemoveHolder {
                fingerprint,
                card_id,
            } => self.update_holders(fingerprint, card_holders::remove(merchant, card_id))?,
        }];
        if let (Some(other), Some((_, hash))) = (other, rule.claim()) {
            parts.push(self.free_number(&other.fingerprint, person(hash))?);
        }
        Ok(parts)
    }

    pub(super) fn free_number(
        &self,
        fingerprint: &Mac,
        person: Person<'_>,
    ) -> Result<TransactWriteItem, PortError> {
        ConditionCheck::builder()
            .table_name(self.table.name())
            .set_key(Some(card_number_key(fingerprint)))
            .condition_expression(person.may_verify())
            .set_expression_attribute_values(Some(person.values()))
            .build()
            .map(|check| TransactWriteItem::builder().condition_check(check).build())
            .map_err(|error| broken(&error.to_string()))
    }

    pub(super) fn update_holders(
        &self,
        fingerprint: &Mac,
        (update, expression): (Update, String),
    ) -> Result<TransactWriteItem, PortError> {
        let key = card_number_key(fingerprint);
        update_with(self.table.name(), key, update, expression)
    }
}

/// The reason of the cancellation, most specific first.
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
    if let (Some(reason), IdempotencyMode::Reply(wanted, _)) =
        (failed(Part::Idempotency), &commit.idempotency)
    {
        // Even without the old row, the reason is a used key; the caller reads again.
        let row = reason.item().ok_or(PortError::Conflict)?;
        return idempotency::read(row, wanted, commit.now).map(CommitOutcome::Before);
    }
    if let Some(reason) = failed(Part::Payout)
        && let Some(PayoutChange::Created(_)) = &commit.transition.payout
    {
        let known = reason.item().ok_or(PortError::Conflict)?;
        return Ok(CommitOutcome::PayoutExists(Box::new(payout::read(known)?)));
    }
    if failed(Part::MerchantState).is_some()
        || failed(Part::Record).is_some()
        || failed(Part::Payout).is_some()
        || failed(Part::Proposal).is_some()
        || failed(Part::Logins).is_some()
        || failed(Part::Rebind).is_some()
        || failed(Part::Event).is_some()
    {
        return Err(PortError::Conflict);
    }
    if let (Some(reason), Some(send)) = (failed(Part::Phone), &commit.transition.otp_delivery) {
        let wait_s = match reason.item() {
            Some(item) => otp_counter::wait_s(item, send.purpose, policy, commit.now)?,
            None => policy.code_gap_s,
        };
        return Ok(CommitOutcome::OtpLimit { wait_s });
    }
    if let Some(reason) = failed(Part::Fingerprint) {
        reason
            .item()
            .map_or(Ok(()), card_holders::reject_later_version)?;
        return Ok(CommitOutcome::BoundElsewhere);
    }
    Err(cancelled(reasons))
}

/// A cancellation that none of the commit's conditions explains.
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
