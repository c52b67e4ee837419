//! Tests the bank ports: a lost answer leads to one query and never to a second request.

use super::*;
use application::ports::{
    CardQuestion, CheckCard, QueryCheck, QueryOutcome, QueryTransfer, SendTransfer, Transfer,
};
use domain::card::BankCardType;
use domain::decide::BankAnswer;
use domain::secret::Secret;
use domain::transfer::TransferAnswer;

fn deposit() -> Transfer {
    let (card_number, holder_name) = payee();
    Transfer {
        serial: SERIAL.to_owned(),
        card_number,
        holder_name,
        descriptor: Secret::new("BIND ABC234".to_owned()),
        check_name: true,
    }
}

fn question() -> CardQuestion {
    let (card_number, holder_name) = payee();
    CardQuestion {
        serial: SERIAL.to_owned(),
        card_number,
        holder_name,
        id_number: IdNumber::parse(DocumentType::ResidentId, "110105196302111073").unwrap(),
        phone: Phone::parse("13900000001").unwrap(),
    }
}

fn status(name: &str) -> Behavior {
    let reason = if name == "returned" {
        r#","reason":"name_mismatch""#
    } else {
        ""
    };
    let body = format!(r#"{{"serial":"{SERIAL}","status":"{name}"{reason}}}"#);
    Behavior::Signed(200, body)
}

/// Every behavior that loses the answer.
fn lost_answers(answer: &str) -> Vec<(&'static str, Behavior)> {
    let stranger = BankKey::from_secret_text(&"x".repeat(64)).unwrap();
    vec![
        ("no reply", Behavior::Silence),
        ("incomplete", Behavior::HeadOnly),
        (
            "garbled",
            Behavior::Signed(200, "<html>busy</html>".to_owned()),
        ),
        (
            "foreign serial",
            Behavior::Signed(200, answer.replace("-1", "-2")),
        ),
        ("forged", Behavior::SignedBy(stranger, answer.to_owned())),
        (
            "for another request",
            Behavior::SignedForAnother(answer.to_owned()),
        ),
        ("server error", Behavior::Signed(500, answer.to_owned())),
        ("dropped", Behavior::Raw(Vec::new())),
    ]
}

fn paths(bank: &FakeBank) -> Vec<String> {
    let received = bank.received.lock().unwrap();
    received
        .iter()
        .map(|request| request.path.clone())
        .collect()
}

#[tokio::test]
async fn answered_transfer_is_not_queried() {
    for (name, answer) in [
        ("succeeded", TransferAnswer::Succeeded),
        ("pending", TransferAnswer::Pending),
        ("returned", TransferAnswer::Returned),
    ] {
        let bank = FakeBank::start(status(name)).await;
        let got = SendTransfer::transfer(&bank.client(), &deposit()).await;
        assert_eq!(got, Some(answer));
        let request = bank.received.lock().unwrap().pop().unwrap();
        assert_eq!(
            (request.path.as_str(), bank.requests()),
            ("/stage/transfer", 0)
        );
        let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        assert_eq!(
            body,
            serde_json::json!({
                "serial": SERIAL, "card_number": "6222020000009001009", "holder_name": "测试商户一",
                "amount_fen": 1, "descriptor": "BIND ABC234", "check_name": true,
            })
        );
    }
}

#[tokio::test]
async fn lost_transfer_answer_leads_to_one_query() {
    let Behavior::Signed(_, succeeded) = status("succeeded") else {
        unreachable!()
    };
    for (name, behavior) in lost_answers(&succeeded) {
        for (query, expected) in [
            ("succeeded", Some(TransferAnswer::Succeeded)),
            ("pending", Some(TransferAnswer::Pending)),
            ("returned", Some(TransferAnswer::Returned)),
            ("unknown_serial", None),
        ] {
            let bank = FakeBank::start_with(behavior.clone(), status(query)).await;
            let got = SendTransfer::transfer(&bank.client(), &deposit()).await;
            assert_eq!(got, expected, "{name}, then {query}");
            assert_eq!(
                paths(&bank),
                ["/stage/transfer", "/stage/transfer/query"],
                "{name}"
            );
            let query = bank.received.lock().unwrap().pop().unwrap();
            assert_eq!(
                query.body,
                format!(r#"{{"serial":"{SERIAL}"}}"#).into_bytes()
            );
        }
        let bank = FakeBank::start(behavior).await;
        let got = SendTransfer::transfer(&bank.client(), &deposit()).await;
        assert_eq!(got, None, "{name}, twice");
        assert_eq!(bank.requests(), 2, "{name}: queried more than once");
    }
}

#[tokio::test]
async fn lost_check_answer_leads_to_one_query() {
    for (name, behavior) in lost_answers(&outcome("match")) {
        for (query, expected) in [
            ("match", Some(BankAnswer::Match(BankCardType::Unknown))),
            ("busy", Some(BankAnswer::Busy)),
            ("unknown_serial", None),
        ] {
            let query = Behavior::Signed(200, outcome(query));
            let bank = FakeBank::start_with(behavior.clone(), query).await;
            let got = CheckCard::check(&bank.client(), &question()).await;
            assert_eq!(got, expected, "{name}");
            assert_eq!(paths(&bank), ["/stage/check", "/stage/check/query"]);
        }
    }
}

#[tokio::test]
async fn match_states_the_card_type() {
    for (member, expected) in [
        (r#","card_type":"debit""#, Some(BankCardType::Debit)),
        (r#","card_type":"credit""#, Some(BankCardType::Credit)),
        (r#","card_type":"prepaid""#, Some(BankCardType::Prepaid)),
        (r#","card_type":"unknown""#, Some(BankCardType::Unknown)),
        // A match that states no type proves none.
        ("", Some(BankCardType::Unknown)),
        // Another word is not an answer by the protocol.
        (r#","card_type":"quasi_credit""#, None),
        (r#","card_type":1"#, None),
    ] {
        let reply = format!(r#"{{"serial":"{SERIAL}","outcome":"match"{member}}}"#);
        let bank = FakeBank::start(Behavior::Signed(200, reply)).await;
        let expected = expected.map(BankAnswer::Match);
        assert_eq!(
            CheckCard::check(&bank.client(), &question()).await,
            expected
        );
        let queried = bank.client().check_outcome(SERIAL).await;
        assert_eq!(queried.answer(), expected, "{member}");
    }
}

#[tokio::test]
async fn query_never_sends_a_request() {
    for (name, expected) in [
        ("succeeded", QueryOutcome::Answer(TransferAnswer::Succeeded)),
        ("pending", QueryOutcome::Answer(TransferAnswer::Pending)),
        ("returned", QueryOutcome::Answer(TransferAnswer::Returned)),
        ("unknown_serial", QueryOutcome::NeverSeen),
        ("lost", QueryOutcome::Unknown),
    ] {
        let bank = FakeBank::start(status(name)).await;
        assert_eq!(bank.client().transfer_outcome(SERIAL).await, expected);
        assert_eq!(paths(&bank), ["/stage/transfer/query"]);
    }
    for (name, expected) in [
        (
            "match",
            QueryOutcome::Answer(BankAnswer::Match(BankCardType::Unknown)),
        ),
        ("class_ii", QueryOutcome::Answer(BankAnswer::ClassTwo)),
        ("quota", QueryOutcome::Answer(BankAnswer::Quota)),
        ("unknown_serial", QueryOutcome::NeverSeen),
        ("approved", QueryOutcome::Unknown),
    ] {
        let bank = FakeBank::start(Behavior::Signed(200, outcome(name))).await;
        assert_eq!(bank.client().check_outcome(SERIAL).await, expected);
        assert_eq!(paths(&bank), ["/stage/check/query"]);
    }
    for (name, behavior) in lost_answers(&outcome("match")) {
        let bank = FakeBank::start(behavior).await;
        assert_eq!(
            bank.client().check_outcome(SERIAL).await,
            QueryOutcome::Unknown,
            "{name}"
        );
        assert_eq!(
            bank.client().transfer_outcome(SERIAL).await,
            QueryOutcome::Unknown,
            "{name}"
        );
        assert_eq!(bank.requests(), 2, "{name}: sent more than once");
    }
}
