//! The bank cannot check the card, so the card receives ¥0.01 with a code that only its holder can read. Then the payouts: each
//! goes to the card chosen at its creation.

use serde_json::{Value, json};
use time::{Duration as Span, OffsetDateTime};

use super::steps::typed;
use super::walk::{Cast, Walk, card, last4};
use crate::error::Error;
use crate::system::System;

/// The bank answers `not_enabled` for this card.
const CAST: Cast = Cast {
    merchant_id: "mer_plain_2",
    new_card: "6225800009002485",
    reserved_phone: "+8613700000002",
};
const CODE_CHARS: usize = 6;
const DURING_THE_HOLD: &str = "pay_demo_during_the_hold";
const AFTER_THE_HOLD: &str = "pay_demo_after_the_hold";

pub(super) async fn walk(system: &System) -> Result<u32, Error> {
    let title = "A micro-deposit verifies the card 小额打款验证";
    let mut walk = Walk::start(system, title, CAST)?;
    walk.log_in("Log in 登录").await?;
    let body = walk.new_rebind();
    let rebind = walk.request("Request the change 申请换卡", body).await?;
    walk.prove_identity(&rebind).await?;
    walk.sign_the_agreement(&rebind).await?;
    receive_the_deposit(&mut walk, &rebind).await?;
    let code = read_the_statement(&mut walk).await?;
    come_back_the_next_day(&mut walk, &rebind).await?;
    let activated = type_the_code(&mut walk, &rebind, &code).await?;
    walk.read_the_notification("The notification of the change 变更通知")
        .await?;
    test_the_card(&mut walk, &rebind).await?;
    see_the_payouts(&mut walk, &activated).await?;
    walk.end().await
}

async fn receive_the_deposit(walk: &mut Walk<'_>, rebind: &str) -> Result<(), Error> {
    let path = format!("/v1/rebinds/{rebind}/card-check");
    let step = "The bank cannot check the card 银行不支持核验";
    let reply = walk.post(step, &path, None, 200).await?;
    walk.equal(&reply, "/state", "card_pending")?;
    walk.equal(&reply, "/challenge/purpose", "card")?;
    walk.equal(&reply, "/challenge/method", "micro_deposit")?;
    walk.equal(&reply, "/challenge/attempts_left", 3)?;
    walk.see(&format!(
        "¥0.01 sent to 已打款至 {}; its code expires at 有效期至 {}",
        walk.text(&reply, "/challenge/sent_to")?,
        walk.text(&reply, "/challenge/expires_at")?
    ));
    walk.see_next(&reply)
}

/// Reads the code at the end of the deposit's descriptor.
async fn read_the_statement(walk: &mut Walk<'_>) -> Result<String, Error> {
    let step = "The card's bank statement 银行流水";
    let transfers = walk.statement(step, CAST.new_card).await?;
    walk.expect(transfers.len() == 1, "one deposit reached the card")?;
    let deposit = &transfers[0];
    walk.equal(deposit, "/amount_fen", 1)?;
    walk.equal(deposit, "/status", "succeeded")?;
    let descriptor = walk.text(deposit, "/descriptor")?;
    walk.see(&format!("+¥0.01 {descriptor}"));
    let code = descriptor.rsplit(' ').next().unwrap_or_default();
    walk.expect(
        code.len() == CODE_CHARS && code.bytes().all(|b| b.is_ascii_alphanumeric()),
        "the descriptor ends with a code of six characters",
    )?;
    Ok(code.to_owned())
}

/// The code of the deposit is valid for days, the proof of identity is not.
async fn come_back_the_next_day(walk: &mut Walk<'_>, rebind: &str) -> Result<(), Error> {
    walk.wait(
        Span::days(1),
        "by a day, until the merchant reads the statement",
    );
    walk.log_in("Log in, the next day 次日登录").await?;
    let path = format!("/v1/rebinds/{rebind}");
    let reply = walk
        .get("The rebind is still open 申请仍有效", &path)
        .await?;
    walk.equal(&reply, "/state", "card_pending")?;
    walk.equal(&reply, "/challenge/method", "micro_deposit")?;
    walk.equal(&reply, "/next_actions/0", "identity_code")?;
    walk.see_next(&reply)?;
    let path = format!("{path}/identity/code");
    let step = "Another code to the phone on file 重新验证身份";
    let reply = walk.post(step, &path, None, 200).await?;
    walk.confirm_identity(rebind, &reply, "card_pending").await
}

