//! Codes to a phone: the last ten, newest in `t0`, and the last for each purpose.

use super::client::{SingleUpdate, Table, Updated};
use super::item::{Item, Update, n, opt_time, time};
use super::record::key;
use super::{GARBAGE_AFTER_S, Store};
use application::ports::PortError;
use aws_sdk_dynamodb::types::{ReturnValue, TransactWriteItem};
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::rebind::{Mac, OtpPurpose};
use domain::time::Timestamp;

/// Codes remembered for a phone: as many as the day's limit.
const CODE_TIMES: usize = 10;

const _: () = {
    let policy = Policy::CURRENT;
    assert!(
        policy.codes_per_phone_hour <= CODE_TIMES && policy.codes_per_phone_day <= CODE_TIMES,
        "a limit above the times that are kept would not be higher"
    );
    assert!(policy.codes_per_phone_hour >= 1);
    // The limit is read off one of the times kept, so the item must live as long as the longest limit looks back.
    assert!(GARBAGE_AFTER_S >= DAY_S && GARBAGE_AFTER_S >= policy.code_gap_s);
};

impl<T: Table> Store<T> {
    pub(super) async fn take_code_back(
        &self,
        phone_hash: &Mac,
        purpose: OtpPurpose,
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
        let phone = phone_item_key(phone_hash);
        let update = SingleUpdate::new(phone, update, ReturnValue::None);
        match self.table.update(update).await? {
            // The condition fails when another OTP was counted after this one. This one stays counted: the safe side.
            Updated::Done(_) | Updated::ConditionFailed(_) => Ok(()),
        }
    }

    /// Counts a code, unless its phone had one a moment ago or too many lately. Ten times shift by one place: the clauses
    /// read the item as it was before the write, so none overwrites what the next one reads.
    pub(super) fn count_code(
        &self,
        phone_hash: &Mac,
        purpose: OtpPurpose,
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
        self.update_item(phone_item_key(phone_hash), update)
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

const fn gap_name(purpose: OtpPurpose) -> &'static str {
    match purpose {
        OtpPurpose::Identity => "last_identity",
        OtpPurpose::Card => "last_card",
        OtpPurpose::Activate => "last_activate",
    }
}

fn phone_item_key(phone_hash: &Mac) -> Item {
    key(format!("P#{}", phone_hash.0), "P")
}

/// Until the phone may get another code.
pub(super) fn code_wait_s(
    item: &Item,
    purpose: OtpPurpose,
    policy: &Policy,
    now: Timestamp,
) -> i64 {
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
