//! Every granted permission is needed. On the running system each action of each function's role is taken away on each resource
//! that it is granted for, and the call that uses it must fail. The local cloud looks up the role for every call, so a change
//! takes effect at once.
//!
//! `tests/template` covers the conditions of the grants, because the local cloud evaluates none of them.

use crate::cleanup::{bank_answers_readably, in_year};
use crate::operators::{closed_long_ago, erasure_proposed};
use crate::permissions::{
    DENIED, DENIED_IN_INIT, HTTP, Probe, REFUSED, Role, asked, asked_until, denied_in_init,
    in_new_process, invoked, probe, read, read_output, step,
};
use aws_sdk_dynamodb::types::AttributeValue;
use domain::error_code::ErrorCode;
use domain::ids::MerchantId;
use domain::policy::{DAY_S, MINUTE_S};
use futures::future::join_all;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};
use tests::local_cloud::LocalCloud;
use tests::metrics::metric;
use tests::new_merchants::new_merchant;
use tests::operators::call;
use tests::published::{image, insertion};
use tests::secrets::Kind;
use tests::transport::{HttpCall, Transport as _};

/// Actions that AWS checks against the role and the local cloud does not, and one that only a rotation of a hash key needs.
/// `tests/template` gives the reason for each grant.
const NOT_EVALUATED: [&str; 13] = [
    "dynamodb:ConditionCheckItem table",
    "dynamodb:ConditionCheckItem record",
    "dynamodb:DescribeStream stream",
    "dynamodb:GetShardIterator stream",
    "dynamodb:GetRecords stream",
    "dynamodb:ListStreams stream",
    "kms:GenerateDataKey events key",
    "kms:Decrypt events key",
    "sqs:SendMessage notices' queue",
    "sqs:SendMessage clean-up's queue",
    "s3:ListBucket log",
    "sqs:SendMessage events' queue",
    "sqs:DeleteMessage events' queue",
];

/// Every function. The sandbox bank comes last, since it is called through another one.
pub async fn every_permission_is_needed(live: &LocalCloud) {
    // Prepare everything under complete roles. Then probe each function by itself, the eleven side by side.
    let prepared = futures::join!(
        login(live),
        cards(live),
        rebind_request(live),
        verification(live),
        agreement(live),
        settlement(live),
        freezes(live),
        payouts(live),
        operator(live),
        confirmation_notice(live),
        events(live),
        cooldown_cleanup(live),
        anchor(live),
    );
    let bank = sandbox_bank(live).await;
    let (l, c, r, v, a, s, f, p, o, n, e, u, g) = prepared;
    let functions = [
        ("login", l),
        ("cards", c),
        ("rebind-request", r),
        ("verification", v),
        ("agreement", a),
        ("settlement", s),
        ("freezes", f),
        ("payouts", p),
        ("operator", o),
        ("confirmation-notice", n),
        ("events", e),
        ("cooldown-cleanup", u),
        ("anchor", g),
    ];
    let tried = functions.map(|(function, probes)| try_all(live, function, probes));
    let mut all = join_all(tried).await;
    all.push(try_all(live, "sandbox-bank", bank).await);
    let surprises: Vec<&String> = all.iter().flat_map(|tried| &tried.surprises).collect();
    assert!(surprises.is_empty(), "{surprises:#?}");
    metric(
        "IAM, running system: permissions removed one by one, without effect",
        all.iter().map(|tried| tried.needed).sum::<usize>(),
        0,
    );
    every_refusal_is_in_the_log(live).await;
}

/// The result of probing a function.
struct Tried {
    needed: usize,
    surprises: Vec<String>,
}