async fn type_the_code(walk: &mut Walk<'_>, rebind: &str, code: &str) -> Result<Value, Error> {
    let path = format!("/v1/rebinds/{rebind}/card-check/confirm");
    let step = "Mistype the deposit's code 输错校验码";
    let wrong = if code == "ABCDEF" { "FEDCBA" } else { "ABCDEF" };
    let problem = walk
        .post(step, &path, json!({ "code": wrong }), 422)
        .await?;
    walk.is_refused(&problem, "MICRO_DEPOSIT_WRONG")?;
    walk.equal(&problem, "/attempts_left", 2)?;
    walk.equal(&problem, "/counts_toward_limit", true)?;

    let right = typed(code);
    let step = format!("The right code, typed `{right}` 输入校验码");
    let reply = walk
        .post(&step, &path, json!({ "code": right }), 200)
        .await?;
    walk.is_activated(&reply, Span::hours(72))?;
    Ok(reply)
}

/// Repeated requests make one transfer.
async fn test_the_card(walk: &mut Walk<'_>, rebind: &str) -> Result<(), Error> {
    let path = format!("/v1/rebinds/{rebind}/test-transaction");
    for step in [
        "Test the new card with ¥0.01 测试转账",
        "Request the test again 再次查询",
    ] {
        let reply = walk.post(step, &path, None, 200).await?;
        walk.equal(&reply, "/status", "succeeded")?;
        walk.equal(&reply, "/amount_fen", 1)?;
        walk.equal(&reply, "/rebind/state", "activated")?;
        walk.see(&format!(
            "succeeded 已到账 {}",
            walk.text(&reply, "/rebind/test_succeeded_at")?
        ));
    }
    let step = "The card's statement again 银行流水";
    let transfers = walk.statement(step, CAST.new_card).await?;
    walk.expect(
        transfers.len() == 2,
        "the deposit and one test reached the card",
    )?;
    for transfer in &transfers {
        walk.see(&format!("+¥0.01 {}", walk.text(transfer, "/descriptor")?));
    }
    Ok(())
}

async fn see_the_payouts(walk: &mut Walk<'_>, activated: &Value) -> Result<(), Error> {
    let (old, new) = (
        walk.merchant.old_card_last4.clone(),
        last4(CAST.new_card).to_owned(),
    );
    let effective_at = walk.time(activated, "/effective_at")?;
    let step = "The acquirer creates a payout during the hold 生效前打款";
    create_payout(walk, step, DURING_THE_HOLD, None, &old).await?;
    let step = "The acquirer creates a payout at the end of the hold 生效时打款";
    create_payout(walk, step, AFTER_THE_HOLD, Some(effective_at), &new).await?;

    walk.wait_until(effective_at, "until after the hold");
    walk.log_in("Log in, after the hold 生效后登录").await?;
    let list = walk.get("Unsent payouts 待结算", "/v1/payouts").await?;
    let payouts = walk.items(&list, "/items")?;
    for payout in payouts {
        walk.see(&format!(
            "{} ¥{:.2} to 结算到 {}, expected 预计 {}",
            walk.text(payout, "/payout_id")?,
            payout["amount_fen"].as_f64().unwrap_or_default() / 100.0,
            card(&payout["card"]),
            walk.text(payout, "/expected_at")?
        ));
        walk.equal(payout, "/held", false)?;
    }
    let shown = payouts.iter().map(|payout| {
        let field = |pointer| payout.pointer(pointer).and_then(Value::as_str);
        (field("/payout_id"), field("/card/last4"))
    });
    // Newest first. The sandbox's own payouts are older than the change.
    let wanted = [
        (AFTER_THE_HOLD, &new),
        (DURING_THE_HOLD, &old),
        ("pay_sandbox_2", &old),
        ("pay_sandbox_1", &old),
    ];
    let wanted = wanted.map(|(id, last4)| (Some(id), Some(last4.as_str())));
    walk.expect(
        shown.eq(wanted),
        &format!("each payout keeps the card chosen at its creation; the reply is {list}"),
    )
}

async fn create_payout(
    walk: &mut Walk<'_>,
    step: &str,
    payout_id: &str,
    at: Option<OffsetDateTime>,
    last4: &str,
) -> Result<(), Error> {
    let event = json!({
        "operation": "create_payout",
        "merchant_id": CAST.merchant_id,
        "payout_id": payout_id,
        "amount_fen": 8_800,
    });
    let payout = walk.invoke(step, "payouts", event, at).await?;
    walk.equal(&payout, "/status", "unsent")?;
    walk.equal(&payout, "/held", false)?;
    walk.equal(&payout, "/card/last4", last4)?;
    walk.see(&format!("{payout_id} goes to {}", card(&payout["card"])));
    Ok(())
}
