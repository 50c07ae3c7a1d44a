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
