//! The rules of the stream host. Each test uses a function that exposes a violation.

use super::*;
use std::collections::BTreeSet;

/// The function's reply to the sequence numbers of a batch, or `None` for an error.
type Function<'f> = &'f dyn Fn(&[u32]) -> Option<Value>;

const START: i64 = 1_790_000_000;

fn mapping() -> Mapping {
    Mapping {
        batch_size: 10,
        filters: vec![json!({"dynamodb": {"NewImage": {"notice": {"S": ["due"]}}}})],
        reports_failures: true,
        bisects: true,
        retries_max: Some(5),
        age_max_s: Some(3_600),
        destination: Some("SQS".to_owned()),
        timeout_s: 60,
        view: "NEW_IMAGE".to_owned(),
    }
}

fn record(number: u32, partition: &str, notification: &str) -> Value {
    json!({
        "eventID": format!("id-{number}"), "eventName": "INSERT", "eventSourceARN": "arn:stream",
        "dynamodb": {
            "ApproximateCreationDateTime": START,
            "SequenceNumber": format!("{number:021}"),
            "Keys": {"pk": {"S": partition}},
            "NewImage": {"notice": {"S": notification}, "phone": {"S": "+8613900000001"}},
        },
    })
}

fn host_with(mapping: Mapping, retries: Retries, records: u32) -> Host {
    let mut host = Host::new(mapping, retries, 1, 1);
    for number in 1..=records {
        host.add(record(number, "M#1", "due"));
    }
    host
}

fn host(records: u32) -> Host {
    host_with(mapping(), Retries::Decremented, records)
}

fn numbers(delivery: &Delivery) -> Vec<u32> {
    let numbers = delivery.batch.records.iter();
    numbers
        .map(|record| sequence_number(record).parse().unwrap())
        .collect()
}

fn failed(numbers: &[u32]) -> Value {
    let failures = numbers.iter();
    let failures: Vec<Value> = failures
        .map(|number| json!({"itemIdentifier": format!("{number:021}")}))
        .collect();
    json!({"batchItemFailures": failures})
}

/// Runs until no record is left. Returns the batches in order.
fn run(host: &mut Host, function: Function<'_>) -> Vec<Vec<u32>> {
    let mut now = Timestamp::from_epoch_s(START);
    let mut batches = Vec::new();
    for _ in 0..1_000 {
        if let Some(delivery) = host.next(now) {
            let batch = numbers(&delivery);
            let ended = function(&batch).map_or(Ended::Failed, Ended::Replied);
            batches.push(batch);
            host.finish(delivery, &ended, now);
        } else if let Some(then) = host.wakes_at() {
            now = now.max(then);
        } else {
            return batches;
        }
    }
    panic!("the mapping does not stop: {batches:?}");
}

fn described(message: &Value) -> (u32, u32, u64) {
    let info = &message["DDBStreamBatchInfo"];
    let number = |name: &str| info[name].as_str().unwrap().parse().unwrap();
    (
        number("startSequenceNumber"),
        number("endSequenceNumber"),
        info["batchSize"].as_u64().unwrap(),
    )
}

#[test]
fn mapping_is_read_from_template() {
    let mapping = Mapping::of("ConfirmationNoticeFunction");
    assert!(mapping.reports_failures && mapping.bisects);
    assert!(mapping.retries_max.is_some() && mapping.age_max_s.is_some());
    assert!(mapping.admits(&record(1, "M#1", "due")));
    for other in ["claimed", "released", "sent", "given up"] {
        assert!(!mapping.admits(&record(1, "M#1", other)), "{other}");
    }
    let bare = "
        Resources:
          T: { Properties: { StreamSpecification: { StreamViewType: KEYS_ONLY } } }
          F: { Properties: { Events: { S: { Type: DynamoDB, Properties: { Stream: !GetAtt T.StreamArn } } } } }";
    let bare = Mapping::read(&serde_saphyr::from_str(bare).unwrap(), "F");
    assert_eq!((bare.batch_size, bare.timeout_s), (100, 3));
    assert_eq!(bare.view, "KEYS_ONLY");
    assert!(!bare.reports_failures && !bare.bisects && bare.destination.is_none());
    assert!(bare.retries_max.is_none() && bare.age_max_s.is_none());
    assert!(bare.admits(&json!({})));
}

#[test]
fn filter_matches_values_and_absence() {
    let one_of = json!({"a": {"S": ["x", "y"]}});
    for (value, admitted) in [
        (json!({"a": {"S": "x"}}), true),
        (json!({"a": {"S": "y"}}), true),
        (json!({"a": {"S": "z"}}), false),
        (json!({"a": {}}), false),
        (json!({}), false),
    ] {
        assert_eq!(fits(&one_of, Some(&value)), admitted, "{value}");
    }
    let absent = json!({"a": [{"exists": false}]});
    assert!(fits(&absent, Some(&json!({}))) && !fits(&absent, Some(&json!({"a": 1}))));
}

