//! What presses a host's power button and starts it again when it reboots, and its kubelet with it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::sync::watch;

use super::link::{Link, SWITCH};
use super::{BOOT, locked, power};
use crate::cluster::kubelet::{Boot, Down, Kubelet};
use crate::machine::ostree::{NodeRoot, Sysroot};
use crate::wait::until;

/// How nspawn ends when the host reboots.
const REBOOTS: i32 = 133;
/// How long the API server may keep a kubelet waiting.
const REGISTRATION: Duration = Duration::from_secs(120);

/// What a host is doing.
#[derive(Debug, Clone, Default)]
pub(super) struct State {
    pub(super) on: bool,
    /// systemd is done with the boot, and the kubelet is there.
    pub(super) up: bool,
    pub(super) boots: u32,
    /// Why it is of no use any more.
    pub(super) trouble: Option<String>,
}

/// What a host's handle and its thread both use.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) name: String,
    pub(super) link: Link,
    base: PathBuf,
    folder: PathBuf,
    program: Vec<String>,
    group: Mutex<Option<PathBuf>>,
    kubelet: Mutex<Option<Arc<Kubelet>>>,
}

impl Shared {
    pub(super) fn new(name: &str, base: &Path, folder: &Path, binds: Vec<String>) -> Self {
        let mut program: Vec<String> = [
            "systemd-nspawn",
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--boot",
            "--timezone=off",
            "--resolv-conf=off",
            "--link-journal=no",
            "--console=read-only",
            // Without these, units' limits on addresses and devices would silently do nothing.
            "--capability=CAP_BPF,CAP_PERFMON,CAP_NET_ADMIN",
            "--system-call-filter=bpf",
        ]
        .map(str::to_owned)
        .into();
        program.push(format!("--network-bridge={SWITCH}"));
        program.push(format!("--directory={}", folder.join("mount").display()));
        program.extend([format!("--machine={name}"), format!("--hostname={name}")]);
        program.extend(binds);
        Self {
            name: name.to_owned(),
            link: Link::default(),
            base: base.to_owned(),
            folder: folder.to_owned(),
            program,
            group: Mutex::default(),
            kubelet: Mutex::default(),
        }
    }

    pub(super) fn group(&self) -> Option<PathBuf> {
        locked(&self.group).clone()
    }

    fn init(&self) -> Result<i32> {
        power::init(&self.group().context("the host is off")?)
    }

    pub(super) async fn run(&self, words: &[&str]) -> Result<String> {
        let output = power::inside(self.init()?, words)
            .output()
            .await
            .context("nsenter")?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(
            output.status.success(),
            "{words:?} on {}: {}; it said: {stdout}{}",
            self.name,
            output.status,
            String::from_utf8_lossy(&output.stderr).trim_end()
        );
        Ok(stdout)
    }

    /// Read through the host's own file system: a process in there could hold up a shutdown.
    pub(super) fn boot_id(&self) -> Result<String> {
        let path = format!("/proc/{}/root/proc/sys/kernel/random/boot_id", self.init()?);
        let text = std::fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        Ok(text.trim().to_owned())
    }

    /// What the kubelet tells of this boot.
    pub(super) fn boot(&self) -> Result<Boot> {
        let sysroot: Sysroot = NodeRoot::new(&self.folder).load()?;
        let booted = sysroot.booted().context("nothing is booted")?;
        Ok(Boot {
            id: self.boot_id()?,
            os_image: format!("Fedora CoreOS {}", booted.release.version),
        })
    }

    pub(super) fn attach(&self, kubelet: Kubelet) {
        *locked(&self.kubelet) = Some(Arc::new(kubelet));
    }

    /// Cuts the host's wire, its kubelet's too, or mends it.
    pub(super) async fn set_cut(&self, cut: bool) -> Result<()> {
        self.link.set_cut(cut).await?;
        let Some(kubelet) = self.kubelet() else {
            return Ok(());
        };
        if cut {
            return kubelet.down(Down::Silent).await;
        }
        // One that is just going down or coming up does so by itself.
        match self.boot() {
            Ok(boot) => kubelet.up(boot).await,
            Err(_) => Ok(()),
        }
    }

    fn kubelet(&self) -> Option<Arc<Kubelet>> {
        locked(&self.kubelet).clone()
    }
}

/// Starts the thread that does as `wish` says, until nobody wishes any more. A thread of its own, because what it starts dies with the
/// thread that started it.
pub(super) fn start(
    shared: Arc<Shared>,
    wish: watch::Receiver<bool>,
    report: watch::Sender<State>,
) -> Result<JoinHandle<()>> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("a runtime")?;
    let thread = std::thread::Builder::new().name(format!("power of {}", shared.name));
    thread
        .spawn(move || {
            if let Err(error) = runtime.block_on(drive(&shared, wish, &report)) {
                report.send_modify(|state| state.trouble = Some(format!("{error:#}")));
            }
        })
        .context("start a thread")
}

async fn drive(
    shared: &Shared,
    mut wish: watch::Receiver<bool>,
    report: &watch::Sender<State>,
) -> Result<()> {
    let mut again = false;
    loop {
        if !again && wish.wait_for(|on| *on).await.is_err() {
            return Ok(());
        }
        report.send_modify(|state| {
            state.boots += 1;
            (state.on, state.up) = (true, false);
        });
        let mut life = power::Life::start(
            &shared.name,
            &shared.base,
            &shared.folder,
            shared.link.state(),
            &shared.program,
        )?;
        *locked(&shared.group) = Some(life.group().to_owned());
        let process = life.process()?;
        let ended = tokio::select! {
            ended = life.ended() => Some(ended?),
            // An error says that nobody is left to turn it off.
            off = wish.wait_for(|on| !*on) => match off {
                Ok(_) => None,
                Err(_) => return life.end().await,
            },
            trouble = come_up(shared, report) => return Err(trouble),
            trouble = shared.link.serve(process) => return Err(trouble),
        };
        shared.link.ended();
        report.send_modify(|state| state.up = false);
        life.end().await?;
        *locked(&shared.group) = None;
        if let Some(kubelet) = shared.kubelet() {
            let how = if ended.is_some() && !shared.link.is_cut() {
                Down::Announced
            } else {
                Down::Silent
            };
            // A host that goes down can't tell when the API server is down too.
            let _ = kubelet.down(how).await;
        }
        match ended.map(|status| status.code()) {
            Some(Some(REBOOTS)) => again = true,
            None => again = false,
            Some(code) => anyhow::bail!("nspawn ended with {code:?}"),
        }
        report.send_modify(|state| state.on = again);
    }
}

/// Reports when the host is up, and returns only if it does not come up.
async fn come_up(shared: &Shared, report: &watch::Sender<State>) -> anyhow::Error {
    let up = until(format!("{} to be up", shared.name), BOOT, async || {
        // It says so with a failure when a unit has failed, which is for tests to judge.
        let state = shared
            .run(&["sh", "-c", "systemctl is-system-running || true"])
            .await?;
        Ok(matches!(state.trim(), "running" | "degraded").then_some(()))
    });
    if let Err(error) = up.await {
        return error;
    }
    if let Some(kubelet) = shared.kubelet() {
        let registered = until("the kubelet", REGISTRATION, async || {
            if shared.link.is_cut() {
                return Ok(None);
            }
            kubelet.up(shared.boot()?).await.map(Some)
        });
        if let Err(error) = registered.await {
            return error;
        }
    }
    report.send_modify(|state| state.up = true);
    std::future::pending().await
}
