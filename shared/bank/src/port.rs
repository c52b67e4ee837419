//! Implements the application's bank ports with the client.

use super::{
    BankClient, CheckOutcome, CheckRequest, CheckResult, Reply, TransferOutcome, TransferRequest,
};
use application::ports::{
    CardQuestion, CheckCard, QueryCheck, QueryOutcome, QueryTransfer, SendTransfer, Transfer,
};
use domain::decide::BankAnswer;
use domain::transfer::TransferAnswer;

impl CheckCard for BankClient {
    /// Sends the check, and queries its serial once when the answer is lost. If the bank never saw the serial, the
    /// merchant's next request repeats the check under the same serial.
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
            Reply::Unknown => self.check_outcome(&question.serial).await.answer(),
        }
    }
}

impl SendTransfer for BankClient {
    /// Sends the transfer once, and queries its serial once when the answer is lost.
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
            Reply::Unknown => self.transfer_outcome(&transfer.serial).await.answer(),
        }
    }
}

impl QueryCheck for BankClient {
    async fn check_outcome(&self, serial: &str) -> QueryOutcome<BankAnswer> {
        self.query_check(serial).await.map(Into::into)
    }
}

impl QueryTransfer for BankClient {
    async fn transfer_outcome(&self, serial: &str) -> QueryOutcome<TransferAnswer> {
        self.query_transfer(serial).await.map(Into::into)
    }
}

impl From<TransferOutcome> for TransferAnswer {
    /// Drops the return reason: whatever the reason, the card received nothing.
    fn from(outcome: TransferOutcome) -> Self {
        match outcome {
            TransferOutcome::Succeeded => Self::Succeeded,
            TransferOutcome::Pending => Self::Pending,
            TransferOutcome::Returned(_) => Self::Returned,
        }
    }
}

impl From<CheckResult> for BankAnswer {
    fn from(result: CheckResult) -> Self {
        match result.outcome {
            CheckOutcome::Match => Self::Match(result.card_type),
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
