//! Writes of how far pools are with releases: beside the loop, one at a time for each pool.
//!
//! They decide, so a pool has no other candidate before its last write has come back through the watch. What blocks one pool delays it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use cuo_cluster::{ApiError, ClientSource, Retry};
use cuo_coordination::pool::{PoolObject, write_rollout};
use cuo_core::backoff::Doubling;
use cuo_core::ids::PoolName;
use cuo_core::release::Rollout;
use cuo_telemetry::gate::gate;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::{debug, warn};

use super::pause::{CONFLICT, FIRST, Pauses, REFUSED};
use crate::narration::PoolSaid;

/// The longest pause after a failure.
const LAST: Duration = Duration::from_secs(300);
/// How long the watch is waited for at most after a write. What is decided on an old pool after that is refused by the API server.
const PATIENCE: Duration = Duration::from_secs(30);
/// After a write that failed, which is that pool's alone.
const PAUSES: Pauses = Pauses {
    conflict: Doubling::new(CONFLICT, Duration::from_secs(5)),
    failure: Doubling::new(FIRST, LAST),
    refusal: Doubling::new(REFUSED, LAST),
    asked: Doubling::new(FIRST, LAST),
};

type Pools = BTreeMap<PoolName, PoolObject>;

/// A write that has ended.
#[derive(Debug)]
pub struct Written {
    /// What it was to do.
    pub said: PoolSaid,
    /// The version of the pool as it is now.
    pub result: Result<String, ApiError>,
}

/// What a pool waits for before the next write.
#[derive(Debug)]
struct Rest {
    failures: u32,
    /// Nothing is written before this, or before the version came.
    until: Instant,
    /// The version that the pool is known to have reached.
    version: Option<u64>,
    /// The failure that was reported last.
    reported: Option<String>,
}

/// All writes of how far pools are.
#[derive(Debug, Default)]
pub struct Rollouts {
    tasks: JoinSet<Written>,
    under_way: BTreeMap<PoolName, Id>,
    rests: BTreeMap<PoolName, Rest>,
}

impl Rollouts {
    /// Sends a write, beside the loop.
    pub fn send(
        &mut self,
        source: &ClientSource,
        pool: &PoolObject,
        next: Rollout,
        said: PoolSaid,
    ) {
        let (source, name) = (source.clone(), pool.name.clone());
        let version = pool.resource_version.clone();
        let task = self.tasks.spawn(async move {
            let step = said.write.as_str();
            gate(&format!("operator-before-{step}")).await;
            let result = write_rollout(&source, &said.pool, &version, &next).await;
            gate(&format!("operator-after-{step}")).await;
            Written { said, result }
        });
        self.under_way.insert(name, task.id());
    }

    /// The next write that ends; never, while none is under way.
    pub async fn next(&mut self) -> Written {
        loop {
            match self.tasks.join_next().await {
                Some(Ok(written)) => {
                    self.under_way.remove(&written.said.pool);
                    self.ended(&written);
                    return written;
                }
                Some(Err(error)) => self.under_way.retain(|_, task| *task != error.id()),
                None => std::future::pending().await,
            }
        }
    }

    fn ended(&mut self, written: &Written) {
        let (name, now) = (&written.said.pool, Instant::now());
        let error = match &written.result {
            Ok(version) => {
                let rest = Rest {
                    failures: 0,
                    until: now + PATIENCE,
                    version: version.parse().ok(),
                    reported: None,
                };
                self.rests.insert(name.clone(), rest);
                return;
            }
            Err(error) => error,
        };
        let before = self.rests.remove(name);
        let failures = before.as_ref().map_or(0, |rest| rest.failures);
        let failures = failures.saturating_add(1);
        let text = format!("{} of pool {name}: {error}", written.said.write.as_str());
        let mut reported = before.and_then(|rest| rest.reported);
        if error.retry_class() == Retry::Reread {
            debug!("{text}; it is read again");
        } else if reported.as_ref() != Some(&text) {
            warn!(pool = %name, "{text}; it is tried again");
            reported = Some(text);
        }
        let rest = Rest {
            failures,
            until: now + PAUSES.after(error, failures),
            version: None,
            reported,
        };
        self.rests.insert(name.clone(), rest);
    }

    /// The pools to which nothing can be written now.
    pub fn busy(&self, now: Instant, pools: &Pools) -> BTreeSet<PoolName> {
        let rests = self.rests.iter().filter(|(name, rest)| {
            let known = pools.get(name).map(|pool| pool.resource_version.parse());
            // Versions are numbers that rise.
            let known = known.and_then(Result::<u64, _>::ok);
            let came = rest.version.is_some_and(|version| known >= Some(version));
            now < rest.until && !came
        });
        let rests = rests.map(|(name, _)| name);
        rests.chain(self.under_way.keys()).cloned().collect()
    }

    /// When something of this changes by itself.
    pub fn wake(&self, now: Instant) -> Option<Instant> {
        let rests = self.rests.values().map(|rest| rest.until);
        rests.filter(|until| *until > now).min()
    }

    /// Nothing is to be written any more, since somebody else leads.
    pub fn stop(&mut self) {
        self.tasks.abort_all();
        self.tasks = JoinSet::new();
        self.under_way.clear();
    }
}

#[cfg(test)]
mod tests;
