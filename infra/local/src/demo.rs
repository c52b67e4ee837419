//! One whole rebind, walked over HTTP as the app would, each step held against the contract.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Request;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use shared::adapters::bank::sandbox::SANDBOX_JSON;
use time::format_description::well_known::Rfc3339;
use time::{Duration as Span, OffsetDateTime};

use crate::error::Error;
use crate::http::Http;
use crate::paths;
use crate::system::{System, UpOptions};

const MERCHANT: &str = "mer_plain_1";
const NEW_CARD: &str = "6222020000009001009";
/// The phone that the bank has for the new card; not the merchant's own, so that the two codes cannot be confused.
const RESERVED_PHONE: &str = "+8613700000001";
/// How long an SMS may take from the request that causes it.
const SMS_LIMIT: Duration = Duration::from_secs(15);

/// Brings a system up, walks one rebind on it, and ends it.
///
/// # Errors
/// When the system does not come up, or a step does something else than the contract says.
pub async fn run() -> Result<(), Error> {
    let started = Instant::now();
    let state_dir = paths::default_state_dir().join("demo"); // beside a system that `cargo local up` may have started
    let system = System::up(UpOptions {
        state_dir,
        ..UpOptions::default()
    })
    .await?;
    let merchant = Merchant::from_sandbox(MERCHANT)?;
    println!("\nA merchant changes the settlement card 商户更换结算卡\n");
    let steps = Walk::new(&system, merchant)?.rebind().await?;
    drop(system);
    println!(
        "{steps} steps, each as the contract says; {:.1} s in all",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

/// What the merchant knows by heart.
struct Merchant {
    account: String,
    password: String,
    name: String,
    id_number: String,
    id_expires_on: String,
    phone: String,
    old_card_last4: String,
}

impl Merchant {
    fn from_sandbox(id: &str) -> Result<Self, Error> {
        let missing = || Error::Reply {
            what: format!("merchant {id}"),
            reply: "sandbox.json".into(),
        };
        let sandbox: Value = serde_json::from_str(SANDBOX_JSON).map_err(|_| missing())?;
        let merchants = sandbox["merchants"].as_array().ok_or_else(missing)?;
        let merchant = merchants
            .iter()
            .find(|merchant| merchant["merchant_id"] == id)
            .ok_or_else(missing)?;
        let text = |pointer: &str| {
            merchant
                .pointer(pointer)
                .and_then(Value::as_str)
                .map(str::to_owned)
        };
        let card = text("/active_card/card_number").ok_or_else(missing)?;
        Ok(Self {
            account: text("/account").ok_or_else(missing)?,
            password: text("/password").ok_or_else(missing)?,
            name: text("/legal_name").ok_or_else(missing)?,
            id_number: text("/id_document/number").ok_or_else(missing)?,
            id_expires_on: text("/id_document/expires_on").ok_or_else(missing)?,
            phone: text("/phone_on_file").ok_or_else(missing)?,
            old_card_last4: last4(&card).to_owned(),
        })
    }
}

/// A merchant with an app.
struct Walk<'a> {
    system: &'a System,
    merchant: Merchant,
    http: Http,
    token: String,
    /// How far the sandbox's clock is ahead of the wall's, so that nobody waits while the merchant reads.
    ahead: Span,
    step: String,
    steps: u32,
}

impl<'a> Walk<'a> {
    fn new(system: &'a System, merchant: Merchant) -> Result<Self, Error> {
        let http = Http::new();
        Ok(Self {
            system,
            merchant,
            http,
            token: String::new(),
            ahead: Span::ZERO,
            step: String::new(),
            steps: 0,
        })
    }

    async fn rebind(mut self) -> Result<u32, Error> {
        self.log_in().await?;
        self.see_the_old_card().await?;
        let rebind = self.ask_for_the_change().await?;
        self.prove_identity(&rebind).await?;
        self.sign_the_agreement(&rebind).await?;
        let activated = self.prove_the_card(&rebind).await?;
        self.read_the_notice().await?;
        self.see_the_hold().await?;
        self.be_refused_in_the_cooldown(&activated).await?;
        self.let_a_month_pass(&rebind, &activated).await?;
        Ok(self.steps)
    }

    async fn log_in(&mut self) -> Result<(), Error> {
        let mut device = [0u8; 16];
        getrandom::fill(&mut device).map_err(|error| self.broken(&error.to_string()))?;
        let body = json!({
            "account": self.merchant.account,
            "password": self.merchant.password,
            "device_id": device.iter().map(|byte| format!("{byte:02x}")).collect::<String>(),
        });
        let reply = self
            .call("Log in 登录", "POST", "/v1/sessions", Some(body), 201)
            .await?;
        self.token = self.text(&reply, "/token")?;
        self.equal(&reply, "/merchant/merchant_id", MERCHANT)?;
        self.see(&format!(
            "{} logged in until {}",
            self.text(&reply, "/merchant/legal_name_masked")?,
            self.text(&reply, "/expires_at")?
        ));
        Ok(())
    }

    async fn see_the_old_card(&mut self) -> Result<(), Error> {
        let cards = self
            .call("Settlement cards 结算卡", "GET", "/v1/cards", None, 200)
            .await?;
        self.equal(
            &cards,
            "/active/last4",
            self.merchant.old_card_last4.clone(),
        )?;
        self.equal(&cards, "/active/status", "active")?;
        self.equal(&cards, "/can_rebind", true)?;
        self.expect(
            cards["open_rebind"].is_null() && cards["hold"].is_null(),
            "nothing is open and nothing held",
        )?;
        self.see(&format!("active 当前: {}", card(&cards["active"])));
        Ok(())
    }

    async fn ask_for_the_change(&mut self) -> Result<String, Error> {
        let reply = self
            .call(
                "Ask for the change 申请换卡",
                "POST",
                "/v1/rebinds",
                Some(self.new_rebind()),
                201,
            )
            .await?;
        self.equal(&reply, "/state", "identity_pending")?;
        self.equal(&reply, "/new_card/last4", last4(NEW_CARD))?;
        self.equal(&reply, "/new_card/status", "pending")?;
        self.see(&format!(
            "new 新卡: {}; reserved phone 预留手机 {}",
            card(&reply["new_card"]),
            self.text(&reply, "/reserved_phone_masked")?
        ));
        self.text(&reply, "/rebind_id")
    }

    async fn prove_identity(&mut self, rebind: &str) -> Result<(), Error> {
        let body = json!({
            "document_number": self.merchant.id_number,
            "document_expires_on": self.merchant.id_expires_on,
        });
        let phone = self.merchant.phone.clone();
        let before = self.system.sms(&phone).await?.len();
        let path = format!("/v1/rebinds/{rebind}/identity");
        let reply = self
            .call("Identity document 身份验证", "POST", &path, Some(body), 200)
            .await?;
        self.equal(&reply, "/state", "identity_pending")?;
        let code = self.read_code(&reply, &phone, before).await?;

        let path = format!("/v1/rebinds/{rebind}/identity/confirm");
        let body = json!({ "code": code });
        let reply = self
            .call(
                "Code from the phone on file 原手机验证码",
                "POST",
                &path,
                Some(body),
                200,
            )
            .await?;
        self.equal(&reply, "/state", "agreement_pending")?;
        self.see_next(&reply)
    }

    async fn sign_the_agreement(&mut self, rebind: &str) -> Result<(), Error> {
        let path = format!("/v1/rebinds/{rebind}/agreement");
        let query = format!("{path}?lang=zh-CN");
        let agreement = self
            .call("Read the agreement 阅读协议", "GET", &query, None, 200)
            .await?;
        let text = self.text(&agreement, "/body_markdown")?;
        self.expect(
            text.contains(last4(NEW_CARD)),
            "the text names the last four digits of the new card",
        )?;
        self.equal(&agreement, "/sha256", sha256_hex(&text))?;
        self.equal(&agreement, "/min_read_s", 10)?;
        let ids: Vec<&Value> = agreement["consents"]
            .as_array()
            .map_or(Vec::new(), |all| all.iter().map(|one| &one["id"]).collect());
        self.expect(!ids.is_empty(), "there are consents to give")?;
        self.see(&format!(
            "{}, version {}, {} characters, {} consents 同意项",
            self.text(&agreement, "/title")?,
            self.text(&agreement, "/version")?,
            text.chars().count(),
            ids.len()
        ));

        self.ahead += Span::seconds(11);
        println!("        (the sandbox's clock goes on by 11 s while the merchant reads)");
        let body = json!({
            "version": agreement["version"],
            "sha256": agreement["sha256"],
            "reading_token": agreement["reading_token"],
            "signed_name": self.merchant.name,
            "consents": ids,
        });
        let reply = self
            .call("Sign it 签署协议", "POST", &path, Some(body), 200)
            .await?;
        self.equal(&reply, "/state", "card_pending")?;
        self.see_next(&reply)
    }

    async fn prove_the_card(&mut self, rebind: &str) -> Result<Value, Error> {
        let before = self.system.sms(RESERVED_PHONE).await?.len();
        let path = format!("/v1/rebinds/{rebind}/card-check");
        let reply = self
            .call(
                "The bank checks the card 银行核验",
                "POST",
                &path,
                None,
                200,
            )
            .await?;
        self.equal(&reply, "/state", "card_pending")?;
        self.equal(&reply, "/challenge/method", "bank_code")?;
        let code = self.read_code(&reply, RESERVED_PHONE, before).await?;

        let path = format!("/v1/rebinds/{rebind}/card-check/confirm");
        let body = json!({ "code": code });
        let reply = self
            .call(
                "Code from the card's phone 预留手机验证码",
                "POST",
                &path,
                Some(body),
                200,
            )
            .await?;
        self.equal(&reply, "/state", "activated")?;
        self.equal(&reply, "/new_card/status", "active")?;
        let at = self.time(&reply, "/activated_at")?;
        self.expect(
            self.time(&reply, "/effective_at")? - at == Span::hours(24),
            "the hold is 24 hours",
        )?;
        self.expect(
            self.time(&reply, "/cooldown_until")? - at == Span::days(30),
            "the cooldown is 30 days",
        )?;
        self.see(&format!(
            "activated 已启用: {}; payouts go there from 结算生效 {}",
            card(&reply["new_card"]),
            self.text(&reply, "/effective_at")?
        ));
        Ok(reply)
    }

    async fn read_the_notice(&mut self) -> Result<(), Error> {
        self.begin("The notice of the change 变更通知");
        let phone = self.merchant.phone.clone();
        // Each phone has one code; what comes after it is the notice.
        for phone in [phone.as_str(), RESERVED_PHONE] {
            let notice = self.sms_after(phone, 1).await?;
            self.expect(
                notice.contains(last4(NEW_CARD)),
                "the notice names the new card's last four digits",
            )?;
            self.expect(
                notice.encode_utf16().count() <= 70,
                "the notice fits one SMS",
            )?;
            self.expect(!notice.contains("http"), "the notice has no link")?;
        }
        Ok(())
    }

    async fn see_the_hold(&mut self) -> Result<(), Error> {
        let cards = self
            .call(
                "Settlement cards, during the hold 结算卡",
                "GET",
                "/v1/cards",
                None,
                200,
            )
            .await?;
        self.equal(&cards, "/active/last4", last4(NEW_CARD))?;
        self.equal(
            &cards,
            "/hold/paying_card/last4",
            self.merchant.old_card_last4.clone(),
        )?;
        self.equal(&cards, "/can_rebind", false)?;
        self.equal(&cards, "/blocked_by", "REBIND_COOLDOWN")?;
        self.see(&format!("active 当前: {}", card(&cards["active"])));
        self.see(&format!(
            "still paid to 仍结算到: {} until {}",
            card(&cards["hold"]["paying_card"]),
            self.text(&cards, "/hold/effective_at")?
        ));
        self.see(&format!(
            "no further change before 冷静期至 {}",
            self.text(&cards, "/cooldown_until")?
        ));
        Ok(())
    }

    async fn be_refused_in_the_cooldown(&mut self, activated: &Value) -> Result<(), Error> {
        let body = Some(self.new_rebind());
        let problem = self
            .call(
                "Ask for another change 再次申请",
                "POST",
                "/v1/rebinds",
                body,
                409,
            )
            .await?;
        self.equal(&problem, "/code", "REBIND_COOLDOWN")?;
        self.equal(
            &problem,
            "/cooldown_until",
            activated["cooldown_until"].clone(),
        )?;
        self.see(&self.text(&problem, "/detail_zh")?);
        self.see(&self.text(&problem, "/detail_en")?);
        Ok(())
    }

    async fn let_a_month_pass(&mut self, rebind: &str, activated: &Value) -> Result<(), Error> {
        let before = self.system.sms(&self.merchant.phone).await?.len();
        let later = self.time(activated, "/activated_at")? + Span::days(31);
        let later = later
            .format(&Rfc3339)
            .map_err(|error| self.broken(&error.to_string()))?;
        self.begin("The scheduled clean-up, 31 days later 定时清理");
        let report = self
            .system
            .invoke("cooldown-cleanup", &json!({ "time": later }))
            .await?;
        self.see(&report.to_string());
        let phone = self.merchant.phone.clone();
        self.sms_after(&phone, before).await?;

        let path = format!("/v1/rebinds/{rebind}");
        let reply = self
            .call("The rebind, from then on 换卡完成", "GET", &path, None, 200)
            .await?;
        self.equal(&reply, "/state", "completed")?;
        self.see(&format!(
            "{} is the settlement card 结算卡",
            card(&reply["new_card"])
        ));
        Ok(())
    }

    fn new_rebind(&self) -> Value {
        json!({
            "card_number": NEW_CARD,
            "holder_name": self.merchant.name,
            "reserved_phone": RESERVED_PHONE,
            "reason": "replace",
        })
    }

    /// Shows where a code went, waits for its SMS, and reads it.
    async fn read_code(
        &mut self,
        reply: &Value,
        phone: &str,
        before: usize,
    ) -> Result<String, Error> {
        let sent_to = self.text(reply, "/challenge/sent_to")?;
        self.see(&format!("a code went to 验证码已发送至 {sent_to}"));
        let sms = self.sms_after(phone, before).await?;
        let code = sms
            .split(|c: char| !c.is_ascii_digit())
            .find(|digits| digits.len() == 6);
        code.map(str::to_owned)
            .ok_or_else(|| self.broken("the SMS has a code of six digits"))
    }

    /// The first SMS to `phone` after the first `before`.
    async fn sms_after(&self, phone: &str, before: usize) -> Result<String, Error> {
        let deadline = Instant::now() + SMS_LIMIT;
        loop {
            if let Some(sms) = self.system.sms(phone).await?.into_iter().nth(before) {
                println!("        SMS {phone}: {sms}");
                return Ok(sms);
            }
            if Instant::now() > deadline {
                return Err(self.broken(&format!(
                    "an SMS to {phone} within {} s",
                    SMS_LIMIT.as_secs()
                )));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// One step: the request, its time, and the status it must have.
    async fn call(
        &mut self,
        step: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
        status: u16,
    ) -> Result<Value, Error> {
        self.begin(step);
        let now = OffsetDateTime::now_utc() + self.ahead;
        let now = now
            .format(&Rfc3339)
            .map_err(|error| self.broken(&error.to_string()))?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("{}{path}", self.system.endpoints().api_url))
            .header("content-type", "application/json")
            .header("x-sandbox-now", now);
        if !self.token.is_empty() {
            request = request.header("authorization", format!("Bearer {}", self.token));
        }
        if method == "POST" {
            request = request.header("idempotency-key", format!("demo-{}", self.steps));
        }
        let body = body.map_or_else(Bytes::new, |body| Bytes::from(body.to_string()));
        let request = request
            .body(body)
            .map_err(|error| self.broken(&error.to_string()))?;
        let started = Instant::now();
        let reply = self.http.send(request).await?;
        println!(
            "        {method} {path} -> {} in {} ms",
            reply.status,
            started.elapsed().as_millis()
        );
        if reply.status != status {
            return Err(self.broken(&format!("status {status}; the reply is {}", reply.text())));
        }
        reply.json()
    }

    fn begin(&mut self, step: &str) {
        self.steps += 1;
        self.step = step.to_owned();
        println!("{:3}. {step}", self.steps);
    }

    /// What the merchant sees.
    fn see(&self, text: &str) {
        println!("        | {text}");
    }

    fn see_next(&self, reply: &Value) -> Result<(), Error> {
        let state = self.text(reply, "/state")?;
        self.see(&format!("{state}; next 下一步: {}", reply["next_actions"]));
        Ok(())
    }

    fn text(&self, reply: &Value, pointer: &str) -> Result<String, Error> {
        let text = reply.pointer(pointer).and_then(Value::as_str);
        text.map(str::to_owned)
            .ok_or_else(|| self.broken(&format!("{pointer} is a text; the reply is {reply}")))
    }

    fn time(&self, reply: &Value, pointer: &str) -> Result<OffsetDateTime, Error> {
        let text = self.text(reply, pointer)?;
        OffsetDateTime::parse(&text, &Rfc3339)
            .map_err(|_| self.broken(&format!("{pointer} is a time, not {text}")))
    }

    fn equal(&self, reply: &Value, pointer: &str, want: impl Into<Value>) -> Result<(), Error> {
        let want = want.into();
        self.expect(
            reply.pointer(pointer) == Some(&want),
            &format!("{pointer} is {want}; the reply is {reply}"),
        )
    }

    fn expect(&self, holds: bool, what: &str) -> Result<(), Error> {
        if holds {
            Ok(())
        } else {
            Err(self.broken(what))
        }
    }

    fn broken(&self, what: &str) -> Error {
        Error::Contract {
            step: self.step.clone(),
            what: format!("expected: {what}"),
        }
    }
}

fn card(card: &Value) -> String {
    let field = |name: &str| card[name].as_str().unwrap_or("?").to_owned();
    format!(
        "{} ···{} ({})",
        field("bank_name"),
        field("last4"),
        field("status")
    )
}

fn last4(number: &str) -> &str {
    &number[number.len().saturating_sub(4)..]
}

fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
