//! Whether the network is metered, as NetworkManager says. Where it does not run, nobody says so.

use std::time::Duration;

use tracing::debug;
use zbus::OwnedVariant;

use crate::bus::{Bus, Object};

/// It answers from memory.
const LIMIT: Duration = Duration::from_secs(10);
const NAME: &str = "org.freedesktop.NetworkManager";
const BUS: Object<'static> = Object {
    service: Some("org.freedesktop.DBus"),
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
};
const PROPERTIES: Object<'static> = Object {
    service: Some(NAME),
    path: "/org/freedesktop/NetworkManager",
    interface: "org.freedesktop.DBus.Properties",
};
/// `NMMetered`: set by a person, and guessed from the kind of connection. The others are unknown, no, and guessed not to be.
const METERED: [u32; 2] = [1, 3];

/// Whether what is sent costs. An answer that does not come counts as no.
pub async fn metered(bus: &Bus) -> bool {
    let told = ask(bus).await;
    let told = told.inspect_err(|error| debug!(%error, "not known whether the network is metered"));
    told.is_ok_and(|told| told.is_some_and(|value| METERED.contains(&value)))
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
    let property = (NAME, "Metered");
    let value: OwnedVariant = PROPERTIES
        .call(&connection, "Get", &property, LIMIT)
        .await?;
    Ok(u32::try_from(value).ok())
}
