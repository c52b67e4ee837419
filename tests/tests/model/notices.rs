//! Telling people: claim, hand over, mark.

use crate::bugs::Bug;
use crate::requests::{Phase, Process, Who, Work};
use crate::state::State;
use crate::steps::{Chance, Next};
use crate::world::World;
use domain::notification::Recipient;
use store::outbox::NoticeStep;

impl World {
    pub fn tell(
        &self,
        state: &mut State,
        process: &mut Process,
        mut left: Vec<Recipient>,
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

    pub fn mark(&self, state: &mut State, process: &mut Process, mut left: Vec<Recipient>) -> Next {
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
    pub fn notice(&self, state: &mut State, who: Who, seq: u64, step: NoticeStep<'_>) -> bool {
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
}
