//! A control plane, the operator's process, and agents that do what a test has them do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cuo_cluster::node::{Keep, get_node, patch_node};
use cuo_cluster::source::DEADLINE;
use cuo_cluster::watch::{NodesEvent, watch_nodes};
use cuo_cluster::{ClientSource, Credentials, Program};
use cuo_core::features::Feature;
use cuo_core::ids::{BootId, GrantId, ReleaseId};
use cuo_core::node::{NodeView, Published, SystemLabels};
use cuo_core::reason::Code;
use cuo_core::values::{Booted, Failure, Failures, Outcome, Phase, Progress, RebootResult, Status};
use cuo_lab::cluster::controlplane::{ControlPlane, Options};
use cuo_lab::process::{bound, spawn_logged};
use cuo_lab::wait::until;
use futures::StreamExt;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::process::Child;

const NAMESPACE: &str = "cuo-system";
pub const SOON: Duration = Duration::from_secs(60);
const PROGRAM: Program = Program {
    name: "cuo-agent",
    version: "0.0.0-test",
};
/// Annotations that tests use as checks.
pub const BEFORE: &str = "example.com/before";
pub const AFTER: &str = "example.com/after";

/// The release with this number.
pub fn release(number: u8) -> ReleaseId {
    ReleaseId::Commit([number; 32])
}

pub struct World {
    pub plane: ControlPlane,
    dir: PathBuf,
    pub source: ClientSource,
    nodes: Api<Node>,
    operators: Vec<Child>,
    /// How long agents try to write what they want.
    pub patience: Duration,
}

impl World {
    pub async fn start(dir: &Path) -> Result<Self> {
        let hour = Duration::from_secs(3600);
        let options = Options { node_grace: hour }; // nobody sends heartbeats here
        let plane = ControlPlane::start(&dir.join("plane"), options).await?;
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/operator.yaml");
        // Without the Deployment: the operator runs beside the cluster.
        let objects = std::fs::read_to_string(manifest).context("deploy/operator.yaml")?;
        let objects = objects.split("\n---\n");
        let objects: Vec<_> = objects
            .filter(|text| !text.contains("kind: Deployment"))
            .collect();
        let file = dir.join("objects.yaml");
        std::fs::write(&file, objects.join("\n---\n"))?;
        apply(&plane, &file).await?;
        let account = dir.join("kubeconfig");
        plane
            .service_account_kubeconfig(NAMESPACE, "cuo-operator", &account)
            .await?;
        let credentials = Credentials::File {
            path: plane.admin_kubeconfig(),
            root: "/".into(),
        };
        let mut world = Self {
            source: ClientSource::start(credentials, PROGRAM).await,
            nodes: Api::all(plane.admin()),
            plane,
            dir: dir.to_owned(),
            operators: Vec::new(),
            patience: SOON,
        };
        world.operators.push(world.operator()?);
        Ok(world)
    }

    /// Applies the manifest again.
    pub async fn manifest(&self) -> Result<()> {
        apply(&self.plane, &self.dir.join("objects.yaml")).await
    }

