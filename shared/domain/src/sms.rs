//! The texts of all SMS, and of push notifications that need a text of their own. The templates are in `data/sms.json`. Any
//! other push notification has the text of its SMS.
//!
//! Every rendered text fits into one SMS part together with the sender's signature, and contains no link. A code is the
//! only run of six digits in its text, and a freeze code is the only run of eight characters of its alphabet, so that
//! neither can be mistaken.

mod signature;

pub use signature::SmsSignature;

use super::card::{Card, UNKNOWN_BANK};
use super::contact::ContactField;
use super::lang::Lang;
use super::secret::Secret;
use super::texts::{self, Text};
use super::time::Timestamp;

/// Maximum length of one SMS part in UTF-16 units.
pub const MAX_UTF16_UNITS: usize = 70;

/// Maximum length of a bank name in a Chinese text, in UTF-16 units. The few longer names are truncated.
const BANK_NAME_MAX_UNITS: usize = 10;

/// Maximum length of a bank code in an English text. It is shorter than a freeze code, so that the two differ.
const BANK_CODE_MAX_UNITS: usize = 7;

/// The facts of a card that a text contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CardLabel<'a> {
    /// The bank's code, as [`Card::bank_code`].
    pub bank_code: &'a str,
    /// The bank's Chinese name, as [`Card::bank_name`].
    pub bank_name: &'a str,
    /// The last four digits.
    pub last4: &'a str,
}

impl<'a> From<&'a Card> for CardLabel<'a> {
    fn from(card: &'a Card) -> Self {
        Self {
            bank_code: card.bank_code(),
            bank_name: card.bank_name(),
            last4: &card.last4,
        }
    }
}

/// A message with the values of its template.
#[derive(Clone, Copy, Debug)]
pub enum Sms<'a> {
    /// To the phone on file: authorises a change to the new card.
    OtpIdentity {
        /// The new card.
        card: CardLabel<'a>,
        /// Six digits.
        code: &'a Secret<String>,
    },
    /// To the phone on file: authorises a new standby card.
    OtpIdentityStandby {
        /// The new card.
        card: CardLabel<'a>,
        /// Six digits.
        code: &'a Secret<String>,
    },
    /// To the phone on file: authorises the switch to a standby card.
    OtpActivateStandby {
        /// The standby card.
        card: CardLabel<'a>,
        /// Six digits.
        code: &'a Secret<String>,
    },
    /// To the reserved phone: proves the new card.
    OtpCard {
        /// The new card.
        card: CardLabel<'a>,
        /// Six digits.
        code: &'a Secret<String>,
    },
    /// To the phone on file: the card was changed.
    Activated {
        /// The new card.
        card: CardLabel<'a>,
        /// From when payouts go to this card.
        effective_at: Timestamp,
        /// Eight characters.
        freeze_code: &'a Secret<String>,
    },
    /// The push notification with the SMS above. It refers to the SMS for the freeze code, because a locked screen shows
    /// push notifications.
    PushActivated {
        /// The new card.
        card: CardLabel<'a>,
        /// From when payouts go to this card.
        effective_at: Timestamp,
    },
    /// To the reserved phone: the card was changed. Contains no freeze code.
    ActivatedReserved {
        /// The new card.
        card: CardLabel<'a>,
        /// From when payouts go to this card.
        effective_at: Timestamp,
    },
    /// To the phone on file: a standby card was added.
    StandbyReady {
        /// The standby card.
        card: CardLabel<'a>,
        /// From when the card can be activated.
        usable_at: Timestamp,
        /// Eight characters.
        freeze_code: &'a Secret<String>,
    },
    /// The push notification with the SMS above; see [`Sms::PushActivated`].
    PushStandbyReady {
        /// The standby card.
        card: CardLabel<'a>,
        /// From when the card can be activated.
        usable_at: Timestamp,
    },
    /// To the reserved phone: a standby card was added. Contains no freeze code.
    StandbyReadyReserved {
        /// The standby card.
        card: CardLabel<'a>,
    },
    /// A push: a code for a change of the card was asked for.
    PushCodeAsked,
    /// A push: the code to the phone on file was confirmed.
    PushIdentityConfirmed,
    /// The account was frozen.
    Frozen,
    /// An operator ended the freeze and chose the active card.
    Unfrozen,
    /// An operator proposed to end the freeze.
    UnfreezeProposed,
    /// An operator proposed to change phone, password, name or document.
    ContactChangeProposed,
    /// An operator proposed to close the account.
    CloseProposed,
    /// The account was closed.
    Closed,
    /// Several wrong codes were entered within a day. None of them ended its rebind.
    CodeGuessed,
    /// Wrong freeze codes were entered. The owner may have mistyped one and believe that the account is frozen.
    FreezeCodeGuessed,
    /// The test transfer was returned and the change was undone. The account may have no active card afterwards.
    Reverted {
        /// The new card of the change.
        card: CardLabel<'a>,
    },
    /// A rebind ended after too many wrong codes.
    Rejected {
        /// The new card of the rebind.
        card: CardLabel<'a>,
    },
    /// A payout did not reach its card.
    PayoutReturned {
        /// The last four digits of the card.
        last4: &'a str,
    },
    /// New settlement settings were accepted.
    SettlementChanged {
        /// When they take effect.
        effective_at: Timestamp,
        /// Eight characters.
        freeze_code: &'a Secret<String>,
    },
    /// The push notification with the SMS above; see [`Sms::PushActivated`].
    PushSettlementChanged {
        /// When the settings take effect.
        effective_at: Timestamp,
    },
    /// Pending settlement settings were withdrawn or dropped.
    SettlementDropped {
        /// When they were withdrawn or dropped.
        at: Timestamp,
    },
    /// Phone, password, name or document was changed.
    SecurityChanged {
        /// The part of the record.
        field: ContactField,
        /// When it was changed.
        at: Timestamp,
        /// Eight characters.
        freeze_code: &'a Secret<String>,
    },
    /// The push notification with the SMS above; see [`Sms::PushActivated`].
    PushSecurityChanged {
        /// The part of the record.
        field: ContactField,
        /// When it was changed.
        at: Timestamp,
    },
    /// The cooldown is over, so that the card can be changed again.
    CooldownEnded,
    /// A push device was registered, or its token was replaced by another device.
    PushTargetChanged {
        /// When it was registered.
        at: Timestamp,
    },
    /// A push device was removed.
    PushTargetRemoved {
        /// When it was removed.
        at: Timestamp,
    },
    /// A device logged in for the first time.
    DeviceAdded {
        /// When it logged in.
        at: Timestamp,
    },
}

