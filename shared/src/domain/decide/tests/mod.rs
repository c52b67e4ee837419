//! The core's rules, each test named after its rule in the contract (sections 3 and 4).

mod activation;
mod agreement;
mod card_check;
mod card_limits;
mod clock;
mod codes;
mod create;
mod day_limit;
mod fixture;
mod identity;
mod merchant;
mod print;
mod proofs;
mod properties;
mod rebind;
mod states;
mod table;
mod time_alone;
mod transition;
mod tries;
mod world;
