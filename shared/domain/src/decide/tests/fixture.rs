//! One merchant in memory, walked from state to state by the commands themselves: a test starts from nothing that could not
//! be reached.

use super::super::*;
use crate::card::{Card, CardStatus, CardType};
use crate::format::DocumentExpiry;
use crate::history::{ChainedEvent, GENESIS};
use crate::ids::{CardId, MerchantId};
use crate::merchant::{BoundCard, EntityType, Frozen, Profile, PushTarget, Session, Settlement};
use crate::payout::Payout;
use crate::push::PushPlatform;
use crate::rebind::{Purpose, Reason, Sealed};
use crate::secret::Secret;
use crate::settlement::{Cycle, PayoutTime};
use crate::transition::Decision;
use crate::window::Window;
use std::collections::BTreeMap;

pub(super) use crate::policy::{DAY_S, HOUR_S, MINUTE_S};

pub(super) const POLICY: Policy = Policy::CURRENT;
pub(super) const PHONE_ON_FILE: &str = "+8613900000001";
pub(super) const RESERVED_PHONE: &str = "+8613900000002";
pub(super) const HOLDER: &str = "测试商户一";

/// Seconds after 2026-11-22T10:00:00+08:00, when every [`World`] begins.
pub(super) fn t(after_s: i64) -> Timestamp {
    Timestamp::from_epoch_s(1_795_312_800 + after_s)
}

/// A merchant, a clock, and everything that was written so far.
#[derive(Clone)]
pub(super) struct World {
    pub(super) state: Merchant,
    pub(super) now: Timestamp,
    /// The session that asks: 0, 1 or none.
    pub(super) by: Option<Slot>,
    pub(super) history: Vec<ChainedEvent>,
    /// Every rebind as it was last written, by its number.
    rebinds: BTreeMap<u32, Rebind>,
    /// Every payout as it was last written, by its id.
    payouts: BTreeMap<PayoutId, Payout>,
}

impl World {
    /// A sole trader with a card, logged in just now on two devices; no rebind yet.
    pub(super) fn new() -> Self {
        Self {
            state: merchant(),
            now: t(0),
            by: Some(0),
            history: Vec::new(),
            rebinds: BTreeMap::new(),
            payouts: BTreeMap::new(),
        }
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

    /// Both sessions begin anew.
    pub(super) fn login(mut self) -> Self {
        for session in self.state.head.sessions.iter_mut().flatten() {
            session.login_at = self.now;
            session.last_change_at = self.now;
        }
        self
    }

    pub(super) fn decide(&self, act: Command) -> Result<Transition, Rejection> {
        let command = CommandContext { by: self.by, act };
        decide(&self.state, &command, &POLICY, self.now)
    }

    /// Decides and writes; the transition as it was decided.
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
            .extend(transition.chained(&self.state, None, &POLICY));
        self.state = transition.applied_to(&self.state);
        if let Some(change) = &transition.payout {
            let payout = change.payout();
            self.payouts
                .insert(payout.payout_id.clone(), payout.clone());
        }
        for rebind in self.state.rebind.iter().chain(&self.state.latest) {
            self.rebinds
                .insert(rebind.rebind_id.number(), rebind.clone());
        }
    }

    /// Decides, which must do what was asked, and writes.
    pub(super) fn done(&mut self, act: Command) -> Transition {
        let transition = self.write(act);
        assert!(
            !matches!(transition.outcome, Decision::Refused(_)),
            "{:?}",
            transition.outcome
        );
        transition
    }

    /// The same, by value.
    pub(super) fn then(mut self, act: Command) -> Self {
        self.done(act);
        self
    }

    /// Decides, which must refuse and write nothing.
    pub(super) fn refused(&self, act: Command) -> Rejection {
        self.decide(act).unwrap_err()
    }

