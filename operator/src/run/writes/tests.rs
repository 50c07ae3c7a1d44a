use cuo_core::ids::{BootId, GrantId, ReleaseId};
use cuo_core::keys;
use cuo_core::values::Reservation;

use super::*;
use crate::narration::Write;

fn name(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn uid(node: &str) -> String {
    format!("uid-{node}")
}

fn raw(node: &str) -> RawNode {
    RawNode {
        name: node.into(),
        uid: uid(node),
        ..RawNode::default()
    }
}

/// A reservation with the label of the before-reboot checks.
fn reservation() -> Allotted {
    let boot = BootId::from_bytes([1; 16]);
    let id = GrantId {
        seq: 7,
        salt: boot.salt(),
    };
    let identity = ReleaseId::Commit([2; 32]);
    let reserved = Some(Reservation { id, identity, boot });
    Allotted {
        reserved,
        before: true,
        only_node: Some(true),
        ..Allotted::default()
    }
}

fn order(node: &str) -> Order {
    let known = NodeView::parse(&raw(node)).unwrap();
    Order {
        said: Said {
            write: Write::NodeClean,
            name: known.name.clone(),
            count: None,
            event: None,
        },
        known,
        allotted: Allotted::default(),
        patch: NodePatch::default(),
    }
}

/// What a write to `node` comes to.
fn written(node: &str, result: Result<(), ApiError>) -> Written {
    let order = order(node);
    let result = result.map(|()| RawNode::default());
    Written { order, result }
}

/// A write that is never answered.
fn hang(writes: &mut NodeWrites, node: &str) {
    writes.start(name(node), uid(node), std::future::pending());
}

async fn answered(writes: &mut NodeWrites, node: &str, result: Result<(), ApiError>) {
    let end = written(node, result);
    writes.start(name(node), uid(node), async move { end });
    writes.next().await;
}

fn at(writes: &mut NodeWrites, after: Duration) -> Writes {
    writes.at(Instant::now() + after, |_, _| true)
}

fn names(nodes: &[&str]) -> BTreeSet<NodeName> {
    nodes.iter().copied().map(name).collect()
}

fn message() -> String {
    "no".into()
}

fn forbidden() -> ApiError {
    ApiError::Forbidden { message: message() }
}

#[tokio::test]
async fn a_failure_is_its_nodes_alone_and_each_kind_has_its_pause() {
    // The error, and between what the first and the ninth pause are.
    let failed = |code| ApiError::Server {
        code,
        message: message(),
    };
    let later = |seconds| ApiError::TooManyRequests {
        retry_after: Some(Duration::from_secs(seconds)),
        message: message(),
    };
    let conflict = || ApiError::Conflict { message: message() };
    type Row = (&'static str, Box<dyn Fn() -> ApiError>, [u64; 2], [u64; 2]);
    let rows: [Row; 7] = [
        ("a conflict", Box::new(conflict), [25, 50], [2500, 5000]),
        (
            "a failure",
            Box::new(move || failed(500)),
            [250, 500],
            [64_000, 128_000],
        ),
        (
            "a refusal",
            Box::new(forbidden),
            [15_000, 30_000],
            [150_000, 300_000],
        ),
        (
            "not kept",
            Box::new(|| kept(&reservation(), raw("n1")).unwrap_err()),
            [15_000, 30_000],
            [150_000, 300_000],
        ),
        (
            "as asked",
            Box::new(move || later(70)),
            [70_000, 105_000],
            [128_000, 192_000],
        ),
        (
            "asked for too little",
            Box::new(move || later(1)),
            [1000, 1500],
            [128_000, 192_000],
        ),
        (
            "asked for too much",
            Box::new(move || later(86_400)),
            [300_000, 450_000],
            [300_000, 450_000],
        ),
    ];
    for (what, error, first, ninth) in rows {
        let mut writes = NodeWrites::default();
        for turn in 1..=9 {
            answered(&mut writes, "n1", Err(error())).await;
            let [least, most] = match turn {
                1 => first,
                9 => ninth,
                _ => continue,
            };
            let early = at(&mut writes, Duration::from_millis(least * 9 / 10));
            // Others' writes say nothing about the Node.
            let suspect = match what {
                "a conflict" => names(&[]),
                _ => names(&["n1"]),
            };
            let expected = Writes {
                resting: names(&["n1"]),
                suspect: suspect.clone(),
                ..Writes::default()
            };
            assert_eq!(early, expected, "{what}, {turn}");
            // Its turn comes, after the others'.
            let late = at(&mut writes, Duration::from_millis(most));
            let expected = Writes {
                suspect: suspect.clone(),
                ..Writes::default()
            };
            assert_eq!(late, expected, "{what}, {turn}");
        }
        answered(&mut writes, "n2", Ok(())).await;
        answered(&mut writes, "n1", Ok(())).await;
        assert_eq!(at(&mut writes, Duration::ZERO), Writes::default(), "{what}");
    }
}

#[tokio::test]
async fn a_write_that_takes_its_time_is_left_out_of_account() {
    let mut writes = NodeWrites::default();
    hang(&mut writes, "slow");
    answered(&mut writes, "quick", Ok(())).await;
    let under_way = names(&["slow"]);
    let quick = Writes {
        under_way: under_way.clone(),
        ..Writes::default()
    };
    assert_eq!(at(&mut writes, SLOW / 2), quick);
    let now = Instant::now();
    let wake = writes.wake(now).unwrap();
    assert!(wake > now && wake <= now + SLOW, "{:?}", wake - now);
    let slow = Writes {
        resting: under_way.clone(),
        suspect: under_way.clone(),
        under_way: under_way.clone(),
        full: false,
    };
    assert_eq!(at(&mut writes, SLOW), slow);
    // The next is given twice as long.
    assert_eq!(writes.patience(&name("slow")), SLOW * 2);
    assert_eq!(writes.patience(&name("quick")), SLOW);
    assert_eq!(writes.wake(Instant::now() + SLOW), None);
}

/// Where one is not answered, others may not be either: the slots that they have are not left to them for as long.
#[tokio::test]
async fn the_more_writes_hang_the_less_is_waited_for_the_next() {
    let mut writes = NodeWrites::default();
    for number in 0..HANGING {
        assert_eq!(writes.patience(&name("other")), SLOW, "{number}");
        hang(&mut writes, &format!("n{number}"));
        at(&mut writes, SLOW);
    }
    assert_eq!(writes.patience(&name("other")), SLOW / 4);
    // What took its time before is given more all the same.
    assert_eq!(writes.patience(&name("n0")), SLOW / 2);
    writes.stop();
    assert_eq!(writes.patience(&name("other")), SLOW);
}

#[tokio::test]
async fn only_so_many_are_sent_and_only_so_many_slow_ones_waited_for() {
    let mut writes = NodeWrites::default();
    for number in 0..AT_ONCE {
        assert!(!at(&mut writes, Duration::ZERO).full, "{number}");
        hang(&mut writes, &format!("n{number}"));
    }
    assert!(at(&mut writes, Duration::ZERO).full);
    let late = at(&mut writes, SLOW);
    assert!(!late.full && late.under_way.len() == AT_ONCE, "{late:?}");
    // The oldest were cut off: they rest like those that fail.
    let cut = AT_ONCE - WAITED_FOR;
    let end = written("end", Ok(()));
    writes.start(name("end"), uid("end"), async move {
        tokio::time::sleep(Duration::from_millis(100)).await;
        end
    });
    writes.next().await;
    assert_eq!(writes.under_way.len(), WAITED_FOR);
    let failed = writes
        .trouble
        .values()
        .filter(|trouble| trouble.failures > 0);
    assert_eq!(failed.count(), cut);
}

#[tokio::test]
async fn nodes_that_are_gone_or_were_made_anew_have_no_trouble() {
    let mut writes = NodeWrites::default();
    answered(&mut writes, "n1", Err(forbidden())).await;
    answered(&mut writes, "n2", Err(forbidden())).await;
    let gone = name("n1");
    let left = writes.at(Instant::now(), |known, _| *known != gone);
    assert_eq!(left.resting, names(&["n2"]));
    let left = writes.at(Instant::now(), |_, known| known != uid("n2"));
    assert_eq!(left, Writes::default());
}

/// Another process leads for a while: the Nodes are what they were.
#[tokio::test]
async fn what_was_in_the_way_is_not_forgotten_when_nothing_is_to_be_written() {
    let mut writes = NodeWrites::default();
    answered(&mut writes, "n1", Err(forbidden())).await;
    hang(&mut writes, "slow");
    hang(&mut writes, "quick");
    writes.under_way.get_mut(&name("quick")).unwrap().since += SLOW;
    at(&mut writes, SLOW);
    writes.stop();
    let expected = Writes {
        resting: names(&["n1"]),
        suspect: names(&["n1", "slow"]),
        ..Writes::default()
    };
    assert_eq!(at(&mut writes, Duration::from_secs(2)), expected);
    assert_eq!(writes.patience(&name("slow")), SLOW * 2);
}

/// A webhook takes all of it off again, or some of it.
#[test]
fn what_is_taken_but_not_kept_is_refused() {
    let allotted = reservation();
    let whole = {
        let patch = allotted
            .patch(&NodeView::parse(&raw("n1")).unwrap())
            .unwrap();
        let set = |changes: BTreeMap<String, Option<String>>| {
            let changes = changes.into_iter();
            changes
                .filter_map(|(key, value)| Some((key, value?)))
                .collect()
        };
        RawNode {
            annotations: set(patch.annotations),
            labels: set(patch.labels),
            ..raw("n1")
        }
    };
    assert_eq!(kept(&allotted, whole.clone()), Ok(whole.clone()));
    let message = "it took what was written to the Node, but does not keep it; see the mutating admission webhooks and policies for Nodes";
    let refused = Err(ApiError::Other {
        message: message.into(),
    });
    let keys = [keys::REBOOT_RESERVED, keys::ONLY_NODE, keys::BEFORE_REBOOT];
    for key in keys {
        let mut lacks = whole.clone();
        lacks.annotations.remove(key);
        lacks.labels.remove(key);
        assert_ne!(lacks, whole, "{key}");
        assert_eq!(kept(&allotted, lacks), refused, "{key}");
    }
    assert_eq!(kept(&allotted, raw("n1")), refused);
}
