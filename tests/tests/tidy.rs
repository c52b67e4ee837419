//! The house rules that a machine can check: lengths, names, banned phrases, links of documents, one literal per route.
//!
//! Everything that git tracks is read as text. rustfmt's layout is relied on: a function ends at the first line that is its
//! own indentation and a brace.

#![allow(clippy::unwrap_used, missing_docs)]

use api::routes::Route;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Lines of a product file.
const FILE_LINES_MAX: usize = 500;
/// Lines of a product function.
const FUNCTION_LINES_MAX: usize = 70;
/// Longer functions, each with its reason.
const LONG_FUNCTIONS: [(&str, &str); 7] = [
    (
        "as_update",
        "a table: the write of each step of a notification",
    ),
    ("entry", "a table: the problem document of each code"),
    ("operation", "a table: the responses of each route"),
    ("examples", "a table: the examples of the API description"),
    ("notification", "a table: the message of each event"),
    ("integration", "a table: the public facts of each event"),
    (
        "parameters",
        "a table: the parameters of the API description",
    ),
];
/// Characters of a test name.
const TEST_NAME_MAX: usize = 60;
const TEST_NAME_MEDIAN_MAX: usize = 35;
/// Files in git. A quarter of them are inputs of the fuzz tests.
const FILES_MAX: usize = 1_400;
/// Phrases of a private dialect, with plain words for each. CONTRIBUTING.md quotes some as bad examples.
const BANNED: [(&str, &str); 10] = [
    ("whoever", "name the actor"),
    ("is told", "gets, learns, is notified"),
    ("was told", "got, learned, was notified"),
    ("are told", "get, learn, are notified"),
    ("comes by", "runs again"),
    ("goes on counting", "still counts"),
    ("is none", "does not exist, is invalid"),
    ("that hangs on", "name the clock"),
    ("ordeal", "suite"),
    ("torture", "stress"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The files that git tracks, as paths from the root.
fn tracked() -> Vec<String> {
    let git = Command::new("git")
        .current_dir(root())
        .args(["ls-files", "-z"])
        .output()
        .unwrap();
    assert!(git.status.success(), "git ls-files failed");
    let names = String::from_utf8(git.stdout).unwrap();
    let names = names.split('\0').filter(|name| !name.is_empty());
    // A file that a change deletes is listed until the deletion is staged.
    let exists = |name: &&str| root().join(name).is_file();
    names.filter(exists).map(str::to_owned).collect()
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn has_extension(name: &str, extensions: &[&str]) -> bool {
    let extension = Path::new(name).extension().and_then(|one| one.to_str());
    extension.is_some_and(|one| extensions.contains(&one))
}

/// Rust files that are deployed or build what is deployed: no tests, no test data.
fn product() -> Vec<String> {
    let is_test = |name: &str| {
        name.starts_with("tests/")
            || name.contains("/tests/")
            || name.contains("/golden/")
            || name.ends_with("_tests.rs")
            || name.ends_with("/tests.rs")
    };
    let files = tracked().into_iter();
    files
        .filter(|name| has_extension(name, &["rs"]) && !is_test(name))
        .collect()
}

/// The lines before a file's own test module.
fn product_lines(text: &str) -> Vec<&str> {
    let all: Vec<&str> = text.lines().collect();
    let tests = all.windows(2).position(|pair| {
        pair[0].trim() == "#[cfg(test)]" && pair[1].trim_start().starts_with("mod ")
    });
    all[..tests.unwrap_or(all.len())].to_vec()
}

/// The functions of a file: name and number of lines.
fn functions(lines: &[&str]) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    for (begin, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = line.len() - code.len();
        let Some(name) = function_name(code) else {
            continue;
        };
        if !has_body(&lines[begin..]) {
            continue;
        }
        let end_line = format!("{}}}", " ".repeat(indent));
        let length = lines[begin..].iter().position(|line| *line == end_line);
        if let Some(length) = length {
            found.push((name, length + 1));
        }
    }
    found
}

/// False for a method that a trait only declares: its signature ends with a semicolon.
fn has_body(lines: &[&str]) -> bool {
    let mut ends = lines.iter().map(|line| line.trim_end());
    let end = ends.find(|line| line.ends_with('{') || line.ends_with(';') || line.ends_with('}'));
    end.is_some_and(|line| !line.ends_with(';'))
}

fn function_name(code: &str) -> Option<String> {
    let words: Vec<&str> = code.split_whitespace().collect();
    let at = words.iter().position(|word| *word == "fn")?;
    let is_qualifier =
        |word: &&str| word.starts_with("pub") || ["const", "async", "unsafe"].contains(word);
    if !words[..at].iter().all(is_qualifier) {
        return None;
    }
    let name = words.get(at + 1)?;
    let name: String = name
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect();
    Some(name)
}

/// The names of all tests, with their files.
fn test_names() -> Vec<(String, String)> {
    let mut names = Vec::new();
    for file in tracked() {
        if !has_extension(&file, &["rs"]) {
            continue;
        }
        let text = read(&file);
        let mut is_test = false;
        for line in text.lines().map(str::trim_start) {
            is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            if is_test && let Some(name) = function_name(line) {
                names.push((file.clone(), name));
                is_test = false;
            }
        }
    }
    names
}

#[test]
fn product_files_are_short() {
    let long: Vec<(String, usize)> = product()
        .into_iter()
        .map(|file| (product_lines(&read(&file)).len(), file))
        .filter(|(lines, _)| *lines > FILE_LINES_MAX)
        .map(|(lines, file)| (file, lines))
        .collect();
    assert!(long.is_empty(), "split these files: {long:#?}");
}

#[test]
fn product_functions_are_short() {
    let mut long = Vec::new();
    let mut excepted = BTreeSet::new();
    for file in product() {
        let text = read(&file);
        for (name, lines) in functions(&product_lines(&text)) {
            if lines <= FUNCTION_LINES_MAX {
                continue;
            }
            match LONG_FUNCTIONS.iter().find(|(long, _)| *long == name) {
                Some((known, _)) => {
                    excepted.insert(*known);
                }
                None => long.push((file.clone(), name, lines)),
            }
        }
    }
    assert!(
        long.is_empty(),
        "split these, or name them with a reason: {long:#?}"
    );
    let listed: BTreeSet<&str> = LONG_FUNCTIONS.iter().map(|(name, _)| *name).collect();
    assert_eq!(excepted, listed, "an exception that is no longer needed");
}

#[test]
fn test_names_are_short() {
    let names = test_names();
    let long: Vec<_> = names
        .iter()
        .filter(|(_, name)| name.len() > TEST_NAME_MAX)
        .collect();
    assert!(long.is_empty(), "{long:#?}");
    let mut lengths: Vec<usize> = names.iter().map(|(_, name)| name.len()).collect();
    lengths.sort_unstable();
    let median = lengths[lengths.len() / 2];
    assert!(
        median <= TEST_NAME_MEDIAN_MAX,
        "the median of {} test names is {median} characters",
        lengths.len()
    );
}

#[test]
fn banned_phrases_do_not_occur() {
    let mut found = Vec::new();
    for file in tracked() {
        let is_text = has_extension(&file, &["rs", "md", "yaml", "toml", "json"]);
        let is_quoted = file == "CONTRIBUTING.md" || file == "tests/tests/tidy.rs";
        if !is_text || is_quoted {
            continue;
        }
        for (number, line) in (1..).zip(read(&file).lines()) {
            let line = line.to_lowercase();
            for (phrase, better) in BANNED {
                if contains_words(&line, phrase) {
                    found.push(format!("{file}:{number}: «{phrase}»: {better}"));
                }
            }
        }
    }
    assert!(found.is_empty(), "{found:#?}");
}

/// Whether the phrase stands in the line as whole words.
fn contains_words(line: &str, phrase: &str) -> bool {
    let is_edge = |c: Option<char>| c.is_none_or(|c| !c.is_alphanumeric() && c != '_');
    line.match_indices(phrase).any(|(at, _)| {
        is_edge(line[..at].chars().next_back()) && is_edge(line[at + phrase.len()..].chars().next())
    })
}

#[test]
fn git_tracks_few_files() {
    let files = tracked().len();
    assert!(files <= FILES_MAX, "{files} files");
}

#[test]
fn each_route_literal_occurs_once() {
    let mut places: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for file in product() {
        if !file.starts_with("shared/") && !file.starts_with("functions/") {
            continue;
        }
        let text = read(&file);
        let code = product_lines(&text).into_iter();
        let code = code.filter(|line| !line.trim_start().starts_with("//"));
        for line in code {
            for route in Route::ALL {
                if line.contains(&format!("\"{}\"", route.label())) {
                    places.entry(route.label()).or_default().push(file.clone());
                }
            }
        }
    }
    for route in Route::ALL {
        let found = places.get(route.label()).map_or(&[][..], Vec::as_slice);
        assert_eq!(found, ["shared/api/src/routes.rs"], "{}", route.label());
    }
}

/// What each shared crate may use of the others.
const INWARDS: [(&str, &[&str]); 11] = [
    ("domain", &[]),
    ("transparency", &[]),
    ("jose", &[]),
    ("api", &["domain"]),
    ("application", &["domain", "api", "transparency"]),
    ("store", &["domain", "api", "application", "transparency"]),
    ("partner", &["domain", "api", "application", "transparency"]),
    (
        "bank",
        &["domain", "api", "application", "transparency", "partner"],
    ),
    ("aws", &["domain", "api", "application", "transparency"]),
    ("proof", &["domain", "api", "application", "transparency"]),
    (
        "message",
        &[
            "domain",
            "api",
            "application",
            "transparency",
            "aws",
            "partner",
        ],
    ),
];

#[test]
fn shared_crates_depend_inwards() {
    for (package, allowed) in INWARDS {
        for other in INWARDS.map(|(other, _)| other) {
            let uses = dependencies(package).contains(&other.to_owned());
            let is_allowed = allowed.contains(&other);
            assert!(!uses || is_allowed, "{package} must not use {other}");
        }
    }
}

#[test]
fn domain_has_no_infrastructure() {
    for name in dependencies("domain") {
        let is_infrastructure = [
            "tokio",
            "hyper",
            "http",
            "reqwest",
            "lambda_runtime",
            "lambda_http",
        ]
        .contains(&name.as_str())
            || name.starts_with("aws");
        assert!(!is_infrastructure, "domain must not use {name}");
    }
}

/// Everything that a package is built of, itself excluded.
fn dependencies(package: &str) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["tree", "--locked", "--offline", "--edges", "normal"])
        .args([
            "--prefix",
            "none",
            "--format",
            "{lib}",
            "--package",
            package,
        ])
        .output()
        .unwrap();
    let error = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "cargo tree failed: {error}");
    let names = String::from_utf8(tree.stdout).unwrap();
    // A package that was printed before has a mark after its name.
    let names = names
        .lines()
        .skip(1)
        .filter_map(|line| line.split(' ').next());
    names
        .filter(|name| *name != package)
        .map(str::to_owned)
        .collect()
}

#[test]
fn links_of_documents_resolve() {
    let mut broken = Vec::new();
    for file in tracked() {
        if !has_extension(&file, &["md"]) {
            continue;
        }
        let folder = Path::new(&file).parent().unwrap().to_owned();
        for target in link_targets(&read(&file)) {
            let path = target.split('#').next().unwrap_or_default();
            let is_elsewhere = target.contains("://") || target.starts_with("mailto:");
            if is_elsewhere || path.is_empty() {
                continue;
            }
            if !root().join(&folder).join(path).exists() {
                broken.push(format!("{file}: {target}"));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:#?}");
}

/// The targets of inline links and of reference definitions.
fn link_targets(text: &str) -> Vec<String> {
    let mut targets = Vec::new();
    for line in text.lines() {
        if line.starts_with('[')
            && let Some((_, target)) = line.split_once("]: ")
        {
            targets.push(target.trim().to_owned());
            continue;
        }
        for (at, _) in line.match_indices("](") {
            let rest = &line[at + 2..];
            targets.extend(rest.find(')').map(|end| rest[..end].to_owned()));
        }
    }
    targets
}
