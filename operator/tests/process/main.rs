//! The operator's process on a real API server, with agents that answer at once: all of its writes, being killed at each of them, an API
//! server that is away, a broken ledger, and the end.
//!
//! One control plane serves all steps, one after the other. Each step is an update of all nodes to the next version.

mod agents;
mod crowd;
mod faults;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use agents::{Agents, CHECK};
use anyhow::{Context, Result, ensure};
use cuo_core::values::Outcome;
use cuo_lab::cluster::controlplane::{AuditEntry, ControlPlane, Options};
use cuo_lab::process::{bound, spawn_logged};
use cuo_lab::wait::until;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::Child;
use tokio::time::sleep;

const NAMESPACE: &str = "cuo-system";
/// Who does not lead.
const STANDBY: &str = "standby";
const SOON: Duration = Duration::from_secs(60);
/// How long nothing may happen where nothing is to be done; the lease is renewed in it more than once.
const IDLE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn the_operator_does_its_work_whatever_happens() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::start(dir.path()).await.unwrap();
    let step = |name: &str| eprintln!("{name}");

    step("all nodes go, one after the other, with the writes that it takes and no other");
    bench.rollout().await.unwrap();
    step("whoever does not lead writes nothing");
    bench.stood_by().await.unwrap();
    step("what people see says so");
    bench.reported().await.unwrap();
    step("nothing is asked of the API server while nothing is to be done");
    bench.idle().await.unwrap();
    step("thousands of idle connections cost it neither its probes nor its lease");
    bench.crowded().await.unwrap();
    step("it may be killed before and after each of its writes");
    bench.killed().await.unwrap();
    step("it gets over an API server that is away at each of its writes");
    bench.outage().await.unwrap();
    step("a broken ledger stops it until somebody repairs it");
    bench.broken_ledger().await.unwrap();
    step("it gives the lease back when it is stopped");
    bench.stopped().await.unwrap();
}

struct Bench {
    plane: ControlPlane,
    dir: PathBuf,
    agents: Agents,
    operator: Child,
    standby: Option<Child>,
    /// What all nodes run.
    version: u8,
}

impl Bench {
    async fn start(dir: &Path) -> Result<Self> {
        let hour = Duration::from_secs(3600);
        let options = Options { node_grace: hour }; // nobody sends heartbeats here
        let plane = ControlPlane::start(&dir.join("plane"), options).await?;
        let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/operator.yaml");
        // Without the Deployment: the operator runs beside the cluster.
        let objects = std::fs::read_to_string(manifest).context("deploy/operator.yaml")?;
        let objects: Vec<_> = objects.split("\n---\n").collect();
        let objects = objects
            .iter()
            .filter(|text| !text.contains("kind: Deployment"));
        let file = dir.join("objects.yaml");
        let text: Vec<_> = objects.copied().collect();
        std::fs::write(&file, text.join("\n---\n"))?;
        let file = file.to_str().context("the path is text")?;
        plane.kubectl(&["apply", "-f", file]).await?;
        let account = dir.join("kubeconfig");
        plane
            .service_account_kubeconfig(NAMESPACE, "cuo-operator", &account)
            .await?;
        std::fs::create_dir(dir.join("gates"))?;
        Ok(Self {
            agents: Agents::start(&plane, &["n1", "n2", "n3"]).await?,
            operator: operator(dir, Lead::WithLease)?,
            standby: None,
            plane,
            dir: dir.to_owned(),
            version: 1,
        })
    }

    /// Starts one that does not lead, as a user of its own, so that its writes can be told from those of the other.
    async fn stand_by(&mut self) -> Result<()> {
        until("the first one to lead", SOON, async || {
            Ok(self.holder().await?.starts_with("op-").then_some(()))
        })
        .await?;
        let dir = self.dir.join("standby");
        std::fs::create_dir_all(dir.join("gates"))?;
        self.plane
            .client_kubeconfig(STANDBY, "system:masters", &dir.join("kubeconfig"))?;
        self.standby = Some(operator(&dir, Lead::WithLease)?);
        until("the other one to see the Nodes", SOON, async || {
            let log = std::fs::read_to_string(dir.join("operator.log"))?;
            let metrics = get_from(address(&log)?, "/metrics").await?;
            let sees = metrics
                .lines()
                .any(|line| line == "cuo_operator_watch_up 1");
            Ok(sees.then_some(()))
        })
        .await
    }

