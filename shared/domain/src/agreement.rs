//! The agreement that a merchant signs, with its consents.
//!
//! PIPL articles 28 and 29 require separate consents to the use of sensitive personal information, apart from the
//! agreement and from each other. Changing the card requires all of them.

use sha2::{Digest, Sha256};

use super::lang::Lang;
use super::texts;
use super::vocabulary::vocabulary;

/// The current version, which each signature records. Raise it with every change of a text in `data/agreement`.
pub const VERSION: &str = "2026-11-22";

vocabulary! {
    /// A consent that the merchant gives separately.
    pub enum ConsentId {
        /// Consent to the agreement itself.
        SettlementChange = "settlement_change",
        /// Consent to the use of the card number and the reserved phone.
        SensitiveCard = "sensitive_card",
        /// Consent to the use of the ID document.
        SensitiveIdentity = "sensitive_identity",
    }
}

/// The text of one consent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The id that a signature contains.
    pub id: ConsentId,
    /// One sentence, plain text.
    pub text: String,
}

/// The agreement for one new card, in one language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgreementText {
    /// [`VERSION`].
    pub version: &'static str,
    /// The language.
    pub lang: Lang,
    /// Plain text. The body does not repeat it.
    pub title: &'static str,
    /// The text, in Markdown (headings, numbered lists, bold).
    pub body_markdown: String,
    /// SHA-256 of the UTF-8 bytes of `body_markdown`, 64 lower-case hex digits.
    pub sha256: String,
    /// All required consents, in display order.
    pub consents: Vec<Consent>,
}

const ZH_CN: &str = include_str!("../../data/agreement/zh-CN.md");
const EN: &str = include_str!("../../data/agreement/en.md");

/// The agreement for the card of `bank_name` that ends in `last4`. The same version and arguments always give the same
/// bytes, so the text is not stored: the signed hash proves what was signed.
#[must_use]
pub fn text(lang: Lang, bank_name: &str, last4: &str) -> AgreementText {
    let fill = |text: &str| {
        text.replace("{version}", VERSION)
            .replace("{last4}", last4)
            .replace("{bank_name}", bank_name)
    };
    let (title, body) = title_and_body(lang);
    let body_markdown = fill(body);
    AgreementText {
        version: VERSION,
        lang,
        title,
        sha256: hex::encode(Sha256::digest(body_markdown.as_bytes())),
        body_markdown,
        consents: ConsentId::ALL
            .iter()
            .map(|&id| Consent {
                id,
                text: fill(consent_text(id, lang)),
            })
            .collect(),
    }
}

/// Splits off the title, the first line of the file. The title is returned without its `# `.
fn title_and_body(lang: Lang) -> (&'static str, &'static str) {
    let file = match lang {
        Lang::ZhCn => ZH_CN,
        Lang::En => EN,
    };
    let (heading, body) = file.split_once("\n\n").unwrap_or(("", file));
    (heading.trim_start_matches("# "), body)
}

fn consent_text(id: ConsentId, lang: Lang) -> &'static str {
    let text = match id {
        ConsentId::SettlementChange => texts::consents::SETTLEMENT_CHANGE,
        ConsentId::SensitiveCard => texts::consents::SENSITIVE_CARD,
        ConsentId::SensitiveIdentity => texts::consents::SENSITIVE_IDENTITY,
    };
    text.in_lang(lang)
}

#[cfg(test)]
mod tests {
    use super::super::policy::{DAY_S, HOUR_S, Policy};
    use super::*;

    const CONSENTS: &str = include_str!("../../data/agreement/consents.json");

    /// The digest of all three files as they were when [`VERSION`] was last raised.
    const DIGEST_OF_VERSION: (&str, &str) = (
        "2026-11-22",
        "2ad151cb6b7e34bce197f4767256f008411fa1f0eef77886992dd4706ff40289",
    );

    #[test]
    fn changed_text_requires_new_version() {
        let digest = hex::encode(Sha256::digest([ZH_CN, EN, CONSENTS].concat()));
        assert_eq!(
            (VERSION, digest.as_str()),
            DIGEST_OF_VERSION,
            "a text changed: raise VERSION, then update the version and digest of this test"
        );
    }

