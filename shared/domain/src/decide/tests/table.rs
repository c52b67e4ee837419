//! The table of states × commands as one text, which a reader can compare with the contract.

use super::fixture::*;
use super::states::{accounts, states};
use super::{contact, print, proposals};
use crate::contact::PreviousPhoneRule;
use crate::decide::{BankAnswer, BankReply, Command, otp_of};
use crate::error_code::ErrorCode;
use crate::format::DocumentExpiry;
use crate::ids::CardId;
use crate::merchant::Merchant;
use crate::rebind::OtpPurpose::{Activate, Card, Identity};
use crate::rebind::{Attempts, Mac, OtpPurpose, RebindState};
use crate::transfer::TransferAnswer;
use crate::transition::Transition;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A command of the table: its request, and the case that distinguishes it from others of that request.
pub(super) struct Row {
    request: &'static str,
    case: &'static str,
    pub(super) act: Command,
}

fn row(request: &'static str, case: &'static str, act: Command) -> Row {
    Row { request, case, act }
}

/// The commands about a rebind, in all variants that can make a difference.
pub(super) fn rows(world: &World) -> Vec<Row> {
    let mut rows = vec![
        row("create", "", create()),
        row("cancel", "", Command::Cancel),
        row("freeze from device", "", Command::FreezeFromDevice),
        row("identity", "right", document(true)),
        row("identity", "wrong", document(false)),
        row(
            "identity",
            "malformed",
            typed_document(Err(ErrorCode::IdChecksum), DocumentExpiry::parse("never")),
        ),
        row("agreement", "read", Command::ReadAgreement),
        row("agreement", "sign", sign(world.now.plus_s(-10))),
        row("agreement", "sign too soon", sign(world.now.plus_s(-9))),
    ];
    rows.extend(code_rows(world, Identity));
    rows.push(row("card-check", "", card_check()));
    rows.extend(bank_rows());
    rows.extend(code_rows(world, Card));
    rows.extend(transfer_rows("deposit", Command::SettleDeposit));
    rows.push(row("test-transaction", "", Command::StartTestTransfer));
    rows.extend(transfer_rows("test transfer", Command::SettleTestTransfer));
    let rebind = world.merchant.rebind.as_ref();
    let number = rebind.map_or(1, |rebind| rebind.rebind_id.number());
    let card_id = rebind.map_or_else(
        || CardId::new(1, &[3; 16]),
        |rebind| rebind.new_card.card_id.clone(),
    );
    rows.extend(code_rows(world, Activate));
    rows.push(row("unbind", "", Command::Unbind(card_id.clone())));
    rows.extend([
        row("freeze", "", world.freeze_command(number)),
        row("clean-up", "expire", Command::Expire),
        row("clean-up", "complete", Command::Complete),
        row("clean-up", "end cooldown", Command::EndCooldown),
        row("notified", "", notified()),
        row("clean-up", "remove card", Command::RemoveCard(card_id)),
    ]);
    rows
}

fn transfer_rows(request: &'static str, act: fn(Option<TransferAnswer>) -> Command) -> Vec<Row> {
    vec![
        row(request, "arrived", act(Some(TransferAnswer::Succeeded))),
        row(request, "pending", act(Some(TransferAnswer::Pending))),
        row(request, "returned", act(Some(TransferAnswer::Returned))),
        row(request, "no answer", act(None)),
    ]
}

fn code_rows(world: &World, purpose: OtpPurpose) -> Vec<Row> {
    let current = world
        .merchant
        .rebind
        .as_ref()
        .and_then(|rebind| otp_of(&rebind.stage, purpose))
        .map_or(Mac("none".to_owned()), |(code, _)| code.mac.clone());
    let rebind = world.merchant.rebind.as_ref();
    let in_flight = rebind
        .and_then(|rebind| attempts(&rebind.stage, purpose))
        .is_none_or(|attempts| attempts.reserved > attempts.wrong);
    let older = Mac("older".to_owned());
    let names = match purpose {
        Identity => [
            "identity/code",
            "identity SMS failed",
            "identity/confirm",
            "identity/compared",
        ],
        Activate => [
            "activate",
            "activate SMS failed",
            "activate/confirm",
            "activate/compared",
        ],
        Card => [
            "card-check/code",
            "card-check SMS failed",
            "card-check/confirm",
            "card-check/compared",
        ],
    };
    let asks = match (purpose, rebind) {
        (Activate, Some(rebind)) => {
            Command::StartActivation(rebind.new_card.card_id.clone(), code("switch-2"))
        }
        (Activate, None) => Command::StartActivation(CardId::new(1, &[3; 16]), code("switch-2")),
        _ => resend(purpose),
    };
    let malformed = Command::ReserveAttempt {
        purpose,
        well_formed: false,
        deposit_polled: true,
    };
    let mut rows = vec![
        row(names[0], "", asks),
        row(
            names[1],
            "this code",
            Command::OtpNotSent(purpose, current.clone()),
        ),
        row(
            names[1],
            "older code",
            Command::OtpNotSent(purpose, older.clone()),
        ),
        row(names[2], "", reserve(purpose)),
        row(names[2], "malformed", malformed),
    ];
    if !in_flight {
        return rows;
    }
    rows.extend([
        row(names[3], "right", settle(purpose, current.clone(), true)),
        row(names[3], "right, older code", settle(purpose, older, true)),
        row(names[3], "wrong", settle(purpose, current.clone(), false)),
    ]);
    if purpose == Card {
        let bound_elsewhere = Command::SettleAttempt {
            purpose,
            compared: Some(current),
            right: true,
            bound_elsewhere: true,
        };
        rows.push(row(names[3], "right, another's card", bound_elsewhere));
    }
    rows
}

