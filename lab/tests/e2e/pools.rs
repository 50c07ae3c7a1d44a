//! A pool's policy on its way to the pods of its nodes: from the resource by the operator into the grant, and carried out by the agent.

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::OnTimeout;
use cuo_lab::bench::OperatorSpec;

use crate::deletion::pods;
use crate::drain::{says, special};
use crate::look::{boots, node, seen, served, settled};
use crate::{V1, V2, V3, cluster};

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

/// As with a role of the release before: gates can't be read, and no pool names one. Once one does, nothing is granted until they can be.
#[tokio::test(flavor = "multi_thread")]
async fn gates_that_can_not_be_read_matter_where_a_pool_names_one() {
    let (_folder, bench) = cluster(1).await;
    let may_read = async |resources: &str| {
        let patch =
            format!(r#"[{{"op": "replace", "path": "/rules/1/resources", "value": {resources}}}]"#);
        let role = ["patch", "clusterrole", "cuo-operator", "--type=json", "-p"];
        let arguments: Vec<_> = role.into_iter().chain([patch.as_str()]).collect();
        bench.plane.kubectl(&arguments).await.unwrap();
    };
    may_read(r#"["updatepools", "updatepauses"]"#).await;
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    let log = || std::fs::read_to_string(operator.log()).unwrap();
    assert!(log().contains("the gates can't be watched"), "{}", log());

    let gated = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {name: all}\nspec: {gates: [quiet]}\n";
    bench.apply("all.yaml", gated).await.unwrap();
    let open = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdateGate\nmetadata: {name: quiet}\nspec: {open: true}\n";
    bench.apply("quiet.yaml", open).await.unwrap();
    let unready = async || {
        let ready = served(operator.address(), "/readyz").await?;
        Ok(ready.contains("the gates can't be watched").then_some(()))
    };
    seen(&bench, "the operator to wait for the gates", unready).await;
    bench.publish(V3).await.unwrap();
    node(&bench, "n1", "to wait", |node| {
        node.agent.needed_version.as_deref() == Some(V3)
    })
    .await;
    may_read(r#"["updatepools", "updatepauses", "updategates"]"#).await;
    settled(&bench, V3).await;
    bench.judge(1).unwrap();
}
