//! The languages that merchants are written to in.

use super::vocabulary::vocabulary;

vocabulary! {
    /// A language, by its BCP 47 tag.
    pub enum Lang {
        /// Simplified Chinese, the default.
        ZhCn = "zh-CN",
        /// English.
        En = "en",
    }
}

impl Default for Lang {
    fn default() -> Self {
        Self::ZhCn
    }
}
