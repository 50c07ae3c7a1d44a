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

/// What failed under one operator is tried on no other node under the next one.
async fn a_failure_counts(first: Release) {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(first, &[first, first]).await;
    let operator = both.operator(&bench, first, "first").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.site("n1").unwrap().next_reboot(Reboot::Fallback);
    publish_to(&bench, &["n1"], V2).await;
    answers(&bench, "n1", Outcome::Failed, Some(Code::BootedFallback)).await;
    no_slot(&bench).await;
    let free = |node: &NodeView| !node.operator.has_slot();
    node(&bench, "n1", "to be free", free).await;

    let next = first.other();
    let operator = both.replace_operator(&bench, operator, next, "next").await;
    for site in bench.sites() {
        both.replace_agent(site, next).await;
    }
    publish_to(&bench, &["n2"], V2).await;
    shows(&bench, "n2", Phase::Waiting, None).await;
    verdict(&bench, &operator, Code::IdentityFailed, 2).await;
    let reboots: Vec<_> = bench.sites().map(|site| site.reboots()).collect();
    assert_eq!(reboots, [1, 0]);
    bench.judge(1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_under_the_operator_before_is_tried_no_more() {
    a_failure_counts(Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_failed_under_this_operator_is_tried_no_more_by_the_one_before() {
    a_failure_counts(Now).await;
}
