//! The purposes of keyed hashes.

/// The purpose of a keyed hash. Two purposes never share a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HashPurpose {
    /// Account names at login.
    Account,
    /// Device ids at login.
    Device,
    /// Source addresses at login.
    Source,
    /// Phones, to count OTPs.
    Phone,
    /// Card numbers, to find duplicates.
    Card,
    /// ID numbers, to compare.
    IdNumber,
    /// OTPs.
    Code,
    /// Idempotency keys and bodies.
    Idempotency,
    /// Reading tokens of the agreement.
    Reading,
    /// Freeze codes.
    Freeze,
    /// Codes of micro-deposits.
    Deposit,
    /// Push tokens, to distinguish them.
    Push,
}

impl HashPurpose {
    /// All purposes.
    pub const ALL: [Self; 12] = [
        Self::Account,
        Self::Device,
        Self::Source,
        Self::Phone,
        Self::Card,
        Self::IdNumber,
        Self::Code,
        Self::Idempotency,
        Self::Reading,
        Self::Freeze,
        Self::Deposit,
        Self::Push,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Account => "account/v1",
            Self::Device => "device/v1",
            Self::Source => "source/v1",
            Self::Phone => "phone/v1",
            Self::Card => "card/v1",
            Self::IdNumber => "id-number/v1",
            Self::Code => "code/v1",
            Self::Idempotency => "idempotency/v1",
            Self::Reading => "reading/v1",
            Self::Freeze => "freeze/v1",
            Self::Deposit => "deposit/v1",
            Self::Push => "push/v1",
        }
    }
}
