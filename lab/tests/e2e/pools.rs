//! A pool's policy on its way to the pods of its nodes: from the resource by the operator into the grant, and carried out by the agent.

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::OnTimeout;
use cuo_lab::bench::OperatorSpec;

use crate::deletion::pods;
use crate::drain::{says, special};
use crate::look::{boots, node, seen, settled};
use crate::{V1, V2, cluster};

const EDGE: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: edge}
spec:
  nodeSelector: {matchLabels: {pool: edge}}
  checks:
    blockingPods: [{namespace: default, labelSelector: {matchLabels: {app: busy}}}]
    daemonSetsReady: true
  drain: {timeout: 5s, onTimeout: Force}
";

/// One node in a pool of its own, and one in none: each goes by its own policy.
#[tokio::test(flavor = "multi_thread")]
async fn a_pools_policy_reaches_the_pods_of_its_nodes_and_no_others() {
    let (_folder, bench) = cluster(2).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.apply("edge.yaml", EDGE).await.unwrap();
    let label = ["label", "node", "n1", "pool=edge"];
    bench.plane.kubectl(&label).await.unwrap();
    let counted = async |field: &str, wanted: &str| {
        let path = format!("jsonpath={{.status.nodes.{field}}}");
        let count = async || {
            let get = ["get", "updatepool", "edge", "--output", &path];
            Ok((bench.plane.kubectl(&get).await? == wanted).then_some(()))
        };
        seen(
            &bench,
            &format!("{wanted} of the pool's nodes {field}"),
            count,
        )
        .await;
    };
    counted("total", "1").await;

    special(&bench, "busy", "n1", "", "").await;
    let finalizer = ", finalizers: [example.com/stay]";
    special(&bench, "stuck", "n1", finalizer, "").await;
    bench.publish(V2).await.unwrap();
    says(&bench, "n1", Code::BlockingPod, "default/busy").await;
    boots(&bench, "n2", V2).await;
    assert_eq!(bench.site("n1").unwrap().reboots(), 0);

    let go = ["delete", "pod", "busy", "--grace-period=0", "--force"];
    bench.plane.kubectl(&go).await.unwrap();
    let granted = |view: &NodeView| {
        let grant = view.operator.grant.value();
        grant.is_some_and(|grant| {
            grant.drain.on_timeout == OnTimeout::Force
                && grant.drain.timeout_seconds == 5
                && grant.pods.daemon_sets_ready
        })
    };
    node(&bench, "n1", "to be granted as its pool says", granted).await;
    // What a finalizer holds is left behind in the end, as the pool allows it.
    settled(&bench, V2).await;
    assert!(pods(&bench).get_opt("stuck").await.unwrap().is_some());
    counted("upToDate", "1").await;
    bench.judge(2).unwrap();
}