async fn try_all(live: &LocalCloud, function: &str, probes: Vec<Probe<'_>>) -> Tried {
    let role = Role::of(live, function).await;
    let mut needed = BTreeSet::new();
    let mut surprises = Vec::new();
    for probe in probes {
        for taken in &probe.taken {
            role.put(&role.without(taken)).await;
            let ended = (probe.attempt)().await;
            role.put(&role.document).await;
            // Stream and schedule may invoke a function at the same time, so that the attempt meets a new process, which cannot start.
            if ended != probe.without && ended != DENIED_IN_INIT {
                surprises.push(format!("{function} without {taken:?}: {ended}"));
            }
            // The last entry is under test; the entries before it were proven earlier.
            needed.extend(taken.last().map(|one| (*one).to_owned()));
        }
        let ended = (probe.attempt)().await;
        if ended != probe.with {
            surprises.push(format!(
                "{function} with all permissions restored, after {:?}: {ended}",
                probe.taken
            ));
        }
    }
    let granted: BTreeSet<String> = role
        .granted()
        .into_iter()
        .filter(|one| !NOT_EVALUATED.contains(&one.as_str()))
        .collect();
    if needed != granted {
        let differ = needed.symmetric_difference(&granted);
        surprises.push(format!(
            "{function}: granted and tried permissions differ: {differ:?}"
        ));
    }
    Tried {
        needed: needed.len(),
        surprises,
    }
}

