use super::*;
use serde_json::{Value, json};

const NOW: i64 = 1_795_312_800; // 2026-11-22T10:00:00+08:00
const CARD: &str = "6222020000008000010";

fn now() -> Timestamp {
    Timestamp::from_epoch_s(NOW)
}

fn hash() -> String {
    PasswordHash::new(b"saltsaltsaltsalt", [7; 32])
        .expose()
        .to_owned()
}

/// A merchant with every member.
fn full() -> Value {
    json!({
        "merchant_id": "mer_new_1",
        "account": "+86 139-0000-9001",
        "password_hash": hash(),
        "entity_type": "sole_trader",
        "legal_name": "测试商户",
        "settlement_name": "测试店",
        "id_document": {"type": "resident_id", "number": "11010519491231002X", "expires_on": "2031-05-31"},
        "phone_on_file": "13900009001",
        "opened_on": "2024-02-29",
        "tier": {"daily_limit_max_fen": 5_000_000, "fee_rate_bp": 60},
        "settlement": {"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2_000_000},
        "card": {"number": CARD},
        "migration": {
            "cooldown_until": "2026-12-01T10:00:00+08:00",
            "hold_until": "2026-11-23T10:00:00+08:00",
            "replaced_card": {"number": "6222020000008000028"},
            "unsent_payouts": [
                {"payout_id": "pay_new_1", "amount_fen": 100, "created_at": "2026-11-22T09:00:00+08:00"},
                {"payout_id": "pay_new_2", "amount_fen": 200, "created_at": "2026-11-22T09:30:00+08:00"},
            ],
        },
    })
}

fn read(json: &Value) -> Result<Onboarding, Vec<FieldFault>> {
    NewMerchant::from_json(json.to_string().as_bytes())?.read(&Policy::CURRENT, now())
}

/// The faults of the full merchant with one member changed, as `field CODE`.
fn faults(pointer: &str, value: Value) -> Vec<String> {
    let mut json = full();
    match pointer.rsplit_once('/') {
        Some((parent, name)) if json.pointer(pointer).is_none() => {
            json.pointer_mut(parent).unwrap()[name] = value;
        }
        _ => *json.pointer_mut(pointer).unwrap() = value,
    }
    listed(read(&json))
}

fn listed(read: Result<Onboarding, Vec<FieldFault>>) -> Vec<String> {
    let faults = read.err().unwrap_or_default();
    let text = |fault: &FieldFault| format!("{} {}", fault.field, fault.fault);
    faults.iter().map(text).collect()
}

#[test]
fn full_merchant_is_read() {
    let merchant = read(&full()).unwrap();
    assert_eq!(merchant.account.expose(), "13900009001");
    assert_eq!(merchant.card.unwrap().expose(), CARD);
    assert_eq!(merchant.migration.unsent_payouts.len(), 2);
    let opened = "2024-02-29T00:00:00+08:00";
    assert_eq!(merchant.opened_at.to_string(), opened);
    assert!(merchant.migration.hold.unwrap().replaced_card.is_some());
}

#[test]
fn optional_members_may_be_absent_or_null() {
    let mut json = full();
    let members = json.as_object_mut().unwrap();
    for name in ["card", "migration", "settlement_name"] {
        members.remove(name);
    }
    json["id_document"].as_object_mut().unwrap().remove("type");
    let without = read(&json).unwrap();
    for name in ["card", "migration", "settlement_name"] {
        json[name] = Value::Null;
    }
    json["id_document"]["type"] = Value::Null;
    assert_eq!(read(&json).unwrap(), without);
}

#[test]
fn each_missing_member_is_named() {
    let optional = [
        "/settlement_name",
        "/card",
        "/migration",
        "/id_document/type",
    ];
    let members = [
        "/merchant_id",
        "/account",
        "/password_hash",
        "/entity_type",
        "/legal_name",
        "/id_document",
        "/id_document/number",
        "/id_document/expires_on",
        "/phone_on_file",
        "/opened_on",
        "/tier",
        "/tier/daily_limit_max_fen",
        "/tier/fee_rate_bp",
        "/settlement",
        "/settlement/cycle",
        "/settlement/payout_time",
        "/settlement/retained_fen",
        "/settlement/daily_limit_fen",
        "/card/number",
        "/migration/replaced_card/number",
    ];
    for pointer in members {
        let field = pointer[1..].replace('/', ".");
        assert_eq!(faults(pointer, Value::Null), [format!("{field} MISSING")]);
    }
    for pointer in optional {
        let found = faults(pointer, json!(true));
        let field = pointer[1..].replace('/', ".");
        assert!(found.contains(&format!("{field} WRONG_TYPE")), "{found:?}");
    }
}

#[test]
fn each_malformed_member_has_its_code() {
    for (pointer, value, expected) in [
        (
            "/merchant_id",
            json!("13900009001"),
            "merchant_id MALFORMED",
        ),
        ("/account", json!(" \u{A0}"), "account MALFORMED"),
        ("/account", json!("a".repeat(65)), "account TOO_LONG"),
        (
            "/password_hash",
            json!("password"),
            "password_hash PASSWORD_HASH",
        ),
        ("/entity_type", json!("person"), "entity_type MALFORMED"),
        ("/legal_name", json!("\u{3000}"), "legal_name MALFORMED"),
        ("/legal_name", json!("a\u{0}"), "legal_name MALFORMED"),
        (
            "/settlement_name",
            json!("名".repeat(129)),
            "settlement_name TOO_LONG",
        ),
        (
            "/id_document/type",
            json!("id"),
            "id_document.type MALFORMED",
        ),
        (
            "/id_document/number",
            json!("110105194912310021"),
            "id_document.number ID_CHECKSUM",
        ),
        (
            "/id_document/number",
            json!("E1"),
            "id_document.number ID_FORMAT",
        ),
        (
            "/id_document/expires_on",
            json!("2031-02-30"),
            "id_document.expires_on ID_FORMAT",
        ),
        (
            "/id_document/expires_on",
            json!("2206-01-01"),
            "id_document.expires_on TOO_FAR_AHEAD",
        ),
        (
            "/phone_on_file",
            json!("010-12345678"),
            "phone_on_file PHONE_FORMAT",
        ),
        ("/opened_on", json!("2026-11-23"), "opened_on IN_FUTURE"),
        ("/opened_on", json!("2026/11/22"), "opened_on MALFORMED"),
        (
            "/tier/daily_limit_max_fen",
            json!(0),
            "tier.daily_limit_max_fen MALFORMED",
        ),
        (
            "/tier/fee_rate_bp",
            json!(10_001),
            "tier.fee_rate_bp MALFORMED",
        ),
        (
            "/settlement/cycle",
            json!("T2"),
            "settlement.cycle MALFORMED",
        ),
        (
            "/settlement/payout_time",
            json!("6:00"),
            "settlement.payout_time MALFORMED",
        ),
        (
            "/settlement/retained_fen",
            json!(-1),
            "settlement.retained_fen MALFORMED",
        ),
        (
            "/settlement/retained_fen",
            json!(2_000_001),
            "settlement.retained_fen MALFORMED",
        ),
        (
            "/settlement/daily_limit_fen",
            json!(0),
            "settlement.daily_limit_fen MALFORMED",
        ),
        (
            "/settlement/daily_limit_fen",
            json!(5_000_001),
            "settlement.daily_limit_fen LIMIT_ABOVE_TIER",
        ),
        (
            "/settlement/daily_limit_fen",
            json!(1.5),
            "settlement.daily_limit_fen WRONG_TYPE",
        ),
        ("/card/number", json!("62220200"), "card.number CARD_FORMAT"),
        (
            "/card/number",
            json!(6_222_020_000_008_000_010_u64),
            "card.number WRONG_TYPE",
        ),
        ("/card", json!([CARD]), "card WRONG_TYPE"),
        (
            "/migration/cooldown_until",
            json!("2027-11-22"),
            "migration.cooldown_until MALFORMED",
        ),
        (
            "/migration/cooldown_until",
            json!("2027-11-22T10:00:00Z"),
            "migration.cooldown_until TOO_FAR_AHEAD",
        ),
        (
            "/migration/hold_until",
            json!("2026-11-26T10:00:00Z"),
            "migration.hold_until TOO_FAR_AHEAD",
        ),
        (
            "/migration/replaced_card/number",
            json!(CARD),
            "migration.replaced_card.number REPEATED",
        ),
        (
            "/migration/unsent_payouts",
            json!({}),
            "migration.unsent_payouts WRONG_TYPE",
        ),
        (
            "/migration/unsent_payouts/1",
            json!(7),
            "migration.unsent_payouts[1] WRONG_TYPE",
        ),
        (
            "/migration/unsent_payouts/1/payout_id",
            json!("1"),
            "migration.unsent_payouts[1].payout_id MALFORMED",
        ),
        (
            "/migration/unsent_payouts/1/payout_id",
            json!("pay_new_1"),
            "migration.unsent_payouts[1].payout_id REPEATED",
        ),
        (
            "/migration/unsent_payouts/1/amount_fen",
            json!(0),
            "migration.unsent_payouts[1].amount_fen MALFORMED",
        ),
        (
            "/migration/unsent_payouts/0/created_at",
            json!("2026-11-22T10:00:01+08:00"),
            "migration.unsent_payouts[0].created_at IN_FUTURE",
        ),
    ] {
        let found = faults(pointer, value);
        assert!(
            found.contains(&expected.to_owned()),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn young_account_may_not_have_t0() {
    let mut json = full();
    json["opened_on"] = json!("2026-11-20");
    json["settlement"]["cycle"] = json!("T0");
    assert_eq!(listed(read(&json)), ["settlement.cycle T0_NOT_ALLOWED"]);
}

#[test]
fn hold_requires_card_and_cooldown() {
    let mut json = full();
    json["card"] = Value::Null;
    assert_eq!(listed(read(&json)), ["card MISSING"]);
    let found = faults("/migration/cooldown_until", Value::Null);
    assert_eq!(found, ["migration.cooldown_until MISSING"]);
    let found = faults("/migration/hold_until", Value::Null);
    assert_eq!(found, ["migration.hold_until MISSING"]);
    let found = faults(
        "/migration/cooldown_until",
        json!("2026-11-23T09:00:00+08:00"),
    );
    assert_eq!(found, ["migration.hold_until TOO_FAR_AHEAD"]);
}

#[test]
fn times_in_the_past_are_allowed() {
    let mut json = full();
    json["migration"]["cooldown_until"] = json!("2026-11-22T09:00:00+08:00");
    json["migration"]["hold_until"] = json!("2026-11-21T09:00:00+08:00");
    let merchant = read(&json).unwrap();
    assert!(merchant.hold(now()).is_none());
}

#[test]
fn stand_in_dates_mean_long_term() {
    use domain::format::DocumentExpiry::LongTerm;
    for text in [
        "long_term",
        "长期",
        "9999-12-31",
        "99991231",
        "9999/12/31",
        "9999.1231",
        "2099-12-31",
    ] {
        let mut json = full();
        json["id_document"]["expires_on"] = json!(text);
        let expiry = read(&json).map(|merchant| merchant.id_expires_on);
        assert_eq!(
            expiry.is_ok_and(|expiry| expiry == LongTerm),
            text != "9999.1231",
            "{text}"
        );
    }
}

#[test]
fn all_faults_are_reported_at_once() {
    let mut json = full();
    json["merchant_id"] = json!("x");
    json["id_document"] = json!({"number": "E1", "expires_on": 7, "issuer": "x"});
    json["tier"] = Value::Null;
    json["settlement"]["daily_limit_fen"] = json!("2000000");
    json["13900009001"] = json!("测试");
    let mut found = listed(read(&json));
    found.sort();
    assert_eq!(
        found,
        [
            "? UNKNOWN_MEMBER",
            "id_document.expires_on WRONG_TYPE",
            "id_document.issuer UNKNOWN_MEMBER",
            "id_document.number ID_FORMAT",
            "merchant_id MALFORMED",
            "settlement.daily_limit_fen WRONG_TYPE",
            "tier MISSING",
        ]
    );
}

#[test]
fn repeated_member_is_a_fault() {
    let text = full().to_string();
    let repeated = text.replacen('{', "{\"merchant_id\":\"mer_new_2\",", 1);
    let merchant = NewMerchant::from_json(repeated.as_bytes()).unwrap();
    let found = listed(merchant.read(&Policy::CURRENT, now()));
    assert_eq!(found, ["merchant_id REPEATED_MEMBER"]);
}

#[test]
fn only_an_object_is_a_merchant() {
    for text in [
        "",
        "{",
        "[]",
        "null",
        "7",
        "\"x\"",
        "{}{}",
        "\u{FEFF}{}",
        "[[[[",
    ] {
        let faults = NewMerchant::from_json(text.as_bytes()).unwrap_err();
        assert_eq!(faults, [FieldFault::new("", Fault::NotJson)], "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(NewMerchant::from_json(format!("{{\"a\":{deep}").as_bytes()).is_err());
    assert!(NewMerchant::from_json(b"{\"account\": \"\xff\"}").is_err());
}

#[test]
fn long_lists_are_cut() {
    let payout =
        json!({"payout_id": "pay_1", "amount_fen": 1, "created_at": "2026-11-22T09:00:00+08:00"});
    let many = Value::from(vec![payout; 100_000]);
    let found = faults("/migration/unsent_payouts", many);
    assert_eq!(found[0], "migration.unsent_payouts TOO_MANY");
    assert_eq!(found.len(), PAYOUTS_MAX);
}

/// Puts a recognisable value into each member, also as a name, and looks for it in everything that is printed.
#[test]
fn no_fault_contains_a_value() {
    const VALUE: &str = "Z9secret9Z";
    fn pointers(value: &Value, at: &str, all: &mut Vec<String>) {
        all.push(at.to_owned());
        match value {
            Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(name, value)| pointers(value, &format!("{at}/{name}"), all));
            }
            Value::Array(items) => {
                items
                    .iter()
                    .enumerate()
                    .for_each(|(index, value)| pointers(value, &format!("{at}/{index}"), all));
            }
            _ => {}
        }
    }
    let mut all = Vec::new();
    pointers(&full(), "", &mut all);
    for pointer in all {
        for value in [json!(VALUE), json!([VALUE]), json!({VALUE: VALUE})] {
            let mut json = full();
            *json.pointer_mut(&pointer).unwrap() = value;
            let merchant = NewMerchant::from_json(json.to_string().as_bytes());
            let read = match &merchant {
                Ok(merchant) => merchant.read(&Policy::CURRENT, now()),
                Err(faults) => Err(faults.clone()),
            };
            let printed = format!("{read:?}");
            let is_shown = printed.contains(VALUE);
            // Only the id is printed, where it is valid.
            assert!(!is_shown, "{pointer}: {printed}");
        }
    }
}

#[test]
fn debug_output_hides_personal_data() {
    let merchant = NewMerchant::from_json(full().to_string().as_bytes()).unwrap();
    let printed = format!("{merchant:?} {:?}", merchant.read(&Policy::CURRENT, now()));
    for hidden in [
        "测试",
        "13900009001",
        "139-0000",
        "11010519491231002X",
        CARD,
        "argon2id",
        "2031-05-31",
    ] {
        assert!(!printed.contains(hidden), "{hidden}");
    }
}

#[test]
fn content_tells_different_merchants_apart() {
    let content = |json: &Value| {
        let content = read(json).unwrap().content();
        content
            .iter()
            .map(|part| part.expose().clone())
            .collect::<Vec<_>>()
    };
    let base = content(&full());
    let mut same = full();
    same["account"] = json!("13900009001");
    same["phone_on_file"] = json!("+86 139 0000 9001");
    assert_eq!(content(&same), base);
    for (pointer, value) in [
        ("/merchant_id", json!("mer_new_2")),
        ("/account", json!("13900009002")),
        (
            "/password_hash",
            json!(PasswordHash::new(b"saltsaltsaltsalt", [8; 32]).expose()),
        ),
        ("/entity_type", json!("company")),
        ("/legal_name", json!("测试")),
        ("/settlement_name", Value::Null),
        ("/id_document/expires_on", json!("long_term")),
        ("/phone_on_file", json!("13900009003")),
        ("/opened_on", json!("2024-03-01")),
        ("/tier/daily_limit_max_fen", json!(5_000_001)),
        ("/tier/fee_rate_bp", json!(61)),
        ("/settlement/cycle", json!("D1")),
        ("/settlement/payout_time", json!("06:01")),
        ("/settlement/retained_fen", json!(1)),
        ("/settlement/daily_limit_fen", json!(1_999_999)),
        ("/card/number", json!("6222020000008000036")),
        ("/migration", Value::Null),
        (
            "/migration/cooldown_until",
            json!("2026-12-01T10:00:01+08:00"),
        ),
        ("/migration/hold_until", json!("2026-11-23T10:00:01+08:00")),
        ("/migration/replaced_card", Value::Null),
        ("/migration/unsent_payouts/0/amount_fen", json!(101)),
        ("/migration/unsent_payouts/0/payout_id", json!("pay_new_9")),
    ] {
        let mut other = full();
        *other.pointer_mut(pointer).unwrap() = value;
        assert_ne!(content(&other), base, "{pointer}");
    }
}
