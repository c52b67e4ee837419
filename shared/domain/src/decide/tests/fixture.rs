//! One merchant in memory. Only commands change its state, so every test starts from a reachable state.

use super::super::*;
use crate::agreement::{self, AgreementText, ConsentId};
use crate::card::{Card, CardStatus, CardType};
pub(super) use crate::decide::next_actions::FINAL_REFUSAL;
use crate::device::{DeviceTag, SessionDevice};
use crate::format::DocumentExpiry;
use crate::history::ChainedEvent;
use crate::ids::{CardId, MerchantId};
use crate::lang::Lang;
use crate::merchant::{BoundCard, EntityType, Frozen, Profile, PushTarget, Session, Settlement};
use crate::payout::Payout;
pub(super) use crate::pii::{DocumentType, PersonName, Phone};
use crate::push::PushPlatform;
use crate::rebind::{Purpose, Reason, Sealed};
use crate::settlement::{Cycle, PayoutTime};
use crate::transition::Outcome;
use std::collections::BTreeMap;

pub(super) use crate::policy::{DAY_S, HOUR_S, MINUTE_S};

pub(super) const POLICY: Policy = Policy::CURRENT;
pub(super) const PHONE_ON_FILE: &str = "+8613900000001";
pub(super) const RESERVED_PHONE: &str = "+8613900000002";
pub(super) const HOLDER: &str = "测试商户一";

/// The time this many seconds after 2026-11-22T10:00:00+08:00, the start of every [`World`].
pub(super) fn t(after_s: i64) -> Timestamp {
    Timestamp::from_epoch_s(1_795_312_800 + after_s)
}

/// The thumbprint of the core system's encryption key.
pub(super) const THUMBPRINT: &str = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs";

/// The core system begins to pay, or asks for the card number again.
pub(super) fn begin_payment(payout: Payout) -> Command {
    Command::PayoutSending(payout, THUMBPRINT.to_owned())
}

/// A merchant, a clock, and everything written so far.
#[derive(Clone)]
pub(super) struct World {
    pub(super) merchant: Merchant,
    pub(super) now: Timestamp,
    /// The session of the next command: 0, 1 or none.
    pub(super) by: Option<Slot>,
    pub(super) history: Vec<ChainedEvent>,
    /// The stored rebinds, by number.
    rebinds: BTreeMap<u32, Rebind>,
    /// The stored payouts, by id.
    payouts: BTreeMap<PayoutId, Payout>,
    /// True if each notification of a change is handed over at once, without an event of its own.
    notifies: bool,
}

impl World {
    /// A sole trader with a card, just logged in on two devices, without a rebind.
    pub(super) fn new() -> Self {
        Self {
            merchant: merchant(),
            now: t(0),
            by: Some(0),
            history: Vec::new(),
            rebinds: BTreeMap::new(),
            payouts: BTreeMap::new(),
            notifies: true,
        }
    }

    /// The same world without hand-overs: an activation waits for its notification.
    pub(super) fn unnotified(mut self) -> Self {
        self.notifies = false;
        self
    }

    pub(super) fn at(mut self, after_s: i64) -> Self {
        self.now = t(after_s);
        self
    }

    pub(super) fn by(mut self, slot: Slot) -> Self {
        self.by = Some(slot);
        self
    }

    pub(super) fn later(mut self, by_s: i64) -> Self {
        self.now = self.now.plus_s(by_s);
        self
    }

    /// Renews both sessions.
    pub(super) fn login(mut self) -> Self {
        for session in self.merchant.state.sessions.iter_mut().flatten() {
            session.login_at = self.now;
            session.last_change_at = self.now;
        }
        self
    }

    pub(super) fn decide(&self, act: Command) -> Result<Transition, Rejection> {
        let command = CommandContext { by: self.by, act };
        decide(&self.merchant, &command, &POLICY, self.now)
    }

    /// Decides and writes. Returns the decided transition.
    pub(super) fn write(&mut self, act: Command) -> Transition {
        let transition = self.decide(act).unwrap();
        self.apply(transition.clone());
        transition
    }