#[test]
#[should_panic(expected = "unsupported filter rule")]
fn unknown_filter_panics() {
    let _ = fits(&json!({"a": [{"suffix": "x"}]}), Some(&json!({"a": "xy"})));
}

#[test]
fn batches_are_full_and_in_order() {
    let mut host = host_with(mapping(), Retries::Decremented, 0);
    for number in 1..=50 {
        let notification = if number % 2 == 0 { "due" } else { "sent" };
        host.add(record(number, "M#1", notification));
    }
    let batches = run(&mut host, &|_| Some(Value::Null));
    let even: Vec<u32> = (1..=25).map(|half| half * 2).collect();
    assert_eq!(batches, [&even[..10], &even[10..20], &even[20..]]);
    assert_eq!((host.dropped, host.given_up.len()), (25, 0));
}

#[test]
fn empty_failure_list_is_success() {
    for reply in [
        json!(null),
        json!({}),
        json!({"batchItemFailures": null}),
        json!({"batchItemFailures": []}),
    ] {
        let batches = run(&mut host(3), &|_| Some(reply.clone()));
        assert_eq!(batches, [[1, 2, 3]], "{reply}");
    }
}

#[test]
fn invalid_failure_id_fails_whole_batch() {
    for id in [
        json!({"itemIdentifier": ""}),
        json!({"itemIdentifier": null}),
        json!({"itemIdentifer": format!("{:021}", 2)}),
        json!({"itemIdentifier": "another's"}),
    ] {
        let mut mapping = mapping();
        mapping.bisects = false;
        let mut host = host_with(mapping, Retries::Decremented, 3);
        let batches = run(&mut host, &|_| Some(json!({"batchItemFailures": [id]})));
        assert_eq!(
            batches,
            vec![[1, 2, 3]; 6],
            "{id}: one attempt and five retries"
        );
        assert_eq!(described(&host.given_up[0]), (1, 3, 3), "{id}");
    }
}

#[test]
fn reply_is_read_only_if_configured() {
    let mut mapping = mapping();
    mapping.reports_failures = false;
    let mut host = host_with(mapping, Retries::Decremented, 3);
    assert_eq!(run(&mut host, &|_| Some(failed(&[1]))), [[1, 2, 3]]);
}

#[test]
fn lowest_failure_is_checkpoint() {
    let first = |batch: &[u32]| batch.len() == 6;
    let batches = run(&mut host(6), &|batch| {
        Some(failed(if first(batch) { &[5, 3, 4] } else { &[] }))
    });
    assert_eq!(batches, [vec![1, 2, 3, 4, 5, 6], vec![3, 4, 5, 6]]);
}

#[test]
fn first_failed_record_fails_the_rest() {
    // The function stops at the first failure, as recommended. The failure is then first in the batch, so no bisection
    // follows.
    let stops = |batch: &[u32]| {
        let poisoned = batch.iter().find(|number| **number == 3);
        Some(failed(poisoned.map(std::slice::from_ref).unwrap_or(&[])))
    };
    for (retries, attempts) in [(Retries::Decremented, 5), (Retries::Reset, 6)] {
        let mut host = host_with(mapping(), retries, 12);
        let batches = run(&mut host, &stops);
        let rest: Vec<u32> = (3..=10).collect();
        let mut expected = vec![(1..=10).collect::<Vec<u32>>()];
        expected.extend(vec![rest; attempts]);
        expected.push(vec![11, 12]);
        assert_eq!(batches, expected, "{retries:?}");
        assert_eq!(host.given_up.len(), 1);
        assert_eq!(described(&host.given_up[0]), (3, 10, 8));
    }
}

#[test]
fn errors_bisect_the_batch() {
    let mut host = host(8);
    let batches = run(&mut host, &|batch| {
        (!batch.contains(&3)).then_some(json!(null))
    });
    let mut expected = vec![(1..=8).collect(), vec![1, 2, 3, 4], vec![1, 2], vec![3, 4]];
    // Bisection costs no retry.
    expected.extend(vec![vec![3]; 6]);
    expected.extend([vec![4], vec![5, 6, 7, 8]]);
    assert_eq!(batches, expected);
    assert_eq!(host.given_up.len(), 1);
    assert_eq!(described(&host.given_up[0]), (3, 3, 1));
}

#[test]
fn without_bisection_the_batch_fails() {
    let mut mapping = mapping();
    mapping.bisects = false;
    let mut host = host_with(mapping, Retries::Decremented, 4);
    let batches = run(&mut host, &|batch| {
        (!batch.contains(&3)).then_some(json!(null))
    });
    assert_eq!(batches, vec![[1, 2, 3, 4]; 6]);
    assert_eq!(described(&host.given_up[0]), (1, 4, 4));
}

