//! The description's example replies and requests. They are values of the types, so that no example can have another
//! shape.

use super::at;
use crate::body;
use crate::event::Request;
use crate::replies::*;
use crate::requests;
use domain::agreement::ConsentId;
use domain::banner_code::BannerCode;
use domain::card::{CardStatus, CardType};
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::lang::Lang;
use domain::merchant::EntityType;
use domain::next_action::NextAction;
use domain::payout::PayoutState;
use domain::rebind::{OtpPurpose, Purpose, StateName};
use domain::settlement::Cycle;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A body under its name.
pub(super) struct Example {
    pub(super) name: &'static str,
    pub(super) summary: &'static str,
    pub(super) value: Value,
}

fn settings(cycle: Cycle, payout_time: &str, retained_fen: u64, daily_limit_fen: u64) -> Settings {
    Settings {
        cycle,
        payout_time: payout_time.to_owned(),
        retained_fen,
        daily_limit_fen,
    }
}

fn reply(name: &'static str, summary: &'static str, body: impl Serialize) -> Example {
    let value = serde_json::to_value(body).expect("a reply has a JSON form");
    Example {
        name,
        summary,
        value,
    }
}

/// Requests are not serialisable, so the example is checked by parsing it.
fn request<T: DeserializeOwned>(
    name: &'static str,
    summary: &'static str,
    value: Value,
) -> Example {
    let request = Request {
        body: Some(value.to_string().into_bytes()),
        ..Request::default()
    };
    assert!(
        body::read::<T>(&request).is_ok(),
        "{name} is not of its type"
    );
    Example {
        name,
        summary,
        value,
    }
}

fn old_card(status: CardStatus) -> Card {
    Card {
        card_id: Text(CardId::parse("card_000000c3x8gqvn5jrw1kdp").expect("an id")),
        bank_code: "ICBC".to_owned(),
        bank_name: "中国工商银行".to_owned(),
        card_type: CardType::Debit,
        last4: "0010".to_owned(),
        status,
        bound_at: at("2024-09-12T10:00:00+08:00"),
        usable_at: None,
    }
}

fn new_card(status: CardStatus) -> Card {
    Card {
        card_id: Text(CardId::parse("card_0000017fqk2mhd9wzr4tbn").expect("an id")),
        bank_code: "ICBC".to_owned(),
        bank_name: "中国工商银行".to_owned(),
        card_type: CardType::Debit,
        last4: "1009".to_owned(),
        status,
        bound_at: at("2026-11-22T10:00:00+08:00"),
        usable_at: None,
    }
}

fn standby_card(status: CardStatus) -> Card {
    Card {
        card_id: Text(CardId::parse("card_000002n4vtx8bqr2kzjw6d").expect("an id")),
        bank_code: "CCB".to_owned(),
        bank_name: "中国建设银行".to_owned(),
        card_type: CardType::Debit,
        last4: "1375".to_owned(),
        status,
        bound_at: at("2027-01-11T10:00:00+08:00"),
        usable_at: (status == CardStatus::Standby).then(|| at("2027-01-12T10:10:00+08:00")),
    }
}

fn started() -> Rebind {
    Rebind {
        rebind_id: Text(RebindId::parse("rbd_000001h3kq7vbn2fdw9s4m").expect("an id")),
        state: StateName::IdentityPending,
        version: 1,
        purpose: Purpose::Activate,
        new_card: new_card(CardStatus::Pending),
        old_card: Some(old_card(CardStatus::Active)),
        expires_at: at("2026-11-23T10:00:00+08:00"),
        created_at: at("2026-11-22T10:00:00+08:00"),
        challenge: None,
        next_actions: vec![NextAction::Identity, NextAction::Cancel],
        activated_at: None,
        effective_at: None,
        cooldown_until: None,
        waiting_for_notification: false,
        test_succeeded_at: None,
        ended_reason: None,
        reserved_phone_masked: "139****0001".to_owned(),
    }
}

fn standby_started() -> Rebind {
    Rebind {
        rebind_id: Text(RebindId::parse("rbd_000002m9fwk3tzq7hb2nxc").expect("an id")),
        purpose: Purpose::Standby,
        new_card: standby_card(CardStatus::Pending),
        old_card: Some(new_card(CardStatus::Active)),
        expires_at: at("2027-01-12T10:00:00+08:00"),
        created_at: at("2027-01-11T10:00:00+08:00"),
        ..started()
    }
}

