//! The acquirer's side: two merchants are imported, one changes the card and is robbed of nothing, because the owner freezes and two
//! operators decide. The core system pays, another system hears of it, and an auditor verifies the history.

use std::cell::Cell;
use std::time::{Duration, Instant};

use aws_sdk_sqs::types::QueueAttributeName;
use jose::receiver::Receiver;
use proof::export::verify;
use rebindctl::api::{Api, Grounds, Request};
use rebindctl::export::{Read, export};
use serde_json::{Value, json};
use time::Duration as Span;
use transparency::key::LogKey;

use super::imported::{self, Imported};
use super::steps::typed;
use super::walk::{App, Cast, Walk, last4};
use crate::error::Error;
use crate::system::System;

const CAST: Cast = Cast {
    merchant_id: "mer_imported_1",
    new_card: "6228480000009006925", // not one of another story: a card belongs to one person
    reserved_phone: "+8613700000005",
};
const OLD_CARD: &str = "6222020000009500018";
const PAYOUT: &str = "pay_story_1";
const AMOUNT_FEN: u64 = 128_000;

/// Time limit for an event, from the transition that it tells of.
const EVENT_LIMIT: Duration = Duration::from_secs(30);
/// Time limit for the log. A run of the schedule may hold messages for minutes.
const LOG_LIMIT: Duration = Duration::from_secs(330);

pub(super) async fn walk(system: &System) -> Result<u32, Error> {
    let title = "The acquirer: import, payout, freeze, two operators, proof 收单机构：导入、出款、冻结、双人复核、存证";
    let [merchant, _] = merchants();
    let mut walk = Walk::start_as(system, title, CAST, merchant.owner()?)?;
    import(&mut walk, system).await?;
    let queue = subscribe(&mut walk, system).await?;

    walk.pick_up(App::install()?);
    walk.log_in("The merchant logs in 商户登录").await?;
    let step = "The merchant receives a notification of the login 新设备登录通知";
    walk.read_the_device_notification(step).await?;
    let body = walk.new_rebind();
    let rebind = walk.request("Request a new card 申请换卡", body).await?;
    walk.prove_identity(&rebind).await?;
    walk.sign_the_agreement(&rebind).await?;
    let activated = walk.prove_the_card(&rebind).await?;
    walk.is_activated(&activated, Span::hours(72))?;
    let step = "The notification 商户收到通知";
    let freeze_code = walk.read_the_notification(step).await?;

    pay(&mut walk, system).await?;
    hear(&mut walk, system, &queue).await?;
    freeze(&mut walk, &freeze_code).await?;
    unfreeze(&mut walk).await?;
    audit(&mut walk, system).await?;
    walk.end().await
}

/// The merchants of the file. The first one is the story's.
fn merchants() -> [Imported; 2] {
    let merchant = |number: u32, card| Imported {
        merchant_id: format!("mer_imported_{number}"),
        account: format!("story-{number}@example.com"),
        phone: format!("+861390000880{number}"),
        card,
    };
    [merchant(1, OLD_CARD), merchant(2, "6222020000009500026")]
}

/// Imports the file twice: the repetition changes nothing.
async fn import(walk: &mut Walk<'_>, system: &System) -> Result<(), Error> {
    let text = imported::file(&merchants())?;
    imported::import(walk, system, "Import two merchants 导入商户", &text).await?;
    imported::import(walk, system, "Import them again 重复导入", &text).await
}

/// A queue of another system that receives the events of the merchant.
async fn subscribe(walk: &mut Walk<'_>, system: &System) -> Result<String, Error> {
    walk.begin("Another system subscribes to the events 订阅事件");
    let (config, endpoints) = (system.sdk_config(), system.endpoints());
    let arn = format!(
        "arn:aws:sqs:{}:000000000000:support-story",
        endpoints.region
    );
    let policy = json!({"Version": "2012-10-17", "Statement": [{
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": endpoints.events_topic}},
    }]});
    let create = aws_sdk_sqs::Client::new(&config).create_queue();
    let create = create.queue_name("support-story");
    let create = create.attributes(QueueAttributeName::Policy, policy.to_string());
    let queue = create
        .send()
        .await
        .map_err(|error| failed("the queue", error))?;
    let subscribe = aws_sdk_sns::Client::new(&config).subscribe();
    let subscribe = subscribe
        .topic_arn(&endpoints.events_topic)
        .protocol("sqs")
        .endpoint(arn)
        .attributes("RawMessageDelivery", "true")
        .attributes(
            "FilterPolicy",
            json!({"merchant_id": [CAST.merchant_id]}).to_string(),
        );
    subscribe
        .send()
        .await
        .map_err(|error| failed("the subscription", error))?;
    queue
        .queue_url
        .ok_or_else(|| walk.mismatch("the queue has an address"))
}

