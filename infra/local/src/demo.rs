//! Stories of a merchant, walked over HTTP as the app would, each step held against the contract.

mod freeze;
mod micro_deposit;
mod rebind;
mod standby;
mod steps;
mod walk;

use std::str::FromStr;
use std::time::Instant;

use crate::error::Error;
use crate::paths;
use crate::system::{System, UpOptions};

/// What can be shown. Each has a merchant and a card of its own, so that one system can show them all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Story {
    /// The main one: a card is changed, and its bank checks it.
    Rebind,
    /// The bank cannot check the card, so ¥0.01 is sent to it; and where payouts go.
    MicroDeposit,
    /// A thief changes the card, and the merchant's old contact undoes it.
    Freeze,
    /// A second card waits until it is needed.
    Standby,
}

impl Story {
    const ALL: [Self; 4] = [
        Self::Rebind,
        Self::MicroDeposit,
        Self::Freeze,
        Self::Standby,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Rebind => "rebind",
            Self::MicroDeposit => "micro-deposit",
            Self::Freeze => "freeze",
            Self::Standby => "standby",
        }
    }

    async fn walk(self, system: &System) -> Result<u32, Error> {
        match self {
            Self::Rebind => rebind::walk(system).await,
            Self::MicroDeposit => micro_deposit::walk(system).await,
            Self::Freeze => freeze::walk(system).await,
            Self::Standby => standby::walk(system).await,
        }
    }
}

impl FromStr for Story {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let story = Self::ALL.into_iter().find(|story| story.name() == name);
        story.ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("there is no story `{name}`; there are {names}")
        })
    }
}

/// Brings a system up, walks the stories on it one after the other, and ends it.
///
/// # Errors
/// When the system does not come up, or a step does something else than the contract says.
pub async fn run(stories: &[Story]) -> Result<(), Error> {
    let started = Instant::now();
    let state_dir = paths::default_state_dir().join("demo"); // beside a system that `cargo local up` may have started
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
        "{steps} steps, each as the contract says; {:.1} s in all",
        started.elapsed().as_secs_f32()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Story;

    #[test]
    fn a_story_is_found_by_its_name() {
        for story in Story::ALL {
            assert_eq!(story.name().parse(), Ok(story));
        }
        let unknown = "freezer".parse::<Story>().unwrap_err();
        assert!(
            unknown.contains("`freezer`") && unknown.contains("micro-deposit"),
            "{unknown}"
        );
    }
}
