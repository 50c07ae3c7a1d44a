//! Whether the network is metered, according to NetworkManager. Where that does not run, it is taken as not metered.

use std::time::Duration;

use tracing::debug;

use crate::bus::{Bus, Object};

/// Limit for one call. NetworkManager answers from memory.
const LIMIT: Duration = Duration::from_secs(10);
const NAME: &str = "org.freedesktop.NetworkManager";
const BUS: Object<'static> = Object {
    service: Some("org.freedesktop.DBus"),
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
const MANAGER: Object<'static> = Object {
    service: Some(NAME),
    path: "/org/freedesktop/NetworkManager",
    interface: NAME,
};
/// The values of `NMMetered` that mean metered: set by a person, and guessed from the type of connection.
const METERED: [u32; 2] = [1, 3];

/// Whether the network is metered. A missing answer counts as no.
pub async fn metered(bus: &Bus) -> bool {
    let reported = ask(bus).await;
    let reported =
        reported.inspect_err(|error| debug!(%error, "not known whether the network is metered"));
    reported.is_ok_and(|reported| reported.is_some_and(|value| METERED.contains(&value)))
}

async fn ask(bus: &Bus) -> zbus::Result<Option<u32>> {
    let connection = bus.connect().await?;
    // A call would start NetworkManager.
    if !BUS
        .call::<bool>(&connection, "NameHasOwner", &NAME, LIMIT)
        .await?
    {
        return Ok(None);
    }
    let value = MANAGER.property(&connection, "Metered", LIMIT).await?;
    Ok(u32::try_from(value).ok())
}
