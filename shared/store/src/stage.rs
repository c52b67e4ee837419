//! The stage that the tables belong to: a mark in the record table. No function starts at another stage, so that a sandbox, whose
//! callers set the clock, never works on the tables of real merchants.

use super::Store;
use super::client::{Get, SingleUpdate, Table, Updated};
use super::item::{Item, Update, get_s, n, s};
use super::keys::stage_key;
use application::ports::{ConnectTables, PortError};
use aws_sdk_dynamodb::types::ReturnValue;
use domain::ids::MerchantId;

/// The attribute with the stage.
const STAGE: &str = "stage";
/// The version of the item's format.
const VERSION: u32 = 1;
/// Belongs to no merchant: the read finds nothing.
const NOBODY: &str = "mer_none";

impl<T: Table> ConnectTables for Store<T> {
    async fn connect(&self) -> Result<Option<String>, PortError> {
        let main = async {
            match MerchantId::parse(NOBODY) {
                Some(id) => self.tail(&id).await.map(|_| ()),
                None => Ok(()),
            }
        };
        let (connected, mark) = futures::join!(main, self.mark(true));
        connected?;
        let mark = mark?;
        if let Some(switches) = &self.switches {
            switches.keep(mark.as_ref());
        }
        let stage = mark.map(|item| get_s(&item, STAGE).map(str::to_owned));
        stage.transpose()
    }
}

impl<T: Table> Store<T> {
    /// The mark, if there is one.
    pub(super) async fn mark(&self, consistent: bool) -> Result<Option<Item>, PortError> {
        let get = Get {
            key: stage_key(),
            only: None,
            consistent,
        };
        self.table.get(get).await
    }

    /// Marks the tables as those of a stage. A mark stays for ever.
    ///
    /// # Errors
    /// `Permanent` when they belong to another stage; when the table cannot be written.
    pub async fn mark_stage(&self, stage: &str) -> Result<(), PortError> {
        let mut update = Update::default();
        update.put(STAGE, Some(s(stage)));
        update.put("v", Some(n(VERSION)));
        update.when(format!("(attribute_not_exists(pk) OR #{STAGE} = :{STAGE})"));
        let update = SingleUpdate::new(stage_key(), update, ReturnValue::None);
        match self.table.update(update).await? {
            Updated::Done(_) => Ok(()),
            Updated::ConditionFailed(_) => {
                let cause = format!("they belong to another stage than {stage}");
                Err(PortError::Permanent("the tables", cause))
            }
        }
    }
}
