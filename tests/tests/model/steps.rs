//! What a function does next: one call to the table, decided and written by the product's own code.

use crate::bugs::Bug;
use crate::invariants::{CHAIN, COOLDOWN, FREEZE, PAYOUT, PROOFS, TOLD};
use crate::requests::{Answer, Asks, Duty, Loaded, Phase, Process, Typed, Who, Work, fresh_code};
use crate::rows::Rows;
use crate::state::{State, code_for};
use crate::world::World;
use shared::domain::agreement::VERSION;
use shared::domain::card::CardType;
use shared::domain::code::Code;
use shared::domain::decide::{
    Act, BankReply, CardFacts, Command, Create, Document, SignedAgreement, code_of, decide,
    deposit_of, tries_max,
};
use shared::domain::event_kind::EventKind;
use shared::domain::ids::PayoutId;
use shared::domain::merchant::Merchant;
use shared::domain::rebind::{CardCheck, CodePurpose, Mac, Purpose, Reason, Rebind, Sealed, Stage};
use shared::domain::rejection::Rejection;
use shared::domain::transition::{Outcome, Transition};
use shared::edge::reply::Reply;
use shared::ports::{
    Commit, Committed, Found, IdempotencyKey, PortError, Remember, StoredReply, Wanted,
};
use shared::store::history::NoticeStep;
use shared::store::idempotency::found_in;
use shared::store::item::Item;
use shared::store::read::{Reads, load_with};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::mem::discriminant;
use std::sync::Arc;

/// How often a step begins again before its caller is told of the conflict. The functions do so six times; what a third
/// round could show, the second does.
const ROUNDS_MAX: u8 = 2;

/// How a read falls: after every transaction, or between the halves of the last one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Read {
    Whole,
    /// The head of before it, everything else of after it.
    OldHead,
    /// The latest rebind of before it, the head of after it.
    OldRebind,
}

/// What comes of a process's next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Chance {
    None,
    Reads(Read),
    Answers(Option<Answer>),
    /// The operator takes the text, or does not.
    Takes(bool),
}

impl Reads for Rows {
    async fn tail(
        &self,
        merchant: &shared::domain::ids::MerchantId,
    ) -> Result<Vec<Item>, PortError> {
        let pk = format!("M#{merchant}");
        let latest = self.of_kind(&pk, "R#").last();
        let all = [self.get(&pk, "Z"), self.get(&pk, "Y"), latest];
        Ok(all
            .into_iter()
            .flatten()
            .map(|row| row.item.clone())
            .collect())
    }

    async fn head_profile_and(
        &self,
        merchant: &shared::domain::ids::MerchantId,
        number: u32,
    ) -> Result<Vec<Item>, PortError> {
        let pk = format!("M#{merchant}");
        let sk = format!("R#{number:06x}");
        let all = [self.get(&pk, "Y"), self.get(&pk, "Z"), self.get(&pk, &sk)];
        Ok(all
            .into_iter()
            .flatten()
            .map(|row| row.item.clone())
            .collect())
    }

    async fn rebind(
        &self,
        merchant: &shared::domain::ids::MerchantId,
        number: u32,
    ) -> Result<Option<Item>, PortError> {
        let row = self.get(&format!("M#{merchant}"), &format!("R#{number:06x}"));
        Ok(row.map(|row| row.item.clone()))
    }
}

/// A table that shows half of a transaction once, and is whole from then on.
struct Torn<'r> {
    half: Rows,
    whole: &'r Rows,
    reads: std::cell::Cell<u32>,
}

impl Torn<'_> {
    fn rows(&self) -> &Rows {
        let reads = self.reads.get();
        self.reads.set(reads + 1);
        if reads == 0 { &self.half } else { self.whole }
    }
}

impl Reads for Torn<'_> {
    async fn tail(
        &self,
        merchant: &shared::domain::ids::MerchantId,
    ) -> Result<Vec<Item>, PortError> {
        self.rows().tail(merchant).await
    }

    async fn head_profile_and(
        &self,
        merchant: &shared::domain::ids::MerchantId,
        number: u32,
    ) -> Result<Vec<Item>, PortError> {
        self.rows().head_profile_and(merchant, number).await
    }

    async fn rebind(
        &self,
        merchant: &shared::domain::ids::MerchantId,
        number: u32,
    ) -> Result<Option<Item>, PortError> {
        self.whole.rebind(merchant, number).await
    }
}

/// What a write came to.
enum Wrote {
    Done(Box<Merchant>, Outcome, u16),
    Replayed(u16),
    Claimed(String),
    CodeLimit,
    BoundElsewhere,
    Conflict,
}

