//! Operators: signed calls of their own API, and what IAM and the function let nobody else do.

use application::clock::wall_clock;
use aws_credential_types::Credentials;
use bytes::Bytes;
use domain::error_code::ErrorCode;

use domain::policy::{DAY_S, Policy};
use http::Request;
use local::http::Http;
use rebindctl::account::Account;
use rebindctl::api::{Api, Endpoint, Grounds};
use rebindctl::doctor::{Examined, Level, examine};
use rebindctl::import::lines::Lines;
use rebindctl::import::registry::Registry;
use rebindctl::import::{Ending, Format, Plan, Report, Summary, run};
use rebindctl::trace::{TraceId, print, trace};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use tests::local_cloud::LocalCloud;
use tests::merchant::Profile;
use tests::new_merchants::new_merchant;
use tests::operators::{call, change};
use tests::transport::{HttpCall, Reply, Transport as _};
use tokio::runtime::Handle;

/// A call at the merchant's clock.
async fn operate(live: &LocalCloud, role: &str, merchant: &Profile, call: HttpCall) -> Reply {
    live.operate(role, call.at(merchant.now())).await
}

async fn freeze(live: &LocalCloud, merchant: &Profile) -> Value {
    let freeze = change(&format!("acts/freeze/{}", merchant.id), "f", &json!({}));
    operate(live, "support", merchant, freeze).await.ok(200)
}

/// The owner calls support after the thief's card has taken effect. Two persons unfreeze to the old card.
pub async fn two_people_end_a_freeze(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let old = app.get("/v1/cards").await.ok(200)["active"]["card_id"].clone();
    app.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    merchant.pass_s(2 * DAY_S);
    let shown = freeze(live, &merchant).await;
    assert_eq!(shown["frozen"]["holds_payouts"], true);

    let body = json!({"merchant_id": merchant.id, "card_id": old});
    let propose = change("proposals/unfreeze", "p", &body);
    let made = operate(live, "operations", &merchant, propose)
        .await
        .ok(201);
    let id = made["proposal_id"].as_str().unwrap().to_owned();
    let show = call("GET", &format!("proposals/{id}"));
    let shown = operate(live, "security", &merchant, show).await.ok(200);
    assert_eq!(shown["values"], json!({"card_id": old}));
    let path = format!("approvals/unfreeze/{id}");
    let approve = |key: &str, digest: &Value| change(&path, key, &json!({"digest": digest}));
    let refused = operate(live, "security", &merchant, approve("a", &json!("0"))).await;
    refused.refused(ErrorCode::ProposalStale);
    let approved = operate(live, "security", &merchant, approve("b", &shown["digest"])).await;
    let approved = approved.ok(200);
    assert_eq!(approved["frozen"], Value::Null);
    assert_eq!(approved["active"]["card_id"], old);
    let again = operate(live, "security", &merchant, approve("b", &shown["digest"])).await;
    assert!(again.is_replayed());
    let app = live.app(&merchant).await;
    let kinds: Vec<_> = app
        .history()
        .await
        .iter()
        .map(|event| event["kind"].clone())
        .collect();
    for kind in ["frozen", "change_proposed", "unfrozen"] {
        assert!(kinds.contains(&json!(kind)), "{kind}: {kinds:?}");
    }
}

/// A file goes through the API in the registry's role, which no other role has the right to.
pub async fn registry_imports_a_file(live: &LocalCloud) {
    let (merchant, first) = new_merchant("import", 1);
    let (_, second) = new_merchant("import", 2);
    let (_, mut taken) = new_merchant("import", 3);
    taken["account"] = first["account"].clone();
    let file = [&first, &taken, &second].map(|line| line.to_string() + "\n");
    let file = file.concat();
    let import = async |role: &str| {
        let (endpoint, file) = (endpoint(live, role), file.clone());
        // The import runs on one thread.
        let thread = move || Handle::current().block_on(imported(endpoint, file));
        tokio::task::spawn_blocking(thread).await.unwrap()
    };
    let (denied, _) = import("support").await;
    let Ending::Failed(reason) = denied.ending else {
        panic!("{denied:?}");
    };
    assert!(reason.contains("execute-api:Invoke"), "{reason}");
    assert_eq!(denied.created, 0);
    for _ in 0..2 {
        let (summary, output) = import("registry").await;
        assert_eq!(summary.ending, Ending::Finished, "{output}");
        assert_eq!((summary.created, summary.refused), (2, 1), "{output}");
        assert!(output.contains("ACCOUNT_TAKEN"), "{output}");
    }
    let show = call("GET", &format!("merchants/{}", merchant.id));
    operate(live, "support", &merchant, show).await.ok(200);
}

