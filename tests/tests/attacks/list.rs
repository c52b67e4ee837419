//! The list of defences covers every attack and matches the product's source.

use std::collections::BTreeSet;
use std::path::Path;
use tests::defences;
use tests::metrics::metric;

const MODULES: [(&str, &str); 13] = [
    ("codes", include_str!("codes.rs")),
    ("contact", include_str!("contact.rs")),
    ("devices", include_str!("devices.rs")),
    ("freezes", include_str!("freezes.rs")),
    ("insiders", include_str!("insiders.rs")),
    ("logins", include_str!("logins.rs")),
    ("money", include_str!("money.rs")),
    ("operators", include_str!("operators.rs")),
    ("sessions", include_str!("sessions.rs")),
    ("settings", include_str!("settings.rs")),
    ("sms", include_str!("sms.rs")),
    ("steps", include_str!("steps.rs")),
    ("wire", include_str!("wire.rs")),
];

/// The names of the tests of this suite.
fn attacks() -> BTreeSet<String> {
    let mut attacks = BTreeSet::new();
    for (module, text) in MODULES {
        for test in text.split("#[tokio::test]\nasync fn ").skip(1) {
            let (name, _) = test.split_once('(').unwrap();
            attacks.insert(format!("{module}::{name}"));
        }
        assert_eq!(
            text.matches("#[tokio::test").count(),
            text.matches("#[tokio::test]\nasync fn ").count(),
            "{module}: each attack is a test"
        );
    }
    attacks
}

#[test]
fn each_attack_has_a_defence_in_the_product() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let attacks = attacks();
    let mut met = BTreeSet::new();
    let mut names = BTreeSet::new();
    let mut places = BTreeSet::new();
    for defence in defences::all() {
        let name = &defence.name;
        assert!(names.insert(name.clone()), "{name} is listed twice");
        assert!(
            !defence.attacks.is_empty() && !defence.edits.is_empty(),
            "{name}"
        );
        assert!(!defence.why.is_empty(), "{name}");
        for attack in defence.attacks {
            assert!(attacks.contains(&attack), "{name}: unknown attack {attack}");
            met.insert(attack);
        }
        for edit in defence.edits {
            let product = ["shared/", "functions/"];
            assert!(
                product.iter().any(|place| edit.file.starts_with(place)),
                "{name}"
            );
            assert!(edit.is_a_switch(), "{name}: the edit removes nothing");
            assert_eq!(
                edit.found(&root),
                1,
                "{name}: {} in {}",
                edit.find,
                edit.file
            );
            assert!(
                places.insert((edit.file, edit.find)),
                "{name}: another defence has the same edit"
            );
        }
    }
    let without: Vec<&String> = attacks.difference(&met).collect();
    metric(
        "attacks: tests without a removable defence",
        attacks.len(),
        without.len(),
    );
    assert!(without.is_empty(), "attacks without a defence: {without:?}");
}
