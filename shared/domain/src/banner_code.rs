//! The codes of the banners at login.

use super::vocabulary::vocabulary;

vocabulary! {
    /// The kind of a notice in the reply to a login. A notice informs and blocks nothing by itself.
    pub enum BannerCode {
        /// The registered ID document expires within 90 days.
        IdExpiring = "ID_EXPIRING",
        /// The registered ID document has expired: no rebind until it is renewed. Payouts continue.
        IdExpired = "ID_EXPIRED",
    }
}
