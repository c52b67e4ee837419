//! What an app can offer the merchant next.

use super::vocabulary::vocabulary;

vocabulary! {
    /// One thing to do next. Each is one screen of an app and, where there is one, one endpoint; a list of them is in
    /// the order in which an app should offer them.
    pub enum NextAction {
        /// Start a new rebind.
        NewRebind = "new_rebind",
        /// Enter the ID document.
        Identity = "identity",
        /// Have a new code sent to the phone on file.
        IdentityCode = "identity_code",
        /// Enter the code sent to the phone on file.
        IdentityConfirm = "identity_confirm",
        /// Show the agreement.
        ReadAgreement = "read_agreement",
        /// Sign the agreement that was shown.
        SignAgreement = "sign_agreement",
        /// Have the bank check the new card.
        CardCheck = "card_check",
        /// Have a new code sent to the reserved phone.
        CardCheckCode = "card_check_code",
        /// Enter the code sent to the reserved phone, or the deposit's.
        CardCheckConfirm = "card_check_confirm",
        /// Have ¥0.01 transferred to the new card.
        TestTransaction = "test_transaction",
        /// Switch to a standby card.
        ActivateStandby = "activate_standby",
        /// Remove a card that is no longer needed.
        UnbindCard = "unbind_card",
        /// Give the rebind up.
        Cancel = "cancel",
        /// Undo the change with the freeze code.
        Freeze = "freeze",
        /// Log in (again).
        Login = "login",
        /// Correct the fields in `errors` and send the request again.
        CorrectFields = "correct_fields",
        /// Send the same request again, at once or after `retry_after_s`.
        Retry = "retry",
        /// Nothing can be done but wait, for the time that is stated.
        Wait = "wait",
        /// Only the acquirer's support can help.
        ContactSupport = "contact_support",
    }
}
