//! Every state that can be told apart, for the table; each is reached by commands, but for those that a later step of the
//! system brings about (freeze, revert).

use super::fixture::*;
use crate::domain::decide::{Act, BankAnswer};
use crate::domain::rebind::CodePurpose::{Card, Identity};
use crate::domain::rebind::{CodePurpose, End, Stage};

pub(super) fn states() -> Vec<(&'static str, World)> {
    let mut states = vec![("no rebind yet", World::new())];
    states.extend(identity_pending());
    states.extend([
        (
            "agreement_pending, text shown 10 s ago",
            World::new().agreement_pending().later(10),
        ),
        (
            "card_pending, bank not asked",
            World::new().card_pending().later(60),
        ),
    ]);
    states.extend(asking());
    states.extend(matched());
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
        ("identity_pending, code lives", sent().later(60)),
        (
            "identity_pending, code being compared",
            sent().then(take(Identity)).later(1),
        ),
        (
            "identity_pending, code has expired",
            sent().later(POLICY.code_life_s),
        ),
        (
            "identity_pending, code could not be sent",
            sent().unsent(Identity),
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
            four_wrong_one_taken(sent(), Identity),
        ),
        (
            "identity_pending, all tries taken just now",
            all_taken(sent(), Identity).later(9),
        ),
        (
            "identity_pending, all tries taken 10 s ago",
            all_taken(sent(), Identity).later(10),
        ),
    ]
}

fn asking() -> Vec<(&'static str, World)> {
    let bound_elsewhere = Act::StartCardCheck {
        bound_elsewhere: true,
        code: code("card-1"),
    };
    vec![
        ("card_pending, bank being asked", World::new().asking()),
        (
            "card_pending, bank's answer was lost",
            lost_answer(World::new().asking()).later(60),
        ),
        (
            "card_pending, bank being asked about another person's card",
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
        ("card_pending, matched, code lives", matched().later(60)),
        (
            "card_pending, matched, code being compared",
            matched().then(take(Card)).later(1),
        ),
        (
            "card_pending, matched, code could not be sent",
            matched().unsent(Card),
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
            four_wrong_one_taken(matched(), Card),
        ),
        (
            "card_pending, matched, all tries taken just now",
            all_taken(matched(), Card).later(9),
        ),
        (
            "card_pending, matched, all tries taken 10 s ago",
            all_taken(matched(), Card).later(10),
        ),
        (
            "card_pending, matched, identity a second too old",
            matched()
                .at(14 * MINUTE_S)
                .then(resend(Card))
                .at(POLICY.identity_proof_s + 1),
        ),
        (
            "card_pending, matched, identity too old, code to refresh it lives",
            matched().at(16 * MINUTE_S).then(resend(Identity)).later(60),
        ),
        (
            "card_pending, matched, all identity tries taken 10 s ago",
            all_taken(matched().at(16 * MINUTE_S).then(resend(Identity)), Identity).later(10),
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

fn over() -> Vec<(&'static str, World)> {
    let activated = || World::new().activated();
    let ended = |how| {
        let mut world = activated();
        let reason = Some(crate::domain::code::Code::TestTxnFailed);
        world.state.rebind.as_mut().unwrap().stage = Stage::Ended {
            how,
            at: world.now,
            reason: reason.filter(|_| how == End::Reverted),
        };
        world.later(60)
    };
    let mut rejected = World::new().asking();
    rejected.refused_in_writing(bank(Some(BankAnswer::Mismatch)));
    vec![
        ("activated, in hold", activated().later(60)),
        (
            "activated, hold over",
            activated().later(POLICY.hold_s).login(),
        ),
        (
            "completed, in cooldown",
            activated().later(POLICY.hold_s).then(Act::Complete).login(),
        ),
        (
            "completed, cooldown over and not yet told",
            activated()
                .later(POLICY.hold_s)
                .then(Act::Complete)
                .later(30 * DAY_S)
                .login(),
        ),
        ("rejected", rejected.later(60)),
        (
            "cancelled",
            World::new().card_pending().then(Act::Cancel).later(60),
        ),
        (
            "expired",
            World::new()
                .matched()
                .at(POLICY.rebind_life_s)
                .then(Act::Expire)
                .later(60)
                .login(),
        ),
        ("frozen", ended(End::Frozen)),
        ("reverted", ended(End::Reverted)),
    ]
}

/// What cuts across the states.
fn beside() -> Vec<(&'static str, World)> {
    let mut frozen = World::new().matched().later(60);
    frozen.state.head.frozen_at = Some(frozen.now);
    vec![
        (
            "overdue: card_pending 24 h after it was asked for",
            World::new().matched().at(POLICY.rebind_life_s).login(),
        ),
        (
            "replaced: overdue, then another was asked for, then the clock went back",
            {
                let first = World::new().identity_sent();
                let overdue = first.state.rebind.clone();
                let mut world = first.at(POLICY.rebind_life_s).login().created().at(60);
                world.state.rebind = overdue;
                world
            },
        ),
        ("frozen merchant: card_pending, matched, code lives", frozen),
    ]
}

pub(super) fn wrong_documents(mut world: World, count: usize) -> World {
    for _ in 0..count {
        world.refused_in_writing(document(false));
    }
    world
}

fn four_wrong_one_taken(mut world: World, purpose: CodePurpose) -> World {
    for _ in 0..4 {
        world.wrong(purpose);
    }
    world.then(take(purpose))
}

/// Every try is taken and none was decided: the requests are on their way, or died.
pub(super) fn all_taken(mut world: World, purpose: CodePurpose) -> World {
    while world.tries(purpose).0 < POLICY.code_tries {
        world.done(take(purpose));
    }
    world
}

pub(super) fn lost_answer(mut world: World) -> World {
    world.refused_in_writing(bank(None));
    world
}

/// Three rebinds for the same card were matched and given up; the fourth is about to ask.
fn checks_used_up() -> World {
    let mut world = World::new();
    for _ in 0..3 {
        world = world.login().matched().then(Act::Cancel).later(60);
    }
    world.login().card_pending()
}
