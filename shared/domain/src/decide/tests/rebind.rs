//! What a rebind is shown as.

use super::fixture::*;
use crate::card::{Card, CardType};
use crate::ids::CardId;
use crate::rebind::Sealed;

#[test]
fn overdue_begins_with_its_second_and_ends_with_the_open_stages() {
    let world = World::new().created();
    let rebind = world.rebind();
    assert!(!rebind.is_overdue(t(DAY_S - 1)) && rebind.is_open(t(DAY_S - 1)));
    assert!(rebind.is_overdue(t(DAY_S)) && !rebind.is_open(t(DAY_S)));
    let activated = World::new().activated();
    assert!(!activated.rebind().is_overdue(t(DAY_S)));
    assert!(!activated.rebind().is_open(t(0)));
}

#[test]
fn an_activation_is_there_from_activated_on() {
    assert_eq!(World::new().matched().rebind().activated_card(), None);
    let activated = World::new().activated();
    let activation = activated.rebind().activated_card().unwrap().clone();
    let completed = activated.at(DAY_S).then(crate::decide::Command::Complete);
    assert_eq!(completed.rebind().activated_card(), Some(&activation));
}

#[test]
fn a_card_of_no_known_bank_is_unknown() {
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
fn what_is_sealed_is_not_printed() {
    assert_eq!(format!("{:?}", Sealed(vec![1, 2, 3])), "Sealed(3 bytes)");
}