impl World {
    /// The step at `index`, with what chance adds. `false`: nothing can come of it.
    pub fn step(&self, state: &mut State, index: usize, chance: Chance) -> bool {
        let mut process = state.processes[index].clone();
        match self.next(state, &mut process, chance) {
            Next::On => state.processes[index] = process,
            Next::Answered(status) => {
                if let Work::Request(request) = process.work {
                    state.requests[request].1 = Some(status);
                }
                state.processes.remove(index);
            }
            Next::Over => {
                state.processes.remove(index);
            }
        }
        true
    }

    fn next(&self, state: &mut State, process: &mut Process, chance: Chance) -> Next {
        match process.phase.clone() {
            Phase::Load => self.load(state, process, chance),
            Phase::Write(loaded) => self.decide_and_write(state, process, &loaded),
            Phase::Ask(loaded, number) => {
                let Chance::Answers(answer) = chance else {
                    unreachable!("the bank answers, or does not")
                };
                process.phase = Phase::SettleCheck {
                    loaded,
                    number,
                    answer,
                };
                Next::On
            }
            Phase::SettleTry {
                loaded,
                compared,
                right,
            } => self.settle_try(state, process, &loaded, &compared, right),
            Phase::SettleCheck {
                loaded,
                number,
                answer,
            } => self.settle_check(state, process, &loaded, number, answer),
            Phase::Sms {
                number,
                purpose,
                code,
                status,
            } => {
                let who = self.who(state, process);
                let shown = state.codes.entry((who, number, code_for(purpose)));
                shown.or_default().push(Typed::Sms(code.0));
                Next::Answered(status)
            }
            Phase::Tell(left) => self.tell(state, process, left, chance),
            Phase::Mark(left) => self.mark(state, process, left),
        }
    }

    fn who(&self, state: &State, process: &Process) -> Who {
        match &process.work {
            Work::Request(request) => state.requests[*request].0.who,
            Work::CleanUp(who, _) | Work::Notice(who, ..) => *who,
        }
    }

    /// Reads, or goes back to reading after a write of somebody else's.
    fn load(&self, state: &mut State, process: &mut Process, chance: Chance) -> Next {
        let who = self.who(state, process);
        match &process.work {
            Work::Notice(_, seq, times) => {
                let claimant = format!("record {seq}-{times}");
                let step = NoticeStep::Claim {
                    claimant: &claimant,
                    wall: state.now,
                };
                if !self.notice(state, who, *seq, step) {
                    return Next::Over;
                }
                let row = self.event_row(state, who, *seq);
                let left = row.event().notices.iter().map(|notice| notice.to).collect();
                process.phase = Phase::Tell(left);
                return Next::On;
            }
            Work::CleanUp(_, Duty::Notice(seq)) => {
                let step = NoticeStep::Rearm {
                    wall: state.now,
                    now: state.now,
                };
                if self.notice(state, who, *seq, step) {
                    // The write goes through the stream.
                    let times = self.deliveries(state, who, *seq);
                    state.stream.push((who, *seq, times));
                    self.meets("a notice was armed again");
                }
                return Next::Over;
            }
            Work::Request(_) | Work::CleanUp(..) => {}
        }
        let Some(loaded) = self.read(state, process, who, chance) else {
            // A torn read that cannot be told from a whole one does not differ from it.
            return Next::Over;
        };
        if let Work::Request(request) = process.work {
            let request = &state.requests[request].0;
            if let Some(slot) = request.slot {
                let session = loaded.merchant.head.sessions.get(usize::from(slot));
                let lives = session
                    .and_then(Option::as_ref)
                    .is_some_and(|session| session.lives(self.policy, state.now));
                if !lives {
                    return Next::Answered(401);
                }
            }
        }
        process.phase = Phase::Write(loaded);
        Next::On
    }

