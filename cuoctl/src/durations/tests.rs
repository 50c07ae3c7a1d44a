use std::collections::BTreeMap;

use cuo_core::time::Time;
use jiff::SignedDuration;

use super::{Said, Took, assumed, learn};
use crate::cluster::Cluster;
use crate::events::Line;
use crate::testing::{cluster, idle, pool};

/// An Event about `about`, so many seconds after nine o'clock.
fn event(seconds: i64, about: &str, reason: &str) -> Line {
    let begin: Time = "2026-10-01T21:00:00Z".parse().unwrap();
    Line {
        at: Some(begin.later(SignedDuration::from_secs(seconds))),
        by: String::new(),
        about: about.to_owned(),
        reason: reason.to_owned(),
        message: String::new(),
    }
}

fn took(drain: i64, reboot: i64) -> Took {
    Took {
        drain: SignedDuration::from_secs(drain),
        reboot: SignedDuration::from_secs(reboot),
    }
}

#[test]
fn whole_courses_are_learned_from_and_the_last_one_counts() {
    let (one, two) = ("node/n1", "node/n2");
    let whole = |begin: i64, node: &str, drain: i64, reboot: i64| {
        vec![
            event(begin, node, "Granted"),
            event(begin + drain, node, "Drained"),
            event(begin + drain + reboot, node, "UpToDate"),
        ]
    };
    let n1 = |took| BTreeMap::from([("n1".to_owned(), took)]);
    let cases = [
        ("a whole one", whole(0, one, 60, 200), n1(took(60, 200))),
        (
            "the last of two",
            [whole(0, one, 60, 200), whole(1000, one, 30, 90)].concat(),
            n1(took(30, 90)),
        ),
        (
            "one that failed in between",
            [whole(0, one, 60, 200), vec![event(1000, one, "Granted")]].concat(),
            n1(took(60, 200)),
        ),
        (
            "the grant before was given up",
            [vec![event(0, one, "Granted")], whole(500, one, 60, 200)].concat(),
            n1(took(60, 200)),
        ),
        (
            "a clock that is ahead",
            whole(0, one, -5, 200),
            n1(took(0, 200)),
        ),
        (
            "no grant, no end, another node's end, a pool",
            vec![
                event(0, one, "Drained"),
                event(1, one, "UpToDate"),
                event(2, two, "Granted"),
                event(3, two, "Drained"),
                event(4, one, "UpToDate"),
                event(5, "updatepool/n2", "UpToDate"),
            ],
            BTreeMap::new(),
        ),
    ];
    for (name, events, expected) in cases {
        assert_eq!(learn(&events), expected, "{name}");
    }
}

#[test]
fn what_is_said_comes_first_then_what_was_seen() {
    let evicts = pool("evicts", "{nodeSelector: {matchLabels: {a: b}}}");
    let stays = pool(
        "stays",
        "{nodeSelector: {matchLabels: {c: d}}, drain: {mode: None}}",
    );
    let nodes = ["n1", "n2", "n3"].map(|name| idle(name, &[("a", "b")]));
    let nodes = [nodes.to_vec(), vec![idle("n4", &[("c", "d")])]].concat();
    let mut known = cluster(nodes, &(evicts + &stays), &[]);
    let said = |cluster: &Cluster, said| {
        let (seen, policy) = (cluster.seen().unwrap(), cluster.policy().unwrap());
        let (found, text) = assumed(&cluster.took, &seen, &policy.builtin, said);
        let seconds = [found.drain, found.reboot, found.stage].map(|one| one.as_secs());
        (seconds, found.with_delay, text)
    };
    let minute = Some(SignedDuration::from_mins(1));
    let none = "a drain takes 2m, a reboot 5m, staging a release 5m";
    assert_eq!(
        said(&known, Said::default()),
        ([120, 300, 300], false, none.to_owned())
    );

    let each = |name: &str, drain, reboot| (name.to_owned(), took(drain, reboot));
    known.took = BTreeMap::from([each("n4", 1, 400)]);
    let text = "a drain takes 2m, a reboot 6m 40s (as the last one), staging a release 1m";
    let stage = Said {
        stage: minute,
        ..Said::default()
    };
    assert_eq!(
        said(&known, stage),
        ([120, 400, 60], false, text.to_owned())
    );

    known.took.extend([
        each("n1", 90, 200),
        each("n2", 30, 100),
        each("n3", 40, 300),
        each("gone", 1, 300),
    ]);
    let text = "a drain takes 40s (median of the last 3 nodes), a reboot 5m (median of the last 5 nodes), staging a release 5m";
    assert_eq!(
        said(&known, Said::default()),
        ([40, 300, 300], true, text.to_owned())
    );
    let text = "a drain takes 1m, a reboot 1m, staging a release 5m";
    let both = Said {
        drain: minute,
        reboot: minute,
        stage: None,
    };
    assert_eq!(said(&known, both), ([60, 60, 300], false, text.to_owned()));
}