/// Every `INTERNAL` of this case has a log line with the denied action.
async fn every_refusal_is_in_the_log(live: &LocalCloud) {
    let refused: BTreeSet<String> = std::mem::take(&mut *REFUSED.lock().unwrap());
    assert!(refused.len() > 25, "{} refusals", refused.len());
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        let mut missing = refused.clone();
        for line in live.log_lines().await {
            let line: Value = serde_json::from_str(&line).unwrap_or_default();
            let (reference, cause) = (&line["support_ref"], &line["problem.cause"]);
            if let (Some(reference), Some(cause)) = (reference.as_str(), cause.as_str())
                && missing.remove(reference)
            {
                assert!(cause.contains("AccessDenied"), "{cause}");
            }
        }
        if missing.is_empty() {
            return;
        }
        // The local cloud reads the output of a process in the background.
        assert!(Instant::now() < deadline, "not in the log: {missing:?}");
        for function in HTTP {
            read_output(live, function).await;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

const LOOK_UP: &[&str] = &["kms:GenerateMac look-up key"];
const CARD_AND_ID: &[&str] = &["kms:GenerateMac card-and-id key"];
const CODES: &[&str] = &["kms:GenerateMac codes key"];
const FREEZE: &[&str] = &["kms:GenerateMac freeze key"];
const SECRET: &[&str] = &["secretsmanager:GetSecretValue bank's secret"];
const QUERY_SECRET: &[&str] = &["secretsmanager:GetSecretValue bank's query secret"];
const QUERY: &[&str] = &["dynamodb:Query table"];
const GET: &[&str] = &["dynamodb:GetItem table"];
const RECORD: &[&str] = &["dynamodb:GetItem record"];
const BATCH: &[&str] = &["dynamodb:BatchGetItem table"];
const PUT: &[&str] = &["dynamodb:PutItem table"];
const UPDATE: &[&str] = &["dynamodb:UpdateItem table"];
const RECORD_DELETE: &[&str] = &["dynamodb:DeleteItem record"];
const DELETE: &[&str] = &["dynamodb:DeleteItem table"];
const HISTORY: &[&str] = &["kms:Decrypt history key"];
const CARD_NUMBER: &[&str] = &["kms:Decrypt card key"];
const RECORD_WRITE: &[&str] = &["dynamodb:UpdateItem record"];
const RECORD_PUT: &[&str] = &["dynamodb:PutItem record"];
const CARD_KEY: &[&str] = &["kms:GenerateDataKey card key"];
const HISTORY_KEY: &[&str] = &["kms:GenerateDataKey history key"];
const IDENTITY_KEY: &[&str] = &["kms:GenerateDataKey identity key"];
const SIGN: &[&str] = &["kms:Sign payout key"];
const LOG_OBJECT: &[&str] = &["s3:GetObject log's objects"];
const LOG_KEY: &[&str] = &["kms:GetPublicKey anchor key"];
const PHONES: &[&str] = &["sns:Publish phones"];

async fn login(live: &LocalCloud) -> Vec<Probe<'_>> {
    let merchant = live.merchant().await;
    let credentials = live.credentials(&merchant, "first device");
    live.app(&merchant).await;
    let log_in = move || {
        live.ask("POST", "/v1/sessions")
            .at(merchant.now())
            .json(&credentials)
    };
    let log_in_again = log_in.clone();
    // The first login of a device is decided and announced.
    let (newcomer, devices) = (live.merchant().await, AtomicU32::new(0));
    let log_in_anew = move || {
        let device = format!("device {}", devices.fetch_add(1, Ordering::Relaxed));
        live.ask("POST", "/v1/sessions")
            .at(newcomer.now())
            .json(&live.credentials(&newcomer, &device))
    };
    vec![
        asked(&[BATCH, RECORD, UPDATE], "201", log_in),
        asked(&[QUERY, PUT], "201", log_in_anew),
        in_new_process(live, "login", asked(&[LOOK_UP], "201", log_in_again)),
    ]
}

async fn cards(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (_, app) = live.logged_in().await;
    let standby = app.standby_rebind(&live.card()).await;
    let card_id = standby["new_card"]["card_id"].as_str().unwrap();
    let unbind = format!("/v1/cards/{card_id}/unbind");
    // A refusal, after the look-up of the idempotency key.
    let again = || step(&app, "again", "POST", &unbind, &Value::Null);
    vec![
        asked(&[QUERY, RECORD], "200", read(&app, "/v1/cards")),
        asked(
            &[PUT, UPDATE],
            "204",
            step(&app, "unbind", "POST", &unbind, &Value::Null),
        ),
        asked(&[GET], "404 NOT_FOUND", again()),
        in_new_process(live, "cards", asked(&[LOOK_UP], "404 NOT_FOUND", again())),
    ]
}

async fn rebind_request(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (_, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    let cancel = format!("{path}/cancel");
    let another = app.request_body(&live.card());
    let request = || step(&app, "another", "POST", "/v1/rebinds", &another);
    vec![
        asked(&[QUERY, RECORD], "200", read(&app, "/v1/rebinds")),
        asked(&[BATCH], "200", read(&app, &path)),
        asked(
            &[PUT, UPDATE],
            "200",
            step(&app, "cancel", "POST", &cancel, &Value::Null),
        ),
        asked(
            &[GET],
            "409 STEP_OUT_OF_ORDER",
            step(&app, "again", "POST", &cancel, &Value::Null),
        ),
        asked(&[CARD_KEY], "201", request()),
        in_new_process(
            live,
            "rebind-request",
            asked(&[LOOK_UP, CARD_AND_ID], "201", request()),
        ),
    ]
}

async fn verification(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (new, seen, known) = (
        live.merchant().await,
        live.merchant().await,
        live.merchant().await,
    );
    let (_, unknown) = live.logged_in().await;
    let unknown_identity = format!("{}/identity", unknown.request(&live.card()).await);
    let unknown_document = unknown.document();
    let (_, asking) = live.logged_in().await;
    let bank_check = format!("{}/card-check", asking.to_card_pending(&live.card()).await);
    let app = live.app(&new).await;
    let identity = format!("{}/identity", app.request(&live.card()).await);
    let other = live.app(&seen).await;
    let path = other.request(&live.card()).await;
    other.show_document(&path).await;
    let code = json!({"code": live.code(&seen.phone).await});
    let confirm = format!("{path}/identity/confirm");
    let third = live.app(&known).await;
    let check = format!("{}/card-check", third.to_card_pending(&live.card()).await);
    let document = app.document();
    vec![
        asked(
            &[QUERY, RECORD],
            "200",
            step(&other, "confirm", "POST", &confirm, &code),
        ),
        asked(
            &[GET],
            "409 STEP_OUT_OF_ORDER",
            step(&other, "again", "POST", &confirm, &code),
        ),
        asked(
            &[BATCH],
            "404 NOT_FOUND",
            step(
                &other,
                "switch",
                "POST",
                "/v1/cards/card_0000010000000000000000/activate",
                &Value::Null,
            ),
        ),
        // The last two go together: when the SMS fails, the OTP is withdrawn and the key is free again. Neither shows alone.
        asked(
            &[
                &["kms:Decrypt card key"],
                &["kms:Decrypt identity key"],
                PUT,
                UPDATE,
                &["sns:Publish phones", "dynamodb:DeleteItem table"],
            ],
            "200",
            step(&third, "check", "POST", &check, &Value::Null),
        ),
        asked_until(
            &[PHONES],
            "503 OTP_CHANNEL_DOWN",
            "200",
            step(&app, "document", "POST", &identity, &document),
        ),
        in_new_process(
            live,
            "verification",
            asked(
                &[LOOK_UP, CODES, CARD_AND_ID],
                "200",
                step(
                    &unknown,
                    "document",
                    "POST",
                    &unknown_identity,
                    &unknown_document,
                ),
            ),
        ),
        in_new_process(
            live,
            "verification",
            asked_until(
                &[SECRET],
                "502 UPSTREAM_UNKNOWN",
                "200",
                step(&asking, "check", "POST", &bank_check, &Value::Null),
            ),
        ),
    ]
}

async fn agreement(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (_, app) = live.logged_in().await;
    let path = app.request(&live.card()).await;
    app.identify(&path).await;
    let signature = app.signature(&path).await;
    let sign = format!("{path}/agreement");
    let again = || step(&app, "again", "POST", &sign, &signature);
    vec![
        asked(&[QUERY, RECORD], "200", read(&app, &sign)),
        asked(
            &[HISTORY, PUT, UPDATE],
            "200",
            step(&app, "sign", "POST", &sign, &signature),
        ),
        asked(&[GET], "409 STEP_OUT_OF_ORDER", again()),
        in_new_process(
            live,
            "agreement",
            asked(&[LOOK_UP], "409 STEP_OUT_OF_ORDER", again()),
        ),
    ]
}

async fn settlement(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (merchant, app) = live.logged_in().await;
    // The receipt reads the log only for a merchant with a pseudonym.
    let id = MerchantId::parse(&merchant.id).unwrap();
    crate::anchoring::store(live).pseudonym(&id).await.unwrap();
    let wrong = json!({"cycle": "T9"});
    let malformed = || step(&app, "wrong", "PUT", "/v1/settlement", &wrong);
    let target = json!({"platform": "apns", "token": format!("token-of-{}", merchant.id)});
    live.secrets
        .add(Kind::PushToken, target["token"].as_str().unwrap());
    vec![
        asked(&[QUERY, RECORD], "200", read(&app, "/v1/payouts")),
        asked(&[GET], "400 REQUEST_MALFORMED", malformed()),
        asked(
            &[PUT, UPDATE, HISTORY],
            "204",
            step(&app, "target", "PUT", "/v1/push-targets/phone", &target),
        ),
        in_new_process(
            live,
            "settlement",
            asked(&[LOOK_UP], "400 REQUEST_MALFORMED", malformed()),
        ),
        asked(&[LOG_OBJECT], "200", read(&app, "/v1/history/receipt")),
        in_new_process(
            live,
            "settlement",
            asked(&[LOG_KEY], "200", read(&app, "/v1/history/receipt")),
        ),
    ]
}

/// A freeze code of an earlier rebind: it was sent with the notification of a standby card.
async fn freezes(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (merchant, app) = live.logged_in().await;
    app.standby(&live.card()).await;
    live.handed_over(&merchant).await;
    live.notifications(&merchant.phone, 1).await;
    let code = live.freeze_code(&merchant.phone).await;
    merchant.pass_s(120); // until the phone may receive another OTP
    app.activate(&live.card()).await;
    let body = json!({"account": merchant.account, "freeze_code": code});
    let freeze = move || {
        live.ask("POST", "/v1/freezes")
            .at(merchant.now())
            .json(&body)
    };
    let freeze_again = freeze.clone();
    vec![
        asked(&[QUERY, RECORD, GET, PUT, UPDATE], "202", freeze),
        in_new_process(
            live,
            "freezes",
            asked(&[LOOK_UP, FREEZE], "202", freeze_again),
        ),
    ]
}

async fn payouts(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (merchant, _) = live.logged_in().await;
    let payout = |operation: &str| {
        let payout_id = format!("pay_needed_{}", merchant.id);
        let at = merchant.now().to_rfc3339_shanghai();
        json!({"operation": operation, "merchant_id": merchant.id, "payout_id": payout_id, "time": at})
    };
    let mut create = payout("create_payout");
    create["amount_fen"] = json!(100);
    let core = |taken: &[&'static [&'static str]], event| {
        invoked(live, taken, ("INTERNAL", "done"), ("payouts", event))
    };
    vec![
        core(&[QUERY, RECORD, PUT, UPDATE], create),
        core(&[BATCH, GET, CARD_NUMBER, SIGN], payout("payout_sending")),
        core(&[BATCH, DELETE], payout("payout_sent")),
    ]
}

/// A call of an operator, and the permissions that it needs.
fn operated<'l>(
    live: &'l LocalCloud,
    taken: &[&'static [&'static str]],
    with: &'static str,
    (role, call): (&'static str, HttpCall),
) -> Probe<'l> {
    operated_with(live, taken, with, role, move |_| call.clone())
}

