//! A merchant with all its rebinds under random commands, as the store holds them. Results of comparisons and answers of the
//! bank stay in flight until they arrive: late, twice, or never. Every write is checked against the invariants.

use super::fixture::{World, code, device, fingerprint};
use super::model::Model;
use crate::decide::*;
use crate::error_code::ErrorCode;
use crate::event_kind::EventKind;
use crate::history::{self, ChainedEvent, GENESIS};
use crate::merchant::{Merchant, Session};
use crate::notification::Notification;
use crate::policy::{DAY_S, HOUR_S};
use crate::rebind::{
    ActivatedCard, Attempts, CardCheck, End, Mac, Otp, OtpPurpose, Rebind, RebindState, Sealed,
    Standby, TestTransfer,
};
use crate::time::Timestamp;
use crate::transition::{EndedSessions, Outcome, Transition};
use std::collections::{BTreeMap, BTreeSet};

/// A policy with limits so low that random commands reach them.
pub(super) const TIGHT: Policy = Policy {
    rebinds_per_day: 3,
    creations_per_day: 5,
    wrong_codes_per_day: 6,
    wrong_codes_notified_from: 3,
    id_mismatches_per_rebind: 2,
    id_mismatches_per_day: 3,
    bank_calls_per_card_day: 2,
    bank_calls_per_day: 3,
    ..Policy::CURRENT
};

/// A proof of a rebind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Proof {
    Identity,
    Signature,
    /// A match, or a deposit that was sent.
    Bank,
    CardCode,
    SwitchCode,
}

/// A code that is being compared: its rebind and its hash.
#[derive(Clone, Debug)]
pub(super) struct Compared {
    pub(super) number: u32,
    pub(super) purpose: OtpPurpose,
    pub(super) mac: Mac,
    pub(super) by: Option<u8>,
    at: Timestamp,
}

/// A pending bank call: its rebind and its reference.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    pub(super) number: u32,
    pub(super) serial: u16,
}

pub(super) struct Store {
    /// The merchant; `rebind` is the one of the last command.
    pub(super) merchant: Merchant,
    pub(super) rebinds: BTreeMap<u32, Rebind>,
    pub(super) now: Timestamp,
    pub(super) compared: Vec<Compared>,
    pub(super) asked: Vec<Asked>,
    pub(super) history: Vec<ChainedEvent>,
    /// True if the clock ever went back.
    pub(super) went_back: bool,
    codes: u32,
    proofs: BTreeMap<u32, BTreeSet<Proof>>,
    pub(super) model: Model,
}

impl Store {
    pub(super) fn new() -> Self {
        let world = World::new();
        Self {
            model: Model::new(&world.merchant),
            merchant: world.merchant,
            rebinds: BTreeMap::new(),
            now: world.now,
            compared: Vec::new(),
            asked: Vec::new(),
            history: Vec::new(),
            went_back: false,
            codes: 0,
            proofs: BTreeMap::new(),
        }
    }

    /// A new unique code.
    pub(super) fn code(&mut self) -> Otp {
        self.codes += 1;
        code(&format!("code {}", self.codes))
    }

    pub(super) fn jump(&mut self, by_s: i64) {
        self.went_back |= by_s < 0;
        self.now = self.now.plus_s(by_s);
    }

    pub(super) fn login(&mut self) {
        for (slot, token) in self.merchant.state.sessions.iter_mut().zip([1, 2]) {
            let before = slot.as_ref().map(|session| session.last_change_at);
            *slot = Some(Session {
                token_hash: [token; 32],
                login_at: self.now,
                last_change_at: before.map_or(self.now, |at| at.max(self.now)),
                device: device(&format!("device{token}"), -90 * DAY_S),
            });
        }
    }

