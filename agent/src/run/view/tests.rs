use cuo_core::node::NodeView;
use cuo_core::time::Tick;

use super::*;

fn raw(version: &str) -> RawNode {
    RawNode {
        name: "n1".into(),
        uid: "u1".into(),
        resource_version: version.into(),
        ..RawNode::default()
    }
}

/// A Node that is known, as version 5.
fn known() -> NodeSide {
    let mut side = NodeSide::default();
    side.hear(News::Named("n1".parse().unwrap()));
    side.hear(News::Node(Box::new(NodeEvent::Present(raw("5")))));
    side
}

fn version(side: &NodeSide) -> Option<&str> {
    side.view().map(|view| view.resource_version.as_str())
}

fn present(side: &NodeSide) -> bool {
    matches!(side.seen(), NodeSeen::Present { live: false, .. })
}

fn message() -> String {
    "m".to_owned()
}

/// Whole milliseconds of the first three pauses and of a late one, and whether the Node counts as known meanwhile.
#[test]
fn each_class_of_failures_has_its_pause() {
    let conflict = || ApiError::Conflict { message: message() };
    let server = ApiError::Server {
        code: 503,
        message: message(),
    };
    let busy = |seconds| ApiError::TooManyRequests {
        retry_after: Some(Duration::from_secs(seconds)),
        message: message(),
    };
    let cases = [
        (conflict(), [50, 100, 200, 30_000], true),
        (
            ApiError::Gone { message: message() },
            [50, 100, 200, 30_000],
            true,
        ),
        (server, [1000, 2000, 4000, 30_000], false),
        (
            ApiError::Unauthorized { message: message() },
            [1000, 2000, 4000, 30_000],
            false,
        ),
        (
            ApiError::Forbidden { message: message() },
            [30_000; 4],
            false,
        ),
        (busy(7), [7000; 4], false),
        // As a webhook may say.
        (busy(86_400), [300_000; 4], false),
    ];
    for (error, expected, still) in cases {
        let mut side = known();
        let expect = |side: &mut NodeSide, whole: u64| {
            let before = Instant::now();
            side.failed(&error);
            let whole = Duration::from_millis(whole);
            // Not earlier than the API server asks for.
            let least = if matches!(error, ApiError::TooManyRequests { .. }) {
                1.0
            } else {
                0.75
            };
            let range = before + whole.mul_f64(least)..=Instant::now() + whole.mul_f64(least + 0.5);
            let at = side.retry_at().unwrap();
            assert!(range.contains(&at), "{error}: {at:?} in {range:?}");
            assert!(side.outdated && side.pauses(), "{error}");
            assert_eq!(present(side), still, "{error}");
        };
        let [first, second, third, last] = expected;
        for whole in [first, second, third] {
            expect(&mut side, whole);
        }
        (side.failures, side.conflicts) = (100, 100);
        expect(&mut side, last);
    }
}

/// As many as are in flight during a drain.
#[test]
fn calls_that_fail_of_one_cause_count_once() {
    let mut side = known();
    let lost = ApiError::Server {
        code: 503,
        message: message(),
    };
    let fails = |side: &mut NodeSide| {
        for _ in 0..16 {
            side.call_failed(&lost);
        }
        side.retry_at().unwrap()
    };
    for (times, longest) in [(1, 1250), (2, 2500)] {
        let latest = Instant::now() + Duration::from_millis(longest);
        assert!(
            fails(&mut side) < latest + Duration::from_secs(1),
            "{times}"
        );
        assert_eq!(side.failures, times);
        side.retry_at = Some(Instant::now());
    }
}

/// What is reported with a write, at the start of the process.
fn reported() -> Reported {
    Reported {
        at: Tick::START,
        reason: None,
        blocked: vec![],
    }
}

/// Somebody who writes without end would make the agent read and write without end.
#[tokio::test]
async fn nothing_is_written_before_the_pause_after_a_conflict_is_over() {
    let mut side = known();
    side.failed(&ApiError::Conflict { message: message() });
    let source = nowhere().await;
    let want = wanted();
    assert!(
        !side.publish(&source, &want, reported()).await,
        "it was written"
    );
    side.refresh(&source).await;
    assert!(side.outdated, "it was read");
    side.retry_at = Some(Instant::now());
    // There is no API server: that the call fails shows that it was made.
    assert!(side.publish(&source, &want, reported()).await);
    assert!(!present(&side));
}

/// Reads succeed and writes do not, as with a webhook that is down: the read between two tries does not restart the pauses.
#[tokio::test]
async fn the_pauses_between_writes_that_fail_grow_though_the_node_can_be_read() {
    let (source, want) = (nowhere().await, wanted());
    let mut side = known();
    for whole in [1, 2, 4].map(Duration::from_secs) {
        let before = Instant::now();
        assert!(side.publish(&source, &want, reported()).await);
        let range = before + whole.mul_f64(0.75)..=Instant::now() + whole.mul_f64(1.25);
        let at = side.retry_at().unwrap();
        assert!(range.contains(&at), "{at:?} in {range:?}");
        side.retry_at = None;
        side.found(&raw("5"));
        assert!(present(&side));
    }
    // The last one was done, though its answer was lost.
    assert!(side.logged.is_some());
    let patch = want.patch(side.view().unwrap()).unwrap();
    let mut written = raw("6");
    let present = |(key, value): (String, Option<String>)| Some((key, value?));
    written.annotations = patch.annotations.into_iter().filter_map(present).collect();
    side.hear(News::Node(Box::new(NodeEvent::Present(written))));
    assert!(side.publish(&source, &want, reported()).await);
    assert_eq!((side.failures, side.unwritten), (0, false));
    assert_eq!(side.logged, None);
    let mut unread = known();
    for _ in 0..3 {
        let server = ApiError::Server {
            code: 503,
            message: message(),
        };
        unread.failed(&server);
        unread.retry_at = None;
        unread.found(&raw("5"));
        assert_eq!(unread.failures, 0, "it is read again");
    }
}

