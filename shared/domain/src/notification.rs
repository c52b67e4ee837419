//! The recipients and the messages of each event. [`notification`] alone maps an event to both: `decide` queues a
//! notification for each recipient with a message, and the function `confirmation-notice` renders the message.

use crate::card::UNKNOWN_BANK;
use crate::contact::ContactField;
use crate::error_code::ErrorCode;
use crate::format::bins;
use crate::history::event::{Event, EventCard};
use crate::merchant::Profile;
use crate::operator::ProposalKind;
use crate::pii::Phone;
use crate::rebind::OtpPurpose;
use crate::secret::Secret;
use crate::sms::{CardLabel, Sms};
use crate::time::Timestamp;

/// The recipient of a notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// The phone on file. Only it and the previous one receive freeze codes.
    OnFile,
    /// The phone on file before the last change, for some more days.
    Previous,
    /// The reserved phone of the new card.
    Reserved,
    /// The devices registered for push, and those removed recently.
    Push,
}

impl Recipient {
    /// Every recipient.
    pub const ALL: [Self; 4] = [Self::OnFile, Self::Previous, Self::Reserved, Self::Push];
}

/// A queued message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notification {
    /// An SMS to the phone that is on file when it is sent.
    OnFile,
    /// An SMS to the previous phone on file, unless the record no longer has one when it is sent.
    Previous,
    /// An SMS to the reserved phone.
    Reserved(Phone),
    /// A push notification. Its devices are looked up when it is sent.
    Push {
        /// The tags of the devices that have already received it.
        delivered: Vec<String>,
    },
}

impl Notification {
    /// The recipient.
    #[must_use]
    pub const fn to(&self) -> Recipient {
        match self {
            Self::OnFile => Recipient::OnFile,
            Self::Previous => Recipient::Previous,
            Self::Reserved(_) => Recipient::Reserved,
            Self::Push { .. } => Recipient::Push,
        }
    }

    /// The phone, by the record at the time of the message; `None` for push, and for a previous phone that the record no
    /// longer has.
    #[must_use]
    pub fn phone<'a>(&'a self, record: &'a Profile) -> Option<&'a Phone> {
        match self {
            Self::OnFile => Some(&record.phone_on_file),
            Self::Previous => record
                .previous_phone
                .as_ref()
                .map(|previous| &previous.phone),
            Self::Reserved(phone) => Some(phone),
            Self::Push { .. } => None,
        }
    }
}

/// The content of a notification. A freeze code is not a fact of an event: it is derived when the message is sent.
#[derive(Clone, Copy, Debug)]
pub enum Message<'e> {
    /// A complete text.
    Text(Sms<'e>),
    /// [`Sms::Activated`], with the freeze code of the event.
    Activated {
        /// The new card.
        card: CardLabel<'e>,
        /// The time from which payouts go to the card.
        effective_at: Timestamp,
    },
    /// [`Sms::StandbyReady`], with the freeze code of the event.
    StandbyReady {
        /// The standby card.
        card: CardLabel<'e>,
        /// The earliest time of its activation.
        usable_at: Timestamp,
    },
    /// [`Sms::SettlementChanged`], with the freeze code that the event names.
    SettlementChanged {
        /// When the settings take effect.
        effective_at: Timestamp,
    },
    /// [`Sms::SecurityChanged`], with the freeze code of the event.
    SecurityChanged {
        /// The part of the record.
        field: ContactField,
        /// When it was changed.
        at: Timestamp,
    },
}

