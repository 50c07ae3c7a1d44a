use super::*;
use crate::steps::Write;

fn name(name: &str) -> NodeName {
    name.parse().unwrap()
}

fn uid(node: &str) -> String {
    format!("uid-{node}")
}

fn order(node: &str) -> Order {
    let raw = RawNode {
        name: node.into(),
        uid: uid(node),
        ..RawNode::default()
    };
    let known = NodeView::parse(&raw).unwrap();
    Order {
        prepared: Prepared::untold(Write::NodeClean, known.name.clone()),
        known,
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
    let rows: [Row; 5] = [
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
            "as asked",
            Box::new(move || later(7)),
            [7000, 10_500],
            [7000, 10_500],
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
    answered(&mut writes, "n1", Err(forbidden())).await;
    writes.stop();
    assert_eq!(at(&mut writes, Duration::ZERO), Writes::default());
}
