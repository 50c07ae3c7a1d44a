//! Whether the network is metered, as NetworkManager says. Where it does not run, nobody says so.

use std::time::Duration;

use tracing::debug;

use crate::bus::{Bus, Object};

/// It answers from memory.
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
/// `NMMetered`: set by a person, and guessed from the kind of connection. The others are unknown, no, and guessed not to be.
const METERED: [u32; 2] = [1, 3];

/// Whether what is sent costs. An answer that does not come counts as no.
pub async fn metered(bus: &Bus) -> bool {
    let reported = ask(bus).await;
    let reported =
        reported.inspect_err(|error| debug!(%error, "not known whether the network is metered"));
    reported.is_ok_and(|reported| reported.is_some_and(|value| METERED.contains(&value)))
}

async fn ask(bus: &Bus) -> zbus::Result<Option<u32>> {
    let connection = bus.connect().await?;
    // A call would start it.
    if !BUS
        .call::<bool>(&connection, "NameHasOwner", &NAME, LIMIT)
        .await?
    {
        return Ok(None);
    }
    let value = MANAGER.property(&connection, "Metered", LIMIT).await?;
    Ok(u32::try_from(value).ok())
}
