//! Power: the bus, and what a boot makes of the deployments.

use std::fs;
use std::io::ErrorKind;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use tokio::net::UnixStream;

use super::{Machine, binary};
use crate::machine::logind::{self, Inhibitors, REQUEST};
use crate::machine::ostree::{self, Sysroot};
use crate::machine::systemd::{self, Units};
use crate::process::{bound, spawn_logged};
use crate::wait::until;

pub(super) const BOOT_ID: &str = "proc/sys/kernel/random/boot_id";
const BUS_CONFIG: &str = "lab/bus.conf";
const DOUBLES: [(&str, &str); 3] = [
    (ostree::NAME, "lab-rpm-ostreed"),
    (logind::NAME, "lab-logind"),
    (systemd::NAME, "lab-systemd"),
];
/// Generous, because many hosts share one small machine.
const BOOT: Duration = Duration::from_secs(30);

/// How a host goes down and what it comes up with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reboot {
    /// A clean shutdown: what is staged and unlocked is finalized and boots, what is locked is dropped.
    Clean,
    /// No shutdown at all: whatever is staged is lost, the first finalized deployment boots.
    PowerCut,
    /// A clean shutdown, but finalization fails: what is staged is lost.
    FinalizeFailed,
    /// A clean shutdown, but the boot loader falls back to the deployment that ran before; the new one stays the default.
    Fallback,
    /// A clean shutdown, the new deployment was rolled back (as greenboot does): it is second now.
    RolledBack,
}

impl Machine {
    /// Starts the bus; the doubles come when they are called. The agent is the test's to start.
    ///
    /// # Errors
    /// When the bus does not come up; the error names its log.
    pub async fn boot(&mut self) -> Result<()> {
        let log = self.root.join("lab/bus.log");
        let mut command = bound("dbus-daemon");
        command
            .arg(format!(
                "--config-file={}",
                self.root.join(BUS_CONFIG).display()
            ))
            .args(["--nofork", "--nopidfile"]);
        self.bus = Some(spawn_logged(&mut command, &log)?);
        let socket = self.root.join("run/dbus/system_bus_socket");
        let what = format!("the bus of {} (log {})", self.name, log.display());
        until(what, BOOT, async || {
            Ok(Some(UnixStream::connect(&socket).await?))
        })
        .await?;
        Ok(())
    }

    /// Goes down as `kind` says and boots again. The agent is killed and has to be started again by the test.
    ///
    /// # Errors
    /// When something can't be stopped, written or started.
    pub async fn reboot(&mut self, kind: Reboot) -> Result<()> {
        self.power_off().await?;
        let finalizes = self.root.load::<Units>()?.finalizes();
        self.root
            .edit(|sysroot: &mut Sysroot| reboot_deployments(sysroot, kind, finalizes))?;
        self.root
            .edit(|inhibitors: &mut Inhibitors| inhibitors.locks.clear())?;
        // Runs only if the last shutdown left it word of a failure.
        let word = match kind {
            Reboot::FinalizeFailed => "failed",
            _ => "inactive",
        };
        self.root.edit(|units: &mut Units| units.boot(word))?;
        self.fresh_boot()?;
        self.boot().await
    }

    /// The same as [`Reboot::PowerCut`].
    ///
    /// # Errors
    /// As [`Machine::reboot`].
    pub async fn power_cut(&mut self) -> Result<()> {
        self.reboot(Reboot::PowerCut).await
    }

    /// Kills agent, bus and doubles at once and leaves the host down; [`Machine::reboot`] or [`Machine::boot`] bring it back.
    ///
    /// # Errors
    /// When something does not end.
    pub async fn power_off(&mut self) -> Result<()> {
        self.kill_agent().await?;
        if let Some(mut bus) = self.bus.take() {
            bus.kill()
                .await
                .with_context(|| format!("kill the bus of {}", self.name))?;
        }
        for (_, program) in DOUBLES {
            self.kill_double(program).await?;
        }
        Ok(())
    }

