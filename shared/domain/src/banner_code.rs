//! The codes of the banners at login. The API description replaces the name in braces by a number.

use super::vocabulary::vocabulary;

vocabulary! {
    /// The kind of a notice in the reply to a login. A notice informs and blocks nothing by itself.
    pub enum BannerCode {
        /// The registered ID document expires within {id_banner_days} days.
        IdExpiring = "ID_EXPIRING",
        /// The registered ID document has expired: no rebind until it is renewed. Payouts continue.
        IdExpired = "ID_EXPIRED",
    }
}