    #[test]
    fn text_contains_bank_and_card() {
        for &lang in Lang::ALL {
            let agreement = text(lang, "中国工商银行", "1009");
            assert_eq!((agreement.version, agreement.lang), (VERSION, lang));
            assert!(!agreement.title.is_empty() && !agreement.title.contains('#'));
            for part in ["中国工商银行", "1009", VERSION] {
                assert!(agreement.body_markdown.contains(part), "{lang}: {part}");
            }
            assert!(
                agreement.body_markdown.starts_with("**"),
                "the body must not repeat the title"
            );
            let consents = agreement
                .consents
                .iter()
                .map(|consent| consent.text.as_str());
            for text in consents.chain([agreement.body_markdown.as_str()]) {
                assert!(!text.contains(['{', '}']), "{lang}: {text}");
            }
        }
    }

    #[test]
    fn hash_covers_body_and_card() {
        let agreement = text(Lang::En, "中国银行", "0001");
        assert_eq!(
            agreement.sha256,
            hex::encode(Sha256::digest(agreement.body_markdown.as_bytes()))
        );
        assert_eq!(agreement.sha256.len(), 64);
        assert_eq!(agreement, text(Lang::En, "中国银行", "0001"));
        for other in [
            text(Lang::En, "中国银行", "0002"),
            text(Lang::En, "招商银行", "0001"),
            text(Lang::ZhCn, "中国银行", "0001"),
        ] {
            assert_ne!(agreement.sha256, other.sha256);
        }
        assert_eq!(
            hex::encode(Sha256::digest(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn consents_match_their_file() {
        let file: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(CONSENTS).unwrap();
        assert_eq!(file.len(), ConsentId::ALL.len());
        for &lang in Lang::ALL {
            for &id in ConsentId::ALL {
                assert_eq!(
                    file[id.as_str()][lang.as_str()],
                    consent_text(id, lang),
                    "{id} {lang}"
                );
            }
            let ids: Vec<_> = text(lang, "", "")
                .consents
                .iter()
                .map(|consent| consent.id)
                .collect();
            assert_eq!(ids, ConsentId::ALL);
        }
    }

    /// Both languages have the same sections and the same number of clauses in each.
    #[test]
    fn languages_have_the_same_structure() {
        let shape = |lang| -> Vec<char> {
            title_and_body(lang)
                .1
                .lines()
                .filter_map(|line| line.chars().next())
                .map(|c| if c.is_alphabetic() { 'p' } else { c })
                .collect()
        };
        assert_eq!(shape(Lang::ZhCn), shape(Lang::En));
        let bold = |lang| title_and_body(lang).1.matches("**").count();
        assert_eq!(bold(Lang::ZhCn), bold(Lang::En));
    }

    /// Every period in the text must be a number of the policy, or the text would be a false promise.
    #[test]
    fn periods_match_the_policy() {
        let policy = Policy::CURRENT;
        let hours = |s: i64| {
            assert_eq!(s % HOUR_S, 0);
            format!("{} h", s / HOUR_S)
        };
        let days = |s: i64| {
            assert_eq!(s % DAY_S, 0);
            format!("{} d", s / DAY_S)
        };
        let promised = [
            hours(policy.hold_s),
            hours(policy.hold_deposit_s),
            days(policy.cooldown_s),
            days(policy.cooldown_lost_s),
            days(policy.lost_every_s),
            hours(policy.quiet_period_s),
            days(policy.freeze_after_effective_s),
            days(policy.revert_after_effective_s),
        ];
        for &lang in Lang::ALL {
            assert_eq!(periods(title_and_body(lang).1), promised, "{lang}");
        }
    }

    /// The numbers of a text that have a unit of time, in order.
    fn periods(text: &str) -> Vec<String> {
        const UNITS: [(&str, &str); 4] = [("hour", "h"), ("小时", "h"), ("day", "d"), ("天", "d")];
        let mut found = Vec::new();
        let mut rest = text;
        while let Some(begin) = rest.find(|c: char| c.is_ascii_digit()) {
            let number = &rest[begin..];
            let end = number.find(|c: char| !c.is_ascii_digit());
            let (number, after) = number.split_at(end.unwrap_or(number.len()));
            rest = after;
            let unit = UNITS
                .iter()
                .find(|(word, _)| after.trim_start().starts_with(word));
            found.extend(unit.map(|(_, unit)| format!("{number} {unit}")));
        }
        found
    }
}
