use serde_json::json;

use super::*;
use crate::testing::{Node, id, node};

const GRANT: &str = "17-07070707";

fn hook(name: &str, at: &str, more: serde_json::Value) -> Hook {
    let template = json!({ "spec": { "containers": [{ "name": "c", "image": "i" }] } });
    let mut hook = json!({ "name": name, "at": at, "template": template });
    for (key, value) in more.as_object().unwrap() {
        hook[key] = value.clone();
    }
    serde_json::from_value(hook).unwrap()
}

/// A node whose before-reboot checks run.
fn reserved() -> Node {
    let reservation = json!({"v": 1, "id": GRANT, "identity": id("2"), "boot": "07070707-0707-0707-0707-070707070707"});
    node("n1", "1")
        .needs("2")
        .with(keys::REBOOT_RESERVED, reservation)
        .label(keys::BEFORE_REBOOT, "true")
}

/// A node whose after-reboot checks run.
fn rebooted() -> Node {
    node("n1", "2")
        .granted("2")
        .label(keys::AFTER_REBOOT, "true")
}

fn now() -> Time {
    "2026-11-23T21:20:00Z".parse().unwrap()
}

fn decided(hooks: &[Hook], node: Node, jobs: &[Job]) -> Vec<Act> {
    let node = node.view();
    let jobs = jobs.iter().map(|job| (job.name.clone(), job.clone()));
    decide(
        hooks,
        &[(node.name.clone(), node)].into(),
        &jobs.collect(),
        now(),
    )
}

fn job(hook: &Hook, state: State) -> Job {
    let purpose = Purpose::new(hook, &"n1".parse().unwrap(), GRANT);
    Job {
        name: purpose.job(),
        uid: "u".into(),
        state,
        deleting: false,
        purpose: Some(purpose),
    }
}

fn make(hook: usize) -> Act {
    Act::Make {
        hook,
        node: "n1".parse().unwrap(),
        grant: GRANT.into(),
    }
}

fn answer(hook: &str, value: &str) -> Act {
    let patch = NodePatch {
        resource_version: "1".into(),
        annotations: [(
            format!("companion.cuo.coreos.com/{hook}"),
            Some(value.to_owned()),
        )]
        .into(),
        ..NodePatch::default()
    };
    Act::Answer("n1".parse().unwrap(), patch)
}

#[test]
fn a_hook_runs_once_at_its_moment_and_answers() {
    let before = hook("b", "beforeDrain", json!({}));
    let after = hook("a", "afterReboot", json!({}));
    let failure = hook("f", "onFailure", json!({}));
    let failed = || node("n1", "1").ended(17, "aborted", "DrainBlocked");
    let annotated = |node: Node, hook: &str, value: &str| {
        node.with(&format!("companion.cuo.coreos.com/{hook}"), value)
    };
    let table = [
        (&before, node("n1", "1"), None, vec![]),
        (&before, reserved(), None, vec![make(0)]),
        (&before, reserved(), Some(State::Running), vec![]),
        (
            &before,
            reserved(),
            Some(State::Complete),
            vec![answer("b", "true")],
        ),
        (
            &before,
            annotated(reserved(), "b", "true"),
            Some(State::Complete),
            vec![],
        ),
        (&before, rebooted(), None, vec![]),
        // It holds the update until the Job is gone.
        (&before, reserved(), Some(State::Failed), vec![]),
        (&after, reserved(), None, vec![]),
        (&after, rebooted(), None, vec![make(0)]),
        (
            &after,
            rebooted(),
            Some(State::Complete),
            vec![answer("a", "true")],
        ),
        (&failure, failed(), None, vec![make(0)]),
        (
            &failure,
            failed(),
            Some(State::Complete),
            vec![answer("f", GRANT)],
        ),
        (
            &failure,
            failed(),
            Some(State::Failed),
            vec![answer("f", GRANT)],
        ),
        (&failure, annotated(failed(), "f", GRANT), None, vec![]),
        // Of an earlier grant.
        (
            &failure,
            annotated(failed(), "f", "16-07070707"),
            None,
            vec![make(0)],
        ),
        (
            &failure,
            node("n1", "1").ended(17, "refused", "GrantExpired"),
            None,
            vec![],
        ),
    ];
    for (hook, node, state, expected) in table {
        let jobs: Vec<_> = state.map(|state| job(hook, state)).into_iter().collect();
        let found = decided(std::slice::from_ref(hook), node, &jobs);
        assert_eq!(found, expected, "{} {state:?}", hook.name);
    }
}

