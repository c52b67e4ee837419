//! Every distinguishable state, for the tables. Each one is reached by commands.

use super::fixture::*;
use crate::decide::{BankAnswer, Command};
use crate::rebind::OtpPurpose;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::transfer::TransferAnswer;

pub(super) fn states() -> Vec<(&'static str, World)> {
    let mut states = vec![("no rebind yet", World::new())];
    states.extend(identity_pending());
    states.extend([
        (
            "agreement_pending, text shown 10 s ago",
            World::new().agreement_pending().later(10),
        ),
        (
            "card_pending, bank not called",
            World::new().card_pending().later(60),
        ),
    ]);
    states.extend(asking());
    states.extend(matched());
    states.extend(deposit());
    states.extend(standby());
    states.extend(over());
    states.extend(beside());
    states
}

fn identity_pending() -> Vec<(&'static str, World)> {
    let sent = || World::new().identity_sent();
    vec![
        (
            "identity_pending, nothing sent",
            World::new().created().later(60),
        ),
        (
            "identity_pending, four wrong documents",
            wrong_documents(World::new().created(), 4),
        ),
        ("identity_pending, code valid", sent().later(60)),
        (
            "identity_pending, code being compared",
            sent().then(reserve(Identity)).later(1),
        ),
        (
            "identity_pending, code has expired",
            sent().later(POLICY.code_life_s),
        ),
        (
            "identity_pending, code could not be sent",
            sent().not_sent(Identity),
        ),
        (
            "identity_pending, code of another session",
            sent()
                .by(1)
                .later(60)
                .then(resend(Identity))
                .by(0)
                .later(60),
        ),
        (
            "identity_pending, four wrong codes, the fifth being compared",
            four_wrong_one_reserved(sent(), Identity),
        ),
        (
            "identity_pending, all attempts reserved just now",
            all_reserved(sent(), Identity).later(9),
        ),
        (
            "identity_pending, all attempts reserved 10 s ago",
            all_reserved(sent(), Identity).later(10),
        ),
    ]
}

fn asking() -> Vec<(&'static str, World)> {
    let bound_elsewhere = Command::StartCardCheck {
        bound_elsewhere: true,
        code: code("card-1"),
    };
    vec![
        ("card_pending, bank call pending", World::new().asking()),
        (
            "card_pending, bank's answer was lost",
            lost_answer(World::new().asking()).later(60),
        ),
        (
            "card_pending, bank call pending about another person's card",
            World::new().card_pending().then(bound_elsewhere),
        ),
        (
            "card_pending, the day's three calls for the card used up",
            checks_used_up(),
        ),
    ]
}

fn matched() -> Vec<(&'static str, World)> {
    let matched = || World::new().matched();
    let renewed = |at_s: i64| {
        matched()
            .at(at_s)
            .then(resend(Identity))
            .confirmed(Identity)
    };
    vec![
        ("card_pending, matched, code valid", matched().later(60)),
        (
            "card_pending, matched, code being compared",
            matched().then(reserve(Card)).later(1),
        ),
        (
            "card_pending, matched, code could not be sent",
            matched().not_sent(Card),
        ),
        (
            "card_pending, matched, code has expired",
            matched().later(POLICY.code_life_s),
        ),
        (
            "card_pending, matched, code of another session",
            matched().later(60).by(1).then(resend(Card)).by(0).later(60),
        ),
        (
            "card_pending, matched, four wrong codes, the fifth being compared",
            four_wrong_one_reserved(matched(), Card),
        ),
        (
            "card_pending, matched, all attempts reserved just now",
            all_reserved(matched(), Card).later(9),
        ),
        (
            "card_pending, matched, all attempts reserved 10 s ago",
            all_reserved(matched(), Card).later(10),
        ),
        (
            "card_pending, matched, identity a second too old",
            matched()
                .at(14 * MINUTE_S)
                .then(resend(Card))
                .at(POLICY.identity_proof_s + 1),
        ),
        (
            "card_pending, matched, identity too old, code to refresh it valid",
            matched().at(16 * MINUTE_S).then(resend(Identity)).later(60),
        ),
        (
            "card_pending, matched, all identity attempts reserved 10 s ago",
            all_reserved(matched().at(16 * MINUTE_S).then(resend(Identity)), Identity).later(10),
        ),
        (
            "card_pending, matched, bank's answer a second too old",
            renewed(20 * MINUTE_S)
                .at(29 * MINUTE_S)
                .then(resend(Card))
                .at(POLICY.bank_proof_s + 1),
        ),
    ]
}

