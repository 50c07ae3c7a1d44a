use cuo_coordination::pool::PoolObject;
use cuo_core::ids::{NodeName, PoolName};
use cuo_core::keys;
use serde_json::json;

use super::*;
use crate::testing::{Node, id, node, pool};

/// A cluster as tests put it together.
#[derive(Default)]
struct Cluster {
    nodes: BTreeMap<NodeName, NodeView>,
    pools: BTreeMap<PoolName, PoolObject>,
    pauses: BTreeMap<String, FoundPause>,
}

impl Cluster {
    fn of(nodes: &[Node]) -> Self {
        let views = nodes.iter().map(Node::view);
        Self {
            nodes: views.map(|view| (view.name.clone(), view)).collect(),
            ..Self::default()
        }
    }

    fn pool(mut self, pool: PoolObject) -> Self {
        self.pools.insert(pool.name.clone(), pool);
        self
    }

    fn pause(mut self, name: &str, spec: serde_json::Value) -> Self {
        let found = cuo_coordination::pause::pause(name, &spec);
        self.pauses.insert(name.to_owned(), found);
        self
    }

    fn whole(&self) -> Whole<'_> {
        Whole {
            nodes: &self.nodes,
            pools: &self.pools,
            pauses: &self.pauses,
        }
    }

    fn after(&self, told: &Told) -> (Told, Vec<Draft>) {
        next(Some(told), self.whole(), at(0))
    }

    /// What is known of it once all of it was told.
    fn told(&self) -> Told {
        next(None, self.whole(), at(0)).0
    }
}

fn at(second: i64) -> Time {
    Time::from_second(1_795_000_000 + second)
}

fn about(kind: Kind, pool: &str, name: &str, code: &str, text: &str) -> Draft {
    Draft {
        pools: [pool.to_owned()].into(),
        node: Some(name.to_owned()),
        code: Some(code.to_owned()),
        ..Draft::new(kind, text.to_owned())
    }
}

#[test]
fn what_was_there_before_anything_was_told_is_no_news() {
    let failed = node("a", "1").ended(3, "failed", "RolledBack").failed("2");
    let goes = node("b", "1").needs("2").granted("2");
    let cluster = Cluster::of(&[failed, goes]).pause("p", json!({"scope": "All"}));
    let (told, news) = next(None, cluster.whole(), at(0));
    assert_eq!(news, vec![]);
    assert_eq!(cluster.after(&told), (told, vec![]));
}

#[test]
fn a_grant_that_comes_to_nothing_is_told_once() {
    let before = Cluster::of(&[node("a", "1")]).told();
    let said = "DrainBlocked: default/web-1 does not leave";
    let blocked = node("a", "1")
        .ended(3, "aborted", "DrainBlocked")
        .with(keys::REASON, said);
    let cluster = Cluster::of(std::slice::from_ref(&blocked));
    let (told, news) = cluster.after(&before);
    let aborted = |text| about(Kind::UpdateAborted, BUILT_IN, "a", "DrainBlocked", text);
    assert_eq!(news, [aborted("default/web-1 does not leave")]);
    assert_eq!(cluster.after(&told).1, []);
    // The next one is another, whose reason the agent does not show any more.
    let again = blocked
        .ended(4, "aborted", "DrainBlocked")
        .without(keys::REASON);
    let again = Cluster::of(&[again]);
    let (told, news) = again.after(&told);
    assert_eq!(news, [aborted(Code::DrainBlocked.means())]);
    // It works at last.
    let done = Cluster::of(&[node("a", "2")]);
    assert_eq!(done.after(&told).0.ended, BTreeMap::new());
    let refused = Cluster::of(&[node("a", "1").ended(5, "refused", "GrantExpired")]);
    assert_eq!(refused.after(&before).1, []);
}

