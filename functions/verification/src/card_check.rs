//! `POST /v1/rebinds/{id}/card-check`: intent written, bank asked, answer written.

use super::sending::Sending;
use super::{Bank, Verification};
use api::body::{self, Nothing};
use api::event::Request;
use api::reply::Reply;
use application::ports::{
    CardQuestion, DataKey, KeyService, PortError, QueryOutcome, SendSms, Transfer,
};
use application::serve::HandlerError;
use application::step::{Keep, KeyRule, Loaded, Outcomes, Step, Which, code_limit};
use domain::decide::{BankAnswer, BankReply, Command};
use domain::merchant::Merchant;
use domain::pii::{CardNumber, IdNumber};
use domain::rebind::{BankReference, CardCheck, OtpPurpose, RebindState};
use domain::secret::Secret;
use domain::time::Timestamp;
use domain::transfer::TransferAnswer;
use domain::transition::Decision;
use store::Store;

/// What was heard of a deposit.
pub(crate) enum Heard {
    /// Nothing new.
    Nothing,
    /// It has arrived, which is written now.
    Arrived,
    /// It came back: the rebind is over, and the request answered.
    Returned(Reply),
}

/// What a deposit's descriptor begins with; its code ends it.
const DEPOSIT_TEXT: &str = "结算卡验证码";

/// A question to the bank, and the number of its serial.
#[derive(Clone)]
struct Question {
    number: u16,
    asked: CardQuestion,
}

impl<K: KeyService, M: SendSms, B: Bank> Verification<K, M, B> {
    pub(crate) async fn card_check(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let body = body::read::<Nothing>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        let which = Which::Step(&id);
        match self.intend(&step, which).await? {
            Ok((loaded, question)) => {
                let mut answer = self.bank.check(&question.asked).await;
                tracing::info!(bank.answer = answer.map(BankAnswer::as_str), "card check");
                if let Some(BankAnswer::NotEnabled | BankAnswer::IssuerUnsupported) = answer {
                    answer = self.deposit(&loaded.merchant, &question).await?;
                }
                let number = question.number;
                self.settle(&step, which, loaded, &BankReply { number, answer })
                    .await
            }
            Err(reply) => Ok(reply),
        }
    }

