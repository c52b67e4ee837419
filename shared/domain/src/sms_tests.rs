//! Tests of the message texts, against the data file and the policy.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::card::CardType;
use crate::ids::CardId;
use crate::policy::{DAY_S, HOUR_S, MINUTE_S, Policy};

const FILE: &str = include_str!("../../data/sms.json");
const BINS: &str = include_str!(env!("CARD_BINS"));
const FREEZE_ALPHABET: &str = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
const CODE: &str = "880088";
const FREEZE_CODE: &str = "WXYZ2345";

fn bank_codes() -> BTreeSet<&'static str> {
    BINS.lines()
        .skip(1)
        .map(|row| row.split(',').nth(3).unwrap())
        .collect()
}

fn card(bank_code: Option<&str>) -> Card {
    Card {
        card_id: CardId::new(0, &[0; 16]),
        bank_code: bank_code.map(str::to_owned),
        card_type: CardType::Debit,
        last4: "8888".to_owned(),
        bound_at: at(),
    }
}

/// A card of every bank in the table, and of an unknown bank.
fn cards() -> Vec<Card> {
    bank_codes()
        .into_iter()
        .map(Some)
        .chain([None])
        .map(card)
        .collect()
}

fn at() -> Timestamp {
    Timestamp::parse_rfc3339("2026-12-31T23:59:59+08:00").unwrap()
}

