//! Drains as grants say: what is looked at before they begin, how far they go, and what is waited for after them. An administrator writes
//! the grants here, each with a policy of its own.

use anyhow::Context;
use cuo_core::ids::GrantId;
use cuo_core::keys;
use cuo_core::reason::Code;
use cuo_core::selector::Selector;
use cuo_core::time::Time;
use cuo_core::values::{
    Cordoned, DrainPolicy, Grant, OnTimeout, Outcome, Phase, PodChecks, PodMatch, Treatment,
    to_json,
};
use cuo_lab::bench::Bench;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::events::v1::Event;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use serde_json::json;

use crate::deletion::{aged, end, pods, rest_longer, run};
use crate::look::{answers, boots, is_free, node, seen, shows};
use crate::{V2, cluster};

/// Grants what the node asks for, once it does, in place of its last grant.
async fn grant(bench: &Bench, name: &str, seq: u64, change: impl FnOnce(&mut Grant)) {
    shows(bench, name, Phase::Waiting, None).await;
    let view = bench.node(name).unwrap();
    let now = Time::from(Timestamp::now());
    let mut grant = Grant {
        id: GrantId { seq, salt: 7 },
        identity: *view.agent.needed.value().unwrap(),
        boot: view.kubelet_boot.unwrap(),
        issued: now,
        deadline: now.later(SignedDuration::from_secs(60)),
        drain: DrainPolicy {
            timeout_seconds: 5,
            ..DrainPolicy::default()
        },
        pods: PodChecks::default(),
        cordoned: Cordoned::default(),
    };
    change(&mut grant);
    let change = format!("{}={}", keys::REBOOT_OK, to_json(&grant));
    let annotate = ["annotate", "--overwrite", "node", name, &change];
    bench.plane.kubectl(&annotate).await.unwrap();
}

/// Takes the grant back after its answer.
async fn clear(bench: &Bench, name: &str) {
    let change = format!("{}-", keys::REBOOT_OK);
    let annotate = ["annotate", "node", name, &change];
    bench.plane.kubectl(&annotate).await.unwrap();
    node(bench, name, "to be free", is_free).await;
}

/// Waits until the agent says this of its node.
pub async fn says(bench: &Bench, name: &str, code: Code, text: &str) {
    let what = format!("to say {code}: {text}");
    node(bench, name, &what, |node| {
        let reason = node.agent.reason.value();
        reason.is_some_and(|reason| reason.code == code && reason.message.contains(text))
    })
    .await;
}

/// A pod with something in its metadata or spec that is not usual.
pub async fn special(bench: &Bench, name: &str, node: &str, metadata: &str, spec: &str) {
    let manifest = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, namespace: default, labels: {{app: {name}}}{metadata}}}\n\
         spec: {{nodeName: {node}, containers: [{{name: c, image: none}}]{spec}}}\n"
    );
    let file = format!("{name}.yaml");
    bench.apply(&file, &manifest).await.unwrap();
    aged(bench, name).await;
}

/// Waits for an Event of the node's agent that says this.
pub async fn event(bench: &Bench, name: &str, reason: &str, text: &str) {
    let events: Api<Event> = Api::namespaced(bench.plane.admin(), "default");
    let look = async || {
        let own = ListParams::default().fields("reportingController=cuo.coreos.com/cuo-agent");
        let found = events.list(&own).await?;
        let fits = |event: &Event| {
            let about = event.regarding.as_ref();
            about.and_then(|about| about.name.as_deref()) == Some(name)
                && event.reason.as_deref() == Some(reason)
                && event.note.as_deref().unwrap_or_default().contains(text)
        };
        Ok(found.iter().any(fits).then_some(()))
    };
    seen(bench, &format!("an Event {reason} about {name}"), look).await;
}