/// The same with another call for each attempt, made from its number.
fn operated_with<'l>(
    live: &'l LocalCloud,
    taken: &[&'static [&'static str]],
    with: &'static str,
    role: &'static str,
    call: impl Fn(u32) -> HttpCall + Send + Sync + 'l,
) -> Probe<'l> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    probe(taken, DENIED, with, move || {
        // Each attempt is a request of its own.
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let call = call(number).key(&format!("needed-{number}"));
        Box::pin(async move {
            let reply = live.operate(role, call).await;
            if reply.code() == ErrorCode::Internal.as_str() {
                let reference = reply.body["support_ref"].as_str().unwrap().to_owned();
                REFUSED.lock().unwrap().insert(reference);
            }
            format!("{} {}", reply.status, reply.code())
                .trim()
                .to_owned()
        })
    })
}

async fn operator(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (merchant, _) = live.logged_in().await;
    let id = &merchant.id;
    let payout = crate::payouts::create(live, &merchant, "operator", merchant.now()).await;
    let payout = payout["payout_id"].as_str().unwrap().to_owned();
    let expiring =
        json!({"id_document": {"number": "110105196603121144", "expires_on": "2030-01-01"}});
    let expiring = live.merchant_with(expiring).await.id;
    let act = |act: &str, id: &str, body: Value| {
        let path = format!("acts/{act}/{id}");
        ("support", call("POST", &path).json(&body))
    };
    let end = || act("end-sessions", id, json!({}));
    let show = ("support", call("GET", &format!("payouts/{payout}")));
    let renewal = json!({"document_expires_on": "2031-01-01"});
    let document = json!({
        "merchant_id": id, "document_number": "110105196302111073", "document_expires_on": "2060-01-01",
    });
    let propose = call("POST", "proposals/contact-change").json(&document);
    let closed = closed_long_ago(live, 2).await;
    let approve = erasure_proposed(live, &closed).await;
    let erase = call("POST", &format!("acts/erase/{}", closed.id)).json(&json!({}));
    let without_process = |probe| in_new_process(live, "operator", probe);
    vec![
        operated(
            live,
            &[PUT, UPDATE, GET, QUERY, RECORD, HISTORY],
            "200",
            end(),
        ),
        without_process(operated(live, &[LOOK_UP], "200", end())),
        without_process(operated(live, &[CARD_AND_ID], "200", end())),
        operated(live, &[BATCH], "200", show),
        operated(
            live,
            &[RECORD_WRITE],
            "200",
            act("renew-document", &expiring, renewal),
        ),
        operated(live, &[IDENTITY_KEY], "201", ("operations", propose)),
        operated_with(
            live,
            &[RECORD_PUT, CARD_KEY, HISTORY_KEY],
            "201",
            "registry",
            |number| {
                let (_, line) = new_merchant("needed", number);
                call("POST", "registry/create").json(&line)
            },
        ),
        operated(live, &[RECORD_DELETE], "200", ("security", approve)),
        operated(live, &[DELETE], "200", ("security", erase)),
        operated(
            live,
            &[&["dynamodb:Query index"]],
            "200",
            ("support", call("GET", "overdue")),
        ),
        operated(live, &[LOG_OBJECT], "200", ("support", call("GET", "log"))),
        without_process(operated(
            live,
            &[LOG_KEY],
            "200",
            ("support", call("GET", "log")),
        )),
    ]
}