    /// Decides one command about rebind `number` twice, checks that both results are equal, and writes the result.
    /// Returns the kind of its event, if any.
    ///
    /// # Errors
    /// The code of a refusal without a write.
    /// The rebind that a freeze by the operator must read, besides the latest one.
    pub(super) fn rebind_of_live_code(&self) -> u32 {
        let codes = self.merchant.state.freeze_codes.iter();
        let live = codes.filter(|code| code.activation && code.works_at(self.now));
        let last = live.max_by_key(|code| code.seq);
        let of_hold = self.merchant.state.hold(self.now).map(|last| last.number);
        let number = last.and_then(|code| code.rebind).or(of_hold);
        number.unwrap_or(self.merchant.state.rebinds)
    }

    /// The end of a freeze with the choice of a card that can be chosen, or of none; and the rebind that it must read.
    pub(super) fn unfreeze(&self, which: u8) -> (u32, Command) {
        let state = &self.merchant.state;
        let active = state.active.iter().map(|active| &active.card.card_id);
        let usable = state
            .replaced
            .iter()
            .filter(|replaced| !replaced.state.is_out());
        let usable = usable.map(|replaced| &replaced.bound.card.card_id);
        let mut choices: Vec<_> = active.chain(usable).cloned().map(Some).collect();
        choices.push(None);
        let card_id = choices[usize::from(which) % choices.len()].clone();
        let last = state.last_activation.as_ref().map(|last| last.number);
        let reason = "asked".to_owned();
        (
            last.unwrap_or(state.rebinds),
            Command::Unfreeze { reason, card_id },
        )
    }

    pub(super) fn command(
        &mut self,
        number: u32,
        by: Option<u8>,
        act: &Command,
    ) -> Result<Option<EventKind>, ErrorCode> {
        let before = Merchant {
            rebind: self.rebinds.get(&number).cloned(),
            latest: self.latest_beside(number),
            ..self.merchant.clone()
        };
        let command = CommandContext {
            by,
            act: act.clone(),
        };
        let decided = decide(&before, &command, &TIGHT, self.now);
        let again = decide(&before, &command, &TIGHT, self.now);
        assert_eq!(
            decided.as_ref().map(written),
            again.as_ref().map(written),
            "one input, two outputs"
        );

        let mut transition = decided.map_err(|refusal| refusal.code)?;
        if let Some(created) = &mut transition.rebind
            && created.version == 1
        {
            created.sealed_number = Some(Sealed(vec![1]));
        }
        let after = transition.applied_to(&before);
        check_versions(&before, act, &transition, &after);
        check_stages(&before, &after, act);
        check_code(&before, &transition, &after);
        check_freeze(&before, &transition, &after);
        self.note_proof(&before, act, &transition);
        self.check_pointer(&before, &transition, &after);
        self.in_flight(&after, by, act, &transition);
        let (now, back) = (self.now, self.went_back);
        self.model
            .after(&before, act, &transition, &after, now, back);

        let kind = transition.event.as_ref().map(|event| event.kind());
        let event = transition.chained(&before, None, &TIGHT);
        assert_eq!(
            event.is_some(),
            kind.is_some(),
            "an event without a merchant state would be lost"
        );
        self.history.extend(event);
        self.merchant = transition.applied_to(&before);
        let ended = self.merchant.latest.take();
        for rebind in self.merchant.rebind.take().into_iter().chain(ended) {
            self.rebinds.insert(rebind.rebind_id.number(), rebind);
        }
        self.check_state();
        Ok(kind)
    }

    /// True if the clean-up could issue this command now. Writes nothing.
    pub(super) fn is_allowed(&self, number: u32, act: &Command) -> bool {
        let merchant = Merchant {
            rebind: self.rebinds.get(&number).cloned(),
            latest: self.latest_beside(number),
            ..self.merchant.clone()
        };
        let command = CommandContext {
            by: None,
            act: act.clone(),
        };
        decide(&merchant, &command, &TIGHT, self.now).is_ok()
    }