fn deposit() -> Vec<(&'static str, World)> {
    let arrived = || World::new().deposit_arrived_for(create());
    let mut two_wrong = arrived();
    for _ in 0..2 {
        two_wrong.confirm_deposit(false);
    }
    let mut expired = arrived().later(POLICY.deposit_life_s);
    expired.done(Command::Expire);
    let mut returned = World::new().deposit_sent_for(create()).later(60);
    returned.refused_with_write(Command::SettleDeposit(Some(TransferAnswer::Returned)));
    vec![
        (
            "card_pending, deposit not arrived",
            World::new().deposit_sent_for(create()).later(60),
        ),
        ("card_pending, deposit arrived", arrived().later(60)),
        (
            "card_pending, deposit arrived, two wrong codes, the third being compared",
            two_wrong.then(reserve(Card)),
        ),
        (
            "card_pending, deposit arrived, identity a second too old",
            arrived().later(POLICY.identity_proof_s + 1),
        ),
        (
            "overdue: deposit sent 7 days ago",
            arrived().later(POLICY.deposit_life_s),
        ),
        ("expired, deposit", expired.later(60).login()),
        ("rejected, deposit returned", returned.later(60)),
    ]
}

fn standby() -> Vec<(&'static str, World)> {
    let ready = || World::new().standby("b").later(DAY_S).login();
    let code_sent = || ready().switch_code_for(1);
    let mut locked = code_sent();
    for _ in 0..5 {
        locked.wrong(Activate);
    }
    vec![
        (
            "standby, a second too early",
            World::new().standby("b").later(DAY_S - 1).login(),
        ),
        ("standby, ready", ready()),
        ("standby, switch code valid", code_sent().later(60)),
        (
            "standby, four wrong switch codes, the fifth being compared",
            four_wrong_one_reserved(code_sent(), Activate),
        ),
        ("standby, locked for a day", locked.later(60)),
        (
            "standby, proven 90 days and a second ago",
            World::new().standby("b").later(90 * DAY_S + 1).login(),
        ),
        (
            "standby, unbound",
            ready().then(Command::Unbind(ready().card(1))).later(60),
        ),
        (
            "activated, standby card switched to just now",
            code_sent().confirmed(Activate),
        ),
    ]
}

fn over() -> Vec<(&'static str, World)> {
    let activated = || World::new().activated();
    let mut rejected = World::new().asking();
    rejected.refused_with_write(bank(Some(BankAnswer::Mismatch)));
    vec![
        ("activated, in hold", activated().later(60)),
        (
            "activated, hold over",
            activated().later(POLICY.hold_s).login(),
        ),
        (
            "completed, in cooldown",
            activated()
                .later(POLICY.hold_s)
                .then(Command::Complete)
                .login(),
        ),
        (
            "completed, cooldown over, end not announced",
            activated()
                .later(POLICY.hold_s)
                .then(Command::Complete)
                .later(30 * DAY_S)
                .login(),
        ),
        ("rejected", rejected.later(60)),
        (
            "cancelled",
            World::new().card_pending().then(Command::Cancel).later(60),
        ),
        (
            "expired",
            World::new()
                .matched()
                .at(POLICY.rebind_life_s)
                .then(Command::Expire)
                .later(60)
                .login(),
        ),
        (
            "activated, test transfer sent",
            activated().test_sent().later(60),
        ),
        (
            "activated, test transfer arrived",
            activated()
                .test_sent()
                .test_says(TransferAnswer::Succeeded)
                .later(60),
        ),
        (
            "completed, test transfer sent, a second before it is too late",
            activated()
                .test_sent()
                .later(8 * DAY_S - 1)
                .then(Command::Complete)
                .login(),
        ),
        (
            "completed, test transfer sent, too late",
            activated()
                .test_sent()
                .later(8 * DAY_S)
                .then(Command::Complete)
                .login(),
        ),
        (
            "reverted",
            activated()
                .test_sent()
                .test_says(TransferAnswer::Returned)
                .later(60),
        ),
        ("frozen, account frozen", activated().freeze(1).later(60)),
        (
            "frozen, account unfrozen",
            activated().freeze(1).later(60).unfreeze(),
        ),
        (
            "frozen account: completed, frozen after the hold",
            activated()
                .later(POLICY.hold_s)
                .then(Command::Complete)
                .freeze(1)
                .later(60),
        ),
        (
            "frozen account: standby card of the code",
            World::new().standby("b").freeze(1).later(60),
        ),
    ]
}

/// States that differ in more than the rebind.
fn beside() -> Vec<(&'static str, World)> {
    let mut ice = World::new().matched().later(60);
    ice.merchant.state.frozen = frozen(ice.now);
    vec![
        (
            "overdue: card_pending 24 h after its creation",
            World::new().matched().at(POLICY.rebind_life_s).login(),
        ),
        (
            "replaced: overdue, then another created, then the clock went back",
            {
                let first = World::new().identity_sent();
                let overdue = first.merchant.rebind.clone();
                let mut world = first.at(POLICY.rebind_life_s).login().created().at(60);
                world.merchant.rebind = overdue;
                world
            },
        ),
        ("frozen merchant: card_pending, matched, code valid", ice),
    ]
}

