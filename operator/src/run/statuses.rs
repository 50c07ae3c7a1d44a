//! What is written about the pools: beside the loop, one write at a time for each.
//!
//! Nothing is ever decided on a status, so nothing waits for one, however long a webhook leaves it unanswered.

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
mod tests {
    use cuo_coordination::pool::pool;
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> PoolName {
        text.parse().unwrap()
    }

    fn object(text: &str, uid: &str) -> (PoolName, PoolObject) {
        let pool = PoolObject {
            found: pool(name(text), &json!({})),
            name: name(text),
            uid: uid.into(),
            resource_version: "1".into(),
            generation: 1,
            status: PoolStatus::default(),
        };
        (name(text), pool)
    }

    /// Everything but the writes themselves.
    struct World {
        statuses: Statuses,
        pools: Pools,
        members: usize,
    }

    impl World {
        fn new(names: &[&str]) -> Self {
            Self {
                statuses: Statuses::default(),
                pools: names.iter().map(|text| object(text, "u")).collect(),
                members: 1,
            }
        }

        /// What is due so long after now, and how much later to look again, in seconds.
        fn due(&mut self, after: Duration) -> (Vec<(PoolObject, PoolStatus)>, Option<u64>) {
            let reports = self.pools.keys().map(|name| PoolReport {
                name: Some(name.clone()),
                members: self.members,
                ..PoolReport::default()
            });
            let reports: Vec<_> = reports.collect();
            let (now, time) = (Instant::now() + after, Time::from_second(0));
            let (due, next) = self.statuses.due(now, &self.pools, &reports, time);
            let due = due.into_iter();
            let due = due.map(|(pool, status)| (pool.clone(), status));
            // Some of the time has passed already.
            let left = next.map(|next| (next - now).as_secs() + 1);
            (due.collect(), left)
        }

        fn due_names(&mut self, after: u64) -> (Vec<String>, Option<u64>) {
            let (due, next) = self.due(Duration::from_secs(after));
            let names = due.iter().map(|(pool, _)| pool.name.to_string());
            (names.collect(), next)
        }

        /// Sends what is due, which comes to `result`, or is not answered.
        fn send(&mut self, after: Duration, result: Option<&Result<(), ApiError>>) {
            for (pool, status) in self.due(after).0 {
                let result = result.cloned();
                self.statuses.start(&pool, status, async move {
                    match result {
                        Some(result) => result,
                        None => std::future::pending().await,
                    }
                });
            }
        }
    }

    fn names(all: &[&str]) -> Vec<String> {
        all.iter().map(|&name| name.to_owned()).collect()
    }

    fn failed() -> ApiError {
        let message = "no".into();
        ApiError::Server { code: 500, message }
    }

    /// The loop goes on meanwhile, and so do the other pools.
    #[tokio::test]
    async fn a_status_that_is_not_answered_holds_up_no_other_and_only_so_many_are_sent() {
        let mut world = World::new(&["a"]);
        world.send(Duration::ZERO, None);
        assert_eq!(world.due_names(0), (vec![], None));
        world.pools.extend([object("b", "u")]);
        assert_eq!(world.due_names(0), (names(&["b"]), None));

        let all: Vec<_> = (0..=AT_ONCE).map(|number| format!("p{number}")).collect();
        let mut world = World::new(&all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(world.due_names(0).0, all[..AT_ONCE]);
        world.send(Duration::ZERO, Some(&Ok(())));
        // The one that waits is due as soon as another ends.
        assert_eq!(world.due_names(0), (vec![], None));
        assert_eq!(world.statuses.next().await, Ok(()));
        assert_eq!(world.due_names(0).0, all[AT_ONCE..]);
    }

    #[tokio::test]
    async fn each_failure_is_its_pools_alone_and_has_a_longer_pause() {
        let later = |seconds| ApiError::TooManyRequests {
            retry_after: Some(Duration::from_secs(seconds)),
            message: "no".into(),
        };
        let message = || "no".into();
        // After the first, the third and the ninth failure in a row.
        for (error, pauses) in [
            (failed(), [3, 12, 300]),
            (ApiError::Conflict { message: message() }, [3, 12, 300]),
            (ApiError::Forbidden { message: message() }, [300, 300, 300]),
            (later(1), [3, 12, 300]),
            (later(60), [60, 60, 300]),
            (later(4_000_000_000), [300, 300, 300]),
        ] {
            let mut world = World::new(&["a"]);
            let mut found = Vec::new();
            for _ in 0..9 {
                world.send(AGAIN, Some(&Err(error.clone())));
                assert_eq!(world.statuses.next().await, Err(error.clone()));
                let (due, next) = world.due_names(0);
                assert_eq!(due, names(&[]), "{error}");
                found.push(next.unwrap());
            }
            assert_eq!([found[0], found[2], found[8]], pauses, "{error}");
            // Another pool is reported, and one of the same name that was recreated.
            world.pools.extend([object("b", "u")]);
            assert_eq!(world.due_names(0).0, names(&["b"]), "{error}");
            world.pools.extend([object("a", "v")]);
            assert_eq!(world.due_names(0), (names(&["a", "b"]), None), "{error}");
        }
    }

    #[tokio::test]
    async fn what_was_written_is_written_again_only_when_it_changes_or_does_not_come_back() {
        let mut world = World::new(&["a"]);
        world.send(Duration::ZERO, Some(&Ok(())));
        let written = world.statuses.tasks.join_next().await.unwrap().unwrap();
        let status = written.status.clone();
        assert_eq!(world.statuses.ended(written), Ok(()));
        assert_eq!(world.due_names(0), (vec![], Some(300)));
        assert_eq!(world.due_names(301).0, names(&["a"]));
        // It came back.
        world.pools.get_mut(&name("a")).unwrap().status = status;
        assert_eq!(world.due_names(301), (vec![], None));
        world.members = 2;
        assert_eq!(world.due_names(0), (vec![], Some(3)));
        assert_eq!(world.due_names(4).0, names(&["a"]));
        // Somebody else wrote in between.
        world.statuses.forget();
        assert_eq!(world.due_names(0).0, names(&["a"]));
    }

    #[tokio::test]
    async fn what_was_in_the_way_is_not_forgotten() {
        let mut world = World::new(&["a"]);
        world.send(Duration::ZERO, Some(&Err(failed())));
        assert_eq!(world.statuses.next().await, Err(failed()));
        world.statuses.forget();
        assert_eq!(world.due_names(0), (vec![], Some(3)));
        // Only what is under way is.
        world.send(AGAIN, None);
        world.statuses.forget();
        assert_eq!(world.due_names(4).0, names(&["a"]));
    }
}
