//! Reboots without an update, and what failed tried again: what administrators ask of agents.

use cuo_agent::steps::Named;
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec};
use cuo_lab::machine::Reboot;
use futures::future::join_all;

use crate::cuoctl::{cuoctl, ran};
use crate::look::{answers, boots, held, node, reboots, settled, shows, verdict};
use crate::{V1, V2, cluster};

/// A release that nobody has approved.
const BY_HAND: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {approval: Manual}
";

/// Kills the agent of the node at the gate, which is shut, and starts it again.
async fn strike(bench: &Bench, name: &str, gate: &str) {
    held(bench, name, gate).await;
    let site = bench.site(name).unwrap();
    site.kill_agent().await.unwrap();
    site.gate().open(gate).unwrap();
    site.start_agent().await.unwrap();
}

/// Each agent is killed at another step. The update that is staged, and not approved, is dropped by the reboot, staged again, and waits.
#[tokio::test(flavor = "multi_thread")]
async fn a_reboot_without_an_update_comes_node_by_node_whenever_agents_are_killed() {
    let gates = [
        Named::Accept.gate("before"),
        Named::Cordon.gate("after"),
        Named::Confirm.gate("decided"),
        Named::Reboot.gate("before"),
        Named::Release.gate("before"),
    ];
    let (_folder, bench) = cluster(gates.len()).await;
    let names: Vec<_> = bench.sites().map(|site| site.name().to_owned()).collect();
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.apply("all.yaml", BY_HAND).await.unwrap();
    bench.publish(V2).await.unwrap();
    verdict(&bench, &operator, Code::NotApproved, names.len()).await;
    let since = |name: &String| {
        let node = bench.node(name).unwrap();
        node.agent.booted.value().unwrap().since
    };
    let before: Vec<_> = names.iter().map(since).collect();
    bench.recorder.reset();

    for (name, gate) in names.iter().zip(&gates) {
        bench.site(name).unwrap().gate().shut(gate).unwrap();
    }
    let mut arguments = vec!["reboot"];
    arguments.extend(names.iter().map(String::as_str));
    arguments.extend(["--reason", "memory errors"]);
    let said = ran(&bench, &arguments).await.good();
    let expected = names
        .iter()
        .map(|name| format!("node/{name} is to reboot when its turn comes\n"));
    assert_eq!(said, expected.collect::<String>());
    let strikes = names.iter().zip(&gates);
    join_all(strikes.map(|(name, gate)| strike(&bench, name, gate))).await;
    for name in &names {
        let done = "to have rebooted, and to need the update";
        node(&bench, name, done, |node| {
            let agent = &node.agent;
            let reboots = agent.reboots.value();
            let done = reboots.is_some_and(|one| one.wanted.is_none() && one.done.is_some());
            let version = agent.needed_version.as_deref();
            done && version == Some(V2) && !node.operator.has_slot() && !node.unschedulable
        })
        .await;
    }
    assert_eq!(names.iter().map(since).collect::<Vec<_>>(), before);
    assert_eq!(reboots(&bench), 5);
    verdict(&bench, &operator, Code::NotApproved, names.len()).await;

    let approve = ["approve", "all", V2];
    ran(&bench, &approve).await.good();
    settled(&bench, V2).await;
    assert_eq!(reboots(&bench), 10);
    assert_eq!(bench.recorder.most_down(), 1);
    bench.judge(1).unwrap();
}

/// Who asked and why is shown while the node waits, and the request can be taken back; a host's own file asks, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_shown_and_taken_back_and_a_file_is_one() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    ran(&bench, &["pause", "--all"]).await.good();
    let told = ["reboot", "n1", "--reason", "memory errors"];
    ran(&bench, &told).await.good();
    shows(&bench, "n1", Phase::Waiting, Some(Code::RebootRequested)).await;
    let why = cuoctl(&bench, "why n1").await.good();
    assert!(why.starts_with("n1: ClusterPaused: "), "{why}");
    assert!(
        why.contains("is to reboot without an update, requested by "),
        "{why}"
    );
    assert!(why.contains(": memory errors"), "{why}");
    let status = cuoctl(&bench, "status n1").await.good();
    assert!(status.contains("(reboot only)"), "{status}");

    let cancelled = cuoctl(&bench, "reboot n1 --cancel").await.good();
    assert_eq!(cancelled, "node/n1 is asked to reboot no longer\n");
    shows(&bench, "n1", Phase::Idle, None).await;
    let cancelled = cuoctl(&bench, "reboot n1 --cancel").await.good();
    assert_eq!(cancelled, "node/n1 was not asked to reboot\n");
    assert_eq!(site.reboots(), 0);

    let sentinel = "[reboot]\nsentinel = \"/run/reboot-required\"\n";
    site.configure("90-sentinel.toml", Some(sentinel))
        .await
        .unwrap();
    site.hang_up().await.unwrap();
    let path = {
        let machine = site.machine.lock().await;
        machine.root().path().join("run/reboot-required")
    };
    std::fs::write(&path, "").unwrap();
    shows(&bench, "n1", Phase::Waiting, Some(Code::RebootRequested)).await;
    cuoctl(&bench, "resume --all").await.good();
    answers(&bench, "n1", cuo_core::values::Outcome::Done, None).await;
    shows(&bench, "n1", Phase::Idle, None).await;
    assert_eq!(site.reboots(), 1);
    bench.judge(1).unwrap();
}

/// What failed is tried again when an administrator asks for it, and not before; a viewer can't, and a node without an agent is named.
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_is_tried_again_when_somebody_asks_for_it() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    let none = cuoctl(&bench, "retry n1").await.failed();
    assert_eq!(none, "cuoctl: no agent has announced itself on node n1\n");
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    site.next_reboot(Reboot::RolledBack);
    bench.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Held, Some(Code::IdentityFailed)).await;
    let failed = bench.node("n1").unwrap().agent.failed;
    let failed = failed.value().unwrap().identities[0].identity;

    let refused = cuoctl(&bench, "--as nobody retry n1").await.failed();
    assert!(
        refused.contains("cannot get resource \"nodes\""),
        "{refused}"
    );
    let other = format!("retry n1 --release {}", "a".repeat(64));
    cuoctl(&bench, &other).await.good();
    shows(&bench, "n1", Phase::Held, Some(Code::IdentityFailed)).await;
    let told = cuoctl(&bench, &format!("retry n1 --release {failed}"))
        .await
        .good();
    assert_eq!(told, format!("node/n1 is to try {failed} again\n"));
    boots(&bench, "n1", V2).await;
    settled(&bench, V2).await;
    let journal = site.agent_log(2000).await;
    assert!(journal.contains(" asked at "), "{journal}");
    bench.judge(1).unwrap();
}
