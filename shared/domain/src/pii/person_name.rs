//! Names of people, compared independently of keyboards, character sets and spelling habits.

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use zeroize::Zeroizing;

use super::private_area;
use super::typed::{Field, fold, is_hyphen, is_invisible};
use crate::mask;
use crate::secret::Secret;

/// U+00B7, the separator between the parts of a transliterated name in GB 18030 and on identity documents.
const MIDDLE_DOT: char = '\u{B7}';

/// The form in which names are compared.
///
/// - The folding of every typed field: blanks and invisible marks are gone, those around a dot too.
/// - Compatibility characters (NFKC), and characters that GB 18030 once had in the private use area.
/// - One form for every dot that is typed for a middle dot, for every apostrophe and for every hyphen.
/// - Letters without case.
///
/// Look-alike characters stay different: 王 is not 玉, and a Cyrillic А is not a Latin A.
pub fn comparable(name: &str) -> Secret<String> {
    let name = fold(Field::Name, name);
    // Repeated, because a compatibility character may contain a dot, a blank or a mark that joins the letter before it.
    let chars = || {
        let unified = name.expose().chars().map(unified).nfkc();
        let caseless = unified
            .flat_map(char::to_lowercase)
            .flat_map(char::to_uppercase)
            .flat_map(char::to_lowercase);
        let visible = caseless.nfkc().map(self::unified);
        visible.filter(|c| !is_invisible(*c)).nfkc()
    };
    // Reserved in full: a growing text would leave copies behind that are not wiped.
    let mut comparable = Zeroizing::new(String::with_capacity(chars().map(char::len_utf8).sum()));
    comparable.extend(chars());
    Secret::new(std::mem::take(&mut *comparable))
}

fn unified(c: char) -> char {
    match c {
        '.' | '\u{B7}' | '\u{2D9}' | '\u{387}' | '\u{16EB}' | '\u{2022}' | '\u{2024}'
        | '\u{2027}' | '\u{2219}' | '\u{22C5}' | '\u{25CF}' | '\u{2981}' | '\u{2E31}'
        | '\u{2E33}' | '\u{3002}' | '\u{30FB}' | '\u{318D}' | '\u{A78F}' | '\u{FE52}'
        | '\u{FF0E}' | '\u{FF61}' | '\u{FF65}' | '\u{10101}' => MIDDLE_DOT,
        '\u{60}'
        | '\u{B4}'
        | '\u{2B9}'
        | '\u{2BB}'..='\u{2BD}'
        | '\u{2C8}'
        | '\u{2018}'..='\u{201B}'
        | '\u{2032}'
        | '\u{2035}'
        | '\u{A78B}'
        | '\u{A78C}' => '\'',
        _ if is_hyphen(c) => '-',
        _ => private_area::standard(c),
    }
}

/// A person's name. It keeps its spelling; two names are equal if their comparable forms are.
///
/// Any text is accepted, because names are only ever compared.
#[derive(Clone)]
pub struct PersonName {
    spelled: Secret<String>,
    comparable: Secret<String>,
}

impl PersonName {
    /// Keeps the spelling.
    pub fn new(name: &str) -> Self {
        Self {
            spelled: Secret::new(name.to_owned()),
            comparable: comparable(name),
        }
    }

    /// The name as it is spelled. The record's spelling is stored and sent to the bank.
    pub fn expose(&self) -> &str {
        self.spelled.expose()
    }

    /// The masked name: `张*`.
    pub fn masked(&self) -> String {
        mask::name(self.expose().trim_start())
    }
}

impl PartialEq for PersonName {
    fn eq(&self, other: &Self) -> bool {
        self.comparable == other.comparable
    }
}

impl Eq for PersonName {}

