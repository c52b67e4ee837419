//! Values that are recognised by their form: card prefixes, the expiry of a document. Personal data is in
//! [`crate::pii`].

pub mod bins;
pub mod document_expiry;

pub use bins::Bin;
pub use document_expiry::DocumentExpiry;
