//! Prints states, refusals and changes as text.

use crate::card::Card;
use crate::device_counts::DayCounts;
use crate::merchant::{
    BoundCard, FreezeCode, Merchant, Replaced, ReplacedCard, Settlement, StandbyCard,
};
use crate::notification::Recipient;
use crate::policy::{DAY_S, HOUR_S, MINUTE_S};
use crate::rebind::{Attempts, CardCheck, Rebind, RebindState, SentOtp, TestTransfer};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transition::{EndedSessions, FingerprintRule, Outcome, PayoutChange, Transition};
use crate::window::Window;

/// A refusal on one line.
pub(super) fn refusal(refusal: &Rejection) -> String {
    let mut text = refusal.code.as_str().to_owned();
    match refusal.counts_toward_limit {
        Some(true) => text += ", counted",
        Some(false) => text += ", not counted",
        None => {}
    }
    if let Some(left) = refusal.attempts_left {
        text += &format!(", {left} left");
    }
    if let Some(after_s) = refusal.retry_after_s {
        text += &format!(", retry after {}", span(after_s));
    }
    if !refusal.errors.is_empty() {
        let errors = refusal.errors.iter();
        let errors: Vec<_> = errors
            .map(|error| format!("{} {}", error.field, error.code))
            .collect();
        text += &format!(", fields [{}]", errors.join(", "));
    }
    if !refusal.next_actions.is_empty() {
        let next: Vec<_> = refusal
            .next_actions
            .iter()
            .map(|next| next.as_str())
            .collect();
        text += &format!(", next [{}]", next.join(", "));
    }
    text
}

pub(super) fn outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done => "done".to_owned(),
        Outcome::Proceed => "proceed".to_owned(),
        Outcome::PollDeposit => "poll the deposit".to_owned(),
        Outcome::Refused(refused) => format!("refused {}", refusal(refused)),
    }
}

/// Everything that a transition from `before` writes and causes.
pub(super) fn writes(transition: &Transition, before: &Merchant, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(event) = &transition.event {
        parts.push(format!("event {}", event.kind()));
        for notification in &event.notifications {
            let to = match notification.to() {
                Recipient::OnFile => "phone on file",
                Recipient::Previous => "previous phone",
                Recipient::Reserved => "reserved phone",
                Recipient::Push => "by push",
            };
            parts.push(format!("notify {to}"));
        }
    }
    if let Some(send) = &transition.otp_delivery {
        let rebind = transition.rebind.as_ref().or(before.rebind.as_ref());
        let reserved = rebind.is_some_and(|rebind| rebind.reserved_phone == send.phone);
        let to = if reserved {
            "reserved phone"
        } else {
            "phone on file"
        };
        parts.push(format!("send {} code to {to}", send.purpose.as_str()));
    }
    match &transition.fingerprint {
        Some(FingerprintRule::Free { .. }) => parts.push("requires a free card".to_owned()),
        Some(FingerprintRule::AddHolder { .. }) => {
            parts.push("requires a free card and holds it".to_owned());
        }
        Some(FingerprintRule::RemoveHolder { .. }) => {
            parts.push("releases the card".to_owned());
        }
        None => {}
    }
    if let Some(payout) = transition.payout.as_ref().map(PayoutChange::payout) {
        let card = option(payout.card.as_ref(), |card| card.last4.clone());
        let state = payout.state.as_str();
        parts.push(format!("payout to {card}, {state}"));
    }
    if let Some(ended) = &transition.also {
        parts.push(format!(
            "#{} {}",
            ended.rebind_id.number(),
            ended.state_at(now)
        ));
    }
    match transition.ends_sessions {
        EndedSessions::None => {}
        EndedSessions::Others => parts.push("all other sessions end".to_owned()),
        EndedSessions::All => parts.push("all sessions end".to_owned()),
    }
    if let Some(slot) = transition.opens_session {
        parts.push(format!("session {slot} begins"));
    }
    if let Some(card_id) = &transition.forgotten_card {
        parts.push(format!("the number of #{} is deleted", card_id.number()));
    }
    let after = transition.applied_to(before);
    let same_stage = stage_of(before) == stage_of(&after);
    let facts_before = facts(before, now);
    for (old, new) in facts_before.into_iter().zip(facts(&after, now)) {
        match (old, new) {
            (old, new) if old.value == new.value => {}
            // The values of a state appear and disappear with it, so print new values only.
            (old, new) if old.of_stage && !same_stage => {
                if new.value != "-" {
                    parts.push(format!("{} {}", new.name, new.value));
                }
            }
            (old, new) => parts.push(format!("{} {} -> {}", new.name, old.value, new.value)),
        }
    }
    if parts.is_empty() {
        parts.push("the rebind's revision".to_owned());
    }
    parts.join("; ")
}

