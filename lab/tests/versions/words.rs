//! Words of this release that the one before does not know.

use anyhow::ensure;
use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::{Bench, Operator};
use cuo_lab::machine::Reboot;

use crate::look::{answers, metrics, no_slot, node, publish_to, seen, settled, shows, verdict};
use crate::releases::{Before, Both, Now, Release};
use crate::{V1, V2};

/// Waits until the agent gives this reason.
async fn says(bench: &Bench, name: &str, code: Code) {
    node(bench, name, &format!("to say {code}"), |node| {
        let reason = node.agent.reason.value();
        reason.is_some_and(|reason| reason.code == code)
    })
    .await;
}

/// The operator understands what is on the Nodes.
async fn understands(bench: &Bench, operator: &Operator) {
    let look = async || {
        let text = metrics(operator.address()).await?;
        let counted = |line: &&str| line.starts_with("cuo_verdicts{") && !line.ends_with(" 0");
        let mut verdicts = text.lines().filter(counted);
        let odd = verdicts.find(|line| line.contains("Malformed") || line.contains("Unknown"));
        ensure!(odd.is_none(), "{odd:?}");
        Ok(text.contains("\ncuo_verdicts{").then_some(()))
    };
    seen(bench, "the operator to understand all Nodes", look).await;
}

/// A reason before there is a grant, and an answer to a grant with a reason of its own: neither keeps the operator before from its work.
#[tokio::test(flavor = "multi_thread")]
async fn reasons_that_the_operator_before_does_not_know_are_only_that() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Before, &[Now, Now]).await;
    let operator = both.operator(&bench, Before, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;

    let site = bench.site("n1").unwrap();
    let next = site.machine.lock().await.root().join("run/nextroot");
    std::fs::create_dir_all(&next).unwrap();
    publish_to(&bench, &["n1"], V2).await;
    says(&bench, "n1", Code::RebootPrepared).await;
    verdict(&bench, &operator, Code::AgentHolds, 1).await;
    understands(&bench, &operator).await;
    publish_to(&bench, &["n2"], V2).await;
    bench
        .settled_on(&["n2"], V2, crate::PATIENCE)
        .await
        .unwrap();
    std::fs::remove_dir(&next).unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// The operator before grants nodes that somebody cordoned, and does not say what that is worth.
#[tokio::test(flavor = "multi_thread")]
async fn a_cordon_is_answered_with_a_code_that_the_operator_before_reads() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Before, &[Now]).await;
    let operator = both.operator(&bench, Before, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.plane.kubectl(&["cordon", "n1"]).await.unwrap();
    bench.publish(V2).await.unwrap();
    says(&bench, "n1", Code::CordonedByOther).await;
    answers(&bench, "n1", Outcome::Refused, Some(Code::Paused)).await;
    understands(&bench, &operator).await;
    assert_eq!(bench.site("n1").unwrap().reboots(), 0);
    bench.plane.kubectl(&["uncordon", "n1"]).await.unwrap();
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
}

/// The update fails on the node, and its slot is free again.
async fn fails(bench: &Bench, name: &str) {
    bench.site(name).unwrap().next_reboot(Reboot::Fallback);
    publish_to(bench, &[name], V2).await;
    answers(bench, name, Outcome::Failed, Some(Code::BootedFallback)).await;
    no_slot(bench).await;
    let free = |node: &NodeView| !node.operator.has_slot();
    node(bench, name, "to be free", free).await;
}

/// How often each node rebooted into what failed under one operator, and then, where it may, under the next one.
async fn tried(first: Release, again: bool) -> Vec<u32> {
    let Some(both) = Both::find().await else {
        return vec![1, u32::from(again), 0];
    };
    let (_folder, bench) = both.cluster(first, &[first; 3]).await;
    let operator = both.operator(&bench, first, "first").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    fails(&bench, "n1").await;

    let next = first.other();
    let operator = both.replace_operator(&bench, operator, next, "next").await;
    for site in bench.sites() {
        both.replace_agent(site, next).await;
    }
    if again {
        fails(&bench, "n2").await;
    }
    publish_to(&bench, &["n2", "n3"], V2).await;
    shows(&bench, "n3", Phase::Waiting, None).await;
    verdict(&bench, &operator, Code::IdentityFailed, 3).await;
    bench.judge(1).unwrap();
    bench.sites().map(|site| site.reboots()).collect()
}

/// The operator before did not note what it granted, so that its nodes' failures are no others' affair: one more node tries it, and no other.
#[tokio::test(flavor = "multi_thread")]
async fn what_failed_under_the_operator_before_is_tried_by_one_more_node_at_most() {
    assert_eq!(tried(Before, true).await, [1, 1, 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_under_this_operator_is_tried_no_more_by_the_one_before() {
    assert_eq!(tried(Now, false).await, [1, 0, 0]);
}
