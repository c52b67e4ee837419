//! The schemas of all bodies, in one consistent form.

use crate::cloud_event::CloudEvent;
use crate::replies::{
    Agreement, Cards, Event, Freeze, HistoryReceipt, Page, Payout, Problem, Rebind, Session,
    Settlement, TestTransaction,
};
use crate::requests;
use crate::routes::Route;
use crate::schema::IdempotencyKey;
use domain::error_code::ErrorCode;
use domain::event_kind::EventKind;
use domain::next_action::NextAction;
use schemars::JsonSchema;
use schemars::generate::{Contract, SchemaGenerator, SchemaSettings};
use serde_json::{Map, Value, json};

/// The schemas of some types, and of those that they refer to.
macro_rules! definitions {
    ($contract:expr, $($type:ty),+ $(,)?) => {{
        let mut generator = crate::openapi::schemas::generator($contract);
        $(generator.subschema_for::<$type>();)+
        generator.take_definitions(true)
    }};
}
pub(crate) use definitions;

/// Every schema by its name.
pub(super) fn components() -> Map<String, Value> {
    let replies = definitions!(
        Contract::Serialize,
        Session,
        Cards,
        Rebind,
        Page<Rebind>,
        Agreement,
        TestTransaction,
        Page<Payout>,
        Settlement,
        Page<Event>,
        HistoryReceipt,
        Freeze,
        Problem,
        IdempotencyKey,
    );
    let requests = definitions!(
        Contract::Deserialize,
        requests::Empty,
        requests::CreateSession,
        requests::CreateRebind,
        requests::CheckIdentity,
        requests::ConfirmCode,
        requests::ConfirmCard,
        requests::ActivateCard,
        requests::SignAgreement,
        requests::PutSettlement,
        requests::PutPushTarget,
        requests::CreateFreeze,
    );
    let mut schemas: Map<String, Value> = replies.into_iter().chain(requests).collect();
    schemas.values_mut().for_each(tidy);
    let others: Vec<&str> = ErrorCode::ALL
        .iter()
        .filter(|code| !code.is_reply())
        .map(|code| code.as_str())
        .collect();
    drop_words(&mut schemas["ErrorCode"], &others);
    name_routes(&mut schemas["NextAction"]);
    publicly_named(schemas)
}

/// The same schemas under their public names.
pub(crate) fn publicly_named(mut schemas: Map<String, Value>) -> Map<String, Value> {
    for (name, public) in PUBLIC_NAMES {
        if let Some(schema) = schemas.remove(name) {
            schemas.insert(public.to_owned(), schema);
        }
    }
    schemas.values_mut().for_each(rename);
    schemas
}

/// The schemas of the events for other systems, with the kinds that are published.
pub(crate) fn of_events(published: &[EventKind]) -> Map<String, Value> {
    let mut generator = generator(Contract::Serialize);
    generator.subschema_for::<CloudEvent>();
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(tidy);
    let internal = EventKind::ALL.iter();
    let internal = internal.filter(|kind| !published.contains(kind));
    let internal: Vec<&str> = internal.map(|kind| kind.as_str()).collect();
    drop_words(&mut schemas["EventKind"], &internal);
    schemas
}

/// Removes words of a vocabulary, with their lines in its description.
pub(crate) fn drop_words(vocabulary: &mut Value, dropped: &[&str]) {
    let words = vocabulary["enum"].as_array_mut().expect("words");
    words.retain(|word| !dropped.iter().any(|other| word == other));
    let lines = vocabulary["description"].as_str().expect("a text").lines();
    let is_dropped = |line: &&str| {
        let mut dropped = dropped.iter();
        dropped.any(|word| line.contains(&format!("`{word}`")))
    };
    let kept: Vec<&str> = lines.filter(|line| !is_dropped(line)).collect();
    vocabulary["description"] = kept.join("\n").into();
}

/// The schema of one type, as a document of its own.
pub(super) fn root<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.contract = Contract::Deserialize;
    });
    let schema = settings.into_generator().into_root_schema_for::<T>();
    let mut schema = schema.to_value();
    tidy(&mut schema);
    if let Some(Value::Object(definitions)) = schema.get_mut("$defs") {
        definitions.values_mut().for_each(tidy);
    }
    schema
}

/// Types whose Rust name differs from the name in the description.
const PUBLIC_NAMES: [(&str, &str); 5] = [
    ("BannerCode", "NoticeCode"),
    ("OtpPurpose", "ChallengePurpose"),
    ("Purpose", "RebindPurpose"),
    ("StateName", "RebindState"),
    ("TestStatus", "TestTransactionStatus"),
];

fn rename(schema: &mut Value) {
    match schema {
        Value::Object(members) => {
            if let Some(Value::String(reference)) = members.get_mut("$ref") {
                let (place, name) = reference
                    .rsplit_once('/')
                    .expect("a reference to a component");
                let renamed = PUBLIC_NAMES.iter().find(|(renamed, _)| *renamed == name);
                if let Some((_, public)) = renamed {
                    *reference = format!("{place}/{public}");
                }
            }
            members.values_mut().for_each(rename);
        }
        Value::Array(items) => items.iter_mut().for_each(rename),
        _ => {}
    }
}

