use std::collections::BTreeMap;

use cuo_core::ids::{GrantId, ReleaseId};
use cuo_core::ledger::Stage;
use cuo_core::plan::{SlotReport, TargetReport};
use cuo_core::pool::{Canary, CanaryWho, Pool};
use cuo_core::selector::Selector;
use jiff::SignedDuration;

use super::*;

fn at(second: i64) -> Time {
    Time::from_second(second)
}

fn pool(found: FoundPool) -> PoolObject {
    PoolObject {
        name: "p".parse().unwrap(),
        uid: "u".into(),
        resource_version: "7".into(),
        generation: 4,
        found,
        status: PoolStatus::default(),
    }
}

fn valid() -> PoolObject {
    pool(FoundPool::Valid(Box::default()))
}

fn conditions(status: &PoolStatus) -> Vec<(&str, &str, &str)> {
    let all = status.conditions.iter();
    all.map(|found| {
        (
            found.kind.as_str(),
            found.status.as_str(),
            found.reason.as_str(),
        )
    })
    .collect()
}

#[test]
fn numbers_slots_and_targets_are_copied() {
    let identity = ReleaseId::Commit([7; 32]);
    let id = GrantId { seq: 4, salt: 9 };
    let slot = SlotReport {
        node: "n1".parse().unwrap(),
        id,
        identity,
        stage: Stage::Granted,
        since: at(50),
        why: None,
    };
    let target = TargetReport {
        version: Some("44.1".into()),
        nodes: 5,
    };
    let report = PoolReport {
        members: 9,
        needing: 3,
        rebooting: 1,
        unavailable: 1,
        failed: 0,
        up_to_date: 6,
        budget: 2,
        used: 2,
        slots: vec![slot],
        targets: BTreeMap::from([(identity, target)]),
        control_plane: vec!["n7".parse().unwrap()],
        next_opening: Some(at(900)),
        ..PoolReport::default()
    };
    let found = status(&valid(), &report, &PoolStatus::default(), at(100));
    let condition = |kind: &str, status: &str, reason: &str, message: &str| Condition {
        kind: kind.into(),
        status: status.into(),
        reason: reason.into(),
        message: message.into(),
        last_transition_time: at(100),
        observed_generation: 4,
    };
    let expected = PoolStatus {
        observed_generation: 4,
        max_unavailable: 2,
        nodes: NodeCounts {
            total: 9,
            up_to_date: 6,
            need_reboot: 3,
            rebooting: 1,
            unavailable: 2,
            failed: 0,
        },
        slots: vec![Slot {
            node: "n1".parse().unwrap(),
            grant: id,
            identity,
            since: at(50),
        }],
        targets: vec![Target {
            identity,
            version: Some("44.1".into()),
            nodes: 5,
        }],
        control_plane: vec!["n7".parse().unwrap()],
        release: None,
        history: vec![],
        next_window: Some(at(900)),
        conditions: vec![
            condition("Accepted", "True", "Valid", "The pool is valid."),
            condition("Progressing", "True", "Rebooting", "n1"),
            condition("Held", "False", "Rebooting", "A node has its turn."),
            condition(
                "Degraded",
                "False",
                "NoFailures",
                "No update failed on a node of this pool.",
            ),
            condition(
                "SelectorTrusted",
                "True",
                "NodesCannotChoose",
                "Nodes can't write the labels by which they are selected.",
            ),
            condition(
                "Drainable",
                "True",
                "OtherNodes",
                "No node of this pool is the only one that takes pods, or they are not drained.",
            ),
            condition(
                "Ready",
                "True",
                "Valid",
                "The pool is in force, and none of its nodes needs a person.",
            ),
            condition("Reconciling", "True", "Rebooting", "n1"),
            condition(
                "Stalled",
                "False",
                "Valid",
                "The pool is in force, and none of its nodes needs a person.",
            ),
        ],
    };
    assert_eq!(found, expected);
    let checks = Reason::new(Code::AfterChecks, "not yet true: a/b");
    let stuck = PoolReport {
        slots: vec![SlotReport {
            why: Some(checks),
            ..report.slots[0].clone()
        }],
        ..report.clone()
    };
    let reported = status(&valid(), &stuck, &PoolStatus::default(), at(100)).conditions;
    let text = "not yet true: a/b";
    let named = "n1 (AfterChecks: not yet true: a/b)";
    let expected = [
        condition("Progressing", "True", "AfterChecks", named),
        condition("Held", "False", "AfterChecks", text),
    ];
    assert_eq!(reported[1..3], expected);
    // What the API server gives back is the same again: no write while nothing changes.
    let read: PoolStatus = serde_json::from_value(serde_json::to_value(&found).unwrap()).unwrap();
    assert_eq!(status(&valid(), &report, &read, at(200)), found);
}

