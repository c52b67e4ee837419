//! Mistakes that a change of the product could bring, one for each invariant: the checker has to find every one of them.

use aws_sdk_dynamodb::types::TransactWriteItem;
use domain::event_kind::EventKind;
use domain::merchant::Merchant;
use domain::policy::Policy;
use domain::transition::{PayoutChange, Transition};

/// One mistake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    None,
    /// An activation leaves the pointer where it was.
    PointerStays,
    /// A proof is good for ever.
    OldProofsAreGood,
    /// Another rebind may be asked for while one is open.
    OpensTwice,
    /// An activation starts no cooldown.
    NoCooldown,
    /// A signature is not written into the history.
    SignsInSilence,
    /// The head forgets where the chain ended.
    ForgetsTheChain,
    /// An activation tells nobody.
    TellsNobody,
    /// Who was told is not written down.
    ForgetsWhoWasTold,
    /// What was answered is not kept.
    ForgetsReplies,
    /// A freeze does not move the pointer back.
    FreezesHalf,
    /// Two tries at the same time count as one.
    CountsTriesBlindly,
    /// A payout gets the card that the pointer is on, whatever the hold.
    PaysThePointer,
    /// A write does not ask whether what it was decided on is still so.
    WritesBlindly,
}

impl Bug {
    /// What a mistaken reader makes of the state and the rules.
    pub fn misread(self, merchant: &Merchant, policy: &Policy) -> (Merchant, Policy) {
        let (mut merchant, mut policy) = (merchant.clone(), policy.clone());
        match self {
            Self::OldProofsAreGood => {
                policy.identity_proof_s = i64::MAX;
                policy.bank_proof_s = i64::MAX;
            }
            Self::OpensTwice => merchant.head.open = None,
            _ => {}
        }
        (merchant, policy)
    }

    /// What a mistaken decision changes.
    pub fn spoil(self, before: &Merchant, transition: &mut Transition) {
        let kind = transition.event.as_ref().map(|event| event.kind());
        let activates = kind == Some(EventKind::Activated);
        match (self, &mut transition.head) {
            (Self::PointerStays, Some(head)) if activates => {
                head.active.clone_from(&before.head.active);
            }
            (Self::NoCooldown, Some(head)) if activates => head.cooldown_until = None,
            (Self::ForgetsTheChain, Some(head)) => head.last_hash = "0".repeat(64),
            (Self::FreezesHalf, Some(head)) if kind == Some(EventKind::Frozen) => {
                head.active.clone_from(&before.head.active);
            }
            (Self::SignsInSilence, _) if kind == Some(EventKind::AgreementSigned) => {
                transition.event = None;
            }
            (Self::TellsNobody, _) if activates => {
                if let Some(event) = &mut transition.event {
                    event.notices.clear();
                }
            }
            (Self::PaysThePointer, _) => {
                if let Some(PayoutChange::Created(payout)) = &mut transition.payout {
                    let active = before.head.active.as_ref();
                    payout.card = active.map(|active| active.card.clone());
                }
            }
            _ => {}
        }
    }

    /// What a mistaken store leaves out.
    pub fn spoil_writes(self, items: &mut [TransactWriteItem]) {
        for item in items {
            if self == Self::CountsTriesBlindly
                && let Some(put) = &mut item.put
                && put.condition_expression() == Some("rev = :rev")
            {
                put.condition_expression = None;
                put.expression_attribute_values = None;
            }
            if self == Self::WritesBlindly {
                if let Some(update) = &mut item.update {
                    let is_head = update.key["sk"].as_s().is_ok_and(|sk| sk == "Y");
                    if is_head {
                        update.condition_expression = None;
                    }
                }
                if let Some(put) = &mut item.put
                    && put.item["sk"].as_s().is_ok_and(|sk| !sk.starts_with('I'))
                {
                    put.condition_expression = None;
                    put.expression_attribute_values = None;
                }
            }
        }
    }
}