/// The core system creates a payout, and gets the number of the card that is paid during the hold: the old one.
async fn pay(walk: &mut Walk<'_>, system: &System) -> Result<(), Error> {
    let create = json!({
        "operation": "create_payout", "merchant_id": CAST.merchant_id, "payout_id": PAYOUT, "amount_fen": AMOUNT_FEN,
    });
    let step = "The core system creates a payout 生成出款";
    let payout = walk.invoke(step, "payouts", create, None).await?;
    walk.equal(&payout, "/card/last4", last4(OLD_CARD))?;
    let sending = json!({"operation": "payout_sending", "payout_id": PAYOUT});
    let step = "It asks for the instruction 获取付款指令";
    let released = walk.invoke(step, "payouts", sending, None).await?;
    walk.begin("It decrypts the instruction 解密付款指令");
    let core = Receiver::read(&system.endpoints().core_key);
    let core = core.map_err(|error| failed("the core system's key", error))?;
    let (_, signed) = core
        .decrypt(&walk.text(&released, "/instruction")?)
        .map_err(|error| failed("the instruction", error))?;
    let claims = claims(&signed).ok_or_else(|| walk.mismatch("the instruction is a JWS"))?;
    walk.equal(&claims, "/payout_id", PAYOUT)?;
    walk.equal(&claims, "/amount_fen", AMOUNT_FEN)?;
    walk.equal(&claims, "/card_number", OLD_CARD)?;
    walk.see(&format!(
        "pay 付款: {} fen to the card ···{}",
        claims["amount_fen"],
        last4(OLD_CARD)
    ));
    let sent = json!({"operation": "payout_sent", "payout_id": PAYOUT});
    let step = "It reports the payment 回报出款";
    let sent = walk.invoke(step, "payouts", sent, None).await?;
    walk.equal(&sent, "/status", "sent")
}

/// The claims of a signed instruction. `infra/core-system` shows how a core system verifies it.
fn claims(signed: &[u8]) -> Option<Value> {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let payload = signed.split(|byte| *byte == b'.').nth(1)?;
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).ok()?).ok()
}

/// The other system receives the event of the payment.
async fn hear(walk: &mut Walk<'_>, system: &System, queue: &str) -> Result<(), Error> {
    walk.begin("The other system hears of it 收到事件");
    let client = aws_sdk_sqs::Client::new(&system.sdk_config());
    let deadline = Instant::now() + EVENT_LIMIT;
    loop {
        let receive = client.receive_message().queue_url(queue);
        let receive = receive.max_number_of_messages(10).wait_time_seconds(1);
        let received = receive.send().await;
        let received = received.map_err(|error| failed("the queue", error))?;
        for message in received.messages.unwrap_or_default() {
            let event: Value = serde_json::from_str(&message.body.unwrap_or_default())
                .map_err(|error| failed("an event", error))?;
            let kind = walk.text(&event, "/type")?;
            walk.see(&format!("{} {kind}", walk.text(&event, "/id")?));
            if kind == "card-rebind.payout_sent" {
                return walk.equal(&event, "/data/payout_id", PAYOUT);
            }
        }
        walk.expect(Instant::now() < deadline, "the event of the payout arrives")?;
    }
}

/// The owner did not change the card, and freezes from the old phone.
async fn freeze(walk: &mut Walk<'_>, code: &str) -> Result<(), Error> {
    let body = json!({"account": walk.merchant.account, "freeze_code": typed(code)});
    let step = "The owner freezes the account 冻结";
    walk.post(step, "/v1/freezes", body, 202).await?;
    let phone = walk.merchant.phone.clone();
    walk.read_notification(&phone).await.map(drop)
}