    fn read(
        &self,
        state: &mut State,
        process: &Process,
        who: Who,
        chance: Chance,
    ) -> Option<Loaded> {
        let merchant = &self.merchants[usize::from(who)].id;
        let pk = format!("M#{merchant}");
        let rows = &state.rows.0;
        let look = self.look(rows);
        let rebind_of = |number: u32| {
            let mut rebinds = look[usize::from(who)].rebinds.iter();
            let rebind = rebinds.find(|rebind| rebind.rebind_id.number() == number)?;
            Some(rebind.rebind_id.clone())
        };
        let (id, card);
        let wanted = match &process.work {
            Work::CleanUp(_, Duty::Rebind(number)) => Wanted::Number(*number),
            Work::CleanUp(_, Duty::Card(of)) => {
                card = of.clone();
                Wanted::Card(&card)
            }
            Work::Request(request) => match &state.requests[*request].0.asks {
                Asks::Create { .. } | Asks::Pay(_) => Wanted::Latest,
                Asks::Freeze(number) => Wanted::Announced(*number),
                Asks::Unbind(of) => {
                    card = of.clone();
                    Wanted::Card(&card)
                }
                Asks::StartSwitch(number) | Asks::Code(number, CodePurpose::Activate, _) => {
                    card = self.card_of(state, who, *number)?;
                    Wanted::Card(&card)
                }
                Asks::Document(number)
                | Asks::Resend(number, _)
                | Asks::Code(number, ..)
                | Asks::Sign(number)
                | Asks::CardCheck(number)
                | Asks::Cancel(number) => {
                    id = rebind_of(*number)?;
                    Wanted::Step(&id)
                }
            },
            _ => Wanted::Latest,
        };
        let loaded = match chance {
            Chance::Reads(Read::OldHead | Read::OldRebind) => {
                let mut half = rows.clone();
                let latest = rows.of_kind(&pk, "R#").count();
                let torn = if chance == Chance::Reads(Read::OldHead) {
                    "Y".to_owned()
                } else {
                    format!("R#{latest:06x}")
                };
                half.as_it_was_in(&state.before.0, &pk, &torn);
                let torn = Torn {
                    half,
                    whole: rows,
                    reads: std::cell::Cell::new(0),
                };
                let loaded = now(load_with(&torn, merchant, wanted));
                if torn.reads.get() > 1 {
                    self.meets("half a transaction was recognised");
                }
                loaded
            }
            _ => now(load_with(rows, merchant, wanted)),
        };
        let merchant = loaded.unwrap()?;
        let mut hasher = DefaultHasher::new();
        format!(
            "{:?}{:?}{:?}",
            merchant.head, merchant.rebind, merchant.latest
        )
        .hash(&mut hasher);
        let rows = hasher.finish();
        Some(Loaded {
            merchant: Arc::new(merchant),
            rows,
        })
    }