/// Imports a file through the API, as `rebindctl merchants import --url` does.
async fn imported(endpoint: Endpoint, file: String) -> (Summary, String) {
    let grounds = Grounds {
        reason: "review".to_owned(),
        comment: "migration".to_owned(),
        ticket: None,
    };
    let target = Registry::new(Api::new(endpoint), grounds);
    let mut output = Vec::new();
    let mut report: Report<_, Vec<u8>> = Report::new(&mut output, Format::Json, "m.jsonl");
    let plan = Plan {
        file: "m.jsonl",
        total_bytes: file.len() as u64,
        in_flight: 1, // the taken account comes second
        rate: None,
        dry_run: false,
        card_key: None,
        policy: &Policy::CURRENT,
        clock: wall_clock,
    };
    let lines = Lines::new(file.as_bytes());
    let never = std::future::pending();
    let summary = run(plan, lines, &target, None, &mut report, never).await;
    (summary.unwrap(), String::from_utf8(output).unwrap())
}

/// The operator's API in a role of the local system.
fn endpoint(live: &LocalCloud, role: &str) -> Endpoint {
    let endpoints = live.system.endpoints();
    let session = &endpoints.operators[role];
    let token = Some(session.session_token.clone());
    let (id, secret) = (&session.access_key, &session.secret_key);
    Endpoint {
        url: endpoints.operator_url.clone(),
        region: endpoints.region.clone(),
        credentials: Credentials::new(id, secret, token, None, "local"),
    }
}

/// The account, in a new role with an example policy.
pub async fn account_of(live: &LocalCloud, role: &str, policy: &str) -> Account {
    let endpoints = live.system.endpoints();
    let policy = policy
        .replace("REGION", "*")
        .replace("ACCOUNT", "*")
        .replace("RECORD_TABLE", &endpoints.record_table)
        .replace("STACK", &endpoints.stack);
    let policy = serde_json::from_str(&policy).unwrap();
    let credentials = live.root.new_role(role, &policy).await.credentials();
    live.system.account().with(credentials)
}

/// The doctor, in a role with its example policy, finds out everything that the local cloud knows.
pub async fn doctor_needs_its_example_policy_only(live: &LocalCloud) {
    let policy = include_str!("../../../infra/operator/policies/doctor.json");
    let stack = &live.system.endpoints().stack;
    let examined = async |name: &str, policy: &str| {
        // The local cloud names the read of one mapping after the list.
        let policy = policy.replace("GetEventSourceMapping", "ListEventSourceMappings");
        let account = account_of(live, name, &policy).await;
        examine(&account, stack, env!("CARGO_PKG_VERSION"), None)
            .await
            .unwrap()
    };
    let of = |examined: &Examined, level| {
        let found = examined.findings.iter().filter(|one| one.level == level);
        found
            .map(|one| one.subject.clone())
            .collect::<BTreeSet<_>>()
    };
    let right = examined("doctor", policy).await;
    let unknown = of(&right, Level::Unknown);
    assert_eq!(
        unknown,
        ["SMS sandbox", "SMS spend limit"].map(String::from).into()
    );
    // The local cloud does not enable time to live. Other cases leave messages in the queues of failures.
    let problems = of(&right, Level::Problem);
    let others = problems.iter().filter(|one| !one.ends_with("Failures"));
    assert_eq!(others.collect::<Vec<_>>(), ["Table"], "{right:?}");
    for subject in [
        "LoginFunction",
        "CardKey",
        "BankSecret",
        "CoreEncryptionKeys",
        "clock",
        "version",
    ] {
        assert!(
            of(&right, Level::Ok).contains(subject),
            "{subject}: {right:?}"
        );
    }

    let policy = policy.replace("kms:DescribeKey", "kms:ListKeys");
    let without = examined("doctor-without-kms", &policy).await;
    let card_key = without
        .findings
        .iter()
        .find(|one| one.subject == "CardKey")
        .unwrap();
    assert_eq!(card_key.level, Level::Unknown);
    assert!(
        card_key.message.contains("lacks kms:DescribeKey"),
        "{card_key:?}"
    );
}

