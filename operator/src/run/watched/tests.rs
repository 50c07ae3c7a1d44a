use cuo_cluster::ApiError;
use cuo_core::keys;
use cuo_core::timing::Part;
use cuo_core::values::Outcome;
use jiff::SignedDuration;

use super::*;

fn raw(name: &str, version: &str) -> RawNode {
    RawNode {
        name: name.into(),
        resource_version: version.into(),
        ..RawNode::default()
    }
}

fn known(nodes: &Nodes) -> Vec<(&str, &str)> {
    let known = nodes.values();
    known
        .map(|node| (node.name.as_str(), node.resource_version.as_str()))
        .collect()
}

#[test]
fn the_watch_is_the_only_truth() {
    let (mut watched, mut nodes) = (Watched::default(), Nodes::new());
    assert!(watched.missing().is_some());
    watched.hear(
        &mut nodes,
        NodesEvent::Reset(vec![raw("a", "1"), raw("b", "2")]),
    );
    watched.hear(&mut nodes, NodesEvent::Changed(raw("b", "3")));
    watched.hear(&mut nodes, NodesEvent::Changed(raw("c", "4")));
    watched.hear(&mut nodes, NodesEvent::Gone("a".into()));
    assert_eq!(known(&nodes), [("b", "3"), ("c", "4")]);
    assert_eq!(watched.missing(), None);

    let error = ApiError::Timeout {
        after: Duration::from_secs(1),
    };
    watched.hear(&mut nodes, NodesEvent::Disconnected(error));
    let why = "the nodes can't be watched: no answer from the API server within 1s".to_owned();
    assert_eq!(watched.missing(), Some(&why));

    watched.hear(&mut nodes, NodesEvent::Reset(vec![raw("d", "5")]));
    assert_eq!((watched.missing(), known(&nodes)), (None, vec![("d", "5")]));
}

/// What ends the wait for a Node, from which version on.
#[test]
fn a_write_or_a_conflict_is_waited_for() {
    type Mark = fn(&mut Watched, &Nodes);
    let written: Mark = |watched, _| watched.written(&raw("a", "7"));
    let conflict: Mark = |watched, nodes| {
        for node in nodes.values() {
            watched.outdated(node);
        }
    };
    let cases = [
        (written, Some(NodesEvent::Changed(raw("a", "6"))), true),
        (written, Some(NodesEvent::Changed(raw("a", "7"))), false),
        (written, Some(NodesEvent::Changed(raw("a", "8"))), false),
        (written, Some(NodesEvent::Changed(raw("b", "9"))), true),
        (written, Some(NodesEvent::Gone("a".into())), false),
        (written, Some(NodesEvent::Reset(vec![raw("a", "2")])), false),
        (written, None, true),
        (conflict, Some(NodesEvent::Changed(raw("a", "5"))), true),
        (conflict, Some(NodesEvent::Changed(raw("a", "6"))), false),
        (conflict, None, true),
        (|watched, _| watched.written(&raw("a", "x")), None, false),
    ];
    for (index, (mark, event, expected)) in cases.into_iter().enumerate() {
        let (mut watched, mut nodes) = (Watched::default(), Nodes::new());
        watched.hear(&mut nodes, NodesEvent::Reset(vec![raw("a", "5")]));
        mark(&mut watched, &nodes);
        if let Some(event) = event {
            watched.hear(&mut nodes, event);
        }
        let now = Instant::now();
        let behind = watched.behind(&nodes, now).count() > 0;
        assert_eq!(behind, expected, "case {index}");
        assert_eq!(watched.patience().is_some(), expected, "case {index}");
        let late = watched.behind(&nodes, now + PATIENCE).count();
        assert_eq!(late, 0, "case {index}: without end");
    }
}

/// What kubelets write most of the time.
#[test]
fn a_node_that_is_only_newer_is_nothing_to_decide_on() {
    let (mut watched, mut nodes) = (Watched::default(), Nodes::new());
    assert!(
        watched
            .hear(&mut nodes, NodesEvent::Reset(vec![raw("a", "1")]))
            .changed
    );
    let changed = |version: &str| NodesEvent::Changed(raw("a", version));
    let cordoned = |version: &str| {
        NodesEvent::Changed(RawNode {
            unschedulable: true,
            ..raw("a", version)
        })
    };
    assert!(!watched.hear(&mut nodes, changed("2")).changed);
    assert!(watched.hear(&mut nodes, cordoned("3")).changed);
    assert!(!watched.hear(&mut nodes, cordoned("4")).changed);
    // Somebody waits for it.
    watched.written(&raw("a", "5"));
    assert!(watched.hear(&mut nodes, cordoned("5")).changed);
    assert_eq!(watched.behind(&nodes, Instant::now()).count(), 0);
    assert!(!watched.hear(&mut nodes, cordoned("6")).changed);
    assert_eq!(known(&nodes), [("a", "6")]);
    assert!(
        watched
            .hear(&mut nodes, NodesEvent::Changed(raw("b", "7")))
            .changed
    );
    assert!(
        watched
            .hear(&mut nodes, NodesEvent::Gone("a".into()))
            .changed
    );
}

/// What was measured of another Node of the same name would be nonsense.
#[test]
fn a_part_of_a_grant_that_is_over_is_reported_once_and_of_one_node() {
    let at = |uid: &str, version: &str, status: &str| RawNode {
        uid: uid.into(),
        annotations: [(keys::STATUS.to_owned(), status.to_owned())].into(),
        ..raw("a", version)
    };
    let drains = at("u", "1", "draining since 2026-11-23T21:00:40Z");
    let reboots = "rebooting since 2026-11-23T21:00:50Z";
    let drained = Lap {
        node: "a".parse().unwrap(),
        part: Part::Drain,
        outcome: Outcome::Done,
        took: SignedDuration::from_secs(10),
    };
    for (uid, laps) in [("u", vec![drained]), ("other", vec![])] {
        let (mut watched, mut nodes) = (Watched::default(), Nodes::new());
        watched.hear(&mut nodes, NodesEvent::Reset(vec![drains.clone()]));
        let heard = watched.hear(&mut nodes, NodesEvent::Changed(at(uid, "2", reboots)));
        let changed = true;
        assert_eq!(heard, Heard { changed, laps });
        let heard = watched.hear(&mut nodes, NodesEvent::Changed(at(uid, "3", reboots)));
        assert_eq!(heard, Heard::without_laps(false));
    }
}
