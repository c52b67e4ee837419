//! The displayed state of a rebind.

use super::fixture::*;
use crate::card::{Card, CardType};
use crate::ids::CardId;
use crate::rebind::Sealed;

#[test]
fn open_rebind_is_overdue_from_its_expiry() {
    let world = World::new().created();
    let rebind = world.rebind();
    assert!(!rebind.is_overdue(t(DAY_S - 1)) && rebind.is_open(t(DAY_S - 1)));
    assert!(rebind.is_overdue(t(DAY_S)) && !rebind.is_open(t(DAY_S)));
    let activated = World::new().activated();
    assert!(!activated.rebind().is_overdue(t(DAY_S)));
    assert!(!activated.rebind().is_open(t(0)));
}

#[test]
fn activation_exists_from_activated_on() {
    assert_eq!(World::new().matched().rebind().activated_card(), None);
    let activated = World::new().activated();
    let activation = activated.rebind().activated_card().unwrap().clone();
    let completed = activated.at(DAY_S).then(crate::decide::Command::Complete);
    assert_eq!(completed.rebind().activated_card(), Some(&activation));
}

#[test]
fn card_without_bank_is_unknown() {
    let card = |bank_code: Option<&str>| Card {
        card_id: CardId::new(0, &[1; 16]),
        bank_code: bank_code.map(str::to_owned),
        card_type: CardType::Unknown,
        last4: "0010".to_owned(),
        bound_at: t(0),
    };
    let shown = |card: Card| (card.bank_code().to_owned(), card.bank_name());
    assert_eq!(shown(card(None)), ("UNKNOWN".to_owned(), "其他银行"));
    assert_eq!(
        shown(card(Some("ICBC"))),
        ("ICBC".to_owned(), "中国工商银行")
    );
    assert_eq!(shown(card(Some("NONE"))), ("NONE".to_owned(), "其他银行"));
}

#[test]
fn debug_output_hides_the_sealed_number() {
    assert_eq!(format!("{:?}", Sealed(vec![1, 2, 3])), "Sealed(3 bytes)");
}
