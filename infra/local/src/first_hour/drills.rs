//! Drills of `infra/drills.md`: another key of the bank, and tables restored to a point in time.

use rebindctl::account::{Account, DYNAMODB, SECRETS};
use serde_json::{Value, json};
use std::time::{Duration, Instant, SystemTime};

use super::{Hour, ask, text_of};
use crate::demo::{change_card, knows_change, random_hex};
use crate::error::Error;

/// A copy takes a quarter of an hour at AWS, however small the table is.
const COPY_LIMIT: Duration = Duration::from_secs(3_600);
/// The latest point in time that can be restored is some minutes back.
const POINT_LIMIT: Duration = Duration::from_secs(900);

/// Replaces the bank's key while merchants change cards.
pub(super) async fn bank_key(hour: &mut Hour, numbers: [usize; 2]) -> Result<(), Error> {
    let account = hour.system.account().clone();
    let secret = hour.system.resource("BankSecret")?.to_owned();
    let [before, after] = numbers;
    change_card(&hour.system, before).await?;
    let input = json!({"SecretId": secret, "SecretString": random_hex(32)?});
    ask(&account, SECRETS, "PutSecretValue", &input).await?;
    let expectation = "a change of card succeeds right after the bank's key was replaced";
    changes(hour, after, expectation).await;
    Ok(())
}

/// Keeps all changes of both tables from now on, so that they can be restored.
pub(super) async fn keep_changes(hour: &Hour) -> Result<(), Error> {
    for output in ["TableName", "RecordTableName"] {
        let table = hour.system.stack().output(output)?;
        keep_changes_of(hour.system.account(), table).await?;
    }
    Ok(())
}

async fn keep_changes_of(account: &Account, table: &str) -> Result<(), Error> {
    let input = json!({
        "TableName": table, "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": true},
    });
    ask(account, DYNAMODB, "UpdateContinuousBackups", &input).await?;
    Ok(())
}

/// Tables that take the place of the stack's own.
struct Copies {
    main: String,
    record: String,
    stream: String,
}

/// Copies both tables, switches over to the copies and back, and has cards changed meanwhile.
pub(super) async fn restore(hour: &mut Hour, numbers: [usize; 3]) -> Result<(), Error> {
    let [before, meanwhile, after] = numbers;
    change_card(&hour.system, before).await?;
    let copies = copy_tables(hour).await?;
    use_tables(hour, &copies).await?;
    let known = knows_change(&hour.system, before).await;
    hour.report.judge(
        "restored tables know the changes before the point in time",
        known.is_ok(),
        known.map_or_else(
            |error| error.to_string(),
            |()| "a merchant has its new card".to_owned(),
        ),
    );
    changes(
        hour,
        meanwhile,
        "after the switch to restored tables a card is changed, and the stream of the copy delivers its notifications",
    )
    .await;

    let own = Copies {
        main: String::new(),
        record: String::new(),
        stream: String::new(),
    };
    use_tables(hour, &own).await?;
    let lost = knows_change(&hour.system, meanwhile).await;
    let lost = lost.map_or_else(|error| error.to_string(), |()| "logged in".to_owned());
    hour.report.judge(
        "the tables of before were not written meanwhile: they do not know the merchant of the copies",
        lost.contains("AUTH_BAD_CREDENTIALS"),
        lost,
    );
    let expectation = "after the way back a card is changed, with its notifications";
    changes(hour, after, expectation).await;
    for copy in [copies.main, copies.record] {
        let input = json!({ "TableName": copy });
        ask(hour.system.account(), DYNAMODB, "DeleteTable", &input).await?;
    }
    Ok(())
}

/// Copies both tables to the present, and turns on what copies lack.
async fn copy_tables(hour: &Hour) -> Result<Copies, Error> {
    let account = hour.system.account();
    let main = hour.system.stack().output("TableName")?;
    let record = hour.system.stack().output("RecordTableName")?;
    let (main_copy, record_copy) = (copy_of(main), copy_of(record));
    wait_for_now(account, &[main, record]).await?;
    for (table, copy) in [(main, &main_copy), (record, &record_copy)] {
        let input = json!({
            "SourceTableName": table, "TargetTableName": copy, "UseLatestRestorableTime": true,
        });
        ask(account, DYNAMODB, "RestoreTableToPointInTime", &input).await?;
    }
    for copy in [&main_copy, &record_copy] {
        wait_for(account, copy).await?;
        keep_changes_of(account, copy).await?;
    }
    Ok(Copies {
        stream: prepare_main(account, &main_copy).await?,
        main: main_copy,
        record: record_copy,
    })
}

/// Deploys with other tables in use; empty names for the stack's own.
async fn use_tables(hour: &mut Hour, tables: &Copies) -> Result<(), Error> {
    let changes = [
        ("RestoredTableName", tables.main.clone()),
        ("RestoredTableStreamArn", tables.stream.clone()),
        ("RestoredRecordTableName", tables.record.clone()),
    ];
    hour.deploy(changes).await
}

/// A change of card, as an answer.
async fn changes(hour: &mut Hour, number: usize, expectation: &str) {
    let changed = change_card(&hour.system, number).await;
    let holds = changed.is_ok();
    let answer = match changed {
        Ok(changed) => format!("{} has a new card", changed.merchant_id),
        Err(error) => error.to_string(),
    };
    hour.report.judge(expectation, holds, answer);
}

fn copy_of(table: &str) -> String {
    format!("{table}-restored")
}

/// Waits until what was written so far can be restored.
async fn wait_for_now(account: &Account, tables: &[&str]) -> Result<(), Error> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now_s = now.unwrap_or_default().as_secs_f64();
    let deadline = Instant::now() + POINT_LIMIT;
    for table in tables {
        loop {
            let input = json!({ "TableName": table });
            let described = ask(account, DYNAMODB, "DescribeContinuousBackups", &input).await?;
            let point = described
                .pointer("/ContinuousBackupsDescription/PointInTimeRecoveryDescription/LatestRestorableDateTime");
            // The local cloud copies the current items and names no point in time.
            let latest = point.and_then(Value::as_f64).unwrap_or(f64::MAX);
            if !account.is_aws() || latest > now_s || Instant::now() > deadline {
                break;
            }
            tokio::time::sleep(Duration::from_secs(10)).await;
        }
    }
    Ok(())
}

async fn wait_for(account: &Account, table: &str) -> Result<Value, Error> {
    let deadline = Instant::now() + COPY_LIMIT;
    loop {
        let described = ask(
            account,
            DYNAMODB,
            "DescribeTable",
            &json!({ "TableName": table }),
        )
        .await?;
        let table = &described["Table"];
        if table["TableStatus"] == "ACTIVE" || Instant::now() > deadline {
            return Ok(table.clone());
        }
        tokio::time::sleep(Duration::from_secs(if account.is_aws() { 15 } else { 1 })).await;
    }
}

/// Turns on what a copy of the main table lacks. Returns the ARN of its stream.
async fn prepare_main(account: &Account, copy: &str) -> Result<String, Error> {
    let input = json!({
        "TableName": copy, "TimeToLiveSpecification": {"Enabled": true, "AttributeName": "ttl"},
    });
    ask(account, DYNAMODB, "UpdateTimeToLive", &input).await?;
    let input = json!({
        "TableName": copy, "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_IMAGE"},
    });
    ask(account, DYNAMODB, "UpdateTable", &input).await?;
    let table = wait_for(account, copy).await?;
    text_of(&table, "LatestStreamArn")
}
