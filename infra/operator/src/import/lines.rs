//! A file as numbered lines. A line that is too long is skipped without being kept.

use sha2::{Digest as _, Sha256};
use std::io::{self, BufRead, Read as _};
use zeroize::Zeroizing;

/// Maximum length of a line, without its end.
pub const LINE_MAX_BYTES: usize = 1024 * 1024;

/// The byte order mark that some programs write at the start of a file.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A position between two lines, with the hash of everything before it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    /// The number of lines before it.
    pub lines: u64,
    /// The number of bytes before it.
    pub bytes: u64,
    /// SHA-256 of these bytes, in hex. Every valid line contains a random salt, so the hash reveals no line.
    pub sha256: String,
}

/// The content of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// Only white space.
    Blank,
    /// The text without line end and byte order mark.
    Text(Zeroizing<Vec<u8>>),
    /// Longer than [`LINE_MAX_BYTES`].
    TooLong,
}

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number, from 1.
    pub number: u64,
    /// Its content.
    pub content: Content,
    /// The position after it.
    pub end: Mark,
}

/// The lines of a file.
#[derive(Debug)]
pub struct Lines<R> {
    reader: R,
    lines: u64,
    bytes: u64,
    hash: Sha256,
}

impl<R: BufRead> Lines<R> {
    /// The lines from the start.
    pub fn new(reader: R) -> Self {
        Self {
            reader,
            lines: 0,
            bytes: 0,
            hash: Sha256::new(),
        }
    }

    /// The bytes that were read.
    pub const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Skips the lines before a position. False if the file does not begin with them.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn skip_to(&mut self, mark: &Mark) -> io::Result<bool> {
        let hash = &mut self.hash;
        let mut prefix = (&mut self.reader).take(mark.bytes);
        let mut bytes = 0_u64;
        loop {
            let read = prefix.fill_buf()?;
            let length = read.len();
            if length == 0 {
                break;
            }
            hash.update(read);
            bytes += length as u64;
            prefix.consume(length);
        }
        self.bytes = bytes;
        self.lines = mark.lines;
        Ok(self.mark() == *mark)
    }

    /// The next line; `None` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn next_line(&mut self) -> io::Result<Option<Line>> {
        // Reserved once: a growing buffer would leave copies behind that are not wiped.
        let mut text = Zeroizing::new(Vec::with_capacity(4 * 1024));
        let mut length = 0_usize;
        let mut is_complete = false;
        while !is_complete {
            let read = self.reader.fill_buf()?;
            if read.is_empty() {
                break;
            }
            let end = read.iter().position(|byte| *byte == b'\n');
            let taken = end.map_or(read.len(), |end| end + 1);
            let bytes = read.get(..taken).unwrap_or_default();
            self.hash.update(bytes);
            // One byte more than allowed, for the carriage return.
            if length.saturating_add(taken) <= LINE_MAX_BYTES + BYTE_ORDER_MARK.len() + 2 {
                text.extend_from_slice(bytes);
            }
            length = length.saturating_add(taken);
            is_complete = end.is_some();
            self.reader.consume(taken);
        }
        if length == 0 {
            return Ok(None);
        }
        self.lines += 1;
        self.bytes += length as u64;
        let is_whole = text.len() == length;
        Ok(Some(Line {
            number: self.lines,
            content: content(text, is_whole, self.lines == 1),
            end: self.mark(),
        }))
    }

    fn mark(&self) -> Mark {
        Mark {
            lines: self.lines,
            bytes: self.bytes,
            sha256: hex::encode(self.hash.clone().finalize()),
        }
    }
}

fn content(mut text: Zeroizing<Vec<u8>>, is_whole: bool, is_first: bool) -> Content {
    for end in [b"\n", b"\r"] {
        if text.ends_with(end) {
            text.pop();
        }
    }
    if is_first && text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len());
    }
    if !is_whole || text.len() > LINE_MAX_BYTES {
        return Content::TooLong;
    }
    if text.iter().all(u8::is_ascii_whitespace) {
        return Content::Blank;
    }
    Content::Text(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::BufReader;

    fn all(bytes: &[u8], buffer: usize) -> Vec<Line> {
        let mut lines = Lines::new(BufReader::with_capacity(buffer, bytes));
        std::iter::from_fn(|| lines.next_line().unwrap()).collect()
    }

    fn texts(bytes: &[u8]) -> Vec<String> {
        let of = |line: Line| match line.content {
            Content::Blank => "(blank)".to_owned(),
            Content::TooLong => "(too long)".to_owned(),
            Content::Text(text) => String::from_utf8(text.to_vec()).unwrap(),
        };
        let found: Vec<String> = all(bytes, 8192).into_iter().map(of).collect();
        for buffer in [1, 2, 3] {
            let other: Vec<String> = all(bytes, buffer).into_iter().map(of).collect();
            assert_eq!(found, other);
        }
        found
    }

    #[test]
    fn line_ends_and_mark_are_removed() {
        assert_eq!(
            texts(b"\xEF\xBB\xBF{}\r\n[]\n\r\n \n7"),
            ["{}", "[]", "(blank)", "(blank)", "7"]
        );
        assert_eq!(texts(b"7\n"), ["7"]);
        assert_eq!(texts(b"\xEF\xBB\xBF"), ["(blank)"]);
        assert!(texts(b"").is_empty());
    }

    #[test]
    fn mark_inside_the_file_stays() {
        assert_eq!(texts(b"1\n\xEF\xBB\xBF2"), ["1", "\u{FEFF}2"]);
    }

    #[test]
    fn limit_is_exact_and_the_next_line_is_read() {
        for (length, is_kept) in [(LINE_MAX_BYTES, true), (LINE_MAX_BYTES + 1, false)] {
            let long = [vec![b'x'; length], b"\r\n7".to_vec()].concat();
            let lines = all(&long, 8192);
            let kept = matches!(&lines[0].content, Content::Text(text) if text.len() == length);
            assert_eq!(kept, is_kept);
            assert_eq!(lines[0].content == Content::TooLong, !is_kept);
            assert_eq!(lines[1].content, Content::Text(b"7".to_vec().into()));
        }
        let endless = vec![b'x'; 5 * LINE_MAX_BYTES];
        assert_eq!(all(&endless, 8192)[0].content, Content::TooLong);
    }

    #[test]
    fn skipping_goes_on_after_each_line() {
        let file = b"\xEF\xBB\xBF{}\r\n\n[7]\nlast";
        let whole = all(file, 3);
        for (at, line) in whole.iter().enumerate() {
            let mut lines = Lines::new(BufReader::with_capacity(3, file.as_slice()));
            assert!(lines.skip_to(&line.end).unwrap());
            let rest: Vec<Line> = std::iter::from_fn(|| lines.next_line().unwrap()).collect();
            assert_eq!(rest, whole[at + 1..]);
        }
    }

    #[test]
    fn changed_or_shorter_prefix_is_noticed() {
        let mark = all(b"1\n2\n3\n", 8)[1].end.clone();
        for other in [&b"1\n9\n3\n"[..], b"1\n", b"", b"1\n2"] {
            assert!(!Lines::new(other).skip_to(&mark).unwrap());
        }
        assert!(Lines::new(&b"1\n2\nother"[..]).skip_to(&mark).unwrap());
        assert!(
            Lines::new(&b"1"[..])
                .skip_to(&Mark {
                    sha256: hex::encode(Sha256::digest(b"")),
                    ..Mark::default()
                })
                .unwrap()
        );
    }
}
