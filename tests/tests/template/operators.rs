//! Operators in the walk: every call, and both persons of every proposal.

use super::walk::{POLICY, Walk, is};
use serde_json::{Value, json};
use tests::new_merchants::new_merchant;
use tests::operators::{
    OPERATIONS, Person, REGISTRY, RETENTION_S, SECURITY, SUPPORT, call, change,
};
use tests::secrets::Kind;
use tests::transport::HttpCall;

impl Walk {
    /// Reads, acts, and proposals of every kind.
    pub(super) async fn operators(&self) {
        let app = self.app("plain_3").await;
        app.request(self.card("6222020000009001108")).await;
        for path in [
            "merchants/mer_plain_3",
            "merchants/mer_plain_3/erasure",
            "merchants/mer_plain_3/events",
            "merchants/mer_plain_3/payouts",
            "payouts/pay_sandbox_1",
            "proposals",
            "overdue",
        ] {
            self.operate(&SUPPORT, call("GET", path), 200).await;
        }
        let account = json!({"account": app.profile.account});
        let look_up = call("POST", "lookups").json(&account);
        self.operate(&SUPPORT, look_up, 200).await;
        for act in ["freeze", "end-sessions", "clear-logins"] {
            for _ in 0..2 {
                let act = change(&format!("acts/{act}/mer_plain_3"), act, &json!({}));
                self.operate(&SUPPORT, act, 200).await;
            }
        }
        let resend = change("acts/resend/mer_plain_3", "s", &json!({"sequence": 1}));
        self.operate(&SUPPORT, resend, 409).await;
        let rebind = json!({"rebind_id": "rbd_0000ff0000000000000000"});
        let ask = change("acts/ask-bank/mer_plain_3", "b", &rebind);
        self.operate(&SUPPORT, ask, 404).await;
        let renewal = json!({"document_expires_on": "2060-01-01"});
        let renew = change("acts/renew-document/mer_id_expiring", "r", &renewal);
        self.operate(&SUPPORT, renew, 200).await;
        let tier = json!({"daily_limit_max_fen": 1_000_000});
        let lower = change("acts/lower-tier/mer_id_expiring", "t", &tier);
        self.operate(&SUPPORT, lower, 200).await;

        let unfreeze = json!({"merchant_id": "mer_plain_3", "card_id": null});
        let id = self.proposed("unfreeze", &unfreeze).await;
        let withdraw = change(&format!("acts/withdraw/{id}"), "w", &json!({}));
        self.operate(&SUPPORT, withdraw, 204).await;
        self.decided("unfreeze", &unfreeze).await;
        let number = "110105196302111073";
        self.secrets.add(Kind::IdNumber, number);
        let hash = merchant_hash();
        for values in [
            json!({"phone": "13700000055"}),
            json!({"password_hash": hash}),
            json!({"legal_name": "测试商户三乙"}),
            json!({"document_number": number, "document_expires_on": "2061-01-01"}),
        ] {
            let mut body = json!({"merchant_id": "mer_plain_3"});
            body.as_object_mut()
                .unwrap()
                .extend(values.as_object().unwrap().clone());
            self.decided("contact-change", &body).await;
        }
        let thumbprint = json!({"thumbprint": "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"});
        self.decided("core-key", &thumbprint).await;
        let gone = json!({"thumbprint": thumbprint["thumbprint"], "remove": true});
        let id = self.proposed("core-key", &gone).await;
        let withdraw = change(&format!("acts/withdraw/{id}"), "w", &json!({}));
        self.operate(&SUPPORT, withdraw, 204).await;
        self.the_registry().await;
        self.the_owner_was_told().await;
    }