#[test]
fn conditions_say_why_nothing_happens() {
    let waits = |code: Code| PoolReport {
        needing: 1,
        why: Some(code.into()),
        ..PoolReport::default()
    };
    let invalid = pool(FoundPool::Invalid {
        name: "p".parse().unwrap(),
        selector: None,
        why: "nodeSelector: no".into(),
    });
    let busy = PoolReport {
        rebooting: 1,
        ..waits(Code::BudgetExhausted)
    };
    let failed = PoolReport {
        failed: 1,
        ..waits(Code::IdentityFailed)
    };
    let soon = PoolReport {
        needing: 1,
        ..PoolReport::default()
    };
    let (yes, no) = ("True", "False");
    let cases = [
        (
            valid(),
            PoolReport::default(),
            [
                (yes, "Valid"),
                (no, "UpToDate"),
                (no, "UpToDate"),
                (no, "NoFailures"),
            ],
        ),
        (
            valid(),
            waits(Code::WindowClosed),
            [
                (yes, "Valid"),
                (no, "WindowClosed"),
                (yes, "WindowClosed"),
                (no, "NoFailures"),
            ],
        ),
        (
            valid(),
            busy,
            [
                (yes, "Valid"),
                (yes, "Rebooting"),
                (no, "Rebooting"),
                (no, "NoFailures"),
            ],
        ),
        (
            valid(),
            failed,
            [
                (yes, "Valid"),
                (no, "IdentityFailed"),
                (yes, "IdentityFailed"),
                (yes, "NodesFailed"),
            ],
        ),
        (
            valid(),
            soon,
            [
                (yes, "Valid"),
                (no, "Reserved"),
                (no, "Reserved"),
                (no, "NoFailures"),
            ],
        ),
        (
            invalid,
            waits(Code::PoolInvalid),
            [
                (no, "PoolInvalid"),
                (no, "PoolInvalid"),
                (yes, "PoolInvalid"),
                (no, "NoFailures"),
            ],
        ),
    ];
    for (pool, report, expected) in cases {
        let found = status(&pool, &report, &PoolStatus::default(), at(1));
        let kinds = ["Accepted", "Progressing", "Held", "Degraded"];
        let expected: Vec<_> = kinds
            .into_iter()
            .zip(expected)
            .map(|(kind, (status, reason))| (kind, status, reason))
            .collect();
        assert_eq!(conditions(&found)[..4], expected, "{report:?}");
    }
}

#[test]
fn any_tool_can_tell_whether_a_pool_is_well() {
    let invalid = pool(FoundPool::Invalid {
        name: "p".parse().unwrap(),
        selector: None,
        why: "nodeSelector: no".into(),
    });
    let busy = |failed| PoolReport {
        needing: 1,
        rebooting: 1,
        failed,
        ..PoolReport::default()
    };
    let (yes, no) = ("True", "False");
    let valid_as = |ready, reason, reconciling, stalled| {
        [
            ("Ready", ready, reason),
            ("Reconciling", reconciling, "Rebooting"),
            ("Stalled", stalled, reason),
        ]
    };
    let cases = [
        (valid(), busy(0), valid_as(yes, "Valid", yes, no)),
        (valid(), busy(1), valid_as(no, "NodesFailed", yes, yes)),
        (invalid, busy(0), valid_as(no, "PoolInvalid", yes, yes)),
    ];
    for (pool, report, expected) in cases {
        let found = status(&pool, &report, &PoolStatus::default(), at(1));
        assert_eq!(conditions(&found)[6..], expected, "{report:?}");
    }
}

#[test]
fn a_condition_is_as_old_as_its_status() {
    let report = |code: Option<Code>| PoolReport {
        needing: 1,
        why: code.map(Reason::from),
        ..PoolReport::default()
    };
    let mut reported = PoolStatus::default();
    for (second, code, since) in [
        (10, Some(Code::WindowClosed), 10),
        (20, Some(Code::BudgetExhausted), 10),
        (30, None, 30),
        (40, None, 30),
        (50, Some(Code::PoolPaused), 50),
    ] {
        reported = status(&valid(), &report(code), &reported, at(second));
        let times: Vec<_> = reported
            .conditions
            .iter()
            .map(|found| found.last_transition_time)
            .collect();
        let expected = [10, 10, since, 10, 10, 10, 10, 10, 10].map(at);
        assert_eq!(times, expected, "at {second}");
    }
}

#[test]
fn labels_that_nodes_write_themselves_are_named() {
    let selector = |keys: &[&str]| Selector {
        match_labels: keys
            .iter()
            .map(|key| ((*key).to_owned(), "x".to_owned()))
            .collect(),
        ..Selector::default()
    };
    let found = |members: &[&str], canaries: &[&str]| {
        let who = CanaryWho::Nodes(selector(canaries));
        let soak = SignedDuration::ZERO;
        pool(FoundPool::Valid(Box::new(Pool {
            selector: selector(members),
            canary: Some(Canary { who, soak }),
            ..Pool::default()
        })))
    };
    let invalid = pool(FoundPool::Invalid {
        name: "p".parse().unwrap(),
        selector: Some(selector(&["pool"])),
        why: "settle: no".into(),
    });
    let safe = "node-restriction.kubernetes.io/pool";
    let beyond = "They can't set labels that begin with node-restriction.kubernetes.io/.";
    let themselves = |labels: &str| {
        let text =
            format!("Nodes can set the labels that select them on themselves: {labels}. {beyond}");
        ("False", "NodesChooseThemselves", text)
    };
    let trusted = "Nodes can't write the labels by which they are selected.";
    let cases = [
        (
            found(&[safe], &[safe]),
            ("True", "NodesCannotChoose", trusted.to_owned()),
        ),
        (
            found(&["zone", safe, "edge"], &[safe]),
            themselves("nodeSelector looks at edge, zone"),
        ),
        (
            found(&["edge"], &["kubernetes.io/hostname"]),
            themselves(
                "nodeSelector looks at edge; canary.nodeSelector looks at kubernetes.io/hostname",
            ),
        ),
        (
            invalid,
            ("Unknown", "PoolInvalid", "The pool is invalid.".to_owned()),
        ),
    ];
    for (pool, (expected, reason, message)) in cases {
        let before = PoolStatus::default();
        let reported = status(&pool, &PoolReport::default(), &before, at(100));
        let expected = Condition {
            kind: "SelectorTrusted".into(),
            status: expected.into(),
            reason: reason.into(),
            message,
            last_transition_time: at(100),
            observed_generation: 4,
        };
        assert_eq!(reported.conditions[4], expected);
        // Told once: nothing is written again while it stays so.
        let again = status(&pool, &PoolReport::default(), &reported, at(200));
        assert_eq!(again, reported);
    }
}
