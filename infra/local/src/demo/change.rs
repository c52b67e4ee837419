//! Changes of card by merchants that exist for nothing else, to see that a system works: from the import to the notifications.

use time::Duration as Span;

use super::imported::{self, Imported};
use super::walk::{Cast, Walk, last4};
use crate::error::Error;
use crate::system::System;

/// The card of the import, and the new one.
type Cards = (&'static str, Cast);

const CARDS: [Cards; 7] = [
    cards(
        "6222020000009600016",
        "mer_drill_0",
        "6222020000009610015",
        "+8613700000960",
    ),
    cards(
        "6222020000009600024",
        "mer_drill_1",
        "6222020000009610023",
        "+8613700000961",
    ),
    cards(
        "6222020000009600032",
        "mer_drill_2",
        "6222020000009610031",
        "+8613700000962",
    ),
    cards(
        "6222020000009600040",
        "mer_drill_3",
        "6222020000009610049",
        "+8613700000963",
    ),
    cards(
        "6222020000009600057",
        "mer_drill_4",
        "6222020000009610056",
        "+8613700000964",
    ),
    cards(
        "6222020000009600065",
        "mer_drill_5",
        "6222020000009610064",
        "+8613700000965",
    ),
    cards(
        "6222020000009600073",
        "mer_drill_6",
        "6222020000009610072",
        "+8613700000966",
    ),
];

const fn cards(
    old_card: &'static str,
    merchant_id: &'static str,
    new_card: &'static str,
    reserved_phone: &'static str,
) -> Cards {
    let cast = Cast {
        merchant_id,
        new_card,
        reserved_phone,
    };
    (old_card, cast)
}

/// A change of card that took place.
pub(crate) struct Changed {
    /// The merchant.
    pub(crate) merchant_id: String,
    /// The rebind.
    pub(crate) rebind_id: String,
    /// When it began, in Unix milliseconds.
    pub(crate) began_ms: i64,
}

/// Imports the merchant with this number, from 0 to 6, and has it change its card.
pub(crate) async fn change_card(system: &System, number: usize) -> Result<Changed, Error> {
    let merchant = imported(number);
    let (_, cast) = CARDS[number];
    let text = imported::file(std::slice::from_ref(&merchant))?;
    let title = "A merchant of a drill changes the card 演练商户换卡";
    let mut walk = Walk::start_as(system, title, cast, merchant.owner()?)?;
    imported::import(&mut walk, system, "Import the merchant 导入商户", &text).await?;
    walk.log_in("Log in 登录").await?;
    walk.read_the_device_notification("The notification of the login 新设备登录通知")
        .await?;
    let body = walk.new_rebind();
    let rebind_id = walk.request("Request the change 申请换卡", body).await?;
    walk.prove_identity(&rebind_id).await?;
    walk.sign_the_agreement(&rebind_id).await?;
    let activated = walk.prove_the_card(&rebind_id).await?;
    walk.is_activated(&activated, Span::hours(72))?;
    walk.read_the_notification("The notification of the change 变更通知")
        .await?;
    Ok(Changed {
        merchant_id: merchant.merchant_id,
        rebind_id,
        began_ms: walk.began_ms(),
    })
}

/// Logs the merchant with this number in, who has the new card.
pub(crate) async fn knows_change(system: &System, number: usize) -> Result<(), Error> {
    let (_, cast) = CARDS[number];
    let title = "A merchant of a drill sees the new card 演练商户查看结算卡";
    let mut walk = Walk::start_as(system, title, cast, imported(number).owner()?)?;
    walk.log_in("Log in again 再次登录").await?;
    let cards = walk.get("Settlement cards 结算卡", "/v1/cards").await?;
    walk.equal(&cards, "/active/last4", last4(cast.new_card))
}

fn imported(number: usize) -> Imported {
    let (card, cast) = CARDS[number];
    Imported {
        merchant_id: cast.merchant_id.to_owned(),
        account: format!("drill-{number}@example.com"),
        phone: format!("+861390000960{number}"),
        card,
    }
}
