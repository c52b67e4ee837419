//! The bank's check of the new card, or the deposit where the bank cannot check it.
//!
//! The intent, with its serial and its place in the day's count, is written before the bank is asked; the answer after.
//! No answer is not a "no": the same question is asked again under the same serial, and counts for nothing meanwhile.

use super::{Context, deposit_of};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event, Match};
use crate::merchant::{BankCall, MerchantState};
use crate::next_action::NextAction;
use crate::policy::{DAY_S, MINUTE_S};
use crate::rebind::{Attempts, BankReference, CardCheck, Otp, OtpPurpose, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transfer::TransferAnswer;
use crate::transition::{Decision, FingerprintRule, OtpDelivery, Transition};

/// What a bank can say of name, ID, card and phone together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BankAnswer {
    /// They belong together.
    Match,
    /// They do not. Which one does not is never told.
    Mismatch,
    /// The card was not opened for such checks.
    NotEnabled,
    /// The issuer does not answer such checks.
    IssuerUnsupported,
    /// Confiscated, reported lost.
    Blocked,
    /// No such card.
    Invalid,
    /// Not initialised, or dormant.
    Dormant,
    /// Past its date.
    Expired,
    /// Restricted.
    Restricted,
    /// A Class II account: it cannot receive settlement.
    ClassTwo,
    /// The bank did not understand the question: a bug of ours.
    Malformed,
    /// Try again soon.
    Busy,
    /// Try again tomorrow.
    Quota,
    /// The bank cannot check the card; a deposit with a code is on its way to it, or has arrived.
    Deposited {
        /// The bank has said so.
        arrived: bool,
    },
    /// The bank cannot check the card, and the deposit came back.
    DepositReturned,
}

impl BankAnswer {
    /// Whether it says something of the card; else the bank cannot say, or cannot say now.
    #[must_use]
    pub const fn decides(self) -> bool {
        !matches!(
            self,
            Self::NotEnabled | Self::IssuerUnsupported | Self::Malformed | Self::Busy | Self::Quota
        )
    }

    /// The name in the history.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Match => "match",
            Self::Mismatch => "mismatch",
            Self::NotEnabled => "not_enabled",
            Self::IssuerUnsupported => "issuer_unsupported",
            Self::Blocked => "blocked",
            Self::Invalid => "invalid",
            Self::Dormant => "dormant",
            Self::Expired => "expired",
            Self::Restricted => "restricted",
            Self::ClassTwo => "class_ii",
            Self::Malformed => "malformed",
            Self::Busy => "busy",
            Self::Quota => "quota",
            Self::Deposited { .. } => "deposited",
            Self::DepositReturned => "deposit_returned",
        }
    }
}

/// What came back for one serial.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankReply {
    /// The number of the serial that was asked.
    pub number: u16,
    /// The answer; `None` when it was lost, late or garbled.
    pub answer: Option<BankAnswer>,
}

/// What an answer means for the rebind.
enum Meaning {
    /// A code goes to the reserved phone.
    Matched,
    /// A code went to the card itself.
    Deposited {
        /// And is there.
        arrived: bool,
    },
    /// This card will not do: the rebind ends.
    Refused(ErrorCode),
    /// Nothing is decided: the same serial is asked again.
    AskAgain(ErrorCode, Option<i64>),
}