/// An event with pending notifications to a phone and a device, as the record that the stream delivers. It announces the
/// standby card of an earlier rebind, which waits for the hand-over.
async fn confirmation_notice(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (merchant, app) = live.logged_in().await;
    let target = json!({"platform": "apns", "token": format!("token-of-{}", merchant.id)});
    live.secrets
        .add(Kind::PushToken, target["token"].as_str().unwrap());
    app.ask("PUT", "/v1/push-targets/phone")
        .json(&target)
        .send()
        .await
        .ok(204);
    app.standby(&live.card()).await;
    // The push target, and the standby card.
    live.notifications(&merchant.phone, 2).await;
    app.request(&live.card()).await;
    let sk = crate::cleanup::event_of(live, &merchant, "standby_ready").await;
    let key = |text: &str| json!({"S": text});
    let record = json!({"Records": [{
        "eventID": "a record of the tests",
        "dynamodb": {"Keys": {"pk": key(&merchant.pk()), "sk": key(&sk)}, "SequenceNumber": "1"},
    }]});
    let notification = |taken: &[&'static [&'static str]], without, with| {
        let (record, pk, sk) = (record.clone(), merchant.pk(), sk.clone());
        probe(taken, without, with, move || {
            let (record, pk, sk) = (record.clone(), pk.clone(), sk.clone());
            Box::pin(async move {
                // State after an SNS outage. The lease is marked as released, because the stream would deliver a fresh one by
                // itself.
                for (name, value) in [
                    ("to_on_file", "record"),
                    ("to_push", " "),
                    ("notice", "released"),
                ] {
                    live.edit(&pk, &sk, name, AttributeValue::S(value.to_owned()))
                        .await;
                }
                live.edit_state(&pk, "Y", |state| state["stby"][0]["w"] = json!(true))
                    .await;
                let before = refused_pushes(live).await;
                match left_in_batch(live, "confirmation-notice", &record).await {
                    None => DENIED_IN_INIT.to_owned(),
                    Some(0) if refused_pushes(live).await > before => {
                        "notified, but not the device".to_owned()
                    }
                    Some(0) => "notified".to_owned(),
                    Some(_) => "not notified".to_owned(),
                }
            })
        })
    };
    vec![
        notification(
            &[UPDATE, QUERY, GET, PUT, RECORD, PHONES],
            "not notified",
            "notified",
        ),
        // A value that can never be decrypted must not block the other recipients.
        notification(&[HISTORY], "notified, but not the device", "notified"),
        in_new_process(
            live,
            "confirmation-notice",
            notification(&[FREEZE], "not notified", "notified"),
        ),
    ]
}

