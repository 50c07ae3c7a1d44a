//! What else runs on the host: systemd units, and other programs that update it.

use crate::host::Deployment;
use crate::reason::{Code, Reason};

/// A systemd unit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Unit {
    /// Its name, with the suffix.
    pub name: String,
    /// Whether it exists.
    pub found: bool,
    /// `ActiveState`: `active`, `inactive`, `failed`, `activating` and so on.
    pub state: String,
}

impl Unit {
    fn is_active(&self) -> bool {
        matches!(self.state.as_str(), "active" | "reloading" | "refreshing")
    }

    /// Whether it runs, or is starting.
    fn runs(&self) -> bool {
        self.is_active() || self.state == "activating"
    }
}

/// The program that registered with rpm-ostree as the driver of updates. That lasts until the next boot, whether or not the unit runs.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Driver {
    /// Its name, as it registered.
    pub name: String,
    /// The unit it registered from.
    pub unit: String,
}

/// What was found on the host.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Survey {
    /// At least [`UNITS`], the driver's, those of [`Survey::drivers`], and those that have to be active.
    pub units: Vec<Unit>,
    /// Further units that update the host while they run, as the agent's configuration names them.
    pub drivers: Vec<String>,
    /// Whether Zincati's own configuration disables updates.
    pub zincati_off: bool,
    /// `AutomaticUpdatePolicy` of rpm-ostreed.conf.
    pub policy: String,
    /// The registered driver, if it is not this agent.
    pub driver: Option<Driver>,
    /// Whether OpenShift's machine-config-daemon manages this host.
    pub machine_config: bool,
    /// ostree's note of the staged deployment.
    pub staged: Option<StagedNote>,
    /// Why the note can't be read, if it exists.
    pub unread: Option<String>,
    /// Whether `/run/nextroot` exists: `systemctl reboot` would then only do a soft reboot into that.
    pub next_root: bool,
    /// Whether a kernel is loaded by kexec: `systemctl reboot` would boot that instead of the first deployment.
    pub kexec: bool,
    /// Whether the network is metered and nobody has allowed its use.
    pub metered: bool,
    /// The file that asks for a reboot of the host, as the agent's configuration names it, if it was made since the boot.
    pub sentinel: Option<String>,
    /// ostree's error if the update could not be written to the disk at the last shutdown, if the journal has it.
    pub finalize_error: Option<String>,
}

/// ostree's note of a staged deployment. rpm-ostree does not report the lock.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StagedNote {
    /// Checksum and serial number, the last part of rpm-ostree's id.
    pub name: String,
    /// Whether a shutdown drops it unless it was finalized.
    pub locked: bool,
}

impl StagedNote {
    /// Whether the note is about `deployment`.
    pub fn is_about(&self, deployment: &Deployment) -> bool {
        deployment.staged && deployment.id.ends_with(&format!("-{}", self.name))
    }
}

const BOOTED: &str = "boot-complete.target";
const ZINCATI: &str = "zincati.service";
/// Timers of programs that update the host, and of nothing else that matters: bootc's own, Universal Blue's, and that one's predecessor.
const BOOTC: &str = "bootc-fetch-apply-updates.timer";
const UUPD: &str = "uupd.timer";
const UBLUE: &str = "ublue-update.timer";
/// Units that move a host from Fedora CoreOS to uCore in two boots, as in uCore's Ignition example. Each rebases, disables itself, reboots.
const REBASES: [&str; 2] = [
    "ucore-unsigned-autorebase.service",
    "ucore-signed-autorebase.service",
];
const AUTOMATIC: &str = "rpm-ostreed-automatic.timer";
const MACHINE_CONFIG: &str = "machine-config-daemon-firstboot.service";
/// The unit that writes the staged deployment to the disk when it is stopped; since ostree 2018. Most versions start it a moment after the
/// first staging of a boot was noted, and it is inactive until then; with others it is active from the boot on.
pub const FINALIZE: &str = "ostree-finalize-staged.service";
/// Fails if the staged deployment could not be written at the last shutdown, and does not run otherwise; since ostree 2022.3.
pub const FINALIZED: &str = "ostree-boot-complete.service";

/// Units to look at on every host.
pub const UNITS: [&str; 11] = [
    BOOTED,
    ZINCATI,
    BOOTC,
    UUPD,
    UBLUE,
    REBASES[0],
    REBASES[1],
    AUTOMATIC,
    MACHINE_CONFIG,
    FINALIZE,
    FINALIZED,
];

