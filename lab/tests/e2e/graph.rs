//! Hosts of Fedora CoreOS, whose releases come from an update graph.

use std::time::Duration;

use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::release::{Following, Source};
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::{Bench, OperatorSpec, SiteSpec};
use cuo_lab::graph::{Failure, GraphServer, Scope, Vertex};
use cuo_lab::machine::{FCOS_BRANCH, FCOS_IMAGE, HostSpec};
use tempfile::TempDir;

use crate::look::{boots, node, seen, settled, shows};
use crate::{V1, V2, V3, V4, V5, start};

const V6: &str = "42.20260601.3.0";
const BARRIER: &str = "https://example.com/keys";

/// Workers `n1`, `n2`, … of these kinds that ask `graph`.
async fn hosts(graph: &GraphServer, hosts: Vec<HostSpec>) -> (TempDir, Bench) {
    let sites = hosts.into_iter().enumerate();
    let sites = sites.map(|(number, host)| SiteSpec::worker(&format!("n{}", number + 1), host));
    let (folder, bench) = start(sites.collect()).await;
    let config = format!("[graph]\nurl = \"{}\"\n", graph.url());
    for site in bench.sites() {
        site.configure("60-graph.toml", Some(&config))
            .await
            .unwrap();
    }
    (folder, bench)
}

/// What the host follows and runs.
fn offering(host: HostSpec, newest: &str, offered: &[&str]) -> HostSpec {
    HostSpec {
        newest: Some(newest.to_owned()),
        offered: offered
            .iter()
            .map(|version| (*version).to_owned())
            .collect(),
        ..host
    }
}

/// Five releases after the first, of which the third and the fifth are barriers.
fn walk() -> Vec<Vertex> {
    let [one, two, three, four, five, six] = [V1, V2, V3, V4, V5, V6].map(Vertex::new);
    vec![
        one,
        two,
        three.barrier(BARRIER),
        four,
        five.barrier(BARRIER),
        six.rolled_out(),
    ]
}

async fn operated(bench: &Bench) -> cuo_lab::bench::Operator {
    bench.start_agents().await.unwrap();
    bench.operator(OperatorSpec::default()).await.unwrap()
}

/// Each is booted by a grant of its own, and none is skipped; the head of the tag is the newest from the beginning.
#[tokio::test(flavor = "multi_thread")]
async fn barriers_are_booted_one_after_the_other() {
    let graph = GraphServer::start().await.unwrap();
    graph.serve(Scope::images("stable"), walk());
    graph.serve(Scope::commits("stable"), walk());
    let offered = [V2, V3, V4, V5];
    let image = offering(HostSpec::fcos_image(V1), V6, &offered);
    let branch = offering(HostSpec::fcos_branch(V1), V6, &offered);
    let (_folder, bench) = hosts(&graph, vec![image, branch]).await;
    let _operator = operated(&bench).await;
    settled(&bench, V6).await;
    for (name, reference) in [("n1", FCOS_IMAGE), ("n2", FCOS_BRANCH)] {
        let site = bench.site(name).unwrap();
        assert_eq!(
            site.reboots(),
            3,
            "{name}: to each barrier and to the newest"
        );
        let expected = Following {
            source: Source::Graph,
            reference: reference.to_owned(),
            goal: None,
            behind: Some(0),
        };
        node(&bench, name, "to be at its goal", |node| {
            node.agent.following.value() == Some(&expected)
        })
        .await;
    }
    bench.judge(1).unwrap();
    let asked = graph.requests();
    let query = |request: &cuo_lab::graph::Request, key: &str| request.query.get(key).cloned();
    // A branch that leads nowhere any more, as from its newest release, is looked for among the images.
    let images = asked.iter().filter(|request| {
        query(request, "oci").is_some() && query(request, "os_version").as_deref() != Some(V6)
    });
    let checksum = images.map(|request| query(request, "os_checksum").unwrap());
    assert!(
        checksum
            .clone()
            .all(|one| one.starts_with("quay.io/fedora/fedora-coreos@sha256:")),
        "{:?}",
        checksum.collect::<Vec<_>>()
    );
}

/// Nothing is staged at a dead end, nor where the graph does not know what runs; both say so, and the second is told how to go on.
#[tokio::test(flavor = "multi_thread")]
async fn dead_ends_and_strangers_say_so_and_stay() {
    let graph = GraphServer::start().await.unwrap();
    let [one, two, three] = [V1, V2, V3].map(Vertex::new);
    let dead = one.deadend("https://example.com/dead");
    graph.serve(Scope::images("stable"), vec![dead, two, three.rolled_out()]);
    let at = |version| offering(HostSpec::fcos_image(version), V3, &[V2]);
    let (_folder, bench) = hosts(&graph, vec![at(V1), at(V5)]).await;
    let _operator = operated(&bench).await;
    shows(&bench, "n1", Phase::Idle, Some(Code::DeadEnd)).await;
    shows(&bench, "n2", Phase::Idle, Some(Code::NotInGraph)).await;
    let said = |name: &str| {
        let node = bench.node(name).unwrap();
        node.agent.reason.value().unwrap().message.clone()
    };
    assert_eq!(
        said("n1"),
        format!("{V1} is a dead end of the update graph of stable: https://example.com/dead")
    );
    let command = "`rpm-ostree rebase --bypass-driver ostree-image-signed:docker://quay.io/fedora/fedora-coreos@sha256:";
    assert!(said("n2").contains(command), "{}", said("n2"));
    let label = [
        "get",
        "nodes",
        "-l",
        &format!("{}=true", keys::AGENT_DEAD_END),
        "-o",
        "name",
    ]
    .map(str::to_owned);
    let label: Vec<_> = label.iter().map(String::as_str).collect();
    assert_eq!(bench.plane.kubectl(&label).await.unwrap().trim(), "node/n1");

    // It was none after all.
    let [one, two, three] = [V1, V2, V3].map(Vertex::new);
    graph.serve(Scope::images("stable"), vec![one, two, three.rolled_out()]);
    boots(&bench, "n1", V3).await;
    node(&bench, "n1", "to be at no dead end", |node| {
        !node.agent.dead_end
    })
    .await;
    assert_eq!(bench.site("n2").unwrap().reboots(), 0);
    bench.judge(1).unwrap();
}