/// The first event of a merchant, as the record that the stream delivers.
async fn events(live: &LocalCloud) -> Vec<Probe<'_>> {
    let (merchant, app) = live.logged_in().await;
    app.request(&live.card()).await;
    let sk = crate::cleanup::event_of(live, &merchant, "rebind_requested").await;
    let record = insertion(&image(&live.item(&merchant.pk(), &sk).await));
    let batch = json!({"Records": [record]});
    // The local cloud checks the action that AWS does not know.
    let taken: [&'static [&'static str]; 4] = [
        &["dynamodb:GetItem table"],
        &["dynamodb:UpdateItem table"],
        &["sqs:SendMessageBatch events' queue"],
        &["sns:Publish events topic"],
    ];
    vec![probe(&taken, "not published", "published", move || {
        let (batch, id) = (batch.clone(), merchant.id.clone());
        Box::pin(async move {
            // The merchant's first event makes the salt.
            live.delete(&format!("X#{id}"), "X").await;
            match left_in_batch(live, "events", &batch).await {
                None => DENIED_IN_INIT.to_owned(),
                Some(0) => "published".to_owned(),
                Some(_) => "not published".to_owned(),
            }
        })
    })]
}

/// How many records a function of the stream leaves for another attempt; `None` if it could not start.
async fn left_in_batch(live: &LocalCloud, function: &str, batch: &Value) -> Option<usize> {
    match live.system.invoke(function, batch).await {
        Ok(reply) => Some(reply["batchItemFailures"].as_array().unwrap().len()),
        Err(error) if denied_in_init(&error.to_string()) => None,
        Err(error) => panic!("{function}: {error}"),
    }
}

