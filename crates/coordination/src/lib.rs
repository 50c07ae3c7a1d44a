//! What only the operator needs of the API server: the leader's lease, the ledger of slots, `UpdatePool`, `UpdatePause` and `UpdateGate`.

mod custom;
mod definition;
pub mod gate;
pub mod lease;
pub mod ledger;
mod named;
pub mod pause;
pub mod pool;

pub use named::Named;

// The double is written for `cuo_cluster`, whose modules it names.
#[cfg(test)]
use cuo_cluster::{credentials, source};
#[cfg(test)]
#[path = "../../cluster/src/double.rs"]
#[expect(dead_code, reason = "tests of cuo-cluster ask for more")]
mod double;
#[cfg(test)]
mod tests;
