//! The languages that merchants are written to in.

use super::vocabulary::vocabulary;

vocabulary! {
    /// A language, by its BCP 47 tag. A merchant has one; an agreement can be asked for in either.
    pub enum Lang {
        /// Simplified Chinese: what a merchant gets who has chosen nothing.
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
