//! The bank's check of the new card, or a deposit if the bank cannot check it.
//!
//! One write records the intent, with its bank reference and its place in the daily count, before the bank is called; a
//! second write records the answer. A lost answer is not a refusal: the same check is repeated under the same reference,
//! and does not count meanwhile.

use super::bank_answer::{BankReply, Meaning, interpret, with_type};
use super::{Context, deposit_of};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event, Match};
use crate::merchant::{BankCall, MerchantState};
use crate::next_action::NextAction;
use crate::policy::DAY_S;
use crate::rebind::{Attempts, BankReference, CardCheck, Otp, OtpPurpose, Rebind, RebindState};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transfer::TransferAnswer;
use crate::transition::{FingerprintRule, OtpDelivery, Outcome, Transition};
use crate::window::Window;

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
                    outcome: Outcome::Proceed,
                    ..Transition::none()
                });
            }
            CardCheck::Matched {
                matched_at, code, ..
            } if self.is_fresh(*matched_at) => {
                if code
                    .as_ref()
                    .is_some_and(|code| code.is_valid_at(self.policy, self.now))
                {
                    return Ok(Transition::none());
                }
                if card_attempts.reserved >= self.policy.code_attempts {
                    return self.no_attempts_left(rebind, OtpPurpose::Card, card_attempts);
                }
                return Ok(self.resend_card_code(rebind, check, fresh));
            }
            // A deposit remains the challenge until the rebind ends.
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
        let state = self.state_with_bank_call(rebind);
        Ok(Transition {
            fingerprint: (!bound_elsewhere).then(|| FingerprintRule::Free {
                fingerprint: rebind.fingerprint.clone(),
                person: self.merchant.profile.id_number_mac.clone(),
            }),
            outcome: Outcome::Proceed,
            ..self.bookkeeping(state, rebind, with_check(&rebind.stage, asking))
        })
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
            // A concurrent request has already recorded the answer.
            return Ok(Transition::none());
        };
        if *number != reply.number {
            return Err(Rejection::new(ErrorCode::VersionConflict).retry_after(1));
        }
        let meaning = match reply.answer {
            Some(answer) => interpret(answer, &rebind.new_card, *bound_elsewhere, self.now),
            None => Meaning::AskAgain(ErrorCode::UpstreamUnknown, Some(5)),
        };
        let rebind = &with_type(rebind, reply.answer);
        let answered = || match counted_at {
            Some(_) => self.changed_state(),
            // The call was refunded when its answer was lost. Now that the answer is known, the call counts again.
            None => self.state_with_bank_call(rebind),
        };
        Ok(match meaning {
            Meaning::AskAgain(code, wait_s) => {
                let refusal = Rejection {
                    retry_after_s: wait_s,
                    ..Rejection::new(code).not_counted()
                };
                self.ask_again(rebind, check, reply.answer.is_some(), refusal)
            }
            Meaning::Refused(code) => {
                let refusal = Rejection {
                    counts_toward_limit: Some(true),
                    ..Rejection::new(code)
                };
                let serial = rebind.serial(BankReference::Check(*number));
                self.reject(answered(), rebind, refusal, Some(serial))
            }
            Meaning::Deposited { arrived } => self.deposited(answered(), rebind, *number, arrived),
            Meaning::Matched => {
                // The bank may have decided when it was first asked, however late its answer was heard.
                let matched = CardCheck::Matched {
                    number: *number,
                    matched_at: *since,
                    code: None,
                };
                // A stale answer has to be asked for again, so no code is sent.
                let fresh = fresh.filter(|_| self.is_fresh(*since));
                let event = Event::CardCheckAnswered(event::CardCheckAnswered {
                    rebind_id: rebind.rebind_id.clone(),
                    purpose: OtpPurpose::Card,
                    serial: rebind.serial(BankReference::Check(*number)),
                    answer: Match,
                });
                self.send_card_code(answered(), rebind, &matched, fresh, event)
            }
        })
    }

    /// Records that the answer is still unknown. Background polls run again on their own, so only a merchant's request gets a
    /// refusal and a refund. `answered`: the bank has said that it decided nothing, so its decision is younger than that.
    fn ask_again(
        &self,
        rebind: &Rebind,
        check: &CardCheck,
        answered: bool,
        refusal: Rejection,
    ) -> Transition {
        let is_merchant_request = self.by.is_some();
        let mut asking = check.clone();
        let mut state = self.changed_state();
        if let CardCheck::Asking {
            asked_at,
            counted_at,
            since,
            ..
        } = &mut asking
        {
            *asked_at = self.now;
            if is_merchant_request && answered {
                *since = self.now;
            }
            if is_merchant_request && let Some(at) = counted_at.take() {
                refund_bank_call(&mut state, at);
            }
        }
        let mut transition = self.bookkeeping(state, rebind, with_check(&rebind.stage, asking));
        if is_merchant_request {
            let next = [NextAction::CardCheck, NextAction::Cancel];
            transition.outcome = Outcome::Refused(Box::new(refusal.next(&next)));
        }
        transition
    }

    /// Starts the deposit challenge: only the card's holder can read the code. Extends the rebind to the life of the code.
    fn deposited(
        &self,
        state: MerchantState,
        rebind: &Rebind,
        number: u16,
        arrived: bool,
    ) -> Transition {
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
            // The deposit's code has its own attempts.
            *card_attempts = Attempts::default();
        }
        let extended = Rebind {
            expires_at: self.now.plus_s(self.policy.deposit_life_s),
            ..rebind.clone()
        };
        let event = Event::MicroDepositSent(event::MicroDepositSent {
            rebind_id: rebind.rebind_id.clone(),
            card: (&rebind.new_card).into(),
            serial: rebind.serial(BankReference::Deposit(number)),
        });
        self.advance(state, &extended, stage, event)
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
                let refusal = Rejection::new(ErrorCode::MicroDepositReturned).not_counted();
                let serial = rebind.serial(BankReference::Deposit(number));
                Ok(self.reject(self.changed_state(), rebind, refusal, Some(serial)))
            }
            // Record the first arrival. The clean-up also records that it has polled.
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
                Ok(self.bookkeeping(self.changed_state(), rebind, stage))
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
        if card_attempts.reserved >= self.policy.code_attempts {
            return self.no_attempts_left(rebind, OtpPurpose::Card, card_attempts);
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
        self.send_card_code(self.changed_state(), rebind, check, Some(fresh), event)
    }

    fn send_card_code(
        &self,
        state: MerchantState,
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
        let mut transition = self.advance(state, rebind, with_check(&rebind.stage, check), event);
        transition.otp_delivery = fresh.map(|fresh| OtpDelivery {
            phone: rebind.reserved_phone.clone(),
            phone_hash: fresh.phone_hash.clone(),
            purpose: OtpPurpose::Card,
            card: rebind.new_card.clone(),
            of: rebind.purpose,
        });
        transition
    }

    fn bank_limits(&self, rebind: &Rebind) -> Result<(), Rejection> {
        let tag = card_tag(rebind);
        let calls = |of_card: Option<&str>| -> Window {
            let calls = self.merchant.state.bank_calls.iter();
            calls
                .filter(|call| of_card.is_none_or(|tag| call.card_tag == tag))
                .map(|call| call.at)
                .collect()
        };
        let policy = self.policy;
        let waits = [
            calls(Some(&tag)).wait_s(policy.bank_calls_per_card_day, DAY_S, self.now),
            calls(None).wait_s(policy.bank_calls_per_day, DAY_S, self.now),
        ];
        match waits.into_iter().flatten().max() {
            None => Ok(()),
            Some(wait_s) => Err(Rejection::new(ErrorCode::CardCheckLimit)
                .not_counted()
                .retry_after(wait_s)
                .next(&[NextAction::Wait, NextAction::Cancel])),
        }
    }

    /// The changed merchant state, with one more call in the daily count.
    fn state_with_bank_call(&self, rebind: &Rebind) -> MerchantState {
        let mut state = self.changed_state();
        state
            .bank_calls
            .retain(|call| call.at.age_s_at(self.now) < DAY_S);
        state.bank_calls.push(BankCall {
            at: self.now,
            card_tag: card_tag(rebind),
        });
        state
    }
}

/// Enough to distinguish the few cards that one merchant can have checked in a day.
const CARD_TAG_CHARS: usize = 8;

fn card_tag(rebind: &Rebind) -> String {
    rebind.fingerprint.0.chars().take(CARD_TAG_CHARS).collect()
}

fn refund_bank_call(state: &mut MerchantState, at: Timestamp) {
    if let Some(index) = state.bank_calls.iter().rposition(|call| call.at == at) {
        state.bank_calls.remove(index);
    }
}

fn with_check(stage: &RebindState, check: CardCheck) -> RebindState {
    let mut next = stage.clone();
    if let RebindState::CardPending { check: slot, .. } = &mut next {
        *slot = check;
    }
    next
}