/// A printable fact of a merchant.
struct Fact {
    name: &'static str,
    value: String,
    /// True if the fact belongs to the state of the rebind.
    of_stage: bool,
}

fn stage_of(merchant: &Merchant) -> Option<(&str, std::mem::Discriminant<RebindState>)> {
    let rebind = merchant.rebind.as_ref()?;
    let stage = std::mem::discriminant(&rebind.stage);
    Some((rebind.rebind_id.as_str(), stage))
}

/// The facts of a merchant, always with the same names.
fn facts(merchant: &Merchant, now: Timestamp) -> Vec<Fact> {
    let state = &merchant.state;
    let rebind = merchant.rebind.as_ref();
    let of_stage = stage_facts(rebind, now).map(|(name, value)| Fact {
        name,
        value,
        of_stage: true,
    });
    let counted = |window: fn(&DayCounts) -> &Window| {
        let windows = state.device_counts.all().map(window);
        let sum: usize = windows.map(|window| window.count(DAY_S, now)).sum();
        sum.to_string()
    };
    let others = [
        (
            "number",
            option(rebind, |rebind| match &rebind.sealed_number {
                Some(_) => "kept".to_owned(),
                None => "dropped".to_owned(),
            }),
        ),
        ("open", option(state.open, |number| format!("#{number}"))),
        ("pointer", option(state.active.as_ref(), bound)),
        (
            "standby",
            list(&state.standby, |standby: &StandbyCard| {
                format!(
                    "{} from {}",
                    bound(&standby.bound),
                    moment(standby.usable_at, now)
                )
            }),
        ),
        (
            "replaced",
            list(&state.replaced, |replaced| gone(replaced, now)),
        ),
        ("held payouts", state.held_payouts.to_string()),
        (
            "freeze codes",
            list(&state.freeze_codes, |code: &FreezeCode| {
                let of = if code.activation {
                    ""
                } else {
                    ", holds no payouts"
                };
                let rebind = code
                    .rebind
                    .map_or(String::new(), |number| format!("#{number} "));
                let until = code.good_until.map(|until| moment(until, now));
                let until = until.unwrap_or_else(|| "it is no standby card".to_owned());
                format!("{rebind}of event {} until {until}{of}", code.seq)
            }),
        ),
        (
            "frozen",
            option(state.frozen, |frozen| {
                let payouts = if frozen.holds_payouts {
                    "held"
                } else {
                    "continue"
                };
                format!("{}, payouts {payouts}", moment(frozen.at, now))
            }),
        ),
        (
            "push targets",
            list(&state.push_targets, |target| {
                format!("{} {}", target.id, target.token_tag)
            }),
        ),
        (
            "push target gone",
            option(state.push_removed_at, |at| moment(at, now)),
        ),
        ("settlement", settings(&state.settlement)),
        (
            "settlement pending",
            option(state.pending_settlement.as_ref(), |pending| {
                let effective = moment(pending.effective_at, now);
                format!("{} from {effective}", settings(&pending.settings))
            }),
        ),
        (
            "hold",
            option(state.last_activation.as_ref(), |last| {
                let old = last.old_card.as_ref().and_then(|old| state.replaced(old));
                let paying = option(old.filter(|old| old.state == Replaced::Usable), |old| {
                    last4(&old.bound)
                });
                let effective = moment(last.times.effective_at, now);
                format!("of #{}, {paying} is paid to, over {effective}", last.number)
            }),
        ),
        (
            "cooldown over",
            option(state.cooldown_until, |until| moment(until, now)),
        ),
        (
            "end to announce",
            state.cooldown_end_unannounced.to_string(),
        ),
        (
            "short cooldown used",
            option(state.lost_at, |at| moment(at, now)),
        ),
        ("requests", counted(|counts| &counts.rebinds)),
        ("requests refunded", counted(|counts| &counts.refunded)),
        ("wrong codes", counted(|counts| &counts.wrong_codes)),
        (
            "mismatches today",
            state.id_mismatches.count(DAY_S, now).to_string(),
        ),
        ("bank calls", state.bank_calls.len().to_string()),
    ];
    let others = others.map(|(name, value)| Fact {
        name,
        value,
        of_stage: false,
    });
    of_stage.into_iter().chain(others).collect()
}