    /// Decides, which must refuse and write that down.
    pub(super) fn refused_in_writing(&mut self, act: Command) -> Rejection {
        match self.write(act).outcome {
            Decision::Refused(refusal) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    pub(super) fn rebind(&self) -> &Rebind {
        self.state.rebind.as_ref().unwrap()
    }

    pub(super) fn stage(&self) -> &RebindState {
        &self.rebind().stage
    }

    pub(super) fn shown(&self) -> &'static str {
        self.state.state_of(self.rebind(), self.now).as_str()
    }

    pub(super) fn next_actions(&self) -> Vec<NextAction> {
        next_actions(&self.state, self.rebind(), &POLICY, self.now)
    }

    /// Taken and wrong, of the code that is waited for.
    pub(super) fn tries(&self, purpose: OtpPurpose) -> (u8, u8) {
        let (_, tries) = otp_of(self.stage(), purpose).unwrap();
        (tries.taken, tries.wrong)
    }

    /// The hash of the code that is waited for.
    pub(super) fn mac(&self, purpose: OtpPurpose) -> Mac {
        otp_of(self.stage(), purpose).unwrap().0.mac.clone()
    }

    /// Takes a try and compares: a whole `…/confirm`.
    pub(super) fn confirm(&mut self, purpose: OtpPurpose, right: bool) -> Transition {
        let compared = self.mac(purpose);
        assert_eq!(self.write(take(purpose)).outcome, Decision::Proceed);
        self.write(settle(purpose, compared, right))
    }

    /// A whole `…/confirm` with a wrong code.
    pub(super) fn wrong(&mut self, purpose: OtpPurpose) -> Rejection {
        match self.confirm(purpose, false).outcome {
            Decision::Refused(refusal) => *refusal,
            other => panic!("{other:?}"),
        }
    }

    /// The code that is waited for could not be handed over.
    pub(super) fn not_sent(self, purpose: OtpPurpose) -> Self {
        let mac = self.mac(purpose);
        self.then(Command::OtpNotSent(purpose, mac))
    }

    // The way to the new card, each step at the present time.

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
        self.asking().then(bank(Some(BankAnswer::Match)))
    }

    pub(super) fn activated(self) -> Self {
        self.matched().confirmed(OtpPurpose::Card)
    }

    pub(super) fn confirmed(mut self, purpose: OtpPurpose) -> Self {
        assert_eq!(self.confirm(purpose, true).outcome, Decision::Done);
        self
    }

    // Any way to a new card.

    /// A fresh login, a request, and every step up to the question to the bank.
    pub(super) fn asking_for(self, request: Command) -> Self {
        let world = self.latest().login().then(request).then(document(true));
        let shown_at = world.now.plus_s(-POLICY.agreement_min_read_s);
        let world = world.confirmed(OtpPurpose::Identity).then(sign(shown_at));
        world.then(card_check())
    }

    /// … up to the code to the reserved phone.
    pub(super) fn matched_for(self, request: Command) -> Self {
        self.asking_for(request).then(bank(Some(BankAnswer::Match)))
    }

    /// … and that code too: the card is bound.
    pub(super) fn bound_by(self, request: Command) -> Self {
        self.matched_for(request).confirmed(OtpPurpose::Card)
    }

    /// The bank cannot check the card: a deposit is on its way to it.
    pub(super) fn deposit_sent_for(self, request: Command) -> Self {
        let sent = BankAnswer::Deposited { arrived: false };
        self.asking_for(request).then(bank(Some(sent)))
    }

    /// … and has arrived.
    pub(super) fn deposit_arrived_for(self, request: Command) -> Self {
        self.deposit_sent_for(request)
            .then(Command::SettleDeposit(Some(TransferAnswer::Succeeded)))
    }

    /// … and its code is right, with the identity proven anew where it has to be.
    pub(super) fn bound_by_deposit(self, request: Command) -> Self {
        let mut world = self.deposit_arrived_for(request);
        assert_eq!(world.confirm_deposit(true).outcome, Decision::Done);
        world
    }

    /// A whole `…/card-check/confirm` with a deposit's code.
    pub(super) fn confirm_deposit(&mut self, right: bool) -> Transition {
        assert_eq!(
            self.write(take(OtpPurpose::Card)).outcome,
            Decision::Proceed
        );
        let derived = Mac("derived from the serial".to_owned());
        self.write(settle(OtpPurpose::Card, derived, right))
    }

    /// A standby card, told apart by its name.
    pub(super) fn standby(self, card: &str) -> Self {
        self.bound_by(create_standby(card))
    }

    /// A fresh login and a code for the switch to the card of this rebind, named `switch-1`.
    pub(super) fn switch_code_for(self, number: u32) -> Self {
        let world = self.login().about(number);
        let card_id = world.card(number);
        world.then(Command::StartActivation(card_id, code("switch-1")))
    }

    /// … which is right.
    pub(super) fn switched_to(self, number: u32) -> Self {
        self.switch_code_for(number).confirmed(OtpPurpose::Activate)
    }

    /// ¥0.01 is on its way to the new card.
    pub(super) fn test_sent(self) -> Self {
        self.then(Command::StartTestTransfer)
    }

    /// What the bank says of it.
    pub(super) fn test_says(self, answer: TransferAnswer) -> Self {
        self.then(Command::SettleTestTransfer(Some(answer)))
    }

    // Everything that is stored.

    /// The next command is about this rebind.
    pub(super) fn about(mut self, number: u32) -> Self {
        self.state.rebind = self.rebinds.get(&number).cloned();
        let latest = Some(self.state.head.rebinds).filter(|latest| *latest != number);
        self.state.latest = latest.and_then(|latest| self.rebinds.get(&latest).cloned());
        self
    }

