//! The languages of messages and agreements.

use super::vocabulary::vocabulary;

vocabulary! {
    /// A language, by its BCP 47 tag. Each merchant has one, but can request the agreement in any.
    #[derive(Default)]
    pub enum Lang {
        /// Simplified Chinese, the default.
        #[default]
        ZhCn = "zh-CN",
        /// English.
        En = "en",
    }
}
