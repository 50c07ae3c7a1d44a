use cuo_core::ids::ReleaseId;
use cuo_core::node::NodeView;
use cuo_core::pause::Pause;
use cuo_core::plan::Act;
use cuo_core::pool::Pool;
use cuo_core::raw::RawNode;
use cuo_core::release::{GivenUp, NamedRelease, Source};
use cuo_core::timing::Part;
use jiff::SignedDuration;

use super::*;

/// A cluster of these nodes, and nothing else.
pub fn snapshot(nodes: Vec<NodeView>) -> Snapshot {
    let nodes = nodes.into_iter().map(|node| (node.name.clone(), node));
    Snapshot {
        nodes: nodes.collect(),
        ..Snapshot::default()
    }
}

/// What is served of metrics whose names begin so, sorted.
fn shown(metrics: &Metrics, beginning: &str) -> Vec<String> {
    let text = metrics.text();
    let lines = text.lines().filter(|line| line.starts_with(beginning));
    let mut lines: Vec<_> = lines.map(str::to_owned).collect();
    lines.sort();
    lines
}

fn no_plan() -> Plan {
    Plan {
        verdicts: BTreeMap::new(),
        act: Act::Wait,
        wake: None,
        used: Default::default(),
        control_plane: Default::default(),
        pools: vec![],
    }
}

#[test]
fn pauses_in_force_are_counted_by_what_they_hold() {
    let metrics = Metrics::new(1, 0);
    let pause = |scope, until| {
        FoundPause::Valid(Pause {
            name: "p".to_owned(),
            scope,
            until,
            reason: None,
            by: None,
        })
    };
    let seen = Snapshot {
        pauses: vec![
            pause(Scope::All, None),
            pause(Scope::Pool("web".parse().unwrap()), None),
            pause(Scope::Nodes(Default::default()), None),
            pause(Scope::Nodes(Default::default()), Some(Time::EPOCH)),
            FoundPause::Invalid {
                name: "q".to_owned(),
                why: "why".to_owned(),
            },
        ],
        ..snapshot(vec![])
    };
    metrics.settled(&seen, &no_plan(), Time::EPOCH);
    let expected = [
        r#"cuo_pauses{scope="all"} 2"#,
        r#"cuo_pauses{scope="nodes"} 1"#,
        r#"cuo_pauses{scope="pool"} 1"#,
    ];
    assert_eq!(shown(&metrics, "cuo_pauses"), expected);
    metrics.led(false);
    assert_eq!(shown(&metrics, "cuo_pauses"), Vec::<String>::new());
}

#[test]
fn durations_are_those_of_the_nodes_pools() {
    let metrics = Metrics::new(1, 0);
    let raw = RawNode {
        name: "n1".to_owned(),
        ..RawNode::default()
    };
    let node = NodeView::parse(&raw).unwrap();
    let lap = |node: &str, part, seconds| Lap {
        node: node.parse().unwrap(),
        part,
        outcome: Outcome::Aborted,
        took: SignedDuration::from_secs(seconds),
    };
    // One that is gone meanwhile is of no pool.
    let laps = [
        lap("n1", Part::Wait, 90),
        lap("n1", Part::Drain, 40),
        lap("n2", Part::Drain, 50),
    ];
    metrics.ended(&snapshot(vec![node]), &laps);
    let sums = |beginning| {
        let mut lines = shown(&metrics, beginning);
        lines.retain(|line| line.contains("_sum"));
        lines
    };
    let expected = [r#"cuo_grant_wait_seconds_sum{pool="(built-in)"} 90.0"#];
    assert_eq!(sums("cuo_grant_wait"), expected);
    let expected = [
        r#"cuo_update_duration_seconds_sum{pool="(built-in)",stage="drain",outcome="aborted"} 40.0"#,
    ];
    assert_eq!(sums("cuo_update_duration"), expected);
}

#[test]
fn a_pool_that_chooses_releases_says_which() {
    let metrics = Metrics::new(1, 0);
    let chosen = |version: Option<&str>| Chosen {
        identities: BTreeMap::from([(
            String::new(),
            NamedRelease {
                identity: ReleaseId::Commit([7; 32]),
                version: None,
            },
        )]),
        version: version.map(str::to_owned),
        source: Source::Cluster,
        image: None,
        since: Time::EPOCH,
    };
    let given_up = |second| GivenUp {
        identity: ReleaseId::Commit([9; 32]),
        version: None,
        at: Time::from_second(second),
        nodes: vec![],
    };
    let web = Rollout {
        candidate: Some(chosen(Some("42.1"))),
        promoted: Some(chosen(None)),
        promoted_at: Some(Time::from_second(50)),
        given_up: vec![given_up(40), given_up(60)],
        ..Rollout::default()
    };
    let first = Rollout {
        given_up: vec![given_up(40)],
        ..Rollout::default()
    };
    let rollouts = [("db", Rollout::default()), ("first", first), ("web", web)];
    let rollouts = rollouts.map(|(name, rollout)| (name.parse().unwrap(), rollout));
    // The pool `first` does not try one release at a time any more.
    let tries = |name: &str| {
        FoundPool::Valid(Box::new(Pool {
            name: Some(name.parse().unwrap()),
            approved: Some(vec![]),
            ..Pool::default()
        }))
    };
    let seen = Snapshot {
        rollouts: rollouts.into(),
        pools: vec![tries("db"), tries("web")],
        ..snapshot(vec![])
    };
    metrics.planned(&seen, &no_plan());
    let commit = "07".repeat(32);
    let expected =
        format!(r#"cuo_pool_release_info{{pool="web",candidate="42.1",promoted="{commit}"}} 1"#);
    assert_eq!(shown(&metrics, "cuo_pool_release_info"), [expected]);
    let expected = [("db", 0), ("web", 1)]
        .map(|(pool, count)| format!(r#"cuo_pool_releases_given_up{{pool="{pool}"}} {count}"#));
    assert_eq!(shown(&metrics, "cuo_pool_releases_given_up"), expected);
}

#[test]
fn pools_are_told_by_name_and_forgotten() {
    let metrics = Metrics::new(1, 0);
    let report = |name: Option<&str>, members| PoolReport {
        name: name.map(|name| name.parse().unwrap()),
        members,
        budget: 2,
        used: 1,
        open: true,
        ..PoolReport::default()
    };
    let shown = |metrics: &Metrics| -> Vec<_> {
        let mut lines = shown(metrics, "cuo_pool_");
        lines.retain(|line| line.contains("\"all\"") || !line.contains("state="));
        lines
    };
    metrics.pool(&report(None, 3));
    metrics.pool(&report(Some("edge"), 5));
    let expected = [
        "cuo_pool_budget_max{pool=\"(built-in)\"} 2",
        "cuo_pool_budget_max{pool=\"edge\"} 2",
        "cuo_pool_budget_used{pool=\"(built-in)\"} 1",
        "cuo_pool_budget_used{pool=\"edge\"} 1",
        "cuo_pool_nodes{pool=\"(built-in)\",state=\"all\"} 3",
        "cuo_pool_nodes{pool=\"edge\",state=\"all\"} 5",
        "cuo_pool_window_open{pool=\"(built-in)\"} 1",
        "cuo_pool_window_open{pool=\"edge\"} 1",
    ];
    assert_eq!(shown(&metrics), expected);
    metrics.led(false);
    assert_eq!(shown(&metrics), Vec::<String>::new());
}
