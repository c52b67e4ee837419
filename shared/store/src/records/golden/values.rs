//! The values of the golden records, written out. Each is compared with its file in both directions.

use super::{Record, changed, created, record};
use crate::item::{Item, Update, opt_s};
use crate::keys::{
    PROFILE, STATE, card_sk, key, merchant_pk, payout_key, push_target_sk, rebind_sk, salt_key,
};
use crate::payout::entry_key;
use crate::records::{
    account, card, card_holders, claim, freeze_counter, idempotency, item_of, login_failures,
    logins, merchant_state, otp_counter, payout, profile, push_target, rebind, salt, session,
};
use crate::shards::DueShards;
use application::ports::{
    IdempotencyKey, IdempotencyLookup, KeptPushTarget, OwnedPayout, StoredReply,
};
use domain::card::{Card, CardType};
use domain::device::{DeviceTag, KnownDevice, Logins, SessionDevice, SlotUse};
use domain::device_counts::{DayCounts, DeviceCounts, OlderDevice};
use domain::error_code::ErrorCode;
use domain::format::DocumentExpiry;
use domain::ids::{CardId, MerchantId, PayoutId, RebindId};
use domain::login::{Account, Failures};
use domain::merchant::{
    BankCall, BoundCard, EntityType, FreezeCode, Frozen, LastActivation, MerchantState,
    PreviousPhone, Profile, PushTarget, Replaced, ReplacedCard, Session, StandbyCard,
};
use domain::payout::{Payout, PayoutState, Releases};
use domain::pii::{DocumentType, PersonName, Phone};
use domain::policy::{DAY_S, HOUR_S, Policy};
use domain::push::PushPlatform;
use domain::rebind::{
    ActivatedCard, Activation, Attempts, CardCheck, End, IdentityProof, Mac, OtpPurpose, Purpose,
    Reason, Rebind, RebindState, Sealed, SentOtp, SessionTag, Signature, Standby, TestTransfer,
};
use domain::secret::Secret;
use domain::settlement::{Cycle, PayoutTime, PendingSettlement, Settlement};
use domain::time::Timestamp;
use domain::transition::NewPushTarget;
use domain::window::Window;

/// The holder's names.
pub(super) const NAME: &str = "阿依古丽·测试";
pub(super) const SETTLEMENT_NAME: &str = "测试商户一";

/// The numbers that a golden record depends on, as they were when it was written.
pub(super) const POLICY: Policy = Policy {
    notification_retry_s: 600,
    code_gap_s: 60,
    revert_after_effective_s: 7 * DAY_S,
    push_after_removal_s: 7 * DAY_S,
    bank_retry_s: 300,
    transfer_recheck_s: DAY_S,
    ..Policy::CURRENT
};

/// Seconds after 2026-11-22T10:00:00+08:00.
fn t(after_s: i64) -> Timestamp {
    Timestamp::from_epoch_s(1_795_312_800 + after_s)
}

fn window(after_s: &[i64]) -> Window {
    after_s.iter().map(|after_s| t(*after_s)).collect()
}

fn mac(text: &str) -> Mac {
    Mac(format!("{text:->43}"))
}

fn merchant() -> MerchantId {
    MerchantId::parse("mer_golden_1").unwrap()
}

fn rebind_id() -> RebindId {
    RebindId::parse("rbd_00001f2b3c4d5f6g7h8j9k").unwrap()
}

fn card_of(id: &str, last4: &str) -> Card {
    Card {
        card_id: CardId::parse(id).unwrap(),
        bank_code: Some("ICBC".to_owned()),
        card_type: CardType::Debit,
        last4: last4.to_owned(),
        bound_at: t(-90 * DAY_S),
    }
}

fn old_card() -> Card {
    card_of("card_0000004444444444444444", "0010")
}

fn new_card() -> Card {
    Card {
        bank_code: None,
        card_type: CardType::Unknown,
        ..card_of("card_00001f5555555555555555", "0020")
    }
}

fn otp(name: &str, sent_at: i64) -> SentOtp {
    SentOtp {
        mac: mac(name),
        sent_at: t(sent_at),
        session: SessionTag("0101010101010101".to_owned()),
    }
}

fn attempts(reserved: u8, wrong: u8, last_at: Option<i64>) -> Attempts {
    Attempts {
        reserved,
        wrong,
        last_at: last_at.map(t),
    }
}

