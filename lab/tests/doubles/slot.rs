//! The one slot for a transaction: who holds it, who joins, who is reported.

use std::io::ErrorKind;
use std::time::Duration;

use cuo_lab::machine::HostSpec;
use cuo_lab::machine::ostree::{Faults, Release, Sysroot, texts};
use tokio::time::Instant;

use super::client::{Host, Options, Peer, SYSROOT, V1, V2, V3, options};

#[tokio::test]
async fn the_slot_is_shared_by_equal_calls_and_held_by_lingering_peers() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    host.machine.publish(V2).unwrap();
    let (one, two) = (host.client().await, host.client().await);
    let busy = |title| format!("{}: {}", texts::BUSY, texts::busy(title));

    // Made by one, joined and started by two.
    let address = one.begin("Upgrade", &(Options::new(),)).await.unwrap();
    let empty = (Options::new(), Options::new());
    assert_eq!(
        two.begin("UpdateDeployment", &empty).await,
        Err(busy("new-deployment"))
    );
    assert_eq!(
        two.begin("Upgrade", &(Options::new(),)).await,
        Ok(address.clone())
    );
    let mut first = Peer::connect(&address).await;
    let second = Peer::connect(&address).await;
    assert!(second.start().await);
    assert!(!first.start().await);
    assert_eq!(first.finish().await.1, "Finished true");
    assert_eq!(second.until_the_end().await.1, "Finished true");

    // The first peer lingers: others are busy, an equal call gets the same end again and nothing is done.
    let finalize = options([("allow-missing-checksum", true.into())]);
    assert_eq!(
        two.begin("FinalizeDeployment", &(finalize,)).await,
        Err(busy("upgrade"))
    );
    host.machine.publish(V3).unwrap();
    assert_eq!(
        two.begin("Upgrade", &(Options::new(),)).await,
        Ok(address.clone())
    );
    let again = Peer::connect(&address).await;
    assert!(!again.start().await);
    assert_eq!(
        again.until_the_end().await,
        (vec![], "Finished true".to_owned())
    );
    assert_eq!(
        host.machine
            .sysroot()
            .unwrap()
            .default()
            .unwrap()
            .release
            .version,
        V2
    );
    first.leave().await;
    one.wait_free().await;
    let late = Peer::try_connect(&address).await.err().unwrap();
    assert!(
        matches!(&late, zbus::Error::Connection(error, _) if error.kind() == ErrorKind::NotFound),
        "{late:?}"
    );

    // Nobody waits without end.
    host.machine
        .root()
        .edit(|faults: &mut Faults| faults.pace.hold = 300)
        .unwrap();
    let address = one.begin("Upgrade", &(Options::new(),)).await.unwrap();
    let mut lingering = Peer::connect(&address).await;
    let begun = Instant::now();
    assert!(lingering.start().await);
    assert_eq!(lingering.finish().await.1, "Finished true");
    assert_eq!(lingering.next().await, "EOF");
    assert!(begun.elapsed() >= Duration::from_millis(300));
    one.wait_free().await;
}

#[tokio::test]
async fn a_caller_that_leaves_before_start_frees_the_slot() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let (one, two) = (host.client().await, host.client().await);
    let address = one.begin("Upgrade", &(Options::new(),)).await.unwrap();
    // A peer that goes away changes nothing.
    Peer::connect(&address).await.leave().await;
    two.reload().await;
    assert_eq!(two.active().await.0, "Upgrade");
    one.bus.close().await.unwrap();
    two.wait_free().await;
    // After Start it runs to its end without anybody.
    host.machine.publish(V2).unwrap();
    let three = host.client().await;
    let address = three.begin("Upgrade", &(Options::new(),)).await.unwrap();
    let peer = Peer::connect(&address).await;
    assert!(peer.start().await);
    peer.leave().await;
    three.bus.close().await.unwrap();
    two.wait_free().await;
    assert_eq!(
        host.machine
            .sysroot()
            .unwrap()
            .staged()
            .unwrap()
            .release
            .version,
        V2
    );
}

#[tokio::test]
async fn registered_clients_are_named() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let client = host.client().await;
    let initiator = async || {
        let address = client.begin("Upgrade", &(Options::new(),)).await.unwrap();
        let peer = Peer::connect(&address).await;
        let name = peer.property("InitiatingClientDescription").await;
        assert!(peer.start().await);
        peer.until_the_end().await;
        client.wait_free().await;
        name
    };
    let bus_name = client.bus.unique_name().unwrap().to_string();
    assert_eq!(initiator().await, format!("caller {bus_name}"));
    let id = options([("id", "lab".into())]);
    client
        .call::<_, ()>(SYSROOT, "RegisterClient", &(id.clone(),))
        .await
        .unwrap();
    let number = bus_name.trim_start_matches(':');
    let expected = format!("client(id:lab dbus:{number} unit:cuo-agent.service uid:0)");
    assert_eq!(initiator().await, expected);
    client
        .call::<_, ()>(SYSROOT, "UnregisterClient", &(id,))
        .await
        .unwrap();
    assert_eq!(initiator().await, format!("caller {bus_name}"));
    let methods: Vec<_> = host
        .machine
        .calls()
        .unwrap()
        .into_iter()
        .map(|call| call.method)
        .collect();
    assert_eq!(
        methods,
        [
            "Upgrade",
            "RegisterClient",
            "Upgrade",
            "UnregisterClient",
            "Upgrade"
        ]
    );
}

#[tokio::test]
async fn foreign_changes_are_noticed() {
    let host = Host::new(HostSpec::ostree(V1)).await;
    let client = host.client().await;
    let mut changes = client.watch_properties().await;
    assert_eq!(client.active().await.0, "");
    let stage = |sysroot: &mut Sysroot| {
        let origin = sysroot.booted().unwrap().origin.clone();
        sysroot.stage(Release::new(V2), origin, false);
    };
    host.machine.root().edit(stage).unwrap();
    assert_eq!(changes.next().await, "DefaultDeployment");
    assert_eq!(changes.next().await, "Deployments");
    assert!(
        host.machine
            .root()
            .join("run/ostree/staged-deployment")
            .exists()
    );
}
