//! The initial worlds: the result of running the real functions on a real table.

use crate::calls::text;
use crate::invariants::looking;
use crate::requests::BankSays;
use crate::rows::Rows;
use crate::state::{Left, Proofs, State, Table, code_for};
use crate::world::Known;
use application::ports::{LoadMerchant, QueryCheck, QueryOutcome, Selector};
use domain::decide::{BankAnswer, deposit_of, otp_of};
use domain::policy::Policy;
use domain::rebind::{CardCheck, OtpPurpose, RebindState};
use domain::time::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, SECOND_CARD, merchant, wrong_otp};
use tests::scripted_peers::MemoryKeys;

/// The progress of a merchant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stands {
    /// Logged in.
    Idle,
    /// The document matched, and an OTP was sent.
    IdentityCode,
    /// Four attempts of the OTP have failed.
    FourWrong,
    /// Ready to sign.
    Agreement,
    /// Signed; the card check is next.
    CardPending,
    /// The bank check matched, and an OTP was sent.
    CardCode,
    /// The same with another OTP, one minute before the identity proof expires.
    CardCodeAgain,
    /// The same for a standby card.
    StandbyCode,
    /// A deposit was sent.
    Deposit,
    /// Activated, within the hold.
    Hold,
    /// Within the cooldown.
    Cooled,
    /// A standby card is ready, and the OTP for the switch was sent.
    SwitchCode,
}

/// A world of one or two merchants with the same progress.
pub fn begin(
    stands: Stands,
    names: &[&str],
    devices: usize,
    left: Left,
) -> (State, Vec<Known>, MemoryKeys) {
    // The futures of the kit and the SDK need more stack than a test thread has.
    let thread = std::thread::Builder::new().stack_size(16 << 20);
    std::thread::scope(|scope| {
        let begin = || begin_here(stands, names, devices, left);
        thread.spawn_scoped(scope, begin).unwrap().join().unwrap()
    })
}

fn begin_here(
    stands: Stands,
    names: &[&str],
    devices: usize,
    left: Left,
) -> (State, Vec<Known>, MemoryKeys) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = InProcess::start().await;
        // A fixed day, independent of the current date.
        world
            .clock
            .set(Timestamp::parse_rfc3339("2026-11-20T10:00:00+08:00").unwrap());
        let mut walked = Vec::new();
        for name in names {
            let active = world.stored(name).await.state.active;
            let first_card = active.map(|one| one.card.card_id.to_string());
            let tokens = walk(&world, stands, name, devices).await;
            let codes = codes(&world, name).await;
            walked.push(Walked {
                name: (*name).to_owned(),
                first_card,
                tokens,
                codes,
            });
        }
        let (state, known) = read(&world, walked, left).await;
        (state, known, world.key_service())
    })
}

/// A merchant at the beginning.
struct Walked {
    name: String,
    /// The active card at the start of the history.
    first_card: Option<String>,
    /// The tokens of all logins.
    tokens: Vec<String>,
    codes: Vec<(OtpPurpose, String)>,
}

/// The OTPs that a rebind waits for, as phones and statements show them.
async fn codes(world: &Arc<InProcess>, name: &str) -> Vec<(OtpPurpose, String)> {
    let Some(rebind) = world.stored(name).await.rebind else {
        return Vec::new();
    };
    let profile = merchant(name);
    let mut codes = Vec::new();
    for (purpose, phone) in [
        (OtpPurpose::Identity, &profile.phone),
        (OtpPurpose::Card, &profile.reserved_phone),
        (OtpPurpose::Activate, &profile.phone),
    ] {
        if otp_of(&rebind.stage, purpose).is_some() {
            codes.push((purpose, world.sms.code(phone)));
        }
    }
    if deposit_of(&rebind.stage).is_some() {
        codes.push((OtpPurpose::Card, world.bank.deposit_code()));
    }
    codes
}

/// Walks a merchant to the initial state. Returns the tokens of all logins on the way.
async fn walk(world: &Arc<InProcess>, stands: Stands, name: &str, devices: usize) -> Vec<String> {
    let mut app = world.log_in(name).await;
    let mut tokens = vec![app.token.clone()];
    match stands {
        Stands::Idle => {}
        Stands::IdentityCode | Stands::FourWrong => {
            let rebind = app.request(GOOD_CARD).await;
            let sent = app
                .post(&format!("{rebind}/identity"), app.document())
                .await;
            assert_eq!(sent.status, 200);
            if stands == Stands::FourWrong {
                for _ in 0..4 {
                    wrong(
                        &app,
                        &format!("{rebind}/identity/confirm"),
                        &app.profile.phone,
                    )
                    .await;
                }
            }
        }
        Stands::Agreement => {
            let rebind = app.request(GOOD_CARD).await;
            app.identify(&rebind).await;
        }
        Stands::CardPending => {
            app.to_card_pending(GOOD_CARD).await;
        }
        Stands::CardCode | Stands::CardCodeAgain => {
            let rebind = app.to_card_pending(GOOD_CARD).await;
            let asked = app.check_card(&rebind).await;
            assert_eq!(asked.status, 200);
            // The other merchant's OTP to the same phone is sent a minute later.
            world.pass_s(61);
            if stands == Stands::CardCodeAgain {
                world.pass_s(12 * 60);
                app.resend_card_code(&rebind).await.ok(200);
            }
        }
        Stands::StandbyCode => {
            let facts = json!({"activate": false});
            let rebind = app.request_with(GOOD_CARD, facts).await;
            app.identify(&rebind).await;
            app.sign(&rebind).await;
            let check = format!("{rebind}/card-check");
            let asked = app.post(&check, ()).await;
            assert_eq!(asked.status, 200);
        }
        Stands::Deposit => {
            app.deposit(GOOD_CARD).await;
        }
        Stands::Hold | Stands::Cooled => {
            app.activate(GOOD_CARD).await;
            world.deliver_due().await;
            if stands == Stands::Cooled {
                world.pass_s(25 * 3600);
                world.clean_up().await;
                world.pass_s(30 * 86_400);
                world.clean_up().await;
                world.deliver_due().await;
            }
            app = app.again().await;
            tokens.push(app.token.clone());
        }
        Stands::SwitchCode => {
            let card = app.standby(SECOND_CARD).await;
            world.deliver_due().await;
            world.pass_s(25 * 3600);
            app = app.again().await;
            tokens.push(app.token.clone());
            app.switch_code(&card).await;
        }
    }
    for device in 1..devices {
        let another = app.on(&format!("device-{}", device + 1)).await;
        tokens.push(another.token);
    }
    tokens
}

