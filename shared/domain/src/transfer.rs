//! The bank's answer about a transfer of ¥0.01 to a card.

use super::vocabulary::vocabulary;

vocabulary! {
    /// The status of a transfer at the bank.
    pub enum TransferAnswer {
        /// The payee received it. It can still be returned later.
        Succeeded = "succeeded",
        /// Not decided yet.
        Pending = "pending",
        /// It did not reach the payee, or it came back.
        Returned = "returned",
    }
}

#[cfg(test)]
mod tests {
    use super::TransferAnswer;

    #[test]
    fn transfer_answer_round_trips() {
        for &answer in TransferAnswer::ALL {
            assert_eq!(TransferAnswer::parse(answer.as_str()), Some(answer));
        }
        assert_eq!(TransferAnswer::parse("unknown_serial"), None);
    }
}
