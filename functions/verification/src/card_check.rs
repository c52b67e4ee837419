//! `POST /v1/rebinds/{id}/card-check`: writes the intent, queries the bank, writes the answer.

use super::{Bank, Context, Verification};
use api::body;
use api::event::Request;
use api::reply::Reply;
use api::requests::Empty;
use application::error::HandlerError;
use application::ports::{
    CardQuestion, DataKey, KeyService, PortError, Selector, SendSms, Transfer,
};
use application::transact::nothing_to_prepare;
use application::transact::{Learned, Loaded, Plan, Prepared, otp_limit};
use domain::card::Card;
use domain::decide::{BankAnswer, BankReply, Command};
use domain::merchant::Merchant;
use domain::pii::CardNumber;
use domain::rebind::{BankReference, CardCheck, OtpPurpose, RebindState};
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use domain::transition::{Outcome, Transition};
use store::client::Table;

/// Prefix of a deposit's descriptor; the code follows.
const DEPOSIT_TEXT: &str = "结算卡验证码";

/// A query to the bank, and the number in its bank reference.
struct Question {
    number: u16,
    asked: CardQuestion,
}

impl<T: Table, K: KeyService, M: SendSms, B: Bank> Verification<T, K, M, B> {
    pub(crate) async fn check_card(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Empty>(request)?;
        let ctx = self.context(request, now, &body.canonical);
        let ctx = ctx.await?.claiming();
        let id = ctx.rebind_id(request).await?;
        let selector = Selector::Step(&id);
        let digits = self.keys.six_digits()?;
        let start = async |loaded: &Loaded, learned: &Learned| {
            Ok(Plan::from(Command::StartCardCheck {
                bound_elsewhere: learned.bound_elsewhere,
                code: self.otp(loaded, OtpPurpose::Card, &digits).await?,
            }))
        };
        let mut question = None;
        // Prepare the query before it is counted: an unusable key must not cost the merchant a bank call.
        let prepare = async |loaded: &Loaded, transition: &mut Transition| {
            question = match transition.outcome {
                Outcome::Proceed => {
                    let intended = transition.applied_to(&loaded.merchant);
                    Some(self.question(&intended).await?)
                }
                _ => None,
            };
            self.complete_claim(loaded, transition).await
        };
        let begun = ctx.transact(selector, start, prepare).await?;
        if begun.outcome != Outcome::Proceed {
            return self.deliver(&ctx, selector, begun, &digits).await;
        }
        let question = match question {
            Some(question) if begun.is_written => question,
            // An earlier query was not answered: repeat it under the same bank reference.
            _ => self.question(&begun.after.merchant).await?,
        };
        let answer = self.ask(&begun.after.merchant, &question).await?;
        let number = question.number;
        self.settle(&ctx, selector, begun.after, BankReply { number, answer })
            .await
    }

    /// The bank's answer. If the bank cannot check a debit card, the answer to a micro-deposit.
    async fn ask(
        &self,
        merchant: &Merchant,
        question: &Question,
    ) -> Result<Option<BankAnswer>, HandlerError> {
        let answer = self.bank.check(&question.asked).await;
        tracing::info!(
            bank.answer = answer.map(BankAnswer::as_str),
            "card_check.answered"
        );
        match answer {
            Some(BankAnswer::NotEnabled | BankAnswer::IssuerUnsupported)
                if new_card(merchant)?.allows_deposit() =>
            {
                self.deposit(merchant, question).await
            }
            answer => Ok(answer),
        }
    }

    /// Falls back to a micro-deposit when the bank cannot check the card: ¥0.01 with a code that only the cardholder
    /// can read. The payee's name is checked, or a stranger's card would pass. The written query is also the intent of
    /// the transfer: the same query always leads to the same transfer.
    async fn deposit(
        &self,
        merchant: &Merchant,
        question: &Question,
    ) -> Result<Option<BankAnswer>, HandlerError> {
        let rebind = merchant.rebind.as_ref().ok_or(PortError::Conflict)?;
        let serial = rebind.serial(BankReference::Deposit(question.number));
        let merchant_id = merchant.profile.merchant_id.as_str();
        let code = self.keys.deposit_code(merchant_id, &serial).await?;
        let transfer = Transfer {
            serial,
            card_number: question.asked.card_number.clone(),
            holder_name: question.asked.holder_name.clone(),
            descriptor: Secret::new(format!("{DEPOSIT_TEXT} {}", code.expose())),
            check_name: true,
        };
        let answer = self.bank.transfer(&transfer).await;
        tracing::info!(
            bank.answer = answer.map(TransferAnswer::as_str),
            "micro_deposit.answered"
        );
        Ok(answer.map(|answer| match answer {
            TransferAnswer::Succeeded => BankAnswer::Deposited { arrived: true },
            TransferAnswer::Pending => BankAnswer::Deposited { arrived: false },
            TransferAnswer::Returned => BankAnswer::DepositReturned,
        }))
    }

