//! Clusters of one node and of two, each with the pool that is documented for it.

use std::fs;
use std::path::Path;

use cuo_core::reason::Code;
use cuo_core::values::{Outcome, Phase};
use cuo_lab::bench::{Bench, OperatorSpec};
use kube::api::ListParams;
use serde_json::json;

use crate::deletion::{pods, rest_longer};
use crate::evict::{all_run, evictions, guard};
use crate::look::{answers, no_slot, seen, settled, shows};
use crate::{V1, V2, cluster, doctor};

/// One pod that has a budget: with one node it has nowhere to go, with two its budget is in the way.
const MESH: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: mesh, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: mesh}}
  template:
    metadata: {labels: {app: mesh}}
    spec: {containers: [{name: c, image: none}]}
";

/// Applies the documented pool. No time-out is waited for in earnest.
async fn example(bench: &Bench, name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/examples");
    let text = fs::read_to_string(path.join(format!("{name}.yaml"))).unwrap();
    let quick = text.lines().map(|line| match line.split_once("timeout: ") {
        Some((indent, _)) if indent.trim().is_empty() => format!("{indent}timeout: 5s\n"),
        _ => format!("{line}\n"),
    });
    let quick: String = quick.collect();
    bench.apply(&format!("{name}.yaml"), &quick).await.unwrap();
}

async fn mesh(bench: &Bench) -> Vec<Option<String>> {
    let (pods, own) = (pods(bench), ListParams::default().labels("app=mesh"));
    let found = pods.list(&own).await.unwrap();
    found.iter().map(|pod| pod.metadata.uid.clone()).collect()
}

/// People are told why it can't work as it is, and what does.
#[tokio::test(flavor = "multi_thread")]
async fn a_single_node_is_told_of_and_updated_by_its_documented_pool() {
    let (_folder, bench) = cluster(1).await;
    let n1 = bench.site("n1").unwrap();
    rest_longer(n1).await;
    bench.apply("mesh.yaml", MESH).await.unwrap();
    all_run(&bench, "mesh", 1).await;
    guard(&bench, "mesh").await;
    let before = mesh(&bench).await;
    let pool = "apiVersion: cuo.coreos.com/v1alpha1\nkind: UpdatePool\nmetadata: {name: all}\nspec: {drain: {timeout: 5s}}\n";
    bench.apply("all.yaml", pool).await.unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;

    bench.publish(V2).await.unwrap();
    let blocked = Some(Code::DrainBlocked);
    answers(&bench, "n1", Outcome::Aborted, blocked).await;
    shows(&bench, "n1", Phase::Held, blocked).await;
    let condition =
        "--output=jsonpath={.status.conditions[?(@.type=='Drainable')]['status','reason']}";
    let get = ["get", "updatepool", "all", condition];
    let reported =
        async || Ok((bench.plane.kubectl(&get).await? == "False OnlyNode").then_some(()));
    seen(&bench, "the pool to tell of its only node", reported).await;
    let checks = doctor::checks(&bench, None).await;
    let node = checks
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row[0] == "Node");
    let found = "n1 is Ready, and the only node that takes pods: those with a disruption budget do not leave it, and `drain.mode: None` in its pool updates it without a drain";
    assert_eq!(node, Some(&json!(["Node", "ok", found, null])));
    assert_eq!((n1.reboots(), mesh(&bench).await), (0, before.clone()));

    let delete = ["delete", "updatepool", "all"];
    bench.plane.kubectl(&delete).await.unwrap();
    let (asked, _) = evictions(&bench, "n1", "mesh");
    example(&bench, "one-node").await;
    settled(&bench, V2).await;
    no_slot(&bench).await;
    assert_eq!((n1.reboots(), mesh(&bench).await), (1, before));
    assert_eq!(
        evictions(&bench, "n1", "mesh").0,
        asked,
        "nothing was evicted"
    );
    assert!(!bench.node("n1").unwrap().unschedulable);
    bench.judge(1).unwrap();
}

/// What leaves the one finds its place on the other, and what does not is not waited for without end.
#[tokio::test(flavor = "multi_thread")]
async fn two_nodes_are_updated_by_their_documented_pool() {
    let (_folder, bench) = cluster(2).await;
    bench.apply("mesh.yaml", MESH).await.unwrap();
    all_run(&bench, "mesh", 1).await;
    guard(&bench, "mesh").await;
    example(&bench, "two-nodes").await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.recorder.reset();

    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    no_slot(&bench).await;
    all_run(&bench, "mesh", 1).await;
    let reboots = ["n1", "n2"].map(|name| bench.site(name).unwrap().reboots());
    assert_eq!((reboots, bench.recorder.most_down()), ([1, 1], 1));
    bench.judge(1).unwrap();
}
