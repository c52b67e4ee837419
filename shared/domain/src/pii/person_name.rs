//! Names of people, compared in spite of how a keyboard wrote them.

use std::fmt;

use super::half_width;
use crate::mask;
use crate::secret::Secret;

/// U+00B7, which GB 18030 and identity documents put between the parts of a transliterated name.
const MIDDLE_DOT: char = '\u{B7}';

/// The form in which two writings of a name are equal.
///
/// - The middle dot: `·` `•` `・` `．` become U+00B7. So do the half-width `･`, `‧` (what traditional keyboards
///   send), the Greek `·` (U+0387, the same character to Unicode) and the ASCII `.`: `．` is both a middle dot and
///   the full-width `.`, so the two rules together make them all one.
/// - Full-width forms of ASCII and the ideographic space become half-width.
/// - White space around the name is cut off.
///
/// And nothing else. NFC is not needed: Chinese names come from GB 18030, whose characters are composed already,
/// and for the rest a difference means "not equal", which refuses and never lets in. Spaces inside, case and
/// invisible characters count: what is compared is what was written. Characters beyond the BMP pass unchanged.
pub fn fold(name: &str) -> String {
    let name = name.trim().chars();
    name.map(|c| match c {
        '\u{B7}' | '\u{387}' | '\u{2022}' | '\u{2027}' | '\u{30FB}' | '\u{FF65}' | '\u{FF0E}'
        | '.' => MIDDLE_DOT,
        _ => half_width(c),
    })
    .collect()
}

/// A person's name, folded: two writings of one name are equal.
///
/// Any text is a name (people are called what they are called); one that is nobody's equals nobody's.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(Secret<String>);

impl PersonName {
    /// Folds the name.
    pub fn new(name: &str) -> Self {
        Self(Secret::new(fold(name)))
    }

    /// The folded name: what is stored, sent to the bank and compared.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// `张*`, as it is shown.
    pub fn masked(&self) -> String {
        mask::name(self.expose())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.expose().is_empty()
    }
}

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

    #[test]
    fn every_middle_dot_is_one() {
        assert_eq!(fold(NAME), NAME);
        for dot in ['·', '•', '・', '．', '･', '‧', '\u{387}', '.'] {
            let typed = NAME.replace('·', &dot.to_string());
            assert_eq!(fold(&typed), NAME, "{dot}");
            assert!(same_name(&typed, NAME));
        }
        assert!(!same_name("阿依古丽测试", NAME));
        assert!(!same_name("阿依古丽··测试", NAME));
        assert!(!same_name("阿依古丽,测试", NAME));
        assert!(!same_name("阿依古丽。测试", NAME));
    }

    #[test]
    fn full_width_and_space_around() {
        assert!(same_name("ＪＯＨＮ　ＳＭＩＴＨ", "JOHN SMITH"));
        assert!(same_name("\u{3000}测试商户一 \t\n", "测试商户一"));
        assert_eq!(fold("  "), "");
        assert_eq!(fold("．"), "·");
    }

    #[test]
    fn nothing_else() {
        for (a, b) in [
            ("测 试", "测试"),
            ("John", "JOHN"),
            ("测试\u{200B}", "测试"),
            ("\u{202E}测试", "测试"),
            ("测試", "测试"),
            ("测试", "测试一"),
            ("", "测试"),
            // A composed and a decomposed letter.
            ("\u{E9}", "e\u{301}"),
        ] {
            assert!(!same_name(a, b), "{a} {b}");
        }
    }

    #[test]
    fn rare_characters_pass() {
        let rare = "𬱖\u{20BB7}";
        assert_eq!(fold(rare), rare);
        assert_eq!(PersonName::new(rare).masked(), "𬱖*");
    }

    #[test]
    fn a_name_hides_itself() {
        let name = PersonName::new(" 阿依古丽．测试");
        assert_eq!(name.expose(), NAME);
        assert_eq!(name, PersonName::new(NAME));
        assert_ne!(name, PersonName::new("阿依古丽"));
        assert_eq!(name.masked(), "阿*");
        assert_eq!(format!("{name:?}"), "PersonName(***)");
        assert!(!name.is_empty());
        assert!(PersonName::new("\u{3000}").is_empty());
    }

    #[test]
    fn the_sandboxes_names_are_folded_already() {
        let sandbox = sandbox();
        for merchant in sandbox["merchants"].as_array().unwrap() {
            for key in ["legal_name", "settlement_name"] {
                if let Some(name) = merchant[key].as_str() {
                    assert_eq!(fold(name), name);
                }
            }
        }
    }

    proptest! {
        #[test]
        fn folding_twice_is_folding_once(
            name in any::<String>(),
            typed in "[ \u{3000}·•・．.Ａ-Ｚa-z测试！～]{0,12}"
        ) {
            for name in [name, typed] {
                let once = fold(&name);
                prop_assert_eq!(fold(&once), once.clone());
                prop_assert_eq!(PersonName::new(&name), PersonName::new(&once));
            }
        }

        #[test]
        fn names_are_the_same_when_their_foldings_are(a in "[．.·测 ]{0,3}", b in "[．.·测 ]{0,3}") {
            prop_assert_eq!(same_name(&a, &b), fold(&a) == fold(&b));
        }
    }
}
