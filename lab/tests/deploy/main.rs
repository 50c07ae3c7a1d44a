//! `deploy/operator.yaml` on a real API server: what it makes, allows and refuses, and that nothing of it stays behind.
//!
//! One control plane serves all steps, one after the other.

mod checks;
mod commands;
mod examples;
mod identity;
mod image;
mod labels;
mod policy;
mod rights;
mod workload;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use cuo_lab::cluster::controlplane::{ControlPlane, NodeCredential, Options};
use cuo_lab::cluster::kubelet::{Boot, Kubelet, NodeSpec};
use cuo_lab::wait::until;
use serde_json::Value;

const NAMESPACE: &str = "cuo-system";
const SOON: Duration = Duration::from_secs(30);
/// Every object of the manifest, and where it is.
const OBJECTS: [(&str, &str); 24] = [
    (
        "validatingadmissionpolicy.admissionregistration.k8s.io/cuo-node-keys",
        "",
    ),
    (
        "validatingadmissionpolicybinding.admissionregistration.k8s.io/cuo-node-keys",
        "",
    ),
    (
        "customresourcedefinition.apiextensions.k8s.io/updatepools.cuo.coreos.com",
        "",
    ),
    (
        "customresourcedefinition.apiextensions.k8s.io/updatepauses.cuo.coreos.com",
        "",
    ),
    (
        "customresourcedefinition.apiextensions.k8s.io/updategates.cuo.coreos.com",
        "",
    ),
    ("namespace/cuo-system", ""),
    ("serviceaccount/cuo-operator", NAMESPACE),
    ("clusterrole.rbac.authorization.k8s.io/cuo-operator", ""),
    (
        "clusterrolebinding.rbac.authorization.k8s.io/cuo-operator",
        "",
    ),
    ("role.rbac.authorization.k8s.io/cuo-operator", NAMESPACE),
    (
        "rolebinding.rbac.authorization.k8s.io/cuo-operator",
        NAMESPACE,
    ),
    (
        "role.rbac.authorization.k8s.io/cuo-operator-events",
        "default",
    ),
    (
        "rolebinding.rbac.authorization.k8s.io/cuo-operator-events",
        "default",
    ),
    (
        "validatingadmissionpolicy.admissionregistration.k8s.io/cuo-operator-keys",
        "",
    ),
    (
        "validatingadmissionpolicybinding.admissionregistration.k8s.io/cuo-operator-keys",
        "",
    ),
    (
        "validatingadmissionpolicy.admissionregistration.k8s.io/cuo-pauses",
        "",
    ),
    (
        "validatingadmissionpolicybinding.admissionregistration.k8s.io/cuo-pauses",
        "",
    ),
    ("clusterrole.rbac.authorization.k8s.io/cuo-view", ""),
    ("clusterrole.rbac.authorization.k8s.io/cuo-pause", ""),
    ("clusterrole.rbac.authorization.k8s.io/cuo-gates", ""),
    ("clusterrole.rbac.authorization.k8s.io/cuo-pools", ""),
    ("poddisruptionbudget.policy/cuo-operator", NAMESPACE),
    ("networkpolicy.networking.k8s.io/cuo-operator", NAMESPACE),
    ("deployment.apps/cuo-operator", NAMESPACE),
];

/// The repository's root.
fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn manifest() -> PathBuf {
    repository().join("deploy/operator.yaml")
}

