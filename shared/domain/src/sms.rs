//! The texts of all SMS, and of the pushes that may not say the same: fixed templates from `data/sms.json`, filled in. A
//! push that goes along with another SMS has its text.
//!
//! Every rendered text is one SMS part and holds no link. A code is the only run of six digits in its text, a freeze
//! code the only run of eight characters of its alphabet: neither a reader nor a test can take something else for it.

use super::card::{Card, UNKNOWN_BANK};
use super::lang::Lang;
use super::secret::Secret;
use super::texts;
use super::time::Timestamp;

/// The longest text that still is one SMS part, in UTF-16 units.
pub const MAX_UTF16_UNITS: usize = 70;

/// The longest bank name in a Chinese text, in UTF-16 units: that of the longest name in the prefix table today.
const BANK_NAME_MAX_UNITS: usize = 12;

/// The longest bank code in an English text. Shorter than a freeze code, so that it cannot be taken for one.
const BANK_CODE_MAX_UNITS: usize = 7;

/// What a text says of a card.
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

/// One message, with exactly the values that its template needs.
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
        /// From when payouts go to it.
        effective_at: Timestamp,
        /// Eight characters.
        freeze_code: &'a Secret<String>,
    },
    /// The push along with it: says where the freeze code is, since a push is shown on a locked screen.
    PushActivated {
        /// The new card.
        card: CardLabel<'a>,
        /// From when payouts go to it.
        effective_at: Timestamp,
    },
    /// To the reserved phone: the same, without the means to freeze.
    ActivatedReserved {
        /// The new card.
        card: CardLabel<'a>,
        /// From when payouts go to it.
        effective_at: Timestamp,
    },
    /// To the phone on file: a standby card was added.
    StandbyReady {
        /// The standby card.
        card: CardLabel<'a>,
        /// From when it can be activated.
        usable_at: Timestamp,
        /// Eight characters.
        freeze_code: &'a Secret<String>,
    },
    /// The push along with it; as [`Sms::PushActivated`].
    PushStandbyReady {
        /// The standby card.
        card: CardLabel<'a>,
        /// From when it can be activated.
        usable_at: Timestamp,
    },
    /// To the reserved phone: the same, without the means to freeze.
    StandbyReadyReserved {
        /// The standby card.
        card: CardLabel<'a>,
    },
    /// The account was frozen.
    Frozen,
    /// The test transfer came back and the change was undone. There may be no current card after it.
    Reverted {
        /// The card that was to be the new one.
        card: CardLabel<'a>,
    },
    /// A rebind ended after wrong codes.
    Rejected {
        /// The card that was to be the new one.
        card: CardLabel<'a>,
    },
    /// Settlement settings were changed.
    SettlementChanged {
        /// When.
        at: Timestamp,
    },
    /// The next change of card is possible again.
    CooldownEnded,
}

/// The text to send, at most [`MAX_UTF16_UNITS`] long. It may hold a code: it goes to the phone and nowhere else.
#[must_use]
pub fn render(sms: &Sms<'_>, lang: Lang) -> String {
    values(sms, lang)
        .iter()
        .fold(template(sms, lang).to_owned(), |text, (name, value)| {
            text.replace(name, value)
        })
}