    /// The latest rebind, if it is a different one.
    fn latest_beside(&self, number: u32) -> Option<Rebind> {
        let latest = Some(self.merchant.state.rebinds).filter(|latest| *latest != number)?;
        self.rebinds.get(&latest).cloned()
    }

    /// True if a result can still arrive. The comparison of a switch code takes less than an hour, while the lock after five
    /// wrong codes lasts a day.
    pub(super) fn arrives(&self, one: &Compared) -> bool {
        let ago_s = self.now.epoch_s() - one.at.epoch_s();
        one.purpose != OtpPurpose::Activate || ago_s.abs() < HOUR_S
    }

    fn note_proof(&mut self, before: &Merchant, act: &Command, transition: &Transition) {
        let done = transition.outcome == Outcome::Done && transition.state.is_some();
        let (Some(rebind), true) = (&before.rebind, done) else {
            return;
        };
        if let Command::SettleAttempt {
            purpose, compared, ..
        } = act
        {
            let deposit = deposit_of(&rebind.stage).is_some() && *purpose == OtpPurpose::Card;
            if !deposit {
                let (code, _) = otp_of(&rebind.stage, *purpose).unwrap();
                assert_eq!(
                    Some(&code.mac),
                    compared.as_ref(),
                    "the compared code was replaced"
                );
            }
        }
        let proof = match act {
            Command::SettleAttempt {
                purpose: OtpPurpose::Identity,
                right: true,
                ..
            } => Proof::Identity,
            Command::SettleAttempt {
                purpose: OtpPurpose::Card,
                right: true,
                ..
            } => Proof::CardCode,
            Command::SettleAttempt {
                purpose: OtpPurpose::Activate,
                right: true,
                ..
            } => Proof::SwitchCode,
            Command::SignAgreement(_) => Proof::Signature,
            Command::SettleCardCheck(reply, _)
                if matches!(
                    reply.answer,
                    Some(BankAnswer::Match(_) | BankAnswer::Deposited { .. })
                ) =>
            {
                Proof::Bank
            }
            _ => return,
        };
        let proofs = self.proofs.entry(rebind.rebind_id.number()).or_default();
        proofs.insert(proof);
    }

    /// Checks that the active card changes only by the activation of a rebind with all proofs, each recent enough.
    fn check_pointer(&self, before: &Merchant, transition: &Transition, after: &Merchant) {
        let kind = transition.event.as_ref().map(|event| event.kind());
        match kind {
            Some(EventKind::Activated) => {}
            // The model checks the new active card.
            Some(EventKind::Reverted | EventKind::Frozen | EventKind::Unfrozen) => return,
            Some(EventKind::ChangeNotified) => {
                let fixed = |merchant: &Merchant| {
                    let state = &merchant.state;
                    (state.active.clone(), state.cooldown_until)
                };
                assert_eq!(fixed(before), fixed(after));
                return;
            }
            _ => {
                let pointer = |merchant: &Merchant| {
                    let active = merchant.state.active.as_ref();
                    active.map(|active| active.card.clone())
                };
                assert_eq!(pointer(before), pointer(after));
                assert_eq!(before.state.last_activation, after.state.last_activation);
                assert_eq!(before.state.cooldown_until, after.state.cooldown_until);
                return;
            }
        }
        let (old, new) = (
            before.rebind.as_ref().unwrap(),
            after.rebind.as_ref().unwrap(),
        );
        let number = new.rebind_id.number();
        let proofs = self.proofs[&number].len();
        match &old.stage {
            RebindState::CardPending {
                identity, check, ..
            } => {
                assert_eq!(before.state.open, Some(number));
                assert_eq!(proofs, 4, "{:?}", self.proofs[&number]);
                assert!(identity.confirmed_at.age_s_at(self.now) <= TIGHT.identity_proof_s);
                match check {
                    CardCheck::Matched { matched_at, .. } => {
                        assert!(matched_at.age_s_at(self.now) <= TIGHT.bank_proof_s);
                    }
                    CardCheck::Deposit {
                        sent_at, arrived, ..
                    } => {
                        assert!(*arrived);
                        assert!(sent_at.age_s_at(self.now) < TIGHT.deposit_life_s);
                    }
                    other => panic!("activated from {other:?}"),
                }
            }
            RebindState::Standby(standby) => {
                assert_eq!(proofs, 5, "{:?}", self.proofs[&number]);
                assert!(self.now >= standby.usable_at);
                assert!(standby.ready_at.age_s_at(self.now) <= TIGHT.standby_proof_s);
                let quiet = before.quiet_until(&TIGHT, self.now);
                assert!(quiet.is_none() && before.cooldown(self.now).is_none());
            }
            other => panic!("activated from {other:?}"),
        }
        assert!(before.state.frozen.is_none());
        let active = after.state.active.as_ref().unwrap();
        assert_eq!(
            (&active.card, &active.fingerprint),
            (&new.new_card, &new.fingerprint)
        );
        assert!(after.state.cooldown_until > Some(self.now));
        assert!(after.state.cooldown_end_unannounced);
        assert!(!transition.event.as_ref().unwrap().notifications.is_empty());
    }