async fn follows(bench: &Bench, name: &str, reference: &str) {
    node(bench, name, &format!("to follow {reference}"), |node| {
        let following = node.agent.following.value();
        following.is_some_and(|following| following.reference == reference)
    })
    .await;
}

/// A host on the branch, which gets no releases any more: on to the image, whose commit is signed as the branch was, and to the signed image
/// once a release has brought the policy that verifies it.
#[tokio::test(flavor = "multi_thread")]
async fn a_host_on_a_retired_branch_ends_on_the_signed_image() {
    // The policy comes with the fourth.
    let all = ["0701", "0801", "0901", "0914", "1012"].map(|day| format!("42.2025{day}.3.0"));
    let [first, branch, image, policy, signed] = all.each_ref().map(String::as_str);
    let graph = GraphServer::start().await.unwrap();
    let to = |version| vec![Vertex::new(first), Vertex::new(version).rolled_out()];
    graph.serve(Scope::commits("stable"), to(branch));
    let way = all
        .iter()
        .map(|version| Vertex::new(version).barrier(BARRIER));
    let mut way: Vec<_> = way.take(4).collect();
    way.push(Vertex::new(signed).rolled_out());
    graph.serve(Scope::images("stable"), way);
    let host = offering(
        HostSpec::fcos_branch(first),
        branch,
        &[image, policy, signed],
    );
    let (_folder, bench) = hosts(&graph, vec![host]).await;
    let _operator = operated(&bench).await;
    settled(&bench, signed).await;
    assert_eq!(bench.site("n1").unwrap().reboots(), 4);
    follows(&bench, "n1", FCOS_IMAGE).await;
    bench.judge(1).unwrap();
}

/// Whatever the server does, nothing is staged without a graph, there is one reason, and all goes on by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_graph_that_is_away_is_waited_for() {
    let mut graph = GraphServer::start().await.unwrap();
    let host = offering(HostSpec::fcos_image(V1), V2, &[]);
    let (_folder, bench) = hosts(&graph, vec![host]).await;
    let [one, two] = [V1, V2].map(Vertex::new);
    graph.serve(Scope::images("stable"), vec![one, two.rolled_out()]);
    let failures = [
        (Failure::Bare(503), Code::GraphUnreachable),
        (Failure::Garbage, Code::GraphInvalid),
        (Failure::Truncated, Code::GraphUnreachable),
        (Failure::Large(10 << 20), Code::GraphInvalid),
    ];
    let (first, _) = failures[0].clone();
    graph.fail(first);
    let _operator = operated(&bench).await;
    for (failure, code) in failures {
        graph.fail(failure);
        shows(&bench, "n1", Phase::Idle, Some(code)).await;
    }
    graph.stop().await.unwrap();
    shows(&bench, "n1", Phase::Idle, Some(Code::GraphUnreachable)).await;
    assert!(bench.node("n1").unwrap().agent.needed.is_absent());
    graph.heal();
    graph.restart().await.unwrap();
    settled(&bench, V2).await;
    assert_eq!(bench.node("n1").unwrap().agent.reason.value(), None);
    bench.judge(1).unwrap();
}

/// What failed is not staged again, neither by the same edge nor because it is the tag's head; the next one is.
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_passed_on_the_graph() {
    let graph = GraphServer::start().await.unwrap();
    let releases = |newest: &[&str]| {
        let mut all: Vec<_> = [V1]
            .iter()
            .chain(newest)
            .map(|one| Vertex::new(one))
            .collect();
        let last = all.pop().unwrap();
        all.push(last.rolled_out());
        all
    };
    graph.serve(Scope::images("stable"), releases(&[V2]));
    let host = offering(HostSpec::fcos_image(V1), V3, &[V2]);
    let (_folder, bench) = hosts(&graph, vec![host]).await;
    let n1 = bench.site("n1").unwrap();
    n1.next_reboot(cuo_lab::machine::Reboot::RolledBack);
    let _operator = operated(&bench).await;
    crate::look::answers(&bench, "n1", Outcome::Failed, Some(Code::RolledBack)).await;
    let look = Duration::from_secs(8);
    tokio::time::sleep(look).await;
    assert_eq!(n1.reboots(), 1);
    graph.serve(Scope::images("stable"), releases(&[V2, V3]));
    seen(&bench, "n1 to go past it", async || {
        let booted = bench.node("n1")?.agent.booted;
        Ok(booted
            .value()
            .filter(|booted| booted.version == V3)
            .map(drop))
    })
    .await;
    bench.judge(1).unwrap();
}
