//! How long the parts of grants take.

use cuo_core::plan::Snapshot;
use cuo_core::timing::{Lap, Part};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use super::labels::{PoolLabels, pools};

/// Seconds, from a drain of nothing to a week's wait for a window.
const BUCKETS: [f64; 12] = [
    5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 14400.0, 86400.0, 604_800.0,
];

/// Histograms by pool.
#[derive(Debug)]
pub struct Durations {
    waits: Family<PoolLabels, Histogram, fn() -> Histogram>,
    took: Family<PoolLabels, Histogram, fn() -> Histogram>,
}

impl Default for Durations {
    fn default() -> Self {
        let buckets: fn() -> Histogram = || Histogram::new(BUCKETS);
        Self {
            waits: Family::new_with_constructor(buckets),
            took: Family::new_with_constructor(buckets),
        }
    }
}

impl Durations {
    /// Adds them to what is served.
    pub fn register(&self, registry: &mut Registry) {
        let seen = "as far as this process saw it begin and end";
        let help = format!("How long nodes waited for a grant, {seen}");
        registry.register("cuo_grant_wait_seconds", help, self.waits.clone());
        let help = format!(
            "How long a drain, a reboot, its verification, and the whole update took, by how it ended, {seen}"
        );
        registry.register("cuo_update_duration_seconds", help, self.took.clone());
    }

    /// Records parts of grants that are over, of nodes in `seen`.
    pub fn ended(&self, seen: &Snapshot, laps: &[Lap]) {
        for lap in laps {
            let Some(node) = seen.nodes.get(&lap.node) else {
                continue;
            };
            let pool = pools(&seen.pools, &node.labels);
            let (mut labels, took) = (vec![("pool", pool)], lap.took.as_secs_f64());
            if lap.part == Part::Wait {
                self.waits.get_or_create(&labels).observe(took);
                continue;
            }
            labels.push(("stage", lap.part.as_str().to_owned()));
            labels.push(("outcome", lap.outcome.as_str().to_owned()));
            self.took.get_or_create(&labels).observe(took);
        }
    }
}
