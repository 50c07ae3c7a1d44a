//! What is written about the pools: beside the loop, one write at a time for each.
//!
//! Nothing is ever decided on what is written here, so nothing waits for it, however long a webhook leaves it unanswered.

use std::collections::BTreeMap;
use std::time::Duration;

use cuo_cluster::{ApiError, ClientSource};
use cuo_coordination::pool::{PoolObject, PoolStatus, write_status};
use cuo_core::backoff::Doubling;
use cuo_core::ids::PoolName;
use cuo_core::plan::PoolReport;
use cuo_core::time::Time;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tracing::debug;

use super::pause::Pauses;
use crate::pool_status::status;

/// Shortest time between two writes of one status, and the first pause after a failure.
const PACE: Duration = Duration::from_secs(3);
/// When to write a status again that did not come back as it was written; and the longest pause, which a refusal has at once.
const AGAIN: Duration = Duration::from_secs(300);
/// As many may be under way: each that is not answered has a connection until its deadline.
const AT_ONCE: usize = 8;

/// After a failure: that pool rests, whatever kind it is of.
const PAUSES: Pauses = Pauses {
    conflict: Doubling::new(PACE, AGAIN),
    failure: Doubling::new(PACE, AGAIN),
    refusal: Doubling::new(AGAIN, AGAIN),
    asked: Doubling::new(PACE, AGAIN),
};

type Pools = BTreeMap<PoolName, PoolObject>;

/// How the last write about a pool ended.
#[derive(Debug)]
struct Reported {
    /// `metadata.uid` of the pool.
    uid: String,
    /// What was written last; none if nothing was, or somebody else may have since.
    status: Option<PoolStatus>,
    failures: u32,
    /// When it ended.
    at: Instant,
    /// Nothing is written before this.
    until: Instant,
}

/// A write that has ended.
#[derive(Debug)]
struct Ended {
    name: PoolName,
    uid: String,
    status: PoolStatus,
    result: Result<(), ApiError>,
}

/// All writes about pools.
#[derive(Debug, Default)]
pub struct Statuses {
    tasks: JoinSet<Ended>,
    under_way: BTreeMap<PoolName, Id>,
    reported: BTreeMap<PoolName, Reported>,
    /// One has to wait until another ends.
    full: bool,
}

impl Statuses {
    /// Sends what changed of what is reported; returns when to send what was written too recently, or could not be.
    pub fn tell(
        &mut self,
        source: &ClientSource,
        pools: &Pools,
        reports: &[PoolReport],
        time: Time,
    ) -> Option<Instant> {
        let (due, next) = self.due(Instant::now(), pools, reports, time);
        for (pool, status) in due {
            let (source, name) = (source.clone(), pool.name.clone());
            let (version, text) = (pool.resource_version.clone(), status.clone());
            let write = async move { write_status(&source, &name, &version, &text).await };
            self.start(pool, status, write);
        }
        next
    }

    /// What is to be sent now, and when to look again.
    fn due<'a>(
        &mut self,
        now: Instant,
        pools: &'a Pools,
        reports: &[PoolReport],
        time: Time,
    ) -> (Vec<(&'a PoolObject, PoolStatus)>, Option<Instant>) {
        self.reported
            .retain(|name, reported| pools.get(name).is_some_and(|pool| pool.uid == reported.uid));
        let named = reports
            .iter()
            .filter_map(|report| Some((pools.get(report.name.as_ref()?)?, report)));
        let mut named: Vec<_> = named
            .filter(|(pool, _)| !self.under_way.contains_key(&pool.name))
            .collect();
        // One that could not be reported is not tried before all others.
        named.sort_by_key(|(pool, _)| self.reported.get(&pool.name).map(|reported| reported.at));
        let (mut due, mut next) = (Vec::new(), None);
        self.full = false;
        for (pool, report) in named {
            let reported = self.reported.get(&pool.name);
            let before = reported.and_then(|reported| reported.status.as_ref());
            let want = status(pool, report, before.unwrap_or(&pool.status), time);
            let from = reported.map_or(now, |reported| reported.from(&want));
            if want == pool.status {
                continue;
            }
            if now < from {
                next = next.into_iter().chain([from]).min();
            } else if self.under_way.len() + due.len() < AT_ONCE {
                due.push((pool, want));
            } else {
                self.full = true;
            }
        }
        (due, next)
    }

    fn start(
        &mut self,
        pool: &PoolObject,
        status: PoolStatus,
        write: impl Future<Output = Result<(), ApiError>> + Send + 'static,
    ) {
        let (name, uid) = (pool.name.clone(), pool.uid.clone());
        let task = self.tasks.spawn(async move {
            let result = write.await;
            Ended {
                name,
                uid,
                status,
                result,
            }
        });
        self.under_way.insert(pool.name.clone(), task.id());
    }

    /// The next write that ends in a way that asks for another turn; never, while there is none.
    pub async fn next(&mut self) -> Result<(), ApiError> {
        loop {
            let result = match self.tasks.join_next().await {
                Some(Ok(ended)) => self.ended(ended),
                Some(Err(error)) => {
                    self.under_way.retain(|_, task| *task != error.id());
                    Ok(())
                }
                None => std::future::pending().await,
            };
            if result.is_err() || self.full {
                return result;
            }
        }
    }

    fn ended(&mut self, ended: Ended) -> Result<(), ApiError> {
        let Ended {
            name,
            uid,
            status,
            result,
        } = ended;
        self.under_way.remove(&name);
        let known = self
            .reported
            .remove(&name)
            .filter(|reported| reported.uid == uid);
        let failures = known.as_ref().map_or(0, |reported| reported.failures);
        let now = Instant::now();
        let (status, failures, until) = match &result {
            Ok(()) => (Some(status), 0, now + PACE),
            Err(error) => {
                debug!(pool = %name, "the status was not written: {error}");
                let before = known.and_then(|reported| reported.status);
                let failures = failures.saturating_add(1);
                (before, failures, now + PAUSES.whole(error, failures))
            }
        };
        let reported = Reported {
            uid,
            status,
            failures,
            at: now,
            until,
        };
        self.reported.insert(name, reported);
        result
    }

    /// Somebody else led and wrote in between, or does so from now on. What was in the way is in the way still.
    pub fn forget(&mut self) {
        self.tasks = JoinSet::new();
        self.under_way.clear();
        self.reported.retain(|_, reported| reported.failures > 0);
        for reported in self.reported.values_mut() {
            reported.status = None;
        }
    }
}

impl Reported {
    /// When `want` may be written.
    fn from(&self, want: &PoolStatus) -> Instant {
        match self.failures == 0 && self.status.as_ref() == Some(want) {
            true => self.at + AGAIN,
            false => self.until,
        }
    }
}

#[cfg(test)]
mod tests;
