//! Drains of clusters as they are out there: what other people's software does when a node is cordoned and pods are evicted. Each is what
//! `kubectl drain` gets through, which is tried beside it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_lab::bench::{Bench, OperatorSpec};
use cuo_lab::cluster::webhook::{Review, Verdict, Webhook};
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::deletion::{pods, run};
use crate::drain::event;
use crate::look::{node, seen, settled};
use crate::{V1, V2, cluster};

/// The control: `kubectl drain` gets the pods off the node. It is uncordoned again.
async fn kubectl_drains(bench: &Bench, name: &str) {
    let drain = [
        "drain",
        name,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--force",
        "--timeout=50s",
    ];
    bench.plane.kubectl(&drain).await.unwrap();
    bench.plane.kubectl(&["uncordon", name]).await.unwrap();
}

/// A budget without any room for the pods `app`, which is counted.
pub async fn guard(bench: &Bench, app: &str) {
    let manifest = format!(
        "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {{name: {app}, namespace: default}}\n\
         spec: {{minAvailable: 1, selector: {{matchLabels: {{app: {app}}}}}}}\n"
    );
    bench
        .apply(&format!("{app}-budget.yaml"), &manifest)
        .await
        .unwrap();
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(bench.plane.admin(), "default");
    let counted = async || {
        let status = budgets.get(app).await?.status.unwrap_or_default();
        Ok((status.current_healthy == Some(1)).then_some(()))
    };
    seen(bench, "the budget to be counted", counted).await;
}

/// Ends with the test.
struct Aside(JoinHandle<()>);

impl Drop for Aside {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The operator of a store or a database: it takes the budget away some seconds after the node was cordoned.
fn gives_way(client: Client, node: &'static str, budget: &'static str) -> Aside {
    let nodes: Api<Node> = Api::all(client.clone());
    let budgets: Api<PodDisruptionBudget> = Api::namespaced(client, "default");
    Aside(tokio::spawn(async move {
        let mut known = false;
        loop {
            sleep(Duration::from_millis(100)).await;
            let Ok(found) = nodes.get(node).await else {
                continue;
            };
            let cordoned = found.spec.and_then(|spec| spec.unschedulable) == Some(true);
            if cordoned && !known {
                sleep(Duration::from_secs(5)).await;
                drop(budgets.delete(budget, &DeleteParams::default()).await);
            }
            known = cordoned;
        }
    }))
}

/// A webhook that is asked about each eviction for as long as `seconds`. What nobody answers by then is allowed where `failure` says so.
fn of_evictions(webhook: &Webhook, seconds: u32, failure: &str) -> String {
    let all = json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": "evictions"},
        "webhooks": [{
            "name": "evictions.example.com",
            "clientConfig": webhook.client(),
            "rules": [{"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods/eviction"]}],
            "sideEffects": "NoneOnDryRun",
            "timeoutSeconds": seconds,
            "failurePolicy": failure,
            "admissionReviewVersions": ["v1"],
        }],
    });
    all.to_string()
}

/// How often each pod was evicted, and how often that was only asked.
pub fn evictions(bench: &Bench, node: &str, pods: &str) -> (usize, usize) {
    let (calls, _) = bench.plane.calls_since(0).unwrap();
    let user = format!("system:node:{node}");
    let own = calls.iter().filter(|call| {
        call.user == user && call.subresource == "eviction" && call.name.starts_with(pods)
    });
    let (dry, real): (Vec<_>, Vec<_>) = own.partition(|call| call.uri.contains("dryRun=All"));
    (real.len(), dry.len())
}

/// Longhorn's instance managers, the primaries of CloudNativePG: the budget has no room before the node is cordoned.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_that_gives_way_to_a_cordon_only_delays_the_drain() {
    let (_folder, bench) = cluster(1).await;
    let _owner = gives_way(bench.plane.admin(), "n1", "db");
    run(&bench, "db", "n1", "0s").await;
    guard(&bench, "db").await;
    kubectl_drains(&bench, "n1").await;

    run(&bench, "db", "n1", "0s").await;
    guard(&bench, "db").await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    event(
        &bench,
        "n1",
        "PreflightBlocked",
        "default/db: Cannot evict pod",
    )
    .await;
    bench.judge(1).unwrap();
}

/// KubeVirt's live migration, Strimzi's drain cleaner: an eviction is refused, and the pod goes all the same, because somebody asked in
/// earnest.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_refuses_and_moves_the_pod_by_itself_is_waited_for() {
    let (_folder, bench) = cluster(1).await;
    let client = bench.plane.admin();
    let moved = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&moved);
    let webhook = Webhook::start(&bench.plane, move |review: Review| {
        let (client, seen) = (client.clone(), Arc::clone(&seen));
        async move {
            let pods: Api<Pod> = Api::namespaced(client, "default");
            if let Ok(None) = pods.get_opt(&review.name).await {
                return Verdict::Allow;
            }
            let mut seen = seen.lock().unwrap();
            if !review.dry && review.name == "vm" {
                seen.push(review.user);
                tokio::spawn(async move {
                    sleep(Duration::from_secs(3)).await;
                    // Asked twice, it finds nothing the second time.
                    let at_once = DeleteParams::default().grace_period(0);
                    drop(pods.delete("vm", &at_once).await);
                });
            }
            Verdict::Deny(429, "a migration of default/vm has been started".into())
        }
    })
    .await
    .unwrap();
    bench
        .apply("webhook.yaml", &of_evictions(&webhook, 10, "Ignore"))
        .await
        .unwrap();
    run(&bench, "vm", "n1", "0s").await;
    kubectl_drains(&bench, "n1").await;

    run(&bench, "vm", "n1", "0s").await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    let by = moved.lock().unwrap().clone();
    assert!(by.contains(&"system:node:n1".to_owned()), "{by:?}");
    assert_eq!(evictions(&bench, "n1", "vm").1, 1, "asked once");
    bench.judge(1).unwrap();
}