/// The logs of a change of card: its requests, its notifications, and nothing of another merchant. In a role with the example policy.
pub async fn trace_shows_a_change_of_card(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = app.activate(&live.card()).await;
    live.handed_over(&merchant).await;
    let stack = &live.system.endpoints().stack;
    let policy = include_str!("../../../infra/operator/policies/trace.json");
    // The local cloud has its own names for logs.
    let policy = policy.replace("log-group:STACK-", "log-group:/aws/cloudformation/STACK/");
    let account = account_of(live, "trace", &policy).await;
    let of = async |id: &str| {
        let id = TraceId::parse(id).unwrap();
        let lines = trace(&account, stack, id, 0).await.unwrap();
        let mut printed = Vec::new();
        print(&mut printed, &lines, true).unwrap();
        let printed = String::from_utf8(printed).unwrap();
        let lines = printed.lines().map(serde_json::from_str);
        lines.collect::<Result<Vec<Value>, _>>().unwrap()
    };

    let rebind = path.rsplit('/').next().unwrap();
    let lines = of(rebind).await;
    let logs: BTreeSet<&str> = lines
        .iter()
        .filter_map(|line| line["log"].as_str())
        .collect();
    assert_eq!(
        logs,
        [
            "AgreementLogs",
            "ConfirmationNoticeLogs",
            "RebindRequestLogs",
            "VerificationLogs"
        ]
        .into()
    );
    let merchants = lines.iter().filter_map(|line| line["merchant.id"].as_str());
    let merchants: BTreeSet<&str> = merchants.collect();
    assert_eq!(merchants, [merchant.id.as_str()].into());
    let check = lines
        .iter()
        .find(|line| line["http.route"] == "POST /v1/rebinds/{id}/card-check")
        .unwrap();
    assert_eq!(check["rebind.id"], rebind);

    // A request by its reference, and the question to the bank.
    for field in ["support_ref", "requestId", "bank.serial"] {
        let lines = of(check[field].as_str().unwrap()).await;
        assert!(lines.contains(check), "{field}: {lines:?}");
    }
    assert_eq!(of("no-such-id").await, Vec::<Value>::new());
}

/// The registry creates a merchant, who logs in, and closes the account.
pub async fn registry_creates_and_closes_a_merchant(live: &LocalCloud) {
    let (profile, line) = new_merchant("live", 1);
    profile.set_clock(live.merchant().await.now());
    let create = change("registry/create", "c", &line);
    let created = operate(live, "registry", &profile, create).await.ok(201);
    assert_eq!(created, json!({"merchant_id": profile.id}));
    let app = live.app(&profile).await;
    assert!(app.get("/v1/cards").await.ok(200)["active"].is_object());
    let close = |version: &str| {
        let close = change(&format!("registry/close/{}", profile.id), "x", &json!({}));
        close.header("if-match", version)
    };
    let outdated = operate(live, "registry", &profile, close("\"2\"")).await;
    outdated.refused(ErrorCode::RecordChanged);
    let closed = operate(live, "registry", &profile, close("\"1\""))
        .await
        .ok(200);
    assert!(closed["closed_at"].is_string());
    app.get("/v1/cards")
        .await
        .refused(ErrorCode::SessionExpired);
}

/// A merchant whose account the registry has closed, twelve years later.
pub async fn closed_long_ago(live: &LocalCloud, number: u32) -> Profile {
    let (profile, line) = new_merchant("long", number);
    profile.set_clock(live.merchant().await.now());
    for (path, body) in [
        ("registry/create".to_owned(), line),
        (format!("registry/close/{}", profile.id), json!({})),
    ] {
        let call = change(&path, &profile.id, &body);
        let reply = operate(live, "registry", &profile, call).await;
        assert!(reply.status < 300, "{reply:?}");
    }
    profile.pass_s(12 * 365 * DAY_S);
    profile
}

