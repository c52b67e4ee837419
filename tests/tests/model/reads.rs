//! Reads, whole or torn, and what they leave in a process's hands.

use crate::requests::{Asks, Duty, Loaded, Process, Who, Work};
use crate::rows::Rows;
use crate::state::State;
use crate::steps::{Chance, Read};
use crate::world::World;
use application::ports::{PortError, Wanted};
use domain::ids::MerchantId;
use domain::merchant::Merchant;
use domain::rebind::OtpPurpose;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use store::item::Item;
use store::read::{Reads, load_with};

impl Reads for Rows {
    async fn tail(&self, merchant: &MerchantId) -> Result<Vec<Item>, PortError> {
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
        merchant: &MerchantId,
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

    async fn rebind(&self, merchant: &MerchantId, number: u32) -> Result<Option<Item>, PortError> {
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
    async fn tail(&self, merchant: &MerchantId) -> Result<Vec<Item>, PortError> {
        self.rows().tail(merchant).await
    }

    async fn head_profile_and(
        &self,
        merchant: &MerchantId,
        number: u32,
    ) -> Result<Vec<Item>, PortError> {
        self.rows().head_profile_and(merchant, number).await
    }

    async fn rebind(&self, merchant: &MerchantId, number: u32) -> Result<Option<Item>, PortError> {
        self.whole.rebind(merchant, number).await
    }
}

impl World {
    pub fn read(
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
            Work::CleanUp(_, Duty::Rebind(number)) => Selector::Number(*number),
            Work::CleanUp(_, Duty::Card(of)) => {
                card = of.clone();
                Selector::Card(&card)
            }
            Work::Request(request) => match &state.requests[*request].0.asks {
                Asks::Create { .. } | Asks::Pay(_) => Selector::Latest,
                Asks::Freeze(number) => Selector::Announced(*number),
                Asks::Unbind(of) => {
                    card = of.clone();
                    Selector::Card(&card)
                }
                Asks::StartSwitch(number) | Asks::Code(number, OtpPurpose::Activate, _) => {
                    card = self.card_of(state, who, *number)?;
                    Selector::Card(&card)
                }
                Asks::Document(number)
                | Asks::Resend(number, _)
                | Asks::Code(number, ..)
                | Asks::Sign(number)
                | Asks::CardCheck(number)
                | Asks::Cancel(number) => {
                    id = rebind_of(*number)?;
                    Selector::Step(&id)
                }
            },
            _ => Selector::Latest,
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

    /// After a conflict the state is read again in the same breath: what falls between is covered by the write's condition.
    pub fn fresh(&self, state: &mut State, process: &Process, loaded: &Loaded) -> Loaded {
        if process.rounds == 0 {
            return loaded.clone();
        }
        let who = self.who(state, process);
        self.read(state, process, who, Chance::Reads(Read::Whole))
            .unwrap()
    }

    /// What a request knows after its own write.
    pub fn written(&self, state: &State, who: Who, after: Box<Merchant>) -> Loaded {
        Loaded {
            merchant: Arc::from(after),
            rows: state.rows.0.hash_of(&self.merchants[usize::from(who)].pk),
        }
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
