//! Hosts with a systemd of their own: the agent's package from its installation to its removal, real reboots and power cuts.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by a panic, in its helpers too"
)]

mod admin;
mod certificate;
mod clock;
mod idle;
mod inhibitors;
mod link;
mod package;
mod power;
mod rollout;
mod state;
mod unwritten;
mod watchdog;
mod yard;

use std::time::Duration;

/// Versions that hosts run and get, oldest first.
const V1: &str = "42.20260101.3.0";
const V2: &str = "42.20260201.3.0";
const V3: &str = "42.20260301.3.0";
/// Long enough for a rollout over a few nodes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(180);