/// `None` for a state without such attempts, where a result can only be late.
fn attempts(stage: &RebindState, purpose: OtpPurpose) -> Option<&Attempts> {
    match (stage, purpose) {
        (RebindState::IdentityPending { attempts, .. }, Identity) => Some(attempts),
        (
            RebindState::CardPending {
                identity_attempts, ..
            },
            Identity,
        ) => Some(identity_attempts),
        (RebindState::CardPending { card_attempts, .. }, Card) => Some(card_attempts),
        (RebindState::Standby(standby), Activate) => Some(&standby.attempts),
        _ => None,
    }
}

fn bank_rows() -> Vec<Row> {
    use BankAnswer as Answer;
    const ALL: [Answer; 14] = [
        Answer::DEBIT_MATCH,
        Answer::Mismatch,
        Answer::NotEnabled,
        Answer::IssuerUnsupported,
        Answer::Blocked,
        Answer::Invalid,
        Answer::Dormant,
        Answer::Expired,
        Answer::Restricted,
        Answer::ClassTwo,
        Answer::Malformed,
        Answer::Busy,
        Answer::Quota,
        Answer::DepositReturned,
    ];
    let answers = ALL.map(|answer| row("bank answer", answer.as_str(), bank(Some(answer))));
    let reply = BankReply {
        number: 1,
        answer: Some(Answer::DEBIT_MATCH),
    };
    let mut rows = Vec::from(answers);
    rows.extend([
        row(
            "bank answer",
            "deposited",
            bank(Some(Answer::Deposited { arrived: false })),
        ),
        row(
            "bank answer",
            "deposited and arrived",
            bank(Some(Answer::Deposited { arrived: true })),
        ),
        row("bank answer", "nothing", bank(None)),
        row(
            "bank answer",
            "match, of another serial",
            bank_to(9, Some(Answer::DEBIT_MATCH)),
        ),
        row(
            "bank answer",
            "match, phone may get no code",
            Command::SettleCardCheck(reply, None),
        ),
    ]);
    rows
}

/// Commands with the same effect, in the order of the first one.
struct Group {
    effect: String,
    rows: Vec<(&'static str, &'static str)>,
}

fn unfreeze(card_id: Option<CardId>) -> Command {
    let reason = "asked".to_owned();
    Command::Unfreeze { reason, card_id }
}

fn end_sessions() -> Command {
    Command::EndSessions {
        reason: "asked".to_owned(),
    }
}

fn close() -> Command {
    Command::Close {
        by: "registry".to_owned(),
        reason: "asked".to_owned(),
    }
}

fn unmask() -> Command {
    Command::Unmask {
        reason: "asked".to_owned(),
    }
}

fn erase() -> Command {
    Command::Erase {
        reason: "asked".to_owned(),
        retention_s: 0,
    }
}

fn clear_logins() -> Command {
    Command::ClearLogins {
        reason: "asked".to_owned(),
        logins: Box::default(),
    }
}

