use super::*;
use crate::field::Field;
use crate::ids::{BootId, GrantId, ReleaseId};
use crate::raw::RawNode;
use crate::time::Time;
use crate::values::{Grant, Progress, RebootResult, Status};

const ID: GrantId = GrantId { seq: 4, salt: 9 };

fn at(second: i64) -> Time {
    Time::from_second(second)
}

fn node(phase: Phase, since: i64) -> NodeView {
    let raw = RawNode {
        name: "n1".into(),
        ..RawNode::default()
    };
    let mut node = NodeView::parse(&raw).unwrap();
    let since = at(since);
    node.agent.status = Field::Value(Status { phase, since });
    node
}

fn granted(mut node: NodeView, issued: i64) -> NodeView {
    node.operator.grant = Field::Value(Grant {
        id: ID,
        identity: ReleaseId::Commit([7; 32]),
        boot: BootId::from_bytes([3; 16]),
        issued: at(issued),
        deadline: at(issued + 300),
        drain: Default::default(),
        pods: Default::default(),
        cordoned: Default::default(),
    });
    node
}

fn accepted(mut node: NodeView, accepted: i64) -> NodeView {
    node.agent.progress = Field::Value(Progress {
        id: ID,
        identity: ReleaseId::Commit([7; 32]),
        boot: BootId::from_bytes([3; 16]),
        accepted: at(accepted),
    });
    node
}

fn answered(mut node: NodeView, outcome: Outcome, when: i64) -> NodeView {
    node.agent.result = Field::Value(RebootResult {
        id: ID,
        outcome,
        code: None,
        at: at(when),
    });
    node
}

#[test]
fn a_part_is_over_when_the_next_one_or_the_result_is_there() {
    use Outcome::{Aborted, Done, Failed};
    use Phase::{Draining, Held, Idle, Rebooting, Verifying, Waiting};
    let drains = || accepted(node(Draining, 110), 109);
    let reboots = || accepted(node(Rebooting, 150), 109);
    let verifies = || accepted(node(Verifying, 200), 109);
    for (before, after, expected) in [
        (node(Idle, 1), node(Waiting, 10), vec![]),
        (
            node(Waiting, 10),
            granted(node(Waiting, 10), 100),
            vec![(Part::Wait, Done, 90)],
        ),
        // Clocks differ.
        (
            node(Waiting, 10),
            granted(node(Waiting, 10), 7),
            vec![(Part::Wait, Done, 0)],
        ),
        // It is the same grant.
        (
            granted(node(Waiting, 10), 100),
            granted(node(Waiting, 10), 100),
            vec![],
        ),
        (drains(), drains(), vec![]),
        (drains(), reboots(), vec![(Part::Drain, Done, 40)]),
        // What came between was not seen.
        (drains(), verifies(), vec![]),
        (reboots(), verifies(), vec![(Part::Reboot, Done, 50)]),
        (
            verifies(),
            answered(node(Idle, 230), Done, 229),
            vec![(Part::Verify, Done, 30), (Part::Total, Done, 120)],
        ),
        (
            drains(),
            answered(node(Held, 710), Aborted, 709),
            vec![(Part::Drain, Aborted, 600), (Part::Total, Aborted, 600)],
        ),
        (
            verifies(),
            answered(node(Phase::Failed, 210), Failed, 210),
            vec![(Part::Verify, Failed, 10), (Part::Total, Failed, 101)],
        ),
        // The result is an older one's.
        (
            answered(verifies(), Done, 50),
            answered(node(Idle, 230), Done, 50),
            vec![],
        ),
    ] {
        let found: Vec<_> = laps(&before, &after)
            .into_iter()
            .map(|lap| (lap.part, lap.outcome, lap.took.as_secs()))
            .collect();
        assert_eq!(found, expected, "{before:?} -> {after:?}");
    }
}
