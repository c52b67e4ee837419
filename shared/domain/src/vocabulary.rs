//! Closed vocabularies of the API.

/// The text is not a word of the vocabulary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a word of this vocabulary")]
pub struct UnknownWord;

/// Declares a closed vocabulary from one list: the enum, `ALL` and the conversions from and to the wire name. One list
/// keeps them consistent.
#[macro_export]
macro_rules! vocabulary {
    (
        $(#[doc = $enum_doc:literal])*
        pub enum $name:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $wire:literal,)+
        }
    ) => {
        $(#[doc = $enum_doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $doc])* $variant,)+
        }

        impl $name {
            /// All words in the order of declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The wire name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $wire,)+
                }
            }

            /// The value with exactly this wire name.
            #[must_use]
            pub fn parse(wire: &str) -> Option<Self> {
                match wire {
                    $($wire => Some(Self::$variant),)+
                    _ => None,
                }
            }
        }

        #[cfg(feature = "schema")]
        impl $name {
            /// The lines of each word's documentation, in the order of declaration.
            pub const DOCS: &'static [(&'static str, &'static [&'static str])] =
                &[$(($wire, &[$($doc),*])),+];
        }

        #[cfg(feature = "schema")]
        impl $crate::vocabulary::schema::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(
                _: &mut $crate::vocabulary::schema::SchemaGenerator,
            ) -> $crate::vocabulary::schema::Schema {
                $crate::vocabulary::schema::of_words(
                    &[$($enum_doc),*],
                    Self::DOCS,
                )
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::vocabulary::UnknownWord;

            fn from_str(wire: &str) -> Result<Self, Self::Err> {
                Self::parse(wire).ok_or($crate::vocabulary::UnknownWord)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let wire = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
                wire.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub use vocabulary;

/// The vocabularies in the API description.
#[cfg(feature = "schema")]
pub mod schema {
    pub use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

    /// A closed list of words, each with its documentation.
    #[must_use]
    pub fn of_words(doc: &[&str], words: &[(&str, &[&str])]) -> Schema {
        let text = |lines: &[&str]| {
            let lines = lines.iter().map(|line| line.trim());
            lines.collect::<Vec<_>>().join(" ")
        };
        let list = words.iter();
        let list = list.map(|(word, doc)| format!("- `{word}`: {}", text(doc)));
        let description = format!("{}\n\n{}", text(doc), list.collect::<Vec<_>>().join("\n"));
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        json_schema!({ "type": "string", "description": description, "enum": words })
    }
}

#[cfg(test)]
mod tests {
    use super::UnknownWord;
    use crate::banner_code::BannerCode;
    use crate::card::{BankCardType, CardStatus, CardType};
    use crate::error_code::ErrorCode;
    use crate::event_kind::EventKind;
    use crate::lang::Lang;
    use crate::merchant::EntityType;
    use crate::next_action::NextAction;
    use crate::payout::PayoutState;
    use crate::rebind::{End, OtpPurpose, Purpose, Reason};

    macro_rules! round_trip {
        ($type:ty, $is_word:expr) => {
            let mut seen = std::collections::HashSet::new();
            for &value in <$type>::ALL {
                let wire = value.as_str();
                assert!(seen.insert(wire), "duplicate: {wire}");
                assert!(wire.bytes().all($is_word), "{wire}");
                assert_eq!(wire.parse(), Ok(value));
                assert_eq!(value.to_string(), wire);
                let json = serde_json::to_string(&value).unwrap();
                assert_eq!(json, format!("\"{wire}\""));
                assert_eq!(serde_json::from_str::<$type>(&json).unwrap(), value);
                assert_eq!(format!("{wire} ").parse::<$type>(), Err(UnknownWord));
            }
            assert_eq!(<$type>::parse(""), None);
            assert!(serde_json::from_str::<$type>("\"nothing\"").is_err());
            assert!(serde_json::from_str::<$type>("1").is_err());
        };
    }

    #[test]
    fn every_word_round_trips() {
        let screaming = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let snake = |b: u8| b.is_ascii_lowercase() || b == b'_';
        round_trip!(ErrorCode, screaming);
        round_trip!(BannerCode, screaming);
        round_trip!(EventKind, snake);
        round_trip!(NextAction, snake);
        round_trip!(BankCardType, snake);
        round_trip!(CardStatus, snake);
        round_trip!(CardType, snake);
        round_trip!(End, snake);
        round_trip!(EntityType, snake);
        round_trip!(OtpPurpose, snake);
        round_trip!(PayoutState, snake);
        round_trip!(Purpose, snake);
        round_trip!(Reason, snake);
        round_trip!(Lang, |b: u8| b.is_ascii_alphabetic() || b == b'-');
    }
}