    /// The first write.
    fn decide_and_write(&self, state: &mut State, process: &mut Process, loaded: &Loaded) -> Next {
        let index = match &process.work {
            Work::Request(index) => *index,
            Work::CleanUp(_, duty) => {
                let duty = duty.clone();
                return self.clean_up(state, process, loaded, &duty);
            }
            Work::Notice(..) => unreachable!("a notice reads nothing"),
        };
        let request = state.requests[index].0.clone();
        let merchant = &loaded.merchant;
        let code = fresh_code(index, process.rounds);
        let mut kept = None;
        let act = match &request.asks {
            Asks::Create {
                card,
                standby,
                lost,
            } => Act::Create(Box::new(
                self.create(merchant, *card, *standby, *lost, index),
            )),
            Asks::Document(_) => Act::CheckDocument(
                Document {
                    number: Ok(merchant.profile.id_number_mac.clone()),
                    expires_on: Ok(merchant.profile.id_expires_on),
                },
                code.clone(),
            ),
            Asks::Resend(_, CodePurpose::Card) => Act::ResendCardCode(code.clone()),
            Asks::Resend(..) => Act::ResendIdentityCode(code.clone()),
            Asks::Code(_, purpose, _) => {
                kept = merchant
                    .rebind
                    .as_ref()
                    .and_then(|rebind| kept_of(rebind, *purpose));
                Act::TakeTry {
                    purpose: *purpose,
                    well_formed: true,
                }
            }
            Asks::Sign(_) => Act::SignAgreement(SignedAgreement {
                version: VERSION.to_owned(),
                lang: "zh-CN",
                sha256: "of the text".to_owned(),
                is_current: true,
                issued_at: Some(state.now.plus_s(-11)),
                signed_name: merchant.profile.holder_name().to_owned(),
                consents: Vec::new(),
                consents_complete: true,
            }),
            Asks::CardCheck(_) => Act::StartCardCheck {
                bound_elsewhere: process.bound_elsewhere,
                code: code.clone(),
            },
            Asks::Cancel(_) => Act::Cancel,
            Asks::StartSwitch(_) => match &merchant.rebind {
                Some(rebind) => Act::StartActivation(rebind.new_card.card_id.clone(), code.clone()),
                None => return Next::Answered(404),
            },
            Asks::Unbind(card) => Act::Unbind(card.clone()),
            Asks::Freeze(number) => Act::Freeze(*number),
            Asks::Pay(number) => {
                let id = PayoutId::parse(&format!("pay_model_{number}")).unwrap();
                Act::CreatePayout(id, 100)
            }
        };
        if let (Asks::Code(.., typed), Some((kept, taken, max))) = (&request.asks, &kept)
            && taken >= max
            && self.was_begun(state, index, kept)
        {
            // The last try was this request's own.
            let right = is_right(typed.as_ref(), kept);
            note_comparison(state, index, right);
            process.phase = Phase::SettleTry {
                loaded: loaded.clone(),
                compared: mac_of(kept),
                right,
            };
            return Next::On;
        }
        let mut transition = match self.decided(merchant, request.slot, act, state) {
            Ok(transition) => transition,
            Err(refusal) => return self.refused(state, process, index, &refusal),
        };
        if let (Asks::Create { .. }, Some(created)) = (&request.asks, &mut transition.rebind) {
            created.sealed_number = Some(Sealed(vec![1]));
        }
        let asks = transition.outcome == Outcome::Proceed;
        if let (Asks::CardCheck(_), true, None) = (&request.asks, asks, &transition.rebind) {
            // The question is out already: it is repeated under its serial.
            let number = asking(merchant).unwrap();
            process.phase = Phase::Ask(loaded.clone(), number);
            return Next::On;
        }
        let context = kept.as_ref().map_or("", |(kept, ..)| kept.context());
        let keep = match (asks, process.claimed) {
            (true, true) => Keep::Nothing,
            (true, false) => Keep::Claim(context),
            (false, _) => Keep::Reply,
        };
        let send = transition.code_send.clone();
        match self.write(state, Some(index), request.slot, loaded, transition, keep) {
            Wrote::Done(after, outcome, status) => {
                if let (Asks::Code(.., typed), Outcome::Proceed) = (&request.asks, &outcome)
                {
                    let (kept, ..) = kept.unwrap();
                    let right = is_right(typed.as_ref(), &kept);
                    note_comparison(state, index, right);
                    process.phase = Phase::SettleTry {
                        loaded: self.written(state, request.who, after),
                        compared: mac_of(&kept),
                        right,
                    };
                    return Next::On;
                }
                if let (Asks::CardCheck(_), Outcome::Proceed) = (&request.asks, &outcome) {
                    let number = asking(&after).unwrap();
                    process.phase = Phase::Ask(self.written(state, request.who, after), number);
                    return Next::On;
                }
                match send {
                    Some(send) => {
                        let number = after.rebind.unwrap().rebind_id.number();
                        process.phase = Phase::Sms {
                            number,
                            purpose: send.purpose,
                            code: code.mac,
                            status,
                        };
                        Next::On
                    }
                    None => Next::Answered(status),
                }
            }
            Wrote::Replayed(status) => {
                self.meets("a reply was repeated");
                Next::Answered(status)
            }
            Wrote::Claimed(claim) => match &request.asks {
                Asks::Code(.., typed) => {
                    let (kept, ..) = kept.unwrap();
                    if claim != kept.context() {
                        return Next::Answered(422);
                    }
                    // This very request took its try before and died: it goes on without another.
                    self.meets("a try was taken over");
                    let right = is_right(typed.as_ref(), &kept);
                    note_comparison(state, index, right);
                    process.phase = Phase::SettleTry {
                        loaded: loaded.clone(),
                        compared: mac_of(&kept),
                        right,
                    };
                    Next::On
                }
                _ => {
                    process.claimed = true;
                    again(process)
                }
            },
            Wrote::CodeLimit => Next::Answered(429),
            Wrote::BoundElsewhere => {
                process.bound_elsewhere = true;
                again(process)
            }
            Wrote::Conflict => again(process),
        }
    }

    fn settle_try(
        &self,
        state: &mut State,
        process: &mut Process,
        loaded: &Loaded,
        compared: &Mac,
        right: bool,
    ) -> Next {
        let Work::Request(index) = process.work else {
            unreachable!("only requests try codes")
        };
        let request = state.requests[index].0.clone();
        let Asks::Code(number, purpose, _) = request.asks else {
            unreachable!("only codes are tried")
        };
        let act = Act::SettleTry {
            purpose,
            compared: compared.clone(),
            right,
            bound_elsewhere: process.bound_elsewhere,
        };
        let loaded = self.fresh(state, process, loaded);
        let transition = match self.decided(&loaded.merchant, request.slot, act, state) {
            Ok(transition) => transition,
            Err(refusal) => return self.refused(state, process, index, &refusal),
        };
        if right && transition.outcome == Outcome::Done {
            let proofs = state.proofs.entry((request.who, number)).or_default();
            match purpose {
                CodePurpose::Identity => {}
                CodePurpose::Card => proofs.card_code = true,
                CodePurpose::Activate => proofs.switch_code = true,
            }
        }
        let identity =
            right && purpose == CodePurpose::Identity && transition.outcome == Outcome::Done;
        match self.write(
            state,
            Some(index),
            request.slot,
            &loaded,
            transition,
            Keep::Reply,
        ) {
            Wrote::Done(_, _, status) => {
                if identity {
                    let at = Some(state.now);
                    state
                        .proofs
                        .entry((request.who, number))
                        .or_default()
                        .identity_at = at;
                }
                Next::Answered(status)
            }
            Wrote::Replayed(status) => Next::Answered(status),
            Wrote::BoundElsewhere => {
                process.bound_elsewhere = true;
                again_from(process)
            }
            Wrote::Claimed(_) | Wrote::CodeLimit | Wrote::Conflict => again_from(process),
        }
    }