async fn wrong(app: &App, path: &str, phone: &str) {
    let right = app.system.sms.code(phone);
    let reply = app.post(path, json!({"code": wrong_otp(&right)})).await;
    assert_eq!(reply.code(), "OTP_WRONG");
}

async fn read(world: &Arc<InProcess>, walked: Vec<Walked>, left: Left) -> (State, Vec<Known>) {
    let now = world.now();
    let pks: BTreeSet<String> = walked
        .iter()
        .map(|one| format!("M#mer_{}", one.name))
        .collect();
    let items = world.items().await.into_iter().filter(|item| {
        let (pk, sk) = (text(item, "pk"), text(item, "sk"));
        let account = format!("M#{}", text(item, "merchant_id"));
        // Of logins and earlier requests, only the accounts and phones matter from here on. Other merchants' cards do not
        // occur.
        let holders = item.get("holders").and_then(|value| value.as_ss().ok());
        let is_ours = |holder: &String| pks.iter().any(|pk| holder.starts_with(&pk[2..]));
        pks.contains(pk)
            || (sk == "A" && pks.contains(&account))
            || (pk.starts_with("F#") && holders.is_none_or(|all| all.iter().any(is_ours)))
            || pk.starts_with("P#")
    });
    let rows = Table(Rows::of(items));
    let mut state = State {
        now,
        before: rows.clone(),
        rows,
        processes: Vec::new(),
        requests: Vec::new(),
        stream: Vec::new(),
        codes: BTreeMap::new(),
        bank: BTreeMap::new(),
        notified: BTreeMap::new(),
        proofs: BTreeMap::new(),
        compared: BTreeMap::new(),
        effects: Vec::new(),
        left,
        crashed: false,
        broken: BTreeSet::new(),
    };
    for reference in world.bank.serials() {
        let known = match world.bank.check_outcome(&reference).await {
            QueryOutcome::Answer(BankAnswer::Match(_)) => BankSays::Match,
            QueryOutcome::Answer(BankAnswer::NotEnabled) => BankSays::Deposit,
            other => unreachable!("{other:?}"),
        };
        state.bank.insert(reference, known);
    }
    for transfer in world.bank.transfers() {
        state.bank.insert(transfer.serial, BankSays::Deposit);
    }
    let mut known = Vec::new();
    for (who, walked) in (0..).zip(walked) {
        let profile = merchant(&walked.name);
        let id = profile.merchant_id();
        let read = looking(&state.rows.0).load(&id, Selector::Latest).await;
        let read = read.unwrap().unwrap();
        let is_valid = |slot: u8| {
            let session = read.state.sessions[usize::from(slot)].as_ref();
            session.is_some_and(|one| one.is_valid_at(&Policy::CURRENT, now))
        };
        let slots = walked.tokens.into_iter().map(|token| {
            let slot = token.split('.').nth(1).unwrap();
            (slot.parse().unwrap(), token)
        });
        if let Some(rebind) = &read.rebind {
            let number = rebind.rebind_id.number();
            state.proofs.insert((who, number), proofs(&rebind.stage));
            for (purpose, code) in walked.codes {
                let of = (who, number, code_for(purpose));
                if let Some((_, attempts)) = otp_of(&rebind.stage, purpose) {
                    state.compared.insert(of, (attempts.wrong, BTreeSet::new()));
                }
                state.codes.insert(of, vec![code]);
            }
        }
        let pk = profile.pk();
        let unsent = state.rows.0.of_kind(&pk, "E#");
        let unsent = unsent.filter(|row| text(&row.item, "notice") == "due");
        let unsent: Vec<u64> = unsent.map(|row| row.event().seq).collect();
        state
            .stream
            .extend(unsent.into_iter().map(|seq| (who, seq, 0)));
        known.push(Known {
            id,
            pk,
            profile,
            card: walked.first_card,
            tokens: slots.filter(|(slot, _)| is_valid(*slot)).collect(),
        });
    }
    (state, known)
}

/// The proofs that the real functions accepted on the way.
fn proofs(stage: &RebindState) -> Proofs {
    match stage {
        RebindState::AgreementPending { identity, .. } => Proofs {
            identity_at: Some(identity.confirmed_at),
            ..Proofs::default()
        },
        RebindState::CardPending {
            identity, check, ..
        } => Proofs {
            identity_at: Some(identity.confirmed_at),
            signed: true,
            bank_at: match check {
                CardCheck::Matched { matched_at, .. } => Some(*matched_at),
                _ => None,
            },
            deposit: matches!(check, CardCheck::Deposit { .. }),
            ..Proofs::default()
        },
        RebindState::Standby(_) => Proofs {
            signed: true,
            card_otp: true,
            ..Proofs::default()
        },
        _ => Proofs::default(),
    }
}
