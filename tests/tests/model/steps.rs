//! What a function does next: one call to the table, decided and written by the product's own code.

use crate::requests::{
    Answer, Asks, Duty, Loaded, Phase, Process, Request, Typed, Who, Work, fresh_code,
};
use crate::state::{State, code_for};
use crate::world::World;
use crate::writes::{Keep, Wrote};
use domain::agreement::VERSION;
use domain::card::CardType;
use domain::decide::{
    BankReply, CardFacts, Command, Create, Document, SignedAgreement, attempts_max, deposit_of,
    otp_of,
};
use domain::ids::PayoutId;
use domain::merchant::Merchant;
use domain::pii::Phone;
use domain::policy::Policy;
use domain::rebind::{
    CardCheck, Mac, Otp, OtpPurpose, Purpose, Reason, Rebind, RebindState, Sealed,
};
use domain::transition::{Decision, OtpDelivery};
use store::outbox::NoticeStep;

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
            Phase::SettleAttempt {
                loaded,
                compared,
                right,
            } => self.settle_attempt(state, process, &loaded, &compared, right),
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

    pub fn who(&self, state: &State, process: &Process) -> Who {
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
                let left = row
                    .event()
                    .notices
                    .iter()
                    .map(|notice| notice.to())
                    .collect();
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

    /// What a request asks the core for, and what a code of it is compared with. `None`: there is nothing to ask about.
    fn act(
        &self,
        request: &Request,
        index: usize,
        process: &Process,
        merchant: &Merchant,
    ) -> Option<Command> {
        let code = fresh_code(index, process.rounds);
        Some(match &request.asks {
            Asks::Create {
                card,
                standby,
                lost,
            } => Command::Create(Box::new(create(merchant, *card, *standby, *lost, index))),
            Asks::Document(_) => Command::CheckDocument(
                Document {
                    number: Ok(merchant.profile.id_number_mac.clone()),
                    expires_on: Ok(merchant.profile.id_expires_on),
                },
                code,
            ),
            Asks::Resend(_, OtpPurpose::Card) => Command::ResendCardOtp(code),
            Asks::Resend(..) => Command::ResendIdentityOtp(code),
            Asks::Code(_, purpose, _) => Command::ReserveAttempt {
                purpose: *purpose,
                well_formed: true,
            },
            Asks::Sign(_) => Command::SignAgreement(SignedAgreement {
                version: VERSION.to_owned(),
                lang: domain::lang::Lang::ZhCn,
                sha256: "of the text".to_owned(),
                is_current: true,
                issued_at: None,
                signed_name: merchant.profile.holder_name().clone(),
                consents: Vec::new(),
                consents_complete: true,
            }),
            Asks::CardCheck(_) => Command::StartCardCheck {
                bound_elsewhere: process.bound_elsewhere,
                code,
            },
            Asks::Cancel(_) => Command::Cancel,
            Asks::StartSwitch(_) => {
                let rebind = merchant.rebind.as_ref()?;
                Command::StartActivation(rebind.new_card.card_id.clone(), code)
            }
            Asks::Unbind(card) => Command::Unbind(card.clone()),
            Asks::Freeze(number) => Command::Freeze(*number),
            Asks::Pay(number) => {
                let id = PayoutId::parse(&format!("pay_model_{number}")).unwrap();
                Command::CreatePayout(id, 100)
            }
        })
    }

    /// The first write.
    fn decide_and_write(&self, state: &mut State, process: &mut Process, loaded: &Loaded) -> Next {
        let index = match &process.work {
            Work::Request(index) => *index,
            Work::CleanUp(_, duty) => {
                let duty = duty.clone();
                return self.clean_up(state, loaded, &duty);
            }
            Work::Notice(..) => unreachable!("a notice reads nothing"),
        };
        let request = state.requests[index].0.clone();
        let merchant = &loaded.merchant;
        let kept = match (&request.asks, &merchant.rebind) {
            (Asks::Code(_, purpose, _), Some(rebind)) => kept_of(rebind, *purpose),
            _ => None,
        };
        if let Some((kept, taken, max)) = &kept
            && taken >= max
            && self.was_begun(state, index, kept)
        {
            // The last try was this request's own.
            return compare(state, process, index, loaded.clone(), kept);
        }
        let Some(mut act) = self.act(&request, index, process, merchant) else {
            return Next::Answered(404);
        };
        if let Command::SignAgreement(signed) = &mut act {
            // What is signed was shown 11 s ago.
            signed.issued_at = Some(state.now.plus_s(-11));
        }
        let mut transition = match self.decided(merchant, request.slot, act, state) {
            Ok(transition) => transition,
            Err(refusal) => return self.refused(state, process, index, &refusal),
        };
        if let (Asks::Create { .. }, Some(created)) = (&request.asks, &mut transition.rebind) {
            created.sealed_number = Some(Sealed(vec![1]));
        }
        let proceeds = transition.outcome == Decision::Proceed;
        if proceeds && transition.rebind.is_none() {
            // The question is out already: it is repeated under its serial.
            let number = asking(merchant).unwrap();
            process.phase = Phase::Ask(loaded.clone(), number);
            return Next::On;
        }
        let context = kept.as_ref().map_or("", |(kept, ..)| kept.context());
        let keep = match (proceeds, process.claimed) {
            (true, true) => Keep::Nothing,
            (true, false) => Keep::Claim(context),
            (false, _) => Keep::Reply,
        };
        let send = transition.otp_delivery.clone();
        match self.write(state, Some(index), request.slot, loaded, transition, keep) {
            Wrote::Done(after, Decision::Proceed, _) => {
                let number = asking(&after);
                let after = self.written(state, request.who, after);
                match (kept, number) {
                    (Some((kept, ..)), _) => compare(state, process, index, after, &kept),
                    (None, Some(number)) => {
                        process.phase = Phase::Ask(after, number);
                        Next::On
                    }
                    (None, None) => unreachable!("a step in two tries a code, or asks the bank"),
                }
            }
            Wrote::Done(after, _, status) => {
                let code = fresh_code(index, process.rounds);
                answered_with(process, send, &after, code, status)
            }
            Wrote::Replayed(status) => {
                self.meets("a reply was repeated");
                Next::Answered(status)
            }
            Wrote::Claimed(claim) => match kept {
                // This very request took its try before and died: it goes on without another.
                Some((kept, ..)) if claim == kept.context() => {
                    self.meets("a try was taken over");
                    compare(state, process, index, loaded.clone(), &kept)
                }
                Some(_) => Next::Answered(422),
                None => {
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

    fn settle_attempt(
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
        let act = Command::SettleAttempt {
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
        if right && transition.outcome == Decision::Done {
            let proofs = state.proofs.entry((request.who, number)).or_default();
            match purpose {
                OtpPurpose::Identity => {}
                OtpPurpose::Card => proofs.card_otp = true,
                OtpPurpose::Activate => proofs.switch_code = true,
            }
        }
        let identity =
            right && purpose == OtpPurpose::Identity && transition.outcome == Decision::Done;
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
        let act = Command::SettleCardCheck(reply, (!limited).then(|| code.clone()));
        let loaded = self.fresh(state, process, loaded);
        let transition = match self.decided(&loaded.merchant, request.slot, act, state) {
            Ok(transition) => transition,
            Err(refusal) => return self.refused(state, process, index, &refusal),
        };
        let send = transition.otp_delivery.clone();
        let keep = if limited { Keep::Forget } else { Keep::Reply };
        match self.write(state, Some(index), request.slot, &loaded, transition, keep) {
            Wrote::Done(after, outcome, status) => {
                let rebind = after.rebind.as_ref().unwrap();
                let rebind_number = rebind.rebind_id.number();
                if matches!(outcome, Decision::Done) {
                    let proofs = state
                        .proofs
                        .entry((request.who, rebind_number))
                        .or_default();
                    match answer {
                        Some(Answer::Match) => proofs.bank_at = Some(state.now),
                        Some(Answer::Deposit) => {
                            proofs.deposit = true;
                            let shown = (request.who, rebind_number, code_for(OtpPurpose::Card));
                            state.codes.entry(shown).or_default().push(Typed::Deposit);
                        }
                        Some(Answer::Mismatch) | None => {}
                    }
                }
                if limited {
                    return Next::Answered(429);
                }
                answered_with(process, send, &after, code, status)
            }
            Wrote::Replayed(status) => Next::Answered(status),
            Wrote::CodeLimit => {
                process.limited = true;
                again_from(process)
            }
            Wrote::Claimed(_) | Wrote::BoundElsewhere | Wrote::Conflict => again_from(process),
        }
    }

    fn clean_up(&self, state: &mut State, loaded: &Loaded, duty: &Duty) -> Next {
        let act = match duty {
            Duty::Rebind(_) => match loaded.merchant.rebind.as_ref().map(|rebind| &rebind.stage) {
                Some(RebindState::Activated(_)) => Command::Complete,
                _ => Command::Expire,
            },
            Duty::Cooldown => Command::EndCooldown,
            Duty::Card(card) => Command::RemoveCard(card.clone()),
            Duty::Notice(_) => unreachable!("a notice is armed without a read"),
        };
        let Ok(transition) = self.decided(&loaded.merchant, None, act, state) else {
            return Next::Over;
        };
        if let Wrote::Done(..) = self.write(state, None, None, loaded, transition, Keep::Nothing) {
            self.meets("the clean-up did something");
        }
        // One that meets a conflict is met again by the next run.
        Next::Over
    }
}

/// What comes of a step.
pub enum Next {
    On,
    Answered(u16),
    Over,
}

/// What a typed code is compared with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kept {
    Sms(Mac),
    Deposit,
}

impl Kept {
    pub fn context(&self) -> &str {
        match self {
            Self::Sms(mac) => &mac.0,
            Self::Deposit => "deposit",
        }
    }
}

fn kept_of(rebind: &Rebind, purpose: OtpPurpose) -> Option<(Kept, u8, u8)> {
    let max = attempts_max(&rebind.stage, purpose, &Policy::CURRENT);
    if let (RebindState::CardPending { card_attempts, .. }, Some(_), OtpPurpose::Card) =
        (&rebind.stage, deposit_of(&rebind.stage), purpose)
    {
        return Some((Kept::Deposit, card_attempts.taken, max));
    }
    let (code, tries) = otp_of(&rebind.stage, purpose)?;
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

fn asking(merchant: &Merchant) -> Option<u16> {
    match &merchant.rebind.as_ref()?.stage {
        RebindState::CardPending {
            check: CardCheck::Asking { number, .. },
            ..
        } => Some(*number),
        _ => None,
    }
}

/// From the read on, a bounded number of times.
pub fn again(process: &mut Process) -> Next {
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

/// What is typed for a card of the model's wallet.
fn create(merchant: &Merchant, card: u8, standby: bool, lost: bool, index: usize) -> Create {
    let chance = u8::try_from(index).unwrap();
    Create {
        card: Ok(CardFacts {
            bank_code: Some("ICBC".to_owned()),
            card_type: CardType::Debit,
            last4: format!("{card:04}"),
            fingerprint: Mac(format!("card {card}")),
        }),
        holder_name: merchant.profile.holder_name().clone(),
        reserved_phone: Phone::parse("+8613700000009"),
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

/// A code that has its try is compared.
fn compare(
    state: &mut State,
    process: &mut Process,
    index: usize,
    loaded: Loaded,
    kept: &Kept,
) -> Next {
    let request = &state.requests[index].0;
    let Asks::Code(number, purpose, typed) = &request.asks else {
        unreachable!("only codes are compared")
    };
    let right = is_right(typed.as_ref(), kept);
    if !right {
        let of = (request.who, *number, code_for(*purpose));
        state.compared.entry(of).or_default().1.insert(index);
    }
    process.phase = Phase::SettleAttempt {
        loaded,
        compared: mac_of(kept),
        right,
    };
    Next::On
}

/// The reply, after the SMS where one is to be sent.
fn answered_with(
    process: &mut Process,
    send: Option<OtpDelivery>,
    after: &Merchant,
    code: Otp,
    status: u16,
) -> Next {
    let (Some(send), Some(rebind)) = (send, &after.rebind) else {
        return Next::Answered(status);
    };
    process.phase = Phase::Sms {
        number: rebind.rebind_id.number(),
        purpose: send.purpose,
        code: code.mac,
        status,
    };
    Next::On
}
