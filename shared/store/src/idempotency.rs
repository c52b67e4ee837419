//! Idempotency rows: what was answered under a key, for as long as the same answer is given again.

use super::client::{Get, Table};
use super::commit::put_item;
use super::item::{Item, b, broken, n, opt_b, opt_n, opt_s, opt_time, s, time};
use super::record::key;
use super::{GARBAGE_AFTER_S, Store};
use application::ports::{
    IdempotencyKey, IdempotencyLookup, IdempotencyMode, PortError, StoredReply,
};
use aws_sdk_dynamodb::types::{
    Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem,
};
use domain::time::Timestamp;
use std::io::{Read, Write};

impl<T: Table> Store<T> {
    pub(super) async fn find_row(
        &self,
        wanted: &IdempotencyKey,
        now: Timestamp,
    ) -> Result<IdempotencyLookup, PortError> {
        let get = Get {
            key: idempotency_key(wanted),
            only: None,
            consistent: true,
        };
        let row = self.table.get(get).await?;
        row.map_or(Ok(IdempotencyLookup::Nothing), |row| {
            found_in(&row, wanted, now)
        })
    }

    pub(super) fn idempotency_row(
        &self,
        mode: &IdempotencyMode<'_>,
        now: Timestamp,
    ) -> Result<Option<TransactWriteItem>, PortError> {
        let (wanted, reply) = match mode {
            IdempotencyMode::None => return Ok(None),
            IdempotencyMode::Release(key) => {
                return Delete::builder()
                    .table_name(self.table.name())
                    .set_key(Some(idempotency_key(key)))
                    .build()
                    .map(|delete| Some(TransactWriteItem::builder().delete(delete).build()))
                    .map_err(|error| broken(&error.to_string()));
            }
            IdempotencyMode::Claim(key, context) => (*key, Err(*context)),
            IdempotencyMode::Reply(key, reply) => (*key, Ok(*reply)),
        };
        let until = now.plus_s(self.policy.idempotency_s);
        let mut row = idempotency_key(wanted);
        row.insert("fp".to_owned(), s(&wanted.fingerprint));
        row.insert("until".to_owned(), time(until));
        row.insert("ttl".to_owned(), time(until.plus_s(GARBAGE_AFTER_S)));
        let mut put = Put::builder()
            .table_name(self.table.name())
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":now", time(now))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        match reply {
            Err(context) => {
                row.insert("context".to_owned(), s(context));
                put = put.condition_expression("attribute_not_exists(pk) OR #until <= :now");
            }
            Ok(reply) => {
                row.insert("status".to_owned(), n(reply.status));
                row.insert("body".to_owned(), b(&compress(&reply.body)?));
                put = put
                    .condition_expression(
                        "attribute_not_exists(pk) OR #until <= :now OR (fp = :fp AND attribute_not_exists(#status))",
                    )
                    .expression_attribute_names("#status", "status")
                    .expression_attribute_values(":fp", s(&wanted.fingerprint));
            }
        }
        put_item(put.set_item(Some(row))).map(Some)
    }
}

fn idempotency_key(wanted: &IdempotencyKey) -> Item {
    key(format!("I#{}", wanted.scope), "I")
}

/// What an idempotency row says to a request.
///
/// # Errors
/// `Permanent`, for a row that this code did not write.
pub fn found_in(
    row: &Item,
    wanted: &IdempotencyKey,
    now: Timestamp,
) -> Result<IdempotencyLookup, PortError> {
    if opt_time(row, "until").is_none_or(|until| until <= now) {
        return Ok(IdempotencyLookup::Nothing);
    }
    if opt_s(row, "fp") != Some(&wanted.fingerprint) {
        return Ok(IdempotencyLookup::OtherBody);
    }
    match (opt_n(row, "status"), opt_b(row, "body")) {
        (Some(status), Some(body)) => Ok(IdempotencyLookup::Reply(StoredReply {
            status,
            body: decompress(&body)?,
        })),
        _ => Ok(IdempotencyLookup::Claimed(
            opt_s(row, "context").unwrap_or_default().to_owned(),
        )),
    }
}

/// A reply of a thousand bytes with many known words becomes half of that: the row stays under one write unit.
fn compress(body: &str) -> Result<Vec<u8>, PortError> {
    let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    encoder
        .write_all(body.as_bytes())
        .and_then(|()| encoder.finish())
        .map_err(|error| broken(&error.to_string()))
}

fn decompress(bytes: &[u8]) -> Result<String, PortError> {
    /// More than any reply; a damaged row must not fill the memory.
    const BODY_MAX_BYTES: u64 = 64 * 1024;
    let mut body = String::new();
    flate2::read::DeflateDecoder::new(bytes)
        .take(BODY_MAX_BYTES)
        .read_to_string(&mut body)
        .map_err(|error| broken(&error.to_string()))?;
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_survives_its_row() {
        let body = r#"{"rebind_id":"rbd_000001","state":"activated","bank_name":"中国工商银行"}"#;
        assert_eq!(decompress(&compress(body).unwrap()).unwrap(), body);
    }
}
