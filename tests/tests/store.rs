//! The store, against a real DynamoDB API.

#![allow(clippy::unwrap_used, missing_docs)]

use application::crypto::password;
use application::ports::{
    Commit, CommitOutcome, CommitTransition, IdempotencyKey, IdempotencyLookup, IdempotencyMode,
    LoadMerchant, PortError, Selector, StoredReply,
};
use aws_sdk_dynamodb::types::AttributeValue;
use cooldown_cleanup::Summary;
use domain::contact::{ContactChange, ContactValue, PreviousPhoneRule};
use domain::decide::{Command, CommandContext, decide};
use domain::ids::MerchantId;
use domain::policy::{DAY_S, Policy};
use domain::rebind::{OtpPurpose, RebindState};
use domain::secret::Secret;
use serde_json::json;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use store::due::DueKind;
use store::outbox::Rearmed;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, RESERVED_PHONE, SECOND_CARD, merchant, wrong_otp};
use tests::scenario;
use tests::table_faults::Fault;

const POLICY: &Policy = &Policy::CURRENT;

fn id(name: &str) -> MerchantId {
    MerchantId::parse(&format!("mer_{name}")).unwrap()
}

/// A world with one open rebind of `mer_plain_1`.
async fn with_open_rebind() -> (Arc<InProcess>, String) {
    let world = InProcess::start().await;
    let path = world.log_in("plain_1").await.request(GOOD_CARD).await;
    (world, path)
}

/// An open rebind of `mer_plain_1`, with its identity OTP sent.
async fn with_identity_code(world: &Arc<InProcess>) -> (App, String) {
    let app = world.log_in("plain_1").await;
    let path = app.request(GOOD_CARD).await;
    app.post(&format!("{path}/identity"), app.document()).await;
    (app, path)
}

async fn load(world: &Arc<InProcess>) -> domain::merchant::Merchant {
    let loaded = world.store().load(&id("plain_1"), Selector::Latest).await;
    loaded.unwrap().unwrap()
}

fn written(outcome: Result<CommitOutcome, PortError>) {
    assert_eq!(outcome.unwrap(), CommitOutcome::Written);
}

fn conflict(outcome: Result<CommitOutcome, PortError>) {
    assert!(matches!(outcome, Err(PortError::Conflict)), "{outcome:?}");
}

async fn cancel(
    world: &Arc<InProcess>,
    idempotency: IdempotencyMode<'_>,
) -> Result<CommitOutcome, PortError> {
    commit_cancel(world, &load(world).await, idempotency).await
}

async fn commit_cancel(
    world: &Arc<InProcess>,
    before: &domain::merchant::Merchant,
    idempotency: IdempotencyMode<'_>,
) -> Result<CommitOutcome, PortError> {
    let command = CommandContext {
        by: Some(0),
        act: Command::Cancel,
    };
    let mut transition = decide(before, &command, POLICY, world.now()).unwrap();
    let event = transition.chained(before, None, POLICY);
    let commit = Commit {
        before,
        transition: &transition,
        event: event.as_ref(),
        session: Some(0),
        idempotency,
        now: world.now(),
    };
    world.store().commit(commit).await
}

