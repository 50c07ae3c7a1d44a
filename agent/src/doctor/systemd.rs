//! Units: who else updates this host, and whether its boot is complete.

use std::path::Path;
use std::time::Duration;

use zbus::{Connection, OwnedObjectPath};

use super::Check;
use crate::bus::Object;

const DRIVERS: &str = "other drivers";
const BOOT: &str = "boot";
pub(super) const NAMES: [&str; 2] = [DRIVERS, BOOT];

/// Units that update a host and reboot it by themselves.
const OTHERS: [&str; 5] = [
    "zincati.service",
    "rpm-ostreed-automatic.timer",
    "bootc-fetch-apply-updates.timer",
    "machine-config-daemon-pull.service",
    "machine-config-daemon-firstboot.service",
];
/// What the machine-config daemon, which runs in a pod, leaves on its hosts.
const MACHINE_CONFIG: &str = "etc/machine-config-daemon/currentconfig";
const COMPLETE: &str = "boot-complete.target";
const LIMIT: Duration = Duration::from_secs(30);
const MANAGER: Object<'static> = Object {
    service: Some("org.freedesktop.systemd1"),
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

/// Name, description, load state, active state, sub state, unit that follows, path, job, its type, its path.
type Listed = (
    String,
    String,
    String,
    String,
    String,
    String,
    OwnedObjectPath,
    u32,
    String,
    OwnedObjectPath,
);

/// Looks at the units; `policy` is rpm-ostree's own about updates.
pub(super) async fn look(connection: &Connection, root: &Path, policy: &str) -> [Check; 2] {
    let names: Vec<_> = OTHERS.iter().chain([&COMPLETE]).collect();
    let units = MANAGER.call::<Vec<Listed>>(connection, "ListUnitsByNames", &names, LIMIT);
    let units = match units.await {
        Ok(units) => units,
        Err(error) => {
            let remedy = "See `systemctl status`.";
            return NAMES.map(|name| Check::failed(name, error.to_string(), remedy));
        }
    };
    let others = drivers(connection, root, policy, &units).await;
    [others, boot(&units)]
}

async fn drivers(connection: &Connection, root: &Path, policy: &str, units: &[Listed]) -> Check {
    let (mut at_work, mut to_come) = (Vec::new(), Vec::new());
    for (name, _, load, active, ..) in units {
        if name == COMPLETE || load != "loaded" {
            continue;
        }
        if matches!(active.as_str(), "active" | "activating" | "reloading") {
            at_work.push(name.clone());
        } else if enabled(connection, name).await {
            to_come.push(name.clone());
        }
    }
    if root.join(MACHINE_CONFIG).exists() {
        at_work.push("machine-config-daemon".to_owned());
    }
    if policy == "apply" {
        to_come.push("AutomaticUpdatePolicy=apply of rpm-ostreed.conf".to_owned());
    }
    let remedy = |names: &[String]| {
        let units: Vec<_> = names.iter().filter(|name| name.contains('.')).collect();
        let units: Vec<_> = units.iter().map(|name| name.as_str()).collect();
        match &*units {
            [] => "Leave the host to that one, or take it off the host before CUO updates it."
                .to_owned(),
            units => format!("`systemctl disable --now {}`", units.join(" ")),
        }
    };
    if !at_work.is_empty() {
        let found = format!("{} may update this host, too", at_work.join(", "));
        Check::failed(DRIVERS, found, remedy(&at_work))
    } else if policy == "apply" {
        let found = format!("{} may update this host, too", to_come.join(", "));
        let remedy = "Set it to `none` in /etc/rpm-ostreed.conf, then `rpm-ostree reload`.";
        Check::warning(DRIVERS, found, remedy)
    } else if !to_come.is_empty() {
        let found = format!("{} comes with the next boot", to_come.join(", "));
        Check::warning(DRIVERS, found, remedy(&to_come))
    } else {
        Check::ok(DRIVERS, "none")
    }
}

/// Whether the unit starts with the next boot; one without an answer does not.
async fn enabled(connection: &Connection, name: &str) -> bool {
    let state = MANAGER.call::<String>(connection, "GetUnitFileState", &name, LIMIT);
    matches!(state.await.as_deref(), Ok("enabled" | "enabled-runtime"))
}

fn boot(units: &[Listed]) -> Check {
    let state = units.iter().find(|(name, ..)| name == COMPLETE);
    match state.map(|(_, _, load, active, ..)| (load.as_str(), active.as_str())) {
        Some((_, "active")) => Check::ok(BOOT, "complete"),
        Some(("loaded", active)) => Check::warning(
            BOOT,
            format!("{COMPLETE} is {active}; the agent starts after it"),
            "A health check of the boot may have failed: see `systemctl list-dependencies boot-complete.target`.",
        ),
        _ => Check::failed(
            BOOT,
            format!("there is no {COMPLETE}, which the agent's unit needs"),
            "Update systemd: it has that target since version 240.",
        ),
    }
}