/// Pods that the policy wants to keep, and one that holds reboots up: the grant is refused, nothing is cordoned, and once they are gone
/// the next one is used.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_policy_keeps_is_found_before_the_node_is_cordoned() {
    let (_folder, bench) = cluster(1).await;
    special(&bench, "bare", "n1", "", "").await;
    let volumes = ", volumes: [{name: v, emptyDir: {}}]";
    let owner = ", ownerReferences: [{apiVersion: example.com/v1, kind: Thing, name: t, uid: t, controller: true}]";
    special(&bench, "scratch", "n1", owner, volumes).await;
    bench.start_agents().await.unwrap();
    bench.publish(V2).await.unwrap();

    let refused = async |code, text: &str| {
        says(&bench, "n1", code, text).await;
        answers(&bench, "n1", Outcome::Refused, Some(code)).await;
        shows(&bench, "n1", Phase::Held, Some(code)).await;
        assert!(!bench.node("n1").unwrap().unschedulable);
        event(&bench, "n1", code.as_str(), text).await;
    };
    grant(&bench, "n1", 1, |grant| {
        grant.drain.unmanaged = Treatment::Block;
    })
    .await;
    let code = Code::PreflightBlocked;
    refused(code, "default/bare: it has no controller").await;
    grant(&bench, "n1", 2, |grant| {
        grant.drain.empty_dir = Treatment::Block;
    })
    .await;
    refused(code, "default/scratch: its emptyDir volume").await;
    grant(&bench, "n1", 3, |grant| {
        let selector = Selector {
            match_labels: [("app".to_owned(), "bare".to_owned())].into(),
            ..Selector::default()
        };
        let namespace = None;
        grant.pods.blocking = vec![PodMatch {
            namespace,
            selector,
        }];
    })
    .await;
    refused(Code::BlockingPod, "default/bare").await;

    // Left where it is: only the other has to leave.
    grant(&bench, "n1", 4, |grant| {
        grant.drain.pod_selector.match_labels = [("app".to_owned(), "scratch".to_owned())].into();
        grant.drain.unmanaged = Treatment::Block;
    })
    .await;
    answers(&bench, "n1", Outcome::Done, None).await;
    boots(&bench, "n1", V2).await;
    let there = pods(&bench).list(&ListParams::default()).await.unwrap();
    let names: Vec<_> = there
        .iter()
        .map(|pod| pod.metadata.name.as_deref())
        .collect();
    assert_eq!(names, [Some("bare")]);
    clear(&bench, "n1").await;
    bench.judge(1).unwrap();
}

/// Four nodes, each with a pod that does not leave in time.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_as_far_as_its_policy_says() {
    let (_folder, bench) = cluster(4).await;
    let finalizer = ", finalizers: [example.com/stay]";
    special(&bench, "held1", "n1", finalizer, "").await;
    run(&bench, "guarded", "n2", "0s").await;
    run(&bench, "slow", "n3", "1h").await;
    special(&bench, "held4", "n4", finalizer, "").await;
    rest_longer(bench.site("n1").unwrap()).await;
    bench.start_agents().await.unwrap();
    // A budget without any room, from the beginning.
    let budget = "apiVersion: policy/v1\nkind: PodDisruptionBudget\nmetadata: {name: guard, namespace: default}\n\
                  spec: {minAvailable: 1, selector: {matchLabels: {app: guarded}}}\n";
    bench.apply("guard.yaml", budget).await.unwrap();
    let counted = async || {
        let status = [
            "get",
            "pdb",
            "guard",
            "-o",
            "jsonpath={.status.currentHealthy}",
        ];
        Ok((bench.plane.kubectl(&status).await? == "1").then_some(()))
    };
    seen(&bench, "the budget to be counted", counted).await;
    let old = pods(&bench).get("guarded").await.unwrap().metadata.uid;
    bench.publish(V2).await.unwrap();
    grant(&bench, "n2", 2, |grant| {
        grant.drain.on_timeout = OnTimeout::Delete;
    })
    .await;
    grant(&bench, "n1", 1, |_| {}).await;
    grant(&bench, "n3", 3, |grant| {
        grant.drain.on_timeout = OnTimeout::Force;
    })
    .await;
    grant(&bench, "n4", 4, |grant| {
        grant.drain.on_timeout = OnTimeout::Force;
    })
    .await;

    // Whatever its budget says, once the time is over.
    answers(&bench, "n2", Outcome::Done, None).await;
    event(
        &bench,
        "n2",
        "Draining",
        "default/guarded: Cannot evict pod",
    )
    .await;
    event(&bench, "n2", "Drained", "").await;
    let now = pods(&bench).get_opt("guarded").await.unwrap();
    assert_ne!(now.and_then(|pod| pod.metadata.uid), old);

    // Given up; the containers have ended, and somebody is not done with the pod.
    let code = Code::DrainBlocked;
    answers(&bench, "n1", Outcome::Aborted, Some(code)).await;
    let why = "default/held1 has ended and is held by example.com/stay";
    says(&bench, "n1", code, why).await;
    event(&bench, "n1", code.as_str(), why).await;
    assert!(!bench.node("n1").unwrap().unschedulable);
    assert_eq!(bench.site("n1").unwrap().reboots(), 0);

    // Killed; and what even that does not remove is left behind.
    answers(&bench, "n3", Outcome::Done, None).await;
    assert!(pods(&bench).get_opt("slow").await.unwrap().is_none());
    answers(&bench, "n4", Outcome::Done, None).await;
    assert!(pods(&bench).get_opt("held4").await.unwrap().is_some());

    // The finalizer goes: the next drain is over at once.
    for name in ["held1", "held4"] {
        let none = Patch::Merge(json!({"metadata": {"finalizers": null}}));
        let parameters = PatchParams::default();
        pods(&bench).patch(name, &parameters, &none).await.unwrap();
    }
    clear(&bench, "n1").await;
    grant(&bench, "n1", 5, |_| {}).await;
    answers(&bench, "n1", Outcome::Done, None).await;
    bench.judge(4).unwrap();
}

