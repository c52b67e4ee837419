//! Masking of names and phones (contract, section 1). All masking is in this module.

/// The first character and one star, for any length: `阿依古丽·测试` becomes `阿*`.
pub fn name(name: &str) -> String {
    name.chars().take(1).chain(['*']).collect()
}

/// The first three and the last four digits of a national mobile number: `139****0001`. Hides the whole text unless it
/// has eleven ASCII characters.
pub fn phone(national: &str) -> String {
    const STARS: &str = "****";
    if national.len() != 11 || !national.is_ascii() {
        return STARS.to_owned();
    }
    [&national[..3], STARS, &national[7..]].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn masks_match_the_contract() {
        assert_eq!(name("张三"), "张*");
        assert_eq!(name("阿依古丽·测试"), "阿*");
        assert_eq!(name("𬱖三"), "𬱖*");
        assert_eq!(name(""), "*");
        assert_eq!(phone("13900000001"), "139****0001");
    }

    #[test]
    fn malformed_phone_is_hidden_completely() {
        for text in [
            "",
            "1390000000",
            "139000000011",
            "+8613900000001",
            "测试测a1",
        ] {
            assert_eq!(phone(text), "****", "{text}");
        }
    }

    proptest! {
        #[test]
        fn name_shows_one_character(text: String) {
            let masked = name(&text);
            prop_assert!(masked.ends_with('*'));
            prop_assert_eq!(masked.chars().count(), 1 + text.chars().take(1).count());
            prop_assert_eq!(masked.chars().next(), text.chars().chain(['*']).next());
        }

        /// Two names or phones with the same visible characters have the same mask.
        #[test]
        fn mask_does_not_depend_on_hidden_characters(
            first: char, a: String, b: String,
            head in "1[3-9][0-9]", tail in "[0-9]{4}", x in "[0-9]{4}", y in "[0-9]{4}",
        ) {
            prop_assert_eq!(name(&format!("{first}{a}")), name(&format!("{first}{b}")));
            let one = phone(&format!("{head}{x}{tail}"));
            prop_assert_eq!(&one, &phone(&format!("{head}{y}{tail}")));
            prop_assert_eq!(one.bytes().filter(u8::is_ascii_digit).count(), 7);
        }

        #[test]
        fn phone_shows_at_most_seven_characters(text: String) {
            prop_assert!(phone(&text).chars().filter(|c| *c != '*').count() <= 7);
        }
    }
}
