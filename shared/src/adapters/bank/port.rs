//! The bank as the port sees it: an answer, or none.

use super::{BankClient, CheckOutcome, CheckRequest, QueryReply, Reply};
use crate::domain::decide::BankAnswer;
use crate::ports::{CardQuestion, CheckCard};

impl CheckCard for BankClient {
    /// Asks; when the answer is lost, asks once more by the serial. A bank that never saw the serial may be asked again
    /// under it, which the next request does.
    async fn check(&self, question: &CardQuestion) -> Option<BankAnswer> {
        let request = CheckRequest::new(
            &question.serial,
            &question.card_number,
            &question.holder_name,
            &question.id_number,
            &question.phone,
        );
        match Self::check(self, &request).await {
            Reply::Answer(outcome) => Some(outcome.into()),
            Reply::Unknown => match self.query_check(&question.serial).await {
                QueryReply::Answer(outcome) => Some(outcome.into()),
                QueryReply::NeverSeen | QueryReply::Unknown => None,
            },
        }
    }
}

impl From<CheckOutcome> for BankAnswer {
    fn from(outcome: CheckOutcome) -> Self {
        match outcome {
            CheckOutcome::Match => Self::Match,
            CheckOutcome::Mismatch => Self::Mismatch,
            CheckOutcome::NotEnabled => Self::NotEnabled,
            CheckOutcome::IssuerUnsupported => Self::IssuerUnsupported,
            CheckOutcome::Blocked => Self::Blocked,
            CheckOutcome::Invalid => Self::Invalid,
            CheckOutcome::Dormant => Self::Dormant,
            CheckOutcome::Expired => Self::Expired,
            CheckOutcome::Restricted => Self::Restricted,
            CheckOutcome::ClassII => Self::ClassTwo,
            CheckOutcome::Malformed => Self::Malformed,
            CheckOutcome::Busy => Self::Busy,
            CheckOutcome::Quota => Self::Quota,
        }
    }
}
