//! Checks of the host: the agent itself, its files, and the services it uses over the bus.

use std::path::Path;

use cuo_core::release::Origin;
use zbus::Connection;

use super::check::Check;
use super::{polkit, releases, systemd};
use crate::bus::Bus;
use crate::config::{Config, ConfigError};
use crate::journal::Event;
use crate::logind::Logind;
use crate::rpmostree::{Client, Limits};
use crate::store::Store;

const BUS: &str = "system bus";
const RPM_OSTREE: &str = "rpm-ostree";
const ORIGIN: &str = "origin";
const LOGIND: &str = "logind";

/// Checks everything below `root` and on the system bus.
pub async fn look(root: &Path, config: &Config, errors: &[ConfigError]) -> Vec<Check> {
    let store = Store::new(root);
    let (agent, pid) = agent(&store);
    let mut checks = vec![configuration(errors), state(&store), agent];
    let textfile = config.metrics.textfile.below(root);
    checks.extend(textfile.map(|path| metrics(&path, &store, pid)));
    let connection = match Bus::system().connect().await {
        Ok(connection) => connection,
        Err(error) => {
            checks.push(Check::failed(
                BUS,
                error.to_string(),
                "See `systemctl status dbus-broker dbus`.",
            ));
            let needs = [RPM_OSTREE, ORIGIN, releases::NAME, LOGIND, polkit::NAME].into_iter();
            let needs = needs.chain(systemd::NAMES);
            checks.extend(needs.map(|name| Check::not_looked_at(name, "the system bus")));
            return checks;
        }
    };
    checks.push(Check::ok(BUS, "can be reached"));
    let client = Client::new(Bus::system(), Limits::default());
    rpm_ostree(root, config, &client, &mut checks).await;
    checks.push(logind().await);
    checks.push(authorized(&connection, pid).await);
    let drivers = config.drivers.names();
    checks.extend(systemd::look(&connection, root, &drivers).await);
    checks
}

fn configuration(errors: &[ConfigError]) -> Check {
    let name = "configuration";
    let all: Vec<_> = errors.iter().map(ToString::to_string).collect();
    if all.is_empty() {
        return Check::ok(name, "can be read");
    }
    Check::failed(
        name,
        all.join("; "),
        "Correct the files; `cuo-agent config show` points at the places. Then `systemctl reload cuo-agent`.",
    )
}

fn state(store: &Store) -> Check {
    let name = "state";
    let Err(error) = store.peek() else {
        return Check::ok(name, "can be read");
    };
    let denied = error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::PermissionDenied)
    });
    let found = format!("{error:#}");
    if denied {
        return Check::warning(name, found, "Run `cuo-agent doctor` as root.");
    }
    Check::failed(
        name,
        found,
        "Upgrade the agent if a newer one wrote it, or repair what keeps it from being read, then `systemctl reload cuo-agent`; an invalid file is moved aside when the agent starts.",
    )
}

/// The agent, and its process if it runs.
fn agent(store: &Store) -> (Check, Option<i32>) {
    let name = "agent";
    match store.agent() {
        Ok(Some(pid)) => {
            let phase = store.read_answer(pid).ok().flatten();
            let phase = phase.map(|answer| format!(", {}", answer.phase));
            let found = format!("runs as process {pid}{}", phase.unwrap_or_default());
            (Check::ok(name, found), Some(pid))
        }
        Ok(None) => {
            let remedy = "`systemctl enable --now cuo-agent`; `systemctl status cuo-agent` says why it ended.";
            (Check::failed(name, "does not run", remedy), None)
        }
        Err(error) => {
            let remedy = "`systemctl restart cuo-agent` writes the file again.";
            (Check::failed(name, format!("{error:#}"), remedy), None)
        }
    }
}

/// The file with the metrics, as far as the running agent could write it: root could in any case.
fn metrics(path: &Path, store: &Store, pid: Option<i32>) -> Check {
    let name = "metrics";
    let Some(pid) = pid else {
        return Check::not_looked_at(name, "a running agent");
    };
    let answer = match store.read_answer(pid) {
        Ok(answer) => answer,
        Err(error) => {
            let remedy = "Run `cuo-agent doctor` as root.";
            return Check::warning(name, format!("{error:#}"), remedy);
        }
    };
    if let Some(why) = answer.and_then(|answer| answer.textfile) {
        return Check::warning(name, why, Event::MetricsUnwritten.remedy());
    }
    let shown = path.display();
    match path.try_exists() {
        Ok(true) => Check::ok(name, format!("are written to {shown}")),
        Ok(false) => Check::warning(
            name,
            format!("{shown} is not there yet"),
            "`systemctl reload cuo-agent` if the configuration was changed since it started.",
        ),
        Err(error) => Check::warning(
            name,
            format!("can't look at {shown}: {error}"),
            "Run `cuo-agent doctor` as root.",
        ),
    }
}

/// What rpm-ostree has booted and from where.
async fn rpm_ostree(root: &Path, config: &Config, client: &Client, checks: &mut Vec<Check>) {
    let found = match client.overview().await {
        Ok(found) => found,
        Err(error) => {
            let remedy = "See `systemctl status rpm-ostreed` and `rpm-ostree status`.";
            checks.push(Check::failed(RPM_OSTREE, error.to_string(), remedy));
            let names = [ORIGIN, releases::NAME].into_iter();
            checks.extend(names.map(|name| Check::not_looked_at(name, RPM_OSTREE)));
            return;
        }
    };
    let booted = &found.host.booted;
    let runs = format!("booted {} ({})", booted.version, booted.identity.short());
    checks.push(Check::ok(RPM_OSTREE, runs));
    checks.push(origin(&found.origin));
    checks.push(releases::look(root, config, client, found).await);
}

fn origin(origin: &Origin) -> Check {
    let found = origin.to_string();
    if origin.stream().is_some() {
        return Check::ok(ORIGIN, format!("follows {found}"));
    }
    let found = if found.is_empty() {
        "follows no branch and no image".to_owned()
    } else {
        format!("{found} names no branch and no tag")
    };
    Check::warning(
        ORIGIN,
        found,
        "Without one there may never be an update; `rpm-ostree rebase` to a branch or to an image's tag.",
    )
}

async fn logind() -> Check {
    match Logind::new(Bus::system()).inhibitors().await {
        Ok(locks) => match locks.first() {
            None => Check::ok(LOGIND, "nothing blocks a shutdown"),
            Some(lock) => Check::warning(
                LOGIND,
                format!("{} blocks shutdowns: {}", lock.who, lock.why),
                "Wait for it, or end it; `systemd-inhibit --list` shows all.",
            ),
        },
        Err(error) => Check::failed(
            LOGIND,
            error.to_string(),
            "See `systemctl status systemd-logind`.",
        ),
    }
}

async fn authorized(connection: &Connection, pid: Option<i32>) -> Check {
    match pid {
        Some(pid) => polkit::look(connection, pid).await,
        None => Check::not_looked_at(polkit::NAME, "a running agent"),
    }
}

#[cfg(test)]
mod tests;