/// A message as it is handed over. It may contain a code, so it has no `Debug`: never log or store it.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The name of its template in `data/sms.json`, as it is registered with the carriers.
    pub template: &'static str,
    /// The values of the template's placeholders, in the order of the text.
    pub values: Vec<(&'static str, String)>,
    /// The whole text, at most [`MAX_UTF16_UNITS`] long with a signature.
    pub text: String,
}

/// The message to send.
#[must_use]
pub fn message(sms: &Sms<'_>, lang: Lang) -> Message {
    let template = template(sms);
    let mut text = template.in_lang(lang).to_owned();
    let mut values = values(sms, lang);
    // A text in one language may do without a value.
    values.retain(|(placeholder, _)| text.contains(placeholder));
    values.sort_by_key(|(placeholder, _)| text.find(placeholder));
    for (placeholder, value) in &values {
        text = text.replace(placeholder, value);
    }
    let values = values.into_iter();
    let values = values.map(|(placeholder, value)| (placeholder.trim_matches(['{', '}']), value));
    Message {
        template: template.name,
        values: values.collect(),
        text,
    }
}

/// The text of a registered template with these values. `None` for an unknown template, or unless the values are those of its
/// placeholders in their order: what a provider refuses.
#[must_use]
pub fn filled(template: &str, values: &[(&str, &str)], lang: Lang) -> Option<String> {
    let known = texts::sms::ALL.iter().find(|text| text.name == template)?;
    let mut rest = known.in_lang(lang);
    let mut text = String::new();
    for (name, value) in values {
        let (before, after) = rest.split_once('{')?;
        let (placeholder, after) = after.split_once('}')?;
        if placeholder != *name {
            return None;
        }
        text.push_str(before);
        text.push_str(value);
        rest = after;
    }
    (!rest.contains('{')).then(|| text + rest)
}

