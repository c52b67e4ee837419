//! Every command means a route of the API.

use super::*;
use api::operator::OperatorRoute;

#[test]
fn every_command_has_its_route() {
    let id = || "x_1".to_owned();
    let merchants = [
        OfMerchant::Show { id: id() },
        OfMerchant::Lookup { account: id() },
        OfMerchant::Events { id: id(), after: 3 },
        OfMerchant::Payouts {
            id: id(),
            cursor: Some(id()),
        },
        OfMerchant::Freeze { id: id() },
        OfMerchant::EndSessions { id: id() },
        OfMerchant::Resend {
            id: id(),
            sequence: 1,
        },
        OfMerchant::Overdue,
        OfMerchant::Erasure { id: id() },
        OfMerchant::Erase { id: id() },
        OfMerchant::AskBank {
            id: id(),
            rebind: id(),
        },
        OfMerchant::ClearLogins { id: id() },
        OfMerchant::ConfirmNotified {
            id: id(),
            rebind: id(),
        },
        OfMerchant::LowerTier { id: id(), limit: 1 },
        OfMerchant::RenewDocument {
            id: id(),
            expires_on: id(),
        },
    ];
    let approve = |kind| Proposals::Approve {
        id: id(),
        kind,
        digest: id(),
    };
    let proposals = [
        Proposals::List { cursor: None },
        Proposals::Show { id: id() },
        Proposals::Unfreeze {
            merchant: id(),
            card: None,
            no_card: true,
        },
        Proposals::ContactChange { merchant: id() },
        Proposals::Close { merchant: id() },
        Proposals::Erase { merchant: id() },
        Proposals::Unmask { merchant: id() },
        Proposals::Read { id: id() },
        Proposals::CoreKey {
            thumbprint: id(),
            remove: false,
        },
        approve(Kind::Unfreeze),
        approve(Kind::ContactChange),
        approve(Kind::Close),
        approve(Kind::Unmask),
        approve(Kind::Erase),
        approve(Kind::CoreKey),
        Proposals::Withdraw { id: id() },
    ];
    let mut requests: Vec<Request> = merchants.iter().map(OfMerchant::request).collect();
    requests.extend(
        proposals
            .iter()
            .map(|proposal| proposal.request(Value::Null)),
    );
    requests.push(payout("x_1"));
    let others = ["merchants/x_1/receipt", "log"].map(|path| format!("/operator/v1/{path}"));
    requests.extend(others.map(Request::get));
    let mut missing: Vec<OperatorRoute> = OperatorRoute::ALL.to_vec();
    for Request { method, path, .. } in &requests {
        let path = path.split('?').next().unwrap();
        let (route, _) = OperatorRoute::find(method, path).unwrap();
        missing.retain(|other| *other != route);
    }
    // The registry is a system of the acquirer, not a person.
    missing.retain(|route| !route.is_of_registry());
    assert_eq!(missing, []);
}

#[test]
fn ids_cannot_change_the_path() {
    let show = OfMerchant::Show {
        id: "../a b?c".to_owned(),
    };
    assert_eq!(
        show.request().path,
        "/operator/v1/merchants/%2E%2E%2Fa%20b%3Fc"
    );
}

#[test]
fn contact_change_takes_its_values_from_input() {
    let change = Proposals::ContactChange {
        merchant: "mer_1".to_owned(),
    };
    let request = change.request(json!({"phone": "1"}));
    assert_eq!(request.body, json!({"merchant_id": "mer_1", "phone": "1"}));
}