#[test]
fn a_node_that_needs_a_person_is_told_of_until_it_does_not() {
    let workers = || pool("workers", json!({}), json!({}));
    let cluster = |node: Node| Cluster::of(&[node]).pool(workers());
    let status = |phase: &str| format!("{phase} since 2026-11-23T21:00:00Z");
    let plain = node("a", "1");
    let before = cluster(plain.clone()).told();
    let unhealthy = plain
        .clone()
        .with(keys::STATUS, status("failed"))
        .with(keys::REASON, "Unhealthy: crio.service is failed");
    let text = "crio.service is failed. Repair what the reason names, or roll the node back; it continues by itself once it is healthy.";
    let person = |code, text| about(Kind::NodeNeedsPerson, "workers", "a", code, text);
    let (told, news) = cluster(unhealthy.clone()).after(&before);
    assert_eq!(news, [person("Unhealthy", text)]);
    // Another sentence is the same news.
    let other = unhealthy
        .clone()
        .with(keys::REASON, "Unhealthy: crio.service is inactive");
    assert_eq!(cluster(other).after(&told), (told.clone(), vec![]));
    let recovered = about(
        Kind::NodeRecovered,
        "workers",
        "a",
        "Unhealthy",
        "It no longer reports Unhealthy.",
    );
    let news = cluster(plain.clone()).after(&told).1;
    assert_eq!(news, std::slice::from_ref(&recovered));
    // It goes back by itself.
    let back = unhealthy.with(keys::REASON, "RollbackWanted: crio.service is failed");
    assert_eq!(cluster(back).after(&told).1, [recovered]);
    // Looks that can't succeed without a person, in any phase; and what the next release reports.
    let table = [
        ("idle", "SignatureRefused: no key", true),
        ("idle", "NetworkFailed: away", false),
        ("idle", "SomethingNew: text", false),
        ("failed", "SomethingNew: text", true),
    ];
    for (phase, reason, needed) in table {
        let node = plain
            .clone()
            .with(keys::STATUS, status(phase))
            .with(keys::REASON, reason);
        let news = cluster(node).after(&before).1;
        assert_eq!(news.len(), usize::from(needed), "{phase} {reason} {news:?}");
    }
}

#[test]
fn a_release_that_is_given_up_is_told_with_the_nodes_that_it_failed_on() {
    let goes = node("a", "1").needs("2").granted("2");
    let waits = || node("b", "1").needs("2");
    let before = Cluster::of(&[goes.clone(), waits()]).told();
    let over = goes.failed("2").released();
    let cluster = Cluster::of(&[over, waits()]);
    let (told, news) = cluster.after(&before);
    let kinds: Vec<_> = news.iter().map(|draft| draft.kind).collect();
    assert_eq!(kinds, [Kind::ReleaseGivenUp, Kind::RolloutFailed]);
    assert_eq!(news[0].text, "2 is tried no longer. It failed on a.");
    assert_eq!(news[1].text, "0 of 2 nodes run 2. It failed on a.");
    assert_eq!(cluster.after(&told).1, []);
    // As a pool's status says it, too.
    let since = "2026-11-23T21:00:00Z";
    let given_up = json!([{"identity": id("2"), "version": "2", "at": since, "nodes": ["a"]}]);
    let workers = pool(
        "workers",
        json!({}),
        json!({"release": {"givenUp": given_up}}),
    );
    let before = Cluster::of(&[waits()])
        .pool(pool("workers", json!({}), json!({})))
        .told();
    let (told, news) = Cluster::of(&[waits()]).pool(workers).after(&before);
    let expected = Draft {
        pools: ["workers".to_owned()].into(),
        code: Some("ReleaseGivenUp".into()),
        release: Some("2".into()),
        ..Draft::new(Kind::ReleaseGivenUp, "2 is tried no longer.".into())
    };
    assert_eq!(news, [expected]);
    assert_eq!(
        told.given_up["workers"],
        BTreeSet::from([id("2").to_string()])
    );
}

