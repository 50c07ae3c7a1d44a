//! Agents as the operator sees them: what they would write on their Nodes, written at once.

use anyhow::{Context, Result, ensure};
use cuo_cluster::node::{Keep, get_node, patch_node};
use cuo_cluster::source::DEADLINE;
use cuo_cluster::{ClientSource, Credentials, Program};
use cuo_core::features::Feature;
use cuo_core::ids::{BootId, GrantId, ReleaseId};
use cuo_core::node::{NodeView, Published, SystemLabels};
use cuo_core::values::{Booted, Failures, Outcome, Phase, Progress, RebootResult, Status};
use cuo_lab::cluster::controlplane::ControlPlane;
use cuo_lab::wait::until;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::SOON;

const PROGRAM: Program = Program {
    name: "cuo-agent",
    version: "0.0.0-test",
};

/// The annotation that has to be `true` after a reboot.
pub const CHECK: &str = "example.com/well";

/// The version with this number.
pub fn version(number: u8) -> ReleaseId {
    ReleaseId::Commit([number; 32])
}

/// The boot with this number.
fn boot(number: u8) -> BootId {
    BootId::from_bytes([number; 16])
}

/// All agents of a cluster.
pub struct Agents {
    source: ClientSource,
    nodes: Api<Node>,
    names: Vec<String>,
}

impl Agents {
    /// Ready Nodes that run version 1.
    pub async fn start(plane: &ControlPlane, names: &[&str]) -> Result<Self> {
        let credentials = Credentials::File {
            path: plane.admin_kubeconfig(),
            root: "/".into(),
        };
        let agents = Self {
            source: ClientSource::start(credentials, PROGRAM).await,
            nodes: Api::all(plane.admin()),
            names: names.iter().map(|name| (*name).to_owned()).collect(),
        };
        for name in names {
            let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
            let params = PatchParams::apply("test");
            agents
                .nodes
                .patch(name, &params, &Patch::Apply(node))
                .await?;
            agents.boots(name, 1).await?;
            let rest = published(1, None, Phase::Idle);
            agents.write(name, &rest).await?;
        }
        Ok(agents)
    }

    /// The kubelet reports a boot.
    async fn boots(&self, name: &str, number: u8) -> Result<()> {
        let status = json!({"status": {
            "nodeInfo": {"bootID": boot(number).to_string()},
            "conditions": [{"type": "Ready", "status": "True"}],
        }});
        let (params, patch) = (PatchParams::default(), Patch::Strategic(status));
        let patched = self.nodes.patch_status(name, &params, &patch);
        patched.await.map(drop).context("report a boot")
    }

    /// Sets or removes an annotation, as `kubectl annotate` does.
    pub async fn annotate(&self, name: &str, key: &str, value: Option<&str>) -> Result<()> {
        let change = json!({"metadata": {"annotations": {key: value}}});
        let (params, patch) = (PatchParams::default(), Patch::Merge(change));
        let patched = self.nodes.patch(name, &params, &patch);
        patched.await.map(drop).context("annotate a Node")
    }

    pub async fn node(&self, name: &str) -> Result<NodeView> {
        let raw = get_node(&self.source, name, &Keep::default()).await?;
        Ok(NodeView::parse(&raw.context("no such Node")?)?)
    }

    pub async fn nodes(&self) -> Result<Vec<NodeView>> {
        let mut nodes = Vec::new();
        for name in &self.names {
            nodes.push(self.node(name).await?);
        }
        Ok(nodes)
    }

    /// Writes what the agent wants, again if somebody else wrote in between.
    async fn write(&self, name: &str, want: &Published) -> Result<()> {
        until("a write of an agent", SOON, async || {
            if let Some(patch) = want.patch(&self.node(name).await?) {
                patch_node(&self.source, name, &patch, &Keep::default(), DEADLINE).await?;
            }
            Ok(Some(()))
        })
        .await
    }

    /// Every node has version `number` staged and waits for its grant.
    pub async fn want(&self, number: u8) -> Result<()> {
        for name in &self.names {
            let waits = published(number - 1, Some(version(number)), Phase::Waiting);
            self.write(name, &waits).await?;
        }
        Ok(())
    }

    /// Lets each agent take one step: accept a grant, or answer the one that it accepted. Whether all run version `number`, and the
    /// operator has let go of them.
    ///
    /// # Errors
    /// Also when more than one node has a grant that is not answered.
    pub async fn step(&self, number: u8) -> Result<bool> {
        let nodes = self.nodes().await?;
        for node in nodes.iter().filter(|node| node.operator.after) {
            self.annotate(node.name.as_str(), CHECK, Some("true"))
                .await?;
        }
        let open = nodes.iter().filter_map(|node| Some((node, pending(node)?)));
        let open: Vec<_> = open.collect();
        ensure!(open.len() <= 1, "two grants at once: {open:#?}");
        for (node, id) in open {
            // A conflict is tried again with the next step.
            let _ = self.act(node, id, number).await;
        }
        Ok(nodes.iter().all(|node| {
            let booted = node.agent.booted.value().map(|booted| booted.identity);
            let operator = &node.operator;
            let free = operator.grant.is_absent() && operator.reserved.is_absent();
            booted == Some(version(number)) && free
        }))
    }

    /// What `node` has its agent do next, on the condition that the Node is still so.
    async fn act(&self, node: &NodeView, id: GrantId, number: u8) -> Result<()> {
        let now = Timestamp::now().into();
        let mut want;
        if node.agent.progress.is_absent() {
            want = published(number - 1, Some(version(number)), Phase::Draining);
            want.result = node.agent.result.value().cloned();
            want.progress = Some(Progress {
                id,
                identity: version(number),
                boot: boot(number - 1),
                accepted: now,
            });
        } else if node.kubelet_boot != Some(boot(number)) {
            return self.boots(node.name.as_str(), number).await;
        } else {
            want = published(number, None, Phase::Idle);
            want.result = Some(RebootResult {
                id,
                outcome: Outcome::Done,
                code: None,
                at: now,
            });
        }
        let patch = want.patch(node).context("nothing to write")?;
        patch_node(
            &self.source,
            node.name.as_str(),
            &patch,
            &Keep::default(),
            DEADLINE,
        )
        .await?;
        Ok(())
    }
}

/// The grant that the node has not answered.
fn pending(node: &NodeView) -> Option<GrantId> {
    let id = node.operator.grant.value()?.id;
    let answered = node.agent.result.value().map(|result| result.id);
    (answered != Some(id)).then_some(id)
}

fn published(number: u8, needed: Option<ReleaseId>, phase: Phase) -> Published {
    Published {
        status: Status {
            phase,
            since: Timestamp::now().into(),
        },
        reason: None,
        features: Feature::own(),
        control_plane_pods: Default::default(),
        needed,
        needed_version: None,
        following: None,
        dead_end: false,
        reboots: Default::default(),
        booted: Some(Booted {
            identity: version(number),
            version: number.to_string(),
            boot: boot(number),
            since: Timestamp::now().into(),
        }),
        progress: None,
        owned: None,
        result: None,
        failed: Failures::default(),
        system: SystemLabels::default(),
        unschedulable: None,
    }
}