    /// The rebind's pending query, with its inputs for the bank.
    async fn question(&self, merchant: &Merchant) -> Result<Question, HandlerError> {
        let profile = &merchant.profile;
        let rebind = merchant.rebind.as_ref().ok_or(PortError::Conflict)?;
        let RebindState::CardPending {
            check: CardCheck::Asking { number, .. },
            ..
        } = &rebind.stage
        else {
            return Err(PortError::Conflict.into());
        };
        let asked = CardQuestion {
            serial: rebind.serial(BankReference::Check(*number)),
            card_number: self.card_number(merchant).await?,
            holder_name: profile.holder_name().clone(),
            id_number: self.keys.id_number(profile).await?,
            phone: rebind.reserved_phone.clone(),
        };
        Ok(Question {
            number: *number,
            asked,
        })
    }

    /// Completes a claim on the card number. Only a rotation of the hash key costs calls to the key service.
    pub(crate) async fn complete_claim(
        &self,
        loaded: &Loaded,
        transition: &mut Transition,
    ) -> Prepared {
        if self.keys.has_incomplete_claim(transition)? {
            let card = self.card_number(&loaded.merchant).await?;
            let document = self.keys.id_number(&loaded.merchant.profile).await?;
            self.keys
                .complete_claim(transition, &card, &document)
                .await?;
        }
        Ok(None)
    }

    /// The decrypted number of the rebind's card.
    pub(crate) async fn card_number(
        &self,
        merchant: &Merchant,
    ) -> Result<CardNumber, HandlerError> {
        let rebind = merchant.rebind.as_ref().ok_or(PortError::Conflict)?;
        let sealed = rebind.sealed_number.as_ref();
        let sealed = sealed.ok_or_else(|| missing("the card number"))?;
        let context = [
            ("merchant_id", merchant.profile.merchant_id.as_str()),
            ("card_id", rebind.new_card.card_id.as_str()),
        ];
        let opened = self.keys.open(DataKey::Card, &context, sealed).await?;
        Ok(CardNumber::parse(opened.expose()).map_err(|_| missing("the card number"))?)
    }

    /// Writes the answer, and sends the OTP that follows a match. At the reserved phone's OTP limit, the answer is
    /// written without an OTP: only the OTP has to wait.
    async fn settle(
        &self,
        ctx: &Context<'_, T>,
        selector: Selector<'_>,
        loaded: Loaded,
        answer: BankReply,
    ) -> Result<Reply, HandlerError> {
        let digits = self.keys.six_digits()?;
        let plan = async |loaded: &Loaded, learned: &Learned| {
            if learned.otp_wait_s.is_some() {
                let settle = Command::SettleCardCheck(answer.clone(), None);
                return Ok(Plan::from(settle).releasing_key());
            }
            let otp = self.otp(loaded, OtpPurpose::Card, &digits).await?;
            let settle = Command::SettleCardCheck(answer.clone(), Some(otp));
            Ok(Plan::from(settle).learning_otp_limit())
        };
        let settled = ctx
            .transact((selector, loaded), plan, nothing_to_prepare)
            .await?;
        if let Some(wait_s) = settled.otp_wait_s {
            return Err(otp_limit(wait_s).into());
        }
        self.deliver(ctx, selector, settled, &digits).await
    }
}

fn new_card(merchant: &Merchant) -> Result<&Card, PortError> {
    let rebind = merchant.rebind.as_ref();
    rebind
        .map(|rebind| &rebind.new_card)
        .ok_or(PortError::Conflict)
}

fn missing(what: &str) -> PortError {
    PortError::Permanent("the record", format!("{what} is missing or damaged"))
}
