//! What goes over the wire to the table, recorded at the SDK's boundary.

use aws_sdk_dynamodb::config::interceptors::{
    AfterDeserializationInterceptorContextRef, BeforeTransmitInterceptorContextRef,
};
use aws_sdk_dynamodb::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_dynamodb::error::BoxError;
use aws_smithy_types::config_bag::{Storable, StoreReplace};
use serde_json::Value;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

/// One call to the table.
#[derive(Clone, Debug)]
pub struct Call {
    /// `Query`, `TransactWriteItems`, …
    pub operation: String,
    /// The request's body.
    pub body: Value,
    /// What the table says it cost: read units of a read, write units of a write.
    pub units: f64,
    id: u64,
}

/// Which call an answer belongs to: of calls at the same time the last one sent is not the first one answered.
#[derive(Clone, Copy, Debug)]
struct Sent {
    id: u64,
    /// Its place among the calls of the request, from 1.
    place: usize,
}

impl Storable for Sent {
    type Storer = StoreReplace<Self>;
}

impl Call {
    /// Whether it only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(
            self.operation.as_str(),
            "Query" | "GetItem" | "BatchGetItem"
        )
    }

    /// The items of a transaction.
    #[must_use]
    pub fn transaction_items(&self) -> usize {
        self.body["TransactItems"].as_array().map_or(0, Vec::len)
    }
}

/// Records every call, also the repeated ones, and drops what it is told to.
#[derive(Clone, Debug, Default)]
pub struct Boundary {
    calls: Arc<Mutex<Vec<Call>>>,
    ids: Arc<AtomicU64>,
    fault: Arc<Mutex<Option<(usize, Fault)>>>,
}

/// What happens to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never reaches the table.
    RequestLost,
    /// The table does it; its answer never arrives.
    ReplyLost,
}

impl Boundary {
    /// The `n`-th call of the next request (from 1) meets this fault; no other does.
    pub fn fail(&self, n: usize, fault: Fault) {
        let _ = self.take();
        *self.fault.lock().unwrap() = Some((n, fault));
    }

    /// Whether this call meets that fault; it is over with it.
    fn meets(&self, place: usize, wanted: Fault) -> bool {
        let mut fault = self.fault.lock().unwrap();
        let meets = *fault == Some((place, wanted));
        if meets {
            *fault = None;
        }
        meets
    }

    /// The calls since the last time.
    #[must_use]
    pub fn take(&self) -> Vec<Call> {
        std::mem::take(&mut *self.calls.lock().unwrap())
    }
}

impl Intercept for Boundary {
    fn name(&self) -> &'static str {
        "boundary"
    }

    fn read_before_transmit(
        &self,
        context: &BeforeTransmitInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let request = context.request();
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = request
            .body()
            .bytes()
            .map_or(Value::Null, |bytes| serde_json::from_slice(bytes).unwrap());
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let place = {
            let mut calls = self.calls.lock().unwrap();
            calls.push(Call {
                operation,
                body,
                units: 0.0,
                id,
            });
            calls.len()
        };
        bag.interceptor_state().store_put(Sent { id, place });
        if self.meets(place, Fault::RequestLost) {
            return Err("the request was lost".into());
        }
        Ok(())
    }

    fn read_after_deserialization(
        &self,
        context: &AfterDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        bag: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let bytes = context.response().body().bytes().unwrap_or_default();
        let answer: Value = serde_json::from_slice(bytes).unwrap_or_default();
        let units = match &answer["ConsumedCapacity"] {
            Value::Array(tables) => tables
                .iter()
                .filter_map(|table| table["CapacityUnits"].as_f64())
                .sum(),
            table => table["CapacityUnits"].as_f64().unwrap_or(0.0),
        };
        let Some(sent) = bag.load::<Sent>().copied() else {
            return Ok(());
        };
        let mut calls = self.calls.lock().unwrap();
        if let Some(call) = calls.iter_mut().find(|call| call.id == sent.id) {
            call.units = units;
        }
        drop(calls);
        if self.meets(sent.place, Fault::ReplyLost) {
            return Err("the reply was lost".into());
        }
        Ok(())
    }
}