fn each(card: &Card, mut test: impl FnMut(&Sms<'_>, &str)) {
    let card = CardLabel::from(card);
    let code = Secret::new(CODE.to_owned());
    let freeze_code = Secret::new(FREEZE_CODE.to_owned());
    let (code, freeze_code) = (&code, &freeze_code);
    let (effective_at, usable_at) = (at(), at());
    test(&Sms::OtpIdentity { card, code }, "otp_identity");
    test(
        &Sms::OtpIdentityStandby { card, code },
        "otp_identity_standby",
    );
    test(
        &Sms::OtpActivateStandby { card, code },
        "otp_activate_standby",
    );
    test(&Sms::OtpCard { card, code }, "otp_card");
    test(
        &Sms::Activated {
            card,
            effective_at,
            freeze_code,
        },
        "activated",
    );
    test(&Sms::PushActivated { card, effective_at }, "push_activated");
    test(
        &Sms::ActivatedReserved { card, effective_at },
        "activated_reserved",
    );
    test(
        &Sms::StandbyReady {
            card,
            usable_at,
            freeze_code,
        },
        "standby_ready",
    );
    test(
        &Sms::PushStandbyReady { card, usable_at },
        "push_standby_ready",
    );
    test(
        &Sms::StandbyReadyReserved { card },
        "standby_ready_reserved",
    );
    test(&Sms::PushCodeAsked, "push_code_asked");
    test(&Sms::PushIdentityConfirmed, "push_identity_confirmed");
    test(&Sms::Frozen, "frozen");
    test(&Sms::Unfrozen, "unfrozen");
    test(&Sms::UnfreezeProposed, "unfreeze_proposed");
    test(&Sms::ContactChangeProposed, "contact_change_proposed");
    test(&Sms::CloseProposed, "close_proposed");
    test(&Sms::Closed, "closed");
    test(&Sms::CodeGuessed, "code_guessed");
    test(&Sms::FreezeCodeGuessed, "freeze_code_guessed");
    test(&Sms::Reverted { card }, "reverted");
    test(&Sms::Rejected { card }, "rejected");
    test(
        &Sms::PayoutReturned { last4: card.last4 },
        "payout_returned",
    );
    test(
        &Sms::SettlementChanged {
            effective_at,
            freeze_code,
        },
        "settlement_changed",
    );
    test(
        &Sms::PushSettlementChanged { effective_at },
        "push_settlement_changed",
    );
    test(&Sms::SettlementDropped { at: at() }, "settlement_dropped");
    // The longest word in both languages.
    let field = ContactField::Password;
    test(
        &Sms::SecurityChanged {
            field,
            at: at(),
            freeze_code,
        },
        "security_changed",
    );
    test(
        &Sms::PushSecurityChanged { field, at: at() },
        "push_security_changed",
    );
    test(&Sms::CooldownEnded, "cooldown_ended");
    test(&Sms::PushTargetChanged { at: at() }, "push_target_changed");
    test(&Sms::PushTargetRemoved { at: at() }, "push_target_removed");
    test(&Sms::DeviceAdded { at: at() }, "device_added");
}

/// The file, parsed by a JSON parser.
fn file() -> BTreeMap<String, serde_json::Value> {
    let mut file: BTreeMap<String, serde_json::Value> = serde_json::from_str(FILE).unwrap();
    assert!(file.remove("note").unwrap().is_string());
    file
}

#[test]
fn every_template_is_used_and_filled() {
    let mut file = file();
    each(&card(Some("ICBC")), |sms, id| {
        let texts = file.remove(id).unwrap();
        assert_eq!(texts.as_object().unwrap().len(), Lang::ALL.len(), "{id}");
        for &lang in Lang::ALL {
            assert_eq!(
                texts[lang.as_str()],
                template(sms).in_lang(lang),
                "{id} {lang}"
            );
            for (name, _) in values(sms, lang) {
                assert_eq!(
                    template(sms).in_lang(lang).matches(name).count(),
                    1,
                    "{id} {lang} {name}"
                );
            }
            assert!(!render(sms, lang).contains(['{', '}']), "{id} {lang}");
        }
    });
    assert!(file.is_empty(), "unused: {:?}", file.keys());
}

#[test]
fn every_text_fits_into_one_part() {
    let longest = SmsSignature::parse("示例科技集团支付有限公司").unwrap();
    let units = longest.sign("").encode_utf16().count();
    assert_eq!(units, SmsSignature::MAX_UNITS);
    for card in cards() {
        each(&card, |sms, id| {
            for &lang in Lang::ALL {
                let text = render(sms, lang);
                let units = text.encode_utf16().count() + SmsSignature::MAX_UNITS;
                assert!(
                    units <= MAX_UTF16_UNITS,
                    "{id} {lang}: {units} units: {text}"
                );
            }
        });
    }
    // Names and codes outside the current table are truncated to the maximum length.
    let longest =
        |max, sample: &str| truncate(&sample.repeat(40), max).encode_utf16().count() == max;
    assert!(longest(BANK_NAME_MAX_UNITS, "银") && longest(BANK_CODE_MAX_UNITS, "B"));
    assert!(cards().iter().any(
        |card| bank(card.into(), Lang::ZhCn).encode_utf16().count() == BANK_NAME_MAX_UNITS
    ));
    assert!(
        cards()
            .iter()
            .any(|card| bank(card.into(), Lang::En).encode_utf16().count() == BANK_CODE_MAX_UNITS)
    );
}

#[test]
fn number_of_wrong_codes_matches_the_policy() {
    let wrong = Policy::CURRENT.wrong_codes_notified_from;
    let hours = DAY_S / HOUR_S;
    assert!(
        render(&Sms::CodeGuessed, Lang::ZhCn)
            .starts_with(&format!("{hours}小时内验证码已输错{wrong}次。"))
    );
    assert!(
        render(&Sms::CodeGuessed, Lang::En)
            .starts_with(&format!("{wrong} wrong codes in {hours}h."))
    );
}

#[test]
fn code_lifetime_matches_the_policy() {
    let minutes = Policy::CURRENT.code_life_s / MINUTE_S;
    each(&card(None), |sms, id| {
        if id.starts_with("otp_") {
            assert!(
                render(sms, Lang::ZhCn).contains(&format!("，{minutes}分钟内有效")),
                "{id}"
            );
            assert!(
                render(sms, Lang::En).contains(&format!(" {minutes} min.")),
                "{id}"
            );
        }
    });
}

#[test]
fn push_refers_to_the_sms_for_the_freeze_code() {
    let card = card(Some("ICBC"));
    let card = CardLabel::from(&card);
    let (effective_at, usable_at) = (at(), at());
    for push in [
        Sms::PushActivated { card, effective_at },
        Sms::PushStandbyReady { card, usable_at },
    ] {
        let (zh, en) = (render(&push, Lang::ZhCn), render(&push, Lang::En));
        for fact in ["中国工商银行", "8888", "12月31日23:59", "冻结码见短信"] {
            assert!(zh.contains(fact), "{fact}: {zh}");
        }
        for fact in ["ICBC", "8888", "12-31 23:59", "Freeze code: see SMS"] {
            assert!(en.contains(fact), "{fact}: {en}");
        }
    }
}

#[test]
fn reverted_text_promises_no_current_card() {
    let card = card(Some("ICBC"));
    let reverted = Sms::Reverted {
        card: CardLabel::from(&card),
    };
    let (zh, en) = (render(&reverted, Lang::ZhCn), render(&reverted, Lang::En));
    for word in ["当前", "原结算卡", "原卡", "恢复"] {
        assert!(!zh.contains(word), "{word}: {zh}");
    }
    for word in ["current", "old card", "previous", "restored", "back to"] {
        assert!(!en.contains(word), "{word}: {en}");
    }
    // The app shows whether there is an active card.
    assert!(zh.contains("App") && en.contains("app"));
}

fn runs(text: &str, is_in: impl Fn(char) -> bool, length: usize) -> Vec<String> {
    text.split(|c| !is_in(c))
        .filter(|run| run.len() >= length)
        .map(str::to_owned)
        .collect()
}

#[test]
fn codes_are_unambiguous_in_every_text() {
    for card in cards() {
        each(&card, |sms, id| {
            for &lang in Lang::ALL {
                let text = render(sms, lang);
                let has_code = id.starts_with("otp_");
                let has_freeze_code = matches!(
                    id,
                    "activated" | "standby_ready" | "settlement_changed" | "security_changed"
                );
                let codes: &[&str] = if has_code { &[CODE] } else { &[] };
                let freeze_codes: &[&str] = if has_freeze_code { &[FREEZE_CODE] } else { &[] };
                assert_eq!(runs(&text, |c| c.is_ascii_digit(), 6), codes, "{text}");
                assert_eq!(
                    runs(&text, |c| FREEZE_ALPHABET.contains(c), 8),
                    freeze_codes,
                    "{text}"
                );
            }
        });
    }
}

#[test]
fn no_text_contains_a_link() {
    each(&card(None), |sms, id| {
        for &lang in Lang::ALL {
            let text = render(sms, lang);
            assert!(!text.contains("://") && !text.contains("www"), "{id}");
            let no_space_after = |pair: &[char]| pair[0] == '.' && !pair[1].is_whitespace();
            let characters: Vec<char> = text.chars().collect();
            assert!(!characters.windows(2).any(no_space_after), "{id}: {text}");
        }
    });
}

#[test]
fn each_language_uses_its_own_script() {
    each(&card(Some("CMB")), |sms, id| {
        assert!(render(sms, Lang::En).is_ascii(), "{id}");
        let zh = render(sms, Lang::ZhCn);
        let han = zh
            .chars()
            .filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c))
            .count();
        assert!(han >= 16, "{id}: {zh}");
    });
}

