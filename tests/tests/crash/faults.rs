//! Each fault behaves as documented: the number of executions of a write that meets it, and the result for its caller.

use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use std::sync::Arc;
use tests::dynamodb_table::Table;
use tests::in_process::{InProcess, table_of};
use tests::table_faults::{Fault, impatient};

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn one() -> AttributeValue {
    AttributeValue::N("1".to_owned())
}

/// Adds one. Returns true if the caller received a success. `None`: the process died.
async fn add(world: &Arc<InProcess>, as_transaction: bool) -> Option<bool> {
    let added = async {
        if as_transaction {
            let update = Update::builder()
                .table_name(&world.table)
                .key("pk", text("X#1"))
                .key("sk", text("X"))
                .update_expression("ADD done :one")
                .expression_attribute_values(":one", one())
                .build()
                .unwrap();
            let item = TransactWriteItem::builder().update(update).build();
            let write = world.client.transact_write_items().transact_items(item);
            write.send().await.is_ok()
        } else {
            let update = world.client.update_item().table_name(&world.table);
            let update = update.key("pk", text("X#1")).key("sk", text("X"));
            let update = update.update_expression("ADD done :one");
            let update = update.expression_attribute_values(":one", one());
            update.send().await.is_ok()
        }
    };
    world.boundary.survive(added).await
}

/// The number of executions since the last call.
async fn done(world: &Arc<InProcess>) -> u32 {
    world.boundary.settle().await;
    let key = [("pk", "X#1"), ("sk", "X")];
    let key = key.map(|(name, value)| (name.to_owned(), text(value)));
    let delete = world.client.delete_item().table_name(&world.table);
    let delete = delete.set_key(Some(key.into()));
    let old = delete.return_values(aws_sdk_dynamodb::types::ReturnValue::AllOld);
    let old = old.send().await.unwrap().attributes.unwrap_or_default();
    old.get("done")
        .map_or(0, |done| done.as_n().unwrap().parse().unwrap())
}

/// The effect on a single write and on a transaction: the number of executions if the first attempt meets the fault, and if
/// every attempt does, and the caller's result. The SDK retries a transaction with the same token, so that the table
/// recognises it.
#[tokio::test(start_paused = true)]
async fn every_fault_has_its_stated_effect() {
    let table = Table::new(table_of);
    let reached = InProcess::on(&table, impatient, "sandbox");
    let world = reached.await;
    let succeeded = Some(true);
    let failed = Some(false);
    for (fault, single, transaction) in [
        (
            Fault::RequestLost,
            [(1, succeeded), (0, failed)],
            [(1, succeeded), (0, failed)],
        ),
        (
            Fault::ReplyLost,
            [(2, succeeded), (3, failed)],
            [(1, succeeded), (1, failed)],
        ),
        (
            Fault::ReplyCut,
            [(1, failed), (1, failed)],
            [(1, failed), (1, failed)],
        ),
        (
            Fault::Silence,
            [(1, succeeded), (0, failed)],
            [(1, succeeded), (0, failed)],
        ),
        (
            Fault::Late,
            [(2, succeeded), (3, failed)],
            [(1, succeeded), (1, failed)],
        ),
        (
            Fault::TooLate,
            [(2, succeeded), (3, failed)],
            [(1, succeeded), (1, failed)],
        ),
        (
            Fault::Throughput,
            [(1, succeeded), (0, failed)],
            [(1, succeeded), (0, failed)],
        ),
        (
            Fault::Throttled,
            [(1, succeeded), (0, failed)],
            [(1, succeeded), (0, failed)],
        ),
        (
            Fault::CancelledForThroughput,
            [(0, None); 2],
            [(0, failed), (0, failed)],
        ),
        (
            Fault::Conflict,
            [(0, failed), (0, failed)],
            [(0, failed), (0, failed)],
        ),
        (
            Fault::InProgress,
            [(0, None); 2],
            [(1, succeeded), (0, failed)],
        ),
        (
            Fault::Failed,
            [(1, succeeded), (0, failed)],
            [(1, succeeded), (0, failed)],
        ),
        (
            Fault::FailedAndDone,
            [(2, succeeded), (3, failed)],
            [(1, succeeded), (1, failed)],
        ),
        (
            Fault::Unavailable,
            [(1, succeeded), (0, failed)],
            [(1, succeeded), (0, failed)],
        ),
        (Fault::DiesBefore, [(0, None); 2], [(0, None); 2]),
        (Fault::DiesAfter, [(1, None); 2], [(1, None); 2]),
    ] {
        for (operation, wanted) in [("UpdateItem", single), ("TransactWriteItems", transaction)] {
            for (lasts, wanted) in [false, true].into_iter().zip(wanted) {
                if !fault.fits(operation) {
                    continue;
                }
                if lasts {
                    world.boundary.fail(1, fault);
                } else {
                    world.boundary.fail_once(1, fault);
                }
                let succeeded = add(&world, operation == "TransactWriteItems").await;
                assert!(world.boundary.calm() > 0);
                assert_eq!(
                    (done(&world).await, succeeded),
                    wanted,
                    "{fault:?} {operation} {lasts}"
                );
            }
        }
    }
}