fn times() -> Activation {
    Activation {
        activated_at: t(1_200),
        effective_at: t(1_200 + DAY_S),
        cooldown_until: t(1_200 + 30 * DAY_S),
        waits: true,
    }
}

pub(super) fn records() -> Vec<Record> {
    let mut records = merchants();
    records.extend(rebinds());
    records.extend(payouts());
    records.extend(logins());
    records.extend(push_targets());
    records.extend(salts());
    records.extend(counters());
    records.extend(idempotency_rows());
    records.push(record(
        "card",
        Some(Sealed(vec![1, 2, 3, 250])),
        item_of(
            key(merchant_pk(&merchant()), card_sk(&old_card().card_id)),
            card::attributes(&Sealed(vec![1, 2, 3, 250])),
        ),
        card::read,
    ));
    records
}

fn merchants() -> Vec<Record> {
    let new = MerchantState::onboarded(settings());
    let of_state = |name, state: MerchantState| {
        let attributes =
            merchant_state::attributes(&merchant(), &state, t(0), DueShards::DEFAULT).unwrap();
        let mut item = item_of(key(merchant_pk(&merchant()), STATE), attributes);
        for (slot, session) in (0..).zip(&state.sessions) {
            if let Some(session) = session {
                item.insert(session::slot_name(slot), session::value(session));
            }
        }
        record(name, state, item, merchant_state::read)
    };
    let erased = MerchantState {
        closed_at: Some(t(-DAY_S)),
        erased_at: Some(t(0)),
        ..new.clone()
    };
    let of_profile = |name, profile: Profile| {
        let attributes = profile::attributes(&profile).unwrap();
        let item = item_of(key(merchant_pk(&merchant()), PROFILE), attributes);
        record(name, profile, item, profile::read)
    };
    let mut created_profile = of_profile("profile_created", profile_of_trader());
    let content = profile::creation(&Mac("1.c29tZSBjb250ZW50".to_owned()));
    let item = created_profile.written.take().unwrap_or_default();
    created_profile.written = Some(item_of(item, vec![content]));
    vec![
        created_profile,
        of_state("merchant_state_new", new),
        of_state("merchant_state", full_state()),
        of_state("merchant_state_erased", erased),
        record(
            "profile_erased",
            true,
            item_of(
                key(merchant_pk(&merchant()), PROFILE),
                profile::erased(t(0)),
            ),
            profile::is_erased,
        ),
        of_profile("profile", profile_of_trader()),
        of_profile(
            "profile_of_company",
            Profile {
                entity_type: EntityType::Company,
                settlement_name: None,
                id_expires_on: DocumentExpiry::LongTerm,
                sealed_id_number: None,
                history_key: None,
                ..profile_of_trader()
            },
        ),
        of_profile(
            "profile_with_previous_phone",
            Profile {
                version: 2,
                previous_phone: Some(PreviousPhone {
                    phone: Phone::parse("+8613900000002").unwrap(),
                    until: t(30 * DAY_S),
                }),
                ..profile_of_trader()
            },
        ),
        of_profile(
            "profile_with_travel_permit",
            Profile {
                document_type: DocumentType::HkMacaoTravelPermit,
                ..profile_of_trader()
            },
        ),
    ]
}

