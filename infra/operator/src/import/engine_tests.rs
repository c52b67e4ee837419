use super::*;
use domain::onboarding::Onboarding;
use domain::password_hash::PasswordHash;
use std::collections::{BTreeMap, BTreeSet};

type Bytes = Vec<u8>;

fn clock() -> Timestamp {
    Timestamp::from_epoch_s(1_795_312_800)
}

/// A valid line.
fn line(number: u32) -> String {
    let hash = PasswordHash::new(b"saltsalt", [7; 32]);
    serde_json::json!({
        "merchant_id": format!("mer_{number}"),
        "account": format!("1390000{number:04}"),
        "password_hash": hash.expose(),
        "entity_type": "natural_person",
        "legal_name": "测试",
        "id_document": {"number": "11010519491231002X", "expires_on": "long_term"},
        "phone_on_file": "13900000001",
        "opened_on": "2024-02-29",
        "tier": {"daily_limit_max_fen": 5_000_000, "fee_rate_bp": 60},
        "settlement": {"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2_000_000},
    })
    .to_string()
}

fn file(lines: u32) -> String {
    (0..lines).map(|number| line(number) + "\n").collect()
}

/// Merchants in memory. Each call takes a few turns; some fail.
#[derive(Default)]
struct Memory {
    merchants: RefCell<BTreeMap<String, Onboarding>>,
    calls: RefCell<u32>,
    in_flight: RefCell<(usize, usize)>,
    /// Each call with a number in this set is lost after it took effect.
    lost: BTreeSet<u32>,
    /// From this call on, nothing works.
    broken_from: Option<u32>,
    batch: usize,
}

impl Target for Memory {
    fn name(&self) -> String {
        "memory".to_owned()
    }

    fn batch(&self) -> usize {
        self.batch
    }

    async fn create(&self, entries: &[Entry]) -> Vec<Answer> {
        let call = {
            let mut calls = self.calls.borrow_mut();
            *calls += 1;
            *calls
        };
        {
            let (now, most) = &mut *self.in_flight.borrow_mut();
            *now += 1;
            *most = (*most).max(*now);
        }
        for _ in 0..call % 7 {
            tokio::task::yield_now().await;
        }
        self.in_flight.borrow_mut().0 -= 1;
        let is_broken = self.broken_from.is_some_and(|from| call >= from);
        let answers = entries.iter().map(|entry| {
            if is_broken {
                return Answer::Failed("the table failed: AccessDenied".to_owned());
            }
            let mut merchants = self.merchants.borrow_mut();
            let id = entry.merchant.merchant_id.to_string();
            let answer = match merchants.get(&id) {
                None => Answer::Created,
                Some(known) if *known == entry.merchant => Answer::AlreadyThere,
                Some(_) => {
                    return Answer::Refused(vec![FieldFault::new(
                        "merchant_id",
                        Fault::MerchantExists,
                    )]);
                }
            };
            merchants.insert(id, entry.merchant.clone());
            if self.lost.contains(&call) {
                return Answer::Unavailable("the table is unavailable".to_owned());
            }
            answer
        });
        answers.collect()
    }
}

fn plan(text: &str) -> Plan<'static> {
    Plan {
        file: "m.jsonl",
        total_bytes: text.len() as u64,
        in_flight: 32,
        rate: None,
        dry_run: false,
        card_key: None,
        policy: &Policy::CURRENT,
        clock,
    }
}

async fn import(
    text: &[u8],
    plan: Plan<'_>,
    target: &Memory,
    resume: Option<&ResumeFile>,
    stop: impl Future<Output = ()>,
) -> (Result<Summary, Error>, String) {
    let mut output = Bytes::new();
    let mut report: Report<_, Bytes> =
        Report::new(&mut output, super::super::Format::Json, "m.jsonl");
    let summary = run(plan, Lines::new(text), target, resume, &mut report, stop).await;
    (summary, String::from_utf8(output).unwrap())
}

async fn imported(text: &str, target: &Memory) -> (Summary, String) {
    let (summary, output) = import(
        text.as_bytes(),
        plan(text),
        target,
        None,
        std::future::pending(),
    )
    .await;
    (summary.unwrap(), output)
}

fn resume_file(name: &str) -> ResumeFile {
    let path = std::env::temp_dir().join(format!("rebindctl-{}-{name}", std::process::id()));
    let _ = std::fs::remove_file(&path);
    ResumeFile::new(path, "memory")
}