/// The number of pushes that were refused for lack of a permission.
async fn refused_pushes(live: &LocalCloud) -> usize {
    let groups = live.log_groups().await;
    let group = groups
        .iter()
        .find(|group| group.ends_with("ConfirmationNoticeLogs"))
        .unwrap();
    let lines = live.log_of(group).await;
    let refused = lines
        .iter()
        .filter(|line| line.contains("push.refused") && line.contains("AccessDenied"));
    refused.count()
}

/// Two merchants in years of their own, each with an ended hold, an ended cooldown and a removable card. One has a newer
/// rebind.
async fn cooldown_cleanup(live: &LocalCloud) -> Vec<Probe<'_>> {
    let mut events = Vec::new();
    for (year, more) in [(1980, true), (1983, false)] {
        let merchant = in_year(live, year).await;
        let app = live.app(&merchant).await;
        app.activate(&live.card()).await;
        live.notifications(&merchant.phone, 1).await;
        live.handed_over(&merchant).await;
        merchant.pass_s(31 * DAY_S);
        if more {
            live.app(&merchant).await.request(&live.card()).await;
        }
        events.push(json!({"time": merchant.now().to_rfc3339_shanghai()}));
    }
    let nothing = json!({"time": "1986-03-10T10:00:00+08:00"});
    let run = |taken: &[&'static [&'static str]], without, event: &Value| {
        invoked(
            live,
            taken,
            (without, "done"),
            ("cooldown-cleanup", event.clone()),
        )
    };
    vec![
        run(&[&["dynamodb:Query index"]], "CleanupFailed", &nothing),
        // The rest of the due work is done while one of these is missing, so the first must block all of it.
        run(
            &[QUERY, RECORD, PUT, UPDATE, GET],
            "failed in part",
            &events[0],
        ),
        run(&[BATCH, DELETE], "failed in part", &events[1]),
        in_new_process(live, "cooldown-cleanup", bank_query(live).await),
    ]
}