/// The commands about cards, payouts and settings, independent of the latest rebind.
fn account_rows(world: &World) -> Vec<Row> {
    let mut rows = vec![row(
        "payout",
        "",
        Command::CreatePayout(payout_id("new"), 100),
    )];
    for payout in world.payouts() {
        // The names of the table live as long as the test.
        let name = &*payout.payout_id.as_str()[4..].to_owned().leak();
        rows.extend([
            row("payout sending", name, begin_payment(payout.clone())),
            row("payout sent", name, Command::PayoutSent(payout.clone())),
            row(
                "payout returned",
                name,
                Command::PayoutReturned(payout.clone()),
            ),
            row("assign payout", name, Command::AssignPayout(payout.clone())),
        ]);
    }
    let cards = ["first card", "card of #1", "card of #2"];
    for (name, number) in cards.into_iter().zip(0..) {
        let card_id = world.card(number);
        let switch = Command::StartActivation(card_id.clone(), code("switch"));
        rows.extend([
            row("activate", name, switch),
            row("unbind", name, Command::Unbind(card_id.clone())),
            row("remove card", name, Command::RemoveCard(card_id)),
        ]);
    }
    rows.extend([
        row("freeze", "#1", world.freeze_command(1)),
        row("freeze", "#2", world.freeze_command(2)),
        row("freeze guesses", "", Command::NotifyFreezeGuesses),
        row(
            "freeze by operator",
            "",
            Command::FreezeByOperator {
                reason: "asked".to_owned(),
            },
        ),
        row("unfreeze", "", unfreeze(None)),
        row("end sessions", "", end_sessions()),
        row("close", "", close()),
        row("clear logins", "", clear_logins()),
        row("unmask", "", unmask()),
        row("erase", "", erase()),
        row(
            "propose unfreeze",
            "",
            proposals::propose(world, unfreeze(None)),
        ),
        row(
            "approve unfreeze",
            "",
            proposals::approve(world, unfreeze(None)),
        ),
        row("withdraw proposal", "", proposals::withdraw(world)),
        row("login", "new device", add_device(2, "new")),
        row("end other sessions", "", Command::EndOtherSessions),
        row("unfreeze", "first card", unfreeze(Some(world.card(0)))),
        row("unfreeze", "card of #1", unfreeze(Some(world.card(1)))),
        row(
            "contact",
            "phone",
            contact::phone(contact::NEW_PHONE, PreviousPhoneRule::Keep),
        ),
        row("contact", "password", contact::password()),
        row("tier", "lower", contact::tier(1_000_000, false)),
        row(
            "tier",
            "higher, by an operator",
            contact::tier(6_000_000, false),
        ),
        row(
            "tier",
            "higher, by the registry",
            contact::tier(6_000_000, true),
        ),
        row(
            "renew document",
            "",
            contact::renewal("person", "long_term"),
        ),
    ]);
    let state = &world.merchant.state;
    let is_first = state.rebinds == 0;
    let has_devices = !state.push_targets.is_empty();
    if !(is_first || has_devices || state.frozen.is_some() || state.security_changed_at.is_some()) {
        return rows;
    }
    rows.extend([
        row("settlement", "good", settlement("T0", 3_000_000)),
        row("clean-up", "apply settings", Command::ApplySettlement),
        row("settlement", "above the tier", settlement("T1", 5_000_001)),
        row("push target", "new", push("new", "token")),
        row("push target", "known", push("phone-1", "token")),
        row(
            "push target",
            "known, other token",
            push("phone-1", "other"),
        ),
        row(
            "no push target",
            "",
            Command::RemovePushTarget("phone-1".to_owned()),
        ),
    ]);
    rows
}

/// Loads the card's rebind for a command about a card.
fn at_hand(world: &World, act: &Command) -> World {
    let world = world.clone();
    match act {
        Command::StartActivation(card_id, _)
        | Command::Unbind(card_id)
        | Command::RemoveCard(card_id) => {
            let of_rebind = world.about(card_id.number());
            if of_rebind.merchant.rebind.is_some() {
                of_rebind
            } else {
                of_rebind.latest()
            }
        }
        Command::Freeze(seq) => {
            let mut codes = world.merchant.state.freeze_codes.iter();
            let code = codes.find(|code| code.seq == *seq);
            match code.and_then(|code| code.rebind) {
                Some(number) => world.about(number),
                None => world.latest(),
            }
        }
        _ => world.latest(),
    }
}

fn block(world: &World, mut rows: Vec<Row>, of_account: bool) -> String {
    let rebind = world.merchant.rebind.as_ref();
    if rebind.is_some_and(|rebind| rebind.rebind_id.number() != world.merchant.state.rebinds) {
        // A rebind is created with the latest one loaded, never with an older one.
        rows.retain(|row| row.request != "create");
    }
    let mut groups: Vec<Group> = Vec::new();
    for Row { request, case, act } in &rows {
        let world = if of_account {
            at_hand(world, act)
        } else {
            world.clone()
        };
        let effect = match world.decide(act.clone()) {
            Ok(transition) => written(&world, &transition),
            Err(refused) => format!("refused {}", print::refusal(&refused)),
        };
        match groups.iter_mut().find(|group| group.effect == effect) {
            Some(group) => group.rows.push((request, case)),
            None => groups.push(Group {
                effect,
                rows: vec![(request, case)],
            }),
        }
    }
    let mut text = String::new();
    for group in groups {
        writeln!(text, "  {}", names(&group.rows, &rows)).unwrap();
        writeln!(text, "      {}", group.effect).unwrap();
    }
    text
}

