//! Where worlds begin: what the real functions have left in a real table.

use crate::requests::Typed;
use crate::rows::Rows;
use crate::state::{Left, Proofs, State, Table, code_for};
use crate::world::Known;
use application::ports::Wanted;
use domain::decide::{deposit_of, otp_of};
use domain::ids::MerchantId;
use domain::rebind::{CardCheck, OtpPurpose, RebindState};
use domain::time::Timestamp;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::read::load_with;
use tests::in_process::{App, InProcess};
use tests::merchant::{GOOD_CARD, SECOND_CARD};

/// How far a merchant is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stands {
    /// Logged in.
    Idle,
    /// The document matched, a code is out.
    IdentityCode,
    /// Four of the code's tries were wrong.
    FourWrong,
    /// To sign.
    Agreement,
    /// Signed; the bank is to be asked.
    CardPending,
    /// The bank has matched, a code is out.
    CardCode,
    /// The same of a card for later.
    StandbyCode,
    /// A deposit is out.
    Deposit,
    /// The hold runs.
    Hold,
    /// So is the cooldown.
    Cooled,
    /// A standby card has waited, and the code for the switch is out.
    SwitchCode,
}

/// One world of one or two merchants, both as far.
pub fn begin(stands: Stands, names: &[&str], devices: usize, left: Left) -> (State, Vec<Known>) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let world = InProcess::start().await;
        // Always the same day, whatever day it is.
        world
            .clock
            .set(Timestamp::parse_rfc3339("2026-11-20T10:00:00+08:00").unwrap());
        let mut first_cards = Vec::new();
        for name in names {
            let active = world.stored(name).await.head.active;
            first_cards.push(active.map(|one| one.card.card_id.to_string()));
            walk(&world, stands, name, devices).await;
        }
        read(&world, names, &first_cards, devices, left).await
    })
}

async fn walk(world: &Arc<InProcess>, stands: Stands, name: &str, devices: usize) {
    let mut app = world.log_in(name).await;
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
        Stands::CardCode => {
            let rebind = app.to_card_pending(GOOD_CARD).await;
            let asked = app.check_card(&rebind).await;
            assert_eq!(asked.status, 200);
            // Another merchant's code to the same phone is a minute later.
            world.pass_s(61);
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
        }
        Stands::SwitchCode => {
            let card = app.standby(SECOND_CARD).await;
            world.deliver_due().await;
            world.pass_s(25 * 3600);
            app = app.again().await;
            app.switch_code(&card).await;
        }
    }
    for device in 1..devices {
        app.on(&format!("device-{}", device + 1)).await;
    }
}

async fn wrong(app: &App, path: &str, phone: &str) {
    let right = app.system.sms.code(phone);
    let wrong = if right == "000000" {
        "000001"
    } else {
        "000000"
    };
    let told = app.post(path, json!({"code": wrong})).await;
    assert_eq!(told.code(), "OTP_WRONG");
}

async fn read(
    world: &Arc<InProcess>,
    names: &[&str],
    first_cards: &[Option<String>],
    devices: usize,
    left: Left,
) -> (State, Vec<Known>) {
    let now = world.now();
    let ours: BTreeSet<String> = names.iter().map(|name| format!("M#mer_{name}")).collect();
    let items = world.items().await.into_iter().filter(|item| {
        let pk = item["pk"].as_s().unwrap();
        // What counts codes to phones and keeps replies is another hash here; the model begins without.
        ours.contains(pk) || pk.starts_with("F#")
    });
    let rows = Rows::of(items);
    let mut state = State {
        now,
        before: Table(rows.clone()),
        rows: Table(rows),
        processes: Vec::new(),
        requests: Vec::new(),
        stream: Vec::new(),
        codes: BTreeMap::new(),
        told: BTreeMap::new(),
        proofs: BTreeMap::new(),
        compared: BTreeMap::new(),
        effects: Vec::new(),
        left,
        crashed: false,
        broken: BTreeSet::new(),
    };
    let mut known = Vec::new();
    for ((who, name), first_card) in (0..).zip(names).zip(first_cards) {
        let id = MerchantId::parse(&format!("mer_{name}")).unwrap();
        let read = load_with(&state.rows.0, &id, Wanted::Latest)
            .await
            .unwrap()
            .unwrap();
        let sessions = (0..5).zip(&read.head.sessions);
        let lives = sessions.filter(|(_, session)| {
            let session = session.as_ref();
            session.is_some_and(|one| one.lives(&domain::policy::Policy::CURRENT, now))
        });
        let slots: Vec<u8> = lives.map(|(slot, _)| slot).collect();
        assert!(slots.len() >= devices, "{slots:?}");
        if let Some(rebind) = &read.rebind {
            let number = rebind.rebind_id.number();
            state.proofs.insert((who, number), proofs(&rebind.stage));
            for purpose in [OtpPurpose::Identity, OtpPurpose::Card, OtpPurpose::Activate] {
                if let Some((code, tries)) = otp_of(&rebind.stage, purpose) {
                    let of = (who, number, code_for(purpose));
                    state.codes.insert(of, vec![Typed::Sms(code.mac.0.clone())]);
                    state.compared.insert(of, (tries.wrong, BTreeSet::new()));
                }
            }
            if deposit_of(&rebind.stage).is_some() {
                let of = (who, number, code_for(OtpPurpose::Card));
                state.codes.insert(of, vec![Typed::Deposit]);
            }
        }
        let pk = format!("M#{id}");
        let unsent = state.rows.0.of_kind(&pk, "E#");
        let unsent = unsent.filter(|row| {
            let notice = row.item.get("notice").and_then(|value| value.as_s().ok());
            notice.is_some_and(|notice| notice == "due")
        });
        let unsent: Vec<u64> = unsent.map(|row| row.event().seq).collect();
        state
            .stream
            .extend(unsent.into_iter().map(|seq| (who, seq, 0)));
        known.push(Known {
            id,
            pk,
            card: first_card.clone(),
            slots,
        });
    }
    (state, known)
}

/// What the real functions have taken in proof on the way.
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
