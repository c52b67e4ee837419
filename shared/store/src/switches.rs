//! What administrators have stopped: attributes of the mark of the stage, which every function may read, and no function of
//! the merchants may write.

use super::Store;
use super::client::{SingleUpdate, Table, Updated};
use super::item::{Item, Update, opt_s, s};
use super::keys::stage_key;
use application::ports::PortError;
use application::switches::{ReadSwitches, Stopped};
use aws_sdk_dynamodb::types::ReturnValue;
use domain::time::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A process reads its switches again after this time.
pub const READ_AGAIN: Duration = Duration::from_secs(10);

/// Something that can be stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switch {
    /// The changes of merchants.
    Changes,
    /// All SMS.
    Sms,
}

impl Switch {
    /// The attribute with the reason, which exists while this is stopped.
    const fn attribute(self) -> &'static str {
        match self {
            Self::Changes => "changes_stopped",
            Self::Sms => "sms_stopped",
        }
    }
}

/// The last answer of a process, and when it was read.
#[derive(Debug, Default)]
pub(super) struct Switches(Mutex<Option<(Instant, Stopped)>>);

impl Switches {
    fn fresh(&self) -> Option<Stopped> {
        let (read_at, stopped) = (*self.0.lock().unwrap_or_else(PoisonError::into_inner))?;
        (read_at.elapsed() < READ_AGAIN).then_some(stopped)
    }

    /// Keeps what a mark says; nothing is stopped without a mark.
    pub(super) fn keep(&self, mark: Option<&Item>) -> Stopped {
        let is = |switch: Switch| mark.is_some_and(|mark| mark.contains_key(switch.attribute()));
        let stopped = Stopped {
            changes: is(Switch::Changes),
            sms: is(Switch::Sms),
        };
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), stopped));
        stopped
    }
}

impl<T: Table> ReadSwitches for Store<T> {
    async fn stopped(&self) -> Result<Stopped, PortError> {
        let Some(switches) = &self.switches else {
            return Ok(Stopped::default());
        };
        if let Some(stopped) = switches.fresh() {
            return Ok(stopped);
        }
        let mark = self.mark(false).await?;
        Ok(switches.keep(mark.as_ref()))
    }
}

impl<T: Table> Store<T> {
    /// Stops something, or resumes it (`why`: `None`). Every process follows within [`READ_AGAIN`].
    ///
    /// # Errors
    /// `Permanent` without a mark of the stage; when the table cannot be written.
    pub async fn switch(
        &self,
        switch: Switch,
        why: Option<&str>,
        now: Timestamp,
    ) -> Result<(), PortError> {
        let mut update = Update::default();
        let why = why.map(|why| s(format!("{}: {why}", now.to_rfc3339_shanghai())));
        update.put(switch.attribute(), why);
        update.when("attribute_exists(pk)");
        let update = SingleUpdate::new(stage_key(), update, ReturnValue::None);
        match self.table.update(update).await? {
            Updated::Done(_) => Ok(()),
            Updated::ConditionFailed(_) => Err(PortError::Permanent(
                "the tables",
                "they have no mark of a stage: they were never imported to".to_owned(),
            )),
        }
    }

    /// What is stopped, each with the time and the reason.
    ///
    /// # Errors
    /// When the table cannot be read.
    pub async fn switched(&self) -> Result<Vec<(Switch, String)>, PortError> {
        let mark = self.mark(true).await?.unwrap_or_default();
        let stopped = [Switch::Changes, Switch::Sms].into_iter();
        let stopped = stopped.filter_map(|switch| {
            let why = opt_s(&mark, switch.attribute())?;
            Some((switch, why.to_owned()))
        });
        Ok(stopped.collect())
    }
}
