//! The stored forms of values, and their conversion back.

use crate::item::broken;
use application::ports::PortError;
use domain::card::CardType;
use domain::error_code::ErrorCode;
use domain::format::DocumentExpiry;
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::merchant::EntityType;
use domain::payout::PayoutState;
use domain::pii::{DocumentType, PersonName, Phone};
use domain::rebind::{End, Mac, Purpose, Reason, SessionTag};
use domain::settlement::{Cycle, PayoutTime};
use domain::time::Timestamp;

/// The stored form of a domain value.
pub(super) trait Stored<D>: Sized {
    /// Converts to the stored form.
    fn of(value: &D) -> Self;
    /// Converts back.
    ///
    /// # Errors
    /// `Permanent`, for a value that this code did not store.
    fn back(self) -> Result<D, PortError>;
}

/// Declares the stored form of a struct: fields have the domain's names, attributes the stored ones.
///
/// Each field of the domain type is listed, or named after `but` if it is stored elsewhere. A forgotten field does not
/// compile.
macro_rules! stored {
    (
        $(#[$doc:meta])*
        struct $record:ident of $domain:ident {
            $($(#[$meta:meta])* $field:ident: $type:ty,)+
        }
        $(but { $($other:ident: $default:expr,)+ })?
    ) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize)]
        pub(super) struct $record {
            $($(#[$meta])* $field: $type,)+
        }

        impl crate::records::stored::Stored<$domain> for $record {
            fn of(value: &$domain) -> Self {
                // "Inaccessible fields" here: a field of the domain type is missing in the record; list it, or add it to `but`.
                let $domain { $($field,)+ $($($other: _,)+)? } = value;
                Self {
                    $($field: crate::records::stored::Stored::of($field),)+
                }
            }

            fn back(self) -> Result<$domain, application::ports::PortError> {
                Ok($domain {
                    $($field: crate::records::stored::Stored::back(self.$field)?,)+
                    $($($other: $default,)+)?
                })
            }
        }
    };
}
pub(super) use stored;

/// The same for an enum: variants with fields, then after `;` variants with one value.
macro_rules! stored_enum {
    (
        $(#[$doc:meta])*
        enum $record:ident of $domain:ident {
            $($variant:ident { $($(#[$meta:meta])* $field:ident: $type:ty,)+ })+
            $(; $($newtype:ident($inner:ty))+)?
        }
    ) => {
        $(#[$doc])*
        #[derive(serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub(super) enum $record {
            $($variant { $($(#[$meta])* $field: $type,)+ },)+
            $($($newtype($inner),)+)?
        }

        impl crate::records::stored::Stored<$domain> for $record {
            fn of(value: &$domain) -> Self {
                match value {
                    $($domain::$variant { $($field,)+ } => Self::$variant {
                        $($field: crate::records::stored::Stored::of($field),)+
                    },)+
                    $($($domain::$newtype(value) => {
                        Self::$newtype(crate::records::stored::Stored::of(value))
                    })+)?
                }
            }

            fn back(self) -> Result<$domain, application::ports::PortError> {
                Ok(match self {
                    $(Self::$variant { $($field,)+ } => $domain::$variant {
                        $($field: crate::records::stored::Stored::back($field)?,)+
                    },)+
                    $($(Self::$newtype(value) => {
                        $domain::$newtype(crate::records::stored::Stored::back(value)?)
                    })+)?
                })
            }
        }
    };
}
pub(super) use stored_enum;

/// Values that are stored unchanged. The words of a vocabulary are stored names, so they must not change.
macro_rules! as_it_is {
    ($($type:ty),+) => {$(
        impl Stored<$type> for $type {
            fn of(value: &$type) -> Self {
                value.clone()
            }

            fn back(self) -> Result<$type, PortError> {
                Ok(self)
            }
        }
    )+};
}
as_it_is!(bool, u8, u16, u32, u64, String);
as_it_is!(
    CardType,
    Cycle,
    DocumentType,
    End,
    EntityType,
    ErrorCode,
    PayoutState,
    Purpose,
    Reason
);

/// Texts that are parsed on reading.
macro_rules! as_text {
    ($($type:ty: |$value:ident| $text:expr, $parse:expr;)+) => {$(
        impl Stored<$type> for String {
            fn of($value: &$type) -> Self {
                $text.into()
            }

            fn back(self) -> Result<$type, PortError> {
                let parse: fn(&str) -> Option<$type> = $parse;
                parse(&self).ok_or_else(|| broken(stringify!($type)))
            }
        }
    )+};
}
as_text! {
    CardId: |id| id.as_str(), CardId::parse;
    MerchantId: |id| id.as_str(), MerchantId::parse;
    PayoutId: |id| id.as_str(), PayoutId::parse;
    RebindId: |id| id.as_str(), RebindId::parse;
    Mac: |mac| mac.0.as_str(), |text| Some(Mac(text.to_owned()));
    SessionTag: |tag| tag.0.as_str(), |text| Some(SessionTag(text.to_owned()));
    Phone: |phone| phone.e164(), |text| Phone::parse(text).ok();
    PersonName: |name| name.expose(), |text| Some(PersonName::new(text));
    DocumentExpiry: |expiry| expiry.to_text(), |text| DocumentExpiry::parse(text).ok();
    PayoutTime: |time| time.to_string(), PayoutTime::parse;
}

/// Epoch seconds.
impl Stored<Timestamp> for i64 {
    fn of(value: &Timestamp) -> Self {
        value.epoch_s()
    }

    fn back(self) -> Result<Timestamp, PortError> {
        Ok(Timestamp::from_epoch_s(self))
    }
}

impl<D, S: Stored<D>> Stored<Option<D>> for Option<S> {
    fn of(value: &Option<D>) -> Self {
        value.as_ref().map(S::of)
    }

    fn back(self) -> Result<Option<D>, PortError> {
        self.map(S::back).transpose()
    }
}

impl<D, S: Stored<D>> Stored<Vec<D>> for Vec<S> {
    fn of(values: &Vec<D>) -> Self {
        values.iter().map(S::of).collect()
    }

    fn back(self) -> Result<Vec<D>, PortError> {
        self.into_iter().map(S::back).collect()
    }
}
