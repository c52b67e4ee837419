//! Text typed by people or sent by callers: every parser is compared with an independent short implementation.

use super::text;
use api::body;
use api::event::{HttpEvent, Request};
use api::token;
use domain::error_code::ErrorCode;
use domain::format::{DocumentExpiry, bins};
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::pii::person_name::comparable;
use domain::pii::{CardNumber, DocumentType, IdNumber, PersonName, Phone};
use domain::time::{Date, Timestamp};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Replaces full-width forms with ASCII characters, which are at a constant offset.
fn narrow(text: &str) -> String {
    let narrow = |c: char| match u32::from(c) {
        0x3000 => ' ',
        wide @ 0xff01..=0xff5e => char::from_u32(wide - 0xfee0).unwrap(),
        _ => c,
    };
    text.chars().map(narrow).collect()
}

/// The text without blanks and without what nobody sees.
fn visible(text: &str) -> String {
    let ranges = [
        (0xad, 0xad),
        (0x34f, 0x34f),
        (0x61c, 0x61c),
        (0x115f, 0x1160),
        (0x17b4, 0x17b5),
        (0x180b, 0x180f),
        (0x200b, 0x200f),
        (0x202a, 0x202e),
        (0x2060, 0x206f),
        (0x2800, 0x2800),
        (0x3164, 0x3164),
        (0xfe00, 0xfe0f),
        (0xfeff, 0xfeff),
        (0xffa0, 0xffa0),
        (0xfff0, 0xfff8),
        (0x1_bca0, 0x1_bca3),
        (0x1_d173, 0x1_d17a),
        (0xe_0000, 0xe_0fff),
    ];
    let is_hidden = |c: &char| {
        let point = u32::from(*c);
        c.is_whitespace()
            || ranges
                .iter()
                .any(|(first, last)| (*first..=*last).contains(&point))
    };
    text.chars().filter(|c| !is_hidden(c)).collect()
}

fn is_mark(c: char) -> bool {
    "-()[]{}\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2015}\u{2043}\u{2212}\u{FE58}\u{FE63}〈〉《》「」『』【】〔〕〖〗〘〙〚〛\u{FE59}\u{FE5A}\u{FE5B}\u{FE5C}\u{FE5D}\u{FE5E}"
        .contains(c)
}

fn digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

fn value(byte: u8) -> u32 {
    char::from(byte).to_digit(36).unwrap()
}

/// Returns true unless a debug print is exactly `Name(***)`.
fn shows(printed: &str, name: &str) -> bool {
    printed != format!("{name}(***)")
}

/// A card number: 15 to 19 digits with a Luhn check digit.
pub fn card_number(data: &[u8]) {
    let Some(typed) = text(data) else { return };
    let read = CardNumber::parse(typed);
    let number = narrow(&visible(typed)).replace(is_mark, "");
    if !digits(&number) || !(15..=19).contains(&number.len()) {
        assert_eq!(read.err(), Some(ErrorCode::CardFormat));
        return;
    }
    let doubled = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let sum: u32 = number.bytes().rev().enumerate().fold(0, |sum, (at, byte)| {
        let digit = value(byte);
        sum + if at % 2 == 1 {
            doubled[digit as usize]
        } else {
            digit
        }
    });
    let card = read.unwrap();
    assert_eq!(card.has_check_digit(), sum.is_multiple_of(10));
    assert_eq!(card.expose(), number);
    assert!(!shows(&format!("{card:?}"), "CardNumber"));
    assert_eq!(card.last4(), &number[number.len() - 4..]);
    assert_eq!(CardNumber::parse(card.expose()), Ok(card.clone()));
    let bank = bins::lookup(&card);
    assert!(bank.is_none_or(|bin| number.starts_with(bin.prefix) && number.len() == bin.length));
}

/// A calendar day, checked by counting.
fn exists(year: u32, month: u32, day: u32) -> bool {
    let leap = year.is_multiple_of(4) && !year.is_multiple_of(100) || year.is_multiple_of(400);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=9999).contains(&year) && (1..=days).contains(&day)
}

