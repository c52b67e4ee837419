//! States, refusals and changes as text.

use crate::domain::merchant::Merchant;
use crate::domain::policy::{DAY_S, HOUR_S, MINUTE_S};
use crate::domain::rebind::{CardCheck, Rebind, SentCode, Stage, Tries};
use crate::domain::rejection::Rejection;
use crate::domain::time::Timestamp;
use crate::domain::transition::{FingerprintRule, Outcome, Recipient, Transition};

/// One line on what a refusal tells the caller.
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
        Outcome::Proceed => "go on".to_owned(),
        Outcome::Refused(refused) => format!("refused {}", refusal(refused)),
    }
}

/// Everything that a transition of `before` writes and causes.
pub(super) fn writes(transition: &Transition, before: &Merchant, now: Timestamp) -> String {
    let mut parts = Vec::new();
    if let Some(event) = &transition.event {
        parts.push(format!("event {}", event.kind));
        for notice in &event.notices {
            let to = match notice.to {
                Recipient::OnFile => "phone on file",
                Recipient::Reserved => "reserved phone",
            };
            parts.push(format!("tell {to}"));
        }
    }
    if let Some(send) = &transition.code_send {
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
        Some(FingerprintRule::Free { .. }) => parts.push("unless the card is another's".to_owned()),
        Some(FingerprintRule::Claim { .. }) => {
            parts.push("unless the card is another's; from now on it is this person's".to_owned());
        }
        None => {}
    }
    let after = transition.applied_to(before);
    let same_stage = stage_of(before) == stage_of(&after);
    let facts_before = facts(before, now);
    for (old, new) in facts_before.into_iter().zip(facts(&after, now)) {
        match (old, new) {
            (old, new) if old.value == new.value => {}
            // What a stage has comes and goes with it: only what has come is worth a word.
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

/// Something that can be told of a merchant.
struct Fact {
    name: &'static str,
    value: String,
    /// Whether it belongs to the stage that the rebind is in.
    of_stage: bool,
}

fn stage_of(merchant: &Merchant) -> Option<(&str, std::mem::Discriminant<Stage>)> {
    let rebind = merchant.rebind.as_ref()?;
    let stage = std::mem::discriminant(&rebind.stage);
    Some((rebind.rebind_id.as_str(), stage))
}

/// What can be told of a merchant, always the same list of names.
fn facts(merchant: &Merchant, now: Timestamp) -> Vec<Fact> {
    let head = &merchant.head;
    let rebind = merchant.rebind.as_ref();
    let of_stage = stage_facts(rebind, now).map(|(name, value)| Fact {
        name,
        value,
        of_stage: true,
    });
    let others = [
        (
            "number",
            option(rebind, |rebind| match &rebind.sealed_number {
                Some(_) => "kept".to_owned(),
                None => "dropped".to_owned(),
            }),
        ),
        ("open", option(head.open, |number| format!("#{number}"))),
        (
            "pointer",
            option(head.active.as_ref(), |active| active.card.last4.clone()),
        ),
        (
            "hold",
            option(head.last_activation.as_ref(), |last| {
                let paying = option(last.old_card.as_ref(), |old| old.last4.clone());
                let effective = moment(last.times.effective_at, now);
                format!("of #{}, {paying} is paid to, over {effective}", last.number)
            }),
        ),
        (
            "cooldown over",
            option(head.cooldown_until, |until| moment(until, now)),
        ),
        ("its end to be told", head.cooldown_end_untold.to_string()),
        (
            "short cooldown used",
            option(head.lost_at, |at| moment(at, now)),
        ),
        ("requests", head.requests.count(DAY_S, now).to_string()),
        (
            "mismatches today",
            head.id_mismatches.count(DAY_S, now).to_string(),
        ),
        ("bank calls", head.bank_calls.len().to_string()),
    ];
    let others = others.map(|(name, value)| Fact {
        name,
        value,
        of_stage: false,
    });
    of_stage.into_iter().chain(others).collect()
}

/// What belongs to the stage that a rebind is in; `-` for what another stage has.
fn stage_facts(rebind: Option<&Rebind>, now: Timestamp) -> [(&'static str, String); 10] {
    let mut facts = [
        "mismatches",
        "document",
        "identity",
        "identity code",
        "identity tries",
        "signed",
        "check",
        "card code",
        "card tries",
        "reason",
    ]
    .map(|name| (name, "-".to_owned()));
    let mut put = |name: &str, value: String| {
        let fact = facts.iter_mut().find(|(known, _)| *known == name);
        fact.unwrap().1 = value;
    };
    match rebind.map(|rebind| &rebind.stage) {
        Some(Stage::IdentityPending {
            mismatches,
            matched,
            code,
            tries,
        }) => {
            put(
                "document",
                if *matched { "matched" } else { "-" }.to_owned(),
            );
            put("mismatches", mismatches.to_string());
            put("identity code", sent(code.as_ref(), now));
            put("identity tries", counted(tries));
        }
        Some(Stage::AgreementPending { identity, tries }) => {
            put("identity", moment(identity.confirmed_at, now));
            put("identity tries", counted(tries));
        }
        Some(Stage::CardPending {
            identity,
            refresh,
            identity_tries,
            signature,
            check,
            card_tries,
        }) => {
            put("identity", moment(identity.confirmed_at, now));
            put("identity code", sent(refresh.as_ref(), now));
            put("identity tries", counted(identity_tries));
            put("signed", moment(signature.signed_at, now));
            put("check", checked(check, now));
            put("card tries", counted(card_tries));
            if let CardCheck::Matched { code, .. } = check {
                put("card code", sent(code.as_ref(), now));
            }
        }
        Some(Stage::Ended { reason, .. }) => {
            put("reason", option(*reason, |code| code.to_string()));
        }
        Some(Stage::Activated(_) | Stage::Completed { .. }) | None => {}
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
    }
}

fn sent(code: Option<&SentCode>, now: Timestamp) -> String {
    option(code, |code| {
        format!("\"{}\" sent {}", code.mac.0, moment(code.sent_at, now))
    })
}

fn counted(tries: &Tries) -> String {
    format!("{} taken {} wrong", tries.taken, tries.wrong)
}

fn option<T>(value: Option<T>, text: impl FnOnce(T) -> String) -> String {
    value.map_or_else(|| "-".to_owned(), text)
}

/// A moment as seen from `now`.
fn moment(at: Timestamp, now: Timestamp) -> String {
    match at.epoch_s() - now.epoch_s() {
        0 => "now".to_owned(),
        ahead @ 1.. => format!("in {}", span(ahead)),
        ago => format!("{} ago", span(-ago)),
    }
}

/// `1d 2h 3m 4s`, without what is 0.
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