    /// Records what the first write of a two-step command starts.
    fn in_flight(
        &mut self,
        after: &Merchant,
        by: Option<u8>,
        act: &Command,
        transition: &Transition,
    ) {
        if transition.outcome != Outcome::Proceed {
            return;
        }
        let rebind = after.rebind.as_ref().unwrap();
        let number = rebind.rebind_id.number();
        let session = by.and_then(|slot| after.state.sessions[usize::from(slot)].as_ref());
        // A caller whose session has ended never gets this far, but this test lets it.
        if let (Command::ReserveAttempt { .. }, Some(session)) = (act, session) {
            let device = &session.device;
            let counts = after.state.device_counts.of(device, &TIGHT, self.now);
            let wrong = counts.wrong_codes.count(DAY_S, self.now);
            assert!(wrong < TIGHT.wrong_codes_per_day);
        }
        match (act, &rebind.stage) {
            (Command::ReserveAttempt { purpose, .. }, stage)
                if deposit_of(stage).is_some() && *purpose == OtpPurpose::Card =>
            {
                assert_eq!(deposit_of(stage).map(|(_, arrived)| arrived), Some(true));
                self.compared.push(Compared {
                    number,
                    purpose: *purpose,
                    mac: Mac("derived from the serial".to_owned()),
                    by,
                    at: self.now,
                });
            }
            (
                Command::StartTestTransfer,
                RebindState::Activated(activated_card) | RebindState::Completed(activated_card),
            ) => {
                assert!(matches!(activated_card.test, TestTransfer::Sent { .. }));
            }
            (Command::ReserveAttempt { purpose, .. }, stage) => {
                let (code, _) = otp_of(stage, *purpose).unwrap();
                assert_eq!(session.map(Session::tag).as_ref(), Some(&code.session));
                assert!(code.is_valid_at(&TIGHT, self.now));
                let mac = code.mac.clone();
                self.compared.push(Compared {
                    number,
                    purpose: *purpose,
                    mac,
                    by,
                    at: self.now,
                });
            }
            (
                Command::StartCardCheck { .. },
                RebindState::CardPending {
                    check: CardCheck::Asking { number: serial, .. },
                    ..
                },
            ) => self.asked.push(Asked {
                number,
                serial: *serial,
            }),
            other => panic!("{other:?} cannot start a two-step command"),
        }
    }

