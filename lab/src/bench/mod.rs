//! A whole cluster on this machine: control plane, hollow kubelets, hosts with real agents, real operators.

mod budget;
mod operator;
mod pod;
mod site;
mod workload;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use cuo_core::node::NodeView;

use crate::cluster::controlplane::{ControlPlane, Options};
use crate::machine::HostSpec;
use crate::record::Recorder;
use crate::wait::until;

use budget::Course;
pub use operator::{Operator, OperatorSpec};
pub use pod::{NAMESPACE, OperatorImage};
pub use site::{Gate, Site};
pub use workload::{Budget, Workloads};

/// What the operator is deployed with, as users apply it.
pub const MANIFEST: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/operator.yaml");

/// One node to be.
#[derive(Debug, Clone)]
pub struct SiteSpec {
    /// Its name.
    pub name: String,
    /// It is of the control plane.
    pub control_plane: bool,
    /// Its host.
    pub host: HostSpec,
}

impl SiteSpec {
    /// A worker.
    pub fn worker(name: &str, host: HostSpec) -> Self {
        Self {
            name: name.to_owned(),
            control_plane: false,
            host,
        }
    }
}

/// A whole cluster. Dropping it ends everything.
#[derive(Debug)]
pub struct Bench {
    sites: BTreeMap<String, Arc<Site>>,
    /// Sees all Nodes.
    pub recorder: Recorder,
    /// The control plane.
    pub plane: Arc<ControlPlane>,
    folder: PathBuf,
    /// How often operators were started.
    operators: AtomicU64,
}

impl Bench {
    /// Starts a control plane with `deploy/operator.yaml` applied, and all hosts with their kubelets. No agent or operator runs yet.
    ///
    /// # Errors
    /// When any of it does not come up.
    pub async fn start(folder: &Path, sites: Vec<SiteSpec>) -> Result<Self> {
        Self::deployed(folder, MANIFEST.as_ref(), sites).await
    }

    /// The same with the operator deployed as `manifest` says.
    ///
    /// # Errors
    /// As [`Bench::start`].
    pub async fn deployed(folder: &Path, manifest: &Path, sites: Vec<SiteSpec>) -> Result<Self> {
        let plane = Arc::new(ControlPlane::start(&folder.join("plane"), Options::default()).await?);
        let manifest = manifest.display().to_string();
        plane.kubectl(&["apply", "--filename", &manifest]).await?;
        let recorder = Recorder::start(&plane.admin_kubeconfig()).await;
        let mut started = BTreeMap::new();
        for spec in sites {
            let name = spec.name.clone();
            let site = Site::start(&plane, folder, spec, recorder.memory())
                .await
                .with_context(|| format!("start node {name}"))?;
            started.insert(name, site);
        }
        Ok(Self {
            sites: started,
            recorder,
            plane,
            folder: folder.to_owned(),
            operators: AtomicU64::new(0),
        })
    }

    /// The node `name`.
    ///
    /// # Errors
    /// When there is none.
    pub fn site(&self, name: &str) -> Result<&Arc<Site>> {
        self.sites
            .get(name)
            .with_context(|| format!("no node {name}"))
    }

    /// All nodes.
    pub fn sites(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.sites.values()
    }

    /// Where everything is kept.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Starts the agents of all nodes.
    ///
    /// # Errors
    /// When one can't be started.
    pub async fn start_agents(&self) -> Result<()> {
        for site in self.sites() {
            site.start_agent().await?;
        }
        Ok(())
    }