/// An ID number: 17 digits with a date in them, and a check character by ISO 7064 MOD 11-2.
pub fn resident_id(data: &[u8]) {
    let Some(typed) = text(data) else { return };
    let read = IdNumber::parse(DocumentType::ResidentId, typed);
    let number = narrow(&visible(typed));
    let well_formed = number.len() == 18
        && number.is_ascii()
        && digits(&number[..17])
        && number.ends_with(|c: char| c.is_ascii_digit() || c == 'x' || c == 'X')
        && exists(
            number[6..10].parse().unwrap(),
            number[10..12].parse().unwrap(),
            number[12..14].parse().unwrap(),
        );
    if !well_formed {
        assert_eq!(read.err(), Some(ErrorCode::IdFormat));
        return;
    }
    // The standard's recursion: double, add, and the remainder by 11 must end as 1.
    let number = number.to_ascii_uppercase();
    let places = number.bytes().map(|byte| match byte {
        b'X' => 10,
        digit => value(digit),
    });
    if places.fold(0, |rest, place| (rest * 2 + place) % 11) != 1 {
        assert_eq!(read.err(), Some(ErrorCode::IdChecksum));
        return;
    }
    let id = read.unwrap();
    assert_eq!(id.expose(), number);
    assert!(!shows(&format!("{id:?}"), "IdNumber"));
    assert_eq!(
        IdNumber::parse(DocumentType::ResidentId, id.expose()),
        Ok(id.clone())
    );
}

/// A mainland mobile number.
pub fn phone(data: &[u8]) {
    let Some(typed) = text(data) else { return };
    let read = Phone::parse(typed);
    let number = narrow(&visible(typed)).replace(is_mark, "");
    let at = number.len().saturating_sub(11);
    let (country, rest) = number.split_at_checked(at).unwrap_or(("", &number));
    let national = match country {
        "+86" | "0086" | "86" => rest,
        _ => number.as_str(),
    };
    let fits = national.len() == 11
        && digits(national)
        && national.starts_with('1')
        && &national[1..2] >= "3";
    assert_eq!(read.is_ok(), fits);
    let Ok(phone) = read else {
        assert_eq!(read.err(), Some(ErrorCode::PhoneFormat));
        return;
    };
    assert_eq!(phone.e164(), format!("+86{national}"));
    assert_eq!(Phone::parse(phone.e164()), Ok(phone.clone()));
    let masked = format!("{}****{}", &national[..3], &national[7..]);
    assert_eq!(phone.masked(), masked);
    assert_eq!(format!("{phone:?}"), format!("Phone({masked})"));
}

/// A name; with a line break in it, two names.
pub fn person_name(data: &[u8]) {
    let Some(typed) = text(data) else { return };
    let (one, other) = typed.split_once('\n').unwrap_or((typed, typed));
    let (name, another) = (PersonName::new(one), PersonName::new(other));
    let compared = |name: &str| comparable(name).expose().clone();
    assert_eq!(compared(&compared(one)), compared(one));
    assert_eq!(name == another, compared(one) == compared(other));
    assert_eq!(name, PersonName::new(&visible(one)));
    assert_eq!(name.expose(), one);
    if one.is_ascii() {
        let plain = visible(one).to_ascii_lowercase();
        assert_eq!(
            compared(one),
            plain.replace('.', "\u{B7}").replace('`', "'")
        );
    }
    assert!(!shows(&format!("{name:?}"), "PersonName"));
    let first = one.trim_start().chars().next();
    assert_eq!(
        name.masked(),
        first.into_iter().chain(['*']).collect::<String>()
    );
}

/// The expiry of a document.
pub fn document_expiry(data: &[u8]) {
    let Some(typed) = text(data) else { return };
    let read = DocumentExpiry::parse(typed);
    let day = typed.as_bytes();
    let is_day = day.len() == 10
        && day[4] == b'-'
        && day[7] == b'-'
        && [&day[..4], &day[5..7], &day[8..]]
            .concat()
            .iter()
            .all(u8::is_ascii_digit)
        && exists(
            typed[..4].parse().unwrap(),
            typed[5..7].parse().unwrap(),
            typed[8..].parse().unwrap(),
        );
    assert_eq!(read.is_ok(), is_day || typed == "long_term");
    assert_eq!(Date::parse(typed).is_some(), is_day);
    let Ok(expiry) = read else {
        assert_eq!(read.err(), Some(ErrorCode::IdFormat));
        return;
    };
    assert_eq!(expiry.to_text(), typed);
    assert!(!shows(&format!("{expiry:?}"), "DocumentExpiry"));
    if is_day {
        let midnight = Timestamp::parse_rfc3339(&format!("{typed}T00:00:00+08:00"));
        // The first calendar day begins before the first timestamp.
        let Some(midnight) = midnight else { return };
        assert_eq!(expiry.days_left_at(midnight), Some(0));
        assert!(!expiry.is_over_at(midnight.plus_s(86_399)));
        let over = midnight.plus_s(86_400);
        assert_eq!(
            expiry.is_over_at(over),
            over.epoch_s() == midnight.epoch_s() + 86_400
        );
    } else {
        assert!(!expiry.is_over_at(Timestamp::MAX));
    }
}

