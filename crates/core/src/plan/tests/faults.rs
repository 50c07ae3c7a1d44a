//! What others write must neither stop the operator nor let it go on blindly; and how long a decision takes.

use std::time::{Duration, Instant};

use super::*;
use crate::selector::Selector;

/// A node on which the version failed says so in words of another version: elsewhere it is not tried either.
#[test]
fn what_may_have_failed_where_it_can_not_be_read_is_tried_nowhere() {
    let entry =
        format!(r#"{{"identity":"{NEW}","code":"RolledBack","at":"2026-11-23T20:00:00Z"}}"#);
    let cases = [
        (
            format!(r#"{{"v":2,"identities":[{entry}]}}"#),
            Code::ProtocolUnknown,
        ),
        (
            format!(r#"{{"v":1,"identities":[{entry}"#),
            Code::MalformedAnnotation,
        ),
        (NEW.to_string(), Code::MalformedAnnotation),
    ];
    for (text, own) in cases {
        let mut world = World::new(&["n1", "n2", "n3"]);
        world.policy.builtin.max_unavailable = MaxUnavailable::Count(3);
        let raw = RawNode {
            name: "n2".into(),
            annotations: [(keys::FAILED.to_owned(), text.clone())].into(),
            ..RawNode::default()
        };
        let agent = NodeView::parse(&raw).unwrap().agent;
        let node = world.node("n2");
        fails(node, NEW);
        (node.agent.failed, node.agent.suspected) = (agent.failed, agent.suspected);
        // Only what is named there waits: one Node does not stop everything.
        world.node("n3").agent.needed = Field::Value(OTHER);
        let plan = world.run();
        let expected = [
            ("n1", Code::IdentityFailed),
            ("n2", own),
            ("n3", Code::Granted),
        ];
        assert_eq!(codes(&plan), expected, "{text}");
        let reported = format!(
            "{NEW} may have failed on node n2: cuo.coreos.com/failed there is not understood"
        );
        assert_eq!(plan.verdicts[&name("n1")].message, reported);
    }
}

/// The API server did not let the operator write this Node just now.
fn refuse(world: &mut World, text: &str) {
    let names = BTreeSet::from([name(text)]);
    (world.seen.writes.resting, world.seen.writes.suspect) = (names.clone(), names);
}

/// One Node whose writes are refused, by a webhook for instance, does not keep the others waiting.
#[test]
fn a_node_that_may_not_be_written_lets_others_go_first() {
    let mut world = World::new(&["n1", "n2"]);
    let plan = world.run_until("ledger: n1 Reserved");
    assert_eq!(codes(&plan)[1], ("n2", Code::BudgetExhausted));
    // The reservation is refused.
    refuse(&mut world, "n1");
    world.log.clear();
    let expected = [("n1", Code::WriteRefused), ("n2", Code::Granted)];
    assert_eq!(codes(&world.run()), expected);
    assert!(!world.log.iter().any(|line| line.starts_with("n1")));
    world.accept("n2");
    world.answer("n2", Outcome::Done, None);
    let expected = [("n1", Code::WriteRefused), ("n2", Code::UpToDate)];
    assert_eq!(codes(&world.run()), expected);
    // It is retried automatically.
    world.seen.writes.resting.clear();
    assert_eq!(codes(&world.run())[0], ("n1", Code::Granted));
}

/// A slot that can't be taken off its Node counts, and the other nodes with room go on.
#[test]
fn what_can_not_be_taken_off_a_node_counts_and_holds_up_nothing_else() {
    let mut world = World::new(&["n1", "n2", "n3"]);
    world.policy.builtin.max_unavailable = MaxUnavailable::Count(2);
    world.granted("n1");
    world.accept("n1");
    world.answer("n1", Outcome::Done, None);
    refuse(&mut world, "n1");
    let plan = world.run();
    let expected = [
        ("n1", Code::WriteRefused),
        ("n2", Code::Granted),
        ("n3", Code::BudgetExhausted),
    ];
    assert_eq!(codes(&plan), expected);
    assert_eq!(world.slots(), ["n1 Granted 1", "n2 Granted 2"]);
}

/// Somebody else's write came first: the reservation is tried again, and nobody else is reserved for meanwhile.
#[test]
fn a_conflict_gives_no_slot_up() {
    let mut world = World::new(&["n1", "n2"]);
    world.run_until("ledger: n1 Reserved");
    world.seen.writes.resting = [name("n1")].into();
    let plan = world.plan();
    let expected = [("n1", Code::Reserved), ("n2", Code::BudgetExhausted)];
    assert_eq!((&plan.act, codes(&plan)), (&Act::Wait, expected.into()));
    world.seen.writes.resting.clear();
    assert_eq!(codes(&world.run())[0], ("n1", Code::Granted));
}

/// Nothing is read from the API server for a grant that can't be written now; its slot is kept.
#[test]
fn a_grant_that_may_not_be_written_is_not_prepared_again_and_again() {
    type Keep = fn(&mut World);
    let cases: [(Keep, Code); 3] = [
        (|world| refuse(world, "n1"), Code::WriteRefused),
        (
            |world| world.seen.writes.under_way = [name("n1")].into(),
            Code::Granted,
        ),
        (|world| world.seen.writes.full = true, Code::Granted),
    ];
    for (keep, code) in cases {
        let mut world = World::new(&["n1", "n2"]);
        world.run_until("ledger: n1 Granted");
        keep(&mut world);
        let plan = world.plan();
        let expected = [("n1", code), ("n2", Code::BudgetExhausted)];
        assert_eq!((&plan.act, codes(&plan)), (&Act::Wait, expected.into()));
        world.seen.writes = Writes::default();
        assert_eq!(codes(&world.run())[0], ("n1", Code::Granted));
        assert_eq!(world.slots(), ["n1 Granted 1"]);
    }
}

/// A webhook takes reservations and no grants. What takes the slot back is a write as well: without it a grant could still come.
#[test]
fn a_slot_whose_grant_can_not_be_written_is_given_back_after_the_accept_time_out() {
    let fails = || {
        let mut world = World::new(&["n1", "n2"]);
        world.run_until("ledger: n1 Granted");
        refuse(&mut world, "n1");
        world.log.clear();
        world
    };
    let mut world = fails();
    for later in [0, 200, 301] {
        world.now = NOW + later;
        let expected = [("n1", Code::WriteRefused), ("n2", Code::BudgetExhausted)];
        assert_eq!(codes(&world.run()), expected, "{later}");
        assert_eq!(world.log, [""; 0], "{later}");
    }
    // The pause is over: not the grant is tried again.
    world.seen.writes.resting.clear();
    let expected = [("n1", Code::GrantUnanswered), ("n2", Code::Granted)];
    assert_eq!(codes(&world.run()), expected);
    assert_eq!(world.log[..3], ["n1: reserved", "ledger: ", "n1: "]);
    assert_eq!(world.slots(), ["n2 Granted 3"]);

    // Before that it is, without more time for it.
    let mut world = fails();
    world.now = NOW + 200;
    world.seen.writes.resting.clear();
    world.run_until("n1: grant");
    assert_eq!(world.log, ["n1: grant"]);
    let grant = world.node("n1").operator.grant.value().unwrap().clone();
    assert_eq!(grant.deadline, at(NOW + 300));
}

/// Agents can write any number on their Nodes.
#[test]
fn no_number_of_an_agent_uses_up_all_that_there_are() {
    let answers = |world: &mut World, seq: u64| {
        world.node("n2").agent.result = Field::Value(RebootResult {
            id: GrantId { seq, salt: 7 },
            outcome: Outcome::Done,
            code: None,
            at: at(NOW),
        });
    };
    for (ledger, written, expected) in [
        (0, u64::MAX, 1),
        (30, u64::MAX, 31),
        (30, u64::MAX - 1, 31),
        (30, 31 + (1 << 32), 31),
        (30, 30 + (1 << 32), 31 + (1 << 32)),
        (30, 40, 41),
    ] {
        let mut world = World::new(&["n1", "n2"]);
        world.node("n2").agent.needed = Field::Absent;
        if ledger > 0 {
            world.seen.ledger = Field::Value(Ledger {
                seq: ledger,
                ..Ledger::default()
            });
        }
        answers(&mut world, written);
        assert_eq!(world.granted("n1").id, id(expected), "{ledger} {written}");
    }
}

/// A number that no operator gave is not counted on from, and nothing begins: the next one would not be higher.
#[test]
fn a_number_that_no_operator_gave_stops_everything() {
    let cases: [(&str, Change); 3] = [
        ("the ledger", |world| {
            world.seen.ledger = Field::Value(Ledger {
                seq: u64::MAX,
                ..Ledger::default()
            });
        }),
        ("the ledger", |world| {
            world.run_until("ledger: n1 Reserved");
            let Field::Value(ledger) = &mut world.seen.ledger else {
                panic!("no ledger");
            };
            let entry = ledger.entries.values_mut().next().unwrap();
            entry.id.seq = u64::MAX;
            world.log.clear();
        }),
        ("node n2", |world| {
            world.node("n2").operator.reserved = Field::Value(Reservation {
                id: id(u64::MAX),
                identity: NEW,
                boot: BOOT,
            });
        }),
    ];
    for (place, change) in cases {
        let mut world = World::new(&["n1", "n2"]);
        change(&mut world);
        let plan = world.run();
        let expected = [
            ("n1", Code::MalformedAnnotation),
            ("n2", Code::MalformedAnnotation),
        ];
        assert_eq!(codes(&plan), expected, "{place}");
        let reported = &plan.verdicts[&name("n1")].message;
        assert!(reported.starts_with(place), "{reported}");
        assert!(world.log.is_empty(), "{:?}", world.log);
    }
}

/// The best of a few times, since other programs run beside this one. With loops within loops it would be seconds.
#[test]
fn five_thousand_nodes_in_ten_pools_are_planned_in_no_time() {
    let names: Vec<_> = (0..5000)
        .map(|number| format!("node-{number:04}"))
        .collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut world = World::new(&names);
    for (index, node) in world.seen.nodes.values_mut().enumerate() {
        let labels = [
            ("rack", index % 10),
            ("zone", index % 3),
            ("row", index % 50),
        ];
        let labels = labels.map(|(key, value)| (key.to_owned(), value.to_string()));
        node.labels.extend(labels);
        node.control_plane = index < 5;
    }
    let pools = (0..10).map(|number| {
        let labels = [("rack".to_owned(), number.to_string())];
        let selector = Selector {
            match_labels: labels.into(),
            match_expressions: vec![],
        };
        let canary = crate::pool::Canary {
            who: crate::pool::CanaryWho::Count(3),
            soak: SignedDuration::from_hours(1),
        };
        FoundPool::Valid(Box::new(Pool {
            name: Some(format!("pool-{number}").parse().unwrap()),
            selector,
            max_unavailable: MaxUnavailable::Percent(10),
            canary: (number % 2 == 0).then_some(canary),
            calendar: windows("20:00 4h"),
            ..Pool::default()
        }))
    });
    world.seen.pools = pools.collect();
    let time = |world: &World| {
        let times = (0..20).map(|_| {
            let start = Instant::now();
            std::hint::black_box(world.plan());
            start.elapsed()
        });
        times.min().unwrap()
    };
    let first = time(&world);
    for _ in 0..60 {
        let plan = world.plan();
        world.carry_out(&plan.act);
    }
    let busy = time(&world);
    println!(
        "{first:?} at first, {busy:?} with {} slots",
        world.slots().len()
    );
    assert!(
        first.max(busy) < Duration::from_millis(250),
        "{first:?} {busy:?}"
    );
}