fn full_state() -> MerchantState {
    let bound = |card: Card, unsent| BoundCard {
        fingerprint: mac(&card.last4),
        card,
        unsent,
        sending: unsent / 2,
    };
    let replaced = |id: &str, last4: &str, state| ReplacedCard {
        bound: bound(card_of(id, last4), 1),
        removable_at: t(8 * DAY_S),
        state,
    };
    let session = |byte| Session {
        token_hash: [byte; 32],
        login_at: t(0),
        last_change_at: t(30),
        device: SessionDevice {
            tag: DeviceTag::of("abcdefghijklmnopqrstuv"),
            first_seen: t(-90 * DAY_S),
            known: true,
        },
    };
    MerchantState {
        version: 12,
        last_seq: 11,
        last_hash: "ab".repeat(32),
        rebinds: 31,
        rebind_version: 6,
        open: Some(31),
        active: Some(bound(new_card(), 2)),
        standby: vec![StandbyCard {
            bound: bound(card_of("card_00001e6666666666666666", "0030"), 0),
            usable_at: t(DAY_S),
            waits: true,
        }],
        replaced: vec![
            replaced("card_0000004444444444444444", "0010", Replaced::Usable),
            replaced("card_00001c7777777777777777", "0040", Replaced::Lost),
            replaced("card_00001d8888888888888888", "0050", Replaced::Out),
            replaced("card_00001b9999999999999999", "0060", Replaced::Barred),
        ],
        held_payouts: 3,
        freeze_codes: vec![
            FreezeCode {
                seq: 9,
                rebind: Some(31),
                good_until: Some(t(8 * DAY_S)),
                activation: true,
            },
            FreezeCode {
                seq: 10,
                rebind: None,
                good_until: None,
                activation: false,
            },
        ],
        push_targets: vec![PushTarget {
            id: "phone".to_owned(),
            token_tag: "abcdef12".to_owned(),
            device: DeviceTag::of("abcdefghijklmnopqrstuv"),
            registered_at: t(-8 * DAY_S),
        }],
        push_removed_at: Some(t(-60)),
        setting_changes: window(&[-120, -60]),
        push_refreshes: window(&[-30]),
        last_activation: Some(LastActivation {
            number: 31,
            rebind_id: rebind_id(),
            times: times(),
            old_card: Some(old_card().card_id),
        }),
        cooldown_until: Some(times().cooldown_until),
        cooldown_end_unannounced: true,
        security_changed_at: Some(t(-HOUR_S)),
        closed_at: None,
        erased_at: None,
        frozen: Some(Frozen {
            at: t(-10),
            holds_payouts: true,
        }),
        freeze_guesses_notified_at: Some(t(-5)),
        notice_sms: window(&[-90]),
        lost_at: Some(t(-400 * DAY_S)),
        device_counts: DeviceCounts {
            young: DayCounts {
                wrong_codes: window(&[-90, -30]),
                ..DayCounts::default()
            },
            older: vec![OlderDevice {
                tag: DeviceTag::of("abcdefghijklmnopqrstuv"),
                first_seen: t(-90 * DAY_S),
                counts: DayCounts {
                    wrong_codes: window(&[30]),
                    rebinds: window(&[-HOUR_S, 0]),
                    refunded: window(&[-2 * HOUR_S]),
                },
            }],
        },
        id_mismatches: window(&[60]),
        bank_calls: vec![BankCall {
            at: t(900),
            card_tag: "abcdef01".to_owned(),
        }],
        settlement: Settlement {
            cycle: Cycle::D1,
            retained_fen: 100,
            ..settings()
        },
        pending_settlement: Some(PendingSettlement {
            settings: settings(),
            effective_at: t(DAY_S),
        }),
        record_version: 2,
        sessions: [Some(session(1)), None, Some(session(3)), None, None],
    }
}

fn settings() -> Settlement {
    Settlement {
        cycle: Cycle::T1,
        payout_time: PayoutTime::parse("06:00").unwrap(),
        retained_fen: 0,
        daily_limit_fen: 2_000_000,
    }
}

fn profile_of_trader() -> Profile {
    Profile {
        merchant_id: merchant(),
        version: 1,
        account: mac("account"),
        entity_type: EntityType::SoleTrader,
        legal_name: PersonName::new(NAME),
        settlement_name: Some(PersonName::new(SETTLEMENT_NAME)),
        id_number_mac: mac("id number"),
        document_type: DocumentType::ResidentId,
        id_expires_on: DocumentExpiry::parse("2035-01-31").unwrap(),
        phone_on_file: Phone::parse("+8613900000001").unwrap(),
        previous_phone: None,
        opened_at: t(-400 * DAY_S),
        daily_limit_max_fen: 5_000_000,
        fee_rate_bp: 60,
        sealed_id_number: Some(Sealed(vec![9, 8, 7])),
        history_key: Some(Sealed(vec![6, 5, 4])),
    }
}

