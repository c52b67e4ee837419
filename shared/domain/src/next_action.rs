//! The steps that an app can offer to the merchant next.

use super::vocabulary::vocabulary;

vocabulary! {
    /// One thing that an app can offer next: one screen and, where there is one, one endpoint. A list is in the order in
    /// which an app should offer its actions.
    pub enum NextAction {
        /// Start a new rebind.
        NewRebind = "new_rebind",
        /// Enter the ID document.
        Identity = "identity",
        /// Send another code to the phone on file.
        IdentityCode = "identity_code",
        /// Enter the code sent to the phone on file.
        IdentityConfirm = "identity_confirm",
        /// Show the agreement.
        ReadAgreement = "read_agreement",
        /// Sign the agreement that was shown.
        SignAgreement = "sign_agreement",
        /// Have the bank check the new card.
        CardCheck = "card_check",
        /// Send another code to the reserved phone.
        CardCheckCode = "card_check_code",
        /// Enter the code sent to the reserved phone, or the deposit's.
        CardCheckConfirm = "card_check_confirm",
        /// Transfer ¥0.01 to the new card.
        TestTransaction = "test_transaction",
        /// Activate a standby card.
        ActivateStandby = "activate_standby",
        /// Unbind a card that is no longer needed.
        UnbindCard = "unbind_card",
        /// Cancel the rebind.
        Cancel = "cancel",
        /// Undo the change with the freeze code.
        Freeze = "freeze",
        /// Log in (again).
        Login = "login",
        /// Correct the fields in `errors` and send the request again.
        CorrectFields = "correct_fields",
        /// Ask the merchant whether the card number is right, and send the same request with `number_confirmed: true`.
        ConfirmCardNumber = "confirm_card_number",
        /// Send the same request again, at once or after `retry_after_s`.
        Retry = "retry",
        /// Wait for the stated time.
        Wait = "wait",
        /// Only the acquirer's support can help.
        ContactSupport = "contact_support",
    }
}
