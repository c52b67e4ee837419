//! What can be read in a merchant's history.

use super::vocabulary::vocabulary;

vocabulary! {
    /// What an event says has happened. One transition writes one event.
    pub enum EventKind {
        /// A rebind was asked for.
        RebindRequested = "rebind_requested",
        /// The document that was entered is the registered one; a code went to the phone on file.
        IdentityMatched = "identity_matched",
        /// The document that was entered is not the registered one.
        IdentityMismatched = "identity_mismatched",
        /// A further code was sent; for which purpose is in the event.
        CodeSent = "code_sent",
        /// A code was entered that is not the one that was sent.
        CodeWrong = "code_wrong",
        /// The code to the phone on file was right.
        IdentityConfirmed = "identity_confirmed",
        /// The agreement was signed; the event is the evidence.
        AgreementSigned = "agreement_signed",
        /// The bank answered.
        CardCheckAnswered = "card_check_answered",
        /// A deposit with a code was sent to the new card.
        MicroDepositSent = "micro_deposit_sent",
        /// The bank returned that deposit.
        MicroDepositReturned = "micro_deposit_returned",
        /// The pointer moved to the new card.
        Activated = "activated",
        /// The hold of an activation is over.
        Completed = "completed",
        /// A standby card is verified.
        StandbyReady = "standby_ready",
        /// A rebind was refused for good.
        Rejected = "rejected",
        /// A rebind ran out of time.
        Expired = "expired",
        /// A rebind was given up, by the merchant or because of a security change.
        Cancelled = "cancelled",
        /// The account was frozen with a freeze code.
        Frozen = "frozen",
        /// The account was unfrozen by an operator.
        Unfrozen = "unfrozen",
        /// An activation was undone because the test transfer came back.
        Reverted = "reverted",
        /// A test transfer was sent: the intent, with its serial.
        TestTransferStarted = "test_transfer_started",
        /// The test transfer arrived.
        TestTransferSucceeded = "test_transfer_succeeded",
        /// The test transfer did not arrive, and nothing was undone.
        TestTransferFailed = "test_transfer_failed",
        /// A cooldown is over.
        CooldownEnded = "cooldown_ended",
        /// The merchant took a card off the account.
        CardUnbound = "card_unbound",
        /// A card was taken off the record: replaced long enough ago, or by a freeze.
        CardRemoved = "card_removed",
        /// A payout was created and routed, or held.
        PayoutCreated = "payout_created",
        /// A held payout got its card.
        PayoutAssigned = "payout_assigned",
        /// A payout was handed to the bank.
        PayoutSent = "payout_sent",
        /// The bank returned a payout.
        PayoutReturned = "payout_returned",
        /// Settlement settings were changed.
        SettlementChanged = "settlement_changed",
        /// Phone, password or name was changed by the acquirer.
        SecurityChanged = "security_changed",
        /// A push target was registered or replaced.
        PushTargetChanged = "push_target_changed",
        /// A push target was removed.
        PushTargetRemoved = "push_target_removed",
    }
}