/// Proposes the erasure of a merchant. Returns the approval, without an idempotency key.
pub async fn erasure_proposed(live: &LocalCloud, merchant: &Profile) -> HttpCall {
    let body = json!({"merchant_id": merchant.id});
    let propose = change("proposals/erase", &merchant.id, &body);
    let made = operate(live, "operations", merchant, propose).await.ok(201);
    let id = made["proposal_id"].as_str().unwrap();
    let show = call("GET", &format!("proposals/{id}"));
    let shown = operate(live, "security", merchant, show).await.ok(200);
    let body = json!({"digest": shown["digest"]});
    let approve = call("POST", &format!("approvals/erase/{id}"));
    approve.json(&body).at(merchant.now())
}

/// Two persons decide, and a third call removes the data. The public event tells the subscribers.
pub async fn closed_merchant_is_erased(live: &LocalCloud) {
    let merchant = closed_long_ago(live, 1).await;
    let plan = || call("GET", &format!("merchants/{}/erasure", merchant.id));
    let planned = operate(live, "support", &merchant, plan()).await.ok(200);
    assert_eq!(planned["obstacles"], json!([]), "{planned}");
    let approve = erasure_proposed(live, &merchant).await;
    live.operate("security", approve.key("a")).await.ok(200);
    let show = call("GET", &format!("merchants/{}", merchant.id));
    let gone = operate(live, "support", &merchant, show).await;
    gone.refused(ErrorCode::NotFound);
    let erase = change(&format!("acts/erase/{}", merchant.id), "e", &json!({}));
    let erased = operate(live, "security", &merchant, erase).await.ok(200);
    assert_eq!(erased["done"], true);
    let shown = operate(live, "support", &merchant, plan()).await.ok(200);
    assert_eq!(shown, erased);
    let events = call("GET", &format!("merchants/{}/events", merchant.id));
    let events = operate(live, "support", &merchant, events).await.ok(200);
    let last = events["items"].as_array().unwrap().last().unwrap();
    assert_eq!(last["kind"], "erased");
}

/// IAM decides about routes; the function about persons.
pub async fn roles_may_call_their_routes_only(live: &LocalCloud) {
    let merchant = live.merchant().await;
    let propose = change("proposals/unfreeze", "p", &json!({}));
    let approve = change("approvals/unfreeze/prp_1", "a", &json!({"digest": "0"}));
    let freeze = change(&format!("acts/freeze/{}", merchant.id), "f", &json!({}));
    let create = change("registry/create", "c", &json!({}));
    for (role, call) in [
        ("support", &propose),
        ("support", &approve),
        ("operations", &approve),
        ("security", &propose),
        ("security", &freeze),
        ("support", &create),
        ("operations", &create),
        ("security", &create),
        ("registry", &freeze),
        ("registry", &propose),
        ("registry", &approve),
    ] {
        let reply = operate(live, role, &merchant, call.clone()).await;
        assert_eq!(reply.status, 403, "{role} {}", reply.what);
        assert_ne!(reply.code(), ErrorCode::OperatorUnknown.as_str());
    }
    let pk = merchant.pk();
    assert!(!live.state(&pk, "Y").await.to_string().contains("frozen_at"));
}

/// The administrator's key, a bearer token, an unsigned request and a function's own role are no operator.
pub async fn only_sessions_of_operator_roles_are_accepted(live: &LocalCloud) {
    let (merchant, app) = live.logged_in().await;
    let path = format!("/operator/v1/merchants/{}", merchant.id);
    let root = live.root.at(&live.system.endpoints().operator_url);
    let show = call("GET", &format!("merchants/{}", merchant.id));
    let reply = live.operate_as(&root, show.clone()).await;
    reply.refused(ErrorCode::OperatorUnknown);
    let http = Http::new();
    for token in ["", &format!("Bearer {}", app.token)] {
        let uri = format!("{}{path}", live.system.endpoints().operator_url);
        let mut request = Request::get(uri);
        for (name, value) in show.all_headers() {
            request = request.header(name, value);
        }
        if !token.is_empty() {
            request = request.header("authorization", token);
        }
        let reply = http
            .send(request.body(Bytes::new()).unwrap())
            .await
            .unwrap();
        assert_eq!(reply.status, 403, "{}", reply.text());
    }
    // The merchants' API has no such path.
    let elsewhere = live.http(show.token(&app.token)).await;
    assert_eq!(elsewhere.status, 404);
}
