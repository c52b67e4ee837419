//! Steps that several stories share.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use time::Duration as Span;

use super::walk::{Walk, card, last4};
use crate::error::Error;

impl Walk<'_> {
    /// Logs in with the current app.
    pub(super) async fn log_in(&mut self, step: &str) -> Result<(), Error> {
        let body = json!({
            "account": self.merchant.account,
            "password": self.merchant.password,
            "device_id": self.app.device_id,
        });
        self.app.token.clear();
        let reply = self.post(step, "/v1/sessions", body, 201).await?;
        self.app.token = self.text(&reply, "/token")?;
        self.equal(&reply, "/merchant/merchant_id", self.cast.merchant_id)?;
        self.see(&format!(
            "{} logged in until {}",
            self.text(&reply, "/merchant/legal_name_masked")?,
            self.text(&reply, "/expires_at")?
        ));
        Ok(())
    }

    /// The body of a request for the cast's new card.
    pub(super) fn new_rebind(&self) -> Value {
        json!({
            "card_number": self.cast.new_card,
            "holder_name": self.merchant.name,
            "reserved_phone": self.cast.reserved_phone,
            "reason": "replace",
        })
    }

    /// Requests the new card and returns the rebind's id.
    pub(super) async fn request(&mut self, step: &str, body: Value) -> Result<String, Error> {
        let reply = self.post(step, "/v1/rebinds", body, 201).await?;
        self.equal(&reply, "/state", "identity_pending")?;
        self.equal(&reply, "/new_card/last4", last4(self.cast.new_card))?;
        self.equal(&reply, "/new_card/status", "pending")?;
        self.see(&format!(
            "new 新卡: {}; reserved phone 预留手机 {}",
            card(&reply["new_card"]),
            self.text(&reply, "/reserved_phone_masked")?
        ));
        self.text(&reply, "/rebind_id")
    }

    /// Submits the ID document and confirms the code sent to the phone on file.
    pub(super) async fn prove_identity(&mut self, rebind: &str) -> Result<(), Error> {
        let body = json!({
            "document_number": self.merchant.id_number,
            "document_expires_on": self.merchant.id_expires_on,
        });
        let path = format!("/v1/rebinds/{rebind}/identity");
        let reply = self
            .post("Identity document 身份验证", &path, body, 200)
            .await?;
        self.equal(&reply, "/state", "identity_pending")?;
        self.confirm_identity(rebind, &reply, "agreement_pending")
            .await
    }

    /// Confirms the code that was sent to the phone on file with the reply `sent`.
    pub(super) async fn confirm_identity(
        &mut self,
        rebind: &str,
        sent: &Value,
        state: &str,
    ) -> Result<(), Error> {
        self.equal(sent, "/challenge/method", "sms_code")?;
        let phone = self.merchant.phone.clone();
        let code = self.read_code(sent, &phone).await?;
        let path = format!("/v1/rebinds/{rebind}/identity/confirm");
        let step = "Code from the phone on file 原手机验证码";
        let reply = self.post(step, &path, json!({ "code": code }), 200).await?;
        self.equal(&reply, "/state", state)?;
        self.see_next(&reply)
    }

    pub(super) async fn sign_the_agreement(&mut self, rebind: &str) -> Result<(), Error> {
        let path = format!("/v1/rebinds/{rebind}/agreement");
        let query = format!("{path}?lang=zh-CN");
        let agreement = self.get("Read the agreement 阅读协议", &query).await?;
        let text = self.text(&agreement, "/body_markdown")?;
        self.expect(
            text.contains(last4(self.cast.new_card)),
            "the text has the last four digits of the new card",
        )?;
        self.equal(&agreement, "/sha256", sha256_hex(&text))?;
        self.equal(&agreement, "/min_read_s", 10)?;
        let consents = self.items(&agreement, "/consents")?;
        let ids: Vec<&Value> = consents.iter().map(|one| &one["id"]).collect();
        self.expect(!ids.is_empty(), "the agreement asks for consents")?;
        self.see(&format!(
            "{}, version {}, {} characters, {} consents 同意项",
            self.text(&agreement, "/title")?,
            self.text(&agreement, "/version")?,
            text.chars().count(),
            ids.len()
        ));

        self.wait(Span::seconds(11), "by 11 s, while the merchant reads");
        let body = json!({
            "version": agreement["version"],
            "sha256": agreement["sha256"],
            "reading_token": agreement["reading_token"],
            "signed_name": self.merchant.name,
            "consents": ids,
        });
        let reply = self
            .post("Sign the agreement 签署协议", &path, body, 200)
            .await?;
        self.equal(&reply, "/state", "card_pending")?;
        self.see_next(&reply)
    }

    /// Has the bank check the card, confirms the code sent to its reserved phone and returns the activated rebind.
    pub(super) async fn prove_the_card(&mut self, rebind: &str) -> Result<Value, Error> {
        let path = format!("/v1/rebinds/{rebind}/card-check");
        let reply = self
            .post("The bank checks the card 银行核验", &path, None, 200)
            .await?;
        self.equal(&reply, "/state", "card_pending")?;
        self.equal(&reply, "/challenge/method", "bank_code")?;
        let code = self.read_code(&reply, self.cast.reserved_phone).await?;
        let path = format!("{path}/confirm");
        let step = "Code from the card's phone 预留手机验证码";
        self.post(step, &path, json!({ "code": code }), 200).await
    }

    /// Checks a rebind that has just been activated: the hold as given, a cooldown of 30 days.
    pub(super) fn is_activated(&self, rebind: &Value, hold: Span) -> Result<(), Error> {
        self.equal(rebind, "/state", "activated")?;
        self.equal(rebind, "/new_card/last4", last4(self.cast.new_card))?;
        self.equal(rebind, "/new_card/status", "active")?;
        let at = self.time(rebind, "/activated_at")?;
        self.expect(
            self.time(rebind, "/effective_at")? - at == hold,
            &format!("the hold is {} hours", hold.whole_hours()),
        )?;
        self.expect(
            self.time(rebind, "/cooldown_until")? - at == Span::days(30),
            "the cooldown is 30 days",
        )?;
        self.see(&format!(
            "activated 已启用: {}; payouts go there from 结算生效 {}",
            card(&rebind["new_card"]),
            self.text(rebind, "/effective_at")?
        ));
        Ok(())
    }

    /// Reads the notifications to both phones. Returns the freeze code, which only the phone on file receives.
    pub(super) async fn read_the_notification(&mut self, step: &str) -> Result<String, Error> {
        self.begin(step);
        let phone = self.merchant.phone.clone();
        let on_file = self.read_notification(&phone).await?;
        let reserved = self.read_notification(self.cast.reserved_phone).await?;
        for notification in [&on_file, &reserved] {
            self.expect(
                notification.contains(last4(self.cast.new_card)),
                "the notification has the new card's last four digits",
            )?;
        }
        self.expect(
            freeze_code(&reserved).is_none(),
            "the reserved phone receives no freeze code",
        )?;
        freeze_code(&on_file)
            .ok_or_else(|| self.mismatch("the phone on file receives a freeze code"))
    }

    /// Reads the notification of a device's first login.
    pub(super) async fn read_the_device_notification(&mut self, step: &str) -> Result<(), Error> {
        self.begin(step);
        let phone = self.merchant.phone.clone();
        let notification = self.read_notification(&phone).await?;
        self.expect(
            notification.contains("设备"),
            "the notification is about a device",
        )
    }

    /// Reads the next SMS to `phone` and checks the form of a notification.
    pub(super) async fn read_notification(&mut self, phone: &str) -> Result<String, Error> {
        let notification = self.next_sms(phone).await?;
        self.expect(
            notification.encode_utf16().count() <= 70,
            "the notification fits one SMS",
        )?;
        self.expect(
            !notification.contains("http"),
            "the notification has no link",
        )?;
        Ok(notification)
    }

    /// Prints where a code was sent, waits for the SMS and returns the code.
    pub(super) async fn read_code(&mut self, reply: &Value, phone: &str) -> Result<String, Error> {
        let sent_to = self.text(reply, "/challenge/sent_to")?;
        self.see(&format!("code sent to 验证码已发送至 {sent_to}"));
        let sms = self.next_sms(phone).await?;
        run_of(&sms, 6, |c| c.is_ascii_digit())
            .ok_or_else(|| self.mismatch("the SMS has a code of six digits"))
    }
}

fn freeze_code(notification: &str) -> Option<String> {
    run_of(notification, 8, |c| {
        c.is_ascii_uppercase() || c.is_ascii_digit()
    })
}

/// The first run of exactly `length` characters for which `fits` holds.
fn run_of(text: &str, length: usize, fits: impl Fn(char) -> bool) -> Option<String> {
    let mut runs = text.split(|c| !fits(c));
    runs.find(|run| run.len() == length).map(str::to_owned)
}

/// A code as people may type it: in lower case, in two halves.
pub(super) fn typed(code: &str) -> String {
    let (head, tail) = code.split_at(code.len() / 2);
    format!("{head} {tail}").to_lowercase()
}

/// Lower-case hex.
pub(super) fn sha256_hex(text: &str) -> String {
    Sha256::digest(text.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
