//! The state of a merchant, without values that differ between equally correct walks: ids, OTPs, times.

use application::ports::{LoadMerchant as _, Selector};
use domain::device_counts::DayCounts;
use domain::time::Timestamp;
use domain::window::Window;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use tests::processes::Processes;
use tests::processes::template::{BANK_TABLE, TABLE};
use tests::transport::{Reply, Transport as _};
use tests::walk::{Step, Walk};

/// The events that the clean-up writes.
const CLEAN_UP: [&str; 3] = ["completed", "card_removed", "cooldown_ended"];

/// The end state of a walk.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// The merchant's view, the counters and the bank's actions: independent of kills.
    pub same: Value,
    /// The notification messages to each phone, sorted.
    pub notifications: BTreeMap<String, Vec<String>>,
    /// The OTPs sent in excess of the first ones.
    pub codes_again: usize,
}

/// The relevant part of a step's reply.
#[must_use]
pub fn of_reply(step: Step, reply: &Reply) -> Value {
    let body = &reply.body;
    match step {
        Step::Notify | Step::Publish => return body.clone(),
        Step::PayOut => return payout(body),
        _ => {}
    }
    json!({
        "status": reply.status,
        "code": body["code"],
        "state": body["state"],
        "transfer": body["status"],
        "attempts_left": body["attempts_left"],
        "challenge": [body["challenge"]["method"], body["challenge"]["attempts_left"]],
    })
}

impl Picture {
    /// Runs the clean-up, logs the merchant in once more and reads everything.
    ///
    /// # Errors
    /// If the history is incomplete.
    pub async fn of(system: &Processes, walk: &mut Walk) -> Result<Self, String> {
        let key = "to look";
        walk.clean_up(system).await?;
        let (reply, _) = walk.once(system, Step::LogIn, key, None).await;
        walk.take(system, Step::LogIn, key, &reply.unwrap()).await?;
        let rebind = walk.get(system, "{rebind}").await;
        let cards = walk.get(system, "/v1/cards").await;
        let payouts = walk.get(system, "/v1/payouts").await;
        let events = system.cloud.history(&Walk::id()).await?;
        let kinds: Vec<&str> = events.iter().map(|event| event.kind().as_str()).collect();
        let store = system.cloud.store();
        let stored = store.load(&Walk::id(), Selector::Latest).await.unwrap();
        let state = stored.unwrap().state;
        let counted = |window: fn(&DayCounts) -> &Window| -> usize {
            let windows = state.device_counts.all().map(window);
            windows.map(|window| window.times().count()).sum()
        };
        let claims = system.cloud.items(TABLE);
        let claims = claims
            .iter()
            .filter(|item| item["sk"]["S"] == "I" && item.get("status").is_none());
        let (again, kinds): (Vec<&str>, Vec<&str>) =
            kinds.into_iter().partition(|kind| *kind == "code_sent");
        // The time of the clean-up's run does not depend on the merchant.
        let (mut cleaned, kinds): (Vec<&str>, Vec<&str>) =
            kinds.into_iter().partition(|kind| CLEAN_UP.contains(kind));
        cleaned.sort_unstable();
        let mut notifications = walk.notifications(system);
        notifications.values_mut().for_each(|texts| texts.sort());
        let same = json!({
            "rebind": {
                "state": rebind["state"],
                "purpose": rebind["purpose"],
                "ended_reason": rebind["ended_reason"],
                "next_actions": rebind["next_actions"],
                "cards": [shown(&rebind["new_card"]), shown(&rebind["old_card"])],
                "hold_s": between(&rebind, "activated_at", "effective_at"),
                "cooldown_s": between(&rebind, "activated_at", "cooldown_until"),
                "tested": rebind.get("test_succeeded_at").is_some(),
            },
            "cards": {
                "active": shown(&cards["active"]),
                "standby": cards["standby"].as_array().unwrap().iter().map(shown).collect::<Vec<_>>(),
                "open": cards["open_rebind"]["state"],
                "hold": !cards["hold"].is_null(),
                "blocked_by": cards["blocked_by"],
            },
            "payouts": payouts["items"].as_array().unwrap().iter().map(payout).collect::<Vec<_>>(),
            "history": kinds,
            "cleaned up": cleaned,
            "counted": {
                "rebinds": counted(|counts| &counts.rebinds),
                "wrong_codes": counted(|counts| &counts.wrong_codes),
                "documents": state.id_mismatches.times().count(),
                "bank_calls": state.bank_calls.len(),
                "payouts_out": state.active.as_ref().map(|active| active.unsent),
                "frozen": state.frozen.is_some(),
                "freeze_codes": state.freeze_codes.len(),
            },
            "bank": {
                "serials": system.cloud.items(BANK_TABLE).iter().filter(is_serial).count(),
                "transfers": system.statement(walk.card()).await.iter().map(|one| one["status"].clone()).collect::<Vec<_>>(),
            },
            "keys_without_an_answer": claims.count(),
            "published": published(system),
        });
        Ok(Self {
            same,
            notifications,
            codes_again: again.len(),
        })
    }

    /// The differences for the worse from a walk without a kill. `repeated`: a process was killed between the publish of a
    /// notification and its mark, so one text may have been sent twice.
    #[must_use]
    pub fn lost_against(&self, wanted: &Self, repeated: bool) -> Option<String> {
        for (name, wanted) in wanted.same.as_object().unwrap() {
            if self.same[name] != *wanted {
                return Some(format!("{name} is {} instead of {wanted}", self.same[name]));
            }
        }
        if self.codes_again > wanted.codes_again + 1 {
            return Some(format!(
                "{} extra OTPs",
                self.codes_again - wanted.codes_again
            ));
        }
        let mut twice = 0;
        for (phone, wanted) in &wanted.notifications {
            let mut notifications = self.notifications[phone].clone();
            for text in wanted {
                match notifications.iter().position(|other| other == text) {
                    Some(place) => drop(notifications.remove(place)),
                    None => return Some(format!("{phone} was not sent: {text}")),
                }
            }
            if let Some(foreign) = notifications.iter().find(|text| !wanted.contains(text)) {
                return Some(format!("{phone} was sent: {foreign}"));
            }
            twice += notifications.len();
        }
        (twice > usize::from(repeated)).then(|| format!("{twice} extra notifications"))
    }
}

/// The types of the published events. A redelivered event is published again, under the same id. The clean-up's events are
/// left out: its run may fall before or after the publication.
fn published(system: &Processes) -> BTreeSet<String> {
    let events = system.cloud.topic.published();
    let types = events
        .iter()
        .map(|event| event["type"].as_str().unwrap().to_owned());
    let by_clean_up = |name: &String| CLEAN_UP.iter().any(|kind| name.ends_with(kind));
    types.filter(|name| !by_clean_up(name)).collect()
}

fn shown(card: &Value) -> Value {
    json!([card["last4"], card["status"]])
}

fn payout(payout: &Value) -> Value {
    json!([payout["payout_id"], payout["held"], payout["card"]["last4"]])
}

fn is_serial(item: &&Value) -> bool {
    let pk = item["pk"]["S"].as_str();
    pk.is_some_and(|pk| pk.starts_with("SERIAL#"))
}

fn between(rebind: &Value, from: &str, to: &str) -> Option<i64> {
    let time = |name: &str| Timestamp::parse_rfc3339(rebind[name].as_str()?);
    Some(time(to)?.epoch_s() - time(from)?.epoch_s())
}