/// A DaemonSet with a volume of its own, which is bound already: nobody in the lab binds volumes.
const LOGS: &str = "
apiVersion: v1
kind: PersistentVolume
metadata: {name: logs}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  storageClassName: \"\"
  claimRef: {namespace: default, name: logs}
  csi: {driver: csi.example.com, volumeHandle: logs}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: logs, namespace: default, annotations: {pv.kubernetes.io/bind-completed: \"yes\"}}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: \"\"
  volumeName: logs
  resources: {requests: {storage: 1Gi}}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: logs, namespace: default}
spec:
  selector: {matchLabels: {app: logs}}
  template:
    metadata: {labels: {app: logs}}
    spec:
      containers: [{name: logs, image: none}]
      volumes: [{name: v, persistentVolumeClaim: {claimName: logs}}]
";

/// The kubelet says which volumes are in use.
async fn uses(bench: &Bench, volumes: &[&str]) {
    let volumes: Vec<_> = volumes
        .iter()
        .map(|name| format!("kubernetes.io/csi/csi.example.com^{name}"))
        .collect();
    let patch = json!({"status": {"volumesInUse": volumes}}).to_string();
    let patch = ["patch", "node", "n1", "--subresource=status", "-p", &patch];
    bench.plane.kubectl(&patch).await.unwrap();
}

/// The window closes while the drain is on, the agent is killed in the middle, the volume of a pod that left takes its time, and the pool
/// wants a delay.
#[tokio::test(flavor = "multi_thread")]
async fn a_drain_goes_on_to_its_end_and_waits_for_volumes_and_its_delay() {
    let (_folder, bench) = cluster(1).await;
    let site = bench.site("n1").unwrap();
    bench.apply("logs.yaml", LOGS).await.unwrap();
    let daemon = async || {
        let own = ListParams::default().labels("app=logs");
        let pods: Vec<Pod> = pods(&bench).list(&own).await?.items;
        let status = pods.into_iter().next().context("a pod")?.status;
        let phase = status.and_then(|status| status.phase);
        Ok((phase.as_deref() == Some("Running")).then_some(()))
    };
    seen(&bench, "the DaemonSet's pod to run", daemon).await;
    uses(&bench, &["logs", "pages"]).await;
    run(&bench, "slow", "n1", "1h").await;
    bench.start_agents().await.unwrap();
    bench.publish(V2).await.unwrap();
    grant(&bench, "n1", 1, |grant| {
        let now = Time::from(Timestamp::now());
        grant.deadline = now.later(SignedDuration::from_secs(15));
        grant.drain.timeout_seconds = 300;
        grant.drain.delay_seconds = 3;
        grant.pods.daemon_sets_ready = true;
    })
    .await;
    says(&bench, "n1", Code::Draining, "default/slow is ending").await;
    event(&bench, "n1", "Draining", "drains the node").await;
    site.kill_agent().await.unwrap();
    let deadline = bench.node("n1").unwrap().operator.grant;
    let deadline = deadline.value().unwrap().deadline;
    let closed = async || Ok((Time::from(Timestamp::now()) > deadline).then_some(()));
    seen(&bench, "the end of the window", closed).await;
    end(&bench, "slow").await;
    site.start_agent().await.unwrap();

    says(&bench, "n1", Code::VolumesInUse, "csi.example.com^pages").await;
    assert_eq!(site.reboots(), 0);
    uses(&bench, &["logs"]).await;
    says(&bench, "n1", Code::DrainDelay, "the reboot comes at").await;
    answers(&bench, "n1", Outcome::Done, None).await;
    boots(&bench, "n1", V2).await;
    event(&bench, "n1", "Drained", "the drain is over").await;
    clear(&bench, "n1").await;
    bench.judge(1).unwrap();
}