fn rebinds() -> Vec<Record> {
    let identity = || IdentityProof {
        confirmed_at: t(120),
    };
    let card_pending = |check, card_attempts| RebindState::CardPending {
        identity: identity(),
        refresh: None,
        identity_attempts: attempts(1, 0, Some(119)),
        signature: Signature {
            signed_at: t(300),
            version: "2026-11".to_owned(),
        },
        check,
        card_attempts,
    };
    let activated = |test| ActivatedCard {
        times: times(),
        test,
    };
    let mut refreshing = card_pending(
        CardCheck::Asking {
            number: 2,
            counted_at: Some(t(400)),
            since: t(400),
            asked_at: t(460),
            bound_elsewhere: true,
        },
        Attempts::default(),
    );
    if let RebindState::CardPending { refresh, .. } = &mut refreshing {
        *refresh = Some(otp("refresh", 1_000));
    }
    let states = [
        (
            "rebind_identity_pending",
            RebindState::IdentityPending {
                mismatches: 2,
                matched: true,
                code: Some(otp("identity", 60)),
                attempts: attempts(2, 1, Some(90)),
            },
        ),
        (
            "rebind_agreement_pending",
            RebindState::AgreementPending {
                identity: identity(),
                attempts: attempts(1, 0, Some(119)),
            },
        ),
        (
            "rebind_card_pending",
            card_pending(CardCheck::NotAsked { next: 1 }, Attempts::default()),
        ),
        ("rebind_bank_asked", refreshing),
        (
            "rebind_bank_answer_lost",
            card_pending(
                CardCheck::Asking {
                    number: 1,
                    counted_at: None,
                    since: t(400),
                    asked_at: t(401),
                    bound_elsewhere: false,
                },
                Attempts::default(),
            ),
        ),
        (
            "rebind_card_matched",
            card_pending(
                CardCheck::Matched {
                    number: 1,
                    matched_at: t(400),
                    code: Some(otp("card", 401)),
                },
                attempts(3, 3, Some(450)),
            ),
        ),
        (
            "rebind_deposit_arrived",
            card_pending(
                CardCheck::Deposit {
                    number: 3,
                    sent_at: t(500),
                    arrived: true,
                    checked_at: t(700),
                },
                attempts(1, 1, Some(800)),
            ),
        ),
        (
            "rebind_standby",
            RebindState::Standby(Standby {
                ready_at: t(600),
                usable_at: t(600 + DAY_S),
                code: Some(otp("switch", 2 * DAY_S)),
                attempts: attempts(1, 1, Some(2 * DAY_S)),
            }),
        ),
        (
            "rebind_activated",
            RebindState::Activated(activated(TestTransfer::NotSent)),
        ),
        (
            "rebind_test_sent",
            RebindState::Activated(activated(TestTransfer::Sent {
                sent_at: t(1_300),
                checked_at: t(1_300),
            })),
        ),
        (
            "rebind_completed",
            RebindState::Completed(activated(TestTransfer::Arrived {
                at: t(1_400),
                checked_at: t(1_500),
            })),
        ),
        (
            "rebind_test_returned",
            RebindState::Completed(activated(TestTransfer::CameBack)),
        ),
        (
            "rebind_test_closed",
            RebindState::Completed(activated(TestTransfer::Closed {
                arrived_at: Some(t(70)),
            })),
        ),
        (
            "rebind_ended",
            RebindState::Ended {
                how: End::Reverted,
                at: t(5 * DAY_S),
                reason: Some(ErrorCode::TestTxnFailed),
            },
        ),
    ];
    states.map(|(name, stage)| of_rebind(name, stage)).into()
}

fn of_rebind(name: &'static str, stage: RebindState) -> Record {
    let is_standby = matches!(stage, RebindState::Standby(_));
    let has_ended = matches!(stage, RebindState::Ended { .. });
    let rebind = Rebind {
        rebind_id: rebind_id(),
        revision: 9,
        version: 6,
        purpose: if is_standby {
            Purpose::Standby
        } else {
            Purpose::Activate
        },
        reason: if has_ended {
            Reason::Lost
        } else {
            Reason::Replace
        },
        new_card: new_card(),
        old_card: (!has_ended).then(old_card),
        fingerprint: mac("0020"),
        reserved_phone: Phone::parse("+8613700000001").unwrap(),
        youngest_device: None,
        created_at: t(0),
        expires_at: t(DAY_S),
        stage,
        sealed_number: (!has_ended).then(|| Sealed(vec![4, 3, 2, 1])),
    };
    let attributes = rebind::attributes(&merchant(), &rebind, &POLICY, DueShards::DEFAULT).unwrap();
    let key = key(
        merchant_pk(&merchant()),
        rebind_sk(rebind.rebind_id.number()),
    );
    record(name, rebind, item_of(key, attributes), rebind::read)
}

