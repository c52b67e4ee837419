//! `POST /v1/rebinds/{id}/test-transaction`: transfers ¥0.01 to the new card. A returned transfer undoes the change. A
//! successful one does not shorten the hold or the cooldown.

use super::{Context, nothing_due, of_rebind, remove_holder};
use crate::error_code::ErrorCode;
use crate::history::event::{self, Event};
use crate::rebind::{ActivatedCard, BankReference, End, Rebind, RebindState, TestTransfer};
use crate::rejection::Rejection;
use crate::time::Timestamp;
use crate::transfer::TransferAnswer;
use crate::transition::{Outcome, Transition};

impl Context<'_> {
    /// Writes the intent before the transfer is sent. A repeated request queries the same transfer.
    pub(super) fn start_test_transfer(&self) -> Result<Transition, Rejection> {
        if self.is_reverted() {
            // The transfer was returned. A repeated request gets the same result.
            return self.not_frozen().map(|()| Transition::none());
        }
        let (rebind, activated_card) = self.activated_card()?;
        let is_last = self.merchant.state.is_last_activation(rebind);
        match &activated_card.test {
            TestTransfer::NotSent
                if is_last && activated_card.can_be_reverted(self.policy, self.now) =>
            {
                let event = Event::TestTransferStarted(event::TestTransferStarted {
                    rebind_id: rebind.rebind_id.clone(),
                    serial: rebind.serial(BankReference::Test),
                });
                let test = TestTransfer::Sent {
                    sent_at: self.now,
                    checked_at: self.now,
                };
                Ok(Transition {
                    outcome: Outcome::Proceed,
                    ..self.advance(
                        self.changed_state(),
                        rebind,
                        with_test(&rebind.stage, test),
                        event,
                    )
                })
            }
            TestTransfer::NotSent => Err(self.out_of_order(rebind)),
            TestTransfer::Sent { .. } => Ok(Transition {
                outcome: Outcome::Proceed,
                ..Transition::none()
            }),
            TestTransfer::Arrived { .. } | TestTransfer::CameBack | TestTransfer::Closed { .. } => {
                Ok(Transition::none())
            }
        }
    }

    pub(super) fn settle_test_transfer(
        &self,
        answer: Option<TransferAnswer>,
    ) -> Result<Transition, Rejection> {
        if self.by.is_none() && self.merchant.state.frozen.is_some() {
            // The operator decides first, and a later poll gets the answer again.
            return self.record_poll();
        }
        if self.by.is_some() && self.is_reverted() {
            // A concurrent request has already recorded the return.
            return self.not_frozen().map(|()| Transition::none());
        }
        let (rebind, activated_card) = self.activated_card()?;
        match (&activated_card.test, answer) {
            (TestTransfer::Sent { .. }, Some(TransferAnswer::Succeeded)) => Ok(self.advance(
                self.changed_state(),
                rebind,
                with_test(&rebind.stage, self.arrived(self.now)),
                Event::TestTransferSucceeded(of_rebind(rebind)),
            )),
            (
                TestTransfer::Sent { .. } | TestTransfer::Arrived { .. },
                Some(TransferAnswer::Returned),
            ) => Ok(self.record_return(rebind, activated_card)),
            _ if self.by.is_none() => self.record_poll(),
            _ => Ok(Transition::none()),
        }
    }

    fn is_reverted(&self) -> bool {
        let reverted = |rebind: &Rebind| {
            matches!(
                rebind.stage,
                RebindState::Ended {
                    how: End::Reverted,
                    ..
                }
            )
        };
        self.merchant.rebind.as_ref().is_some_and(reverted)
    }

    /// Records a poll without news, so that the next poll waits.
    fn record_poll(&self) -> Result<Transition, Rejection> {
        let rebind = self.rebind()?;
        let test = match rebind
            .activated_card()
            .map(|activated_card| &activated_card.test)
        {
            Some(TestTransfer::Sent { sent_at, .. }) => TestTransfer::Sent {
                sent_at: *sent_at,
                checked_at: self.now,
            },
            Some(TestTransfer::Arrived { at, .. }) => self.arrived(*at),
            _ => return Err(nothing_due()),
        };
        Ok(self.bookkeeping(self.changed_state(), rebind, with_test(&rebind.stage, test)))
    }

    const fn arrived(&self, at: Timestamp) -> TestTransfer {
        TestTransfer::Arrived {
            at,
            checked_at: self.now,
        }
    }

    /// Checks frozen, expired, step order.
    fn activated_card(&self) -> Result<(&Rebind, &ActivatedCard), Rejection> {
        let fits = |stage: &RebindState| {
            matches!(stage, RebindState::Activated(_) | RebindState::Completed(_))
        };
        let rebind = self.open_rebind(fits)?;
        let activated_card = rebind.activated_card().ok_or_else(nothing_due)?;
        Ok((rebind, activated_card))
    }

    /// Undoes the change if that is still possible, because the card cannot receive payouts.
    fn record_return(&self, rebind: &Rebind, activated_card: &ActivatedCard) -> Transition {
        let last = self.merchant.state.last_activation.as_ref();
        let last = last.filter(|last| last.number == rebind.rebind_id.number());
        let mut state = self.changed_state();
        let Some(last) = last.filter(|_| activated_card.can_be_reverted(self.policy, self.now))
        else {
            return self.advance(
                state,
                rebind,
                with_test(&rebind.stage, TestTransfer::CameBack),
                Event::TestTransferFailed(of_rebind(rebind)),
            );
        };
        let stage = RebindState::Ended {
            how: End::Reverted,
            at: self.now,
            reason: Some(ErrorCode::TestTxnFailed),
        };
        let event = Event::Reverted(event::Reverted {
            rebind_id: rebind.rebind_id.clone(),
            card: (&rebind.new_card).into(),
            reason: ErrorCode::TestTxnFailed,
        });
        self.undo_activation(&mut state, last, false);
        Transition {
            fingerprint: Some(remove_holder(rebind)),
            ..self.advance(state, rebind, stage, event)
        }
    }
}

pub(super) fn with_test(stage: &RebindState, test: TestTransfer) -> RebindState {
    match stage {
        RebindState::Activated(activated_card) => RebindState::Activated(ActivatedCard {
            times: activated_card.times.clone(),
            test,
        }),
        RebindState::Completed(activated_card) => RebindState::Completed(ActivatedCard {
            times: activated_card.times.clone(),
            test,
        }),
        other => other.clone(),
    }
}
