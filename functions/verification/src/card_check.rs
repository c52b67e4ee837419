//! `POST /v1/rebinds/{id}/card-check`: intent written, bank asked, answer written.

use super::Verification;
use shared::domain::decide::{Act, BankAnswer, BankReply};
use shared::domain::format::{CardNumber, PersonName, Phone, ResidentId};
use shared::domain::ids::RebindId;
use shared::domain::merchant::Merchant;
use shared::domain::rebind::{CardCheck, CodePurpose, Stage};
use shared::domain::time::Timestamp;
use shared::domain::transition::Outcome;
use shared::edge::body::{self, Nothing};
use shared::edge::event::Request;
use shared::edge::reply::Reply;
use shared::edge::serve::Stop;
use shared::edge::step::{Keep, KeyRule, Loaded, Outcomes, Rounds, Step, code_limit};
use shared::ports::{CardQuestion, CheckCard, DataKey, KeyService, PortError, SendSms};
use shared::store::Store;

/// A question to the bank, and the number of its serial.
#[derive(Clone)]
struct Question {
    number: u16,
    asked: CardQuestion,
}

impl<K: KeyService, M: SendSms, B: CheckCard> Verification<K, M, B> {
    pub(crate) async fn card_check(
        &self,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, Stop> {
        let body = body::read::<Nothing>(request)?;
        let key = KeyRule::Optional(&body.canonical);
        let (step, id) = Step::on_rebind(&self.store, &self.keys, request, now, key).await?;
        match self.intend(&step, &id).await? {
            Ok((loaded, question)) => {
                let answer = self.bank.check(&question.asked).await;
                tracing::info!(bank.answer = answer.map(BankAnswer::as_str), "card check");
                let number = question.number;
                self.settle(&step, &id, loaded, &BankReply { number, answer })
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
        id: &RebindId,
    ) -> Result<Result<(Loaded, Question), Reply>, Stop> {
        let mut rounds = Rounds::new();
        let mut claim = Keep::Claim("");
        let mut bound_elsewhere = false;
        loop {
            let mut loaded = step.load(Some(id)).await?;
            let code = self.fresh_code(&loaded, CodePurpose::Card).await?;
            let act = Act::StartCardCheck {
                bound_elsewhere,
                code: code.clone(),
            };
            let transition = match step.decide(&loaded.merchant, act) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await.map(Err),
            };
            let asks = transition.outcome == Outcome::Proceed;
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
            let send = transition.code_send.clone();
            let keep = if asks { claim } else { Keep::Reply };
            match step
                .write(&loaded.merchant, transition, None, 200, keep)
                .await
            {
                Ok(Outcomes::Written(after, reply)) => {
                    if let Some(question) = question {
                        loaded.merchant = *after;
                        return Ok(Ok((loaded, question)));
                    }
                    if let Some(send) = send {
                        self.deliver(step, &after, &send, &code).await?;
                    }
                    return Ok(Err(reply));
                }
                Ok(Outcomes::Replayed(reply)) => return Ok(Err(reply)),
                Ok(Outcomes::CodeLimit(wait_s)) => return Err(code_limit(wait_s).into()),
                Ok(Outcomes::BoundElsewhere) => bound_elsewhere = true,
                // This request was begun before and never answered: it goes on under its claim.
                Ok(Outcomes::Claimed(_)) => claim = Keep::Nothing,
                Err(Stop::Failed(error @ PortError::Conflict)) => rounds.again(error).await?,
                Err(stop) => return Err(stop),
            }
        }
    }

    /// The question that a rebind holds, with what the bank has to know.
    async fn question(&self, merchant: &Merchant) -> Result<Question, Stop> {
        let profile = &merchant.profile;
        let rebind = merchant.rebind.as_ref().ok_or(PortError::Conflict)?;
        let Stage::CardPending {
            check: CardCheck::Asking { number, .. },
            ..
        } = &rebind.stage
        else {
            return Err(PortError::Conflict.into());
        };
        let missing = |what: &str| {
            PortError::Permanent("the record", format!("{what} is missing or damaged"))
        };
        let sealed_number = rebind
            .sealed_number
            .as_ref()
            .ok_or_else(|| missing("the card number"))?;
        let sealed_id = profile
            .sealed_id_number
            .as_ref()
            .ok_or_else(|| missing("the ID number"))?;
        let merchant_id = profile.merchant_id.as_str();
        let identity = [("merchant_id", merchant_id)];
        let card = [identity[0], ("card_id", rebind.new_card.card_id.as_str())];
        let number_opened = self.keys.open(DataKey::Card, &card, sealed_number).await?;
        let id_opened = self
            .keys
            .open(DataKey::Identity, &identity, sealed_id)
            .await?;
        let asked = CardQuestion {
            serial: rebind.serial(*number),
            card_number: CardNumber::parse(number_opened.expose())
                .map_err(|_| missing("the card number"))?,
            holder_name: PersonName::new(profile.holder_name()),
            id_number: ResidentId::parse(id_opened.expose())
                .map_err(|_| missing("the ID number"))?,
            phone: Phone::parse(&rebind.reserved_phone)
                .map_err(|_| missing("the reserved phone"))?,
        };
        Ok(Question {
            number: *number,
            asked,
        })
    }

    /// Writes the answer, and sends the code that a match leads to.
    async fn settle(
        &self,
        step: &Step<'_, Store, K>,
        id: &RebindId,
        mut loaded: Loaded,
        answer: &BankReply,
    ) -> Result<Reply, Stop> {
        let mut rounds = Rounds::new();
        let mut limited = None;
        loop {
            let code = self.fresh_code(&loaded, CodePurpose::Card).await?;
            let act = Act::SettleCardCheck(answer.clone(), limited.is_none().then(|| code.clone()));
            let transition = match step.decide(&loaded.merchant, act) {
                Ok(transition) => transition,
                Err(refusal) => return step.refuse(refusal).await,
            };
            let send = transition.code_send.clone();
            let keep = if limited.is_some() {
                Keep::Forget
            } else {
                Keep::Reply
            };
            match step
                .write(&loaded.merchant, transition, None, 200, keep)
                .await
            {
                Ok(Outcomes::Written(after, reply)) => {
                    if let Some(wait_s) = limited {
                        // The bank's answer is kept; only the code has to wait.
                        return Err(code_limit(wait_s).into());
                    }
                    if let Some(send) = send {
                        self.deliver(step, &after, &send, &code).await?;
                    }
                    return Ok(reply);
                }
                Ok(Outcomes::Replayed(reply)) => return Ok(reply),
                Ok(Outcomes::CodeLimit(wait_s)) => limited = Some(wait_s),
                Ok(Outcomes::BoundElsewhere | Outcomes::Claimed(_)) => {
                    rounds.again(PortError::Conflict).await?
                }
                Err(Stop::Failed(error @ PortError::Conflict)) => rounds.again(error).await?,
                Err(stop) => return Err(stop),
            }
            loaded = step.load(Some(id)).await?;
        }
    }
}