/// Its text.
#[must_use]
pub fn render(sms: &Sms<'_>, lang: Lang) -> String {
    message(sms, lang).text
}

const fn template(sms: &Sms<'_>) -> &'static Text {
    match sms {
        Sms::OtpIdentity { .. } => &texts::sms::OTP_IDENTITY,
        Sms::OtpIdentityStandby { .. } => &texts::sms::OTP_IDENTITY_STANDBY,
        Sms::OtpActivateStandby { .. } => &texts::sms::OTP_ACTIVATE_STANDBY,
        Sms::OtpCard { .. } => &texts::sms::OTP_CARD,
        Sms::Activated { .. } => &texts::sms::ACTIVATED,
        Sms::PushActivated { .. } => &texts::sms::PUSH_ACTIVATED,
        Sms::ActivatedReserved { .. } => &texts::sms::ACTIVATED_RESERVED,
        Sms::StandbyReady { .. } => &texts::sms::STANDBY_READY,
        Sms::PushStandbyReady { .. } => &texts::sms::PUSH_STANDBY_READY,
        Sms::StandbyReadyReserved { .. } => &texts::sms::STANDBY_READY_RESERVED,
        Sms::PushCodeAsked => &texts::sms::PUSH_CODE_ASKED,
        Sms::PushIdentityConfirmed => &texts::sms::PUSH_IDENTITY_CONFIRMED,
        Sms::Frozen => &texts::sms::FROZEN,
        Sms::Unfrozen => &texts::sms::UNFROZEN,
        Sms::UnfreezeProposed => &texts::sms::UNFREEZE_PROPOSED,
        Sms::ContactChangeProposed => &texts::sms::CONTACT_CHANGE_PROPOSED,
        Sms::CloseProposed => &texts::sms::CLOSE_PROPOSED,
        Sms::Closed => &texts::sms::CLOSED,
        Sms::CodeGuessed => &texts::sms::CODE_GUESSED,
        Sms::FreezeCodeGuessed => &texts::sms::FREEZE_CODE_GUESSED,
        Sms::Reverted { .. } => &texts::sms::REVERTED,
        Sms::Rejected { .. } => &texts::sms::REJECTED,
        Sms::PayoutReturned { .. } => &texts::sms::PAYOUT_RETURNED,
        Sms::SettlementChanged { .. } => &texts::sms::SETTLEMENT_CHANGED,
        Sms::PushSettlementChanged { .. } => &texts::sms::PUSH_SETTLEMENT_CHANGED,
        Sms::SettlementDropped { .. } => &texts::sms::SETTLEMENT_DROPPED,
        Sms::SecurityChanged { .. } => &texts::sms::SECURITY_CHANGED,
        Sms::PushSecurityChanged { .. } => &texts::sms::PUSH_SECURITY_CHANGED,
        Sms::CooldownEnded => &texts::sms::COOLDOWN_ENDED,
        Sms::PushTargetChanged { .. } => &texts::sms::PUSH_TARGET_CHANGED,
        Sms::PushTargetRemoved { .. } => &texts::sms::PUSH_TARGET_REMOVED,
        Sms::DeviceAdded { .. } => &texts::sms::DEVICE_ADDED,
    }
}

fn card_values(card: CardLabel<'_>, lang: Lang) -> Vec<Placed> {
    vec![
        ("{bank}", bank(card, lang)),
        ("{last4}", card.last4.to_owned()),
    ]
}

/// The placeholders of the template and their values.
fn values(sms: &Sms<'_>, lang: Lang) -> Vec<Placed> {
    let card_values = |card| card_values(card, lang);
    let time = |at| ("{time}", minute(at, lang));
    let what = |field| ("{what}", field_name(field, lang).to_owned());
    let secret = |name, code: &Secret<String>| (name, code.expose().clone());
    match *sms {
        Sms::OtpIdentity { card, code }
        | Sms::OtpIdentityStandby { card, code }
        | Sms::OtpActivateStandby { card, code }
        | Sms::OtpCard { card, code } => with(card_values(card), [secret("{code}", code)]),
        Sms::Activated {
            card,
            effective_at: at,
            freeze_code,
        }
        | Sms::StandbyReady {
            card,
            usable_at: at,
            freeze_code,
        } => with(
            card_values(card),
            [time(at), secret("{freeze_code}", freeze_code)],
        ),
        Sms::ActivatedReserved {
            card,
            effective_at: at,
        }
        | Sms::PushActivated {
            card,
            effective_at: at,
        }
        | Sms::PushStandbyReady {
            card,
            usable_at: at,
        } => with(card_values(card), [time(at)]),
        Sms::StandbyReadyReserved { card } | Sms::Reverted { card } | Sms::Rejected { card } => {
            card_values(card)
        }
        Sms::PayoutReturned { last4 } => vec![("{last4}", last4.to_owned())],
        Sms::SettlementChanged {
            effective_at,
            freeze_code,
        } => vec![time(effective_at), secret("{freeze_code}", freeze_code)],
        Sms::PushSettlementChanged { effective_at: at }
        | Sms::SettlementDropped { at }
        | Sms::PushTargetChanged { at }
        | Sms::PushTargetRemoved { at }
        | Sms::DeviceAdded { at } => vec![time(at)],
        Sms::SecurityChanged {
            field,
            at,
            freeze_code,
        } => vec![what(field), time(at), secret("{freeze_code}", freeze_code)],
        Sms::PushSecurityChanged { field, at } => vec![what(field), time(at)],
        Sms::PushCodeAsked
        | Sms::PushIdentityConfirmed
        | Sms::Frozen
        | Sms::Unfrozen
        | Sms::UnfreezeProposed
        | Sms::ContactChangeProposed
        | Sms::CloseProposed
        | Sms::Closed
        | Sms::CodeGuessed
        | Sms::FreezeCodeGuessed
        | Sms::CooldownEnded => Vec::new(),
    }
}

/// A placeholder and its value.
type Placed = (&'static str, String);

fn with(mut values: Vec<Placed>, more: impl IntoIterator<Item = Placed>) -> Vec<Placed> {
    values.extend(more);
    values
}

/// The bank's Chinese name, or in an English text its code (`ICBC`).
fn bank(card: CardLabel<'_>, lang: Lang) -> String {
    match lang {
        Lang::ZhCn => truncate(card.bank_name, BANK_NAME_MAX_UNITS),
        Lang::En if card.bank_code == UNKNOWN_BANK.0 => "card".to_owned(),
        Lang::En => truncate(card.bank_code, BANK_CODE_MAX_UNITS),
    }
}

const fn field_name(field: ContactField, lang: Lang) -> &'static str {
    match (field, lang) {
        (ContactField::Phone, Lang::ZhCn) => "手机",
        (ContactField::Password, Lang::ZhCn) => "密码",
        (ContactField::Name, Lang::ZhCn) => "姓名",
        (ContactField::Document, Lang::ZhCn) => "证件",
        (ContactField::Phone, Lang::En) => "phone",
        (ContactField::Password, Lang::En) => "password",
        (ContactField::Name, Lang::En) => "name",
        (ContactField::Document, Lang::En) => "ID",
    }
}

/// Truncates the text to `max_units`, including the final `…` that marks the truncation.
fn truncate(text: &str, max_units: usize) -> String {
    if text.encode_utf16().count() <= max_units {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut units = 1; // the ellipsis
    for character in text.chars() {
        units += character.len_utf16();
        if units > max_units {
            break;
        }
        kept.push(character);
    }
    kept.push('…');
    kept
}

/// `11月23日10:00` or `11-23 10:00`, in Shanghai time. The year is omitted because every announced time is within days.
fn minute(at: Timestamp, lang: Lang) -> String {
    let rfc3339 = at.to_rfc3339_shanghai(); // 2026-11-23T10:00:00+08:00
    let part = |range| rfc3339.get(range).unwrap_or_default();
    let (month, day, time) = (part(5..7), part(8..10), part(11..16));
    match lang {
        Lang::ZhCn => format!("{month}月{day}日{time}"),
        Lang::En => format!("{month}-{day} {time}"),
    }
}

#[cfg(test)]
#[path = "sms_tests.rs"]
mod tests;
