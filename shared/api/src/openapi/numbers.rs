//! Numbers in the texts of the description. A name in braces, outside of code, is a constant of the policy (contract,
//! section 4) or the size of a page: `{fresh_login_s}` becomes "15 minutes".

use crate::replies::PAGE;
use domain::policy::{DAY_S, HOUR_S, MINUTE_S, Policy};
use serde_json::Value;

/// Replaces the placeholders in every description and summary.
pub(crate) fn fill(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "description" || name == "summary" => {
                        *text = filled(text);
                    }
                    member => fill(member),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(fill),
        _ => {}
    }
}

/// Braces between backticks are code, not placeholders.
fn filled(text: &str) -> String {
    let mut is_code = true;
    let parts = text.split('`').map(|part| {
        is_code = !is_code;
        if is_code {
            part.to_owned()
        } else {
            prose(part)
        }
    });
    parts.collect::<Vec<_>>().join("`")
}

fn prose(text: &str) -> String {
    let mut parts = text.split('{');
    let mut filled = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (name, rest) = part.split_once('}').expect("a closing brace");
        filled += &number(name).unwrap_or_else(|| panic!("no number is named {name}"));
        filled += rest;
    }
    filled
}

fn number(name: &str) -> Option<String> {
    macro_rules! constants {
        ($($constant:ident)+) => {
            [$((stringify!($constant), Policy::CURRENT.$constant.to_string()),)+]
        };
    }
    let constants = constants! {
        agreement_read_within_s bank_calls_per_card_day bank_calls_per_day bank_proof_s code_attempts code_gap_s
        codes_per_phone_day codes_per_phone_hour creations_per_day deposit_attempts deposit_life_s freeze_after_effective_s freeze_device_age_s fresh_login_s
        hold_deposit_s hold_s id_banner_days id_mismatches_per_rebind idempotency_s identity_proof_s new_devices_per_day push_after_removal_s
        push_refreshes_per_day push_targets_max rebinds_per_day retire_after_effective_s revert_after_effective_s
        session_idle_s session_max_s setting_changes_per_day settlement_wait_s standby_lock_s standby_max standby_proof_s
        standby_wait_s wrong_codes_per_day
    };
    let mut all = constants.into_iter().chain([("page", PAGE.to_string())]);
    let (name, digits) = all.find(|(known, _)| *known == name)?;
    Some(match digits.parse() {
        Ok(seconds) if name.ends_with("_s") => span(seconds),
        _ => digits,
    })
}

/// A time in the largest unit that needs no singular.
fn span(seconds: i64) -> String {
    let units = [
        (DAY_S, 3 * DAY_S, "days"),
        (HOUR_S, HOUR_S, "hours"),
        (MINUTE_S, MINUTE_S, "minutes"),
    ];
    let fits =
        |(unit_s, above_s, _): &(i64, i64, &str)| seconds % unit_s == 0 && seconds > *above_s;
    match units.into_iter().find(fits) {
        Some((unit_s, _, unit)) => format!("{} {unit}", seconds / unit_s),
        None => format!("{seconds} seconds"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_filled_into_prose_only() {
        let text = "{code_attempts} in {fresh_login_s}, `{code}`, {standby_proof_s}";
        assert_eq!(filled(text), "5 in 15 minutes, `{code}`, 90 days");
        for (seconds, words) in [
            (10, "10 seconds"),
            (60, "60 seconds"),
            (90, "90 seconds"),
            (86_400, "24 hours"),
            (259_200, "72 hours"),
            (604_800, "7 days"),
        ] {
            assert_eq!(span(seconds), words);
        }
    }

    #[test]
    #[should_panic = "no number is named fresh_login"]
    fn an_unknown_number_fails() {
        filled("A login younger than {fresh_login}.");
    }
}
