//! Updates of agents of both releases under one operator.

use cuo_core::features::Feature;
use cuo_core::reason::Code;
use cuo_core::values::Names;

use crate::look::{settled, verdict};
use crate::releases::{Before, Both, Now, Release};
use crate::{V1, V2};

/// A pool without anything that the release before this one did not have.
const POOL: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {maxUnavailable: 1, drain: {timeout: 5m}}
";

/// A node's agent before and after its reboot: one that stays what it is, and one that comes or goes with what the host boots.
const AGENTS: [(Release, Release); 4] =
    [(Before, Before), (Now, Now), (Before, Now), (Now, Before)];

async fn all_are_updated(manifest: Release, operator: Release) {
    let Some(both) = Both::find().await else {
        return;
    };
    let first = AGENTS.map(|(first, _)| first);
    let (_folder, bench) = both.cluster(manifest, &first).await;
    bench.apply("all.yaml", POOL).await.unwrap();
    let operator = both.operator(&bench, operator, "operator").await;
    bench.start_agents().await.unwrap();
    settled(&bench, V1).await;
    verdict(&bench, &operator, Code::UpToDate, AGENTS.len()).await;
    for (site, (_, second)) in bench.sites().zip(AGENTS) {
        both.agents_are(site, second);
    }
    for (number, (first, _)) in (1..).zip(AGENTS) {
        let view = bench.node(&format!("n{number}")).unwrap();
        let expected = match first {
            Before => Names::default(),
            Now => Feature::announced(view.kubelet_boot.as_ref()),
        };
        assert_eq!(view.agent.features, expected, "n{number}");
    }
    bench.recorder.reset();
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    verdict(&bench, &operator, Code::UpToDate, AGENTS.len()).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_down(), 1);
    let reboots: Vec<_> = bench.sites().map(|site| site.reboots()).collect();
    let grants: Vec<_> = bench.recorder.grants().into_values().collect();
    assert_eq!((reboots, grants), (vec![1; 4], vec![1; 4]));
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_both_releases_are_updated_by_this_operator() {
    all_are_updated(Now, Now).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_both_releases_are_updated_by_the_operator_before() {
    all_are_updated(Before, Before).await;
}

/// What is applied is there before the new operator runs, and stays where only the operator goes back.
#[tokio::test(flavor = "multi_thread")]
async fn the_operator_before_goes_on_with_what_this_one_is_deployed_with() {
    all_are_updated(Now, Before).await;
}