#[test]
fn retries_end_at_the_record_age() {
    let mut mapping = mapping();
    mapping.retries_max = None;
    let mut host = host_with(mapping, Retries::Decremented, 1);
    let batches = run(&mut host, &|_| Some(failed(&[1])));
    assert!(batches.len() > 60, "one a minute, for an hour");
    let condition = &host.given_up[0]["requestContext"]["condition"];
    assert_eq!(condition, "RecordAgeExceeded");
}

#[test]
fn old_records_are_skipped() {
    let mut host = host(2);
    let mut young = record(3, "M#1", "due");
    young["dynamodb"]["ApproximateCreationDateTime"] = json!(START + 100);
    host.add(young);
    let now = Timestamp::from_epoch_s(START + 3_601);
    let delivery = host.next(now).unwrap();
    assert_eq!(numbers(&delivery), [3]);
    assert_eq!(described(&host.given_up[0]), (1, 2, 2));
}

#[test]
fn failure_description_holds_no_record() {
    for (kind, has_records) in [("SQS", false), ("SNS", false), ("S3", true)] {
        let mut mapping = mapping();
        mapping.destination = Some(kind.to_owned());
        let mut host = host_with(mapping, Retries::Decremented, 1);
        run(&mut host, &|_| None);
        let text = host.given_up[0].to_string();
        assert_eq!(text.contains("+8613900000001"), has_records, "{kind}");
    }
    let mut mapping = mapping();
    mapping.destination = None;
    let mut host = host_with(mapping, Retries::Decremented, 2);
    run(&mut host, &|_| None);
    assert!(host.given_up.is_empty(), "no description is sent");
}

#[test]
fn failing_shard_does_not_block_others() {
    let mut host = Host::new(mapping(), Retries::Decremented, 4, 7);
    for number in 1..=40 {
        host.add(record(number, &format!("M#{}", number % 8), "due"));
    }
    let shards = host.shards.iter();
    let shards: Vec<Vec<u32>> = shards
        .map(|shard| {
            let records = shard.records.iter();
            records
                .map(|record| sequence_number(record).parse().unwrap())
                .collect()
        })
        .filter(|shard: &Vec<u32>| !shard.is_empty())
        .collect();
    assert!(shards.len() > 1, "{shards:?}");
    let poison = shards[0][0];
    let batches = run(&mut host, &|batch| {
        let failing = batch.contains(&poison).then_some(poison);
        Some(failed(failing.as_slice()))
    });
    let place = |number: u32| batches.iter().rposition(|batch| batch.contains(&number));
    for shard in &shards[1..] {
        assert!(place(*shard.last().unwrap()) < place(poison), "{batches:?}");
    }
    // No record overtakes another of its shard: each shard is in order.
    for shard in &shards {
        let seen = batches.iter().flatten();
        let mut seen: Vec<u32> = seen
            .filter(|number| shard.contains(number))
            .copied()
            .collect();
        seen.dedup();
        let firsts: BTreeSet<u32> = seen.iter().copied().collect();
        let mut order = Vec::new();
        for number in seen {
            if !order.contains(&number) {
                order.push(number);
            }
        }
        assert_eq!(order, firsts.into_iter().collect::<Vec<_>>());
    }
}

#[test]
fn seed_decides_the_shard_order() {
    let orders: BTreeSet<Vec<Vec<u32>>> = (0..8)
        .map(|seed| {
            let mut host = Host::new(mapping(), Retries::Decremented, 4, seed);
            for number in 1..=40 {
                host.add(record(number, &format!("M#{}", number % 8), "due"));
            }
            run(&mut host, &|_| Some(Value::Null))
        })
        .collect();
    assert!(orders.len() > 1);
}

#[test]
fn child_shard_waits_for_parent() {
    let mut host = host(4);
    host.split();
    for number in 5..=8 {
        host.add(record(number, "M#1", "due"));
    }
    host.split();
    host.add(record(9, "M#1", "due"));
    let batches = run(&mut host, &|batch| {
        Some(failed(if batch[0] == 1 { &[1] } else { &[] }))
    });
    let mut expected = vec![vec![1, 2, 3, 4]; 6];
    expected.extend([vec![5, 6, 7, 8], vec![9]]);
    assert_eq!(batches, expected);
}

#[test]
fn stream_host_redelivers_batches() {
    let mut host = host(20);
    host.repeat_every = Some(2);
    let (first, second): (Vec<u32>, Vec<u32>) = ((1..=10).collect(), (11..=20).collect());
    let done = |_: &[u32]| Some(Value::Null);
    assert_eq!(run(&mut host, &done), [&first[..], &second, &second]);
    host.repeat_every = None;
    host.forget();
    assert_eq!(run(&mut host, &done), [first, second]);
}
