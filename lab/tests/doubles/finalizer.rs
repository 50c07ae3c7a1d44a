//! The unit that writes what is staged to the disk: when it is active, and what becomes of the update where it is not.

use std::sync::{Arc, Mutex};

use cuo_lab::machine::ostree::NodeRoot;
use cuo_lab::machine::systemd::{self, FINALIZER, Finalizer, Units};
use cuo_lab::machine::{HostSpec, Reboot};
use zbus::{OwnedObjectPath, interface};

use super::client::{Client, Host, Options, V1, V2, V3, options};

const NOTE: &str = "run/ostree/staged-deployment";

/// Name, load state and active state, as systemd lists them.
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

async fn finalizer(client: &Client) -> (String, String) {
    let path = "/org/freedesktop/systemd1";
    let interface = Some("org.freedesktop.systemd1.Manager");
    let (name, body) = (Some(systemd::NAME), (vec![FINALIZER],));
    let call = client
        .bus
        .call_method(name, path, interface, "ListUnitsByNames", &body);
    let listed: Vec<Listed> = call.await.unwrap().body().deserialize().unwrap();
    let one = listed.into_iter().next().unwrap();
    (one.2, one.3)
}

async fn upgrade(host: &Host) {
    let client = host.client().await;
    let lock = options([("lock-finalization", true.into())]);
    assert_eq!(client.outcome("Upgrade", &(lock,)).await, "Finished true");
    client.wait_free().await;
}

/// Seen with rpm-ostree 2026.2 and libostree 2025.2; other versions have it active from the boot on.
#[tokio::test]
async fn it_is_inactive_until_something_is_staged_or_active_from_the_boot_on() {
    for (kind, at_boot) in [
        (Finalizer::FromStaging, "inactive"),
        (Finalizer::FromBoot, "active"),
    ] {
        let spec = HostSpec {
            finalizer: kind,
            ..HostSpec::container(V1)
        };
        let mut host = Host::new(spec).await;
        let mut seen = Vec::new();
        for version in [V2, V3] {
            let client = host.client().await;
            seen.push(finalizer(&client).await);
            // Nothing new: nothing is staged.
            upgrade(&host).await;
            seen.push(finalizer(&client).await);
            host.machine.publish(version).unwrap();
            upgrade(&host).await;
            seen.push(finalizer(&client).await);
            // It stays, though nothing is staged any more.
            host.machine.admin_cleanup_pending().await.unwrap();
            seen.push(finalizer(&client).await);
            host.machine.admin_upgrade().await.unwrap();
            host.machine.reboot(Reboot::Clean).await.unwrap();
            assert_eq!(host.machine.booted_version().unwrap(), version, "{kind:?}");
        }
        let boot = [at_boot, at_boot, "active", "active"];
        let expected = [boot, boot].into_iter().flatten();
        let expected = expected.map(|state| ("loaded".to_owned(), state.to_owned()));
        assert_eq!(seen, expected.collect::<Vec<_>>(), "{kind:?}");
    }
}

/// Keeps what rpm-ostreed asks for, and whether the note was there at that moment.
struct Recorder {
    root: NodeRoot,
    asked: Arc<Mutex<Vec<(String, String, bool)>>>,
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Recorder {
    async fn start_unit(&self, name: String, mode: String) -> OwnedObjectPath {
        let noted = self.root.join(NOTE).exists();
        self.asked.lock().unwrap().push((name, mode, noted));
        OwnedObjectPath::try_from("/org/freedesktop/systemd1/job/1").unwrap()
    }
}

#[tokio::test]
async fn it_is_started_with_each_staging_once_that_is_noted() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let root = host.machine.root();
    root.remove(&format!("lab/services/{}.service", systemd::NAME))
        .unwrap();
    let asked = Arc::default();
    let recorder = Recorder {
        root: root.clone(),
        asked: Arc::clone(&asked),
    };
    let address = root.bus_address();
    let _systemd = zbus::connection::Builder::address(address.as_str())
        .serve_at("/org/freedesktop/systemd1", recorder)
        .name(systemd::NAME)
        .build()
        .await
        .unwrap();
    for version in [V1, V2, V3] {
        host.machine.publish(version).unwrap();
        upgrade(&host).await;
    }
    let once = (FINALIZER.to_owned(), "replace".to_owned(), true);
    assert_eq!(*asked.lock().unwrap(), [once.clone(), once]);
}

#[tokio::test]
async fn what_it_does_not_write_is_lost() {
    for (state, expected) in [("active", V2), ("inactive", V1), ("failed", V1)] {
        let mut host = Host::new(HostSpec::container(V1)).await;
        host.machine.publish(V2).unwrap();
        let client = host.client().await;
        let unlocked = (Options::new(),);
        assert_eq!(client.outcome("Upgrade", &unlocked).await, "Finished true");
        client.wait_free().await;
        let change = |units: &mut Units| units.set(FINALIZER, state);
        host.machine.root().edit(change).unwrap();
        host.machine.reboot(Reboot::Clean).await.unwrap();
        assert_eq!(host.machine.booted_version().unwrap(), expected, "{state}");
    }
}