#[tokio::test]
async fn unknown_merchant_loads_as_none() {
    let world = InProcess::start().await;
    assert!(
        world
            .store()
            .load(&id("nobody"), Selector::Latest)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn torn_read_of_the_record_is_repeated() {
    let (world, _) = with_open_rebind().await;
    let key = |sk: &str| {
        let text = |value: &str| AttributeValue::S(value.to_owned());
        HashMap::from([
            ("pk".to_owned(), text("M#mer_plain_1")),
            ("sk".to_owned(), text(sk)),
        ])
    };
    let old = world.item(key("Z")).await;
    let change = ContactChange {
        value: ContactValue::Password(password::hash(&Secret::new("new".to_owned())).unwrap()),
        by: "operator".to_owned(),
        reason: "asked at the shop".to_owned(),
        previous_phone: PreviousPhoneRule::Keep,
    };
    let (store, merchant) = (world.store(), id("plain_1"));
    let changed = store.change_contact(&merchant, change, world.now());
    changed.await.unwrap();
    let read = load(&world).await;
    assert_eq!((read.profile.version, read.state.record_version), (2, 2));

    // The merchant state after the transaction with the record before it.
    let new = world.item(key("Z")).await;
    world.put_item(old).await;
    let _ = world.boundary.take();
    let torn = store.load(&merchant, Selector::Latest).await;
    assert!(matches!(torn, Err(PortError::Conflict)), "{torn:?}");
    let reads = world.boundary.take();
    let heads = reads.iter().filter(|call| call.operation == "Query");
    assert_eq!(heads.count(), 4);
    world.put_item(new).await;
    assert_eq!(load(&world).await, read);
}

#[tokio::test]
async fn written_merchant_reads_back() {
    let (world, path) = with_open_rebind().await;
    let read = load(&world).await;
    let rebind = read.rebind.as_ref().unwrap();
    assert!(path.ends_with(rebind.rebind_id.as_str()));
    assert!(matches!(
        rebind.stage,
        RebindState::IdentityPending {
            mismatches: 0,
            code: None,
            ..
        }
    ));
    assert!(rebind.sealed_number.is_some());
    assert_eq!(
        (read.state.version, read.state.rebinds, read.state.open),
        (2, 1, Some(1))
    );
    let shown = world
        .store()
        .load(&id("plain_1"), Selector::Shown(&rebind.rebind_id))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(shown, read);
}

#[tokio::test]
async fn second_write_on_one_state_conflicts() {
    let (world, _) = with_open_rebind().await;
    let before = load(&world).await;
    written(commit_cancel(&world, &before, IdempotencyMode::None).await);
    let items = world.items().await.len();
    conflict(commit_cancel(&world, &before, IdempotencyMode::None).await);
    assert_eq!(world.items().await.len(), items);
}

#[tokio::test]
async fn ended_session_cannot_write() {
    let (world, _) = with_open_rebind().await;
    let before = load(&world).await;
    let hash = before.state.sessions[0].as_ref().unwrap().token_hash;
    use application::ports::Logins;
    assert!(
        world
            .store()
            .close_session(&id("plain_1"), 0, &hash)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        world
            .store()
            .close_session(&id("plain_1"), 0, &hash)
            .await
            .unwrap()
            .is_none()
    );
    conflict(commit_cancel(&world, &before, IdempotencyMode::None).await);
}

#[tokio::test]
async fn idempotency_record_life_cycle() {
    let (world, _) = with_open_rebind().await;
    let key = IdempotencyKey {
        scope: "scope".to_owned(),
        fingerprint: "body".to_owned(),
    };
    let other = IdempotencyKey {
        fingerprint: "another".to_owned(),
        ..key.clone()
    };
    let store = world.store();
    assert_eq!(
        store.find(&key, world.now()).await.unwrap(),
        IdempotencyLookup::Nothing
    );
    let reply = StoredReply {
        status: 200,
        body: json!({"state": "cancelled"}).to_string(),
    };
    written(cancel(&world, IdempotencyMode::Reply(&key, &reply)).await);
    assert_eq!(
        store.find(&key, world.now()).await.unwrap(),
        IdempotencyLookup::Reply(reply.clone())
    );
    assert_eq!(
        store.find(&other, world.now()).await.unwrap(),
        IdempotencyLookup::OtherBody
    );
    assert_eq!(
        store
            .find(&key, world.now().plus_s(POLICY.idempotency_s))
            .await
            .unwrap(),
        IdempotencyLookup::Nothing
    );

    // The next rebind's write finds the row: it writes nothing and returns the stored reply.
    world.log_in("plain_1").await.request(SECOND_CARD).await;
    let before = load(&world).await;
    let again = commit_cancel(&world, &before, IdempotencyMode::Reply(&key, &reply))
        .await
        .unwrap();
    assert_eq!(
        again,
        CommitOutcome::Before(IdempotencyLookup::Reply(reply))
    );
    assert_eq!(load(&world).await, before);
    written(commit_cancel(&world, &before, IdempotencyMode::Release(&key)).await);
    assert_eq!(
        store.find(&key, world.now()).await.unwrap(),
        IdempotencyLookup::Nothing
    );
}

async fn use_of(world: &Arc<InProcess>, key: &IdempotencyKey) -> IdempotencyLookup {
    let (store, merchant) = (world.store(), id("plain_1"));
    let read = store.load_with_key(&merchant, Selector::Latest, key, world.now());
    read.await.unwrap().unwrap().1
}

async fn reserve(
    world: &Arc<InProcess>,
    before: &domain::merchant::Merchant,
    key: &IdempotencyKey,
) -> Result<CommitOutcome, PortError> {
    let act = Command::ReserveAttempt {
        purpose: OtpPurpose::Identity,
        well_formed: true,
        deposit_polled: false,
    };
    let command = CommandContext { by: Some(0), act };
    let transition = decide(before, &command, POLICY, world.now()).unwrap();
    let commit = Commit {
        before,
        transition: &transition,
        event: None,
        session: Some(0),
        idempotency: IdempotencyMode::Claim(key, "context"),
        now: world.now(),
    };
    world.store().commit(commit).await
}

#[tokio::test]
async fn claim_is_an_attribute_of_its_rebind() {
    let world = InProcess::start().await;
    with_identity_code(&world).await;
    let key = |scope: &str, fingerprint: &str| IdempotencyKey {
        scope: format!("1.{scope:-<43}"),
        fingerprint: format!("1.{fingerprint:-<43}"),
    };
    let wanted = key("scope", "body");
    let before = load(&world).await;
    assert_eq!(use_of(&world, &wanted).await, IdempotencyLookup::Nothing);
    let rows = world.items().await.len();
    let _ = world.boundary.take();
    written(reserve(&world, &before, &wanted).await);
    let operations: Vec<String> = world
        .boundary
        .take()
        .into_iter()
        .map(|call| call.operation)
        .collect();
    assert_eq!(operations, ["UpdateItem"]);
    assert_eq!(world.items().await.len(), rows);
    let claimed = IdempotencyLookup::Claimed("context".to_owned());
    assert_eq!(use_of(&world, &wanted).await, claimed);
    assert_eq!(
        use_of(&world, &key("scope", "other")).await,
        IdempotencyLookup::OtherBody
    );
    assert_eq!(
        use_of(&world, &key("other", "body")).await,
        IdempotencyLookup::Nothing
    );

    // The repetition of a write whose reply was lost recognises its claim; another request conflicts.
    let again = reserve(&world, &before, &wanted).await.unwrap();
    assert_eq!(again, CommitOutcome::Before(claimed));
    conflict(reserve(&world, &before, &key("other", "body")).await);

    // A day later the claim is over.
    let now = world.now();
    world.pass_s(POLICY.idempotency_s);
    assert_eq!(use_of(&world, &wanted).await, IdempotencyLookup::Nothing);
    world.clock.set(now);

    // The reply ends the claim.
    let reply = StoredReply {
        status: 200,
        body: "{}".to_owned(),
    };
    written(cancel(&world, IdempotencyMode::Reply(&wanted, &reply)).await);
    assert_eq!(
        use_of(&world, &wanted).await,
        IdempotencyLookup::Reply(reply)
    );
    let names = world.items().await;
    let mut names = names.iter().flat_map(HashMap::keys);
    assert!(!names.any(|name| name.starts_with("c_")));
}

#[tokio::test]
async fn torn_read_of_a_reply_is_repeated() {
    let (world, _) = with_open_rebind().await;
    let wanted = IdempotencyKey {
        scope: format!("1.{:-<43}", "scope"),
        fingerprint: "body".to_owned(),
    };
    let reply = StoredReply {
        status: 200,
        body: "{}".to_owned(),
    };
    written(cancel(&world, IdempotencyMode::Reply(&wanted, &reply)).await);
    let _ = world.boundary.take();
    assert_eq!(
        use_of(&world, &wanted).await,
        IdempotencyLookup::Reply(reply)
    );
    assert_eq!(world.boundary.take().len(), 2, "merchant and row");
    // A row that expired is not waited for.
    let row = HashMap::from([
        ("pk", format!("I#{}", wanted.scope)),
        ("sk", "I".to_owned()),
    ]);
    let row = row
        .into_iter()
        .map(|(name, value)| (name.to_owned(), AttributeValue::S(value)));
    let delete = world.client.delete_item().table_name(&world.table);
    delete.set_key(Some(row.collect())).send().await.unwrap();
    let _ = world.boundary.take();
    assert_eq!(use_of(&world, &wanted).await, IdempotencyLookup::Nothing);
    assert_eq!(world.boundary.take().len(), 4, "each once more");
}

#[tokio::test]
async fn early_entry_of_a_matched_check_is_corrected() {
    let (world, app, path) = scenario::card_pending("plain_1").await;
    app.check_card(&path).await.ok(200);
    let due_at = async || {
        let key = HashMap::from([
            (
                "pk".to_owned(),
                AttributeValue::S("M#mer_plain_1".to_owned()),
            ),
            ("sk".to_owned(), AttributeValue::S("R#000001".to_owned())),
        ]);
        world.item(key).await["due_at"].as_n().unwrap().clone()
    };
    let rebind = load(&world).await.rebind.unwrap();
    let exact = rebind.due_at(POLICY).unwrap();
    assert_eq!(exact, rebind.expires_at);
    assert!(due_at().await < exact.epoch_s().to_string());
    world.pass_s(POLICY.bank_retry_s + 1);
    let one_second_late = Summary {
        lag_s: 1,
        ..Summary::default()
    };
    assert_eq!(world.clean_up().await, one_second_late);
    assert_eq!(due_at().await, exact.epoch_s().to_string());
    assert_eq!(world.clean_up().await, Summary::default());
}

#[tokio::test]
async fn torn_read_is_repeated() {
    let (world, _) = with_open_rebind().await;
    let before = load(&world).await;
    // A torn read returns the old rebind with the new merchant state. If it persists, it is a conflict and never a valid state.
    let key = HashMap::from([
        (
            "pk".to_owned(),
            AttributeValue::S("M#mer_plain_1".to_owned()),
        ),
        ("sk".to_owned(), AttributeValue::S("R#000001".to_owned())),
    ]);
    let get = world
        .client
        .get_item()
        .table_name(&world.table)
        .set_key(Some(key))
        .send()
        .await
        .unwrap();
    written(commit_cancel(&world, &before, IdempotencyMode::None).await);
    world
        .client
        .put_item()
        .table_name(&world.table)
        .set_item(get.item)
        .send()
        .await
        .unwrap();
    let _ = world.boundary.take();
    assert!(matches!(
        world.store().load(&id("plain_1"), Selector::Latest).await,
        Err(PortError::Conflict)
    ));
    assert_eq!(world.boundary.take().len(), 4, "a torn read is retried");
}

#[tokio::test]
async fn otps_per_phone_are_limited() {
    let (world, app, path) = scenario::requested("plain_1").await;
    let identity = format!("{path}/identity");
    let resend = format!("{path}/identity/code");
    app.post(&identity, app.document()).await.ok(200);
    let first = world.now();
    let early = app.post(&resend, ()).await;
    assert_eq!(
        (early.code(), early.body["retry_after_s"].as_i64()),
        ("OTP_SEND_LIMIT", Some(60))
    );
    for _ in 1..5 {
        world.pass_s(60);
        app.post(&resend, ()).await.ok(200);
    }
    world.pass_s(60);
    let sixth = app.post(&resend, ()).await;
    let wait_s = 3_600 - (world.now().epoch_s() - first.epoch_s());
    assert_eq!(
        (sixth.code(), sixth.body["retry_after_s"].as_i64()),
        ("OTP_SEND_LIMIT", Some(wait_s))
    );
    assert_eq!(world.sms.to(&app.profile.phone).len(), 5);

    // Five more in the second hour reach the daily limit of ten.
    for _ in 0..5 {
        world.clock.set(world.now().plus_s(3_600));
        let app = world.log_in("plain_1").await;
        app.post(&resend, ()).await.ok(200);
    }
    world.pass_s(3_600);
    let app = world.log_in("plain_1").await;
    let eleventh = app.post(&resend, ()).await;
    let wait_s = 86_400 - (world.now().epoch_s() - first.epoch_s());
    assert_eq!(
        (eleventh.code(), eleventh.body["retry_after_s"].as_i64()),
        ("OTP_SEND_LIMIT", Some(wait_s))
    );
}

#[tokio::test]
async fn counters_are_kept_for_two_days() {
    let world = InProcess::start().await;
    let merchant = merchant("plain_1");
    let login = |device: &str| json!({"account": merchant.account, "password": "wrong", "device_id": device});
    for device in ["a phone", "another"] {
        let event = world.event("POST", "/v1/sessions", &[], &login(device));
        world
            .send(event)
            .await
            .is(401, "AUTH_BAD_CREDENTIALS")
            .has("counts_toward_limit", true);
    }
    let app = world.log_in_on("plain_1", "a phone").await;
    let target = json!({"platform": "apns", "token": "t"});
    app.put("/v1/push-targets/phone", target).await;
    app.delete("/v1/push-targets/phone").await;
    let body = app.request_body(GOOD_CARD);
    let created = app.keyed("a key", "/v1/rebinds", body).await.ok(201);
    let rebind = format!("/v1/rebinds/{}", created["rebind_id"].as_str().unwrap());
    app.identify(&rebind).await;
    world
        .freeze(&merchant.account, "AAAAAAAA", "198.51.100.1")
        .await;

    // Each kind of item that TTL may delete, with its lifetime.
    let mut kept_s = BTreeMap::new();
    for item in world.items().await {
        let begins = |name: &str| {
            item[name]
                .as_s()
                .unwrap()
                .split('#')
                .next()
                .unwrap()
                .to_owned()
        };
        if let Some(Ok(ttl)) = item.get("ttl").map(AttributeValue::as_n) {
            let left_s = ttl.parse::<i64>().unwrap() - world.now().epoch_s();
            let least = kept_s.entry((begins("pk"), begins("sk"))).or_insert(left_s);
            *least = left_s.min(*least);
        }
    }
    let kinds: Vec<(&str, &str)> = kept_s
        .keys()
        .map(|(pk, sk)| (pk.as_str(), sk.as_str()))
        .collect();
    assert_eq!(
        kinds,
        [
            ("A", "L"), // known devices and failures
            ("A", "Q"), // freeze attempts for an account
            ("I", "I"), // replies by their keys
            ("M", "N"), // removed push targets
            ("P", "P"), // OTPs to a phone
            ("S", "Q"), // freeze attempts from an address
            ("S", "S"), // failures of an address
        ]
    );
    let shortest = kept_s.values().min();
    assert!(shortest >= Some(&(2 * DAY_S)), "{kept_s:?}");
}

#[tokio::test]
async fn index_holds_only_due_items() {
    let (world, _) = with_open_rebind().await;
    let due = async |at| {
        let mut found = Vec::new();
        for bucket in world.store().due_buckets(at) {
            found.extend(world.store().due_in(&bucket, at, None).await.unwrap().due);
        }
        found.retain(|due| due.merchant_id == id("plain_1"));
        found
    };
    assert!(due(world.now()).await.is_empty());
    let expired = due(world.now().plus_s(POLICY.rebind_life_s)).await;
    assert_eq!(
        expired.iter().map(|due| due.kind).collect::<Vec<_>>(),
        [DueKind::Rebind(1)]
    );
    cancel(&world, IdempotencyMode::None).await.unwrap();
    assert!(
        due(world.now().plus_s(POLICY.rebind_life_s))
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn notification_is_rearmed_only_while_unsent() {
    let world = InProcess::start().await;
    world.log_in("plain_1").await.activate(GOOD_CARD).await;
    let store = world.store();
    let (merchant, seq) = (id("plain_1"), 6);
    let wall = world.now();
    let lease = async |who: &str, at| {
        store
            .lease_notification(&merchant, seq, who, at)
            .await
            .unwrap()
    };
    let leased = lease("one", wall).await.unwrap();
    assert_eq!(leased.event.notifications.len(), 2);
    assert!(lease("two", wall).await.is_none());
    assert!(
        store
            .rearm_notification(&merchant, seq, wall, wall.plus_s(601))
            .await
            .unwrap()
            == Rearmed::UnderWay,
        "a live lease exists"
    );
    // A lease whose owner died expires soon.
    let later = wall.plus_s(91);
    assert!(lease("two", later).await.is_some());
    let first = leased.event.notifications.first().unwrap().to();
    assert!(
        store
            .mark_sent(&merchant, seq, first, None, "one")
            .await
            .is_err(),
        "the lease has a new owner"
    );
    store
        .mark_sent(&merchant, seq, first, None, "two")
        .await
        .unwrap();
    store
        .release_notification(&merchant, seq, "two")
        .await
        .unwrap();
    let again = lease("three", later).await.unwrap();
    assert_eq!(
        again.event.notifications.len(),
        1,
        "a sent message is not sent again"
    );
    store
        .mark_sent(
            &merchant,
            seq,
            again.event.notifications.first().unwrap().to(),
            Some(None),
            "three",
        )
        .await
        .unwrap();
    assert!(lease("four", later.plus_s(600)).await.is_none());
    assert!(
        store
            .rearm_notification(&merchant, seq, later.plus_s(600), later.plus_s(601))
            .await
            .unwrap()
            == Rearmed::NotNeeded
    );
}

#[tokio::test]
async fn history_is_an_unbroken_chain() {
    let world = InProcess::start().await;
    world.log_in("plain_1").await.activate(GOOD_CARD).await;
    let events = world.history("plain_1").await;
    let kinds: Vec<&str> = events.iter().map(|event| event.kind().as_str()).collect();
    let expected = [
        "rebind_requested",
        "identity_matched",
        "identity_confirmed",
        "agreement_signed",
        "card_check_answered",
        "activated",
    ];
    assert_eq!(kinds, expected);
    assert!(
        events[3].personal.is_some(),
        "the evidence of the signature"
    );
}

#[tokio::test]
async fn bound_card_shows_only_after_a_match() {
    let world = InProcess::start().await;
    // Pending rebinds reserve nothing.
    let one = world.log_in("plain_1").await;
    let two = world.log_in("plain_2").await;
    let path_two = two.to_card_pending(GOOD_CARD).await;
    one.activate(GOOD_CARD).await;
    world.pass_s(61);
    two.check_card(&path_two)
        .await
        .is(409, "CARD_BOUND_ELSEWHERE");
    assert_eq!(
        world.bank.serials().len(),
        2,
        "revealed only after the bank matched"
    );
}

#[tokio::test]
async fn card_verified_by_another_cannot_activate() {
    let world = InProcess::start().await;
    let one = world.log_in("plain_1").await;
    let two = world.log_in("plain_2").await;
    let path_two = two.to_card_pending(GOOD_CARD).await;
    two.check_card(&path_two).await.ok(200);
    let code = world.sms.code(RESERVED_PHONE);
    world.pass_s(61);
    one.activate(GOOD_CARD).await;
    two.try_card_code(&path_two, &code)
        .await
        .is(409, "CARD_BOUND_ELSEWHERE");
}

#[tokio::test]
async fn lost_reply_is_replayed_by_key() {
    let (world, app) = InProcess::with("plain_1").await;
    world.boundary.fail(2, Fault::ReplyLost);
    app.keyed("k", "/v1/rebinds", app.request_body(GOOD_CARD))
        .await
        .is(500, "INTERNAL");
    let again = app
        .keyed("k", "/v1/rebinds", app.request_body(GOOD_CARD))
        .await;
    assert_eq!((again.status, again.is_replayed()), (201, true));
    assert_eq!(
        app.get("/v1/rebinds").await.body["items"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
}

#[tokio::test]
async fn interrupted_attempt_resumes_uncounted() {
    let world = InProcess::start().await;
    let (app, path) = with_identity_code(&world).await;
    let right = json!({"code": world.sms.code(&app.profile.phone)});
    let wrong = json!({"code": wrong_otp(right["code"].as_str().unwrap())});
    let confirm = format!("{path}/identity/confirm");
    world.boundary.fail(4, Fault::RequestLost);
    app.keyed("k", &confirm, wrong.clone()).await.ok(500);
    app.keyed("k", &confirm, wrong.clone())
        .await
        .is(422, "OTP_WRONG")
        .has("attempts_left", 4);

    // The fifth one dies too. It is the right one, and it wins.
    for left in [3, 2, 1] {
        let answer = app.post(&confirm, wrong.clone()).await;
        assert_eq!(answer.body["attempts_left"], left);
    }
    world.boundary.fail(4, Fault::RequestLost);
    app.keyed("k5", &confirm, right.clone()).await.ok(500);
    app.keyed("k5", &confirm, right)
        .await
        .is(200, "agreement_pending");
}

/// A reserved attempt belongs to the OTP of that time and is not settled against a newer one.
#[tokio::test]
async fn interrupted_attempt_is_bound_to_its_code() {
    let world = InProcess::start().await;
    let (app, path) = with_identity_code(&world).await;
    let first = world.sms.code(&app.profile.phone);
    let confirm = format!("{path}/identity/confirm");
    let resend = format!("{path}/identity/code");
    world.boundary.fail(4, Fault::RequestLost);
    let typed = json!({ "code": first });
    app.keyed("k", &confirm, typed.clone()).await.ok(500);
    world.pass_s(POLICY.code_gap_s);
    app.keyed("r", &resend, ()).await.ok(200);
    app.keyed("k", &confirm, typed)
        .await
        .is(422, "OTP_EXPIRED")
        .has("counts_toward_limit", false);
    // The newer OTP is as valid as before.
    let newer = json!({"code": world.sms.code(&app.profile.phone)});
    app.keyed("n", &confirm, newer)
        .await
        .is(200, "agreement_pending");
}

#[tokio::test]
async fn code_is_sent_after_a_lost_reply() {
    let (world, app, path) = scenario::requested("plain_1").await;
    let identity = format!("{path}/identity");
    world.boundary.fail(2, Fault::ReplyLost);
    let answer = app.keyed("k", &identity, app.document()).await;
    let sent = world.sms.to(&app.profile.phone).len();
    // The request or its repetition recovers: an announced OTP always reaches the phone.
    assert_eq!((answer.status, sent), (200, 1), "{:?}", answer.body);
    let again = app.keyed("k", &identity, app.document()).await;
    assert_eq!(
        (again.status, world.sms.to(&app.profile.phone).len()),
        (200, 1)
    );
}

#[tokio::test]
async fn due_items_are_paged() {
    let world = InProcess::start().await;
    let bucket = "203001#0";
    for number in 1..=450_i64 {
        let text = |text: String| AttributeValue::S(text);
        let item = HashMap::from([
            ("pk".to_owned(), text(format!("M#mer_many_{number}"))),
            ("sk".to_owned(), text("R#000001".to_owned())),
            ("due_bucket".to_owned(), text(bucket.to_owned())),
            (
                "due_at".to_owned(),
                AttributeValue::N((1_000 - number).to_string()),
            ),
        ]);
        let put = world.client.put_item().table_name(&world.table);
        put.set_item(Some(item)).send().await.unwrap();
    }
    let (store, now) = (world.store(), world.now());
    let mut found = Vec::new();
    let mut page = None;
    loop {
        let next = store.due_in(bucket, now, page.as_ref()).await.unwrap();
        found.extend(next.due.iter().map(|due| due.due_at));
        if next.is_last() {
            break;
        }
        page = Some(next);
    }
    assert_eq!(found.len(), 450);
    assert!(found.is_sorted(), "oldest first");
}

async fn activated(world: &Arc<InProcess>) -> (MerchantId, u64) {
    let app = world.log_in("plain_1").await;
    app.activate(GOOD_CARD).await;
    (id("plain_1"), 6)
}

#[tokio::test]
async fn lease_is_retried_after_a_conflict() {
    let world = InProcess::start().await;
    let (merchant, seq) = activated(&world).await;
    let (store, wall) = (world.store(), world.now());
    world.boundary.fail(1, Fault::Conflict);
    let leased = store.lease_notification(&merchant, seq, "one", wall).await;
    assert!(
        matches!(leased, Err(PortError::Transient(..))),
        "{leased:?}"
    );
    assert!(world.boundary.calm() > 1, "the call was retried");
    world.boundary.fail_once(1, Fault::Conflict);
    let leased = store.lease_notification(&merchant, seq, "one", wall).await;
    assert!(leased.unwrap().is_some());
}

#[tokio::test]
async fn last_rearm_survives_a_lost_reply() {
    let world = InProcess::start().await;
    let (merchant, seq) = activated(&world).await;
    let (store, mut rearmed) = (world.store(), Vec::new());
    for time in 1..=POLICY.notification_retries_max {
        world.pass_s(POLICY.notification_retry_s + 1);
        if time == POLICY.notification_retries_max {
            // The event is read first.
            world.boundary.fail_once(2, Fault::ReplyLost);
        }
        let now = world.now();
        rearmed.push(
            store
                .rearm_notification(&merchant, seq, now, now)
                .await
                .unwrap(),
        );
    }
    assert_eq!(world.boundary.calm(), 1);
    // The first attempt succeeded; the second detects it.
    assert_eq!(rearmed.pop(), Some(Rearmed::NotNeeded));
    assert!(rearmed.iter().all(|one| *one == Rearmed::Armed));
    let leased = store
        .lease_notification(&merchant, seq, "one", world.now())
        .await;
    assert!(leased.unwrap().is_some());
}

#[tokio::test]
async fn accounts_that_fold_alike_are_refused() {
    let world = InProcess::start().await;
    let seeds = store::seed::World::sandbox().unwrap().merchants;
    let seed_as = async |account: &str| {
        let mut merchant = seeds[1].clone();
        merchant.account = account.to_owned();
        world
            .store()
            .seed(&world.keys(), &merchant, world.now())
            .await
    };
    for account in ["+86 139-0000-0001", "１３９００００0001", " \u{A0}", ""] {
        let seeded = seed_as(account).await;
        assert!(matches!(seeded, Err(PortError::Permanent(..))), "{account}");
    }
    seed_as("(+86)13900000002").await.unwrap();
}
