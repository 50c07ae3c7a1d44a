//! A cluster whose nodes are hosts with a systemd of their own.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::Result;
use cuo_agent::journal::Event;
use cuo_core::node::NodeView;
use cuo_core::reason::Code;
use cuo_lab::bench::{Bench, Gate, Operator, OperatorSpec};
use cuo_lab::host::{self, Host, Packages};
use cuo_lab::machine::{HostSpec, binary};
use cuo_lab::wait::until;
use tempfile::TempDir;
use tokio::sync::{Mutex, OnceCell, Semaphore, SemaphorePermit};

use crate::{PATIENCE, V1};

/// Configuration that lets an agent do in seconds what takes hours and minutes in earnest.
const HASTE: &str = r#"
[check]
period = "4s"
jitter = "1s"
[retry]
first = "2s"
cap = "4s"
[drain]
evict_every = "1s"
[reboot]
shutdown = "30s"
"#;
/// Tests hold the agent at steps that they choose; its own unit would let it write nothing there. One that was killed is not waited for.
const GATES: &str =
    "[Service]\nRestartSec=1s\nEnvironment=CUO_TEST_GATE=/gates\nReadWritePaths=/gates\n";

/// A pod that takes its time to go.
pub const WEB: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: default}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {lab.cuo/terminate-after: 1h}}
    spec: {terminationGracePeriodSeconds: 7200, containers: [{name: web, image: none}]}
";

/// Hosts at a time. Linux gives all processes of a user 128 instances of inotify, of which a host takes some 16 and a control plane 7.
static PLACES: Semaphore = Semaphore::const_new(4);

/// How many hosts there are, and the operator's flags.
pub struct Plan {
    pub hosts: usize,
    pub flags: &'static [&'static str],
}

/// A control plane, an operator, and hosts. Dropping it ends everything.
pub struct Yard {
    pub hosts: Vec<Host>,
    operator: Mutex<Operator>,
    pub bench: Bench,
    _folder: TempDir,
    _places: SemaphorePermit<'static>,
}

/// What all tests have in common. Nobody else makes anything in its folder while the lock is held.
struct Common {
    base: PathBuf,
    packages: Packages,
    _lock: File,
}

async fn common() -> Result<&'static Common> {
    static COMMON: OnceCell<Common> = OnceCell::const_new();
    let made = COMMON.get_or_try_init(|| async {
        let base = host::base(|line| eprintln!("{line}")).await?;
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hosts");
        fs::create_dir_all(&folder)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let folder = folder.join("packages");
        let program = binary("cuo-agent")?;
        let repository = repository();
        let version = env!("CARGO_PKG_VERSION");
        let packages = Packages::build(&folder, &repository, version, &program).await?;
        anyhow::Ok(Common {
            base,
            packages,
            _lock: lock,
        })
    });
    made.await
}

/// The repository's root.
pub fn repository() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// The commands of the first block of shell in `page` behind `mark`.
pub fn commands<'a>(page: &'a str, mark: &str) -> &'a str {
    let (_, behind) = page.split_once(mark).unwrap();
    let (_, block) = behind.split_once("```sh\n").unwrap();
    block.split_once("```").unwrap().0
}

/// Whether hosts can be here. Where not, the test says so and does nothing.
async fn possible() -> bool {
    let folder = TempDir::new().unwrap();
    let possible = host::possible(folder.path()).await;
    if let Err(error) = &possible {
        eprintln!("SKIPPED: {error:#}");
    }
    possible.is_ok()
}

/// A folder whose name is short, because the paths of sockets may not be long.
fn folder() -> TempDir {
    let mut builder = tempfile::Builder::new();
    builder.prefix("cuo").tempdir_in("/tmp").unwrap()
}

impl Yard {
    /// A cluster of `hosts` hosts under an operator as it ships.
    pub async fn start(hosts: usize) -> Option<Self> {
        Self::planned(Plan { hosts, flags: &[] }).await
    }

    /// A cluster of hosts `n1`, `n2`, … on [`V1`], with an operator and without an agent; nothing where hosts can't be.
    pub async fn planned(plan: Plan) -> Option<Self> {
        if !possible().await {
            return None;
        }
        let common = common().await.unwrap();
        let count = u32::try_from(plan.hosts).unwrap();
        let places = PLACES.acquire_many(count).await.unwrap();
        let folder = folder();
        let mut hosts = Vec::new();
        for number in 1..=plan.hosts {
            let (name, spec) = (format!("n{number}"), HostSpec::ostree(V1));
            let host = Host::create(
                &folder.path().join("hosts"),
                &name,
                &spec,
                &common.base,
                &common.packages,
            );
            let host = host.unwrap();
            write(&host.disk("etc/cuo-agent/config.d/50-haste.toml"), HASTE);
            write(
                &host.disk("etc/systemd/system/cuo-agent.service.d/50-gates.conf"),
                GATES,
            );
            hosts.push(host);
        }
        let booting = futures::future::join_all(hosts.iter().map(Host::turn_on));
        let (bench, booted) = futures::join!(Bench::start(folder.path(), Vec::new()), booting);
        let bench = bench.unwrap();
        booted.into_iter().collect::<Result<()>>().unwrap();
        for host in &hosts {
            host.join(&bench.plane).await.unwrap();
        }
        let spec = OperatorSpec {
            flags: plan.flags.iter().map(|&flag| flag.to_owned()).collect(),
            ..OperatorSpec::default()
        };
        let operator = bench.operator(spec).await.unwrap();
        Some(Self {
            hosts,
            operator: Mutex::new(operator),
            bench,
            _folder: folder,
            _places: places,
        })
    }

