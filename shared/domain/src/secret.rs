//! A wrapper for values that must never be printed or logged.

use serde::{Deserialize, Deserializer};
use std::fmt;
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// A value that is wiped from memory on drop, prints as `***`, and is only accessible through [`Secret::expose`].
///
/// It deliberately has no `Serialize` and no `Display`: code that writes out a secret must call `expose`, which a reviewer
/// can search for. It has `Deserialize` because requests contain secrets. The crate `secrecy` lacks the constant-time
/// comparison.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps the value. Copies that the caller keeps are not wiped.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The only access to the value.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize> From<T> for Secret<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Compares in a time that depends on the lengths only, so that `==` is always safe.
impl<T: Zeroize + AsRef<[u8]>> PartialEq for Secret<T> {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_ref().ct_eq(other.0.as_ref()).into()
    }
}

impl<T: Zeroize + AsRef<[u8]>> Eq for Secret<T> {}

impl<'de, T: Zeroize + Deserialize<'de>> Deserialize<'de> for Secret<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        T::deserialize(deserializer).map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;
    use std::rc::Rc;

    /// Counts how often it is wiped, because reading memory after a drop would need `unsafe`.
    struct Probe(Rc<Cell<u32>>);

    impl Zeroize for Probe {
        fn zeroize(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn debug_output_hides_nested_secrets() {
        let secret = Secret::new("6222020000008000010".to_owned());
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(format!("{secret:#?}"), "***");
        assert_eq!(format!("{:?}", Some((1, &secret))), "Some((1, ***))");
    }

    #[test]
    fn drop_wipes_the_value_once() {
        let wiped = Rc::new(Cell::new(0));
        let secret = Secret::new(Probe(Rc::clone(&wiped)));
        assert_eq!(wiped.get(), 0);
        drop(secret);
        assert_eq!(wiped.get(), 1);
    }

    #[test]
    fn equality_compares_the_values() {
        let a = Secret::new("abc".to_owned());
        assert_eq!(a, Secret::from("abc".to_owned()));
        assert_ne!(a, Secret::from("abd".to_owned()));
        assert_ne!(a, Secret::from("ab".to_owned()));
        assert_ne!(Secret::new([1_u8, 2]), Secret::new([2_u8, 2]));
    }

    #[test]
    fn deserializes_from_json() {
        let secret: Secret<String> = serde_json::from_str("\"word\"").unwrap();
        assert_eq!(secret.expose(), "word");
        assert!(serde_json::from_str::<Secret<String>>("7").is_err());
    }
}
