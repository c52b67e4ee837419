//! Which events notify whom, and with what message. [`notification`] is the one answer to both: `decide` queues a
//! notification for each recipient with a message, and the function `confirmation-notice` renders the message.

use crate::card::UNKNOWN_BANK;
use crate::error_code::ErrorCode;
use crate::format::bins;
use crate::history::event::{Event, EventCard};
use crate::ids::RebindId;
use crate::pii::Phone;
use crate::secret::Secret;
use crate::sms::{CardLabel, Sms};
use crate::time::Timestamp;

/// Whom a notification reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// The phone on file. Only this one gets the freeze code.
    OnFile,
    /// The phone that the bank has for the new card.
    Reserved,
    /// The devices that are registered for push, and those that were until lately.
    Push,
}

/// A message that is still to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// An SMS to the phone on file.
    OnFile(Phone),
    /// An SMS to the new card's phone.
    Reserved(Phone),
    /// A push. The devices are looked up when it is sent.
    Push {
        /// The tags of the devices that got it already.
        delivered: Vec<String>,
    },
}

impl Notification {
    /// The recipient.
    #[must_use]
    pub const fn to(&self) -> Recipient {
        match self {
            Self::OnFile(_) => Recipient::OnFile,
            Self::Reserved(_) => Recipient::Reserved,
            Self::Push { .. } => Recipient::Push,
        }
    }

    /// The phone; `None` for a push.
    #[must_use]
    pub const fn phone(&self) -> Option<&Phone> {
        match self {
            Self::OnFile(phone) | Self::Reserved(phone) => Some(phone),
            Self::Push { .. } => None,
        }
    }
}

/// What a notification says. A freeze code is no fact of an event: it is derived when the message is sent.
#[derive(Clone, Copy, Debug)]
pub enum Message<'e> {
    /// A text that is complete.
    Text(Sms<'e>),
    /// [`Sms::Activated`], with the freeze code of this rebind.
    Activated {
        /// The rebind.
        rebind_id: &'e RebindId,
        /// The new card.
        card: CardLabel<'e>,
        /// From when payouts go to it.
        effective_at: Timestamp,
    },
    /// [`Sms::StandbyReady`], with the freeze code of this rebind.
    StandbyReady {
        /// The rebind.
        rebind_id: &'e RebindId,
        /// The standby card.
        card: CardLabel<'e>,
        /// From when it can be activated.
        usable_at: Timestamp,
    },
}

/// The message of an event to a recipient; `None` where the event does not notify this one. `at`: when it happened.
#[must_use]
pub fn notification(event: &Event, at: Timestamp, to: Recipient) -> Option<Message<'_>> {
    let text = |sms| Some(Message::Text(sms));
    // The new card's phone hears only about what became of that card.
    let to_merchant = |sms| match to {
        Recipient::OnFile | Recipient::Push => text(sms),
        Recipient::Reserved => None,
    };
    match event {
        Event::Activated(event) => {
            let (card, effective_at) = (label(&event.card), event.effective_at);
            match to {
                Recipient::OnFile => Some(Message::Activated {
                    rebind_id: &event.rebind_id,
                    card,
                    effective_at,
                }),
                Recipient::Reserved => text(Sms::ActivatedReserved { card, effective_at }),
                Recipient::Push => text(Sms::PushActivated { card, effective_at }),
            }
        }
        Event::StandbyReady(event) => {
            let (card, usable_at) = (label(&event.card), event.usable_at);
            match to {
                Recipient::OnFile => Some(Message::StandbyReady {
                    rebind_id: &event.rebind_id,
                    card,
                    usable_at,
                }),
                Recipient::Reserved => text(Sms::StandbyReadyReserved { card }),
                Recipient::Push => text(Sms::PushStandbyReady { card, usable_at }),
            }
        }
        Event::Reverted(event) => text(Sms::Reverted {
            card: label(&event.card),
        }),
        // Only wrong codes are a sign of somebody else at work.
        Event::Rejected(event) => match event.reason {
            ErrorCode::OtpTooMany | ErrorCode::MicroDepositWrong => to_merchant(Sms::Rejected {
                card: label(&event.card),
            }),
            _ => None,
        },
        Event::CodeWrong(event) => to_merchant(Sms::Rejected {
            card: label(&event.card),
        }),
        Event::Frozen(_) => to_merchant(Sms::Frozen),
        Event::SettlementChanged(_) => to_merchant(Sms::SettlementChanged { at }),
        Event::CooldownEnded(_) => to_merchant(Sms::CooldownEnded),
        Event::RebindRequested(_)
        | Event::IdentityMatched(_)
        | Event::IdentityMismatched(_)
        | Event::CodeSent(_)
        | Event::IdentityConfirmed(_)
        | Event::AgreementSigned(_)
        | Event::CardCheckAnswered(_)
        | Event::MicroDepositSent(_)
        | Event::MicroDepositReturned(_)
        | Event::Completed(_)
        | Event::Expired(_)
        | Event::Cancelled(_)
        | Event::Unfrozen(_)
        | Event::TestTransferStarted(_)
        | Event::TestTransferSucceeded(_)
        | Event::TestTransferFailed(_)
        | Event::CardUnbound(_)
        | Event::CardRemoved(_)
        | Event::PayoutCreated(_)
        | Event::PayoutAssigned(_)
        | Event::PayoutSent(_)
        | Event::PayoutReturned(_)
        | Event::SecurityChanged(_)
        | Event::PushTargetChanged(_)
        | Event::PushTargetRemoved(_) => None,
    }
}