/// The message of an event to a recipient; `None` if the event does not notify this recipient. `at` is the time of the
/// event.
#[must_use]
pub fn notification(event: &Event, at: Timestamp, to: Recipient) -> Option<Message<'_>> {
    let text = |sms| Some(Message::Text(sms));
    // The reserved phone is notified only about the new card.
    let to_merchant = |sms| match to {
        Recipient::OnFile | Recipient::Previous | Recipient::Push => text(sms),
        Recipient::Reserved => None,
    };
    let to_push = |sms| match to {
        Recipient::Push => text(sms), // a hint
        Recipient::OnFile | Recipient::Previous | Recipient::Reserved => None,
    };
    match event {
        Event::Activated(event) => {
            let (card, effective_at) = (label(&event.card), event.effective_at);
            match to {
                Recipient::OnFile | Recipient::Previous => {
                    Some(Message::Activated { card, effective_at })
                }
                Recipient::Reserved => text(Sms::ActivatedReserved { card, effective_at }),
                Recipient::Push => text(Sms::PushActivated { card, effective_at }),
            }
        }
        Event::StandbyReady(event) => {
            let (card, usable_at) = (label(&event.card), event.usable_at);
            match to {
                Recipient::OnFile | Recipient::Previous => {
                    Some(Message::StandbyReady { card, usable_at })
                }
                Recipient::Reserved => text(Sms::StandbyReadyReserved { card }),
                Recipient::Push => text(Sms::PushStandbyReady { card, usable_at }),
            }
        }
        Event::SecurityChanged(event) => match to {
            Recipient::OnFile | Recipient::Previous => Some(Message::SecurityChanged {
                field: event.change,
                at,
            }),
            Recipient::Push => text(Sms::PushSecurityChanged {
                field: event.change,
                at,
            }),
            Recipient::Reserved => None,
        },
        Event::Reverted(event) => text(Sms::Reverted {
            card: label(&event.card),
        }),
        // Only wrong codes suggest an attacker.
        Event::Rejected(event) => match event.reason {
            ErrorCode::OtpTooMany | ErrorCode::MicroDepositWrong => to_merchant(Sms::Rejected {
                card: label(&event.card),
            }),
            _ => None,
        },
        Event::CodeWrong(event) => to_merchant(Sms::Rejected {
            card: label(&event.card),
        }),
        Event::CodeGuessed(_) => to_merchant(Sms::CodeGuessed),
        Event::Frozen(_) => to_merchant(Sms::Frozen),
        // Both contacts, because the operator has decided between their cards.
        Event::Unfrozen(_) => text(Sms::Unfrozen),
        Event::Closed(_) => to_merchant(Sms::Closed),
        Event::ChangeProposed(event) => match event.change {
            ProposalKind::Unfreeze => to_merchant(Sms::UnfreezeProposed),
            ProposalKind::ContactChange => to_merchant(Sms::ContactChangeProposed),
            ProposalKind::Close => to_merchant(Sms::CloseProposed),
            ProposalKind::Unmask | ProposalKind::Erase | ProposalKind::CoreKey => None,
        },
        Event::FreezeCodeGuessed(_) => to_merchant(Sms::FreezeCodeGuessed),
        Event::IdentityMatched(_) => to_push(Sms::PushCodeAsked),
        Event::CodeSent(event) => match event.purpose {
            OtpPurpose::Identity | OtpPurpose::Activate => to_push(Sms::PushCodeAsked),
            OtpPurpose::Card => None,
        },
        Event::IdentityConfirmed(_) => to_push(Sms::PushIdentityConfirmed),
        // A payout without a card was cancelled before it left.
        Event::PayoutReturned(event) => event
            .last4
            .0
            .as_deref()
            .and_then(|last4| to_merchant(Sms::PayoutReturned { last4 })),
        Event::SettlementChanged(event) => {
            let effective_at = event.effective_at;
            match to {
                Recipient::OnFile | Recipient::Previous => {
                    Some(Message::SettlementChanged { effective_at })
                }
                Recipient::Push => text(Sms::PushSettlementChanged { effective_at }),
                Recipient::Reserved => None,
            }
        }
        Event::SettlementDropped(_) => to_merchant(Sms::SettlementDropped { at }),
        Event::CooldownEnded(_) => to_merchant(Sms::CooldownEnded),
        Event::PushTargetChanged(_) => to_merchant(Sms::PushTargetChanged { at }),
        Event::PushTargetRemoved(_) => to_merchant(Sms::PushTargetRemoved { at }),
        Event::DeviceAdded(_) => to_merchant(Sms::DeviceAdded { at }),
        Event::RebindRequested(_)
        | Event::IdentityMismatched(_)
        | Event::AgreementSigned(_)
        | Event::CardCheckAnswered(_)
        | Event::MicroDepositSent(_)
        | Event::MicroDepositReturned(_)
        | Event::Completed(_)
        | Event::ChangeNotified(_)
        | Event::Expired(_)
        | Event::Cancelled(_)
        | Event::TestTransferStarted(_)
        | Event::TestTransferSucceeded(_)
        | Event::TestTransferFailed(_)
        | Event::CardUnbound(_)
        | Event::CardRemoved(_)
        | Event::PayoutCreated(_)
        | Event::PayoutAssigned(_)
        | Event::PayoutSending(_)
        | Event::PayoutReleased(_)
        | Event::PayoutSent(_)
        | Event::SettlementApplied(_)
        | Event::DocumentRenewed(_)
        | Event::TierChanged(_)
        | Event::SessionsEnded(_)
        | Event::LoginsCleared(_)
        | Event::Unmasked(_)
        | Event::Erased(_)
        | Event::PushTargetRefreshed(_)
        | Event::MerchantCreated(_) => None,
    }
}

