//! Looks for other programs that update this host, and for the units that have to run.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use cuo_core::survey::{Driver, StagedNote, Survey, UNITS};
use tracing::debug;

use crate::bus::Bus;
use crate::config::{HostPath, ZINCATI};
use crate::gvariant::{self, Value, at, text_at};
use crate::{facts, fragments, systemd};

/// The agent's name as rpm-ostree's driver of updates.
pub const NAME: &str = "cuo-agent";

const DRIVER: &str = "run/rpm-ostree/update-driver.gv";
const STAGED: &str = "run/ostree/staged-deployment";
const LOCKED: &str = "run/ostree/staged-deployment-locked";
const POLICY: &str = "etc/rpm-ostreed.conf";
/// Where the next root file system of a soft reboot is (systemd-soft-reboot.service(8)). The folder alone is enough: something may be mounted on it at any time.
const NEXT_ROOT: &str = "run/nextroot";
/// `1` if a kernel is loaded that `systemctl reboot` would boot by kexec (systemctl(1), `reboot`).
const KEXEC: &str = "sys/kernel/kexec_loaded";
const MACHINE_CONFIG: &str = "etc/machine-config-daemon/currentconfig";

/// Files below `root` whose change may mean that another program has begun or stopped to update the host; and the `sentinel`, which asks
/// for a reboot.
pub fn files(root: &Path, sentinel: Option<&HostPath>) -> Vec<PathBuf> {
    let single = [DRIVER, POLICY, MACHINE_CONFIG].into_iter();
    let sentinel = sentinel.map(|path| path.below(root));
    let known = single.chain(ZINCATI).map(|path| root.join(path));
    known.chain(sentinel).collect()
}

/// What to look at besides the usual units, from the configuration.
#[derive(Debug, Clone, Copy, Default)]
pub struct Further<'a> {
    /// Those that have to be active.
    pub required: &'a [String],
    /// Those that update the host while they run.
    pub drivers: &'a [String],
    /// The file that asks for a reboot of the host.
    pub sentinel: Option<&'a HostPath>,
}

/// Looks at the host, and at `further` units.
///
/// # Errors
/// One sentence, if systemd does not answer.
pub async fn look(root: &Path, bus: &Bus, further: Further<'_>) -> Result<Survey, String> {
    let driver = driver(root).filter(|driver| driver.name != NAME);
    let mut names = UNITS.to_vec();
    names.extend(driver.iter().map(|driver| driver.unit.as_str()));
    let all = further.required.iter().chain(further.drivers);
    names.extend(all.map(String::as_str));
    names.sort_unstable();
    names.dedup();
    let units = systemd::units(bus, &names).await?;
    let (staged, unread) = match staged(root) {
        Ok(staged) => (staged, None),
        Err(why) => (None, Some(why)),
    };
    Ok(Survey {
        units,
        drivers: further.drivers.to_vec(),
        zincati_off: zincati_off(root),
        policy: policy(root),
        driver,
        next_root: exists(&root.join(NEXT_ROOT)),
        kexec: kexec(root),
        machine_config: exists(&root.join(MACHINE_CONFIG)),
        staged,
        unread,
        metered: false,
        sentinel: further
            .sentinel
            .filter(|path| asks(root, path))
            .map(|path| path.0.clone()),
        finalize_error: None,
    })
}

/// Whether the file asks for a reboot: one that was there before the boot asked for that one.
fn asks(root: &Path, path: &HostPath) -> bool {
    let made = std::fs::metadata(path.below(root)).and_then(|found| found.modified());
    let booted = facts::boot_time(root);
    booted.is_some_and(|booted| made.is_ok_and(|made| made > booted))
}

fn kexec(root: &Path) -> bool {
    let loaded = std::fs::read_to_string(root.join(KEXEC));
    loaded.is_ok_and(|text| text.trim() == "1")
}

/// Whether the path exists; a path that only root may look at counts as existing.
fn exists(path: &Path) -> bool {
    path.try_exists().unwrap_or_else(|error| {
        debug!(path = %path.display(), %error, "taken to be there");
        true
    })
}

/// The driver that has registered since the boot.
fn driver(root: &Path) -> Option<Driver> {
    let entries = gvariant::dict(&std::fs::read(root.join(DRIVER)).ok()?);
    let text = |key| text_at(&entries, key).map(str::to_owned);
    Some(Driver {
        name: text("driver-name")?,
        unit: text("driver-sd-unit")?,
    })
}

/// ostree's note of the staged deployment, with its lock. Versions of ostree without the lock in the note have a file for it.
pub fn staged(root: &Path) -> Result<Option<StagedNote>, String> {
    let bytes = match std::fs::read(root.join(STAGED)) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(format!("/{STAGED}: {error}")),
    };
    let strange = || format!("/{STAGED}: not as ostree writes it");
    let entries = gvariant::dict(&bytes);
    let Some(Value::Dict(target)) = at(&entries, "target") else {
        return Err(strange());
    };
    let noted = at(&entries, "locked") == Some(&Value::Bool(true));
    Ok(Some(StagedNote {
        name: text_at(target, "name").ok_or_else(strange)?.to_owned(),
        locked: noted || exists(&root.join(LOCKED)),
    }))
}

/// `AutomaticUpdatePolicy` in the group `[Daemon]`; empty where it is not set.
fn policy(root: &Path) -> String {
    let text = std::fs::read_to_string(root.join(POLICY)).unwrap_or_default();
    let (mut group, mut policy) = ("", "");
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            group = line;
        } else if let Some((key, value)) = line.split_once('=')
            && (group, key.trim_end()) == ("[Daemon]", "AutomaticUpdatePolicy")
        {
            policy = value.trim_start();
        }
    }
    policy.to_owned()
}

/// `updates.enabled = false` in Zincati's configuration, which leaves its unit running and idle.
fn zincati_off(root: &Path) -> bool {
    let (files, errors) = fragments::files(root, &ZINCATI);
    let mut enabled = true;
    for path in files {
        // A file that can't be read can't be relied on.
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let table: toml::Table = toml::from_str(&text).unwrap_or_default();
        let updates = table
            .get("updates")
            .and_then(|updates| updates.get("enabled"));
        enabled = updates.and_then(toml::Value::as_bool).unwrap_or(enabled);
    }
    !enabled && errors.is_empty()
}

#[cfg(test)]
mod tests;
