//! The texts in `shared/data` as generated constants. A text that is missing in any language fails the build, and a
//! cold start parses nothing.

use super::lang::Lang;

/// One text in every language.
pub(crate) struct Text {
    /// Its name in the file.
    pub(crate) name: &'static str,
    zh_cn: &'static str,
    en: &'static str,
}

impl Text {
    /// The text in one language.
    pub(crate) const fn in_lang(&self, lang: Lang) -> &'static str {
        match lang {
            Lang::ZhCn => self.zh_cn,
            Lang::En => self.en,
        }
    }
}

include!(concat!(env!("OUT_DIR"), "/texts.rs"));