/// Accounts, for the commands about cards, payouts and settings.
pub(super) fn accounts() -> Vec<(&'static str, World)> {
    let paid = || World::new().pay("before");
    let in_hold = || paid().activated().pay("in_hold");
    let effective = || {
        in_hold()
            .later(DAY_S)
            .then(Command::Complete)
            .pay("after")
            .login()
    };
    let lost = || paid().bound_by(create_lost("b")).pay("in_hold");
    let reverted = || {
        lost()
            .test_sent()
            .test_says(TransferAnswer::Returned)
            .later(60)
    };
    let mut quiet = World::new().standby("b").later(DAY_S).login();
    quiet.merchant.state.security_changed_at = Some(quiet.now.plus_s(-60));
    vec![
        (
            "one card; a payout unsent, one being paid, one sent, one returned",
            paid()
                .pay("sending")
                .system_with("sending", begin_payment)
                .pay("sent")
                .sent("sent")
                .pay("returned")
                .system_with("returned", Command::PayoutReturned),
        ),
        (
            "settings pending",
            World::new().then(settlement("D1", 2_000_000)).later(60),
        ),
        (
            "settings due",
            World::new()
                .then(settlement("D1", 2_000_000))
                .later(DAY_S)
                .login(),
        ),
        ("in hold", in_hold().later(60)),
        ("effective", effective().later(60)),
        (
            "a second before the old card's week is over, its payouts sent",
            effective()
                .sent("before")
                .sent("in_hold")
                .at(8 * DAY_S - 1)
                .login(),
        ),
        (
            "the old card's week is over, its payouts sent",
            effective()
                .sent("before")
                .sent("in_hold")
                .at(8 * DAY_S)
                .login(),
        ),
        (
            "the old card's week is over, one payout unsent",
            effective().sent("before").at(8 * DAY_S).login(),
        ),
        ("in hold, old card lost", lost().later(60)),
        (
            "old card lost, effective",
            lost().later(3 * DAY_S).then(Command::Complete).login(),
        ),
        ("old card lost, reverted: no card", reverted()),
        ("frozen in hold, old card lost", lost().freeze(1).later(60)),
        (
            "frozen after the hold",
            effective().freeze(1).pay("frozen").later(60),
        ),
        (
            "frozen after the hold, unfrozen",
            effective().freeze(1).pay("frozen").later(60).unfreeze(),
        ),
        (
            "a standby card that is ready",
            paid().standby("b").later(DAY_S).login(),
        ),
        ("a standby card that is ready, quiet period", quiet),
        (
            "a standby card and no other",
            reverted().standby("c").later(DAY_S).login(),
        ),
        (
            "a standby card, frozen with its code",
            paid().standby("b").freeze(1).later(60),
        ),
        (
            "a standby card that is ready, and an open rebind",
            World::new()
                .standby("b")
                .later(DAY_S)
                .matched_for(create_for("c"))
                .later(60),
        ),
        (
            "a standby card, and another in hold",
            paid()
                .standby("b")
                .bound_by(create_for("c"))
                .pay("in_hold")
                .later(60),
        ),
        (
            "two standby cards, five push devices",
            (1..=5).fold(
                World::new().standby("b").standby("c").later(DAY_S).login(),
                |world, n| world.then(push(&format!("phone-{n}"), "token")),
            ),
        ),
    ]
}

pub(super) fn wrong_documents(mut world: World, count: usize) -> World {
    for _ in 0..count {
        world.refused_with_write(document(false));
    }
    world
}

fn four_wrong_one_reserved(mut world: World, purpose: OtpPurpose) -> World {
    for _ in 0..4 {
        world.wrong(purpose);
    }
    world.then(reserve(purpose))
}

/// Every attempt is reserved and none is settled, because the requests are in flight or have failed.
pub(super) fn all_reserved(mut world: World, purpose: OtpPurpose) -> World {
    while world.attempts(purpose).0 < POLICY.code_attempts {
        world.done(reserve(purpose));
    }
    world
}

pub(super) fn lost_answer(mut world: World) -> World {
    world.refused_with_write(bank(None));
    world
}

/// Three rebinds for the same card were matched and cancelled; the fourth is about to call the bank.
fn checks_used_up() -> World {
    let mut world = World::new();
    for _ in 0..3 {
        world = world.login().matched().then(Command::Cancel).later(60);
    }
    world.login().card_pending()
}