    fn check_state(&self) {
        let state = &self.merchant.state;
        let latest = self.rebinds.get(&state.rebinds);
        assert_eq!(state.rebinds as usize, self.rebinds.len());
        assert_eq!(state.record_version, self.merchant.profile.version);
        assert_eq!(
            state.rebind_version,
            latest.map_or(0, |latest| latest.version)
        );
        // At most one rebind is open, and it is the latest.
        match state.open {
            None => assert!(
                latest.is_none_or(|latest| !latest.stage.is_open()),
                "{latest:?}"
            ),
            Some(open) => {
                assert_eq!(open, state.rebinds);
                assert!(latest.unwrap().stage.is_open());
            }
        }
        if !self.went_back {
            let open = self
                .rebinds
                .values()
                .filter(|rebind| rebind.is_open(self.now));
            assert!(open.count() <= 1);
        }
        for counts in state.device_counts.all() {
            assert!(counts.rebinds.count(DAY_S, self.now) <= TIGHT.rebinds_per_day);
            let created = counts
                .rebinds
                .times()
                .chain(counts.refunded.times())
                .count();
            assert!(created <= TIGHT.creations_per_day);
        }
        assert!(state.id_mismatches.count(DAY_S, self.now) <= TIGHT.id_mismatches_per_day);
        assert!(state.bank_calls.len() <= TIGHT.bank_calls_per_day);
        for card in ["a", "b"] {
            let tag: String = fingerprint(card).0.chars().take(8).collect();
            let calls = state.bank_calls.iter().filter(|call| call.card_tag == tag);
            assert!(calls.count() <= TIGHT.bank_calls_per_card_day);
        }
    }

    /// Checks the whole history, from its first event to its recorded end.
    pub(super) fn check_history(&self) {
        let mut prev_hash = GENESIS;
        for (event, seq) in self.history.iter().zip(1..) {
            assert_eq!((event.seq, event.prev_hash.as_str()), (seq, prev_hash));
            assert_eq!(event.hash, history::hash(event));
            prev_hash = &event.hash;
        }
        let state = &self.merchant.state;
        assert_eq!(state.last_seq as usize, self.history.len());
        assert_eq!(state.last_hash, prev_hash);
    }
}

/// Everything in a transition, to compare two of them.
fn written(transition: &Transition) -> impl PartialEq + std::fmt::Debug + '_ {
    let Transition {
        state,
        rebind,
        event,
        also,
        payout,
        record,
        push,
        forgotten_card,
        ends_sessions,
        opens_session,
        otp_delivery,
        fingerprint,
        other_version,
        proposal: _, // decides nothing about the merchant
        outcome,
        logins: _, // an item of the account, not of the merchant
    } = transition;
    let beside = (
        also,
        payout,
        record,
        push,
        forgotten_card,
        ends_sessions,
        opens_session,
        other_version,
    );
    (
        state,
        rebind,
        event,
        beside,
        otp_delivery,
        fingerprint,
        outcome,
    )
}

