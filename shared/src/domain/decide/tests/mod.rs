//! The core's rules, each test named after its rule in the contract (sections 3 and 4).

mod activation;
mod card_check;
mod card_limits;
mod codes;
mod create;
mod day_limit;
mod fixture;
mod identity;
mod print;
mod proofs;
mod states;
mod table;
mod time_alone;
mod tries;