impl Survey {
    fn unit(&self, name: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.name == name)
    }

    fn runs(&self, name: &str) -> bool {
        self.unit(name).is_some_and(Unit::runs)
    }

    /// Why the boot is not complete; `None` also on hosts without `boot-complete.target`.
    pub fn boot_incomplete(&self) -> Option<Reason> {
        let target = self
            .unit(BOOTED)
            .filter(|unit| unit.found && !unit.is_active())?;
        let text = format!("{BOOTED} is {}", target.state);
        Some(Reason::new(Code::BootIncomplete, text))
    }

    /// Why a reboot now would lose the staged `deployment`: the unit that writes it to the disk is not running.
    pub fn would_lose(&self, deployment: &Deployment) -> Option<Reason> {
        let unit = self.unit(FINALIZE)?;
        (deployment.staged && unit.found && !unit.is_active()).then(|| {
            let text = format!("{FINALIZE} is {}", unit.state);
            Reason::new(Code::FinalizerInactive, text)
        })
    }

    /// Why a reboot would be of another kind, which does not boot the staged deployment.
    pub fn other_reboot(&self) -> Option<Reason> {
        let text = match (self.next_root, self.kexec) {
            (true, _) => "/run/nextroot is there, so a reboot would be a soft one",
            (false, true) => "/sys/kernel/kexec_loaded is 1, so a reboot would boot that kernel",
            (false, false) => return None,
        };
        Some(Reason::new(Code::RebootPrepared, text))
    }

    /// Whether ostree reported that the staged deployment could not be written to the disk at the last shutdown.
    pub fn finalization_failed(&self) -> bool {
        self.unit(FINALIZED)
            .is_some_and(|unit| unit.state == "failed")
    }

    /// Which of the `required` units are not running.
    pub fn inactive(&self, required: &[String]) -> Option<Reason> {
        let state = |name: &String| match self.unit(name) {
            Some(unit) if unit.is_active() => None,
            Some(unit) if unit.found => Some(format!("{name} is {}", unit.state)),
            _ => Some(format!("there is no {name}")),
        };
        let missing: Vec<_> = required.iter().filter_map(state).collect();
        (!missing.is_empty()).then(|| Reason::new(Code::UnitsInactive, missing.join(", ")))
    }

    /// Whether the staged `deployment` is locked, if ostree's note says so.
    pub fn locked(&self, deployment: &Deployment) -> Option<bool> {
        let note = self.staged.as_ref()?;
        note.is_about(deployment).then_some(note.locked)
    }

    /// The reason to report if the staged `deployment` is not known to be locked: any reboot may boot it.
    pub fn at_risk(&self, deployment: &Deployment) -> Option<Reason> {
        let version = &deployment.version;
        let text = match (self.locked(deployment), &self.unread) {
            (Some(false), _) => {
                format!("{version} is staged and not locked, so any reboot of the host boots it")
            }
            (None, Some(why)) if deployment.staged => format!(
                "{version} is staged, and whether any reboot of the host boots it is not known: {why}"
            ),
            _ => return None,
        };
        Some(Reason::new(Code::StagedUnlocked, text))
    }

    /// Another program that updates this host, and how to stop it. One that is installed but not running does not count.
    pub fn rival(&self) -> Option<Reason> {
        let off = |unit: &str| {
            format!("{unit} runs on the host; `systemctl disable --now {unit}` stops it")
        };
        let runs = |unit: &&str| self.runs(unit);
        let named = self.drivers.iter().map(String::as_str);
        let text = if self.machine_config || self.runs(MACHINE_CONFIG) {
            "OpenShift's machine-config-daemon updates this host; remove cuo-agent from this host"
                .to_owned()
        } else if self.runs(ZINCATI) && !self.zincati_off {
            off(ZINCATI)
        } else if let Some(unit) = [BOOTC, UUPD, UBLUE].into_iter().chain(named).find(runs) {
            off(unit)
        } else if let Some(unit) = REBASES.into_iter().find(runs) {
            format!(
                "{unit} moves this host to another image and reboots it, and stops by itself; `systemctl disable --now {unit}` stops it now"
            )
        } else if self.runs(AUTOMATIC)
            && !matches!(self.policy.as_str(), "" | "none" | "off" | "check")
        {
            format!("{} (AutomaticUpdatePolicy={})", off(AUTOMATIC), self.policy)
        } else {
            let driver = self.driver.as_ref()?;
            let silenced = driver.unit == ZINCATI && self.zincati_off;
            if silenced || !self.runs(&driver.unit) {
                return None;
            }
            let Driver { name, unit } = driver;
            format!(
                "{name} is registered with rpm-ostree as what updates this host; `systemctl disable --now {unit}` stops it"
            )
        };
        Some(Reason::new(Code::OtherDriver, text))
    }
}

#[cfg(test)]
mod tests;