#[test]
fn texts_read_as_expected() {
    let card = card(Some("ICBC"));
    let card = CardLabel::from(&card);
    let code = &Secret::new(CODE.to_owned());
    let freeze_code = &Secret::new(FREEZE_CODE.to_owned());
    let sms = Sms::OtpIdentity { card, code };
    assert_eq!(
        render(&sms, Lang::ZhCn),
        "验证码880088，用于将结算卡换为中国工商银行尾号8888，5分钟内有效。切勿告诉任何人，包括客服。"
    );
    assert_eq!(
        render(&sms, Lang::En),
        "Code 880088: pay to ICBC 8888. 5 min. Tell no one."
    );
    let sms = Sms::Activated {
        card,
        effective_at: at(),
        freeze_code,
    };
    assert_eq!(
        render(&sms, Lang::ZhCn),
        "结算卡已换为中国工商银行尾号8888，12月31日23:59生效。非本人？App输冻结码WXYZ2345"
    );
    assert_eq!(
        render(&sms, Lang::En),
        "Card ICBC 8888 from 12-31 23:59. Freeze code WXYZ2345"
    );
    assert!(!format!("{sms:?}").contains(FREEZE_CODE));
}

#[test]
fn long_bank_name_is_truncated_with_ellipsis() {
    assert_eq!(truncate("昆仑银行", 4), "昆仑银行");
    assert_eq!(truncate("昆仑银行", 3), "昆仑…");
    assert_eq!(truncate("𠮷𠮷行", 4), "𠮷…"); // two units each: 2 + 2 leaves no room for the ellipsis
    assert_eq!(bank((&card(Some("KORLABANK"))).into(), Lang::En), "KORLAB…");
    assert_eq!(bank((&card(None)).into(), Lang::ZhCn), "其他银行");
    assert_eq!(bank((&card(None)).into(), Lang::En), "card");
}

/// What a provider with registered templates makes of template and values is the text.
#[test]
fn template_and_values_say_what_the_text_says() {
    for card in [card(Some("ICBC")), card(None)] {
        each(&card, |sms, id| {
            for lang in [Lang::ZhCn, Lang::En] {
                let Message {
                    template,
                    values,
                    text,
                } = message(sms, lang);
                assert_eq!(template, id);
                let values: Vec<(&str, &str)> = values
                    .iter()
                    .map(|(name, value)| (*name, value.as_str()))
                    .collect();
                assert_eq!(filled(id, &values, lang), Some(text), "{id} {lang}");
                if let Some((_, fewer)) = values.split_last() {
                    assert_eq!(filled(id, fewer, lang), None, "{id} {lang}");
                }
            }
        });
    }
    assert_eq!(filled("otp", &[], Lang::ZhCn), None);
    assert_eq!(filled("frozen", &[("code", "1")], Lang::ZhCn), None);
}
