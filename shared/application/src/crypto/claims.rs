//! Claims on a card number during a rotation of the card-and-ID key: see `infra/hash-keys.md`.

use super::{HashPurpose, Keys};
use crate::ports::{KeyService, PortError};
use domain::pii::{CardNumber, IdNumber};
use domain::rebind::Mac;
use domain::transition::{FingerprintRule, OtherVersion, Transition};

/// The hashes of one value under both versions of its key.
struct BothVersions {
    current: Mac,
    previous: Mac,
}

impl BothVersions {
    /// The hash under the version that `stored` does not have.
    fn other(self, stored: &Mac) -> Result<Mac, PortError> {
        match stored {
            stored if *stored == self.current => Ok(self.previous),
            stored if *stored == self.previous => Ok(self.current),
            _ => Err(PortError::Permanent(
                "keys",
                "a stored hash does not fit its number".to_owned(),
            )),
        }
    }
}

impl<K: KeyService> Keys<K> {
    /// True if the transition claims a card number during a rotation, so that [`Keys::complete_claim`] has to complete it.
    ///
    /// # Errors
    /// As [`Keys::mac_as`], for a claim with a version that this environment does not have: it would miss holders.
    pub fn has_incomplete_claim(&self, transition: &Transition) -> Result<bool, PortError> {
        let rule = transition.fingerprint.as_ref();
        let Some((fingerprint, person)) = rule.and_then(FingerprintRule::claim) else {
            return Ok(false);
        };
        for (stored, purpose) in [
            (fingerprint, HashPurpose::Card),
            (person, HashPurpose::IdNumber),
        ] {
            self.check_has_version(stored, purpose)?;
        }
        Ok(self.previous_version(HashPurpose::Card)?.is_some())
    }

    /// Extends a claim to the hashes of number and document under both versions. The person is stored under the current one.
    ///
    /// # Errors
    /// When a key cannot be derived. `Permanent` for a number or a document other than the claim's.
    pub async fn complete_claim(
        &self,
        transition: &mut Transition,
        card: &CardNumber,
        document: &IdNumber,
    ) -> Result<(), PortError> {
        let Some(rule) = transition.fingerprint.take() else {
            return Ok(());
        };
        let number = self.both(HashPurpose::Card, &[card.expose()]).await?;
        let parts = super::document_parts(document);
        let person = self.both(HashPurpose::IdNumber, &parts).await?;
        if let (Some((stored, owner)), Some(number), Some(person)) = (rule.claim(), number, person)
        {
            let (current, previous) = (person.current.clone(), person.previous.clone());
            person.other(owner)?;
            transition.other_version = Some(OtherVersion {
                fingerprint: number.other(stored)?,
                person: previous,
            });
            transition.fingerprint = Some(rule.of_person(current));
        } else {
            transition.fingerprint = Some(rule);
        }
        Ok(())
    }

    /// The hashes under both versions. `None` outside a rotation.
    async fn both(
        &self,
        purpose: HashPurpose,
        parts: &[&str],
    ) -> Result<Option<BothVersions>, PortError> {
        let Some(previous) = self.previous_mac(purpose, parts).await? else {
            return Ok(None);
        };
        Ok(Some(BothVersions {
            current: self.mac(purpose, parts).await?,
            previous,
        }))
    }
}