fn template(sms: &Sms<'_>, lang: Lang) -> &'static str {
    let text = match sms {
        Sms::OtpIdentity { .. } => texts::sms::OTP_IDENTITY,
        Sms::OtpIdentityStandby { .. } => texts::sms::OTP_IDENTITY_STANDBY,
        Sms::OtpActivateStandby { .. } => texts::sms::OTP_ACTIVATE_STANDBY,
        Sms::OtpCard { .. } => texts::sms::OTP_CARD,
        Sms::Activated { .. } => texts::sms::ACTIVATED,
        Sms::PushActivated { .. } => texts::sms::PUSH_ACTIVATED,
        Sms::ActivatedReserved { .. } => texts::sms::ACTIVATED_RESERVED,
        Sms::StandbyReady { .. } => texts::sms::STANDBY_READY,
        Sms::PushStandbyReady { .. } => texts::sms::PUSH_STANDBY_READY,
        Sms::StandbyReadyReserved { .. } => texts::sms::STANDBY_READY_RESERVED,
        Sms::Frozen => texts::sms::FROZEN,
        Sms::Reverted { .. } => texts::sms::REVERTED,
        Sms::Rejected { .. } => texts::sms::REJECTED,
        Sms::SettlementChanged { .. } => texts::sms::SETTLEMENT_CHANGED,
        Sms::CooldownEnded => texts::sms::COOLDOWN_ENDED,
    };
    text.in_lang(lang)
}

/// What to fill in, and where.
fn values(sms: &Sms<'_>, lang: Lang) -> Vec<(&'static str, String)> {
    let card_values = |card: CardLabel<'_>| {
        vec![
            ("{bank}", bank(card, lang)),
            ("{last4}", card.last4.to_owned()),
        ]
    };
    let with = |mut values: Vec<_>, name, value| {
        values.push((name, value));
        values
    };
    match *sms {
        Sms::OtpIdentity { card, code }
        | Sms::OtpIdentityStandby { card, code }
        | Sms::OtpActivateStandby { card, code }
        | Sms::OtpCard { card, code } => with(card_values(card), "{code}", code.expose().clone()),
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
            with(card_values(card), "{time}", minute(at, lang)),
            "{freeze_code}",
            freeze_code.expose().clone(),
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
        } => with(card_values(card), "{time}", minute(at, lang)),
        Sms::StandbyReadyReserved { card } | Sms::Reverted { card } | Sms::Rejected { card } => {
            card_values(card)
        }
        Sms::SettlementChanged { at } => vec![("{time}", minute(at, lang))],
        Sms::Frozen | Sms::CooldownEnded => Vec::new(),
    }
}

/// The bank as a merchant knows it: its Chinese name, or in an English text its code (`ICBC`), which is Latin.
fn bank(card: CardLabel<'_>, lang: Lang) -> String {
    match lang {
        Lang::ZhCn => cut(card.bank_name, BANK_NAME_MAX_UNITS),
        Lang::En if card.bank_code == UNKNOWN_BANK.0 => "card".to_owned(),
        Lang::En => cut(card.bank_code, BANK_CODE_MAX_UNITS),
    }
}