/// Days from 1970-01-01 to a day, by years and months.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let before = |year: i64| {
        let last = year - 1;
        last * 365 + last.div_euclid(4) - last.div_euclid(100) + last.div_euclid(400)
    };
    let months = (1..month).map(|month| {
        let mut day = 28;
        while exists(year as u32, month as u32, day + 1) {
            day += 1;
        }
        i64::from(day)
    });
    before(year) - before(1970) + months.sum::<i64>() + day - 1
}

/// A time, as a header or an event gives it.
pub fn timestamp(data: &[u8]) {
    let Some(given) = text(data) else { return };
    let read = Timestamp::parse_rfc3339(given);
    if let Some(at) = read {
        assert!((Timestamp::MIN..=Timestamp::MAX).contains(&at));
        let shown = at.to_rfc3339_shanghai();
        assert_eq!(shown.len(), 25);
        assert!(shown.ends_with("+08:00"));
        assert_eq!(Timestamp::parse_rfc3339(&shown), Some(at));
        assert_eq!(shown[..10], at.date_shanghai().to_string());
    }
    // YYYY-MM-DDThh:mm:ss and an offset in minutes, computed by hand.
    let bytes = given.as_bytes();
    if bytes.len() != 25 || !matches!(bytes[19], b'+' | b'-') {
        return;
    }
    let shape = "0000-00-00T00:00:00+00:00".bytes();
    let fits = shape
        .zip(bytes)
        .enumerate()
        .all(|(at, (wanted, byte))| match wanted {
            b'0' => byte.is_ascii_digit(),
            _ => at == 19 || *byte == wanted,
        });
    if !fits {
        return;
    }
    let number = |at: usize, length: usize| given[at..at + length].parse::<i64>().unwrap();
    let (year, month, day) = (number(0, 4), number(5, 2), number(8, 2));
    let (hour, minute, second) = (number(11, 2), number(14, 2), number(17, 2));
    let (offset_h, offset_m) = (number(20, 2), number(23, 2));
    // Leap seconds and offsets beyond a day are left to the parser.
    if second > 59 || offset_h > 23 || offset_m > 59 {
        return;
    }
    let exists = exists(year as u32, month as u32, day as u32) && hour < 24 && minute < 60;
    let sign = if bytes[19] == b'+' { 1 } else { -1 };
    let epoch_s = exists.then(|| {
        days_from_epoch(year, month, day) * 86_400 + hour * 3_600 + minute * 60 + second
            - sign * (offset_h * 3_600 + offset_m * 60)
    });
    let kept =
        epoch_s.filter(|at| (Timestamp::MIN.epoch_s()..=Timestamp::MAX.epoch_s()).contains(at));
    assert_eq!(read.map(Timestamp::epoch_s), kept);
}

/// The ids in the API.
pub fn ids(data: &[u8]) {
    let Some(given) = text(data) else { return };
    let word = |rest: &str| rest.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let named = |prefix: &str| {
        let rest = given.strip_prefix(prefix);
        rest.is_some_and(|rest| (1..=40).contains(&rest.len()) && word(rest))
    };
    let numbered = |prefix: &str| {
        let rest = given.strip_prefix(prefix)?;
        let fits =
            rest.len() == 22 && word(rest) && !rest[..6].contains(|c: char| c.is_ascii_uppercase());
        fits.then(|| u32::from_str_radix(&rest[..6], 16).ok())?
    };
    let merchant = MerchantId::parse(given);
    assert_eq!(merchant.is_some(), named("mer_"));
    assert!(merchant.is_none_or(|id| id.as_str() == given && id.to_string() == given));
    let payout = PayoutId::parse(given);
    assert_eq!(payout.is_some(), named("pay_"));
    assert!(payout.is_none_or(|id| id.as_str() == given));
    let rebind = RebindId::parse(given);
    assert_eq!(rebind.as_ref().map(RebindId::number), numbered("rbd_"));
    assert!(rebind.is_none_or(|id| id.as_str() == given));
    let card = CardId::parse(given);
    assert_eq!(card.as_ref().map(CardId::number), numbered("card_"));
    assert!(card.is_none_or(|id| id.as_str() == given));
}