    /// The registry creates a merchant, changes its phone and closes it; two persons close another one.
    async fn the_registry(&self) {
        let (profile, mut line) = new_merchant("walk", 1);
        line["migration"] = json!({"unsent_payouts": [
            {"payout_id": "pay_walk_1", "amount_fen": 5, "created_at": "2026-01-21T18:30:00+08:00"},
        ]});
        let create = change("registry/create", "c", &line);
        self.operate(&REGISTRY, create, 201).await;
        let id = &profile.id;
        let phone = json!({"phone": "13700000056"});
        let changed = change(&format!("registry/contact-change/{id}"), "p", &phone);
        self.operate(&REGISTRY, changed, 200).await;
        let close = change(&format!("registry/close/{id}"), "x", &json!({}));
        self.operate(&REGISTRY, close, 200).await;
        self.decided("close", &json!({"merchant_id": "mer_plain_3"}))
            .await;
        let unmask = json!({"merchant_id": "mer_plain_5"});
        let id = self.decided("unmask", &unmask).await;
        let read = change(&format!("acts/read-unmasked/{id}"), "r", &json!({}));
        self.operate(&OPERATIONS, read, 200).await;
        self.the_erasure().await;
    }

    /// A merchant that was closed long ago.
    async fn the_erasure(&self) {
        let (profile, line) = new_merchant("walk", 2);
        let create = change("registry/create", "c2", &line);
        self.operate(&REGISTRY, create, 201).await;
        let id = &profile.id;
        let close = change(&format!("registry/close/{id}"), "x", &json!({}));
        self.operate(&REGISTRY, close, 200).await;
        self.world.pass_s(RETENTION_S);
        self.decided("erase", &json!({"merchant_id": id})).await;
        let show = call("GET", &format!("merchants/{id}/erasure"));
        self.operate(&SUPPORT, show, 200).await;
        let erase = change(&format!("acts/erase/{id}"), "e", &json!({}));
        self.operate(&SECURITY, erase, 200).await;
    }

    /// An activation whose notification does not arrive is confirmed by an operator. Another one is undone by an unfreeze.
    async fn the_owner_was_told(&self) {
        self.world.pass_s(POLICY.cooldown_s);
        let app = self.app("plain_4").await;
        let path = app.activate(self.card("6222020000009001116")).await;
        let rebind = path.rsplit('/').next().unwrap();
        let told = json!({"rebind_id": rebind});
        let confirm = change("acts/confirm-notified/mer_plain_4", "c", &told);
        self.operate(&SUPPORT, confirm, 200).await;
        // The change is long in effect, and another rebind is the latest one.
        self.world.pass_s(POLICY.cooldown_s);
        let app = self.app("plain_4").await;
        app.request(self.card("6222020000009001124")).await;
        let freeze = change("acts/freeze/mer_plain_4", "f", &json!({}));
        self.operate(&SUPPORT, freeze, 200).await;
        let none = json!({"merchant_id": "mer_plain_4", "card_id": null});
        self.decided("unfreeze", &none).await;
    }

    pub(super) async fn operate(&self, person: &Person, call: HttpCall, status: u16) -> Value {
        let reply = self.world.operate(person, call).await;
        is(&reply, status);
        reply.body
    }

    async fn proposed(&self, kind: &str, body: &Value) -> String {
        let key = body.to_string().len().to_string();
        let propose = change(&format!("proposals/{kind}"), &key, body);
        let made = self.operate(&OPERATIONS, propose, 201).await;
        made["proposal_id"].as_str().unwrap().to_owned()
    }

    async fn decided(&self, kind: &str, body: &Value) -> String {
        self.world.pass_s(1);
        let mut ticketed = body.clone();
        let key = format!("{kind}-{}", self.world.now().epoch_s());
        let propose = change(&format!("proposals/{kind}"), &key, &ticketed.take());
        let made = self.operate(&OPERATIONS, propose, 201).await;
        let id = made["proposal_id"].as_str().unwrap();
        let show = call("GET", &format!("proposals/{id}"));
        let shown = self.operate(&SECURITY, show, 200).await;
        let digest = json!({"digest": shown["digest"]});
        let approve = change(&format!("approvals/{kind}/{id}"), &key, &digest);
        for _ in 0..2 {
            self.operate(&SECURITY, approve.clone(), 200).await;
        }
        id.to_owned()
    }
}

/// The hash of another password.
fn merchant_hash() -> String {
    let password = domain::secret::Secret::new("another password".to_owned());
    let hash = application::crypto::password::hash(&password).unwrap();
    hash.expose().to_owned()
}
