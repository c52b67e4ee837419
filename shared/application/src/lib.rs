//! The one way of every request: read, decide, write. Also the ports to the outside, and the cryptography behind them.

pub mod crypto;
pub mod ports;
pub mod serve;
pub mod step;