    /// Kills the rpm-ostree double as the out-of-memory killer would; the next call activates it again.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn kill_rpm_ostreed(&self) -> Result<()> {
        self.kill_double("lab-rpm-ostreed").await
    }

    /// Whether the rpm-ostree double runs.
    pub fn rpm_ostreed_runs(&self) -> bool {
        self.double("lab-rpm-ostreed").is_some()
    }

    async fn kill_double(&self, program: &str) -> Result<()> {
        let what = format!("the end of {program} on {}", self.name);
        until(what, BOOT, async || {
            let Some(pid) = self.double(program) else {
                return Ok(Some(()));
            };
            kill_process(pid, Signal::KILL).context("kill")?;
            Ok(None)
        })
        .await
    }

    /// The process of a double, found by its command line: the bus started it, so there is no handle.
    fn double(&self, program: &str) -> Option<Pid> {
        let root = self.root.path().to_str()?;
        let mut processes = fs::read_dir("/proc").ok()?.flatten();
        processes.find_map(|entry| {
            let pid = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let line = fs::read(entry.path().join("cmdline")).ok()?;
            let mut words = line.split(|byte| *byte == 0).rev();
            let of_this_host = words.next() == Some(b"") && words.next() == Some(root.as_bytes());
            let is_it = words.next() == Some(b"--root")
                && words
                    .next()
                    .is_some_and(|name| name.ends_with(program.as_bytes()));
            (of_this_host && is_it).then_some(pid)
        })
    }

    /// What a kernel that has just started shows: an empty `/run`, a new boot id, the booted system's os-release.
    pub(super) fn fresh_boot(&self) -> Result<()> {
        let run = self.root.join("run");
        match fs::remove_dir_all(&run) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("empty {}", run.display()));
            }
            _ => {}
        }
        for directory in ["cuo-agent", "dbus", "ostree", "rpm-ostree"] {
            let path = run.join(directory);
            fs::create_dir_all(&path).with_context(|| format!("create {}", path.display()))?;
        }
        self.root.remove(REQUEST)?;
        self.root.write("run/ostree-booted", "")?;
        self.root.write(BOOT_ID, format!("{}\n", random_uuid()))?;
        let now = Timestamp::now().as_second();
        self.root.write("proc/stat", format!("btime {now}\n"))?;
        let sysroot = self.sysroot()?;
        let booted = sysroot.booted().context("nothing is booted")?;
        ostree::bring(&self.root, booted)
    }

    /// The bus lets everybody do everything: policies are checked on real hosts.
    pub(super) fn write_services(&self) -> Result<()> {
        let root = self.root.path().display();
        let address = self.root.bus_address();
        self.root.write(
            BUS_CONFIG,
            format!(
                r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>{address}</listen>
  <auth>EXTERNAL</auth>
  <servicedir>{root}/lab/services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#
            ),
        )?;
        for (name, program) in DOUBLES {
            let program = binary(program)?;
            // A parent-death signal would hit at once: the bus's helper process ends when the name is owned. The doubles leave
            // by themselves when their bus is gone.
            let exec = format!("{} --root {root}", program.display());
            self.root.write(
                &format!("lab/services/{name}.service"),
                format!("[D-BUS Service]\nName={name}\nExec={exec}\nUser=root\n"),
            )?;
        }
        Ok(())
    }
}

/// What shutdown and boot loader make of the deployments. What nothing `finalizes` is lost, however cleanly the host goes down.
fn reboot_deployments(sysroot: &mut Sysroot, kind: Reboot, finalizes: bool) {
    let finalized = finalizes && kind != Reboot::PowerCut && kind != Reboot::FinalizeFailed;
    if finalized {
        sysroot.shut_down();
    }
    sysroot.lose_staged();
    if kind == Reboot::RolledBack && sysroot.deployments.len() > 1 {
        let running = sysroot
            .deployments
            .iter()
            .position(|one| one.booted)
            .unwrap_or(0);
        let running = sysroot.deployments.remove(running);
        sysroot.deployments.insert(0, running);
    }
    if kind != Reboot::Fallback {
        sysroot.boot();
    }
    sysroot.drop_stale_cache();
}

fn random_uuid() -> String {
    // Version 4, variant 1, as the kernel makes them.
    let bits = fastrand::u128(..) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let mut out = String::new();
    for (index, digit) in hex.chars().enumerate() {
        if matches!(index, 8 | 12 | 16 | 20) {
            out.push('-');
        }
        out.push(digit);
    }
    out
}
