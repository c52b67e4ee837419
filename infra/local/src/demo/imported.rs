//! Merchants that an acquirer imports, as `rebindctl merchants import` does.

use std::io::BufReader;

use application::clock::wall_clock;
use application::crypto::password;
use domain::policy::Policy;
use domain::secret::Secret;
use rebindctl::import::lines::Lines;
use rebindctl::import::{Ending, Format, Plan, Report, run};
use serde_json::json;

use super::walk::{Merchant, Walk, invalid_request, last4};
use crate::error::Error;
use crate::system::System;

/// The sandbox's person who owns all of them: the simulated bank knows the name and the ID number.
const PERSON: &str = "mer_plain_5";

/// A merchant of a file.
pub(super) struct Imported {
    pub(super) merchant_id: String,
    pub(super) account: String,
    pub(super) phone: String,
    pub(super) card: &'static str,
}

impl Imported {
    /// The owner, as an app knows him.
    pub(super) fn owner(&self) -> Result<Merchant, Error> {
        Ok(Merchant {
            account: self.account.clone(),
            password: "a password of the story".to_owned(),
            phone: self.phone.clone(),
            old_card_last4: last4(self.card).to_owned(),
            ..Merchant::from_sandbox(PERSON)?
        })
    }
}

/// The text of a file.
pub(super) fn file(merchants: &[Imported]) -> Result<String, Error> {
    let mut text = String::new();
    for merchant in merchants {
        let owner = merchant.owner()?;
        let hash = password::hash(&Secret::new(owner.password));
        let hash = hash.map_err(invalid_request)?;
        let line = json!({
            "merchant_id": merchant.merchant_id,
            "account": merchant.account,
            "password_hash": hash.expose(),
            "entity_type": "natural_person",
            "legal_name": owner.name,
            "id_document": {"number": owner.id_number, "expires_on": owner.id_expires_on},
            "phone_on_file": merchant.phone,
            "opened_on": "2023-04-01",
            "tier": {"daily_limit_max_fen": 5_000_000, "fee_rate_bp": 60},
            "settlement": {"cycle": "T1", "payout_time": "06:00", "retained_fen": 0, "daily_limit_fen": 2_000_000},
            "card": {"number": merchant.card},
        });
        text.push_str(&format!("{line}\n"));
    }
    Ok(text)
}

/// Imports a file: afterwards, its merchants exist.
pub(super) async fn import(
    walk: &mut Walk<'_>,
    system: &System,
    step: &str,
    text: &str,
) -> Result<(), Error> {
    walk.begin(step);
    let plan = Plan {
        file: "merchants.jsonl",
        total_bytes: text.len() as u64,
        in_flight: 2,
        rate: None,
        dry_run: false,
        card_key: None,
        policy: &Policy::CURRENT,
        clock: wall_clock,
    };
    let target = system.import_target()?;
    let lines = Lines::new(BufReader::new(text.as_bytes()));
    let format = Format::Text { colours: false };
    let mut report: Report<_, Vec<u8>> = Report::new(std::io::stdout(), format, plan.file);
    let never = std::future::pending();
    let summary = run(plan, lines, &target, None, &mut report, never).await;
    let summary = summary.map_err(invalid_request)?;
    let is_whole = summary.ending == Ending::Finished && summary.refused == 0;
    walk.expect(is_whole, "every merchant of the file exists")
}