pub(crate) fn generator(contract: Contract) -> SchemaGenerator {
    SchemaSettings::draft2020_12()
        .with(|settings| {
            settings.definitions_path = "/components/schemas".into();
            settings.contract = contract;
            settings.meta_schema = None;
        })
        .into_generator()
}

/// Normalises a schema: objects are closed, an optional member is never null, null is one branch of `anyOf`, integers
/// have bounds and no width, and a paragraph is one line.
pub(crate) fn tidy(schema: &mut Value) {
    let Value::Object(members) = schema else {
        return;
    };
    if let Some(Value::String(text)) = members.get_mut("description") {
        *text = joined(text);
    }
    if members.get("type") == Some(&json!("integer"))
        || members.get("type") == Some(&json!(["integer", "null"]))
    {
        members.remove("format");
    }
    if let Some(Value::Object(properties)) = members.get("properties") {
        let mut properties = properties.clone();
        let required = members.get("required").cloned().unwrap_or_default();
        for (name, property) in &mut properties {
            tidy(property);
            let is_required = required
                .as_array()
                .is_some_and(|names| names.contains(&json!(name)));
            if !is_required {
                *property = without_null(property);
            }
        }
        members.insert("properties".to_owned(), properties.into());
    }
    if members.get("type") == Some(&json!("object"))
        && !members.contains_key("additionalProperties")
    {
        members.insert("additionalProperties".to_owned(), json!(false));
    }
    if let Some(items) = members.get_mut("items") {
        tidy(items);
    }
    if let Some(Value::Array(types)) = members.get("type") {
        let present: Vec<Value> = types
            .iter()
            .filter(|kind| *kind != "null")
            .cloned()
            .collect();
        let [kind] = present.as_slice() else {
            panic!("more than one type beside null");
        };
        let mut branch = members.clone();
        branch.insert("type".to_owned(), kind.clone());
        let description = branch.remove("description");
        *members = Map::from_iter([("anyOf".to_owned(), json!([branch, { "type": "null" }]))]);
        members.extend(description.map(|text| ("description".to_owned(), text)));
    }
}

/// The present branch of a schema that allows null.
fn without_null(schema: &Value) -> Value {
    let Some(Value::Array(branches)) = schema.get("anyOf") else {
        return schema.clone();
    };
    let present = branches.iter().find(|branch| branch["type"] != "null");
    let mut present = present.cloned().expect("a branch beside null");
    let beside = schema.as_object().into_iter().flatten();
    for (name, member) in beside.filter(|(name, _)| *name != "anyOf") {
        present[name] = member.clone();
    }
    present
}

/// Joins the lines of each paragraph; a list keeps its lines.
fn joined(text: &str) -> String {
    let paragraphs = text.split("\n\n").map(|paragraph| {
        let lines = paragraph.lines().map(str::trim);
        let mut joined = String::new();
        for line in lines {
            if !joined.is_empty() {
                joined.push(if line.starts_with("- ") { '\n' } else { ' ' });
            }
            joined.push_str(line);
        }
        joined
    });
    paragraphs.collect::<Vec<_>>().join("\n\n")
}

/// Adds to each action the request that it represents.
fn name_routes(schema: &mut Value) {
    let mut description = schema["description"].as_str().expect("a text").to_owned();
    for &action in NextAction::ALL {
        let Some(route) = route_of(action) else {
            continue;
        };
        let begin = format!("- `{action}`: ");
        let at = description.find(&begin).expect("a line for each action") + begin.len();
        let end = description[at..]
            .find('\n')
            .map_or(description.len(), |length| at + length);
        let named = format!(
            "{}: `{}`.",
            description[at..end].trim_end_matches('.'),
            route.label()
        );
        description.replace_range(at..end, &named);
    }
    schema["description"] = description.into();
}

/// The request behind an action.
const fn route_of(action: NextAction) -> Option<Route> {
    Some(match action {
        NextAction::NewRebind | NextAction::ConfirmCardNumber => Route::CreateRebind,
        NextAction::Identity => Route::CheckIdentity,
        NextAction::IdentityCode => Route::ResendIdentityCode,
        NextAction::IdentityConfirm => Route::ConfirmIdentity,
        NextAction::ReadAgreement => Route::GetAgreement,
        NextAction::SignAgreement => Route::SignAgreement,
        NextAction::CardCheck => Route::CheckCard,
        NextAction::CardCheckCode => Route::ResendCardCode,
        NextAction::CardCheckConfirm => Route::ConfirmCard,
        NextAction::TestTransaction => Route::TestTransaction,
        NextAction::ActivateStandby => Route::ActivateCard,
        NextAction::UnbindCard => Route::UnbindCard,
        NextAction::Cancel => Route::CancelRebind,
        NextAction::Freeze => Route::CreateFreeze,
        NextAction::Login => Route::CreateSession,
        NextAction::CorrectFields
        | NextAction::Retry
        | NextAction::Wait
        | NextAction::ContactSupport => return None,
    })
}