    pub(super) fn apply(&mut self, mut transition: Transition) {
        if let Some(created) = &mut transition.rebind
            && created.version == 1
        {
            created.sealed_number = Some(Sealed(vec![1]));
        }
        self.history
            .extend(transition.chained(&self.merchant, None, &POLICY));
        self.merchant = transition.applied_to(&self.merchant);
        if self.notifies {
            self.hand_over();
        }
        if let Some(change) = &transition.payout {
            let payout = change.payout();
            self.payouts
                .insert(payout.payout_id.clone(), payout.clone());
        }
        for rebind in self.merchant.rebind.iter().chain(&self.merchant.latest) {
            self.rebinds
                .insert(rebind.rebind_id.number(), rebind.clone());
        }
    }

    fn hand_over(&mut self) {
        let state = &mut self.merchant.state;
        for standby in &mut state.standby {
            standby.waits = false;
        }
        if let Some(last) = state
            .last_activation
            .as_mut()
            .filter(|last| last.times.waits)
        {
            last.times.waits = false;
            let until = last
                .times
                .effective_at
                .plus_s(POLICY.freeze_after_effective_s);
            let mut codes = state.freeze_codes.iter_mut();
            if let Some(code) =
                codes.find(|code| code.rebind == Some(last.number) && code.activation)
            {
                code.good_until = Some(until);
            }
        }
        for rebind in self
            .merchant
            .rebind
            .iter_mut()
            .chain(&mut self.merchant.latest)
        {
            if let RebindState::Activated(activated) = &mut rebind.stage {
                activated.times.waits = false;
            }
        }
    }

    /// Decides and writes. The command must succeed.
    pub(super) fn done(&mut self, act: Command) -> Transition {
        let transition = self.write(act);
        assert!(
            !matches!(transition.outcome, Outcome::Refused(_)),
            "{:?}",
            transition.outcome
        );
        transition
    }

    /// Same as [`World::done`], by value.
    pub(super) fn then(mut self, act: Command) -> Self {
        self.done(act);
        self
    }

    /// Decides. The command must be refused without a write.
    pub(super) fn refused(&self, act: Command) -> Rejection {
        self.decide(act).unwrap_err()
    }

