//! Measures one size.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use cuo_lab::bench::{MANIFEST, NAMESPACE};
use cuo_lab::cluster::controlplane::{ControlPlane, Options};
use cuo_lab::cluster::proxy::{Proxy, Traffic};
use cuo_lab::herd::{self, Herd};
use cuo_lab::process::{bound, spawn_logged};
use cuo_lab::wait::until;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Child;

use super::report::{Rate, Size, is_write};

/// Reboots whose grants are timed.
const SINGLE: usize = 60;
/// Nodes that want to reboot at the same time.
const QUEUE: usize = 20;
const IDLE: Duration = Duration::from_secs(60);
const PLAIN_LIMIT: Duration = Duration::from_secs(45);
/// Without a write for this long, there is none left.
const QUIET: Duration = Duration::from_secs(5);
/// What FLUO waits between two passes.
const PLAIN_PAUSE: Duration = Duration::from_secs(30);
const PATIENCE: Duration = Duration::from_secs(60);
/// How often the memory of a program that ends soon is looked at.
const LOOK: Duration = Duration::from_millis(2);
/// Clock ticks a second in `/proc/PID/stat`, the same on every Linux that Rust runs on.
const TICKS: f64 = 100.0;

/// The programs as they are shipped.
pub struct Programs {
    pub operator: PathBuf,
    pub cuoctl: PathBuf,
}

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
    traffic: BTreeMap<String, Traffic>,
}

impl Used {
    fn seconds_since(&self, before: &Self) -> f64 {
        (self.at - before.at).as_secs_f64()
    }

    /// What went to the API server since `before` and came from it, divided by `units`.
    fn rates(&self, before: &Self, units: f64) -> BTreeMap<String, Rate> {
        let mut rates = BTreeMap::new();
        for (what, now) in &self.traffic {
            let then = before.traffic.get(what).copied().unwrap_or_default();
            if *now != then {
                let rate = Rate {
                    requests: (now.requests - then.requests) as f64 / units,
                    bytes: (now.bytes - then.bytes) as f64 / units,
                };
                rates.insert(what.clone(), rate);
            }
        }
        rates
    }
}

impl Site {
    fn operator(&self, name: &str) -> Result<Child> {
        let mut command = bound(&self.program);
        command
            .args(["--listen=127.0.0.1:0", "--log-format=text"])
            .arg(format!("--identity={name}"))
            .arg(format!("--namespace={NAMESPACE}"))
            .arg(format!(
                "--kubeconfig={}",
                kubeconfig(&self.folder).display()
            ))
            .env("NO_COLOR", "1");
        spawn_logged(&mut command, &self.folder.join(format!("{name}.log")))
    }

    /// Who leads, and when that was seen.
    async fn leads(&self, other_than: &str) -> Result<(String, Instant)> {
        until("a leader", PATIENCE, async || {
            let found = herd::leader(&self.plane).await?;
            let new = found.filter(|found| found != other_than);
            Ok(new.map(|found| (found, Instant::now())))
        })
        .await
    }

    /// Returns when the last reboot has nothing to be written any more: the ledger's entry and Events come after what the Node shows.
    async fn written(&self) -> Result<()> {
        let mut last = (0, Instant::now());
        until("the last write", PATIENCE, async || {
            let traffic = self.proxy.traffic();
            let writes = traffic.iter().filter(|(what, _)| is_write(what));
            let count = writes.map(|(_, one)| one.requests).sum();
            if count != last.0 {
                last = (count, Instant::now());
            }
            Ok((last.1.elapsed() >= QUIET).then_some(()))
        })
        .await
    }

    fn used(&self, pid: u32) -> Result<Used> {
        Ok(Used {
            at: Instant::now(),
            cpu: cpu(pid)?,
            traffic: self.proxy.traffic(),
        })
    }
}