fn activated() -> Rebind {
    Rebind {
        state: StateName::Activated,
        version: 7,
        new_card: new_card(CardStatus::Active),
        old_card: Some(old_card(CardStatus::Retiring)),
        next_actions: vec![NextAction::TestTransaction],
        activated_at: Some(at("2026-11-22T10:10:00+08:00")),
        effective_at: Some(at("2026-11-23T10:10:00+08:00")),
        cooldown_until: Some(at("2026-12-22T10:10:00+08:00")),
        waiting_for_notification: true,
        ..started()
    }
}

fn cancelled() -> Rebind {
    Rebind {
        state: StateName::Cancelled,
        version: 2,
        new_card: new_card(CardStatus::Removed),
        next_actions: vec![NextAction::NewRebind],
        ..started()
    }
}

fn merchant_id() -> Text<MerchantId> {
    Text(MerchantId::parse("mer_plain_1").expect("an id"))
}

fn payout_id(text: &str) -> Text<PayoutId> {
    Text(PayoutId::parse(text).expect("an id"))
}

fn data(value: Value) -> Map<String, Value> {
    serde_json::from_value(value).expect("an object")
}

/// Every reply.
pub(super) fn replies() -> Vec<Example> {
    vec![
        reply("Session", "Logged in, with one notice.", Session { token: "v1.bWVyX3BsYWluXzE.0.b3BhcXVlLWV4YW1wbGUtdG9rZW4tb25seQ".to_owned(), expires_at: at("2026-11-22T10:15:00+08:00"), merchant: Merchant { merchant_id: merchant_id(), legal_name_masked: "测*".to_owned(), entity_type: EntityType::NaturalPerson }, notices: vec![Notice { code: BannerCode::IdExpiring, detail_zh: "您登记的证件还有25天到期，请尽快换证并联系客服更新，过期后将不能更换结算卡。".to_owned(), detail_en: "The registered ID document expires in 25 days. Renew it soon and have support record the new one: after that the settlement card cannot be changed.".to_owned(), days_left: Some(25), until: Some(at("2026-12-17T23:59:59+08:00")) }] }),
        reply("Cards", "One card, no open rebind.", Cards { active: Some(old_card(CardStatus::Active)), standby: vec![], open_rebind: None, hold: None, can_rebind: true, blocked_by: None, cooldown_until: None }),
        reply("CardsOnHold", "The card was changed; payouts still go to the old one.", Cards { active: Some(new_card(CardStatus::Active)), standby: vec![], open_rebind: None, hold: Some(Hold { rebind_id: started().rebind_id, paying_card: Some(old_card(CardStatus::Retiring)), effective_at: at("2026-11-23T10:10:00+08:00") }), can_rebind: false, blocked_by: Some(BlockedBy(ErrorCode::RebindCooldown)), cooldown_until: Some(at("2026-12-22T10:10:00+08:00")) }),
        reply("CardsWithRebind", "A rebind is open.", Cards { active: Some(old_card(CardStatus::Active)), standby: vec![], open_rebind: Some(started()), hold: None, can_rebind: false, blocked_by: Some(BlockedBy(ErrorCode::RequestInProgress)), cooldown_until: None }),
        reply("CardsWithStandby", "A standby card beside the active one.", Cards { active: Some(new_card(CardStatus::Active)), standby: vec![standby_card(CardStatus::Standby)], open_rebind: None, hold: None, can_rebind: true, blocked_by: None, cooldown_until: None }),
        reply("RebindCreated", "Just started.", started()),
        reply("StandbyCreated", "Just started, for a standby card.", standby_started()),
        reply("RebindIdentityCode", "A code is on its way to the phone on file.", Rebind { version: 2, challenge: Some(Challenge { purpose: OtpPurpose::Identity, method: ChallengeMethod::SmsCode, sent_to: "139****0001".to_owned(), expires_at: at("2026-11-22T10:06:00+08:00"), resend_after_s: Some(60), attempts_left: 5 }), next_actions: vec![NextAction::IdentityConfirm, NextAction::IdentityCode, NextAction::Cancel], ..started() }),
        reply("RebindAgreement", "The identity is confirmed.", Rebind { state: StateName::AgreementPending, version: 3, next_actions: vec![NextAction::ReadAgreement, NextAction::SignAgreement, NextAction::Cancel], ..started() }),
        reply("RebindCardPending", "The agreement is signed.", Rebind { state: StateName::CardPending, version: 4, next_actions: vec![NextAction::CardCheck, NextAction::Cancel], ..started() }),
        reply("RebindCardCode", "The bank matched; a code is on its way to the reserved phone.", Rebind { state: StateName::CardPending, version: 6, challenge: Some(Challenge { purpose: OtpPurpose::Card, method: ChallengeMethod::BankCode, sent_to: "139****0001".to_owned(), expires_at: at("2026-11-22T10:13:00+08:00"), resend_after_s: Some(60), attempts_left: 5 }), next_actions: vec![NextAction::CardCheckConfirm, NextAction::CardCheckCode, NextAction::Cancel], ..started() }),
        reply("RebindMicroDeposit", "The bank cannot check; a deposit was sent.", Rebind { state: StateName::CardPending, version: 6, expires_at: at("2026-11-29T10:08:00+08:00"), challenge: Some(Challenge { purpose: OtpPurpose::Card, method: ChallengeMethod::MicroDeposit, sent_to: "中国工商银行 ···1009".to_owned(), expires_at: at("2026-11-29T10:08:00+08:00"), resend_after_s: None, attempts_left: 3 }), next_actions: vec![NextAction::CardCheckConfirm, NextAction::Cancel], ..started() }),
        reply("RebindActivated", "Activated; the hold runs.", activated()),
        reply("StandbyReady", "The standby card is verified.", Rebind { state: StateName::Completed, version: 7, new_card: standby_card(CardStatus::Standby), next_actions: vec![NextAction::ActivateStandby, NextAction::UnbindCard], ..standby_started() }),
        reply("StandbyActivating", "The standby card is being activated.", Rebind { state: StateName::Completed, version: 8, new_card: standby_card(CardStatus::Standby), challenge: Some(Challenge { purpose: OtpPurpose::Activate, method: ChallengeMethod::SmsCode, sent_to: "139****0001".to_owned(), expires_at: at("2027-02-01T09:05:00+08:00"), resend_after_s: Some(41), attempts_left: 5 }), next_actions: vec![NextAction::ActivateStandby], ..standby_started() }),
        reply("StandbyActivated", "The standby card is active, without a hold.", Rebind { state: StateName::Activated, version: 9, new_card: standby_card(CardStatus::Active), old_card: Some(new_card(CardStatus::Retiring)), next_actions: vec![NextAction::TestTransaction], activated_at: Some(at("2027-02-01T09:01:00+08:00")), effective_at: Some(at("2027-02-01T09:01:00+08:00")), cooldown_until: Some(at("2027-03-03T09:01:00+08:00")), ..standby_started() }),
        reply("RebindCancelled", "Cancelled.", cancelled()),
        reply("RebindRejected", "Refused by the bank.", Rebind { state: StateName::Rejected, version: 6, new_card: new_card(CardStatus::Removed), next_actions: vec![NextAction::NewRebind], ended_reason: Some(EndedReason(ErrorCode::ElementsMismatch)), ..started() }),
        reply("RebindExpired", "The deposit was not confirmed in time.", Rebind { state: StateName::Expired, version: 7, new_card: new_card(CardStatus::Removed), expires_at: at("2026-11-29T10:08:00+08:00"), next_actions: vec![NextAction::NewRebind], ended_reason: Some(EndedReason(ErrorCode::MicroDepositExpired)), ..started() }),
        reply("TestSucceeded", "The transfer has arrived.", TestTransaction { status: TestStatus::Succeeded, amount_fen: TestTransaction::AMOUNT_FEN, rebind: Rebind { version: 9, next_actions: vec![], test_succeeded_at: Some(at("2026-11-22T10:12:00+08:00")), ..activated() } }),
        reply("TestFailed", "The transfer was returned; the change is undone.", TestTransaction { status: TestStatus::Failed, amount_fen: TestTransaction::AMOUNT_FEN, rebind: Rebind { state: StateName::Reverted, version: 9, new_card: new_card(CardStatus::Removed), next_actions: vec![NextAction::NewRebind], ended_reason: Some(EndedReason(ErrorCode::TestTxnFailed)), ..started() } }),
        reply("RebindList", "The only rebind.", Page { items: vec![cancelled()], next_cursor: None }),
        reply("Agreement", "Shortened.", Agreement { version: "2026-11-22".to_owned(), lang: Lang::ZhCn, title: "结算卡变更服务协议".to_owned(), body_markdown: "**版本 2026-11-22**\n\n您申请将 **中国工商银行（尾号 1009）** 绑定为您的结算卡。\n".to_owned(), sha256: "04c91e183d47118757dd0edc341938e9c9fbf9210333beecddc62c214f9e29cc".to_owned(), min_read_s: 10, consents: vec![Consent { id: ConsentId::SettlementChange, text: "我已阅读并同意《结算卡变更服务协议》，申请将中国工商银行（尾号 1009）绑定为我的结算卡。".to_owned() }, Consent { id: ConsentId::SensitiveCard, text: "我单独同意：为核验新卡和支付结算款，处理我的银行卡号和银行预留手机号（敏感个人信息），并提供给发卡银行及其核验服务机构。".to_owned() }, Consent { id: ConsentId::SensitiveIdentity, text: "我单独同意：为核实我的身份和核验新卡，处理我的证件号码和有效期（敏感个人信息），并将证件号码提供给发卡银行及其核验服务机构。".to_owned() }], reading_token: "v1.MjAyNi0xMS0yMg.b3BhcXVlLWV4YW1wbGU".to_owned() }),
        reply("PayoutList", "One payout that is being paid, one that is held without a card.", Page { items: vec![Payout { payout_id: payout_id("pay_sandbox_2"), amount_fen: 3550, created_at: at("2026-11-22T09:00:00+08:00"), card: None, held: true, status: PayoutState::Unsent, expected_at: at("2026-11-23T06:00:00+08:00"), estimated: false }, Payout { payout_id: payout_id("pay_sandbox_1"), amount_fen: 128000, created_at: at("2026-11-22T08:00:00+08:00"), card: Some(old_card(CardStatus::Retiring)), held: false, status: PayoutState::Sending, expected_at: at("2026-11-23T06:00:00+08:00"), estimated: false }], next_cursor: None }),
        reply("Settlement", "Paid out on the next weekday.", Settlement { in_force: settings(Cycle::T1, "06:00", 0, 2_000_000), fee_rate_bp: 60, pending: None }),
        reply("SettlementPending", "New settings take effect a day later.", Settlement { in_force: settings(Cycle::T1, "06:00", 0, 2_000_000), fee_rate_bp: 60, pending: Some(PendingSettlement { settings: settings(Cycle::D1, "21:30", 10_000, 3_000_000), effective_at: at("2026-11-23T10:00:00+08:00") }) }),
        reply("EventList", "The history of `mer_plain_1` after one rebind was started and cancelled. The hashes are valid.", Page { items: vec![Event { event_id: "evt_2".to_owned(), sequence: 2, at: at("2026-11-22T10:01:00+08:00"), kind: EventKind::Cancelled, policy_version: 1, data: data(json!({"rebind_id": "rbd_000001h3kq7vbn2fdw9s4m"})), personal_sha256: None, prev_hash: "2ce213c34c35446494a2eea2dc28db08b390bde9ea1641f04c7e6642bb7aa888".to_owned(), hash: "8ffbd9cf0d262e34633c041cb3fbb2f83f7ed84bc3e7a2b5996b184d28406960".to_owned() }, Event { event_id: "evt_1".to_owned(), sequence: 1, at: at("2026-11-22T10:00:00+08:00"), kind: EventKind::RebindRequested, policy_version: 1, data: data(json!({"rebind_id": "rbd_000001h3kq7vbn2fdw9s4m", "purpose": "activate", "reason": "replace", "card_id": "card_0000017fqk2mhd9wzr4tbn", "bank_code": "ICBC", "last4": "1009", "holder": "测*"})), personal_sha256: Some("b32f1016a187fdd49166c223ae0b2e330f737d343d131778dd13f0b4d6c0f780".to_owned()), prev_hash: "0000000000000000000000000000000000000000000000000000000000000000".to_owned(), hash: "2ce213c34c35446494a2eea2dc28db08b390bde9ea1641f04c7e6642bb7aa888".to_owned() }], next_cursor: None }),
        reply("HistoryReceipt", "Both events of the history are anchored. The proof is shortened.", HistoryReceipt { merchant_id: merchant_id(), log: "rebind/123456789012/eu-central-1".to_owned(), head: HistoryHead { sequence: 2, hash: "8ffbd9cf0d262e34633c041cb3fbb2f83f7ed84bc3e7a2b5996b184d28406960".to_owned() }, proof: Some(json!({"at": 1_795_312_900, "entry": {"hash": "8ffbd9cf0d262e34633c041cb3fbb2f83f7ed84bc3e7a2b5996b184d28406960", "pseudonym": "5f0cc2b8a1b0a3b5a5e0b0f6d9b3a6d3c1c2a0a9f8e7d6c5b4a39281706f5e4d", "seq": 2}, "batch": {"size": 1, "root": "1f2e3d4c5b6a79880716253443526170f1e2d3c4b5a69788a1b2c3d4e5f60718", "index": 0, "path": []}, "log": {"index": 0, "path": []}})), checkpoint: Some("rebind/123456789012/eu-central-1\n1\n…\n".to_owned()) }),
        reply("HistoryReceiptNone", "Nothing is anchored yet.", HistoryReceipt { merchant_id: merchant_id(), log: "rebind/123456789012/eu-central-1".to_owned(), head: HistoryHead { sequence: 1, hash: "2ce213c34c35446494a2eea2dc28db08b390bde9ea1641f04c7e6642bb7aa888".to_owned() }, proof: None, checkpoint: None }),
        reply("Freeze", "Always the same.", Freeze { status: FreezeStatus::Received }),
    ]
}