    /// Decides and writes. The command must be refused with a write.
    pub(super) fn refused_with_write(&mut self, act: Command) -> Rejection {
        match self.write(act).outcome {
            Outcome::Refused(refusal) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn rebind(&self) -> &Rebind {
        self.merchant.rebind.as_ref().unwrap()
    }

    pub(super) fn stage(&self) -> &RebindState {
        &self.rebind().stage
    }

    pub(super) fn shown(&self) -> &'static str {
        self.merchant.state_of(self.rebind(), self.now).as_str()
    }

    pub(super) fn next_actions(&self) -> Vec<NextAction> {
        next_actions(&self.merchant, self.rebind(), &POLICY, self.now)
    }

    /// The reserved and the wrong attempts of the pending code.
    pub(super) fn attempts(&self, purpose: OtpPurpose) -> (u8, u8) {
        let (_, attempts) = otp_of(self.stage(), purpose).unwrap();
        (attempts.reserved, attempts.wrong)
    }

    /// The hash of the pending code.
    pub(super) fn mac(&self, purpose: OtpPurpose) -> Mac {
        otp_of(self.stage(), purpose).unwrap().0.mac.clone()
    }

    /// A complete `…/confirm`: reserves an attempt and settles it.
    pub(super) fn confirm(&mut self, purpose: OtpPurpose, right: bool) -> Transition {
        let compared = self.mac(purpose);
        assert_eq!(self.write(reserve(purpose)).outcome, Outcome::Proceed);
        self.write(settle(purpose, compared, right))
    }

    /// A complete `…/confirm` with a wrong code.
    pub(super) fn wrong(&mut self, purpose: OtpPurpose) -> Rejection {
        match self.confirm(purpose, false).outcome {
            Outcome::Refused(refusal) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    /// The SMS with the pending code could not be sent.
    pub(super) fn not_sent(self, purpose: OtpPurpose) -> Self {
        let mac = self.mac(purpose);
        self.then(Command::OtpNotSent(purpose, mac))
    }

    // The steps to the new card, each at the current time.

    pub(super) fn created(self) -> Self {
        self.then(create())
    }

    pub(super) fn identity_sent(self) -> Self {
        self.created().then(document(true))
    }

    pub(super) fn agreement_pending(self) -> Self {
        self.identity_sent().confirmed(OtpPurpose::Identity)
    }

    pub(super) fn card_pending(self) -> Self {
        let shown_at = self.now.plus_s(-POLICY.agreement_min_read_s);
        self.agreement_pending().then(sign(shown_at))
    }

    pub(super) fn asking(self) -> Self {
        self.card_pending().then(card_check())
    }

    pub(super) fn matched(self) -> Self {
        self.asking().then(bank(Some(BankAnswer::DEBIT_MATCH)))
    }

    pub(super) fn activated(self) -> Self {
        self.matched().confirmed(OtpPurpose::Card)
    }

    pub(super) fn confirmed(mut self, purpose: OtpPurpose) -> Self {
        assert_eq!(self.confirm(purpose, true).outcome, Outcome::Done);
        self
    }

    // Several steps to a new card at once.

    /// A fresh login, a request, and every step up to the bank call.
    pub(super) fn asking_for(self, request: Command) -> Self {
        let world = self.latest().login().then(request).then(document(true));
        let shown_at = world.now.plus_s(-POLICY.agreement_min_read_s);
        let world = world.confirmed(OtpPurpose::Identity).then(sign(shown_at));
        world.then(card_check())
    }

    /// Every step up to the code to the reserved phone.
    pub(super) fn matched_for(self, request: Command) -> Self {
        self.asking_for(request)
            .then(bank(Some(BankAnswer::DEBIT_MATCH)))
    }

    /// Every step, including that code: the card is verified.
    pub(super) fn bound_by(self, request: Command) -> Self {
        self.matched_for(request).confirmed(OtpPurpose::Card)
    }

    /// The bank cannot check the card, and a deposit is sent.
    pub(super) fn deposit_sent_for(self, request: Command) -> Self {
        let sent = BankAnswer::Deposited { arrived: false };
        self.asking_for(request).then(bank(Some(sent)))
    }

    /// The deposit has arrived.
    pub(super) fn deposit_arrived_for(self, request: Command) -> Self {
        self.deposit_sent_for(request)
            .then(Command::SettleDeposit(Some(TransferAnswer::Succeeded)))
    }

    /// The deposit's code is correct, with a renewed identity proof if needed.
    pub(super) fn bound_by_deposit(self, request: Command) -> Self {
        let mut world = self.deposit_arrived_for(request);
        assert_eq!(world.confirm_deposit(true).outcome, Outcome::Done);
        world
    }

    /// A complete `…/card-check/confirm` with a deposit's code.
    pub(super) fn confirm_deposit(&mut self, right: bool) -> Transition {
        assert_eq!(
            self.write(reserve(OtpPurpose::Card)).outcome,
            Outcome::Proceed
        );
        let derived = Mac("derived from the serial".to_owned());
        self.write(settle(OtpPurpose::Card, derived, right))
    }

    /// A standby card with this name.
    pub(super) fn standby(self, card: &str) -> Self {
        self.bound_by(create_standby(card))
    }

    /// A fresh login and the code `switch-1` for the switch to the card of this rebind.
    pub(super) fn switch_code_for(self, number: u32) -> Self {
        let world = self.login().about(number);
        let card_id = world.card(number);
        world.then(Command::StartActivation(card_id, code("switch-1")))
    }

    /// The switch with the correct code.
    pub(super) fn switched_to(self, number: u32) -> Self {
        self.switch_code_for(number).confirmed(OtpPurpose::Activate)
    }

    /// The test transfer to the new card is sent.
    pub(super) fn test_sent(self) -> Self {
        self.then(Command::StartTestTransfer)
    }

    /// The bank's answer about the test transfer.
    pub(super) fn test_says(self, answer: TransferAnswer) -> Self {
        self.then(Command::SettleTestTransfer(Some(answer)))
    }

    // Stored objects.

    /// Loads this rebind for the next command.
    pub(super) fn about(mut self, number: u32) -> Self {
        self.merchant.rebind = self.rebinds.get(&number).cloned();
        let latest = Some(self.merchant.state.rebinds).filter(|latest| *latest != number);
        self.merchant.latest = latest.and_then(|latest| self.rebinds.get(&latest).cloned());
        self
    }

    /// Loads the latest rebind.
    pub(super) fn latest(self) -> Self {
        let latest = self.merchant.state.rebinds;
        self.about(latest)
    }

    /// The card of this rebind; 0 for the card from onboarding.
    pub(super) fn card(&self, number: u32) -> CardId {
        match self.rebinds.get(&number) {
            Some(rebind) => rebind.new_card.card_id.clone(),
            None => CardId::new(number, &[1; 16]),
        }
    }

    /// The stored rebind with this number.
    pub(super) fn rebind_of(&self, number: u32) -> &Rebind {
        &self.rebinds[&number]
    }

    /// The status of this rebind's card.
    pub(super) fn status_of(&self, number: u32) -> CardStatus {
        self.merchant.card_status(&self.card(number), self.now)
    }

    /// The rebind number of the active card.
    pub(super) fn active(&self) -> Option<u32> {
        let active = self.merchant.state.active.as_ref()?;
        Some(active.card.card_id.number())
    }

    /// The card that a payout gets now.
    pub(super) fn paid_to_now(&self) -> Option<u32> {
        let card = self.merchant.state.paying_card(self.now)?;
        Some(card.card_id.number())
    }

    /// The use of this rebind's latest freeze code; of no code if it has none.
    pub(super) fn freeze_command(&self, number: u32) -> Command {
        let codes = self.merchant.state.freeze_codes.iter();
        let code = codes.rev().find(|code| code.rebind == Some(number));
        Command::Freeze(code.map_or(0, |code| code.seq))
    }

    /// Uses the freeze code of this rebind.
    pub(super) fn freeze(mut self, number: u32) -> Self {
        let by = self.by.take();
        let command = self.freeze_command(number);
        let mut world = self.about(number).then(command);
        world.by = by;
        world
    }

    /// The operator ends the freeze and keeps the active card. Then a new login, after the quiet period.
    pub(super) fn unfreeze(mut self) -> Self {
        let by = self.by.take();
        let last = self.merchant.state.last_activation.as_ref();
        let missing = last
            .map(|last| last.number)
            .filter(|number| self.merchant.numbered(*number).is_none());
        let world = match missing {
            Some(number) => self.about(number),
            None => self,
        };
        let active = world.merchant.state.active.as_ref();
        let card_id = active.map(|active| active.card.card_id.clone());
        let mut world = world.then(Command::Unfreeze {
            reason: "the merchant confirmed the change".to_owned(),
            card_id,
        });
        world.by = by;
        world.merchant.state.security_changed_at = None;
        world.merchant.state.sessions = merchant().state.sessions;
        world.login()
    }

    /// Issues a command of the clean-up or the acquirer's core.
    pub(super) fn system(mut self, act: Command) -> Self {
        let by = self.by.take();
        let mut world = self.then(act);
        world.by = by;
        world
    }

    /// A new payout of 100 fen.
    pub(super) fn pay(self, name: &str) -> Self {
        self.system(Command::CreatePayout(payout_id(name), 100))
    }

    /// Issues such a command about a payout.
    pub(super) fn system_with(self, name: &str, act: impl FnOnce(Payout) -> Command) -> Self {
        let payout = self.payout(name);
        self.system(act(payout))
    }

    /// The acquirer's core pays and reports it.
    pub(super) fn sent(self, name: &str) -> Self {
        self.system_with(name, begin_payment)
            .system_with(name, Command::PayoutSent)
    }

    /// The stored payouts.
    pub(super) fn payouts(&self) -> impl Iterator<Item = &Payout> {
        self.payouts.values()
    }

    pub(super) fn payout(&self, name: &str) -> Payout {
        self.payouts[&payout_id(name)].clone()
    }

    /// The rebind number of the payout's card; `None` while the payout is held.
    pub(super) fn paid_to(&self, name: &str) -> Option<u32> {
        let card = self.payouts[&payout_id(name)].card.as_ref()?;
        Some(card.card_id.number())
    }

    /// The number of unsent payouts to this rebind's card.
    pub(super) fn unsent(&self, number: u32) -> u32 {
        let bound = self.merchant.state.bound(&self.card(number));
        bound.map_or(0, |bound| bound.unsent)
    }

    /// The number of payouts to this rebind's card that are being paid.
    pub(super) fn sending(&self, number: u32) -> u32 {
        let bound = self.merchant.state.bound(&self.card(number));
        bound.map_or(0, |bound| bound.sending)
    }
}

/// A known device that first logged in at `first_s`.
pub(super) fn device(tag: &str, first_s: i64) -> SessionDevice {
    SessionDevice {
        tag: DeviceTag(tag.to_owned()),
        first_seen: t(first_s),
        known: true,
    }
}

/// The first login of a device.
pub(super) fn add_device(slot: Slot, tag: &str) -> Command {
    let device = device(tag, 0);
    Command::AddDevice(Box::new(OpenedSession::new(slot, device, [9; 32], t(0))))
}

/// Registers a device for push.
pub(super) fn push(id: &str, token: &str) -> Command {
    Command::PutPushTarget(Box::new(NewPushTarget {
        target: PushTarget {
            id: id.to_owned(),
            token_tag: token.to_owned(),
            device: DeviceTag::default(),
            registered_at: t(0),
        },
        platform: PushPlatform::Apns,
        sealed_token: Some(Sealed(vec![2])),
    }))
}

/// Changes the settings, as typed.
pub(super) fn settlement(cycle: &str, daily_limit_fen: i64) -> Command {
    Command::ChangeSettlement(SettlementChange::read(
        Some(cycle),
        Some("18:30"),
        Some(100),
        Some(daily_limit_fen),
        None,
    ))
}

/// The hand-over of a change's notification.
pub(super) fn notified() -> Command {
    Command::ConfirmNotified(NotifiedBy::Sms, None)
}

pub(super) fn payout_id(name: &str) -> PayoutId {
    PayoutId::parse(&format!("pay_{name}")).unwrap()
}

/// A merchant without a rebind, as after onboarding.
pub(super) fn merchant() -> Merchant {
    let session = |token| Session {
        token_hash: [token; 32],
        login_at: t(0),
        last_change_at: t(0),
        device: device(&format!("device{token}"), -90 * DAY_S),
    };
    Merchant {
        state: MerchantState {
            active: Some(BoundCard {
                card: Card {
                    card_id: CardId::new(0, &[1; 16]),
                    bank_code: Some("ICBC".to_owned()),
                    card_type: CardType::Debit,
                    last4: "0010".to_owned(),
                    bound_at: t(-800 * DAY_S),
                },
                fingerprint: fingerprint("old"),
                unsent: 0,
                sending: 0,
            }),
            sessions: [Some(session(1)), Some(session(2)), None, None, None],
            ..MerchantState::onboarded(Settlement {
                cycle: Cycle::T1,
                payout_time: PayoutTime::parse("06:00").unwrap(),
                retained_fen: 0,
                daily_limit_fen: 2_000_000,
            })
        },
        profile: Profile {
            merchant_id: MerchantId::parse("mer_test").unwrap(),
            version: 1,
            account: Mac("account".to_owned()),
            entity_type: EntityType::SoleTrader,
            legal_name: PersonName::new(HOLDER),
            settlement_name: None,
            id_number_mac: Mac("person".to_owned()),
            document_type: DocumentType::ResidentId,
            id_expires_on: DocumentExpiry::parse("2035-01-31").unwrap(),
            phone_on_file: Phone::parse(PHONE_ON_FILE).unwrap(),
            previous_phone: None,
            opened_at: t(-800 * DAY_S),
            daily_limit_max_fen: 5_000_000,
            fee_rate_bp: 60,
            sealed_id_number: None,
            history_key: None,
        },
        rebind: None,
        latest: None,
    }
}

/// The keyed hash of a card number. Its first eight characters identify the card in the count of bank calls.
pub(super) fn fingerprint(card: &str) -> Mac {
    Mac(format!("{card:->8}-fingerprint"))
}

/// A valid request for a rebind.
pub(super) fn request() -> Create {
    Create {
        card: Ok(CardFacts {
            bank_code: Some("CMB".to_owned()),
            card_type: CardType::Debit,
            last4: "0020".to_owned(),
            has_check_digit: true,
            fingerprint: fingerprint("new"),
            previous_fingerprint: None,
        }),
        holder_name: PersonName::new(HOLDER),
        reserved_phone: Phone::parse(RESERVED_PHONE),
        number_confirmed: false,
        reason: Some(Reason::Replace),
        purpose: Purpose::Activate,
        rebind_random: [2; 16],
        card_random: [3; 16],
    }
}

pub(super) fn create() -> Command {
    Command::Create(Box::new(request()))
}

/// [`request`] with a modification.
pub(super) fn create_with(change: impl FnOnce(&mut Create)) -> Command {
    let mut request = request();
    change(&mut request);
    Command::Create(Box::new(request))
}

/// A rebind for the card with this name.
pub(super) fn create_for(card: &str) -> Command {
    create_with(|request| request.card.as_mut().unwrap().fingerprint = fingerprint(card))
}

/// A rebind for a standby card with this name.
pub(super) fn create_standby(card: &str) -> Command {
    create_with(|request| {
        request.purpose = Purpose::Standby;
        name_card(request, card);
    })
}

/// A rebind to the card with this name, because the old card is lost.
pub(super) fn create_lost(card: &str) -> Command {
    create_with(|request| {
        request.reason = Some(Reason::Lost);
        name_card(request, card);
    })
}

fn name_card(request: &mut Create, name: &str) {
    let card = request.card.as_mut().unwrap();
    card.fingerprint = fingerprint(name);
    card.last4 = match name {
        "b" => "0030",
        "c" => "0040",
        _ => "0050",
    }
    .to_owned();
}

pub(super) fn code(name: &str) -> Otp {
    Otp {
        mac: Mac(name.to_owned()),
        phone_hash: Mac("of the phone".to_owned()),
    }
}

/// The registered document or one with another number. The code to send is `identity-1`.
pub(super) fn document(right: bool) -> Command {
    let number = if right { "person" } else { "somebody else" };
    typed_document(
        Ok(Mac(number.to_owned())),
        DocumentExpiry::parse("2035-01-31"),
    )
}

pub(super) fn typed_document(
    number: Result<Mac, ErrorCode>,
    expires_on: Result<DocumentExpiry, ErrorCode>,
) -> Command {
    let document = Document { number, expires_on };
    Command::CheckDocument(document, code("identity-1"))
}

/// Sends another code, `identity-2` or `card-2`.
pub(super) fn resend(purpose: OtpPurpose) -> Command {
    match purpose {
        OtpPurpose::Identity => Command::ResendIdentityOtp(code("identity-2")),
        OtpPurpose::Card => Command::ResendCardOtp(code("card-2")),
        OtpPurpose::Activate => panic!("asked for with the card's id"),
    }
}

pub(super) fn reserve(purpose: OtpPurpose) -> Command {
    Command::ReserveAttempt {
        purpose,
        well_formed: true,
        deposit_polled: true,
    }
}

pub(super) fn settle(purpose: OtpPurpose, compared: Mac, right: bool) -> Command {
    Command::SettleAttempt {
        purpose,
        compared: Some(compared),
        right,
        bound_elsewhere: false,
    }
}

/// A valid signature of a text that was shown at `shown_at`.
pub(super) fn signature(shown_at: Timestamp) -> SignedAgreement {
    let text = AgreementText {
        sha256: "5ha".to_owned(),
        ..agreement::text(Lang::ZhCn, "", "")
    };
    let consents = ConsentId::ALL.iter();
    SignedAgreement {
        version: Some(text.version.to_owned()),
        sha256: Some(text.sha256.clone()),
        text,
        issued_at: Some(shown_at),
        signed_name: PersonName::new(HOLDER),
        consents: consents.map(ToString::to_string).collect(),
    }
}

pub(super) fn sign(shown_at: Timestamp) -> Command {
    Command::SignAgreement(Box::new(signature(shown_at)))
}

/// `…/card-check`. The code after a match is `card-1`.
pub(super) fn card_check() -> Command {
    Command::StartCardCheck {
        bound_elsewhere: false,
        code: code("card-1"),
    }
}

/// The bank's answer to the first call.
pub(super) fn bank(answer: Option<BankAnswer>) -> Command {
    bank_to(1, answer)
}

pub(super) fn bank_to(number: u16, answer: Option<BankAnswer>) -> Command {
    Command::SettleCardCheck(BankReply { number, answer }, Some(code("card-1")))
}

/// The fields of a refusal with their codes.
pub(super) fn bad_fields(refusal: &Rejection) -> Vec<(&'static str, ErrorCode)> {
    let errors = refusal.errors.iter();
    errors.map(|error| (error.field, error.code)).collect()
}

/// A freeze that does not hold payouts.
pub(super) fn frozen(at: Timestamp) -> Option<Frozen> {
    Some(Frozen {
        at,
        holds_payouts: false,
    })
}