#[tokio::test(start_paused = true)]
async fn every_line_is_created_once() {
    for batch in [1, 25] {
        let target = Memory {
            batch,
            ..Memory::default()
        };
        let text = file(500);
        let (summary, _) = imported(&text, &target).await;
        assert_eq!(
            (summary.lines, summary.created, summary.done_lines),
            (500, 500, 500)
        );
        assert!(summary.is_complete());
        assert!(target.in_flight.borrow().1 <= 32);
        let (summary, _) = imported(&text, &target).await;
        assert_eq!((summary.created, summary.already_there), (0, 500));
        assert!(summary.is_complete());
    }
}

#[tokio::test(start_paused = true)]
async fn bad_lines_are_reported_and_others_created() {
    let target = Memory::default();
    let long = "x".repeat(super::super::lines::LINE_MAX_BYTES + 1);
    let other = line(1).replace("13900000001", "13900000002");
    let text = format!(
        "\u{FEFF}{}\r\n\r\n{{\n{long}\n{}\n{other}\nnull",
        line(0),
        line(1)
    );
    let (summary, output) = imported(&text, &target).await;
    assert_eq!((summary.lines, summary.created, summary.refused), (6, 2, 4));
    assert!(!summary.is_complete());
    let mut faults: Vec<String> = output
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|line| line["code"].is_string())
        .map(|line| format!("{} {}", line["line"], line["code"].as_str().unwrap()))
        .collect();
    faults.sort();
    assert_eq!(
        faults,
        [
            "3 NOT_JSON",
            "4 LINE_TOO_LONG",
            "6 MERCHANT_EXISTS",
            "7 NOT_JSON"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn file_without_lines_is_an_error() {
    for text in ["", "\n\r\n", "\u{FEFF}"] {
        let target = Memory::default();
        let stop = std::future::pending();
        let (summary, _) = import(text.as_bytes(), plan(text), &target, None, stop).await;
        assert!(matches!(summary, Err(Error::Empty(_))), "{text:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn lost_answers_are_asked_for_again() {
    let target = Memory {
        lost: (1..400).step_by(3).collect(),
        ..Memory::default()
    };
    let (summary, _) = imported(&file(200), &target).await;
    assert!(summary.is_complete());
    assert_eq!(summary.created + summary.already_there, 200);
    assert_eq!(target.merchants.borrow().len(), 200);
}

#[tokio::test(start_paused = true)]
async fn unavailable_target_stops_the_import() {
    let target = Memory {
        lost: (50..100_000).collect(),
        ..Memory::default()
    };
    let (summary, _) = imported(&file(200), &target).await;
    assert!(matches!(summary.ending, Ending::Failed(_)));
    assert!(summary.done_lines < 200);
}

#[tokio::test(start_paused = true)]
async fn import_goes_on_after_each_stop() {
    let text = file(150) + "{\n" + &line(200);
    for broken_from in (1..=152).step_by(5) {
        let resume = resume_file(&format!("stop_{broken_from}.json"));
        let mut target = Memory {
            broken_from: Some(broken_from),
            ..Memory::default()
        };
        let never = std::future::pending;
        let (first, _) = import(
            text.as_bytes(),
            plan(&text),
            &target,
            Some(&resume),
            never(),
        )
        .await;
        let first = first.unwrap();
        target.broken_from = None;
        let (second, _) = import(
            text.as_bytes(),
            plan(&text),
            &target,
            Some(&resume),
            never(),
        )
        .await;
        let second = second.unwrap();
        assert_eq!(second.skipped, first.done_lines);
        assert_eq!(second.refused + second.refused_before, 1);
        assert_eq!(second.done_lines, 152);
        assert!(!second.is_complete());
        assert_eq!(target.merchants.borrow().len(), 151);
        let (third, _) = import(
            text.as_bytes(),
            plan(&text),
            &target,
            Some(&resume),
            never(),
        )
        .await;
        let third = third.unwrap();
        assert_eq!(
            (third.lines, third.skipped, third.refused_before),
            (0, 152, 1)
        );
        std::fs::remove_file(resume.path()).unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn user_stops_after_the_lines_in_flight() {
    let text = file(3_000);
    let resume = resume_file("user.json");
    let target = Memory::default();
    let stop = async {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
    };
    let (summary, _) = import(text.as_bytes(), plan(&text), &target, Some(&resume), stop).await;
    let summary = summary.unwrap();
    assert_eq!(summary.ending, Ending::Stopped);
    assert_eq!(summary.created, target.merchants.borrow().len() as u64);
    assert_eq!(summary.created, summary.done_lines);
    assert!(summary.created < 3_000);
}

#[tokio::test(start_paused = true)]
async fn killed_run_is_repeated() {
    let text = file(60) + "{\n";
    for turns in 0..80 {
        let resume = resume_file(&format!("killed_{turns}.json"));
        let target = Memory::default();
        let never = std::future::pending;
        let turns_over = async {
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        };
        // A dropped future is a process that was killed.
        tokio::select! {
            biased;
            () = turns_over => {}
            _ = import(text.as_bytes(), plan(&text), &target, Some(&resume), never()) => {}
        }
        let (again, output) = import(
            text.as_bytes(),
            plan(&text),
            &target,
            Some(&resume),
            never(),
        )
        .await;
        let again = again.unwrap();
        assert_eq!(
            (again.done_lines, again.refused + again.refused_before),
            (61, 1)
        );
        assert!(again.refused_before == 1 || output.contains("NOT_JSON"));
        assert_eq!(target.merchants.borrow().len(), 60);
        let _ = std::fs::remove_file(resume.path());
    }
}

#[tokio::test(start_paused = true)]
async fn stop_ends_pauses_between_attempts() {
    let target = Memory {
        lost: (1..100_000).collect(),
        ..Memory::default()
    };
    let text = file(10);
    let began = Instant::now();
    let stop = tokio::time::sleep(Duration::from_millis(150));
    let (summary, _) = import(text.as_bytes(), plan(&text), &target, None, stop).await;
    assert_eq!(summary.unwrap().ending, Ending::Stopped);
    assert!(
        began.elapsed() < Duration::from_millis(200),
        "{:?}",
        began.elapsed()
    );
}

#[tokio::test(start_paused = true)]
async fn resume_file_of_another_file_is_refused() {
    let text = file(20);
    let resume = resume_file("other.json");
    let target = Memory::default();
    let never = std::future::pending;
    let _ = import(
        text.as_bytes(),
        plan(&text),
        &target,
        Some(&resume),
        never(),
    )
    .await;
    let stored = std::fs::read_to_string(resume.path()).unwrap();
    for personal in ["测试", "139000", "mer_", "argon2id"] {
        assert!(!stored.contains(personal));
    }
    let changed = text.replace("mer_7", "mer_8");
    let (refused, _) = import(
        changed.as_bytes(),
        plan(&changed),
        &target,
        Some(&resume),
        never(),
    )
    .await;
    assert!(matches!(refused, Err(Error::OtherFile { lines: 20, .. })));
    let longer = text.clone() + &line(21);
    let (longer, _) = import(
        longer.as_bytes(),
        plan(&longer),
        &target,
        Some(&resume),
        never(),
    )
    .await;
    assert_eq!(longer.unwrap().created, 1);
    let elsewhere = ResumeFile::new(resume.path(), "another table");
    assert!(matches!(elsewhere.load(), Err(Error::OtherTarget { .. })));
    std::fs::write(resume.path(), "{}").unwrap();
    assert!(matches!(resume.load(), Err(Error::NotAResumeFile(_))));
}

/// An output that nobody reads.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn closed_output_stops_before_the_unseen_fault() {
    let text = file(5) + "{\n" + &file(5);
    let mut report: Report<_, Bytes> = Report::new(Closed, super::super::Format::Json, "m.jsonl");
    let target = Memory::default();
    let lines = Lines::new(text.as_bytes());
    let never = std::future::pending();
    let summary = run(plan(&text), lines, &target, None, &mut report, never)
        .await
        .unwrap();
    assert_eq!(summary.ending, Ending::Stopped);
    assert_eq!(summary.done_lines, 5);
}

#[tokio::test(start_paused = true)]
async fn rate_limits_the_lines() {
    let text = file(100);
    let target = Memory::default();
    let plan = Plan {
        rate: Some(50),
        ..plan(&text)
    };
    let began = Instant::now();
    let never = std::future::pending();
    let (summary, _) = import(text.as_bytes(), plan, &target, None, never).await;
    assert!(summary.unwrap().is_complete());
    assert!(
        began.elapsed() >= Duration::from_millis(1_980),
        "{:?}",
        began.elapsed()
    );
}
