//! Sends OTPs: for the other use cases, and for `POST /v1/rebinds/{id}/identity/code` and `…/card-check/code`.
//!
//! An OTP is written before it is handed to the operator; if the handover fails, it is removed and refunded.

use super::{Bank, Context, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::Empty;
use application::backoff::Limits;
use application::crypto::OtpScope;
use application::error::HandlerError;
use application::ports::{CommitTransition, KeyService, Selector, SendSms, SmsAnswer};
use application::transact::{Committed, Learned, Loaded, Plan, nothing_to_prepare};
use domain::decide::Command;
use domain::error_code::ErrorCode;
use domain::lang::Lang;
use domain::rebind::{Otp, OtpPurpose, Purpose};
use domain::rejection::Rejection;
use domain::secret::Secret;
use domain::sms::{CardLabel, Message, Sms, message};
use domain::time::Timestamp;
use domain::transition::OtpDelivery;
use store::client::Table;

/// `Retry-After` of `OTP_CHANNEL_DOWN`.
const CHANNEL_RETRY_S: i64 = 5;

impl<T: Table, K: KeyService, M: SendSms, B: Bank> Verification<T, K, M, B> {
    /// Sends another OTP to the phone on file, or to the card's reserved phone.
    pub(crate) async fn resend(
        &self,
        request: &Request,
        purpose: OtpPurpose,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = self.context(request, now, &body.canonical).await?;
        let id = ctx.rebind_id(request).await?;
        let command = async |_: &Loaded, otp| {
            Ok(match purpose {
                OtpPurpose::Card => Command::ResendCardOtp(otp),
                OtpPurpose::Identity | OtpPurpose::Activate => Command::ResendIdentityOtp(otp),
            })
        };
        self.send_otp(&ctx, Selector::Step(&id), purpose, command)
            .await
    }

    /// Runs a use case with one write, which may send an OTP.
    pub(crate) async fn send_otp(
        &self,
        ctx: &Context<'_, T>,
        selector: Selector<'_>,
        purpose: OtpPurpose,
        command: impl AsyncFn(&Loaded, Otp) -> Result<Command, HandlerError>,
    ) -> Result<Reply, HandlerError> {
        // Every retry reuses the same digits: whichever write took effect, the record holds this OTP.
        let digits = self.keys.six_digits()?;
        let plan = async |loaded: &Loaded, _: &Learned| {
            let otp = self.otp(loaded, purpose, &digits).await?;
            command(loaded, otp).await.map(Plan::from)
        };
        let sent = ctx.transact(selector, plan, nothing_to_prepare).await?;
        self.deliver(ctx, selector, sent, &digits).await
    }

    /// Binds the digits to the state that was read.
    pub(crate) async fn otp(
        &self,
        loaded: &Loaded,
        purpose: OtpPurpose,
        digits: &Secret<String>,
    ) -> Result<Otp, HandlerError> {
        Ok(self.keys.otp(&otp_scope(loaded, purpose), digits).await?)
    }

    /// Hands over the transaction's OTP, if any, then returns the reply. If the operator refuses the OTP, it is removed
    /// from the rebind, the phone's count is refunded, and the idempotency key is released.
    pub(crate) async fn deliver(
        &self,
        ctx: &Context<'_, T>,
        selector: Selector<'_>,
        sent: Committed,
        digits: &Secret<String>,
    ) -> Result<Reply, HandlerError> {
        let Some(delivery) = &sent.otp_delivery else {
            return Ok(sent.reply);
        };
        let message = message_of(delivery, digits);
        let refusal = match self.sms.send(&delivery.phone, &message).await {
            Ok(SmsAnswer::Accepted) => return Ok(sent.reply),
            Ok(SmsAnswer::PhoneRefused) => {
                tracing::warn!(sms.cause = "the phone is refused", "otp.not_sent");
                Rejection::new(ErrorCode::OtpChannelDown).for_support()
            }
            Err(error) => {
                tracing::warn!(sms.cause = error.to_string(), "otp.not_sent");
                Rejection::new(ErrorCode::OtpChannelDown).retry_after(CHANNEL_RETRY_S)
            }
        };
        let otp = self.otp(&sent.after, delivery.purpose, digits).await?;
        let undo = async |_: &Loaded, _: &Learned| {
            let command = Command::OtpNotSent(delivery.purpose, otp.mac.clone());
            Ok(Plan::from(command).releasing_key())
        };
        let start = (selector, sent.after);
        ctx.transact_within(Limits::UNDO, start, undo, nothing_to_prepare)
            .await?;
        let (phone, purpose) = (&delivery.phone_hash, delivery.purpose);
        if let Err(error) = self.store.refund_otp(phone, purpose, ctx.now).await {
            // One OTP too many stays counted, which is safe.
            tracing::warn!(store.cause = error.to_string(), "otp.not_refunded");
        }
        Err(refusal.not_counted().into())
    }
}

/// The scope that this request's OTP is bound to. A card without a rebind of its own gets no OTP: `decide` rejects it.
pub(crate) fn otp_scope(loaded: &Loaded, purpose: OtpPurpose) -> OtpScope<'_> {
    let profile = &loaded.merchant.profile;
    let rebind = loaded.merchant.rebind.as_ref();
    let on_file = &profile.phone_on_file;
    OtpScope {
        merchant: profile.merchant_id.as_str(),
        rebind: rebind.map_or("", |rebind| rebind.rebind_id.as_str()),
        purpose,
        phone: match purpose {
            OtpPurpose::Identity | OtpPurpose::Activate => on_file,
            OtpPurpose::Card => rebind.map_or(on_file, |rebind| &rebind.reserved_phone),
        },
        session: &loaded.session.0,
    }
}

fn message_of(delivery: &OtpDelivery, digits: &Secret<String>) -> Message {
    let card = CardLabel::from(&delivery.card);
    let sms = match (delivery.purpose, delivery.of) {
        (OtpPurpose::Identity, Purpose::Activate) => Sms::OtpIdentity { card, code: digits },
        (OtpPurpose::Identity, Purpose::Standby) => Sms::OtpIdentityStandby { card, code: digits },
        (OtpPurpose::Activate, _) => Sms::OtpActivateStandby { card, code: digits },
        (OtpPurpose::Card, _) => Sms::OtpCard { card, code: digits },
    };
    message(&sms, Lang::default())
}
