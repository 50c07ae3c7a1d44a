//! Measures one size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cuo_lab::bench::{MANIFEST, NAMESPACE};
use cuo_lab::controlplane::{ControlPlane, Options};
use cuo_lab::herd::{self, Herd, Proxy};
use cuo_lab::process::{bound, spawn_logged};
use cuo_lab::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use super::report::Size;

/// Reboots whose grants are timed.
const SINGLE: usize = 60;
/// Nodes that want to reboot at the same time.
const QUEUE: usize = 20;
const IDLE: Duration = Duration::from_secs(60);
const PLAIN_LIMIT: Duration = Duration::from_secs(45);
const PATIENCE: Duration = Duration::from_secs(60);
/// Clock ticks a second in `/proc/PID/stat`, the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

struct Site {
    plane: ControlPlane,
    proxy: Proxy,
    program: PathBuf,
    folder: PathBuf,
}

/// What was used so far.
struct Used {
    at: Instant,
    cpu: f64,
    bytes: u64,
    reads: BTreeMap<String, f64>,
    offset: u64,
}

impl Site {
    fn operator(&self, name: &str) -> Result<Child> {
        let mut command = bound(&self.program);
        command
            .args(["--listen=127.0.0.1:0", "--log-format=text"])
            .arg(format!("--identity={name}"))
            .arg(format!("--namespace={NAMESPACE}"))
            .arg(format!("--kubeconfig={}", self.kubeconfig().display()))
            .env("NO_COLOR", "1");
        spawn_logged(&mut command, &self.folder.join(format!("{name}.log")))
    }

    fn kubeconfig(&self) -> PathBuf {
        self.folder.join("operator.kubeconfig")
    }

    /// Who leads, and when that was seen.
    async fn leads(&self, other_than: &str) -> Result<(String, Instant)> {
        let get = ["get", "lease", "cuo-operator", "--namespace", NAMESPACE];
        let holder = "--output=jsonpath={.spec.holderIdentity}";
        until("a leader", PATIENCE, async || {
            let found = self.plane.kubectl(&[&get[..], &[holder]].concat()).await?;
            let new = !found.is_empty() && found != other_than;
            Ok(new.then(|| (found, Instant::now())))
        })
        .await
    }

    /// Reads of Nodes, ledger and lease that the API server answered, which nobody but the operator makes here.
    async fn reads(&self) -> Result<BTreeMap<String, f64>> {
        let text = self.plane.kubectl(&["get", "--raw", "/metrics"]).await?;
        let mut reads = BTreeMap::new();
        let lines = text
            .lines()
            .filter(|line| line.starts_with("apiserver_request_total{"));
        for line in lines {
            let label = |name: &str| {
                let (_, rest) = line.split_once(&format!("{name}=\""))?;
                rest.split('"').next()
            };
            let (Some(verb), Some(resource)) = (label("verb"), label("resource")) else {
                continue;
            };
            let ours =
                ["nodes", "configmaps"].contains(&resource) && ["GET", "LIST"].contains(&verb);
            let count = line
                .rsplit(' ')
                .next()
                .and_then(|count| count.parse::<f64>().ok());
            if let Some(count) = count.filter(|_| ours) {
                *reads
                    .entry(format!("{} {resource}", verb.to_lowercase()))
                    .or_default() += count;
            }
        }
        Ok(reads)
    }

    async fn used(&self, pid: u32) -> Result<Used> {
        let (_, offset) = self.plane.audit_since(0)?;
        let bytes = self.proxy.bytes();
        Ok(Used {
            at: Instant::now(),
            cpu: cpu(pid)?,
            bytes: bytes.sent + bytes.received,
            reads: self.reads().await?,
            offset,
        })
    }

    /// Requests of the operator since `before`: writes out of the audit log, reads out of the metrics.
    async fn requests(&self, before: &Used) -> Result<BTreeMap<String, f64>> {
        let (entries, _) = self.plane.audit_since(before.offset)?;
        let mut counts = BTreeMap::new();
        for entry in entries {
            if entry.user_agent.starts_with("cuo-operator/") {
                *counts
                    .entry(format!("{} {}", entry.verb, entry.resource))
                    .or_default() += 1.0;
            }
        }
        for (what, count) in self.reads().await? {
            let more = count - before.reads.get(&what).copied().unwrap_or_default();
            if more > 0.0 {
                counts.insert(what, more);
            }
        }
        Ok(counts)
    }
}

fn cpu(pid: u32) -> Result<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let (_, rest) = text.rsplit_once(") ").context("a line of stat")?;
    let ticks = rest.split(' ').skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / TICKS)
}

/// `VmRSS` or `VmHWM`, in KiB.
fn memory(pid: u32, what: &str) -> Result<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = text.lines().find_map(|line| line.strip_prefix(what));
    let number = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(number.context("no such line")?.parse()?)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn percentile(times: &mut [Duration], percent: usize) -> f64 {
    times.sort();
    let at = (times.len() * percent).div_ceil(100).saturating_sub(1);
    times.get(at).copied().map_or(f64::NAN, milliseconds)
}

fn signal(child: &Child, signal: Signal) -> Result<()> {
    let pid = child.id().and_then(|pid| Pid::from_raw(pid.cast_signed()));
    kill_process(pid.context("it has ended")?, signal).context("send a signal")
}