/// Checks that every change of the merchant state is one version and one event, except bookkeeping of bank calls. Attempts
/// change neither.
fn check_versions(before: &Merchant, act: &Command, transition: &Transition, after: &Merchant) {
    let kind = transition.event.as_ref().map(|event| event.kind());
    // A wrong code that ends nothing is only counted.
    let counted = matches!(act, Command::SettleAttempt { right: false, .. })
        && matches!(kind, None | Some(EventKind::CodeGuessed));
    let bookkeeping = matches!(
        after.rebind.as_ref().map(|rebind| &rebind.stage),
        Some(
            RebindState::CardPending {
                check: CardCheck::Asking { .. } | CardCheck::Deposit { .. },
                ..
            } | RebindState::Activated(ActivatedCard {
                test: TestTransfer::Sent { .. } | TestTransfer::Arrived { .. },
                ..
            }) | RebindState::Completed(ActivatedCard {
                test: TestTransfer::Sent { .. } | TestTransfer::Arrived { .. },
                ..
            })
        )
    );
    match (&transition.state, &transition.event) {
        (Some(state), Some(_)) => assert_eq!(state.version, before.state.version + 1),
        (Some(state), None) => {
            assert_eq!(state.version, before.state.version + 1);
            assert!(bookkeeping || counted, "a change without an event");
            // Bookkeeping changes only daily counts and the session's last change.
            let mut quiet = before.state.clone();
            quiet.version = state.version;
            quiet.rebind_version = state.rebind_version;
            match counted {
                true => quiet.device_counts.clone_from(&state.device_counts),
                false => quiet.bank_calls.clone_from(&state.bank_calls),
            }
            quiet.sessions.clone_from(&state.sessions);
            assert_eq!(&quiet, state);
        }
        (None, Some(event)) => panic!("an event without a merchant state: {event:?}"),
        (None, None) => {}
    }
    let version = |merchant: &Merchant| {
        let rebind = merchant.rebind.as_ref();
        rebind.map(|rebind| (rebind.rebind_id.clone(), rebind.version, rebind.revision))
    };
    let (old, new) = (version(before), version(after));
    match (&transition.rebind, old, new) {
        (None, old, new) => assert_eq!(old, new),
        (Some(_), Some(old), Some(new)) if old.0 == new.0 => {
            let moved = u32::from(transition.state.is_some() && !counted);
            assert_eq!((new.1, new.2), (old.1 + moved, old.2 + 1));
        }
        (Some(_), _, Some(new)) => assert_eq!((new.1, new.2), (1, 1)),
        (Some(_), _, None) => panic!("a rebind was lost"),
    }
    for (old, new) in before.state.sessions.iter().zip(&after.state.sessions) {
        if let (Some(old), Some(new)) = (old, new) {
            assert!(new.last_change_at >= old.last_change_at);
            assert_eq!(
                (new.login_at, new.token_hash),
                (old.login_at, old.token_hash)
            );
        }
    }
}

/// Checks the order of states: an ended rebind never changes, and a merchant's command changes the open rebind only.
fn check_stages(before: &Merchant, after: &Merchant, act: &Command) {
    let (Some(old), Some(new)) = (&before.rebind, &after.rebind) else {
        return;
    };
    if old.rebind_id != new.rebind_id || old == new {
        return;
    }
    let number = Some(new.rebind_id.number());
    let follows = match (&old.stage, &new.stage) {
        (
            RebindState::Activated(_) | RebindState::Completed(_),
            RebindState::Ended {
                how: End::Frozen | End::Reverted,
                ..
            },
        )
        | (
            RebindState::Standby(_),
            RebindState::Ended {
                how: End::Frozen, ..
            },
        )
        | (RebindState::CardPending { .. }, RebindState::Standby(_))
        | (RebindState::Standby(_), RebindState::Standby(_) | RebindState::Activated(_)) => true,
        // Exceptions: a card is removed, or a test transfer is pending.
        (RebindState::Activated(old), RebindState::Activated(new))
        | (RebindState::Completed(old), RebindState::Completed(new)) => {
            old.times == new.times || matches!(act, Command::ConfirmNotified(..))
        }
        (old, new @ RebindState::Ended { .. }) => {
            old.is_open() || (old == new && matches!(act, Command::RemoveCard(_)))
        }
        (RebindState::IdentityPending { .. }, RebindState::IdentityPending { .. })
        | (RebindState::IdentityPending { .. }, RebindState::AgreementPending { .. })
        | (RebindState::AgreementPending { .. }, RebindState::CardPending { .. })
        | (RebindState::CardPending { .. }, RebindState::CardPending { .. })
        | (RebindState::CardPending { .. }, RebindState::Activated(_))
        | (RebindState::Activated(_), RebindState::Completed { .. }) => true,
        _ => false,
    };
    assert!(follows, "{:?} -> {:?}", old.stage, new.stage);
    let by_itself = matches!(act, Command::Expire | Command::OtpNotSent(..));
    if old.stage.is_open() && !by_itself {
        assert_eq!(before.state.open, number);
    }
    assert_eq!(
        new.sealed_number.is_some(),
        old.sealed_number.is_some()
            && !matches!(new.stage, RebindState::Ended { .. })
            && !matches!(act, Command::RemoveCard(_))
    );
    for attempts in attempts_of(&new.stage) {
        assert!(attempts.wrong <= attempts.reserved && attempts.reserved <= TIGHT.code_attempts);
        // Five wrong codes end a rebind, but only lock a standby card.
        assert!(
            attempts.wrong < TIGHT.code_attempts || matches!(new.stage, RebindState::Standby(_))
        );
    }
    if let RebindState::IdentityPending { mismatches, .. } = new.stage {
        assert!(mismatches < TIGHT.id_mismatches_per_rebind);
    }
}