    /// Writes the intent with its serial. `Err`: there is nothing to ask, the request is answered.
    ///
    /// The question is put together before it is counted: a key that cannot be used costs the merchant no bank call.
    async fn intend(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
    ) -> Result<Result<(Loaded, Question), Reply>, HandlerError> {
        let mut sending = Sending::new()?;
        let mut claim = Keep::Claim("");
        let mut bound_elsewhere = false;
        loop {
            let round = self.round(step, which, OtpPurpose::Card, &mut sending);
            let (mut loaded, code) = match round.await? {
                Ok(round) => round,
                Err(reply) => return Ok(Err(reply)),
            };
            let act = Command::StartCardCheck {
                bound_elsewhere,
                code: code.clone(),
            };
            let transition = match step.decide(&loaded.merchant, act) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await.map(Err),
            };
            let asks = transition.outcome == Decision::Proceed;
            let question = match asks {
                true => Some(
                    self.question(&transition.applied_to(&loaded.merchant))
                        .await?,
                ),
                false => None,
            };
            if let (Some(question), None) = (&question, &transition.rebind) {
                // The question is out already, under its serial: it is repeated, not asked anew.
                return Ok(Ok((loaded, question.clone())));
            }
            let send = transition.otp_delivery.clone();
            let keep = if asks { claim } else { Keep::Reply };
            match step.write(&loaded.merchant, transition, None, keep).await {
                Ok(Outcomes::Written(after, reply)) => {
                    if let Some(question) = question {
                        loaded.merchant = *after;
                        return Ok(Ok((loaded, question)));
                    }
                    if let Some(send) = send {
                        self.deliver(step, which, &after, &send, &code).await?;
                    }
                    return Ok(Err(reply));
                }
                Ok(Outcomes::Replayed(reply)) => {
                    if let Some(reply) = sending.replayed(reply).await? {
                        return Ok(Err(reply));
                    }
                }
                Ok(Outcomes::CodeLimit(wait_s)) => return Err(code_limit(wait_s).into()),
                Ok(Outcomes::BoundElsewhere) => bound_elsewhere = true,
                // This request was begun before and never answered: it goes on under its claim.
                Ok(Outcomes::Claimed(_)) => claim = Keep::Nothing,
                Err(stop) => sending.again(stop, send).await?,
            }
        }
    }

    /// The bank cannot check the card: ¥0.01 goes to it, with a code that only its holder can read, and with the payee's
    /// name checked, or a stranger's card would pass. Its intent is the question's, which is written: the same question
    /// leads to the same transfer.
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
            "micro-deposit"
        );
        Ok(answer.map(|answer| match answer {
            TransferAnswer::Succeeded => BankAnswer::Deposited { arrived: true },
            TransferAnswer::Pending => BankAnswer::Deposited { arrived: false },
            TransferAnswer::Returned => BankAnswer::DepositReturned,
        }))
    }

    /// What the bank says of a deposit whose code is about to be tried.
    pub(crate) async fn hear_of_deposit(
        &self,
        step: &Step<'_, Store, K>,
        loaded: &Loaded,
        number: u16,
    ) -> Result<Heard, HandlerError> {
        let serial = loaded.rebind()?.serial(BankReference::Deposit(number));
        let QueryOutcome::Answer(answer) = self.bank.transfer_outcome(&serial).await else {
            return Ok(Heard::Nothing);
        };
        let transition = step.decide(&loaded.merchant, Command::SettleDeposit(Some(answer)))?;
        if transition.rebind.is_none() {
            return Ok(Heard::Nothing);
        }
        let returned = matches!(transition.outcome, Decision::Refused(_));
        let keep = if returned { Keep::Reply } else { Keep::Nothing };
        match step.write(&loaded.merchant, transition, None, keep).await? {
            Outcomes::Written(_, reply) if returned => Ok(Heard::Returned(reply)),
            Outcomes::Replayed(reply) => Ok(Heard::Returned(reply)),
            Outcomes::Written(..) => Ok(Heard::Arrived),
            _ => Err(PortError::Conflict.into()),
        }
    }

    /// The question that a rebind holds, with what the bank has to know.
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
        let sealed_id = profile
            .sealed_id_number
            .as_ref()
            .ok_or_else(|| missing("the ID number"))?;
        let merchant_id = profile.merchant_id.as_str();
        let identity = [("merchant_id", merchant_id)];
        let id_opened = self
            .keys
            .open(DataKey::Identity, &identity, sealed_id)
            .await?;
        let asked = CardQuestion {
            serial: rebind.serial(BankReference::Check(*number)),
            card_number: self.card_number(merchant).await?,
            holder_name: profile.holder_name().clone(),
            id_number: IdNumber::parse(id_opened.expose()).map_err(|_| missing("the ID number"))?,
            phone: rebind.reserved_phone.clone(),
        };
        Ok(Question {
            number: *number,
            asked,
        })
    }

    /// The number of the rebind's card, opened.
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

    /// Writes the answer, and sends the code that a match leads to.
    async fn settle(
        &self,
        step: &Step<'_, Store, K>,
        which: Which<'_>,
        mut loaded: Loaded,
        answer: &BankReply,
    ) -> Result<Reply, HandlerError> {
        let mut sending = Sending::new()?;
        let mut limited = None;
        let mut code = self.code_for(&loaded, OtpPurpose::Card, &sending).await?;
        loop {
            let act =
                Command::SettleCardCheck(answer.clone(), limited.is_none().then(|| code.clone()));
            let transition = match step.decide(&loaded.merchant, act) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await,
            };
            let send = transition.otp_delivery.clone();
            let keep = if limited.is_some() {
                Keep::Forget
            } else {
                Keep::Reply
            };
            match step.write(&loaded.merchant, transition, None, keep).await {
                Ok(Outcomes::Written(after, reply)) => {
                    if let Some(wait_s) = limited {
                        // The bank's answer is kept; only the code has to wait.
                        return Err(code_limit(wait_s).into());
                    }
                    if let Some(send) = send {
                        self.deliver(step, which, &after, &send, &code).await?;
                    }
                    return Ok(reply);
                }
                Ok(Outcomes::Replayed(reply)) => {
                    if let Some(reply) = sending.replayed(reply).await? {
                        return Ok(reply);
                    }
                }
                Ok(Outcomes::CodeLimit(wait_s)) => limited = Some(wait_s),
                Ok(Outcomes::BoundElsewhere | Outcomes::Claimed(_)) => {
                    sending.again(PortError::Conflict.into(), None).await?;
                }
                Err(stop) => sending.again(stop, send).await?,
            }
            let round = self.round(step, which, OtpPurpose::Card, &mut sending);
            (loaded, code) = match round.await? {
                Ok(round) => round,
                Err(reply) => return Ok(reply),
            };
        }
    }
}

fn missing(what: &str) -> PortError {
    PortError::Permanent("the record", format!("{what} is missing or damaged"))
}