#[test]
fn pauses_are_told_when_they_begin_and_when_they_end() {
    let workers = |spec| pool("workers", spec, json!({}));
    let label = json!({"nodeSelector": {"matchLabels": {"role": "worker"}}});
    let nodes = [node("a", "1").label("role", "worker")];
    let cluster = || Cluster::of(&nodes);
    let before = cluster().pool(workers(label)).told();
    let until = at(60).to_string();
    let paused = || {
        cluster()
            .pool(workers(json!({"paused": true})))
            .pause(
                "night",
                json!({"scope": "All", "until": until, "by": "alice", "reason": "backup"}),
            )
            .pause("one", json!({"scope": "Nodes", "nodes": ["a"]}))
            .pause("typo", json!({"scope": "None"}))
    };
    let draft = |kind, pools: &[&str], text: String| Draft {
        pools: pools.iter().map(ToString::to_string).collect(),
        ..Draft::new(kind, text)
    };
    let all = format!("All nodes: paused by alice until {until} (UpdatePause night): backup");
    let one = "Nodes a: paused (UpdatePause one)".to_owned();
    let pool = "Pool workers: spec.paused is true".to_owned();
    let (told, news) = paused().after(&before);
    let typo = news
        .iter()
        .find(|draft| draft.text.contains("typo"))
        .unwrap()
        .text
        .clone();
    assert!(
        typo.starts_with("All nodes: paused by UpdatePause typo, which is not understood: "),
        "{typo}"
    );
    let expected = [
        draft(Kind::Paused, &[], all.clone()),
        draft(Kind::Paused, &["workers"], one.clone()),
        draft(Kind::Paused, &[], typo.clone()),
        draft(Kind::Paused, &["workers"], pool.clone()),
    ];
    assert_eq!(news, expected);
    // One ends by itself.
    let (later, news) = next(Some(&told), paused().whole(), at(60));
    assert_eq!(news, [draft(Kind::Resumed, &[], all)]);
    let (_, news) = cluster().pool(workers(json!({}))).after(&later);
    let expected = [
        draft(Kind::Resumed, &["workers"], one),
        draft(Kind::Resumed, &[], typo),
        draft(Kind::Resumed, &["workers"], pool),
    ];
    assert_eq!(news, expected);
}

#[test]
fn what_was_told_of_a_pool_outlasts_its_only_node() {
    let goes = node("a", "1").needs("2").granted("2");
    let since = "2026-11-23T21:00:00Z";
    let given_up = json!([{"identity": id("1"), "version": "1", "at": since, "nodes": ["a"]}]);
    let status = || json!({"release": {"givenUp": given_up}});
    let cluster = |nodes: &[Node]| Cluster::of(nodes).pool(pool("workers", json!({}), status()));
    let before = cluster(std::slice::from_ref(&goes)).told();
    assert!(
        before.rollouts.contains_key("workers") && before.given_up.contains_key("workers"),
        "{before:?}"
    );
    // Its Node is made anew, at first without an agent.
    for nodes in [vec![], vec![crate::testing::bare("a")]] {
        let (told, news) = cluster(&nodes).after(&before);
        assert_eq!(
            (&told.rollouts, &told.given_up),
            (&before.rollouts, &before.given_up)
        );
        assert_eq!(news, []);
        assert_eq!(cluster(std::slice::from_ref(&goes)).after(&told).1, []);
    }
    // A pool that is gone is forgotten.
    let (told, _) = Cluster::of(&[]).after(&before);
    assert_eq!((told.rollouts.len(), told.given_up.len()), (0, 0));
}

#[test]
fn a_long_reason_is_kept_in_part() {
    let spec = json!({"scope": "All", "reason": "x".repeat(100_000)});
    let cluster = Cluster::default().pause("p", spec);
    let (told, news) = cluster.after(&Told::default());
    assert_eq!(told.pauses["UpdatePause/p"].text.chars().count(), 500);
    assert_eq!(news[0].text, told.pauses["UpdatePause/p"].text);
    assert_eq!(cluster.after(&told).1, []);
}