/// Every request.
pub(super) fn requests() -> Vec<Example> {
    vec![
        request::<requests::CreateSession>(
            "CreateSession",
            "A login.",
            json!({"account": "13900000001", "password": "sandbox only: merchant plain_1", "device_id": "b7c1f0a95d3e48c6a2f4e1d0c9b8a796"}),
        ),
        request::<requests::CreateRebind>(
            "CreateRebind",
            "Replace the card.",
            json!({"card_number": "6222020000009001009", "holder_name": "测试商户一", "reserved_phone": "13900000001", "reason": "replace"}),
        ),
        request::<requests::CreateRebind>(
            "CreateStandby",
            "Add a standby card.",
            json!({"card_number": "6217000000009001375", "holder_name": "测试商户一", "reserved_phone": "+8613900000001", "reason": "replace", "activate": false}),
        ),
        request::<requests::CheckIdentity>(
            "CheckIdentity",
            "A document with an end.",
            json!({"document_number": "110105200206141984", "document_expires_on": "2026-12-17"}),
        ),
        request::<requests::CheckIdentity>(
            "CheckIdentityLongTerm",
            "A document without an end.",
            json!({"document_number": "110105196302111073", "document_expires_on": "long_term"}),
        ),
        request::<requests::ConfirmCode>("ConfirmCode", "A code.", json!({"code": "402917"})),
        request::<requests::ConfirmCard>("ConfirmCard", "A code.", json!({"code": "731055"})),
        request::<requests::ConfirmCard>(
            "ConfirmDeposit",
            "The last six characters of a descriptor.",
            json!({"code": "K7M2QX"}),
        ),
        request::<requests::SignAgreement>(
            "SignAgreement",
            "All consents given.",
            json!({"version": "2026-11-22", "sha256": "04c91e183d47118757dd0edc341938e9c9fbf9210333beecddc62c214f9e29cc", "reading_token": "v1.MjAyNi0xMS0yMg.b3BhcXVlLWV4YW1wbGU", "signed_name": "测试商户一", "consents": ["settlement_change", "sensitive_card", "sensitive_identity"]}),
        ),
        request::<requests::PutSettlement>(
            "PutSettlement",
            "Without the fee.",
            json!({"cycle": "D1", "payout_time": "21:30", "retained_fen": 10000, "daily_limit_fen": 3000000}),
        ),
        request::<requests::PutPushTarget>(
            "PutPushTarget",
            "An iPhone.",
            json!({"platform": "apns", "token": "sandbox-only-token-of-an-installation"}),
        ),
        request::<requests::CreateFreeze>(
            "CreateFreeze",
            "As typed from the SMS.",
            json!({"account": "13900000001", "freeze_code": "k7m2 qx9b"}),
        ),
        request::<requests::Empty>("Empty", "No members.", json!({})),
        request::<requests::PutSettlement>(
            "PutSettlementWithFee",
            "The reply of `GET`, sent back.",
            json!({"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2000000, "fee_rate_bp": 60, "pending": null}),
        ),
        request::<requests::ActivateCard>("ActivateCard", "Have a code sent.", json!({})),
        request::<requests::ActivateCard>(
            "ActivateCardConfirm",
            "The code.",
            json!({"code": "402917"}),
        ),
    ]
}