    fn settle_check(
        &self,
        state: &mut State,
        process: &mut Process,
        loaded: &Loaded,
        number: u16,
        answer: Option<Answer>,
    ) -> Next {
        let Work::Request(index) = process.work else {
            unreachable!("only requests ask")
        };
        let request = state.requests[index].0.clone();
        let code = fresh_code(index, 100 + process.rounds);
        let reply = BankReply {
            number,
            answer: answer.map(Into::into),
        };
        let limited = process.limited;
        let act = Act::SettleCardCheck(reply, (!limited).then(|| code.clone()));
        let loaded = self.fresh(state, process, loaded);
        let transition = match self.decided(&loaded.merchant, request.slot, act, state) {
            Ok(transition) => transition,
            Err(refusal) => return self.refused(state, process, index, &refusal),
        };
        let send = transition.code_send.clone();
        let keep = if limited { Keep::Forget } else { Keep::Reply };
        match self.write(state, Some(index), request.slot, &loaded, transition, keep) {
            Wrote::Done(after, outcome, status) => {
                let rebind = after.rebind.unwrap();
                let rebind_number = rebind.rebind_id.number();
                if matches!(outcome, Outcome::Done) {
                    let proofs = state
                        .proofs
                        .entry((request.who, rebind_number))
                        .or_default();
                    match answer {
                        Some(Answer::Match) => proofs.bank_at = Some(state.now),
                        Some(Answer::Deposit) => {
                            proofs.deposit = true;
                            let shown = (request.who, rebind_number, code_for(CodePurpose::Card));
                            state.codes.entry(shown).or_default().push(Typed::Deposit);
                        }
                        Some(Answer::Mismatch) | None => {}
                    }
                }
                if limited {
                    return Next::Answered(429);
                }
                match send {
                    Some(send) => {
                        process.phase = Phase::Sms {
                            number: rebind_number,
                            purpose: send.purpose,
                            code: code.mac,
                            status,
                        };
                        Next::On
                    }
                    None => Next::Answered(status),
                }
            }
            Wrote::Replayed(status) => Next::Answered(status),
            Wrote::CodeLimit => {
                process.limited = true;
                again_from(process)
            }
            Wrote::Claimed(_) | Wrote::BoundElsewhere | Wrote::Conflict => again_from(process),
        }
    }

    /// After a conflict the state is read again in the same breath: what falls between is covered by the write's condition.
    fn fresh(&self, state: &mut State, process: &Process, loaded: &Loaded) -> Loaded {
        if process.rounds == 0 {
            return loaded.clone();
        }
        let who = self.who(state, process);
        self.read(state, process, who, Chance::Reads(Read::Whole))
            .unwrap()
    }

    /// What a request knows after its own write.
    fn written(&self, state: &State, who: Who, after: Box<Merchant>) -> Loaded {
        Loaded {
            merchant: Arc::from(after),
            rows: state.rows.0.hash_of(&self.merchants[usize::from(who)].pk),
        }
    }

    fn clean_up(
        &self,
        state: &mut State,
        process: &mut Process,
        loaded: &Loaded,
        duty: &Duty,
    ) -> Next {
        let act = match duty {
            Duty::Rebind(_) => match loaded.merchant.rebind.as_ref().map(|rebind| &rebind.stage) {
                Some(Stage::Activated(_)) => Act::Complete,
                _ => Act::Expire,
            },
            Duty::Cooldown => Act::EndCooldown,
            Duty::Card(card) => Act::RemoveCard(card.clone()),
            Duty::Notice(_) => unreachable!("a notice is armed without a read"),
        };
        let Ok(transition) = self.decided(&loaded.merchant, None, act, state) else {
            return Next::Over;
        };
        if let Wrote::Done(..) = self.write(state, None, None, loaded, transition, Keep::Nothing) {
            self.meets("the clean-up did something");
        }
        // One that meets a conflict is met again by the next run.
        let _ = process;
        Next::Over
    }

    fn decided(
        &self,
        merchant: &Merchant,
        by: Option<u8>,
        act: Act,
        state: &State,
    ) -> Result<Transition, Rejection> {
        let (merchant, policy) = self.bug.misread(merchant, self.policy);
        decide(&merchant, &Command { by, act }, &policy, state.now)
    }

