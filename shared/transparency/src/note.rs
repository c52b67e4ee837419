//! Signed text: a note (<https://c2sp.org/signed-note>).
//!
//! A note is a checkpoint, an empty line, and a signature on each following line. The signatures are ECDSA on P-256 with
//! SHA-256, in DER, over the checkpoint's text with its final newline (signature type 0x02).

use crate::checkpoint::{BadCheckpoint, Checkpoint, is_control};
use crate::key::LogKey;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use std::fmt;

/// The longest note, in bytes. The specification requires room for at least 16 signatures.
pub const NOTE_BYTES_MAX: usize = 64 * 1024;

/// The beginning of a signature line: an em dash and a space.
const SIGNATURE_PREFIX: &str = "\u{2014} ";

/// Why a note is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadNote {
    /// Longer than [`NOTE_BYTES_MAX`].
    #[error("the note is longer than {NOTE_BYTES_MAX} bytes")]
    TooLong,
    /// Not a text, one empty line and signature lines, or there is a control character.
    #[error("the note must be a text, one empty line and signature lines")]
    Form,
    /// A signature line is malformed, or its key name contains a space or a plus sign.
    #[error("a signature line of the note is malformed")]
    SignatureLine,
    /// The text is not a checkpoint.
    #[error("the note's text is not a checkpoint: {0}")]
    Checkpoint(#[from] BadCheckpoint),
    /// The checkpoint is that of another log.
    #[error("the checkpoint is from another log")]
    OtherOrigin,
    /// No signature line has the name and the id of the key.
    #[error("the note has no signature of the log's key")]
    NotSigned,
    /// A signature has the name and the id of the key, but is not valid.
    #[error("the signature of the log's key is not valid")]
    BadSignature,
}

/// A note. It can be trusted only after [`Self::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<Signature>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Signature {
    name: String,
    key_id: [u8; 4],
    bytes: Vec<u8>,
}

impl Note {
    /// Puts the signature, in DER, of [`Checkpoint::body`] under the checkpoint. The name of the key is the checkpoint's origin.
    ///
    /// # Errors
    /// When the result does not verify with the key, or the origin is not a valid name: such a note must not be published.
    pub fn assemble(
        checkpoint: &Checkpoint,
        key: &LogKey,
        signature: &[u8],
    ) -> Result<Self, BadNote> {
        let note = Self {
            text: checkpoint.body(),
            signatures: vec![Signature {
                name: checkpoint.origin.clone(),
                key_id: key.id(),
                bytes: signature.to_vec(),
            }],
        };
        let read = Self::parse(&note.to_string())?;
        if read.verify(&checkpoint.origin, key)? != *checkpoint {
            return Err(BadNote::Form);
        }
        Ok(read)
    }

    /// Reads a note. Does not verify its signatures.
    ///
    /// # Errors
    /// When the text is not a note, or a line of it is malformed.
    pub fn parse(note: &str) -> Result<Self, BadNote> {
        if note.len() > NOTE_BYTES_MAX {
            return Err(BadNote::TooLong);
        }
        let lines = note.strip_suffix('\n').ok_or(BadNote::Form)?;
        let (text, signatures) = lines.split_once("\n\n").ok_or(BadNote::Form)?;
        // The text of a checkpoint has no empty line, and neither do the signatures: there is exactly one.
        let is_line = |line: &str| !line.is_empty() && !line.contains(is_control);
        if !text.split('\n').chain(signatures.split('\n')).all(is_line) {
            return Err(BadNote::Form);
        }
        let signatures = signatures.split('\n').map(Signature::parse);
        let signatures = signatures.collect::<Option<_>>();
        Ok(Self {
            text: format!("{text}\n"),
            signatures: signatures.ok_or(BadNote::SignatureLine)?,
        })
    }

    /// Verifies that the log `name` signed this note with `key`. `name` is both the origin of the checkpoint and the name of
    /// the key, as the specification recommends. Signatures of other keys are ignored.
    ///
    /// # Errors
    /// When there is no signature of the key, or any that is not valid, or the text is not a checkpoint of this log.
    pub fn verify(&self, name: &str, key: &LogKey) -> Result<Checkpoint, BadNote> {
        let id = key.id();
        let is_ours = |line: &&Signature| line.name == name && line.key_id == id;
        let mut ours = self.signatures.iter().filter(is_ours).peekable();
        if ours.peek().is_none() {
            return Err(BadNote::NotSigned);
        }
        if !ours.all(|line| key.verifies(self.text.as_bytes(), &line.bytes)) {
            return Err(BadNote::BadSignature);
        }
        let checkpoint = Checkpoint::parse(&self.text)?;
        if checkpoint.origin != name {
            return Err(BadNote::OtherOrigin);
        }
        Ok(checkpoint)
    }
}

impl Signature {
    fn parse(line: &str) -> Option<Self> {
        let line = line.strip_prefix(SIGNATURE_PREFIX)?;
        let (name, signature) = line.split_once(' ')?;
        if name.is_empty() || name.contains(|char: char| char.is_whitespace() || char == '+') {
            return None;
        }
        let signature = STANDARD.decode(signature).ok()?;
        let (key_id, bytes) = signature.split_first_chunk()?;
        Some(Self {
            name: name.to_owned(),
            key_id: *key_id,
            bytes: bytes.to_vec(),
        })
    }
}

impl fmt::Display for Note {
    /// The text of the note; [`Note::parse`] reads it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.text)?;
        for Signature {
            name,
            key_id,
            bytes,
        } in &self.signatures
        {
            let signature = STANDARD.encode([key_id, bytes.as_slice()].concat());
            writeln!(f, "{SIGNATURE_PREFIX}{name} {signature}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "note_tests.rs"]
mod tests;
