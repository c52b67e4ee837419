//! Where a faulted run may end elsewhere than one without a fault, each with its reason. Everything else is wrong, and a
//! reason that explains nothing is wrong too.

use crate::picture::Difference;
use crate::story::Point;
use tests::table_faults::Fault;

/// A kind of difference, and why it is right.
pub struct Reason {
    /// For the report.
    pub why: &'static str,
    is_it: fn(&Case) -> bool,
}

/// A difference where it was found.
struct Case<'c> {
    step: &'c str,
    point: &'c Point,
    place: &'c str,
    /// How much more there is of what is a number.
    more: Option<i64>,
}

/// All of them.
pub const REASONS: &[Reason] = &[
    Reason {
        why: "a login is counted before its password is compared, or a crash would be a free guess: of a process that died, or \
              that did not hear that it had counted, one of the day's twenty stays",
        is_it: |case| {
            let unsure = case.is_unheard(2) || case.is(3, &[Fault::DiesBefore]);
            case.step.starts_with("POST sessions") && unsure && case.place.starts_with("failures ")
        },
    },
    Reason {
        why: "the revision of a record counts its writes, and one to take a count back is a write; the row of an address is \
              looked at by nothing",
        is_it: |case| {
            let counts = case.place.starts_with("failures ") && case.place.ends_with(".rev");
            let row = case.place == "failures from an address.row";
            case.step.starts_with("POST sessions") && case.is_at(3) && (counts || row)
        },
    },
    Reason {
        why: "a session that was opened for a caller who did not hear of it keeps its slot until it is idle for too long, or \
              until the fifth login after it",
        is_it: |case| {
            let of_a_login = case.begins(&["account ", "head.s", "failures of a device "]);
            case.step.starts_with("POST sessions") && case.is_unheard(3) && of_a_login
        },
    },
    Reason {
        why: "a key is ignored on sessions: who ends one and does not hear of it asks again with a token that is dead by then",
        is_it: |case| {
            case.step == "DELETE session" && case.is_unheard(1) && case.place.starts_with("answer")
        },
    },
    Reason {
        why: "that the bank did not answer is written down, which counts as a version",
        is_it: |case| case.is_lost("bank") && case.is_version(),
    },
    Reason {
        why: "a code that could not be handed over is no code any more, and the history keeps that one was made; the phone has \
              two messages when the first one went out after all",
        is_it: |case| {
            let of_a_code = case.begins(&["event identity_matched", "event code_sent"]);
            let message = case.begins(&["sms "]);
            let sends = case.step.starts_with("POST ") && case.is_lost("sms");
            sends && (of_a_code || message || case.is_version())
        },
    },
    Reason {
        why: "a process that dies between the write of a code and its SMS leaves a code that nobody gets: another one is asked \
              for when the reply says that it may be, and counts as one more to that phone",
        is_it: |case| {
            let dies = case.step.starts_with("POST ") && case.is_fault(&[Fault::DiesAfter]);
            let of_a_code = case.begins(&["event code_sent", "phone ", "reply "]);
            dies && (of_a_code || case.is_version())
        },
    },
    Reason {
        why: "a try of a freeze code is counted before the code is looked at, or a crash would be a free guess, and what was \
              no wrong one is taken back: one of a process that died, or that did not hear, stays, and never one fewer",
        is_it: |case| {
            let counts = case.begins(&["freezes of an account ", "freezes from an address"]);
            let stays = matches!(case.more, Some(1 | 2));
            case.step.starts_with("POST freezes")
                && counts
                && case.place.ends_with(".tries")
                && stays
        },
    },
    Reason {
        why: "the clean-up notes that it asks the bank before it asks: whatever made it ask again is noted again",
        is_it: |case| {
            let again = case.is_fault(&Fault::ALL) && case.more == Some(1);
            case.step.starts_with("clean-up") && again && case.is_version()
        },
    },
    Reason {
        why: "a test transfer that can undo nothing any more is asked about once by the clean-up, and by the merchant's own \
              request whenever that comes",
        is_it: |case| {
            let of_it = case.begins(&[
                "event test_transfer_succeeded",
                "rebind 1.state.st.completed.test",
            ]);
            case.step == "clean-up, everything" && case.is_lost("bank") && of_it
        },
    },
    Reason {
        why: "who looks again for what the bank had not said asks with another key, and has two answers kept",
        is_it: |case| {
            case.step.starts_with("POST test-transaction")
                && case.is_lost("bank")
                && case.begins(&["reply "])
        },
    },
    Reason {
        why: "a notice is sent again when its sender died, or lost the answer of SNS, before it was marked",
        is_it: |case| {
            let died =
                case.is_fault(&[Fault::DiesBefore]) || case.is_lost("sms") || case.is_lost("push");
            case.step.starts_with("deliver") && died && case.begins(&["sms ", "push "])
        },
    },
];

/// Why this difference is right, by its place in [`REASONS`]; `None`: it is not.
#[must_use]
pub fn of(step: &str, point: &Point, difference: &Difference) -> Option<usize> {
    let number = |text: &str| text.parse::<i64>().ok();
    let numbers = number(&difference.found).zip(number(&difference.wanted));
    let case = Case {
        step,
        point,
        place: &difference.place,
        more: numbers.map(|(found, wanted)| found - wanted),
    };
    let mut reasons = REASONS.iter();
    reasons.position(|reason| (reason.is_it)(&case))
}

impl Case<'_> {
    fn begins(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.place.starts_with(place))
    }

    fn is_at(&self, place: usize) -> bool {
        matches!(self.point, Point::Table { n, .. } if *n == place)
    }

    fn is_fault(&self, faults: &[Fault]) -> bool {
        matches!(self.point, Point::Table { fault, .. } if faults.contains(fault))
    }

    fn is(&self, place: usize, faults: &[Fault]) -> bool {
        self.is_at(place) && self.is_fault(faults)
    }

    /// The table has done this call, and its caller never heard of it.
    fn is_unheard(&self, place: usize) -> bool {
        let done = [
            Fault::ReplyLost,
            Fault::ReplyCut,
            Fault::Late,
            Fault::FailedAndDone,
            Fault::DiesAfter,
        ];
        self.is(place, &done)
    }

    /// A call to something else has failed.
    fn is_lost(&self, of: &str) -> bool {
        matches!(self.point, Point::Outside { whom, .. } if *whom == of)
    }

    /// Versions, and what counts them.
    fn is_version(&self) -> bool {
        let ends = [".version", ".state.ver", ".v", ".rv", ".rev", ".seq"];
        ends.iter().any(|end| self.place.ends_with(end))
    }
}
