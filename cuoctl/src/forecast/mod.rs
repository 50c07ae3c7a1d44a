//! What would happen: the operator's own planner, run forward over a simulated clock.
//!
//! Nothing is predicted but what follows from the cluster as it is: agents do as they are granted, take as long as is assumed, and never
//! fail; nobody edits anything; the sources of releases bring nothing new.

mod agent;
mod said;
mod world;

use cuo_core::plan::{Policy, Snapshot};
use cuo_core::time::Time;

pub use agent::expected;
pub use said::{Assumed, Forecast, Left, Reboot, Restless, Turn};
use world::World;

/// Runs the planner from `from` until `until`, or until nothing happens by itself any more.
///
/// # Errors
/// [`Restless`].
pub fn forecast(
    seen: Snapshot,
    policy: &Policy,
    assumed: Assumed,
    from: Time,
    until: Time,
) -> Result<Forecast, Restless> {
    World::new(seen, policy, assumed, from).run(until)
}

#[cfg(test)]
mod tests;