impl Context<'_> {
    pub(super) fn start_card_check(
        &self,
        bound_elsewhere: bool,
        fresh: &Otp,
    ) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| matches!(stage, RebindState::CardPending { .. }))?;
        let RebindState::CardPending {
            check,
            card_attempts,
            ..
        } = &rebind.stage
        else {
            return Err(self.out_of_order(rebind));
        };
        let number = match check {
            CardCheck::Asking { .. } => {
                return Ok(Transition {
                    outcome: Decision::Proceed,
                    ..Transition::none()
                });
            }
            CardCheck::Matched {
                matched_at, code, ..
            } if self.is_fresh(*matched_at) => {
                if code
                    .as_ref()
                    .is_some_and(|code| code.lives(self.policy, self.now))
                {
                    return Ok(Transition::none());
                }
                if card_attempts.taken >= self.policy.code_tries {
                    return self.all_tries_taken(rebind, OtpPurpose::Card, card_attempts);
                }
                return Ok(self.resend_card_code(rebind, check, fresh));
            }
            // The deposit is the challenge, for as long as the rebind lives.
            CardCheck::Deposit { .. } => return Ok(Transition::none()),
            CardCheck::Matched { number, .. } => number.saturating_add(1),
            CardCheck::NotAsked { next } => *next,
        };
        self.bank_limits(rebind)?;

        let asking = CardCheck::Asking {
            number,
            counted_at: Some(self.now),
            since: self.now,
            asked_at: self.now,
            bound_elsewhere,
        };
        let mut transition = self.bookkeeping(rebind, with_check(&rebind.stage, asking));
        if let Some(head) = &mut transition.head {
            self.count_bank_call(head, rebind);
        }
        if !bound_elsewhere {
            transition.fingerprint = Some(FingerprintRule::Free {
                fingerprint: rebind.fingerprint.clone(),
                person: self.state.profile.id_number_mac.clone(),
            });
        }
        transition.outcome = Decision::Proceed;
        Ok(transition)
    }

    pub(super) fn settle_card_check(
        &self,
        reply: &BankReply,
        fresh: Option<&Otp>,
    ) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| matches!(stage, RebindState::CardPending { .. }))?;
        let RebindState::CardPending { check, .. } = &rebind.stage else {
            return Err(self.out_of_order(rebind));
        };
        let CardCheck::Asking {
            number,
            counted_at,
            since,
            bound_elsewhere,
            ..
        } = check
        else {
            // Another request has settled the same answer already.
            return Ok(Transition::none());
        };
        if *number != reply.number {
            return Err(Rejection::new(ErrorCode::VersionConflict).retry_after(1));
        }
        let meaning = match reply.answer {
            // After a deposit it is said once the code has proven the card, and not to whoever has typed its number.
            Some(BankAnswer::Match) if *bound_elsewhere => {
                Meaning::Refused(ErrorCode::CardBoundElsewhere)
            }
            Some(answer) => meaning(answer, self.now),
            None => Meaning::AskAgain(ErrorCode::UpstreamUnknown, Some(5)),
        };
        let mut transition = match meaning {
            Meaning::AskAgain(code, wait_s) => {
                // Nobody waits for the clean-up's question: it comes by again, and what counts goes on counting.
                let is_asked_for = self.by.is_some();
                let asking = CardCheck::Asking {
                    number: *number,
                    counted_at: counted_at.filter(|_| !is_asked_for),
                    since: *since,
                    asked_at: self.now,
                    bound_elsewhere: *bound_elsewhere,
                };
                let mut transition = self.bookkeeping(rebind, with_check(&rebind.stage, asking));
                if is_asked_for {
                    let refusal = Rejection {
                        retry_after_s: wait_s,
                        ..Rejection::new(code).not_counted()
                    };
                    let next = [NextAction::CardCheck, NextAction::Cancel];
                    transition.outcome = Decision::Refused(Box::new(refusal.next(&next)));
                    if let (Some(head), Some(at)) = (&mut transition.head, counted_at) {
                        take_back_bank_call(head, *at);
                    }
                }
                return Ok(transition);
            }
            Meaning::Refused(code) => {
                let refusal = Rejection {
                    counts_toward_limit: Some(true),
                    ..Rejection::new(code)
                };
                let serial = rebind.serial(BankReference::Check(*number));
                self.reject(rebind, refusal, Some(serial))
            }
            Meaning::Deposited { arrived } => self.deposited(rebind, *number, arrived),
            Meaning::Matched => {
                let matched = CardCheck::Matched {
                    number: *number,
                    matched_at: self.now,
                    code: None,
                };
                let event = Event::CardCheckAnswered(event::CardCheckAnswered {
                    rebind_id: rebind.rebind_id.clone(),
                    purpose: OtpPurpose::Card,
                    serial: rebind.serial(BankReference::Check(*number)),
                    answer: Match,
                });
                self.send_card_code(rebind, &matched, fresh, event)
            }
        };
        if let (Some(head), None) = (&mut transition.head, counted_at) {
            // The answer that was lost before has come after all: now it counts.
            self.count_bank_call(head, rebind);
        }
        Ok(transition)
    }

    /// The card is proven by a code that only its holder can read: the rebind lives as long as that code.
    fn deposited(&self, rebind: &Rebind, number: u16, arrived: bool) -> Transition {
        let mut stage = with_check(
            &rebind.stage,
            CardCheck::Deposit {
                number,
                sent_at: self.now,
                arrived,
                checked_at: self.now,
            },
        );
        if let RebindState::CardPending { card_attempts, .. } = &mut stage {
            // The deposit's code has tries of its own.
            *card_attempts = Attempts::default();
        }
        let longer = Rebind {
            expires_at: self.now.plus_s(self.policy.deposit_life_s),
            ..rebind.clone()
        };
        let event = Event::MicroDepositSent(event::MicroDepositSent {
            rebind_id: rebind.rebind_id.clone(),
            card: (&rebind.new_card).into(),
            serial: rebind.serial(BankReference::Deposit(number)),
        });
        self.advance(&longer, stage, event)
    }

    pub(super) fn settle_deposit(
        &self,
        answer: Option<TransferAnswer>,
    ) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| deposit_of(stage).is_some())?;
        let Some((number, arrived)) = deposit_of(&rebind.stage) else {
            return Err(self.out_of_order(rebind));
        };
        match answer {
            Some(TransferAnswer::Returned) => {
                let refusal = Rejection {
                    counts_toward_limit: Some(false),
                    ..Rejection::new(ErrorCode::MicroDepositReturned)
                };
                let serial = rebind.serial(BankReference::Deposit(number));
                Ok(self.reject(rebind, refusal, Some(serial)))
            }
            // For the first time; the clean-up also notes that it has asked.
            answer
                if self.by.is_none() || (answer == Some(TransferAnswer::Succeeded) && !arrived) =>
            {
                let mut stage = rebind.stage.clone();
                if let RebindState::CardPending {
                    check:
                        CardCheck::Deposit {
                            arrived,
                            checked_at,
                            ..
                        },
                    ..
                } = &mut stage
                {
                    *arrived |= answer == Some(TransferAnswer::Succeeded);
                    *checked_at = self.now;
                }
                Ok(self.bookkeeping(rebind, stage))
            }
            Some(TransferAnswer::Succeeded | TransferAnswer::Pending) | None => {
                Ok(Transition::none())
            }
        }
    }

    pub(super) fn resend_card_otp(&self, fresh: &Otp) -> Result<Transition, Rejection> {
        let rebind = self.open_rebind(|stage| {
            matches!(stage, RebindState::CardPending { check: CardCheck::Matched { matched_at, .. }, .. } if self.is_fresh(*matched_at))
        })?;
        let RebindState::CardPending {
            check,
            card_attempts,
            ..
        } = &rebind.stage
        else {
            return Err(self.out_of_order(rebind));
        };
        if card_attempts.taken >= self.policy.code_tries {
            return self.all_tries_taken(rebind, OtpPurpose::Card, card_attempts);
        }
        Ok(self.resend_card_code(rebind, check, fresh))
    }

    fn is_fresh(&self, matched_at: Timestamp) -> bool {
        matched_at.age_s_at(self.now) <= self.policy.bank_proof_s
    }

    fn resend_card_code(&self, rebind: &Rebind, check: &CardCheck, fresh: &Otp) -> Transition {
        let serial = match check {
            CardCheck::Matched { number, .. } => Some(BankReference::Check(*number)),
            _ => None,
        };
        let event = Event::CodeSent(event::CodeSent {
            rebind_id: rebind.rebind_id.clone(),
            purpose: OtpPurpose::Card,
            serial: serial.map(|serial| rebind.serial(serial)),
        });
        self.send_card_code(rebind, check, Some(fresh), event)
    }

    fn send_card_code(
        &self,
        rebind: &Rebind,
        check: &CardCheck,
        fresh: Option<&Otp>,
        event: Event,
    ) -> Transition {
        let check = match check {
            CardCheck::Matched {
                number, matched_at, ..
            } => CardCheck::Matched {
                number: *number,
                matched_at: *matched_at,
                code: fresh.map(|fresh| self.sent(fresh)),
            },
            other => other.clone(),
        };
        let mut transition = self.advance(rebind, with_check(&rebind.stage, check), event);
        transition.otp_delivery = fresh.map(|_| OtpDelivery {
            phone: rebind.reserved_phone.clone(),
            purpose: OtpPurpose::Card,
            card: rebind.new_card.clone(),
            of: rebind.purpose,
        });
        transition
    }

    fn bank_limits(&self, rebind: &Rebind) -> Result<(), Rejection> {
        let tag = card_tag(rebind);
        let ages = |of_card: Option<&str>| {
            let mut ages: Vec<i64> = self
                .state
                .head
                .bank_calls
                .iter()
                .filter(|call| of_card.is_none_or(|tag| call.card_tag == tag))
                .map(|call| call.at.age_s_at(self.now))
                .filter(|age_s| *age_s < DAY_S)
                .collect();
            ages.sort_unstable();
            ages
        };
        let wait_s = |ages: Vec<i64>, limit: usize| {
            (ages.len() >= limit)
                .then(|| DAY_S - ages.get(limit.saturating_sub(1)).copied().unwrap_or(0))
        };
        let waits = [
            wait_s(ages(Some(&tag)), self.policy.bank_calls_per_card_day),
            wait_s(ages(None), self.policy.bank_calls_per_day),
        ];
        match waits.into_iter().flatten().max() {
            None => Ok(()),
            Some(wait_s) => Err(Rejection::new(ErrorCode::CardCheckLimit)
                .not_counted()
                .retry_after(wait_s.max(1))
                .next(&[NextAction::Wait, NextAction::Cancel])),
        }
    }

    fn count_bank_call(&self, head: &mut MerchantState, rebind: &Rebind) {
        head.bank_calls
            .retain(|call| call.at.age_s_at(self.now) < DAY_S);
        head.bank_calls.push(BankCall {
            at: self.now,
            card_tag: card_tag(rebind),
        });
    }
}