/// The whole text, or as much of its beginning as leaves room for the `…` that says so.
fn cut(text: &str, max_units: usize) -> String {
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

/// `11月23日10:00` or `11-23 10:00`, Shanghai time. A year is not needed: nothing announced is more than days away.
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
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::super::card::CardType;
    use super::super::ids::CardId;
    use super::super::policy::{MINUTE_S, Policy};
    use super::*;

    const FILE: &str = include_str!("../../data/sms.json");
    const BINS: &str = include_str!("../../data/china-card-bins.csv");
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

    /// Every bank of the table, and none.
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
        test(&Sms::Frozen, "frozen");
        test(&Sms::Reverted { card }, "reverted");
        test(&Sms::Rejected { card }, "rejected");
        test(&Sms::SettlementChanged { at: at() }, "settlement_changed");
        test(&Sms::CooldownEnded, "cooldown_ended");
    }

    /// The file as a JSON parser reads it.
    fn file() -> BTreeMap<String, serde_json::Value> {
        let mut file: BTreeMap<String, serde_json::Value> = serde_json::from_str(FILE).unwrap();
        assert!(file.remove("note").unwrap().is_string());
        file
    }

    #[test]
    fn each_text_of_the_file_is_used_and_filled_in_completely() {
        let mut file = file();
        each(&card(Some("ICBC")), |sms, id| {
            let texts = file.remove(id).unwrap();
            assert_eq!(texts.as_object().unwrap().len(), Lang::ALL.len(), "{id}");
            for &lang in Lang::ALL {
                assert_eq!(texts[lang.as_str()], template(sms, lang), "{id} {lang}");
                for (name, _) in values(sms, lang) {
                    assert_eq!(
                        template(sms, lang).matches(name).count(),
                        1,
                        "{id} {lang} {name}"
                    );
                }
                assert!(!render(sms, lang).contains(['{', '}']), "{id} {lang}");
            }
        });
        assert!(file.is_empty(), "not used: {:?}", file.keys());
    }

    #[test]
    fn each_text_is_one_part_with_the_longest_values() {
        for card in cards() {
            each(&card, |sms, id| {
                for &lang in Lang::ALL {
                    let text = render(sms, lang);
                    let units = text.encode_utf16().count();
                    assert!(
                        units <= MAX_UTF16_UNITS,
                        "{id} {lang}: {units} units: {text}"
                    );
                }
            });
        }
        // Names that are not in the table today: as long as a name can become.
        let longest =
            |max, sample: &str| cut(&sample.repeat(40), max).encode_utf16().count() == max;
        assert!(longest(BANK_NAME_MAX_UNITS, "银") && longest(BANK_CODE_MAX_UNITS, "B"));
        assert!(cards().iter().any(
            |card| bank(card.into(), Lang::ZhCn).encode_utf16().count() == BANK_NAME_MAX_UNITS
        ));
        assert!(
            cards()
                .iter()
                .any(|card| bank(card.into(), Lang::En).encode_utf16().count()
                    == BANK_CODE_MAX_UNITS)
        );
    }

    #[test]
    fn the_life_of_a_code_is_the_policys() {
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
    fn a_push_says_what_its_sms_says_and_where_the_freeze_code_is() {
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
    fn what_was_undone_may_have_left_no_card() {
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
        // The app shows whether there is one.
        assert!(zh.contains("App") && en.contains("app"));
    }

    fn runs(text: &str, is_in: impl Fn(char) -> bool, length: usize) -> Vec<String> {
        text.split(|c| !is_in(c))
            .filter(|run| run.len() >= length)
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn a_code_can_be_told_from_everything_else() {
        for card in cards() {
            each(&card, |sms, id| {
                for &lang in Lang::ALL {
                    let text = render(sms, lang);
                    let has_code = id.starts_with("otp_");
                    let has_freeze_code = matches!(id, "activated" | "standby_ready");
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
    fn no_text_has_a_link_or_what_looks_like_one() {
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
    fn chinese_is_chinese_and_english_is_english() {
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
    fn as_a_merchant_reads_them() {
        let card = card(Some("ICBC"));
        let card = CardLabel::from(&card);
        let code = &Secret::new(CODE.to_owned());
        let freeze_code = &Secret::new(FREEZE_CODE.to_owned());
        let sms = Sms::OtpIdentity { card, code };
        assert_eq!(
            render(&sms, Lang::ZhCn),
            "验证码880088，用于将结算卡更换为中国工商银行(尾号8888)，5分钟内有效。切勿告诉任何人，包括客服。"
        );
        assert_eq!(
            render(&sms, Lang::En),
            "Code 880088 to change payouts to ICBC 8888. 5 min. Tell no one."
        );
        let sms = Sms::Activated {
            card,
            effective_at: at(),
            freeze_code,
        };
        assert_eq!(
            render(&sms, Lang::ZhCn),
            "结算卡已更换为中国工商银行(尾号8888)，12月31日23:59起生效。非本人操作？请在App输入冻结码WXYZ2345。"
        );
        assert_eq!(
            render(&sms, Lang::En),
            "Card ICBC 8888 from 12-31 23:59. Not you? App freeze code: WXYZ2345"
        );
        assert!(!format!("{sms:?}").contains(FREEZE_CODE));
    }

    #[test]
    fn a_long_bank_name_is_cut_and_says_so() {
        assert_eq!(cut("昆仑银行", 4), "昆仑银行");
        assert_eq!(cut("昆仑银行", 3), "昆仑…");
        assert_eq!(cut("𠮷𠮷行", 4), "𠮷…"); // two units each: 2 + 2 would leave no room for the sign
        assert_eq!(bank((&card(Some("KORLABANK"))).into(), Lang::En), "KORLAB…");
        assert_eq!(bank((&card(None)).into(), Lang::ZhCn), "其他银行");
        assert_eq!(bank((&card(None)).into(), Lang::En), "card");
    }
}
