//! An administrator has the node try again.

use super::*;
use crate::agent::state::{Left, Lost, Stuck};
use crate::values::RetryRequest;

fn request(second: i64, identity: Option<ReleaseId>) -> RetryRequest {
    RetryRequest {
        at: at(second),
        by: Some("alice".into()),
        identity,
    }
}

fn failure(identity: ReleaseId, code: Code, second: i64) -> Failure {
    Failure {
        identity,
        code: code.into(),
        at: at(second),
    }
}

/// Everything that keeps a release from being tried is noted, of `NEW`; of `OTHER` there is an older failure and a newer one of `OLD`, with
/// which the node is not healthy.
fn troubled() -> World {
    let mut world = World::new();
    world.run();
    world.node().ready = false;
    let state = &mut world.state;
    state.failed.add(failure(OTHER, Code::RolledBack, 10));
    state.failed.add(failure(NEW, Code::RolledBack, 20));
    state.failed.add(failure(OLD, Code::Unhealthy, 30));
    state.lost = Some(Lost {
        identity: NEW,
        times: 3,
        unexplained: 0,
    });
    state.spoiled = Some(deployment(NEW, true).id);
    state.left = vec![Left {
        identity: NEW,
        published: 5,
    }];
    state.stuck = Some(Stuck {
        pods: ["default/web".to_owned()].into(),
        times: 2,
    });
    state.back_off(Code::DrainBlocked.into(), &settings().retry, at(1000));
    world
}

/// The releases that are still on the list of failures.
fn failed(state: &State) -> Vec<ReleaseId> {
    state.failed.ids().collect()
}

#[test]
fn what_failed_until_then_is_taken_off_every_list() {
    let mut world = troubled();
    let asked = request(500, None);
    world.node().requests.retry = Field::Value(asked.clone());
    let step = step(&world.state, &world.seen, &world.settings, world.clocks());
    assert_eq!(step.happened, [Happened::TriesAgain(asked)]);
    let expected = State {
        adopted: true,
        // It runs, and ends this by becoming healthy.
        failed: Failures {
            identities: vec![failure(OLD, Code::Unhealthy, 30)],
        },
        unhealthy: step.state.unhealthy.clone(),
        retried: Some(at(500)),
        ..State::default()
    };
    assert_eq!(step.state, expected);
}

#[test]
fn only_the_release_that_is_named_is_tried_again() {
    let mut world = troubled();
    world.node().requests.retry = Field::Value(request(500, Some(OTHER)));
    world.run();
    assert_eq!(failed(&world.state), [NEW, OLD]);
    assert!(world.state.lost.is_some() && world.state.spoiled.is_some());
    assert_eq!(world.state.left.len(), 1);
    assert_eq!(world.state.backoff, None);
    world.node().requests.retry = Field::Value(request(501, Some(NEW)));
    world.run();
    assert_eq!(failed(&world.state), [OLD]);
    let state = &world.state;
    assert_eq!((&state.lost, &state.spoiled), (&None, &None));
    assert_eq!(state.left, []);
}

/// A release that fails again is not tried once more because of an old request, nor where a newer failure was there already.
#[test]
fn a_request_counts_once() {
    let mut world = World::new();
    world.node().requests.retry = Field::Value(request(500, None));
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
    world.state.failed.add(failure(NEW, Code::RolledBack, 400));
    let held = (Phase::Held, Some(Code::IdentityFailed), Act::Wait);
    assert_eq!(world.shows(), held);
    // The file is lost, and the Node's list has one that came later.
    world.state = State::default();
    let identities = vec![failure(NEW, Code::RolledBack, 600)];
    world.node().agent.failed = Field::Value(Failures { identities });
    assert_eq!(world.shows(), held);
    world.node().requests.retry = Field::Value(request(600, None));
    assert_eq!(world.shows(), (Phase::Waiting, None, Act::Wait));
}

/// It waits until rpm-ostree has said what runs.
#[test]
fn what_runs_has_to_be_known() {
    let mut world = troubled();
    world.node().requests.retry = Field::Value(request(500, None));
    let host = std::mem::replace(&mut world.seen.host, Err("no answer".into()));
    world.run();
    assert_eq!(world.state.retried, None);
    world.seen.host = host;
    world.run();
    assert_eq!(world.state.retried, Some(at(500)));
}
