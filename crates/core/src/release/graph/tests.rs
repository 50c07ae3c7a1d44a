use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

const REPOSITORY: &str = "quay.io/fedora/fedora-coreos";

fn commit(number: u8) -> ReleaseId {
    ReleaseId::Commit([number; 32])
}

/// Releases 0, 1, 2… of commits, with these edges.
fn graph(releases: u8, edges: &[(usize, usize)]) -> Graph {
    let release = |number: u8| GraphRelease {
        version: format!("43.{number}"),
        identity: Some(commit(number)),
        repository: None,
        age: Some(number.into()),
        dead_end: None,
    };
    Graph {
        releases: (0..releases).map(release).collect(),
        edges: edges.to_vec(),
    }
}

#[test]
fn an_answer_of_the_server_is_read() {
    let digest = format!("sha256:{}", "07".repeat(32));
    let answer = json!({
        "nodes": [
            {"version": "42.1", "payload": "01".repeat(32), "metadata": {
                "org.fedoraproject.coreos.scheme": "checksum",
                "org.fedoraproject.coreos.releases.age_index": "3",
                "org.fedoraproject.coreos.updates.barrier": "true",
            }},
            {"version": "43.1", "payload": format!("{REPOSITORY}@{digest}"), "metadata": {
                "org.fedoraproject.coreos.releases.age_index": "4",
                "org.fedoraproject.coreos.updates.deadend": "true",
                "org.fedoraproject.coreos.updates.deadend_reason": "https://example.com/1\nread",
            }},
            {"version": "43.2", "payload": "zebra", "metadata": {}},
        ],
        "edges": [[0, 1], [1, 2]],
    });
    let found = Graph::parse(&answer.to_string()).unwrap();
    let release =
        |version: &str, identity, repository: Option<&str>, age, dead: Option<&str>| GraphRelease {
            version: version.into(),
            identity,
            repository: repository.map(Into::into),
            age,
            dead_end: dead.map(Into::into),
        };
    let image = Some(ReleaseId::Image([7; 32]));
    let dead = Some("https://example.com/1 read");
    let expected = Graph {
        releases: vec![
            release("42.1", Some(commit(1)), None, Some(3), None),
            release("43.1", image, Some(REPOSITORY), Some(4), dead),
            release("43.2", None, None, None, None),
        ],
        edges: vec![(0, 1), (1, 2)],
    };
    assert_eq!(found, expected);
}

#[test]
fn what_is_no_graph_is_refused_with_what_is_wrong() {
    let edge = json!({"nodes": [{"version": "1", "payload": "x"}], "edges": [[0, 1]]}).to_string();
    let cases = [
        (
            "",
            "it is no update graph: EOF while parsing a value at line 1 column 0",
        ),
        (
            "{}",
            "it is no update graph: missing field `nodes` at line 1 column 2",
        ),
        (
            r#"{"kind":"failed_graph","value":"none"}"#,
            "it is no update graph: missing field `nodes` at line 1 column 38",
        ),
        (
            edge.as_str(),
            "its edge 0 → 1 leaves the 1 releases that it has",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(Graph::parse(text).unwrap_err().to_string(), expected);
    }
}

/// The next release, the goal, and how many are newer, by their versions.
fn hop<'g>(route: &Route<'g>) -> Option<(&'g str, &'g str, usize)> {
    match route {
        Route::Hop(walk) => Some((&walk.next.version, &walk.goal.version, walk.behind)),
        _ => None,
    }
}

#[test]
fn barriers_are_booted_one_after_the_other() {
    // Barriers at 2 and 4: nothing leads past them.
    let edges = [(0, 1), (0, 2), (1, 2), (2, 3), (2, 4), (3, 4), (4, 5)];
    let graph = graph(6, &edges);
    let avoid = BTreeSet::new();
    for (here, expected) in [
        (0, Some(("43.2", "43.5", 5))),
        (2, Some(("43.4", "43.5", 3))),
        (4, Some(("43.5", "43.5", 1))),
        (5, None),
    ] {
        let commit = commit(here);
        let route = graph.route(Here::Release(&commit), Aim::Newest, &avoid);
        assert_eq!(hop(&route), expected, "from {here}");
    }
    let end = commit(5);
    let there = graph.route(Here::Release(&end), Aim::Newest, &avoid);
    assert_eq!(there, Route::There);
}

