//! `cargo local demo`: merchants' stories, walked over HTTP as the app would. Each step is checked against the contract.

mod change;
mod costs;
mod freeze;
mod imported;
mod micro_deposit;
mod rebind;
mod standby;
mod steps;
mod support;
mod walk;

pub(crate) use change::{Changed, change_card, knows_change};
pub(crate) use walk::random_hex;

use std::time::Instant;

use clap::ValueEnum;

use crate::error::Error;
use crate::paths;
use crate::system::{System, UpOptions};

/// A story, each with its own merchant and card, so that one system can show all of them. The comments are the help texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Story {
    /// A merchant changes the card, and the bank checks the new card
    Rebind,
    /// The bank cannot check the card, so the card receives ¥0.01 with a code; payouts keep their card
    MicroDeposit,
    /// A thief changes the card, and the merchant freezes the account from the old phone
    Freeze,
    /// A merchant adds a standby card and switches to it later
    Standby,
    /// An acquirer imports merchants, pays, unfreezes with two operators, and proves the history
    Support,
}

impl Story {
    async fn walk(self, system: &System) -> Result<u32, Error> {
        match self {
            Self::Rebind => rebind::walk(system).await,
            Self::MicroDeposit => micro_deposit::walk(system).await,
            Self::Freeze => freeze::walk(system).await,
            Self::Standby => standby::walk(system).await,
            Self::Support => support::walk(system).await,
        }
    }
}

/// Starts a system, walks the stories on it one after the other, and stops the system.
///
/// # Errors
/// When the system does not start, or a step does not match the contract.
pub async fn run(stories: &[Story]) -> Result<(), Error> {
    let started = Instant::now();
    let state_dir = paths::default_state_dir().join("demo"); // not that of `cargo local up`
    let system = System::up(UpOptions {
        state_dir,
        ..UpOptions::default()
    })
    .await?;
    let mut steps = 0;
    for story in stories {
        steps += story.walk(&system).await?;
    }
    drop(system);
    println!(
        "all {steps} steps match the contract; {:.1} s in total",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}