fn written(world: &World, transition: &Transition) -> String {
    let outcome = print::outcome(&transition.outcome);
    if transition.state.is_none() && transition.rebind.is_none() {
        return format!("{outcome}, nothing changes");
    }
    let shown = |merchant: &Merchant| {
        let rebind = merchant.rebind.as_ref();
        rebind.map_or("-", |rebind| merchant.state_of(rebind, world.now).as_str())
    };
    let state = shown(&transition.applied_to(&world.merchant));
    let moved = if state == shown(&world.merchant) {
        String::new()
    } else {
        format!(" -> {state}")
    };
    let writes = print::writes(transition, &world.merchant, world.now);
    format!("{outcome}{moved}\n      {writes}")
}

/// The names of a group's commands. A request with all its cases is printed without them.
fn names(group: &[(&'static str, &'static str)], all: &[Row]) -> String {
    let mut names: Vec<String> = Vec::new();
    for (request, case) in group {
        let cases = |of: &str| group.iter().filter(|(request, _)| *request == of).count();
        let whole = all.iter().filter(|row| row.request == *request).count() == cases(request);
        let name = match (whole, *case) {
            (true, _) | (_, "") => (*request).to_owned(),
            (false, case) => format!("{request} ({case})"),
        };
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names.join(", ")
}

#[test]
fn state_command_table_is_unchanged() {
    let mut table = String::from(
        "For each state: commands with the same effect, then that effect (outcome, new state, writes).\n\
         \"proceed\" is the first write of a two-step command; \"compared\" is the second, while an attempt is in flight. A command\n\
         without a case in brackets stands for all its cases. Times are relative to the command's time.\n",
    );
    for (name, world) in states() {
        let next = match &world.merchant.rebind {
            None => String::new(),
            Some(_) => {
                let next = world.next_actions();
                let next: Vec<_> = next.iter().map(|next| next.as_str()).collect();
                format!(" | shown as {}, next [{}]", world.shown(), next.join(", "))
            }
        };
        write!(
            table,
            "\n{name}{next}\n{}",
            block(&world, rows(&world), false)
        )
        .unwrap();
    }
    insta::assert_snapshot!(table);
}

/// A pattern for each [`Command`], so that a new one does not compile until it is listed, and the names of all.
macro_rules! names {
    ($($command:ident)+) => {
        const COMMANDS: &[&str] = &[$(stringify!($command)),+];

        const fn name(command: &Command) -> &'static str {
            match command {
                $(Command::$command { .. } => stringify!($command),)+
            }
        }
    };
}
names! {
    Create Cancel CheckDocument ResendIdentityOtp ReserveAttempt SettleAttempt ReadAgreement SignAgreement StartCardCheck
    SettleCardCheck ResendCardOtp OtpNotSent SettleDeposit StartTestTransfer SettleTestTransfer StartActivation Unbind
    ChangeSettlement PutPushTarget RemovePushTarget Freeze NotifyFreezeGuesses FreezeByOperator Unfreeze
    ChangeContact RenewDocument ChangeTier CreatePayout PayoutSending PayoutSent PayoutReturned AssignPayout RemoveCard ConfirmNotified Expire Complete EndCooldown AddDevice
    ApplySettlement FreezeFromDevice EndOtherSessions EndSessions Close Unmask Erase ClearLogins Propose Approve Withdraw
}

#[test]
fn every_command_has_a_row() {
    let of_states = states().into_iter().flat_map(|(_, world)| rows(&world));
    let of_accounts = accounts().into_iter();
    let of_accounts = of_accounts.flat_map(|(_, world)| account_rows(&world));
    let found: BTreeSet<_> = of_states
        .chain(of_accounts)
        .map(|row| name(&row.act))
        .collect();
    assert_eq!(found, COMMANDS.iter().copied().collect());
}

#[test]
fn account_command_table_is_unchanged() {
    let mut table = String::from(
        "Commands about an account's cards, payouts and settings, as in the table of states and commands. Payouts are named\n\
         after the time of their creation. Settlement and push targets are shown where they differ from the first\n\
         account.\n",
    );
    for (name, world) in accounts() {
        let rows = account_rows(&world);
        write!(table, "\n{name}\n{}", block(&world, rows, true)).unwrap();
    }
    insta::assert_snapshot!(table);
}