#[test]
fn an_aim_is_reached_by_edges_and_never_passed() {
    let edges = [(0, 1), (0, 2), (0, 3), (1, 3), (2, 4), (3, 4)];
    let graph = graph(5, &edges);
    let none = BTreeSet::new();
    let start = commit(0);
    let route = |aim: u8, avoid: &BTreeSet<ReleaseId>| {
        let aim = commit(aim);
        let route = graph.route(Here::Release(&start), Aim::Release(&aim), avoid);
        hop(&route).map(|(next, goal, behind)| (next.to_owned(), goal.to_owned(), behind))
    };
    let to = |next: &str, goal: &str, behind| Some((next.to_owned(), goal.to_owned(), behind));
    assert_eq!(route(1, &none), to("43.1", "43.1", 1));
    assert_eq!(route(3, &none), to("43.3", "43.3", 3));
    assert_eq!(route(4, &none), to("43.3", "43.4", 4));
    assert_eq!(
        route(4, &BTreeSet::from([commit(3)])),
        to("43.2", "43.4", 4)
    );
    assert_eq!(route(9, &none), None);
    let version = graph.route(Here::Version("43.0"), Aim::Version("43.2"), &none);
    assert_eq!(hop(&version), Some(("43.2", "43.2", 2)));
    let older = graph.route(Here::Version("43.2"), Aim::Version("43.1"), &none);
    assert_eq!(older, Route::Elsewhere);
}

#[test]
fn what_is_avoided_is_passed_by_another_edge_or_waited_out() {
    let graph = graph(4, &[(0, 1), (0, 2), (2, 3)]);
    let route = |avoid: &[u8], aim| {
        let avoid = avoid.iter().map(|number| commit(*number)).collect();
        let here = commit(0);
        match graph.route(Here::Release(&here), aim, &avoid) {
            Route::Hop(walk) => {
                format!("{} on the way to {}", walk.next.version, walk.goal.version)
            }
            Route::Avoided(release) => format!("{} is avoided", release.version),
            other => format!("{other:?}"),
        }
    };
    let cases: [(&[u8], Aim<'_>, &str); 5] = [
        (&[], Aim::Newest, "43.2 on the way to 43.3"),
        (&[3], Aim::Newest, "43.2 on the way to 43.2"),
        (&[2], Aim::Newest, "43.1 on the way to 43.1"),
        (&[1, 2], Aim::Newest, "43.2 is avoided"),
        (&[3], Aim::Version("43.3"), "43.3 is avoided"),
    ];
    for (avoid, aim, expected) in cases {
        assert_eq!(route(avoid, aim), expected, "{avoid:?} {aim:?}");
    }
}

#[test]
fn dead_ends_and_strangers_are_told_apart() {
    let mut graph = graph(3, &[(0, 1)]);
    graph.releases[1].dead_end = Some("https://example.com".into());
    graph.releases[0].dead_end = Some("it was none after all".into());
    let none = BTreeSet::new();
    let route = |number| {
        let here = commit(number);
        format!(
            "{:?}",
            graph.route(Here::Release(&here), Aim::Newest, &none)
        )
    };
    assert!(route(0).starts_with("Hop"), "an edge leads on");
    assert_eq!(route(1), "DeadEnd(\"https://example.com\")");
    assert_eq!(route(2), "There");
    assert_eq!(route(9), "NotInGraph");
}

#[test]
fn nothing_leads_to_what_is_older_or_unknown() {
    let mut graph = graph(4, &[(1, 0), (1, 2), (1, 3), (1, 1)]);
    graph.releases[2].identity = None;
    graph.releases[3].age = None;
    let here = commit(1);
    let route = graph.route(Here::Release(&here), Aim::Newest, &BTreeSet::new());
    assert_eq!(route, Route::There);
    // What runs has no age: every edge leads on, and what comes after it has one.
    graph.releases[1].age = None;
    let route = graph.route(Here::Release(&here), Aim::Newest, &BTreeSet::new());
    assert_eq!(hop(&route), Some(("43.0", "43.0", 1)));
}

proptest! {
    /// Whatever the edges, the way is one of edges, from older to newer, around what is avoided, and leads to its goal.
    #[test]
    fn every_step_of_every_walk_is_an_edge(
        edges in prop::collection::vec((0usize..8, 0usize..8), 0..30),
        avoid in prop::collection::btree_set(0u8..8, 0..3),
        aim in prop::option::of(0u8..8),
    ) {
        let graph = graph(8, &edges);
        let avoid: BTreeSet<_> = avoid.into_iter().map(commit).collect();
        let goal = aim.map(commit);
        let aim = goal.as_ref().map_or(Aim::Newest, Aim::Release);
        let mut here = 0usize;
        for _ in 0..8 {
            let id = commit(u8::try_from(here).unwrap());
            let Route::Hop(walk) = graph.route(Here::Release(&id), aim, &avoid) else { break };
            let next = usize::try_from(walk.next.age.unwrap()).unwrap();
            prop_assert!(edges.contains(&(here, next)) && next > here);
            prop_assert!(!avoid.contains(&walk.next.identity.unwrap()));
            prop_assert!(walk.goal.age >= walk.next.age);
            if let Some(goal) = &goal {
                prop_assert_eq!(walk.goal.identity.as_ref(), Some(goal));
            }
            here = next;
        }
        // Whoever could set out arrives.
        let start = commit(0);
        let began = matches!(graph.route(Here::Release(&start), aim, &avoid), Route::Hop(_));
        if let (true, Some(goal)) = (began, &goal) {
            prop_assert_eq!(&commit(u8::try_from(here).unwrap()), goal);
        }
    }
}