fn payouts() -> Vec<Record> {
    let payout = |card: Option<Card>, state| Payout {
        payout_id: PayoutId::parse("pay_20261122_1").unwrap(),
        amount_fen: 12_345,
        created_at: t(0),
        card,
        state,
        releases: Releases::default(),
    };
    let of_record = |name, payout: Payout| {
        let attributes = payout::attributes(&merchant(), &payout).unwrap();
        let item = item_of(payout_key(&payout.payout_id), attributes);
        let owned = OwnedPayout {
            merchant_id: merchant(),
            payout,
        };
        record(name, owned, item, payout::read)
    };
    let unsent = payout(Some(old_card()), PayoutState::Unsent);
    let entry = item_of(
        entry_key(&merchant(), &unsent),
        payout::entry_attributes(&unsent).unwrap(),
    );
    vec![
        of_record("payout_held", payout(None, PayoutState::Unsent)),
        of_record("payout_unsent", unsent.clone()),
        of_record(
            "payout_sending",
            payout(Some(old_card()), PayoutState::Sending),
        ),
        of_record(
            "payout_released",
            Payout {
                releases: Releases {
                    number: 7,
                    lately: [t(0), t(60)].into_iter().collect(),
                },
                ..payout(Some(old_card()), PayoutState::Sending)
            },
        ),
        of_record("payout_sent", payout(Some(old_card()), PayoutState::Sent)),
        of_record(
            "payout_returned",
            payout(Some(old_card()), PayoutState::Returned),
        ),
        record("payout_entry", unsent, entry, payout::read_entry),
    ]
}

fn logins() -> Vec<Record> {
    let account = Account {
        merchant_id: merchant(),
        password_hash: "$argon2id$v=19$m=19456,t=2,p=1$c2FsdA$aGFzaA".to_owned(),
        version: 4,
        legal_name_masked: "阿*".to_owned(),
        entity_type: EntityType::SoleTrader,
        id_expires_on: DocumentExpiry::parse("2035-01-31").unwrap(),
    };
    let failures = |in_a_row, after_s: &[i64]| Failures {
        window: window(after_s),
        in_a_row,
    };
    let device = |hash: &str, failures| KnownDevice {
        hash: hash.to_owned(),
        first_seen: t(-90 * DAY_S),
        last_used: t(-60),
        failures,
    };
    let full = Logins {
        revision: 9,
        devices: vec![
            device("abcdefghijklmnopqrstuv", failures(3, &[-60, -30, 0])),
            device("wxyzabcdefghijklmnopqr", failures(0, &[])),
        ],
        strangers: failures(1, &[-30]),
        added: window(&[-60]),
        slots: [
            Some(SlotUse {
                device: DeviceTag::of("wxyzabcdefghijklmnopqr"),
                first_seen: t(-90 * DAY_S),
                until: t(DAY_S),
            }),
            None,
            None,
            None,
            None,
        ],
    };
    let strangers = Logins {
        revision: 1,
        strangers: failures(3, &[-60, -30, 0]),
        ..Logins::default()
    };
    let pk = || format!("A#{}", mac("account").0);
    let of_logins = |name, value: Logins| {
        let item = item_of(key(pk(), "L"), logins::attributes(&value, t(0)).unwrap());
        record(name, value, item, logins::read)
    };
    let item = item_of(key(pk(), "A"), account::attributes(&account));
    let source = (failures(1, &[0]), 7);
    let source_key = key(format!("S#{}", mac("source").0), "S");
    let of_source = login_failures::attributes(&source.0, source.1, t(0));
    vec![
        record("account", account, item, account::read),
        of_logins("logins", full),
        of_logins("logins_of_strangers", strangers),
        record(
            "login_failures_of_source",
            source,
            item_of(source_key, of_source),
            login_failures::read,
        ),
    ]
}

fn push_targets() -> Vec<Record> {
    let new = NewPushTarget {
        target: PushTarget {
            id: "phone".to_owned(),
            token_tag: "abcdef12".to_owned(),
            device: DeviceTag::of("abcdefghijklmnopqrstuv"),
            registered_at: t(-8 * DAY_S),
        },
        platform: PushPlatform::Apns,
        sealed_token: Some(Sealed(vec![7, 7, 7])),
    };
    let kept = |removed_at| KeptPushTarget {
        tag: "abcdef12".to_owned(),
        platform: PushPlatform::Apns,
        sealed_token: Sealed(vec![7, 7, 7]),
        registered_at: Some(t(-8 * DAY_S)),
        removed_at,
    };
    let key = || key(merchant_pk(&merchant()), push_target_sk(&new.target));
    let item = item_of(key(), push_target::registered(&new).unwrap());
    let removed = changed(item.clone(), push_target::removed(&POLICY, t(60)));
    vec![
        record("push_target", kept(None), item, push_target::read),
        record(
            "push_target_removed",
            kept(Some(t(60))),
            removed,
            push_target::read,
        ),
    ]
}