async fn nowhere() -> ClientSource {
    let credentials = cuo_cluster::Credentials::File {
        path: "/nonexistent".into(),
        root: "/".into(),
    };
    ClientSource::start(credentials, crate::status::PROGRAM).await
}

fn wanted() -> Published {
    use cuo_core::values::{Failures, Phase, Status};
    Published {
        status: Status {
            phase: Phase::Idle,
            since: cuo_core::time::Time::EPOCH,
        },
        reason: None,
        features: Default::default(),
        control_plane_pods: Default::default(),
        needed: None,
        needed_version: None,
        following: None,
        dead_end: false,
        reboots: Default::default(),
        booted: None,
        progress: None,
        owned: None,
        result: None,
        failed: Failures::default(),
        system: Default::default(),
        unschedulable: None,
    }
}

#[test]
fn what_is_older_than_what_is_known_is_not_believed() {
    let mut side = known();
    side.hear(News::Node(Box::new(NodeEvent::Present(raw("4")))));
    assert_eq!(version(&side), Some("5"));
    side.hear(News::Node(Box::new(NodeEvent::Present(raw("6")))));
    assert_eq!(version(&side), Some("6"));
    // Another Node of the same name is another one, whatever its version.
    let recreated = RawNode {
        uid: "u2".into(),
        ..raw("2")
    };
    side.hear(News::Node(Box::new(NodeEvent::Present(recreated))));
    assert_eq!(version(&side), Some("2"));
}

#[test]
fn a_node_is_unknown_absent_or_there() {
    let mut side = NodeSide::default();
    assert_eq!(side.seen(), NodeSeen::Unknown("not read yet".into()));
    side.hear(News::Nameless("no name".into()));
    assert_eq!(side.seen(), NodeSeen::Unknown("no name".into()));
    side.hear(News::Node(Box::new(NodeEvent::Absent)));
    assert_eq!(side.seen(), NodeSeen::Absent);
    side.hear(News::Node(Box::new(NodeEvent::Present(raw("5")))));
    let view = Box::new(NodeView::parse(&raw("5")).unwrap());
    assert_eq!(side.seen(), NodeSeen::Present { view, live: false });

    // Touch lost: the next event ends that, if no pause is on.
    let lost = || {
        let message = message();
        News::Node(Box::new(NodeEvent::Disconnected(ApiError::Unreachable {
            message,
        })))
    };
    side.hear(lost());
    assert!(matches!(side.seen(), NodeSeen::Unknown(_)));
    side.hear(News::Node(Box::new(NodeEvent::Present(raw("6")))));
    assert!(present(&side));
    side.failed(&ApiError::Forbidden { message: message() });
    side.hear(News::Node(Box::new(NodeEvent::Present(raw("7")))));
    assert!(matches!(side.seen(), NodeSeen::Unknown(_)));
}

/// `raw` as the kubelet reports it that runs on `machine`, booted as number `boot`.
fn node_reporting(raw: RawNode, boot: u8, machine: u8) -> RawNode {
    RawNode {
        boot_id: BootId::from_bytes([boot; 16]).to_string(),
        machine_id: format!("{machine:032x}"),
        ..raw
    }
}

#[tokio::test]
async fn a_node_whose_kubelet_runs_on_another_host_is_left_alone() {
    let why = "the kubelet of n1 runs on another host, whose machine id is 00000000000000000000000000000009";
    let unknown = || NodeSeen::Unknown(why.to_owned());
    let boots = || [1, 2].map(|boot| BootId::from_bytes([boot; 16])).to_vec();
    let own = Some(format!("{:032x}", 7).parse().unwrap());
    // The host's machine id, the kubelet's boot and machine id, and whether the Node is the host's.
    let cases = [
        (own, 1, 7, true),
        (own, 2, 9, true),
        (own, 3, 7, true),
        (own, 3, 9, false),
        (None, 3, 9, true),
    ];
    for (machine, boot, other, ours) in cases {
        let mut side = NodeSide::new(boots(), machine);
        side.hear(News::Named("n1".parse().unwrap()));
        let found = node_reporting(raw("5"), boot, other);
        side.hear(News::Node(Box::new(NodeEvent::Present(found.clone()))));
        let view = Box::new(NodeView::parse(&found).unwrap());
        let present = NodeSeen::Present { view, live: false };
        let expected = if ours { present } else { unknown() };
        assert_eq!(side.seen(), expected, "{boot} {other}");
    }

    // From one moment to the next; and there is no API server, so a write would show.
    let mut side = NodeSide::new(boots(), own);
    side.hear(News::Named("n1".parse().unwrap()));
    side.hear(News::Node(Box::new(NodeEvent::Present(node_reporting(
        raw("5"),
        1,
        7,
    )))));
    assert!(present(&side));
    side.hear(News::Node(Box::new(NodeEvent::Present(node_reporting(
        raw("6"),
        3,
        9,
    )))));
    assert_eq!((side.seen(), version(&side)), (unknown(), None));
    assert!(side.publish(&nowhere().await, &wanted(), reported()).await);
    assert_eq!((side.seen(), side.retry_at()), (unknown(), None));
    side.hear(News::Node(Box::new(NodeEvent::Present(node_reporting(
        raw("7"),
        1,
        7,
    )))));
    assert!(present(&side));
}