    /// A refusal that changed nothing: unless this request was answered before.
    fn refused(
        &self,
        state: &mut State,
        process: &mut Process,
        index: usize,
        refusal: &Rejection,
    ) -> Next {
        if matches!(state.requests[index].0.asks, Asks::Freeze(_)) {
            return match refusal.code {
                Code::NotFound => Next::Answered(202),
                _ => again(process),
            };
        }
        let status = match self.found(state, index) {
            Found::Reply(kept) => {
                self.meets("a reply was repeated");
                kept.status
            }
            _ => Reply::problem(refusal, "model").status,
        };
        Next::Answered(status)
    }

    fn was_begun(&self, state: &State, index: usize, kept: &Kept) -> bool {
        matches!(self.found(state, index), Found::Claimed(context) if context == kept.context())
    }

    fn found(&self, state: &State, index: usize) -> Found {
        let key = key(index);
        let row = state.rows.0.get(&format!("I#{}", key.scope), "I");
        row.map_or(Found::Nothing, |row| {
            found_in(&row.item, &key, state.now).unwrap()
        })
    }

    fn write(
        &self,
        state: &mut State,
        index: Option<usize>,
        slot: Option<u8>,
        loaded: &Loaded,
        mut transition: Transition,
        keep: Keep<'_>,
    ) -> Wrote {
        let before = &*loaded.merchant;
        self.bug.spoil(before, &mut transition);
        let event = transition.chained(before, None, self.policy);
        let after = transition.applied_to(before);
        let (status, kept) = match &transition.outcome {
            Outcome::Refused(refusal) => {
                let reply = Reply::problem(refusal, "model");
                (reply.status, reply.is_kept())
            }
            Outcome::Done | Outcome::Proceed => (200, true),
        };
        let phone_key = transition
            .code_send
            .as_ref()
            .map(|send| format!("of {}", send.phone));
        // What a reply says is not the model's matter.
        let stored = StoredReply {
            status,
            body: "{}".to_owned(),
        };
        let key = index.map(key);
        let keyed = slot.is_some() && self.bug != Bug::ForgetsReplies;
        let remember = match (&key, keep) {
            (Some(key), Keep::Claim(context)) if keyed => Remember::Claim(key, context),
            (Some(key), Keep::Reply) if keyed && kept => Remember::Reply(key, &stored),
            (Some(key), Keep::Forget) if keyed => Remember::Forget(key),
            _ => Remember::Nothing,
        };
        let commit = Commit {
            before,
            transition: &transition,
            event: event.as_ref(),
            phone_key: phone_key.as_deref(),
            session: slot,
            remember,
            now: state.now,
        };
        let mut writes = self.store.writes(&commit).unwrap();
        self.bug.spoil_writes(&mut writes.items);
        let mut rows = state.rows.0.clone();
        match rows.transact(&writes.items) {
            Ok(()) => {
                self.record(&state.rows.0, &writes.items, true);
                let who = self.who_is(before);
                state.before.0 = std::mem::replace(&mut state.rows.0, rows);
                if let (Some(index), true, Keep::Reply) = (index, kept, keep) {
                    state.effects[index] += 1;
                }
                match &event {
                    Some(event) => self.noted(state, who, before, &after, &transition, event),
                    None if !is_silent(before, &after) => {
                        state.broken.insert(CHAIN);
                    }
                    None => {}
                }
                Wrote::Done(Box::new(after), transition.outcome.clone(), status)
            }
            Err(reasons) => {
                self.record(&state.rows.0, &writes.items, false);
                self.meets("a write came too late");
                match writes.cancelled(&commit, &reasons) {
                    Ok(Committed::Before(Found::Reply(kept))) => Wrote::Replayed(kept.status),
                    Ok(Committed::Before(Found::Claimed(context))) => Wrote::Claimed(context),
                    Ok(Committed::CodeLimit { .. }) => Wrote::CodeLimit,
                    Ok(Committed::BoundElsewhere) => Wrote::BoundElsewhere,
                    // The core is told that the payout is there.
                    Ok(Committed::PayoutKnown(_)) => Wrote::Replayed(200),
                    Ok(Committed::Before(Found::Nothing)) | Err(PortError::Conflict) => {
                        Wrote::Conflict
                    }
                    other => panic!("{other:?}"),
                }
            }
        }
    }

