//! Power: a host's life between two power cuts, in namespaces and a control group of its own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::process::{Child, Command};

use crate::process::{bound, spawn_logged};
use crate::wait::until;

/// What reaches past namespaces is nobody's in there: the clock, modules, raw memory and devices.
const WITHHELD: &str = "--bounding-set=-sys_time,-sys_module,-sys_rawio,-wake_alarm,-block_suspend,-mac_admin,-mac_override,-syslog";
/// Joins the control group before anything else is there.
const JOIN: &str = r#"echo $$ > "$1/cgroup.procs"; shift; exec "$@""#;
/// A tree of control groups of version 2 whatever the machine has, and a `/run` for nspawn itself; a switch in a network of its own, whose
/// address hosts know by heart, so that nobody tells them when it is silent; then the host's own disk over the common one.
const ENTER: &str = r#"
umount -R /sys/fs/cgroup
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
ip link add switch address 02:00:00:00:00:01 type bridge
ip address add 203.0.113.1/24 dev switch
ip link set switch "$3"
mount -t overlay -o "lowerdir=$1,upperdir=$2/disk,workdir=$2/work" overlay "$2/mount"
mkdir /sys/fs/cgroup/host
echo $$ > /sys/fs/cgroup/host/cgroup.procs
shift 3
"$@"
exit $?
"#;
/// How long killed processes take to be gone, at most.
const GONE: Duration = Duration::from_secs(20);

/// Control groups of this process' hosts begin with this, in which the process is named.
const PREFIX: &str = "cuo-lab-";

/// A host that is on. Dropping it is a power cut.
#[derive(Debug)]
pub(super) struct Life {
    child: Child,
    group: PathBuf,
}

impl Life {
    /// Turns the host on: `program` and its arguments run with `folder/mount` as a writable copy of `base`, beside a switch that is
    /// `link`, up or down.
    pub(super) fn start(
        name: &str,
        base: &Path,
        folder: &Path,
        link: &str,
        program: &[String],
    ) -> Result<Self> {
        for part in ["disk", "work", "mount"] {
            let path = folder.join(part);
            fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        let top = groups()?;
        sweep(&top);
        let group = top.join(format!(
            "{PREFIX}{}-{name}-{:08x}",
            std::process::id(),
            fastrand::u32(..)
        ));
        fs::create_dir(&group).with_context(|| format!("create {}", group.display()))?;
        let mut command = bound("sh");
        command
            .args(["-euc", JOIN, "join"])
            .arg(&group)
            .args([
                "unshare",
                "--mount",
                "--net",
                "--ipc",
                "--uts",
                "--pid",
                "--cgroup",
                "--fork",
                "--mount-proc",
            ])
            .args([
                "--kill-child=SIGKILL",
                "--propagation",
                "private",
                "setpriv",
                WITHHELD,
            ])
            .args(["sh", "-euc", ENTER, name])
            .args([base, folder])
            .arg(link)
            .args(program);
        let child = spawn_logged(&mut command, &folder.join("console.log"))?;
        Ok(Self { child, group })
    }

    /// How it ended, when it does by itself. May be called again after it was dropped half way.
    pub(super) async fn ended(&mut self) -> Result<ExitStatus> {
        self.child.wait().await.context("wait for a host")
    }

    /// All of it ends at this moment, if it has not; returns when nothing is left.
    pub(super) async fn end(mut self) -> Result<()> {
        self.kill();
        self.child.wait().await.context("wait for a host")?;
        until("the end of a host's processes", GONE, async || {
            let events = fs::read_to_string(self.group.join("cgroup.events"))?;
            Ok(events.contains("populated 0").then_some(()))
        })
        .await
    }

    fn kill(&self) {
        // There may be nothing left to kill.
        let _ = fs::write(self.group.join("cgroup.kill"), "1");
    }

    pub(super) fn group(&self) -> &Path {
        &self.group
    }

    /// A process in the host's network.
    pub(super) fn process(&self) -> Result<u32> {
        self.child.id().context("the host has ended")
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.kill();
        remove_groups(&self.group);
    }
}

/// Process id of the init of the host in `group`, as this machine sees it.
pub(super) fn init(group: &Path) -> Result<i32> {
    let text = fs::read_to_string(group.join("host/payload/init.scope/cgroup.procs"))
        .context("the host is not up")?;
    let first = text.lines().next().context("the host has no init")?;
    Ok(first.parse()?)
}

/// A command inside of the host whose init is `init`: with its namespaces, and without rights that would reach out of it.
///
/// What runs in there is a child of a shell that is outside: a shutdown stops all processes of the host before it kills them, and
/// nsenter would imitate its child, stop, and keep the host from going down.
pub(super) fn inside(init: i32, words: &[&str]) -> Command {
    let mut command = bound("setpriv");
    command
        .args([WITHHELD, "nsenter", "--no-fork", "--target"])
        .arg(init.to_string())
        .args([
            "--mount", "--net", "--uts", "--ipc", "--pid", "--cgroup", "--root", "--wd", "--",
        ])
        .args([
            "env",
            "-i",
            "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
            "LANG=C.UTF-8",
            "TERM=dumb",
        ])
        .args([
            "SYSTEMD_PAGER=cat",
            "SYSTEMD_COLORS=0",
            "sh",
            "-c",
            r#""$@"; exit $?"#,
            "sh",
        ])
        .args(words);
    command
}

/// Whether this machine lets hosts be.
///
/// # Errors
/// Says what it does not allow.
pub async fn possible(folder: &Path) -> Result<()> {
    ensure!(
        rustix::process::geteuid().is_root(),
        "only root can make namespaces with devices and mounts"
    );
    let base = folder.join("base");
    fs::create_dir_all(&base).with_context(|| format!("create {}", base.display()))?;
    let program = ["systemd-nspawn", "--version"].map(str::to_owned);
    let mut life = Life::start("try", &base, folder, "up", &program)?;
    let status = life.ended().await?;
    let said = fs::read_to_string(folder.join("console.log")).unwrap_or_default();
    ensure!(
        status.success(),
        "namespaces, control groups or mounts are not allowed here: {}",
        said.trim()
    );
    life.end().await
}

/// Where control groups of version 2 are.
fn groups() -> Result<PathBuf> {
    let places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"].map(PathBuf::from);
    let found = places
        .into_iter()
        .find(|place| place.join("cgroup.procs").is_file());
    found.context("there are no control groups of version 2")
}

/// Removes what is left of hosts whose process was killed.
fn sweep(top: &Path) {
    for entry in fs::read_dir(top).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let owner = name
            .to_str()
            .and_then(|name| name.strip_prefix(PREFIX))
            .and_then(|rest| rest.split('-').next());
        if owner.is_some_and(|pid| !Path::new("/proc").join(pid).exists()) {
            let _ = fs::write(entry.path().join("cgroup.kill"), "1");
            remove_groups(&entry.path());
        }
    }
}

/// Removes a control group and those in it, as far as nothing is in them.
fn remove_groups(group: &Path) {
    for entry in fs::read_dir(group).into_iter().flatten().flatten() {
        if entry.path().is_dir() {
            remove_groups(&entry.path());
        }
    }
    let _ = fs::remove_dir(group);
}
