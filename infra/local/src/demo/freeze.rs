//! A thief knows the password and the ID number, and tricks the merchant into revealing the code. The merchant undoes the change
//! with the freeze code from the notification to the phone on file.

use domain::history::canonical;
use serde_json::{Value, json};
use time::Duration as Span;

use super::steps::{sha256_hex, typed};
use super::walk::{App, Cast, Walk, card, last4};
use crate::error::Error;
use crate::system::System;

const CAST: Cast = Cast {
    merchant_id: "mer_plain_3",
    new_card: "6217000000009001375",
    reserved_phone: "+8613700000003",
};

pub(super) async fn walk(system: &System) -> Result<u32, Error> {
    let title = "A thief changes the card, the merchant freezes the account 盗号换卡，商户冻结";
    let mut walk = Walk::start(system, title, CAST)?;
    let owner = walk.pick_up(App::install()?);
    walk.log_in("The thief logs in on a new device 盗号者登录")
        .await?;
    let step = "The merchant receives a notification of the login 新设备登录通知";
    walk.read_the_device_notification(step).await?;
    let body = walk.new_rebind();
    let step = "The thief requests a new card 申请换卡";
    let rebind = walk.request(step, body).await?;
    walk.prove_identity(&rebind).await?;
    walk.sign_the_agreement(&rebind).await?;
    let activated = walk.prove_the_card(&rebind).await?;
    // The device is new, so the hold is longer.
    walk.is_activated(&activated, Span::hours(72))?;
    let step = "The merchant receives the notification 商户收到通知";
    let freeze_code = walk.read_the_notification(step).await?;

    let thief = walk.pick_up(owner);
    let thief = freeze(&mut walk, thief, &freeze_code).await?;
    lock_the_thief_out(&mut walk, thief).await?;
    walk.log_in("The merchant logs in 商户登录").await?;
    see_the_old_card(&mut walk, &rebind).await?;
    be_refused(&mut walk).await?;
    read_the_history(&mut walk).await?;
    walk.end().await
}

/// Freezes without a login: first with a wrong code, then with the right one. Both replies are the same. Returns the thief's
/// app.
async fn freeze(walk: &mut Walk<'_>, thief: App, code: &str) -> Result<App, Error> {
    let wrong = if code == "ABCDEFGH" {
        "HGFEDCBA"
    } else {
        "ABCDEFGH"
    };
    let step = "A wrong freeze code 输错冻结码";
    let mistyped = send_freeze_code(walk, step, wrong).await?;
    let owner = walk.pick_up(thief);
    let step = "The thief still has access 未冻结";
    let cards = walk.get(step, "/v1/cards").await?;
    walk.equal(&cards, "/active/last4", last4(CAST.new_card))?;
    walk.equal(&cards, "/blocked_by", "REBIND_COOLDOWN")?;
    walk.see(&format!("active 当前: {}", card(&cards["active"])));
    let thief = walk.pick_up(owner);

    let typed = typed(code);
    let step = format!("The right freeze code, typed `{typed}` 输入冻结码");
    let right = send_freeze_code(walk, &step, &typed).await?;
    walk.expect(right == mistyped, "both replies are equal")?;
    let phone = walk.merchant.phone.clone();
    walk.read_notification(&phone).await?;
    Ok(thief)
}

async fn send_freeze_code(walk: &mut Walk<'_>, step: &str, code: &str) -> Result<Value, Error> {
    let body = json!({ "account": walk.merchant.account, "freeze_code": code });
    let reply = walk.post(step, "/v1/freezes", body, 202).await?;
    walk.see(&reply.to_string());
    Ok(reply)
}

async fn lock_the_thief_out(walk: &mut Walk<'_>, thief: App) -> Result<(), Error> {
    let owner = walk.pick_up(thief);
    let step = "The thief's session has expired 盗号者会话失效";
    let problem = walk.call(step, "GET", "/v1/cards", None, 401).await?;
    walk.is_refused(&problem, "SESSION_EXPIRED")?;
    walk.pick_up(owner);
    Ok(())
}

async fn see_the_old_card(walk: &mut Walk<'_>, rebind: &str) -> Result<(), Error> {
    let step = "The old card is active again 原卡恢复";
    let cards = walk.get(step, "/v1/cards").await?;
    let old = walk.merchant.old_card_last4.clone();
    walk.equal(&cards, "/active/last4", old.clone())?;
    walk.equal(&cards, "/active/status", "active")?;
    walk.equal(&cards, "/blocked_by", "ACCOUNT_FROZEN")?;
    walk.equal(&cards, "/hold", Value::Null)?;
    walk.expect(
        cards.get("cooldown_until").is_none(),
        "the cooldown is cancelled",
    )?;
    walk.see(&format!("active 当前: {}", card(&cards["active"])));

    let path = format!("/v1/rebinds/{rebind}");
    let step = "The thief's card is removed 新卡移除";
    let reply = walk.get(step, &path).await?;
    walk.equal(&reply, "/state", "frozen")?;
    walk.equal(&reply, "/new_card/status", "removed")?;
    walk.equal(&reply, "/old_card/last4", old)?;
    walk.equal(&reply, "/old_card/status", "active")?;
    walk.see(&format!("frozen 已冻结: {}", card(&reply["new_card"])));
    Ok(())
}

/// A frozen account allows reads and refuses changes, until an operator decides.
async fn be_refused(walk: &mut Walk<'_>) -> Result<(), Error> {
    let step = "Request a card while frozen 冻结期间换卡";
    let body = walk.new_rebind();
    let problem = walk.post(step, "/v1/rebinds", body, 423).await?;
    walk.is_refused(&problem, "ACCOUNT_FROZEN")?;
    let step = "Settlement settings 结算设置";
    let mut settings = walk.get(step, "/v1/settlement").await?;
    walk.see(&settings.to_string());
    settings["retained_fen"] = 100.into();
    let step = "Change them while frozen 冻结期间修改";
    let problem = walk
        .call(step, "PUT", "/v1/settlement", Some(settings), 423)
        .await?;
    walk.is_refused(&problem, "ACCOUNT_FROZEN")
}

/// Recomputes the hash chain of the history.
async fn read_the_history(walk: &mut Walk<'_>) -> Result<(), Error> {
    let history = walk.get("The history 历史记录", "/v1/history").await?;
    let events = walk.items(&history, "/items")?;
    for event in events {
        walk.see(&format!(
            "{} {} {}",
            event["sequence"],
            walk.text(event, "/at")?,
            walk.text(event, "/kind")?
        ));
        let hashed = json!({
            "at": walk.time(event, "/at")?.unix_timestamp(),
            "data": event["data"],
            "kind": event["kind"],
            "merchant_id": CAST.merchant_id,
            "personal_sha256": event["personal_sha256"],
            "policy": event["policy_version"],
            "prev_hash": event["prev_hash"],
            "seq": event["sequence"],
        });
        walk.equal(event, "/hash", sha256_hex(&canonical(&hashed)))?;
    }
    for pair in events.windows(2) {
        walk.equal(&pair[0], "/prev_hash", pair[1]["hash"].clone())?;
    }
    let kinds = events.iter().map(|event| event["kind"].as_str());
    walk.expect(
        kinds
            .take(3)
            .eq([Some("frozen"), Some("change_notified"), Some("activated")]),
        "the freeze is the latest event, after the activation and its notification",
    )?;
    walk.see("every hash is correct, and every event holds the hash of its predecessor");
    Ok(())
}