impl fmt::Debug for PersonName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PersonName(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::sandbox;
    use super::*;
    use proptest::prelude::*;

    const NAME: &str = "阿依古丽·测试";

    fn same_name(a: &str, b: &str) -> bool {
        PersonName::new(a) == PersonName::new(b)
    }

    fn compared(name: &str) -> String {
        comparable(name).expose().clone()
    }

    #[test]
    fn every_dot_is_a_middle_dot() {
        assert_eq!(compared(NAME), NAME);
        for dot in [
            "·",
            "•",
            "・",
            "．",
            "･",
            "‧",
            "\u{387}",
            ".",
            "。",
            "｡",
            "∙",
            "⋅",
            "⸱",
            "●",
            "․",
            "﹒",
            " · ",
            "\u{3000}·\u{A0}",
            ". ",
            "\u{200B}•",
        ] {
            let typed = NAME.replace('·', dot);
            assert_eq!(compared(&typed), NAME, "{dot}");
            assert!(same_name(&typed, NAME));
        }
        assert!(!same_name("阿依古丽测试", NAME));
        assert!(!same_name("阿依古丽··测试", NAME));
        assert!(!same_name("阿依古丽,测试", NAME));
    }

    #[test]
    fn width_blanks_and_invisible_marks_are_folded() {
        assert!(same_name("ＪＯＨＮ　ＳＭＩＴＨ", "JOHN SMITH"));
        assert!(same_name("\u{3000}测试商户一 \t\n", "测试商户一"));
        for typed in [
            "测 试",
            "测\u{3000}试",
            "测试\u{200B}",
            "\u{202E}测试",
            "测试\u{E0100}",
        ] {
            assert!(same_name(typed, "测试"), "{typed:?}");
        }
        assert_eq!(compared("  "), "");
    }

    #[test]
    fn private_and_compatibility_characters_are_equal() {
        for (a, b) in [
            ("测\u{E863}", "测䶮"),
            ("\u{E81E}", "\u{9FB4}"),
            ("\u{E864}", "\u{9FBB}"),
            // A Kangxi radical, and compatibility ideographs.
            ("⽟", "玉"),
            ("\u{F9F4}", "林"),
            ("\u{2F81F}", "㓟"),
            // A composed and a decomposed letter.
            ("\u{E9}", "e\u{301}"),
        ] {
            assert!(same_name(a, b), "{a} {b}");
        }
        // A private code point outside GB 18030 has no meaning that two systems share.
        assert!(!same_name("\u{E000}", "䶮"));
    }

    #[test]
    fn case_apostrophes_and_hyphens_are_folded() {
        for (a, b) in [
            ("John Smith", "JOHN SMITH"),
            ("Ｏ’Ｂｒｉｅｎ", "o'brien"),
            ("O`Brien", "Oʼbrien"),
            ("O´BRIEN", "O′Brien"),
            ("Jean-Luc", "JEAN—LUC"),
            ("Jean‑Luc", "Jean－luc"),
            ("Weiß", "WEISS"),
        ] {
            assert!(same_name(a, b), "{a} {b}");
        }
    }

    #[test]
    fn other_differences_are_significant() {
        for (a, b) in [
            ("测試", "测试"),
            ("测试", "测试一"),
            ("", "测试"),
            ("王", "玉"),
            // A Cyrillic A.
            ("\u{410}nna", "Anna"),
            ("Jose", "José"),
            ("Jean-Luc", "Jean Luc"),
            ("O'Brien", "OBrien"),
        ] {
            assert!(!same_name(a, b), "{a} {b}");
        }
    }

    #[test]
    fn spelling_is_kept() {
        for spelled in [
            "J. O’Brien-Smith",
            "ＡＢＣ",
            "测\u{E863}",
            "𬱖\u{20BB7}",
            "阿依古丽•测试",
        ] {
            assert_eq!(PersonName::new(spelled).expose(), spelled);
        }
        assert_eq!(PersonName::new("𬱖三").masked(), "𬱖*");
        assert_eq!(PersonName::new(" 阿依古丽").masked(), "阿*");
    }

    #[test]
    fn debug_output_hides_the_name() {
        assert_eq!(format!("{:?}", PersonName::new(NAME)), "PersonName(***)");
    }

    #[test]
    fn sandbox_names_differ() {
        let sandbox = sandbox();
        let merchants = sandbox["merchants"].as_array().unwrap();
        let names: std::collections::BTreeSet<String> = merchants
            .iter()
            .map(|merchant| compared(merchant["legal_name"].as_str().unwrap()))
            .collect();
        assert_eq!(names.len(), merchants.len());
    }

    proptest! {
        #[test]
        fn comparison_is_idempotent(
            name in any::<String>(),
            typed in "[ \u{3000}·•・．.。´`'Ａ-Ｚa-z测试！～\u{E863}\u{2026}\u{130}ßΣ\u{344}-]{0,12}"
        ) {
            for name in [name, typed] {
                let once = compared(&name);
                prop_assert_eq!(compared(&once), once.clone(), "{:?}", name);
                prop_assert_eq!(PersonName::new(&name), PersonName::new(&once));
            }
        }

        #[test]
        fn names_are_equal_if_their_comparable_forms_are(a in "[．.·测 ]{0,3}", b in "[．.·测 ]{0,3}") {
            prop_assert_eq!(same_name(&a, &b), compared(&a) == compared(&b));
        }
    }
}
