//! The defences of the product. Each is a small edit that removes one: `tests/defences/defences.yaml`.
//!
//! All edits fit in one build: each keeps the defence unless its condition `WITHOUT` holds. An environment variable names the
//! defence that a process runs without.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// The environment variable that names the disabled defence.
pub const VARIABLE: &str = "WITHOUT_DEFENCE";

/// The placeholder in an edit for "this defence is disabled".
const DISABLED: &str = "WITHOUT";

/// One defence.
#[derive(Clone, Debug)]
pub struct Defence {
    /// The name.
    pub name: String,
    /// The tests in `tests/tests/attacks` that fail without it.
    pub attacks: Vec<String>,
    /// A description.
    pub why: String,
    /// The edits that remove it.
    pub edits: Vec<Edit>,
}

/// One edit of a product file.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The file, relative to the root of the checkout.
    pub file: String,
    /// The text to replace. It occurs exactly once.
    pub find: String,
    /// The replacement.
    pub replace: String,
}

/// All defences.
///
/// # Panics
/// If the list is malformed.
#[must_use]
pub fn all() -> Vec<Defence> {
    let list: Value = serde_saphyr::from_str(include_str!("../defences/defences.yaml")).unwrap();
    let list = list.as_array().unwrap().iter();
    list.map(|entry| {
        let text = |of: &Value, name: &str| of[name].as_str().unwrap().trim().to_owned();
        let attacks = entry["attacks"].as_array().unwrap().iter();
        let edits = entry["edits"].as_array().unwrap().iter();
        Defence {
            name: text(entry, "defence"),
            attacks: attacks
                .map(|attack| attack.as_str().unwrap().to_owned())
                .collect(),
            why: text(entry, "why"),
            edits: edits
                .map(|edit| Edit {
                    file: text(edit, "file"),
                    find: text(edit, "find"),
                    replace: text(edit, "replace"),
                })
                .collect(),
        }
    })
    .collect()
}

impl Edit {
    /// The number of occurrences of the text in the file. A correct list gives 1.
    #[must_use]
    pub fn found(&self, root: &Path) -> usize {
        let text = fs::read_to_string(root.join(&self.file)).unwrap_or_default();
        text.matches(&self.find).count()
    }

    /// Returns true if the replacement contains the placeholder.
    #[must_use]
    pub fn is_a_switch(&self) -> bool {
        self.replace.contains(DISABLED)
    }

    /// The file's text after the edit. Behaviour changes only in a process that disables this defence.
    #[must_use]
    pub fn applied(&self, defence: &str, text: &str) -> String {
        let is_disabled =
            format!("std::env::var_os({VARIABLE:?}).is_some_and(|name| name == {defence:?})");
        text.replacen(&self.find, &self.replace.replace(DISABLED, &is_disabled), 1)
    }
}