/// Nobody answers the API server, which goes on without the webhook after ten seconds.
#[tokio::test(flavor = "multi_thread")]
async fn many_pods_behind_a_silent_webhook_leave_slowly_and_people_are_told_why() {
    const PODS: usize = 60;
    let (_folder, bench) = cluster(1).await;
    let webhook = Webhook::start(&bench.plane, |_| std::future::pending())
        .await
        .unwrap();
    bench
        .apply("webhook.yaml", &of_evictions(&webhook, 10, "Ignore"))
        .await
        .unwrap();
    let many: Vec<_> = (0..PODS)
        .map(|number| {
            format!(
                "apiVersion: v1\nkind: Pod\nmetadata: {{name: many-{number}, namespace: default}}\n\
                 spec: {{nodeName: n1, containers: [{{name: c, image: none}}]}}\n"
            )
        })
        .collect();
    bench.apply("many.yaml", &many.join("---\n")).await.unwrap();
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    let reported = |code: Code, text: &'static str| {
        move |node: &NodeView| {
            let reason = node.agent.reason.value();
            reason.is_some_and(|reason| reason.code == code && reason.message.contains(text))
        }
    };
    node(
        &bench,
        "n1",
        "to be asked about",
        reported(Code::Preflight, ""),
    )
    .await;
    let why = "the API server has yet to answer";
    node(&bench, "n1", "to be drained", reported(Code::Draining, why)).await;
    settled(&bench, V2).await;
    let (evictions, questions) = evictions(&bench, "n1", "many-");
    assert_eq!(questions, PODS);
    // One whose answer does not come in time, as on a slow machine, is made again.
    assert!((PODS..2 * PODS).contains(&evictions), "{evictions}");
    bench.judge(1).unwrap();
}

/// cilium-operator, tigera-operator, tetragon: what is evicted comes back to the cordoned node at once.
#[tokio::test(flavor = "multi_thread")]
async fn pods_that_come_back_to_a_cordoned_node_stay_there() {
    let (_folder, bench) = cluster(1).await;
    let everywhere = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: everywhere, namespace: default}
spec:
  replicas: 2
  selector: {matchLabels: {app: everywhere}}
  template:
    metadata: {labels: {app: everywhere}}
    spec:
      tolerations: [{operator: Exists}]
      containers: [{name: c, image: none}]
";
    bench.apply("everywhere.yaml", everywhere).await.unwrap();
    all_run(&bench, "everywhere", 2).await;
    kubectl_drains(&bench, "n1").await;
    all_run(&bench, "everywhere", 2).await;

    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    event(&bench, "n1", "Drained", "came after the cordon and stay").await;
    let log = bench.site("n1").unwrap().agent_log(400).await;
    assert!(log.contains("came after the cordon and stay"), "{log}");
    let (real, _) = evictions(&bench, "n1", "everywhere");
    assert!(real <= 4, "{real} evictions");
    bench.judge(1).unwrap();
}

/// The pod of another upgrade controller's job: it is recreated on its node for as long as it fails.
#[tokio::test(flavor = "multi_thread")]
async fn the_pods_of_a_job_for_the_cordoned_node_are_not_evicted_again_and_again() {
    let (_folder, bench) = cluster(2).await;
    let job = "
apiVersion: batch/v1
kind: Job
metadata: {name: upgrade, namespace: default}
spec:
  backoffLimit: 99
  template:
    metadata: {labels: {app: upgrade}}
    spec:
      restartPolicy: Never
      nodeSelector: {kubernetes.io/hostname: n1}
      tolerations: [{key: node.kubernetes.io/unschedulable, operator: Exists, effect: NoSchedule}]
      containers: [{name: c, image: none}]
";
    bench.apply("job.yaml", job).await.unwrap();
    all_run(&bench, "upgrade", 1).await;
    bench.start_agents().await.unwrap();
    let _operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    bench.publish(V2).await.unwrap();
    settled(&bench, V2).await;
    let (real, _) = evictions(&bench, "n1", "upgrade");
    assert!((1..=2).contains(&real), "{real} evictions");
    bench.judge(1).unwrap();
}

/// So many pods of `app` run, and none of them is about to end.
pub async fn all_run(bench: &Bench, app: &str, count: usize) {
    let own = ListParams::default().labels(&format!("app={app}"));
    let all = async || {
        let found = pods(bench).list(&own).await?;
        let runs = found.iter().filter(|pod| {
            let phase = pod
                .status
                .as_ref()
                .and_then(|status| status.phase.as_deref());
            pod.metadata.deletion_timestamp.is_none() && phase == Some("Running")
        });
        Ok((runs.count() == count).then_some(()))
    };
    seen(bench, &format!("{count} pods of {app}"), all).await;
}
