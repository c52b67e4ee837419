//! Codes that are derived from a keyed hash when they are sent, and never stored: freeze codes and the codes of
//! micro-deposits.

use super::{HashPurpose, Keys};
use crate::ports::{KeyService, PortError};
use domain::pii::typed::{Field, fold};
use domain::secret::Secret;

/// Alphabet for hand-typed codes, without look-alike characters.
const CODE_ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";

/// Characters of a freeze code.
pub const FREEZE_CODE_CHARS: usize = 8;
/// Characters of a micro-deposit's code.
pub const DEPOSIT_CODE_CHARS: usize = 6;

/// Folds a typed freeze or deposit code. `None` if the result is not a valid code of this length.
#[must_use]
pub fn typed_code(typed: &str, characters: usize) -> Option<Secret<String>> {
    let code = fold(Field::Code, typed);
    let text = code.expose();
    let fits = text.len() == characters && text.bytes().all(|b| CODE_ALPHABET.contains(&b));
    fits.then_some(code)
}

impl<K: KeyService> Keys<K> {
    /// The freeze code that a merchant's event with this sequence number announced: eight characters, derived again on each
    /// use and never stored.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn freeze_code(&self, merchant: &str, seq: u64) -> Result<Secret<String>, PortError> {
        let parts = freeze_parts(merchant, seq);
        let parts = parts.each_ref().map(String::as_str);
        self.derived_code(HashPurpose::Freeze, &parts, FREEZE_CODE_CHARS)
            .await
    }

    /// Compares `typed` with a merchant's freeze code. During a rotation, the code under the previous key is right as well.
    ///
    /// # Errors
    /// When a key cannot be derived.
    pub async fn is_freeze_code(
        &self,
        typed: &Secret<String>,
        merchant: &str,
        seq: u64,
    ) -> Result<bool, PortError> {
        let parts = freeze_parts(merchant, seq);
        let parts = parts.each_ref().map(String::as_str);
        self.is_derived_code(typed, HashPurpose::Freeze, &parts, FREEZE_CODE_CHARS)
            .await
    }

    /// Compares `typed` with the code of a micro-deposit, as [`Keys::is_freeze_code`].
    ///
    /// # Errors
    /// When a key cannot be derived.
    pub async fn is_deposit_code(
        &self,
        typed: &Secret<String>,
        merchant: &str,
        serial: &str,
    ) -> Result<bool, PortError> {
        let parts = [merchant, serial];
        self.is_derived_code(typed, HashPurpose::Deposit, &parts, DEPOSIT_CODE_CHARS)
            .await
    }

    async fn is_derived_code(
        &self,
        typed: &Secret<String>,
        purpose: HashPurpose,
        parts: &[&str],
        characters: usize,
    ) -> Result<bool, PortError> {
        let mut is_right = *typed == self.derived_code(purpose, parts, characters).await?;
        if let Some(version) = self.previous_version(purpose)? {
            let previous = self.mac_bytes_in(version, purpose, parts).await?;
            is_right |= *typed == code_of(&previous, characters);
        }
        Ok(is_right)
    }

    /// The six-character code of a micro-deposit. It is derived from the bank reference, so that a transfer whose
    /// answer was lost is repeated with the same descriptor. It is unpredictable, because the reference contains 80
    /// random bits and the key is secret.
    ///
    /// # Errors
    /// When the key cannot be derived.
    pub async fn deposit_code(
        &self,
        merchant: &str,
        serial: &str,
    ) -> Result<Secret<String>, PortError> {
        self.derived_code(
            HashPurpose::Deposit,
            &[merchant, serial],
            DEPOSIT_CODE_CHARS,
        )
        .await
    }

    async fn derived_code(
        &self,
        purpose: HashPurpose,
        parts: &[&str],
        characters: usize,
    ) -> Result<Secret<String>, PortError> {
        let bytes = self.mac_bytes(purpose, parts).await?;
        Ok(code_of(&bytes, characters))
    }
}

/// What a freeze code is derived from.
fn freeze_parts(merchant: &str, seq: u64) -> [String; 2] {
    [merchant.to_owned(), seq.to_string()]
}

fn code_of(bytes: &[u8], characters: usize) -> Secret<String> {
    let code = bytes
        .iter()
        .take(characters)
        .map(|byte| char::from(CODE_ALPHABET[usize::from(byte & 31)]))
        .collect();
    Secret::new(code)
}
