//! What only the operator needs of the API server: the leader's lease, the ledger of slots, `UpdatePool` and `UpdatePause`.

pub mod lease;
pub mod ledger;
pub mod pause;
pub mod pool;

// The double is written for `cuo_cluster`, whose modules it names.
#[cfg(test)]
use cuo_cluster::{credentials, source};
#[cfg(test)]
#[path = "../../cluster/src/double.rs"]
#[expect(dead_code, reason = "tests of cuo-cluster ask for more")]
mod double;
#[cfg(test)]
mod tests;
