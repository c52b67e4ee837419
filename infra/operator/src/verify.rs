//! Verifies an exported history.

use crate::cli::Verify;
use crate::operate::Done;
use crate::{CANNOT_RUN, HAS_ERRORS};
use proof::export::{Export, verify as verify_export};
use std::fs;
use std::io::Write as _;
use std::path::Path;
use transparency::key::LogKey;

/// Prints the verdict.
pub(crate) fn verify(arguments: &Verify) -> Done {
    let text = read(&arguments.file)?;
    let file = arguments.file.display();
    let export: Export = serde_json::from_str(&text)
        .map_err(|error| format!("{file} is not an exported history: {error}"))?;
    let pem = read(&arguments.public_key)?;
    let key = LogKey::from_pem(&pem);
    let key = key.map_err(|error| format!("{}: {error}", arguments.public_key.display()))?;
    let kept = arguments.checkpoint.as_deref().map(read).transpose()?;
    let verdict = verify_export(&export, &key, &arguments.log, kept.as_deref());
    let (line, code) = match verdict {
        Ok(verdict) => (verdict.to_string(), 0),
        Err(broken) => (broken.to_string(), HAS_ERRORS),
    };
    let mut printed = writeln!(std::io::stdout(), "{line}");
    if !export.personal.is_empty() {
        let note = "the personal parts are not proven: the history covers their encrypted form";
        printed = printed.and_then(|()| writeln!(std::io::stdout(), "{note}"));
    }
    Ok(if printed.is_ok() { code } else { CANNOT_RUN })
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("reading {}: {error}", path.display()))
}