impl<'e> Message<'e> {
    /// The rebind whose freeze code the message names.
    #[must_use]
    pub const fn freeze_code_of(&self) -> Option<&'e RebindId> {
        match self {
            Self::Text(_) => None,
            Self::Activated { rebind_id, .. } | Self::StandbyReady { rebind_id, .. } => {
                Some(rebind_id)
            }
        }
    }

    /// The text to render. `None`: the message needs a freeze code, and there is none.
    #[must_use]
    pub fn sms(self, freeze_code: Option<&'e Secret<String>>) -> Option<Sms<'e>> {
        Some(match self {
            Self::Text(sms) => sms,
            Self::Activated {
                card, effective_at, ..
            } => Sms::Activated {
                card,
                effective_at,
                freeze_code: freeze_code?,
            },
            Self::StandbyReady {
                card, usable_at, ..
            } => Sms::StandbyReady {
                card,
                usable_at,
                freeze_code: freeze_code?,
            },
        })
    }
}

fn label(card: &EventCard) -> CardLabel<'_> {
    CardLabel {
        bank_code: &card.bank_code,
        bank_name: bins::bank_name(&card.bank_code).unwrap_or(UNKNOWN_BANK.1),
        last4: &card.last4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event_kind::EventKind;
    use crate::history::Recorded;
    use crate::lang::Lang;
    use crate::sms::render;
    use serde_json::Value;
    use std::fmt::Write as _;

    const ALL: [Recipient; 3] = [Recipient::OnFile, Recipient::Reserved, Recipient::Push];

    /// Every kind of event, with every form that its facts can have.
    fn events() -> Vec<Event> {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("history/vectors.json")).unwrap();
        let read = |vector: &Value| {
            let kind = EventKind::parse(vector["kind"].as_str().unwrap()).unwrap();
            let data = vector["data"].as_object().unwrap().clone();
            Recorded::read(kind, data).unwrap().event().clone()
        };
        vectors.iter().map(read).collect()
    }

    #[test]
    fn messages_of_each_event() {
        let at = Timestamp::from_epoch_s(1_795_312_800);
        let freeze_code = Secret::new("WXYZ2345".to_owned());
        let mut text = String::new();
        for event in events() {
            writeln!(text, "{}", event.kind()).unwrap();
            for to in ALL {
                let Some(message) = notification(&event, at, to) else {
                    continue;
                };
                let sms = message.sms(Some(&freeze_code)).unwrap();
                writeln!(text, "    {to:?}: {}", render(&sms, Lang::ZhCn)).unwrap();
                // A freeze code is for the phone on file alone.
                let names_code = message.freeze_code_of().is_some();
                assert_eq!(message.sms(None).is_none(), names_code);
                assert!(!names_code || to == Recipient::OnFile);
            }
        }
        insta::assert_snapshot!(text);
    }
}
