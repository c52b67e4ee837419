//! The bank as the ports see it: an answer, or none.

use super::{
    BankClient, CheckOutcome, CheckRequest, QueryReply, Reply, TransferOutcome, TransferRequest,
};
use application::ports::{
    CardQuestion, CheckCard, QueryCheck, QueryOutcome, QueryTransfer, SendTransfer, Transfer,
};
use domain::decide::BankAnswer;
use domain::transfer::TransferAnswer;

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
            Reply::Unknown => answer(self.check_outcome(&question.serial).await),
        }
    }
}

impl SendTransfer for BankClient {
    /// As with a check: sent once, and asked about once when the answer is lost.
    async fn transfer(&self, transfer: &Transfer) -> Option<TransferAnswer> {
        let request = TransferRequest::one_fen(
            &transfer.serial,
            &transfer.card_number,
            &transfer.holder_name,
            transfer.descriptor.expose(),
            transfer.check_name,
        );
        match Self::transfer(self, &request).await {
            Reply::Answer(outcome) => Some(outcome.into()),
            Reply::Unknown => answer(self.transfer_outcome(&transfer.serial).await),
        }
    }
}

impl QueryCheck for BankClient {
    async fn check_outcome(&self, serial: &str) -> QueryOutcome<BankAnswer> {
        self.query_check(serial).await.into()
    }
}

impl QueryTransfer for BankClient {
    async fn transfer_outcome(&self, serial: &str) -> QueryOutcome<TransferAnswer> {
        self.query_transfer(serial).await.into()
    }
}

fn answer<A>(recalled: QueryOutcome<A>) -> Option<A> {
    match recalled {
        QueryOutcome::Answer(answer) => Some(answer),
        QueryOutcome::NeverSeen | QueryOutcome::Unknown => None,
    }
}

impl<O, A: From<O>> From<QueryReply<O>> for QueryOutcome<A> {
    fn from(reply: QueryReply<O>) -> Self {
        match reply {
            QueryReply::Answer(outcome) => Self::Answer(outcome.into()),
            QueryReply::NeverSeen => Self::NeverSeen,
            QueryReply::Unknown => Self::Unknown,
        }
    }
}

impl From<TransferOutcome> for TransferAnswer {
    /// Why it came back is the bank's log's business: whatever the reason, the card got nothing.
    fn from(outcome: TransferOutcome) -> Self {
        match outcome {
            TransferOutcome::Succeeded => Self::Succeeded,
            TransferOutcome::Pending => Self::Pending,
            TransferOutcome::Returned(_) => Self::Returned,
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
