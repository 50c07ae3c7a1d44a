//! Hollow kubelets: a Node that is alive and pods that run, without a container anywhere.
//!
//! What a kubelet tells the API server is real: it uses its own credential (`system:node:NAME`, so the Node authorizer judges it),
//! renews its lease, keeps its Node's status, and takes the pods bound to it from Pending to Running, and from deleted to gone. Only
//! the Node object itself is created with the admin's credential: role labels are an admin's, and there must be no moment without
//! them. A pod never ends or moves by itself, whatever it is (a mirror pod, of a DaemonSet): a kubelet acts on deletions only.
//!
//! A container is nothing, or whatever a hook makes of it ([`Kubelet::on_pod`]), for example the process of an operator.

mod container;
mod node;
mod pods;
mod status;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::Result;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use tokio::runtime::Handle;
use tokio::sync;
use tokio::task::JoinSet;

pub use container::Container;
use container::Hook;
pub use status::TERMINATE_AFTER;

use crate::cluster::controlplane::{ControlPlane, LONG, NodeCredential};

/// Time between two heartbeats.
pub const HEARTBEAT: Duration = Duration::from_secs(2);

/// One boot of a host, as its kubelet reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// `status.nodeInfo.bootID`.
    pub id: String,
    /// `status.nodeInfo.osImage`, the `PRETTY_NAME` of os-release.
    pub os_image: String,
}

/// A node to play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeSpec {
    /// The Node's name.
    pub name: String,
    /// Labels on top of `kubernetes.io/{hostname,os,arch}`, for example `node-role.kubernetes.io/control-plane`.
    pub labels: BTreeMap<String, String>,
    /// The boot that it runs in at first.
    pub boot: Boot,
}

/// How a host goes down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Down {
    /// A shutdown that the kubelet notices: it says `Ready=False` before it ends. The pods keep the status that they had.
    Announced,
    /// It just stops; the controllers notice when heartbeats are missing for [`crate::cluster::controlplane::Options::node_grace`], and
    /// then call its pods unready too.
    Silent,
}

/// A hollow kubelet. It ends when this is dropped; its Node stays.
pub struct Kubelet {
    shared: Arc<Shared>,
    runtime: Handle,
    /// Everything that runs while the host is up.
    running: sync::Mutex<JoinSet<()>>,
}

/// What the parts of a kubelet have in common.
struct Shared {
    name: String,
    labels: BTreeMap<String, String>,
    address: String,
    boot: Mutex<Boot>,
    hooks: Mutex<Vec<Hook>>,
    client: Client,
    admin: Client,
}

impl fmt::Debug for Kubelet {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Kubelet")
            .field("name", &self.shared.name)
            .field("boot", &self.shared.boot())
            .finish_non_exhaustive()
    }
}

impl Kubelet {
    /// Registers the Node and starts its kubelet; returns when the Node is Ready. The controllers take a moment longer to remove
    /// the taint of a new Node.
    ///
    /// # Errors
    /// When the API server refuses or doesn't answer.
    pub async fn start(control_plane: &ControlPlane, node: NodeSpec) -> Result<Self> {
        let kubeconfig = control_plane
            .folder()
            .join("kubelets")
            .join(&node.name)
            .join("kubeconfig");
        control_plane.node_kubeconfig(&node.name, &kubeconfig, NodeCredential::Embedded, LONG)?;
        let kubelet = Self {
            shared: Arc::new(Shared {
                address: status::address("10.1", &node.name),
                name: node.name,
                labels: node.labels,
                boot: Mutex::new(node.boot),
                hooks: Mutex::default(),
                client: control_plane.client(&kubeconfig).await?,
                admin: control_plane.admin(),
            }),
            runtime: control_plane.runtime().clone(),
            running: sync::Mutex::default(),
        };
        kubelet.register().await?;
        kubelet.run().await;
        Ok(kubelet)
    }

    /// The Node's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// Registers the Node as a kubelet does when it starts: creates the object if it isn't there, and says that it is Ready.
    ///
    /// # Errors
    /// When the API server refuses or doesn't answer.
    pub async fn register(&self) -> Result<()> {
        node::register(&self.shared).await
    }

    /// The host goes down: no more heartbeats, and all containers end at once without the API knowing.
    ///
    /// # Errors
    /// When the announcement can't be written; the host is down nevertheless.
    pub async fn down(&self, how: Down) -> Result<()> {
        self.running.lock().await.shutdown().await;
        match how {
            Down::Announced => node::announce_shutdown(&self.shared).await,
            Down::Silent => Ok(()),
        }
    }

    /// The host comes up: its kubelet registers the Node as Ready with the new boot, and starts its pods again. A host that is up
    /// goes down silently first.
    ///
    /// # Errors
    /// When the API server refuses or doesn't answer; the host stays down then.
    pub async fn up(&self, boot: Boot) -> Result<()> {
        self.down(Down::Silent).await?;
        *self
            .shared
            .boot
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = boot;
        self.register().await?;
        self.run().await;
        Ok(())
    }

    /// Runs `run` as the container of each pod for which `matches` is true, from pods on that start after this call.
    ///
    /// The pod is ready when and as long as [`Container::set_ready`] says so. When `run` returns, the container has ended: it is run
    /// again after a second, with a higher restart count. When the pod is deleted, [`Container::stopped`] returns; what still runs
    /// when the pod's grace period is over is dropped. It is also dropped when the host goes down, and when the pod is gone at once.
    pub fn on_pod<Running>(
        &self,
        matches: impl Fn(&Pod) -> bool + Send + Sync + 'static,
        run: impl Fn(Container) -> Running + Send + Sync + 'static,
    ) where
        Running: Future<Output = Result<()>> + Send + 'static,
    {
        self.shared
            .hooks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(Hook::new(matches, run));
    }

    /// Starts everything that runs while the host is up.
    async fn run(&self) {
        let mut running = self.running.lock().await;
        running.spawn_on(node::heartbeat(self.shared.clone()), &self.runtime);
        running.spawn_on(pods::run(self.shared.clone()), &self.runtime);
    }
}

impl Shared {
    fn boot(&self) -> Boot {
        self.boot
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn hook(&self, pod: &Pod) -> Option<Hook> {
        let hooks = self.hooks.lock().unwrap_or_else(PoisonError::into_inner);
        hooks.iter().find(|hook| hook.matches(pod)).cloned()
    }
}