/// A session token, as the `Authorization` header that carries it.
pub fn session_token(data: &[u8]) {
    let Some(header) = text(data) else { return };
    let headers = [("authorization".to_owned(), header.to_owned())].into();
    let request = Request {
        headers,
        ..Request::default()
    };
    let read = token::presented(&request);
    let token = header
        .split_once(' ')
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let token = token.map_or("", |(_, token)| token.trim());
    let parts: Vec<&str> = token.split('.').collect();
    let fits = match parts.as_slice() {
        [merchant, slot, _] => MerchantId::parse(merchant).is_some() && slot.parse::<u8>().is_ok(),
        _ => false,
    };
    match read {
        Ok(presented) => {
            assert!(fits);
            assert_eq!(presented.merchant_id.as_str(), parts[0]);
            assert_eq!(Ok(presented.slot), parts[1].parse());
            assert_eq!(
                presented.token_hash,
                <[u8; 32]>::from(Sha256::digest(token))
            );
            let printed = format!("{presented:?}");
            assert!(
                parts[2].len() < 16 || !printed.contains(parts[2]),
                "the token is printed"
            );
        }
        Err(refusal) => {
            assert!(!fits);
            assert_eq!(refusal.code, ErrorCode::SessionExpired);
        }
    }
}

/// A query string.
pub fn query(data: &[u8]) {
    let Some(raw) = text(data) else { return };
    let read = |raw: &str| {
        let event =
            serde_json::json!({"rawQueryString": raw, "rawPath": raw, "headers": {raw: raw}});
        Request::from(serde_json::from_value::<HttpEvent>(event).unwrap())
    };
    let request = read(raw);
    assert_eq!(request.path, raw);
    assert_eq!(request.header(&raw.to_ascii_lowercase()), Some(raw));
    // Re-encoded with every byte escaped, the query parses to the same pairs.
    let escaped = |text: &str| {
        text.bytes()
            .map(|b| format!("%{b:02x}"))
            .collect::<String>()
    };
    let pairs = request
        .query
        .iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)));
    let again = pairs.collect::<Vec<_>>().join("&");
    assert_eq!(read(&again).query, request.query);
    let names = raw.split('&').filter(|pair| !pair.is_empty()).count();
    assert!(request.query.len() <= names);
}

/// A body of any shape, declared as base64 or plain, and parsed as a request with one field.
pub fn request_body(data: &[u8]) {
    #[derive(serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct OneField {
        code: Option<Value>,
    }
    if let Some(encoded) = text(data) {
        let event = serde_json::json!({"body": encoded, "isBase64Encoded": true});
        let request = Request::from(serde_json::from_value::<HttpEvent>(event).unwrap());
        if let Some(body) = request.body {
            use base64::Engine as _;
            assert_eq!(
                base64::engine::general_purpose::STANDARD.encode(body),
                encoded
            );
        }
    }
    let with = |body: &[u8]| Request {
        body: Some(body.to_vec()),
        ..Request::default()
    };
    let blank = data.iter().all(u8::is_ascii_whitespace);
    let value: Option<Value> = if blank {
        Some(serde_json::json!({}))
    } else {
        serde_json::from_slice(data).ok()
    };
    match body::read::<OneField>(&with(data)) {
        Ok(body) => {
            assert!(data.len() <= body::BODY_MAX_BYTES);
            let value = value.unwrap();
            let known = value.as_object().unwrap();
            assert!(known.keys().all(|name| name == "code"));
            assert_eq!(
                body.fields.code,
                known.get("code").filter(|code| !code.is_null()).cloned()
            );
            assert_eq!(
                serde_json::from_str::<Value>(&body.canonical).unwrap(),
                value
            );
            // The canonical spelling is a fixed point.
            let again = body::read::<OneField>(&with(body.canonical.as_bytes()));
            assert!(
                again.is_ok_and(|again| again.canonical == body.canonical)
                    || body.canonical.len() > body::BODY_MAX_BYTES
            );
        }
        Err(refusal) if data.len() > body::BODY_MAX_BYTES => {
            assert_eq!(refusal.code, ErrorCode::BodyTooLarge);
        }
        Err(refusal) => {
            assert_eq!(refusal.code, ErrorCode::RequestMalformed);
            let one_field = |value: &Value| {
                value
                    .as_object()
                    .is_some_and(|known| known.keys().all(|name| name == "code"))
            };
            // Rejected for its shape, or for a duplicate name, possibly in another spelling.
            let twice = data.windows(6).filter(|w| w == b"\"code\"").count() > 1;
            let twice = twice || data.contains(&b'\\');
            assert!(twice || value.is_none_or(|value| !one_field(&value)));
        }
    }
}