#[test]
fn a_failure_is_what_the_hook_says_of_it() {
    let goes_on = hook("b", "beforeDrain", json!({ "onFailure": "Continue" }));
    let failed = [job(&goes_on, State::Failed)];
    assert_eq!(
        decided(&[goes_on], reserved(), &failed),
        [answer("b", "true")]
    );
}

#[test]
fn a_failure_of_long_ago_runs_no_hook() {
    let hook = hook("f", "onFailure", json!({}));
    let failed = node("n1", "1").ended(17, "failed", "RolledBack").view();
    let nodes = [(failed.name.clone(), failed)].into();
    let later = now().later(SignedDuration::from_mins(51));
    assert_eq!(decide(&[hook], &nodes, &BTreeMap::new(), later), []);
}

#[test]
fn nodes_are_selected_by_their_labels() {
    let selector = |text: &str| hook("b", "beforeDrain", json!({ "nodeSelector": text }));
    let worker = || reserved().label("role", "worker");
    let table = [
        ("role=worker", vec![make(0)]),
        ("role=other", vec![]),
        // The operator's own labels say nothing.
        ("cuo.coreos.com/before-reboot", vec![]),
    ];
    for (text, expected) in table {
        assert_eq!(
            decided(&[selector(text)], worker(), &[]),
            expected,
            "{text}"
        );
    }
}

#[test]
fn a_job_that_nobody_waits_for_is_deleted_unless_it_is_somebody_elses() {
    let hook = hook("b", "beforeDrain", json!({}));
    let running = || job(&hook, State::Running);
    // Nobody ever waits for one that runs after a failure: it may take longer than the failure is fresh.
    let failure = self::hook("b", "onFailure", json!({}));
    let table = [
        (running(), vec![Act::Delete(running().name, "u".into())]),
        (job(&failure, State::Running), vec![]),
        (job(&hook, State::Complete), vec![]),
        (job(&hook, State::Failed), vec![]),
        (
            Job {
                deleting: true,
                ..running()
            },
            vec![],
        ),
        (
            Job {
                purpose: None,
                ..running()
            },
            vec![],
        ),
    ];
    for (job, expected) in table {
        // The reservation was taken back.
        assert_eq!(
            decided(std::slice::from_ref(&hook), node("n1", "1"), &[job]),
            expected
        );
    }
}

#[test]
fn a_job_that_is_in_the_way_is_no_answer_and_is_told_of() {
    let before = hook("b", "beforeDrain", json!({}));
    let complete = job(&before, State::Complete);
    let purpose = complete.purpose.clone().unwrap();
    let foreign = vec![Act::Foreign(0, complete.name.clone())];
    let table = [
        (Some(purpose.clone()), vec![answer("b", "true")]),
        (None, foreign.clone()),
        (
            Some(Purpose {
                node: "n2".into(),
                ..purpose.clone()
            }),
            foreign.clone(),
        ),
        (
            Some(Purpose {
                grant: "16-07070707".into(),
                ..purpose
            }),
            foreign,
        ),
    ];
    for (purpose, expected) in table {
        let job = Job {
            purpose,
            ..complete.clone()
        };
        assert_eq!(
            decided(std::slice::from_ref(&before), reserved(), &[job]),
            expected
        );
    }
}

#[test]
fn the_job_of_another_moment_is_no_answer() {
    let before = hook("h", "beforeDrain", json!({}));
    let after = hook("h", "afterReboot", json!({}));
    let complete = job(&before, State::Complete);
    assert_eq!(decided(&[after], rebooted(), &[complete]), [make(0)]);
}

#[test]
fn one_node_is_written_once_at_a_time() {
    let hooks = ["a", "b"].map(|name| hook(name, "beforeDrain", json!({})));
    let jobs: Vec<_> = hooks
        .iter()
        .map(|hook| job(hook, State::Complete))
        .collect();
    assert_eq!(decided(&hooks, reserved(), &jobs), [answer("a", "true")]);
}
