//! A standby card: verified and announced like any card, kept for later, and active at once when the merchant switches to it.

use serde_json::{Value, json};
use time::Duration as Span;

use super::walk::{Cast, Walk, card, last4};
use crate::error::Error;
use crate::system::System;

const CAST: Cast = Cast {
    merchant_id: "mer_plain_4",
    new_card: "6228480000009001744",
    reserved_phone: "+8613700000004",
};

/// Ids of the two cards.
struct Cards {
    old: String,
    new: String,
}

pub(super) async fn walk(system: &System) -> Result<u32, Error> {
    let title = "A standby card 备用结算卡";
    let mut walk = Walk::start(system, title, CAST)?;
    walk.log_in("Log in 登录").await?;
    let mut body = walk.new_rebind();
    body["activate"] = false.into();
    let rebind = walk
        .request("Request a standby card 申请备用卡", body)
        .await?;
    walk.prove_identity(&rebind).await?;
    walk.sign_the_agreement(&rebind).await?;
    let ready = walk.prove_the_card(&rebind).await?;
    is_on_standby(&walk, &ready)?;
    walk.read_the_notification("The notification of the standby card 备用卡通知")
        .await?;
    let cards = see_both_cards(&mut walk).await?;
    activate_too_early(&mut walk, &cards).await?;

    let usable_at = walk.time(&ready, "/new_card/usable_at")?;
    walk.wait_until(usable_at, "by a day, until the card can be used");
    walk.log_in("Log in a day later 次日登录").await?;
    let step = "Unbind the card in use 解绑当前卡";
    be_refused_to_unbind(&mut walk, step, &cards.old, "LAST_CARD_CANNOT_UNBIND").await?;
    let activated = activate(&mut walk, &rebind, &cards).await?;
    see_the_new_card(&mut walk, &rebind).await?;
    let step = "Unbind the old card at once 立即解绑原卡";
    let problem = be_refused_to_unbind(&mut walk, step, &cards.old, "PAYOUT_IN_FLIGHT").await?;
    retry_within(&walk, &problem, Span::days(7))?;

    let free_at = walk.time(&activated, "/effective_at")? + Span::days(7);
    walk.wait_until(free_at, "by a week");
    walk.log_in("Log in a week later 一周后登录").await?;
    unbind_the_old_card(&mut walk, &rebind, &cards).await?;
    walk.end().await
}

/// The rebind is completed, but the card cannot be used for a day: as long as the hold of a new card.
fn is_on_standby(walk: &Walk<'_>, ready: &Value) -> Result<(), Error> {
    walk.equal(ready, "/state", "completed")?;
    walk.equal(ready, "/purpose", "standby")?;
    walk.equal(ready, "/new_card/status", "standby")?;
    let wait = walk.time(ready, "/new_card/usable_at")? - walk.time(ready, "/new_card/bound_at")?;
    walk.expect(wait == Span::hours(24), "the card is usable after 24 hours")?;
    walk.see(&format!(
        "standby 备用: {}; usable from 可启用 {}",
        card(&ready["new_card"]),
        walk.text(ready, "/new_card/usable_at")?
    ));
    Ok(())
}

async fn see_both_cards(walk: &mut Walk<'_>) -> Result<Cards, Error> {
    let cards = walk.get("Settlement cards 结算卡", "/v1/cards").await?;
    let old = walk.merchant.old_card_last4.clone();
    walk.equal(&cards, "/active/last4", old)?;
    walk.equal(&cards, "/standby/0/last4", last4(CAST.new_card))?;
    walk.equal(&cards, "/hold", Value::Null)?;
    walk.equal(&cards, "/can_rebind", true)?;
    walk.see(&format!("active 当前: {}", card(&cards["active"])));
    walk.see(&format!("standby 备用: {}", card(&cards["standby"][0])));
    Ok(Cards {
        old: walk.text(&cards, "/active/card_id")?,
        new: walk.text(&cards, "/standby/0/card_id")?,
    })
}

async fn activate_too_early(walk: &mut Walk<'_>, cards: &Cards) -> Result<(), Error> {
    let path = format!("/v1/cards/{}/activate", cards.new);
    let step = "Activate it too early 过早启用";
    let problem = walk.post(step, &path, None, 409).await?;
    walk.is_refused(&problem, "STANDBY_NOT_READY")?;
    retry_within(walk, &problem, Span::days(1))
}