/// True if only devices that can be trusted to be the owner's hear of the event: the hint would help a thief.
#[must_use]
pub fn is_for_trusted_devices(event: &Event) -> bool {
    matches!(
        event,
        Event::IdentityMatched(_) | Event::CodeSent(_) | Event::IdentityConfirmed(_)
    )
}

impl<'e> Message<'e> {
    /// True if the message names the freeze code of its event.
    #[must_use]
    pub const fn names_freeze_code(&self) -> bool {
        match self {
            Self::Text(_) => false,
            Self::Activated { .. }
            | Self::StandbyReady { .. }
            | Self::SettlementChanged { .. }
            | Self::SecurityChanged { .. } => true,
        }
    }

    /// The text to render; `None` if the message needs a freeze code and `freeze_code` is `None`.
    #[must_use]
    pub fn sms(self, freeze_code: Option<&'e Secret<String>>) -> Option<Sms<'e>> {
        Some(match self {
            Self::Text(sms) => sms,
            Self::Activated { card, effective_at } => Sms::Activated {
                card,
                effective_at,
                freeze_code: freeze_code?,
            },
            Self::StandbyReady { card, usable_at } => Sms::StandbyReady {
                card,
                usable_at,
                freeze_code: freeze_code?,
            },
            Self::SettlementChanged { effective_at } => Sms::SettlementChanged {
                effective_at,
                freeze_code: freeze_code?,
            },
            Self::SecurityChanged { field, at } => Sms::SecurityChanged {
                field,
                at,
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
    use crate::history::vectors;
    use crate::lang::Lang;
    use crate::sms::render;
    use std::fmt::Write as _;

    #[test]
    fn messages_of_each_event() {
        let at = Timestamp::from_epoch_s(1_795_312_800);
        let freeze_code = Secret::new("WXYZ2345".to_owned());
        let mut text = String::new();
        for event in vectors() {
            let event = event.event();
            writeln!(text, "{}", event.kind()).unwrap();
            for to in Recipient::ALL {
                let Some(message) = notification(event, at, to) else {
                    continue;
                };
                let sms = message.sms(Some(&freeze_code)).unwrap();
                writeln!(text, "    {to:?}: {}", render(&sms, Lang::ZhCn)).unwrap();
                // Only the phone on file and the previous one may receive a freeze code.
                let names_code = message.names_freeze_code();
                assert_eq!(message.sms(None).is_none(), names_code);
                assert!(!names_code || matches!(to, Recipient::OnFile | Recipient::Previous));
            }
        }
        insta::assert_snapshot!(text);
    }
}