/// How long `cuoctl status` takes, and the most memory that it had, in KiB.
async fn status(program: &Path, plane: &ControlPlane) -> Result<(f64, u64)> {
    let begun = Instant::now();
    let mut child = bound(program)
        .arg("status")
        .env("KUBECONFIG", plane.admin_kubeconfig())
        .stdout(std::process::Stdio::null())
        .spawn()
        .context("start cuoctl")?;
    let pid = child.id().context("cuoctl has ended")?;
    let mut peak = 0;
    loop {
        // Nothing is left to read once it has ended.
        peak = memory(pid, "VmHWM").map_or(peak, |now| peak.max(now));
        if let Some(status) = child.try_wait()? {
            ensure!(status.success(), "cuoctl status: {status}");
            return Ok((milliseconds(begun.elapsed()), peak));
        }
        tokio::time::sleep(LOOK).await;
    }
}

fn kubeconfig(folder: &Path) -> PathBuf {
    folder.join("operator.kubeconfig")
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
    let file = kubeconfig(folder);
    plane
        .service_account_kubeconfig(NAMESPACE, "cuo-operator", &file)
        .await?;
    Ok(Site {
        proxy: Proxy::start(&plane, &file).await?,
        plane,
        program: program.to_owned(),
        folder: folder.to_owned(),
    })
}

/// Measures one operator with this many nodes.
pub async fn all(programs: &Programs, nodes: usize) -> Result<Size> {
    ensure!(nodes > QUEUE, "more than {QUEUE} nodes are needed");
    let folder = tempfile::tempdir()?;
    let site = site(folder.path(), &programs.operator).await?;
    eprintln!("    making the Nodes");
    let herd = Herd::start(&site.plane, nodes).await?;
    let _reports = herd.reports(&site.plane);
    herd.want(0).await?;
    eprintln!("    starting the operator");
    let start = Instant::now();
    let mut operator = site.operator("first")?;
    let start_to_grant = milliseconds(herd.granted(0, start).await? - start);
    herd.at_rest().await?;
    let pid = operator.id().context("the operator has ended")?;

    eprintln!("    {SINGLE} reboots, one by one");
    let before = site.used(pid)?;
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
    let after = site.used(pid)?;
    let mut per_reboot = after.rates(&before, each);
    // It is renewed as time goes by, however many reboot.
    per_reboot.retain(|what, _| !what.ends_with(" leases"));

    eprintln!("    {QUEUE} reboots at once");
    let since = Instant::now();
    for node in 0..QUEUE {
        herd.want(node).await?;
    }
    herd.at_rest().await?;
    let mut gaps = herd.gaps(since);

    site.written().await?;
    eprintln!("    {IDLE:?} of nothing");
    let idle = site.used(pid)?;
    tokio::time::sleep(IDLE).await;
    let idle_end = site.used(pid)?;
    let per_idle_hour = idle_end.rates(&idle, idle_end.seconds_since(&idle) / 3600.0);
    let watches = idle_end.traffic.get("watch nodes").copied();
    let watch_restarts = watches.unwrap_or_default().requests.saturating_sub(1);
    let (rss, rss_peak) = (memory(pid, "VmRSS")?, memory(pid, "VmHWM")?);

    eprintln!("    cuoctl status");
    let (status, status_peak) = status(&programs.cuoctl, &site.plane).await?;

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
    let cycles = 3600.0 / (pass.length() + PLAIN_PAUSE).as_secs_f64();
    Ok(Size {
        nodes,
        start_to_grant,
        grant_p50: percentile(&mut grants, 50),
        grant_p99: percentile(&mut grants, 99),
        next_p50: percentile(&mut gaps, 50),
        next_p99: percentile(&mut gaps, 99),
        per_reboot,
        per_idle_hour,
        watch_restarts,
        rss,
        rss_peak,
        cpu_idle_percent: 100.0 * (idle_end.cpu - idle.cpu) / idle_end.seconds_since(&idle),
        cpu_per_reboot: 1000.0 * (after.cpu - before.cpu) / each,
        takeover_term,
        takeover_kill,
        status,
        status_peak,
        plain_pass: milliseconds(pass.length()),
        plain_per_hour: Rate {
            requests: pass.whole as f64 * cycles,
            bytes: pass.bytes() * cycles,
        },
    })
}
