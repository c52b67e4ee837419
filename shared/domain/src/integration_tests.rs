//! The public facts of each kind, as a snapshot.

use super::*;
use crate::event_kind::EventKind;
use crate::history::vectors;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// One line for each form of each kind, in the order of the vectors.
#[test]
fn public_facts_of_each_kind() {
    let mut text = String::new();
    for recorded in vectors().iter().map(|event| &event.recorded) {
        let kind = recorded.event().kind();
        let Some(public) = integration(recorded.event()) else {
            writeln!(text, "{kind}: not published").unwrap();
            continue;
        };
        let members = [
            ("state", public.state.map(|state| state.to_string())),
            ("rebind_id", public.rebind_id.map(ToString::to_string)),
            ("card_id", public.card_id.map(ToString::to_string)),
            ("payout_id", public.payout_id.map(ToString::to_string)),
        ];
        let members = members.into_iter();
        let shown = members.filter_map(|(name, value)| Some(format!(" {name}={}", value?)));
        writeln!(text, "{kind}:{}", shown.collect::<String>()).unwrap();
    }
    insta::assert_snapshot!(text);
}

#[test]
fn kind_alone_decides_publication() {
    let (mut public, mut internal) = (BTreeSet::new(), BTreeSet::new());
    for event in vectors() {
        match integration(event.event()) {
            Some(_) => public.insert(event.kind()),
            None => internal.insert(event.kind()),
        };
    }
    assert!(public.is_disjoint(&internal));
    assert_eq!(public.len() + internal.len(), EventKind::ALL.len());
}
