//! The facts of events about payouts.

use super::{Data, Member, Nullable};
use crate::ids::{CardId, PayoutId};

facts! {
    /// An event about a payout.
    OfPayout {
        /// The payout.
        payout_id: PayoutId,
        /// The amount in fen.
        amount_fen: u64,
        /// The card that receives it; null while the payout is held.
        card_id: Nullable<CardId>,
        /// The last four digits of that card.
        last4: Nullable<String>,
    }

    /// See [`EventKind::PayoutSending`]. Events of the first releases of this system lack the last two facts.
    PayoutSending {
        /// The payout.
        payout_id: PayoutId,
        /// The amount in fen.
        amount_fen: u64,
        /// The card that receives it.
        card_id: Nullable<CardId>,
        /// The last four digits of that card.
        last4: Nullable<String>,
        /// The number of the release, from 1.
        release: Option<u64>,
        /// The thumbprint of the key that the card number is encrypted to.
        key_thumbprint: Option<String>,
    }

    /// See [`EventKind::PayoutReleased`].
    PayoutReleased {
        /// The payout.
        payout_id: PayoutId,
        /// The card that receives it.
        card_id: Nullable<CardId>,
        /// The number of the release, from 2.
        release: u64,
        /// The thumbprint of the key that the card number is encrypted to.
        key_thumbprint: String,
    }
}
