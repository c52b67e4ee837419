//! One transition, one atomic write.

use super::item::{Item, Update, b, broken, n, opt_b, opt_n, opt_s, opt_time, s, time};
use super::record::{self, HEAD, key, merchant_pk, session_prefix, session_value, slot_name};
use super::{Store, port_error};
use crate::domain::merchant::{Head, Merchant};
use crate::domain::policy::{DAY_S, HOUR_S, Policy};
use crate::domain::rebind::CodePurpose;
use crate::domain::time::Timestamp;
use crate::domain::transition::FingerprintRule;
use crate::ports::{
    Commit, CommitTransition, Committed, Found, IdempotencyKey, PortError, Remember, StoredReply,
};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    CancellationReason, ConditionCheck, Delete, Put, ReturnConsumedCapacity,
    ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update as UpdateItem,
};
use std::io::{Read, Write};

/// How long garbage stays before `ttl` may collect it.
const GARBAGE_AFTER_S: i64 = 2 * DAY_S;
/// Codes remembered for a phone: as many as the day's limit, in `t0` (newest) to `t9`.
const CODE_TIMES: usize = 10;

/// What an item of the transaction is, to understand which condition failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Head,
    Rebind,
    Event,
    Phone,
    Fingerprint,
    Idempotency,
}

impl CommitTransition for Store {
    async fn commit(&self, commit: Commit<'_>) -> Result<Committed, PortError> {
        let parts = self.parts(&commit)?;
        if parts.is_empty() {
            return Ok(Committed::Written);
        }
        let kinds: Vec<Part> = parts.iter().map(|(part, _)| *part).collect();
        self.meter.call(parts.len());
        let sent = self
            .client
            .transact_write_items()
            .set_transact_items(Some(parts.into_iter().map(|(_, item)| item).collect()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .send()
            .await;
        match sent {
            Ok(answer) => {
                self.meter.written(answer.consumed_capacity());
                Ok(Committed::Written)
            }
            Err(error) => match cancellation_reasons(&error) {
                Some(reasons) => failed_condition(&commit, &kinds, reasons),
                None => Err(port_error(error)),
            },
        }
    }

    async fn find(&self, wanted: &IdempotencyKey, now: Timestamp) -> Result<Found, PortError> {
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
        answer
            .item
            .map_or(Ok(Found::Nothing), |row| found_in(&row, wanted, now))
    }

    async fn uncount_code(
        &self,
        phone_key: &str,
        purpose: CodePurpose,
        at: Timestamp,
    ) -> Result<(), PortError> {
        let mut update = Update::default();
        for index in 1..CODE_TIMES {
            let (to, from) = (index - 1, index);
            update.set_raw(format!("t{to} = if_not_exists(t{from}, :never)"));
        }
        update.value("never", n(0));
        update.put(&format!("t{}", CODE_TIMES - 1), None);
        update.put(gap_name(purpose), None);
        update.value("at", time(at));
        update.when("t0 = :at");
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
}

impl Store {
    fn parts(&self, commit: &Commit<'_>) -> Result<Vec<(Part, TransactWriteItem)>, PortError> {
        let Commit {
            before,
            transition,
            event,
            ..
        } = commit;
        let merchant = &before.profile.merchant_id;
        let policy = &Policy::CURRENT;
        let mut parts = Vec::with_capacity(5);
        if let Some(head) = &transition.head {
            parts.push((Part::Head, self.update_head(before, head, commit)?));
        }
        if let Some(rebind) = &transition.rebind {
            let old = transition.rebind_before(before);
            let mut next = rebind.clone();
            next.revision = transition.next_revision(before);
            let mut put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(record::rebind_item(merchant, &next)?));
            put = match old {
                Some(old) => put
                    .condition_expression("rev = :rev")
                    .expression_attribute_values(":rev", n(old.revision)),
                None => put.condition_expression("attribute_not_exists(pk)"),
            };
            parts.push((Part::Rebind, put_item(put)?));
        }
        if let Some(event) = event {
            let put = Put::builder()
                .table_name(&self.table)
                .set_item(Some(record::event_item(event, policy)?))
                .condition_expression("attribute_not_exists(pk)");
            parts.push((Part::Event, put_item(put)?));
        }
        if let (Some(send), Some(phone_key)) = (&transition.code_send, commit.phone_key) {
            parts.push((
                Part::Phone,
                self.count_code(phone_key, send.purpose, policy, commit.now)?,
            ));
        }
        if let Some(rule) = &transition.fingerprint {
            parts.push((Part::Fingerprint, self.fingerprint(rule, commit)?));
        }
        if let Some(row) = self.idempotency_row(&commit.remember, commit.now)? {
            parts.push((Part::Idempotency, row));
        }
        Ok(parts)
    }

    fn update_head(
        &self,
        before: &Merchant,
        head: &Head,
        commit: &Commit<'_>,
    ) -> Result<TransactWriteItem, PortError> {
        let merchant = &before.profile.merchant_id;
        let mut update = Update::default();
        for (name, value) in record::head_attributes(merchant, head)? {
            update.put(name, value);
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
        if before.cooldown(commit.now).is_none()
            && head.open != before.head.open
            && head.open.is_some()
        {
            // A rebind begins: whatever else was read, no cooldown may be running when it is written.
            update.value("now", time(commit.now));
            update.name("cooldown_until");
            update.when("(attribute_not_exists(#cooldown_until) OR #cooldown_until <= :now)");
        }
        self.update_item(key(merchant_pk(merchant), HEAD), update)
    }

    /// Counts a code, unless its phone had one a moment ago or too many lately. Ten times shift by one place: the clauses
    /// read the item as it was before the write, so none overwrites what the next one reads.
    fn count_code(
        &self,
        phone_key: &str,
        purpose: CodePurpose,
        policy: &Policy,
        now: Timestamp,
    ) -> Result<TransactWriteItem, PortError> {
        let mut update = Update::default();
        for index in (1..CODE_TIMES).rev() {
            update.set_raw(format!("t{index} = if_not_exists(t{}, :never)", index - 1));
        }
        update.set_raw("t0 = :at");
        let gap = gap_name(purpose);
        update.put(gap, Some(time(now)));
        update.put("ttl", Some(time(now.plus_s(GARBAGE_AFTER_S))));
        update.value("never", n(0));
        update.value("at", time(now));
        for (slot, limit) in code_limits(policy) {
            let bound = format!("since_{slot}");
            update.value(&bound, time(now.plus_s(-limit.span_s)));
            update.when(format!(
                "(attribute_not_exists({slot}) OR {slot} <= :{bound})"
            ));
        }
        update.value("since_gap", time(now.plus_s(-policy.code_gap_s)));
        update.when(format!(
            "(attribute_not_exists(#{gap}) OR #{gap} <= :since_gap)"
        ));
        self.update_item(phone_item_key(phone_key), update)
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
                .table_name(&self.table)
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
                let holder = format!(
                    "{}#{}",
                    commit.before.profile.merchant_id,
                    fingerprint_card(commit)
                );
                update.value(
                    "holder",
                    aws_sdk_dynamodb::types::AttributeValue::Ss(vec![holder]),
                );
                let item = key(format!("F#{}", fingerprint.0), "F");
                let expression = format!("{} ADD holders :holder", update.expression());
                self.update_with(item, update, expression)
            }
        }
    }

    fn idempotency_row(
        &self,
        remember: &Remember<'_>,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, PortError> {
        let (wanted, reply) = match remember {
            Remember::Nothing => return Ok(None),
            Remember::Forget(key) => {
                return Delete::builder()
                    .table_name(&self.table)
                    .set_key(Some(idempotency_key(key)))
                    .build()
                    .map(|delete| Some(TransactWriteItem::builder().delete(delete).build()))
                    .map_err(|error| broken(&error.to_string()));
            }
            Remember::Claim(key, context) => (*key, Err(*context)),
            Remember::Reply(key, reply) => (*key, Ok(*reply)),
        };
        let until = now.plus_s(Policy::CURRENT.idempotency_s);
        let mut row = idempotency_key(wanted);
        row.insert("fp".to_owned(), s(&wanted.fingerprint));
        row.insert("until".to_owned(), time(until));
        row.insert("ttl".to_owned(), time(until.plus_s(GARBAGE_AFTER_S)));
        let mut put = Put::builder()
            .table_name(&self.table)
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":now", time(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match reply {
            Err(context) => {
                row.insert("context".to_owned(), s(context));
                put = put.condition_expression("attribute_not_exists(pk) OR #until <= :now");
            }
            Ok(reply) => {
                row.insert("status".to_owned(), n(reply.status));
                row.insert("body".to_owned(), b(&compress(&reply.body)?));
                put = put
                    .condition_expression(
                        "attribute_not_exists(pk) OR #until <= :now OR (fp = :fp AND attribute_not_exists(#status))",
                    )
                    .expression_attribute_names("#status", "status")
                    .expression_attribute_values(":fp", s(&wanted.fingerprint));
            }
        }
        put_item(put.set_item(Some(row))).map(Some)
    }

    fn update_item(&self, key: Item, update: Update) -> Result<TransactWriteItem, PortError> {
        let expression = update.expression();
        self.update_with(key, update, expression)
    }

    fn update_with(
        &self,
        key: Item,
        update: Update,
        expression: String,
    ) -> Result<TransactWriteItem, PortError> {
        let condition = update.condition();
        UpdateItem::builder()
            .table_name(&self.table)
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

/// Which stored time stands for which limit: the fifth youngest for the hour, the tenth for the day.
struct CodeLimit {
    span_s: i64,
}

fn code_limits(policy: &Policy) -> [(String, CodeLimit); 2] {
    let slot = |limit: usize| format!("t{}", limit.clamp(1, CODE_TIMES) - 1);
    [
        (
            slot(policy.codes_per_phone_hour),
            CodeLimit { span_s: HOUR_S },
        ),
        (
            slot(policy.codes_per_phone_day),
            CodeLimit { span_s: DAY_S },
        ),
    ]
}

const fn gap_name(purpose: CodePurpose) -> &'static str {
    match purpose {
        CodePurpose::Identity => "last_identity",
        CodePurpose::Card => "last_card",
    }
}

fn phone_item_key(phone_key: &str) -> Item {
    key(format!("P#{phone_key}"), "P")
}

fn idempotency_key(wanted: &IdempotencyKey) -> Item {
    key(format!("I#{}", wanted.scope), "I")
}

fn fingerprint_card(commit: &Commit<'_>) -> String {
    let rebind = commit
        .transition
        .rebind
        .as_ref()
        .or(commit.before.rebind.as_ref());
    rebind
        .map(|rebind| rebind.new_card.card_id.to_string())
        .unwrap_or_default()
}

fn put_item(
    put: aws_sdk_dynamodb::types::builders::PutBuilder,
) -> Result<TransactWriteItem, PortError> {
    put.build()
        .map(|put| TransactWriteItem::builder().put(put).build())
        .map_err(|error| broken(&error.to_string()))
}

pub(super) fn cancellation_reasons<R>(
    error: &SdkError<TransactWriteItemsError, R>,
) -> Option<&[CancellationReason]> {
    match error.as_service_error()? {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => {
            Some(cancelled.cancellation_reasons())
        }
        _ => None,
    }
}

/// Why the transaction was cancelled, the most telling reason first.
fn failed_condition(
    commit: &Commit<'_>,
    kinds: &[Part],
    reasons: &[CancellationReason],
) -> Result<Committed, PortError> {
    let failed = |part: Part| {
        kinds
            .iter()
            .zip(reasons)
            .find(|(kind, reason)| {
                **kind == part && reason.code() == Some("ConditionalCheckFailed")
            })
            .map(|(_, reason)| reason)
    };
    if let (Some(reason), Remember::Claim(wanted, _) | Remember::Reply(wanted, _)) =
        (failed(Part::Idempotency), &commit.remember)
    {
        // Without the old row the reason is still "used before"; the caller reads again.
        let row = reason.item().ok_or(PortError::Conflict)?;
        return found_in(row, wanted, commit.now).map(Committed::Before);
    }
    if failed(Part::Head).is_some()
        || failed(Part::Rebind).is_some()
        || failed(Part::Event).is_some()
    {
        return Err(PortError::Conflict);
    }
    if let (Some(reason), Some(send)) = (failed(Part::Phone), &commit.transition.code_send) {
        let wait_s = reason.item().map_or(Policy::CURRENT.code_gap_s, |item| {
            code_wait_s(item, send.purpose, &Policy::CURRENT, commit.now)
        });
        return Ok(Committed::CodeLimit { wait_s });
    }
    if failed(Part::Fingerprint).is_some() {
        return Ok(Committed::BoundElsewhere);
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

/// Until the phone may get another code.
fn code_wait_s(item: &Item, purpose: CodePurpose, policy: &Policy, now: Timestamp) -> i64 {
    let gap = opt_time(item, gap_name(purpose)).map(|at| policy.code_gap_s - at.age_s_at(now));
    let limits = code_limits(policy)
        .into_iter()
        .map(|(slot, limit)| opt_time(item, &slot).map(|at| limit.span_s - at.age_s_at(now)));
    limits
        .chain([gap])
        .flatten()
        .max()
        .unwrap_or(policy.code_gap_s)
        .max(1)
}

fn found_in(row: &Item, wanted: &IdempotencyKey, now: Timestamp) -> Result<Found, PortError> {
    if opt_time(row, "until").is_none_or(|until| until <= now) {
        return Ok(Found::Nothing);
    }
    if opt_s(row, "fp") != Some(&wanted.fingerprint) {
        return Ok(Found::OtherBody);
    }
    match (opt_n(row, "status"), opt_b(row, "body")) {
        (Some(status), Some(body)) => Ok(Found::Reply(StoredReply {
            status,
            body: decompress(&body)?,
        })),
        _ => Ok(Found::Claimed(
            opt_s(row, "context").unwrap_or_default().to_owned(),
        )),
    }
}

/// A reply of a thousand bytes with many known words becomes half of that: the row stays under one write unit.
fn compress(body: &str) -> Result<Vec<u8>, PortError> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder
        .write_all(body.as_bytes())
        .and_then(|()| encoder.finish())
        .map_err(|error| broken(&error.to_string()))
}

fn decompress(bytes: &[u8]) -> Result<String, PortError> {
    /// More than any reply; a damaged row must not fill the memory.
    const BODY_MAX_BYTES: u64 = 64 * 1024;
    let mut body = String::new();
    flate2::read::DeflateDecoder::new(bytes)
        .take(BODY_MAX_BYTES)
        .read_to_string(&mut body)
        .map_err(|error| broken(&error.to_string()))?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::super::record::rebind_sk;
    use super::*;

    #[test]
    fn a_reply_survives_its_row() {
        let body = r#"{"rebind_id":"rbd_000001","state":"activated","bank_name":"中国工商银行"}"#;
        assert_eq!(decompress(&compress(body).unwrap()).unwrap(), body);
    }

    #[test]
    fn a_rebind_key_sorts_by_number() {
        assert!(rebind_sk(9) < rebind_sk(10) && rebind_sk(255) < rebind_sk(256));
    }
}