    async fn stood_by(&mut self) -> Result<()> {
        let mut standby = self.standby.take().context("it was not started")?;
        let ended = standby.try_wait()?;
        ensure!(ended.is_none(), "it ended: {ended:?}");
        standby.kill().await?;
        let entries = self.plane.audit()?;
        let own = entries.iter().filter(|entry| entry.user == STANDBY);
        let own: Vec<_> = own.collect();
        ensure!(own.is_empty(), "{own:#?}");
        Ok(())
    }

    fn log(&self) -> Result<String> {
        std::fs::read_to_string(self.dir.join("operator.log")).context("the operator's log")
    }

    /// Updates all nodes to the next version. Before each step of the agents `watch` is called, and says whether they may take it.
    async fn update(
        &mut self,
        mut watch: impl AsyncFnMut(&mut Self) -> Result<bool>,
    ) -> Result<()> {
        self.version += 1;
        self.agents.want(self.version).await?;
        until("all nodes to be updated", 3 * SOON, async || {
            if !watch(self).await? {
                return Ok(None);
            }
            Ok(self.agents.step(self.version).await?.then_some(()))
        })
        .await?;
        self.settled().await
    }

    /// Waits until the ledger is empty.
    async fn settled(&self) -> Result<()> {
        until("an empty ledger", SOON, async || {
            let ledger = self.ledger().await?;
            Ok(ledger.contains(r#""entries":{}"#).then_some(()))
        })
        .await
    }

    async fn ledger(&self) -> Result<String> {
        let get = ["get", "configmap", "cuo-ledger", "--namespace", NAMESPACE];
        let data = "--output=jsonpath={.data.ledger\\.json}";
        self.plane.kubectl(&[&get[..], &[data]].concat()).await
    }

    /// The operator's writes in the audit log behind `offset`, apart from its lease, counted by what they are.
    fn writes(&self, offset: u64) -> Result<BTreeMap<String, usize>> {
        let (entries, _) = self.plane.audit_since(offset)?;
        let own = |entry: &&AuditEntry| {
            entry.user_agent.starts_with("cuo-operator/") && entry.resource != "leases"
        };
        let mut counts = BTreeMap::new();
        for entry in entries.iter().filter(own) {
            let what = format!("{} {} {}", entry.verb, entry.resource, entry.code);
            *counts.entry(what).or_default() += 1;
        }
        Ok(counts)
    }

    async fn rollout(&mut self) -> Result<()> {
        self.stand_by().await?;
        self.update(async |_| Ok(true)).await?;
        for node in self.agents.nodes().await? {
            let outcome = node.agent.result.value().map(|result| result.outcome);
            ensure!(outcome == Some(Outcome::Done), "{node:#?}");
        }
        let expected = [
            ("patch configmaps 201", 1),
            ("patch nodes 200", 12),
            ("update configmaps 200", 9),
        ];
        let expected = expected.map(|(what, count)| (what.to_owned(), count));
        let expected: BTreeMap<_, _> = expected.into();
        until("the writes to be in the audit log", SOON, async || {
            let mut writes = self.writes(0)?;
            // Controllers write a new Node, too.
            let conflicts = writes.remove("patch nodes 409").unwrap_or_default();
            writes.retain(|what, _| !what.contains(" events "));
            ensure!(writes == expected && conflicts <= 3, "{writes:?}");
            Ok(Some(()))
        })
        .await
    }

    async fn reported(&self) -> Result<()> {
        let columns = "--output=custom-columns=:regarding.name,:reason,:action,:type";
        let get = ["get", "events.events.k8s.io", "--no-headers", columns];
        let own = "--field-selector=reportingController=cuo.coreos.com/cuo-operator";
        let text = self.plane.kubectl(&[&get[..], &[own]].concat()).await?;
        let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
        let events: Vec<_> = text.lines().map(words).collect();
        for name in ["n1", "n2", "n3"] {
            for event in [
                "Reserved Reserve Normal",
                "Granted Grant Normal",
                "Rebooting Accept Normal",
                "AfterChecks Hold Normal",
                "UpToDate Release Normal",
            ] {
                let event = format!("{name} {event}");
                let found = events.iter().filter(|found| **found == event).count();
                ensure!(found == 1, "{found} times {event} in {events:#?}");
            }
        }
        ensure!(events.len() <= 3 * 6, "{events:#?}");

        let metrics = self.get("/metrics").await?;
        for line in [
            "cuo_grants_total 3",
            "cuo_grant_results_total{outcome=\"done\"} 3",
            "cuo_operator_writes_total{write=\"node-release\"} 3",
            "cuo_operator_leader 1",
            "cuo_operator_watch_up 1",
            "cuo_nodes{phase=\"idle\"} 3",
            "cuo_verdicts{code=\"UpToDate\"} 3",
            "cuo_budget_used 0",
            "cuo_budget_max 1",
        ] {
            ensure!(
                metrics.lines().any(|found| found == line),
                "{line} is not in {metrics}"
            );
        }
        for probe in ["/healthz", "/readyz"] {
            let answer = self.get(probe).await?;
            ensure!(answer.starts_with("HTTP/1.1 200"), "{probe}: {answer}");
        }
        Ok(())
    }

    /// The whole answer of the operator's own server.
    async fn get(&self, path: &str) -> Result<String> {
        get_from(address(&self.log()?)?, path).await
    }

    /// Reads of the ledger and of single Nodes, and lists of Nodes, by anybody.
    async fn reads(&self) -> Result<Vec<String>> {
        let metrics = self.plane.kubectl(&["get", "--raw", "/metrics"]).await?;
        let counted = |line: &&str| {
            let one = |kind: &str, verb: &str| line.contains(kind) && line.contains(verb);
            line.starts_with("apiserver_request_total{")
                && (one("resource=\"configmaps\"", "verb=\"GET\"")
                    || one("resource=\"nodes\"", "verb=\"LIST\"")
                    || one("resource=\"nodes\"", "verb=\"GET\""))
        };
        Ok(metrics.lines().filter(counted).map(str::to_owned).collect())
    }

    async fn idle(&self) -> Result<()> {
        let (_, offset) = self.plane.audit_since(0)?;
        let before = self.reads().await?;
        ensure!(
            before.iter().any(|line| line.contains("configmaps")),
            "{before:?}"
        );
        sleep(IDLE).await;
        let (after, writes) = (self.reads().await?, self.writes(offset)?);
        ensure!(after == before, "{before:#?}, then {after:#?}");
        ensure!(writes.is_empty(), "{writes:?}");
        let (entries, _) = self.plane.audit_since(offset)?;
        let renewals = entries.iter().filter(|entry| {
            entry.user_agent.starts_with("cuo-operator/") && entry.resource == "leases"
        });
        let renewals = renewals.count();
        ensure!((2..=4).contains(&renewals), "{renewals} renewals");
        Ok(())
    }
}

/// Where the operator that wrote `log` listens.
fn address(log: &str) -> Result<SocketAddr> {
    let mut words = log.split_whitespace().rev();
    let address = words.find_map(|word| word.strip_prefix("address="));
    Ok(address.context("no address in the log")?.parse()?)
}

/// The whole answer of an operator's own server.
async fn get_from(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// Whether an operator needs the lease to lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lead {
    WithLease,
    /// After one was killed, its lease would have to run out first.
    AtOnce,
}

/// Starts the operator; it logs behind what was logged before.
fn operator(dir: &Path, lead: Lead) -> Result<Child> {
    let mut command = bound(env!("CARGO_BIN_EXE_cuo-operator"));
    command
        .env("CUO_TEST_GATE", dir.join("gates"))
        .env("NO_COLOR", "1")
        .args(["--listen=127.0.0.1:0", "--log-format=text", "--identity=op"])
        .arg(format!("--after-reboot-annotations={CHECK}"))
        .arg(format!("--namespace={NAMESPACE}"))
        .arg(format!("--kubeconfig={}", dir.join("kubeconfig").display()));
    if lead == Lead::AtOnce {
        command.env("CUO_TEST_NO_LEASE", "1");
    }
    spawn_logged(&mut command, &dir.join("operator.log"))
}