/// Enough to tell the few cards apart that one merchant can have checked in a day.
const CARD_TAG_CHARS: usize = 8;

fn card_tag(rebind: &Rebind) -> String {
    rebind.fingerprint.0.chars().take(CARD_TAG_CHARS).collect()
}

fn take_back_bank_call(head: &mut MerchantState, at: Timestamp) {
    if let Some(index) = head.bank_calls.iter().rposition(|call| call.at == at) {
        head.bank_calls.remove(index);
    }
}

fn with_check(stage: &RebindState, check: CardCheck) -> RebindState {
    let mut next = stage.clone();
    if let RebindState::CardPending { check: slot, .. } = &mut next {
        *slot = check;
    }
    next
}

/// The table of background material: a bank's answer and what it is to us.
fn meaning(answer: BankAnswer, now: Timestamp) -> Meaning {
    match answer {
        BankAnswer::Match => Meaning::Matched,
        BankAnswer::Mismatch => Meaning::Refused(ErrorCode::ElementsMismatch),
        BankAnswer::Blocked => Meaning::Refused(ErrorCode::CardBlocked),
        BankAnswer::Invalid => Meaning::Refused(ErrorCode::CardInvalid),
        BankAnswer::Dormant => Meaning::Refused(ErrorCode::CardDormant),
        BankAnswer::Expired => Meaning::Refused(ErrorCode::CardExpired),
        BankAnswer::Restricted => Meaning::Refused(ErrorCode::CardRestricted),
        // A card whose bank cannot be asked is proven by a deposit: whoever asked sends it, and says what came of it.
        BankAnswer::NotEnabled | BankAnswer::IssuerUnsupported => {
            Meaning::AskAgain(ErrorCode::UpstreamUnknown, Some(5))
        }
        BankAnswer::Deposited { arrived } => Meaning::Deposited { arrived },
        BankAnswer::DepositReturned => Meaning::Refused(ErrorCode::MicroDepositReturned),
        BankAnswer::ClassTwo => Meaning::Refused(ErrorCode::CardClassIi),
        BankAnswer::Malformed => Meaning::AskAgain(ErrorCode::Internal, None),
        BankAnswer::Busy => Meaning::AskAgain(ErrorCode::UpstreamBusy, Some(MINUTE_S)),
        BankAnswer::Quota => {
            Meaning::AskAgain(ErrorCode::UpstreamQuota, Some(until_tomorrow_s(now)))
        }
    }
}

/// Until the bank's next day, which begins at midnight in Shanghai.
const fn until_tomorrow_s(now: Timestamp) -> i64 {
    const SHANGHAI_S: i64 = 8 * 60 * MINUTE_S;
    DAY_S - (now.epoch_s() + SHANGHAI_S).rem_euclid(DAY_S)
}
