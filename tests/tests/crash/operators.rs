//! The stories of operators: one person acts, two persons decide, and the registry decides alone.

use crate::story::{NAME, Outcome, Story, Work};
use serde_json::{Value, json};
use tests::merchant::GOOD_CARD;
use tests::new_merchants::new_merchant;
use tests::operators::{OPERATIONS, Person, REGISTRY, SECURITY, SUPPORT, call};
use tests::transport::{HttpCall, Transport as _};

const NEW_PHONE: &str = "+8613700000077";

impl Story {
    /// A call of an operator, as a step.
    async fn operate(&self, step: &'static str, person: &Person, call: HttpCall) -> Outcome {
        let work = Work::Operate(person.clone(), call);
        let outcome = self.step(step, work).await;
        assert!(outcome.status < 300, "{step}: {:?}", outcome.body);
        outcome
    }

    /// A change by an operator, as a step.
    async fn change(
        &self,
        step: &'static str,
        person: &Person,
        path: &str,
        body: Value,
    ) -> Outcome {
        self.operate(step, person, call("POST", path).json(&body))
            .await
    }

    /// A proposal of this kind, as a step. Returns its id.
    async fn propose(&self, step: &'static str, kind: &str, body: Value) -> String {
        let path = format!("proposals/{kind}");
        let made = self.change(step, &OPERATIONS, &path, body).await;
        made.body["proposal_id"].as_str().unwrap().to_owned()
    }

    /// Another person approves, as a step.
    async fn approve(&self, step: &'static str, kind: &str, id: &str) {
        let show = call("GET", &format!("proposals/{id}"));
        let show = self.operate("GET proposals", &SECURITY, show);
        let digest = self.skim(show).await.body["digest"].clone();
        let path = format!("approvals/{kind}/{id}");
        self.change(step, &SECURITY, &path, json!({"digest": digest}))
            .await;
    }
}

fn id() -> String {
    format!("mer_{NAME}")
}

/// Two calls of one person: a read, and a proposal.
pub async fn calls(story: &Story) {
    let show = call("GET", &format!("merchants/{}", id()));
    story.operate("operator, show", &OPERATIONS, show).await;
    let unmask = json!({"merchant_id": id()});
    story
        .propose("operator, propose unmask", "unmask", unmask)
        .await;
}

/// A freeze and its end, sessions, logins, the tier, and a change of the phone.
pub async fn acts(story: &Story) {
    let app = story.logged_in().await;
    story.skim(app.activate(GOOD_CARD)).await;
    story.skim(story.deliver("deliver, activation")).await;
    let freeze = format!("acts/freeze/{}", id());
    story
        .change("operator, freeze", &SUPPORT, &freeze, json!({}))
        .await;
    story.skim(story.deliver("deliver, freeze")).await;
    let show = call("GET", &format!("merchants/{}", id()));
    let shown = story.operate("operator, show", &SUPPORT, show).await.body;
    let unfreeze = json!({"merchant_id": id(), "card_id": shown["active"]["card_id"]});
    let proposal = story
        .propose("operator, propose unfreeze", "unfreeze", unfreeze)
        .await;
    story.skim(story.deliver("deliver, proposal")).await;
    story
        .approve("operator, approve unfreeze", "unfreeze", &proposal)
        .await;

    let app = story.logged_in().await;
    let mut wrong = app.profile.credentials("device-2");
    wrong["password"] = json!("a wrong one");
    let login = HttpCall::new("POST", "/v1/sessions").json(&wrong);
    story.skim(story.http(login)).await;
    for (step, act, body) in [
        ("operator, clear logins", "clear-logins", json!({})),
        ("operator, end sessions", "end-sessions", json!({})),
        (
            "operator, lower tier",
            "lower-tier",
            json!({"daily_limit_max_fen": 1_000}),
        ),
    ] {
        let path = format!("acts/{act}/{}", id());
        story.change(step, &SUPPORT, &path, body).await;
    }

    let phone = json!({"merchant_id": id(), "phone": NEW_PHONE});
    let step = "operator, propose contact change";
    let proposal = story.propose(step, "contact-change", phone.clone()).await;
    let withdraw = format!("acts/withdraw/{proposal}");
    story
        .change("operator, withdraw", &OPERATIONS, &withdraw, json!({}))
        .await;
    let again = story.propose(step, "contact-change", phone);
    let proposal = story.skim(again).await;
    let step = "operator, approve contact change";
    story.approve(step, "contact-change", &proposal).await;
    story.skim(story.deliver("deliver, contact change")).await;
}

/// What two persons decide beside the account: a reading of personal data, and a key of the core system.
pub async fn decisions(story: &Story) {
    let unmask = json!({"merchant_id": id()});
    let proposal = story
        .propose("operator, propose unmask", "unmask", unmask)
        .await;
    story
        .approve("operator, approve unmask", "unmask", &proposal)
        .await;
    let read = format!("acts/read-unmasked/{proposal}");
    story
        .change("operator, read unmasked", &OPERATIONS, &read, json!({}))
        .await;

    let key = json!({"thumbprint": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"});
    let proposal = story
        .propose("operator, propose core key", "core-key", key)
        .await;
    story
        .approve("operator, approve core key", "core-key", &proposal)
        .await;
}

/// The registry creates a merchant, changes it and closes its account.
pub async fn registry(story: &Story) {
    let (profile, line) = new_merchant("crash", 4_321);
    story
        .change("registry, create", &REGISTRY, "registry/create", line)
        .await;
    let of = |what: &str| format!("registry/{what}/{}", profile.id);
    let phone = json!({"phone": NEW_PHONE});
    story
        .change("registry, contact", &REGISTRY, &of("contact-change"), phone)
        .await;
    let tier = json!({"daily_limit_max_fen": 9_000_000});
    story
        .change("registry, tier", &REGISTRY, &of("tier"), tier)
        .await;
    story
        .change("registry, close", &REGISTRY, &of("close"), json!({}))
        .await;
}