fn salts() -> Vec<Record> {
    let bytes = [7; 32];
    let update = salt::created(&bytes);
    let expression = update.expression();
    let item = created(salt_key(&merchant()), &update, &expression);
    let erased = changed(item.clone(), salt::erased(t(60)));
    let erased = erased.into_iter().filter(|(name, _)| name != "salt");
    vec![
        record("salt", Some(Secret::new(bytes)), item, salt::read),
        record("salt_erased", None, erased.collect(), salt::read),
    ]
}

fn counters() -> Vec<Record> {
    let codes = otp_counter::count_otp(OtpPurpose::Card, &POLICY, t(0));
    let (attempt, add) = freeze_counter::add(&[1, 2, 3, 4, 5, 6], t(0));
    let person = card_holders::Person {
        hash: &mac("id number"),
        other: None,
    };
    let (holder, holders) = card_holders::add(&merchant(), &old_card().card_id, person);
    let expression = codes.expression();
    vec![
        record(
            "otp_counter",
            59,
            created(
                key(format!("P#{}", mac("phone").0), "P"),
                &codes,
                &expression,
            ),
            |item| otp_counter::wait_s(item, OtpPurpose::Card, &POLICY, t(1)),
        ),
        record(
            "freeze_counter",
            1,
            created(key(format!("A#{}", mac("account").0), "Q"), &attempt, &add),
            |item| freeze_counter::of_last_day(item, t(HOUR_S)),
        ),
        record(
            "card_claim",
            Some(mac("id number").0),
            created(key(format!("F#{}", mac("0010").0), "F"), &holder, &holders),
            |item| {
                card_holders::reject_later_version(item)
                    .map(|()| opt_s(item, "person").map(str::to_owned))
            },
        ),
    ]
}

fn idempotency_rows() -> Vec<Record> {
    let wanted = || IdempotencyKey {
        scope: mac("scope").0,
        fingerprint: mac("body").0,
    };
    let reply = StoredReply {
        status: 201,
        body: r#"{"rebind_id":"rbd_00001f2b3c4d5f6g7h8j9k","state":"identity_pending"}"#.to_owned(),
    };
    let row = || key(format!("I#{}", wanted().scope), "I");
    let answered = idempotency::reply(&wanted(), &reply, t(DAY_S)).unwrap();
    let read = move |item: &Item| {
        let wanted = IdempotencyKey {
            scope: mac("scope").0,
            fingerprint: mac("body").0,
        };
        idempotency::read(item, &wanted, t(60))
    };
    vec![
        // Claims are attributes of their rebind since.
        Record {
            written: None,
            ..record(
                "idempotency_claim",
                IdempotencyLookup::Claimed("of the code".to_owned()),
                row(),
                read,
            )
        },
        claims(),
        record(
            "idempotency_reply",
            IdempotencyLookup::Reply(reply),
            item_of(row(), answered),
            read,
        ),
    ]
}

/// A rebind with the claim of one key, and the mark of another one that was answered.
fn claims() -> Record {
    let key = |name: &str| IdempotencyKey {
        scope: format!("1.{name:-<43}"),
        fingerprint: format!("1.{:-<43}", "body"),
    };
    let stage = RebindState::AgreementPending {
        identity: IdentityProof {
            confirmed_at: t(120),
        },
        attempts: attempts(1, 0, Some(119)),
    };
    let mut item = of_rebind("rebind_claimed", stage).written.unwrap();
    let mut begun = Update::default();
    claim::begin(&mut begun, &key("claimed"), "of the code", t(DAY_S));
    let claim = begun.values.remove(":claim").unwrap();
    item.insert(begun.names["#claim"].clone(), claim);
    let mut answered = Update::default();
    claim::answer(&mut answered, &key("answered"));
    let value = answered.values.remove(":answered").unwrap();
    item.insert("answered".to_owned(), value);
    record(
        "rebind_claimed",
        (IdempotencyLookup::Claimed("of the code".to_owned()), true),
        item,
        move |item| {
            rebind::read(item)?;
            let claimed = claim::read(item, &key("claimed"), t(60));
            Ok((claimed, claim::was_answered(item, &key("answered"))))
        },
    )
}
