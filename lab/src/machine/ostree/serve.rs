//! The process of the rpm-ostreed double: on the bus while somebody needs it.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::StreamExt;
use inotify::{Inotify, WatchMask};
use tracing::{info, warn};
use zbus::fdo::DBusProxy;

use super::bus;
use super::daemon::{Daemon, SYSROOT_PATH};
use super::faults::ms;
use super::files::NodeRoot;
use super::view::Reload;

/// Bus name of the daemon.
pub const NAME: &str = "org.projectatomic.rpmostree1";

/// How often the daemon looks whether it is still needed. The real one does so with seconds of slack.
const TICK: Duration = Duration::from_millis(100);

/// How long it stays after it gave up its name.
const LINGER: Duration = Duration::from_millis(20);

/// Runs until the daemon is idle for long enough, or the bus is gone. With `polkit`, that decides who may do what, else everybody may do
/// everything.
///
/// # Errors
/// When the lab files, the bus or inotify can't be used.
pub async fn run(root: NodeRoot, polkit: bool) -> Result<()> {
    let bus = zbus::connection::Builder::address(root.bus_address().as_str())
        .build()
        .await
        .with_context(|| format!("connect to {}", root.bus_address()))?;
    let daemon = Daemon::new(root, bus.clone(), polkit)?;
    bus::publish(bus.object_server(), &daemon, SYSROOT_PATH)
        .await
        .context("publish objects")?;
    let proxy = DBusProxy::new(&bus).await.context("bus driver")?;
    let mut owners = proxy
        .receive_name_owner_changed()
        .await
        .context("watch bus names")?;
    let inotify = Inotify::init().context("inotify")?;
    let deploy = daemon.root.join("ostree/deploy");
    inotify
        .watches()
        .add(&deploy, WatchMask::ATTRIB)
        .with_context(|| format!("watch {}", deploy.display()))?;
    let mut changes = inotify
        .into_event_stream(vec![0; 4096])
        .context("inotify stream")?;
    bus.request_name(NAME)
        .await
        .with_context(|| format!("own {NAME}"))?;
    info!(root = %daemon.root.path().display(), "ready");
    loop {
        tokio::select! {
            () = bus.closed() => return Ok(()),
            Some(change) = owners.next() => {
                let change = change.args().context("NameOwnerChanged")?;
                if change.new_owner().is_none() {
                    daemon.forget(change.name().as_str()).await;
                }
            }
            // Somebody else changed the deployments.
            Some(event) = changes.next() => {
                event.context("inotify")?;
                daemon.reload(Reload::All).await;
            }
            () = tokio::time::sleep(TICK) => {
                let limit = daemon.faults().pace.idle_exit;
                if limit > 0 && daemon.idle().is_some_and(|idle| idle > ms(limit)) {
                    break;
                }
            }
        }
    }
    info!("idle, leaving the bus");
    if let Err(error) = bus.release_name(NAME).await {
        warn!(%error, "could not release the name");
    }
    // Answers that are being sent still go out; a call that comes now gets NoReply, as it does from the real one.
    tokio::time::sleep(LINGER).await;
    Ok(())
}
