//! systemd itself, over D-Bus: which units run. Read-only, which everybody may.

use std::time::Duration;

use cuo_core::survey::Unit;
use tracing::debug;

use zbus::{Connection, OwnedObjectPath};

use crate::bus::{self, Bus, Object};

/// Limit for one call. systemd answers from memory.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const MANAGER: Object<'static> = Object {
    service: Some("org.freedesktop.systemd1"),
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
};

/// Name, description, load state, active state, substate, followed unit, object, job's id, type and object.
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

/// The states of these units, including units that do not exist.
///
/// # Errors
/// One sentence, when systemd can't be asked.
pub async fn units(bus: &Bus, names: &[&str]) -> Result<Vec<Unit>, String> {
    let reported = |error: &zbus::Error| {
        let why = bus::answered(error).map_or_else(|| error.to_string(), |(_, text)| text);
        format!("systemd did not answer ListUnitsByNames ({why})")
    };
    let connection = bus.connect().await.map_err(|error| reported(&error))?;
    let listed: Vec<Listed> = MANAGER
        .call(&connection, "ListUnitsByNames", &names, LIMIT)
        .await
        .map_err(|error| reported(&error))?;
    let unit = |(name, _, load, state, ..): Listed| Unit {
        name,
        found: load != "not-found",
        state,
    };
    Ok(listed.into_iter().map(unit).collect())
}

/// One clause on why the service `unit` does not run, if it has failed and systemd says so.
pub async fn failure(bus: &Bus, unit: &str) -> Option<String> {
    let failed = units(bus, &[unit]).await.ok()?;
    failed.iter().find(|unit| unit.state == "failed")?;
    let reported = format!("{unit} has failed");
    Some(match result(bus, unit).await {
        Ok(result) => format!("{reported}: {result}"),
        Err(error) => {
            debug!(%error, "not known how {unit} failed");
            reported
        }
    })
}

/// systemd's result of the service `unit`, such as `exit-code` or `start-limit-hit`.
async fn result(bus: &Bus, unit: &str) -> zbus::Result<String> {
    let connection = bus.connect().await?;
    let path: OwnedObjectPath = MANAGER.call(&connection, "GetUnit", &unit, LIMIT).await?;
    let service = Object {
        path: path.as_str(),
        interface: "org.freedesktop.systemd1.Service",
        ..MANAGER
    };
    let value = service.property(&connection, "Result", LIMIT).await;
    value.and_then(String::try_from)
}

/// The load state of `unit`, and the units that want or require it, whoever made the links.
///
/// # Errors
/// When systemd does not answer.
pub(crate) async fn wanted(
    connection: &Connection,
    unit: &str,
) -> zbus::Result<(String, Vec<String>)> {
    let path: OwnedObjectPath = MANAGER.call(connection, "LoadUnit", &unit, LIMIT).await?;
    let unit = Object {
        path: path.as_str(),
        interface: "org.freedesktop.systemd1.Unit",
        ..MANAGER
    };
    let get = |name| unit.property(connection, name, LIMIT);
    let state = String::try_from(get("LoadState").await?)?;
    let mut by = Vec::<String>::try_from(get("WantedBy").await?)?;
    by.extend(Vec::<String>::try_from(get("RequiredBy").await?)?);
    Ok((state, by))
}
