//! The head of the log as text: a checkpoint (<https://c2sp.org/tlog-checkpoint>).

use crate::hash::{HASH_BYTES, Hash};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A state of the log: its name, size and root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// The name of the log. Also the name of the key that signs its checkpoints.
    pub origin: String,
    /// The number of leaves.
    pub size: u64,
    /// The root of the tree.
    pub root: Hash,
}

/// The text is not a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadCheckpoint {
    /// A line is missing or empty, the last line has no newline, or there is a control character.
    #[error("a checkpoint must have lines for origin, size and root, and no empty line")]
    Lines,
    /// Not a decimal number below 2^64, or a number with leading zeros.
    #[error("the checkpoint's size must be a decimal number without leading zeros")]
    Size,
    /// Not 32 bytes in canonical base64.
    #[error("the checkpoint's root must be 32 bytes in base64")]
    Root,
}

impl Checkpoint {
    /// The text to sign, with a final newline.
    #[must_use]
    pub fn body(&self) -> String {
        let root = STANDARD.encode(self.root.as_bytes());
        format!("{}\n{}\n{root}\n", self.origin, self.size)
    }

    /// Reads the text of a note. Extension lines are accepted and dropped; this log writes none.
    ///
    /// The result is not authentic: to verify the signature too, use [`Note::verify`](crate::note::Note::verify).
    ///
    /// # Errors
    /// When the text is not a checkpoint.
    pub fn parse(body: &str) -> Result<Self, BadCheckpoint> {
        let lines = body.strip_suffix('\n').ok_or(BadCheckpoint::Lines)?;
        let mut lines = lines.split('\n');
        if lines
            .clone()
            .any(|line| line.is_empty() || line.contains(is_control))
        {
            return Err(BadCheckpoint::Lines);
        }
        let mut line = || lines.next().ok_or(BadCheckpoint::Lines);
        let (origin, size, root) = (line()?.to_owned(), line()?, line()?);
        Ok(Self {
            origin,
            size: parse_size(size).ok_or(BadCheckpoint::Size)?,
            root: parse_root(root).ok_or(BadCheckpoint::Root)?,
        })
    }
}

/// A control character as the specification of notes defines it.
pub(crate) const fn is_control(char: char) -> bool {
    char < ' '
}

fn parse_size(text: &str) -> Option<u64> {
    let is_canonical = text == "0" || !text.starts_with('0');
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    let size = text.parse().ok()?;
    (is_canonical && is_number).then_some(size)
}

fn parse_root(text: &str) -> Option<Hash> {
    let bytes = STANDARD.decode(text).ok()?;
    let bytes: [u8; HASH_BYTES] = bytes.try_into().ok()?;
    Some(Hash(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ROOT: &str = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=";

    /// The example of the specification.
    #[test]
    fn example_of_the_specification_is_read() {
        let body = format!("example.com/behind-the-sofa\n20852163\n{ROOT}\n");
        let checkpoint = Checkpoint::parse(&body).unwrap();
        assert_eq!(checkpoint.origin, "example.com/behind-the-sofa");
        assert_eq!(checkpoint.size, 20_852_163);
        let root = "0ac5186a91863e8e1d90c808014aa89bf5da8e3ee1d9f07630f0378f68f1ab62";
        assert_eq!(checkpoint.root.to_string(), root);
        assert_eq!(checkpoint.body(), body);
        let extended = format!("{body}an extension\n");
        assert_eq!(Checkpoint::parse(&extended), Ok(checkpoint));
    }

    #[test]
    fn malformed_lines_are_refused() {
        for body in [
            "".to_owned(),
            "\n".to_owned(),
            "a\n1\n".to_owned(),
            format!("a\n1\n{ROOT}"),
            format!("\n1\n{ROOT}\n"),
            format!("a\n\n1\n{ROOT}\n"),
            format!("a\n1\n{ROOT}\n\n"),
            format!("a\n1\n{ROOT}\n\nb\n"),
            format!("a\r\n1\n{ROOT}\n"),
            format!("a\n1\n{ROOT}\nb\0\n"),
        ] {
            let refused = Checkpoint::parse(&body);
            assert_eq!(refused, Err(BadCheckpoint::Lines), "{body:?}");
        }
    }

    #[test]
    fn size_has_one_spelling() {
        let parse = |size: &str| Checkpoint::parse(&format!("a\n{size}\n{ROOT}\n"));
        for (text, size) in [("0", 0), ("7", 7), ("18446744073709551615", u64::MAX)] {
            assert_eq!(parse(text).unwrap().size, size);
        }
        for size in [
            "00",
            "07",
            "+7",
            "-0",
            "7 ",
            " 7",
            "0x7",
            "1e3",
            "٧",
            "18446744073709551616",
        ] {
            assert_eq!(parse(size), Err(BadCheckpoint::Size), "{size}");
        }
    }

    #[test]
    fn root_has_one_spelling() {
        let parse = |root: &str| Checkpoint::parse(&format!("a\n1\n{root}\n"));
        let unused_bits = ROOT.replace("I=", "J=");
        let url_safe = ROOT.replace('/', "_");
        let unpadded = ROOT.trim_end_matches('=');
        let long = STANDARD.encode([0; 33]);
        let short = STANDARD.encode([0; 31]);
        let spaced = format!("{ROOT} ");
        for root in [
            &unused_bits,
            &url_safe,
            unpadded,
            &long,
            &short,
            &spaced,
            "=",
        ] {
            assert_eq!(parse(root), Err(BadCheckpoint::Root), "{root}");
        }
    }

    proptest! {
        #[test]
        fn written_checkpoint_is_read(origin in "[^\u{0}-\u{1f}]{1,40}", size: u64, root: [u8; 32]) {
            let checkpoint = Checkpoint { origin, size, root: Hash(root) };
            prop_assert_eq!(Checkpoint::parse(&checkpoint.body()), Ok(checkpoint));
        }

        #[test]
        fn read_checkpoint_has_one_spelling(body in "[ab]?\n[0-9]{0,3}\n[A-D]{42}[A-H]=\n") {
            if let Ok(checkpoint) = Checkpoint::parse(&body) {
                prop_assert_eq!(checkpoint.body(), body);
            }
        }
    }
}
