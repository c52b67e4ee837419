//! The permitted differences between a run with a fault and one without, each with its reason. Any other difference fails the
//! suite, and so does an unused reason.

use crate::picture::Difference;
use crate::story::Point;
use tests::table_faults::Fault;

/// A kind of difference, and the reason why it is correct.
pub struct Reason {
    /// The explanation for the report.
    pub why: &'static str,
    applies: fn(&Case) -> bool,
}

/// A difference, with its step and fault.
struct Case<'c> {
    step: &'c str,
    point: &'c Point,
    place: &'c str,
    /// The increase of a numeric value.
    more: Option<i64>,
}

/// All reasons.
pub const REASONS: &[Reason] = &[
    Reason {
        why: "a login is counted before its password is compared, because a crash would otherwise be a free guess: a process \
              that died, or that lost the reply to the count, uses up one of the day's twenty",
        applies: |case| {
            let unsure = case.is_reply_lost(2) || case.dies_before_session();
            case.step.starts_with("POST sessions")
                && unsure
                && case.begins(&["logins ", "failures "])
        },
    },
    Reason {
        why: "the revision of a record counts its writes, and a refund of a count is a write; nothing reads the row of an \
              address",
        applies: |case| {
            let counts = case.begins(&["logins ", "failures "]) && case.place.ends_with(".rev");
            let row = case.place == "failures from an address.row";
            case.step.starts_with("POST sessions") && case.is_from(3) && (counts || row)
        },
    },
    Reason {
        why: "sessions and freezes ignore the key: after a lost reply to a logout or a freeze, the retry carries a token that is \
              no longer valid",
        applies: |case| {
            let ends = case.step == "DELETE session" && case.is_reply_lost(1)
                || case.step == "POST freeze" && case.is_reply_lost(2);
            ends && case.place.starts_with("answer")
        },
    },
    Reason {
        why: "a payment whose instruction was lost after the first write is released again, and every release is in the history",
        applies: |case| {
            let released = case.begins(&["event payout_released", "payout ", "unsent "]);
            case.step.starts_with("payout_sending") && (released || case.is_version())
        },
    },
    Reason {
        why: "a missing reply of the bank is recorded, which increments the version",
        applies: |case| case.is_lost("bank") && case.is_version(),
    },
    Reason {
        why: "an OTP that could not be sent is invalidated, and its event stays in the history; the phone has two messages if \
              the first one was sent after all",
        applies: |case| {
            let of_a_code = case.begins(&["event identity_matched", "event code_sent"]);
            let message = case.begins(&["sms "]);
            let sends = case.step.starts_with("POST ") && case.is_lost("sms");
            sends && (of_a_code || message || case.is_version())
        },
    },
    Reason {
        why: "a process that dies between the write of an OTP and its SMS leaves an unsent OTP: the client requests another \
              when the reply allows it, and that one counts towards the limit of the phone",
        applies: |case| {
            let dies = case.step.starts_with("POST ") && case.is_fault(&[Fault::DiesAfter]);
            let of_a_code = case.begins(&["event code_sent", "phone ", "reply "]);
            dies && (of_a_code || case.is_version() || case.is_claim())
        },
    },
    Reason {
        why: "a wrong freeze code is counted before it is answered, and a repeated request counts again: the count serves a \
              metric and the notification of the owner",
        applies: |case| {
            let counts = case.begins(&["freezes of an account ", "freezes from an address"]);
            let stays = matches!(case.more, Some(1 | 2));
            case.step.starts_with("POST freezes")
                && counts
                && case.place.ends_with(".attempts")
                && stays
        },
    },
    Reason {
        why: "a freeze code works once: if the process dies after the freeze, the repeated code is a wrong one and is counted",
        applies: |case| {
            let counts = case.begins(&["freezes of an account ", "freezes from an address"]);
            case.step.starts_with("POST freezes") && case.is_fault(&[Fault::DiesAfter]) && counts
        },
    },
    Reason {
        why: "the clean-up records each bank call before it makes it, so a retry is recorded again",
        applies: |case| {
            let again = case.is_fault(&Fault::ALL) && case.more == Some(1);
            case.step.starts_with("clean-up") && again && case.is_version()
        },
    },
    Reason {
        why: "a test transfer that can no longer revert an activation is polled once by the clean-up, and again by any later \
              request of the merchant",
        applies: |case| {
            let of_it = case.begins(&[
                "event test_transfer_succeeded",
                "rebind 1.state.st.completed.test",
            ]);
            case.step == "clean-up, everything" && case.is_lost("bank") && of_it
        },
    },
    Reason {
        why: "a later poll of a pending transfer has another key, so two replies are stored, or the first key's claim stays",
        applies: |case| {
            case.step.starts_with("POST test-transaction")
                && case.is_lost("bank")
                && (case.begins(&["reply "]) || case.is_claim())
        },
    },
    Reason {
        why: "a notification is sent again if its sender died, or lost the reply of SNS, before the mark",
        applies: |case| {
            let died = case.is_fault(&[Fault::DiesBefore]) || case.dies_after_hand_over();
            let lost = case.is_lost("sms") || case.is_lost("push");
            case.step.starts_with("deliver") && (died || lost) && case.begins(&["sms ", "push "])
        },
    },
];

/// The index in [`REASONS`] of the reason for a difference; `None`: the difference is a failure.
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
    reasons.position(|reason| (reason.applies)(&case))
}

impl Case<'_> {
    fn begins(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.place.starts_with(place))
    }

    /// The process died after the count of a login and before the write of its session. A new device is announced, so its
    /// login reads the merchant in between.
    fn dies_before_session(&self) -> bool {
        if self.step.ends_with(", new device") {
            self.is(3, &[Fault::DiesBefore, Fault::DiesAfter]) || self.is(4, &[Fault::DiesBefore])
        } else {
            self.is(3, &[Fault::DiesBefore])
        }
    }

    fn is_from(&self, place: usize) -> bool {
        matches!(self.point, Point::Table { n, .. } if *n >= place)
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

    /// The table executed this call, and its caller did not receive the reply.
    fn is_reply_lost(&self, place: usize) -> bool {
        let done = [
            Fault::ReplyLost,
            Fault::ReplyCut,
            Fault::Late,
            Fault::FailedAndDone,
            Fault::DiesAfter,
        ];
        self.is(place, &done)
    }

    /// The process died between the write of a hand-over, the only transaction of a delivery, and the mark.
    fn dies_after_hand_over(&self) -> bool {
        let Point::Table { operation, .. } = self.point else {
            return false;
        };
        operation == "TransactWriteItems" && self.is_fault(&[Fault::DiesAfter])
    }

    /// A call to another peer failed.
    fn is_lost(&self, of: &str) -> bool {
        matches!(self.point, Point::Peer { peer, .. } if *peer == of)
    }

    /// The claim of an idempotency key, or the key that was answered last.
    fn is_claim(&self) -> bool {
        let attribute = self.place.rsplit('.').next();
        attribute.is_some_and(|name| name.starts_with("c_") || name == "answered")
    }

    /// Versions, and the counters derived from them.
    fn is_version(&self) -> bool {
        let ends = [".version", ".state.ver", ".v", ".rv", ".rev", ".seq"];
        ends.iter().any(|end| self.place.ends_with(end))
    }
}
