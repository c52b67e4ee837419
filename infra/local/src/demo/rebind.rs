//! A whole rebind, from the login to its completion a month later.

use serde_json::{Value, json};
use time::Duration as Span;

use super::walk::{Cast, Walk, card, last4};
use crate::error::Error;
use crate::system::System;

const CAST: Cast = Cast {
    merchant_id: "mer_plain_1",
    new_card: "6222020000009001009",
    reserved_phone: "+8613700000001",
};

pub(super) async fn walk(system: &System) -> Result<u32, Error> {
    let title = "A merchant changes the settlement card 商户更换结算卡";
    let mut walk = Walk::start(system, title, CAST)?;
    walk.log_in("Log in 登录").await?;
    see_the_old_card(&mut walk).await?;
    let body = walk.new_rebind();
    let rebind = walk.request("Request the change 申请换卡", body).await?;
    walk.prove_identity(&rebind).await?;
    walk.sign_the_agreement(&rebind).await?;
    let activated = walk.prove_the_card(&rebind).await?;
    walk.is_activated(&activated, Span::hours(24))?;
    walk.read_the_notification("The notification of the change 变更通知")
        .await?;
    see_the_hold(&mut walk).await?;
    be_refused_in_the_cooldown(&mut walk, &activated).await?;
    let_a_month_pass(&mut walk, &rebind, &activated).await?;
    walk.end().await
}

async fn see_the_old_card(walk: &mut Walk<'_>) -> Result<(), Error> {
    let cards = walk.get("Settlement cards 结算卡", "/v1/cards").await?;
    let old = walk.merchant.old_card_last4.clone();
    walk.equal(&cards, "/active/last4", old)?;
    walk.equal(&cards, "/active/status", "active")?;
    walk.equal(&cards, "/can_rebind", true)?;
    walk.expect(
        cards["open_rebind"].is_null() && cards["hold"].is_null(),
        "no rebind is open, and no hold",
    )?;
    walk.see(&format!("active 当前: {}", card(&cards["active"])));
    Ok(())
}

async fn see_the_hold(walk: &mut Walk<'_>) -> Result<(), Error> {
    let step = "Settlement cards, during the hold 结算卡";
    let cards = walk.get(step, "/v1/cards").await?;
    let old = walk.merchant.old_card_last4.clone();
    walk.equal(&cards, "/active/last4", last4(walk.cast.new_card))?;
    walk.equal(&cards, "/hold/paying_card/last4", old)?;
    walk.equal(&cards, "/can_rebind", false)?;
    walk.equal(&cards, "/blocked_by", "REBIND_COOLDOWN")?;
    walk.see(&format!("active 当前: {}", card(&cards["active"])));
    walk.see(&format!(
        "payouts still go to 仍结算到: {} until {}",
        card(&cards["hold"]["paying_card"]),
        walk.text(&cards, "/hold/effective_at")?
    ));
    walk.see(&format!(
        "no further change before 冷静期至 {}",
        walk.text(&cards, "/cooldown_until")?
    ));
    Ok(())
}

async fn be_refused_in_the_cooldown(walk: &mut Walk<'_>, activated: &Value) -> Result<(), Error> {
    let body = walk.new_rebind();
    let step = "Request another change 再次申请";
    let problem = walk.post(step, "/v1/rebinds", body, 409).await?;
    walk.is_refused(&problem, "REBIND_COOLDOWN")?;
    let until = activated["cooldown_until"].clone();
    walk.equal(&problem, "/cooldown_until", until)
}

async fn let_a_month_pass(
    walk: &mut Walk<'_>,
    rebind: &str,
    activated: &Value,
) -> Result<(), Error> {
    let later = walk.time(activated, "/activated_at")? + Span::days(31);
    let step = "The scheduled clean-up, 31 days later 定时清理";
    let report = walk
        .invoke(step, "cooldown-cleanup", json!({}), Some(later))
        .await?;
    walk.see(&report.to_string());
    let phone = walk.merchant.phone.clone();
    walk.read_notification(&phone).await?;

    let path = format!("/v1/rebinds/{rebind}");
    let reply = walk.get("The rebind is completed 换卡完成", &path).await?;
    walk.equal(&reply, "/state", "completed")?;
    walk.see(&format!(
        "{} is the settlement card 结算卡",
        card(&reply["new_card"])
    ));
    Ok(())
}
