//! What an app can offer the merchant next.

use super::vocabulary::vocabulary;

vocabulary! {
    /// One thing to do next. Each is one screen of an app and, where there is one, one endpoint; a list of them is in
    /// the order in which an app should offer them.
    pub enum NextAction {
        /// Start a new rebind: `POST /v1/rebinds`.
        NewRebind = "new_rebind",
        /// Enter the ID document: `POST …/identity`.
        Identity = "identity",
        /// Have a new code sent to the phone on file: `POST …/identity/code`.
        IdentityCode = "identity_code",
        /// Enter the code sent to the phone on file: `POST …/identity/confirm`.
        IdentityConfirm = "identity_confirm",
        /// Show the agreement: `GET …/agreement`.
        ReadAgreement = "read_agreement",
        /// Sign the agreement that was shown: `POST …/agreement`.
        SignAgreement = "sign_agreement",
        /// Have the bank check the new card: `POST …/card-check`.
        CardCheck = "card_check",
        /// Have a new code sent to the reserved phone: `POST …/card-check/code`.
        CardCheckCode = "card_check_code",
        /// Enter the code sent to the reserved phone, or the deposit's: `POST …/card-check/confirm`.
        CardCheckConfirm = "card_check_confirm",
        /// Have ¥0.01 transferred to the new card: `POST …/test-transaction`.
        TestTransaction = "test_transaction",
        /// Switch to a standby card: `POST /v1/cards/{card_id}/activate`.
        ActivateStandby = "activate_standby",
        /// Remove a card that is no longer needed: `POST /v1/cards/{card_id}/unbind`.
        UnbindCard = "unbind_card",
        /// Give the rebind up: `POST …/cancel`.
        Cancel = "cancel",
        /// Undo the change with the freeze code: `POST /v1/freezes`.
        Freeze = "freeze",
        /// Log in (again): `POST /v1/sessions`.
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
