//! The languages of messages and agreements.

use super::vocabulary::vocabulary;

vocabulary! {
    /// A language, by its BCP 47 tag. Messages use the default; the agreement can be requested in either.
    pub enum Lang {
        /// Simplified Chinese, the default.
        ZhCn = "zh-CN",
        /// English.
        En = "en",
    }
}

#[expect(clippy::derivable_impls, reason = "`vocabulary!` takes no derive")]
impl Default for Lang {
    fn default() -> Self {
        Self::ZhCn
    }
}
