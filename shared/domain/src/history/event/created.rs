//! The facts of the first event of a merchant.

use super::{Data, Member, Nullable};
use crate::ids::CardId;
use crate::onboarding::CreatedBy;
use crate::profile::EntityType;
use crate::settlement::Settlement;
use crate::time::Timestamp;

facts! {
    /// See [`EventKind::MerchantCreated`].
    MerchantCreated {
        /// Who created the merchant.
        by: CreatedBy,
        /// The kind of the merchant.
        entity_type: EntityType,
        /// The active card; null without one.
        card_id: Nullable<CardId>,
        /// The last four digits of that card.
        last4: Nullable<String>,
        /// The card that receives payouts during a hold that was running; null without one.
        old_card_id: Nullable<CardId>,
        /// The end of a hold that was running.
        effective_at: Option<Timestamp>,
        /// The end of a cooldown that was running.
        cooldown_until: Option<Timestamp>,
        /// The settlement settings.
        settings: Settlement,
        /// The number of unsent payouts that came with the merchant.
        unsent_payouts: u64,
    }
}