    /// What a transition that is written now says about the world.
    #[allow(clippy::too_many_arguments)]
    fn noted(
        &self,
        state: &mut State,
        who: Who,
        before: &Merchant,
        after: &Merchant,
        transition: &Transition,
        event: &shared::domain::history::Event,
    ) {
        // From here on the stream has it, if somebody is to be told.
        let row = self.event_row(state, who, event.seq);
        if row.item.contains_key("notice") {
            state.stream.push((who, event.seq, 0));
        }
        for notice in &event.notices {
            state.told.insert((who, event.seq, notice.to), 0);
        }
        match event.kind {
            EventKind::AgreementSigned => {
                let number = after.rebind.as_ref().unwrap().rebind_id.number();
                state.proofs.entry((who, number)).or_default().signed = true;
            }
            EventKind::Activated => {
                let rebind = after.rebind.as_ref().unwrap();
                self.meets("a card was activated");
                if !self.is_proven(state, who, rebind, before) {
                    state.broken.insert(PROOFS);
                }
                if self.look(&state.before.0)[usize::from(who)]
                    .facts
                    .cools(state.now)
                {
                    state.broken.insert(COOLDOWN);
                }
                let on_file = &before.profile.phone_on_file;
                let must = [
                    Some(on_file),
                    Some(&rebind.reserved_phone).filter(|phone| *phone != on_file),
                ];
                let told =
                    |phone: &&String| event.notices.iter().any(|notice| notice.phone == **phone);
                if !must.iter().flatten().all(told) {
                    state.broken.insert(TOLD);
                }
            }
            EventKind::Frozen => {
                self.meets("an account was frozen");
                let look = self.look(&state.before.0);
                let hold = look[usize::from(who)]
                    .facts
                    .moves
                    .iter()
                    .rev()
                    .find(|one| !one.undone);
                let hold = hold.filter(|one| state.now < one.effective_at);
                let active = after.head.active.as_ref();
                let active = active.map(|bound| bound.card.card_id.as_str());
                if let Some(hold) = hold
                    && active != hold.old.as_deref()
                {
                    state.broken.insert(FREEZE);
                }
            }
            EventKind::PayoutCreated => {
                let look = self.look(&state.before.0);
                let facts = &look[usize::from(who)].facts;
                let payout = transition.payout.as_ref().unwrap().payout();
                let card = payout.card.as_ref().map(|card| card.card_id.as_str());
                if card != facts.paid(state.now) {
                    state.broken.insert(PAYOUT);
                }
            }
            EventKind::StandbyReady => {
                self.meets("a standby card is ready");
            }
            _ => {}
        }
    }

    /// Whether this very rebind was proven, and lately: by what people did.
    fn is_proven(&self, state: &State, who: Who, rebind: &Rebind, before: &Merchant) -> bool {
        let Some(proofs) = state.proofs.get(&(who, rebind.rebind_id.number())) else {
            return false;
        };
        let was_standby = before
            .rebind
            .as_ref()
            .is_some_and(|rebind| matches!(rebind.stage, Stage::Standby(_)));
        if was_standby {
            return proofs.switch_code && proofs.signed && proofs.card_code;
        }
        let fresh = |at: Option<shared::domain::time::Timestamp>, most_s| {
            at.is_some_and(|at| at.age_s_at(state.now) <= most_s)
        };
        let card = proofs.deposit || fresh(proofs.bank_at, 30 * 60);
        fresh(proofs.identity_at, 15 * 60) && proofs.signed && card && proofs.card_code
    }

    fn tell(
        &self,
        state: &mut State,
        process: &mut Process,
        mut left: Vec<shared::domain::transition::Recipient>,
        chance: Chance,
    ) -> Next {
        let Work::Notice(who, seq, times) = process.work else {
            unreachable!("only notices are told")
        };
        if chance == Chance::Takes(false) {
            let claimant = format!("record {seq}-{times}");
            let step = NoticeStep::Release {
                claimant: &claimant,
            };
            let _ = self.notice(state, who, seq, step);
            // The record comes again with all after it.
            state.stream.insert(0, (who, seq, times));
            return Next::Over;
        }
        let Some(to) = left.first().copied() else {
            return Next::Over;
        };
        *state.told.entry((who, seq, to)).or_default() += 1;
        self.meets("somebody was told");
        process.phase = Phase::Mark(std::mem::take(&mut left));
        Next::On
    }

    fn mark(
        &self,
        state: &mut State,
        process: &mut Process,
        mut left: Vec<shared::domain::transition::Recipient>,
    ) -> Next {
        let Work::Notice(who, seq, times) = process.work else {
            unreachable!("only notices are told")
        };
        let to = left.remove(0);
        let claimant = format!("record {seq}-{times}");
        let step = NoticeStep::Sent {
            to,
            last: left.is_empty(),
            claimant: &claimant,
        };
        if self.bug != Bug::ForgetsWhoWasTold && !self.notice(state, who, seq, step) {
            return Next::Over;
        }
        if left.is_empty() {
            return Next::Over;
        }
        process.phase = Phase::Tell(left);
        Next::On
    }