/// The facts of a rebind's state; `-` for those of other states.
fn stage_facts(rebind: Option<&Rebind>, now: Timestamp) -> [(&'static str, String); 14] {
    let mut facts = [
        "mismatches",
        "document",
        "identity",
        "identity code",
        "identity attempts",
        "signed",
        "check",
        "card code",
        "card attempts",
        "usable",
        "switch code",
        "switch attempts",
        "test transfer",
        "reason",
    ]
    .map(|name| (name, "-".to_owned()));
    let mut put = |name: &str, value: String| {
        let fact = facts.iter_mut().find(|(known, _)| *known == name);
        fact.unwrap().1 = value;
    };
    match rebind.map(|rebind| &rebind.stage) {
        Some(RebindState::IdentityPending {
            mismatches,
            matched,
            code,
            attempts,
        }) => {
            put(
                "document",
                if *matched { "matched" } else { "-" }.to_owned(),
            );
            put("mismatches", mismatches.to_string());
            put("identity code", sent(code.as_ref(), now));
            put("identity attempts", counted(attempts));
        }
        Some(RebindState::AgreementPending { identity, attempts }) => {
            put("identity", moment(identity.confirmed_at, now));
            put("identity attempts", counted(attempts));
        }
        Some(RebindState::CardPending {
            identity,
            refresh,
            identity_attempts,
            signature,
            check,
            card_attempts,
        }) => {
            put("identity", moment(identity.confirmed_at, now));
            put("identity code", sent(refresh.as_ref(), now));
            put("identity attempts", counted(identity_attempts));
            put("signed", moment(signature.signed_at, now));
            put("check", checked(check, now));
            put("card attempts", counted(card_attempts));
            if let CardCheck::Matched { code, .. } = check {
                put("card code", sent(code.as_ref(), now));
            }
        }
        Some(RebindState::Ended { reason, .. }) => {
            put("reason", option(*reason, |code| code.to_string()));
        }
        Some(RebindState::Standby(standby)) => {
            put("usable", moment(standby.usable_at, now));
            put("switch code", sent(standby.code.as_ref(), now));
            put("switch attempts", counted(&standby.attempts));
        }
        Some(RebindState::Activated(activated_card) | RebindState::Completed(activated_card)) => {
            let text = match &activated_card.test {
                TestTransfer::NotSent => "-".to_owned(),
                TestTransfer::Sent { checked_at, .. } => {
                    format!("sent, last asked about {}", moment(*checked_at, now))
                }
                TestTransfer::Arrived { at, checked_at } => format!(
                    "arrived {}, last asked about {}",
                    moment(*at, now),
                    moment(*checked_at, now)
                ),
                TestTransfer::CameBack => "returned too late".to_owned(),
                TestTransfer::Closed { .. } => "closed".to_owned(),
            };
            put("test transfer", text);
        }
        None => {}
    }
    facts
}

fn checked(check: &CardCheck, now: Timestamp) -> String {
    match check {
        CardCheck::NotAsked { next } => format!("#{next} not asked"),
        CardCheck::Asking {
            number,
            counted_at,
            bound_elsewhere,
            ..
        } => {
            let counted = if counted_at.is_some() {
                "counted"
            } else {
                "not counted"
            };
            let bound = if *bound_elsewhere {
                ", another's card"
            } else {
                ""
            };
            format!("#{number} asking, {counted}{bound}")
        }
        CardCheck::Matched {
            number, matched_at, ..
        } => format!("#{number} matched {}", moment(*matched_at, now)),
        CardCheck::Deposit {
            number,
            sent_at,
            arrived,
            checked_at,
        } => {
            let sent = moment(*sent_at, now);
            let arrived = if *arrived { "arrived" } else { "not arrived" };
            let polled = moment(*checked_at, now);
            format!("#{number} deposit sent {sent}, {arrived}, last polled {polled}")
        }
    }
}

fn sent(code: Option<&SentOtp>, now: Timestamp) -> String {
    option(code, |code| {
        format!("\"{}\" sent {}", code.mac.0, moment(code.sent_at, now))
    })
}

fn counted(attempts: &Attempts) -> String {
    format!("{} reserved {} wrong", attempts.reserved, attempts.wrong)
}

fn option<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

fn list<T>(all: &[T], text: impl Fn(&T) -> String) -> String {
    if all.is_empty() {
        return "-".to_owned();
    }
    all.iter().map(text).collect::<Vec<_>>().join(" and ")
}

fn last4(bound: &BoundCard) -> String {
    let Card { last4, .. } = &bound.card;
    last4.clone()
}

/// A card with its number of pending payouts.
fn bound(bound: &BoundCard) -> String {
    let counts = [(bound.unsent, "unsent"), (bound.sending, "sending")];
    let counts = counts.iter().filter(|(count, _)| *count > 0);
    let counts: Vec<_> = counts
        .map(|(count, what)| format!("{count} {what}"))
        .collect();
    match counts.is_empty() {
        true => last4(bound),
        false => format!("{} ({})", last4(bound), counts.join(", ")),
    }
}

fn gone(replaced: &ReplacedCard, now: Timestamp) -> String {
    let usable = match replaced.state {
        Replaced::Usable => "",
        Replaced::Lost => ", lost",
        Replaced::Out => ", retired",
        Replaced::Barred => ", barred",
    };
    let until = moment(replaced.removable_at, now);
    format!("{} until {until}{usable}", bound(&replaced.bound))
}

/// A time relative to `now`.
fn moment(at: Timestamp, now: Timestamp) -> String {
    match at.epoch_s() - now.epoch_s() {
        0 => "now".to_owned(),
        ahead @ 1.. => format!("in {}", span(ahead)),
        ago => format!("{} ago", span(-ago)),
    }
}

/// `1d 2h 3m 4s`, without zero parts.
fn span(span_s: i64) -> String {
    let units = [(DAY_S, "d"), (HOUR_S, "h"), (MINUTE_S, "m"), (1, "s")];
    let mut left_s = span_s;
    let mut parts = Vec::new();
    for (unit_s, name) in units {
        if left_s >= unit_s {
            parts.push(format!("{}{name}", left_s / unit_s));
            left_s %= unit_s;
        }
    }
    if parts.is_empty() {
        "0s".to_owned()
    } else {
        parts.join(" ")
    }
}

fn settings(settlement: &Settlement) -> String {
    let retained = settlement.retained_fen;
    format!(
        "{:?} {:?}, {retained} of {} fen kept back",
        settlement.cycle, settlement.payout_time, settlement.daily_limit_fen
    )
}
