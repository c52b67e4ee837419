//! The operator's API: reads, acts of one person, and proposals that a second person approves (contract, section 8).
//!
//! IAM decides who may call a route. This function decides what the call may do, and records every call in the audit chain of
//! its person before anything else.

mod acts;
mod call;
mod core_keys;
mod erasure;
mod proposals;
mod reads;
mod registry;
mod unmask;
mod values;

use api::event::Request;
use api::operator::{OperatorRoles, OperatorRoute};
use api::reply::Reply;
use application::backoff::{Limits, retry};
use application::crypto::Keys;
use application::error::HandlerError;
use application::ports::{ForgetPush, KeyService, LogPublicKey, PortError, ReadLog};
use application::serve::Handler;
use application::switches::{ReadSwitches as _, Stopped};
use application::usage::Usage;
use call::Call;
use domain::error_code::ErrorCode;
use domain::operator::{AuditEntry, ProposalKind};
use domain::policy::Policy;
use domain::time::Timestamp;
use proof::published::PublishedLog;
use store::Store;
use store::client::Table;

const POLICY: &Policy = &Policy::CURRENT;

/// What the acquirer sets.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The roles whose sessions are operators.
    pub roles: OperatorRoles,
    /// How long the records of a closed account must be kept.
    pub retention_s: i64,
    /// Calls of one person in a clock hour above which an alarm is raised. A separate alarm covers the registry.
    pub person_calls_max: u32,
}

/// Answers the acquirer's operators.
pub struct Operator<T, K, B, S, P> {
    store: Store<T>,
    keys: Keys<K>,
    log: PublishedLog<B, S>,
    push: P,
    settings: Settings,
}

impl<T, K, B, S, P> Operator<T, K, B, S, P> {
    /// Creates the function from its store, its keys and the log of the histories. `push`: where devices are registered.
    pub const fn new(
        store: Store<T>,
        keys: Keys<K>,
        log: PublishedLog<B, S>,
        push: P,
        settings: Settings,
    ) -> Self {
        Self {
            store,
            keys,
            log,
            push,
            settings,
        }
    }
}

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P: ForgetPush> Handler
    for Operator<T, K, B, S, P>
{
    type Route = OperatorRoute;

    async fn handle(
        &self,
        route: OperatorRoute,
        request: &Request,
        now: Timestamp,
    ) -> Result<Reply, HandlerError> {
        let call = Call::read(&self.settings.roles, route, request, now);
        let call = call.inspect_err(|refusal| {
            if refusal.code == ErrorCode::OperatorUnknown {
                tracing::warn!(operator.call = route.as_str(), "operator.unknown");
            }
        })?;
        self.audit(&call).await?;
        match route {
            OperatorRoute::ShowMerchant => self.show_merchant(&call).await,
            OperatorRoute::ListEvents => self.list_events(&call).await,
            OperatorRoute::ShowReceipt => self.show_receipt(&call).await,
            OperatorRoute::ListOverdue => self.list_overdue(&call).await,
            OperatorRoute::ShowLog => self.show_log().await,
            OperatorRoute::ListPayouts => self.list_payouts(&call).await,
            OperatorRoute::ShowPayout => self.show_payout(&call).await,
            OperatorRoute::LookUp => self.look_up(&call).await,
            OperatorRoute::Freeze => self.freeze(&call).await,
            OperatorRoute::EndSessions => self.end_sessions(&call).await,
            OperatorRoute::ConfirmNotified => self.confirm_notified(&call).await,
            OperatorRoute::RenewDocument => self.renew_document(&call).await,
            OperatorRoute::LowerTier => self.lower_tier(&call).await,
            OperatorRoute::RegisterTier => self.register_tier(&call).await,
            OperatorRoute::ReadUnmasked => self.read_unmasked(&call).await,
            OperatorRoute::ProposeUnmask => self.propose_of(&call, ProposalKind::Unmask).await,
            OperatorRoute::ApproveUnmask => self.approve(&call, ProposalKind::Unmask).await,
            OperatorRoute::ShowErasure => self.show_erasure(&call).await,
            OperatorRoute::ProposeErase => self.propose_of(&call, ProposalKind::Erase).await,
            OperatorRoute::ApproveErase => self.approve(&call, ProposalKind::Erase).await,
            OperatorRoute::Erase => self.erase(&call).await,
            OperatorRoute::Resend => self.resend(&call).await,
            OperatorRoute::AskBank => self.ask_bank(&call).await,
            OperatorRoute::ClearLogins => self.clear_logins(&call).await,
            OperatorRoute::CreateMerchant => self.create_merchant(&call).await,
            OperatorRoute::RegisterContact => self.register_contact(&call).await,
            OperatorRoute::RegisterClose => self.register_close(&call).await,
            OperatorRoute::ProposeClose => self.propose_of(&call, ProposalKind::Close).await,
            OperatorRoute::ApproveClose => self.approve(&call, ProposalKind::Close).await,
            OperatorRoute::Withdraw => self.withdraw(&call).await,
            OperatorRoute::ListProposals => self.list_proposals(&call).await,
            OperatorRoute::ShowProposal => self.show_proposal(&call).await,
            OperatorRoute::ProposeUnfreeze => self.propose_unfreeze(&call).await,
            OperatorRoute::ProposeContactChange => self.propose_contact_change(&call).await,
            OperatorRoute::ProposeCoreKey => self.propose_core_key(&call).await,
            OperatorRoute::ApproveUnfreeze => self.approve(&call, ProposalKind::Unfreeze).await,
            OperatorRoute::ApproveContactChange => {
                self.approve(&call, ProposalKind::ContactChange).await
            }
            OperatorRoute::ApproveCoreKey => self.approve_core_key(&call).await,
        }
    }

    async fn stopped(&self) -> Result<Stopped, PortError> {
        self.store.stopped().await
    }

    fn usage(&self) -> Usage {
        self.store.meter().take().with_keys(&self.keys)
    }
}

impl<T: Table, K: KeyService, B: ReadLog, S: LogPublicKey, P> Operator<T, K, B, S, P> {
    /// Records the call. Without a record, nothing is shown and nothing changes.
    async fn audit(&self, call: &Call<'_>) -> Result<(), HandlerError> {
        let entry = AuditEntry {
            actor: call.actor.clone(),
            at: call.now,
            call: call.route.as_str().to_owned(),
            subject: call.request.path_id.clone(),
            grounds: call.grounds.clone(),
        };
        let audited = retry(Limits::REQUEST, async || {
            Ok(self.store.audit(&entry).await?)
        });
        let end = audited.await?;
        tracing::info!(
            operator.account = call.actor.account(),
            operator.person = call.actor.person(),
            operator.call = call.route.as_str(),
            operator.reason = call.grounds.reason.as_str(),
            operator.of_registry = call.route.is_of_registry(),
            "operator.called"
        );
        if !call.route.is_of_registry() && end.calls > self.settings.person_calls_max {
            tracing::warn!(
                operator.account = call.actor.account(),
                operator.person = call.actor.person(),
                "operator.many_calls"
            );
        }
        Ok(())
    }
}