    /// … about the latest one.
    pub(super) fn latest(self) -> Self {
        let latest = self.state.head.rebinds;
        self.about(latest)
    }

    /// The card that came with this rebind; 0 for the one that came with the merchant.
    pub(super) fn card(&self, number: u32) -> CardId {
        match self.rebinds.get(&number) {
            Some(rebind) => rebind.new_card.card_id.clone(),
            None => CardId::new(number, &[1; 16]),
        }
    }

    /// The rebind of this number as it was last written.
    pub(super) fn rebind_of(&self, number: u32) -> &Rebind {
        &self.rebinds[&number]
    }

    /// What the card of this rebind is now.
    pub(super) fn status_of(&self, number: u32) -> CardStatus {
        self.state.card_status(&self.card(number), self.now)
    }

    /// The number of the rebind that the pointer's card came with.
    pub(super) fn active(&self) -> Option<u32> {
        let active = self.state.head.active.as_ref()?;
        Some(active.card.card_id.number())
    }

    /// The code of this rebind's announcement is given.
    pub(super) fn freeze(mut self, number: u32) -> Self {
        let by = self.by.take();
        let mut world = self.about(number).then(Command::Freeze(number));
        world.by = by;
        world
    }

    /// The operator's word, and a new login.
    pub(super) fn unfreeze(mut self) -> Self {
        let by = self.by.take();
        let mut world = self.then(Command::Unfreeze("the merchant was asked".to_owned()));
        world.by = by;
        world.state.head.sessions = merchant().head.sessions;
        world.login()
    }

    /// By nobody: the clean-up's decision, or the acquirer's core's.
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

    /// The same, about a payout.
    pub(super) fn system_with(self, name: &str, act: impl FnOnce(Payout) -> Command) -> Self {
        let payout = self.payout(name);
        self.system(act(payout))
    }

    /// Every payout as it was last written.
    pub(super) fn payouts(&self) -> impl Iterator<Item = &Payout> {
        self.payouts.values()
    }

    pub(super) fn payout(&self, name: &str) -> Payout {
        self.payouts[&payout_id(name)].clone()
    }

    /// The number of the rebind that the payout's card came with; `None` while it is held.
    pub(super) fn paid_to(&self, name: &str) -> Option<u32> {
        let card = self.payouts[&payout_id(name)].card.as_ref()?;
        Some(card.card_id.number())
    }

    /// The merchant's unsent payouts on their way to this rebind's card.
    pub(super) fn unsent(&self, number: u32) -> u32 {
        let bound = self.state.head.bound(&self.card(number));
        bound.map_or(0, |bound| bound.unsent)
    }
}

/// A device is to be told by push.
pub(super) fn push(id: &str, token: &str) -> Command {
    Command::PutPushTarget(Box::new(NewPushTarget {
        target: PushTarget {
            id: id.to_owned(),
            token_tag: token.to_owned(),
        },
        platform: PushPlatform::Apns,
        sealed_token: Sealed(vec![2]),
    }))
}

/// Settings as they were typed.
pub(super) fn settlement(cycle: &str, daily_limit_fen: i64) -> Command {
    Command::ChangeSettlement(SettlementChange::read(
        Some(cycle),
        Some("18:30"),
        Some(100),
        Some(daily_limit_fen),
        None,
    ))
}

/// `pay_` and the name.
pub(super) fn payout_id(name: &str) -> PayoutId {
    PayoutId::parse(&format!("pay_{name}")).unwrap()
}

/// A merchant without a rebind: what the store holds once the acquirer has put it there.
fn merchant() -> Merchant {
    let session = |token| Session {
        token_hash: [token; 32],
        login_at: t(0),
        last_change_at: t(0),
    };
    Merchant {
        head: MerchantState {
            version: 1,
            last_seq: 0,
            last_hash: GENESIS.to_owned(),
            rebinds: 0,
            rebind_version: 0,
            open: None,
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
            }),
            standby: Vec::new(),
            replaced: Vec::new(),
            held_payouts: 0,
            freeze_codes: Vec::new(),
            push_targets: Vec::new(),
            push_removed_at: None,
            setting_changes: Window::default(),
            last_activation: None,
            cooldown_until: None,
            cooldown_end_untold: false,
            security_changed_at: None,
            frozen: None,
            lost_at: None,
            requests: Window::default(),
            id_mismatches: Window::default(),
            bank_calls: Vec::new(),
            sessions: [Some(session(1)), Some(session(2)), None, None, None],
        },
        profile: Profile {
            merchant_id: MerchantId::parse("mer_test").unwrap(),
            entity_type: EntityType::SoleTrader,
            legal_name: HOLDER.to_owned(),
            settlement_name: None,
            id_number_mac: Mac("person".to_owned()),
            id_expires_on: DocumentExpiry::parse("2035-01-31").unwrap(),
            phone_on_file: PHONE_ON_FILE.to_owned(),
            opened_at: t(-800 * DAY_S),
            daily_limit_max_fen: 5_000_000,
            fee_rate_bp: 60,
            settlement: Settlement {
                cycle: Cycle::T1,
                payout_time: PayoutTime::parse("06:00").unwrap(),
                retained_fen: 0,
                daily_limit_fen: 2_000_000,
            },
            sealed_id_number: None,
            history_key: None,
        },
        rebind: None,
        latest: None,
    }
}

