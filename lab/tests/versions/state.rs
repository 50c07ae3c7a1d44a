//! The agent is upgraded, or goes back, in the middle of an update, and finds the state file of the other release.

use std::collections::BTreeMap;

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::Bench;
use cuo_lab::machine::Reboot;

use crate::look::{held, node, settled, shows};
use crate::pods::run;
use crate::releases::{Before, Both, Now, Release};
use crate::{V1, V2, V3, update};

/// Where the agent is ended: staged and granted, accepted, cordoned, about to evict, about to reboot, and twice in the next boot. An odd
/// number, so that it is the other way round at each with the other one as the first.
const STEPS: [&str; 7] = [
    "agent-before-accept",
    "agent-after-accept",
    "agent-after-cordon",
    "agent-before-evict",
    "agent-before-finalize",
    "agent-before-verifying",
    "agent-before-release",
];

/// The agent took the state file of another one for what it is.
async fn read_its_state(bench: &Bench) {
    let machine = bench.site("n1").unwrap().machine.lock().await;
    let folder = machine.root().join("var/lib/cuo-agent");
    let found = [folder.join("state.json"), folder.join("state.json.broken")];
    assert_eq!(found.map(|path| path.exists()), [true, false]);
}

/// At each step the other release takes over from the agent, and brings the very grant that it finds to its end.
async fn taken_over_at_each_step(first: Release) {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Now, &[first]).await;
    let site = bench.site("n1").unwrap();
    let _operator = both.operator(&bench, Now, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    for (index, step) in STEPS.into_iter().enumerate() {
        run(&bench, "web", "n1").await;
        site.gate().shut(step).unwrap();
        bench.publish(&update(index)).await.unwrap();
        held(&bench, "n1", step).await;
        site.kill_agent().await.unwrap();
        site.gate().open(step).unwrap();
        both.replace_agent(site, first.at(index + 1)).await;
        settled(&bench, &update(index)).await;
        read_its_state(&bench).await;
        let grants = BTreeMap::from([("n1".to_owned(), index as u64 + 1)]);
        assert_eq!(bench.recorder.grants(), grants, "{step}");
        assert_eq!(site.reboots() as usize, index + 1, "{step}");
    }
    bench.judge(1).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn this_agent_takes_over_from_the_one_before_and_gives_back() {
    taken_over_at_each_step(Before).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_agent_before_takes_over_from_this_one_and_gives_back() {
    taken_over_at_each_step(Now).await;
}

/// What only this release keeps is in the file: a step back by an administrator, which the one before takes no notice of.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_agent_before_does_not_know_is_no_obstacle_for_it() {
    let Some(both) = Both::find().await else {
        return;
    };
    let (_folder, bench) = both.cluster(Now, &[Now]).await;
    let site = bench.site("n1").unwrap();
    let mut operator = both.operator(&bench, Now, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    operator.terminate().await.unwrap();

    site.machine.lock().await.admin_rollback().await.unwrap();
    site.reboot(Reboot::Clean).await.unwrap();
    let left = |node: &NodeView| {
        let reason = node.agent.reason.value();
        reason.is_some_and(|reason| reason.code == Code::IdentityFailed)
    };
    node(&bench, "n1", "to hold what was left", left).await;
    let state = async || {
        let machine = site.machine.lock().await;
        let path = machine.root().join("var/lib/cuo-agent/state.json");
        std::fs::read_to_string(path).unwrap()
    };
    assert!(state().await.contains("\"beyond\""), "{}", state().await);
    both.replace_agent(site, Before).await;
    shows(&bench, "n1", Phase::Waiting, None).await;
    read_its_state(&bench).await;
    // It had nothing to write, so what it did not know is still there.
    both.replace_agent(site, Now).await;
    node(&bench, "n1", "to hold what was left again", left).await;
    let _operator = both.operator(&bench, Now, "next").await;
    bench.publish(V3).await.unwrap();
    settled(&bench, V3).await;
    read_its_state(&bench).await;
    bench.judge(1).unwrap();
}
