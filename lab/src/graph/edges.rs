//! Which release leads to which, for one client.

use std::hash::{DefaultHasher, Hash, Hasher};

use super::release::Vertex;

/// The edges that a client of this wariness is told at `now`, in seconds since 1970.
///
/// A release that is offered is reached from the barrier before it and from whatever is between them, and a barrier from the barrier
/// before it and from whatever is between, offered or not.
pub(super) fn edges(releases: &[Vertex], wariness: f64, now: i64) -> Vec<(usize, usize)> {
    let barrier_before = |place: usize| {
        let mut before = releases.iter().take(place);
        before
            .rposition(|one| one.barrier.is_some())
            .unwrap_or_default()
    };
    let hidden = |place: usize| {
        let rollout = releases.get(place).and_then(|one| one.rollout.as_ref());
        rollout.is_some_and(|rollout| wariness > rollout.reaches(now))
    };
    let dead = |place: usize| releases.get(place).is_some_and(|one| one.deadend.is_some());
    let leading_to = |place: usize| (barrier_before(place)..place).map(move |from| (from, place));
    let places = || releases.iter().enumerate();
    // In the real server's order: what is offered from the newest on, then the barriers that are not.
    let offered = places().rev().filter(|(_, one)| one.rollout.is_some());
    let barriers = places().filter(|(_, one)| one.rollout.is_none() && one.barrier.is_some());
    let all = offered.chain(barriers);
    all.flat_map(|(place, _)| leading_to(place))
        .filter(|(from, to)| !dead(*from) && !hidden(*to))
        .collect()
}

/// How wary a client is: what it says, else what follows from the id of its node, as in the real server. The lower, the sooner it is
/// offered a release.
pub(super) fn wariness(rollout_wariness: Option<&str>, node_uuid: Option<&str>) -> f64 {
    if let Some(said) = rollout_wariness.and_then(|text| text.parse::<f64>().ok()) {
        return said.clamp(0.0, 1.0);
    }
    let mut hasher = DefaultHasher::new();
    node_uuid.unwrap_or_default().hash(&mut hasher);
    let scaled = hasher.finish() as f64 / u64::MAX as f64;
    scaled.clamp(0.000_001, 1.0)
}
