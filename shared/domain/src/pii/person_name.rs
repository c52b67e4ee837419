//! Names of people, compared independently of keyboard variants.

use std::fmt;

use super::typed::half_width;
use crate::mask;
use crate::secret::Secret;

/// U+00B7, the separator between the parts of a transliterated name in GB 18030 and on identity documents.
const MIDDLE_DOT: char = '\u{B7}';

/// Normalizes a name for comparison.
///
/// - The middle dots `·` `•` `・` `．` become U+00B7. So do the half-width `･`, `‧` (from traditional keyboards), the
///   Greek `·` (U+0387, canonically equivalent to U+00B7) and the ASCII `.`, because `．` is also the full-width `.`.
/// - Full-width ASCII and the ideographic space become half-width.
/// - Surrounding white space is trimmed.
///
/// Nothing else changes; inner spaces, case and invisible characters remain significant. NFC is not needed: Chinese names
/// come from GB 18030, whose characters are composed. For other names a different composition means "not equal", which
/// only ever refuses. Characters outside the BMP are unchanged.
pub fn fold(name: &str) -> String {
    let name = name.trim().chars();
    name.map(|c| match c {
        '\u{B7}' | '\u{387}' | '\u{2022}' | '\u{2027}' | '\u{30FB}' | '\u{FF65}' | '\u{FF0E}'
        | '.' => MIDDLE_DOT,
        _ => half_width(c),
    })
    .collect()
}

/// A person's name, folded, so that variants of one name are equal.
///
/// Any text is accepted, because names are only ever compared.
#[derive(Clone, PartialEq, Eq)]
pub struct PersonName(Secret<String>);

impl PersonName {
    /// Folds the name.
    pub fn new(name: &str) -> Self {
        Self(Secret::new(fold(name)))
    }

    /// The folded name, which is stored, compared and sent to the bank.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }

    /// The masked name: `张*`.
    pub fn masked(&self) -> String {
        mask::name(self.expose())
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
    fn all_middle_dots_are_equal() {
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
    fn width_and_surrounding_space_are_folded() {
        assert!(same_name("ＪＯＨＮ　ＳＭＩＴＨ", "JOHN SMITH"));
        assert!(same_name("\u{3000}测试商户一 \t\n", "测试商户一"));
        assert_eq!(fold("  "), "");
        assert_eq!(fold("．"), "·");
    }

    #[test]
    fn other_differences_are_significant() {
        for (a, b) in [
            ("测 试", "测试"),
            ("John", "JOHN"),
            ("测试\u{200B}", "测试"),
            ("\u{202E}测试", "测试"),
            ("测試", "测试"),
            ("测试", "测试一"),
            ("", "测试"),
            // A composed and a decomposed letter differ.
            ("\u{E9}", "e\u{301}"),
        ] {
            assert!(!same_name(a, b), "{a} {b}");
        }
    }

    #[test]
    fn rare_characters_are_unchanged() {
        let rare = "𬱖\u{20BB7}";
        assert_eq!(fold(rare), rare);
        assert_eq!(PersonName::new(rare).masked(), "𬱖*");
    }

    #[test]
    fn debug_output_hides_the_name() {
        let name = PersonName::new(" 阿依古丽．测试");
        assert_eq!(name.expose(), NAME);
        assert_eq!(name, PersonName::new(NAME));
        assert_ne!(name, PersonName::new("阿依古丽"));
        assert_eq!(name.masked(), "阿*");
        assert_eq!(format!("{name:?}"), "PersonName(***)");
        assert_eq!(PersonName::new("\u{3000}").expose(), "");
    }

    #[test]
    fn sandbox_names_are_folded() {
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
        fn folding_is_idempotent(
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
        fn names_are_equal_if_their_folded_forms_are(a in "[．.·测 ]{0,3}", b in "[．.·测 ]{0,3}") {
            prop_assert_eq!(same_name(&a, &b), fold(&a) == fold(&b));
        }
    }
}
