use super::*;
use crate::decide::{CardFacts, Command, CommandContext, decide};
use crate::event_kind::EventKind;
use crate::history::{GENESIS, hash};
use crate::ids::CardId;
use crate::merchant::{Merchant, Replaced};
use crate::pii::DocumentType;
use crate::policy::{DAY_S, HOUR_S, Policy};
use crate::rebind::{Mac, Sealed};
use crate::settlement::{Cycle, PayoutTime};

const POLICY: Policy = Policy::CURRENT;
const NEW: &str = "6222020000008000010";
const OLD: &str = "6222020000008000028";

fn now() -> Timestamp {
    Timestamp::from_epoch_s(1_795_312_800)
}

fn onboarding(card: Option<&str>, migration: Migration) -> Onboarding {
    Onboarding {
        merchant_id: MerchantId::parse("mer_new_1").unwrap(),
        account: Secret::new("13900009001".to_owned()),
        password_hash: PasswordHash::new(b"saltsalt", [7; 32]),
        entity_type: EntityType::SoleTrader,
        legal_name: PersonName::new("测试商户"),
        settlement_name: None,
        document: IdNumber::parse(DocumentType::ResidentId, "11010519491231002X").unwrap(),
        id_expires_on: DocumentExpiry::LongTerm,
        phone_on_file: Phone::parse("13900009001").unwrap(),
        opened_at: now().plus_s(-DAY_S),
        daily_limit_max_fen: 5_000_000,
        fee_rate_bp: 60,
        settlement: Settlement {
            cycle: Cycle::T1,
            payout_time: PayoutTime::parse("06:00").unwrap(),
            retained_fen: 0,
            daily_limit_fen: 2_000_000,
        },
        card: card.map(|number| CardNumber::parse(number).unwrap()),
        migration,
    }
}

fn payout(number: u32) -> UnsentPayout {
    UnsentPayout {
        payout_id: PayoutId::parse(&format!("pay_{number}")).unwrap(),
        amount_fen: 100,
        created_at: now().plus_s(-HOUR_S),
    }
}

fn migration(hold_s: Option<i64>, replaced: Option<&str>, payouts: u32) -> Migration {
    Migration {
        cooldown_until: hold_s.map(|_| now().plus_s(10 * DAY_S)),
        hold: hold_s.map(|hold_s| Hold {
            until: now().plus_s(hold_s),
            replaced_card: replaced.map(|number| CardNumber::parse(number).unwrap()),
        }),
        unsent_payouts: (0..payouts).map(payout).collect(),
    }
}

fn parts(onboarding: &Onboarding) -> KeyedParts {
    let card = |seed: u8, number: &CardNumber| CardParts {
        card_id: CardId::new(0, &[seed; 16]),
        facts: CardFacts::new(number, Mac(format!("1.{seed}")), None),
    };
    let replaced = onboarding
        .hold(now())
        .and_then(|hold| hold.replaced_card.as_ref());
    KeyedParts {
        account: Mac("1.account".to_owned()),
        id_number_mac: Mac("1.document".to_owned()),
        sealed_id_number: Sealed(vec![1]),
        history_key: Sealed(vec![2]),
        card: onboarding.card.as_ref().map(|number| card(1, number)),
        replaced_card: replaced.map(|number| card(2, number)),
    }
}

fn records(card: Option<&str>, migration: Migration) -> NewRecords {
    let onboarding = onboarding(card, migration);
    onboarding.records(&parts(&onboarding), &POLICY, now())
}

#[test]
fn merchant_starts_with_its_card() {
    let records = records(Some(NEW), Migration::default());
    let active = records.state.active.unwrap();
    assert_eq!(active.card.last4, "0010");
    assert_eq!(active.card.card_id.number(), 0);
    assert_eq!(records.state.cooldown_until, None);
    assert_eq!(records.state.last_activation, None);
    assert_eq!(records.account.legal_name_masked, "测*");
    assert_eq!(records.profile.opened_at, now().plus_s(-DAY_S));
}