async fn site(folder: &Path, program: &Path) -> Result<Site> {
    let hour = Duration::from_secs(3600); // nobody sends heartbeats here
    let plane = ControlPlane::start(&folder.join("plane"), Options { node_grace: hour }).await?;
    plane.kubectl(&["apply", "--filename", MANIFEST]).await?;
    // The operator runs beside the cluster.
    let gone = [
        "delete",
        "deployment",
        "cuo-operator",
        "--namespace",
        NAMESPACE,
    ];
    plane.kubectl(&gone).await?;
    let proxy = Proxy::start(&plane.server()).await?;
    let site = Site {
        plane,
        proxy,
        program: program.to_owned(),
        folder: folder.to_owned(),
    };
    let file = site.kubeconfig();
    site.plane
        .service_account_kubeconfig(NAMESPACE, "cuo-operator", &file)
        .await?;
    let text = std::fs::read_to_string(&file)?;
    std::fs::write(&file, text.replace(&site.plane.server(), &site.proxy.url()))?;
    Ok(site)
}

pub async fn all(program: &Path, nodes: usize) -> Result<Size> {
    ensure!(nodes > QUEUE, "more than {QUEUE} nodes are needed");
    let folder = tempfile::tempdir()?;
    let site = site(folder.path(), program).await?;
    eprintln!("    making the Nodes");
    let herd = Herd::start(&site.plane, nodes).await?;
    herd.want(0).await?;
    eprintln!("    starting the operator");
    let start = Instant::now();
    let mut operator = site.operator("first")?;
    let start_to_grant = milliseconds(herd.granted(0, start).await? - start);
    herd.at_rest().await?;
    let pid = operator.id().context("the operator has ended")?;

    eprintln!("    {SINGLE} reboots, one by one");
    let before = site.used(pid).await?;
    let mut grants = Vec::new();
    for number in 0..SINGLE {
        let node = number % nodes;
        let wanted = herd.want(node).await?;
        // The watch may be faster than the answer to the write.
        let granted = herd
            .granted(node, wanted - Duration::from_millis(100))
            .await?;
        grants.push(granted.saturating_duration_since(wanted));
        herd.at_rest().await?;
    }
    let each = SINGLE as f64;
    let after = site.used(pid).await?;
    let requests = site.requests(&before).await?;

    eprintln!("    {QUEUE} reboots at once");
    let since = Instant::now();
    for node in 0..QUEUE {
        herd.want(node).await?;
    }
    herd.at_rest().await?;
    let mut gaps = herd.gaps(since);

    eprintln!("    {IDLE:?} of nothing");
    let idle = site.used(pid).await?;
    tokio::time::sleep(IDLE).await;
    let idle_end = site.used(pid).await?;
    let idle_requests = site.requests(&idle).await?;
    let hours = (idle_end.at - idle.at).as_secs_f64() / 3600.0;
    let (rss, rss_peak) = (memory(pid, "VmRSS")?, memory(pid, "VmHWM")?);
    let reconnects = site.proxy.bytes().connections;

    eprintln!("    take-over");
    let (first, _) = site.leads("").await?;
    let mut second = site.operator("second")?;
    let ready = || std::fs::read_to_string(folder.path().join("second.log"));
    until("the second to be there", PATIENCE, async || {
        Ok(ready()?.contains("address=").then_some(()))
    })
    .await?;
    let stopped = Instant::now();
    signal(&operator, Signal::TERM)?;
    let (second_name, led) = site.leads(&first).await?;
    let takeover_term = milliseconds(led - stopped);
    operator.wait().await?;
    let _third = site.operator("third")?;
    let killed = Instant::now();
    second.kill().await?;
    let (_, led) = site.leads(&second_name).await?;
    let takeover_kill = milliseconds(led - killed);

    eprintln!("    the plain loop");
    let pass = herd::pass(&site.plane, nodes, PLAIN_LIMIT).await?;
    let bytes = (pass.bytes.sent + pass.bytes.received) as f64;
    let whole = bytes * pass.whole as f64 / pass.requests.max(1) as f64;
    let cycle = pass.length() + Duration::from_secs(30);

    let per = |counts: BTreeMap<String, f64>, divisor: f64| {
        let divided = counts
            .into_iter()
            .map(|(what, count)| (what, count / divisor));
        divided.collect::<BTreeMap<_, _>>()
    };
    Ok(Size {
        nodes,
        start_to_grant,
        grant_p50: percentile(&mut grants, 50),
        grant_p99: percentile(&mut grants, 99),
        next_p50: percentile(&mut gaps, 50),
        next_p99: percentile(&mut gaps, 99),
        requests_per_reboot: per(requests, each),
        bytes_per_reboot: (after.bytes - before.bytes) as f64 / each,
        requests_per_idle_hour: per(idle_requests, hours),
        bytes_per_idle_hour: (idle_end.bytes - idle.bytes) as f64 / hours,
        reconnects,
        rss,
        rss_peak,
        cpu_idle_percent: 100.0 * (idle_end.cpu - idle.cpu) / (idle_end.at - idle.at).as_secs_f64(),
        cpu_per_reboot: 1000.0 * (after.cpu - before.cpu) / each,
        takeover_term,
        takeover_kill,
        plain_pass: milliseconds(pass.length()),
        plain_bytes_per_hour: whole * 3600.0 / cycle.as_secs_f64(),
    })
}
