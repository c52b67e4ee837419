//! `POST /v1/rebinds/{id}/card-check`: intent written, bank asked, answer written.

use super::Verification;
use shared::domain::decide::{Act, BankReply};
use shared::domain::format::{CardNumber, PersonName, Phone, ResidentId};
use shared::domain::ids::RebindId;
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

impl<K: KeyService, M: SendSms, B: CheckCard> Verification<K, M, B> {
    pub(crate) async fn card_check(
        &self,
        request: &Request,
        id: &str,
        now: Timestamp,
    ) -> Result<Reply, Stop> {
        let body = body::read::<Nothing>(request)?;
        let step = Step::begin(
            &self.store,
            &self.keys,
            request,
            now,
            KeyRule::Optional(&body.canonical),
        )
        .await?;
        let id = step.rebind_id(id).await?;
        match self.intend(&step, &id).await? {
            Ok(loaded) => {
                let reply = self.ask(&loaded).await?;
                self.settle(&step, &id, loaded, &reply).await
            }
            Err(reply) => Ok(reply),
        }
    }

    /// Writes the intent with its serial. `Err`: there is nothing to ask, the request is answered.
    async fn intend(
        &self,
        step: &Step<'_, Store, K>,
        id: &RebindId,
    ) -> Result<Result<Loaded, Reply>, Stop> {
        let mut rounds = Rounds::new();
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
            if asks && transition.rebind.is_none() {
                // The question is out already, under its serial: it is repeated, not asked anew.
                return Ok(Ok(loaded));
            }
            let send = transition.code_send.clone();
            let keep = if asks { Keep::Claim("") } else { Keep::Reply };
            match step
                .write(&loaded.merchant, transition, None, 200, keep)
                .await
            {
                Ok(Outcomes::Written(after, _)) if asks => {
                    loaded.merchant = *after;
                    return Ok(Ok(loaded));
                }
                Ok(Outcomes::Written(after, reply)) => {
                    if let Some(send) = send {
                        self.deliver(step, &after, &send, &code).await?;
                    }
                    return Ok(Err(reply));
                }
                Ok(Outcomes::Replayed(reply)) => return Ok(Err(reply)),
                Ok(Outcomes::CodeLimit(wait_s)) => return Err(code_limit(wait_s).into()),
                Ok(Outcomes::BoundElsewhere) => bound_elsewhere = true,
                Ok(Outcomes::Claimed(_)) => rounds.again(PortError::Conflict).await?,
                Err(Stop::Failed(error @ PortError::Conflict)) => rounds.again(error).await?,
                Err(stop) => return Err(stop),
            }
        }
    }

    /// Asks the bank under the serial that the rebind holds.
    async fn ask(&self, loaded: &Loaded) -> Result<BankReply, Stop> {
        let rebind = loaded.rebind()?;
        let profile = &loaded.merchant.profile;
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
        let merchant = profile.merchant_id.as_str();
        let card = [
            ("merchant_id", merchant),
            ("card_id", rebind.new_card.card_id.as_str()),
        ];
        let identity = [("merchant_id", merchant)];
        let question = CardQuestion {
            serial: rebind.serial(*number),
            card_number: CardNumber::parse(
                self.keys
                    .open(DataKey::Card, &card, sealed_number)
                    .await?
                    .expose(),
            )
            .map_err(|_| missing("the card number"))?,
            holder_name: PersonName::new(profile.holder_name()),
            id_number: ResidentId::parse(
                self.keys
                    .open(DataKey::Identity, &identity, sealed_id)
                    .await?
                    .expose(),
            )
            .map_err(|_| missing("the ID number"))?,
            phone: Phone::parse(&rebind.reserved_phone)
                .map_err(|_| missing("the reserved phone"))?,
        };
        let answer = self.bank.check(&question).await;
        tracing::info!(
            bank.answer = answer.map(shared::domain::decide::BankAnswer::as_str),
            "card check"
        );
        Ok(BankReply {
            number: *number,
            answer,
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
