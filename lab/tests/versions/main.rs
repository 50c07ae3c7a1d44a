//! Two releases meet: agents are upgraded inside the very updates that operators grant, so whichever side is upgraded first, and whichever
//! goes back, an update goes on to its end.
//!
//! The other release is really that: its programs are built from the repository's history ([`cuo_lab::previous`]).

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, in its helpers too"
)]

mod exchange;
mod features;
#[path = "../e2e/look.rs"]
#[expect(dead_code, reason = "the end-to-end tests look at more")]
mod look;
mod pairs;
mod people;
mod pods;
mod releases;
mod state;
mod words;

use std::time::Duration;

/// Versions that hosts run and get, oldest first.
const V1: &str = "42.20260101.3.0";
const V2: &str = "42.20260201.3.0";
const V3: &str = "42.20260301.3.0";
/// Long enough for a rollout over a few nodes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);

/// The update number `index` after [`V1`].
fn update(index: usize) -> String {
    format!("42.2026{:02}01.3.0", index + 2)
}