    /// Installs the agent on all hosts and turns it on, as an administrator does.
    pub async fn install(&self) {
        for host in &self.hosts {
            host.install().await.unwrap();
            host.run(&["systemctl", "enable", "--now", "--quiet", "cuo-agent"])
                .await
                .unwrap();
        }
    }

    /// The only host.
    pub fn host(&self) -> &Host {
        &self.hosts[0]
    }

    /// Steps at which the agent of `host` is held.
    pub fn gate(&self, host: &Host) -> Gate {
        Gate::new(host.root().join("gates")).unwrap()
    }

    pub fn publish(&self, version: &str) {
        for host in &self.hosts {
            host.publish(version).unwrap();
        }
    }

    /// Waits until all nodes run `version` and nothing of an update is left.
    pub async fn settled(&self, version: &str) {
        let names: Vec<_> = self.hosts.iter().map(Host::name).collect();
        if let Err(error) = self.bench.settled_on(&names, version, PATIENCE).await {
            panic!("{error:#}{}", self.pictures().await);
        }
    }

    /// Waits until the Node of `host` is as `fits` says.
    pub async fn sees(
        &self,
        host: &Host,
        what: &str,
        fits: impl Fn(&NodeView) -> bool,
    ) -> NodeView {
        let seen = until(format!("{what} on {}", host.name()), PATIENCE, async || {
            Ok(Some(self.bench.node(host.name())?).filter(&fits))
        });
        match seen.await {
            Ok(node) => node,
            Err(error) => {
                let node = self.bench.node(host.name());
                panic!("{error:#}; {node:#?}{}", self.pictures().await)
            }
        }
    }

    /// Waits until the Node of `host` gives the reason `code` with `words` in its sentence, and returns that.
    pub async fn reason(&self, host: &Host, code: Code, words: &str) -> String {
        let given = |node: &NodeView| {
            let reason = node.agent.reason.value();
            reason
                .filter(|reason| reason.code == code && reason.message.contains(words))
                .cloned()
        };
        let what = format!("{code:?} with {words:?}");
        let node = self.sees(host, &what, |node| given(node).is_some()).await;
        given(&node).unwrap().message
    }

    /// Waits until `probe` on a host says so.
    pub async fn comes(&self, what: &str, probe: impl AsyncFnMut() -> Result<bool>) {
        let mut probe = probe;
        let seen = until(what, PATIENCE, async || Ok(probe().await?.then_some(())));
        if let Err(error) = seen.await {
            panic!("{error:#}{}", self.pictures().await);
        }
    }

    /// The agent's entries of `event` in the journal of `host`, in all boots.
    pub async fn entries(&self, host: &Host, event: Event) -> Vec<String> {
        let id = format!("MESSAGE_ID={}", event.id());
        let words = ["journalctl", "--quiet", "--no-pager", "--output=cat", &id];
        let text = host.run(&words).await.unwrap();
        text.lines().map(str::to_owned).collect()
    }

    /// Pauses the node of `host`, or lets it go on.
    pub async fn pause(&self, host: &Host, paused: bool) {
        let mark = if paused { "=true" } else { "-" };
        let annotation = format!("cuo.coreos.com/reboot-paused{mark}");
        let words = ["annotate", "node", host.name(), &annotation];
        self.bench.plane.kubectl(&words).await.unwrap();
    }

    /// Waits until the pod of [`WEB`] is ready.
    pub async fn runs_web(&self) {
        let ready = async || {
            let replicas = "--output=jsonpath={.status.readyReplicas}";
            let query = ["get", "deployment", "web", replicas];
            Ok(self.bench.plane.kubectl(&query).await? == "1")
        };
        self.comes("the pod", ready).await;
    }

    /// Ends the pod of [`WEB`] that is going.
    pub async fn web_goes(&self) {
        let delete = [
            "delete",
            "pods",
            "--selector=app=web",
            "--grace-period=0",
            "--force",
            "--wait=false",
        ];
        self.bench.plane.kubectl(&delete).await.unwrap();
    }

    pub async fn stop_operator(&self) {
        self.operator.lock().await.terminate().await.unwrap();
    }

    pub async fn pictures(&self) -> String {
        let mut shown = String::new();
        for host in &self.hosts {
            shown += &host.picture().await;
        }
        shown
    }
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}
