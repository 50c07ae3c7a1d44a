//! Nodes of the control plane: one at a time whatever pools allow, after all others, and each only while the rest is whole.

use std::sync::Arc;

use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_core::values::Phase;
use cuo_lab::bench::{Bench, OperatorSpec, SiteSpec};
use cuo_lab::machine::HostSpec;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::sync::watch;

use crate::deletion::pool_seen;
use crate::drain::says;
use crate::look::{boots, metrics, node, seen, settled, shows};
use crate::{V1, V2, cluster, start};

/// What an administrator of three control-plane nodes applies: so many of all nodes may be out of service.
const POOL: &str = "
apiVersion: cuo.coreos.com/v1alpha1
kind: UpdatePool
metadata: {name: all}
spec: {maxUnavailable: 3}
";

/// The kubelet of `node` shows a static pod, as kubeadm has them.
async fn static_pod(bench: &Bench, node: &str, component: &str) {
    let uid = ["get", "node", node, "--output=jsonpath={.metadata.uid}"];
    let uid = bench.plane.kubectl(&uid).await.unwrap();
    let manifest = format!(
        "apiVersion: v1
kind: Pod
metadata:
  name: {component}-{node}
  namespace: kube-system
  labels: {{component: {component}, tier: control-plane}}
  annotations: {{kubernetes.io/config.mirror: x, kubernetes.io/config.source: file}}
  ownerReferences: [{{apiVersion: v1, kind: Node, name: {node}, uid: {uid}, controller: true}}]
spec:
  nodeName: {node}
  hostNetwork: true
  priorityClassName: system-node-critical
  tolerations: [{{operator: Exists, effect: NoExecute}}]
  containers: [{{name: {component}, image: none}}]
"
    );
    let file = bench.folder().join(format!("{component}-{node}.yaml"));
    std::fs::write(&file, manifest).unwrap();
    let kubeconfig = bench
        .folder()
        .join(format!("plane/kubelets/{node}/kubeconfig"));
    let [file, kubeconfig] = [file, kubeconfig].map(|path| path.display().to_string());
    let create = ["create", "--kubeconfig", &kubeconfig, "--filename", &file];
    bench.plane.kubectl(&create).await.unwrap();
}

/// A host comes back at once and its etcd does not: quorum is what the others have, so none of them goes meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn three_control_plane_nodes_go_one_after_the_other_and_only_while_all_members_are_ready() {
    let names = ["n1", "n2", "n3"];
    let sites = names.map(|name| SiteSpec {
        control_plane: true,
        ..SiteSpec::worker(name, HostSpec::ostree(V1))
    });
    let (_folder, bench) = start(sites.into()).await;
    let (ready, wanted) = watch::channel(true);
    for name in names {
        let wanted = wanted.clone();
        let site = bench.site(name).unwrap();
        let etcd = |pod: &Pod| pod.name_any().starts_with("etcd-");
        site.kubelet.on_pod(etcd, move |container| {
            let mut wanted = wanted.clone();
            async move {
                loop {
                    container.set_ready(*wanted.borrow_and_update());
                    wanted.changed().await?;
                }
            }
        });
        for component in ["etcd", "kube-apiserver"] {
            static_pod(&bench, name, component).await;
        }
    }
    bench.apply("all.yaml", POOL).await.unwrap();
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    pool_seen(&bench, "all", 3).await;
    for name in names {
        let marked = |node: &NodeView| {
            let pods: Vec<_> = node.agent.control_plane_pods.iter().collect();
            pods == ["etcd", "kube-apiserver"]
        };
        node(&bench, name, "to be marked", marked).await;
    }
    let counted = async || {
        let text = metrics(operator.address()).await?;
        Ok(text.contains("\ncuo_control_plane_nodes 3\n").then_some(()))
    };
    seen(&bench, "three control-plane nodes", counted).await;
    bench.recorder.reset();

    // The first is held where it is about to reboot, so that its etcd is away when it comes back.
    bench.publish(V2).await.unwrap();
    let granted = async || {
        let order = bench.recorder.order();
        Ok(order.first().cloned())
    };
    let first = seen(&bench, "a grant", granted).await;
    shows(&bench, &first, Phase::Draining, None).await;
    ready.send_replace(false);
    boots(&bench, &first, V2).await;
    says(&bench, &first, Code::ControlPlaneNotReady, "etcd").await;
    assert_eq!(
        (
            bench.recorder.order().len(),
            bench.recorder.most_control_planes()
        ),
        (1, 1)
    );
    let kept = bench.node(&first).unwrap();
    assert!(kept.operator.has_slot() && kept.unschedulable);

    ready.send_replace(true);
    settled(&bench, V2).await;
    bench.judge(1).unwrap();
    assert_eq!(bench.recorder.most_control_planes(), 1);
}

/// Typhoon's controllers on Fedora CoreOS: their own label, and a taint of a name that nobody else has.
#[tokio::test(flavor = "multi_thread")]
async fn controllers_by_other_labels_and_taints_go_last_and_never_two_at_once() {
    let (_folder, bench) = cluster(4).await;
    let controllers = ["n1", "n2", "n3"];
    for name in controllers {
        let label = ["label", "node", name, "node.kubernetes.io/controller=true"];
        bench.plane.kubectl(&label).await.unwrap();
        let taint = [
            "taint",
            "node",
            name,
            "node-role.kubernetes.io/controller=:NoSchedule",
        ];
        bench.plane.kubectl(&taint).await.unwrap();
    }
    bench
        .apply("all.yaml", &POOL.replace('3', "2"))
        .await
        .unwrap();
    bench.start_agents().await.unwrap();
    let gates: Vec<_> = bench.sites().map(Arc::clone).collect();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    pool_seen(&bench, "all", 4).await;
    bench.recorder.reset();
    // All of them wait before the first may go.
    let step = "operator-before-ledger-reserve";
    operator.gate().shut(step).unwrap();
    bench.publish(V2).await.unwrap();
    for site in &gates {
        shows(&bench, site.name(), Phase::Waiting, None).await;
    }
    operator.gate().open(step).unwrap();
    settled(&bench, V2).await;
    bench.judge(2).unwrap();
    assert_eq!(bench.recorder.most_control_planes(), 1);
    assert_eq!(bench.recorder.order().len(), 4);
}

/// Nothing tells the nodes of the control plane from the others: the operator says so.
#[tokio::test(flavor = "multi_thread")]
async fn where_no_node_counts_as_control_plane_that_is_told() {
    let (_folder, bench) = cluster(1).await;
    bench.start_agents().await.unwrap();
    let operator = bench.operator(OperatorSpec::default()).await.unwrap();
    settled(&bench, V1).await;
    let reported = async || {
        let text = metrics(operator.address()).await?;
        let none = text.contains("\ncuo_control_plane_nodes 0\n");
        let log = std::fs::read_to_string(operator.log())?;
        let warned = log.contains("no node counts as control plane");
        Ok((none && warned).then_some(()))
    };
    seen(&bench, "the warning", reported).await;
    bench.judge(1).unwrap();
}