/// One operator proposes to unfreeze to the old card, another one approves.
async fn unfreeze(walk: &mut Walk<'_>) -> Result<(), Error> {
    let show = Request::get(format!("/operator/v1/merchants/{}", CAST.merchant_id));
    let step = "Support looks at the merchant 客服查询";
    let merchant = walk.operate(step, "support", show, 200).await?;
    walk.equal(&merchant, "/active/last4", last4(OLD_CARD))?;
    walk.expect(!merchant["frozen"].is_null(), "the account is frozen")?;
    let body = json!({
        "merchant_id": CAST.merchant_id, "card_id": merchant["active"]["card_id"],
    });
    let propose = Request::post("/operator/v1/proposals/unfreeze", body);
    let step = "An operator proposes to unfreeze 提议解冻";
    let made = walk.operate(step, "operations", propose, 201).await?;
    let id = walk.text(&made, "/proposal_id")?;
    let phone = walk.merchant.phone.clone();
    walk.read_notification(&phone).await?;
    let path = format!("/operator/v1/approvals/unfreeze/{id}");
    let show = Request::get(format!("/operator/v1/proposals/{id}"));
    let step = "Another person reads the proposal 复核";
    let proposal = walk.operate(step, "security", show, 200).await?;
    walk.see(&proposal["values"].to_string());
    let approve = Request::post(path, json!({"digest": proposal["digest"]}));
    let step = "And approves it 批准解冻";
    let after = walk.operate(step, "security", approve, 200).await?;
    walk.equal(&after, "/frozen", Value::Null)?;
    walk.equal(&after, "/active/last4", last4(OLD_CARD))?;
    walk.read_notification(&phone).await?;
    walk.log_in("The merchant logs in again 商户重新登录").await
}

/// An auditor exports the history, verifies it without network or account, and finds a change of it.
async fn audit(walk: &mut Walk<'_>, system: &System) -> Result<(), Error> {
    walk.begin("The log anchors the history 存证");
    let support = Support {
        api: walk.operator("support")?,
        requests: Cell::new(0),
    };
    let log = support
        .read("log")
        .await
        .map_err(|why| walk.mismatch(&why))?;
    let deadline = Instant::now() + LOG_LIMIT;
    let mut file = loop {
        system.invoke("anchor", &json!({})).await?;
        match export(&support, CAST.merchant_id, None, Duration::ZERO).await {
            Ok(file) if file.proof.entry.seq == file.head.sequence => break file,
            other => {
                let waits = other.err().unwrap_or_default();
                let what = format!("the whole history is anchored; {waits}");
                walk.expect(Instant::now() < deadline, &what)?;
            }
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    };
    walk.requests += support.requests.get();
    walk.begin("An auditor verifies the file offline 离线核验");
    let key = LogKey::from_pem(&walk.text(&log, "/public_key")?);
    let key = key.map_err(|error| failed("the public key", error))?;
    let name = walk.text(&log, "/name")?;
    let verdict = verify(&file, &key, &name, None);
    let verdict = verdict.map_err(|broken| walk.mismatch(&broken.to_string()))?;
    walk.see(&verdict.to_string());
    walk.expect(verdict.newer == 0, "every event is anchored")?;
    walk.begin("A changed event is found 篡改被发现");
    let changed = file.events.iter_mut().find(|event| event.kind == "frozen");
    let changed = changed.ok_or_else(|| walk.mismatch("the history has the freeze"))?;
    changed.at -= 60;
    match verify(&file, &key, &name, None) {
        Ok(_) => Err(walk.mismatch("the changed file is refused")),
        Err(broken) => {
            walk.see(&broken.to_string());
            Ok(())
        }
    }
}

/// The operator's API, as an auditor's reader.
struct Support {
    api: Api,
    requests: Cell<usize>,
}

impl Read for Support {
    async fn read(&self, path: &str) -> Result<Value, String> {
        let request = Request::get(format!("/operator/v1/{path}"));
        let request = request.on(&grounds(), "");
        self.requests.set(self.requests.get() + 1);
        let reply = self.api.send(&request).await;
        let reply = reply.map_err(|error| error.to_string())?;
        reply.refusal(&request).map_or(Ok(reply.body), Err)
    }
}

/// The grounds of every call of the story.
pub(super) fn grounds() -> Grounds {
    Grounds {
        reason: "owner_request".to_owned(),
        comment: "the owner called 商户来电".to_owned(),
        ticket: Some("STORY-1".to_owned()),
    }
}

fn failed(what: &str, error: impl std::fmt::Display) -> Error {
    Error::Reply {
        what: what.to_owned(),
        reply: error.to_string(),
    }
}
