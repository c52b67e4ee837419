//! The defences of the product, each as a small edit that takes it out: `tests/defences/defences.yaml`.
//!
//! An edit is written so that the product is itself without it: `WITHOUT` stands in it for "this defence is out". So all of
//! them can be in one build, and a process is told by its environment which one it has to do without.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// The variable that names the defence that a process has to do without.
pub const VARIABLE: &str = "WITHOUT_DEFENCE";

/// What stands in an edit for "this defence is out".
const OUT: &str = "WITHOUT";

/// One defence.
#[derive(Clone, Debug)]
pub struct Defence {
    /// Its name.
    pub name: String,
    /// The tests in `tests/tests/attacks` that fail without it.
    pub attacks: Vec<String>,
    /// What it is.
    pub why: String,
    /// What takes it out.
    pub edits: Vec<Edit>,
}

/// One place in the product.
#[derive(Clone, Debug)]
pub struct Edit {
    /// The file, from the top of the checkout.
    pub file: String,
    /// The text, which is there once.
    pub find: String,
    /// What takes its place.
    pub replace: String,
}

/// The list.
///
/// # Panics
/// When it is not of its form.
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
    /// How often its text is in the file; once, when the list is true.
    #[must_use]
    pub fn found(&self, root: &Path) -> usize {
        let text = fs::read_to_string(root.join(&self.file)).unwrap_or_default();
        text.matches(&self.find).count()
    }

    /// Whether it says when the defence is out.
    #[must_use]
    pub fn is_a_switch(&self) -> bool {
        self.replace.contains(OUT)
    }

    /// The file's text with it: as it was, but for a process that is told to do without this defence.
    #[must_use]
    pub fn applied(&self, defence: &str, text: &str) -> String {
        let is_out =
            format!("std::env::var_os({VARIABLE:?}).is_some_and(|name| name == {defence:?})");
        text.replacen(&self.find, &self.replace.replace(OUT, &is_out), 1)
    }
}
