//! Bodies of which every mistake is reported at once. A member accepts any JSON, and keeps whether it has the wanted type; an
//! object keeps its unknown and repeated members.

use domain::onboarding::{Fault, Faults};
use domain::secret::Secret;
use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;
use std::marker::PhantomData;

/// Entries of a list that are kept. No list may be longer; the check of its length sees one entry more.
const LIST_MAX: usize = 100;

/// A member as it was sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Sent<T> {
    /// Absent or null.
    #[default]
    Absent,
    /// Of another JSON type.
    WrongType,
    /// Of the wanted type.
    Is(T),
}

impl<T> Sent<T> {
    /// The value of an optional member. Adds a fault for another type.
    pub fn optional(&self, field: &str, faults: &mut Faults) -> Option<&T> {
        match self {
            Self::Absent => None,
            Self::WrongType => {
                faults.add(field, Fault::WrongType);
                None
            }
            Self::Is(value) => Some(value),
        }
    }

    /// The value of a required member. Adds a fault if it is absent, too.
    pub fn required(&self, field: &str, faults: &mut Faults) -> Option<&T> {
        if matches!(self, Self::Absent) {
            faults.add(field, Fault::Missing);
        }
        self.optional(field, faults)
    }
}

/// A value that a member can have: each from one JSON type.
pub(super) trait Shape<'de>: Sized {
    fn from_text(_: &str) -> Option<Self> {
        None
    }

    fn from_integer(_: i64) -> Option<Self> {
        None
    }

    fn from_object<A: MapAccess<'de>>(mut object: A) -> Result<Option<Self>, A::Error> {
        while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(None)
    }
}

impl Shape<'_> for String {
    fn from_text(text: &str) -> Option<Self> {
        Some(text.to_owned())
    }
}

impl Shape<'_> for Secret<String> {
    fn from_text(text: &str) -> Option<Self> {
        Some(Self::new(text.to_owned()))
    }
}

impl Shape<'_> for i64 {
    fn from_integer(number: i64) -> Option<Self> {
        Some(number)
    }
}

impl<'de, T: Shape<'de>> Shape<'de> for Vec<Sent<T>> {
    fn from_list<A: SeqAccess<'de>>(mut list: A) -> Result<Option<Self>, A::Error> {
        let mut entries = Self::new();
        while entries.len() < LIST_MAX {
            match list.next_element()? {
                Some(entry) => entries.push(entry),
                None => return Ok(Some(entries)),
            }
        }
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Some(entries))
    }
}

impl<'de, T: Shape<'de>> Deserialize<'de> for Sent<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SentVisitor(PhantomData))
    }
}

struct SentVisitor<T>(PhantomData<T>);

impl<'de, T: Shape<'de>> Visitor<'de> for SentVisitor<T> {
    type Value = Sent<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON")
    }

    fn visit_unit<E: Error>(self) -> Result<Sent<T>, E> {
        Ok(Sent::Absent)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Sent<T>, E> {
        Ok(Sent::WrongType)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Sent<T>, E> {
        Ok(Sent::WrongType)
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Sent<T>, E> {
        Ok(sent(T::from_integer(number)))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Sent<T>, E> {
        Ok(sent(i64::try_from(number).ok().and_then(T::from_integer)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Sent<T>, E> {
        Ok(sent(T::from_text(text)))
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<Sent<T>, A::Error> {
        T::from_object(object).map(sent)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Sent<T>, A::Error> {
        T::from_list(list).map(sent)
    }
}

fn sent<T>(value: Option<T>) -> Sent<T> {
    value.map_or(Sent::WrongType, Sent::Is)
}

/// The unknown and the repeated members of an object. A name may be a value that was misplaced, so `Debug` hides it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Strays(Vec<(String, Fault)>);

impl Strays {
    /// Names that are reported. A longer list says the same.
    const KEPT_MAX: usize = 20;

    pub(super) fn add(&mut self, name: &str, fault: Fault) {
        if self.0.len() < Self::KEPT_MAX {
            self.0.push((shown(name), fault));
        }
    }

    /// Adds the faults of the object at `path`; empty for the whole body.
    pub fn report(&self, path: &str, faults: &mut Faults) {
        for (name, fault) in &self.0 {
            let separator = if path.is_empty() { "" } else { "." };
            faults.add(format!("{path}{separator}{name}"), *fault);
        }
    }
}

impl fmt::Debug for Strays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Strays({})", self.0.len())
    }
}

/// A member's name, unless it could be a value.
fn shown(name: &str) -> String {
    const CHARS_MAX: usize = 32;
    let is_name = (1..=CHARS_MAX).contains(&name.len())
        && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    if is_name { name } else { "?" }.to_owned()
}

/// Declares a body or a part of it. Each member is a [`Sent`]; `as` gives a member another name in JSON.
macro_rules! body {
    ($($(#[$doc:meta])* $name:ident {
        $($(#[$meta:meta])* $field:ident $(as $wire:literal)?: $type:ty,)+
    })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[cfg_attr(
            feature = "schema",
            derive(schemars::JsonSchema),
            schemars(deny_unknown_fields)
        )]
        pub struct $name {
            $($(#[$meta])* pub $field: crate::operator::Sent<$type>,)+
            /// Unknown and repeated members.
            #[cfg_attr(feature = "schema", schemars(skip))]
            pub strays: crate::operator::Strays,
        }

        impl<'de> crate::operator::sent::Shape<'de> for $name {
            fn from_object<A: serde::de::MapAccess<'de>>(
                mut object: A,
            ) -> Result<Option<Self>, A::Error> {
                let mut body = Self::default();
                let mut seen: Vec<&'static str> = Vec::new();
                while let Some(name) = object.next_key::<String>()? {
                    $(
                        if name == crate::operator::sent::wire!($field $($wire)?) {
                            if seen.contains(&stringify!($field)) {
                                object.next_value::<serde::de::IgnoredAny>()?;
                                body.strays.add(&name, domain::onboarding::Fault::RepeatedMember);
                            } else {
                                seen.push(stringify!($field));
                                body.$field = object.next_value()?;
                            }
                            continue;
                        }
                    )+
                    object.next_value::<serde::de::IgnoredAny>()?;
                    body.strays.add(&name, domain::onboarding::Fault::UnknownMember);
                }
                Ok(Some(body))
            }
        }
    )+};
}
pub(super) use body;

/// The name of a member in JSON.
macro_rules! wire {
    ($field:ident) => {
        stringify!($field)
    };
    ($field:ident $wire:literal) => {
        $wire
    };
}
pub(super) use wire;