    /// What all operators have logged.
    pub fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.dir.join("operator.log")).context("the operator's log")
    }

    /// Starts an operator that leads at once.
    fn operator(&self) -> Result<Child> {
        let mut command = bound(env!("CARGO_BIN_EXE_cuo-operator"));
        command
            .env("NO_COLOR", "1")
            .env("CUO_TEST_NO_LEASE", "1")
            .args(["--listen=127.0.0.1:0", "--log-format=text", "--identity=op"])
            .arg(format!("--namespace={NAMESPACE}"))
            .arg(format!(
                "--kubeconfig={}",
                self.dir.join("kubeconfig").display()
            ));
        spawn_logged(&mut command, &self.dir.join("operator.log"))
    }

    /// Kills all operators, and starts as many as are asked for; two both lead.
    pub async fn operators(&mut self, count: usize) -> Result<()> {
        for operator in &mut self.operators {
            operator.kill().await?;
        }
        self.operators.clear();
        for _ in 0..count {
            self.operators.push(self.operator()?);
        }
        Ok(())
    }

    /// What `kubectl` says to a pool, good or bad.
    pub async fn apply(&self, name: &str, spec: &Value) -> Result<Result<String, String>> {
        let pool = json!({
            "apiVersion": "cuo.coreos.com/v1alpha1", "kind": "UpdatePool",
            "metadata": {"name": name}, "spec": spec,
        });
        let file = self.dir.join("pool.json");
        std::fs::write(&file, pool.to_string())?;
        let file = file.to_str().context("the path is text")?;
        let done = self.plane.kubectl(&["apply", "-f", file]).await;
        Ok(done.map_err(|error| format!("{error:#}")))
    }

    /// Makes or changes a pool, and returns its generation.
    pub async fn pool(&self, name: &str, spec: Value) -> Result<i64> {
        if let Err(refused) = self.apply(name, &spec).await? {
            bail!("pool {name}: {refused}");
        }
        let pool = self.get(name).await?;
        pool["metadata"]["generation"]
            .as_i64()
            .context("no generation")
    }

    pub async fn get(&self, pool: &str) -> Result<Value> {
        let text = self
            .plane
            .kubectl(&["get", "up", pool, "-o", "json"])
            .await?;
        Ok(serde_json::from_str(&text)?)
    }

    /// Waits until the pool's status says, of this generation or a later one, that it is held for this reason.
    pub async fn held(&self, pool: &str, generation: i64, code: Code) -> Result<Value> {
        until(
            format!("pool {pool} to be held: {code}"),
            SOON,
            async || {
                let status = self.get(pool).await?["status"].clone();
                let conditions = status["conditions"].as_array().cloned().unwrap_or_default();
                let held = conditions.iter().find(|found| found["type"] == "Held");
                let held = held.is_some_and(|held| {
                    held["status"] == "True" && held["reason"] == code.as_str()
                });
                let seen = status["observedGeneration"].as_i64() >= Some(generation);
                ensure!(held && seen, "{status:#}");
                Ok(Some(status))
            },
        )
        .await
    }

    /// A Ready Node that runs release `number`, with its agent.
    pub async fn node(&self, name: &str, labels: &[(&str, &str)], number: u8) -> Result<()> {
        let labels: BTreeMap<_, _> = labels.iter().copied().collect();
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}});
        let params = PatchParams::apply("test");
        self.nodes.patch(name, &params, &Patch::Apply(node)).await?;
        self.boots(name, number, true).await?;
        self.publish(name, &published(number, None, Phase::Idle))
            .await
    }

    /// The kubelet reports a boot.
    pub async fn boots(&self, name: &str, number: u8, ready: bool) -> Result<()> {
        let ready = if ready { "True" } else { "False" };
        let status = json!({"status": {
            "nodeInfo": {"bootID": BootId::from_bytes([number; 16]).to_string()},
            "conditions": [{"type": "Ready", "status": ready}],
        }});
        let (params, patch) = (PatchParams::default(), Patch::Strategic(status));
        let patched = self.nodes.patch_status(name, &params, &patch);
        patched.await.map(drop).context("report a boot")
    }

    /// Changes a Node as an administrator does.
    pub async fn change(&self, name: &str, change: Value) -> Result<()> {
        let (params, patch) = (PatchParams::default(), Patch::Merge(change));
        self.nodes.patch(name, &params, &patch).await?;
        Ok(())
    }

    pub async fn annotate(&self, name: &str, key: &str, value: Option<&str>) -> Result<()> {
        self.change(name, json!({"metadata": {"annotations": {key: value}}}))
            .await
    }

    pub async fn label(&self, name: &str, key: &str, value: Option<&str>) -> Result<()> {
        self.change(name, json!({"metadata": {"labels": {key: value}}}))
            .await
    }

    /// All Nodes as they are.
    pub async fn nodes(&self) -> Result<Vec<NodeView>> {
        let keep = Keep::new([BEFORE, AFTER]);
        match watch_nodes(self.source.clone(), keep).next().await {
            Some(NodesEvent::Reset(nodes)) => {
                nodes.iter().map(|raw| Ok(NodeView::parse(raw)?)).collect()
            }
            other => bail!("{other:?}"),
        }
    }

    pub async fn view(&self, name: &str) -> Result<NodeView> {
        let raw = get_node(&self.source, name, &Keep::default()).await?;
        Ok(NodeView::parse(
            &raw.with_context(|| format!("no Node {name}"))?,
        )?)
    }

    /// Writes what an agent wants, again if somebody else wrote in between.
    async fn publish(&self, name: &str, want: &Published) -> Result<()> {
        until("a write of an agent", self.patience, async || {
            if let Some(patch) = want.patch(&self.view(name).await?) {
                patch_node(&self.source, name, &patch, &Keep::default(), DEADLINE).await?;
            }
            Ok(Some(()))
        })
        .await
    }

    /// These nodes have release `number` staged and wait for their grants.
    pub async fn want(&self, names: &[&str], number: u8) -> Result<()> {
        for name in names {
            let view = self.view(name).await?;
            let booted = view.agent.booted.value().context("nothing booted")?;
            let runs = booted.version.parse()?;
            let mut want = published(runs, Some(number), Phase::Waiting);
            want.failed = view.agent.failed.value().cloned().unwrap_or_default();
            want.result = view.agent.result.value().cloned();
            self.publish(name, &want).await?;
        }
        Ok(())
    }

    /// Waits until exactly these have grants that are not answered.
    pub async fn granted(&self, names: &[&str]) -> Result<()> {
        until(format!("grants of {names:?}"), SOON, async || {
            let nodes = self.nodes().await?;
            let open = nodes.iter().filter(|node| open_grant(node).is_some());
            let open: Vec<_> = open.map(|node| node.name.as_str()).collect();
            ensure!(open == names, "{open:?} are granted");
            Ok(Some(()))
        })
        .await
    }

    /// The agent accepts its grant.
    pub async fn accept(&self, name: &str) -> Result<()> {
        self.act(name, |node| {
            let grant = node.operator.grant.value().context("no grant")?;
            let booted = node.agent.booted.value().context("nothing booted")?;
            let mut want = published(
                booted.version.parse()?,
                Some(number(&grant.identity)),
                Phase::Draining,
            );
            want.result = node.agent.result.value().cloned();
            want.progress = Some(Progress {
                id: grant.id,
                identity: grant.identity,
                boot: grant.boot,
                accepted: Timestamp::now().into(),
            });
            Ok(want)
        })
        .await
    }

    /// The agent boots what it was granted, and says how that went.
    pub async fn finish(&self, name: &str, outcome: Outcome) -> Result<()> {
        let view = self.view(name).await?;
        let grant = view.operator.grant.value().context("no grant")?;
        let (identity, id) = (grant.identity, grant.id);
        self.boots(name, number(&identity), true).await?;
        self.act(name, |node| {
            let failed = node.agent.failed.value().cloned().unwrap_or_default();
            Ok(ended(id, identity, outcome, failed))
        })
        .await
    }

    /// The agent gives its grant up, and wants the same again.
    pub async fn finish_without(&self, name: &str, outcome: Outcome) -> Result<()> {
        self.act(name, |node| {
            let grant = node.operator.grant.value().context("no grant")?;
            let booted = node.agent.booted.value().context("nothing booted")?;
            let needed = node.agent.needed.value().map(number);
            let mut want = published(booted.version.parse()?, needed, Phase::Waiting);
            want.result = Some(RebootResult {
                id: grant.id,
                outcome,
                code: Some(Code::GrantMismatch.into()),
                at: Timestamp::now().into(),
            });
            Ok(want)
        })
        .await
    }

    async fn act(&self, name: &str, want: impl Fn(&NodeView) -> Result<Published>) -> Result<()> {
        until(format!("a step of {name}"), self.patience, async || {
            let node = self.view(name).await?;
            let patch = want(&node)?.patch(&node).context("nothing to write")?;
            patch_node(&self.source, name, &patch, &Keep::default(), DEADLINE).await?;
            Ok(Some(()))
        })
        .await
    }

    /// One whole update of a node that is granted.
    pub async fn update(&self, name: &str) -> Result<()> {
        self.accept(name).await?;
        self.finish(name, Outcome::Done).await
    }

    /// Nodes go one after the other in this order.
    pub async fn in_order(&self, names: &[&str]) -> Result<()> {
        for name in names {
            self.granted(&[name]).await?;
            self.update(name).await?;
        }
        Ok(())
    }

    /// Removes all pools and nodes, and waits until no slot is out.
    pub async fn clear(&self) -> Result<()> {
        self.plane.kubectl(&["delete", "up", "--all"]).await?;
        for node in self.nodes().await? {
            self.nodes
                .delete(node.name.as_str(), &DeleteParams::default())
                .await?;
        }
        until("an empty ledger", SOON, async || {
            let ledger = self.ledger().await?;
            Ok((ledger.is_empty() || ledger.contains(r#""entries":{}"#)).then_some(()))
        })
        .await
    }

    pub async fn ledger(&self) -> Result<String> {
        let get = [
            "get",
            "configmap",
            "cuo-ledger",
            "--ignore-not-found",
            "--namespace",
            NAMESPACE,
        ];
        let data = "--output=jsonpath={.data.ledger\\.json}";
        self.plane.kubectl(&[&get[..], &[data]].concat()).await
    }
}

async fn apply(plane: &ControlPlane, file: &Path) -> Result<()> {
    let file = file.to_str().context("the path is text")?;
    plane.kubectl(&["apply", "-f", file]).await.map(drop)
}

/// The grant that the node has not answered.
pub fn open_grant(node: &NodeView) -> Option<GrantId> {
    let id = node.operator.grant.value()?.id;
    let answered = node.agent.result.value().map(|result| result.id);
    (answered != Some(id)).then_some(id)
}

/// The number of a release.
pub fn number(identity: &ReleaseId) -> u8 {
    let (ReleaseId::Commit(bytes) | ReleaseId::Image(bytes)) = identity;
    bytes[0]
}

/// What an agent shows that runs release `runs`.
pub fn published(runs: u8, needed: Option<u8>, phase: Phase) -> Published {
    Published {
        status: Status {
            phase,
            since: Timestamp::now().into(),
        },
        reason: None,
        features: Feature::own(),
        control_plane_pods: Default::default(),
        needed: needed.map(release),
        needed_version: needed.map(|number| number.to_string()),
        following: None,
        dead_end: false,
        reboots: Default::default(),
        booted: Some(Booted {
            identity: release(runs),
            version: runs.to_string(),
            boot: BootId::from_bytes([runs; 16]),
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

/// What an agent shows after its grant.
pub fn ended(
    id: GrantId,
    identity: ReleaseId,
    outcome: Outcome,
    mut failed: Failures,
) -> Published {
    let at = Timestamp::now().into();
    let code = (outcome == Outcome::Failed).then_some(Code::RolledBack);
    if let Some(code) = code {
        failed.add(Failure {
            identity,
            code: code.into(),
            at,
        });
    }
    let mut want = published(number(&identity), None, Phase::Idle);
    want.failed = failed;
    want.result = Some(RebootResult {
        id,
        outcome,
        code: code.map(Into::into),
        at,
    });
    want
}
