//! What pools ask for that agents of the release before this one do not understand.

use cuo_core::features::Feature;
use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::{Cordoned, Field, Names, Outcome, Phase, PreflightMode};
use cuo_lab::bench::Bench;

use crate::look::{answers, boots, node, seen, settled, shows, verdict};
use crate::pods::{evictions, guard, let_go, run};
use crate::releases::{Before, Both, Now};
use crate::{V1, V2, V3};

/// All nodes are in one pool that says this; returns once the operator goes by it.
async fn pool(bench: &Bench, spec: &str) {
    let manifest = format!(
        "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {{name: all}}\nspec: {{{spec}}}\n"
    );
    bench.apply("all.yaml", &manifest).await.unwrap();
    let path = "--output=jsonpath={.metadata.generation} {.status.observedGeneration} {.status.nodes.total}";
    let get = ["get", "updatepool", "all", path];
    let counted = async || {
        let found = bench.plane.kubectl(&get).await?;
        let words: Vec<_> = found.split(' ').collect();
        let known = matches!(words[..], [generation, observed, "1"] if generation == observed);
        Ok(known.then_some(()))
    };
    seen(bench, "the operator to go by the pool", counted).await;
}

/// Nothing was granted, done or rebooted.
fn is_untouched(bench: &Bench, reboots: u32) {
    let view = bench.node("n1").unwrap();
    let found = (
        view.operator.has_slot(),
        bench.site("n1").unwrap().reboots(),
    );
    assert_eq!(found, (false, reboots), "{view:#?}");
}

/// A drain would be the opposite of what was asked for.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_not_to_be_drained_waits_for_its_agent_to_understand_that() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Now, &[Before]).await;
    let operator = both.operator(&bench, Now, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    run(&bench, "web", "n1").await;
    pool(&bench, "drain: {mode: None}").await;
    bench.publish(V2).await.unwrap();
    shows(&bench, "n1", Phase::Waiting, None).await;
    verdict(&bench, &operator, Code::AgentTooOld, 1).await;
    is_untouched(&bench, 0);
    let site = bench.site("n1").unwrap();
    both.replace_agent(site, Now).await;
    settled(&bench, V2).await;
    assert_eq!(evictions(&bench, "web"), 0);
    bench.judge(1).unwrap();
}

/// The agent before does not take away what it does not know of, so what stands on its Node is about another agent.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_agent_announced_counts_no_longer_once_it_went_back() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Now, &[Now]).await;
    let operator = both.operator(&bench, Now, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    pool(&bench, "drain: {mode: None}").await;
    let site = bench.site("n1").unwrap();
    // It goes back with the reboot, as with an image that has the older one.
    both.agents_are(site, Before);
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    bench.publish(V3).await.unwrap();
    shows(&bench, "n1", Phase::Waiting, None).await;
    verdict(&bench, &operator, Code::AgentTooOld, 1).await;
    is_untouched(&bench, 1);
    both.replace_agent(site, Now).await;
    settled(&bench, V3).await;
    bench.judge(1).unwrap();
}

/// An agent that does not know the field does as it says: so it is left out for it, and the node is held by its own agent.
#[tokio::test(flavor = "multi_thread")]
async fn what_must_be_evictable_beforehand_is_with_either_agent() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Now, &[Before]).await;
    let _operator = both.operator(&bench, Now, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    pool(&bench, "drain: {preflight: Require}").await;
    let site = bench.site("n1").unwrap();
    bench.recorder.reset();
    let rounds = [
        (Before, V2, PreflightMode::Inform),
        (Now, V3, PreflightMode::Require),
    ];
    for (index, (agent, version, written)) in rounds.into_iter().enumerate() {
        both.replace_agent(site, agent).await;
        settled(&bench, if index == 0 { V1 } else { V2 }).await;
        run(&bench, "web", "n1").await;
        guard(&bench, "web").await;
        let evicted = evictions(&bench, "web");
        bench.publish(version).await.unwrap();
        let asked = |node: &NodeView| {
            let grant = node.operator.grant.value();
            grant.is_some_and(|grant| grant.drain.preflight == written)
        };
        node(&bench, "n1", "to be granted as it understands", asked).await;
        let code = Code::PreflightBlocked;
        answers(&bench, "n1", Outcome::Refused, Some(code)).await;
        let found = (evictions(&bench, "web"), site.reboots() as usize);
        assert_eq!(found, (evicted, index), "{agent:?}");
        assert!(!bench.node("n1").unwrap().unschedulable, "{agent:?}");
        let_go(&bench, "web").await;
        settled(&bench, version).await;
    }
    bench.judge(1).unwrap();
}

/// The agent before drains whatever it is granted, cordoned or not, so the operator alone holds such a node, and grants it where the pool
/// says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_somebody_cordoned_is_left_alone_or_updated_with_either_agent() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Now, &[Before]).await;
    let operator = both.operator(&bench, Now, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.plane.kubectl(&["cordon", "n1"]).await.unwrap();
    let site = bench.site("n1").unwrap();
    let rounds = [(Before, V2, Cordoned::Hold), (Now, V3, Cordoned::Update)];
    for (index, (agent, version, written)) in rounds.into_iter().enumerate() {
        pool(&bench, "cordoned: Hold").await;
        both.replace_agent(site, agent).await;
        bench.publish(version).await.unwrap();
        let reported = (agent == Now).then_some(Code::CordonedByOther);
        shows(&bench, "n1", Phase::Waiting, reported).await;
        verdict(&bench, &operator, Code::CordonedByOther, 1).await;
        is_untouched(&bench, index as u32);
        // So that the grant is there to be looked at.
        let step = "agent-before-accept";
        site.gate().shut(step).unwrap();
        pool(&bench, "cordoned: Update").await;
        let asked = |node: &NodeView| {
            let grant = node.operator.grant.value();
            grant.is_some_and(|grant| grant.cordoned == written)
        };
        node(&bench, "n1", "to be granted as it understands", asked).await;
        site.gate().open(step).unwrap();
        settled(&bench, version).await;
        assert!(bench.node("n1").unwrap().unschedulable, "{agent:?}");
    }
    bench.judge(1).unwrap();
}

/// An annotation of its own is written to nobody who does not know it.
#[tokio::test(flavor = "multi_thread")]
async fn the_only_node_is_told_so_once_its_agent_understands_that() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Now, &[Before]).await;
    let _operator = both.operator(&bench, Now, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    let view = bench.node("n1").unwrap();
    let found = (view.operator.only_node, view.agent.features);
    assert_eq!(found, (false, Names::default()));
    // A note for operators is, since agents do not read it.
    assert!(matches!(view.operator.granted, Field::Value(noted) if noted.identities.len() == 1));
    both.replace_agent(bench.site("n1").unwrap(), Now).await;
    let reported = |node: &NodeView| {
        let own = Feature::announced(node.kubelet_boot.as_ref());
        node.operator.only_node && node.agent.features == own
    };
    node(&bench, "n1", "to be told that it is the only one", reported).await;
    boots(&bench, "n1", V2).await;
    bench.judge(1).unwrap();
}
