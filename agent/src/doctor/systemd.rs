//! Checks of units: who else updates this host, whether its boot is complete, and whether the next boot starts the agent.

use std::path::Path;
use std::time::Duration;

use cuo_core::reason::Reason;
use cuo_core::survey::Survey;
use zbus::Connection;

use super::check::Check;
use crate::bus::Bus;
use crate::survey::{self, Further};
use crate::systemd::{self, MANAGER};

const DRIVERS: &str = "other drivers";
const BOOT: &str = "boot";
const NEXT_BOOT: &str = "next boot";
pub(super) const NAMES: [&str; 3] = [DRIVERS, BOOT, NEXT_BOOT];

const AGENT: &str = "cuo-agent.service";

const LIMIT: Duration = Duration::from_secs(30);

/// Checks the units, including those that the configuration names as `drivers`.
pub(super) async fn look(connection: &Connection, root: &Path, drivers: &[String]) -> [Check; 3] {
    let further = Further {
        drivers,
        ..Further::default()
    };
    match survey::look(root, &Bus::system(), further).await {
        Ok(survey) => [
            others(connection, &survey).await,
            boot(&survey),
            next_boot(connection).await,
        ],
        Err(why) => NAMES.map(|name| Check::failed(name, &why, "See `systemctl status`.")),
    }
}

async fn others(connection: &Connection, survey: &Survey) -> Check {
    if let Some(Reason { code, message }) = survey.rival() {
        return Check::failed(DRIVERS, message, code.remedy());
    }
    let mut to_come = Vec::new();
    for (index, unit) in survey.units.iter().enumerate() {
        // Judged as if it were running already.
        let mut then = survey.clone();
        if let Some(unit) = then.units.get_mut(index) {
            unit.state = "active".to_owned();
        }
        if unit.found && then.rival().is_some() && enabled(connection, &unit.name).await {
            to_come.push(unit.name.as_str());
        }
    }
    if to_come.is_empty() {
        return Check::ok(DRIVERS, "none");
    }
    Check::warning(
        DRIVERS,
        format!("{} comes with the next boot", to_come.join(", ")),
        format!("`systemctl disable --now {}`", to_come.join(" ")),
    )
}

/// Whether the unit starts with the next boot; `false` without an answer.
async fn enabled(connection: &Connection, name: &str) -> bool {
    let state = MANAGER.call::<String>(connection, "GetUnitFileState", &name, LIMIT);
    matches!(state.await.as_deref(), Ok("enabled" | "enabled-runtime"))
}

fn boot(survey: &Survey) -> Check {
    match survey.boot_incomplete() {
        None => Check::ok(BOOT, "complete"),
        Some(reason) => Check::warning(
            BOOT,
            format!(
                "{}; until then the agent neither stages an update nor confirms one as healthy",
                reason.message
            ),
            reason.code.remedy(),
        ),
    }
}

/// Checks that the next boot starts the agent. A link below /usr does that as well, although systemd does not call it enabled.
async fn next_boot(connection: &Connection) -> Check {
    let found = match systemd::wanted(connection, AGENT).await {
        Err(error) => format!("not known, because systemd did not answer: {error}"),
        Ok((load, _)) if load != "loaded" => format!("{AGENT} is {load}"),
        Ok((_, by)) if by.is_empty() => {
            let found = format!("does not start the agent: no unit wants {AGENT}");
            return Check::warning(NEXT_BOOT, found, "`systemctl enable cuo-agent`.");
        }
        Ok(_) => return Check::ok(NEXT_BOOT, "starts the agent"),
    };
    Check::warning(NEXT_BOOT, found, "See `systemctl status cuo-agent`.")
}
