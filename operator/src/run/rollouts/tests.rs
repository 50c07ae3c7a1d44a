use cuo_core::pool::FoundPool;
use cuo_core::release::Rollout;

use super::*;
use crate::narration::Write;

fn pool(version: &str) -> PoolObject {
    PoolObject {
        name: "p".parse().unwrap(),
        uid: "u".into(),
        resource_version: version.into(),
        generation: 1,
        found: FoundPool::Valid(Box::default()),
        status: Default::default(),
    }
}

fn pools(version: &str) -> Pools {
    let pool = pool(version);
    Pools::from([(pool.name.clone(), pool)])
}

fn written(result: Result<String, ApiError>) -> Written {
    let said = PoolSaid {
        write: Write::PoolRelease,
        pool: "p".parse().unwrap(),
        uid: "u".into(),
        news: None,
    };
    Written { said, result }
}

fn is_busy(rollouts: &Rollouts, version: &str, later: Duration) -> bool {
    let busy = rollouts.busy(Instant::now() + later, &pools(version));
    !busy.is_empty()
}

#[test]
fn a_pool_is_busy_until_its_write_has_come_back() {
    let mut rollouts = Rollouts::default();
    assert!(!is_busy(&rollouts, "7", Duration::ZERO));
    rollouts.ended(&written(Ok("8".into())));
    assert!(is_busy(&rollouts, "7", Duration::ZERO));
    assert!(!is_busy(&rollouts, "8", Duration::ZERO));
    assert!(!is_busy(&rollouts, "9", Duration::ZERO));
    // A watch that is behind for long is not waited for: what is decided on it fails.
    assert!(!is_busy(&rollouts, "7", PATIENCE));
}

#[test]
fn after_a_failure_a_pool_rests_longer_each_time() {
    let mut rollouts = Rollouts::default();
    let error = || ApiError::Other {
        message: "it does not keep it".into(),
    };
    rollouts.ended(&written(Err(error())));
    let first = rollouts.wake(Instant::now()).unwrap();
    rollouts.ended(&written(Err(error())));
    let second = rollouts.wake(Instant::now()).unwrap();
    assert!(second > first && is_busy(&rollouts, "9", Duration::ZERO));
    rollouts.ended(&written(Ok("8".into())));
    assert!(!is_busy(&rollouts, "8", Duration::ZERO));
    assert_eq!(Rollout::default(), pool("8").rollout());
}
