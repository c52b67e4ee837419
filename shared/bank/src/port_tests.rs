//! The ports over the client: what one lost answer leads to, and what it never leads to.

use super::*;
use application::ports::{
    CardQuestion, CheckCard, QueryCheck, QueryOutcome, QueryTransfer, SendTransfer, Transfer,
};
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
        id_number: IdNumber::parse("110105196302111073").unwrap(),
        phone: Phone::parse("13900000001").unwrap(),
    }
}

fn status(name: &str) -> Act {
    let reason = if name == "returned" {
        r#","reason":"name_mismatch""#
    } else {
        ""
    };
    let body = format!(r#"{{"serial":"{SERIAL}","status":"{name}"{reason}}}"#);
    Act::Signed(200, body)
}

/// Every way of losing an answer that the client's own tests know.
fn lost(answer: &str) -> Vec<(&'static str, Act)> {
    let stranger = BankKey::from_secret_text(&"x".repeat(64)).unwrap();
    vec![
        ("late", Act::Silence),
        ("half", Act::HeadOnly),
        ("garbled", Act::Signed(200, "<html>busy</html>".to_owned())),
        (
            "foreign serial",
            Act::Signed(200, answer.replace("-1", "-2")),
        ),
        ("forged", Act::SignedBy(stranger, answer.to_owned())),
        ("to another", Act::SignedForAnother(answer.to_owned())),
        ("a failure", Act::Signed(500, answer.to_owned())),
        ("dropped", Act::Raw(Vec::new())),
    ]
}

fn paths(bank: &FakeBank) -> Vec<String> {
    let heard = bank.heard.lock().unwrap();
    heard.iter().map(|heard| heard.path.clone()).collect()
}

#[tokio::test]
async fn a_transfer_that_is_answered_is_not_asked_about() {
    for (name, answer) in [
        ("succeeded", TransferAnswer::Succeeded),
        ("pending", TransferAnswer::Pending),
        ("returned", TransferAnswer::Returned),
    ] {
        let bank = FakeBank::start(status(name)).await;
        let got = SendTransfer::transfer(&bank.client(), &deposit()).await;
        assert_eq!(got, Some(answer));
        let heard = bank.heard.lock().unwrap().pop().unwrap();
        assert_eq!(
            (heard.path.as_str(), bank.requests()),
            ("/stage/transfer", 0)
        );
        let body: serde_json::Value = serde_json::from_slice(&heard.body).unwrap();
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
async fn a_transfer_whose_answer_is_lost_is_asked_about_once_by_its_serial() {
    let Act::Signed(_, succeeded) = status("succeeded") else {
        unreachable!()
    };
    for (name, act) in lost(&succeeded) {
        for (query, expected) in [
            ("succeeded", Some(TransferAnswer::Succeeded)),
            ("pending", Some(TransferAnswer::Pending)),
            ("returned", Some(TransferAnswer::Returned)),
            ("unknown_serial", None),
        ] {
            let bank = FakeBank::start_with(act.clone(), status(query)).await;
            let got = SendTransfer::transfer(&bank.client(), &deposit()).await;
            assert_eq!(got, expected, "{name}, then {query}");
            let asked = paths(&bank);
            assert_eq!(
                asked,
                ["/stage/transfer", "/stage/transfer/query"],
                "{name}"
            );
            let heard = bank.heard.lock().unwrap().pop().unwrap();
            assert_eq!(
                heard.body,
                format!(r#"{{"serial":"{SERIAL}"}}"#).into_bytes()
            );
        }
        let bank = FakeBank::start(act).await;
        let got = SendTransfer::transfer(&bank.client(), &deposit()).await;
        assert_eq!(got, None, "{name}, twice");
        assert_eq!(bank.requests(), 2, "{name}: asked more than once");
    }
}

#[tokio::test]
async fn a_check_whose_answer_is_lost_is_asked_about_once_by_its_serial() {
    for (name, act) in lost(&outcome("match")) {
        for (query, expected) in [
            ("match", Some(BankAnswer::Match)),
            ("busy", Some(BankAnswer::Busy)),
            ("unknown_serial", None),
        ] {
            let query = Act::Signed(200, outcome(query));
            let bank = FakeBank::start_with(act.clone(), query).await;
            let got = CheckCard::check(&bank.client(), &question()).await;
            assert_eq!(got, expected, "{name}");
            assert_eq!(paths(&bank), ["/stage/check", "/stage/check/query"]);
        }
    }
}

#[tokio::test]
async fn recalling_asks_and_never_sends() {
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
        ("match", QueryOutcome::Answer(BankAnswer::Match)),
        ("class_ii", QueryOutcome::Answer(BankAnswer::ClassTwo)),
        ("quota", QueryOutcome::Answer(BankAnswer::Quota)),
        ("unknown_serial", QueryOutcome::NeverSeen),
        ("approved", QueryOutcome::Unknown),
    ] {
        let bank = FakeBank::start(Act::Signed(200, outcome(name))).await;
        assert_eq!(bank.client().check_outcome(SERIAL).await, expected);
        assert_eq!(paths(&bank), ["/stage/check/query"]);
    }
    for (name, act) in lost(&outcome("match")) {
        let bank = FakeBank::start(act).await;
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
