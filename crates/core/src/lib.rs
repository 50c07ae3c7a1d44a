//! CUO's decisions: pure functions without clock, I/O or Kubernetes client.
//!
//! Time and observations go in, decisions with reasons come out, and the two programs carry them out. This lets tests explore every
//! interleaving of agents, operators and faults.

pub mod agent;
pub mod backoff;
pub mod control_plane;
pub mod drain;
pub mod features;
pub mod field;
pub mod gate;
pub mod host;
pub mod ids;
pub mod keys;
pub mod lease;
pub mod ledger;
pub mod look;
pub mod node;
pub mod pause;
pub mod plan;
pub mod pool;
pub mod raw;
pub mod reason;
pub mod release;
pub mod selector;
pub mod skew;
pub mod survey;
pub mod time;
pub mod timing;
pub mod trust;
pub mod values;
pub mod window;