#[test]
fn first_event_begins_the_chain() {
    for (card, migration) in [
        (None, Migration::default()),
        (Some(NEW), migration(Some(DAY_S), Some(OLD), 3)),
    ] {
        let mut records = records(card, migration);
        let event = records.first_event(CreatedBy::Import, &POLICY, now());
        assert_eq!((event.seq, event.kind()), (1, EventKind::MerchantCreated));
        assert_eq!(event.prev_hash, GENESIS);
        assert_eq!(event.hash, hash(&event));
        assert_eq!(records.state.last_seq, 1);
        assert_eq!(records.state.last_hash, event.hash);
        assert!(event.notifications.is_empty());
        assert_eq!(event.data()["by"], "import");
        assert_eq!(event.data()["unsent_payouts"], records.payouts.len());
        assert_eq!(event.data().contains_key("effective_at"), card.is_some());
        let printed = event.data().clone();
        let printed = serde_json::Value::Object(printed).to_string();
        for hidden in ["测试", "13900009001", NEW, OLD, "11010519491231002X"] {
            assert!(!printed.contains(hidden));
        }
    }
}

#[test]
fn payouts_go_to_the_active_card() {
    let records = records(Some(NEW), migration(None, None, 2));
    let card = records.payouts[0].card.as_ref().unwrap();
    assert_eq!(card.last4, "0010");
    assert_eq!(records.state.active.unwrap().unsent, 2);
    assert_eq!(records.state.held_payouts, 0);
}

#[test]
fn payouts_without_a_card_are_held() {
    let records = records(None, migration(None, None, 2));
    assert!(records.payouts.iter().all(|payout| payout.card.is_none()));
    assert_eq!(records.state.held_payouts, 2);
    assert_eq!(records.state.due_at(now()), None);
}

#[test]
fn payouts_of_a_hold_go_to_the_replaced_card() {
    let records = records(Some(NEW), migration(Some(DAY_S), Some(OLD), 1));
    let state = &records.state;
    assert_eq!(records.payouts[0].card.as_ref().unwrap().last4, "0028");
    assert_eq!(state.active.as_ref().unwrap().unsent, 0);
    let [replaced] = state.replaced.as_slice() else {
        panic!("one replaced card");
    };
    assert_eq!(
        (replaced.bound.unsent, replaced.state),
        (1, Replaced::Usable)
    );
    let paying = |s| state.paying_card(now().plus_s(s)).unwrap().last4.clone();
    assert_eq!(paying(DAY_S - 1), "0028");
    assert_eq!(paying(DAY_S), "0010");
}

#[test]
fn payouts_of_a_hold_without_old_card_are_held() {
    let records = records(Some(NEW), migration(Some(DAY_S), None, 1));
    let state = &records.state;
    assert_eq!(state.held_payouts, 1);
    assert_eq!(state.due_at(now()), Some(now().plus_s(DAY_S)));
    assert!(state.paying_card(now()).is_none());
    assert!(state.paying_card(now().plus_s(DAY_S)).is_some());
}

#[test]
fn cooldown_and_hold_of_the_past_have_no_effect() {
    let mut past = migration(Some(-HOUR_S), Some(OLD), 1);
    past.cooldown_until = Some(now());
    let records = records(Some(NEW), past);
    assert_eq!(records.state.cooldown_until, None);
    assert!(records.state.replaced.is_empty());
    assert_eq!(records.state.active.unwrap().unsent, 1);
}

#[test]
fn running_cooldown_is_announced_when_it_ends() {
    let records = records(Some(NEW), migration(Some(DAY_S), None, 0));
    assert!(records.state.cooldown_end_unannounced);
    let until = now().plus_s(10 * DAY_S);
    assert_eq!(records.state.cooldown_until, Some(until));
    assert_eq!(records.state.due_at(now()), Some(until));
}

#[test]
fn freeze_undoes_an_imported_hold() {
    let mut records = records(Some(NEW), migration(Some(DAY_S), Some(OLD), 1));
    let _first = records.first_event(CreatedBy::Import, &POLICY, now());
    let merchant = Merchant {
        state: records.state,
        profile: records.profile,
        rebind: None,
        latest: None,
    };
    let freeze = CommandContext {
        by: None,
        act: Command::FreezeByOperator {
            reason: "stolen".to_owned(),
        },
    };
    let frozen = decide(&merchant, &freeze, &POLICY, now()).unwrap();
    let state = frozen.state.unwrap();
    assert_eq!(state.active.unwrap().card.last4, "0028");
    assert_eq!(state.replaced[0].state, Replaced::Out);
    assert_eq!(state.cooldown_until, None);
}

#[test]
fn faults_use_the_words_of_the_error_codes() {
    for fault in Fault::ALL {
        assert!(!fault.message().is_empty(), "{fault}");
    }
    let code = crate::error_code::ErrorCode::IdChecksum;
    assert_eq!(Fault::from(code), Fault::IdChecksum);
}