/// `retry_after_s` is at most `limit`, and at least `limit` less the time this story took.
fn retry_within(walk: &Walk<'_>, problem: &Value, limit: Span) -> Result<(), Error> {
    let wait_s = problem["retry_after_s"].as_i64();
    let limit_s = limit.whole_seconds();
    walk.expect(
        wait_s.is_some_and(|wait_s| (limit_s - 3_600..=limit_s).contains(&wait_s)),
        &format!("retry_after_s is {limit_s} or a little less; the reply is {problem}"),
    )
}

async fn activate(walk: &mut Walk<'_>, rebind: &str, cards: &Cards) -> Result<Value, Error> {
    let path = format!("/v1/cards/{}/activate", cards.new);
    let step = "Activate the standby card 启用备用卡";
    let reply = walk.post(step, &path, json!({}), 200).await?;
    walk.equal(&reply, "/rebind_id", rebind)?;
    walk.equal(&reply, "/new_card/status", "standby")?;
    walk.equal(&reply, "/challenge/purpose", "activate")?;
    walk.equal(&reply, "/challenge/method", "sms_code")?;
    let phone = walk.merchant.phone.clone();
    let code = walk.read_code(&reply, &phone).await?;
    let step = "Code from the phone on file 原手机验证码";
    let reply = walk.post(step, &path, json!({ "code": code }), 200).await?;
    walk.equal(&reply, "/rebind_id", rebind)?;
    walk.is_activated(&reply, Span::ZERO)?;
    walk.equal(&reply, "/old_card/card_id", cards.old.clone())?;
    walk.equal(&reply, "/old_card/status", "retiring")?;
    walk.read_the_notification("The notification of the change 变更通知")
        .await?;
    Ok(reply)
}

/// Payouts go to the new card without a hold, and the cooldown has begun.
async fn see_the_new_card(walk: &mut Walk<'_>, rebind: &str) -> Result<(), Error> {
    let step = "Settlement cards, without a hold 结算卡";
    let cards = walk.get(step, "/v1/cards").await?;
    walk.equal(&cards, "/active/last4", last4(CAST.new_card))?;
    walk.equal(&cards, "/standby", json!([]))?;
    walk.equal(&cards, "/hold", Value::Null)?;
    walk.equal(&cards, "/can_rebind", false)?;
    walk.equal(&cards, "/blocked_by", "REBIND_COOLDOWN")?;
    walk.see(&format!("active 当前: {}", card(&cards["active"])));
    walk.see(&format!(
        "no further change before 冷静期至 {}",
        walk.text(&cards, "/cooldown_until")?
    ));
    let path = format!("/v1/rebinds/{rebind}");
    let reply = walk
        .get("The old card is retiring 原卡退役中", &path)
        .await?;
    walk.equal(&reply, "/old_card/status", "retiring")?;
    walk.see(&format!("old 原卡: {}", card(&reply["old_card"])));
    Ok(())
}

async fn be_refused_to_unbind(
    walk: &mut Walk<'_>,
    step: &str,
    card_id: &str,
    code: &str,
) -> Result<Value, Error> {
    let path = format!("/v1/cards/{card_id}/unbind");
    let problem = walk.post(step, &path, None, 409).await?;
    walk.is_refused(&problem, code)?;
    Ok(problem)
}

async fn unbind_the_old_card(
    walk: &mut Walk<'_>,
    rebind: &str,
    cards: &Cards,
) -> Result<(), Error> {
    let step = "Unbind the card in use 解绑当前卡";
    be_refused_to_unbind(walk, step, &cards.new, "LAST_CARD_CANNOT_UNBIND").await?;
    let path = format!("/v1/cards/{}/unbind", cards.old);
    walk.post("Unbind the old card 解绑原卡", &path, None, 204)
        .await?;
    let path = format!("/v1/rebinds/{rebind}");
    let reply = walk
        .get("The old card is removed 原卡已移除", &path)
        .await?;
    walk.equal(&reply, "/state", "completed")?;
    walk.equal(&reply, "/old_card/status", "removed")?;
    walk.see(&format!("old 原卡: {}", card(&reply["old_card"])));
    walk.see(&format!("new 新卡: {}", card(&reply["new_card"])));
    Ok(())
}
