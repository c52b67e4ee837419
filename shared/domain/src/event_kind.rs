//! The kinds of events in a merchant's history.

use super::vocabulary::vocabulary;

vocabulary! {
    /// The kind of an event. One transition writes one event.
    pub enum EventKind {
        /// A rebind was started.
        RebindRequested = "rebind_requested",
        /// The document matches the registered one; a code was sent to the phone on file.
        IdentityMatched = "identity_matched",
        /// The document does not match the registered one.
        IdentityMismatched = "identity_mismatched",
        /// A further code was sent. The event holds its purpose.
        CodeSent = "code_sent",
        /// Too many wrong codes: the switch to a standby card is locked.
        CodeWrong = "code_wrong",
        /// Several wrong codes were entered within a day, over all rebinds.
        CodeGuessed = "code_guessed",
        /// The code sent to the phone on file was confirmed.
        IdentityConfirmed = "identity_confirmed",
        /// The agreement was signed; the event is the evidence.
        AgreementSigned = "agreement_signed",
        /// The bank answered the card check.
        CardCheckAnswered = "card_check_answered",
        /// A deposit with a code was sent to the new card.
        MicroDepositSent = "micro_deposit_sent",
        /// The bank returned the deposit.
        MicroDepositReturned = "micro_deposit_returned",
        /// The pointer moved to the new card.
        Activated = "activated",
        /// The owner's notification of an activation or a standby card was handed over.
        ChangeNotified = "change_notified",
        /// The hold of an activation is over.
        Completed = "completed",
        /// A standby card is verified.
        StandbyReady = "standby_ready",
        /// A rebind was rejected.
        Rejected = "rejected",
        /// A rebind expired.
        Expired = "expired",
        /// A rebind was cancelled by the merchant.
        Cancelled = "cancelled",
        /// The account was frozen, with a freeze code or by an operator.
        Frozen = "frozen",
        /// Many wrong freeze codes were entered while a freeze code of the account works.
        FreezeCodeGuessed = "freeze_code_guessed",
        /// The account was unfrozen by an operator.
        Unfrozen = "unfrozen",
        /// An operator proposed an unfreeze or a change of contact, which takes a second operator.
        ChangeProposed = "change_proposed",
        /// An operator ended all sessions.
        SessionsEnded = "sessions_ended",
        /// An activation was undone because the test transfer was returned.
        Reverted = "reverted",
        /// A test transfer was started. The event holds its bank reference.
        TestTransferStarted = "test_transfer_started",
        /// The test transfer arrived.
        TestTransferSucceeded = "test_transfer_succeeded",
        /// The test transfer was returned too late to undo the change.
        TestTransferFailed = "test_transfer_failed",
        /// A cooldown is over.
        CooldownEnded = "cooldown_ended",
        /// The merchant unbound a card.
        CardUnbound = "card_unbound",
        /// A card was removed: after its retention period, or by a freeze.
        CardRemoved = "card_removed",
        /// A payout was created and routed, or held.
        PayoutCreated = "payout_created",
        /// A held payout got its card.
        PayoutAssigned = "payout_assigned",
        /// The acquirer's core began to pay a payout.
        PayoutSending = "payout_sending",
        /// The card number of a payout that is being paid was released to the acquirer's core again.
        PayoutReleased = "payout_released",
        /// A payout was handed to the bank.
        PayoutSent = "payout_sent",
        /// The bank returned a payout.
        PayoutReturned = "payout_returned",
        /// New settlement settings were accepted. They take effect later.
        SettlementChanged = "settlement_changed",
        /// Pending settlement settings took effect.
        SettlementApplied = "settlement_applied",
        /// Pending settlement settings were withdrawn, or are no longer permitted.
        SettlementDropped = "settlement_dropped",
        /// Phone, password, name or document was changed by the acquirer. It ends an open rebind.
        SecurityChanged = "security_changed",
        /// The acquirer recorded a later date of the same document.
        DocumentRenewed = "document_renewed",
        /// The acquirer changed the highest daily limit. A limit above it fell to it.
        TierChanged = "tier_changed",
        /// A push target was registered or replaced.
        PushTargetChanged = "push_target_changed",
        /// A push target was removed.
        PushTargetRemoved = "push_target_removed",
        /// The device that registered a push target has refreshed its token.
        PushTargetRefreshed = "push_target_refreshed",
        /// A device logged in for the first time.
        DeviceAdded = "device_added",
        /// The merchant was created. The first event of its history.
        MerchantCreated = "merchant_created",
        /// The acquirer closed the account.
        Closed = "closed",
        /// Two operators decided that one of them may read the merchant's personal data in full.
        Unmasked = "unmasked",
        /// An operator cleared the failed logins of the account.
        LoginsCleared = "logins_cleared",
        /// Two operators erased the merchant's personal data. The last event of its history.
        Erased = "erased",
    }
}