/// Runs that each have one event to anchor. A run without a permission leaves its messages hidden.
async fn anchor(live: &LocalCloud) -> Vec<Probe<'_>> {
    let run = |taken: &[&'static [&'static str]]| {
        probe(taken, "AnchorFailed", "done", move || {
            Box::pin(async move {
                for _ in 0..5 {
                    let event = crate::anchoring::event("needed", 1);
                    crate::anchoring::queue(live, &[event]).await;
                    match live.invoke("anchor", &json!({})).await {
                        // A run of the schedule has received the message or appended first.
                        Ok(run) if run["outcome"] == "nothing" || run["outcome"] == "lost_race" => {
                        }
                        Ok(_) => return "done".to_owned(),
                        Err((kind, _)) => return kind,
                    }
                }
                "nothing to anchor".to_owned()
            })
        })
    };
    vec![
        run(&[
            &["sqs:ReceiveMessage events' queue"],
            LOG_OBJECT,
            &["s3:PutObject log's objects"],
            &["sqs:DeleteMessageBatch events' queue"],
            // Last, because it leaves a leaf whose checkpoint the next run signs before it receives messages.
            &["kms:Sign anchor key"],
        ]),
        in_new_process(live, "anchor", run(&[LOG_KEY])),
    ]
}

/// Runs that have one unreadable bank answer to query. Each is later than the last, so that the query is due.
async fn bank_query(live: &LocalCloud) -> Probe<'_> {
    let merchant = in_year(live, 2023).await;
    let app = live.app(&merchant).await;
    let card = live
        .card_with_outcome("garbage", &merchant.holder_name)
        .await;
    let path = app.to_card_pending(&card).await;
    app.check_card(&path)
        .await
        .refused(ErrorCode::UpstreamUnknown);
    bank_answers_readably(live, &path).await;
    probe(&[QUERY_SECRET], "not answered", "answered", move || {
        merchant.pass_s(10 * MINUTE_S);
        let at = merchant.now();
        Box::pin(async move {
            match live.clean_up(at).await["bank_answers"].as_u64() {
                Some(1) => "answered".to_owned(),
                _ => "not answered".to_owned(),
            }
        })
    })
}

/// Called through verification, whose reply does not name the missing permission of the bank.
async fn sandbox_bank(live: &LocalCloud) -> Vec<Probe<'_>> {
    const UNKNOWN: &str = "502 UPSTREAM_UNKNOWN";
    let mut probes = Vec::new();
    let plain = live.merchant().await;
    let busy = live.merchant().await;
    let number = live.card_with_outcome("busy_once", &busy.holder_name).await;
    for (merchant, card, taken, with) in [
        (
            plain,
            live.card(),
            &[
                &["dynamodb:GetItem bank's table"][..],
                &["dynamodb:PutItem bank's table"],
            ][..],
            "200",
        ),
        (
            busy,
            number,
            &[&["dynamodb:UpdateItem bank's table"][..]][..],
            "503 UPSTREAM_BUSY",
        ),
    ] {
        let app = live.app(&merchant).await;
        let check = format!("{}/card-check", app.to_card_pending(&card).await);
        probes.push(asked_until(
            taken,
            UNKNOWN,
            with,
            step(&app, "check", "POST", &check, &Value::Null),
        ));
    }
    let card = live.card();
    let statement = json!({"rawPath": "/statement", "headers": {}, "isBase64Encoded": false,
        "body": json!({"card_number": card}).to_string(),
        "requestContext": {"http": {"method": "POST", "path": "/statement"}}});
    probes.push(invoked(
        live,
        &[&["dynamodb:Query bank's table"]],
        ("refused", "done"),
        ("sandbox-bank", statement),
    ));
    let nothing = json!({"requestContext": {"http": {"method": "GET", "path": "/"}}});
    let taken = [SECRET, QUERY_SECRET];
    let ended = (DENIED_IN_INIT, "done");
    let started = invoked(live, &taken, ended, ("sandbox-bank", nothing));
    probes.push(in_new_process(live, "sandbox-bank", started));
    probes
}