/// A card number's keyed hash. The first eight characters tell cards apart where calls are counted.
pub(super) fn fingerprint(card: &str) -> Mac {
    Mac(format!("{card:->8}-fingerprint"))
}

/// What a merchant types to ask for a rebind, all of it right.
pub(super) fn request() -> Create {
    Create {
        card: Ok(CardFacts {
            bank_code: Some("CMB".to_owned()),
            card_type: CardType::Debit,
            last4: "0020".to_owned(),
            fingerprint: fingerprint("new"),
        }),
        holder_name: HOLDER.to_owned(),
        reserved_phone: Ok(RESERVED_PHONE.to_owned()),
        reason: Some(Reason::Replace),
        purpose: Purpose::Activate,
        rebind_random: [2; 16],
        card_random: [3; 16],
    }
}

pub(super) fn create() -> Command {
    Command::Create(Box::new(request()))
}

/// [`request`] with a change.
pub(super) fn create_with(change: impl FnOnce(&mut Create)) -> Command {
    let mut request = request();
    change(&mut request);
    Command::Create(Box::new(request))
}

/// For another card, told apart by its name.
pub(super) fn create_for(card: &str) -> Command {
    create_with(|request| request.card.as_mut().unwrap().fingerprint = fingerprint(card))
}

/// A standby card, told apart by its name.
pub(super) fn create_standby(card: &str) -> Command {
    create_with(|request| {
        request.purpose = Purpose::Standby;
        name_card(request, card);
    })
}

/// The old card is lost; the new one is told apart by its name.
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
        digits: Secret::new("123456".to_owned()),
        mac: Mac(name.to_owned()),
        phone_hash: Mac("of the phone".to_owned()),
    }
}

/// The right document, or one with another number; the code that follows is named `identity-1`.
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
    Command::CheckDocument(Document { number, expires_on }, code("identity-1"))
}

/// A further code, named `identity-2` or `card-2`.
pub(super) fn resend(purpose: OtpPurpose) -> Command {
    match purpose {
        OtpPurpose::Identity => Command::ResendIdentityOtp(code("identity-2")),
        OtpPurpose::Card => Command::ResendCardOtp(code("card-2")),
        OtpPurpose::Activate => panic!("asked for with the card's id"),
    }
}

pub(super) fn take(purpose: OtpPurpose) -> Command {
    Command::ReserveAttempt {
        purpose,
        well_formed: true,
        deposit_polled: true,
    }
}

pub(super) fn settle(purpose: OtpPurpose, compared: Mac, right: bool) -> Command {
    Command::SettleAttempt {
        purpose,
        compared,
        right,
        bound_elsewhere: false,
    }
}

/// A signature with everything in order, of a text that was shown at `shown_at`.
pub(super) fn signature(shown_at: Timestamp) -> SignedAgreement {
    SignedAgreement {
        version: "2026-11-22".to_owned(),
        lang: crate::lang::Lang::ZhCn,
        sha256: "5ha".to_owned(),
        is_current: true,
        issued_at: Some(shown_at),
        signed_name: HOLDER.to_owned(),
        consents: vec!["settlement_change".to_owned()],
        consents_complete: true,
    }
}

pub(super) fn sign(shown_at: Timestamp) -> Command {
    Command::SignAgreement(signature(shown_at))
}

/// `…/card-check`; the code that a match leads to is named `card-1`.
pub(super) fn card_check() -> Command {
    Command::StartCardCheck {
        bound_elsewhere: false,
        code: code("card-1"),
    }
}

/// What the bank says to the first question.
pub(super) fn bank(answer: Option<BankAnswer>) -> Command {
    bank_to(1, answer)
}

pub(super) fn bank_to(number: u16, answer: Option<BankAnswer>) -> Command {
    Command::SettleCardCheck(BankReply { number, answer }, Some(code("card-1")))
}

/// The codes of a refusal's bad fields.
pub(super) fn bad_fields(refusal: &Rejection) -> Vec<(&'static str, ErrorCode)> {
    let errors = refusal.errors.iter();
    errors.map(|error| (error.field, error.code)).collect()
}

/// The account is frozen; payouts go on.
pub(super) fn frozen(at: Timestamp) -> Option<Frozen> {
    Some(Frozen {
        at,
        holds_payouts: false,
    })
}
