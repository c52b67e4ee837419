//! Values that are recognised by their form: card prefixes, credit codes, the expiry of a document. Personal data is in
//! [`crate::pii`].

pub mod bins;
pub mod credit_code;
pub mod document_expiry;

pub use bins::{Bin, BinKind};
pub use credit_code::CreditCode;
pub use document_expiry::DocumentExpiry;