fn attempts_of(stage: &RebindState) -> Vec<&Attempts> {
    match stage {
        RebindState::IdentityPending { attempts, .. }
        | RebindState::AgreementPending { attempts, .. } => vec![attempts],
        RebindState::CardPending {
            identity_attempts,
            card_attempts,
            ..
        } => vec![identity_attempts, card_attempts],
        RebindState::Standby(Standby { attempts, .. }) => vec![attempts],
        _ => Vec::new(),
    }
}

/// Checks that a code goes to the phone of its purpose and that the rebind then expects it. A refusal sends no code.
fn check_code(before: &Merchant, transition: &Transition, after: &Merchant) {
    let Some(send) = &transition.otp_delivery else {
        return;
    };
    assert_eq!(transition.outcome, Outcome::Done);
    let rebind = after.rebind.as_ref().unwrap();
    let phone = match send.purpose {
        OtpPurpose::Identity | OtpPurpose::Activate => &before.profile.phone_on_file,
        OtpPurpose::Card => &rebind.reserved_phone,
    };
    assert_eq!(&send.phone, phone);
    assert_eq!(send.card, rebind.new_card);
    let (code, _) = otp_of(&rebind.stage, send.purpose).unwrap();
    let at = transition.event.as_ref().unwrap().at;
    assert_eq!(code.sent_at, at);
}

/// Checks that a freeze ends all sessions, the open rebind and the activation or standby card of its code, and a change of
/// contact the sessions and the open rebind.
fn check_freeze(before: &Merchant, transition: &Transition, after: &Merchant) {
    let kind = transition.event.as_ref().map(|event| event.kind());
    if kind == Some(EventKind::SecurityChanged) {
        assert_eq!(transition.ends_sessions, EndedSessions::All);
        assert!(transition.record.is_some());
        assert!(after.state.sessions.iter().all(Option::is_none));
        assert_eq!(after.state.open, None);
        return;
    }
    if kind != Some(EventKind::Frozen) {
        assert_ne!(transition.ends_sessions, EndedSessions::All);
        assert!(transition.also.is_none());
        return;
    }
    assert_eq!(transition.ends_sessions, EndedSessions::All);
    assert!(after.state.sessions.iter().all(Option::is_none));
    assert_eq!(after.state.open, None);
    let hold = before.state.hold(transition.event.as_ref().unwrap().at);
    for number in before
        .state
        .open
        .into_iter()
        .chain(hold.map(|last| last.number))
    {
        let ended = &after.numbered(number).unwrap().stage;
        assert!(matches!(ended, RebindState::Ended { .. }), "{ended:?}");
    }
    if let Some(ended) = &transition.also {
        let old = before.numbered(ended.rebind_id.number()).unwrap();
        assert_eq!(ended.version, old.version + 1);
        assert!(matches!(
            ended.stage,
            RebindState::Ended {
                how: End::Frozen | End::Expired,
                ..
            }
        ));
        assert_eq!(ended.sealed_number, None);
    }
    let notifications = &transition.event.as_ref().unwrap().notifications;
    assert_eq!(notifications[0], Notification::OnFile);
}