    /// Writes a step of a notice; whether it held.
    fn notice(&self, state: &mut State, who: Who, seq: u64, step: NoticeStep<'_>) -> bool {
        let merchant = &self.merchants[usize::from(who)].id;
        let write = [self.store.notice_write(merchant, seq, step).unwrap()];
        let mut rows = state.rows.0.clone();
        let holds = rows.transact(&write).is_ok();
        self.record(&state.rows.0, &write, holds);
        if holds {
            state.rows.0 = rows;
        }
        holds
    }

    fn create(
        &self,
        merchant: &Merchant,
        card: u8,
        standby: bool,
        lost: bool,
        index: usize,
    ) -> Create {
        let chance = u8::try_from(index).unwrap();
        Create {
            card: Ok(CardFacts {
                bank_code: Some("ICBC".to_owned()),
                card_type: CardType::Debit,
                last4: format!("{card:04}"),
                fingerprint: Mac(format!("card {card}")),
            }),
            holder_name: merchant.profile.holder_name().to_owned(),
            reserved_phone: Ok("+8613700000009".to_owned()),
            reason: Some(if lost { Reason::Lost } else { Reason::Replace }),
            purpose: if standby {
                Purpose::Standby
            } else {
                Purpose::Activate
            },
            rebind_random: [chance; 16],
            card_random: [chance; 16],
        }
    }
}

/// What comes of a step.
enum Next {
    On,
    Answered(u16),
    Over,
}

/// How a write remembers its request.
#[derive(Clone, Copy)]
enum Keep<'a> {
    Reply,
    Claim(&'a str),
    Nothing,
    Forget,
}

/// What a typed code is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kept {
    Sms(Mac),
    Deposit,
}

impl Kept {
    fn context(&self) -> &str {
        match self {
            Self::Sms(mac) => &mac.0,
            Self::Deposit => "deposit",
        }
    }
}

fn kept_of(rebind: &Rebind, purpose: CodePurpose) -> Option<(Kept, u8, u8)> {
    let max = tries_max(
        &rebind.stage,
        purpose,
        &shared::domain::policy::Policy::CURRENT,
    );
    if let (Stage::CardPending { card_tries, .. }, Some(_), CodePurpose::Card) =
        (&rebind.stage, deposit_of(&rebind.stage), purpose)
    {
        return Some((Kept::Deposit, card_tries.taken, max));
    }
    let (code, tries) = code_of(&rebind.stage, purpose)?;
    Some((Kept::Sms(code.mac.clone()), tries.taken, max))
}

fn is_right(typed: Option<&Typed>, kept: &Kept) -> bool {
    match (typed, kept) {
        (Some(Typed::Sms(typed)), Kept::Sms(kept)) => *typed == kept.0,
        (Some(Typed::Deposit), Kept::Deposit) => true,
        _ => false,
    }
}

fn mac_of(kept: &Kept) -> Mac {
    match kept {
        Kept::Sms(mac) => mac.clone(),
        Kept::Deposit => Mac(String::new()),
    }
}

/// Whether a write without an event left every rebind in the stage where it was: only tries, codes and bank calls may move
/// without a word in the history.
fn is_silent(before: &Merchant, after: &Merchant) -> bool {
    let stage = |merchant: &Merchant| merchant.rebind.as_ref().map(|one| discriminant(&one.stage));
    stage(before) == stage(after) && before.head.active == after.head.active
}

/// A wrong code was looked at.
fn note_comparison(state: &mut State, index: usize, right: bool) {
    let request = &state.requests[index].0;
    if let (Asks::Code(number, purpose, _), false) = (&request.asks, right) {
        let of = (request.who, *number, code_for(*purpose));
        state.compared.entry(of).or_default().1.insert(index);
    }
}

fn asking(merchant: &Merchant) -> Option<u16> {
    match &merchant.rebind.as_ref()?.stage {
        Stage::CardPending {
            check: CardCheck::Asking { number, .. },
            ..
        } => Some(*number),
        _ => None,
    }
}

/// From the read on, a bounded number of times.
fn again(process: &mut Process) -> Next {
    process.phase = Phase::Load;
    again_from(process)
}

/// The same write, on what is read again.
fn again_from(process: &mut Process) -> Next {
    process.rounds += 1;
    if process.rounds > ROUNDS_MAX {
        return Next::Answered(409);
    }
    Next::On
}

pub fn key(index: usize) -> IdempotencyKey {
    IdempotencyKey {
        scope: format!("request {index}"),
        fingerprint: "its body".to_owned(),
    }
}

/// Of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T>) -> T {
    use std::task::{Context, Poll, Waker};
    let mut future = std::pin::pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => unreachable!("a read of the model waits for nothing"),
    }
}
