//! What CUO tells the outside, and what the outside may hold, as `cuo-companion` does it.
//!
//! It reads Nodes, pools, pauses and gates, and writes what anybody with a right to it may write: gates of its own. So it can hold updates, and
//! can't grant one. Each function is switched on by its part of the configuration, and each works on without the others.

pub mod check;
pub mod cli;
pub mod config;
pub mod gates;
pub mod hooks;
pub mod metrics;
pub mod notify;
pub mod run;
mod text;
pub mod web;

// The double is written for `cuo_cluster`, whose modules it names.
#[cfg(test)]
use cuo_cluster::{credentials, source};
#[cfg(test)]
#[path = "../../crates/cluster/src/double.rs"]
#[expect(dead_code, reason = "tests of cuo-cluster ask for more")]
mod double;
#[cfg(test)]
mod testing;