/// The policy for the operator's keys used to cover nodes, too: its new version must not be in force before the policy for nodes is.
#[test]
fn nodes_are_kept_from_granting_before_anything_else_is_applied() {
    let text = std::fs::read_to_string(manifest()).unwrap();
    let value = |object: &str, field: &str| {
        let mut lines = object.lines();
        let found = lines.find_map(|line| line.strip_prefix(field));
        found.unwrap_or_default().to_owned()
    };
    let objects = text.split("\n---\n").take(2);
    let objects = objects.map(|object| (value(object, "kind: "), value(object, "  name: ")));
    let expected = [
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    ];
    let expected = expected.map(|kind| (kind.to_owned(), "cuo-node-keys".to_owned()));
    assert_eq!(objects.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn one_file_is_the_whole_operator() {
    let dir = tempfile::tempdir().unwrap();
    let bench = Bench::start(dir.path()).await.unwrap();
    let step = |name: &str| eprintln!("{name}");

    step("it is made at once, and applying it again changes nothing");
    applied_twice(&bench).await.unwrap();
    step("the operator's pod is admitted, scheduled and may be evicted");
    workload::runs(&bench).await.unwrap();
    step("its policy of the network is about its pod, and the port that the pod has");
    workload::lets_in(&bench).await.unwrap();
    step("a cordoned node does not get it back");
    workload::leaves_a_drained_node(&bench).await.unwrap();
    step("the operator has these rights and no other");
    rights::exactly(&bench).await.unwrap();
    step("ledger and lease are kept when the file is applied again");
    rights::ledger_and_lease_stay(&bench).await.unwrap();
    step("the examples of pools are what they say");
    examples::each(&bench).await.unwrap();
    step("a node writes the labels of which CUO knows that it does");
    labels::are_judged_as_by_the_api_server(&bench)
        .await
        .unwrap();
    step("keys are written by those whose they are");
    policy::guards(&bench).await.unwrap();
    step("the documentation's check answers and can't grant");
    checks::a_check_answers_and_can_not_grant(&bench)
        .await
        .unwrap();
    step("the commands of the documentation work");
    commands::run_all(&bench).await.unwrap();
    step("what the documentation says of uninstalling leaves nothing");
    deleted(&bench).await.unwrap();
}

/// The cluster of this test: a control-plane node and a worker.
struct Bench {
    dir: PathBuf,
    plane: ControlPlane,
    kubelets: [Kubelet; 2],
}

impl Bench {
    async fn start(dir: &Path) -> Result<Self> {
        let plane = ControlPlane::start(&dir.join("plane"), Options::default()).await?;
        let node = |name: &str, labels: &[&str]| NodeSpec {
            name: name.into(),
            labels: labels
                .iter()
                .map(|label| ((*label).to_owned(), String::new()))
                .collect::<BTreeMap<_, _>>(),
            boot: Boot {
                id: "0f3a9b2c-1111-4222-8333-abcdefabcdef".into(),
                os_image: "Fedora CoreOS 44".into(),
            },
        };
        let kubelets = [
            Kubelet::start(
                &plane,
                node("n1", &["node-role.kubernetes.io/control-plane"]),
            )
            .await?,
            Kubelet::start(&plane, node("n2", &[])).await?,
        ];
        Ok(Self {
            dir: dir.to_owned(),
            plane,
            kubelets,
        })
    }

    /// `kubectl` as admin; arguments separated by spaces.
    async fn kubectl(&self, arguments: &str) -> Result<String> {
        let arguments: Vec<_> = arguments.split_whitespace().collect();
        self.plane.kubectl(&arguments).await
    }

    /// `kubectl` on the manifest.
    async fn manifest(&self, arguments: &[&str]) -> Result<String> {
        let manifest = manifest();
        let file = manifest.to_str().context("the path is text")?;
        self.plane
            .kubectl(&[arguments, &["-f", file]].concat())
            .await
    }

    /// The kubeconfig of a node's kubelet.
    fn node(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(name).join("kubeconfig");
        self.plane.node_kubeconfig(
            name,
            &path,
            NodeCredential::Embedded,
            Duration::from_secs(3600),
        )?;
        Ok(path)
    }

    /// The kubeconfig of a service account in the operator's namespace.
    async fn account(&self, name: &str) -> Result<PathBuf> {
        let path = self.dir.join(format!("{name}.kubeconfig"));
        self.plane
            .service_account_kubeconfig(NAMESPACE, name, &path)
            .await?;
        Ok(path)
    }

    /// `kubectl` with somebody else's credentials; what it says when it is refused is an inner error.
    async fn kubectl_as(
        &self,
        kubeconfig: &Path,
        arguments: &[&str],
    ) -> Result<Result<String, String>> {
        let kubeconfig = kubeconfig.to_str().context("the path is text")?;
        let done = self
            .plane
            .kubectl(&[&["--kubeconfig", kubeconfig], arguments].concat())
            .await;
        Ok(done.map_err(|error| format!("{error:#}")))
    }
}

/// Every object of the manifest as it is, without what the cluster itself keeps up to date in it.
async fn all(bench: &Bench) -> Result<Vec<Value>> {
    let list: Value = serde_json::from_str(&bench.manifest(&["get", "-o", "json"]).await?)?;
    let mut items = list["items"].as_array().cloned().unwrap_or_default();
    for item in &mut items {
        item["status"] = Value::Null;
        item["metadata"]["resourceVersion"] = Value::Null;
        // The deployment controller counts the rollouts here.
        item["metadata"]["annotations"]["deployment.kubernetes.io/revision"] = Value::Null;
    }
    Ok(items)
}

async fn applied_twice(bench: &Bench) -> Result<()> {
    let printed = bench.manifest(&["apply"]).await?;
    let expected: Vec<_> = OBJECTS
        .iter()
        .map(|(name, _)| format!("{name} created"))
        .collect();
    assert_eq!(printed.lines().collect::<Vec<_>>(), expected);
    let before = all(bench).await?;
    assert_eq!(before.len(), OBJECTS.len());
    bench.manifest(&["apply"]).await?;
    assert_eq!(all(bench).await?, before);
    // Nothing that the API server knows better or warns of either.
    let strict = [
        "apply",
        "--dry-run=server",
        "--warnings-as-errors",
        "--validate=strict",
    ];
    bench.manifest(&strict).await.map(drop)
}

async fn deleted(bench: &Bench) -> Result<()> {
    let keys = cuo_core::keys::TABLE.iter();
    for key in keys {
        for (kind, verb) in [("annotation", "annotate"), ("label", "label")] {
            if key.kind.contains(kind) {
                bench
                    .kubectl(&format!("{verb} node n1 --overwrite {}=true", key.name))
                    .await?;
            }
        }
    }
    commands::run_uninstall(bench).await?;
    for (name, namespace) in OBJECTS {
        let namespace = if namespace.is_empty() {
            "default"
        } else {
            namespace
        };
        let found = bench
            .kubectl(&format!(
                "get {name} -n {namespace} --ignore-not-found -o name"
            ))
            .await?;
        ensure!(found.is_empty(), "{name} is still there");
    }
    let others = "all,configmaps,leases.coordination.k8s.io,roles,rolebindings,poddisruptionbudgets,networkpolicies";
    let everywhere = bench.kubectl(&format!("get {others} -A -o name")).await?;
    ensure!(
        !everywhere.contains("cuo"),
        "something stayed: {everywhere}"
    );
    let nodes = bench.kubectl("get nodes -o yaml").await?;
    ensure!(
        !nodes.contains("cuo.coreos.com"),
        "something stayed on a Node: {nodes}"
    );
    until("nodes to be free again", SOON, async || {
        let patch = ["patch", "node", "n1", "--type=merge", "-p", policy::GRANT];
        Ok(bench.kubectl_as(&bench.node("n1")?, &patch).await?.ok())
    })
    .await
    .map(drop)
}