    /// Publishes `version` to all hosts.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn publish(&self, version: &str) -> Result<()> {
        for site in self.sites() {
            site.publish(version).await?;
        }
        Ok(())
    }

    /// Offers `version` to all hosts, so that it can be fetched by commit, version or digest; no branch and no tag moves.
    ///
    /// # Errors
    /// When it can't be written.
    pub async fn offer(&self, version: &str) -> Result<()> {
        for site in self.sites() {
            site.offer(version).await?;
        }
        Ok(())
    }

    /// Starts an operator process with the credentials of the deployed ServiceAccount.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn operator(&self, spec: OperatorSpec) -> Result<Operator> {
        self.operators.fetch_add(1, Ordering::Relaxed);
        Operator::start(&self.plane, &self.folder, spec).await
    }

    /// The Node `name` as last seen.
    ///
    /// # Errors
    /// When there is no such Node now.
    pub fn node(&self, name: &str) -> Result<NodeView> {
        let nodes = self.recorder.nodes();
        let found = nodes.into_values().find(|node| node.name.as_str() == name);
        found.with_context(|| format!("the API server has no node {name} now"))
    }

    /// Waits until each node runs `version`, is in service (unless somebody else cordoned it), and nothing of its update is left.
    ///
    /// # Errors
    /// When that takes longer than `deadline`; all nodes and the ends of all logs are shown.
    pub async fn settled(&self, version: &str, deadline: Duration) -> Result<()> {
        let all: Vec<_> = self.sites().map(|site| site.name()).collect();
        self.settled_on(&all, version, deadline).await
    }

    /// The same for the nodes `names` alone.
    ///
    /// # Errors
    /// As [`Bench::settled`].
    pub async fn settled_on(
        &self,
        names: &[&str],
        version: &str,
        deadline: Duration,
    ) -> Result<()> {
        let look = async || {
            for name in names {
                at_rest(&self.node(name)?, version)?;
            }
            Ok(Some(()))
        };
        let waited = until(format!("{names:?} on {version}"), deadline, look).await;
        let Err(error) = waited else { return Ok(()) };
        Err(error.context(self.picture().await))
    }

    /// All nodes as last seen and the ends of the logs of agents and operators: what the error of a test needs.
    pub async fn picture(&self) -> String {
        let mut shown = String::new();
        for site in self.sites() {
            shown.push_str(&self.portrait(site).await);
        }
        for (name, log) in operator::logs(&self.folder) {
            shown.push_str(&format!("\n--- {name}\n{log}"));
        }
        shown
    }

    /// A node and the end of its agent's log, for errors.
    pub async fn portrait(&self, site: &Site) -> String {
        let node = self.node(site.name()).map(|node| format!("{node:#?}"));
        let node = node.unwrap_or_else(|error| error.to_string());
        let log = site.agent_log(40).await;
        format!("\n--- {}\n{node}\n{log}", site.name())
    }

    /// What went wrong by the rules that hold in every test: more than `most` grants out at once, a host that was rebooted without a grant for
    /// it, or calls of the API server beyond their [budgets](budget).
    ///
    /// # Errors
    /// Names what went wrong.
    pub fn judge(&self, most: usize) -> Result<()> {
        let granted = self.recorder.most_granted();
        ensure!(granted <= most, "{granted} nodes held a grant at once");
        let wrong: Vec<_> = self
            .sites()
            .flat_map(|site| site.violations())
            .chain(self.recorder.trouble())
            .chain(self.beyond_budget()?)
            .collect();
        if wrong.is_empty() {
            Ok(())
        } else {
            bail!("{}", wrong.join("; "))
        }
    }

    fn beyond_budget(&self) -> Result<Vec<String>> {
        let (calls, _) = self.plane.calls_since(0)?;
        let starts = self
            .sites()
            .map(|site| (site.name().to_owned(), site.starts()));
        let strange = self.sites().filter(|site| site.had_strangers());
        let course = Course {
            starts: starts.collect(),
            strange: strange.map(|site| site.name().to_owned()).collect(),
            grants: self.recorder.grants(),
            operators: self.operators.load(Ordering::Relaxed),
        };
        println!("{}", budget::table(&calls));
        Ok(budget::exceeded(&calls, &course))
    }

    /// Writes `contents` into a new file of the bench's folder and applies it.
    ///
    /// # Errors
    /// What kubectl says.
    pub async fn apply(&self, name: &str, contents: &str) -> Result<()> {
        let path = self.folder.join(name);
        fs::write(&path, contents).with_context(|| format!("write {}", path.display()))?;
        self.plane
            .kubectl(&["apply", "--filename", &path.display().to_string()])
            .await?;
        Ok(())
    }
}

/// The node runs `version`, and nothing of an update is left on it.
fn at_rest(node: &NodeView, version: &str) -> Result<()> {
    let (agent, operator) = (&node.agent, &node.operator);
    let booted = agent.booted.value().map(|booted| booted.version.as_str());
    ensure!(booted == Some(version), "{} runs {booted:?}", node.name);
    ensure!(node.ready, "{} is not ready", node.name);
    ensure!(
        agent.needed.is_absent(),
        "{} still needs a reboot",
        node.name
    );
    ensure!(
        agent.progress.is_absent() && agent.owned.is_absent(),
        "{} is still being updated",
        node.name
    );
    ensure!(!operator.has_slot(), "{} still has its slot", node.name);
    Ok(())
}
